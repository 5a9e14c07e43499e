/**
 * The package as others get it: packed, unpacked into an empty project, its doors used there on Node, Bun and Deno.
 * Nothing is downloaded: dependencies are links to those of the repository, and only those that a user would get.
 */

import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const modules = join(root, 'node_modules');
const project = mkdtempSync(join(tmpdir(), 'subzero-package-'));
const installed = join(project, 'node_modules', 'subzero-webgpu');
const model = join(installed, 'examples', 'reviews-3m');

interface Ended {
  code: number | null;
  output: string;
}

function run(program: string, parameters: string[], cwd: string): Promise<Ended> {
  const PATH = [join(modules, '.bin'), process.env.PATH].join(delimiter);
  const child = spawn(program, parameters, { cwd, env: { ...process.env, PATH }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output }));
  });
}

/** The packages that `npm install subzero-webgpu` brings, and those that a project of one's own has beside it. */
function linkDependencies(): void {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean }>;
  };
  const own = ['node_modules/@types/node', 'node_modules/undici-types'];
  for (const [path, { dev = false }] of Object.entries(lock.packages)) {
    if (!/^node_modules\/(@[^/]+\/)?[^/]+$/.test(path) || (dev && !own.includes(path))) continue;
    mkdirSync(dirname(join(project, path)), { recursive: true });
    symlinkSync(join(root, path), join(project, path), 'junction');
  }
}

beforeAll(async () => {
  const packed = await run('npm', ['pack', '--offline', '--pack-destination', project], root);
  expect(packed, packed.output).toMatchObject({ code: 0 });
  const archive = readdirSync(project).find((name) => name.endsWith('.tgz'))!;
  mkdirSync(installed, { recursive: true });
  const unpacked = await run('tar', ['-xzf', archive, '-C', installed, '--strip-components=1'], project);
  expect(unpacked, unpacked.output).toMatchObject({ code: 0 });
  linkDependencies();
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'consumer', type: 'module', private: true }));
  const compilerOptions = {
    ...{ module: 'NodeNext', target: 'ES2023', lib: ['ES2023', 'DOM', 'DOM.Iterable'], types: ['node'] },
    ...{ strict: true, noEmit: true, skipLibCheck: true, erasableSyntaxOnly: true },
  };
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }));
  for (const folder of [join(root, 'examples', 'library'), join(root, 'test', 'library', 'consumer')]) {
    for (const name of readdirSync(folder)) cpSync(join(folder, name), join(project, name));
  }
}, 300_000);

afterAll(() => rmSync(project, { recursive: true, force: true }));

test('it holds what it needs and no sources but those that pages load', () => {
  expect(readdirSync(installed).sort()).toEqual(
    [
      ...['CHANGELOG.md', 'LICENSE', 'README.md', 'bin', 'dist', 'examples', 'kernels', 'package.json', 'server'],
      'src',
    ].sort(),
  );
  expect(readdirSync(join(installed, 'server'))).toEqual(['dashboard']);
  expect(readdirSync(join(installed, 'src'))).toEqual(['chart']);
});

test('every door has types', async () => {
  const compiled = await run('tsc', ['-p', '.'], project);
  expect(compiled, compiled.output).toEqual({ code: 0, output: '' });
});

const runtimes: [string, string[]][] = [
  ['node', []],
  ['bun', []],
  ['deno', ['run', '--allow-all', '--quiet']],
];

const programs: [string, string[]][] = [
  [
    'plain.mjs',
    [
      '.: SubzeroError openEngine',
      '/server: createApplication serve',
      'openModelWeights openSafetensors writeSafetensors',
      '/runtime: Gpu Profiler SubzeroError addKernelSource kernelSource listAdapters',
      'inner files are closed',
    ],
  ],
  ['engine.ts', ['step 4: loss ', 'The film ', 'errors have a code: not_found']],
  ['server.ts', ['a page of my own', 'The film was ']],
  ['safetensors.ts', ['model.embed_tokens.weight: BF16 [4096, 192]', 'written and read again: true']],
  ['runtime.ts', ['y[0..4] = 0, 0.5, 1, 1.5']],
  ['mounted.ts', ['mounted: ok']],
];

test.each(runtimes)('its doors open on %s', { timeout: 400_000 }, async (runtime, parameters) => {
  for (const [program, expected] of programs) {
    const { code, output } = await run(runtime, [...parameters, program, model], project);
    for (const text of expected) expect(output, program).toContain(text);
    expect(code, `${program}: ${output}`).toBe(0);
  }
});

test('its command runs without sources', async () => {
  const { code, output } = await run('node', [join(installed, 'bin', 'subzero.mjs'), '--version'], project);
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  expect(output).toContain(version);
  expect(code).toBe(0);
});

test('what deno publishes is complete, and of the same version', async () => {
  const parameters = ['publish', '--dry-run', '--allow-dirty', '--no-check'];
  const { code, output } = await run('deno', parameters, root);
  expect(code, output).toBe(0);
  const [deno, node] = ['deno.json', 'package.json'].map(
    (name) =>
      JSON.parse(readFileSync(join(root, name), 'utf8')) as { version: string; exports: Record<string, unknown> },
  );
  expect(deno!.version).toBe(node!.version);
  expect([...Object.keys(deno!.exports), './package.json']).toEqual(Object.keys(node!.exports));
});
