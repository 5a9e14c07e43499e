import { SubzeroError } from '../../errors.ts';
import { defineCommand } from '../command.ts';
import { engineOptions } from '../common-options.ts';

export const demoCommand = defineCommand({
  name: 'demo',
  summary: 'Fine-tune the example model on real data, serve it, and ask it something',
  usage: ['demo [options]'],
  options: [
    { name: 'steps', type: 'integer', minimum: 1, maximum: 10_000_000, description: 'training steps', default: 300 },
    {
      name: 'seed',
      type: 'integer',
      minimum: 0,
      description: 'of everything random; the same seed on the same adapter makes the same bits',
      default: 0,
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
  async run() {
    throw new SubzeroError('unsupported', 'the demo is not part of this build');
  },
});
