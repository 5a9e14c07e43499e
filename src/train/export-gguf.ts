/**
 * A run as files of llama.cpp: the merged model, or its change as an adapter.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { type GgufTensorToWrite, interleaved, rowsForFile, type TypedValue, writeGguf } from '../gguf/index.ts';
import { parameterShapes } from '../model/parameters.ts';
import { shapeOf, type Weight } from '../tensor/weight.ts';
import type { LowRank } from '../zo/low-rank.ts';
import { SubZero } from '../zo/subzero.ts';
import { changedValues, pairTerms } from './export-lora.ts';
import type { RestoredRun } from './run.ts';
import { weightValues } from './weight-bytes.ts';
import { ggufArchitecture, writeGgufModel } from './write-gguf.ts';
import type { ModelTensor, WrittenStorage } from './written-tensor.ts';

/** Folds the run and writes the model. @throws SubzeroError `unsupported` for what such a file cannot say */
export async function writeMergedGguf(run: RestoredRun, storage: WrittenStorage, file: string): Promise<void> {
  const { model, optimizer } = run;
  const { gpu } = model;
  const lora = optimizer.current.adapter?.lora;
  const adapterValues = await optimizer.adapterValues();
  const vectors = new Map([...model.vectors, ...(await optimizer.vectorValues())]);
  optimizer.foldAll();
  const banked = optimizer instanceof SubZero && optimizer.hasBank ? optimizer : undefined;
  const matrices = [...model.weights.values()].map((weight): ModelTensor => {
    const shape = shapeOf(weight);
    return {
      name: weight.name,
      shape,
      async *values() {
        const pair = lora?.get(weight.name);
        const change = await banked?.bankedChange(weight.name);
        if (pair) yield* changedValues(gpu, weight, pairTerms(pair, adapterValues, shape), pair.scale);
        else if (change) yield* changedValues(gpu, weight, change, 1, change.baseScale);
        else yield* weightValues(gpu, weight);
      },
    };
  });
  const shapes = new Map(parameterShapes(model.decoder).map(({ name, shape }) => [name, shape]));
  const others = [...vectors].map(([name, values]): ModelTensor => {
    return {
      name,
      shape: shapes.get(name)!,
      async *values() {
        yield values;
      },
    };
  });
  await writeGgufModel(model, [...matrices, ...others], storage, file);
}

/** A low-rank change of a weight, `scale` · Σ left rightᵀ. */
interface Pair {
  weight: Weight;
  terms: LowRank;
  scale: number;
}

/**
 * Writes the change as an adapter in llama.cpp's layout: `NAME.lora_a` [rank, in] and `NAME.lora_b` [out, rank] in f32,
 * of an embedding [entries, rank] and [width, rank].
 *
 * @param run one that an adapter can hold
 * @throws SubzeroError `unsupported` where it changes what such an adapter cannot
 */
