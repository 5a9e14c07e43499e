import { plural, shellWord } from '../../format.ts';
import { clusterOptions, requireCluster } from '../cluster-options.ts';
import { defineCommand } from '../command.ts';
import { jsonOption } from '../common-options.ts';
import { runNatsServer } from '../nats-server.ts';
import { requireOption } from '../require-option.ts';

export const clusterCommand = defineCommand({
  name: 'cluster',
  summary: 'Start a NATS server for a cluster, list its runs, fetch one to go on with it here, or remove one',
  usage: [
    'cluster up [--port N] [--data DIR] [--host ADDRESS]',
    'cluster runs --cluster URL',
    'cluster fetch --cluster URL --run NAME --out RUN',
    'cluster remove --cluster URL --run NAME',
  ],
  operands: ['action'],
  options: [
    {
      name: 'action',
      type: 'text',
      choices: ['up', 'runs', 'fetch', 'remove'],
      description: 'what to do; the name of the option can be left out',
    },
    {
      name: 'run',
      type: 'text',
      placeholder: 'NAME',
      description: 'fetch, remove: a run, as "subzero cluster runs" calls it',
    },
    { name: 'out', type: 'text', placeholder: 'RUN', description: 'fetch: the new run folder' },
    { name: 'port', type: 'integer', minimum: 0, maximum: 65_535, default: 4222, description: 'up: where it listens' },
    {
      name: 'host',
      type: 'text',
      default: '127.0.0.1',
      description: 'up: the address it listens on; 0.0.0.0 lets other machines in, without a password',
    },
    { name: 'data', type: 'text', placeholder: 'DIR', default: 'nats', description: 'up: folder for its files' },
    ...clusterOptions,
    jsonOption,
  ],
  examples: [
    { text: 'a server for trying it on one machine', command: 'subzero cluster up' },
    {
      text: 'take a run over from a machine that is gone',
      command:
        'subzero cluster fetch --cluster nats://10.0.0.1:4222 --run mine-1a2b3c4d --out runs/mine\n' +
        'subzero train --resume runs/mine --cluster nats://10.0.0.1:4222',
    },
  ],
  async run(context) {
    const { options, standardOutput } = context;
    const action = requireOption(options.action, 'cluster', 'action up|runs|fetch|remove');
    if (action === 'up') return await runNatsServer(context, options);
    const address = requireCluster(options, context.environment, 'cluster');
    const cluster = await import('../../cluster/runs.ts');
    if (action === 'fetch') {
      const run = requireOption(options.run, 'cluster', 'run NAME');
      const out = requireOption(options.out, 'cluster', 'out RUN');
      const steps = await cluster.fetchRun(address, run, out);
      const next = `go on with: subzero train --resume ${shellWord(out)} --cluster ${cluster.withoutPassword(address.url)}`;
      standardOutput.write(
        options.json ? `${JSON.stringify({ run, out, steps })}\n` : `${out}: ${plural(steps, 'step')}; ${next}\n`,
      );
      return 0;
    }
    if (action === 'remove') {
      const run = requireOption(options.run, 'cluster', 'run NAME');
      await cluster.removeClusterRun(address, run);
      standardOutput.write(
        options.json ? `${JSON.stringify({ run, removed: true })}\n` : `removed ${run} from the cluster\n`,
      );
      return 0;
    }
    const runs = await cluster.clusterRuns(address);
    if (options.json) {
      standardOutput.write(`${JSON.stringify(runs)}\n`);
    } else if (runs.length === 0) {
      standardOutput.write('no runs\n');
    } else {
      for (const { run, step, owner } of runs) {
        standardOutput.write(`${run}  ${plural(step, 'step')}${owner === null ? '' : `, trained by ${owner}`}\n`);
      }
    }
    return 0;
  },
});
