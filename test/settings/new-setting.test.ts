/**
 * A row more in the table of settings reaches every place that settings are taken or described at.
 *
 * @module
 */

import { readFileSync } from 'node:fs';
import { expect, test, vi } from 'vitest';

vi.mock('../../src/settings/settings.ts', async (original) => {
  const table = await original<typeof import('../../src/settings/settings.ts')>();
  const row = {
    ...{ type: 'integer', default: 3, minimum: 2, maximum: 40, help: 'how much novelty', group: 'run' },
    ...{ appliesTo: { holds: ({ optimizer }: { optimizer: string }) => optimizer === 'mezo', without: ['a reason'] } },
    ...{ requestName: 'new_things', changes: 'resume' },
  };
  Object.assign(table.settings, { novelThings: row });
  return { ...table, settingNames: [...table.settingNames, 'novelThings'] };
});

const { resolveConfiguration } = await import('../../src/settings/configuration.ts');
const { commandHelp } = await import('../../src/cli/help.ts');
const { idleSettings } = await import('../../src/cli/idle-settings.ts');
const { parseOptions } = await import('../../src/cli/parse.ts');
const { forkCommand } = await import('../../src/cli/commands/fork.ts');
const { givenSettings } = await import('../../src/cli/setting-options.ts');
const { trainCommand } = await import('../../src/cli/commands/train.ts');
const { resolveMethod, toWire } = await import('../../server/jobs/hyperparameters.ts');
const { withSettings } = await import('../../server/settings-form.ts');
const { startServer } = await import('../server/harness.ts');

const given = { novelThings: 9 } as object;

test('its default and its bounds', () => {
  expect(resolveConfiguration({})).toMatchObject({ novelThings: 3 });
  expect(resolveConfiguration(given)).toMatchObject(given);
  expect(() => resolveConfiguration({ novelThings: 1 } as object)).toThrow(
    'novelThings must be between 2 and 40; got 1',
  );
  expect(() => resolveConfiguration({ novelThings: 2.5 } as object)).toThrow('novelThings must be a whole number');
});

test('the command line: option, help, warning', () => {
  const parsed = parseOptions(trainCommand.options, ['--novel-things', '9'], {});
  expect(givenSettings({ options: parsed.values, sources: parsed.sources })).toEqual(given);
  expect(() => parseOptions(trainCommand.options, ['--novel-things', '41'], {})).toThrow(
    '--novel-things must be between 2 and 40; got 41',
  );
  for (const command of [trainCommand, forkCommand]) {
    expect(commandHelp(command)).toMatch(/--novel-things N\s+how much novelty/);
  }
  expect(commandHelp(trainCommand)).toMatch(/takes only --steps,? .*--novel-things/s);
  expect(idleSettings(given)).toEqual([
    [expect.anything(), { parameter: 'novelThings' }, expect.anything(), 'a reason', ''],
  ]);
  expect(idleSettings({ ...given, optimizer: 'mezo' })).toEqual([]);
});

test('requests, their description, and the form of the dashboard', async () => {
  const path = 'hyperparameters';
  const request = { type: 'zeroth_order', hyperparameters: { new_things: 9 }, path } as const;
  const { configuration } = resolveMethod(request, null, 1);
  expect(toWire(configuration)).toMatchObject({ new_things: 9 });
  const wrong = { ...request, hyperparameters: { new_things: 1 } };
  expect(() => resolveMethod(wrong, null, 1)).toThrow('new_things must be between 2 and 40; got 1.');

  const { url } = await startServer();
  const text = await (await fetch(`${url}/openapi.json`)).text();
  const { properties } = JSON.parse(text).components.schemas.ZerothOrderHyperparameters;
  expect(properties.new_things).toMatchObject({
    description: 'how much novelty; no effect without a reason',
    default: 3,
  });
  expect(JSON.stringify(properties.new_things)).toContain('"minimum":2,"maximum":40');

  const page = withSettings(readFileSync(new URL('../../server/dashboard/index.html', import.meta.url), 'utf8'));
  expect(page).toMatch(/<label data-optimizers="mezo">New things <input name="new_things"[^>]* placeholder="3">/);
});
