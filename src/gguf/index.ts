/**
 * Our own reader and writer of GGUF files: the weights, the configuration and the metadata of a model.
 *
 * @module
 */

export { type GgufContents, readGgufConfiguration } from './configuration.ts';
export type { ExpertPlace } from './experts.ts';
export { GgufModel } from './file.ts';
export { type Metadata, type MetadataValue, quoteValue } from './header.ts';
export { ggufModelName, isGgufPath } from './path.ts';
export { columnsForFile, rowsForFile } from './rearranged.ts';
export { openGgufConfiguration, openGgufWeights } from './weights.ts';
export { type GgufTensorToWrite, readBack, type TypedMetadata, type TypedValue, writeGguf } from './writer.ts';
export { interleaved, type ModelSizes, WrittenArchitecture, type WrittenTensor } from './written.ts';
