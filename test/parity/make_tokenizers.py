"""Writes test/fixtures/tokenizers/variants.json: small tokenizers and what the tokenizers library makes of texts with
them.

Together they have every field of tokenizer.json. With `--large DIRECTORY` (of NAME/tokenizer.json) also large.json: the
same of whole tokenizers, by hash.

The test builds the same texts and ids: `mixed` and `sweep` follow a generator of random numbers that both have.
"""

import argparse
import base64
import hashlib
import io
import json
from pathlib import Path

import tokenizers
from tokenizers import Tokenizer

HERE = Path(__file__).parent
OUT = HERE.parent / "fixtures/tokenizers"

TEXTS = [
    "",
    " ",
    "Hello world",
    "  two  spaces ",
    "\t tab\nline\r\nfeed\n\n end ",
    "don't we'll I'M it'S you'Re",
    "ΟΔΥΣΣΕΥΣ Ὀδυσσεύς ΣΑΣ Σ σς",
    "İstanbul ISPARTA ığdır",
    "ภาษาไทยไม่มีช่องว่าง ๑๒๓",
    "العربية ١٢٣ لا، نعم؟",
    "हिन्दी में १२३ क्षत्रिय।",
    "日本語のテキスト、漢字かな交じり。ｶﾀｶﾅ ﾊﾞﾊﾟ",
    "中文字符，没有空格！㐀𠀀𫝀𫠠",
    "한국어 문장 각각",
    "👩‍👩‍👧 🏳️‍🌈 👍🏽 ☺️ 🇩🇪",
    "e\u0301 n\u0303 a\u0323\u0307 a\u0307\u0323 \u0344 ṩ s\u0323\u0307",
    "ﬁ ﬀ ℌ ② ½ ™ Ⅳ ㎏ ㋿ ½³",
    "naïve café Ångström Å Å ß ẞ ﬂ Ǆ",
    "x\u0000y\u0001z\u0007\u007f\u0085w\u009f\u00ad\u200b\u200d\ufeff\ufffd",
    "a\u00a0b\u2003c\u3000d\u2028e\u2029f\u1680g\u180eh\u205fi\u202fj",
    "1234 12,345.67 ٣٫٥ ⅷ 〇 १२ 𝟙𝟚 ⅐ ₁²",
    "$100 + €5 = ¥9 <tag> `code` ~x^2| {a_b} [c] \\d",
    "¿Qué? ¡No! «oui» „nein“ – — … ‽ ⸘ 〽 ؝ ৽ ᭎ ⹃",
    "ʕ ʖ ʔ Ɛ ꟎ ꟏ \ua7ce \u088f \U00010940 \U00011dda",
    "\u1acf a\u1ae0 \U00010efa \u0897 \u08ca",
    "\U000113c5 \U000113b8\U000113c9 \U000105d2\u0307 \U00016128",
    "'ſ 'K ſs S'ſ",
    "_under_score snake_case camelCase XMLHttp",
    "fun funny fun! (fun) un-fun ﬁfun 日fun fun日",
    "<s>hi</s> <s> there </s>\u3000x",
    "[MASK] [mask] a[MASK]b  [MASK]  c",
    "Foo FOO foo bar BAR Ǆ",
    "lower<|end|>\n\n<|end|> x<|end|>y",
    "a▁b ▁▁c ▁",
    "▁Hello  ▁ world",
    "Ġword ÂĊ é Ñ",
    "<0x41><0x0A> 0x",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "supercalifragilisticexpialidocious antidisestablishment",
    "the cat sat on the mat. The cats' mats; unhappiness, unknowable!",
    "x=1;\r\n\r\n  y=2\r\n\tz",
    "...!!!???,,,",
    "do not can 't n't 've 're ' s",
    "ꙮ ⁿ ª º ℃ ℹ ⓐ",
]


WORDS = [
    "fun",
    "<s>",
    "</s>",
    "[MASK]",
    "Foo",
    "<|end|>",
    "ab",
    "  ",
    " x",
    "the",
    "cat ",
    "\n\n",
    "12",
    "½",
    "ﬁ",
    "ﾞ",
    "\u0958",
    "\U0001d15e",
]


