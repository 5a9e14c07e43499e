/**
 * adapter_config.json of a LoRA that PEFT has written: which layers it changes, and how much.
 *
 * Every key is read, or known to change nothing when the adapter is applied, or refused by name: an adapter that is
 * applied otherwise than its author did gives other texts without a word. As PEFT 0.21 reads them.
 *
 * @see https://huggingface.co/docs/peft/package_reference/lora
 * @module
 */

import { SubzeroError } from '../errors.ts';

/** A list of names, or a regular expression over whole names. */
type Modules = readonly string[] | RegExp;

export interface PeftLoraConfig {
  /** The name of the base model, as its author knew it. */
  base: string;
  /** Whether a linear layer has a pair. @param name of its module */
  targets(name: string): boolean;
  /** The rank of a layer's pair. */
  rankOf(name: string): number;
  /** The factor on the product of a layer's pair. */
  scaleOf(name: string): number;
  /** DoRA: whether each pair has a magnitude for each output of its layer. */
  hasGains: boolean;
}

type Json = Record<string, unknown>;

/** Keys that say something about training, files or programs, and nothing about the function. */
const ignored = new Set([
  ...['auto_mapping', 'base_model_name_or_path', 'inference_mode', 'lora_dropout', 'peft_version', 'revision'],
  ...['megatron_config', 'megatron_core', 'loftq_config', 'eva_config', 'corda_config', 'lora_ga_config'],
  ...['runtime_config', 'qalora_group_size', 'ensure_weight_tying'],
  // It says that layers store their weights the other way round; PEFT corrects it where they do not.
  'fan_in_fan_out',
]);

/** Keys that are read below. */
const read = new Set([
  ...['peft_type', 'task_type', 'r', 'lora_alpha', 'use_rslora', 'target_modules', 'exclude_modules', 'rank_pattern'],
  ...['alpha_pattern', 'layers_to_transform', 'layers_pattern', 'bias', 'init_lora_weights', 'use_dora'],
]);

/** What other keys ask for, where that is known. */
const asked: Readonly<Record<string, string>> = {
  lora_bias: 'biases beside the pairs',
  modules_to_save: 'whole modules in the place of those of the model',
  trainable_token_indices: 'embeddings of its own for some tokens',
  layer_replication: 'layers that are run several times',
  target_parameters: 'pairs beside parameters that are not linear layers, such as those of experts',
  alora_invocation_tokens: 'pairs that count from some token on',
};

/** Starts that leave the model's weights as they are; all others store the difference there. */
const plainStarts: readonly unknown[] = [undefined, null, true, false, 'gaussian', 'eva', 'orthogonal'];

