/**
 * Kernels: hand-written WGSL files plus constants, compiled once per distinct key.
 *
 * A kernel file declares `struct Parameters` with scalar fields (its uniform) and storage bindings in group 0. The
 * constants that it expects are prepended as `const NAME = value;`. Bind-group layouts are derived from the source, so
 * each binding is declared only once.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { readPackageFile } from '../platform/index.ts';

/** A constant prepended to the source: a whole number becomes `u32`, a boolean `bool`, `{ f32 }` a float. */
export type KernelConstant = number | boolean | { f32: number };

export interface KernelDefinition {
  /** Files under `kernels/`, concatenated in this order; the last one holds `main`. */
  files: readonly string[];
  constants?: Readonly<Record<string, KernelConstant>>;
}

interface ParameterField {
  name: string;
  type: 'u32' | 'i32' | 'f32';
}

/** A kernel that can be recorded; it may still be compiling. */
export interface Kernel {
  /** Identity for the bind-group cache. */
  id: number;
  /** File and constants, for errors and profiles. */
  label: string;
  /** Undefined while the kernel compiles, and for good if that fails. */
  pipeline: GPUComputePipeline | undefined;
  /** Settles when the kernel has compiled or has failed to. */
  compiled: Promise<void>;
  descriptor: GPUComputePipelineDescriptor;
  layout: GPUBindGroupLayout;
  module: GPUShaderModule;
  /** Storage bindings by their number. */
  storage: { name: string; access: 'read' | 'read_write' }[];
  parameters: ParameterField[];
  parameterBytes: number;
}

let nextId = 1;

/** Directives, which WGSL requires before anything else. */
const directivePattern = /^(?:enable|requires|diagnostic)\b[^;]*;/gm;

const sources = new Map<string, string>();

/** Reads one WGSL file under `kernels/`. */
export function kernelSource(file: string): string {
  let source = sources.get(file);
  if (source === undefined) {
    source = new TextDecoder().decode(readPackageFile(`kernels/${file}`));
    sources.set(file, source);
  }
  return source;
}

/**
 * Adds a WGSL text of one's own, which definitions name like a file under `kernels/`.
 *
 * @param file its name, such as `scale.wgsl`, which ends up in errors and profiles
 * @throws SubzeroError `conflict` if the name has another text already
 */
export function addKernelSource(file: string, text: string): void {
  let known: string | undefined;
  try {
    known = kernelSource(file);
  } catch {
    // Neither a file of the package nor added before.
  }
  if (known !== undefined && known !== text) {
    throw new SubzeroError('conflict', `there is another kernel source "${file}" already; choose another name`, {
      parameter: file,
    });
  }
  sources.set(file, text);
}

/**
 * Returns the cache key of a kernel, which is also its label in errors and profiles: the file with `main`, then the
 * other files and the constants. Different kernels have different keys. An example is
 * `matmul/tile (weights/bf16, matmul/interface, THREAD_ROWS=4, HAS_BIAS)`; a boolean that is not named is false.
 */
export function kernelKey(definition: KernelDefinition): string {
  const names = definition.files.map((file) => file.replace(/\.wgsl$/, ''));
  const main = names.pop()!;
  const constants = Object.entries(definition.constants ?? {})
    .filter(([, value]) => value !== false)
    .map(([name, value]) => (value === true ? name : `${name}=${typeof value === 'object' ? value.f32 : value}`));
  const parts = [...names, ...constants];
  return parts.length > 0 ? `${main} (${parts.join(', ')})` : main;
}

function constantLine(name: string, value: KernelConstant): string {
  if (typeof value === 'boolean') return `const ${name}: bool = ${value};`;
  if (typeof value === 'number') return `const ${name}: u32 = ${value}u;`;
  return `const ${name}: f32 = ${Number.isInteger(value.f32) ? value.f32.toFixed(1) : value.f32};`;
}

/** The lines before the files in the assembled text. */
function preamble(definition: KernelDefinition): string[] {
  const directives = new Set<string>();
  for (const file of definition.files) {
    for (const [directive] of kernelSource(file).matchAll(directivePattern)) directives.add(directive);
  }
  const constants = Object.entries(definition.constants ?? {}).map(([name, value]) => constantLine(name, value));
  return [...directives, ...constants];
}

