import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openEngine } from '../../src/engine/client.ts';
import type { Engine } from '../../src/engine/types.ts';
import { projectedGradient } from '../../src/experiments/rank-spectrum.ts';

interface Golden {
  settings: { seed: number; rank: number };
  tensors: { name: string; projected: number[] }[];
}

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine();
});
afterAll(() => engine.close());

test.each(['model.layers.0.mlp.gate_proj.weight', 'model.layers.5.self_attn.v_proj.weight'])(
  'Uᵀ∇f V of %s from losses alone is that of automatic differentiation',
  async (matrix) => {
    const { settings, tensors } = JSON.parse(read('test/fixtures/golden/fidelity.json')) as Golden;
    const { projected } = tensors.find(({ name }) => name === matrix)!;
    const rows = read('examples/sst2/train.jsonl')
      .split('\n')
      .slice(0, 8)
      .map((line) => JSON.parse(line) as { sentence: string; label: number })
      .map(({ sentence, label }) => ({ prompt: `${sentence} It was`, options: [' terrible', ' great'], label }));
    const { signal } = new AbortController();
    const { coefficients, explained } = await projectedGradient(
      { engine, signal },
      { ...settings, model: 'examples/reviews-3m', matrix, rows },
      72,
    );
    const largest = Math.max(...projected.map(Math.abs));
    const worst = Math.max(...projected.map((value, index) => Math.abs(coefficients[index]! - value)));
    // Losses in f32 and the third derivative along a direction leave a few thousandths.
    expect(worst / largest).toBeLessThan(0.02);
    expect(explained).toBeGreaterThan(0.999);
  },
);
