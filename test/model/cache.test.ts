/** Who owns which rows and states of the cache. */

import { expect, test } from 'vitest';
import { type CacheRun, KeyValueCache } from '../../src/model/cache.ts';
import { readConfiguration } from '../../src/model/configuration.ts';
import type { Model } from '../../src/model/model.ts';
import { openTestGpu } from '../support/gpu.ts';
import { withSeed } from '../support/random.ts';

const gpu = openTestGpu();

const llama = {
  ...{ model_type: 'llama', vocab_size: 11, hidden_size: 12, intermediate_size: 8, num_hidden_layers: 3 },
  ...{ num_attention_heads: 4, num_key_value_heads: 2, head_dim: 6 },
};
const lfm2 = {
  ...{ model_type: 'lfm2', vocab_size: 11, hidden_size: 16, intermediate_size: 8, num_hidden_layers: 3 },
  ...{ num_attention_heads: 2, num_key_value_heads: 1, full_attn_idxs: [1], conv_L_cache: 3 },
};

async function withCache(
  config: Record<string, unknown>,
  body: (cache: KeyValueCache) => void,
  ...[rows, hasSpare]: [number, boolean?]
): Promise<void> {
  const decoder = await readConfiguration(config, 'config.json');
  const cache = new KeyValueCache(gpu(), { decoder } as Model, rows, hasSpare);
  try {
    body(cache);
  } finally {
    cache.destroy();
  }
}

test('buffers hold the rows of every layer with its pads, and one row more with a spare', async () => {
  for (const [hasSpare, rows] of [
    [false, 7],
    [true, 8],
  ] as const) {
    await withCache(
      llama,
      (cache) => {
        // Two heads of 6 elements are stored as two of 8.
        expect(cache.keys.map(({ size }) => size)).toEqual(Array(3).fill(rows * 16 * 4));
        expect(cache.values.map(({ size }) => size)).toEqual(Array(3).fill(rows * 16 * 4));
        expect([cache.rows, cache.freeRows, cache.states]).toEqual([7, 7, []]);
        expect(cache.spare).toEqual(hasSpare ? { start: 7, length: 1, state: 0 } : undefined);
      },
      7,
      hasSpare,
    );
  }
});

test('a sequence that can never fit is refused, one that does not fit at present waits', async () => {
  await withCache(
    llama,
    (cache) => {
      expect(() => cache.reserve(11)).toThrowError(expect.objectContaining({ code: 'out_of_memory' }));
      const [first, second] = [cache.reserve(4)!, cache.reserve(4)!];
      expect(cache.reserve(3)).toBeUndefined();
      expect(cache.reserve(2)).toEqual({ start: 8, length: 2, state: 0 });
      cache.release(first);
      expect(cache.reserve(5)).toBeUndefined();
      cache.release(second);
      expect(cache.reserve(8)).toEqual({ start: 0, length: 8, state: 0 });
    },
    10,
  );
});

test('runs never overlap, and what is returned joins its neighbours', async () => {
  await withSeed('cache runs', async (random) => {
    for (const config of [llama, lfm2]) {
      await withCache(
        config,
        (cache) => {
          const owned: CacheRun[] = [];
          for (let turn = 0; turn < 400; turn++) {
            if (owned.length > 0 && random.uniform() < 0.45) {
              cache.release(owned.splice(random.integer(0, owned.length - 1), 1)[0]!);
            } else {
              const length = random.integer(1, 12);
              const run = cache.reserve(length);
              const rows = new Uint8Array(64);
              for (const { start, length } of owned) rows.fill(1, start, start + length);
              if (run) {
                expect(run.length).toBe(length);
                expect(rows.subarray(run.start, run.start + length).includes(1)).toBe(false);
                owned.push(run);
              } else {
                // Nothing fits: no gap between the runs of others is as long.
                const longest = Math.max(
                  ...[...rows]
                    .join('')
                    .split('1')
                    .map((gap) => gap.length),
                );
                expect(longest).toBeLessThan(length);
              }
            }
            const taken = owned.reduce((sum, { length }) => sum + length, 0);
            expect(cache.freeRows).toBe(64 - taken);
            if (cache.states.length > 0) expect(new Set(owned.map(({ state }) => state)).size).toBe(owned.length);
          }
          for (const run of owned) cache.release(run);
          expect(cache.reserve(64)).toMatchObject({ start: 0, length: 64 });
        },
        64,
      );
    }
  });
});

test('recurrent layers have a state for each sequence, and the spare row one of its own', async () => {
  await withCache(
    lfm2,
    (cache) => {
      expect(cache.keys).toHaveLength(1);
      expect(cache.states).toHaveLength(2);
      const runs: CacheRun[] = [];
      for (let run = cache.reserve(1); run; run = cache.reserve(1)) runs.push(run);
      // Rows are left, but no states.
      expect(cache.freeRows).toBeGreaterThan(0);
      const states = [...runs, cache.spare!].map(({ state }) => state);
      expect(new Set(states).size).toBe(runs.length + 1);
      // Two earlier inputs of 16 channels.
      for (const { inputs, matrices } of cache.states) {
        expect(inputs.size).toBe((runs.length + 1) * 2 * 16 * 4);
        expect(matrices).toBeUndefined();
      }
      expect(Math.max(...states)).toBe(runs.length);
    },
    1000,
    true,
  );
});