def random_numbers(seed):
    while True:
        seed = seed * 48271 % 2147483647
        yield seed


ALPHABET = (
    "aAbB zZ  09._-'’\n\t\r▁Ġéßſ"
    "ΣσςİıŒæ"
    "\u0300\u0301\u0323\u0307\u0308\u0327\u0344\u0345\u05b0\u064b\u093c\u0e48\u3099\u1acf\u0897"
    "가각ᄀ힣"
    "日本かガﾞ"
    "क्षि"
    "ก้"
    "ع؟"
    "\u200d\ufe0f👩🏽🇩"
    "𝟙𐐀𐓀\U00010940\U000113c9"
)


def mixed(count=150, seed=7):
    numbers = random_numbers(seed)
    letters = [*ALPHABET, *WORDS, *WORDS]
    return ["".join(letters[next(numbers) % len(letters)] for _ in range(1 + next(numbers) % 24)) for _ in range(count)]


SWEEP = [
    (0, 0x3400),
    (0x4DB0, 0x4E10),
    (0x9FF0, 0xA000),
    (0xA000, 0xAC10),
    (0xD7A0, 0xD800),
    (0xF900, 0x10000),
    (0x10000, 0x12600),
    (0x13000, 0x14700),
    (0x16100, 0x17000),
    (0x18AF0, 0x18E00),
    (0x1AFF0, 0x1B300),
    (0x1BC00, 0x1FC00),
    (0x2A6D0, 0x2A710),
    (0x2B730, 0x2B830),
    (0x2B910, 0x2B930),
    (0x2CE90, 0x2CEC0),
    (0x2F800, 0x2FA20),
    (0x323A0, 0x323C0),
    (0xE0000, 0xE0200),
]


def sweep():
    return [
        "".join(f"a{chr(c)}1 {chr(c)}" for c in range(start, min(start + 256, last)))
        for first, last in SWEEP
        for start in range(first, last, 256)
    ]


def digest(value) -> str:
    return hashlib.sha256(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()[:8]


def added(id, content, **options):
    flags = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=False)
    return {"id": id, "content": content, **{**flags, **options}}


BYTES = {f"<0x{b:02X}>": b for b in range(256)}
REVEAL = {
    "type": "BPE",
    "dropout": None,
    "unk_token": None,
    "continuing_subword_prefix": None,
    "end_of_word_suffix": "|",
    "fuse_unk": False,
    "byte_fallback": True,
    "ignore_merges": False,
    "vocab": BYTES,
    "merges": [],
}


def bpe(**options):
    tokens = list("abcdefghijklmnopqrstuvwxyz") + ["##" + c for c in "abcdefghijklmnopqrstuvwxyz"]
    merges = [
        ("t", "h"),
        ("th", "e"),
        ("c", "a"),
        ("a", "t"),
        ("ca", "t"),
        ("s", "at"),
        ("a", "b"),
        ("b", "c"),
        ("ab", "c"),
        ("a", "bc"),
        ("u", "n"),
    ]
    vocab = {
        t: i
        for i, t in enumerate(
            dict.fromkeys(["<unk>", *tokens, *(a + b for a, b in merges), "cats", "a</w>", "t</w>", "at</w>"])
        )
    }
    model = {
        "type": "BPE",
        "dropout": None,
        "unk_token": "<unk>",
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": vocab,
        "merges": [list(m) for m in merges],
    }
    return {**model, **options}


def unigram(**options):
    pieces = [
        ("<unk>", 0.0),
        ("▁", -2.0),
        ("a", -3.0),
        ("b", -3.5),
        ("c", -3.25),
        ("▁the", -2.5),
        ("at", -3.0),
        ("cat", -4.0),
        ("ab", -5.0),
        ("bc", -4.5),
        ("abc", -7.75),
        ("t", -4.0),
        ("h", -4.0),
        ("e", -3.0),
        ("s", -3.0),
        ("日", -6.0),
        ("本", -6.0),
        ("日本", -7.0),
        ("👩", -8.0),
        ("xx", -9.0),
    ]
    pieces += [(t, -20.0) for t in BYTES] if options.pop("with_bytes", False) else []
    return {"type": "Unigram", "unk_id": 0, "vocab": [list(p) for p in pieces], "byte_fallback": False, **options}


