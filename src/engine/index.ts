/**
 * The engine: load models, train, evaluate and generate, in a worker thread that owns the GPU.
 *
 * @module
 */

export { type ErrorCode, SubzeroError } from '../errors.ts';
export type { AdapterDescription, OpenDeviceOptions } from '../gpu/device.ts';
export type { TrainConfiguration } from '../settings/configuration.ts';
export { openEngine } from './client.ts';
export type * from './types.ts';
