/**
 * The whitelist of generation_config.json. Only the ids of BOS and EOS are used: how to sample, and how much, is for
 * the request to say, with OpenAI's defaults. Settings that forbid, force or weigh tokens belong to the model, and are
 * refused, because leaving them out would change its answers.
 *
 * @module
 */

import { brief, Section } from './section.ts';

/** Keys that are used. */
const usedKeys = ['bos_token_id', 'eos_token_id'];

/** Keys that change no answer here, with why. */
export const neutralKeys: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    [
      ...['do_sample', 'temperature', 'top_k', 'top_p', 'min_p', 'top_h', 'typical_p', 'epsilon_cutoff', 'eta_cutoff'],
      ...['repetition_penalty', 'num_beams', 'num_beam_groups', 'num_return_sequences', 'early_stopping'],
      ...['length_penalty', 'diversity_penalty', 'penalty_alpha', 'dola_layers', 'renormalize_logits'],
    ].map((key) => [key, 'how to sample is for the request to say']),
  ),
  ...Object.fromEntries(
    ['max_length', 'max_new_tokens', 'min_length', 'min_new_tokens', 'max_time'].map((key) => [
      key,
      'how much to write is for the request to say',
    ]),
  ),
  ...Object.fromEntries(
    [
      ...['use_cache', 'cache_implementation', 'cache_config', 'max_cache_len', 'low_memory', 'compile_config'],
      ...['disable_compile', 'continuous_batching_config', 'prefill_chunk_size', 'use_mtp', 'is_assistant'],
      ...['num_assistant_tokens', 'num_assistant_tokens_schedule', 'assistant_confidence_threshold'],
      ...['prompt_lookup_num_tokens', 'max_matching_ngram_size', 'assistant_early_exit', 'assistant_lookbehind'],
      ...['target_lookbehind', 'assistant_ensemble_weight', 'speculation_type'],
    ].map((key) => [key, 'for speed: the tokens are the same']),
  ),
  ...Object.fromEntries(
    ['output_attentions', 'output_hidden_states', 'output_scores', 'output_logits', 'return_dict_in_generate'].map(
      (key) => [key, 'what a Python caller gets back'],
    ),
  ),
  pad_token_id: 'sequences are not filled up',
  decoder_start_token_id: 'for models with an encoder',
  encoder_no_repeat_ngram_size: 'for models with an encoder',
  encoder_repetition_penalty: 'for models with an encoder',
  remove_invalid_values: 'logits that are not numbers are an error',
  transformers_version: 'which version wrote the file',
  _from_model_config: 'how the file was made',
  _commit_hash: 'where the file came from',
};

const isEmpty = (value: unknown) => Array.isArray(value) && value.length === 0;

/** Keys that change answers and are not supported: the values that do not. */
const neutralValues: Readonly<Record<string, (value: unknown) => boolean>> = {
  no_repeat_ngram_size: (value) => value === 0,
  bad_words_ids: isEmpty,
  force_words_ids: isEmpty,
  constraints: isEmpty,
  forced_bos_token_id: () => false,
  forced_eos_token_id: () => false,
  exponential_decay_length_penalty: () => false,
  suppress_tokens: isEmpty,
  begin_suppress_tokens: isEmpty,
  sequence_bias: isEmpty,
  stop_strings: isEmpty,
  token_healing: (value) => value === false,
  guidance_scale: (value) => value === 1,
  watermarking_config: () => false,
};

/** Every key of generation_config.json that is known. */
export const knownKeys: readonly string[] = [...usedKeys, ...Object.keys(neutralKeys), ...Object.keys(neutralValues)];

/**
 * Checks a parsed generation_config.json.
 * @throws SubzeroError `unsupported` that names the key and the value; `invalid_data` for an id that is none
 */
export function checkGenerationConfig(config: Record<string, unknown>, file: string): void {
  const section = new Section(config, '', file);
  for (const key of usedKeys) {
    const value = section.raw(key) ?? [];
    const ids = Array.isArray(value) ? value : [value];
    if (!ids.every((id) => Number.isInteger(id) && id >= 0)) throw section.wrong(key, 'an id or a list of ids', value);
  }
  for (const [key, value] of Object.entries(config)) {
    if (value === null || usedKeys.includes(key) || Object.hasOwn(neutralKeys, key)) continue;
    const isNeutral = Object.hasOwn(neutralValues, key) ? neutralValues[key] : undefined;
    if (isNeutral?.(value)) continue;
    throw section.error(
      'unsupported',
      isNeutral === undefined
        ? `the key "${key}" is not known (${brief(value)}); remove it if it changes no answer`
        : `"${key}" is ${brief(value)}, which changes the model's answers and is not supported; expected null`,
    );
  }
}
