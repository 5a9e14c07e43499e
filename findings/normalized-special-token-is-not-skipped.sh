#!/usr/bin/env bash
# skip_special_tokens leaves a special token in the text if a normaliser changes what the token is written as.
#
# Guess: decoding goes by ids: what is marked special is skipped, and an added token is written as its content.
# Seen: tokenizers 0.23.3 first turns an id into text, for an added token with `normalized: true` into its normalised
# form, and then looks that text up among the contents of the special tokens. With a normaliser that lowers or
# prepends, the text is another one: the token is written, changed, and not skipped.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet tokenizers==0.23.3
"$work/venv/bin/python" - <<'PY'
import sys

import tokenizers
from tokenizers import AddedToken, Tokenizer, models, normalizers

print(f"tokenizers {tokenizers.__version__}")
recorded = {
    ("lowercase", True): ("a [end] b", "a [end] b"),
    ("lowercase", False): ("a [END] b", "a b"),
    ("prepend", True): ("a _[END] b", "a _[END] b"),
    ("prepend", False): ("a [END] b", "a b"),
    ("none", True): ("a [END] b", "a b"),
}
kinds = {"lowercase": normalizers.Lowercase(), "prepend": normalizers.Prepend("_"), "none": None}
for (kind, normalized), expected in recorded.items():
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 1, "[UNK]": 2}, unk_token="[UNK]"))
    if kinds[kind] is not None:
        tokenizer.normalizer = kinds[kind]
    tokenizer.add_special_tokens([AddedToken("[END]", special=True, normalized=normalized)])
    ids = [0, tokenizer.token_to_id("[END]"), 1]
    seen = tuple(tokenizer.decode(ids, skip_special_tokens=skip) for skip in (False, True))
    print(f"{kind}, normalized {normalized}: with special tokens {seen[0]!r}, without {seen[1]!r}")
    if seen != expected:
        sys.exit("other than recorded")
print("as recorded")
PY
