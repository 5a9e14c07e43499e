import { existsSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { defaultServerConfiguration, type ServedModel } from '../../../server/configuration.ts';
import type { LogLevel } from '../../../server/log.ts';
import { ggufModelName, isGgufPath } from '../../gguf/path.ts';
import { adapterFiles } from '../../hub/choice.ts';
import { parseRepositoryName } from '../../hub/repository.ts';
import { clusterAddress, clusterOptions } from '../cluster-options.ts';
import { defineCommand } from '../command.ts';
import { engineOptions } from '../common-options.ts';
import { localPath, offlineOption } from '../hub-option.ts';
import { interruptible } from '../interrupt.ts';
import { storageOption } from '../model-option.ts';
import { UsageError } from '../usage-error.ts';
import { withEngine } from '../with-engine.ts';

const { limits, ...defaults } = defaultServerConfiguration;

export const serveCommand = defineCommand({
  name: 'serve',
  summary: 'Serve models and fine-tuning jobs over HTTP, in the shapes of the OpenAI API',
  usage: ['serve --model [ID=]DIR|RUN [--model …] [options]'],
  options: [
    {
      name: 'model',
      type: 'list',
      placeholder: '[ID=]DIR|RUN[@STEP]',
      description:
        'model directory, GGUF file, run folder, or ORG/NAME[@REVISION] on the Hugging Face Hub; ID is its name in ' +
        'requests, by default that of the folder or file; a run is served as it was after STEP, a number or best, by ' +
        'default the last one',
      group: 'Server',
    },
    {
      name: 'host',
      type: 'text',
      placeholder: 'ADDRESS',
      description: 'address to listen on; any other than this machine itself needs an API key',
      default: '127.0.0.1',
      group: 'Server',
    },
    {
      name: 'port',
      type: 'integer',
      minimum: 0,
      maximum: 65_535,
      description: 'port to listen on; 0 takes a free one',
      default: 8080,
      group: 'Server',
    },
    {
      name: 'api-key',
      type: 'text',
      placeholder: 'KEY',
      description: 'key that requests must bring; better given in the environment, where other users cannot see it',
      defaultText: 'none',
      group: 'Server',
    },
    {
      name: 'data-directory',
      type: 'text',
      placeholder: 'DIR',
      description: 'where uploaded files, jobs and their runs are kept',
      default: 'runs/server',
      group: 'Server',
    },
    {
      name: 'allowed-host',
      type: 'list',
      placeholder: 'NAME',
      description: 'name that requests may call the server by, besides localhost and addresses; for a reverse proxy',
      check: checkHostName,
      group: 'Server',
    },
    {
      name: 'cors-origin',
      type: 'list',
      placeholder: 'ORIGIN',
      description: 'web pages of this origin, such as https://app.example, may call the server; * = all',
      check: checkOrigin,
      group: 'Server',
    },
    {
      name: 'lora',
      type: 'list',
      placeholder: '[BASE+]NAME=DIR',
      description:
        'PEFT LoRA adapter, a folder or ORG/NAME, served under NAME beside the model BASE, whose weights it shares; ' +
        'BASE can be left out where there is one model',
      group: 'Server',
    },
    { ...storageOption, group: 'Server' },
    { ...offlineOption, group: 'Server' },
    {
      name: 'log-level',
      type: 'text',
      placeholder: 'LEVEL',
      choices: ['debug', 'info', 'warn', 'error', 'silent'] satisfies LogLevel[],
      description: 'least urgent lines of the log; info has one for each request',
      defaultText: 'info, or error with --quiet',
      group: 'Server',
    },
    {
      name: 'grace-seconds',
      type: 'number',
      minimum: 0,
      maximum: 3600,
      description:
        'how long running answers may go on when the server is stopped; a job stops after its step and goes on at ' +
        'the next start',
      default: defaults.graceSeconds,
      group: 'Server',
    },
    {
      name: 'max-file',
      type: 'bytes',
      minimum: 1,
      description: 'largest file that can be uploaded, such as 512MiB',
      default: limits.fileBytes,
      group: 'Limits',
    },
    {
      name: 'max-stored',
      type: 'bytes',
      minimum: 1,
      description: 'most bytes of all uploaded files together',
      default: limits.storedBytes,
      group: 'Limits',
    },
    {
      name: 'max-generations',
      type: 'integer',
      minimum: 1,
      maximum: 100_000,
      description: 'completions that are generated at the same time; more are answered with 429',
      default: limits.activeGenerations,
      group: 'Limits',
    },
    {
      name: 'max-jobs',
      type: 'integer',
      minimum: 0,
      maximum: 100_000,
      description: 'fine-tuning jobs that wait; more are answered with 429',
      default: limits.queuedJobs,
      group: 'Limits',
    },
    {
      name: 'max-tuned-models',
      type: 'integer',
      minimum: 1,
      maximum: 10_000,
      description: 'fine-tuned models that stay in memory; the one unused for longest makes room',
      default: limits.loadedTunedModels,
      group: 'Limits',
    },
    {
      name: 'max-step-runs',
      type: 'integer',
      minimum: 0,
      maximum: 10_000,
      description: 'step runs at the same time, each with a copy of its model in memory',
      default: limits.stepRuns,
      group: 'Limits',
    },
    ...clusterOptions,
    ...engineOptions,
  ],
  examples: [
    { text: 'one model', command: 'subzero serve --model examples/reviews-3m' },
    { text: 'a run as it was at its lowest validation loss', command: 'subzero serve --model tuned=runs/sst2@best' },
    {
      text: 'base and tuned model, with names of their own, open to the network',
      command:
        'SUBZERO_API_KEY=… subzero serve --model base=examples/reviews-3m --model tuned=runs/sst2 --host 0.0.0.0 ' +
        '--port 8000',
    },
  ],
  async run(context) {
    const { options } = context;
    const models: ServedModel[] = [];
    for (const model of namedModels(options.model)) {
      models.push({ ...(await localModel(context, model)), storage: options.storage });
    }
    for (const { lora, ...model } of namedAdapters(options.lora, models)) {
      models.push({ ...model, lora: await localPath(context, lora, adapterFiles) });
    }
    const cluster = clusterAddress(options, context.environment);
    return withEngine(context, async (engine) => {
      const shuttingDown = () => {
        if (!options.quiet) context.standardError.write('shutting down; press Ctrl-C again to end at once\n');
      };
      await interruptible(context, shuttingDown, async (signal) => {
        const server = await context.startServer({
          engine,
          models,
          host: options.host,
          port: options.port,
          apiKey: options.apiKey,
          dataDirectory: options.dataDirectory,
          allowedHosts: [...options.allowedHost],
          corsOrigins: [...options.corsOrigin],
          logLevel: options.logLevel ?? (options.quiet ? 'error' : 'info'),
          graceSeconds: options.graceSeconds,
          limits: {
            fileBytes: options.maxFile,
            storedBytes: options.maxStored,
            activeGenerations: options.maxGenerations,
            queuedJobs: options.maxJobs,
            loadedTunedModels: options.maxTunedModels,
            stepRuns: options.maxStepRuns,
          },
          ...(cluster ? { cluster } : {}),
        });
        if (!options.quiet) {
          const names = models.map(({ id, path, base, lora }) => `  ${id}  (${lora ? `${base} with ${lora}` : path})`);
          context.standardError.write(
            `${['models:', ...names, `dashboard: ${server.url}/`, `try: curl ${server.url}/v1/models`].join('\n')}\n`,
          );
        }
        context.standardOutput.write(`listening on ${server.url}\n`);
        await aborted(signal);
        await server.close();
      });
      return 0;
    });
  },
});

/** What a model is called by default: the name of its folder or of its GGUF file. */
function nameOfModel(path: string): string {
  const { id, file = path } = parseRepositoryName(path) ?? {};
  return isGgufPath(file) ? ggufModelName(file) : basename(resolve(id ?? path));
}

/**
 * `ID=PATH`, `PATH`, `PATH@STEP` → id, path and step.
 * @throws UsageError when there is no model or a name comes twice
 */
export function namedModels(words: readonly string[]): ServedModel[] {
  if (words.length === 0) {
    throw new UsageError('serve needs at least one --model [ID=]DIR|RUN', { parameter: 'model' });
  }
  const models = words.map((word): ReturnType<typeof namedModels>[number] => {
    const separator = word.indexOf('=');
    // A path may hold "=" itself: what stands before it is a name only if it looks like one.
    const named = separator > 0 && /^[A-Za-z0-9][\w.:-]*$/.test(word.slice(0, separator));
    const [, path = '', step] = /^(.*?)(?:@(\d+|best))?$/.exec(named ? word.slice(separator + 1) : word) ?? [];
    if (path === '') throw new UsageError(`--model ${word} names no folder and no file`, { parameter: 'model' });
    const id = named ? word.slice(0, separator) : nameOfModel(path);
    return { id, path, ...(step === undefined ? {} : { step: step === 'best' ? 'best' : Number(step) }) };
  });
  const twice = models.find((model, index) => models.some((other, at) => at < index && other.id === model.id));
  if (twice) {
    throw new UsageError(`two models would be called "${twice.id}"`, {
      parameter: 'model',
      hint: `give them names: --model first=… --model second=${twice.path}`,
    });
  }
  return models;
}

/**
 * `NAME=DIR`, `BASE+NAME=DIR` → a base model once more, with an adapter.
 * @throws UsageError for a form that is none of these, an unknown base and a name that comes twice
 */
export function namedAdapters(
  words: readonly string[],
  models: readonly ServedModel[],
): (ServedModel & { base: string; lora: string })[] {
  const refuse = (message: string): UsageError => new UsageError(message, { parameter: 'lora' });
  const names = new Set(models.map(({ id }) => id));
  return words.map((word) => {
    const [, baseName, id, lora] = /^(?:([^+=]+)\+)?([A-Za-z0-9][\w.:-]*)=(.+)$/.exec(word) ?? [];
    if (id === undefined || lora === undefined) throw refuse(`--lora must be NAME=DIR or BASE+NAME=DIR; got "${word}"`);
    const known = models.map((model) => model.id).join(', ');
    const base =
      baseName === undefined && models.length === 1 ? models[0] : models.find((model) => model.id === baseName);
    if (!base && baseName === undefined)
      throw refuse(`--lora ${word}: name the base model, BASE+${word}, one of ${known}`);
    if (!base) throw refuse(`--lora ${word}: there is no model "${baseName}"; there are ${known}`);
    if (names.has(id)) throw refuse(`--lora ${word}: another model is called "${id}"`);
    names.add(id);
    return { ...base, id, base: base.id, lora };
  });
}

/** A model with the path of its folder; what looks like the step of a run may be a revision. */
async function localModel(context: Parameters<typeof localPath>[0], model: ServedModel): Promise<ServedModel> {
  const { step, path, ...rest } = model;
  if (step === undefined || existsSync(path)) return { ...model, path: await localPath(context, path) };
  const at = `${path}@${step}`;
  const found = await localPath(context, at);
  return found === at ? model : { ...rest, path: found };
}

/** Browsers send scheme, host and port, and no more; anything else would never be equal to that. */
function checkOrigin(origin: string, label: string): void {
  if (origin === '*' || /^[a-z][a-z\d+.-]*:\/\/[^\s/?#@A-Z]+$/.test(origin)) return;
  throw new UsageError(`${label} must be * or an origin such as https://app.example:8443; got "${origin}"`, {
    parameter: 'cors-origin',
  });
}

function checkHostName(name: string, label: string): void {
  if (!/[/@\s]/.test(name)) return;
  throw new UsageError(`${label} must be a name such as models.example, without scheme and path; got "${name}"`, {
    parameter: 'allowed-host',
  });
}

/** Resolves when the signal is aborted, at once if that has happened already, as while the models were loading. */
function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) done();
    else signal.addEventListener('abort', () => done(), { once: true });
  });
}
