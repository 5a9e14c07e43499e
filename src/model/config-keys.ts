/**
 * Keys of config.json that are not read: those known to change nothing here, with the reason, and those whose value
 * must be the one that changes nothing. Every other key is refused by name, so that no setting is dropped in silence.
 *
 * "transformers" is Hugging Face transformers 5.24, whose function these checkpoints are meant to have.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { brief, type Config } from './config-fields.ts';

/** Several keys with one reason. */
function keys(reason: string, names: string): [string, string][] {
  return names.split(/\s+/).map((name) => [name, reason]);
}

const dropout =
  'dropout is part of training by backpropagation; passes here, those of training too, are those of evaluation';
const sampling = 'sampling settings come with a request; transformers takes them out of config.json unread';
const texts = 'is about where texts begin and end, which the tokenizer decides, and not about the function';
const kernel = 'chooses among programs that compute the same function';
const output = 'is about what a call in Python returns';
const classifier = 'is about heads of classifiers, which a language model does not have';
const initial = 'is about weights before training';
const training = 'is about how the model was or is to be trained elsewhere';
const provenance = 'tells where the file comes from';
const tokenizer = 'is a setting of the tokenizer, which has files of its own';
const storage = 'is the type in which Python holds the weights; here they stay as stored and sums are f32';

/** Known to change nothing, whatever the value: key → reason. */
export const ignoredKeys: Readonly<Record<string, string>> = Object.fromEntries([
  ...keys(
    provenance,
    '_name_or_path name_or_path base_model_name_or_path model_name _commit_hash transformers_version',
  ),
  ...keys(provenance, '_from_model_config unsloth_version unsloth_fixed is_llama_config transformers.js_config'),
  ...keys(storage, 'dtype torch_dtype use_bfloat16'),
  ...keys(output, 'output_hidden_states output_attentions return_dict use_return_dict torchscript tf_legacy_loss'),
  ...keys(output, 'output_router_logits tie_last_hidden_states'),
  ...keys(classifier, 'id2label label2id num_labels problem_type finetuning_task classifier_dropout classifier_bias'),
  ...keys(initial, 'initializer_range init_std initializer_factor init_device init_method'),
  ...keys(dropout, 'attention_dropout dropout activation_dropout layerdrop hidden_dropout hidden_dropout_prob'),
  ...keys(dropout, 'attention_probs_dropout_prob attn_pdrop embd_pdrop resid_pdrop resid_dropout residual_dropout'),
  ...keys(dropout, 'embedding_dropout embed_dropout'),
  ...keys(
    training,
    'gradient_checkpointing use_gradient_checkpointing pretraining_tp chunk_size_feed_forward task_specific_params',
  ),
  ...keys(training, 'neftune_noise_alpha router_aux_loss_coef router_jitter_noise'),
  ...keys(kernel, 'use_cache _attn_implementation _attn_implementation_internal attn_implementation'),
  ...keys(kernel, '_attn_implementation_autoset _experts_implementation_internal experts_implementation'),
  ...keys(kernel, '_flash_attn_2_enabled use_flash_attn use_flash_attention use_flash_attention_2 flash_attention'),
  ...keys(kernel, 'use_flash_attn_2 use_fused_rms_norm use_fused_rope'),
  ...keys(texts, 'bos_token_id eos_token_id pad_token_id unk_token_id sep_token_id cls_token_id mask_token_id'),
  ...keys(texts, 'decoder_start_token_id end_token_id bos_token eos_token pad_token unk_token prefix'),
  ...keys(tokenizer, 'tokenizer_class tokenizer_model_max_length tokenizer_padding_side tokenizer_type padding_side'),
  ...keys(tokenizer, 'model_max_length max_sequence_length max_seq_length max_seq_len seq_length chat_template'),
  ...keys(
    sampling,
    'max_length min_length max_new_tokens do_sample early_stopping num_beams temperature top_k top_p typical_p',
  ),
  ...keys(
    sampling,
    'repetition_penalty length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size bad_words_ids',
  ),
  ...keys(
    sampling,
    'num_return_sequences output_scores return_dict_in_generate forced_bos_token_id forced_eos_token_id',
  ),
  ...keys(sampling, 'remove_invalid_values exponential_decay_length_penalty suppress_tokens begin_suppress_tokens'),
  ...keys(sampling, 'epsilon_cutoff eta_cutoff encoder_repetition_penalty num_assistant_tokens num_beam_groups'),
  ...keys(
    sampling,
    'num_assistant_tokens_schedule assistant_confidence_threshold assistant_lookbehind target_lookbehind',
  ),
  ...keys(sampling, 'diversity_penalty'),
  ...keys('weights are shared between encoders and decoders; there is no encoder', 'tie_encoder_decoder'),
  ...keys('turns the cache of decoders on in models that can be encoders too', 'is_decoder'),
]);

/** A key that may have certain values only. */
export interface NeutralKey {
  accepts: (value: unknown) => boolean;
  expected: string;
  /** What another value would do. */
  otherwise: string;
}

/** A key with a few values that change nothing. */
export function only(values: readonly unknown[], otherwise: string): NeutralKey {
  const expected = values.map((value) => JSON.stringify(value)).join(' or ');
  return { accepts: (value) => value === null || values.includes(value), expected, otherwise };
}

/** A switch that is on where the key is absent, and off by null, as in Python. */
function on(otherwise: string): NeutralKey {
  return { accepts: (value) => value === true, expected: 'true', otherwise };
}

/** Null, or an object or list without content. */
function isEmpty(value: unknown): boolean {
  return value === null || (typeof value === 'object' && Object.keys(value).length === 0);
}

