#!/usr/bin/env bash
# transformers 5.24: one RoBERTa tokenizer reads a mask in two ways, by the files that it is made of.
#
# Guess: a folder with vocab.json and merges.txt gives the ids that the same tokenizer saved as tokenizer.json gives.
# Seen: from tokenizer.json "<mask>" takes the space on its left with it; from vocab.json and merges.txt it does not, so that "was <mask> ."
# has one token more, a space of its own in front of the mask, and a model sees a text that it was not trained on.
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
from tokenizers import AddedToken
from transformers import AutoTokenizer, RobertaTokenizer

print("transformers", transformers.__version__)
words = ["<s>", "<pad>", "</s>", "<unk>", "w", "a", "s", ".", "Ġ", "Ġw", "Ġwa", "Ġwas", "Ġ.", "<mask>"]
vocabulary = {word: index for index, word in enumerate(words)}
merges = ["Ġ w", "Ġw a", "Ġwa s", "Ġ ."]
older = pathlib.Path("older")
older.mkdir()
(older / "vocab.json").write_text(json.dumps(vocabulary))
(older / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
(older / "config.json").write_text(json.dumps({"model_type": "roberta"}))
newer = pathlib.Path("newer")
# As published RoBERTa folders have it: the mask takes the space on its left.
RobertaTokenizer(vocab=vocabulary, merges=[tuple(merge.split()) for merge in merges],
                 mask_token=AddedToken("<mask>", lstrip=True, special=True)).save_pretrained(newer)
tokens = {}
for name, folder in (("vocab.json and merges.txt", older), ("tokenizer.json", newer)):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokens[name] = tokenizer.convert_ids_to_tokens(tokenizer(" was <mask> .", add_special_tokens=False)["input_ids"])
    print(f"{name}: {tokens[name]}")
first, second = tokens.values()
sys.exit(0 if first == ["Ġwas", "Ġ", "<mask>", "Ġ."] and second == ["Ġwas", "<mask>", "Ġ."] else 1)
PYTHON
