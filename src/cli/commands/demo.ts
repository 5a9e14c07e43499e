import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DataSource, Engine, EvaluationResult } from '../../engine/types.ts';
import { SubzeroError } from '../../errors.ts';
import { formatCount, formatDuration, formatFixed } from '../../format.ts';
import { settings as table } from '../../settings/settings.ts';
import { defineCommand } from '../command.ts';
import { engineOptions } from '../common-options.ts';
import type { Host } from '../host.ts';
import { interruptible } from '../interrupt.ts';
import { createProgress } from '../progress.ts';
import { createTrainReport } from '../train-report.ts';
import { withEngine } from '../with-engine.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const modelDirectory = join(root, 'examples', 'reviews-3m');
const data: DataSource = { task: 'sst2', directory: join(root, 'examples', 'sst2') };

/** Looked at during training too, so that the curve shows what the last line reports. */
const devSentences: DataSource = { task: 'sst2', directory: join(root, 'examples', 'sst2', 'dev.jsonl') };

/** The reference run's settings for the example model (see examples/reviews-3m in the README). */
const settings = { learningRate: 5e-5, epsilon: 1e-3, rank: 8, refresh: 100, batchSize: 16 };

/** What both models are asked. None of it is in the data set. */
const questions = [
  'a warm , funny and moving film with two wonderful leads .',
  'the plot makes no sense and the jokes fall flat .',
  'it starts slowly , but by the end i was in tears .',
];

const verdicts = [' terrible', ' great'] as const;

export const demoCommand = defineCommand({
  name: 'demo',
  summary: 'Fine-tune the example model on real data, serve it, and ask it something',
  usage: ['demo [options]'],
  options: [
    {
      name: 'steps',
      type: 'integer',
      minimum: 1,
      maximum: table.steps.maximum,
      description: 'training steps',
      default: 300,
    },
    {
      name: 'seed',
      type: 'integer',
      minimum: 0,
      description: 'of everything random; the same seed on the same adapter makes the same bits',
      default: 1,
    },
    {
      name: 'out',
      type: 'text',
      placeholder: 'RUN',
      description: 'folder for the run',
      defaultText: 'a new folder below runs/',
    },
    { name: 'keep-serving', type: 'flag', description: 'leave the server up until Ctrl-C' },
    {
      name: 'port',
      type: 'integer',
      minimum: 0,
      maximum: 65_535,
      description: 'port of the server; 0 takes a free one',
      default: 0,
    },
    ...engineOptions,
  ],
  examples: [
    { text: 'the whole job', command: 'npm run demo' },
    { text: 'leave the server up at the end', command: 'npm run demo -- --keep-serving --port 8080' },
  ],
  async run(context) {
    const { options } = context;
    const started = context.now();
    const seconds = (): number => Math.round((context.now() - started) / 100) / 10;
    const say = (text = ''): void => {
      if (!options.quiet) context.standardError.write(`${text}\n`);
    };
    const out = options.out ?? join('runs', `demo-${new Date().toISOString().slice(0, 19).replaceAll(':', '-')}`);
    const notice = (): void => say('\nstopping; the run so far is saved');

    return withEngine(context, async (engine) => {
      const { result, exitCode } = await interruptible(context, notice, async (signal) => {
        const { adapter } = await engine.info();
        say('SubZero on WebGPU: fine-tuning without back-propagation, then serving what was learned\n');
        say(
          `adapter  ${adapter.description || adapter.device}` +
            (adapter.software ? '  (software: there is no GPU here)' : ''),
        );
        const base = await engine.loadModel({ id: 'base', path: modelDirectory });
        say(
          `model    ${relative(process.cwd(), modelDirectory) || '.'}: ${base.architecture}, ` +
            `${formatCount(base.parameterCount)} parameters, pretrained on film reviews and encyclopaedic text`,
        );
        say(
          'task     SST-2: is a sentence of a film review positive? Prompt "{sentence} It was", answers terrible / ' +
            'great',
        );

        say('\n1. What the pretrained model knows (872 SST-2 dev sentences)');
        const before = await evaluate(context, engine, 'base', signal);
        say(`   zero-shot accuracy ${formatFixed(before.accuracy!)}, loss ${formatFixed(before.loss)}`);

        say(
          `\n2. Fine-tuning all parameters with SubZero: ${options.steps} steps of ${settings.batchSize} sentences, ` +
            `two forward passes each, rank ${settings.rank}`,
        );
        const trained = await train(context, engine, { steps: options.steps, seed: options.seed, out }, signal);
        if (!trained) return undefined;

        say('\n3. What it has learned (the same 872 sentences)');
        await engine.loadModel({ id: 'tuned', path: out });
        const after = await evaluate(context, engine, 'tuned', signal);
        const gain = 100 * (after.accuracy! - before.accuracy!);
        say(
          `   accuracy ${formatFixed(before.accuracy!)} → ${formatFixed(after.accuracy!)} ` +
            `(${gain >= 0 ? '+' : ''}${gain.toFixed(1)} points), ` +
            `loss ${formatFixed(before.loss)} → ${formatFixed(after.loss)}`,
        );
        const exported = join(out, 'model');
        await engine.exportRun({ run: out, format: 'safetensors', out: exported });
        say(`   ${out}: journal.subzero (every step, replayable), metrics.jsonl, loss-curve.svg, model/ (safetensors)`);

        say('\n4. Serving both over HTTP');
        await engine.unloadModel('base');
        await engine.unloadModel('tuned');
        const server = await context.startServer({
          engine,
          models: [
            { id: 'base', path: modelDirectory },
            { id: 'tuned', path: out },
          ],
          host: '127.0.0.1',
          port: options.port,
          apiKey: undefined,
          dataDirectory: join(out, 'server'),
          logLevel: 'error',
        });
        try {
          await askBoth(server.url, await verdictTokens(engine), say);
          if (options.keepServing && !signal.aborted) {
            say(`\nserving on ${server.url} until Ctrl-C; the API is described at ${server.url}/docs`);
            await new Promise<void>((done) => signal.addEventListener('abort', () => done(), { once: true }));
          }
        } finally {
          await server.close();
        }
        return {
          adapter: adapter.description || adapter.device,
          zeroShotAccuracy: before.accuracy,
          tunedAccuracy: after.accuracy,
          examples: after.examples,
          steps: trained.steps,
          trainSeconds: trained.seconds,
          totalSeconds: seconds(),
          run: out,
        };
      });
      if (result) {
        say(`\nDone in ${formatDuration(result.totalSeconds)}.`);
        context.standardOutput.write(`${JSON.stringify({ demo: result })}\n`);
      }
      // Ctrl-C is how a server that was asked to stay up is meant to end.
      return result && options.keepServing ? 0 : exitCode;
    });
  },
});

