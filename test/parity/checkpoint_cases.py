"""The tiny checkpoints of the parity suite: config.json as people's files have it, and how the weights are stored.

A case has `config`; perhaps `dtype` (F64, F32, F16, BF16), `shards`, `gains`, about what gains lie where it is not 1, `extra` ({name:
shape} of tensors that the class does not have) and `expect`: what our program says instead of numbers, as a regular expression.
`pending` marks a case that is known to disagree, with what is missing; the test demands that it does, so that the mark goes with the
fault.
"""

FAR = dict(factor=4.0, original_max_position_embeddings=32)
SIZES = dict(vocab_size=48, hidden_size=32, intermediate_size=40, num_hidden_layers=3, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=128)
OPT_SIZES = dict(vocab_size=48, hidden_size=32, ffn_dim=40, num_hidden_layers=3, num_attention_heads=4,
                 max_position_embeddings=128)
FAMILY = ("llama", "mistral", "qwen2", "qwen3", "smollm3", "olmo2", "seed_oss")
CLASSES = dict(llama="LlamaForCausalLM", mistral="MistralForCausalLM", qwen2="Qwen2ForCausalLM", qwen3="Qwen3ForCausalLM",
               smollm3="SmolLM3ForCausalLM", olmo2="Olmo2ForCausalLM", seed_oss="SeedOssForCausalLM", opt="OPTForCausalLM",
               gemma="GemmaForCausalLM", gemma2="Gemma2ForCausalLM", gemma3_text="Gemma3ForCausalLM", granite="GraniteForCausalLM",
               olmo3="Olmo3ForCausalLM", ministral3="Ministral3ForCausalLM", ministral="MinistralForCausalLM", exaone4="Exaone4ForCausalLM",
               hunyuan_v1_dense="HunYuanDenseV1ForCausalLM", arcee="ArceeForCausalLM", nanochat="NanoChatForCausalLM",
               cwm="CwmForCausalLM", olmo="OlmoForCausalLM", helium="HeliumForCausalLM", ernie4_5="Ernie4_5ForCausalLM",
               hyperclovax="HyperCLOVAXForCausalLM", vaultgemma="VaultGemmaForCausalLM", nemotron="NemotronForCausalLM",
               gemma3="Gemma3ForConditionalGeneration", mistral3="Mistral3ForConditionalGeneration",
               lfm2="Lfm2ForCausalLM", qwen3_5_text="Qwen3_5ForCausalLM", qwen3_5="Qwen3_5ForConditionalGeneration")
# What the classes of these have by default is too large for the sizes of the cases, or hides what it is for.
OWN = dict.fromkeys(("qwen3", "seed_oss", "gemma", "helium", "ernie4_5", "hunyuan_v1_dense"), {"head_dim": 8})
OWN |= {each: {"head_dim": 8, "sliding_window": 16} for each in ("gemma2", "gemma3_text", "vaultgemma", "cwm", "ministral")}
OWN["gemma3_text"] |= {"sliding_window_pattern": 3}
OWN["exaone4"] = {"sliding_window": 16, "sliding_window_pattern": 3}
OWN["olmo3"] = {"sliding_window": 16, "num_hidden_layers": 4}
OWN["ministral3"] = {"head_dim": 8, "rope_parameters": dict(rope_type="yarn", rope_theta=1e6, llama_4_scaling_beta=0.5, **FAR)}
# SmolLM3's padding token is outside of a small vocabulary, which transformers refuses.
OWN["smollm3"] = {"pad_token_id": 0}
OWN["qwen3_5_text"] = dict(num_hidden_layers=4, head_dim=16, linear_key_head_dim=8, linear_value_head_dim=12, linear_num_key_heads=2,
                           linear_num_value_heads=4, rms_norm_eps=1e-3)
# Norms of these hold their gain less 1.
GAINS = {each: {"gains": 0} for each in ("qwen3_5_text", "qwen3_5")}
CASES = {}


