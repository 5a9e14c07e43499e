/**
 * `bench kernels`: every kernel checked against its float64 reference, then timed over realistic shapes and held against what this
 * adapter can do at best.
 *
 * @module
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { SubzeroError } from '../src/errors.ts';
import { Gpu } from '../src/gpu/gpu.ts';
import { testSeed } from '../test/support/random.ts';
import { benchCases, type Suite, suites } from './kernels/cases.ts';
import { type Measurement, measureCase } from './kernels/measure.ts';
import { measureRoofline, type Roofline } from './kernels/roofline.ts';
import { short, table } from './table.ts';

export const usage = `node bench/main.ts kernels [options]
  --suite quick|full   shapes: quick for a software adapter (the default there), full for a GPU
  --filter TEXT        only cases whose operation or name contains it
  --adapter NAME       part of the adapter's name, or its index
  --seconds S          how long to repeat each case (default 0.2)
  --json FILE          write the measurements
  --compare FILE       show the change against measurements written before`;

/** What `--json` writes and `--compare` reads. */
interface Report {
  adapter: string;
  suite: string;
  roofline: Roofline;
  cases: Measurement[];
}

/** Slower than before by more than this is a regression; less is within the noise of a quiet machine. */
const regressionFactor = 1.15;

const time = ({ gpuMilliseconds, wallMilliseconds }: Measurement): number => gpuMilliseconds || wallMilliseconds;

function readReport(file: string): Report {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Report;
  } catch (error) {
    throw new SubzeroError('invalid_data', `--compare: "${file}" is no report written by --json: ${String(error)}`, {
      parameter: 'compare',
      cause: error,
    });
  }
}

function parse(args: readonly string[]) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      suite: { type: 'string' },
      filter: { type: 'string' },
      adapter: { type: 'string' },
      seconds: { type: 'string', default: '0.2' },
      json: { type: 'string' },
      compare: { type: 'string' },
    },
  });
  const seconds = Number(values.seconds);
  if (!(seconds > 0)) {
    throw new SubzeroError('invalid_argument', `--seconds must be a number above 0; got "${values.seconds}"`);
  }
  if (values.suite !== undefined && !suites.includes(values.suite as Suite)) {
    throw new SubzeroError('invalid_argument', `--suite must be one of ${suites.join(', ')}; got "${values.suite}"`);
  }
  return { ...values, seconds, suite: values.suite as Suite | undefined };
}

/** Runs the benchmark. @returns the exit code: 1 when a kernel gave a wrong result */
export async function benchKernels(args: readonly string[]): Promise<number> {
  const options = parse(args);
  const old = options.compare === undefined ? undefined : readReport(options.compare);
  const gpu = await Gpu.open(options.adapter === undefined ? {} : { adapter: options.adapter });
  const suite = options.suite ?? (gpu.adapter.software ? 'quick' : 'full');
  const roofline = await measureRoofline(gpu);
  const adapter = gpu.adapter.description || gpu.adapter.device;
  console.log(`${adapter}, suite ${suite}, seed ${testSeed}`);
  console.log(
    `roofline: copy ${short(roofline.bytesPerSecond / 1e9)} GB/s, f32 FMA ${short(roofline.flopsPerSecond / 1e9)} GFLOP/s\n`,
  );
  const wanted = (text: string): boolean => text.toLowerCase().includes((options.filter ?? '').toLowerCase());
  const cases: Measurement[] = [];
  const failures: string[] = [];
  const progress = process.stderr.isTTY ? (text: string) => process.stderr.write(`\r\x1b[K${text}`) : () => true;
  for (const kernelCase of benchCases(suite, gpu)) {
    const name = `${kernelCase.operation}: ${kernelCase.name}`;
    if (!wanted(name)) continue;
    progress(name);
    try {
      cases.push(await measureCase(gpu, kernelCase, roofline, { seed: testSeed, seconds: options.seconds }));
    } catch (error) {
      failures.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  progress('');
  const before = new Map(old?.cases.map((entry) => [`${entry.operation}: ${entry.name}`, entry]));
  const factor = (entry: Measurement): number => {
    const previous = before.get(`${entry.operation}: ${entry.name}`);
    return previous ? time(entry) / time(previous) : Number.NaN;
  };
  console.log(
    table(
      ['kernel', 'GPU ms', 'wall ms', 'GFLOP/s', 'GB/s', 'of roof', 'error', ...(old ? ['× old time'] : [])],
      cases.map((entry) => [
        `${entry.operation}: ${entry.name}`,
        entry.gpuMilliseconds === undefined ? '-' : short(entry.gpuMilliseconds),
        short(entry.wallMilliseconds),
        short(entry.gigaflopsPerSecond),
        short(entry.gigabytesPerSecond),
        `${(100 * entry.rooflineShare).toFixed(1)} %`,
        short(entry.error),
        ...(old ? [short(factor(entry))] : []),
      ]),
    ),
  );
  const slower = cases.filter((entry) => factor(entry) > regressionFactor);
  if (old)
    console.log(`\n${slower.length} of ${cases.length} cases are more than ${regressionFactor} × slower than before`);
  for (const entry of slower) console.log(`  ${entry.operation}: ${entry.name}: ${short(factor(entry))} ×`);
  for (const failure of failures) console.error(`\nWRONG: ${failure}`);
  if (options.json !== undefined) {
    const report: Report = { adapter, suite, roofline, cases };
    writeFileSync(options.json, `${JSON.stringify(report, undefined, 2)}\n`);
  }
  gpu.close();
  return failures.length > 0 ? 1 : 0;
}
