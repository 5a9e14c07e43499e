"""What transformers makes of the parity suite's checkpoints; writes parity.json (or the file given as the argument).

Every case is a folder as people have them: config.json is written as text, weights are made by a rule (see `tensor`)
that checkpoint.ts has too, and `AutoModelForCausalLM.from_pretrained` of that folder (`AutoModelForMaskedLM` of masked
language models) is the reference, once in float32 and once in float64.

    python make_parity.py [FILE]
"""

import collections
import json
import logging
import math
import pathlib
import re
import sys
import tempfile
import warnings

import numpy as np
import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, AutoModelForMaskedLM

from checkpoint_cases import CASES, EXPERTS, HAVE_EXPERTS, MASKED, OLDER_NAMES, TOGETHER

PROMPTS = (20, 108)
GREEDY = 8
TYPES = dict(F64=torch.float64, F32=torch.float32, F16=torch.float16, BF16=torch.bfloat16)
torch.set_num_threads(1)


def mixed(text, count):
    """`count` pseudorandom 32-bit words that depend on the text: FNV-1a, a Weyl sequence, and MurmurHash3's
    finaliser."""
    seed = 0x811C9DC5
    for byte in text.encode():
        seed = (seed ^ byte) * 0x01000193 & 0xFFFFFFFF
    x = (np.arange(count, dtype=np.uint64) * 0x9E3779B9 + seed) & 0xFFFFFFFF
    x = ((x ^ x >> 16) * 0x85EBCA6B) & 0xFFFFFFFF
    x = ((x ^ x >> 13) * 0xC2B2AE35) & 0xFFFFFFFF
    return x ^ x >> 16


def tensor(name, shape, gains=1):
    """
    Values that F16 and BF16 hold exactly: k/512 for matrices and biases, with |k| < 128 (k/128 for embeddings of tokens
    and convolutions of the delta rule), gains 1 ± 1/2, or about another number, and factors of whole layers, of a
    router's input and of experts 1 ± 1/2.
    """
    # The constants of xIELU.
    if name.endswith((".act_fn.beta", ".act_fn.eps")):
        return torch.tensor(0.5 if name.endswith("beta") else -1e-6)
    words = (mixed(name, math.prod(shape)) >> 24).astype(np.int64) - 128
    factor = name.endswith((".layer_scalar", ".router.scale", ".per_expert_scale"))
    if factor or (len(shape) == 1 and name.endswith((".weight", ".gamma"))):
        values = (1 if factor else gains) + (words >> 2) / 64
    else:
        large = r"embed_tokens|conv1d|[.]wte[.]|embed_in|word_embeddings|tok_embeddings"
        values = words / (128 if re.search(large, name) else 512)
    return torch.tensor(values.reshape(shape), dtype=torch.float32)


def projection(size):
    """Weights of a sum over the vocabulary: every logit counts in it."""
    return torch.tensor((mixed("projection", size).astype(np.float64) / 2**31 - 1) / math.sqrt(size))


def prompt(length, vocabulary, padding=None):
    """Ids, without the padding token where it has no place in a text."""
    ids = [int(word) for word in mixed(f"prompt of {length}", length) % vocabulary]
    return [padding + 1 if id == padding else id for id in ids]


def padding_of(config):
    return config.get("pad_token_id", 1) if "roberta" in config["model_type"] else None


def auto_class(config):
    """The class that loads a language model, a masked one, or one inside of a model that sees."""
    if "text_config" in config:
        return AutoModelForImageTextToText
    return AutoModelForMaskedLM if config["model_type"] in MASKED else AutoModelForCausalLM


