"""Tiny checkpoints of every supported model type and what transformers makes of them: test/fixtures/golden/parity.json.

A case is the text of a config.json as people write it and the tensors that its model class wants. Weights, prompts and the signs
of the checksum are functions of names and indices (`whole`, `test/parity/checkpoint.ts` has the same), so that only what
transformers answers is stored: the log-probability of each next token, a checksum over the whole vocabulary, and greedy tokens.

    python make_checkpoints.py [--out FILE] [--only TEXT]

PyTorch on one thread: the matrices are tiny. The reference is `AutoModelForCausalLM.from_pretrained` on the very folder.
"""

import argparse
import json
import pathlib
import tempfile

import numpy as np
import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
golden = pathlib.Path(__file__).parent.parent / "fixtures" / "golden" / "parity.json"

GREEDY_PROMPT, GREEDY_TOKENS = 13, 12


def whole(name: str, count: int) -> np.ndarray:
    """Whole numbers from -127 to 127: a hash of the name and the index."""
    start = 0x811C9DC5
    for byte in name.encode():
        start = (start ^ byte) * 0x01000193 & 0xFFFFFFFF
    h = (np.arange(count, dtype=np.uint64) * 0x9E3779B1 + start) & 0xFFFFFFFF
    h ^= h >> np.uint64(16)
    h = h * 0x85EBCA6B & 0xFFFFFFFF
    h ^= h >> np.uint64(13)
    h = h * 0xC2B2AE35 & 0xFFFFFFFF
    h ^= h >> np.uint64(16)
    return (h % np.uint64(255)).astype(np.int64) - 127


