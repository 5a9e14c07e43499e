#!/usr/bin/env bash
# transformers 5.24: dequantising FP8 in blocks takes the size of a block from the number of scales, not from "weight_block_size".
#
# Guess: where 128 does not divide a side of a matrix, its last block is cut off, as the layer itself (FP8Linear) declares its scales.
# Seen: 192 rows with blocks of 128 have two scales, and each is applied to 96 rows, so that rows 96 to 127 get the scale of the second
# block, without a word; 320 rows (three scales) raise an error.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.24.0 accelerate
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import torch
import transformers
from transformers.integrations.finegrained_fp8 import Fp8Dequantize, FP8Linear

print("transformers", transformers.__version__)
layer = FP8Linear(128, 192, block_size=(128, 128))
print("scales that FP8Linear declares for a matrix [192, 128]:", list(layer.weight_scale_inv.shape))
ones = torch.ones(192, 128).to(torch.float8_e4m3fn)
rows = Fp8Dequantize(None)._dequantize_one(ones, torch.tensor([[1.0], [3.0]]), torch.float32)[:, 0].tolist()
print("rows with the first of two scales:", rows.count(1.0))
try:
    Fp8Dequantize(None)._dequantize_one(torch.ones(320, 128).to(torch.float8_e4m3fn), torch.ones(3, 1), torch.float32)
    error = None
except ValueError as caught:
    error = str(caught)
print("320 rows:", error)
sys.exit(0 if list(layer.weight_scale_inv.shape) == [2, 1] and rows.count(1.0) == 96 and error else 1)
PYTHON
