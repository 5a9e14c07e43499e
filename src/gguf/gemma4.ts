/**
 * Gemma 4 in GGUF files.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import {
  type Architecture,
  attention,
  type Config,
  feedForward,
  headNorms,
  type ModelSizes,
  u32,
} from './architecture.ts';
import type { Keys } from './keys.ts';
import { chosenExperts } from './mixtures.ts';

const [sliding, full] = ['sliding_attention', 'full_attention'];

const usualShare = 0.25;

/** A divisor that turns nothing, as the converter writes it. */
const still = 1e30;

/** The types of layers. @throws SubzeroError `invalid_data` */
function typesOf(keys: Keys): string[] {
  const slides = keys.flags('attention.sliding_window_pattern', keys.whole('block_count'));
  if (!slides) throw keys.wrong('attention.sliding_window_pattern', 'a truth value for each layer', undefined);
  return slides.map((is) => (is ? sliding! : full!));
}

/** The heads of keys of a type of layers. @throws SubzeroError `unsupported` where layers of a type differ */
function keyHeadsOf(keys: Keys, type: string): number {
  const types = typesOf(keys);
  const counts = keys.wholes('attention.head_count_kv', types.length).filter((_, layer) => types[layer] === type);
  if (new Set(counts).size <= 1) return counts[0] ?? 0;
  throw keys.error('unsupported', 'attention.head_count_kv', `differs between layers of the type ${type}`);
}

/** Which part of a head of the layers that see everything is turned. */
function turnedPart(divisors: Float32Array, width: number, keys: Keys): number {
  const turned = divisors.indexOf(divisors.find((divisor) => divisor !== 1) ?? Number.NaN);
  const count = turned < 0 ? divisors.length : turned;
  const isRule = divisors.length === width / 2 && divisors.every((divisor, pair) => divisor === 1 || pair >= count);
  if (isRule && divisors.subarray(count).every((divisor) => divisor >= 1e20)) {
    // A share that is no whole number of pairs was rounded down: the published one is taken where it comes to as many.
    return Math.floor((usualShare * width) / 2) === count ? usualShare : count / divisors.length;
  }
  throw new SubzeroError(
    'unsupported',
    `${keys.file}: tensor "rope_freqs.weight": expected ${width / 2} numbers, 1 for the pairs that turn and ${still} ` +
      'behind them',
    { parameter: keys.file },
  );
}

/** A configuration with its defaults, as `Gemma4TextConfig` has them. */
function withDefaults(config: Config, { layers }: ModelSizes) {
  const kinds = Array.from({ length: layers }, (_, layer) => ((layer + 1) % 6 === 0 ? full! : sliding!));
  const types = ((config.layer_types as string[] | undefined | null) ?? kinds).with(layers - 1, full!);
  const byLayer = config.per_layer_config as Record<string, Record<string, number>> | undefined;
  const own = Object.entries(byLayer ?? {}).find(([layer]) => types[Number(layer)] === full)?.[1] ?? {};
  const width = (config.head_dim ?? 256) as number;
  const keyHeads = (config.num_key_value_heads ?? 4) as number;
  const global = config.attention_k_eq_v ? config.num_global_key_value_heads : undefined;
  return {
    ...{ types, width, keyHeads },
    fullWidth: byLayer ? (own.head_dim ?? width) : ((config.global_head_dim ?? 512) as number),
    fullKeyHeads: byLayer ? (own.num_key_value_heads ?? keyHeads) : ((global ?? keyHeads) as number),
    shared: (config.num_kv_shared_layers ?? 0) as number,
    inner: (config.intermediate_size ?? 9216) as number,
  };
}

/** The rotary settings of a type of layers. */
function rotationOf(config: Config, type: string): Config {
  const all = config.rope_parameters as Record<string, Config> | undefined;
  const usual =
    type === sliding
      ? { rope_type: 'default', rope_theta: 1e4 }
      : { rope_type: 'proportional', partial_rotary_factor: usualShare, rope_theta: 1e6 };
  return all?.[type] ?? usual;
}