function empty(otherwise: string): NeutralKey {
  return { accepts: isEmpty, expected: 'null or empty', otherwise };
}

const quantized: NeutralKey = {
  ...empty('the weights are quantized'),
  expected: 'absent: quantized weights cannot be read',
};

/** Keys whose value must be the one that changes nothing, in every architecture. */
export const neutralKeys: Readonly<Record<string, NeutralKey>> = {
  is_causal: on('tokens would see those after them'),
  is_encoder_decoder: only([false], 'the model would have an encoder'),
  add_cross_attention: only([false], 'layers would attend to an encoder'),
  cross_attention_hidden_size: empty('layers would attend to an encoder'),
  pruned_heads: empty('heads would be left out'),
  per_layer_config: empty('layers would differ from each other'),
  kv_sharing_modes: empty('layers would share keys and values'),
  attention_chunk_size: empty('tokens would see their own chunk only'),
  rope_interleaved: only([false], 'neighbouring elements of a head would be turned as pairs'),
  use_mrope: only([false], 'positions would have several axes'),
  cache_implementation: only(
    ['static', 'dynamic', 'hybrid', 'sliding_window', 'offloaded'],
    'keys and values would be rounded',
  ),
  quantization_config: quantized,
  quantization: quantized,
  compression_config: quantized,
};

/** Keys of other Llama-like architectures, with the value that means the same as their absence. */
export const offElsewhere = {
  attention_bias: only([false], 'this architecture has no such biases'),
  mlp_bias: only([false], 'this architecture has no such biases'),
  use_sliding_window: only([false], 'this architecture does not switch its window with it'),
};

/** Keys without a meaning in architectures that do not choose windows by layer. */
export const noWindowLayers: Readonly<Record<string, string>> = {
  max_window_layers: 'the first layer with a window, in architectures that choose windows by layer',
};

/** What holds for one architecture besides. */
export interface KeysOfType {
  /** Known to change nothing: key → reason. */
  ignored?: Readonly<Record<string, string>>;
  /** Keys that may have certain values only. */
  neutral?: Readonly<Record<string, NeutralKey>>;
  /** Python code that `auto_map` may name as the model's, because the type's class was made of it. */
  code?: string;
  /**
   * The classes of its language model, or what follows the type's name in theirs, where these are not the usual ones.
   */
  classes?: readonly string[];
}

/**
 * Refuses keys that are neither read nor known to change nothing.
 *
 * @param read the keys that are read
 * @param own what holds for this architecture
 * @throws SubzeroError `unsupported` naming the key and its value
 */
export function checkKeys(
  config: Config,
  type: string,
  read: ReadonlySet<string>,
  { ignored = {}, neutral = {}, classes, code }: KeysOfType,
): void {
  for (const [key, value] of Object.entries(config)) {
    if (read.has(key)) continue;
    const ownRule = Object.hasOwn(neutral, key) ? neutral[key] : undefined;
    if (!ownRule && (Object.hasOwn(ignoredKeys, key) || Object.hasOwn(ignored, key))) continue;
    const rule = ownRule ?? (Object.hasOwn(neutralKeys, key) ? neutralKeys[key] : undefined);
    if (rule ? rule.accepts(value) : value === false || value === '' || isEmpty(value)) continue;
    if (rule === quantized) {
      const method = (value as Config | null)?.quant_method;
      const by = typeof method === 'string' ? ` (${method})` : '';
      throw new SubzeroError(
        'unsupported',
        `"${key}"${by}: quantized weights cannot be read; give the model in F32, F16 or BF16`,
      );
    }
    if (rule) {
      throw new SubzeroError(
        'unsupported',
        `"${key}" must be ${rule.expected}; got ${brief(value)}, with which ${rule.otherwise}`,
      );
    }
    throw new SubzeroError(
      'unsupported',
      `the key "${key}" (${brief(value)}) is not known for "${type}", so it cannot be told whether it changes the ` +
        'function; remove it from config.json if the model was trained without it',
    );
  }
  checkClass(config, type, { classes, code });
}

/** Refuses files that name another class than the language model of their type, or code of their own for it. */
function checkClass(
  config: Config,
  type: string,
  { classes: known, code: knownCode }: Pick<KeysOfType, 'classes' | 'code'>,
): void {
  const { architectures, auto_map: own } = config;
  const classes = Array.isArray(architectures) ? architectures : [];
  const plain = (name: unknown): string => String(name).replaceAll(/[_-]/g, '').toLowerCase();
  const expected = (known ?? ['ForCausalLM', 'LMHeadModel', 'Model']).flatMap((name) => [name, type + name]).map(plain);
  if (classes.length > 0 && !classes.some((name) => expected.includes(plain(name)))) {
    throw new SubzeroError(
      'unsupported',
      `"architectures" must name the language model of "${type}"; got ${brief(architectures)}, which is another ` +
        `function`,
    );
  }
  const code = typeof own === 'object' && own !== null ? Object.entries(own) : [];
  // A file that was copied names the repository of the code in front of it.
  const isKnown = (value: unknown): boolean => typeof value === 'string' && value.replace(/^.*--/, '') === knownCode;
  const isModel = (name: string): boolean => /^AutoModel(ForCausalLM|ForMaskedLM)?$/.test(name);
  const [model] = code.find(([name, value]) => isModel(name) && !isKnown(value)) ?? [];
  if (model) {
    throw new SubzeroError(
      'unsupported',
      `"auto_map" names Python code of the checkpoint's own as its ${model}, which is not run here; ` +
        `remove it if the model is a plain "${type}"`,
    );
  }
}
