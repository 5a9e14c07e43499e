/**
 * A LoRA that PEFT has written, as tensors beside a model: adapter_config.json and adapter_model.safetensors.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { Decoder, Linear } from '../model/decoder.ts';
import { parseJsonFile } from '../model-file.ts';
import type { LoraPair } from '../ops/probes.ts';
import { createHash, join, readdir, readFile, readStream } from '../platform/index.ts';
import { bytesToF32, openSafetensors, type TensorSource } from '../safetensors/index.ts';
import { axisLength } from '../tensor/axis.ts';
import type { Adapter, AdapterTensor } from './adapter.ts';
import { loraLayers } from './lora.ts';
import { type PeftLoraConfig, readPeftConfig } from './peft-config.ts';

const [configName, weightsName] = ['adapter_config.json', 'adapter_model.safetensors'];

/** What PEFT puts in front of the names of modules. */
const prefix = 'base_model.model.';

/** Element types that pairs load from. */
const loadable = ['F64', 'F32', 'F16', 'BF16'];

/** Most names in an error. */
const namesShown = 3;

/** Ends of tensors that are not those of a pair, and what they are. */
const otherParts: readonly { end: RegExp; what: string }[] = [
  { end: /\.lora_embedding_[AB]$/, what: 'a pair beside an embedding' },
  { end: /\.lora_B\.bias$/, what: 'a bias of a pair' },
  { end: /\.experts\.(\w+\.)*lora_[AB](\.weight)?$/, what: 'a pair beside experts' },
  { end: /\.base_layer\./, what: 'a part of the base model' },
];

/**
 * Reads an adapter for a model.
 *
 * @throws SubzeroError `not_found` for a folder without an adapter, `unsupported` for what is not a plain LoRA of
 *   linear layers, `invalid_data` for one that belongs to another model
 */
export async function readPeftLora(directory: string, decoder: Decoder): Promise<Adapter> {
  const config = await readConfig(directory);
  const file = join(directory, weightsName);
  const source = await openWeights(directory, file);
  try {
    const layers = new Map(pairedLayers(decoder).map((layer) => [layer.name, layer]));
    refuseOthers(file, source, decoder, layers, config);
    const tensors: AdapterTensor[] = [];
    const lora = new Map<string, LoraPair>();
    for (const layer of layers.values()) {
      const [a, b] = [`${layer.name}.lora_A.weight`, `${layer.name}.lora_B.weight`];
      const found = [a, b].filter((name) => source.tensors.has(prefix + name));
      if (found.length === 0 && !config.targets(layer.name)) continue;
      if (found.length < 2) {
        throw anotherModel(file, config, `it has no ${found.includes(a) ? b : a}, which its ${configName} names`);
      }
      if (!config.targets(layer.name)) {
        throw anotherModel(file, config, `it has a pair for ${layer.name}, which its ${configName} does not name`);
      }
      const rank = config.rankOf(layer.name);
      const [rows, columns] = [axisLength(layer.rows), axisLength(layer.columns)];
      const gain = `${layer.name}.lora_magnitude_vector`;
      tensors.push(await readTensor(source, file, config, a, [rank, columns]));
      tensors.push(await readTensor(source, file, config, b, [rows, rank]));
      if (config.hasGains) tensors.push(await readTensor(source, file, config, gain, [rows]));
      lora.set(layer.weight, {
        ...{ rank, scale: config.scaleOf(layer.name), a, b },
        ...(config.hasGains ? { gain } : {}),
      });
    }
    if (lora.size === 0) throw anotherModel(file, config, 'it has a pair for none of its layers');
    return { tensors, lora };
  } finally {
    await source.close();
  }
}

/** A short name for the content of an adapter's files. */
export async function fingerprintPeft(directory: string): Promise<string> {
  const hash = createHash('sha256').update(await readFile(join(directory, configName)));
  for await (const piece of readStream(join(directory, weightsName))) hash.update(piece);
  return hash.digest('hex');
}

/** The linear layers that can have a pair. */
export function pairedLayers(decoder: Decoder): Linear[] {
  const { projectIn, projectOut, layerInputs, head } = decoder;
  const others = [projectIn, projectOut, layerInputs?.projection, head.transform?.dense];
  return [...loraLayers(decoder), ...others.filter((layer) => layer !== undefined)];
}

