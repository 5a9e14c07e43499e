"""Logits of a GGUF file, computed by transformers in float64 from the values that the gguf package makes of its blocks.

    python make_gguf.py FILE.gguf TOKENIZER.json OUT.json

transformers reads the configuration of the file by itself (`gguf_file`). The ids are those of the original tokenizer:
the one that transformers makes of a file whose scores are all equal cuts texts otherwise.
"""

import json
import sys
from pathlib import Path

import gguf
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

TEXTS = [
    "Once upon a time, there was a little boy named Tim. Tim",
    "Lily and Tom went to the park. They saw a big dog, and it said:",
]


def unpermuted(values, heads):
    """Rows of interleaved halves in the order of transformers."""
    rows = values.shape[0]
    order = [h * (rows // heads) + 2 * i + s for h in range(heads) for s in range(2) for i in range(rows // heads // 2)]
    return values[order]


def main(path: Path, tokenizer_file: Path, out: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name).to(torch.float64)
    config = model.config
    reader = gguf.GGUFReader(path)
    # The weights anew, in float64 and by the gguf package alone.
    tensors = {
        tensor.name: torch.from_numpy(gguf.quants.dequantize(tensor.data, tensor.tensor_type).copy()).double()
        for tensor in reader.tensors
    }
    state = model.state_dict()
    worst = 0.0
    for index in range(config.num_hidden_layers):
        for name, heads in (("q", config.num_attention_heads), ("k", config.num_key_value_heads)):
            mine = unpermuted(tensors[f"blk.{index}.attn_{name}.weight"], heads)
            worst = max(worst, (state[f"model.layers.{index}.self_attn.{name}_proj.weight"] - mine).abs().max().item())
    worst = max(worst, (state["model.embed_tokens.weight"] - tensors["token_embd.weight"]).abs().max().item())
    assert worst == 0, worst
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    prompts = []
    for text in TEXTS:
        ids = tokenizer.encode(text).ids
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0]
            greedy = model.generate(torch.tensor([ids]), max_new_tokens=24, do_sample=False)[0, len(ids):].tolist()
        logprobs = torch.log_softmax(logits, -1)
        picked = [logprobs[i, ids[i + 1]].item() for i in range(len(ids) - 1)]
        prompts.append({"text": text, "ids": ids, "last_logits": [round(x, 7) for x in logits[-1].tolist()],
                        "logprobs": [round(x, 8) for x in picked], "greedy": greedy})
    out.write_text(json.dumps({"prompts": prompts}, separators=(",", ":")) + "\n")
    print(json.dumps([(p["text"], p["ids"], tokenizer.decode(p["greedy"])) for p in prompts]))


main(*map(Path, sys.argv[1:4]))
