"""The tiny checkpoints of the parity suite: config.json as people's files have it, and how the weights are stored.

A case has `config`; perhaps `dtype` (F64, F32, F16, BF16), `shards`, `gains`, about what gains lie where it is not 1,
`renamed` ({part of a name: what the file has instead}), `extra` ({name: shape} of tensors that the class does not have)
and `expect`: what our program says instead of numbers, as a regular expression. `pending` marks a case that is known to
disagree, with what is missing; the test demands that it does, so that the mark goes with the fault.
"""

import json

FAR = dict(factor=4.0, original_max_position_embeddings=32)
SIZES = dict(vocab_size=48, hidden_size=32, intermediate_size=40, num_hidden_layers=3, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=128)
OPT_SIZES = dict(vocab_size=48, hidden_size=32, ffn_dim=40, num_hidden_layers=3, num_attention_heads=4,
                 max_position_embeddings=128)
MASKED_SIZES = dict(vocab_size=48, hidden_size=32, intermediate_size=40, num_hidden_layers=3, num_attention_heads=4,
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
# Their padding token is outside of a small vocabulary, which transformers refuses.
OWN |= {each: {"pad_token_id": 0} for each in ("smollm3", "phi3", "modernbert")}
OWN |= {each: {"pad_token_id": 0, "head_dim": 8} for each in ("glm", "glm4")}
MASKED = dict(roberta="RobertaForMaskedLM", bert="BertForMaskedLM") | {"xlm-roberta": "XLMRobertaForMaskedLM", "modernbert": "ModernBertForMaskedLM"}
MASKED["eurobert"] = "EuroBertForMaskedLM"
MIXTURES = ("qwen3_moe", "mixtral", "olmoe", "qwen2_moe", "gpt_oss", "granitemoe")
# All types with experts.
HAVE_EXPERTS = (*MIXTURES, "qwen3_next", "qwen3_5_moe_text", "qwen3_5_moe", "granitemoeshared", "granitemoehybrid", "lfm2_moe",
                "ernie4_5_moe", "phimoe", "glm4_moe", "dots1", "hunyuan_v1_moe", "gemma4_text", "gemma4")
# Files of these have all experts of a layer in one tensor, as the class has.
TOGETHER = ("qwen3_5_moe_text", "qwen3_5_moe", "gemma4_text", "gemma4")
# Where the names of files differ from those of the class: the module, and those of an expert.
EXPERTS = dict(mixtral=(".block_sparse_moe.", "", ("w1", "w3", "w2")), phimoe=(".block_sparse_moe.", "", ("w1", "w3", "w2")),
               lfm2_moe=(".mlp.", "", ("w1", "w3", "w2")))
# And of other tensors of theirs.
OLDER_NAMES = dict(phimoe={"mlp.router.": "mlp.gate."}, ernie4_5_moe={"mlp.gate.moe_statics.": "mlp.moe_statics."})
CLASSES |= dict(qwen2_moe="Qwen2MoeForCausalLM", gpt_oss="GptOssForCausalLM", granitemoe="GraniteMoeForCausalLM")
OWN |= dict(qwen2_moe=dict(num_experts=6, num_experts_per_tok=2, moe_intermediate_size=24, shared_expert_intermediate_size=28),
            gpt_oss=dict(num_local_experts=4, num_experts_per_tok=2, head_dim=8, sliding_window=16),
            granitemoe=dict(num_local_experts=5, num_experts_per_tok=2))
CLASSES |= dict(qwen3_moe="Qwen3MoeForCausalLM", mixtral="MixtralForCausalLM", olmoe="OlmoeForCausalLM")
OWN |= dict(qwen3_moe=dict(num_experts=6, num_experts_per_tok=2, moe_intermediate_size=24),
            mixtral=dict(num_local_experts=4, num_experts_per_tok=2), olmoe=dict(num_experts=5, num_experts_per_tok=3))
CLASSES |= dict(bloom="BloomForCausalLM", mpt="MptForCausalLM", apertus="ApertusForCausalLM")
CLASSES |= dict(granitemoeshared="GraniteMoeSharedForCausalLM", granitemoehybrid="GraniteMoeHybridForCausalLM",
                granite_swa="GraniteSWAForCausalLM", lfm2_moe="Lfm2MoeForCausalLM", ernie4_5_moe="Ernie4_5_MoeForCausalLM",
                phimoe="PhimoeForCausalLM", glm4_moe="Glm4MoeForCausalLM", dots1="Dots1ForCausalLM")
DEEPSEEK = dict(num_experts_per_tok=2, moe_intermediate_size=24, n_shared_experts=1, n_routed_experts=6, norm_topk_prob=True)
OWN |= dict(granitemoeshared=dict(num_local_experts=5, num_experts_per_tok=2, shared_intermediate_size=28),
            granitemoehybrid=dict(num_local_experts=5, num_experts_per_tok=2, shared_intermediate_size=28, layer_types=["attention"] * 3,
                                  position_embedding_type="rope", mamba_n_heads=4),
            granite_swa=dict(sliding_window=16, num_hidden_layers=4),
            lfm2_moe=dict(num_experts=6, num_experts_per_tok=2, moe_intermediate_size=24, num_dense_layers=1,
                          layer_types=["conv", "full_attention", "conv"]),
            ernie4_5_moe=dict(moe_num_experts=6, moe_k=2, moe_intermediate_size=24, moe_num_shared_experts=2),
            phimoe=dict(num_local_experts=5, num_experts_per_tok=2, router_jitter_noise=0.3),
            glm4_moe=dict(head_dim=8, **DEEPSEEK), dots1=DEEPSEEK)
GPT_SIZES = dict(vocab_size=48, n_embd=32, n_inner=40, n_layer=3, n_head=4, n_positions=128)
CLASSES |= dict(phi3="Phi3ForCausalLM", gpt2="GPT2LMHeadModel", gpt_neox="GPTNeoXForCausalLM", starcoder2="Starcoder2ForCausalLM",
                phi="PhiForCausalLM", stablelm="StableLmForCausalLM", cohere="CohereForCausalLM", cohere2="Cohere2ForCausalLM",
                glm="GlmForCausalLM", glm4="Glm4ForCausalLM", falcon="FalconForCausalLM", gpt_bigcode="GPTBigCodeForCausalLM",
                gptj="GPTJForCausalLM", gpt_neo="GPTNeoForCausalLM",
                internlm3="InternLM3ForCausalLM", exaone="ExaoneForCausalLM", jais2="Jais2ForCausalLM")
OWN["internlm3"] = {"head_dim": 8}
OWN["eurobert"] = {"pad_token_id": 0}
UNGROUPED = {key: size for key, size in SIZES.items() if key != "num_key_value_heads"}
# Sizes of types that lack some of the usual keys, or have other names for them.
OWN_SIZES = dict(opt=OPT_SIZES, gpt2=GPT_SIZES, gpt_bigcode=GPT_SIZES, gptj=GPT_SIZES | dict(rotary_dim=4), gpt_neox=UNGROUPED,
                 gpt_neo=dict(vocab_size=48, hidden_size=32, intermediate_size=40, num_layers=3, num_heads=4, max_position_embeddings=128,
                              attention_types=[[["global", "local"], 1], [["global"], 1]], window_size=16),
                 falcon={"ffn_hidden_size" if key == "intermediate_size" else key: size for key, size in UNGROUPED.items()})
OWN_SIZES |= dict(bloom=dict(vocab_size=48, hidden_size=32, n_layer=3, n_head=4),
                  mpt=dict(vocab_size=48, d_model=32, n_layers=3, n_heads=4, max_seq_len=128))
OWN["qwen3_5_text"] = dict(num_hidden_layers=4, head_dim=16, linear_key_head_dim=8, linear_value_head_dim=12, linear_num_key_heads=2,
                           linear_num_value_heads=4, rms_norm_eps=1e-3)
# Norms of these hold their gain less 1.
OWN["olmo_hybrid"] = {key: value for key, value in OWN["qwen3_5_text"].items() if key != "head_dim"} | dict(pad_token_id=0, num_hidden_layers=2)
CLASSES["olmo_hybrid"] = "OlmoHybridForCausalLM"
MIXED = ("qwen3_next", "qwen3_5_moe_text")
OWN |= {each: OWN["qwen3_5_text"] | dict(num_experts=5, num_experts_per_tok=2, moe_intermediate_size=24, shared_expert_intermediate_size=28)
        for each in MIXED}
CLASSES |= dict(qwen3_next="Qwen3NextForCausalLM", qwen3_5_moe_text="Qwen3_5MoeForCausalLM", qwen3_5_moe="Qwen3_5MoeForConditionalGeneration")
GAINS = {each: {"gains": 0} for each in ("qwen3_5_text", "qwen3_5", "qwen3_5_moe", *MIXED)}
CASES = {}


def case(name, model_type, drop=(), stored=None, **keys):
    sizes = OWN_SIZES.get(model_type, MASKED_SIZES if model_type in MASKED else SIZES)
    config = {"architectures": [(CLASSES | MASKED)[model_type]], "model_type": model_type} | sizes | OWN.get(model_type, {}) | keys
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

# Packed projections, parallel residuals, transposed matrices, learned positions, plain feed-forward layers.
def common(kind, odd={}, **renamed):
    """What every type must get right. @param odd keys besides with odd widths @param renamed the names of sizes:
    hidden, heads, inner"""
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
case("scores by layer", "gpt2", scale_attn_by_inverse_layer_idx=True)
case("scores not scaled", "gpt2", scale_attn_weights=False)
case("scores by layer, not scaled", "gpt2", scale_attn_by_inverse_layer_idx=True, scale_attn_weights=False)

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

common("stablelm", odd=dict(partial_rotary_factor=1.0))
turning("stablelm", "partial_rotary_factor", [0.5, 0.75, 1.0])
case("parallel sublayers", "stablelm", use_parallel_residual=True)
case("biases", "stablelm", use_qkv_bias=True)
case("norm epsilon 0.01", "stablelm", layer_norm_eps=0.01)
case("activation gelu", "stablelm", hidden_act="gelu")
case("norms of each head", "stablelm", qk_layernorm=True, stored=dict(expect='"qk_layernorm" must be false'))

for each in ("cohere", "cohere2"):
    common(each)
    case("theta 500", each, rope_theta=500.0)
    case("linear rotation", each, rope_scaling=dict(type="linear", factor=3.0))
    case("yarn", each, rope_scaling=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32))
    case("head_dim 16", each, head_dim=16)
    case("key heads absent", each, drop=["num_key_value_heads"])
    case("biases of attention", each, attention_bias=True)
    case("logits times 0.25", each, logit_scale=0.25)
    case("norm epsilon 0.01", each, layer_norm_eps=0.01)
    case("activation gelu", each, hidden_act="gelu")