async function evaluate(
  context: Host & { readonly options: { readonly quiet: boolean } },
  engine: Engine,
  model: string,
  signal: AbortSignal,
): Promise<EvaluationResult> {
  const progress = createProgress(context, context.options.quiet);
  try {
    return await engine.evaluate(
      { model, data },
      (done, total) => progress.update(`   evaluated ${done} of ${total} sentences`),
      signal,
    );
  } finally {
    progress.end();
  }
}

/** @returns undefined when the run was stopped before its end */
async function train(
  context: Host & { readonly options: { readonly quiet: boolean } },
  engine: Engine,
  { steps, seed, out }: { steps: number; seed: number; out: string },
  signal: AbortSignal,
): Promise<{ steps: number; seconds: number } | undefined> {
  const report = createTrainReport(context, { quiet: context.options.quiet, json: false, results: false });
  const configuration = { ...settings, steps, seed, evaluateEvery: Math.max(1, Math.ceil(steps / 3)) };
  let outcome: { steps: number; seconds: number } | undefined;
  try {
    const request = { model: modelDirectory, data, validation: devSentences, configuration, out };
    for await (const event of engine.train(request, signal)) {
      report.event(event);
      if (event.type === 'done' && event.outcome === 'stuck') throw new SubzeroError('conflict', event.reason!);
      if (event.type === 'done' && event.outcome === 'finished') {
        outcome = { steps: event.step, seconds: Math.round(event.seconds * 10) / 10 };
      }
    }
  } finally {
    report.end();
  }
  return outcome;
}

/** The ids of the two answers; each is one token of the example model's vocabulary. */
async function verdictTokens(engine: Engine): Promise<number[]> {
  return Promise.all(
    verdicts.map(async (verdict) => {
      const [id, ...rest] = await engine.tokenize('base', verdict, false);
      if (id === undefined || rest.length > 0) throw new Error(`"${verdict}" is not one token`);
      return id;
    }),
  );
}

interface CompletionAnswer {
  choices: { text: string; logprobs: { top_logprobs: Record<string, number>[] } }[];
  error?: { message: string };
}

/** Asks both models the same over HTTP, printing each request as the curl line that does it. */
async function askBoth(url: string, tokens: readonly number[], say: (text?: string) => void): Promise<void> {
  // The bias leaves only the two answers to choose from; their probabilities are then relative to each other.
  const bias = Object.fromEntries(tokens.map((id) => [id, 100]));
  for (const [index, question] of questions.entries()) {
    say(`\n   "${question}"`);
    for (const model of ['base', 'tuned']) {
      const body = JSON.stringify({
        model,
        prompt: `${question} It was`,
        max_tokens: 1,
        temperature: 0,
        logprobs: 2,
        logit_bias: bias,
      });
      if (index === 0) say(`   curl ${url}/v1/completions -H 'content-type: application/json' -d '${body}'`);
      const response = await fetch(`${url}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
      });
      const answer = (await response.json()) as CompletionAnswer;
      const choice = answer.choices?.[0];
      if (!choice)
        throw new SubzeroError('gpu', `the server answered ${response.status}: ${answer.error?.message ?? 'no text'}`);
      const top = choice.logprobs.top_logprobs[0] ?? {};
      const share = Math.exp(top[choice.text] ?? Number.NaN);
      say(`   ${model.padEnd(5)} → It was${choice.text}  (${(100 * share).toFixed(0)} %)`);
    }
  }
}
