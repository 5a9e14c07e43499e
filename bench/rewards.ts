/**
 * `bench rewards`: a step of the objective `reward` against generating as many texts at once without probes, in turns;
 * with prompts that begin alike, against a step with prompts of the same lengths that do not, too.
 *
 * @module
 */

import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { TokenizedExample } from '../src/data/example.ts';
import { SubzeroError } from '../src/errors.ts';
import { median, spread } from '../src/experiments/statistics.ts';
import { Generator } from '../src/generate/generator.ts';
import { Gpu } from '../src/gpu/gpu.ts';
import { parseGrader } from '../src/graders/index.ts';
import { loadModel } from '../src/model/load.ts';
import type { Model } from '../src/model/model.ts';
import { resolveConfiguration, type TrainConfiguration } from '../src/settings/configuration.ts';
import { markdownTable } from '../src/table.ts';
import { loadTokenizer, type Tokenizer } from '../src/tokenizer/index.ts';
import { RewardScorer } from '../src/train/rewards.ts';
import { Scorer } from '../src/train/score.ts';
import { evaluateStep } from '../src/train/step-evaluation.ts';
import { createOptimizer } from '../src/zo/create-optimizer.ts';
import type { ZerothOrderOptimizer } from '../src/zo/optimizer.ts';
import { deviceOf } from './device.ts';
import { machine } from './machine.ts';

export const usage = `npm run bench -- rewards [options]
  --model DIRECTORY    default examples/reviews-3m
  --prompts N          prompts of a step (default 16)
  --prompt-tokens N    tokens of a prompt (default 8)
  --shared-start N     tokens that all prompts begin with besides (default 0)
  --tokens N           tokens of an answer (default 32)
  --queries K          directions of a step (default 1)
  --rank R             default 64
  --repeat N           timed repetitions (default 12)
  --adapter NAME       part of the adapter's name, or its index
  --json FILE          write the figures
a step generates prompts × 2 K probes × tokens; the other side generates as many without probes; with a shared start a
third makes the step with prompts of the same lengths that share nothing`;

/** Small, so that timed steps leave the weights, and with them the lengths of answers, about as they are. */
const settings = { epsilon: 1e-6, learningRate: Math.fround(1e-12), refresh: 1_000_000 };

/** What one round of one side took and made. */
interface Spent {
  wall: number;
  processor: number;
  tokens: number;
}

