"""Writes the tiny random models of test/fixtures/models with reference logits from Hugging Face transformers.

Every model covers something that a loader or a kernel can get wrong; see README.md. Weights are random with a fixed
seed and large enough (standard deviation 0.12-0.2) that logits, attention and positions all matter; the script checks
that features such as a sliding window or RoPE scaling change the logits.
"""

import copy
import json
import shutil
import sys

import torch
import transformers
from fixture_io import MODELS, rounded, write_json

VOCABULARY = 160
SHAPE = dict(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=4)
ROTARY = dict(SHAPE, intermediate_size=64, max_position_embeddings=128, rms_norm_eps=1e-5, hidden_act="silu")
TOKENS = dict(bos_token_id=2, eos_token_id=2, pad_token_id=1)
OPT = dict(
    SHAPE, ffn_dim=64, max_position_embeddings=64, activation_function="relu", enable_bias=True, dropout=0.0,
    attention_dropout=0.0, layerdrop=0.0, layer_norm_elementwise_affine=True, tie_word_embeddings=True, **TOKENS,
)
LLAMA3_SCALING = {
    # With theta 500 and 8 rotary dimensions the wavelengths are 6.3, 30, 140 and 664: one is kept, one is blended and
    # two are stretched when the original context is 64.
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}

# name -> (architecture, model_type, dtype, configuration as written to config.json, the same without the feature that
# has to matter, or None). Configurations use the keys of the checkpoints on the hub (`rope_theta`, `rope_scaling`,
# `torch_dtype`), except qwen3-tiny, which has the keys of transformers 5 (`rope_parameters`, `dtype`).
CASES = {
    "opt-tiny": ("OPTForCausalLM", "opt", "float16", dict(OPT, word_embed_proj_dim=32, do_layer_norm_before=True),
    None),
    "opt-tiny-f32": ("OPTForCausalLM", "opt", "float32", dict(OPT, word_embed_proj_dim=32, do_layer_norm_before=True),
    None),
    "opt-postln-tiny": (
        "OPTForCausalLM", "opt", "float32",
        dict(OPT, word_embed_proj_dim=16, do_layer_norm_before=False),
        {"do_layer_norm_before": True},
    ),
    "llama-tiny": (
        "LlamaForCausalLM", "llama", "float32",
        dict(ROTARY, num_key_value_heads=2, rope_theta=10000.0, tie_word_embeddings=True, attention_bias=False,
             mlp_bias=False, bos_token_id=0, eos_token_id=0),
        {"rope_theta": 100.0},
    ),
    "llama-tiny-f16": (
        "LlamaForCausalLM", "llama", "float16",
        dict(ROTARY, num_key_value_heads=2, rope_theta=10000.0, tie_word_embeddings=False, attention_bias=False,
             mlp_bias=False, bos_token_id=0, eos_token_id=0),
        {"rope_theta": 100.0},
    ),
    "llama-tiny-sharded": (
        "LlamaForCausalLM", "llama", "float32",
        dict(ROTARY, num_key_value_heads=2, rope_theta=500.0, rope_scaling=LLAMA3_SCALING, tie_word_embeddings=False,
             attention_bias=False, mlp_bias=False, bos_token_id=0, eos_token_id=[0, 3]),
        {"rope_scaling": None},
    ),
    "qwen2-tiny": (
        "Qwen2ForCausalLM", "qwen2", "bfloat16",
        # sliding_window is switched off by use_sliding_window, as in the published Qwen2 checkpoints.
        dict(ROTARY, num_key_value_heads=2, rope_theta=1000000.0, rms_norm_eps=1e-6, tie_word_embeddings=True,
             use_sliding_window=False, sliding_window=4, max_window_layers=2, bos_token_id=0, eos_token_id=0),
        {"use_sliding_window": True, "max_window_layers": 0},
    ),
    "qwen3-tiny": (
        "Qwen3ForCausalLM", "qwen3", "bfloat16",
        dict(ROTARY, num_key_value_heads=2, head_dim=16, rms_norm_eps=1e-6, tie_word_embeddings=False,
             rope_parameters={"rope_type": "default", "rope_theta": 200.0}, attention_bias=False,
             use_sliding_window=False, sliding_window=None, layer_types=["full_attention"] * 2, bos_token_id=0,
             eos_token_id=0),
        {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}},
    ),
    "mistral-tiny": (
        "MistralForCausalLM", "mistral", "float32",
        dict(ROTARY, num_key_value_heads=2, rope_theta=10000.0, sliding_window=8, tie_word_embeddings=False,
             bos_token_id=1, eos_token_id=2),
        {"sliding_window": None},
    ),
    # Widths that 4 does not divide: all of them are stored with zeros as pads.
    "qwen3-odd-tiny": (
        "Qwen3ForCausalLM", "qwen3", "bfloat16",
        dict(ROTARY, hidden_size=27, intermediate_size=45, num_key_value_heads=2, head_dim=10, rms_norm_eps=1e-6,
             tie_word_embeddings=True, rope_theta=200.0, attention_bias=True, use_sliding_window=False,
             sliding_window=None,
             layer_types=["full_attention"] * 2, bos_token_id=0, eos_token_id=0),
        {"rope_theta": 10000.0},
    ),
    "opt-odd-tiny": (
        "OPTForCausalLM", "opt", "float16",
        dict(OPT, hidden_size=33, num_attention_heads=3, ffn_dim=41, word_embed_proj_dim=30, do_layer_norm_before=True),
        None,
    ),
    "gemma3-tiny": (
        "Gemma3ForCausalLM", "gemma3_text", "float32",
        dict({key: value for key, value in ROTARY.items() if key != "hidden_act"}, num_key_value_heads=2, head_dim=12,
             hidden_activation="gelu_pytorch_tanh", rope_theta=900.0, rope_local_base_freq=30.0, sliding_window=8,
             sliding_window_pattern=2, query_pre_attn_scalar=40, final_logit_softcapping=20.0, bos_token_id=0,
             eos_token_id=0),
        {"rope_local_base_freq": 10000.0},
    ),
    "granite-tiny": (
        "GraniteForCausalLM", "granite", "float32",
        dict(ROTARY, num_key_value_heads=2, rope_theta=10000.0, tie_word_embeddings=True, embedding_multiplier=6.0,
             residual_multiplier=0.4, attention_multiplier=0.2, logits_scaling=0.5, bos_token_id=0, eos_token_id=0),
        {"residual_multiplier": 1.0},
    ),
    # Packed projections: as blocks, as blocks of a transposed matrix, and head by head beside a parallel feed-forward
    # layer.
    "phi3-tiny": (
        "Phi3ForCausalLM", "phi3", "bfloat16",
        dict(ROTARY, num_key_value_heads=2, rope_theta=200.0, partial_rotary_factor=0.5, sliding_window=8,
             tie_word_embeddings=False, bos_token_id=1, eos_token_id=2, pad_token_id=2),
        {"sliding_window": None},
    ),
    "gpt2-tiny": (
        "GPT2LMHeadModel", "gpt2", "float16",
        dict(vocab_size=VOCABULARY, n_positions=64, n_embd=30, n_layer=2, n_head=3, n_inner=42, bos_token_id=0,
        eos_token_id=0),
        {"scale_attn_weights": False},
    ),
    "gpt-neox-tiny": (
        "GPTNeoXForCausalLM", "gpt_neox", "float32",
        dict(SHAPE, intermediate_size=64, max_position_embeddings=64, rotary_pct=0.5, rotary_emb_base=200,
        bos_token_id=0,
             eos_token_id=0, tie_word_embeddings=False),
        {"use_parallel_residual": False},
    ),
}


