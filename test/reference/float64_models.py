"""Llama and OPT (pre-norm) written out in float64, as functions of a dictionary of named parameters.

transformers keeps RoPE, RMSNorm and softmax in float32 whatever the weights are, which is too coarse for central
differences; here everything is float64. Names are those of the safetensors files.
"""

import json
import math

import torch
from safetensors.torch import load_file

torch.set_default_dtype(torch.float64)


def load_parameters(directory):
    """(configuration, {name: float64 tensor}) of a single-file model directory."""
    configuration = json.loads((directory / "config.json").read_text())
    stored = load_file(directory / "model.safetensors")
    return configuration, {name: tensor.double() for name, tensor in sorted(stored.items())}


def causal_attention(query, key, value, prefix=None):
    """(heads, tokens, head size) each; grouped keys and values are repeated first. `prefix`: keys and values that all
    tokens see."""
    if prefix:
        key, value = torch.cat([prefix[0], key], 1), torch.cat([prefix[1], value], 1)
    groups = query.shape[0] // key.shape[0]
    key, value = key.repeat_interleave(groups, 0), value.repeat_interleave(groups, 0)
    scores = query @ key.transpose(1, 2) / math.sqrt(query.shape[-1])
    tokens, keys = query.shape[1], key.shape[1]
    mask = torch.ones(tokens, keys, dtype=torch.bool).tril(keys - tokens)
    return scores.masked_fill(~mask, -math.inf).softmax(-1) @ value


def split_heads(x, heads):
    return x.view(x.shape[0], heads, -1).transpose(0, 1)


def merge_heads(x):
    return x.transpose(0, 1).reshape(x.shape[1], -1)


class Added:
    """What a tuning scheme adds: `prompt` rows in front of the tokens, `prefix[layer]` = (keys, values) as (tokens,
    width)."""

    def __init__(self, prompt=None, prefix=None):
        self.prompt, self.prefix = prompt, prefix
        self.prefix_length = len(prefix[0][0]) if prefix else 0

    def before(self, rows):
        return rows if self.prompt is None else torch.cat([self.prompt, rows])

    def after(self, logits):
        """Those of the tokens themselves."""
        return logits if self.prompt is None else logits[len(self.prompt) :]

    def past(self, layer, heads):
        return [split_heads(part, heads) for part in self.prefix[layer]] if self.prefix else None


def llama_logits(configuration, parameters, ids, added=Added(), cache=None):
    """Logits (tokens, vocabulary) of one sequence: RMSNorm, rotate-half RoPE, grouped-query attention, SwiGLU.

    `cache`: a list that gets (keys, values) of each layer, as attention sees them.
    """
    heads, kv_heads = configuration["num_attention_heads"], configuration["num_key_value_heads"]
    head_size = configuration["hidden_size"] // heads

    def norm(x, name):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + configuration["rms_norm_eps"]) * parameters[name]

    frequencies = configuration["rope_theta"] ** (-torch.arange(0, head_size, 2) / head_size)
    x = added.before(parameters["model.embed_tokens.weight"][ids])
    angles = (added.prefix_length + torch.arange(len(x)))[:, None] * frequencies
    cosine, sine = torch.cat([angles, angles], -1).cos(), torch.cat([angles, angles], -1).sin()

    def rotate(x):
        first, second = x.chunk(2, -1)
        return x * cosine + torch.cat([-second, first], -1) * sine

    for layer in range(configuration["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."

        def linear(value, name):
            return value @ parameters[f"{prefix}{name}.weight"].T

        h = norm(x, f"{prefix}input_layernorm.weight")
        query = rotate(split_heads(linear(h, "self_attn.q_proj"), heads))
        key = rotate(split_heads(linear(h, "self_attn.k_proj"), kv_heads))
        value = split_heads(linear(h, "self_attn.v_proj"), kv_heads)
        if cache is not None:
            cache.append((merge_heads(key), merge_heads(value)))
        mixed = causal_attention(query, key, value, added.past(layer, kv_heads))
        x = x + linear(merge_heads(mixed), "self_attn.o_proj")
        h = norm(x, f"{prefix}post_attention_layernorm.weight")
        gate = torch.nn.functional.silu(linear(h, "mlp.gate_proj"))
        x = x + linear(gate * linear(h, "mlp.up_proj"), "mlp.down_proj")
    head = parameters["model.embed_tokens.weight" if configuration["tie_word_embeddings"] else "lm_head.weight"]
    return added.after(norm(x, "model.norm.weight") @ head.T)


def opt_logits(configuration, parameters, ids, added=Added(), cache=None):
    """Logits of one sequence: learned positions with offset 2, pre-LayerNorm, ReLU, biases, tied lm_head."""
    assert configuration["do_layer_norm_before"]
    heads = configuration["num_attention_heads"]

    def norm(x, name):
        gain, bias = parameters[f"{name}.weight"], parameters[f"{name}.bias"]
        return torch.nn.functional.layer_norm(x, x.shape[-1:], gain, bias, 1e-5)

    embedding = parameters["model.decoder.embed_tokens.weight"]
    x = added.before(embedding[ids])
    start = 2 + added.prefix_length
    x = x + parameters["model.decoder.embed_positions.weight"][start : start + len(x)]
    for layer in range(configuration["num_hidden_layers"]):
        prefix = f"model.decoder.layers.{layer}."

        def linear(value, name):
            return value @ parameters[f"{prefix}{name}.weight"].T + parameters[f"{prefix}{name}.bias"]

        h = norm(x, f"{prefix}self_attn_layer_norm")
        query, key, value = (split_heads(linear(h, f"self_attn.{name}_proj"), heads) for name in "qkv")
        if cache is not None:
            cache.append((merge_heads(key), merge_heads(value)))
        x = x + linear(merge_heads(causal_attention(query, key, value, added.past(layer, heads))), "self_attn.out_proj")
        h = norm(x, f"{prefix}final_layer_norm")
        x = x + linear(torch.relu(linear(h, "fc1")), "fc2")
    return added.after(norm(x, "model.decoder.final_layer_norm") @ embedding.T)


FORWARD = {"llama": llama_logits, "opt": opt_logits}


def check_against_transformers(directory):
    """Raises AssertionError unless the logits agree with those of transformers in logits.json (float32-like noise)."""
    configuration, parameters = load_parameters(directory)
    reference = json.loads((directory / "logits.json").read_text())
    for ids, expected in zip(reference["ids"], reference["last_logits"]):
        got = FORWARD[configuration["model_type"]](configuration, parameters, ids)[-1]
        error = (got - torch.tensor(expected)).abs().max().item()
        assert error < 1e-5, f"{directory.name}: logits differ from transformers by {error}"
