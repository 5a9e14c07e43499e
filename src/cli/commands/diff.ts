import { compareRuns, type HeaderDifference, type RunDifference } from '../../train/diff.ts';
import { defineCommand } from '../command.ts';
import { jsonOption } from '../common-options.ts';
import { requireOption } from '../require-option.ts';

export const diffCommand = defineCommand({
  name: 'diff',
  summary: 'Show in which settings two runs differ, and the first step at which they part',
  usage: ['diff RUN_A RUN_B [--json]'],
  details: [
    'The exit code is 0 if settings, base model, data and all steps are the same, 1 if not, and 2 if that could not ' +
      'be found out.',
  ],
  failureCode: 2,
  operands: ['run', 'other'],
  options: [
    {
      name: 'run',
      type: 'text',
      placeholder: 'RUN_A',
      description: 'run folder; the name of the option can be left out',
    },
    {
      name: 'other',
      type: 'text',
      placeholder: 'RUN_B',
      description: 'run folder; the name of the option can be left out',
    },
    jsonOption,
  ],
  examples: [{ text: 'two runs', command: 'subzero diff runs/sst2 runs/sst2-slow' }],
  async run({ options, standardOutput }) {
    const a = requireOption(options.run, 'diff', 'run RUN_A');
    const b = requireOption(options.other, 'diff', 'other RUN_B');
    const difference = await compareRuns(a, b);
    standardOutput.write(`${options.json ? JSON.stringify(difference) : describe(difference)}\n`);
    return difference.same ? 0 : 1;
  },
});

function describe({ same, settings, circumstances, steps, parted, losses }: RunDifference): string {
  const lines = [
    ...settings.map(describeField),
    ...circumstances.map((field) => `${describeField(field)}  (not a setting)`),
  ];
  if (same) return [...lines, `the same ${steps.a} steps`].join('\n');
  if (parted) {
    lines.push(
      `parted at step ${parted.step}, in ${parted.fields.map((field) => fieldNames[field] ?? field).join(', ')}`,
    );
    lines.push(`  ρ  ${parted.a.projectedGradients.join(' ')}  |  ${parted.b.projectedGradients.join(' ')}`);
    lines.push(`  η  ${parted.a.learningRate}  |  ${parted.b.learningRate}`);
  } else if (steps.a !== steps.b) {
    lines.push(`the same ${Math.min(steps.a, steps.b)} steps; then one goes on`);
  } else {
    lines.push(`the same ${steps.a} steps`);
  }
  lines.push(`steps  ${steps.a}  |  ${steps.b}`);
  for (const { step, a, b } of losses) lines.push(`  loss of step ${step}  ${a ?? '–'}  |  ${b ?? '–'}`);
  return lines.join('\n');
}

const fieldNames: Readonly<Record<string, string>> = {
  projectedGradients: 'ρ',
  learningRate: 'η',
  curvatures: 'curvature',
  alignedGradients: 'aligned ρ',
};

function describeField({ field, a, b }: HeaderDifference): string {
  return `${field}  ${JSON.stringify(a)}  |  ${JSON.stringify(b)}`;
}
