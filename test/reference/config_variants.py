"""What transformers makes of configurations: one line of facts for each of some eighty config.json files.

Writes ../fixtures/golden/config-variants.json. Every configuration goes the way of a file (config.json in a folder,
AutoConfig, model class); the facts are read from the model that comes out, not from the configuration. `error` where
transformers refuses, at whatever stage. A tiny model is made and run once, so that errors of the forward pass count
too.

    python config_variants.py
"""

import json
import math
import pathlib
import tempfile

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.activations import ACT2CLS

OUT = pathlib.Path(__file__).parent.parent / "fixtures" / "golden" / "config-variants.json"
transformers.logging.set_verbosity_error()
torch.manual_seed(0)

FAMILY = dict(vocab_size=24, hidden_size=32, intermediate_size=16, num_hidden_layers=3, num_attention_heads=4,
              num_key_value_heads=2, max_position_embeddings=64)
OPT = dict(model_type="opt", vocab_size=24, hidden_size=32, ffn_dim=16, num_hidden_layers=2, num_attention_heads=4,
           max_position_embeddings=64)


def family(model_type, drop=(), **more):
    return {key: value for key, value in dict(model_type=model_type, **FAMILY, **{}).items() if key not in drop} | more


def rope(**parameters):
    return family("llama", rope_parameters=parameters)