case("norms of each head", "cohere", use_qk_norm=True, stored=dict(expect='"use_qk_norm" must be false'))
case("window 16 but in the last layer", "cohere2", sliding_window=16, num_hidden_layers=4)
case("window 16, every second layer", "cohere2", sliding_window=16, sliding_window_pattern=2)
case("window 7 by layer types", "cohere2", sliding_window=7, layer_types=LAYERS)
case("window null", "cohere2", sliding_window=None, stored=dict(expect='"sliding_window" must be a number'))

for each in ("glm", "glm4"):
    common(each, odd=dict(partial_rotary_factor=1.0, head_dim=10))
    turning(each, "partial_rotary_factor", [0.25, 0.75, 1.0])
    case("head_dim 16", each, head_dim=16)
    case("no biases of attention", each, attention_bias=False)
    case("norm epsilon 0.01", each, rms_norm_eps=0.01)
    case("activation gelu", each, hidden_act="gelu")
case("key heads null", "glm4", num_key_value_heads=None, stored=dict(expect='"num_key_value_heads" must be a whole number'))

common("falcon", inner="ffn_hidden_size")
for keys in (dict(), dict(num_kv_heads=2), dict(num_kv_heads=1), dict(num_kv_heads=2, num_ln_in_parallel_attn=1), dict(num_kv_heads=2, num_ln_in_parallel_attn=2),
             dict(num_kv_heads=4, bias=True, parallel_attn=True)):
    case(f"new architecture, {json.dumps(keys)}", "falcon", new_decoder_architecture=True, **keys)
case("a key head for each head", "falcon", multi_query=False)
case("one sublayer after the other", "falcon", parallel_attn=False)
case("one sublayer after the other, a key head for each head, biases", "falcon", parallel_attn=False, multi_query=False, bias=True)
case("nulls", "falcon", new_decoder_architecture=None, multi_query=None, parallel_attn=None, bias=None, alibi=None)
case("inner width absent", "falcon", drop=["ffn_hidden_size"])
case("theta 500", "falcon", rope_theta=500.0)
case("linear rotation", "falcon", rope_scaling=dict(type="linear", factor=3.0))
case("norm epsilon 0.01", "falcon", layer_norm_epsilon=0.01)
case("activation relu", "falcon", activation="relu")
case("ALiBi", "falcon", alibi=True)
case("ALiBi, published small model", "falcon", alibi=True, parallel_attn=False, multi_query=False, bias=True,
     apply_residual_connection_post_layernorm=False)
case("ALiBi, 6 heads", "falcon", alibi=True, num_attention_heads=6, hidden_size=48, multi_query=False)
case("ALiBi, new architecture", "falcon", alibi=True, new_decoder_architecture=True, hidden_size=48, num_attention_heads=12, num_kv_heads=4)
case("residuals after norms", "falcon", apply_residual_connection_post_layernorm=True,
     stored=dict(expect='"apply_residual_connection_post_layernorm" must be false'))
