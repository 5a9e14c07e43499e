#!/usr/bin/env bash
# peft 0.21.2: a weighted sum of rank-stabilised LoRA adapters is too large by the root of its rank.
#
# Guess: add_weighted_adapter with "cat" or a full "svd" gives the adapter whose change is the weighted sum of the
# changes, as it does for plain LoRA, since it multiplies each pair by its own factor.
# Seen: so it is for plain LoRA (to 1e-6). The new adapter keeps `use_rslora` of the first one, with alpha = rank, so
# that its factor is alpha / sqrt(rank), not 1: two adapters of rank 4 give, by "cat", 2.83 times the sum, by an "svd"
# of rank 16 4 times. With a plain adapter named first, a mixture is summed rightly. Nothing is said, and the adapter
# that is saved has the fault in it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.24.0 peft==0.21.2
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import warnings

import peft
import torch
import transformers
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

print("peft", peft.__version__, "transformers", transformers.__version__)
sizes = dict(vocab_size=32, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=4)
weights = [0.7, -1.0]


def ratio(stabilised, kind):
    """The change of the combined adapter over the weighted sum, and how far the two are from one direction."""
    torch.manual_seed(0)
    configs = [LoraConfig(r=4, lora_alpha=8, use_rslora=flag, target_modules=["q_proj"]) for flag in stabilised]
    model = get_peft_model(LlamaForCausalLM(LlamaConfig(**sizes)), configs[0], adapter_name="first")
    model.add_adapter("second", configs[1])
    for name, values in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(values)
    more = {"svd_rank": 16} if kind == "svd" else {}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model.add_weighted_adapter(["first", "second"], weights, "both", combination_type=kind, **more)
    layer = model.base_model.model.model.layers[0].self_attn.q_proj
    change = {name: layer.get_delta_weight(name) for name in ("first", "second", "both")}
    wanted = weights[0] * change["first"] + weights[1] * change["second"]
    factor = (change["both"] * wanted).sum() / (wanted * wanted).sum()
    apart = ((change["both"] - factor * wanted).norm() / wanted.norm()).item()
    return round(factor.item(), 3), apart, len(said)


recorded = {
    ((False, False), "cat"): 1.0,
    ((True, True), "cat"): 2.828,
    ((True, False), "cat"): 2.828,
    ((False, True), "cat"): 1.0,
    ((False, False), "svd"): 1.0,
    ((True, True), "svd"): 4.0,
}
other = 0
for (stabilised, kind), expected in recorded.items():
    factor, apart, warned = ratio(stabilised, kind)
    print(f"{kind}, use_rslora {stabilised}: {factor} times the weighted sum (apart {apart:.0e}, {warned} warnings)")
    other += factor != expected or apart > 1e-5 or warned > 0
sys.exit(1 if other else 0)
PYTHON
