"""Writes test/fixtures/tokenizers/auto.json: what transformers' AutoTokenizer makes of small model folders.

They go through the keys of tokenizer_config.json and special_tokens_map.json, tokenizer classes and model types.
"""

import json
import os
import tempfile
from pathlib import Path

os.environ["TRANSFORMERS_VERBOSITY"] = "error"
os.environ["HF_HUB_OFFLINE"] = "1"

import transformers
from transformers import AutoTokenizer

from make_tokenizers import BYTE_LEVEL, BYTES, OUT, added, byte_level_model, digest, sequence, template

TEXTS = [
    "the cat",
    " the  cat\n",
    "",
    "<s>the cat</s> the<s>",
    "a🙂é</s>",
    "fun funny <x> the",
    "it's 1234 İ",
    "▁the",
    "a<|endoftext|>  the",
    "The <mask>, cat [MASK] [MASK]. É e <mask>  東the",
]


def special(id, content, **options):
    return added(id, content, **{"special": True, **options})


def llama():
    tokens = ["<unk>", "<s>", "</s>", *BYTES, "▁", "t", "h", "e", "c", "a", "▁t", "he", "▁the", "at", "▁c", "▁cat"]
    merges = [["▁", "t"], ["h", "e"], ["▁t", "he"], ["a", "t"], ["▁", "c"], ["▁c", "at"]]
    model = {
        "type": "BPE",
        "dropout": None,
        "unk_token": "<unk>",
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": True,
        "byte_fallback": True,
        "ignore_merges": False,
        "vocab": {t: i for i, t in enumerate(tokens)},
        "merges": merges,
    }
    space = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    back = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [special(0, "<unk>"), special(1, "<s>"), special(2, "</s>")],
        "normalizer": sequence("normalizers", {"type": "Prepend", "prepend": "▁"}, space),
        "pre_tokenizer": None,
        "post_processor": template(["<s>", "$A"], {"<s>": [1]}),
        "decoder": sequence(
            "decoders",
            back,
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ),
        "model": model,
    }


def gpt2():
    model = byte_level_model()
    size = len(model["vocab"])
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [special(size, "<|endoftext|>"), special(size + 1, "<s>"), special(size + 2, "</s>")],
        "normalizer": None,
        "pre_tokenizer": BYTE_LEVEL,
        "post_processor": None,
        "decoder": BYTE_LEVEL,
        "model": model,
    }


def roberta():
    model = byte_level_model()
    special_tokens = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
    tokens = [*special_tokens[:4], *model["vocab"], "<mask>"]
    own = {**model, "vocab": {t: i for i, t in enumerate(tokens)}}
    added_tokens = [special(own["vocab"][t], t, lstrip=t == "<mask>", normalized=t != "<mask>") for t in special_tokens]
    processor = {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0], "trim_offsets": True,
        "add_prefix_space": False}
    return {**gpt2(), "added_tokens": added_tokens, "post_processor": processor, "model": own}


def bert():
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "The", "fun", "##ny", "a", "##e", "it", "'",
        "s", "12", "##34"]
    model = {"unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
             "vocab": {t: i for i, t in enumerate(tokens)}}
    normalizer = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
        "lowercase": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [special(i, t) for i, t in enumerate(tokens[:5])],
        "normalizer": normalizer,
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": template(["[CLS]", "$A", "[SEP]"], {"[CLS]": [2], "[SEP]": [3]}),
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": model,
    }


def xlm_roberta():
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁the", "▁cat", "▁", "t", "h", "e", "f", "u", "n", "▁fun", "ny", "a",
        "▁a", "s", "'", "1", "<mask>"]
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [special(i, pieces[i], lstrip=pieces[i] == "<mask>") for i in (0, 1, 2, 3, len(pieces) - 1)],
        "normalizer": None,
        "pre_tokenizer": sequence("pretokenizers", {"type": "WhitespaceSplit"}, metaspace),
        "post_processor": template(["<s>", "$A", "</s>"], {"<s>": [0], "</s>": [2]}),
        "decoder": metaspace,
        "model": {"type": "Unigram", "unk_id": 3, "byte_fallback": False,
        "vocab": [[p, -0.5 * i] for i, p in enumerate(pieces)]},
    }


