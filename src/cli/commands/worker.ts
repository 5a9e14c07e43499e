import { formatDuration } from '../../format.ts';
import { clusterOptions, requireCluster } from '../cluster-options.ts';
import { defineCommand } from '../command.ts';
import { engineOptions, jsonOption } from '../common-options.ts';
import { localPath, offlineOption } from '../hub-option.ts';
import { interruptible } from '../interrupt.ts';
import { createProgress } from '../progress.ts';
import { UsageError } from '../usage-error.ts';
import { withEngine } from '../with-engine.ts';

export const workerCommand = defineCommand({
  name: 'worker',
  summary: 'Help to train: score parts of the steps of runs that "subzero train --cluster" leads',
  usage: ['worker --cluster URL --model DIR [--model DIR …]'],
  details: [
    'A worker joins and leaves at any time. It needs the base model on its own disk, gets examples and journal from ' +
      'the cluster, writes nothing, and loads no model but those that --model names. Ctrl-C ends it after the ' +
      'current part.',
  ],
  options: [
    {
      name: 'model',
      type: 'list',
      placeholder: 'DIR',
      description: 'a base model that it may load, a folder or ORG/NAME[@REVISION]; repeatable',
    },
    offlineOption,
    {
      name: 'idle-seconds',
      type: 'number',
      minimum: 1,
      description: 'end when there has been no run for so long',
      defaultText: 'wait for ever',
    },
    ...clusterOptions,
    ...engineOptions,
    { ...jsonOption, description: 'print every event as a JSON line' },
  ],
  examples: [
    {
      text: 'a second machine for any run of this base model',
      command: 'subzero worker --cluster nats://10.0.0.1:4222 --model examples/reviews-3m',
    },
  ],
  async run(context) {
    const { options } = context;
    const address = requireCluster(options, context.environment, 'worker');
    if (options.model.length === 0) {
      throw new UsageError('worker needs --model DIR: it loads no model that its operator has not named', {
        parameter: 'model',
      });
    }
    const models: string[] = [];
    for (const model of options.model) models.push(await localPath(context, model));
    const request = {
      ...address,
      models,
      ...(options.idleSeconds === undefined ? {} : { idleSeconds: options.idleSeconds }),
    };
    return withEngine(context, async (engine) => {
      const report = createProgress(context, options.quiet || options.json);
      const notice = () => report.line('leaving after this part; press Ctrl-C again to end at once');
      const { exitCode } = await interruptible(context, notice, async (signal) => {
        for await (const event of engine.work(request, signal)) {
          if (options.json) {
            context.standardOutput.write(`${JSON.stringify(event)}\n`);
            continue;
          }
          switch (event.type) {
            case 'waiting':
              report.line(`waiting for runs of ${event.models.join(', ')}`);
              break;
            case 'joined':
              report.line(
                `joined ${event.run} at step ${event.step} of ${event.steps} after ${formatDuration(event.seconds)}` +
                  (event.snapshot === null ? '' : `, from the snapshot at step ${event.snapshot}`),
              );
              break;
            case 'message':
              report.line(event.message);
              break;
            case 'progress':
              report.update(`${event.run}: step ${event.step} of ${event.steps}, ${event.shards} parts scored here`);
              break;
            case 'left':
              report.line(`left ${event.run} after ${event.shards} parts: ${event.reason}`);
          }
        }
      });
      return exitCode;
    });
  },
});