def randomise(model, generator):
    """Random values for every parameter: none is left at 0, 1 or a scale that hides it."""
    seen = set()
    for name, parameter in model.named_parameters():
        if parameter.data_ptr() in seen:
            continue
        seen.add(parameter.data_ptr())
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.dim() == 1:
            is_gain = name.endswith(("norm.weight", "ln_1.weight", "ln_2.weight", "ln_f.weight"))
            parameter.data.copy_(1 + 0.2 * noise if is_gain else 0.1 * noise)
        elif "q_proj" in name or "k_proj" in name:
            parameter.data.copy_(0.2 * noise)  # attention that is far from uniform
        else:
            parameter.data.copy_(0.15 * noise)


@torch.no_grad()
def logits_of(model, sequence):
    return model(torch.tensor([sequence])).logits[0].double()


def write_reference(model, directory, generator):
    """logits.json: float64 weights through transformers (which keeps RoPE, RMSNorm and softmax in float32)."""
    sequences = [torch.randint(3, VOCABULARY, (length,), generator=generator).tolist() for length in (48, 17, 6, 1)]
    full_index = 2
    outputs = [logits_of(model, sequence) for sequence in sequences]
    nll = []
    for sequence, logits in zip(sequences, outputs):
        targets = torch.tensor(sequence[1:])
        nll.append(torch.nn.functional.cross_entropy(logits[:-1], targets).item() if len(sequence) > 1 else None)
    write_json(
        directory / "logits.json",
        {
            "arithmetic": f"transformers {transformers.__version__}, float64 weights; "
        "RoPE, RMSNorm and softmax in float32",
            "ids": sequences,
            "last_logits": [rounded(logits[-1]) for logits in outputs],
            "argmax": [logits.argmax(-1).tolist() for logits in outputs],
            "mean_nll": [None if value is None else rounded(value, 9) for value in nll],
            "full": {"sequence": full_index, "logits": rounded(outputs[full_index])},
        },
    )
    return sequences[0], outputs[0]


