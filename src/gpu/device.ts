/**
 * Opening a WebGPU device on Node, Bun and Deno: that of Dawn's bindings, or else the runtime's own.
 *
 * @module
 */

/// <reference types="@webgpu/types" preserve="true" />

import { SubzeroError } from '../errors.ts';
import { environmentVariables } from '../platform/index.ts';

/** Properties of an opened adapter. */
export interface AdapterDescription {
  vendor: string;
  architecture: string;
  device: string;
  description: string;
  /**
   * Whether it is a software rasteriser (lavapipe, SwiftShader, WARP): correct, but fast with other kernel variants.
   */
  software: boolean;
  /** The library that speaks to the driver: npm `webgpu` (Dawn) or the runtime's own WebGPU. */
  implementation: 'dawn' | 'built-in';
  subgroupMatrixConfigs: SubgroupMatrixConfig[];
  /** The smallest and the largest subgroup size. Where they differ, the driver chooses one for each kernel. */
  subgroupSizes: readonly [least: number, most: number];
}

/** One matrix shape that the adapter multiplies in hardware. */
export interface SubgroupMatrixConfig {
  componentType: string;
  resultComponentType: string;
  M: number;
  N: number;
  K: number;
}

/**
 * How matrix units multiply. `exact`: operands keep 22 bits and take two multiplications. `half`: operands are rounded
 * to f16 and take one. Sums are f32 in both. Without matrix units everything is f32.
 */
export type Arithmetic = 'exact' | 'half';

/** Family of kernel variants: with tiles in workgroup memory (hardware), or without (software). */
export type KernelStyle = 'hardware' | 'software';

export interface OpenDeviceOptions {
  /** Part of the adapter's name (in any case), or its index in Dawn's order. Default: the most powerful adapter. */
  adapter?: string | number;
  /** Dawn's back end, for tests: `null` compiles kernels without any hardware. */
  backend?: 'vulkan' | 'metal' | 'd3d12' | 'null';
  /** Kernel variants to use: those for GPUs or those for software adapters. Default: those of the adapter's kind. */
  kernelStyle?: KernelStyle;
  /** Default: `exact`. */
  arithmetic?: Arithmetic;
  /** A lower storage-binding limit, to test the splitting of large tensors. */
  maxStorageBufferBindingSize?: number;
}

/** A device together with everything that must outlive it. */
export interface OpenedDevice {
  device: GPUDevice;
  adapter: AdapterDescription;
  features: ReadonlySet<string>;
  /** Largest size of a storage binding in bytes: the adapter's limit, or a lower one that was requested. */
  bindingLimit: number;
  /**
   * The object that `create()` returned. Neither adapter nor device keeps it alive, and the process crashes some
   * thousand dispatches after it is collected. So it travels with the device, and {@link keptAlive} holds it as well.
   */
  instance: GPU;
}

/**
 * Whether the driver makes machine code of a kernel when it is first launched, and does little when its pipeline is
 * made: so does Mesa's llvmpipe.
 */
export function compilesAtLaunch({ device, description }: AdapterDescription): boolean {
  return /llvmpipe/i.test(`${device} ${description}`);
}

/** Dawn instances, held for the life of the process (see {@link OpenedDevice.instance}). */
const keptAlive: GPU[] = [];

const wantedFeatures = [
  'shader-f16',
  'subgroups',
  'timestamp-query',
  'chromium-experimental-subgroup-matrix',
  'subgroup-size-control',
] as const;

/**
 * @param extra additional Dawn toggles, separated by commas, such as `disable_robustness`: for measuring their effect
 */
function dawnToggles(extra = ''): string[] {
  // NVIDIA on Vulkan hides f16, and with it the f16 subgroup matrices, unless the second toggle is enabled.
  const enabled = ['allow_unsafe_apis', 'vulkan_enable_f16_on_nvidia', ...extra.split(',').filter(Boolean)];
  return [
    `enable-dawn-features=${enabled.join(',')}`,
    // Without this, timestamps are rounded to 65.5 µs, which is longer than most kernels take.
    'disable-dawn-features=timestamp_quantization',
  ];
}