def wordpiece(**options):
    tokens = [
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "the",
        "cat",
        "##s",
        "un",
        "##happi",
        "##ness",
        "a",
        "##a",
        "b",
        "##b",
        "é",
        "##é",
        "日",
        "##本",
        "sat",
        "on",
        ".",
        ",",
        "!",
        "'",
        "happi",
        "-",
        "##-",
    ]
    return {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": {t: i for i, t in enumerate(tokens)},
        **options,
    }


WORD_LEVEL = {
    "type": "WordLevel",
    "vocab": {t: i for i, t in enumerate(["<unk>", "the", "cat", "Hello", "world", "日本語", "fun", "1234"])},
    "unk_token": "<unk>",
}


def charsmap(rules: dict[str, str]) -> str:
    import sentencepiece

    path = Path("/tmp/rules.tsv")
    path.write_text(
        "".join(
            " ".join(f"{ord(c):X}" for c in a) + "\t" + " ".join(f"{ord(c):X}" for c in b) + "\n"
            for a, b in rules.items()
        )
    )
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a b c d e f g"] * 50),
        model_writer=model,
        vocab_size=12,
        model_type="char",
        normalization_rule_tsv=str(path),
        minloglevel=2,
        hard_vocab_limit=False,
    )
    from sentencepiece import sentencepiece_model_pb2

    proto = sentencepiece_model_pb2.ModelProto.FromString(model.getvalue())
    return base64.b64encode(proto.normalizer_spec.precompiled_charsmap).decode()


def bert(**options):
    return {
        "type": "BertNormalizer",
        "clean_text": False,
        "handle_chinese_chars": False,
        "strip_accents": False,
        "lowercase": False,
        **options,
    }


def sequence(kind, *parts):
    return {"type": "Sequence", kind: list(parts)}


def split(pattern, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}


GPT4 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
GPT4O = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


def byte_level_model():
    from tokenizers.pre_tokenizers import ByteLevel

    tokens = sorted(ByteLevel.alphabet()) + ["th", "the", "Ġthe", "at", "cat", "Ġcat", "ĠH", "Ġw", "in"]
    merges = [
        ["t", "h"],
        ["th", "e"],
        ["Ġ", "the"],
        ["a", "t"],
        ["c", "at"],
        ["Ġ", "cat"],
        ["Ġ", "H"],
        ["Ġ", "w"],
        ["i", "n"],
    ]
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": "",
        "end_of_word_suffix": "",
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": {t: i for i, t in enumerate(tokens)},
        "merges": merges,
    }


def template(single, tokens):
    pieces = [
        {"Sequence": {"id": "A", "type_id": 0}} if p == "$A" else {"SpecialToken": {"id": p, "type_id": 0}}
        for p in single
    ]
    return {
        "type": "TemplateProcessing",
        "single": pieces,
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {t: {"id": t, "ids": ids, "tokens": [t] * len(ids)} for t, ids in tokens.items()},
    }