MASKED = {
    "bert": ("BertTokenizer", bert()),
    "roberta": ("RobertaTokenizer", roberta()),
    "xlm-roberta": ("XLMRobertaTokenizer", xlm_roberta()),
}
BASES = {"llama": llama(), "gpt2": gpt2(), **{name: base for name, (_, base) in MASKED.items()}}
SIZE = len(gpt2()["model"]["vocab"])
DECODER = {str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in llama()["added_tokens"]}


def cases():
    """name, base, changes to tokenizer.json (None: vocab.json and merges.txt), other files."""
    for model_type in (None, "llama", "mistral", "qwen2", "qwen3", "opt"):
        for name in (
            None,
            "LlamaTokenizer",
            "LlamaTokenizerFast",
            "Qwen2Tokenizer",
            "GPT2TokenizerFast",
            "PreTrainedTokenizerFast",
            "TokenizersBackend",
        ):
            for base in ("llama", "gpt2"):
                files = {"tokenizer_config.json": {"tokenizer_class": name} if name else {}}
                if model_type:
                    files["config.json"] = {"model_type": model_type}
                yield f"{base} {model_type} {name}", base, {}, files
    for model_type, names in {
        "phi3": (None, "LlamaTokenizer", "GPT2TokenizerFast"),
        "phi": (None, "CodeGenTokenizer"),
        "gpt2": (None, "GPT2Tokenizer", "PreTrainedTokenizerFast"),
        "gptj": (None, "GPT2Tokenizer"),
        "gpt_neox": (None, "GPTNeoXTokenizer", "PreTrainedTokenizerFast"),
        "cohere": (None, "CohereTokenizerFast"),
        "cohere2": (None, "PreTrainedTokenizerFast"),
        "stablelm": (None, "GPTNeoXTokenizerFast"),
        "glm4": (None, "PreTrainedTokenizer"),
        "falcon": (None, "PreTrainedTokenizerFast"),
        "gpt_bigcode": (None, "GPT2TokenizerFast"),
        "olmo2": (None, "GPT2Tokenizer"),
    }.items():
        for name in names:
            for base in ("llama", "gpt2"):
                files = {"tokenizer_config.json": {"tokenizer_class": name, "add_prefix_space": False} if name else {}}
                yield f"{base} {model_type} {name}", base, {}, {**files, "config.json": {"model_type": model_type}}
    yield "class of config.json", "llama", {}, {
        "config.json": {"model_type": "llama", "tokenizer_class": "LlamaTokenizer"}
    }

    def config(name, base="llama", changes={}, files=None, **keys):
        return (
            name,
            base,
            changes,
            {"tokenizer_config.json": keys, "config.json": {"model_type": "llama"}, **(files or {})},
        )

    for value in (True, False, None):
        yield config(f"legacy {value}", tokenizer_class="LlamaTokenizer", legacy=value)
        for name in ("LlamaTokenizer", "GPT2Tokenizer", "Qwen2Tokenizer", "PreTrainedTokenizerFast"):
            yield config(
                f"add_prefix_space {value} {name}",
                "llama" if name == "LlamaTokenizer" else "gpt2",
                tokenizer_class=name,
                add_prefix_space=value,
            )
        for key in (
            "add_bos_token",
            "add_eos_token",
            "split_special_tokens",
            "clean_up_tokenization_spaces",
            "do_lower_case",
            "use_default_system_prompt",
        ):
            for name in ("LlamaTokenizer", "PreTrainedTokenizerFast"):
                yield config(
                    f"{key} {value} {name}", tokenizer_class=name, bos_token="<s>", eos_token="</s>", **{key: value}
                )
            if key.startswith("add_"):
                yield config(
                    f"{key} {value} without post-processor",
                    "gpt2",
                    tokenizer_class="PreTrainedTokenizerFast",
                    bos_token="<s>",
                    eos_token="</s>",
                    **{key: value},
                )
                yield config(
                    f"{key} {value} vocabulary files",
                    "gpt2",
                    None,
                    dict(VOCABULARY),
                    tokenizer_class="GPT2Tokenizer",
                    bos_token="<|endoftext|>",
                    eos_token="<|endoftext|>",
                    **{key: value},
                )
    yield config(
        "null of vocabulary files", "gpt2", None, dict(VOCABULARY), tokenizer_class="GPT2Tokenizer", bos_token=None
    )
    for model_type in ("opt", "qwen3", "qwen2"):
        files = {**VOCABULARY, "config.json": {"model_type": model_type}}
        yield config(f"vocabulary files of type {model_type}", "gpt2", None, files, bos_token="<s>", add_bos_token=True)
    yield config(
        "both of vocabulary files",
        "gpt2",
        None,
        dict(VOCABULARY),
        tokenizer_class="GPT2Tokenizer",
        bos_token="<s>",
        eos_token="</s>",
        add_bos_token=True,
        add_eos_token=True,
    )
    yield config(
        "vocabulary files of Qwen2",
        "gpt2",
        None,
        dict(VOCABULARY),
        tokenizer_class="Qwen2Tokenizer",
        added_tokens_decoder={str(SIZE): special(0, "<|endoftext|>"), str(SIZE + 1): special(0, "<x>")},
    )
    yield config(
        "truncation and padding",
        changes={
            "truncation": {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0},
            "padding": {
                "strategy": {"Fixed": 9},
                "direction": "Left",
                "pad_to_multiple_of": None,
                "pad_id": 0,
                "pad_type_id": 0,
                "pad_token": "<unk>",
            },
        },
        tokenizer_class="PreTrainedTokenizerFast",
        model_max_length=3,
        padding_side="left",
        truncation_side="left",
    )
    for name in ("LlamaTokenizer", "PreTrainedTokenizerFast"):
        yield config(
            f"decoder of other flags {name}",
            tokenizer_class=name,
            added_tokens_decoder={**DECODER, "2": {**DECODER["2"], "lstrip": True, "rstrip": True}},
            eos_token="</s>",
        )
        yield config(
            f"decoder normalized {name}",
            tokenizer_class=name,
            added_tokens_decoder={k: {**v, "normalized": True} for k, v in DECODER.items()},
        )
        yield config(
            f"decoder with one more {name}",
            tokenizer_class=name,
            added_tokens_decoder={**DECODER, str(len(llama()["model"]["vocab"])): added(0, "fun", single_word=True)},
        )
        yield config(
            f"decoder of fewer {name}",
            tokenizer_class=name,
            added_tokens_decoder={"1": DECODER["1"]},
            bos_token="<s>",
            eos_token="</s>",
        )
        yield config(
            f"named beyond the vocabulary {name}",
            tokenizer_class=name,
            bos_token="<s>",
            pad_token="<x>",
            eos_token="fun",
        )
        yield config(f"extra list {name}", tokenizer_class=name, extra_special_tokens=["<x>", "fun"])
        yield config(f"extra names {name}", tokenizer_class=name, extra_special_tokens={"image_token": "<x>"})
        yield config(f"additional {name}", tokenizer_class=name, additional_special_tokens=["<x>", "</s>"])
        yield config(f"another token {name}", tokenizer_class=name, image_token="<x>")
        yield config(
            f"typed {name}",
            tokenizer_class=name,
            eos_token={
                "__type": "AddedToken",
                "content": "<x>",
                "lstrip": True,
                "rstrip": True,
                "normalized": False,
                "single_word": False,
            },
        )
        yield config(
            f"typed again {name}",
            tokenizer_class=name,
            eos_token={
                "__type": "AddedToken",
                "content": "</s>",
                "lstrip": True,
                "rstrip": True,
                "normalized": False,
                "single_word": False,
            },
        )
        for decoder in ({}, {"added_tokens_decoder": DECODER}):
            yield config(
                f"special_tokens_map {len(decoder)} {name}",
                tokenizer_class=name,
                eos_token="</s>",
                files={
                    "special_tokens_map.json": {
                        "eos_token": "<x>",
                        "pad_token": {
                            "content": "fun",
                            "lstrip": True,
                            "rstrip": False,
                            "normalized": False,
                            "single_word": False,
                        },
                    }
                },
                **decoder,
            )
            yield config(
                f"special_tokens_map list {len(decoder)} {name}",
                tokenizer_class=name,
                files={"special_tokens_map.json": {"additional_special_tokens": ["<x>"]}},
                **decoder,
            )
        yield config(f"names without text {name}", tokenizer_class=name, bos_token="", eos_token="", unk_token="")
        for decoder in ({}, {"added_tokens_decoder": DECODER}):
            size = len(llama()["model"]["vocab"])
            yield config(
                f"added_tokens.json {len(decoder)} {name}",
                tokenizer_class=name,
                pad_token="<x>",
                files={"added_tokens.json": {"<x>": size, "fun": size + 1}},
                **decoder,
            )
    for model_type, (own, whole) in MASKED.items():
        model = {"config.json": {"model_type": model_type}}
        lists = {str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in whole["added_tokens"]}
        odd = {"normalizer": {"type": "NFD"}, "pre_tokenizer": {"type": "Whitespace"}, "decoder": None,
            "post_processor": None}
        for name in (None, own, f"{own}Fast", "PreTrainedTokenizerFast"):
            named = {"tokenizer_class": name} if name else {}
            for kind, changes in (("", {}), (", other stages", odd)):
                yield config(f"{model_type} {name}{kind}", model_type, changes, model, **named)
            yield config(f"{model_type} {name}, listed", model_type, {}, model, added_tokens_decoder=lists, **named)
            for key in ("add_prefix_space", "do_lower_case", "strip_accents", "tokenize_chinese_chars"):
                for value in (True, False):
                    yield config(f"{model_type} {name} {key} {value}", model_type, {}, model, **{key: value}, **named)
        names = {"mask_token": {**lists[max(lists, key=int)], "lstrip": True, "__type": "AddedToken"}}
        yield config(f"{model_type} mask with flags", model_type, {}, model, **names)
        yield config(f"{model_type} other tokens around", model_type, {}, model,
            cls_token="[MASK]" if model_type == "bert" else "<pad>",
                     sep_token="[PAD]" if model_type == "bert" else "<unk>")
    yield config(
        "added_tokens.json of vocabulary files",
        "gpt2",
        None,
        {**VOCABULARY, "added_tokens.json": {"fun": SIZE, "<x>": SIZE + 1}},
        tokenizer_class="GPT2Tokenizer",
        pad_token="<x>",
        bos_token="fun",
        eos_token="<x>",
        unk_token="<x>",
    )


