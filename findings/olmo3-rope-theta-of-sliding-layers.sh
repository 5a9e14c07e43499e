#!/usr/bin/env bash
# transformers 5.24: the "rope_theta" of an OLMo 3 reaches its layers without a window only.
#
# Guess: a config.json of type "olmo3" with "rope_theta": 500 and no settings per layer type turns all layers with base 500.
# Seen: layers of full attention have 500, those with a sliding window 500,000, the class's default: the key is taken out of the
# configuration for the first kind and is gone for the second. A loader that applies the key to all layers computes another function.
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
from transformers import AutoConfig

print("transformers", transformers.__version__)
folder = pathlib.Path("model")
folder.mkdir()
sizes = dict(vocab_size=32, hidden_size=32, intermediate_size=32, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
             sliding_window=8)
(folder / "config.json").write_text(json.dumps({"model_type": "olmo3", **sizes, "rope_theta": 500}))
config = AutoConfig.from_pretrained(folder)
bases = {kind: settings["rope_theta"] for kind, settings in config.rope_parameters.items() if isinstance(settings, dict)}
print("rope_theta 500 in config.json; bases by layer type:", bases)
sys.exit(0 if bases == {"full_attention": 500, "sliding_attention": 500000.0} else 1)
PYTHON