export async function writeGgufLora(run: RestoredRun, file: string): Promise<void> {
  const { model, optimizer } = run;
  const { decoder } = model;
  const { architecture, sizes, config } = await ggufArchitecture(model);
  const pairs: Pair[] = [];
  for await (const pair of pairsOf(run)) pairs.push(pair);
  await refuseOthers(run, pairs);
  const rank = Math.max(...pairs.map(({ terms }) => terms.left.length));
  const tensors = pairs.flatMap(({ weight, terms, scale }): GgufTensorToWrite[] => {
    const [rows, columns] = shapeOf(weight);
    const own = terms.left.length;
    const [place, ...others] = architecture.tensors(weight.name, rows, config, sizes);
    const order = place?.order;
    if (!place || others.length > 0 || order?.along === 'columns') {
      throw new SubzeroError(
        'unsupported',
        `the run changes "${weight.name}", which a GGUF file has in several tensors or other columns; export as gguf`,
        { parameter: 'format' },
      );
    }
    // Programs multiply with alpha / rank of each pair.
    const factor = (scale * own) / rank;
    const right = terms.right.map((vector) => Float32Array.from(vector));
    if (weight.name === decoder.embedding.weight) {
      return [
        tensor(`${place.name}.lora_a`, [rows, own], sideBySide(terms.left, rows, factor)),
        tensor(`${place.name}.lora_b`, [columns, own], sideBySide(terms.right, columns, 1)),
      ];
    }
    const b = bytesOf(sideBySide(terms.left, rows, factor));
    const { interleaved: head } = place;
    return [
      tensor(`${place.name}.lora_a`, [own, columns], joined(right, columns)),
      {
        ...tensor(`${place.name}.lora_b`, [rows, own], new Float32Array(0)),
        data: () => [
          order ? rowsForFile(b, own * 4, order.runs, order.which) : head ? interleaved(b, own * 4, head) : b,
        ],
      },
    ];
  });
  const keys = new Map<string, TypedValue>([
    ['general.architecture', { kind: 'text', value: architecture.name }],
    ['general.type', { kind: 'text', value: 'adapter' }],
    ['adapter.type', { kind: 'text', value: 'lora' }],
    ['adapter.lora.alpha', { kind: 'f32', value: rank }],
    ['general.file_type', { kind: 'u32', value: 0 }],
  ]);
  await writeGguf(file, keys, tensors);

  function tensor(name: string, shape: number[], values: Float32Array): GgufTensorToWrite {
    return { name, type: 'F32', shape, data: () => [bytesOf(values)] };
  }

  async function* pairsOf({ model: { weights } }: RestoredRun): AsyncGenerator<Pair> {
    const lora = optimizer.current.adapter?.lora;
    const values = await optimizer.adapterValues();
    for (const [name, pair] of lora ?? []) {
      const weight = weights.get(name)!;
      yield { weight, terms: pairTerms(pair, values, shapeOf(weight)), scale: pair.scale };
    }
    if (lora || !(optimizer instanceof SubZero)) return;
    for await (const { weight, rank: own, scale, u, s, v } of optimizer.factors()) {
      const banked = await optimizer.bankedChange(weight.name);
      yield { weight, scale: 1, terms: banked ?? termsOf(shapeOf(weight), own, scale, { u, s, v }) };
    }
  }
}

/** Refuses what an adapter of llama.cpp cannot hold. */
async function refuseOthers({ model: { decoder }, optimizer }: RestoredRun, pairs: readonly Pair[]): Promise<void> {
  const [vector] = [...(await optimizer.vectorValues()).keys()];
  const embedding = pairs.find(({ weight }) => weight.name === decoder.embedding.weight);
  const problem = vector
    ? `"${vector}", which is no matrix`
    : embedding && decoder.head.tied
      ? `"${embedding.weight.name}", which is the output head too`
      : undefined;
  if (problem === undefined && pairs.length > 0) return;
  throw new SubzeroError(
    'unsupported',
    pairs.length === 0
      ? 'the run changes no matrix, which an adapter is about; export as gguf'
      : `the run changes ${problem}, and a GGUF adapter holds pairs of linear layers only; export as gguf, or train ` +
          "linear layers alone (--scheme lora, or --parameters '*_proj.weight')",
    { parameter: 'format' },
  );
}

/** scale · U S Vᵀ term by term. */
function termsOf(
  [rows, columns]: readonly [number, number],
  rank: number,
  scale: number,
  { u, s, v }: { u: Float32Array; s: Float32Array; v: Float32Array },
): LowRank {
  const indices = Array.from({ length: rank }, (_, b) => b);
  return {
    left: indices.map((b) =>
      Float64Array.from({ length: rows }, (_, row) => {
        let sum = 0;
        for (let a = 0; a < rank; a++) sum += u[row * rank + a]! * s[a * rank + b]!;
        return scale * sum;
      }),
    ),
    right: indices.map((b) => Float64Array.from({ length: columns }, (_, column) => v[column * rank + b]!)),
  };
}

/** Vectors as the columns of a matrix [length, vectors], times a factor. */
function sideBySide(vectors: readonly Float64Array[], length: number, factor: number): Float32Array {
  const width = vectors.length;
  return Float32Array.from({ length: length * width }, (_, i) => factor * vectors[i % width]![Math.floor(i / width)]!);
}

function joined(vectors: readonly Float32Array[], length: number): Float32Array {
  const all = new Float32Array(vectors.length * length);
  for (const [index, vector] of vectors.entries()) all.set(vector, index * length);
  return all;
}

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
