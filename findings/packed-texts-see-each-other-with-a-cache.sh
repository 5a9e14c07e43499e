#!/usr/bin/env bash
# transformers 5.24: whether packed texts see each other depends on `use_cache`, whose default lets them.
#
# Guess: `use_cache` says what a pass returns and changes no logit. Texts packed into one row, told apart by
# position_ids that begin anew, are kept apart by a model or not; one with recurrent layers refuses or keeps states
# apart, too.
# Seen: without a mask, attention keeps them apart with use_cache=False (logits as of each text alone) and not with
# True, the default, in Llama and Gemma 3. gpt-oss does neither time, since it gives no positions to its masks. Layers
# with a state (LFM2, Qwen3-Next) carry it on from text to text either way. No warning comes. A loop of one's own that
# trains or measures on packed rows is right for some models and one flag only.
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
kinds = {
    "llama": {},
    "gemma3_text": dict(sliding_window=8, layer_types=["sliding_attention", "full_attention"]),
    "gpt_oss": dict(num_local_experts=4, num_experts_per_tok=2),
    "lfm2": dict(layer_types=["conv", "full_attention"]),
    "qwen3_next": dict(layer_types=mixed, linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=8,
                       linear_value_head_dim=8, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16,
                       shared_expert_intermediate_size=16),
}
ids = torch.randint(1, 32, (1, 24), generator=torch.Generator().manual_seed(0))
first, second = ids[:, :10], ids[:, 10:]
positions = torch.cat([torch.arange(10), torch.arange(14)])[None]
apart = {}
for kind, more in kinds.items():
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **sizes, **more)).eval()
    with torch.no_grad():
        for values in model.parameters():
            if values.dim() > 1:
                values.mul_(4)
        alone = torch.cat([model(text, use_cache=False).logits for text in (first, second)], 1)
        for use_cache in (False, True):
            packed = model(ids, position_ids=positions, use_cache=use_cache).logits
            error = ((packed - alone).abs().max() / alone.abs().max()).item()
            apart[kind, use_cache] = error < 1e-4
            print(f"{kind}, use_cache={use_cache}: {error:.0e} from the logits of each text alone")
        default = model(ids, position_ids=positions).logits
        apart[kind, "default as True"] = torch.equal(default, packed)
expected = {(kind, flag): flag == "default as True" or (not flag and kind in ("llama", "gemma3_text"))
            for kind in kinds for flag in (False, True, "default as True")}
sys.exit(0 if apart == expected else 1)
PYTHON
echo "lines on packing or masks in what was said: $(grep -ciE 'pack|mask' "$folder/said" || true)"
