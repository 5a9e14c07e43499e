"""The tiny checkpoints of the parity suite: config.json as people's files have it, and how the weights are stored.

A case has `config`; perhaps `dtype` (F64, F32, F16, BF16), `shards`, `gains`, about what gains lie where it is not 1, `extra` ({name:
shape} of tensors that the class does not have) and `expect`: what our program says instead of numbers, as a regular expression.
`pending` marks a case that is known to disagree, with what is missing; the test demands that it does, so that the mark goes with the
fault.
"""

SIZES = dict(vocab_size=48, hidden_size=32, intermediate_size=40, num_hidden_layers=3, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=128)
OPT_SIZES = dict(vocab_size=48, hidden_size=32, ffn_dim=40, num_hidden_layers=3, num_attention_heads=4,
                 max_position_embeddings=128)
FAMILY = ("llama", "mistral", "qwen2", "qwen3", "smollm3", "olmo2", "seed_oss")
CLASSES = dict(llama="LlamaForCausalLM", mistral="MistralForCausalLM", qwen2="Qwen2ForCausalLM", qwen3="Qwen3ForCausalLM",
               smollm3="SmolLM3ForCausalLM", olmo2="Olmo2ForCausalLM", seed_oss="SeedOssForCausalLM", opt="OPTForCausalLM", lfm2="Lfm2ForCausalLM",
               qwen3_5_text="Qwen3_5ForCausalLM")
DELTA_RULE = dict(num_hidden_layers=4, head_dim=16, linear_key_head_dim=8, linear_value_head_dim=12, linear_num_key_heads=2,
                  linear_num_value_heads=4, rms_norm_eps=1e-3)
CASES = {}


def case(name, model_type, drop=(), stored=None, **keys):
    sizes = OPT_SIZES if model_type == "opt" else SIZES
    own = {"head_dim": 8} if model_type in ("qwen3", "seed_oss") else {}
    # SmolLM3's padding token is outside of a small vocabulary, which transformers refuses.
    own |= {"pad_token_id": 0} if model_type == "smollm3" else {}
    own |= DELTA_RULE if model_type == "qwen3_5_text" else {}
    config = {"architectures": [CLASSES[model_type]], "model_type": model_type} | sizes | own | keys
    gains = {"gains": 0} if model_type == "qwen3_5_text" else {}
    CASES[f"{model_type}: {name}"] = {"config": {key: value for key, value in config.items() if key not in drop}, **gains, **(stored or {})}


for each in FAMILY:
    case("nothing but sizes", each)
    case("key heads absent", each, drop=["num_key_value_heads"],
         **{"llama": {}, "mistral": dict(num_attention_heads=8), "smollm3": dict(num_attention_heads=8)}.get(each, dict(num_attention_heads=32, hidden_size=128)))
    case("key heads null", each, num_key_value_heads=None,
         stored=dict(expect='"num_key_value_heads" must be a whole number') if each == "mistral" else None)
    case("one key head", each, num_key_value_heads=1)
    case("head_dim 16", each, head_dim=16)
    case("tied", each, tie_word_embeddings=True)
    case("BF16, shards", each, stored=dict(dtype="BF16", shards=3), torch_dtype="bfloat16")
    case("F16, tied", each, stored=dict(dtype="F16"), tie_word_embeddings=True, dtype="float16")
    case("odd vocabulary", each, vocab_size=51, stored=dict(shards=2))
    case("yarn", each, rope_scaling=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32), rope_theta=1e6)
case("layers without rotation, listed", "smollm3", no_rope_layers=[0, 1, 0])
case("every second layer without rotation", "smollm3", no_rope_layer_interval=2)
case("windows in layers without rotation", "smollm3", no_rope_layers=[0, 1, 1], use_sliding_window=True, sliding_window=7)
case("windows, listed", "smollm3", use_sliding_window=True, sliding_window=7,
     layer_types=["full_attention", "sliding_attention", "full_attention"])
case("biases of attention and feed-forward, untied", "smollm3", attention_bias=True, mlp_bias=True, tie_word_embeddings=False)
case("biases of attention", "olmo2", attention_bias=True)
case("widths that 4 does not divide", "olmo2", hidden_size=30, num_attention_heads=3, num_key_value_heads=1, intermediate_size=42,
     stored=dict(expect="heads of 10 elements cannot be normalised together"))
