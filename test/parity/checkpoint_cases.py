"""The tiny checkpoints of the parity suite: config.json as people's files have it, and how the weights are stored.

A case has `config`; perhaps `dtype` (F64, F32, F16, BF16), `shards`, `renamed` ({part of a name: what the file has instead}), `extra`
({name: shape} of tensors that the class does not have) and `expect`: what our program says instead of numbers, as a regular expression. `pending` marks a case that is known to disagree, with
what is missing; the test demands that it does, so that the mark goes with the fault.
"""

SIZES = dict(vocab_size=48, hidden_size=32, intermediate_size=40, num_hidden_layers=3, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=128)
OPT_SIZES = dict(vocab_size=48, hidden_size=32, ffn_dim=40, num_hidden_layers=3, num_attention_heads=4,
                 max_position_embeddings=128)
MASKED_SIZES = dict(vocab_size=48, hidden_size=32, intermediate_size=40, num_hidden_layers=3, num_attention_heads=4,
                    max_position_embeddings=128)
FAMILY = ("llama", "mistral", "qwen2", "qwen3", "smollm3", "olmo2", "seed_oss")
CLASSES = dict(llama="LlamaForCausalLM", mistral="MistralForCausalLM", qwen2="Qwen2ForCausalLM", qwen3="Qwen3ForCausalLM",
               smollm3="SmolLM3ForCausalLM", olmo2="Olmo2ForCausalLM", seed_oss="SeedOssForCausalLM", opt="OPTForCausalLM")
MASKED = dict(roberta="RobertaForMaskedLM", bert="BertForMaskedLM") | {"xlm-roberta": "XLMRobertaForMaskedLM", "modernbert": "ModernBertForMaskedLM"}
GPT_SIZES = dict(vocab_size=48, n_embd=32, n_inner=40, n_layer=3, n_head=4, n_positions=128)
CLASSES |= dict(phi3="Phi3ForCausalLM", gpt2="GPT2LMHeadModel", gpt_neox="GPTNeoXForCausalLM", starcoder2="Starcoder2ForCausalLM",
                phi="PhiForCausalLM")
# Sizes of types that lack some of the usual keys, or have other names for them.
OWN_SIZES = dict(opt=OPT_SIZES, gpt2=GPT_SIZES, gpt_neox={key: size for key, size in SIZES.items() if key != "num_key_value_heads"})
CASES = {}


def case(name, model_type, drop=(), stored=None, **keys):
    sizes = OWN_SIZES.get(model_type, MASKED_SIZES if model_type in MASKED else SIZES)
    own = {"head_dim": 8} if model_type in ("qwen3", "seed_oss") else {}
    # Their padding token is outside of a small vocabulary, which transformers refuses.
    own |= {"pad_token_id": 0} if model_type in ("smollm3", "phi3", "modernbert") else {}
    config = {"architectures": [(CLASSES | MASKED)[model_type]], "model_type": model_type} | sizes | own | keys
    CASES[f"{model_type}: {name}"] = {"config": {key: value for key, value in config.items() if key not in drop}, **(stored or {})}


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

# Packed projections, parallel residuals, transposed matrices, learned positions, plain feed-forward layers.
def common(kind, odd={}, **renamed):
    """What every type must get right. @param odd keys besides with odd widths @param renamed the names of sizes: hidden, heads, inner"""
    names = dict(hidden="hidden_size", heads="num_attention_heads", inner="intermediate_size") | renamed
    width = lambda hidden, heads, inner, **more: {names["hidden"]: hidden, names["heads"]: heads, names["inner"]: inner} | more
    grouped = dict(num_key_value_heads=1) if "num_key_value_heads" in OWN_SIZES.get(kind, SIZES) else {}
    case("nothing but sizes", kind)
    case("tied, BF16, shards", kind, tie_word_embeddings=True, stored=dict(dtype="BF16", shards=3))
    case("untied, F16, odd vocabulary", kind, tie_word_embeddings=False, vocab_size=51, stored=dict(dtype="F16"))
    case("one head", kind, **width(16, 1, 24, **grouped))
    case("widths that 4 does not divide", kind, **width(30, 3, 42, **grouped, **odd))
    case("heads of 14, odd widths, BF16", kind, **width(42, 3, 41, **grouped, **odd), stored=dict(dtype="BF16", shards=2))


def turning(kind, key, shares, theta="rope_theta"):
    """What types with a rotation of a part of each head must get right."""
    for share in shares:
        case(f"{share} of a head turns", kind, **{key: share})
    case("theta 500", kind, **{theta: 500.0})
    case("settings in rope_parameters", kind, rope_parameters=dict(rope_type="default", rope_theta=300.0, partial_rotary_factor=shares[0]))
    if kind != "phi3":
        case("linear rotation", kind, rope_scaling=dict(type="linear", factor=3.0))
        case("dynamic rotation beyond 64", kind, rope_scaling=dict(rope_type="dynamic", factor=2.0), max_position_embeddings=64, **{key: 1.0})
        case("yarn", kind, rope_scaling=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32), **{key: 1.0})


