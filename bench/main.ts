/**
 * Benchmarks: `npm run bench -- NAME [options]`.
 *
 * @module
 */

import { SubzeroError } from '../src/errors.ts';
import * as all from './all.ts';
import * as bank from './bank.ts';
import * as cluster from './cluster.ts';
import * as families from './families.ts';
import * as fidelity from './fidelity.ts';
import * as gate from './gate.ts';
import * as kernels from './kernels.ts';
import * as lateJoin from './late-join.ts';
import * as load from './load.ts';
import * as peers from './peers.ts';
import * as replay from './replay.ts';
import * as rewards from './rewards.ts';
import * as rivals from './rivals.ts';
import * as serve from './serve.ts';
import * as sst2 from './sst2.ts';
import * as step from './step.ts';

/** Every benchmark by name; each returns its exit code. */
const benchmarks: Readonly<Record<string, { run(args: readonly string[]): Promise<number>; usage: string }>> = {
  all: { run: all.benchAll, usage: all.usage },
  bank: { run: bank.benchBank, usage: bank.usage },
  cluster: { run: cluster.benchCluster, usage: cluster.usage },
  families: { run: families.benchFamilies, usage: families.usage },
  fidelity: { run: fidelity.benchFidelity, usage: fidelity.usage },
  gate: { run: gate.benchGate, usage: gate.usage },
  kernels: { run: kernels.benchKernels, usage: kernels.usage },
  'late-join': { run: lateJoin.benchLateJoin, usage: lateJoin.usage },
  load: { run: load.benchLoad, usage: load.usage },
  peers: { run: peers.benchPeers, usage: peers.usage },
  replay: { run: replay.benchReplay, usage: replay.usage },
  rewards: { run: rewards.benchRewards, usage: rewards.usage },
  rivals: { run: rivals.benchRivals, usage: rivals.usage },
  serve: { run: serve.benchServe, usage: serve.usage },
  sst2: { run: sst2.benchSst2, usage: sst2.usage },
  step: { run: step.benchStep, usage: step.usage },
};

const [name = '', ...args] = process.argv.slice(2);
const benchmark = benchmarks[name];

if (!benchmark && name !== '' && name !== '--help') {
  console.error(
    `error: there is no benchmark "${name}"; there are ${Object.keys(benchmarks).join(', ')}\n` +
      'npm run bench -- --help describes all of them',
  );
  process.exitCode = 2;
} else if (!benchmark || args.includes('--help')) {
  const text = (benchmark ? [benchmark] : Object.values(benchmarks)).map(({ usage }) => usage).join('\n\n');
  console.log(text);
} else {
  try {
    process.exitCode = await benchmark.run(args);
  } catch (error) {
    const option = error instanceof TypeError && String((error as { code?: string }).code).startsWith('ERR_PARSE_ARGS');
    if (!(error instanceof SubzeroError) && !option) throw error;
    console.error(`error: ${error.message}`);
    process.exitCode = 2;
  }
}
