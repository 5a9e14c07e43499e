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
import * as reading from './reading.ts';
import * as replay from './replay.ts';
import * as rewards from './rewards.ts';
import * as rivals from './rivals.ts';
import * as serve from './serve.ts';
import * as sst2 from './sst2.ts';
import * as step from './step.ts';

/** Every benchmark by name; each returns its exit code. */
const benchmarks: Readonly<
  Record<string, { run(args: readonly string[]): Promise<number>; usage: string; about: string }>
> = {
  all: {
    about: 'what one wants to know of a new adapter: doctor, kernels, step, serve, fidelity, replay, and sst2 on a GPU',
    run: all.benchAll,
    usage: all.usage,
  },
  bank: {
    about: 'training steps with the change folded into the weights or kept in banks beside them',
    run: bank.benchBank,
    usage: bank.usage,
  },
  cluster: {
    about: 'what a cluster costs by step, and how it scales',
    run: cluster.benchCluster,
    usage: cluster.usage,
  },
  families: {
    about: 'a training step of other architectures over one of a Llama with as many parameters',
    run: families.benchFamilies,
    usage: families.usage,
  },
  fidelity: {
    about: 'how well an estimate of the gradient fits the true one, against theory',
    run: fidelity.benchFidelity,
    usage: fidelity.usage,
  },
  gate: {
    about: 'this tree against an earlier revision of it; fails where something got worse',
    run: gate.benchGate,
    usage: gate.usage,
  },
  kernels: {
    about: 'every kernel checked against its reference, then timed against what the adapter can do at best',
    run: kernels.benchKernels,
    usage: kernels.usage,
  },
  'late-join': {
    about: 'how long a worker takes to take part in a run that is many steps old',
    run: lateJoin.benchLateJoin,
    usage: lateJoin.usage,
  },
  load: {
    about: 'how long a model takes to load, beside reading the bytes of its files',
    run: load.benchLoad,
    usage: load.usage,
  },
  peers: {
    about: 'the same work in other WebGPU libraries on the same adapter',
    run: peers.benchPeers,
    usage: peers.usage,
  },
  reading: {
    about: 'what a row of data costs the start of a run: reading, tokenising, the fingerprint',
    run: reading.benchReading,
    usage: reading.usage,
  },
  replay: {
    about: 'how fast a journal is turned back into weights',
    run: replay.benchReplay,
    usage: replay.usage,
  },
  rewards: {
    about: 'a training step by rewards against generating as many texts',
    run: rewards.benchRewards,
    usage: rewards.usage,
  },
  rivals: {
    about: 'training beside PyTorch, generation beside llama.cpp, on the same adapter',
    run: rivals.benchRivals,
    usage: rivals.usage,
  },
  serve: {
    about: 'how long requests wait and how much text comes out, with the GPU idle and while a job trains',
    run: serve.benchServe,
    usage: serve.usage,
  },
  sst2: {
    about: 'what optimisers reach on the example model and data, over several seeds',
    run: sst2.benchSst2,
    usage: sst2.usage,
  },
  step: {
    about: 'a training step of a well-known shape against two plain forward passes, and against MeZO',
    run: step.benchStep,
    usage: step.usage,
  },
};

const [name = '', ...args] = process.argv.slice(2);
const benchmark = benchmarks[name];

if (benchmark && args.includes('--help')) {
  console.log(`${benchmark.usage}\n\n${name}: ${benchmark.about}`);
} else if (name === '' || name === '--help') {
  const lines = Object.entries(benchmarks).map(([each, { about }]) => `${each.padEnd(11)}${about}`);
  console.log(`${lines.join('\n')}\n\nnpm run bench -- NAME --help lists the options of one`);
} else if (!benchmark) {
  const names = Object.keys(benchmarks).join(', ');
  console.error(`error: there is no benchmark "${name}"; there are ${names}\nnpm run bench -- --help describes them`);
  process.exitCode = 2;
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