def case(name, model_type, drop=(), stored=None, **keys):
    sizes = OPT_SIZES if model_type == "opt" else SIZES
    config = {"architectures": [CLASSES[model_type]], "model_type": model_type} | sizes | OWN.get(model_type, {}) | keys
    config = {key: value for key, value in config.items() if key not in drop}
    CASES[f"{model_type}: {name}"] = {"config": config, **GAINS.get(model_type, {}), **(stored or {})}


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


# Relatives with other norms, factors and rotations.
RELATIVES = ("gemma", "gemma2", "gemma3_text", "granite", "olmo3", "ministral3", "ministral", "exaone4", "hunyuan_v1_dense", "arcee",
             "nanochat", "cwm", "olmo", "helium", "ernie4_5", "hyperclovax", "vaultgemma", "nemotron")
for each in RELATIVES:
    tied = each in ("gemma", "gemma2", "gemma3_text", "ernie4_5", "vaultgemma")
    case("nothing but sizes", each)
    case("one key head", each, num_key_value_heads=1)
    case("head_dim 16", each, head_dim=16, num_attention_heads=2)
    case("untied" if tied else "tied", each, tie_word_embeddings=not tied)
    case("BF16, shards, odd vocabulary", each, vocab_size=51, stored=dict(dtype="BF16", shards=3), torch_dtype="bfloat16")
    if each != "ministral3":
        case("yarn", each, rope_scaling=dict(rope_type="yarn", **FAR), rope_theta=1e6)
    if each != "olmo":
        case("norm epsilon 0.01", each, **{"norm_eps" if each == "nemotron" else "rms_norm_eps": 0.01})
for each in ("gemma", "gemma2", "gemma3_text", "granite", "olmo3", "hunyuan_v1_dense", "arcee", "nanochat", "olmo", "helium", "hyperclovax",
             "vaultgemma", "nemotron"):
    case("biases of attention", each, attention_bias=True)
for each in ("granite", "arcee", "cwm", "helium", "hyperclovax", "nemotron"):
    case("biases of feed-forward", each, mlp_bias=True)
for each in ("gemma2", "gemma3_text", "vaultgemma", "olmo3", "ministral", "exaone4", "cwm"):
    case("window 7", each, sliding_window=7)
    case("windows by layer types", each, layer_types=LAYERS, num_hidden_layers=3)
    case("window in the last layer", each, layer_types=["full_attention", "full_attention", "sliding_attention"], sliding_window=5,
         num_hidden_layers=3)
for each in ("gemma2", "vaultgemma"):
    case("no caps", each, attn_logit_softcapping=None, final_logit_softcapping=None)
    case("cap of scores", each, attn_logit_softcapping=0.5, final_logit_softcapping=None, query_pre_attn_scalar=1)
    case("cap of logits", each, attn_logit_softcapping=None, final_logit_softcapping=9.0)
for each in ("gemma2", "gemma3_text", "vaultgemma"):
    case("scale of scores", each, query_pre_attn_scalar=40)
    case("activation silu", each, hidden_activation="silu")
    case("widths that 4 does not divide", each, hidden_size=30, num_attention_heads=3, num_key_value_heads=1, head_dim=10, intermediate_size=42)
case("activation gelu, which is meant as its approximation", "gemma", hidden_act="gelu")
case("activation silu", "gemma", hidden_act="silu")
case("activation twice", "gemma", hidden_activation="gelu_pytorch_tanh")
case("key heads absent", "gemma", drop=["num_key_value_heads"], num_attention_heads=16)
case("bases of both kinds of layers", "gemma3_text", rope_theta=500.0, rope_local_base_freq=70.0)
case("linear in layers without a window", "gemma3_text", rope_scaling=dict(rope_type="linear", factor=8.0), rope_theta=500.0)
case("rotation by layer types", "gemma3_text", rope_parameters=dict(
    full_attention=dict(rope_type="linear", factor=4.0, rope_theta=900.0), sliding_attention=dict(rope_type="default", rope_theta=50.0)))
case("yarn in both kinds of layers", "gemma3_text", rope_parameters=dict(
    full_attention=dict(rope_type="yarn", rope_theta=900.0, **FAR), sliding_attention=dict(rope_type="yarn", factor=2.0, rope_theta=50.0)))