async function readConfig(directory: string): Promise<PeftLoraConfig> {
  const file = join(directory, configName);
  let bytes: Uint8Array;
  try {
    bytes = await readFile(file);
  } catch (error) {
    const why = (error as Error).message;
    throw new SubzeroError('not_found', `${directory} is not a PEFT adapter: ${configName} cannot be read (${why})`, {
      parameter: 'lora',
    });
  }
  const config = parseJsonFile(bytes, file);
  if (typeof config !== 'object' || config === null || Array.isArray(config)) {
    throw new SubzeroError('invalid_data', `${file} must hold a JSON object`, { parameter: file });
  }
  return readPeftConfig(config as Record<string, unknown>, file);
}

async function openWeights(directory: string, file: string): Promise<TensorSource> {
  try {
    return await openSafetensors(file);
  } catch (error) {
    const others = (await readdir(directory).catch(() => [])).filter((name) =>
      /^adapter_model.*\.(bin|safetensors)$/.test(name),
    );
    if (!(error instanceof SubzeroError) || error.code !== 'not_found' || others.length === 0) throw error;
    throw new SubzeroError(
      'unsupported',
      `${directory} holds ${others.join(', ')} and no ${weightsName}; load the adapter with PEFT and save it ` +
        'anew with save_pretrained()',
      { parameter: 'lora' },
    );
  }
}

/** Refuses tensors that are not those of pairs beside linear layers of the model. */
function refuseOthers(
  file: string,
  source: TensorSource,
  { head, embedding }: Decoder,
  layers: ReadonlyMap<string, Linear>,
  config: PeftLoraConfig,
): void {
  const strange: string[] = [];
  for (const name of source.tensors.keys()) {
    const [, module, part] = /^base_model\.model\.(.+)\.(lora_[AB]\.weight|lora_magnitude_vector)$/.exec(name) ?? [];
    if (module !== undefined && layers.has(module)) {
      if (part !== 'lora_magnitude_vector' || config.hasGains) continue;
      throw new SubzeroError(
        'invalid_data',
        `${file}: "${name}" is a magnitude of DoRA, and "use_dora" of its ${configName} is not true`,
        { parameter: 'lora' },
      );
    }
    const outer = [head.name, embedding.name].find((other) => name.startsWith(`${prefix}${other}.`));
    const what = outer ? `a part of ${outer}` : otherParts.find(({ end }) => end.test(name))?.what;
    if (what) {
      throw new SubzeroError(
        'unsupported',
        `${file}: "${name}" is ${what}; only pairs beside the linear layers of the blocks are applied. ` +
          "Merge the adapter with PEFT's merge_and_unload()",
        { parameter: 'lora' },
      );
    }
    strange.push(name);
  }
  if (strange.length === 0) return;
  const more = strange.length > namesShown ? `, … (${strange.length} in all)` : '';
  const names = strange.slice(0, namesShown).join(', ');
  throw anotherModel(file, config, `the model has no layer for ${names}${more}`);
}

function anotherModel(file: string, { base }: PeftLoraConfig, reason: string): SubzeroError {
  const made = base === '' ? '' : ` (it was made for "${base}")`;
  return new SubzeroError('invalid_data', `${file} does not belong to this model: ${reason}${made}`, {
    parameter: 'lora',
  });
}

async function readTensor(
  source: TensorSource,
  file: string,
  config: PeftLoraConfig,
  name: string,
  shape: readonly [number, number] | readonly [number],
): Promise<AdapterTensor> {
  const stored = source.tensors.get(prefix + name);
  if (!stored) throw anotherModel(file, config, `it has no ${name}, which its ${configName} names`);
  if (stored.shape.join() !== shape.join()) {
    throw anotherModel(file, config, `${name} has shape [${stored.shape.join(', ')}], expected [${shape.join(', ')}]`);
  }
  if (!loadable.includes(stored.dtype)) {
    throw new SubzeroError(
      'unsupported',
      `${file}: ${name} is stored as ${stored.dtype}; expected ${loadable.join(', ')}`,
      {
        parameter: 'lora',
      },
    );
  }
  const [rows, columns = 1] = shape;
  return { name, shape: [rows, columns], values: bytesToF32(stored.dtype, await source.read(stored.name)) };
}