case("two norms of the old architecture", "falcon", num_ln_in_parallel_attn=2, stored=dict(expect="make no model"))

common("gpt_bigcode", hidden="n_embd", heads="n_head", inner="n_inner")
case("a key head for each head", "gpt_bigcode", multi_query=False)
case("scores not scaled", "gpt_bigcode", scale_attn_weights=False)
case("inner width absent", "gpt_bigcode", drop=["n_inner"])
case("norm epsilon 0.01", "gpt_bigcode", layer_norm_epsilon=0.01)
for activation in ("gelu", "relu", "swish"):
    case(f"activation {activation}", "gpt_bigcode", activation_function=activation)

common("gptj", odd=dict(rotary_dim=6), hidden="n_embd", heads="n_head", inner="n_inner")
for width in (2, 6, 8):
    case(f"{width} elements of a head turn", "gptj", rotary_dim=width)
case("inner width absent", "gptj", drop=["n_inner"])
case("norm epsilon 0.01", "gptj", layer_norm_epsilon=0.01)
for activation in ("gelu", "relu"):
    case(f"activation {activation}", "gptj", activation_function=activation)
case("more than a head turns", "gptj", rotary_dim=10, stored=dict(expect='"rotary_dim" must be an even part'))

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
case("theta 100", "ministral", rope_theta=100.0)
case("window 1", "ministral", sliding_window=1)
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
VISION["qwen3_5_moe"] = VISION["qwen3_5"] | dict(model_type="qwen3_5_moe_vision")
OUTER = dict(gemma3=dict(mm_tokens_per_image=4, image_token_index=47, boi_token_index=45, eoi_token_index=46),
             mistral3=dict(image_token_index=47, spatial_merge_size=2, vision_feature_layer=-1),
             qwen3_5=dict(image_token_id=47, video_token_id=46, vision_start_token_id=45, vision_end_token_id=44))
OUTER["qwen3_5_moe"] = OUTER["qwen3_5"]
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

common("gpt_neo", heads="num_heads")
case("window 7 in all layers", "gpt_neo", attention_types=[[["local"], 3]], window_size=7)
case("no windows, layers listed", "gpt_neo", attention_types=[[["global"], 3]], attention_layers=["global"] * 3)
case("inner width null", "gpt_neo", intermediate_size=None)
case("norm epsilon 0.01", "gpt_neo", layer_norm_epsilon=0.01)
for activation in ("gelu", "relu"):
    case(f"activation {activation}", "gpt_neo", activation_function=activation)
case("other layers listed", "gpt_neo", attention_layers=["local"] * 3, stored=dict(expect='"attention_layers" must be'))
case("kinds of too few layers", "gpt_neo", attention_types=[[["local"], 2]], stored=dict(expect='"attention_types" tells 2 layers of 3'))
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

# The gated delta rule in three layers of four. Epsilon is large, so that results of a few first tokens that happen to
# be small are not made large, with what rounding left of them. The prompts of 108 tokens are longer than a chunk of 64
# of transformers.
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
# The same layers with experts, of which one is for all tokens; projections of the delta rule are packed in Qwen 3 Next.
for each in MIXED:
    case("nothing but sizes", each)
    case("tied, BF16, shards", each, tie_word_embeddings=True, stored=dict(dtype="BF16", shards=2))
    case("F16, odd vocabulary, one key head", each, vocab_size=51, num_key_value_heads=1, stored=dict(dtype="F16"))
    case("every second layer with attention", each, full_attention_interval=2)
    case("layer types", each, num_hidden_layers=3, layer_types=["linear_attention", "full_attention", "linear_attention"])
    case("attention alone, biases", each, num_hidden_layers=2, attention_bias=True, layer_types=["full_attention"] * 2)
    case("heads of values as of keys", each, linear_num_key_heads=4, linear_key_head_dim=12, linear_value_head_dim=8)
    case("three heads of values, one of keys", each, linear_num_key_heads=1, linear_num_value_heads=3)
    case("two taps, six heads of values", each, linear_conv_kernel_dim=2, linear_num_value_heads=6)
    case("half of a head turned", each, partial_rotary_factor=0.5)
    case("yarn", each, rope_parameters=dict(rope_type="yarn", rope_theta=1e4, **FAR))
    case("norm epsilon 0.01", each, rms_norm_eps=0.01)
    case("one expert of seven", each, num_experts=7, num_experts_per_tok=1)
    case("all experts", each, num_experts=3, num_experts_per_tok=3)
    case("widths that 4 does not divide", each, hidden_size=30, moe_intermediate_size=23, shared_expert_intermediate_size=17, vocab_size=47)
    case("more experts for a token than there are", each, num_experts_per_tok=9, stored=dict(expect="go to 9 experts"))
case("scores that do not add up to 1", "qwen3_next", norm_topk_prob=False)
case("some layers without experts", "qwen3_next", mlp_only_layers=[0, 3])
case("experts in every second layer", "qwen3_next", decoder_sparse_step=2)
case("layers that guess further tokens", "qwen3_next", stored=dict(extra={"mtp.fc.weight": [32, 64]}))
case("a matrix of each expert", "qwen3_5_moe_text", stored=dict(experts_of="qwen3_next"))
case("scores that do not add up to 1", "qwen3_5_moe_text", norm_topk_prob=False, stored=dict(expect='"norm_topk_prob" must be true'))
wrapped("nothing but sizes", "qwen3_5_moe", "qwen3_5_moe_text")
wrapped("tied", "qwen3_5_moe", "qwen3_5_moe_text", outer=dict(tie_word_embeddings=True))
wrapped("a matrix of each expert, BF16", "qwen3_5_moe", "qwen3_5_moe_text", stored=dict(dtype="BF16", shards=2, experts_of="qwen3_next"))
wrapped("layers that guess further tokens", "qwen3_5_moe", "qwen3_5_moe_text", stored=dict(extra={"mtp.fc.weight": [32, 64]}))
for name, keys in {
    "one key head": dict(num_key_value_heads=1), "every second layer with attention": dict(full_attention_interval=2),
    "three heads of values, one of keys": dict(linear_num_key_heads=1, linear_num_value_heads=3), "two taps": dict(linear_conv_kernel_dim=2),
    "half of a head turned": dict(partial_rotary_factor=0.5), "norm epsilon 0.01": dict(rms_norm_eps=0.01),
    "all experts": dict(num_experts=3, num_experts_per_tok=3), "odd vocabulary": dict(vocab_size=51),
}.items():
    wrapped(name, "qwen3_5_moe", "qwen3_5_moe_text", **keys)