common("phi3")
turning("phi3", "partial_rotary_factor", [0.75, 0.5, 0.25])
case("key heads absent", "phi3", drop=["num_key_value_heads"])
case("one key head", "phi3", num_key_value_heads=1)
case("window 16", "phi3", sliding_window=16)
case("norm epsilon 0.01", "phi3", rms_norm_eps=0.01)
case("activation gelu", "phi3", hidden_act="gelu")
for name, kind, keys in (("longrope", "longrope", {}), ("longrope as su", "su", dict(original_max_position_embeddings=64)),
                         ("longrope as yarn", "yarn", {}),
                         ("longrope, attention factor", "longrope", dict(attention_factor=1.3)), ("longrope, factor", "longrope", dict(factor=3.0))):
    case(name, "phi3", original_max_position_embeddings=64, rope_scaling=dict(type=kind, **ROPE_LONG, **keys))
case("longrope, original context by default", "phi3", rope_scaling=dict(type="longrope", **ROPE_LONG))
case("longrope, a part of a head", "phi3", original_max_position_embeddings=64, partial_rotary_factor=0.5,
     rope_scaling=dict(type="longrope", short_factor=[1.0, 1.5], long_factor=[2.0, 5.0]))
case("Python code of its own class", "phi3", auto_map={"AutoConfig": "configuration_phi3.Phi3Config", "AutoModelForCausalLM": "modeling_phi3.Phi3ForCausalLM"})
case("linear rotation", "phi3", rope_scaling=dict(type="linear", factor=2.0), stored=dict(expect='rope scaling "linear" is not known'))
case("no width of a head of its own", "phi3", head_dim=16, stored=dict(expect='the key "head_dim"'))

common("gpt2", hidden="n_embd", heads="n_head", inner="n_inner")
case("inner width absent", "gpt2", drop=["n_inner"])
case("inner width null", "gpt2", n_inner=None)
case("norm epsilon 0.01", "gpt2", layer_norm_epsilon=0.01)
case("masks in the file", "gpt2", stored=dict(extra={"transformer.h.0.attn.bias": [1, 1, 128, 128], "transformer.h.1.attn.masked_bias": [1]}))
for activation in ("gelu", "relu", "swish", "gelu_pytorch_tanh"):
    case(f"activation {activation}", "gpt2", activation_function=activation)
case("scores by layer", "gpt2", scale_attn_by_inverse_layer_idx=True, stored=dict(expect='"scale_attn_by_inverse_layer_idx" must be false'))
case("scores not scaled", "gpt2", scale_attn_weights=False, stored=dict(expect='"scale_attn_weights" must be true'))

common("gpt_neox", odd=dict(rotary_pct=1.0))
turning("gpt_neox", "rotary_pct", [0.5, 0.75, 1.0], theta="rotary_emb_base")
case("one sublayer after the other", "gpt_neox", use_parallel_residual=False)
case("no biases of attention", "gpt_neox", attention_bias=False)
case("norm epsilon 0.01", "gpt_neox", layer_norm_eps=0.01)
case("activation gelu_new", "gpt_neox", hidden_act="gelu_new")
case("both names of the rotation", "gpt_neox", rotary_pct=0.5, partial_rotary_factor=0.5, rope_theta=500.0, rotary_emb_base=500.0)
case("another name of theta alone", "gpt_neox", rope_theta=500.0, stored=dict(expect='"rope_theta" must be that of "rotary_emb_base"'))

common("starcoder2")
case("theta 500", "starcoder2", rope_theta=500.0)
case("yarn", "starcoder2", rope_scaling=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32))
case("window 16", "starcoder2", sliding_window=16)
case("no biases", "starcoder2", use_bias=False)
case("key heads absent", "starcoder2", drop=["num_key_value_heads"])
case("head_dim 16", "starcoder2", head_dim=16)
case("norm epsilon 0.01", "starcoder2", norm_epsilon=0.01)
case("activation relu", "starcoder2", hidden_act="relu")

common("phi", odd=dict(partial_rotary_factor=1.0))
turning("phi", "partial_rotary_factor", [0.25, 0.75, 1.0])
case("an odd part of a head", "phi", hidden_size=40, stored=dict(expect="must make an even part of a head of 10 elements"))
case("norms of queries and keys", "phi", qk_layernorm=True)
case("key heads absent", "phi", drop=["num_key_value_heads"])
case("norm epsilon 0.01", "phi", layer_norm_eps=0.01)
case("activation gelu", "phi", hidden_act="gelu")