def cases():
    """name, sections, whether the sweep over Unicode runs, too."""
    normalizers = {
        "NFC": ({"type": "NFC"}, True),
        "NFD": ({"type": "NFD"}, True),
        "NFKC": ({"type": "NFKC"}, True),
        "NFKD": ({"type": "NFKD"}, True),
        "Lowercase": ({"type": "Lowercase"}, True),
        "Nmt": ({"type": "Nmt"}, True),
        "StripAccents": ({"type": "StripAccents"}, True),
        "Bert clean": (bert(clean_text=True), True),
        "Bert chinese": (bert(handle_chinese_chars=True), True),
        "Bert accents": (bert(strip_accents=True), True),
        "Bert lower": (bert(lowercase=True), False),
        "Bert lower accents null": (bert(lowercase=True, strip_accents=None), False),
        "Bert all": (bert(clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True), False),
        "Bert cased": (bert(clean_text=True, handle_chinese_chars=True, strip_accents=None), False),
        "Strip both": ({"type": "Strip", "strip_left": True, "strip_right": True}, False),
        "Strip left": ({"type": "Strip", "strip_left": True, "strip_right": False}, False),
        "Strip right": ({"type": "Strip", "strip_left": False, "strip_right": True}, False),
        "Replace text": ({"type": "Replace", "pattern": {"String": "a"}, "content": "<$&>"}, False),
        "Replace regex": ({"type": "Replace", "pattern": {"Regex": r"\s{2,}|[\p{P}&&[^.]]"}, "content": " "}, False),
        "Replace nothing": ({"type": "Replace", "pattern": {"String": " "}, "content": ""}, False),
        "Prepend": ({"type": "Prepend", "prepend": "▁"}, False),
        "ByteLevel": ({"type": "ByteLevel"}, False),
        "Sequence": (sequence("normalizers", {"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"}), False),
        "Precompiled": (
            {
                "type": "Precompiled",
                "precompiled_charsmap": charsmap(
                    {
                        "ﬁ": "fi",
                        "é": "e\u0301",
                        "e\u0301": "é",
                        "\u3000": " ",
                        "\r": " ",
                        "\n": "",
                        "カ\u3099": "ガ",
                        "ｶﾞ": "ガ",
                        "½": "1/2",
                        "a": "A",
                        "ab": "X",
                        "👍🏽": "y",
                    }
                ),
            },
            False,
        ),
    }
    for name, (section, sweeps) in normalizers.items():
        yield "normalizer " + name, dict(normalizer=section), sweeps
    pre_tokenizers = {
        "Bert": ({"type": "BertPreTokenizer"}, True),
        "Whitespace": ({"type": "Whitespace"}, True),
        "WhitespaceSplit": ({"type": "WhitespaceSplit"}, True),
        "Digits": ({"type": "Digits", "individual_digits": False}, True),
        "Digits single": ({"type": "Digits", "individual_digits": True}, False),
        "Delimiter": ({"type": "CharDelimiterSplit", "delimiter": "a"}, False),
        "FixedLength": ({"type": "FixedLength", "length": 3}, False),
        "FixedLength default": ({"type": "FixedLength"}, False),
        **{"Punctuation " + b: ({"type": "Punctuation", "behavior": b}, b == "Isolated") for b in BEHAVIORS},
        "Punctuation": ({"type": "Punctuation"}, False),
        **{
            f"Metaspace {s} {x}": ({"type": "Metaspace", "replacement": "▁", "prepend_scheme": s, "split": x}, False)
            for s in ("always", "first", "never")
            for x in (True, False)
        },
        "Metaspace old": ({"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}, False),
        "Metaspace old str_rep": (
            {"type": "Metaspace", "replacement": "_", "str_rep": "▁", "add_prefix_space": True},
            False,
        ),
        "Metaspace old never": (
            {"type": "Metaspace", "replacement": "▁", "add_prefix_space": False, "prepend_scheme": "never"},
            False,
        ),
        "ByteLevel": (BYTE_LEVEL, True),
        "ByteLevel prefix": ({**BYTE_LEVEL, "add_prefix_space": True}, False),
        "ByteLevel whole": ({**BYTE_LEVEL, "use_regex": False}, False),
        **{f"Split {b} {i}": (split({"Regex": r"\s+|\p{P}"}, b, i), False) for b in BEHAVIORS for i in (False, True)},
        **{f"Split text {b}": (split({"String": " "}, b), False) for b in BEHAVIORS},
        "Split GPT-4": (split({"Regex": GPT4}), True),
        "Split GPT-4o": (split({"Regex": GPT4O}), True),
        "Split words": (split({"Regex": r"\w+|[^\w\s]+"}), True),
        "Split classes": (split({"Regex": r"[[:alpha:]]+|[[:punct:]]|\d{2}|\h+|[^\S\n]+"}), True),
        "Split look": (split({"Regex": r"(?<=[a-z])(?=[A-Z])|\b\d+\b|(?>a+)b|^\s|\s$"}), False),
        "Split scripts": (
            split({"Regex": r"\p{Han}+|\p{Hiragana}+|\p{Katakana}+|\p{Thai}+|\p{Greek}+|\p{Cyrillic}|\p{Arabic}+"}),
            False,
        ),
        "Split dot": (split({"Regex": r"."}), False),
        "Split bloom": (split({"Regex": " ?[^(\\s|[.,!?…。，、।۔،])]+"}), False),
        "Sequence": (
            sequence(
                "pretokenizers",
                {"type": "Whitespace"},
                {"type": "Digits", "individual_digits": True},
                {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True},
            ),
            False,
        ),
        "Sequence digits byte level": (
            sequence("pretokenizers", {"type": "Digits", "individual_digits": True}, BYTE_LEVEL),
            False,
        ),
    }
    for name, (section, sweeps) in pre_tokenizers.items():
        yield "pre_tokenizer " + name, dict(pre_tokenizer=section), sweeps
    yield "strip then first", dict(
        normalizer={"type": "Strip", "strip_left": True, "strip_right": True},
        pre_tokenizer={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True},
    ), False
    yield "replace then first", dict(
        normalizer={"type": "Replace", "pattern": {"String": "  "}, "content": " "},
        pre_tokenizer={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False},
    ), False
    yield "clean then first", dict(
        normalizer=bert(clean_text=True),
        pre_tokenizer={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False},
    ), False

    tokens = ["fun", "<s>", "</s>", "[MASK]", "Foo", "<|end|>", "日", "ab", "  ", "A"]
    for name, options in {
        "plain": {},
        "single_word": dict(single_word=True),
        "lstrip": dict(lstrip=True),
        "rstrip": dict(rstrip=True),
        "strip both": dict(lstrip=True, rstrip=True),
        "normalized": dict(normalized=True),
        "normalized single_word strip": dict(normalized=True, single_word=True, lstrip=True, rstrip=True),
        "special": dict(special=True),
    }.items():
        for normalizer in (None, {"type": "Lowercase"}):
            listed = [added(256 + i, t, **options) for i, t in enumerate(tokens)]
            if normalizer and options.get("normalized"):
                listed = [t for t in listed if t["content"] != "A"]
            yield f"added {name} {normalizer and normalizer['type']}", dict(
                added_tokens=listed,
                normalizer=normalizer,
                pre_tokenizer={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True},
            ), False
    yield "added prepend", dict(
        added_tokens=[added(256, "<s>", special=True), added(257, "fun", normalized=True)],
        normalizer=sequence(
            "normalizers",
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        ),
    ), False
    yield "added in vocabulary", dict(
        model=bpe(), added_tokens=[added(5, "e", single_word=True), added(len(bpe()["vocab"]), "new")]
    ), False

    words = {"type": "Whitespace"}
    for name, options in {
        "": {},
        "fuse_unk": dict(fuse_unk=True),
        "no unk": dict(unk_token=None),
        "prefix": dict(continuing_subword_prefix="##", merges=[]),
        "suffix": dict(end_of_word_suffix="</w>", merges=[["a", "t</w>"]]),
        "ignore_merges": dict(ignore_merges=True),
        "legacy merges": dict(merges=["#version: 0.2", "t h", "th e", "c a", "ca t"]),
        "dropout 0": dict(dropout=0.0),
    }.items():
        yield "BPE " + name, dict(model=bpe(**options), pre_tokenizer=words), False
        yield "BPE whole " + name, dict(model=bpe(**options)), False
    continuing = bpe(continuing_subword_prefix="##")
    continuing["merges"] = [["c", "##a"], ["ca", "##t"], ["##a", "##t"], ["##h", "##e"], ["t", "##he"]]
    continuing["vocab"] = {t: i for i, t in enumerate(dict.fromkeys([*continuing["vocab"], "##at", "##he"]))}
    yield "BPE prefix merges", dict(model=continuing, pre_tokenizer=words), False
    some = {**bpe()["vocab"]}
    for b in [*range(0x80, 0xF0), 0x20]:
        some[f"<0x{b:02X}>"] = len(some)
    for fuse in (True, False):
        yield f"BPE some bytes {fuse}", dict(model=bpe(vocab=some, byte_fallback=True, fuse_unk=fuse)), False
    yield "BPE byte level", dict(model=byte_level_model(), pre_tokenizer=BYTE_LEVEL), False

    meta = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    yield "Unigram", dict(model=unigram(), pre_tokenizer=meta), False
    yield "Unigram bytes", dict(model=unigram(with_bytes=True, byte_fallback=True), pre_tokenizer=meta), False
    yield "Unigram bytes off", dict(model=unigram(with_bytes=True), pre_tokenizer=meta), False
    yield "Unigram whole", dict(model=unigram(unk_id=2)), False
    for name, options in {
        "": {},
        "short words": dict(max_input_chars_per_word=3),
        "prefix": dict(continuing_subword_prefix=""),
        "unk": dict(unk_token="[SEP]"),
    }.items():
        yield "WordPiece " + name, dict(model=wordpiece(**options), pre_tokenizer={"type": "BertPreTokenizer"}), False
    yield "WordLevel", dict(model=WORD_LEVEL, pre_tokenizer=words), False
    yield "WordLevel whole", dict(model=WORD_LEVEL), False

    marks = [added(256, "<s>", special=True), added(257, "</s>", special=True)]
    processors = {
        "template": template(["<s>", "$A", "</s>"], {"<s>": [256], "</s>": [257]}),
        "template two ids": template(["<s>", "$A"], {"<s>": [256, 257]}),
        "template end": template(["$A", "</s>"], {"</s>": [257]}),
        "bert": {"type": "BertProcessing", "sep": ["</s>", 257], "cls": ["<s>", 256]},
        "roberta": {
            "type": "RobertaProcessing",
            "sep": ["</s>", 257],
            "cls": ["<s>", 256],
            "trim_offsets": True,
            "add_prefix_space": True,
        },
        "byte level": BYTE_LEVEL,
        "sequence": sequence("processors", BYTE_LEVEL, template(["<s>", "$A"], {"<s>": [256]})),
    }
    for name, section in processors.items():
        yield "post_processor " + name, dict(added_tokens=marks, post_processor=section), False


def decoders():
    space = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
    meta_model = {
        "type": "WordLevel",
        "unk_token": "<unk>",
        "vocab": {
            t: i
            for i, t in enumerate(
                [
                    "<unk>",
                    "▁the",
                    "▁",
                    "cat",
                    "▁▁",
                    "▁a▁b",
                    "s",
                    ".",
                    "'s",
                    "n't",
                    "##s",
                    "##",
                    "do",
                    "not",
                    "é",
                    "Ġ",
                    "end</w>",
                    "a</w>b",
                    "</w>",
                    "!",
                    "日本",
                    " ",
                    "Ġcat",
                    "Â",
                    "Ã©",
                ]
            )
        },
    }
    llama = {
        "type": "WordLevel",
        "unk_token": "<unk>",
        "vocab": {
            t: i
            for i, t in enumerate(
                ["<unk>", "▁", "▁a", "b", "▁▁", "日", " ", "<0x20>", *(f"<0x{b:02X}>" for b in "é日😀a".encode())]
            )
        },
    }
    marks = lambda n: [
        added(n, "<s>", special=True),
        added(n + 1, "日本語"),
        added(n + 2, "x", normalized=True),
        added(n + 3, "<|é|>", special=True),
    ]
    for name, decoder in {
        "none": None,
        "Metaspace always": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        "Metaspace never": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": True},
        "Metaspace first": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first"},
        "WordPiece": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "WordPiece plain": {"type": "WordPiece", "prefix": "##", "cleanup": False},
        "WordPiece empty prefix": {"type": "WordPiece", "prefix": "", "cleanup": False},
        "BPEDecoder": {"type": "BPEDecoder", "suffix": "</w>"},
        "Fuse": {"type": "Fuse"},
        "Replace": space,
        "Replace regex": {"type": "Replace", "pattern": {"Regex": "[▁Ġ]+"}, "content": "_"},
        "Strip tokens": {"type": "Strip", "content": "▁", "start": 1, "stop": 0},
        "Strip tokens stop": {"type": "Strip", "content": "▁", "start": 0, "stop": 1},
        "Strip whole": sequence(
            "decoders", space, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 2, "stop": 0}
        ),
        "Strip whole stop": sequence(
            "decoders", space, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 0, "stop": 1}
        ),
        "BPEDecoder strip": sequence(
            "decoders",
            {"type": "BPEDecoder", "suffix": "</w>"},
            {"type": "Fuse"},
            {"type": "Strip", "content": "▁", "start": 1, "stop": 0},
        ),
    }.items():
        yield name, dict(model=meta_model, added_tokens=marks(len(meta_model["vocab"])), decoder=decoder)
    yield "ByteLevel", dict(
        model=byte_level_model(),
        added_tokens=[
            added(len(byte_level_model()["vocab"]), "<s>", special=True),
            added(len(byte_level_model()["vocab"]) + 1, "日本"),
        ],
        decoder=BYTE_LEVEL,
    )
    for name, decoder in {
        "bytes": sequence("decoders", space, {"type": "ByteFallback"}, {"type": "Fuse"}),
        "bytes alone": {"type": "ByteFallback"},
        "Llama": sequence(
            "decoders",
            space,
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ),
    }.items():
        yield name, dict(model=llama, added_tokens=marks(len(llama["vocab"])), decoder=decoder)
    yield "normalized forms", dict(
        model=meta_model,
        added_tokens=[
            added(len(meta_model["vocab"]), "FOO", normalized=True),
            added(len(meta_model["vocab"]) + 1, "BAR"),
        ],
        normalizer={"type": "Lowercase"},
        decoder={"type": "Fuse"},
    )
    yield "byte-level forms", dict(
        model=byte_level_model(),
        added_tokens=[added(len(byte_level_model()["vocab"]), "é日", normalized=True)],
        normalizer={"type": "ByteLevel"},
        decoder=BYTE_LEVEL,
    )


