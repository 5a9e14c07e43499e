import { expect, test } from 'vitest';
import { hubSettings } from '../../src/hub/environment.ts';
import { parseRepositoryName, type RepositoryName } from '../../src/hub/repository.ts';
import { homedir } from '../../src/platform/index.ts';

test.each<[string, RepositoryName | undefined]>([
  ['org/name', { id: 'org/name' }],
  ['Org-1/na.me_2', { id: 'Org-1/na.me_2' }],
  ['org/name@v1.0', { id: 'org/name', revision: 'v1.0' }],
  ['org/name@refs/pr/1', { id: 'org/name', revision: 'refs/pr/1' }],
  ['org/name:a/b.gguf', { id: 'org/name', file: 'a/b.gguf' }],
  ['org/name@main:b.gguf', { id: 'org/name', revision: 'main', file: 'b.gguf' }],
  ['org/name/b.Q4_0.gguf', { id: 'org/name', file: 'b.Q4_0.gguf' }],
  ...[
    ...['name', './org/name', '../name', '/org/name', 'org/name/', 'a/b/c', 'C:\\org\\name', 'org/na me', ''],
    ...[
      'org/name@',
      'org/..',
      'org/a..b',
      'org/a--b',
      '~/name',
      'org/name@../x',
      'org/name:../x',
      'org/name:/x',
      'org/name:',
    ],
  ].map((text): [string, undefined] => [text, undefined]),
])('%s', (text, expected) => {
  expect(parseRepositoryName(text)).toEqual(expected);
});

test('the environment is read as the Python library does', async () => {
  const none = { HF_TOKEN_PATH: '/nowhere' };
  expect(await hubSettings(none)).toEqual({
    endpoint: 'https://huggingface.co',
    cacheDirectory: `${homedir()}/.cache/huggingface/hub`,
    offline: false,
  });
  const cacheOf = async (more: Record<string, string>) => (await hubSettings({ ...none, ...more })).cacheDirectory;
  expect(await cacheOf({ XDG_CACHE_HOME: '/x' })).toBe('/x/huggingface/hub');
  expect(await cacheOf({ XDG_CACHE_HOME: '/x', HF_HOME: '~/h' })).toBe(`${homedir()}/h/hub`);
  expect(await cacheOf({ HF_HOME: '/h', HF_HUB_CACHE: '/c' })).toBe('/c');
  const all = await hubSettings({ HF_TOKEN: ' hf_x\n', HF_ENDPOINT: 'http://h:1/', HF_HUB_OFFLINE: 'TRUE' });
  expect(all).toMatchObject({ token: 'hf_x', endpoint: 'http://h:1', offline: true });
  expect((await hubSettings({ ...none, HF_HUB_OFFLINE: '0' })).offline).toBe(false);
});