case("nothing but sizes", "olmo_hybrid")
case("four layers", "olmo_hybrid", num_hidden_layers=4)
case("tied, BF16, shards", "olmo_hybrid", tie_word_embeddings=True, stored=dict(dtype="BF16", shards=2))
case("F16, odd vocabulary, one key head", "olmo_hybrid", vocab_size=51, num_key_value_heads=1, stored=dict(dtype="F16"))
case("layer types", "olmo_hybrid", num_hidden_layers=3, layer_types=["linear_attention", "full_attention", "linear_attention"])
case("biases of attention", "olmo_hybrid", attention_bias=True)
case("heads of values as of keys", "olmo_hybrid", linear_num_key_heads=4, linear_key_head_dim=12, linear_value_head_dim=8)
case("two taps, six heads of values", "olmo_hybrid", linear_conv_kernel_dim=2, linear_num_value_heads=6)
case("learning up to 1", "olmo_hybrid", linear_allow_neg_eigval=False)
case("no positions, as published", "olmo_hybrid", rope_parameters=dict(rope_theta=None, rope_type="default"))
case("no base", "olmo_hybrid", rope_theta=None)
case("theta 500", "olmo_hybrid", rope_theta=500.0)
case("norm epsilon 0.01", "olmo_hybrid", rms_norm_eps=0.01)
case("published names of norms", "olmo_hybrid", num_hidden_layers=3, layer_types=["linear_attention", "full_attention", "linear_attention"],
     stored=dict(dtype="BF16", renamed={f"{layer}.{new}.": f"{layer}.{old}." for layer in (0, 2) for new, old in (
         ("input_layernorm", "attention_layer_norm"), ("post_attention_layernorm", "feedforward_layer_norm"))}))
case("widths that 4 does not divide", "olmo_hybrid", hidden_size=36, num_attention_heads=3, num_key_value_heads=1, intermediate_size=41)
case("attention alone", "olmo_hybrid", layer_types=["full_attention"] * 2, stored=dict(expect="must have layers of attention and"))
# Experts. Logits of routers are far apart, so that rounding decides none of them.
for each in MIXTURES:
    experts = "num_local_experts" if each in ("mixtral", "gpt_oss", "granitemoe") else "num_experts"
    case("nothing but sizes", each)
    case("tied, BF16, shards", each, tie_word_embeddings=True, stored=dict(dtype="BF16", shards=2))
    case("F16, odd vocabulary, one key head", each, vocab_size=53, num_key_value_heads=1, stored=dict(dtype="F16"))
    case("norm epsilon 0.01", each, rms_norm_eps=0.01)
    case("activation gelu", each, hidden_act="gelu")
    case("one expert of seven", each, num_experts_per_tok=1, **{experts: 7})
    case("all experts", each, num_experts_per_tok=3, **{experts: 3})
    case("widths that 4 does not divide", each, hidden_size=36, intermediate_size=41, num_attention_heads=3, num_key_value_heads=1,
         **({"moe_intermediate_size": 23} if each.startswith("qwen") else {}))
    case("more experts for a token than there are", each, num_experts_per_tok=9, stored=dict(expect="go to 9 experts"))
    case("yarn", each, rope_parameters=dict(rope_type="yarn", rope_theta=1e4, **FAR), **({"head_dim": 8} if each == "mixtral" else {}))
for each in ("qwen3_moe", "olmoe", "qwen2_moe"):
    case("shares that add up to 1, biases", each, norm_topk_prob=True, **({} if each == "qwen2_moe" else {"attention_bias": True}))
case("no biases", "qwen2_moe", qkv_bias=False)
case("windows", "qwen2_moe", use_sliding_window=True, sliding_window=7, max_window_layers=2)
case("windows, listed", "qwen2_moe", use_sliding_window=True, sliding_window=7, layer_types=["full_attention", "sliding_attention", "full_attention"])
case("experts in every second layer", "qwen2_moe", decoder_sparse_step=2, mlp_only_layers=[])
case("factors", "granitemoe", embedding_multiplier=12.0, residual_multiplier=0.22, attention_multiplier=0.4, logits_scaling=8.0)
case("biases", "granitemoe", attention_bias=True)
case("a tight limit, another gain", "gpt_oss", swiglu_limit=0.05, swiglu_alpha=1.1)
case("no biases of attention", "gpt_oss", attention_bias=False)
case("windows, listed", "gpt_oss", layer_types=["full_attention", "sliding_attention", "sliding_attention"], sliding_window=5)
case("as published", "gpt_oss", experts_per_token=2, initial_context_length=4096, rope_theta=150000, swiglu_limit=7.0, hidden_act="silu",
     rope_scaling=dict(beta_fast=32.0, beta_slow=1.0, factor=32.0, original_max_position_embeddings=4096, rope_type="yarn", truncate=False),
     router_aux_loss_coef=0.9, output_router_logits=False, use_cache=True, stored=dict(dtype="BF16"))
case("windows", "qwen3_moe", use_sliding_window=True, sliding_window=7, max_window_layers=2)
case("experts in every second layer", "qwen3_moe", decoder_sparse_step=2, head_dim=16)
case("some layers without experts", "qwen3_moe", mlp_only_layers=[0, 2])
for each in ("mixtral", "olmoe"):
    case("theta 500", each, rope_parameters=dict(rope_type="default", rope_theta=500.0))
case("windows", "mixtral", sliding_window=7, router_jitter_noise=0.1, router_aux_loss_coef=0.02, output_router_logits=False)
case("clipped queries", "olmoe", clip_qkv=0.5, stored=dict(expect='"clip_qkv" must be null'))
# More of them: of other keys for the number of experts and of those of a token.
COUNTS = dict(granitemoeshared=("num_local_experts", "num_experts_per_tok"), granitemoehybrid=("num_local_experts", "num_experts_per_tok"),
              lfm2_moe=("num_experts", "num_experts_per_tok"), ernie4_5_moe=("moe_num_experts", "moe_k"),
              glm4_moe=("n_routed_experts", "num_experts_per_tok"), dots1=("n_routed_experts", "num_experts_per_tok"))
for each in (*COUNTS, "phimoe"):
    epsilon = "norm_eps" if each == "lfm2_moe" else "rms_norm_eps"
    case("nothing but sizes", each)
    case("tied, BF16, shards", each, tie_word_embeddings=True, stored=dict(dtype="BF16", shards=2))
    case("untied, F16, odd vocabulary, one key head", each, vocab_size=53, num_key_value_heads=1, tie_word_embeddings=False, stored=dict(dtype="F16"))
    case("norm epsilon 0.01", each, **{epsilon: 0.01})
    case("theta 500", each, rope_parameters=dict(rope_type="default", rope_theta=500.0, **({"partial_rotary_factor": 0.5} if each == "glm4_moe" else {})))
    if each != "phimoe":
        experts, chosen = COUNTS[each]
        case("one expert of seven", each, **{experts: 7, chosen: 1})
        case("all experts", each, **{experts: 3, chosen: 3})
        case("more experts for a token than there are", each, **{chosen: 9}, stored=dict(expect="go to 9 experts"))
        case("yarn", each, rope_parameters=dict(rope_type="yarn", rope_theta=1e4, **FAR, **({"partial_rotary_factor": 0.5} if each == "glm4_moe" else {})),
             **({} if each == "lfm2_moe" else {"head_dim": 8}))
    if each not in ("lfm2_moe", "ernie4_5_moe"):
        case("biases of attention", each, attention_bias=True)