/** The full WGSL text of a kernel: directives (WGSL requires them first), then constants, then the files. */
export function assembleSource(definition: KernelDefinition): string {
  const bodies = definition.files.map((file) => kernelSource(file).replace(directivePattern, ''));
  return [...preamble(definition), ...bodies].join('\n');
}

/** The file and line in `kernels/` of a line of the assembled text (counted from 1). */
export function locateLine(definition: KernelDefinition, line: number): { file: string; line: number } | undefined {
  let rest = line - preamble(definition).length;
  if (rest < 1) return undefined;
  for (const file of definition.files) {
    const count = kernelSource(file).split('\n').length;
    if (rest <= count) return { file, line: rest };
    rest -= count;
  }
  return undefined;
}

/** The first compilation error of a kernel with its file and line, or undefined if the source is valid. */
export async function compilationError(kernel: Kernel, definition: KernelDefinition): Promise<string | undefined> {
  const { messages } = await kernel.module.getCompilationInfo();
  const error = messages.find(({ type }) => type === 'error');
  if (!error) return undefined;
  const place = locateLine(definition, error.lineNum);
  return place ? `${place.file}:${place.line}:${error.linePos}: ${error.message}` : `constants: ${error.message}`;
}

/** Parses the bindings and the uniform fields that WGSL text declares. */
export function reflect(source: string): Pick<Kernel, 'storage' | 'parameters'> & { uniformBinding: number } {
  const code = source.replace(/\/\/.*$/gm, '');
  const storage: Kernel['storage'] = [];
  for (const match of code.matchAll(/@binding\((\d+)\)\s*var<storage,\s*(read_write|read)>\s*(\w+)/g)) {
    storage[Number(match[1])] = { name: match[3]!, access: match[2] as 'read' | 'read_write' };
  }
  const uniform = code.match(/@binding\((\d+)\)\s*var<uniform>/);
  const struct = code.match(/struct Parameters\s*\{([^}]*)\}/);
  const parameters = [...(struct?.[1] ?? '').matchAll(/(\w+)\s*:\s*(u32|i32|f32)/g)].map((match) => ({
    name: match[1]!,
    type: match[2] as ParameterField['type'],
  }));
  return { storage, parameters, uniformBinding: uniform ? Number(uniform[1]) : -1 };
}

/**
 * Starts to compile a kernel on a device. Another thread compiles it, so many kernels compile concurrently and while
 * data is uploaded. `compiled` rejects if the compilation fails. Errors in the source also reach the caller's error
 * scope, with the kernel's label.
 */
export function compileKernel(device: GPUDevice, definition: KernelDefinition): Kernel {
  const label = kernelKey(definition);
  const code = assembleSource(definition);
  const { storage, parameters, uniformBinding } = reflect(code);
  const entries: GPUBindGroupLayoutEntry[] = storage.map((binding, index) => ({
    binding: index,
    visibility: GPUShaderStage.COMPUTE,
    buffer: { type: binding.access === 'read' ? 'read-only-storage' : 'storage' },
  }));
  // Uniform structs are padded to a multiple of 16 bytes.
  const parameterBytes = Math.ceil((parameters.length * 4) / 16) * 16;
  if (uniformBinding >= 0) {
    entries.push({
      binding: uniformBinding,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type: 'uniform', hasDynamicOffset: true, minBindingSize: parameterBytes },
    });
  }
  const layout = device.createBindGroupLayout({ label, entries });
  const module = device.createShaderModule({ label, code });
  const descriptor: GPUComputePipelineDescriptor = {
    label,
    layout: device.createPipelineLayout({ label, bindGroupLayouts: [layout] }),
    compute: { module, entryPoint: 'main' },
  };
  const kernel: Kernel = {
    ...{ id: nextId++, label, pipeline: undefined, descriptor, layout, module, storage, parameters, parameterBytes },
    compiled: device.createComputePipelineAsync(descriptor).then((pipeline) => {
      kernel.pipeline ??= pipeline;
    }),
  };
  return kernel;
}
