"""Long sequences in float64: test/fixtures/golden/parity-long.json, in the form of parity.json (make_parity.py).

transformers keeps rotation, norms and softmax in float32 whatever the weights are, so over hundreds of tokens it is no
reference for float32 itself. Here the two decoders are written out with everything in float64, YaRN from its paper
(arXiv 2309.00071); `AutoModelForCausalLM` in float32 on the very folder must agree to 1e-3, which shows that it is the
same function.

    python make_long.py [--out FILE]
"""

import argparse
import json
import math
import pathlib
import tempfile

import torch
import transformers
from make_parity import grouped, projection, prompt, shapes_of, tensor, write_weights
from transformers import AutoModelForCausalLM

golden = pathlib.Path(__file__).parent.parent / "fixtures" / "golden" / "parity-long.json"
LENGTH, GREEDY_PROMPT, GREEDY_TOKENS = 600, 560, 24

shape = dict(vocab_size=97, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2,
             max_position_embeddings=1024, rope_theta=10000.0, rms_norm_eps=1e-6, tie_word_embeddings=False)
cases = {
    "yarn, long": dict(shape, model_type="llama",
    rope_scaling=dict(type="yarn", factor=8.0, original_max_position_embeddings=128)),
    "mistral, long": dict(shape, model_type="mistral", sliding_window=100),
}


def angles(config: dict, width: int) -> tuple[torch.Tensor, float]:
    """Inverse frequencies, and the factor on cosines and sines."""
    theta = config["rope_theta"]
    plain = theta ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    yarn = config.get("rope_scaling")
    if not yarn:
        return plain, 1.0
    factor, original = yarn["factor"], yarn["original_max_position_embeddings"]

    def pair(rotations: float) -> float:
        return width * math.log(original / (rotations * 2 * math.pi)) / (2 * math.log(theta))

    low, high = max(math.floor(pair(32)), 0), min(math.ceil(pair(1)), width - 1)
    ramp = ((torch.arange(width // 2, dtype=torch.float64) - low) / (high - low)).clamp(0, 1)
    return plain / factor * ramp + plain * (1 - ramp), 0.1 * math.log(factor) + 1


def logits(config: dict, tensors: dict[str, torch.Tensor], ids: list[int]) -> torch.Tensor:
    """(tokens, vocabulary) in float64: RMSNorm, rotated halves, grouped queries, a window where there is one,
    SwiGLU."""
    heads, key_heads = config["num_attention_heads"], config["num_key_value_heads"]
    count, width = len(ids), config["hidden_size"] // heads
    frequencies, factor = angles(config, width)
    turns = torch.outer(torch.arange(count, dtype=torch.float64), frequencies).repeat(1, 2)
    cosine, sine = turns.cos() * factor, turns.sin() * factor
    back = torch.arange(count)[:, None] - torch.arange(count)
    seen = (back >= 0) & (back < config.get("sliding_window", count))

    def norm(x, name):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * tensors[f"{name}.weight"]

    def split(x):
        return x.view(count, -1, width).transpose(0, 1)

    def rotate(x):
        first, second = x.chunk(2, -1)
        return x * cosine + torch.cat([-second, first], -1) * sine

    x = tensors["model.embed_tokens.weight"][ids]
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"

        def linear(value, name):
            return value @ tensors[f"{prefix}.{name}.weight"].T

        h = norm(x, f"{prefix}.input_layernorm")
        query, key, value = (split(linear(h, f"self_attn.{name}_proj")) for name in "qkv")
        key, value = (each.repeat_interleave(heads // key_heads, 0) for each in (rotate(key), value))
        scores = (rotate(query) @ key.transpose(1, 2) / math.sqrt(width)).masked_fill(~seen, -math.inf)
        mixed = (scores.softmax(-1) @ value).transpose(0, 1).reshape(count, -1)
        x = x + linear(mixed, "self_attn.o_proj")
        h = norm(x, f"{prefix}.post_attention_layernorm")
        x = x + linear(torch.nn.functional.silu(linear(h, "mlp.gate_proj")) * linear(h, "mlp.up_proj"), "mlp.down_proj")
    return norm(x, "model.norm") @ tensors["lm_head.weight"].T


@torch.no_grad()
def answer(name: str, config: dict) -> dict:
    vocabulary = config["vocab_size"]
    ids = prompt(LENGTH, vocabulary)
    with tempfile.TemporaryDirectory() as directory:
        folder = pathlib.Path(directory)
        (folder / "config.json").write_text(json.dumps(config))
        shapes = shapes_of(folder)
        write_weights(folder, shapes, "F32", 1)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        single = model(torch.tensor([ids]), use_cache=False).logits[0].double().log_softmax(-1)
    tensors = {key: tensor(key, size).double() for key, size in shapes.items()}
    logprobs = logits(config, tensors, ids).log_softmax(-1)
    away = (single - logprobs).abs().max().item()
    assert away < 1e-3, f"{name}: transformers is {away} from the float64 forward"
    print(f"{name}: transformers in float32 is {away:.1e} from float64")
    made, gap = prompt(GREEDY_PROMPT, vocabulary), math.inf
    for _ in range(GREEDY_TOKENS):
        best = logits(config, tensors, made)[-1].topk(2)
        gap = min(gap, (best.values[0] - best.values[1]).item())
        made.append(best.indices[0].item())
    return {
        "name": name, "config": config, "dtype": "F32", "shards": 1, "tensors": grouped(shapes), "warnings": [],
        "prompts": [{
            "logprobs": [round(logprobs[i, ids[i + 1]].item(), 7) for i in range(LENGTH - 1)],
            "projections": [round(value, 7) for value in (logprobs @ projection(vocabulary)).tolist()],
        }],
        "greedy": made[GREEDY_PROMPT:], "smallest_gap": round(gap, 5), "float32_off": float(f"{away:.2g}"),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, default=golden)
    options = parser.parse_args()
    result = [answer(name, config) for name, config in cases.items()]
    made = {"transformers": transformers.__version__, "torch": torch.__version__}
    lines = ",\n".join(json.dumps(each, separators=(",", ":")) for each in result)
    options.out.write_text(json.dumps(made, separators=(",", ":"))[:-1] + ',"cases":[\n' + lines + "\n]}\n")


if __name__ == "__main__":
    main()
