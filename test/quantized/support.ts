/** Matrices of quantised checkpoints that the formats' libraries wrote, held in memory. */

import { readFileSync } from 'node:fs';
import { openQuantizedWeights, quantizedFormat } from '../../src/quantized/index.ts';
import type { ModelSource, StoredTensor } from '../../src/tensor-source.ts';

export interface Tensor {
  dtype: string;
  shape: number[];
  data: string | Uint8Array<ArrayBuffer>;
}

/** One matrix, its tensors by the names behind its module's, its values in f32. */
export interface Case {
  name: string;
  dtype: string;
  config: Record<string, unknown>;
  shape: [number, number];
  tensors: Record<string, Tensor>;
  values: string;
}

export const cases = JSON.parse(
  readFileSync(new URL('../fixtures/quantized/matrices.json', import.meta.url), 'utf8'),
) as Case[];

export function caseNamed(name: string): Case {
  return structuredClone(cases.find((each) => each.name === name)!);
}

export const decode = (text: string): Uint8Array<ArrayBuffer> => Uint8Array.from(Buffer.from(text, 'base64'));

/** The tensors as files show them. */
export function sourceOf(tensors: Readonly<Record<string, Tensor>>, module = 'model.layers.0.q_proj'): ModelSource {
  const entries = Object.entries(tensors).map(([part, { dtype, shape, data }]) => {
    const bytes = typeof data === 'string' ? decode(data) : data;
    return { name: `${module}.${part}`, dtype, shape, byteLength: bytes.length, bytes };
  });
  const byName = new Map(entries.map((entry) => [entry.name, entry]));
  return {
    tensors: byName satisfies ReadonlyMap<string, StoredTensor>,
    metadata: {},
    files: [],
    read: async (name, offset = 0, length = byName.get(name)!.bytes.length - offset) => {
      const { bytes } = byName.get(name)!;
      if (offset < 0 || length < 0 || offset + length > bytes.length) throw new Error(`a read outside of ${name}`);
      return bytes.slice(offset, offset + length);
    },
    fingerprint: async () => '00',
    close: async () => {},
  };
}

export const weightName = 'model.layers.0.q_proj.weight';

/** Opens the weights of a case. */
export async function open({ config, tensors }: Pick<Case, 'config' | 'tensors'>): Promise<ModelSource> {
  const format = quantizedFormat({ quantization_config: config }, 'config.json');
  return await openQuantizedWeights(sourceOf(tensors), format!, 'model');
}
