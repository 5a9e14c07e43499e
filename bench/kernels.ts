/**
 * `bench kernels`: every kernel checked against its float64 reference, then timed over realistic shapes and held
 * against what this adapter can do at best.
 *
 * @module
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type KernelBenchReport, benchKernels as run } from '../src/bench/kernels.ts';
import type { Measurement } from '../src/bench/measure.ts';
import { type Suite, suites } from '../src/bench-suites.ts';
import { SubzeroError } from '../src/errors.ts';
import { Gpu } from '../src/gpu/gpu.ts';
import { short, table } from '../src/table.ts';
import { testSeed } from '../test/support/random.ts';
import { deviceOf } from './device.ts';
import { rooflineChart } from './roofline-chart.ts';

export const usage = `npm run bench -- kernels [options]
  --suite quick|full   shapes: quick for a software adapter (the default there), full for a GPU
  --filter TEXT        only cases whose operation or name contains it
  --adapter NAME       part of the adapter's name, or its index
  --arithmetic KIND    of matrix units: exact (default) or half
  --seconds S          how long to repeat each case (default 0.2)
  --json FILE          write the measurements
  --svg FILE           draw each case's share of the roofline
  --compare FILE       show the change against measurements written before`;

/** Slower than before by more than this is a regression; less is within the noise of a quiet machine. */
const regressionFactor = 1.15;

const time = ({ gpuMilliseconds, wallMilliseconds }: Measurement): number => gpuMilliseconds || wallMilliseconds;

function readReport(file: string): KernelBenchReport {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as KernelBenchReport;
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
      arithmetic: { type: 'string' },
      seconds: { type: 'string', default: '0.2' },
      json: { type: 'string' },
      svg: { type: 'string' },
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
  const gpu = await Gpu.open(deviceOf(options));
  const progress = process.stderr.isTTY ? (text: string) => process.stderr.write(`\r\x1b[K${text}`) : () => true;
  const { suite, filter, seconds } = options;
  const report = await run(
    gpu,
    { ...(suite ? { suite } : {}), ...(filter ? { filter } : {}), seconds, seed: testSeed },
    progress,
  );
  progress('');
  const { adapter, roofline, cases } = report;
  console.log(`${adapter}, suite ${report.suite}, seed ${testSeed}`);
  console.log(
    `roofline: copy ${short(roofline.bytesPerSecond / 1e9)} GB/s, f32 FMA ${short(roofline.flopsPerSecond / 1e9)} ` +
      `GFLOP/s\n`,
  );
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
  for (const entry of report.wrong) console.error(`\nWRONG: ${entry.case}: ${entry.message}`);
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(report, undefined, 2)}\n`);
  if (options.svg !== undefined) writeFileSync(options.svg, rooflineChart(report));
  gpu.close();
  return report.wrong.length > 0 ? 1 : 0;
}
