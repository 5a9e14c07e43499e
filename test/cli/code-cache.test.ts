import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { codeCacheDirectory } from '../../bin/code-cache.mjs';
import { cacheDirectory } from '../../src/gpu/cache-directory.ts';

describe('codeCacheDirectory', () => {
  it('lies beside what else is kept, on every system', () => {
    const environments = [
      {},
      { SUBZERO_CACHE_DIR: '/own' },
      { XDG_CACHE_HOME: '/xdg' },
      { LOCALAPPDATA: 'C:\\Local' },
      { XDG_CACHE_HOME: '/xdg', LOCALAPPDATA: 'C:\\Local' },
    ];
    for (const platform of ['linux', 'darwin', 'win32']) {
      for (const environment of environments) {
        const expected = join(cacheDirectory(environment, platform), 'code');
        expect(codeCacheDirectory(environment, platform)).toBe(expected);
      }
    }
  });
});