LONG = dict(rope_type="longrope", short_factor=[1, 1.5, 2, 3], long_factor=[2, 4, 8, 16])
VARIANTS = {
    # Absent keys
    **{f"{name}: nothing but sizes": family(name) for name in ("llama", "mistral", "qwen2", "qwen3")},
    **{f"{name}: no key heads": family(name, drop=("num_key_value_heads",), num_attention_heads=32, hidden_size=128)
       for name in ("llama", "mistral", "qwen2", "qwen3")},
    **{f"{name}: key heads null": family(name, num_key_value_heads=None)
        for name in ("llama", "mistral", "qwen2", "qwen3")},
    **{f"{name}: head_dim null": family(name, head_dim=None) for name in ("llama", "mistral", "qwen3")},
    **{f"{name}: head_dim": family(name, head_dim=16) for name in ("llama", "mistral", "qwen2", "qwen3")},
    "llama: odd split with head_dim": family("llama", hidden_size=36, num_attention_heads=8, head_dim=8),
    "mistral: odd split with head_dim": family("mistral", hidden_size=36, num_attention_heads=8, head_dim=8),
    # Windows
    "mistral: window": family("mistral", sliding_window=8),
    "mistral: window null": family("mistral", sliding_window=None),
    "qwen2: window without switch": family("qwen2", sliding_window=8),
    "qwen2: switch": family("qwen2", use_sliding_window=True),
    "qwen2: switch, window, first layer": family("qwen2", use_sliding_window=True, sliding_window=8,
    max_window_layers=1),
    "qwen2: switch, window null": family("qwen2", use_sliding_window=True, sliding_window=None, max_window_layers=1),
    "qwen3: layer types": family("qwen3", use_sliding_window=True, sliding_window=8,
                                 layer_types=["full_attention", "sliding_attention", "full_attention"]),
    "qwen3: layer types off": family("qwen3", sliding_window=8,
                                     layer_types=["full_attention", "sliding_attention", "full_attention"]),
    "qwen2: layer types short": family("qwen2", layer_types=["full_attention"]),
    "qwen2: layer types unknown": family("qwen2", layer_types=["full_attention", "dense", "full_attention"]),
    "qwen2: layer types old name": family("qwen2", layer_types=["attention"] * 3),
    "qwen2: all full": family("qwen2", layer_types=["full_attention"] * 3, use_sliding_window=True,
    max_window_layers=0),
    # Biases
    "llama: attention_bias": family("llama", attention_bias=True),
    "llama: mlp_bias": family("llama", mlp_bias=True),
    "qwen3: attention_bias": family("qwen3", attention_bias=True),
    "opt: no bias": {**OPT, "enable_bias": False},
    "opt: no affine": {**OPT, "layer_norm_elementwise_affine": False},
    "opt": OPT,
    "opt: narrow": {**OPT, "word_embed_proj_dim": 16, "do_layer_norm_before": False},
    "opt: no final norm": {**OPT, "_remove_final_layer_norm": True},
    # Head and norm
    "llama: tied": family("llama", tie_word_embeddings=True),
    "llama: epsilon 0": family("llama", rms_norm_eps=0.0),
    "opt: untied": {**OPT, "tie_word_embeddings": False},
    # Where rotary settings come from
    "theta at the top": family("llama", rope_theta=500.0),
    "theta in rope_scaling": family("llama", rope_theta=500.0,
    rope_scaling=dict(rope_type="linear", factor=2.0, rope_theta=700.0)),
    "theta in rope_parameters": family("llama", rope_theta=500.0,
    rope_parameters=dict(rope_type="default", rope_theta=700.0)),
    "theta absent in rope_parameters": family("llama", rope_theta=500.0,
    rope_parameters=dict(rope_type="linear", factor=2.0)),
    "both": family("llama", rope_scaling=dict(type="linear", factor=2.0),
    rope_parameters=dict(rope_type="linear", factor=8.0, rope_theta=300.0)),
    "both, the former empty": family("llama", rope_scaling={},
    rope_parameters=dict(rope_type="linear", factor=8.0, rope_theta=300.0)),
    "both types": rope(rope_type="linear", type="default", factor=2.0),
    "old type": rope(type="linear", factor=2.0),
    "type null": rope(rope_type=None, type="linear", factor=2.0),
    "unknown type": rope(rope_type="su", factor=2.0),
    "partial rotation, default": rope(rope_type="default", partial_rotary_factor=0.5),
    "partial rotation, linear": rope(rope_type="linear", factor=2.0, partial_rotary_factor=0.5),
    "partial rotation at the top": family("llama", partial_rotary_factor=0.5,
    rope_scaling=dict(rope_type="linear", factor=2.0)),
    "per layer type, llama": rope(full_attention=dict(rope_type="linear", factor=2.0),
    sliding_attention=dict(rope_type="default")),
    "per layer type, qwen3": family("qwen3", layer_types=["full_attention"] * 3,
                                    rope_parameters=dict(
                                    full_attention=dict(rope_type="linear", factor=2.0, rope_theta=100.0))),
    # Rules
    "linear without factor": rope(rope_type="linear"),
    "llama3": rope(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
    original_max_position_embeddings=32, rope_theta=500.0),
    "llama3 without original": rope(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
    rope_theta=500.0),
    "llama3 equal bounds": rope(rope_type="llama3", factor=8.0, low_freq_factor=2.0, high_freq_factor=2.0,
    original_max_position_embeddings=32, rope_theta=500.0),
    "yarn": rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=16),
    "yarn without original": rope(rope_type="yarn", factor=4.0),
    "yarn, factor null": rope(rope_type="yarn", factor=None, original_max_position_embeddings=16),
    "yarn without factor": rope(rope_type="yarn", original_max_position_embeddings=16),
    "yarn, truncate false": rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=50, truncate=False),
    "yarn, truncate null": rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=50, truncate=None),
    "yarn, betas": rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=50, beta_fast=16, beta_slow=2,
    truncate=False),
    "yarn, betas 0": rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=50, beta_fast=0, beta_slow=0),
    "yarn, ramp of no width": rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=4),
    "yarn, ramp the other way": rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=50, beta_fast=1,
    beta_slow=32, truncate=False),
    "yarn, ramp beyond": rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=100000, rope_theta=20.0,
    truncate=False),
    "yarn, mscale": rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=16, mscale=1.0,
    mscale_all_dim=0.5),
    "yarn, mscale alone": rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=16, mscale=2.0),
    "yarn, mscale_all_dim 0": rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=16, mscale=2.0,
    mscale_all_dim=0.0),
    "yarn, factor below 1": rope(rope_type="yarn", factor=0.5, original_max_position_embeddings=16, mscale=1.0,
    mscale_all_dim=0.5),
    "yarn, attention factor": rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=16,
    attention_factor=0.5, mscale=1.0, mscale_all_dim=0.5),
    "yarn, attention factor 0": rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=16,
    attention_factor=0.0),
    "yarn, original at the top": family("llama", original_max_position_embeddings=16,
                                        rope_scaling=dict(rope_type="yarn", factor=4.0,
                                        original_max_position_embeddings=32)),
    "yarn, original at the top only": family("llama", original_max_position_embeddings=16,
    rope_scaling=dict(rope_type="yarn", factor=4.0)),
    "linear, original at the top": family("llama", original_max_position_embeddings=16,
    rope_scaling=dict(rope_type="linear", factor=4.0)),
    "yarn, factor null, original at the top": family("llama", original_max_position_embeddings=16,
    rope_scaling=dict(rope_type="yarn", factor=None)),
    "dynamic": rope(rope_type="dynamic", factor=4.0),
    "dynamic, original at the top": family("llama", original_max_position_embeddings=16,
    rope_scaling=dict(rope_type="dynamic", factor=4.0)),
    "longrope": rope(**LONG, original_max_position_embeddings=32),
    "longrope, factor": rope(**LONG, original_max_position_embeddings=32, factor=4.0),
    "longrope, attention factor": rope(**LONG, original_max_position_embeddings=32, factor=4.0, attention_factor=1.25),
    "longrope without original": rope(**LONG),
    "longrope, original at the top": family("llama", original_max_position_embeddings=16, rope_scaling=dict(**LONG)),
    "longrope, wrong length": rope(rope_type="longrope", short_factor=[1, 1], long_factor=[2, 4, 8, 16],
    original_max_position_embeddings=32),
    "longrope without long": rope(rope_type="longrope", short_factor=[1, 1, 1, 1], original_max_position_embeddings=32),
    "proportional": rope(rope_type="proportional", rope_theta=500.0, partial_rotary_factor=0.5),
    "proportional, factor": rope(rope_type="proportional", rope_theta=500.0, partial_rotary_factor=0.75, factor=2.0),
    "proportional, all": rope(rope_type="proportional", rope_theta=500.0),
    "proportional, theta from the top": family("llama", rope_theta=500.0,
    rope_scaling=dict(rope_type="proportional", partial_rotary_factor=0.25)),
    # Activations
    **{f"llama: {name}": family("llama", hidden_act=name) for name in sorted(ACT2CLS)},
    **{f"opt: {name}": {**OPT, "activation_function": name}
        for name in ("relu", "gelu", "gelu_new", "silu", "quick_gelu", "relu2")},
    # Layer types make Mistral a Ministral, whose head_dim has no default
    "mistral: layer types": family("mistral", head_dim=8, sliding_window=8,
    layer_types=["full_attention", "sliding_attention", "full_attention"]),
    "mistral: layer types, no window": family("mistral", head_dim=8, sliding_window=None,
    layer_types=["full_attention", "sliding_attention", "full_attention"]),
    "mistral: all layers full": family("mistral", head_dim=8, sliding_window=8, layer_types=["full_attention"] * 3),
    "mistral: layer types null": family("mistral", sliding_window=8, layer_types=None),
    "llama: window": family("llama", sliding_window=8),
    "llama: window as long as the context": family("llama", sliding_window=64),
    "llama: layer types": family("llama", layer_types=["full_attention"] * 3),
    # Numbers of other kinds
    "original as a real number": rope(rope_type="yarn", factor=2, original_max_position_embeddings=16.5),
}
LENGTHS = [20, 33, 64, 65, 100]