export async function benchRewards(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      model: { type: 'string', default: fileURLToPath(new URL('../examples/reviews-3m', import.meta.url)) },
      prompts: { type: 'string', default: '16' },
      'prompt-tokens': { type: 'string', default: '8' },
      'shared-start': { type: 'string', default: '0' },
      tokens: { type: 'string', default: '32' },
      queries: { type: 'string', default: '1' },
      rank: { type: 'string', default: '64' },
      repeat: { type: 'string', default: '12' },
      adapter: { type: 'string' },
      json: { type: 'string' },
    },
  });
  const numbers = [values.prompts, values['prompt-tokens'], values.tokens, values.queries, values.rank, values.repeat];
  if (!numbers.map(Number).every((value) => Number.isInteger(value) && value > 0)) {
    throw new SubzeroError('invalid_argument', 'all numbers must be whole and above 0');
  }
  const sharedStart = Number(values['shared-start']);
  if (!Number.isInteger(sharedStart) || sharedStart < 0) {
    throw new SubzeroError('invalid_argument', '--shared-start must be whole and not below 0');
  }
  const [batchSize, promptTokens, rewardTokens, queries, rank, repeat] = numbers.map(Number) as [
    ...[number, number, number],
    ...[number, number, number],
  ];
  const gpu = await Gpu.open(deviceOf(values));
  const model = await loadModel(gpu, values.model, {});
  const tokenizer = await loadTokenizer(values.model);
  const configuration = resolveConfiguration({
    ...settings,
    batchSize,
    rewardTokens,
    queries,
    rank,
    objective: 'reward',
  });
  const optimizer = await createOptimizer(model, configuration);
  const batch = examplesOf(tokenizer, batchSize, promptTokens, sharedStart);
  const apart = examplesOf(tokenizer, batchSize, sharedStart + promptTokens);
  const step = await stepper(gpu, model, optimizer, configuration);
  const generator = new Generator(model, tokenizer, () => model.plainProbes);
  const plain = async (): Promise<number> => {
    const texts = Array.from({ length: optimizer.probeCount }, () => batch).flat();
    const counts = await Promise.all(
      texts.map(async ({ generation }) => {
        const request = { maxTokens: rewardTokens, temperature: 0 };
        for await (const event of generator.generate(request, generation!.prompt)) {
          if (event.type === 'done') return event.completionTokens;
        }
        return 0;
      }),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  };

  const rounds: { step: Spent; plain: Spent; apart?: Spent }[] = [];
  // The first rounds compile kernels and fill caches.
  for (let round = -2; round < repeat; round++) {
    const spent = {
      ...{ step: await spentOn(() => step.make(round + 2, batch)), plain: await spentOn(plain) },
      ...(sharedStart > 0 ? { apart: await spentOn(() => step.make(round + 2, apart)) } : {}),
    };
    if (round >= 0) rounds.push(spent);
  }
  const ratios = (of: 'wall' | 'processor', to: 'plain' | 'apart' = 'plain'): number[] =>
    rounds.map((each) => each.step[of] / each[to]![of]);
  const report = {
    model: values.model,
    ...{
      prompts: batchSize,
      promptTokens,
      sharedStart,
      probes: optimizer.probeCount,
      answerTokens: rewardTokens,
      rank,
    },
    machine: machine(gpu.adapter.description || gpu.adapter.device),
    tokens: { step: rounds[0]!.step.tokens, plain: rounds[0]!.plain.tokens, apart: rounds[0]!.apart?.tokens },
    processorRatio: median(ratios('processor')),
    ...(sharedStart > 0 ? { sharedRatio: median(ratios('processor', 'apart')) } : {}),
    wallRatio: median(ratios('wall')),
    rounds,
  };
  console.log(
    `${report.machine}\n${batchSize} prompts × ${optimizer.probeCount} probes × ${rewardTokens} tokens, rank ` +
      `${rank}, ${values.model}; tokens made: ${report.tokens.step} by the step, ${report.tokens.plain} without ` +
      'probes\n',
  );
  const row = (name: string, of: 'wall' | 'processor'): string[] => [
    name,
    ...(['step', 'plain'] as const).map((side) => spread(rounds.map((each) => each[side][of]))),
    spread(ratios(of), 3),
  ];
  const header = ['ms, median (range)', 'step', 'without probes', 'ratio'];
  console.log(markdownTable(header, [row('processor', 'processor'), row('clock', 'wall')]));
  if (sharedStart > 0) {
    const [processor, clock] = (['processor', 'wall'] as const).map((of) => spread(ratios(of, 'apart'), 3));
    console.log(
      `\na start of ${sharedStart} tokens, over prompts of the same lengths that share nothing ` +
        `(${report.tokens.apart} tokens): processor ${processor}, clock ${clock}`,
    );
  }
  if (values.json) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
  await generator.destroy();
  await step.destroy();
  gpu.close();
  return 0;
}

/**
 * Prompts of equal length, each different: tokens of a text about nothing in particular, one place further each, behind
 * as many that are the same in all.
 */
function examplesOf(tokenizer: Tokenizer, count: number, length: number, shared = 0): TokenizedExample[] {
  const text = 'Once upon a time there was a little film that everybody liked because it was funny and warm. ';
  const ids = tokenizer.encode(text.repeat(Math.ceil((count + length + shared) / 8)));
  return Array.from({ length: count }, (_, index) => ({
    ...{ kind: 'completion', prompt: [], continuations: [], label: 0 },
    generation: { prompt: [...ids.slice(0, shared), ...ids.slice(index, index + length)], references: [] },
  }));
}

/** Whole steps of a run: answers, grades, measurement and update. */
async function stepper(
  gpu: Gpu,
  model: Model,
  optimizer: ZerothOrderOptimizer,
  configuration: TrainConfiguration,
): Promise<{ make(step: number, batch: readonly TokenizedExample[]): Promise<number>; destroy(): Promise<void> }> {
  const grader = await parseGrader({
    ...{ type: 'string_check', name: 'has an "e"', operation: 'like' },
    ...{ input: '{{sample.output_text}}', reference: 'e' },
  });
  const scorer = new Scorer(model, configuration.maxRows);
  const rewards = await RewardScorer.open({ model, optimizer, configuration, source: { grader, services: {} } });
  return {
    async make(step, batch) {
      const { scoreStep } = rewards;
      const { measured, tokens } = await evaluateStep({ gpu, optimizer, scorer, scoreStep }, batch, step);
      optimizer.update({ step, learningRate: configuration.learningRate, ...measured });
      gpu.recorder.submit();
      await gpu.idle();
      return tokens * optimizer.probeCount;
    },
    async destroy() {
      await rewards.destroy();
      scorer.destroy();
      optimizer.destroy();
    },
  };
}

async function spentOn(work: () => Promise<number>): Promise<Spent> {
  const started = performance.now();
  const before = process.cpuUsage();
  const tokens = await work();
  const { user, system } = process.cpuUsage(before);
  return { wall: performance.now() - started, processor: (user + system) / 1000, tokens };
}
