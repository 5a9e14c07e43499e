"""Writes test/fixtures/golden/transformers-fields.json: the keys of two files that transformers reads.

They are tokenizer_config.json and generation_config.json; beside them stands how it builds each tokenizer class.
"""

import ast
import inspect
import json
import os
from pathlib import Path

os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import transformers
from transformers import GenerationConfig, tokenization_utils_base, tokenization_utils_tokenizers
from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES, tokenizer_class_from_name
from transformers.tokenization_utils_tokenizers import TokenizersBackend

OUT = Path(__file__).parents[1] / "fixtures/golden/transformers-fields.json"


def keys_read(module) -> set[str]:
    """Texts that the module takes out of a dictionary of settings: kwargs.pop("x"), init_kwargs["x"] …"""
    names = set()
    settings = {"kwargs", "init_kwargs", "local_kwargs", "tokenizer_config"}
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("pop", "get", "setdefault")
        ):
            target, key = node.func.value, node.args[0] if node.args else None
        elif isinstance(node, ast.Subscript):
            target, key = node.value, node.slice
        else:
            continue
        if (
            isinstance(target, ast.Name)
            and target.id in settings
            and isinstance(key, ast.Constant)
            and isinstance(key.value, str)
        ):
            names.add(key.value)
    return names


def kind(name: str) -> str:
    cls = tokenizer_class_from_name(name)
    if cls is None:
        return "none"
    if not issubclass(cls, TokenizersBackend):
        return "python"
    own = any("__init__" in c.__dict__ for c in cls.__mro__[: cls.__mro__.index(TokenizersBackend)])
    return "rebuilds" if own else "as it is"


def parameters(name: str) -> list[str]:
    signature = inspect.signature(tokenizer_class_from_name(name).__init__)
    return [p for p in signature.parameters if p not in ("self", "args", "kwargs", "vocab", "merges")]


def main() -> None:
    read = keys_read(tokenization_utils_base) | keys_read(tokenization_utils_tokenizers)
    names = {
        n.removesuffix("Fast")
        for n in TOKENIZER_MAPPING_NAMES.values()
        if n and n.endswith(("Tokenizer", "TokenizerFast"))
    }
    OUT.write_text(
        json.dumps(
            {
                "transformers": transformers.__version__,
                "generation_config": sorted(GenerationConfig().__dict__),
                "tokenizer_config": {
                    "read": sorted(read),
                    "parameters": {n: parameters(n) for n in ("LlamaTokenizer", "Qwen2Tokenizer", "GPT2Tokenizer")},
                },
                "tokenizer_classes": {n: kind(n) for n in sorted(names)},
            },
            indent=1,
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