for each in ("granitemoeshared", "granitemoehybrid", "phimoe", "glm4_moe", "dots1", "ernie4_5_moe"):
    case("widths that 4 does not divide", each, hidden_size=36, intermediate_size=41, num_attention_heads=3, num_key_value_heads=1,
         **({"moe_intermediate_size": 23} if each in COUNTS and not each.startswith("granite") else {}),
         **({"head_dim": 8} if each == "glm4_moe" else {"mamba_n_heads": 3} if each == "granitemoehybrid" else {}))
for each in ("granitemoeshared", "granitemoehybrid"):
    case("factors", each, embedding_multiplier=12.0, residual_multiplier=0.22, attention_multiplier=0.4, logits_scaling=8.0)
    case("activation gelu", each, hidden_act="gelu")
case("no shared layer", "granitemoeshared", shared_intermediate_size=0)
case("no experts", "granitemoehybrid", num_local_experts=0)
case("no experts, as published", "granitemoehybrid", num_local_experts=0, num_experts_per_tok=0, layer_types=["attention"] * 3,
     position_embedding_type="rope", attention_multiplier=0.15, embedding_multiplier=12, residual_multiplier=0.22, logits_scaling=8,
     init_method="mup", mamba_chunk_size=256, mamba_conv_bias=True, mamba_d_conv=4, mamba_d_head=16, mamba_d_state=256, mamba_expand=2,
     mamba_n_groups=1, mamba_n_heads=4, mamba_proj_bias=False, normalization_function="rmsnorm", output_router_logits=False, rope_scaling=None,
     rope_theta=10000000, router_aux_loss_coef=0.01, stored=dict(dtype="BF16"))
case("no positions", "granitemoehybrid", position_embedding_type=None)
case("no positions, by a word", "granitemoehybrid", position_embedding_type="nope")
case("a Mamba layer", "granitemoehybrid", layer_types=["attention", "mamba", "attention"], stored=dict(expect='layers of the type "mamba"'))
case("experts in all layers", "lfm2_moe", num_dense_layers=0)
case("no experts", "lfm2_moe", num_dense_layers=3)
case("scores as they are", "lfm2_moe", norm_topk_prob=False, routed_scaling_factor=2.5)
case("no correction", "lfm2_moe", use_expert_bias=False)
case("biases of the convolution, four taps", "lfm2_moe", conv_bias=True, conv_L_cache=4)
case("biases", "ernie4_5_moe", use_bias=True)
case("biases, untied", "ernie4_5_moe", use_bias=True, tie_word_embeddings=False)
case("no shared experts", "ernie4_5_moe", moe_num_shared_experts=0)
case("experts in some layers", "ernie4_5_moe", num_hidden_layers=4, moe_layer_interval=2, moe_layer_start_index=0, moe_layer_end_index=2)
case("a sum of scores of at least 0.9", "ernie4_5_moe", moe_norm_min=0.9)
case("layers that guess further tokens", "ernie4_5_moe", num_nextn_predict_layers=1, stored=dict(extra={"model.mtp_linear_proj.0.weight": [32, 64]}))
case("no tolerance", "phimoe", router_jitter_noise=0.0)
case("a wide tolerance, seven experts", "phimoe", router_jitter_noise=0.9, num_local_experts=7)
case("two experts", "phimoe", num_local_experts=2)
case("bias of the head", "phimoe", lm_head_bias=True)
case("windows", "phimoe", sliding_window=7)
MSCALES = dict(short_mscale=1.25, long_mscale=1.5, original_max_position_embeddings=110)
case("longrope", "phimoe", rope_scaling=dict(type="longrope", short_factor=[1.0, 1.5, 2.0, 3.0], long_factor=[4.0] * 4, **MSCALES), rope_theta=500.0)
case("yarn", "phimoe", rope_scaling=dict(type="yarn", factor=4.0, **MSCALES), stored=dict(expect='rope scaling "yarn" is not supported'))
case("four experts for a token", "phimoe", num_experts_per_tok=4, stored=dict(expect='"num_experts_per_tok" must be 2'))
case("norms of queries and keys, a quarter of a head turns", "glm4_moe", use_qk_norm=True, partial_rotary_factor=0.25)
case("layers that guess further tokens", "glm4_moe", num_hidden_layers=3, num_nextn_predict_layers=1,
     stored=dict(extra={"model.layers.3.eh_proj.weight": [32, 64]}))
for each in ("glm4_moe", "dots1"):
    case("scores as they are, two shared experts", each, norm_topk_prob=False, routed_scaling_factor=2.5, n_shared_experts=2)
    case("two layers without experts", each, first_k_dense_replace=2)
    case("groups of experts", each, n_group=2, topk_group=1, stored=dict(expect='"n_group" must be 1'))
case("windows", "dots1", sliding_window=7, max_window_layers=1)
case("windows, listed", "dots1", sliding_window=7, layer_types=["full_attention", "sliding_attention", "full_attention"])
case("nothing but sizes", "granite_swa")
case("tied, BF16, shards", "granite_swa", tie_word_embeddings=True, stored=dict(dtype="BF16", shards=2))
case("untied, F16, odd vocabulary, one key head", "granite_swa", vocab_size=53, num_key_value_heads=1, tie_word_embeddings=False, stored=dict(dtype="F16"))
case("norm epsilon 0.01", "granite_swa", rms_norm_eps=0.01)
case("biases of attention and feed-forward", "granite_swa", attention_bias=True, mlp_bias=True)
case("factors", "granite_swa", embedding_multiplier=12.0, residual_multiplier=0.22, attention_multiplier=0.4, logits_scaling=8.0)
case("windows of 5, listed", "granite_swa", sliding_window=5, layer_types=["sliding_attention", "full_attention", "full_attention", "sliding_attention"])
case("bases by layer", "granite_swa", layer_rope_theta=[0, 500.0, 10000.0, 500.0])
case("no positions", "granite_swa", layer_rope_theta=[0] * 4)
case("theta 500", "granite_swa", rope_parameters=dict(rope_type="default", rope_theta=500.0))
case("yarn, bases by layer", "granite_swa", head_dim=8, layer_rope_theta=[1e4, 500.0, 0, 1e4], rope_parameters=dict(rope_type="yarn", rope_theta=300.0, **FAR))
case("widths that 4 does not divide", "granite_swa", hidden_size=36, intermediate_size=41, num_attention_heads=3, num_key_value_heads=1)
case("activation gelu", "granite_swa", hidden_act="gelu")
case("too few bases", "granite_swa", layer_rope_theta=[1e4], stored=dict(expect='"layer_rope_theta" must have'))
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
    case("no bias of the head", each, stored=dict(renamed={f"{head}.bias": "elsewhere.bias"}, expect="lack 1 tensor of"))
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

