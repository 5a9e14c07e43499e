#!/usr/bin/env bash
# peft 0.21.2: an adapter that is saved and loaded again can have other factors, since saving sorts its patterns.
#
# Guess: where two keys of "alpha_pattern" match a layer, the longer, more exact one counts; at least, a saved adapter
# computes what it computed before.
# Seen: the key that comes first in the dictionary counts, and save_pretrained writes the dictionary sorted. With
# {"q_proj": 2, "layers.1.self_attn.q_proj": 64} layer 1 is trained with alpha 2 and, loaded again, has alpha 64: other
# logits, without a word. With "rank_pattern" in the same order, loading fails on the shapes. Patterns are safe if no
# two match one layer, or if they are given in sorted order.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.24.0 peft==0.21.2
"$folder/venv/bin/python" - "$folder/adapter" <<'PYTHON'
import json
import os
import sys
import warnings

import peft
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

print("peft", peft.__version__, "transformers", transformers.__version__)
sizes = dict(vocab_size=32, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4)
ids = torch.arange(1, 20)[None]
pattern = {"q_proj": 2, "layers.1.self_attn.q_proj": 64}


def base():
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**sizes))


def factors(model):
    return [layer.self_attn.q_proj.scaling["default"] for layer in model.base_model.model.model.layers]


def logits(model):
    with torch.no_grad():
        return model.eval()(ids).logits


seen = {}
for name, alphas in {"general key first": pattern, "exact key first": dict(reversed(pattern.items()))}.items():
    folder = os.path.join(sys.argv[1], name)
    model = get_peft_model(base(), LoraConfig(r=4, lora_alpha=4, alpha_pattern=alphas, target_modules=["q_proj"]))
    for key, values in model.named_parameters():
        if "lora_" in key:
            torch.nn.init.normal_(values)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model.save_pretrained(folder)
        again = PeftModel.from_pretrained(base(), folder)
    written = list(json.load(open(os.path.join(folder, "adapter_config.json")))["alpha_pattern"])
    told = [str(item.message) for item in said if issubclass(item.category, UserWarning)]
    same = torch.allclose(logits(model), logits(again), atol=1e-6)
    print(f"{name}: factors {factors(model)}, written {written}, loaded {factors(again)}, "
          f"logits {'the same' if same else 'others'}, {len(told)} warnings")
    seen[name] = (factors(model), factors(again), same, len(told))
sys.exit(0 if seen == {
    "general key first": ([0.5, 0.5], [0.5, 16.0], False, 0),
    "exact key first": ([0.5, 16.0], [0.5, 16.0], True, 0),
} else 1)
PYTHON
