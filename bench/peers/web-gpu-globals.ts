/**
 * Makes Node look like a browser with WebGPU to libraries that expect one.
 *
 * @module
 */

import { createRequire } from 'node:module';

/** Held for the life of the process: Dawn's instance must outlive its devices. */
let instance: GPU | undefined;

export function installWebGpu(): void {
  // By require: Bun and Node load a native module's CommonJS form alike.
  const { create, globals } = createRequire(import.meta.url)('webgpu');
  Object.assign(globalThis, globals);
  instance = create([]) as GPU;
  Object.defineProperty(globalThis, 'navigator', { value: { gpu: instance, userAgent: 'node' }, configurable: true });
}