# Relatives of Llama with names, norms or a mask of their own.
for each in ("eurobert", "internlm3", "exaone", "jais2"):
    case("nothing but sizes", each)
    case("key heads", each, num_key_value_heads=2)
    case("one key head", each, num_key_value_heads=1)
    case("head_dim 16", each, head_dim=16, num_attention_heads=2, num_key_value_heads=2)
    case("tied", each, tie_word_embeddings=True)
    case("BF16, shards, odd vocabulary", each, vocab_size=51, stored=dict(dtype="BF16", shards=3), torch_dtype="bfloat16")
    case("yarn", each, rope_scaling=dict(rope_type="yarn", **FAR), rope_theta=1e6)
    case("norm epsilon 0.01", each, **{"layer_norm_eps" if each == "jais2" else "rms_norm_eps": 0.01})
    case("all biases", each, attention_bias=True, mlp_bias=True)
    case("widths that 4 does not divide", each, hidden_size=30, num_attention_heads=3, num_key_value_heads=1, head_dim=10, intermediate_size=42)
for each in ("eurobert", "exaone", "jais2"):
    case("biases of attention", each, attention_bias=True, mlp_bias=False)
    case("biases of feed-forward", each, attention_bias=False, mlp_bias=True)
case("biases, tied", "eurobert", mlp_bias=True, tie_word_embeddings=True)
case("classifier", "eurobert", architectures=["EuroBertForSequenceClassification"], stored=dict(expect="which is another function"))
case("as published", "eurobert", clf_pooling="late", mask_token_id=3, pretraining_tp=1, attention_dropout=0.0, rope_theta=250000, rope_scaling=None,
     auto_map=dict(AutoConfig="configuration_eurobert.EuroBertConfig", AutoModelForMaskedLM="modeling_eurobert.EuroBertForMaskedLM"))
case("as published", "internlm3", qkv_bias=False, bias=False, rope_theta=5e7, rope_scaling=dict(rope_type="dynamic", factor=6.0))
case("biases by their published names", "internlm3", qkv_bias=True, bias=True)
case("biases of attention alone", "internlm3", qkv_bias=True, bias=False, stored=dict(expect="must be equal"))
EXAONE = {"model.embed_tokens.": "transformer.wte.", "model.layers.": "transformer.h.", "model.norm.": "transformer.ln_f.",
          ".self_attn.": ".attn.attention.", ".o_proj.": ".out_proj.", ".input_layernorm.": ".ln_1.", ".post_attention_layernorm.": ".ln_2.",
          ".gate_proj.": ".c_fc_0.", ".up_proj.": ".c_fc_1.", ".down_proj.": ".c_proj."}
case("as published", "exaone", drop=["num_hidden_layers"], num_layers=3, activation_function="silu", layer_norm_epsilon=1e-5, embed_dropout=0.0,
     rope_scaling=dict(factor=8.0, high_freq_factor=4.0, low_freq_factor=1.0, original_max_position_embeddings=32, rope_type="llama3"),
     rope_theta=1e6, stored=dict(renamed=EXAONE))
case("published key and another", "exaone", num_layers=4, stored=dict(expect="mean the same"))

# Scores that fall with the distance.
BLOOM_EXTRAS = dict(attention_softmax_in_fp32=True, bias_dropout_fusion=True, masked_softmax_fusion=True, n_inner=None, offset_alibi=100,
                    pretraining_tp=1, seq_length=256, skip_bias_add=True, skip_bias_add_qkv=False, slow_but_exact=False)
MPT_ATTENTION = dict(alibi=True, alibi_bias_max=8, attn_impl="torch", attn_pdrop=0, attn_type="multihead_attention",
                     attn_uses_sequence_id=False, clip_qkv=None, prefix_lm=False, qk_ln=False, softmax_scale=None)
for each, (width, heads) in dict(bloom=("hidden_size", "n_head"), mpt=("d_model", "n_heads")).items():
    case("nothing but sizes", each)
    case("untied, F16, odd vocabulary", each, tie_word_embeddings=False, vocab_size=51, stored=dict(dtype="F16"))
    case("tied, BF16, shards", each, tie_word_embeddings=True, stored=dict(dtype="BF16", shards=3))
    for count, size in (1, 16), (2, 32), (3, 30), (5, 40), (6, 42), (8, 32), (12, 48), (7, 35):
        case(f"{count} heads of {size // count}", each, **{width: size, heads: count})
    case("norm epsilon 0.01", each, layer_norm_epsilon=0.01)
case("as published", "bloom", drop=["hidden_size", "n_head"], n_embed=32, num_attention_heads=4, **BLOOM_EXTRAS)
case("other names of sizes", "bloom", drop=["n_layer", "n_head"], num_hidden_layers=3, num_attention_heads=8)
case("names without prefix", "bloom", stored=dict(renamed={"transformer.": ""}))
case("residuals after norms", "bloom", apply_residual_connection_post_layernorm=True,
     stored=dict(expect='"apply_residual_connection_post_layernorm" must be false'))
case("as published", "mpt", attn_config=MPT_ATTENTION, no_bias=True, learned_pos_emb=True, expansion_ratio=4, emb_pdrop=0, resid_pdrop=0,
     norm_type="low_precision_layernorm", logit_scale=None, embedding_fraction=1.0, init_device="cpu", verbose=0, use_cache=False,
     init_config=dict(name="kaiming_normal_"), tokenizer_name="EleutherAI/gpt-neox-20b",
     auto_map={"AutoConfig": "configuration_mpt.MPTConfig", "AutoModelForCausalLM": "modeling_mpt.MPTForCausalLM"})
case("scale of scores", "mpt", attn_config=dict(softmax_scale=0.2))
for key, value in dict(clip_qkv=6.0, alibi_bias_max=16, alibi=False, qk_ln=True, prefix_lm=True, attn_type="multiquery_attention").items():
    case(f"{key} {value}".lower(), "mpt", attn_config=MPT_ATTENTION | {key: value}, stored=dict(expect=f'"{key}" of "attn_config" must be'))

# An activation with numbers of its own, of which that of the first layer bends more.
common("apertus")
for key, value in dict(num_key_value_heads=None, head_dim=16, attention_bias=True, rms_norm_eps=0.01, hidden_act="gelu").items():
    case(f"{key} {value}", "apertus", **{key: value})
case("as published", "apertus", post_norm=False, qk_norm=True, mlp_bias=False, rope_theta=12000000,
     rope_scaling=dict(rope_type="llama3", factor=8.0, high_freq_factor=4.0, low_freq_factor=1.0, original_max_position_embeddings=32))
