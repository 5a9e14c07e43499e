/** Where rows of a pass find their angles, above all where the length of a sequence decides them. */

import { describe, expect, test } from 'vitest';
import { packExamples, packSequences } from '../../src/model/batch.ts';
import { matrix, type Position } from '../../src/model/decoder.ts';
import { type RopePosition, ropeTable } from '../../src/model/rope-table.ts';
import { ropeRowsBytes, uploadPositions } from '../../src/model/upload-positions.ts';
import { plainAxis } from '../../src/tensor/axis.ts';

const width = 8;
const rope = (scaling: RopePosition['scaling']): Position => ({
  kind: 'rope',
  theta: 100,
  rotaryWidth: width,
  scaling,
});
const dynamic = rope({ type: 'dynamic', factor: 2, trainedContext: 4 });
const longrope = rope({
  ...{ type: 'longrope', shortFactors: [1, 1, 1, 1], longFactors: [2, 3, 4, 5], originalContext: 4 },
  ...{ factor: 2, attentionFactor: 1.5 },
});

/** What is uploaded, by name. */
function upload(position: Position, batch: { positions: Uint32Array; lengths: Uint32Array }) {
  const uploaded: Record<string, Uint32Array | Float32Array> = {};
  const buffers = {
    upload(name: string, data: Uint32Array | Float32Array) {
      uploaded[name] = data;
      return name;
    },
  };
  const model = { decoder: { position } } as unknown as Parameters<typeof uploadPositions>[0];
  const input = uploadPositions(model, batch.positions, batch.lengths, buffers as never);
  return { input, uploaded, bytes: ropeRowsBytes(model, batch.positions.length) };
}

const tokens = (count: number) => Array.from({ length: count }, (_, index) => index);

describe('rows of the own table', () => {
  const { batch } = packSequences([tokens(4), tokens(3)]);

  test('OPT reads its table two rows further on', () => {
    const { uploaded, input } = upload(
      { kind: 'learned', table: matrix('positions', plainAxis(10), plainAxis(4)), offset: 2 },
      batch,
    );
    expect([...uploaded.positions!]).toEqual([2, 3, 4, 2, 3]);
    expect(input.ropeTable).toBeUndefined();
  });

  test.each([rope({ type: 'default' }), dynamic, longrope])(
    'no sequence beyond the original context: $scaling.type',
    (position) => {
      const { uploaded, input } = upload(position, batch);
      expect([...uploaded.positions!]).toEqual([0, 1, 2, 0, 1]);
      expect(input.ropeTable).toBeUndefined();
    },
  );
});

describe('rows of a table of the pass', () => {
  test('dynamic: each sequence beyond by its own length, shorter ones as ever', () => {
    const { batch } = packSequences([tokens(3), tokens(6), tokens(7)]);
    const { uploaded, input, bytes } = upload(dynamic, batch);
    expect([...uploaded.positions!]).toEqual(tokens(2 + 5 + 6));
    expect(input.ropeTable).toMatchObject({ rotaryWidth: width, interleaved: false });
    const table = uploaded['rotary rows'] as Float32Array;
    expect(bytes).toEqual([['rotary rows', table.byteLength]]);
    // The same table as that of a model whose base is the one for the length.
    const theta = (length: number) => 100 * ((2 * length) / 4 - 1) ** (width / (width - 2));
    const expected = [
      ...ropeTable(2, width, 100, { type: 'default' }),
      ...ropeTable(5, width, theta(6), { type: 'default' }),
      ...ropeTable(6, width, theta(7), { type: 'default' }),
    ];
    expect(table.length).toBe(expected.length);
    for (const [index, value] of expected.entries()) expect(table[index]).toBeCloseTo(value, 6);
  });

  test('longrope: long divisors for all tokens of a sequence beyond', () => {
    const { batch } = packSequences([tokens(5), tokens(4)]);
    const table = upload(longrope, batch).uploaded['rotary rows'] as Float32Array;
    const row = (index: number) => table.subarray(index * width, (index + 1) * width);
    expect(row(1)[0]).toBeCloseTo(1.5 * Math.cos(1 / 2), 6);
    expect(row(1)[width / 2]).toBeCloseTo(1.5 * Math.sin(1 / 2), 6);
    expect(row(4 + 1)[0]).toBeCloseTo(1.5 * Math.cos(1), 6);
  });

  test('a token that only gives the last one its row is no part of the length', () => {
    expect([...packSequences([tokens(5)], 1).batch.lengths]).toEqual(Array(8).fill(4));
    expect(upload(longrope, packSequences([tokens(5)], 1).batch).input.ropeTable).toBeUndefined();
    expect(upload(longrope, packSequences([tokens(5)]).batch).input.ropeTable).toBeDefined();
  });
});

describe('options that share a prompt', () => {
  const example = (...lengths: number[]) => {
    const continuations = lengths.map((count) => ({ ids: tokens(count), scored: count }));
    return packExamples([{ kind: 'options', prompt: [1, 2, 3], continuations, label: 0 }]).batch;
  };

  test('of one length, or all within the original context', () => {
    expect(upload(dynamic, example(2, 2)).input.ropeTable).toBeDefined();
    expect(upload(dynamic, example(1, 1)).input.ropeTable).toBeUndefined();
    expect(upload(longrope, example(2, 4)).input.ropeTable).toBeDefined();
  });

  test('of lengths that turn the prompt differently are refused', () => {
    expect(() => upload(dynamic, example(2, 3))).toThrow(
      /options of 5 to 6 tokens with one prompt: beyond 4 tokens the rope scaling "dynamic"/,
    );
    expect(() => upload(longrope, example(1, 2))).toThrow(/options of 4 to 5 tokens .* "longrope"/);
  });
});
