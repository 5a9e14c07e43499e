#!/usr/bin/env bash
# transformers 5.24: in Jamba, MiniMax and Bamba a second chunk of a text is not read as what follows the first.
#
# Guess: a text given in two chunks, the second with the cache of the first, has the logits that it has in one pass: for
# attention alone and for layers that carry a state.
# Seen: so it is in Llama, LFM2 and Qwen3-Next (to 1e-5). Jamba uses the state in its cache for a chunk of one token
# only; for more it begins anew, beside attention that sees everything. MiniMax's cache gives its length as 0, so that
# the mask of a second chunk is one of a first. Bamba counts positions from 0 again unless position_ids are given.
# Nothing is said. Chats that keep their cache from turn to turn then talk to other models.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.24.0
"$folder/venv/bin/python" - 2>"$folder/said" <<'PYTHON'
import sys

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM

print("transformers", transformers.__version__)
sizes = dict(vocab_size=32, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, head_dim=8, pad_token_id=0)
mixed = ["linear_attention", "full_attention"]
experts = dict(num_experts=2, num_local_experts=2, num_experts_per_tok=1)
kinds = {
    "llama": {},
    "lfm2": dict(layer_types=["conv", "full_attention"]),
    "qwen3_next": dict(layer_types=mixed, linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=8,
                       linear_value_head_dim=8, moe_intermediate_size=16, shared_expert_intermediate_size=16,
                       **experts),
    "jamba": dict(attn_layer_period=2, attn_layer_offset=1, use_mamba_kernels=False, **experts),
    "minimax": dict(layer_types=mixed, block_size=8, **experts),
    "bamba": dict(attn_layer_indices=[1], mamba_n_heads=8, mamba_d_head=8, mamba_n_groups=1, mamba_d_state=8,
                  mamba_chunk_size=8),
}
ids = torch.randint(1, 32, (1, 24), generator=torch.Generator().manual_seed(0))
positions = torch.arange(24)[None]


def error(model, cut, with_positions):
    """Of the logits of the last token, against one pass over the whole text."""
    first = model(ids[:, :cut], use_cache=True)
    more = {"position_ids": positions[:, cut:]} if with_positions else {}
    last = model(ids[:, cut:], cache=first.cache, use_cache=True, **more).logits[:, -1]
    whole = model(ids, use_cache=False).logits[:, -1]
    return ((last - whole).abs().max() / whole.abs().max()).item()


right = {}
for kind, more in kinds.items():
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **sizes, **more)).eval()
    with torch.no_grad():
        for values in model.parameters():
            if values.dim() > 1:
                values.mul_(4)
        errors = [error(model, 23, True), error(model, 22, True), error(model, 12, True), error(model, 12, False)]
    right[kind] = [each < 1e-4 for each in errors]
    print(f"{kind}: second chunk of 1, 2, 12 tokens {' '.join(f'{each:.0e}' for each in errors[:3])}; "
          f"12 without position_ids {errors[3]:.0e}")
sys.exit(0 if right == {
    "llama": [True] * 4,
    "lfm2": [True] * 4,
    "qwen3_next": [True] * 4,
    "jamba": [True, False, False, False],
    "minimax": [True, False, False, False],
    "bamba": [True, True, True, False],
} else 1)
PYTHON