def make(name, seed):
    architecture, model_type, dtype, settings, without_feature = CASES[name]
    directory = MODELS / name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    model_class = getattr(transformers, architecture)
    configuration_class = model_class.config_class
    generator = torch.Generator().manual_seed(seed)

    model = model_class(configuration_class(**copy.deepcopy(settings)))
    randomise(model, generator)
    model = model.to(getattr(torch, dtype))
    model.save_pretrained(directory, **({"max_shard_size": "70KB"} if name.endswith("sharded") else {}))
    (directory / "generation_config.json").unlink(missing_ok=True)
    dtype_key = "dtype" if name == "qwen3-tiny" else "torch_dtype"
    written = {"architectures": [architecture], "model_type": model_type, **settings, dtype_key: dtype}
    (directory / "config.json").write_text(json.dumps(written, indent=2) + "\n")

    # From the files, as a user's program reads them.
    stored = model_class.from_pretrained(directory, dtype=torch.float64, attn_implementation="eager").eval()
    for key, value in model.state_dict().items():
        assert torch.equal(stored.state_dict()[key], value.double()), f"{name}: {key} is not as stored"
    sequence, logits = write_reference(stored, directory, generator)
    assert 0.5 < logits.std() < 20, f"{name}: degenerate logits, std {logits.std():.3f}"
    if without_feature is not None:
        other_settings = {**copy.deepcopy(settings), **without_feature}
        other = model_class(configuration_class(**other_settings, attn_implementation="eager")).double().eval()
        other.load_state_dict(stored.state_dict(), strict=False)
        difference = (logits_of(other, sequence)[-1] - logits[-1]).abs().max().item()
        assert difference > 0.05, f"{name}: {without_feature} changes the last logits by {difference} only"
        print(f"  {without_feature} would change the last logits by {difference:.3f}")
    size = sum(file.stat().st_size for file in directory.iterdir())
    files = sorted(file.name for file in directory.iterdir())
    print(f"{name}: {size / 1024:.0f} KB, logits std {logits.std():.2f}, {files}")


def main():
    wanted = sys.argv[1:] or CASES
    for seed, name in enumerate(CASES):
        if name in wanted:
            make(name, 1000 + seed)


if __name__ == "__main__":
    main()
