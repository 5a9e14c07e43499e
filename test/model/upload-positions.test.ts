/** Where rows of a pass find their angles, above all where the length of a sequence decides them. */

import { describe, expect, test } from 'vitest';
import { packExamples, packSequences } from '../../src/model/batch.ts';
import { type LearnedPosition, matrix } from '../../src/model/decoder.ts';
import { type RopePosition, ropeTable } from '../../src/model/rope-table.ts';
import { ropeRowsBytes, uploadPositions } from '../../src/model/upload-positions.ts';
import { plainAxis } from '../../src/tensor/axis.ts';

const width = 8;
const rope = (scaling: RopePosition['scaling']): RopePosition => ({ theta: 100, rotaryWidth: width, scaling });
const dynamic = rope({ type: 'dynamic', factor: 2, trainedContext: 4 });
const longrope = rope({
  ...{ type: 'longrope', shortFactors: [1, 1, 1, 1], longFactors: [2, 3, 4, 5], originalContext: 4 },
  ...{ factor: 2, attentionFactor: 1.5 },
});

interface Batch {
  positions: Uint32Array;
  lengths: Uint32Array;
}

/** What is uploaded, by name, for a decoder whose layers have these rotations. */
function upload(rotations: RopePosition | RopePosition[], batch: Batch, position?: LearnedPosition) {
  const blocks = [rotations].flat().map((rotation) => [{ kind: 'attention', rotation }]);
  const uploaded: Record<string, Uint32Array | Float32Array> = {};
  const buffers = {
    upload(name: string, data: Uint32Array | Float32Array) {
      uploaded[name] = data;
      return name;
    },
  };
  const model = { decoder: { blocks, position } } as unknown as Parameters<typeof uploadPositions>[0];
  const input = uploadPositions(model, batch.positions, batch.lengths, buffers as never);
  return { input, uploaded, bytes: ropeRowsBytes(model, batch.positions.length) };
}

const tokens = (count: number) => Array.from({ length: count }, (_, index) => index);

describe('rows of the own table', () => {
  const { batch } = packSequences([tokens(4), tokens(3)]);

  test('OPT reads its table two rows further on', () => {
    const table = matrix('positions', plainAxis(10), plainAxis(4));
    const { uploaded, input } = upload([], batch, { kind: 'learned', table, offset: 2 });
    expect([...uploaded.positions!]).toEqual([2, 3, 4, 2, 3]);
    expect(input.ropeTables).toBeUndefined();
  });

  test.each([rope({ type: 'default' }), dynamic, longrope])(
    'no sequence beyond the original context: $scaling.type',
    (position) => {
      const { uploaded, input } = upload(position, batch);
      expect([...uploaded.positions!]).toEqual([0, 1, 2, 0, 1]);
      expect(input.ropeTables).toBeUndefined();
    },
  );
});

describe('rows of a table of the pass', () => {
  test('dynamic: each sequence beyond by its own length, shorter ones as ever', () => {
    const { batch } = packSequences([tokens(3), tokens(6), tokens(7)]);
    const { uploaded, input, bytes } = upload(dynamic, batch);
    expect([...uploaded.positions!]).toEqual(tokens(2 + 5 + 6));
    expect(input.ropeTables!.get(dynamic)).toMatchObject({ rotaryWidth: width, interleaved: false });
    const table = uploaded['rotary rows 0'] as Float32Array;
    expect(bytes).toEqual([['rotary rows 0', table.byteLength]]);
    // The same table as that of a model whose base is the one for the length.
    const theta = (length: number) => 100 * ((2 * length) / 4 - 1) ** (width / (width - 2));
    const expected = [
      ...ropeTable(2, rope({ type: 'default' })),
      ...ropeTable(5, { ...rope({ type: 'default' }), theta: theta(6) }),
      ...ropeTable(6, { ...rope({ type: 'default' }), theta: theta(7) }),
    ];
    expect(table.length).toBe(expected.length);
    for (const [index, value] of expected.entries()) expect(table[index]).toBeCloseTo(value, 6);
  });

  test('longrope: long divisors for all tokens of a sequence beyond', () => {
    const { batch } = packSequences([tokens(5), tokens(4)]);
    const table = upload(longrope, batch).uploaded['rotary rows 0'] as Float32Array;
    const row = (index: number) => table.subarray(index * width, (index + 1) * width);
    expect(row(1)[0]).toBeCloseTo(1.5 * Math.cos(1 / 2), 6);
    expect(row(1)[width / 2]).toBeCloseTo(1.5 * Math.sin(1 / 2), 6);
    expect(row(4 + 1)[0]).toBeCloseTo(1.5 * Math.cos(1), 6);
  });

  test('layers of several rotations: a table of the pass for each, once one of them needs it', () => {
    const fixed = { ...rope({ type: 'default' }), theta: 7, interleaved: true };
    const { batch } = packSequences([tokens(6)]);
    const { uploaded, input, bytes } = upload([fixed, dynamic, fixed], batch);
    expect([...input.ropeTables!.keys()]).toEqual([fixed, dynamic]);
    expect(input.ropeTables!.get(fixed)).toMatchObject({ buffer: 'rotary rows 0', interleaved: true });
    expect(input.ropeTables!.get(dynamic)).toMatchObject({ buffer: 'rotary rows 1', interleaved: false });
    expect(uploaded['rotary rows 0']).toEqual(ropeTable(5, fixed));
    expect(uploaded['rotary rows 1']).not.toEqual(ropeTable(5, dynamic));
    expect(bytes).toEqual([0, 1].map((index) => [`rotary rows ${index}`, 5 * width * 4]));
  });

  test('a token that only gives the last one its row is no part of the length', () => {
    expect([...packSequences([tokens(5)], 1).batch.lengths]).toEqual(Array(8).fill(4));
    expect(upload(longrope, packSequences([tokens(5)], 1).batch).input.ropeTables).toBeUndefined();
    expect(upload(longrope, packSequences([tokens(5)]).batch).input.ropeTables).toBeDefined();
  });
});

describe('options that share a prompt', () => {
  const example = (...lengths: number[]) => {
    const continuations = lengths.map((count) => ({ ids: tokens(count), scored: count }));
    return packExamples([{ kind: 'options', prompt: [1, 2, 3], continuations, label: 0 }]).batch;
  };

  test('of one length, or all within the original context', () => {
    expect(upload(dynamic, example(2, 2)).input.ropeTables).toBeDefined();
    expect(upload(dynamic, example(1, 1)).input.ropeTables).toBeUndefined();
    expect(upload(longrope, example(2, 4)).input.ropeTables).toBeDefined();
  });

  test('of lengths that turn the prompt differently are refused', () => {
    expect(() => upload(dynamic, example(2, 3))).toThrow(
      /options of 5 to 6 tokens with one prompt: beyond 4 tokens the rope scaling "dynamic"/,
    );
    expect(() => upload(longrope, example(1, 2))).toThrow(/options of 4 to 5 tokens .* "longrope"/);
  });
});
