/**
 * A Llama's forward pass in float64, as the mathematics has it or with what llama.cpp rounds on a processor: inputs of
 * products with 8-bit weights to 8 bits, and in attention queries, keys and values to f16.
 *
 * @see https://github.com/ggml-org/llama.cpp, quantize_row_q8_0_ref in ggml/src/ggml-quants.c
 * @module
 */

import { f16ToF32, f32ToF16 } from '../../src/safetensors/convert.ts';

/** The keys of config.json that are read. */
export interface LlamaSizes {
  hidden_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  num_key_value_heads: number;
  rms_norm_eps: number;
  rope_theta: number;
  vocab_size: number;
}

type Vector = Float64Array<ArrayBuffer>;

const half = (values: ArrayLike<number>): Vector => Float64Array.from(f16ToF32(f32ToF16(Float32Array.from(values))));

/** Blocks of 32 as whole numbers up to 127 times an f16 scale. */
export function toEightBits(values: ArrayLike<number>): Vector {
  const rounded = new Float64Array(values.length);
  for (let start = 0; start < values.length; start += 32) {
    const block = Float32Array.from(Array.prototype.slice.call(values, start, start + 32) as number[]);
    const largest = block.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const scale = Math.fround(largest / 127);
    const [stored] = half([scale]);
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
    // C's roundf goes away from zero.
    for (const [index, value] of block.entries()) {
      const times = Math.fround(value * inverse);
      rounded[start + index] = Math.sign(times) * Math.floor(Math.abs(times) + 0.5) * stored!;
    }
  }
  return rounded;
}

/**
 * @param weights by the names of transformers, in f32
 * @returns a row of logits for each token
 */
export function llamaLogits(
  sizes: LlamaSizes,
  weights: ReadonlyMap<string, Float32Array>,
  ids: readonly number[],
  rounds: boolean,
): Vector[] {
  const { hidden_size: hidden, num_attention_heads: heads, num_key_value_heads: keyHeads } = sizes;
  const width = hidden / heads;
  const input = rounds ? toEightBits : (values: Vector) => values;
  const kept = rounds ? half : (values: Vector) => values;
  const product = (name: string, rows: Vector[]): Vector[] => {
    const matrix = weights.get(name)!;
    return rows.map(input).map((row) => {
      return Float64Array.from({ length: matrix.length / row.length }, (_, out) => {
        let sum = 0;
        for (let index = 0; index < row.length; index++) sum += row[index]! * matrix[out * row.length + index]!;
        return sum;
      });
    });
  };
  const norm = (name: string, rows: Vector[]): Vector[] => {
    const gain = weights.get(name)!;
    return rows.map((row) => {
      const mean = row.reduce((sum, value) => sum + value * value, 0) / row.length;
      return row.map((value, index) => (value / Math.sqrt(mean + sizes.rms_norm_eps)) * gain[index]!);
    });
  };
  const rotate = (row: Vector, position: number): Vector => {
    const turned = row.slice();
    for (let start = 0; start < row.length; start += width) {
      for (let index = 0; index < width / 2; index++) {
        const angle = position / sizes.rope_theta ** ((2 * index) / width);
        const [a, b] = [row[start + index]!, row[start + index + width / 2]!];
        turned[start + index] = a * Math.cos(angle) - b * Math.sin(angle);
        turned[start + index + width / 2] = b * Math.cos(angle) + a * Math.sin(angle);
      }
    }
    return turned;
  };
  const attend = (queries: Vector[], keys: Vector[], values: Vector[]): Vector[] =>
    queries.map((query, position) => {
      const result = new Float64Array(hidden);
      for (let head = 0; head < heads; head++) {
        const keyStart = Math.floor(head / (heads / keyHeads)) * width;
        const scores = keys.slice(0, position + 1).map((key) => {
          let sum = 0;
          for (let index = 0; index < width; index++) sum += query[head * width + index]! * key[keyStart + index]!;
          return sum / Math.sqrt(width);
        });
        const most = Math.max(...scores);
        const shares = scores.map((score) => Math.exp(score - most));
        const total = shares.reduce((sum, share) => sum + share, 0);
        for (const [at, share] of shares.entries()) {
          for (let index = 0; index < width; index++) {
            result[head * width + index]! += (share / total) * values[at]![keyStart + index]!;
          }
        }
      }
      return result;
    });
  const sum = (a: Vector[], b: Vector[]): Vector[] =>
    a.map((row, index) => row.map((value, at) => value + b[index]![at]!));

  const embedding = weights.get('model.embed_tokens.weight')!;
  let states = ids.map((id) => Float64Array.from(embedding.subarray(id * hidden, (id + 1) * hidden)));
  for (let layer = 0; layer < sizes.num_hidden_layers; layer++) {
    const of = (name: string): string => `model.layers.${layer}.${name}.weight`;
    const before = norm(of('input_layernorm'), states);
    const [queries, keys, values] = (['q', 'k', 'v'] as const).map((part) =>
      product(of(`self_attn.${part}_proj`), before),
    ) as [Vector[], Vector[], Vector[]];
    const attended = attend(
      queries.map((row, position) => kept(rotate(row, position))),
      keys.map((row, position) => kept(rotate(row, position))),
      values.map(kept),
    );
    states = sum(states, product(of('self_attn.o_proj'), attended));
    const inner = norm(of('post_attention_layernorm'), states);
    const [gates, ups] = [product(of('mlp.gate_proj'), inner), product(of('mlp.up_proj'), inner)];
    const gated = gates.map((row, index) =>
      row.map((value, at) => (value / (1 + Math.exp(-value))) * ups[index]![at]!),
    );
    states = sum(states, product(of('mlp.down_proj'), gated));
  }
  return product('model.embed_tokens.weight', norm('model.norm.weight', states));
}
