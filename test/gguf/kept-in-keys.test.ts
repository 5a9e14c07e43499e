import { expect, test } from 'vitest';
import { architectures } from '../../src/gguf/architectures.ts';
import type { MetadataValue } from '../../src/gguf/header.ts';
import { keptTensors } from '../../src/gguf/kept-in-keys.ts';

const usual: Record<string, MetadataValue> = { 'xielu.alpha_p': [0.5, 1, 2], 'xielu.alpha_n': 0.25 };

const tensorsOf = (own: Record<string, MetadataValue | undefined>) => {
  const given = Object.entries({ ...usual, ...own }).filter(
    (each): each is [string, MetadataValue] => each[1] !== undefined,
  );
  return keptTensors({ metadata: new Map(given), path: 'a.gguf' }, { architecture: architectures.apertus!, layers: 3 });
};

test('each layer has its number of a list, or the one of all', async () => {
  const found = await Promise.all(
    tensorsOf({}).map(async ({ name, range }) => [name, new Float32Array((await range(0, 4)).buffer)[0]]),
  );
  expect(Object.fromEntries(found)).toEqual({
    'model.layers.0.mlp.act_fn.alpha_p': 0.5,
    'model.layers.1.mlp.act_fn.alpha_p': 1,
    'model.layers.2.mlp.act_fn.alpha_p': 2,
    'model.layers.0.mlp.act_fn.alpha_n': 0.25,
    'model.layers.1.mlp.act_fn.alpha_n': 0.25,
    'model.layers.2.mlp.act_fn.alpha_n': 0.25,
  });
});

test('constants are the architecture’s, up to 16 bits', () => {
  expect(tensorsOf({ 'xielu.beta': [0.5, 0.5, 0.501], 'xielu.eps': -9.98e-7 })).toHaveLength(6);
});

test.each([
  [{ 'xielu.alpha_p': undefined }, '"xielu.alpha_p" is missing; expected a number for each of 3 layers'],
  [{ 'xielu.alpha_p': [1, 2] }, '"xielu.alpha_p" is [1,2]; expected a number for each of 3 layers'],
  [{ 'xielu.alpha_n': [1, 2, 'x'] }, 'expected a number for each of 3 layers'],
  [{ 'xielu.beta': [0.5, 0.5, 0.6] }, '"xielu.beta" is [0.5,0.5,0.6]; expected 0.5 for all layers'],
  [{ 'xielu.eps': 1e-6 }, '"xielu.eps" is 0.000001; expected -0.000001 for all layers'],
] as [Record<string, MetadataValue | undefined>, string][])('%j is refused', (own, message) => {
  expect(() => tensorsOf(own)).toThrow(message);
});
