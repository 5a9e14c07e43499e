"""Logits of PEFT adapters with random tensors on the tiny models, written to test/fixtures/peft:
adapter_model.safetensors as PEFT saves it, and logits.json with the adapter's settings, two token sequences and the
logits after the last token of each.
"""

import shutil
import sys

import torch
from fixture_io import FIXTURES, MODELS, rounded, write_json
from peft import LoraConfig, PrefixTuningConfig, PromptTuningConfig, TaskType, get_peft_model
from transformers import AutoModelForCausalLM

CASES = {
    "lora-llama": ("llama-tiny", LoraConfig(r=3, lora_alpha=12, target_modules=["q_proj", "v_proj", "gate_proj"])),
    "lora-opt": ("opt-tiny-f32", LoraConfig(r=2, lora_alpha=2, target_modules=["k_proj", "fc1", "out_proj"])),
    "prompt-llama": ("llama-tiny", PromptTuningConfig(num_virtual_tokens=4, task_type=TaskType.CAUSAL_LM)),
    "prompt-opt": ("opt-tiny-f32", PromptTuningConfig(num_virtual_tokens=3, task_type=TaskType.CAUSAL_LM)),
    "lora-gemma3": ("gemma3-tiny",
    LoraConfig(r=2, lora_alpha=3, target_modules=["q_proj", "o_proj", "up_proj", "down_proj"])),
    "prompt-gemma3": ("gemma3-tiny", PromptTuningConfig(num_virtual_tokens=3, task_type=TaskType.CAUSAL_LM)),
    "lora-granite": ("granite-tiny", LoraConfig(r=2, lora_alpha=4, target_modules=["k_proj", "o_proj", "down_proj"])),
    "prompt-granite": ("granite-tiny", PromptTuningConfig(num_virtual_tokens=3, task_type=TaskType.CAUSAL_LM)),
    "prefix-llama": ("llama-tiny", PrefixTuningConfig(num_virtual_tokens=4, task_type=TaskType.CAUSAL_LM)),
    "prefix-opt": ("opt-tiny-f32", PrefixTuningConfig(num_virtual_tokens=3, task_type=TaskType.CAUSAL_LM)),
    "lora-phi3": ("phi3-tiny", LoraConfig(r=3, lora_alpha=6, target_modules=["qkv_proj", "gate_up_proj", "down_proj"])),
    "lora-gpt2": ("gpt2-tiny",
    LoraConfig(r=2, lora_alpha=6, target_modules=["c_attn", "c_proj", "c_fc"], fan_in_fan_out=True)),
    "lora-gpt-neox": ("gpt-neox-tiny", LoraConfig(r=2, lora_alpha=6, target_modules=["query_key_value", "dense"])),
    "prompt-phi3": ("phi3-tiny", PromptTuningConfig(num_virtual_tokens=3, task_type=TaskType.CAUSAL_LM)),
    "prefix-gpt2": ("gpt2-tiny", PrefixTuningConfig(num_virtual_tokens=3, task_type=TaskType.CAUSAL_LM)),
    "prefix-gpt-neox": ("gpt-neox-tiny", PrefixTuningConfig(num_virtual_tokens=2, task_type=TaskType.CAUSAL_LM)),
    "prefix-qwen2": ("qwen2-tiny", PrefixTuningConfig(num_virtual_tokens=2, task_type=TaskType.CAUSAL_LM)),
}


@torch.no_grad()
def main():
    wanted = sys.argv[1:] or CASES
    for case, (base, config) in CASES.items():
        if case not in wanted:
            continue
        torch.manual_seed(5)
        model = AutoModelForCausalLM.from_pretrained(MODELS / base, dtype=torch.float32, attn_implementation="eager")
        model = get_peft_model(model, config).eval()
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.3)
        directory = FIXTURES / "peft" / case
        shutil.rmtree(directory, ignore_errors=True)
        model.save_pretrained(directory)
        for name in ("README.md", "adapter_config.json"):
            (directory / name).unlink(missing_ok=True)
        kept = ("peft_type", "r", "lora_alpha", "target_modules", "num_virtual_tokens")
        settings = {name: getattr(config, name) for name in kept if hasattr(config, name)}
        settings = {name: sorted(value) if isinstance(value, set) else value for name, value in settings.items()}
        ids = [torch.randint(4, 160, (length,)).tolist() for length in (1, 11)]
        logits = [model(input_ids=torch.tensor([row])).logits[0, -1] for row in ids]
        last = rounded([row.tolist() for row in logits], 8)
        write_json(directory / "logits.json", {"base": base, "settings": settings, "ids": ids, "last_logits": last})
        print(case, logits[1][:3])


if __name__ == "__main__":
    main()
