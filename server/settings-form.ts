/**
 * The fields of the dashboard's form, one for each setting of training.
 *
 * @module
 */

import { defaultsOf, type SettingValue, type TrainConfiguration } from '../src/settings/configuration.ts';
import { methods, optimizerNames } from '../src/settings/methods.ts';
import { schemeNames, schemes } from '../src/settings/schemes.ts';
import type { Applies, Setting } from '../src/settings/setting.ts';
import { type SettingName, settingNames, settingOf, settings } from '../src/settings/settings.ts';
import { wireName } from './setting-names.ts';

/** Where a setting has its field, with the value that the form starts with: `<!-- setting rank 8 -->`. */
const placeOfOne = /<!-- setting (\w+)(?: (\S+))? -->/g;
/** Where all others have theirs. */
const placeOfOthers = '<!-- settings -->';

/** Puts the fields into the page. @param page HTML with places for them */
export function withSettings(page: string): string {
  const placed = new Set<string>();
  const filled = page.replaceAll(placeOfOne, (_, name: SettingName, value?: string) => {
    placed.add(name);
    return field(name, value);
  });
  const others = settingNames.filter((name) => !placed.has(name));
  return filled.replace(placeOfOthers, () => others.map((name) => field(name)).join('\n'));
}

/**
 * A label with its input. What the form's script reads: `data-type`, the type of the value; `data-optimizers` and
 * `data-schemes`, those that have the setting, if not all have it; `data-dependent`, where a field starts with a
 * value though they have defaults of their own. An empty field leaves the default.
 */
function field(name: SettingName, value?: string): string {
  const setting = settingOf(name);
  const defaults = defaultsOfAll(name);
  const dependent = value !== undefined && defaults.length > 1 ? ' data-dependent' : '';
  const data = `data-type="${setting.type}"${dependent}`;
  const attributes = `name="${wireName(name)}" ${data} title="${escaped(setting.help)}"`;
  return `<label${conditions(setting.appliesTo)}>${escaped(titleOf(name, setting))} ${inputOf()}</label>`;

  function inputOf(): string {
    const shown = defaults.length > 1 ? 'default' : String(defaults[0]);
    const choices = choicesOf(name, setting);
    if (choices)
      return `<select ${attributes}>${optionsOf(choices, defaults.length > 1 ? undefined : defaults[0])}</select>`;
    const modes = { integer: 'numeric', number: 'decimal', list: 'text', text: 'text' };
    const mode = modes[setting.type as keyof typeof modes];
    const start = value === undefined ? '' : ` value="${escaped(value)}"`;
    return `<input ${attributes} inputmode="${mode}"${start} placeholder="${escaped(shown)}">`;
  }
}

/** Values with their names for people; undefined where any number or text may stand. */
function choicesOf(name: SettingName, setting: Setting): [value: string, title: string][] | undefined {
  if (name === 'optimizer') return optimizerNames.map((optimizer) => [optimizer, methods[optimizer].title]);
  if (name === 'scheme') return schemeNames.map((scheme) => [scheme, schemes[scheme].title]);
  if (setting.type === 'choice') return setting.choices.map((choice) => [String(choice), String(choice)]);
  if (setting.type === 'boolean') return [true, false].map((choice) => [String(choice), choice ? 'yes' : 'no']);
  return undefined;
}

function optionsOf(choices: readonly [string, string][], chosen: SettingValue | undefined): string {
  const own = chosen === undefined ? '<option value="">default</option>' : '';
  const options = choices.map(([value, title]) => {
    const selected = value === String(chosen) ? ' selected' : '';
    return `<option value="${escaped(value)}"${selected}>${escaped(title)}</option>`;
  });
  return own + options.join('');
}

/** Label of a field: that of the row, or the name in words. */
function titleOf(name: SettingName, { title }: Setting): string {
  const text = title ?? wireName(name).replaceAll('_', ' ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** The defaults that optimisers and schemes have for a setting, each once. */
function defaultsOfAll(name: SettingName): SettingValue[] {
  if (name === 'optimizer' || name === 'scheme') return [settings[name].default];
  const all = optimizerNames.flatMap((optimizer) => schemeNames.map((scheme) => defaultsOf(optimizer, scheme)[name]));
  return [...new Map(all.map((value) => [String(value), value])).values()];
}

/** The optimisers and schemes under which a setting plays a part, by itself or with another choice. */
function conditions(applies: Applies | undefined): string {
  if (!applies) return '';
  const holding = optimizerNames.flatMap((optimizer) =>
    schemeNames.flatMap((scheme) => {
      const holds = otherChoices().some((choice) =>
        applies.holds({ ...defaultsOf(optimizer, scheme), ...choice, optimizer, scheme }),
      );
      return holds ? [{ optimizer, scheme }] : [];
    }),
  );
  const optimizers = optimizerNames.filter((name) => holding.some(({ optimizer }) => optimizer === name));
  const allowed = schemeNames.filter((name) => holding.some(({ scheme }) => scheme === name));
  return [
    optimizers.length < optimizerNames.length ? ` data-optimizers="${optimizers.join(' ')}"` : '',
    allowed.length < schemeNames.length ? ` data-schemes="${allowed.join(' ')}"` : '',
  ].join('');
}

/** Every choice of every setting that has some. */
function otherChoices(): Partial<TrainConfiguration>[] {
  return settingNames.flatMap((name) => {
    const setting = settingOf(name);
    return setting.type === 'choice' ? setting.choices.map((choice) => ({ [name]: choice })) : [];
  });
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