def values(name: str, shape: list[int]) -> torch.Tensor:
    """A tensor whose values f16 and bf16 hold exactly: gains around 1, embeddings of about 0.6, other matrices of 1/√width."""
    numbers = whole(name, int(np.prod(shape)))
    if len(shape) == 1 and name.endswith("weight"):
        numbers = (128 + numbers // 4) / 128
    elif len(shape) > 1 and ("embed" in name or "lm_head" in name):
        numbers = numbers / 128
    else:
        numbers = numbers / 512
    return torch.tensor(numbers, dtype=torch.float32).reshape(shape)


def tokens(name: str, length: int, vocabulary: int) -> list[int]:
    return [(int(n) + 127) % (vocabulary - 3) + 3 for n in whole(f"{name} {length}", length)]


base = dict(vocab_size=97, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
            max_position_embeddings=128)


def model(kind: str = "llama", without: tuple = (), **settings) -> dict:
    config = dict(model_type=kind, **{**base, **settings})
    return {key: value for key, value in config.items() if key not in without}


def rope(kind: str = "llama", **parameters) -> dict:
    outer = {key: parameters.pop(key) for key in list(parameters) if key in ("max_position_embeddings", "head_dim")}
    return model(kind, rope_parameters=parameters, **outer)


def scaling(kind: str = "llama", outer: dict = {}, **parameters) -> dict:
    return model(kind, rope_scaling=parameters, **outer)


opt = dict(model_type="opt", vocab_size=101, hidden_size=32, ffn_dim=64, num_hidden_layers=2, num_attention_heads=4,
           max_position_embeddings=128, pad_token_id=1, bos_token_id=2, eos_token_id=2)
long = dict(short_factor=[1, 1.5, 2, 3], long_factor=[2, 4, 8, 16])
llama3 = dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)
qwen_layers = ["full_attention", "sliding_attention", "full_attention"]
activations = ["relu", "relu2", "gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "quick_gelu", "swish", "linear", "gelu_accurate"]

cases: dict[str, dict] = {
    # Shapes, storage and heads.
    "llama": model(),
    "llama, all heads": model(num_key_value_heads=4),
    "llama, key heads absent": model(without=("num_key_value_heads",)),
    "llama, one key head": model(num_key_value_heads=1),
    "llama, narrow heads": model(head_dim=4),
    "llama, wide heads": model(head_dim=16),
    "llama, head_dim null": model(head_dim=None),
    "llama, tied": model(tie_word_embeddings=True),
    "llama, biases": model(attention_bias=True),
    "llama, all biases": model(attention_bias=True, mlp_bias=True),
    "llama, mlp biases": model(mlp_bias=True),
    "llama, f16": {**model(dtype="float16"), "_storage": "f16"},
    "llama, bf16": {**model(torch_dtype="bfloat16"), "_storage": "bf16"},
    "llama, shards": {**model(), "_shards": 2},
    "llama, large vocabulary": model(vocab_size=1021),
    "llama, epsilon 0": model(rms_norm_eps=0.0),
    "llama, large epsilon": model(rms_norm_eps=0.05),
    "llama, one layer": model(num_hidden_layers=1),
    "llama, pretraining_tp": model(pretraining_tp=2),
    "llama, logits_to_keep and cache": model(use_cache=False, bos_token_id=1, eos_token_id=[2, 3], pad_token_id=None),
    # Rotation.
    "theta": model(rope_theta=500.0),
    "theta in rope_parameters": rope(rope_type="default", rope_theta=300.0),
    "theta in rope_scaling": scaling(rope_type="default", rope_theta=300.0),
    "theta in rope_scaling and outside": scaling(outer=dict(rope_theta=700.0), rope_type="linear", factor=2.0, rope_theta=300.0),
    "both rope settings": model(rope_scaling=dict(type="linear", factor=2.0), rope_parameters=dict(rope_type="linear", factor=8.0)),
    "rope_scaling null": model(rope_scaling=None, rope_theta=900.0),
    "linear": rope(rope_type="linear", factor=4.0),
    "linear, old name": scaling(type="linear", factor=4.0),
    "linear, both names": scaling(type="linear", rope_type="linear", factor=3.0),
    "dynamic": scaling(outer=dict(max_position_embeddings=64), type="dynamic", factor=4.0),
    "dynamic, qwen3": scaling("qwen3", outer=dict(head_dim=16, max_position_embeddings=64, rope_theta=100.0), type="dynamic", factor=2.0),
    "dynamic, qwen2": scaling("qwen2", outer=dict(max_position_embeddings=32), rope_type="dynamic", factor=8.0),
    "llama3": rope(rope_type="llama3", rope_theta=500.0, **llama3),
    "llama3, old": scaling(outer=dict(rope_theta=500.0), rope_type="llama3", **llama3),
    "yarn": rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=32),
    "yarn, old": scaling(type="yarn", factor=4.0, original_max_position_embeddings=32),
    "yarn, no original": scaling(outer=dict(max_position_embeddings=64), type="yarn", factor=2.0),
    "yarn, truncate false": scaling(rope_type="yarn", factor=2.0, original_max_position_embeddings=64, truncate=False),
    "yarn, truncate false, theta": scaling(outer=dict(rope_theta=200.0), rope_type="yarn", factor=4.0, original_max_position_embeddings=50,
                                          truncate=False),
    "yarn, mscale": scaling(rope_type="yarn", factor=4.0, original_max_position_embeddings=32, mscale=1.0, mscale_all_dim=0.5),
    "yarn, mscale alone": scaling(rope_type="yarn", factor=4.0, original_max_position_embeddings=32, mscale=0.7),
    "yarn, equal mscales": scaling(rope_type="yarn", factor=4.0, original_max_position_embeddings=32, mscale=0.8, mscale_all_dim=0.8),
    "yarn, attention factor": scaling(rope_type="yarn", factor=4.0, original_max_position_embeddings=32, attention_factor=1.3),
    "yarn, attention factor and mscale": scaling(rope_type="yarn", factor=4.0, original_max_position_embeddings=32, attention_factor=0.9,
                                                mscale=1.0, mscale_all_dim=0.5),
    "yarn, betas": scaling(rope_type="yarn", factor=4.0, original_max_position_embeddings=32, beta_fast=8, beta_slow=2),
    "yarn, factor null": rope(rope_type="yarn", factor=None, original_max_position_embeddings=32),
    "yarn, original outside": scaling(outer=dict(original_max_position_embeddings=16), rope_type="yarn", factor=4.0,
                                     original_max_position_embeddings=32),
    "yarn, qwen2": scaling("qwen2", type="yarn", factor=4.0, original_max_position_embeddings=32),
    "yarn, qwen3": scaling("qwen3", outer=dict(head_dim=16, rope_theta=1000000), rope_type="yarn", factor=4.0,
                          original_max_position_embeddings=32),
    "yarn, mistral": scaling("mistral", rope_type="yarn", factor=4.0, original_max_position_embeddings=32),
    "longrope": scaling(rope_type="longrope", factor=4.0, original_max_position_embeddings=32, **long),
    "longrope, no factor": scaling(rope_type="longrope", original_max_position_embeddings=32, **long),
    "longrope, original outside": scaling(outer=dict(original_max_position_embeddings=32), type="longrope", **long),
    "longrope, attention factor": scaling(rope_type="longrope", original_max_position_embeddings=32, attention_factor=1.2, **long),
    "proportional": rope(rope_type="proportional", rope_theta=500.0, partial_rotary_factor=0.5, factor=2.0),
    # Windows.
    "mistral": model("mistral", sliding_window=8),
    "mistral, window absent": model("mistral"),
    "mistral, window null": model("mistral", sliding_window=None),
    "mistral, wide heads": model("mistral", head_dim=16, sliding_window=16),
    "mistral, key heads absent": model("mistral", without=("num_key_value_heads",), num_attention_heads=8, hidden_size=64),
    "mistral, untied bf16": {**model("mistral", sliding_window=12, torch_dtype="bfloat16"), "_storage": "bf16"},
    "mistral, tied": model("mistral", sliding_window=12, tie_word_embeddings=True),
    "mistral, layer types": model("mistral", head_dim=8, sliding_window=8, layer_types=qwen_layers),
    "qwen2": model("qwen2"),
    "qwen2, tied": model("qwen2", tie_word_embeddings=True),
    "qwen2, window off": model("qwen2", use_sliding_window=False, sliding_window=8, max_window_layers=1),
    "qwen2, window on": model("qwen2", use_sliding_window=True, sliding_window=8, max_window_layers=1),
    "qwen2, window on everywhere": model("qwen2", use_sliding_window=True, sliding_window=8, max_window_layers=0),
    "qwen2, max_window_layers absent": model("qwen2", use_sliding_window=True, sliding_window=8),
    "qwen2, window absent": model("qwen2", use_sliding_window=True, max_window_layers=0),
    "qwen2, layer types": model("qwen2", use_sliding_window=True, sliding_window=8, layer_types=qwen_layers),
    "qwen2, layer types, window off": model("qwen2", use_sliding_window=False, sliding_window=8, layer_types=["full_attention"] * 3),
    "qwen2, shards f16": {**model("qwen2", dtype="float16"), "_storage": "f16", "_shards": 3},
    "qwen3": model("qwen3", head_dim=16),
    "qwen3, head_dim absent": model("qwen3"),
    "qwen3, tied": model("qwen3", head_dim=8, tie_word_embeddings=True),
    "qwen3, biases": model("qwen3", head_dim=16, attention_bias=True),
    "qwen3, window": model("qwen3", head_dim=16, use_sliding_window=True, sliding_window=8, max_window_layers=2),
    "qwen3, layer types": model("qwen3", head_dim=16, use_sliding_window=True, sliding_window=8, layer_types=qwen_layers),
    "qwen3, bf16": {**model("qwen3", head_dim=16, dtype="bfloat16"), "_storage": "bf16"},
    # Activations.
    **{f"llama, {name}": model(hidden_act=name) for name in activations},
    "qwen2, gelu": model("qwen2", hidden_act="gelu"),
    # OPT.
    "opt": opt,
    "opt, f16": {**opt, "_storage": "f16", "torch_dtype": "float16"},
    "opt, untied": {**opt, "tie_word_embeddings": False},
    "opt, no biases": {**opt, "enable_bias": False},
    "opt, plain norms": {**opt, "layer_norm_elementwise_affine": False},
    "opt, norm after": {**opt, "do_layer_norm_before": False},
    "opt, norm after, narrow embedding": {**opt, "do_layer_norm_before": False, "word_embed_proj_dim": 16},
    "opt, narrow embedding": {**opt, "word_embed_proj_dim": 16},
    "opt, no final norm": {**opt, "_remove_final_layer_norm": True},
    "opt, gelu": {**opt, "activation_function": "gelu"},
    "opt, silu": {**opt, "activation_function": "silu"},
    "opt, relu2": {**opt, "activation_function": "relu2"},
    "opt, quick_gelu": {**opt, "activation_function": "quick_gelu"},
    "opt, dropout and init": {**opt, "dropout": 0.5, "attention_dropout": 0.3, "layerdrop": 0.2, "init_std": 0.5},
}