async function createInstance(
  options: OpenDeviceOptions,
): Promise<{ instance: GPU; implementation: 'dawn' | 'built-in' }> {
  let reason: unknown;
  try {
    const { create, globals } = await import('webgpu');
    Object.assign(globalThis, globals);
    const flags = dawnToggles(environmentVariables.SUBZERO_DAWN_TOGGLES);
    if (options.backend) flags.push(`backend=${options.backend}`);
    if (typeof options.adapter === 'string' && options.adapter !== '') flags.push(`adapter=${options.adapter}`);
    return { instance: create(flags) as GPU, implementation: 'dawn' };
  } catch (error) {
    reason = error;
  }
  const builtIn = (globalThis as { navigator?: { gpu?: GPU } }).navigator?.gpu;
  if (builtIn) return { instance: builtIn, implementation: 'built-in' };
  throw new SubzeroError(
    'no_adapter',
    `the native WebGPU library (npm package "webgpu") could not be loaded: ` +
      `${reason instanceof Error ? reason.message : String(reason)}`,
    { cause: reason },
  );
}

/**
 * The names of the adapters on this machine, in Dawn's order. npm `webgpu` has no call for that, but its error names
 * them when a request asks for an adapter that does not exist.
 */
export async function listAdapters(): Promise<string[]> {
  const { instance } = await createInstance({ adapter: 'no adapter has this name' });
  try {
    await instance.requestAdapter();
    return [];
  } catch (error) {
    return namesIn(error);
  }
}

/** The adapter names in the error with which Dawn rejects a request that no adapter matches. */
function namesIn(error: unknown): string[] {
  return [...String(error).matchAll(/name: '(.*)'/g)].map((match) => match[1]!);
}

/** Variables by which the Vulkan loader is told where drivers are, or which of them not to look at. */
const driverVariables = [
  'VK_DRIVER_FILES',
  'VK_ICD_FILENAMES',
  'VK_LOADER_DRIVERS_SELECT',
  'VK_LOADER_DRIVERS_DISABLE',
] as const;

/** Those of them that are set, as a shell writes them. */
export function driverSettings(): string[] {
  return driverVariables.flatMap((name) => {
    const value = environmentVariables[name];
    return value ? [`${name}=${value}`] : [];
  });
}

function noAdapter(wanted: string | number | undefined, reason: string): SubzeroError {
  const names = namesIn(reason);
  if (wanted !== undefined && names.length > 0) return notAmong(`that matches "${wanted}"`, names);
  const detail = reason === '' ? '' : ` (${reason.replaceAll(/\s+/g, ' ')})`;
  const settings = driverSettings();
  if (settings.length > 0) {
    return new SubzeroError(
      'no_adapter',
      `no WebGPU adapter was found${detail} among the drivers that ${settings.join(' and ')} leaves. Unset it, or ` +
        'let it name the JSON file of a driver whose library is there; the warnings of the Vulkan loader say what it ' +
        'tried.',
      { parameter: 'adapter' },
    );
  }
  return new SubzeroError(
    'no_adapter',
    `no WebGPU adapter was found${detail}. A GPU needs its vendor's Vulkan driver and the Vulkan loader ` +
      '(libvulkan.so.1); without a GPU install a software adapter (Mesa >= 24: packages libvulkan1 and ' +
      'mesa-vulkan-drivers). "subzero doctor" shows what is missing; "npm run demo" installs a software adapter ' +
      'where there is no GPU.',
    { parameter: 'adapter' },
  );
}

function notAmong(wanted: string, names: readonly string[]): SubzeroError {
  const known = names.map((name, position) => `${position}: ${name}`).join(', ') || 'none';
  return new SubzeroError('no_adapter', `there is no WebGPU adapter ${wanted}; this machine has ${known}`, {
    parameter: 'adapter',
  });
}

