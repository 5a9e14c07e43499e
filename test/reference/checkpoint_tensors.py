"""Checkpoints whose tensors are other than config.json alone implies, with the logits of transformers.

Writes test/fixtures/checkpoint-tensors/NAME/{config.json,model.safetensors,logits.json}:

- own-head, own-head-opt: config.json ties the head to the embedding, the file holds another head. transformers keeps
  both.
- head-copy: the same with a head equal to the embedding, and frequencies of the rotary embedding.
- float64: a model stored as F64, in numbers that F32 has to round.

Usage: python test/reference/checkpoint_tensors.py
"""

import json
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaConfig, OPTConfig

HERE = Path(__file__).resolve().parent
OUT = HERE.parent / "fixtures" / "checkpoint-tensors"
IDS = [1, 7, 3, 19, 4, 4, 22]

LLAMA = dict(
    vocab_size=24,
    hidden_size=16,
    intermediate_size=24,
    num_hidden_layers=1,
    num_attention_heads=2,
    num_key_value_heads=1,
    max_position_embeddings=64,
    tie_word_embeddings=True,
)
OPT = dict(
    vocab_size=24,
    hidden_size=16,
    word_embed_proj_dim=16,
    ffn_dim=24,
    num_hidden_layers=1,
    num_attention_heads=2,
    max_position_embeddings=64,
    dropout=0.0,
    tie_word_embeddings=True,
)


def make(name, config, change, dtype=torch.float32):
    """Saves random weights after `change`, and what transformers makes of them."""
    torch.manual_seed(len(name))
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    model = AutoModelForCausalLM.from_config(config)
    state = {
        key: (torch.randn(value.shape, dtype=torch.float64) * 0.3 + (1 if "norm" in key and "weight" in key else 0)).to(
        dtype)
        for key, value in model.state_dict().items()
        if key != "lm_head.weight"
    }
    change(state)
    config.dtype = "float32"
    config.save_pretrained(folder)
    saved = json.loads((folder / "config.json").read_text())
    saved["architectures"] = [type(model).__name__]
    saved["tie_word_embeddings"] = True
    (folder / "config.json").write_text(json.dumps(saved, indent=2, sort_keys=True) + "\n")
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        logits = loaded(torch.tensor([IDS])).logits[0]
    golden = {
        "transformers": transformers.__version__,
        "ids": IDS,
        "tied": loaded.get_output_embeddings().weight is loaded.get_input_embeddings().weight,
        "logits": [[float(value) for value in row] for row in logits],
    }
    (folder / "logits.json").write_text(json.dumps(golden) + "\n")
    print(name, "tied" if golden["tied"] else "not tied")


def own_head(embedding):
    """A head at half the embedding."""

    def change(state):
        state["lm_head.weight"] = (state[embedding] / 2).clone()

    return change


def copy(state):
    state["lm_head.weight"] = state["model.embed_tokens.weight"].clone()
    state["model.layers.0.self_attn.rotary_emb.inv_freq"] = 10000.0 ** (-torch.arange(0, 8, 2).float() / 8)


make("own-head", LlamaConfig(**LLAMA), own_head("model.embed_tokens.weight"))
make("own-head-opt", OPTConfig(**OPT), own_head("model.decoder.embed_tokens.weight"))
make("head-copy", LlamaConfig(**LLAMA), copy)
make("float64", LlamaConfig(**LLAMA), lambda state: None, torch.float64)