case("rotation of layers with a window only", "gemma3_text", rope_parameters=dict(sliding_attention=dict(rope_type="linear", factor=2.0)))
case("every second layer without a window", "gemma3_text", sliding_window_pattern=2)
case("every sixth layer without a window", "gemma3_text", drop=["sliding_window_pattern"], num_hidden_layers=7)
case("no layer with a window", "gemma3_text", sliding_window_pattern=1)
case("cap of logits", "gemma3_text", final_logit_softcapping=9.0)
case("dynamic beyond 64", "gemma3_text", rope_scaling=dict(rope_type="dynamic", factor=2.0), max_position_embeddings=64)
case("factors", "granite", embedding_multiplier=12.0, residual_multiplier=0.22, attention_multiplier=0.4, logits_scaling=8.0)
for key in ("embedding_multiplier", "residual_multiplier", "attention_multiplier", "logits_scaling"):
    case(key, "granite", **{key: 1.7})
    case(key, "hyperclovax", **{key: 1.7})
case("factors, no norms after", "hyperclovax", use_post_norm=False, embedding_multiplier=10, residual_multiplier=0.3, logits_scaling=0.125)
case("factor of scores null", "hyperclovax", attention_multiplier=None)
case("base of layers without a window", "olmo3", rope_theta=500.0)
case("rotation by layer types", "olmo3", rope_parameters=dict(
    full_attention=dict(rope_type="yarn", rope_theta=900.0, **FAR), sliding_attention=dict(rope_type="default", rope_theta=50.0)))
case("llama3 in layers without a window", "olmo3",
     rope_scaling=dict(rope_type="llama3", low_freq_factor=1.0, high_freq_factor=4.0, rope_theta=500.0, **FAR))
case("nine layers", "olmo3", num_hidden_layers=9, sliding_window=5)
case("window 16", "ministral3", sliding_window=16)
case("window 1", "ministral3", sliding_window=1)
case("rotation absent", "ministral3", drop=["rope_parameters"])
for beta in (0.0, 2.5):
    case(f"growth {beta}", "ministral3", rope_parameters=dict(rope_type="yarn", rope_theta=1e4, llama_4_scaling_beta=beta,
                                                              max_position_embeddings=128, **FAR))
case("growth, mscale", "ministral3", rope_parameters=dict(type="yarn", rope_theta=1e4, llama_4_scaling_beta=0.3, beta_fast=32.0,
                                                          beta_slow=1.0, mscale=1.0, mscale_all_dim=0.5, **FAR))
