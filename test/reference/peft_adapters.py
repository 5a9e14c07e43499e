"""LoRA adapters as PEFT 0.21 saves them, with random tensors, and float64 logits of the tiny models with them, written
to test/fixtures/peft-adapters: adapter_config.json, adapter_model.safetensors, and logits.json with the base, two token
sequences and the logits after the last token of each. Cases whose names begin with `refused` have no logits. mixed.json
has the same for the sum of two adapters with weights (PEFT's combination "cat": "linear" adds A and B by themselves, so
that the product of the one's A with the other's B is in it).
"""

import json
import shutil

import torch
from fixture_io import FIXTURES, MODELS, rounded, write_json
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

ATTENTION = ["q_proj", "k_proj", "v_proj"]

# Base, type of the saved tensors, configuration.
CASES = {
    "all-linear": ("llama-tiny", torch.float64,
    LoraConfig(r=4, lora_alpha=6, target_modules="all-linear", use_rslora=True)),
    "expression": (
        "opt-tiny-f32",
        torch.float32,
        LoraConfig(
            r=2,
            lora_alpha=5,
            target_modules=r".*\.(q_proj|fc[12])",
            rank_pattern={"fc1": 3, r"layers\.1\.self_attn\.q_proj": 5},
            alpha_pattern={r"layers\.\d+\.fc2": 0.5, "q_proj": 7},
        ),
    ),
    "layers": (
        "qwen2-tiny",
        torch.float32,
        LoraConfig(
            r=3,
            lora_alpha=3,
            target_modules=[*ATTENTION, "model.layers.0.mlp.up_proj"],
            exclude_modules=["k_proj"],
            layers_to_transform=[1],
        ),
    ),
    "pattern": (
        "qwen3-odd-tiny",
        torch.bfloat16,
        LoraConfig(
            r=6,
            lora_alpha=12,
            target_modules=["o_proj", "down_proj", "gate_proj"],
            layers_to_transform=0,
            layers_pattern="layers",
            use_rslora=True,
            rank_pattern={"down_proj": 1},
            alpha_pattern={"o_proj": 2},
        ),
    ),
    "half": ("opt-odd-tiny", torch.float16,
    LoraConfig(r=5, lora_alpha=8, target_modules=["v_proj", "out_proj", "fc2"])),
    "refused-embedding": ("llama-tiny", torch.float32, LoraConfig(r=2, target_modules=["embed_tokens", "q_proj"])),
    "refused-head": ("qwen3-odd-tiny", torch.float32, LoraConfig(r=2, target_modules=["lm_head", "q_proj"])),
    "refused-modules": ("llama-tiny", torch.float32,
    LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["norm"])),
    "dora": ("opt-odd-tiny", torch.float32, LoraConfig(r=3, lora_alpha=4, target_modules="all-linear", use_dora=True)),
    "dora-llama": (
        "llama-tiny",
        torch.float32,
        LoraConfig(r=2, lora_alpha=3, target_modules=["q_proj", "down_proj"], use_dora=True, use_rslora=True),
    ),
    "first": ("qwen3-odd-tiny", torch.float32, LoraConfig(r=3, lora_alpha=5, target_modules="all-linear")),
    "second": ("qwen3-odd-tiny", torch.float32,
    LoraConfig(r=5, lora_alpha=4, target_modules=["q_proj", "o_proj", "up_proj"])),
    "refused-bias": ("opt-tiny-f32", torch.float32, LoraConfig(r=2, target_modules=["q_proj"], lora_bias=True)),
}

MIXED = {"first": 0.5, "second": -1.25}


def start(case):
    """The name of the base, and the base in float64."""
    base = CASES[case][0]
    model = AutoModelForCausalLM.from_pretrained(MODELS / base, dtype=torch.float64, attn_implementation="eager")
    return base, model


def write_logits(path, base, model):
    width = model.config.vocab_size
    ids = [torch.randint(4, width, (length,)).tolist() for length in (1, 11)]
    logits = [model(input_ids=torch.tensor([row])).logits[0, -1] for row in ids]
    write_json(path, {"base": base, "ids": ids, "last_logits": rounded([row.tolist() for row in logits], 10)})
    print(path, logits[1][:3])


def mixed():
    names = list(MIXED)
    torch.manual_seed(12)
    base, model = start(names[0])
    folders = FIXTURES / "peft-adapters"
    model = PeftModel.from_pretrained(model, folders / names[0], adapter_name=names[0], autocast_adapter_dtype=False)
    for name in names[1:]:
        model.load_adapter(folders / name, adapter_name=name, autocast_adapter_dtype=False)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.to(torch.float64)
    model.add_weighted_adapter(names, list(MIXED.values()), "mixed", combination_type="cat")
    model.set_adapter("mixed")
    write_logits(folders / "mixed.json", base, model.eval())


@torch.no_grad()
def main():
    for case, (_, dtype, config) in CASES.items():
        torch.manual_seed(11)
        base, model = start(case)
        config.task_type = "CAUSAL_LM"
        model = get_peft_model(model, config).eval()
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn_like(parameter).mul(0.3).to(dtype).to(torch.float64))
        directory = FIXTURES / "peft-adapters" / case
        shutil.rmtree(directory, ignore_errors=True)
        model.save_pretrained(directory)
        (directory / "README.md").unlink(missing_ok=True)
        weights = directory / "adapter_model.safetensors"
        save_file({name: tensor.to(dtype) for name, tensor in load_file(weights).items()}, weights, {"format": "pt"})
        file = directory / "adapter_config.json"
        saved = json.loads(file.read_text())
        saved["base_model_name_or_path"] = base
        for key in ("target_modules", "exclude_modules"):
            if isinstance(saved[key], list):
                saved[key] = sorted(saved[key])
        file.write_text(json.dumps(saved, indent=2, sort_keys=True) + "\n")
        if case.startswith("refused"):
            continue
        write_logits(directory / "logits.json", base, model)
    mixed()


if __name__ == "__main__":
    main()
