#!/usr/bin/env bash
# transformers 5.24: one checkpoint folder of type "mistral" is two models, by the class that opens it.
#
# Guess: the model type names the class, so AutoConfig and MistralConfig read a config.json of type "mistral" alike, and its "layer_types",
# which MistralConfig does not have, changes nothing (all layers slide).
# Seen: with the key "layer_types" in the file, even as null, AutoConfig takes it for a "ministral", whose layers slide as listed; MistralConfig
# keeps it a Mistral, in whose forward pass all layers slide. A loader that follows the model type alone computes another function.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check transformers==5.24.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import json
import pathlib
import sys

import transformers
from transformers import AutoConfig, MistralConfig

print("transformers", transformers.__version__)
sizes = dict(vocab_size=32, hidden_size=32, intermediate_size=32, num_hidden_layers=3, num_attention_heads=4,
             num_key_value_heads=2, head_dim=8, sliding_window=8)
listed = ["full_attention", "sliding_attention", "full_attention"]
seen = {}
for name, more in {"absent": {}, "listed": {"layer_types": listed}, "null": {"layer_types": None}}.items():
    folder = pathlib.Path(name)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "mistral", **sizes, **more}))
    auto, named = AutoConfig.from_pretrained(folder), MistralConfig.from_pretrained(folder)
    seen[name] = (auto.model_type, getattr(auto, "layer_types", None), named.model_type)
    print(f"layer_types {name}: AutoConfig reads {seen[name][0]} with layer types {seen[name][1]}; MistralConfig reads {named.model_type}")
expected = {
    "absent": ("mistral", None, "mistral"),
    "listed": ("ministral", listed, "mistral"),
    "null": ("ministral", ["sliding_attention"] * 3, "mistral"),
}
sys.exit(0 if seen == expected else 1)
PYTHON
