"""GGUF files of the parity suite's checkpoints by llama.cpp's own converter, which gguf.ts compares with parity.json.

The converter is that of a llama.cpp checkout (the source distribution of llama-cpp-python has one under vendor/); the
tokenizer is left out, as the checkpoints have none.

    python make_gguf.py LLAMA_CPP OUT [PATTERN]    # a file for each case whose name the pattern finds, and keys.json
    python make_gguf.py LLAMA_CPP OUT fixture      # those of FIXTURE, and ../fixtures/gguf/converted.json

Made with the llama.cpp of llama-cpp-python 0.3.36 and transformers 5.24.0.
"""

import json
import logging
import pathlib
import re
import shutil
import sys
import tempfile

source, out = map(pathlib.Path, sys.argv[1:3])
wanted = sys.argv[3] if len(sys.argv) > 3 else ""
pattern = re.compile(wanted)
sys.path[:0] = [str(source), str(source / "gguf-py")]

import gguf
import torch
from conversion import get_model_class
from conversion.base import ModelBase, ModelType, TextModel, get_model_architecture

import make_parity
from checkpoint_cases import CASES


SIZES = ("qwen3_5_text", "qwen3_5_moe_text", "qwen3_next", "lfm2_moe", "glm4", "glm4_moe", "hunyuan_v1_dense", "dots1",
    "ernie4_5_moe", "apertus", "cohere", "stablelm", "nemotron", "granitemoeshared", "gemma4")
GPT_SIZES = ("gpt2", "gpt_bigcode", "falcon", "mpt", "gpt_neox", "glm", "exaone", "granite_swa")
FIXTURE = [
    *(f"{name}: nothing but sizes" for name in SIZES),
    "lfm2: one layer with attention",
    "phi: key heads absent",
    "qwen3_5_text: three heads of values, one of keys",
    "gemma4_text: keys as values, key heads of their own",
    "gemma4_text: shared keys, wide feed-forward layers",
    "gemma4_text: heads by layer",
    "gemma4_text: experts",
    *(f"{name}: nothing but sizes" for name in GPT_SIZES),
    "bloom: as published",
    *(f'falcon: new architecture, {{"num_kv_heads": 2, "num_ln_in_parallel_attn": {norms}}}' for norms in (1, 2)),
    "bloom: 6 heads of 7",
    "gpt_neox: one sublayer after the other",
    "gpt_neox: no biases of attention",
    "granite_swa: windows of 5, listed",
]
# Keys of published files that transformers leaves out, for the value that it takes, and names of their classes.
PUBLISHED = dict(
    gpt2=lambda config: dict(n_ctx=config["n_positions"]),
    gpt_neox=lambda config: dict(rotary_pct=config.get("rotary_pct", 0.25)),
    falcon=lambda config: dict(num_kv_heads=1)
        if config.get("multi_query", True) and not config.get("new_decoder_architecture") else {},
    exaone=lambda config: dict(architectures=["ExaoneForCausalLM"],
        activation_function=config.get("hidden_act", "silu")),
    glm=lambda config: dict(seq_length=config["max_position_embeddings"],
        layernorm_epsilon=config.get("rms_norm_eps", 1.5625e-07)),
    phimoe=lambda config: {} if "rope_scaling" in config else dict(rope_parameters=dict(rope_type="default",
        rope_theta=1e6, original_max_position_embeddings=128) | config.get("rope_parameters", {})),
    granitemoehybrid=lambda config: dict(layer_types=config["layer_types"]),
)
CLASSES = dict(MptForCausalLM="MPTForCausalLM", PhimoeForCausalLM="PhiMoEForCausalLM")


def described(path):
    """Keys and tensors of a file: {name: value}, {name: [type, sides]}."""
    reader = gguf.GGUFReader(path)
    keys = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    tensors = {tensor.name: [tensor.tensor_type.name, [*map(int, tensor.shape[::-1])], projected(tensor.data)]
        for tensor in reader.tensors}
    return {"keys": keys, "tensors": tensors}


def projected(values):
    """A sum in which every value counts by its place."""
    values = torch.tensor(values.astype("float64").reshape(-1))
    return float(f"{float(values @ make_parity.projection(len(values))):.7g}")


def class_name(directory):
    """The class that a folder's config.json would name."""
    config = make_parity.AutoConfig.from_pretrained(directory)
    with torch.device("meta"):
        return type(make_parity.auto_class(config.to_dict()).from_config(config)).__name__


def quietly(write):
    return lambda progress: write(progress=False)


def convert(case, file):
    with tempfile.TemporaryDirectory() as folder:
        directory = pathlib.Path(folder)
        (directory / "config.json").write_text(json.dumps(case["config"]))
        shapes = make_parity.shapes_of(directory, case.get("experts_of", case["config"]["model_type"]))
        shapes = {make_parity.renamed(name, case): shape for name, shape in shapes.items()} | case.get("extra", {})
        make_parity.write_weights(directory, shapes, case.get("dtype", "F32"), case.get("shards", 1),
            case.get("gains", 1))
        vocabulary = case["config"].get("text_config", case["config"])["vocab_size"]
        words = {f"w{id}": id for id in range(vocabulary)}
        (directory / "tokenizer.json").write_text(json.dumps({"model": {"vocab": words}, "added_tokens": []}))
        name = class_name(directory)
        config = {"architectures": [name], **case["config"]}
        (directory / "config.json").write_text(json.dumps(config))
        published = PUBLISHED.get(config["model_type"], lambda config: {})(config)
        loaded = ModelBase.load_hparams(directory, False) | {"architectures": [CLASSES.get(name, name)]} | published
        model = get_model_class(get_model_architecture(loaded, ModelType.TEXT))
        model.no_mtp = True
        model.set_vocab = lambda self: None
        model._set_vocab_none = model.set_vocab
        with torch.inference_mode():
            made = model(directory, gguf.LlamaFileType.ALL_F32, directory / "made.gguf", hparams=loaded)
            made.gguf_writer.write_tensors_to_file = quietly(made.gguf_writer.write_tensors_to_file)
            made.write()
        shutil.move(directory / "made.gguf", file)


def main():
    logging.disable(logging.ERROR)
    out.mkdir(exist_ok=True)
    found, failed = {}, {}
    for name, case in CASES.items():
        if "expect" in case or not (name in FIXTURE if wanted == "fixture" else pattern.search(name)):
            continue
        file = out / f"{name}.gguf"
        try:
            convert(case, file)
            found[name] = described(file)
        except (Exception, SystemExit) as error:
            file.unlink(missing_ok=True)
            failed[name] = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:140]}"
    plain = lambda value: value.tolist() if hasattr(value, "tolist") else str(value)
    (out / "keys.json").write_text(json.dumps(found, indent=1, default=plain))
    if wanted == "fixture":
        own = lambda keys: {key: value for key, value in keys.items() if not key.startswith(("general.", "tokenizer."))}
        short = lambda type, shape, sum: f"{'x'.join(map(str, shape))} {sum}" + ("" if type == "F32" else f" {type}")
        lines = ",\n".join(json.dumps({"name": name, "architecture": file["keys"]["general.architecture"],
            "keys": own(file["keys"]), "tensors": {name: short(*tensor) for name, tensor in file["tensors"].items()}},
            separators=(",", ":"), default=plain)
            for name, file in found.items())
        (pathlib.Path(__file__).parent / "../fixtures/gguf/converted.json").write_text(f"[\n{lines}\n]\n")
    for name, reason in failed.items():
        print(f"{name}: {reason}")
    print(f"{len(found)} files, {len(failed)} that the converter does not make")


main()