def combinations(count=120, seed=5):
    """Tokenizers of random stages, each named by the case that has it, and random added tokens."""
    numbers = random_numbers(seed)
    pick = lambda items: items[next(numbers) % len(items)]
    named = {name: sections for name, sections, _ in cases()}
    normalizers_of = [name for name in named if name.startswith("normalizer ")]
    pre_tokenizers_of = [name for name in named if name.startswith("pre_tokenizer ")]
    models_of = [name for name, sections in named.items() if "model" in sections and "added" not in name] + [
        "normalizer NFC"
    ] * 8
    contents = [
        "fun",
        "<s>",
        "</s>",
        "[MASK]",
        "Foo",
        "<|end|>",
        "日",
        "ab",
        "A",
        "é",
        "ß",
        " x",
        "İ",
        "the",
        "👩",
        "Σ",
    ]
    for _ in range(count):
        row = {
            "model": pick(models_of),
            "normalizers": [pick(normalizers_of) for _ in range(next(numbers) % 3)],
            "pre_tokenizers": [pick(pre_tokenizers_of) for _ in range(next(numbers) % 3)],
        }
        model = named[row["model"]].get("model", REVEAL)
        vocab = (
            model["vocab"] if isinstance(model["vocab"], dict) else {t: i for i, (t, _) in enumerate(model["vocab"])}
        )
        following, row["added_tokens"] = len(vocab), []
        for content in dict.fromkeys(pick(contents) for _ in range(next(numbers) % 6)):
            id = vocab.get(content, following)
            following += id == following
            flags = {f: next(numbers) % 3 == 0 for f in ("single_word", "lstrip", "rstrip", "normalized", "special")}
            row["added_tokens"].append(added(id, content, **flags))
        sections = {"model": model, "added_tokens": row["added_tokens"]}
        if row["normalizers"]:
            sections["normalizer"] = sequence("normalizers", *(named[n]["normalizer"] for n in row["normalizers"]))
        if row["pre_tokenizers"]:
            sections["pre_tokenizer"] = sequence(
                "pretokenizers", *(named[n]["pre_tokenizer"] for n in row["pre_tokenizers"])
            )
        yield row, sections