export const gemma4: Architecture = {
  type: () => 'gemma4_text',
  className: { gemma4_text: 'Gemma4ForCausalLM' },
  outer: {
    per_layer_token_embd: 'model.embed_tokens_per_layer',
    per_layer_model_proj: 'model.per_layer_model_projection',
    per_layer_proj_norm: 'model.per_layer_projection_norm',
  },
  layer: {
    ...attention,
    ...feedForward,
    ...headNorms,
    attn_norm: 'input_layernorm',
    post_attention_norm: 'post_attention_layernorm',
    ffn_norm: 'pre_feedforward_layernorm',
    post_ffw_norm: 'post_feedforward_layernorm',
    pre_ffw_norm_2: 'pre_feedforward_layernorm_2',
    post_ffw_norm_1: 'post_feedforward_layernorm_1',
    post_ffw_norm_2: 'post_feedforward_layernorm_2',
    inp_gate: 'per_layer_input_gate',
    proj: 'per_layer_projection',
    post_norm: 'post_per_layer_input_norm',
    ffn_gate_inp: 'router.proj',
  },
  unsuffixed: {
    'layer_output_scale.weight': 'layer_scalar',
    'ffn_gate_inp.scale': 'router.scale',
    'ffn_down_exps.scale': 'router.per_expert_scale',
  },
  experts: { packed: 'experts.gate_up_proj', down: 'experts.down_proj', interleaved: false, together: true },
  sizes: (keys) => {
    const inners = keys.wholes('feed_forward_length', keys.whole('block_count'));
    return {
      keyHeads: keyHeadsOf(keys, sliding!) || keyHeadsOf(keys, full!),
      headWidth: keys.whole('attention.key_length_swa'),
      inner: inners[0]!,
    };
  },
  rope: async (keys, read) => {
    const width = keys.whole('attention.key_length');
    const divisors = await read('rope_freqs.weight');
    const share = divisors ? turnedPart(divisors, width, keys) : 1;
    keys.raw('rope.dimension_count');
    const widthOfSliding = keys.whole('attention.key_length_swa');
    const turned = keys.whole('rope.dimension_count_swa', widthOfSliding);
    if (turned !== widthOfSliding) {
      throw keys.error('unsupported', 'rope.dimension_count_swa', `is ${turned}, and heads have ${widthOfSliding}`);
    }
    const scaling = keys.text('rope.scaling.type', 'none');
    if (scaling !== 'none') throw keys.error('unsupported', 'rope.scaling.type', `is "${scaling}"; supported is none`);
    return {
      rope_parameters: {
        sliding_attention: { rope_type: 'default', rope_theta: keys.real('rope.freq_base_swa', 10_000) },
        full_attention: {
          rope_type: 'proportional',
          partial_rotary_factor: share,
          rope_theta: keys.real('rope.freq_base', 1_000_000),
        },
      },
    };
  },
  own: (keys, tensors) => {
    const types = typesOf(keys);
    const layers = types.length;
    const inners = keys.wholes('feed_forward_length', layers);
    const shared = keys.whole('attention.shared_kv_layers', 0);
    const wide = inners.some((inner) => inner !== inners[0]);
    const expected = inners.map((_, layer) => (wide && layer >= layers - shared ? 2 : 1) * inners[0]!);
    if (expected.some((inner, layer) => inner !== inners[layer])) {
      throw keys.error(
        'unsupported',
        'feed_forward_length',
        'differs otherwise than twice as much where keys are shared',
      );
    }
    if (keys.whole('attention.value_length_swa') !== keys.whole('attention.key_length_swa')) {
      throw keys.error('unsupported', 'attention.value_length_swa', 'is not the width of keys');
    }
    const firstFull = types.indexOf(full!);
    const width = keys.whole('attention.key_length');
    const keysAreValues = !tensors.has(`blk.${firstFull}.attn_v.weight`);
    const keyHeads = keyHeadsOf(keys, full!);
    // Without keys for values, transformers has other heads by layer only.
    const byLayer = !keysAreValues && keyHeads !== (keyHeadsOf(keys, sliding!) || keyHeads);
    const ownHeads = { head_dim: width, num_key_value_heads: keyHeads };
    const experts = keys.whole('expert_count', 0);
    const inputs = keys.whole('embedding_length_per_layer_input', 0);
    return {
      hidden_act: undefined,
      hidden_activation: 'gelu_pytorch_tanh',
      layer_types: types,
      sliding_window: keys.whole('attention.sliding_window'),
      global_head_dim: width,
      num_global_key_value_heads: keyHeads,
      attention_k_eq_v: keysAreValues,
      ...(byLayer
        ? {
            per_layer_config: Object.fromEntries(
              types.flatMap((type, layer) => (type === full ? [[layer, ownHeads]] : [])),
            ),
          }
        : {}),
      num_kv_shared_layers: shared,
      use_double_wide_mlp: wide,
      hidden_size_per_layer_input: inputs,
      ...(inputs > 0 ? { vocab_size_per_layer_input: tensors.rows('per_layer_token_embd.weight') } : {}),
      final_logit_softcapping: keys.real('final_logit_softcapping', null),
      enable_moe_block: experts > 0,
      ...(experts > 0
        ? {
            num_experts: experts,
            top_k_experts: chosenExperts(keys, true),
            moe_intermediate_size: keys.whole('expert_feed_forward_length'),
          }
        : {}),
    };
  },
  divisors: (config, sizes) => {
    const { fullWidth } = withDefaults(config, sizes);
    const share = (rotationOf(config, full!).partial_rotary_factor ?? 1) as number;
    const turned = Math.floor((fullWidth * share) / 2);
    return Array.from({ length: fullWidth / 2 }, (_, pair) => (pair < turned ? 1 : still));
  },
  written: (config, sizes) => {
    const { types, width, keyHeads, fullWidth, fullKeyHeads, shared, inner } = withDefaults(config, sizes);
    const cap = config.final_logit_softcapping;
    const inners = types.map((_, layer) => (layer >= types.length - shared ? 2 * inner : inner));
    return {
      feed_forward_length: config.use_double_wide_mlp ? { kind: 'i32s', value: inners } : u32(inner),
      'attention.head_count_kv':
        keyHeads === fullKeyHeads
          ? u32(keyHeads)
          : { kind: 'i32s', value: types.map((type) => (type === full ? fullKeyHeads : keyHeads)) },
      'attention.key_length': u32(fullWidth),
      'attention.value_length': u32(fullWidth),
      'attention.key_length_swa': u32(width),
      'attention.value_length_swa': u32(width),
      'attention.sliding_window': u32(config.sliding_window ?? 512),
      'attention.sliding_window_pattern': { kind: 'flags', value: types.map((type) => type === sliding) },
      'attention.shared_kv_layers': u32(shared),
      embedding_length_per_layer_input: u32(config.hidden_size_per_layer_input ?? 256),
      'rope.dimension_count': u32(fullWidth),
      'rope.dimension_count_swa': u32(width),
      'rope.freq_base': { kind: 'f32', value: rotationOf(config, full!).rope_theta as number },
      'rope.freq_base_swa': { kind: 'f32', value: rotationOf(config, sliding!).rope_theta as number },
      ...(typeof cap === 'number' ? { final_logit_softcapping: { kind: 'f32', value: cap } } : {}),
      ...(config.enable_moe_block ? { expert_feed_forward_length: u32(config.moe_intermediate_size) } : {}),
    };
  },
};
