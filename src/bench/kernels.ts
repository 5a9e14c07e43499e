/**
 * Checks every kernel against its float64 reference, times it over realistic shapes, and compares its speed with the
 * best that this adapter can do.
 *
 * @module
 */

import type { Suite } from '../bench-suites.ts';
import { SubzeroError } from '../errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { type Measurement, measureCase } from './measure.ts';
import { measureRoofline, type Roofline } from './roofline.ts';
import { benchCases } from './shapes.ts';

export interface KernelBenchOptions {
  /** Default: `quick` on a software adapter, `full` on a GPU. */
  suite?: Suite;
  /** Only cases whose operation or name contains this text, in any case of letters. */
  filter?: string;
  /** How long to repeat each case with each of the two clocks. */
  seconds: number;
  /** Seed of the inputs. */
  seed: number;
}

export interface KernelBenchReport {
  adapter: string;
  suite: Suite;
  seed: number;
  roofline: Roofline;
  cases: Measurement[];
  /** Cases with a wrong result; they are not timed. */
  wrong: { case: string; message: string }[];
}

/**
 * Runs the benchmark on a device that nobody else uses.
 *
 * @param onCase called with each case before it runs
 * @throws SubzeroError `invalid_argument` if no case is left, `cancelled` if the signal is aborted
 */
export async function benchKernels(
  gpu: Gpu,
  options: KernelBenchOptions,
  onCase?: (name: string, done: number, total: number) => void,
  signal?: AbortSignal,
): Promise<KernelBenchReport> {
  const suite = options.suite ?? (gpu.adapter.software ? 'quick' : 'full');
  const filter = (options.filter ?? '').toLowerCase();
  const all = benchCases(suite, gpu).map((kernelCase) => ({
    name: `${kernelCase.operation}: ${kernelCase.name}`,
    kernelCase,
  }));
  const wanted = all.filter(({ name }) => name.toLowerCase().includes(filter));
  if (wanted.length === 0) {
    const operations = [...new Set(all.map(({ kernelCase }) => kernelCase.operation))].join(', ');
    throw new SubzeroError(
      'invalid_argument',
      `no case of the suite "${suite}" has "${options.filter}" in its name; names begin with ${operations}`,
      { parameter: 'filter' },
    );
  }
  const roofline = await measureRoofline(gpu);
  const cases: Measurement[] = [];
  const wrong: KernelBenchReport['wrong'] = [];
  for (const [done, { name, kernelCase }] of wanted.entries()) {
    if (signal?.aborted) throw new SubzeroError('cancelled', 'the benchmark was stopped before its end');
    onCase?.(name, done, wanted.length);
    try {
      cases.push(await measureCase(gpu, kernelCase, roofline, options));
    } catch (error) {
      // A lost device or a lack of memory says nothing about the kernel.
      if (error instanceof SubzeroError) throw error;
      wrong.push({ case: name, message: error instanceof Error ? error.message : String(error) });
    }
  }
  const adapter = gpu.adapter.description || gpu.adapter.device;
  return { adapter, suite, seed: options.seed, roofline, cases, wrong };
}
