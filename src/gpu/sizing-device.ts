/**
 * A device without memory, which runs nothing: what is made on it adds up in `Gpu.memory`, so that the bytes of a model
 * or of a run are those that a device would hold, without one.
 *
 * @module
 */

import type { OpenedDevice } from './device.ts';

/** The limits that decide how large the parts of tensors are; those that most GPUs have by default. */
export interface SizingLimits {
  bindingLimit?: number;
  maxBufferSize?: number;
  /** Whether kernels are those of software adapters. */
  software?: boolean;
  /** The sizes of its subgroups, where kernels may use them; software adapters choose theirs by these. */
  subgroupSizes?: readonly [least: number, most: number];
}

const gibibyte = 1024 ** 3;

/**
 * What a read gives: large numbers of every type, so that a search that counts up to some number ends at once. Nothing
 * that decides a size is read.
 */
const readByte = 0x7f;

/** The constants of WebGPU, where no library has made them. */
const constants = {
  GPUBufferUsage: {
    MAP_READ: 1,
    MAP_WRITE: 2,
    COPY_SRC: 4,
    COPY_DST: 8,
    UNIFORM: 64,
    STORAGE: 128,
    QUERY_RESOLVE: 512,
  },
  GPUMapMode: { READ: 1, WRITE: 2 },
  GPUShaderStage: { VERTEX: 1, FRAGMENT: 2, COMPUTE: 4 },
};

/** Anything: it can be called, and its properties are the same. */
const anything: unknown = new Proxy(() => {}, {
  get: (_, name) => (name === 'then' ? undefined : anything),
  apply: () => anything,
});

/** An object of WebGPU of which some properties matter. */
function objectWith<T extends object>(known: object): T {
  return new Proxy(known, { get: (target, name) => Reflect.get(target, name) ?? anything }) as T;
}

export function sizingDevice(given: SizingLimits): OpenedDevice {
  const { bindingLimit = 2 * gibibyte - 4, maxBufferSize = 4 * gibibyte, software = false, subgroupSizes } = given;
  for (const [name, values] of Object.entries(constants))
    if (!(name in globalThis)) Object.assign(globalThis, { [name]: values });
  const device = objectWith<GPUDevice>({
    limits: {
      ...{ maxBufferSize, maxStorageBufferBindingSize: bindingLimit, minUniformBufferOffsetAlignment: 256 },
      ...{ maxComputeWorkgroupStorageSize: 32_768, maxComputeInvocationsPerWorkgroup: 1024 },
      ...{ maxComputeWorkgroupSizeX: 1024, maxStorageBuffersPerShaderStage: 8 },
    },
    lost: new Promise(() => {}),
    queue: objectWith({ onSubmittedWorkDone: async () => undefined }),
    popErrorScope: async () => null,
    createComputePipelineAsync: async () => anything,
    createBuffer: () =>
      objectWith({
        mapAsync: async () => undefined,
        getMappedRange: (_: number, bytes: number) => new Uint8Array(bytes).fill(readByte).buffer,
      }),
  });
  return {
    device,
    bindingLimit,
    features: new Set(subgroupSizes ? ['subgroups'] : []),
    instance: objectWith({}),
    adapter: {
      ...{ vendor: '', architecture: '', device: '', description: 'no device: sizes alone', software },
      ...{ implementation: 'built-in', subgroupMatrixConfigs: [], subgroupSizes: subgroupSizes ?? [32, 32] },
    },
  };
}