def id_lists(size, count=40, seed=11):
    numbers = random_numbers(seed)
    return [[next(numbers) % size for _ in range(1 + next(numbers) % 12)] for _ in range(count)]


def whole(sections):
    frame = dict(
        version="1.0",
        truncation=None,
        padding=None,
        added_tokens=[],
        normalizer=None,
        pre_tokenizer=None,
        post_processor=None,
        decoder=None,
        model=REVEAL,
    )
    return Tokenizer.from_str(json.dumps({**frame, **sections}))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--large", type=Path)
    large = parser.parse_args().large
    fuzz, everything = mixed(), sweep()
    result = {
        "tokenizers": tokenizers.__version__,
        "alphabet": ALPHABET,
        "texts": TEXTS,
        "sweep": SWEEP,
        "encode": [],
        "decode": [],
        "words": WORDS,
        "combinations": [],
    }
    models = {}

    def packed(sections):
        if "model" not in sections:
            return sections
        key = digest(sections["model"])
        models[key] = sections["model"]
        return {**sections, "model": key}

    for name, sections, sweeps in cases():
        tokenizer = whole(sections)
        ids = lambda text: tokenizer.encode(text).ids
        row = {
            "name": name,
            "sections": packed(sections),
            "texts": [digest(ids(t)) for t in TEXTS],
            "mixed": digest([ids(t) for t in fuzz]),
        }
        if sweeps:
            row["sweep"] = digest([ids(t) for t in everything])
        result["encode"].append(row)
    for name, sections in decoders():
        tokenizer = whole(sections)
        size = tokenizer.get_vocab_size()
        texts = {
            str(skip): digest([tokenizer.decode(ids, skip_special_tokens=skip) for ids in id_lists(size)])
            for skip in (False, True)
        }
        result["decode"].append({"name": name, "sections": packed(sections), "size": size, "texts": texts})
    for row, sections in combinations():
        tokenizer = whole(sections)
        ids, row["panics"] = [], []
        for index, text in enumerate(fuzz):
            # Where stages change the length of a text, the library may lose count of its offsets, and panics.
            try:
                ids.append(tokenizer.encode(text).ids)
            except BaseException:
                row["panics"].append(index)
        result["combinations"].append({**row, "ids": digest(ids)})
    result["models"] = {"reveal": REVEAL, **models}
    text = json.dumps(result, ensure_ascii=True, separators=(",", ":"))
    (OUT / "variants.json").write_text(
        text.replace('{"name"', '\n{"name"').replace('{"model":"', '\n{"model":"') + "\n", encoding="utf-8"
    )
    print("variants.json", len(text), len(result["encode"]), len(result["decode"]))

    if large is not None:
        rows = []
        for path in sorted(large.glob("*/tokenizer.json")):
            try:
                tokenizer = Tokenizer.from_file(str(path))
            except Exception as error:
                print(path.parent.name, error)
                continue
            tokenizer.no_truncation()
            tokenizer.no_padding()
            lists = id_lists(tokenizer.get_vocab_size(), 200)
            rows.append(
                {
                    "name": path.parent.name,
                    "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                    "size": tokenizer.get_vocab_size(),
                    "texts": [digest(tokenizer.encode(t).ids) for t in TEXTS],
                    "mixed": digest([tokenizer.encode(t).ids for t in fuzz]),
                    "sweep": digest([tokenizer.encode(t).ids for t in everything]),
                    "decode": {
                        str(skip): digest([tokenizer.decode(ids, skip_special_tokens=skip) for ids in lists])
                        for skip in (False, True)
                    },
                }
            )
        (OUT / "large.json").write_text(json.dumps(rows, separators=(",", ":")).replace('{"name"', '\n{"name"') + "\n")
        print("large.json", len(rows))


if __name__ == "__main__":
    main()
