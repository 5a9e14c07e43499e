/**
 * Our own reader of GGUF files: the weights, the configuration and the metadata of a model.
 *
 * @module
 */

export { GgufModel, ggufModelName, isGgufPath } from './file.ts';
export { type Metadata, type MetadataValue, quoteValue } from './header.ts';
export { openGgufConfiguration, openGgufWeights } from './weights.ts';
