#!/usr/bin/env bash
# peft 0.21.2 with transformers 5.24: generate() of a model with a learned prefix or prompt is not that model's.
#
# Guess: generate() takes the token that the model's own logits name, with and without a cache.
# Seen: with the cache that is there by default, a prefix is left out: the scores are those of the base model
# (transformers warns that two caches were given and that it takes one). A prompt is there for the first token only;
# from the second on scores are others. With use_cache=False a prompt follows the logits to the end, a prefix of Llama
# for the first token only. Who trains a prefix or a prompt and judges it by its texts judges something else.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.24.0 peft==0.21.2
"$folder/venv/bin/python" - 2>"$folder/said" <<'PYTHON'
import sys

import peft
import torch
import transformers
from peft import PrefixTuningConfig, PromptTuningConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

print("peft", peft.__version__, "transformers", transformers.__version__)
sizes = dict(vocab_size=32, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, pad_token_id=0, eos_token_id=None)
ids = torch.arange(1, 13)[None]
steps = 4


def make():
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**sizes)).eval()
    with torch.no_grad():
        for values in model.parameters():
            if values.dim() > 1:
                values.mul_(8)
    return model


def by_logits(model):
    """Scores of greedy decoding, each from a pass over the whole text."""
    text, scores = ids, []
    with torch.no_grad():
        for _ in range(steps):
            scores.append(model(input_ids=text, attention_mask=torch.ones_like(text)).logits[:, -1])
            text = torch.cat([text, scores[-1].argmax(-1, keepdim=True)], 1)
    return scores


def by_generate(model, use_cache):
    return model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=steps, do_sample=False,
                          use_cache=use_cache, return_dict_in_generate=True, output_scores=True).scores


def alike(first, second):
    return [bool((a - b).abs().max() < 1e-4 * b.abs().max()) for a, b in zip(first, second)]


plain = by_logits(make())
seen = {}
for kind, settings in (("prefix", PrefixTuningConfig), ("prompt", PromptTuningConfig)):
    torch.manual_seed(1)
    model = get_peft_model(make(), settings(task_type="CAUSAL_LM", num_virtual_tokens=4)).eval()
    own = by_logits(model)
    cached, uncached = by_generate(model, True), by_generate(model, False)
    seen[kind] = (alike(own, plain)[0], alike(cached, own), alike(cached, plain), alike(uncached, own))
    print(f"{kind}: own logits as the base model's: {seen[kind][0]}; scores of generate as the own logits: with cache "
          f"{seen[kind][1]}, without {seen[kind][3]}; with cache as the base model's: {seen[kind][2]}")
right, wrong, first = [True] * steps, [False] * steps, [True] + [False] * (steps - 1)
sys.exit(0 if seen == {
    "prefix": (False, wrong, right, first),
    "prompt": (False, first, wrong, right),
} else 1)
PYTHON
grep -m 1 -o 'Both `past_key_values` and `cache` are set' "$folder/said"
