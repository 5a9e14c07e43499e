#!/usr/bin/env bash
# AutoTokenizer and tokenizer.json of the same folder give different ids.
#
# Guess: AutoTokenizer loads tokenizer.json, so a text gets the ids that the tokenizers library gives for that file.
# Seen: for tokenizer_class LlamaTokenizer, transformers 5.24 takes only vocabulary, merges and post-processor from the
# file. The file's normalizer (which puts a space mark in front of every part of a text) is replaced by a pre-tokenizer
# that marks the beginning of the whole text only, and not where a space stands there already; so a text that begins
# with a space, and what follows an added token, get other ids. With PreTrainedTokenizerFast the ids are the file's.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet transformers==5.24.0 tokenizers==0.23.3
cat > "$work/check.py" <<'PY'
import json
import sys
from pathlib import Path

import tokenizers
import transformers
from tokenizers import Tokenizer
from transformers import AutoTokenizer

folder = Path(sys.argv[1])
tokens = ["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256)), "▁", "c", "a", "t", "at", "▁c", "▁cat"]
special = [
    {"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    for i, t in enumerate(tokens[:3])
]
space = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
definition = {
    "version": "1.0",
    "added_tokens": special,
    "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, space]},
    "pre_tokenizer": None,
    "post_processor": None,
    "decoder": None,
    "model": {
        "type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
        "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
        "vocab": {t: i for i, t in enumerate(tokens)}, "merges": [["a", "t"], ["▁", "c"], ["▁c", "at"]],
    },
}
(folder / "tokenizer.json").write_text(json.dumps(definition))
(folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
of_file = Tokenizer.from_file(str(folder / "tokenizer.json"))


def of_class(name: str):
    config = {"tokenizer_class": name, "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return AutoTokenizer.from_pretrained(folder)


llama, plain = of_class("LlamaTokenizer"), of_class("PreTrainedTokenizerFast")
print(f"transformers {transformers.__version__}, tokenizers {tokenizers.__version__}")
same = {"cat": True, " cat": False, "cat</s>cat": False}
for text, expected in same.items():
    ids = [of_file.encode(text).ids, plain(text)["input_ids"], llama(text)["input_ids"]]
    print(f"{text!r}: file {ids[0]}, PreTrainedTokenizerFast {ids[1]}, LlamaTokenizer {ids[2]}")
    if ids[0] != ids[1] or (ids[0] == ids[2]) != expected:
        sys.exit("other than recorded")
print("as recorded")
PY
mkdir "$work/folder"
HF_HUB_OFFLINE=1 "$work/venv/bin/python" "$work/check.py" "$work/folder"
