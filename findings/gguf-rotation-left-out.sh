#!/usr/bin/env bash
# transformers 5.24: a Llama from a GGUF file has plain rotation, whatever the file says of its scaling.
#
# Guess: from_pretrained(gguf_file=) takes the keys "llama.rope.scaling.*" into the configuration, as it takes
# "llama.rope.freq_base", and applies the tensor "rope_freqs.weight" (with which files of Llama 3.1 and later carry
# their scaling) or names it as unused.
# Seen: neither. The base is read; linear and yarn scaling, and the divisors of the tensor, are dropped, the logits are
# the bits of the file without them, and nothing is said: every text is read by another model.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.24.0 gguf==0.19.0 \
  accelerate==1.15.0
HF_HUB_OFFLINE=1 "$folder/venv/bin/python" - "$folder" 2>"$folder/said" <<'PYTHON'
import importlib.metadata
import sys
from pathlib import Path

import numpy as np
import torch
import transformers
from gguf import GGUFWriter
from transformers import AutoModelForCausalLM

print("transformers", transformers.__version__, "gguf", importlib.metadata.version("gguf"))
folder = Path(sys.argv[1])


def write(name, scaling, divisors=None, base=10000.0):
    random = np.random.default_rng(0)
    writer = GGUFWriter(folder / name, "llama")
    writer.add_block_count(1)
    writer.add_context_length(512)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(32)
    writer.add_head_count(4)
    writer.add_head_count_kv(4)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(8)
    writer.add_rope_freq_base(base)
    writer.add_vocab_size(32)
    for key, value in scaling.items():
        add = {str: writer.add_string, float: writer.add_float32, int: writer.add_uint32}[type(value)]
        add(f"llama.rope.scaling.{key}", value)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"t{index}" for index in range(32)])
    writer.add_token_merges(["t 1"])
    shapes = {"token_embd": (32, 32), "output": (32, 32), "output_norm": (32,), "blk.0.attn_norm": (32,),
              "blk.0.ffn_norm": (32,)}
    shapes |= {f"blk.0.{part}": (32, 32) for part in
               ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")}
    for part, shape in shapes.items():
        writer.add_tensor(f"{part}.weight", random.standard_normal(shape).astype(np.float32))
    if divisors is not None:
        writer.add_tensor("rope_freqs.weight", np.array(divisors, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


write("plain.gguf", {})
write("base.gguf", {}, base=500.0)
write("linear.gguf", {"type": "linear", "factor": 4.0})
write("yarn.gguf", {"type": "yarn", "factor": 4.0, "original_context_length": 128})
write("divisors.gguf", {}, divisors=[1, 2, 4, 8])
ids = torch.arange(1, 32)[None]
logits = {}
for name in ("plain", "base", "linear", "yarn", "divisors"):
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=f"{name}.gguf", dtype=torch.float32).eval()
    with torch.no_grad():
        logits[name] = model(ids).logits
    same = torch.equal(logits[name], logits["plain"])
    print(f"{name}: {model.config.rope_parameters}, logits {'as' if same else 'not as'} those of the plain file")
same = [name for name, values in logits.items() if torch.equal(values, logits["plain"])]
sys.exit(0 if same == ["plain", "linear", "yarn", "divisors"] else 1)
PYTHON
if grep -iE 'rope|freq|scaling|unexpected' "$folder/said"; then
  echo 'something is said of the rotation'
  exit 1
fi
