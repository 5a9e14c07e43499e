"""Writes src/tokenizer/unicode-tables.ts: what each part of the tokenizers library knows of Unicode.

The library's parts follow Unicode versions of their own, and none follows the JavaScript engine's. The tables are
measured: every code point goes through the normaliser or pre-tokeniser in question. Needs `tokenizers`, and a `node`
on the path whose Unicode version is the newest there is (its normalisation is compared with the library's).
"""

import base64
import json
import subprocess
from pathlib import Path

import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

from make_tokenizers import charsmap

CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
TEXT = "".join(map(chr, CODE_POINTS))

NODE = """
const sets = { reordered: [], different: [] };
const forms = JSON.parse(require('fs').readFileSync(0, 'utf8'));
for (let c = 0; c < 0x110000; c++) {
  if (c >= 0xd800 && c <= 0xdfff) continue;
  const text = String.fromCodePoint(c);
  for (const [form, map] of Object.entries(forms)) {
    if (text.normalize(form) === (map[c] ?? text)) continue;
    sets.different.push(c);
    // A newer composite beyond the first plane begins with a newer letter, which must not be composed either.
    const first = text.normalize(form).codePointAt(0);
    if (first > 0xffff) sets.different.push(first);
  }
  if (('a' + text + '\\u0334').normalize('NFD') !== 'a' + text.normalize('NFD') + '\\u0334') sets.reordered.push(c);
  else if (('a\\u0301' + text).normalize('NFD') !== 'a\\u0301' + text.normalize('NFD')) sets.reordered.push(c);
}
console.log(JSON.stringify({ ...sets, unicode: process.versions.unicode }));
"""


def removed(pre_tokenizer) -> list[int]:
    kept = {ord(c) for piece, _ in pre_tokenizer.pre_tokenize_str(TEXT) for c in piece}
    return [c for c in CODE_POINTS if c not in kept]


def dropped(normalizer) -> list[int]:
    return [c for c in CODE_POINTS if normalizer.normalize_str("a" + chr(c)) == "a"]


def bert(**options):
    neutral = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return normalizers.BertNormalizer(**{**neutral, **options})


def ranges(code_points) -> list[tuple[int, int]]:
    result: list[list[int]] = []
    for c in sorted(set(code_points)):
        if result and result[-1][1] == c - 1:
            result[-1][1] = c
        else:
            result.append([c, c])
    return [(a, b) for a, b in result]


def base36(number: int) -> str:
    digits = ""
    while number or not digits:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits


def table(name: str, comment: str, code_points) -> str:
    numbers, end = [], 0
    for first, last in ranges(code_points):
        numbers += [base36(first - end), base36(last - first)]
        end = last
    words, lines = " ".join(numbers), []
    while words:
        cut = len(words) if len(words) <= 108 else words.rindex(" ", 0, 108) + 1
        lines.append(words[:cut])
        words = words[cut:]
    body = " +\n".join(f"  '{line}'" for line in lines)
    return f"/** {comment} */\nexport const {name} =\n{body};\n"


def main() -> None:
    nfd, nfc = normalizers.NFD(), normalizers.NFC()
    forms = {"NFC": nfc, "NFD": nfd, "NFKC": normalizers.NFKC(), "NFKD": normalizers.NFKD()}
    maps = {
        name: {c: n for c in CODE_POINTS if (n := form.normalize_str(chr(c))) != chr(c)} for name, form in forms.items()
    }
    answer = subprocess.run(["node", "-e", NODE], input=json.dumps(maps), capture_output=True, text=True, check=True)
    engine = json.loads(answer.stdout)
    reordered = set()
    for c in CODE_POINTS:
        alone = nfd.normalize_str(chr(c))
        if nfd.normalize_str("a" + chr(c) + "\u0334") != "a" + alone + "\u0334":
            reordered.add(c)
        elif nfd.normalize_str("a\u0301" + chr(c)) != "a\u0301" + alone:
            reordered.add(c)
    opaque = set(engine["different"]) | (set(engine["reordered"]) ^ reordered)
    numeric = [c for c in CODE_POINTS if c and len(pre_tokenizers.Digits(True).pre_tokenize_str("a" + chr(c))) == 2]
    unassigned = removed(pre_tokenizers.Split(Regex(r"\p{Cn}"), "removed"))
    clusters = normalizers.Precompiled(
        base64.b64decode(charsmap({"a": "A"}))
    )  # replaces a whole cluster that begins with a
    joining = [c for c in unassigned if clusters.normalize_str("a" + chr(c)) == "A"]
    header = f"""/**
 * What the parts of the reference implementation (tokenizers {tokenizers.__version__}) know of Unicode, each by a
 * version of its own. Written by test/parity/unicode_tables.py; measured against Unicode {engine["unicode"]}. Each
 * table is a list of ranges: pairs of base-36 numbers, the distance from the last code point before and the length
 * less one.
 *
 * @module
 */
"""
    tables = [
        table(
            "punctuation",
            "Punctuation of BertPreTokenizer and Punctuation.",
            removed(pre_tokenizers.Punctuation("removed")),
        ),
        table("control", "What `clean_text` of BertNormalizer removes.", dropped(bert(clean_text=True))),
        table(
            "nonspacingMarks",
            "What `strip_accents` of BertNormalizer removes, after NFD.",
            dropped(bert(strip_accents=True)),
        ),
        table("combiningMarks", "What StripAccents removes.", dropped(normalizers.StripAccents())),
        table("numeric", "Digits of the Digits pre-tokenizer.", numeric),
        table("unassigned", "Code points that the regular expressions do not know (Unicode 16).", unassigned),
        table(
            "newJoining", "Of these, what joins the character before it in a grapheme cluster (Unicode 17).", joining
        ),
        table(
            "notNormalized",
            "What newer Unicode versions decompose, compose or reorder, and the normalisers do not.",
            opaque,
        ),
    ]
    target = Path(__file__).parents[2] / "src/tokenizer/unicode-tables.ts"
    target.write_text(header + "\n" + "\n".join(tables), encoding="utf-8")
    print({"opaque": len(ranges(opaque)), "bytes": target.stat().st_size})


if __name__ == "__main__":
    main()