case("plain rotation", "apertus", rope_parameters=dict(rope_type="default", rope_theta=500.0))
case("theta alone", "apertus", rope_theta=500.0)
case("norms of what sublayers give", "apertus", post_norm=True, stored=dict(expect='"post_norm" must be false'))

# Layers with a window, and others whose heads have a width of their own; last layers with the keys and values of
# earlier ones; inputs of each layer's own. Without a list the last layer of three is the one that sees everything.
# Epsilon is large, so that results of sublayers that happen to be small are not made large, with what rounding left of
# them.
UNIFIED = dict(head_dim=8, global_head_dim=16, sliding_window=16, rms_norm_eps=0.01)
OWN["gemma4_unified_text"] = UNIFIED
OWN["gemma4_text"] = UNIFIED | dict(hidden_size_per_layer_input=12, vocab_size_per_layer_input=56)
CLASSES |= dict(gemma4_text="Gemma4ForCausalLM", gemma4_unified_text="Gemma4UnifiedForCausalLM", gemma4="Gemma4ForConditionalGeneration",
                gemma4_unified="Gemma4UnifiedForConditionalGeneration")
VISION |= dict(
    gemma4=dict(model_type="gemma4_vision", hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
                num_key_value_heads=1, head_dim=8, patch_size=4, position_embedding_size=16),
    gemma4_unified=dict(model_type="gemma4_unified_vision", patch_size=2, mm_embed_dim=8, mm_posemb_size=16, output_proj_dims=8))
# In place of tokens with these ids the class has the padding token, so that none of them lies in the vocabulary.
SENSES = dict(image_token_id=1000, video_token_id=1001, audio_token_id=1002, boi_token_id=1003, eoi_token_id=1004, boa_token_id=1005,
              eoa_token_index=1006, audio_config=None)
OUTER |= dict(gemma4=SENSES, gemma4_unified=SENSES)
FOUR = ["sliding_attention", "full_attention", "sliding_attention", "full_attention"]
SHARING = dict(num_hidden_layers=4, layer_types=FOUR, num_kv_shared_layers=2)
DEFAULT_ROTATIONS = dict(sliding_attention=dict(rope_type="default", rope_theta=1e4),
                         full_attention=dict(rope_type="proportional", partial_rotary_factor=0.25, rope_theta=1e6))
GEMMA4 = {
    "nothing but sizes": {},
    "keys as values": dict(attention_k_eq_v=True),
    "keys as values, key heads of their own": dict(attention_k_eq_v=True, num_global_key_value_heads=1),
    "key heads without keys as values": dict(num_global_key_value_heads=1),
    "shared keys": SHARING,
    "shared keys, wide feed-forward layers": SHARING | dict(use_double_wide_mlp=True),
    "shared keys, keys as values": SHARING | dict(attention_k_eq_v=True, num_global_key_value_heads=1),
    "every layer but the first two shares": dict(num_hidden_layers=6, layer_types=["full_attention", "sliding_attention"] * 2 + FOUR[2:],
                                                 num_kv_shared_layers=4),
    "window 7": dict(sliding_window=7),
    "biases": dict(attention_bias=True),
    "cap of logits": dict(final_logit_softcapping=2.0),
    "norm epsilon 0.03": dict(rms_norm_eps=0.03),
    "activation silu": dict(hidden_activation="silu"),
    "untied, odd vocabulary": dict(tie_word_embeddings=False, vocab_size=51),
    "one key head": dict(num_key_value_heads=1),
    "the last layer with a window in the list": dict(layer_types=["full_attention", "sliding_attention", "sliding_attention"]),
    "layers that all see everything": dict(layer_types=["full_attention"] * 3),
    "eight layers": dict(num_hidden_layers=8),
    "heads by layer": dict(per_layer_config={"2": dict(head_dim=12, num_key_value_heads=4)}),
    "heads by layer, zeros in front": dict(num_hidden_layers=12, hidden_size=16, intermediate_size=16, num_attention_heads=2,
                                           per_layer_config={"05": dict(head_dim=16), "11": dict(head_dim=16)}),
    "heads by layer, none": dict(per_layer_config={}),
    "heads of 512": dict(drop=["global_head_dim"], num_attention_heads=2, num_key_value_heads=1, num_hidden_layers=2, layer_types=FOUR[:2]),
    "rotations": dict(rope_parameters=dict(sliding_attention=dict(rope_type="default", rope_theta=50.0),
                                           full_attention=dict(rope_type="proportional", partial_rotary_factor=0.5, rope_theta=900.0))),
    "rotations by rules": dict(rope_parameters=dict(sliding_attention=dict(rope_type="linear", factor=2.0, rope_theta=50.0),
                                                    full_attention=dict(rope_type="yarn", rope_theta=900.0, **FAR))),
    "rotations as usual, written out": dict(rope_parameters=DEFAULT_ROTATIONS),
    "as the class writes it": dict(attention_dropout=0.0, bos_token_id=2, eos_token_id=1, pad_token_id=0, use_cache=True, num_hidden_layers=2,
                                   layer_types=["sliding_attention", "full_attention"], rope_parameters=DEFAULT_ROTATIONS,
                                   per_layer_config={"1": dict(head_dim=16)}, use_double_wide_mlp=False, use_bidirectional_attention="vision"),
    "widths that 4 does not divide": dict(hidden_size=30, num_attention_heads=3, num_key_value_heads=1, head_dim=10, global_head_dim=14,
                                          intermediate_size=42),
}
GAINS |= dict.fromkeys(("gemma4_text", "gemma4", "gemma4_unified_text", "gemma4_unified"), {"gains": 0.5})
for name, keys in GEMMA4.items():
    case(name, "gemma4_unified_text", **keys)
ONCE = ("key heads without keys as values", "every layer but the first two shares", "biases", "activation silu", "one key head", "eight layers",
        "the last layer with a window in the list", "layers that all see everything", "heads by layer, zeros in front", "heads by layer, none", "heads of 512",
        "rotations by rules", "rotations as usual, written out")
for name in [name for name in GEMMA4 if name not in ONCE]:
    case(name, "gemma4_text", **GEMMA4[name])