/** @throws SubzeroError `unsupported` that names the key and what it asks for, or `invalid_data` */
export function readPeftConfig(config: Json, file: string): PeftLoraConfig {
  const unsupported = (message: string): SubzeroError =>
    new SubzeroError('unsupported', `${file}: ${message}`, { parameter: file });
  const invalid = (message: string): SubzeroError =>
    new SubzeroError('invalid_data', `${file}: ${message}`, { parameter: file });
  const { peft_type: type, task_type: task = null, bias = 'none', init_lora_weights: start } = config;
  if (type !== 'LORA') {
    throw unsupported(
      `"peft_type" is ${JSON.stringify(type)}; only LORA adapters are applied. Merge it with PEFT's merge_and_unload()`,
    );
  }
  if (task !== null && task !== 'CAUSAL_LM') {
    throw unsupported(
      `"task_type" is ${JSON.stringify(task)}; expected CAUSAL_LM: other tasks have heads of their own`,
    );
  }
  if (bias !== 'none')
    throw unsupported(`"bias" is ${JSON.stringify(bias)}: biases of the model that were trained are not applied`);
  if (!plainStarts.includes(start)) {
    throw unsupported(
      `"init_lora_weights" is ${JSON.stringify(start)}, which changes the model's weights too; convert the adapter ` +
        'to plain LoRA with PEFT (path_initial_model_for_weight_conversion)',
    );
  }
  for (const [key, value] of Object.entries(config)) {
    if (ignored.has(key) || read.has(key) || isEmpty(value)) continue;
    const what = asked[key] ? `asks for ${asked[key]}` : 'is a key whose effect is not known here';
    throw unsupported(
      `"${key}" ${what}; it is not supported. Merge the adapter with PEFT's merge_and_unload(), or remove the key if ` +
        'the adapter does not depend on it',
    );
  }
  const expression = (source: string, key: string): RegExp => {
    try {
      return new RegExp(source, 'u');
    } catch (error) {
      throw unsupported(`"${key}" has an expression that JavaScript does not read (${(error as Error).message})`);
    }
  };
  const modules = (key: string): Modules | undefined => {
    const value = config[key];
    if (isEmpty(value)) return undefined;
    if (typeof value === 'string') return expression(`^(?:${value})$`, key);
    if (Array.isArray(value) && value.every((name) => typeof name === 'string')) return value;
    throw invalid(`"${key}" must be a list of names or a regular expression; got ${JSON.stringify(value)}`);
  };
  const number = (key: string, value: unknown): number => {
    if (typeof value === 'number' && Number.isFinite(value)) return value;
    throw invalid(`"${key}" must be a number; got ${JSON.stringify(value)}`);
  };
  const rank = (key: string, value: unknown): number => {
    const given = number(key, value);
    if (Number.isInteger(given) && given > 0) return given;
    throw invalid(`"${key}" must be a whole number above 0; got ${given}`);
  };
  const pattern = (key: string, check: (key: string, value: unknown) => number) => {
    const value = config[key] ?? {};
    if (typeof value !== 'object' || Array.isArray(value))
      throw invalid(`"${key}" must be an object; got ${JSON.stringify(value)}`);
    const entries = Object.entries(value as Json).map(([name, of]) => {
      return { name: expression(`^(?:.*\\.)?(?:${name})$`, key), value: check(`${key}.${name}`, of) };
    });
    return (module: string): number | undefined => entries.find(({ name }) => name.test(module))?.value;
  };
  const allLinear = typeof config.target_modules === 'string' && config.target_modules.toLowerCase() === 'all-linear';
  const targets = allLinear ? undefined : modules('target_modules');
  if (!allLinear && targets === undefined) throw invalid('"target_modules" names no layer');
  const excluded = modules('exclude_modules');
  const layers = layersOf(config, invalid, (source) => expression(source, 'layers_pattern'));
  const rankPattern = pattern('rank_pattern', rank);
  const alphaPattern = pattern('alpha_pattern', number);
  const commonRank = rank('r', config.r ?? 8);
  const commonAlpha = number('lora_alpha', config.lora_alpha ?? 8);
  const rankOf = (name: string): number => rankPattern(name) ?? commonRank;
  return {
    base: typeof config.base_model_name_or_path === 'string' ? config.base_model_name_or_path : '',
    targets(name) {
      if (excluded && fits(name, excluded)) return false;
      if (targets === undefined) return true;
      if (targets instanceof RegExp) return targets.test(name);
      // A whole name is meant whatever the layers are.
      return targets.includes(name) || (fits(name, targets) && layers(name));
    },
    rankOf,
    hasGains: config.use_dora === true,
    scaleOf(name) {
      const alpha = alphaPattern(name) ?? commonAlpha;
      return alpha / (config.use_rslora === true ? Math.sqrt(rankOf(name)) : rankOf(name));
    },
  };
}

function fits(name: string, modules: Modules): boolean {
  if (modules instanceof RegExp) return modules.test(name);
  return modules.some((target) => name === target || name.endsWith(`.${target}`));
}

/** Which layers of a list of names are meant, by the first number in their names. */
function layersOf(config: Json, invalid: (message: string) => SubzeroError, expression: (source: string) => RegExp) {
  const { layers_to_transform: given, layers_pattern: patterns } = config;
  if (isEmpty(given)) return () => true;
  const wanted = [given].flat();
  if (!wanted.every(Number.isInteger)) throw invalid('"layers_to_transform" must be whole numbers');
  const names = isEmpty(patterns) ? undefined : ([patterns].flat() as string[]);
  const expressions = names
    ? names.map((name) => expression(`^(?:|.*?\\.)${name}\\.(\\d+)\\.`))
    : [/^.*?\.[^.]*\.(\d+)\./];
  return (module: string): boolean => {
    const found = expressions.map((each) => each.exec(module)?.[1]).find((index) => index !== undefined);
    return found !== undefined && wanted.includes(Number(found));
  };
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === '') return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}