def facts(config_json):
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "config.json").write_text(json.dumps(config_json))
        config = AutoConfig.from_pretrained(folder)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager").eval()
    with torch.no_grad():
        model(torch.tensor([[1, 2, 3]]))
        model(torch.tensor([[1, 2, 3]]), use_cache=False)
    names = sorted({name.split(".", 3)[-1] if ".layers." in name else name for name in model.state_dict()
                    if name.endswith(".bias") or "norm" in name})
    tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    result = {"biases_and_norms": [name.replace("decoder.layers.", "") for name in names], "tied": tied}
    base = model.model
    if config_json["model_type"] == "opt":
        layer = base.decoder.layers[0]
        return result | {
            "head_width": layer.self_attn.head_dim,
            "activation": type(layer.activation_fn).__name__,
            "final_norm": base.decoder.final_layer_norm is not None,
            "projections": base.decoder.project_in is not None,
        }
    rotary = base.rotary_emb
    attention = base.layers[0].self_attn
    window = [config.sliding_window if config.model_type == "mistral"
        else getattr(layer.self_attn, "sliding_window", None)
              for layer in base.layers]
    frequencies = {}
    if rotary.rope_type in ("dynamic", "longrope"):
        for length in LENGTHS:
            fresh = type(rotary)(config)
            fresh(torch.zeros(1), torch.arange(length)[None])
            frequencies[str(length)] = fresh.inv_freq.double().tolist()
    return result | {
        "head_width": attention.head_dim,
        "key_heads": attention.k_proj.weight.shape[0] // attention.head_dim,
        "epsilon": base.norm.variance_epsilon,
        "activation": type(base.layers[0].mlp.act_fn).__name__,
        "windows": window,
        "theta": config.rope_parameters["rope_theta"],
        "frequencies": rotary.original_inv_freq.double().tolist(),
        "attention_factor": float(rotary.attention_scaling),
        **({"frequencies_by_length": frequencies} if frequencies else {}),
    }


rows = []
for name, config in VARIANTS.items():
    try:
        row = facts(config)
    except Exception as error:
        row = {"error": f"{type(error).__name__}"}
        print(f"{name}: {type(error).__name__}: {str(error).splitlines()[0][:140] if str(error) else ''}")
    if any(isinstance(v, float) and not math.isfinite(v) for v in row.get("frequencies", [])):
        row = {"error": "not finite"}
    rows.append({"name": name, "config": config, **row})
OUT.write_text(json.dumps({"transformers": transformers.__version__, "variants": rows}, indent=None,
    separators=(",", ":")).replace('{"name"', '\n{"name"') + "\n")
print(OUT, len(rows))