VOCABULARY = {
    "vocab.json": byte_level_model()["vocab"],
    "merges.txt": "#version: 0.2\n" + "\n".join(" ".join(m) for m in byte_level_model()["merges"]) + "\n",
}


def main():
    rows, seen = [], set()
    for name, base, changes, files in cases():
        assert name not in seen, name
        seen.add(name)
        whole = None if "vocab.json" in files else {**BASES[base], **(changes or {})}
        with tempfile.TemporaryDirectory() as folder:
            for file, content in {**({"tokenizer.json": whole} if whole else {}), **files}.items():
                (Path(folder) / file).write_text(content if isinstance(content, str) else json.dumps(content))
            row = {
                "name": name,
                "base": base,
                "changes": changes,
                "files": {k: v for k, v in files.items() if k not in VOCABULARY},
            }
            try:
                tokenizer = AutoTokenizer.from_pretrained(folder)
            except Exception as error:
                row["error"] = str(error)[:100]
                rows.append(row)
                continue
            bare = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS]
            row |= {
                "class": type(tokenizer).__name__,
                "bare": [digest(ids) for ids in bare],
                "framed": tokenizer(TEXTS[0])["input_ids"],
                "size": len(tokenizer),
                "decoded": digest(
                    [
                        tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
                        for ids in bare
                    ]
                ),
            }
            rows.append(row)
    result = {
        "transformers": transformers.__version__,
        "texts": TEXTS,
        "bases": BASES,
        "vocabulary": VOCABULARY,
        "rows": rows,
    }
    text = json.dumps(result, ensure_ascii=True, separators=(",", ":")).replace('{"name"', '\n{"name"')
    (OUT / "auto.json").write_text(text + "\n")
    print(len(rows), len(text))


if __name__ == "__main__":
    main()
