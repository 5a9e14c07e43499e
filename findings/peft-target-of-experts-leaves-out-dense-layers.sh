#!/usr/bin/env bash
# peft 0.21.2 with transformers 5.24: in GLM-4.5 MoE the targets gate_proj, up_proj and down_proj mean the experts alone.
#
# Guess: a pair stands beside every linear layer with such a name, those of the dense first layer and of the shared
# experts too, and an adapter that has such pairs is read with its effect.
# Seen: only the packed experts get pairs; the dense layer and the shared experts, whose modules have these very names,
# get none (in Llama each has one). An adapter with pairs beside the three layers of layers.0.mlp alone, in peft's own
# format, is read without an error and changes no logit: its targets become those of the experts, and its keys match
# nothing. Warnings name patterns without a module and missing keys of experts, not the pairs that are lost.
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
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

warnings.simplefilter("ignore")
print("peft", peft.__version__, "transformers", transformers.__version__)
names = ["gate_proj", "up_proj", "down_proj"]
sizes = dict(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, head_dim=8)
experts = dict(n_routed_experts=4, num_experts_per_tok=2, n_shared_experts=1, moe_intermediate_size=16,
               first_k_dense_replace=1, n_group=1, topk_group=1)
ids = torch.arange(1, 13)[None]


def model_of(kind):
    torch.manual_seed(0)
    more = experts if kind == "glm4_moe" else {}
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **sizes, **more)).eval()


def logits(model):
    with torch.no_grad():
        return model(ids).logits


seen = {}
for kind in ("llama", "glm4_moe"):
    linears = [name for name, layer in model_of(kind).named_modules()
               if isinstance(layer, torch.nn.Linear) and name.split(".")[-1] in names]
    adapted = get_peft_model(model_of(kind), LoraConfig(r=4, target_modules=names))
    paired = {name.removeprefix("base_model.model.").rpartition(".lora_A")[0]
              for name, _ in adapted.named_parameters() if ".lora_A" in name}
    print(f"{kind}: {len(linears)} linear layers of these names, {len(paired & set(linears))} with a pair; "
          f"others with one: {sorted(paired - set(linears))}")

    # Pairs beside the dense first layer, as peft writes them.
    folder = os.path.join(sys.argv[1], kind)
    os.makedirs(folder)
    json.dump({"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 4, "lora_alpha": 4,
               "target_modules": [f"layers.0.mlp.{name}" for name in names]},
              open(os.path.join(folder, "adapter_config.json"), "w"))
    pairs = {}
    for name, (inside, outside) in dict(gate_proj=(32, 48), up_proj=(32, 48), down_proj=(48, 32)).items():
        key = f"base_model.model.model.layers.0.mlp.{name}.lora_"
        pairs |= {f"{key}A.weight": torch.randn(4, inside), f"{key}B.weight": torch.randn(outside, 4)}
    save_file(pairs, os.path.join(folder, "adapter_model.safetensors"))
    plain = logits(model_of(kind))
    moved = (logits(PeftModel.from_pretrained(model_of(kind), folder).eval()) - plain).abs().max().item()
    print(f"{kind}: an adapter beside layers.0.mlp alone moves logits by {moved:.3g}")
    seen[kind] = (len(linears), len(paired & set(linears)), moved > 0)
print(seen)
sys.exit(0 if seen == {"llama": (6, 6, True), "glm4_moe": (6, 0, False)} else 1)
PYTHON
