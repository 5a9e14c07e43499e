"""What PEFT wraps in a model of every supported type, and what the model gives with it: golden/peft-families.json.

For each type the first checkpoint of the parity suite with numbers is made. `usual` names the modules that PEFT finds
by the usual targets (its own mapping of the type where it has one), `all` those that it finds by "all-linear" (of
models that see or hear, the linear layers of the language model), with the sides of their weights. With a pair beside
each of `all`, whose values follow from their names as those of weights do (make_parity.py), float64 logits of a few
tokens give the projections.
"""

import collections
import json
import re
import sys
import tempfile
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "parity"))

import torch
import transformers
from fixture_io import FIXTURES
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as USUAL

from checkpoint_cases import CASES, HAVE_EXPERTS
from make_parity import auto_class, padding_of, projection, prompt, shapes_of, tensor, write_weights

RANK, ALPHA, LENGTH = 4, 8, 12
# Where PEFT's mapping has no entry, the first of these that a model has.
NAMES = (["q_proj", "v_proj"], ["qkv_proj"], ["query_key_value"], ["Wqkv"], ["c_attn"], ["query", "value"])


# Besides the first case of each type.
FURTHER = ("gemma4_text: experts, shared keys, wide",)
# Of these "all-linear" is no way to name linear layers: a router with another result, with which a pair of PEFT fails,
# and names that PEFT takes for experts.
LLAMA = ("gate_proj", "up_proj", "down_proj", "gate")
WITHOUT = {"phimoe": ("router",), "mixtral": ("gate",)}
WITHOUT |= dict.fromkeys(("dots1", "ernie4_5_moe", "glm4_moe", "hunyuan_v1_moe", "olmoe", "qwen3_moe", "qwen3_next"),
    LLAMA)


def loaded(directory, config):
    options = {"attn_implementation": "sdpa" if config.get("alibi") else "eager"}
    if config["model_type"] in HAVE_EXPERTS:
        options["experts_implementation"] = "eager"
    return auto_class(config).from_pretrained(directory, dtype=torch.float64, **options).eval()


def wrapped(model, targets):
    """Names of the modules that PEFT wraps, and their linear layers."""
    peft = get_peft_model(model, LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=targets),
        autocast_adapter_dtype=False)
    layers = {name.removeprefix("base_model.model."): layer
        for name, layer in peft.named_modules() if isinstance(layer, LoraLayer)}
    return peft, layers


def starred(name, sides):
    return re.sub(r"[.](layers?|h|blocks|layer)[.][0-9]+[.]", r".\1.*.", name) + f" {'x'.join(map(str, sides))}"


def shapes(layers, count):
    """Names with the sides [out features, in features]; with a star for the number where all of so many layers have
    it."""
    sides = {name: [layer.out_features, layer.in_features] for name, layer in layers.items()}
    often = collections.Counter(starred(*each) for each in sides.items())
    plain = {name: f"{name} {'x'.join(map(str, own))}" for name, own in sides.items()}
    return list(dict.fromkeys(line if often[line := starred(*each)] == count else plain[each[0]]
        for each in sides.items()))


@torch.no_grad()
def run(case):
    config = case["config"]
    kind = config["model_type"]
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        (directory / "config.json").write_text(json.dumps(config))
        write_weights(directory, shapes_of(directory, kind), "F32", 1, case.get("gains", 1))
        sees = "text_config" in config
        linears = [name for name, module in loaded(directory, config).named_modules()
                   if isinstance(module, (torch.nn.Linear, transformers.pytorch_utils.Conv1D))]
        inside = [name for name in linears if "language_model." in name]
        targets = next((list(names) for names in NAMES
            if all(any(re.search(rf"(^|\.){name}$", each) for each in linears) for name in names)), None)
        targets = USUAL.get(kind, targets)
        if sees and isinstance(targets, list):
            targets = rf".*language_model\..*\.({'|'.join(targets)})"
        _, usual = wrapped(loaded(directory, config), targets)
        text = config.get("text_config", config)
        count = next(text[key] for key in ("num_hidden_layers", "n_layer", "num_layers", "n_layers") if key in text)
        usual = shapes(usual, count)
        named = [name for name in inside or linears if name.rpartition(".")[2] not in WITHOUT.get(kind, ())
            and name != "lm_head"]
        model, layers = wrapped(loaded(directory, config), named if sees or kind in WITHOUT else "all-linear")
        for name, layer in layers.items():
            for part in ("lora_A", "lora_B"):
                weight = getattr(layer, part)["default"].weight
                weight.copy_(tensor(f"{name}.{part}.weight", list(weight.shape)))
        vocabulary = config.get("text_config", config)["vocab_size"]
        logits = model(torch.tensor([prompt(LENGTH, vocabulary, padding_of(config))])).logits[0].double().log_softmax(
            -1)
    return {"usual_targets": targets, "usual": usual, "named": sees or kind in WITHOUT, "all": shapes(layers, count),
            "projections": [round(float(value), 6) for value in logits @ projection(vocabulary)]}


def main():
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    results = {}
    for name, case in CASES.items():
        kind = case["config"]["model_type"]
        kind = name if name in FURTHER else kind
        if kind in results or "expect" in case or "pending" in case or case.get("renamed"):
            continue
        if len(sys.argv) > 1 and kind not in sys.argv[1:]:
            continue
        try:
            results[kind] = {"case": name} | run(case)
            print(kind, results[kind]["usual_targets"], len(results[kind]["all"]), flush=True)
        except Exception as error:
            print("FAILED", kind, type(error).__name__, str(error)[:300], flush=True)
    if len(sys.argv) == 1:
        head = json.dumps({"rank": RANK, "alpha": ALPHA, "length": LENGTH})[1:-1]
        body = ",\n".join(f"{json.dumps(kind)}: {json.dumps(result)}" for kind, result in results.items())
        (FIXTURES / "golden/peft-families.json").write_text("{" + head + ', "families": {\n' + body + "\n}}\n")


if __name__ == "__main__":
    main()
