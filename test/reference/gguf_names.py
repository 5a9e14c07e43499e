"""The names of tensors in GGUF files, as the gguf package has them: architecture → name in transformers → name there.

    python gguf_names.py > ../fixtures/gguf/tensor-names.json
"""

import json

import gguf

ARCHITECTURES = [
    *("LLAMA", "QWEN2", "QWEN3", "SMOLLM3", "OLMO2", "SEED_OSS", "OLMO"),
    *("GEMMA", "GEMMA2", "GEMMA3", "GRANITE", "ARCEE", "EXAONE4", "ERNIE4_5"),
    *("PHI3", "STARCODER2", "MISTRAL3"),
    *("QWEN2MOE", "QWEN3MOE", "OLMOE", "GRANITE_MOE", "GPT_OSS"),
]
LAYER = [
    *(f"self_attn.{name}" for name in ("q_proj", "k_proj", "v_proj", "o_proj")),
    *(f"mlp.{name}" for name in ("gate_proj", "up_proj", "down_proj", "gate_up_proj", "c_fc", "c_proj")),
    "self_attn.qkv_proj",
    *("input_layernorm", "post_attention_layernorm", "self_attn.q_norm", "self_attn.k_norm"),
    *("post_feedforward_layernorm", "pre_feedforward_layernorm"),
    *("mlp.gate", "mlp.router", "block_sparse_moe.gate", "block_sparse_moe.router.layer", "mlp.shared_expert_gate"),
    *(f"mlp.{module}.{name}_proj" for module in ("experts", "shared_expert") for name in ("gate", "up", "down")),
    "self_attn.sinks",
]

names = {}
for architecture in ARCHITECTURES:
    number = getattr(gguf.MODEL_ARCH, architecture)
    table = gguf.get_tensor_name_map(number, 2)
    asked = ["model.embed_tokens", "model.norm", "lm_head", *(f"model.layers.1.{name}" for name in LAYER)]
    found = {name.replace(".1.", ".N."): table.get_name(name) for name in asked}
    names[gguf.MODEL_ARCH_NAMES[number]] = {key: value.replace(".1.", ".N.") for key, value in found.items() if value}
print(json.dumps(names, indent=1))