case("growth, llama3", "ministral3", rope_parameters=dict(rope_type="llama3", rope_theta=500.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                                          llama_4_scaling_beta=0.7, factor=4.0, original_max_position_embeddings=16))
case("original context outside", "ministral3", original_max_position_embeddings=10)
case("every second layer without a window", "exaone4", sliding_window_pattern=2)
case("letters beside layer types", "exaone4", sliding_window_pattern="LGL", layer_types=["sliding_attention", "full_attention", "sliding_attention"])
case("no window", "exaone4", sliding_window=None, sliding_window_pattern=None, layer_types=["full_attention"] * 3)
case("window of no layer", "exaone4", layer_types=["full_attention"] * 3)
ALPHA = dict(alpha=50.0, beta_fast=32, beta_slow=1, factor=1.0, mscale=1.0, mscale_all_dim=1.0)
case("alpha", "hunyuan_v1_dense", rope_scaling=dict(type="dynamic", **ALPHA))
case("alpha in rope_parameters", "hunyuan_v1_dense", rope_parameters=dict(rope_type="dynamic", rope_theta=500.0, **ALPHA))
case("alpha 0, dynamic beyond 64", "hunyuan_v1_dense", rope_scaling=dict(type="dynamic", alpha=0, factor=2.0), max_position_embeddings=64)
case("whole heads turned", "nemotron", partial_rotary_factor=1.0)
case("a part of heads turned, inside", "nemotron", head_dim=16, rope_parameters=dict(rope_type="default", rope_theta=100.0, partial_rotary_factor=0.25))
case("linear", "nemotron", rope_scaling=dict(rope_type="linear", factor=2.0), rope_theta=100.0, head_dim=12)
case("activation gelu", "arcee", hidden_act="gelu")
case("odd width of the feed-forward layer", "arcee", intermediate_size=37)
case("no cap", "nanochat", final_logit_softcapping=None)
case("cap of logits 2", "nanochat", final_logit_softcapping=2.0)
case("theta 100", "nanochat", rope_theta=100.0)
case("linear", "cwm", rope_scaling=dict(rope_type="linear", factor=2.0, rope_theta=500.0))
case("rotary base in a file without rules", "cwm", rope_theta=500.0)
case("rotary settings without a base", "cwm", rope_parameters=dict(rope_type="default"))
case("five layers", "cwm", num_hidden_layers=5)
case("theta 100", "olmo", rope_theta=100.0)
case("activation gelu", "olmo", hidden_act="gelu")
case("odd widths", "olmo", hidden_size=33, head_dim=10, num_attention_heads=3, num_key_value_heads=1, intermediate_size=41)
case("key heads absent", "olmo", drop=["num_key_value_heads"])
case("theta 100", "helium", rope_theta=100.0)
case("biases of attention and feed-forward", "helium", attention_bias=True, mlp_bias=True)
case("biases", "ernie4_5", use_bias=True)
case("theta 100", "ernie4_5", rope_theta=100.0)
case("head_dim null", "ernie4_5", head_dim=None)
case("heads of 10", "ernie4_5", head_dim=10)
case("linear", "ernie4_5", rope_parameters=dict(rope_type="linear", factor=3.0, rope_theta=100.0))

# Language models inside of models that see.
VISION = dict(gemma3=dict(model_type="siglip_vision_model", hidden_size=8, intermediate_size=8, num_hidden_layers=3, num_attention_heads=1,
                          image_size=16, patch_size=4),
              mistral3=dict(model_type="pixtral", hidden_size=8, intermediate_size=8, num_hidden_layers=3, num_attention_heads=1, head_dim=8,
                            image_size=16, patch_size=4),
              qwen3_5=dict(model_type="qwen3_5_vision", depth=1, hidden_size=8, intermediate_size=8, num_heads=1, out_hidden_size=32,
                           patch_size=4, num_position_embeddings=16))
OUTER = dict(gemma3=dict(mm_tokens_per_image=4, image_token_index=47, boi_token_index=45, eoi_token_index=46),
             mistral3=dict(image_token_index=47, spatial_merge_size=2, vision_feature_layer=-1),
             qwen3_5=dict(image_token_id=47, video_token_id=46, vision_start_token_id=45, vision_end_token_id=44))
OLDER = {"model.language_model.": "language_model.model.", "lm_head.": "language_model.lm_head.", "model.vision_tower.": "vision_tower.",
         "model.multi_modal_projector.": "multi_modal_projector."}


def wrapped(name, wrapper, model_type, outer=None, stored=None, **keys):
    text = {"model_type": model_type} | SIZES | OWN.get(model_type, {}) | keys
    config = {"architectures": [CLASSES[wrapper]], "model_type": wrapper, "text_config": text, "vision_config": VISION[wrapper]}
    CASES[f"{wrapper}: {name}"] = {"config": config | OUTER[wrapper] | (outer or {}), **GAINS.get(wrapper, {}), **(stored or {})}


for wrapper, member in (("gemma3", "gemma3_text"), ("mistral3", "mistral"), ("mistral3", "ministral3")):
    wrapped(f"{member}, nothing but sizes", wrapper, member)
    wrapped(f"{member}, untied", wrapper, member, outer=dict(tie_word_embeddings=False))
    wrapped(f"{member}, untied in the text configuration only", wrapper, member, tie_word_embeddings=False)
    wrapped(f"{member}, older names, BF16", wrapper, member, stored=dict(dtype="BF16", renamed=OLDER))
    wrapped(f"{member}, older names, untied", wrapper, member, outer=dict(tie_word_embeddings=False), stored=dict(shards=2, renamed=OLDER))
