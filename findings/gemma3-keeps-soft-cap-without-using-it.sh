#!/usr/bin/env bash
# transformers 5.24: Gemma 3 reads "attn_logit_softcapping", gives it to every attention layer, and computes without it.
#
# Guess: a cap of 0.01 in the configuration changes the logits, as in Gemma 2, whose layers have the same attribute.
# Seen: Gemma 2's logits change; Gemma 3's are the same bits with and without the cap, although its layers carry the number. A
# fine-tune that sets the key trains without a cap, and a loader that honours the key computes another function.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.24.0
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM

print("transformers", transformers.__version__)
sizes = dict(vocab_size=32, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             head_dim=8, pad_token_id=0)
ids = torch.arange(1, 20)[None]
differs = {}
for kind in ("gemma2", "gemma3_text"):
    logits, seen = [], []
    for cap in (None, 0.01):
        torch.manual_seed(0)
        config = AutoConfig.for_model(kind, **sizes, attn_logit_softcapping=cap)
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
        # Large queries and keys, so that scores are far beyond the cap.
        with torch.no_grad():
            for name, values in model.named_parameters():
                if "q_proj" in name or "k_proj" in name:
                    values.mul_(50)
            logits.append(model(ids).logits)
        seen.append(model.model.layers[0].self_attn.attn_logit_softcapping)
    differs[kind] = not torch.equal(*logits)
    print(f"{kind}: layers carry {seen[1]}; logits {'differ' if differs[kind] else 'are the same bits'}")
sys.exit(0 if differs == {"gemma2": True, "gemma3_text": False} else 1)
PYTHON
