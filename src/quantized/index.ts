/**
 * Quantised checkpoints of the Hugging Face Hub, read into storage types of weights: one file for each format.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { awqFormat } from './awq.ts';
import { bitsandbytesFormat } from './bitsandbytes.ts';
import { compressedTensorsFormat } from './compressed-tensors.ts';
import { Fields } from './fields.ts';
import { fp8Format } from './fp8.ts';
import { gptqFormat } from './gptq.ts';
import { quantizationKey } from './key.ts';
import type { QuantizedFormat } from './matrix.ts';
import { mxfp4Format } from './mxfp4.ts';

export { openQuantizedWeights } from './source.ts';

/** The formats by `quant_method`. */
const formats: Readonly<Record<string, (fields: Fields) => QuantizedFormat>> = {
  'compressed-tensors': compressedTensorsFormat,
  fp8: fp8Format,
  gptq: gptqFormat,
  awq: awqFormat,
  bitsandbytes: bitsandbytesFormat,
  mxfp4: mxfp4Format,
};

/**
 * The format of a checkpoint's weights; undefined where they are plain.
 * @param config the parsed config.json
 * @param file its path
 * @throws SubzeroError `unsupported` for another method or a setting that is not read, `invalid_data`
 */
export function quantizedFormat(config: Readonly<Record<string, unknown>>, file: string): QuantizedFormat | undefined {
  const given = config[quantizationKey];
  if (given === undefined || given === null) return undefined;
  const where = `${file}: ${quantizationKey}`;
  const fields = new Fields(given, where);
  if (Object.keys(given).length === 0) return undefined;
  const method = fields.value('quant_method');
  if (typeof method !== 'string' || !Object.hasOwn(formats, method)) {
    throw new SubzeroError(
      'unsupported',
      `${where}: the method ${JSON.stringify(method ?? null)} is not supported; supported are ` +
        `${Object.keys(formats).join(', ')}. Or give the model in F32, F16 or BF16, or as GGUF`,
      { parameter: file },
    );
  }
  return formats[method]!(fields);
}
