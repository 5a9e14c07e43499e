#!/usr/bin/env bash
# transformers 5.24: a BERT whose config.json asks for relative positions loads without a word and has absolute ones.
#
# Guess: "position_embedding_type": "relative_key", which earlier versions computed, is computed or refused.
# Seen: the model has no table of distances, its logits are the same bits as with "absolute", and nothing is said. A checkpoint that was
# trained with relative positions is thus another model, with weights that are dropped.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.24.0
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import warnings

import torch
import transformers
from transformers import AutoModelForMaskedLM, BertConfig

print("transformers", transformers.__version__)
sizes = dict(vocab_size=32, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=64)
ids = torch.arange(1, 20)[None]
logits, tables = {}, {}
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    for kind in ("absolute", "relative_key"):
        torch.manual_seed(0)
        model = AutoModelForMaskedLM.from_config(BertConfig(**sizes, position_embedding_type=kind)).eval()
        with torch.no_grad():
            logits[kind] = model(ids).logits
        tables[kind] = [name for name, _ in model.named_parameters() if "distance_embedding" in name]
same = torch.equal(logits["absolute"], logits["relative_key"])
print(f"relative_key: tables of distances {tables['relative_key']}, logits {'as' if same else 'not as'} with absolute positions, "
      f"{len(said)} warnings")
sys.exit(0 if same and not tables["relative_key"] and not said else 1)
PYTHON