case("odd width of the feed-forward layer", "olmo2", intermediate_size=37)
case("biases of all layers", "seed_oss", attention_out_bias=True, mlp_bias=True)
case("no biases", "seed_oss", attention_bias=False)
case("head_dim null", "llama", head_dim=None)
case("head_dim null", "mistral", head_dim=None)
case("head_dim absent", "qwen3", drop=["head_dim"])
case("odd vocabulary, tied, BF16", "llama", vocab_size=37, tie_word_embeddings=True, stored=dict(dtype="BF16"))
case("norm epsilon 0", "llama", rms_norm_eps=0.0)
case("norm epsilon 0.01", "qwen3", rms_norm_eps=0.01)
case("biases of attention", "llama", attention_bias=True)
case("biases of attention and feed-forward", "llama", attention_bias=True, mlp_bias=True)
case("biases of feed-forward, F16", "llama", mlp_bias=True, stored=dict(dtype="F16"))
case("biases of attention", "qwen3", attention_bias=True)
case("attention_bias changes nothing", "qwen2", attention_bias=False)
for activation in ("gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "quick_gelu", "relu", "relu2", "swish", "linear"):
    case(f"activation {activation}", "llama", hidden_act=activation)


def rope(name, model_type="llama", key="rope_scaling", outer=None, **rule):
    case(f"rope {name}", model_type, **{key: rule}, **(outer or {}))


FAR = dict(factor=4.0, original_max_position_embeddings=32)
ROPE_LONG = dict(short_factor=[1.0, 1.25, 2.0, 3.0], long_factor=[2.0, 4.0, 8.0, 16.0])
rope("theta 500", outer=dict(rope_theta=500.0), rope_type="default")
rope("theta inside rope_parameters", key="rope_parameters", rope_type="default", rope_theta=500.0)
rope("theta inside rope_scaling", rope_type="default", rope_theta=500.0)
rope("theta inside and outside", outer=dict(rope_theta=100_000.0), rope_type="linear", factor=2.0, rope_theta=500.0)
rope("linear, older name of the type", type="linear", factor=4.0)
rope("linear", key="rope_parameters", rope_type="linear", factor=2.5, rope_theta=10_000)
rope("null", outer=dict(rope_scaling=None), key="rope_parameters", rope_type="default", rope_theta=777.0)
rope("both given", outer=dict(rope_parameters=dict(rope_type="linear", factor=8.0, rope_theta=10_000)), rope_type="linear", factor=2.0)
for length in (64, 96):
    rope(f"dynamic beyond {length}", outer=dict(max_position_embeddings=length), rope_type="dynamic", factor=2.0)
rope("dynamic, window", "mistral", outer=dict(max_position_embeddings=64, sliding_window=24), type="dynamic", factor=2.0)
rope("yarn, not truncated", rope_type="yarn", truncate=False, **FAR)
rope("yarn, mscale", rope_type="yarn", mscale=1.0, mscale_all_dim=0.5, **FAR)
rope("yarn, mscale alone", rope_type="yarn", mscale=0.7, **FAR)
rope("yarn, mscale equal", rope_type="yarn", mscale=1.0, mscale_all_dim=1.0, **FAR)
rope("yarn, mscale 0", rope_type="yarn", mscale=0.5, mscale_all_dim=0, **FAR)
rope("yarn, attention factor", rope_type="yarn", attention_factor=1.3, **FAR)
rope("yarn, attention factor and mscale", rope_type="yarn", attention_factor=0.8, mscale=1.0, mscale_all_dim=0.5, **FAR)
rope("yarn, betas", rope_type="yarn", beta_fast=8, beta_slow=2, **FAR)
rope("yarn, betas, not truncated", "qwen2", rope_type="yarn", beta_fast=16.0, beta_slow=1.5, truncate=False, **FAR)
# Both ends of the ramp lie between pairs, so that rounding either of them shows.
for truncate in (False, True):
    rope(f"yarn, both ends between pairs, truncate {truncate}".lower(), outer=dict(head_dim=16, rope_theta=100.0), rope_type="yarn",
         factor=4.0, original_max_position_embeddings=64, beta_fast=2.0, beta_slow=0.5, truncate=truncate)
rope("yarn, factor null", rope_type="yarn", factor=None, original_max_position_embeddings=32)
rope("yarn, factor below 1", rope_type="yarn", factor=0.5, original_max_position_embeddings=64)
rope("yarn, original context outside", outer=dict(original_max_position_embeddings=16), rope_type="yarn", **FAR)
rope("yarn, no original context", rope_type="yarn", factor=2.0)
rope("yarn in rope_parameters", "qwen3", key="rope_parameters", rope_type="yarn", rope_theta=1e6, **FAR)
rope("yarn, theta inside", "mistral", rope_type="yarn", rope_theta=5000.0, finetuned=True, **FAR)
rope("llama3", outer=dict(rope_theta=500_000.0), rope_type="llama3", low_freq_factor=1.0, high_freq_factor=4.0, **FAR)
rope("llama3, tied, in rope_parameters", outer=dict(tie_word_embeddings=True), key="rope_parameters", rope_type="llama3",
     low_freq_factor=1.0, high_freq_factor=8.0, rope_theta=500.0, **FAR)
rope("llama3, original context outside", outer=dict(original_max_position_embeddings=64), rope_type="llama3", low_freq_factor=1.0,
     high_freq_factor=4.0, **FAR)
rope("longrope", rope_type="longrope", original_max_position_embeddings=64, **ROPE_LONG)
rope("longrope, factor", rope_type="longrope", factor=2.0, original_max_position_embeddings=64, **ROPE_LONG)
rope("longrope, attention factor", "mistral", rope_type="longrope", attention_factor=1.2, original_max_position_embeddings=64,
     **ROPE_LONG)
rope("longrope, original context outside", outer=dict(original_max_position_embeddings=48), rope_type="longrope", **ROPE_LONG)
rope("longrope within its context", outer=dict(original_max_position_embeddings=128), rope_type="longrope", **ROPE_LONG)

case("window 16", "mistral", sliding_window=16)
case("window 1", "mistral", sliding_window=1)
case("window null", "mistral", sliding_window=None)
case("window 4096", "mistral", sliding_window=4096)
LAYERS = ["full_attention", "sliding_attention", "full_attention"]
for each in ("qwen2", "qwen3"):
    case("window without its switch", each, sliding_window=16, max_window_layers=0)
    case("window switched off", each, sliding_window=16, max_window_layers=0, use_sliding_window=False)
    case("window from layer 1 on", each, sliding_window=16, max_window_layers=1, use_sliding_window=True)
    case("window in all layers", each, sliding_window=7, max_window_layers=0, use_sliding_window=True)
    case("window, first layer absent", each, sliding_window=16, use_sliding_window=True)
    case("window by layer types", each, sliding_window=16, use_sliding_window=True, layer_types=LAYERS)
    case("window null, switched on", each, sliding_window=None, max_window_layers=0, use_sliding_window=True)
    case("window absent, switched on", each, max_window_layers=0, use_sliding_window=True)

case("nothing but sizes", "opt")
case("norms last", "opt", do_layer_norm_before=False)
case("norms last, narrow embedding", "opt", do_layer_norm_before=False, word_embed_proj_dim=16)
case("narrow embedding", "opt", word_embed_proj_dim=16)
case("wide embedding, untied", "opt", word_embed_proj_dim=48, tie_word_embeddings=False)
case("untied", "opt", tie_word_embeddings=False)
case("no final norm", "opt", _remove_final_layer_norm=True)
case("no biases", "opt", enable_bias=False)
case("norms without gain and shift", "opt", layer_norm_elementwise_affine=False)
case("neither biases nor gains", "opt", enable_bias=False, layer_norm_elementwise_affine=False)
case("BF16, shards", "opt", stored=dict(dtype="BF16", shards=3), torch_dtype="bfloat16")
case("F16, odd vocabulary", "opt", vocab_size=53, stored=dict(dtype="F16"))
for activation in ("gelu", "gelu_new", "swish"):
    case(f"activation {activation}", "opt", activation_function=activation)

REFUSED = {
    "is_causal false": ("llama", dict(is_causal=False), {}, '"is_causal" must be'),
    "unknown rule of rotation": ("llama", dict(rope_scaling=dict(rope_type="spiral", factor=2.0)), {}, "rope scaling"),
    "quantized": ("llama", dict(quantization_config=dict(quant_method="gptq", bits=4)), {}, "quantized weights"),
    "window that the class does not use": ("llama", dict(sliding_window=16), {}, '"sliding_window" must be null'),
    "part of a head turned": ("llama", dict(partial_rotary_factor=0.5), {}, '"partial_rotary_factor" must be 1'),
    "biases in the file only": ("llama", {}, dict(extra={"model.layers.0.self_attn.q_proj.bias": [32]}), "leaves out"),
    "biases of Qwen3 in the file only": ("qwen3", {}, dict(extra={"model.layers.0.self_attn.k_proj.bias": [16]}), "leaves out"),
    "unknown key": ("qwen2", dict(logit_scale=0.25), {}, '"logit_scale"'),
    "unknown activation": ("llama", dict(hidden_act="mish"), {}, 'the activation "mish"'),
    "layer types of another length": ("qwen2", dict(layer_types=LAYERS[:2]), {}, '"layer_types" has 2 entries'),
    "yarn without a factor": ("llama", dict(rope_scaling=dict(rope_type="yarn")), {}, '"factor"'),
    "longrope, lists too short": ("llama", dict(rope_scaling=dict(rope_type="longrope", short_factor=[1.0], long_factor=[1.0])), {},
                                  '"short_factor"'),
}
for name, (kind, keys, stored, words) in REFUSED.items():
    case(name, kind, stored=dict(stored, expect=words), **keys)

case("tied, another head in the file", "llama", tie_word_embeddings=True,
     stored=dict(extra={"lm_head.weight": [48, 32]}))
case("tied, another head in the file", "opt", stored=dict(extra={"lm_head.weight": [48, 32]}))
# Widths that 4 does not divide: hidden size, feed-forward size, heads, embedding.
case("widths that 4 does not divide", "llama", hidden_size=30, num_attention_heads=3, num_key_value_heads=1, intermediate_size=42)
case("heads of 6", "llama", head_dim=6)
case("heads of 10, odd widths, biases, BF16", "llama", hidden_size=33, intermediate_size=41, head_dim=10, num_attention_heads=3,
     num_key_value_heads=3, attention_bias=True, mlp_bias=True, stored=dict(dtype="BF16", shards=2))
case("heads of 14, odd widths, tied", "mistral", hidden_size=29, intermediate_size=43, head_dim=14, num_attention_heads=3,
     num_key_value_heads=1, tie_word_embeddings=True)
case("heads of 6, odd widths, F16", "qwen2", hidden_size=35, intermediate_size=37, head_dim=6, stored=dict(dtype="F16"))
case("heads of 10, odd widths", "qwen3", hidden_size=31, intermediate_size=45, head_dim=10, attention_bias=True)
rope("yarn, heads of 10", outer=dict(head_dim=10), rope_type="yarn", **FAR)
case("widths that 4 does not divide", "opt", hidden_size=30, num_attention_heads=3, ffn_dim=42)
case("heads of 7, odd widths, narrow embedding, F16", "opt", hidden_size=21, num_attention_heads=3, ffn_dim=41,
     word_embed_proj_dim=9, stored=dict(dtype="F16"))
case("heads of 5, norms last, wide embedding, BF16", "opt", hidden_size=15, num_attention_heads=3, ffn_dim=38,
     word_embed_proj_dim=18, do_layer_norm_before=False, tie_word_embeddings=False, stored=dict(dtype="BF16"))
case("F64", "llama", stored=dict(dtype="F64"))

# Layers with short convolutions beside those with attention. The prompts of 108 tokens are longer than any of them.
CONVOLUTIONS = dict(full_attn_idxs=[1], block_auto_adjust_ff_dim=False)
case("one layer with attention", "lfm2", **CONVOLUTIONS)
case("attention first, by layer types", "lfm2", layer_types=["full_attention", "conv", "conv"], block_auto_adjust_ff_dim=False)
case("attention in all layers", "lfm2", block_auto_adjust_ff_dim=False)
case("adjusted width of the feed-forward layer", "lfm2", full_attn_idxs=[0], block_multiple_of=16, block_ffn_dim_multiplier=1.3)
case("older names of keys", "lfm2", block_ff_dim=44, tie_embedding=False, theta=10.0, num_heads=8, **CONVOLUTIONS)
case("biases of the convolution", "lfm2", conv_bias=True, **CONVOLUTIONS)
case("four taps", "lfm2", conv_L_cache=4, **CONVOLUTIONS)
case("one tap", "lfm2", conv_L_cache=1, **CONVOLUTIONS)
case("untied, BF16, shards", "lfm2", tie_word_embeddings=False, stored=dict(dtype="BF16", shards=2), **CONVOLUTIONS)
case("F16, odd vocabulary, one key head", "lfm2", vocab_size=51, num_key_value_heads=1, stored=dict(dtype="F16"), **CONVOLUTIONS)
case("yarn", "lfm2", rope_parameters=dict(rope_type="yarn", rope_theta=1e4, **FAR), **CONVOLUTIONS)
case("heads of 6, odd width of the feed-forward layer", "lfm2", head_dim=6, full_attn_idxs=[2], block_auto_adjust_ff_dim=False, intermediate_size=41)
case("norm epsilon 0.01", "lfm2", norm_eps=0.01, **CONVOLUTIONS)
case("a hidden size that 4 does not divide", "lfm2", hidden_size=30, num_attention_heads=3, num_key_value_heads=1,
     stored=dict(expect='"hidden_size" must be a multiple of 4'), **CONVOLUTIONS)

# The gated delta rule in three layers of four. Epsilon is large, so that results of a few first tokens that happen to be small are
# not made large, with what rounding left of them. Gains lie about 0, as norms hold them less 1. The prompts of 108 tokens are longer than a chunk of 64 of transformers.
case("nothing but sizes", "qwen3_5_text")
case("tied, BF16, shards", "qwen3_5_text", tie_word_embeddings=True, stored=dict(dtype="BF16", shards=2))
case("F16, odd vocabulary, one key head", "qwen3_5_text", vocab_size=51, num_key_value_heads=1, stored=dict(dtype="F16"))
case("every second layer with attention", "qwen3_5_text", full_attention_interval=2)
case("layer types", "qwen3_5_text", num_hidden_layers=3, layer_types=["linear_attention", "full_attention", "linear_attention"])
case("attention alone, biases", "qwen3_5_text", num_hidden_layers=2, attention_bias=True, layer_types=["full_attention"] * 2)
case("heads of values as of keys", "qwen3_5_text", linear_num_key_heads=4, linear_key_head_dim=12, linear_value_head_dim=8)
case("three heads of values, one of keys", "qwen3_5_text", linear_num_key_heads=1, linear_num_value_heads=3)
case("two taps", "qwen3_5_text", linear_conv_kernel_dim=2)
case("half of a head turned", "qwen3_5_text", partial_rotary_factor=0.5)
case("rotation with axes", "qwen3_5_text", rope_parameters=dict(rope_type="default", rope_theta=1e4, partial_rotary_factor=0.5,
     mrope_section=[2, 1, 1], mrope_interleaved=True))
case("yarn", "qwen3_5_text", rope_parameters=dict(rope_type="yarn", rope_theta=1e4, **FAR))
case("norm epsilon 0.01", "qwen3_5_text", rms_norm_eps=0.01)
case("widths that 4 does not divide", "qwen3_5_text", hidden_size=30, intermediate_size=41, vocab_size=47)
case("keys that 4 does not divide", "qwen3_5_text", linear_key_head_dim=6,
     stored=dict(expect='"linear_key_head_dim" must be a multiple of 4'))
case("sliding layers", "qwen3_5_text", layer_types=["full_attention"] * 3 + ["sliding_attention"],
     stored=dict(expect='layers of the type "sliding_attention" are not supported'))