# Masked language models: log-probabilities are those of the tokens at their own places.
LEGACY = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
for each in ("roberta", "bert", "xlm-roberta"):
    prefix, head = ("bert", "cls.predictions") if each == "bert" else ("roberta", "lm_head")
    pooler = {f"{prefix}.pooler.dense.weight": [32, 32], f"{prefix}.pooler.dense.bias": [32]}
    case("nothing but sizes", each)
    case("as published", each, layer_norm_eps=1e-5, type_vocab_size=1, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1,
         position_embedding_type="absolute", gradient_checkpointing=False, use_cache=True, bos_token_id=0, eos_token_id=2,
         initializer_range=0.02, hidden_act="gelu", transformers_version="4.6.0", stored=dict(extra=pooler))
    case("norm epsilon 0.01", each, layer_norm_eps=0.01)
    for activation in ("gelu_new", "relu"):
        case(f"activation {activation}", each, hidden_act=activation)
    case("untied", each, tie_word_embeddings=False)
    case("BF16, shards, four types of tokens", each, type_vocab_size=4, stored=dict(dtype="BF16", shards=3))
    case("F16, odd vocabulary", each, vocab_size=53, stored=dict(dtype="F16"))
    case("older names of norms", each, stored=dict(renamed=LEGACY))
    case("widths that 4 does not divide", each, hidden_size=30, num_attention_heads=3, intermediate_size=42)
    case("another padding token", each, pad_token_id=7, max_position_embeddings=116)
    case("numbers of positions in the file", each, stored=dict(extra={f"{prefix}.embeddings.position_ids": [1, 128]}))
    case("another head in the file", each, stored=dict(extra={f"{head}.decoder.weight": [48, 32]}))
    case("no bias of the head", each, stored=dict(renamed={f"{head}.bias": "elsewhere.bias"}, expect="lack 1 tensors"))
    case("another bias of the head", each, stored=dict(extra={f"{head}.decoder.bias": [48]}, expect="name the same parameter"))
    case("relative positions", each, position_embedding_type="relative_key", stored=dict(expect='"position_embedding_type" must be'))
    case("causal", each, is_decoder=True, stored=dict(expect='"is_decoder" must be'))
    case("classifier", each, architectures=[MASKED[each].replace("MaskedLM", "SequenceClassification")],
         stored=dict(expect="which is another function"))
case("head of the next sentence", "bert", architectures=["BertForPreTraining"],
     stored=dict(extra={"cls.seq_relationship.weight": [2, 32], "cls.seq_relationship.bias": [2]}))

case("nothing but sizes", "modernbert")
case("windows of 8 to each side", "modernbert", local_attention=17)
case("every second layer whole", "modernbert", global_attn_every_n_layers=2, local_attention=6)
case("windows, listed", "modernbert", layer_types=["sliding_attention", "full_attention", "sliding_attention"], local_attention=24)
case("thetas", "modernbert", global_rope_theta=500.0, local_rope_theta=50.0, local_attention=16)
case("thetas in rope_parameters", "modernbert", local_attention=16, rope_parameters=dict(
    full_attention=dict(rope_type="default", rope_theta=700.0), sliding_attention=dict(rope_type="default", rope_theta=70.0)))
case("all biases", "modernbert", norm_bias=True, attention_bias=True, mlp_bias=True, classifier_bias=True)
case("no bias of the head", "modernbert", decoder_bias=False)
case("activations", "modernbert", hidden_activation="silu", classifier_activation="relu")
case("norm epsilon 0.01", "modernbert", norm_eps=0.01)
case("untied", "modernbert", tie_word_embeddings=False)
case("BF16, shards", "modernbert", stored=dict(dtype="BF16", shards=3))
case("F16, odd vocabulary", "modernbert", vocab_size=53, stored=dict(dtype="F16"))
case("widths that 4 does not divide", "modernbert", hidden_size=30, num_attention_heads=3, intermediate_size=42)
case("as published", "modernbert", local_attention=128, classifier_pooling="mean", position_embedding_type="absolute",
     reference_compile=False, repad_logits_with_grad=False, sparse_prediction=False, sparse_pred_ignore_index=-100, layer_norm_eps=1e-5,
     deterministic_flash_attn=False, embedding_dropout=0.0, mlp_dropout=0.0, initializer_cutoff_factor=2.0, gradient_checkpointing=False)
case("scaled rotation", "modernbert", rope_scaling=dict(type="linear", factor=2.0), stored=dict(expect='"rope_scaling" must be null'))
case("classifier", "modernbert", architectures=["ModernBertForSequenceClassification"], stored=dict(expect="which is another function"))