# Sequences beyond 64 tokens read the positions that rules stretch; dynamic rules are read within, at and beyond their context.
lengths = {"dynamic": (31, 64, 110), "dynamic, qwen3": (31, 65, 110), "dynamic, qwen2": (30, 33, 110), "longrope": (30, 33, 110)}


def fold(config: dict) -> tuple[dict, str, int]:
    config = dict(config)
    return config, config.pop("_storage", "f32"), config.pop("_shards", 1)


def write(folder: pathlib.Path, config: dict, storage: str, shards: int) -> dict[str, list[int]]:
    """The checkpoint; returns the shapes of its tensors."""
    (folder / "config.json").write_text(json.dumps(config))
    skeleton = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder), dtype=torch.float32)
    tied = set(skeleton.all_tied_weights_keys or {}) if hasattr(skeleton, "all_tied_weights_keys") else set()
    shapes = {name: list(tensor.shape) for name, tensor in skeleton.state_dict().items() if name not in tied}
    dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[storage]
    tensors = {name: values(name, shape).to(dtype) for name, shape in shapes.items()}
    if shards == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return shapes
    files = [f"model-{i + 1:05}-of-{shards:05}.safetensors" for i in range(shards)]
    place = {name: files[i % shards] for i, name in enumerate(tensors)}
    for file in files:
        save_file({name: t for name, t in tensors.items() if place[name] == file}, folder / file, metadata={"format": "pt"})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": place}))
    return shapes


