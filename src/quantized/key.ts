/**
 * Where a checkpoint says that its weights are quantised, for those who import the readers only where it does.
 *
 * @module
 */

/** The key of config.json that says how the weights are quantised. */
export const quantizationKey = 'quantization_config';
