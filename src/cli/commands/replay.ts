import { SubzeroError } from '../../errors.ts';
import { defineCommand } from '../command.ts';
import { engineOptions, jsonOption } from '../common-options.ts';
import { bestStep, loadOnlyModel, stepOption } from '../model-option.ts';
import { requireOption } from '../require-option.ts';
import { withEngine } from '../with-engine.ts';

export const replayCommand = defineCommand({
  name: 'replay',
  summary: 'Rebuild the model of a run as it was after any step, from its journal alone',
  usage: ['replay --run RUN [--to N|best] [--out DIR] [options]'],
  details: ['Without --out, this checks that the journal can be replayed and says how long it takes.'],
  options: [
    { name: 'run', type: 'text', placeholder: 'RUN', description: 'run folder with the journal' },
    { ...stepOption, name: 'to', description: `step to rebuild; ${bestStep}` },
    { name: 'out', type: 'text', placeholder: 'DIR', description: 'write the rebuilt model to this folder' },
    { ...jsonOption, description: 'print step, seconds and the files written as one JSON line' },
    ...engineOptions,
  ],
  examples: [
    { text: 'the model as it was after 100 steps', command: 'subzero replay --run runs/sst2 --to 100 --out at-100' },
  ],
  async run(context) {
    const { options } = context;
    const run = requireOption(options.run, 'replay', 'run RUN');
    return withEngine(context, async (engine) => {
      const start = context.now();
      const id = await loadOnlyModel(engine, run, { step: options.to });
      const seconds = (context.now() - start) / 1000;
      const model = (await engine.models()).find((candidate) => candidate.id === id);
      if (model?.kind !== 'run') {
        throw new SubzeroError('invalid_argument', `${run} is a model, not a run; there is nothing to replay`, {
          parameter: 'run',
        });
      }
      const step = model.step ?? 0;
      const files =
        options.out === undefined ? [] : await engine.exportRun({ run, format: 'safetensors', out: options.out, step });
      if (options.json) {
        context.standardOutput.write(`${JSON.stringify({ run, step, seconds, files })}\n`);
      } else {
        const lines = [`rebuilt step ${step} of ${run} in ${seconds.toFixed(2)} s`, ...files];
        context.standardOutput.write(`${lines.join('\n')}\n`);
      }
      return 0;
    });
  },
});