/** The name of the adapter with this index. */
async function adapterByIndex(index: number): Promise<string> {
  const names = await listAdapters();
  const name = names[index];
  if (name !== undefined) return name;
  throw notAmong(`number ${index}`, names);
}

/** What a request for an adapter came to. */
interface Request {
  instance: GPU;
  implementation: 'dawn' | 'built-in';
  adapter: GPUAdapter | null;
  /** Why there is none, in Dawn's words. */
  reason: string;
}

async function requestAdapter(options: OpenDeviceOptions): Promise<Request> {
  const created = await createInstance(options);
  let reason = '';
  const adapter = await created.instance
    .requestAdapter({ powerPreference: 'high-performance' })
    .catch((error: unknown) => {
      reason = String(error);
      return null;
    });
  return { ...created, adapter, reason };
}

/** Finds an adapter by the part of its name that is wanted: first as it is written, which is how Dawn compares. */
async function requestByName(options: OpenDeviceOptions): Promise<Request> {
  const found = await requestAdapter(options);
  if (found.adapter || typeof options.adapter !== 'string') return found;
  const wanted = options.adapter.toLowerCase();
  const name = namesIn(found.reason).find((known) => known.toLowerCase().includes(wanted));
  return name === undefined ? found : requestAdapter({ ...options, adapter: name });
}

/**
 * Opens a device with every useful feature and the largest limits that the adapter offers.
 *
 * @throws SubzeroError `no_adapter` if no adapter opens; the message says what to do
 */
export async function openDevice(options: OpenDeviceOptions = {}): Promise<OpenedDevice> {
  // The command line and the environment provide text only, so an index arrives as text.
  const index = /^\d+$/.test(String(options.adapter)) ? Number(options.adapter) : undefined;
  const chosen = index === undefined ? options : { ...options, adapter: await adapterByIndex(index) };
  const { instance, implementation, adapter, reason } = await requestByName(chosen);
  keptAlive.push(instance);
  if (!adapter) throw noAdapter(options.adapter, reason);
  const features = wantedFeatures.filter((feature) => adapter.features.has(feature)) as GPUFeatureName[];
  const limits = adapter.limits;
  const requiredLimits: Record<string, number> = {
    maxBufferSize: limits.maxBufferSize,
    maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
    maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
    maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
    maxComputeWorkgroupSizeX: limits.maxComputeWorkgroupSizeX,
    maxStorageBuffersPerShaderStage: limits.maxStorageBuffersPerShaderStage,
  };
  const device = await adapter.requestDevice({ requiredFeatures: features, requiredLimits });
  const info = adapter.info;
  const configs = (info as unknown as { subgroupMatrixConfigs?: SubgroupMatrixConfig[] }).subgroupMatrixConfigs ?? [];
  const { subgroupMinSize, subgroupMaxSize } = info;
  const text = `${info.vendor} ${info.architecture} ${info.device} ${info.description}`.toLowerCase();
  return {
    device,
    instance,
    features: new Set<string>(features),
    // This cannot be a device limit: WebGPU raises any requested value below its default (128 MiB) to that default.
    bindingLimit: Math.min(
      device.limits.maxStorageBufferBindingSize,
      options.maxStorageBufferBindingSize ?? Number.POSITIVE_INFINITY,
    ),
    adapter: {
      vendor: info.vendor,
      architecture: info.architecture,
      device: info.device,
      description: info.description,
      software: /llvmpipe|lavapipe|swiftshader|software|basic render|warp/.test(text),
      implementation,
      subgroupMatrixConfigs: [...configs].map(({ componentType, resultComponentType, M, N, K }) => ({
        componentType,
        resultComponentType,
        M,
        N,
        K,
      })),
      subgroupSizes: [subgroupMinSize, subgroupMaxSize],
    },
  };
}
