import { formatBytes } from '../../format.ts';
import { defineCommand } from '../command.ts';
import { engineOptions, jsonOption } from '../common-options.ts';
import { withEngine } from '../with-engine.ts';

export const doctorCommand = defineCommand({
  name: 'doctor',
  summary: 'Say which GPU is used, what it can do and what is missing',
  usage: ['doctor [options]'],
  options: [{ ...jsonOption, description: 'print the facts as one JSON line' }, ...engineOptions],
  examples: [{ text: 'the adapter in use', command: 'subzero doctor' }],
  async run(context) {
    return withEngine(context, async (engine) => {
      const info = await engine.info();
      if (context.options.json) {
        context.standardOutput.write(`${JSON.stringify(info)}\n`);
        return 0;
      }
      const { description, vendor, architecture, software } = info.adapter;
      const lines = [
        `adapter:   ${description || vendor} (${vendor} ${architecture}${software ? ', software' : ''})`,
        `features:  ${info.features.join(', ')}`,
        `memory:    ${formatBytes(info.memory.liveBytes)} in use`,
      ];
      context.standardOutput.write(`${lines.join('\n')}\n`);
      return 0;
    });
  },
});
