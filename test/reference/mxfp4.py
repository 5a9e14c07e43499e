"""Writes a gpt-oss checkpoint in MXFP4 as it is published, and what transformers 5.24 makes of it.

    python -m venv venv
    venv/bin/pip install torch==2.13.0 transformers==5.24.0 safetensors==0.8.0 accelerate
    venv/bin/python test/reference/mxfp4.py

Into test/fixtures/quantized: `mxfp4`, a folder with a small model and its logits, and `mxfp4.json`, two stacks of
experts with all exponents but 255 and the values of `convert_moe_packed_tensors` in f32.
"""

import base64
import json
import pathlib

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

OUT = pathlib.Path(__file__).parent.parent / "fixtures" / "quantized"
CONFIG = {
    "architectures": ["GptOssForCausalLM"], "model_type": "gpt_oss", "vocab_size": 48, "hidden_size": 64,
    "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
    "max_position_embeddings": 256, "sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"],
    "num_local_experts": 4, "num_experts_per_tok": 2, "rms_norm_eps": 1e-5, "rope_theta": 150000,
    "rope_scaling": {"rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": False,
                     "original_max_position_embeddings": 4096},
    "attention_bias": True, "swiglu_limit": 7.0, "tie_word_embeddings": False, "hidden_act": "silu",
    "quantization_config": {"quant_method": "mxfp4", "modules_to_not_convert": [
        "model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]},
}
generator = torch.Generator().manual_seed(14)


def codes(*shape):
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def normal(*shape, scale=1.0):
    return (torch.randn(*shape, generator=generator) * scale).to(torch.bfloat16)


def tensors():
    hidden, inner, experts = CONFIG["hidden_size"], CONFIG["intermediate_size"], CONFIG["num_local_experts"]
    heads, width = CONFIG["num_attention_heads"], CONFIG["head_dim"]
    yield "model.embed_tokens.weight", normal(CONFIG["vocab_size"], hidden)
    yield "lm_head.weight", normal(CONFIG["vocab_size"], hidden, scale=0.3)
    yield "model.norm.weight", 1 + normal(hidden, scale=0.1)
    for layer in range(CONFIG["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        for norm in ("input_layernorm", "post_attention_layernorm"):
            yield f"{prefix}.{norm}.weight", 1 + normal(hidden, scale=0.1)
        for name, rows, columns in (("q", heads * width, hidden), ("k", 2 * width, hidden), ("v", 2 * width, hidden),
                                    ("o", hidden, heads * width)):
            yield f"{prefix}.self_attn.{name}_proj.weight", normal(rows, columns, scale=0.1)
            yield f"{prefix}.self_attn.{name}_proj.bias", normal(rows, scale=0.1)
        yield f"{prefix}.self_attn.sinks", normal(heads)
        yield f"{prefix}.mlp.router.weight", normal(experts, hidden, scale=0.3)
        yield f"{prefix}.mlp.router.bias", normal(experts, scale=0.3)
        for name, rows, columns in (("gate_up", 2 * inner, hidden), ("down", hidden, inner)):
            yield f"{prefix}.mlp.experts.{name}_proj_bias", normal(experts, rows, scale=0.1)
            yield f"{prefix}.mlp.experts.{name}_proj_blocks", codes(experts, rows, columns // 32, 16)
            exponents = torch.randint(121, 125, (experts, rows, columns // 32), generator=generator)
            yield f"{prefix}.mlp.experts.{name}_proj_scales", exponents.to(torch.uint8)


def write_model():
    folder = OUT / "mxfp4"
    folder.mkdir(exist_ok=True)
    save_file(dict(tensors()), folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=1) + "\n")
    plain = {"attn_implementation": "eager", "experts_implementation": "eager"}
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **plain).double()
    assert model.model.layers[0].mlp.experts.gate_up_proj.shape == (4, 64, 128)
    ids = [torch.randint(0, 48, (length,), generator=generator).tolist() for length in (5, 14)]
    logits = []
    with torch.no_grad():
        for each in ids:
            rows = model(torch.tensor([each])).logits[0].float()
            logits.append([[round(value, 7) for value in row] for row in rows.tolist()])
    (folder / "logits.json").write_text(json.dumps({"ids": ids, "logits": logits}) + "\n")


def write_stacks():
    cases = []
    for experts, rows, columns in ((2, 32, 128), (3, 5, 96)):
        blocks = codes(experts, rows, columns // 32, 16)
        count = experts * rows * columns // 32
        scales = (torch.arange(count) % 255).to(torch.uint8).reshape(experts, rows, columns // 32)
        values = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32).transpose(1, 2).contiguous()
        encoded = lambda tensor: base64.b64encode(tensor.numpy().tobytes()).decode()
        cases.append({"shape": [experts, rows, columns], "blocks": encoded(blocks), "scales": encoded(scales),
                      "values": encoded(values)})
    (OUT / "mxfp4.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


if __name__ == "__main__":
    write_model()
    write_stacks()