for each in ("gemma4_unified_text", "gemma4_text"):
    case("BF16, shards", each, stored=dict(dtype="BF16", shards=3), **SHARING)
    case("norm epsilon absent", each, drop=["rms_norm_eps"])
    case("keys of layers that share, in the file", each, **SHARING, stored=dict(dtype="F16", extra={
        "model.layers.2.self_attn.k_proj.weight": [16, 32], "model.layers.2.self_attn.v_proj.weight": [16, 32],
        "model.layers.3.self_attn.k_norm.weight": [16], "model.layers.3.self_attn.k_proj.weight": [32, 32]}))
    for name, (words, keys) in {
        "bidirectional": ('"use_bidirectional_attention" must be "vision"', dict(use_bidirectional_attention="all")),
        "experts": ('"enable_moe_block" must be false', dict(enable_moe_block=True, num_experts=2, top_k_experts=1, moe_intermediate_size=8)),
        "every layer shares": ("none of the others is", dict(num_kv_shared_layers=3)),
        "no layer of a kind to share with": ("none of the others is", dict(num_kv_shared_layers=1)),
        "another key by layer": ('the key "intermediate_size" (.*) of layer 1 is not supported', dict(per_layer_config={"1": dict(intermediate_size=8)})),
        "heads of layers of a kind that differ": ("must be the same for all layers of a type", dict(per_layer_config={"1": dict(head_dim=16)})),
        "a layer that is not there": ('must name layers by their numbers from 0 to 2; got "3"', dict(per_layer_config={"3": dict(head_dim=16)})),
        "one rotation besides": ("must have an object for each of", dict(rope_parameters=DEFAULT_ROTATIONS | dict(rope_theta=1e4))),
        "one rotation for all layers": ('must have an object with "rope_theta" for', dict(rope_parameters=dict(rope_type="default", rope_theta=1e4))),
        "rotation of a kind absent": ('must have an object with "rope_theta" for "full_attention"',
                                      dict(rope_parameters=dict(sliding_attention=dict(rope_type="default", rope_theta=1e4)))),
        "older key of rotations": ('the key "rope_theta"', dict(rope_theta=500.0)),
    }.items():
        if each == "gemma4_unified_text" or name == "bidirectional":
            case(name, each, stored=dict(expect=words), **keys)
for name, keys in {
    "without inputs of layers": dict(hidden_size_per_layer_input=0), "inputs of 10 elements": dict(hidden_size_per_layer_input=10),
    "inputs, shared keys, wide": SHARING | dict(use_double_wide_mlp=True, hidden_size_per_layer_input=20, attention_k_eq_v=True),
}.items():
    case(name, "gemma4_text", **keys)
case("inputs by default", "gemma4_text", drop=["hidden_size_per_layer_input"])
case("rows for some tokens only", "gemma4_text", vocab_size_per_layer_input=40, stored=dict(expect='"vocab_size_per_layer_input" must be at least'))
case("inputs of layers", "gemma4_unified_text", hidden_size_per_layer_input=12, stored=dict(expect='"hidden_size_per_layer_input" must be 0'))
for wrapper, member in (("gemma4", "gemma4_text"), ("gemma4_unified", "gemma4_unified_text")):
    for name in ("nothing but sizes", "keys as values, key heads of their own", "shared keys, wide feed-forward layers", "shared keys", "window 7",
                 "cap of logits", "norm epsilon 0.03", "heads by layer", "rotations", "as the class writes it"):
        wrapped(name, wrapper, member, **GEMMA4[name])
    wrapped("untied", wrapper, member, outer=dict(tie_word_embeddings=False))
    wrapped("BF16, shards", wrapper, member, stored=dict(dtype="BF16", shards=2), **SHARING)
    wrapped("keys of layers that share, in the file", wrapper, member, **SHARING, stored=dict(extra={
        "model.language_model.layers.2.self_attn.k_proj.weight": [16, 32]}))
wrapped("without inputs of layers", "gemma4", "gemma4_text", hidden_size_per_layer_input=0)

# Experts beside the feed-forward layers of Gemma 4, with a router of their own.
SIX = dict(enable_moe_block=True, num_experts=6, top_k_experts=2, moe_intermediate_size=24)
WITH_EXPERTS = {
    "experts": SIX,
    "one expert of seven, no inputs of layers": SIX | dict(num_experts=7, top_k_experts=1, hidden_size_per_layer_input=0),
    "every expert": SIX | dict(top_k_experts=6),
    "experts, shared keys, wide": SIX | SHARING | dict(use_double_wide_mlp=True, attention_k_eq_v=True, num_global_key_value_heads=1),
    "experts, norm epsilon 0.03": SIX | dict(rms_norm_eps=0.03),
    "experts, widths that 4 does not divide": SIX | dict(hidden_size=30, num_attention_heads=3, num_key_value_heads=1, head_dim=10,
                                                         global_head_dim=14, intermediate_size=42, moe_intermediate_size=26),
}
for name, keys in WITH_EXPERTS.items():
    case(name, "gemma4_text", **keys)
case("experts, BF16, shards", "gemma4_text", stored=dict(dtype="BF16", shards=3), **SIX)
wrapped("experts", "gemma4", "gemma4_text", **SIX)
wrapped("experts, no inputs of layers", "gemma4", "gemma4_text", **SIX, hidden_size_per_layer_input=0)
case("experts without a number", "gemma4_text", enable_moe_block=True, stored=dict(expect='"num_experts", "top_k_experts" and'))
case("more experts than there are", "gemma4_text", **SIX | dict(top_k_experts=7), stored=dict(expect="7 experts of 6"))
case("experts that are off", "gemma4_text", **SIX | dict(enable_moe_block=False))

CLASSES["hunyuan_v1_moe"] = "HunYuanMoEV1ForCausalLM"
OWN["hunyuan_v1_moe"] = dict(head_dim=8, num_experts=6, moe_topk=2)
for name, keys in {
    "nothing but sizes": {}, "head_dim 16": dict(head_dim=16), "tied": dict(tie_word_embeddings=True), "one key head": dict(num_key_value_heads=1),
    "one expert": dict(num_experts=1, moe_topk=1), "chosen by layer": dict(moe_topk=[1, 3, 2]), "every expert": dict(moe_topk=6),
    "theta 100": dict(rope_theta=100.0), "norm epsilon 0.01": dict(rms_norm_eps=0.01), "biases of attention": dict(attention_bias=True),
    "alpha": dict(rope_scaling=dict(type="dynamic", **ALPHA)), "activation gelu": dict(hidden_act="gelu"),
    "as published": dict(rope_scaling=dict(type="dynamic", **ALPHA), use_qk_norm=True, use_mixed_mlp_moe=True, norm_topk_prob=True, use_cla=False,
                         cla_share_factor=2, num_shared_expert=[1, 1, 1], moe_intermediate_size=[40, 40, 40], moe_topk=[2, 2, 2],
                         attention_head_dim=8, eod_token_id=3, moe_layer_num_skipped=0),
}.items():
    case(name, "hunyuan_v1_moe", **keys)
case("BF16, shards", "hunyuan_v1_moe", stored=dict(dtype="BF16", shards=3))
case("no norms of queries and keys", "hunyuan_v1_moe", use_qk_norm=False, stored=dict(expect='"use_qk_norm" must be true'))
case("chosen for two layers of three", "hunyuan_v1_moe", moe_topk=[1, 2], stored=dict(expect='"moe_topk" must have a number for each of 3'))
case("factor of the experts", "hunyuan_v1_moe", routed_scaling_factor=2.5, stored=dict(expect='"routed_scaling_factor" must be'))
