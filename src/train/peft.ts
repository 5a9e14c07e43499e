/**
 * The files of a PEFT adapter.
 *
 * @module
 */

import { join, writeFile } from '../platform/index.ts';
import { type TensorToWrite, writeSafetensors } from '../safetensors/index.ts';

/** Tensors and settings of an adapter, as PEFT names them. */
export interface PeftAdapter {
  tensors: TensorToWrite[];
  config: Record<string, unknown>;
}

/**
 * A tensor of a layer that an adapter wraps.
 * @param name in the model, as `model.layers.0.self_attn.q_proj.lora_A.weight`
 */
export function peftTensor(name: string, shape: number[], values: Float32Array): TensorToWrite {
  return plainTensor(`base_model.model.${name}`, shape, values);
}

/** A tensor under exactly this name. */
export function plainTensor(name: string, shape: number[], values: Float32Array): TensorToWrite {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return { name, dtype: 'F32', shape, data: () => [bytes] };
}

/**
 * @param task what PEFT calls the model's task
 * @returns the files written: adapter_model.safetensors and adapter_config.json
 */
export async function writePeft(
  { tensors, config }: PeftAdapter,
  basePath: string,
  out: string,
  task: string | null,
): Promise<string[]> {
  const files = [join(out, 'adapter_model.safetensors'), join(out, 'adapter_config.json')];
  await writeSafetensors(files[0]!, tensors, { format: 'pt' });
  const common = { task_type: task, base_model_name_or_path: basePath, inference_mode: true };
  await writeFile(files[1]!, `${JSON.stringify({ ...common, ...config }, null, 2)}\n`);
  return files;
}