def load(folder: pathlib.Path):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


@torch.no_grad()
def answer(name: str, folder: pathlib.Path, vocabulary: int) -> dict:
    signs = torch.tensor([1.0 if n > 0 else -1.0 for n in whole("signs", vocabulary)], dtype=torch.float64)
    sequences = []
    for length in lengths.get(name, (24, 110)):
        ids = torch.tensor([tokens(name, length, vocabulary)])
        # A model anew for each: rules that depend on the length keep what the sequence before made them.
        logits = load(folder)(ids, use_cache=False).logits[0].double()
        logprobs = logits.log_softmax(-1)
        sequences.append({
            "length": length,
            "logprobs": [round(logprobs[i, ids[0, i + 1]].item(), 7) for i in range(length - 1)],
            "checksums": [round(value, 7) for value in ((logprobs * signs).sum(-1) / vocabulary).tolist()],
        })
    prompt = torch.tensor([tokens(name, GREEDY_PROMPT, vocabulary)])
    made = load(folder).generate(prompt, max_new_tokens=GREEDY_TOKENS, do_sample=False, eos_token_id=None, pad_token_id=0,
                                 return_dict_in_generate=True, output_logits=True)
    gap = min((lambda top: (top[0] - top[1]).item())(step[0].topk(2).values) for step in made.logits)
    return {"sequences": sequences, "greedy": made.sequences[0, GREEDY_PROMPT:].tolist(), "greedy_gap": round(gap, 5)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, default=golden)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    layouts: list = []
    result = []
    chosen = {name: config for name, config in cases.items() if options.only in name}
    if not chosen:
        parser.error(f"no case has {options.only!r} in its name; the cases: {', '.join(cases)}")
    for index, (name, case) in enumerate(chosen.items()):
        config, storage, shards = fold(case)
        with tempfile.TemporaryDirectory() as directory:
            folder = pathlib.Path(directory)
            shapes = write(folder, config, storage, shards)
            layout = list(shapes.items())
            if layout not in layouts:
                layouts.append(layout)
            result.append({"name": name, "config": config, "storage": storage, "shards": shards, "layout": layouts.index(layout),
                           **answer(name, folder, config["vocab_size"])})
        print(f"\r{index + 1} of {len(chosen)}", end="", flush=True)
    print()
    made = {"transformers": transformers.__version__, "torch": torch.__version__, "greedyPrompt": GREEDY_PROMPT, "layouts": layouts}
    lines = ",\n".join(json.dumps(each, separators=(",", ":")) for each in result)
    options.out.write_text(json.dumps(made, separators=(",", ":"))[:-1] + ',"cases":[\n' + lines + "\n]}\n")


if __name__ == "__main__":
    main()
