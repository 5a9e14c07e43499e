import { basename, resolve } from 'node:path';
import type { StepChoice } from '../../train/best.ts';
import { defineCommand } from '../command.ts';
import { engineOptions } from '../common-options.ts';
import { interruptible } from '../interrupt.ts';
import { UsageError } from '../usage-error.ts';
import { withEngine } from '../with-engine.ts';

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
        'model directory or run folder; ID is its name in requests, by default the name of the folder; a run is served as it was ' +
        'after STEP, a number or best, by default the last one',
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
      group: 'Server',
    },
    {
      name: 'cors-origin',
      type: 'list',
      placeholder: 'ORIGIN',
      description: 'web pages of this origin may call the server; * = all',
      group: 'Server',
    },
    ...engineOptions,
  ],
  examples: [
    { text: 'one model', command: 'subzero serve --model examples/reviews-3m' },
    { text: 'a run as it was at its lowest validation loss', command: 'subzero serve --model tuned=runs/sst2@best' },
    {
      text: 'base and tuned model, with names of their own, open to the network',
      command:
        'SUBZERO_API_KEY=… subzero serve --model base=examples/reviews-3m --model tuned=runs/sst2 --host 0.0.0.0 --port 8000',
    },
  ],
  async run(context) {
    const { options } = context;
    const models = namedModels(options.model);
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
          logLevel: options.quiet ? 'error' : 'info',
        });
        if (!options.quiet) {
          const names = models.map((model) => `  ${model.id}  (${model.path})`);
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

/**
 * `ID=PATH`, `PATH`, `PATH@STEP` → id, path and step.
 * @throws UsageError when there is no model or a name comes twice
 */
export function namedModels(words: readonly string[]): { id: string; path: string; step?: StepChoice }[] {
  if (words.length === 0) {
    throw new UsageError('serve needs at least one --model [ID=]DIR|RUN', { parameter: 'model' });
  }
  const models = words.map((word): ReturnType<typeof namedModels>[number] => {
    const separator = word.indexOf('=');
    // A path may hold "=" itself: what stands before it is a name only if it looks like one.
    const named = separator > 0 && /^[A-Za-z0-9][\w.:-]*$/.test(word.slice(0, separator));
    const [, path = '', step] = /^(.*?)(?:@(\d+|best))?$/.exec(named ? word.slice(separator + 1) : word) ?? [];
    if (path === '') throw new UsageError(`--model ${word} names no folder`, { parameter: 'model' });
    const id = named ? word.slice(0, separator) : basename(resolve(path));
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

/** Resolves when the signal is aborted, at once if that has happened already, as while the models were loading. */
function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) done();
    else signal.addEventListener('abort', () => done(), { once: true });
  });
}