def shapes_of(directory, model_type):
    """{name: shape} of the tensors that files of the model hold, with the experts of files of a type."""
    config = AutoConfig.from_pretrained(directory)
    with torch.device("meta"):
        model = auto_class(config.to_dict()).from_config(config)
    names = {name: list(value.shape) for name, value in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        for name in ("lm_head.weight",
            *(f"{head}decoder.{kind}" for head in ("lm_head.", "cls.predictions.", "") for kind in ("weight", "bias"))):
            if name != "decoder.bias":
                names.pop(name, None)
    if model_type == "olmo_hybrid":
        names = separate_convolutions(names, config)
    return separate_experts(names, model_type)


def separate_convolutions(names, config):
    """Files have one convolution each for queries, keys and values."""
    sizes = dict(q=config.linear_num_key_heads * config.linear_key_head_dim,
        k=config.linear_num_key_heads * config.linear_key_head_dim,
                 v=config.linear_num_value_heads * config.linear_value_head_dim)
    result = {}
    for name, shape in names.items():
        parts = {name.replace("conv1d", f"{part}_conv1d"): [size, *shape[1:]] for part, size in sizes.items()}
        result |= parts if "conv1d" in name else {name: shape}
    return result


def separate_experts(names, model_type):
    """Files have a matrix of each expert where the class has one for all: [experts, gate and up, hidden], [experts,
    hidden, inner]."""
    module, experts, (gate, up, down) = EXPERTS.get(model_type, ("", "", ("gate_proj", "up_proj", "down_proj")))
    if model_type in TOGETHER:
        return names
    result = {}
    for new, old in OLDER_NAMES.get(model_type, {}).items():
        names = {name.replace(new, old): shape for name, shape in names.items()}
    if model_type.startswith("granitemoe"):
        for new, old in ("experts.gate_up_proj", "input_linear.weight"), ("experts.down_proj",
            "output_linear.weight"), ("router.", "router.layer."):
            names = {name.replace(f"moe.{new}", f"moe.{old}"): shape for name, shape in names.items()}
        return names
    for name, shape in names.items():
        if not re.search(r"(mlp|feed_forward)[.]experts[.](gate_up|down)_proj$", name) or model_type == "gpt_oss":
            result[name.replace(".mlp.", module) if module else name] = shape
            continue
        stem = name[: name.rindex(".")].replace(".mlp.", module or ".mlp.")
        for expert in range(shape[0]):
            if name.endswith("down_proj"):
                result[f"{stem}.{expert}.{down}.weight"] = shape[1:]
            else:
                for part in (gate, up):
                    result[f"{stem}.{expert}.{part}.weight"] = [shape[1] // 2, shape[2]]
    return result


def write_weights(directory, shapes, dtype, shards, gains):
    names = sorted(shapes)
    parts = [names[index::shards] for index in range(shards)]
    file_of = lambda index: f"model-{index + 1:05}-of-{shards:05}.safetensors" if shards > 1 else "model.safetensors"
    for index, part in enumerate(parts):
        save_file({name: tensor(name, shapes[name], gains).to(TYPES[dtype]) for name in part},
            directory / file_of(index), {"format": "pt"})
    if shards > 1:
        where = {name: file_of(index) for index, part in enumerate(parts) for name in part}
        (directory / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))


def grouped(shapes):
    """
    Names of layers with a star in place of the number, in a text: `model.layers.*.mlp.up_proj.weight 40x32`. Tensors
    that not every layer has, or not of one shape, keep their numbers.
    """
    starred = {name: re.sub(r"[.](layers?|h|blocks)[.][0-9]+[.]", r".\1.*.", name) for name in shapes}
    counts = collections.Counter((starred[name], *shape) for name, shape in shapes.items())
    layers = max(counts.values())
    names = {name: star if counts[star, *shapes[name]] == layers else name for name, star in starred.items()}
    return list(dict.fromkeys(f"{names[name]} {'x'.join(map(str, shape))}" for name, shape in shapes.items()))


def renamed(name, case):
    """The name that files of older versions have, in cases of such."""
    for new, old in case.get("renamed", {}).items():
        name = name.replace(new, old)
    return name


class Warned(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.lines = []

    def emit(self, record):
        text = re.sub(r"\x1b\[[0-9;]*m", "", record.getMessage())
        # Which optional packages are there changes no number.
        if "falling back to its reference PyTorch implementation" in text:
            return
        # Of a report on loading count the names of tensors, and not the folder.
        report = re.findall(r"^(\S+) +\| (\w+) +\|", text, re.M)
        self.lines.append(", ".join(f"{name} {status}" for name, status in report[1:]) if "LOAD REPORT" in text
            else text.strip()[:200])


def forward(model, ids):
    cache = {} if model.config.model_type in MASKED else {"use_cache": False}
    with torch.no_grad():
        return model(torch.tensor([ids]), **cache).logits[0].double().log_softmax(-1)


def reference(directory, config):
    """Log-probabilities and a projection of all, per prompt: of the tokens that follow, and greedy tokens; of masked
    language models those of the tokens themselves."""
    vocabulary, masked = config.get("text_config", config)["vocab_size"], config["model_type"] in MASKED
    # The default for experts, grouped_mm, has no float64.
    # Falcon adds its biases twice with "eager".
    eager = {"attn_implementation": "sdpa" if config.get("alibi") else "eager"} | ({"experts_implementation": "eager"}
        if config["model_type"] in HAVE_EXPERTS else {})
    models = [auto_class(config).from_pretrained(directory, dtype=dtype, **eager).eval()
        for dtype in (torch.float32, torch.float64)]
    weights = projection(vocabulary)
    facts, off = {"prompts": []}, 0.0
    for length in PROMPTS:
        ids = prompt(length, vocabulary, padding_of(config))
        single, double = (forward(model, ids) for model in models)
        off = max(off, float((single - double).abs().max()))
        if not torch.isfinite(double).all():
            raise ValueError("the log-probabilities are not finite")
        facts["prompts"].append({
            "logprobs": [round(float(double[row, id]), 6) for row, id in enumerate(ids if masked else ids[1:])],
            "projections": [round(float(value), 6) for value in double @ weights],
        })
    ids, facts["greedy"], gaps = prompt(PROMPTS[0], vocabulary), [], []
    for _ in range(0 if masked else GREEDY):
        first, second = forward(models[1], ids)[-1].topk(2)[0].tolist()
        if first - second < 1e-3:
            break
        gaps.append(first - second)
        facts["greedy"].append(int(forward(models[1], ids)[-1].argmax()))
        ids = ids + facts["greedy"][-1:]
    facts["smallest_gap"] = float(f"{min(gaps, default=0):.3g}")
    facts["float32_off"] = float(f"{off:.2g}")
    return facts


def run(name, case):
    warned = Warned()
    logger = transformers.logging.get_logger("transformers")
    logger.addHandler(warned)
    dtype, shards = case.get("dtype", "F32"), case.get("shards", 1)
    result = {"name": name, "config": case["config"], "dtype": dtype, "shards": shards, "tensors": []}
    result |= {key: case[key] for key in ("expect", "pending", "gains") if key in case}
    model_type = case.get("experts_of", case["config"]["model_type"])
    try:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            directory = pathlib.Path(folder)
            (directory / "config.json").write_text(json.dumps(case["config"], indent=2))
            # The shapes of a refused case are those of the same model without what is refused.
            try:
                shapes = shapes_of(directory, model_type)
            except Exception:
                unshaped = ("rope_scaling", "hidden_act", "layer_types", "quantization_config", "num_key_value_heads")
                plain = {key: value for key, value in case["config"].items() if key not in unshaped}
                (directory / "config.json").write_text(json.dumps(plain))
                shapes = shapes_of(directory, model_type)
                (directory / "config.json").write_text(json.dumps(case["config"], indent=2))
            shapes = {renamed(name, case): shape for name, shape in shapes.items()} | case.get("extra", {})
            result["tensors"] = grouped(
                {name: shape for name, shape in shapes.items() if name not in case.get("extra", {})})
            result["extra"] = case.get("extra", {})
            write_weights(directory, shapes, dtype, shards, case.get("gains", 1))
            warned.lines.clear()
            facts = reference(directory, case["config"])
        if "expect" in case:
            result["transformers"] = "computes something"
        else:
            result |= facts
    except Exception as error:
        result["transformers"] = f"{type(error).__name__}: {str(error).splitlines()[0][:160]}"
    finally:
        logger.removeHandler(warned)
    result["warnings"] = list(dict.fromkeys(warned.lines))
    return result


def main():
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "parity.json"
    logging.getLogger("transformers").propagate = False
    results = [run(name, case) for name, case in CASES.items()]
    head = json.dumps({"transformers": transformers.__version__, "torch": torch.__version__.split("+")[0]})[1:-1]
    body = ",\n".join(json.dumps(result, separators=(",", ":"), ensure_ascii=False) for result in results)
    out.write_text("{" + head + ', "cases": [\n' + body + "\n]}\n")
    print(f"{len(results)} cases by transformers {transformers.__version__}, {out.stat().st_size} bytes")
    for result in results:
        if "transformers" in result:
            print(f"  {result['name']}: {result['transformers']}")


if __name__ == "__main__":
    main()
