/**
 * The change of a SubZero run as a PEFT adapter directory: that of one period, and what a bank has of those before.
 *
 * ΔW = μ U S Vᵀ is a LoRA with A = Vᵀ, B = μ U S and scaling 1, and the terms of a bank stand beside these. PEFT stores
 * embeddings the other way round (ΔWᵀ = B A): there A = (μ U S)ᵀ and B = V. A tied output head gets its own pair with
 * the same product, because PEFT looks at the two modules apart; it must not be merged there (`merge_and_unload` would
 * add both pairs to the one matrix), the safetensors export is the merged model. Learned position embeddings, which
 * PEFT cannot wrap where rows are read at an offset, embeddings of token types and norms go in as whole modules
 * (`modules_to_save`), the other 1-D parameters as biases (`bias: all`). A matrix that the checkpoint has the other way
 * round has the same pair; `fan_in_fan_out` tells PEFT which way to merge.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { Model } from '../model/model.ts';
import { parameterShapes, transposedWeights } from '../model/parameters.ts';
import type { TensorToWrite } from '../safetensors/index.ts';
import { shapeOf, type Weight } from '../tensor/weight.ts';
import { pairedLayers } from '../tuning/peft-lora.ts';
import { refuseNamesOfExperts } from '../tuning/peft-names.ts';
import type { SubZero } from '../zo/subzero.ts';
import { type PeftAdapter, peftTensor } from './peft.ts';
import type { RestoredRun } from './run.ts';
import { weightValues } from './weight-bytes.ts';

/** The adapter that stands for the change of a run since its weights were written last. */
export async function factoredPeft({ model }: RestoredRun, optimizer: SubZero): Promise<PeftAdapter> {
  const { position, tokenTypes, embedding, head } = model.decoder;
  const wholeTables = [position?.table.name, tokenTypes?.name];
  const tensors: TensorToWrite[] = [];
  const ranks = new Map<string, number>();
  const saved = new Set<string>();
  const expected = new Set([...pairedLayers(model.decoder).map(({ name }) => name), embedding.name, head.name]);
  for (const table of wholeTables) if (table) expected.add(table);
  const add = (name: string, shape: number[], values: Float32Array): void => {
    tensors.push(peftTensor(name, shape, values));
  };
  for await (const { weight, rank: ownRank, scale, u, s, v: ownV } of optimizer.factors()) {
    const module = weight.name.replace(/\.weight$/, '');
    const [rows, columns] = shapeOf(weight);
    const banked = await optimizer.bankedChange(weight.name);
    const rank = banked?.left.length ?? ownRank;
    const b = banked ? sideBySide(banked.left, rows) : multiply(u, rows, s, rank, scale);
    const v = banked ? sideBySide(banked.right, columns) : ownV;
    refuseUnnamed(module, expected);
    if (wholeTables.includes(module)) {
      saved.add(module);
      add(`${module}.weight`, [rows, columns], await addedTo(model, weight, b, v, rank));
      continue;
    }
    ranks.set(module, rank);
    if (module === embedding.name) {
      add(`${module}.lora_embedding_A`, [rank, rows], transpose(b, rows, rank));
      add(`${module}.lora_embedding_B`, [columns, rank], v);
      if (!head.tied) continue;
      ranks.set(head.name, rank);
      add(`${head.name}.lora_A.weight`, [rank, columns], transpose(v, columns, rank));
      add(`${head.name}.lora_B.weight`, [rows, rank], b);
      continue;
    }
    add(`${module}.lora_A.weight`, [rank, columns], transpose(v, columns, rank));
    add(`${module}.lora_B.weight`, [rows, rank], b);
  }
  let biases = false;
  const shapes = new Map(parameterShapes(model.decoder).map(({ name, shape }) => [name, shape]));
  for (const [name, values] of await optimizer.vectorValues()) {
    const shape = shapes.get(name) ?? [values.length];
    const module = name.replace(/\.(weight|bias)$/, '');
    if (module === name) refuseUnnamed(module, expected);
    if (ranks.has(module)) {
      biases = true;
      add(`${module}.base_layer.bias`, shape, values);
    } else if (name === head.bias) {
      // It may belong to a module that holds the head.
      biases = true;
      add(name, shape, values);
    } else {
      saved.add(module);
      add(name, shape, values);
    }
  }
  if (ranks.size === 0) {
    throw new SubzeroError(
      'unsupported',
      'the run trains no linear layer, which an adapter is about; export as safetensors',
      { parameter: 'format' },
    );
  }
  refuseNamesOfExperts(model.decoder, [...ranks.keys()]);
  const rank = Math.max(...ranks.values());
  const config = {
    peft_type: 'LORA',
    r: rank,
    lora_alpha: rank,
    // Matrices smaller than the rank have a smaller one; alpha follows so that the scaling stays 1.
    rank_pattern: Object.fromEntries([...ranks].filter(([, own]) => own !== rank)),
    alpha_pattern: Object.fromEntries([...ranks].filter(([, own]) => own !== rank)),
    lora_dropout: 0,
    bias: biases ? 'all' : 'none',
    fan_in_fan_out: transposedWeights(model.decoder).size > 0,
    init_lora_weights: true,
    target_modules: [...ranks.keys()],
    modules_to_save: saved.size > 0 ? [...saved] : null,
    use_rslora: false,
    use_dora: false,
  };
  return { tensors, config };
}

/** @throws SubzeroError `unsupported` for a parameter that is no module of its own in transformers */
function refuseUnnamed(module: string, known: ReadonlySet<string>): void {
  if (known.has(module)) return;
  throw new SubzeroError(
    'unsupported',
    `the run trains ${module}, beside which PEFT has no pair of this kind: it is no linear layer and no norm of its ` +
      'own in transformers; export as safetensors, or train without it (parameters)',
    { parameter: 'format' },
  );
}

/** The stored weight + B Vᵀ, sums in f64. */
async function addedTo(
  model: Model,
  weight: Weight,
  b: Float32Array,
  v: Float32Array,
  rank: number,
): Promise<Float32Array> {
  const [rows, columns] = shapeOf(weight);
  const result = new Float32Array(rows * columns);
  let filled = 0;
  for await (const values of weightValues(model.gpu, weight)) {
    result.set(values, filled);
    filled += values.length;
  }
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      for (let k = 0; k < rank; k++) sum += b[row * rank + k]! * v[column * rank + k]!;
      result[row * columns + column]! += sum;
    }
  }
  return result;
}

/** Vectors as the columns of a matrix [rows, vectors]. */
function sideBySide(vectors: readonly Float64Array[], rows: number): Float32Array {
  const width = vectors.length;
  return Float32Array.from({ length: rows * width }, (_, i) => vectors[i % width]![Math.floor(i / width)]!);
}

/** scale · M S with M [rows, rank], sums in f64. */
function multiply(m: Float32Array, rows: number, s: Float32Array, rank: number, scale: number): Float32Array {
  const result = new Float32Array(rows * rank);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < rank; j++) {
      let sum = 0;
      for (let k = 0; k < rank; k++) sum += m[i * rank + k]! * s[k * rank + j]!;
      result[i * rank + j] = scale * sum;
    }
  }
  return result;
}

function transpose(m: Float32Array, rows: number, columns: number): Float32Array {
  return Float32Array.from({ length: rows * columns }, (_, i) => m[(i % rows) * columns + Math.floor(i / rows)]!);
}
