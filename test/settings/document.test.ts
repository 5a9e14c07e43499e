/**
 * docs/settings.md is what the tables say. `vitest run test/settings/document.test.ts --update` writes it anew.
 *
 * @module
 */

import { expect, test } from 'vitest';
import { wireName } from '../../server/setting-names.ts';
import { kebabCase } from '../../src/cli/option.ts';
import { defaultsOf } from '../../src/settings/configuration.ts';
import { methods, optimizerNames } from '../../src/settings/methods.ts';
import { schemeNames, schemes } from '../../src/settings/schemes.ts';
import type { Setting } from '../../src/settings/setting.ts';
import { type SettingName, settingNames, settingOf } from '../../src/settings/settings.ts';
import { wording } from '../../src/words.ts';

test('docs/settings.md is what the tables of settings, optimisers and schemes say', async () => {
  await expect(documentText()).toMatchFileSnapshot('../../docs/settings.md');
});

function documentText(): string {
  const resumable = namesWith(({ changes }) => changes === 'resume');
  const forkable = namesWith(({ changes }) => changes === 'fork');
  return `# Settings of training

Made from src/settings/ by test/settings/document.test.ts, which says how. Options of \`subzero train\`, and
hyperparameters of [the HTTP service](http-api.md).

${table(['On the command line', 'In requests', 'Default', 'Values', 'Meaning'], settingNames.map(rowOf))}

- A resumed run may have anew: ${resumable}.
- A forked one these, and ${forkable}.
- All others give the recorded numbers their meaning and stay as they are.
- Runs that are made step by step lack those of a loop: ${namesWith(({ loop }) => loop === true)}.

## Optimisers and schemes

The defaults above are those of \`subzero\` and \`full\`. Where others have their own:

${defaultsTable()}
`;
}

function rowOf(name: SettingName): string[] {
  const setting = settingOf(name);
  const { help, unit, appliesTo } = setting;
  const effect = appliesTo
    ? `; no effect without ${wording(appliesTo.without, (other) => `\`${wireName(other)}\``)}`
    : '';
  const shown = [`\`--${kebabCase(name)}\``, `\`${wireName(name)}\``, shownValue(setting.default)];
  return [
    ...shown,
    valuesOf(setting),
    `${help.replaceAll(/[*|]/g, '\\$&')}${unit === 'bytes' ? '; in bytes' : ''}${effect}`,
  ];
}

function valuesOf(setting: Setting): string {
  switch (setting.type) {
    case 'choice':
      return setting.choices.map(shownValue).join(', ');
    case 'boolean':
      return 'true, false';
    case 'text':
      return 'text';
    case 'list':
      return 'texts';
    default:
      return `${setting.type === 'integer' ? 'whole, ' : ''}${shownValue(setting.minimum)} to ${setting.maximum}`;
  }
}

/** A row for each optimiser and scheme, a column for each setting in which they differ. */
function defaultsTable(): string {
  const all = optimizerNames.flatMap((optimizer) =>
    schemeNames.map((scheme) => ({ optimizer, scheme, defaults: defaultsOf(optimizer, scheme) })),
  );
  const differing = settingNames.filter(
    (name) => name !== 'optimizer' && name !== 'scheme' && new Set(all.map(({ defaults }) => defaults[name])).size > 1,
  );
  const rows = all.map(({ optimizer, scheme, defaults }) => [
    `${methods[optimizer].title} (\`${optimizer}\`)`,
    `${schemes[scheme].title} (\`${scheme}\`)`,
    ...differing.map((name) => shownValue(defaults[name])),
  ]);
  return table(['Optimiser', 'What trains', ...differing.map((name) => `\`${wireName(name)}\``)], rows);
}

function namesWith(holds: (setting: Setting) => boolean): string {
  return settingNames
    .filter((name) => holds(settingOf(name)))
    .map((name) => `\`${wireName(name)}\``)
    .join(', ');
}

function shownValue(value: string | number | boolean | readonly string[]): string {
  if (value === '') return 'none';
  if (typeof value === 'string') return `\`${value}\``;
  if (typeof value === 'number' && value > 0 && value < 0.01) return value.toExponential();
  return typeof value === 'object' ? 'none' : String(value);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), `|${'---|'.repeat(head.length)}`, ...rows.map(line)].join('\n');
}