wrapped("gemma3_text, linear", "gemma3", "gemma3_text", rope_scaling=dict(rope_type="linear", factor=8.0), rope_theta=500.0)
wrapped("gemma3_text, window 5", "gemma3", "gemma3_text", sliding_window=5)
wrapped("gemma3_text, odd vocabulary", "gemma3", "gemma3_text", vocab_size=49)
wrapped("gemma3_text, scale of scores", "gemma3", "gemma3_text", query_pre_attn_scalar=40)
wrapped("gemma3_text, head_dim 16", "gemma3", "gemma3_text", head_dim=16)
wrapped("gemma3_text, one key head", "gemma3", "gemma3_text", num_key_value_heads=1)
wrapped("mistral, window 5", "mistral3", "mistral", sliding_window=5)

for name, (kind, keys, words) in {
    "bidirectional": ("gemma3_text", dict(use_bidirectional_attention=True), '"use_bidirectional_attention" must be false'),
    "cap of scores, which the class does not use": ("gemma3_text", dict(attn_logit_softcapping=2.0), '"attn_logit_softcapping" must be null'),
    "clipped queries": ("olmo", dict(clip_qkv=0.5), '"clip_qkv" must be null'),
    "truncate in the settings of a layer type": ("gemma3_text", dict(rope_parameters=dict(
        full_attention=dict(rope_type="yarn", truncate=False, **FAR))), '"truncate" must be true'),
    "growth absent": ("ministral3", dict(rope_parameters=dict(rope_type="yarn", **FAR)), '"llama_4_scaling_beta"'),
    "pattern null": ("exaone4", dict(sliding_window_pattern=None), '"layer_types" must name the type'),
    "window null": ("gemma2", dict(sliding_window=None), '"sliding_window" must be a whole number'),
}.items():
    case(name, kind, stored=dict(expect=words), **keys)

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
case("heads of 6, odd width of the feed-forward layer", "lfm2", head_dim=6, full_attn_idxs=[2], block_auto_adjust_ff_dim=False,
     intermediate_size=41)
case("norm epsilon 0.01", "lfm2", norm_eps=0.01, **CONVOLUTIONS)
case("a hidden size that 4 does not divide", "lfm2", hidden_size=30, num_attention_heads=3, num_key_value_heads=1,
     stored=dict(expect='"hidden_size" must be a multiple of 4'), **CONVOLUTIONS)

# The gated delta rule in three layers of four. Epsilon is large, so that results of a few first tokens that happen to be small are
# not made large, with what rounding left of them. The prompts of 108 tokens are longer than a chunk of 64 of transformers.
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

wrapped("nothing but sizes", "qwen3_5", "qwen3_5_text")
wrapped("tied", "qwen3_5", "qwen3_5_text", outer=dict(tie_word_embeddings=True))
wrapped("tied in the text configuration only", "qwen3_5", "qwen3_5_text", tie_word_embeddings=True)
wrapped("layers that guess further tokens, BF16", "qwen3_5", "qwen3_5_text", stored=dict(dtype="BF16", shards=2, extra={
    "mtp.layers.0.input_layernorm.weight": [32], "mtp.fc.weight": [32, 64]}))
case("layers that guess further tokens", "qwen3_5_text", mtp_num_hidden_layers=1, stored=dict(extra={"mtp.fc.weight": [32, 64]}))
for name, keys in {
    "one key head": dict(num_key_value_heads=1), "every second layer with attention": dict(full_attention_interval=2),
    "three heads of values, one of keys": dict(linear_num_key_heads=1, linear_num_value_heads=3), "two taps": dict(linear_conv_kernel_dim=2),
    "half of a head turned": dict(partial_rotary_factor=0.5), "norm epsilon 0.01": dict(rms_norm_eps=0.01),
    "yarn": dict(rope_parameters=dict(rope_type="yarn", rope_theta=1e4, **FAR)), "odd vocabulary": dict(vocab_size=51),
}.items():
    wrapped(name, "qwen3_5", "qwen3_5_text", **keys)
