#!/usr/bin/env bash
# safetensors 0.8.0: a NumPy matrix whose columns lie one after another is written as another matrix.
#
# Guess: safetensors.numpy.save writes the values that the array has, whatever their order in memory, as 0.7.0 does, or
# refuses the array, as safetensors.torch refuses such a tensor.
# Seen: the memory is written under the array's shape. The shape is right, the values stand in other places, and nothing
# is said: W.T, np.asfortranarray(W). The documentation asks for contiguous and dense tensors, which a matrix by columns
# is for NumPy (F_CONTIGUOUS). np.ascontiguousarray(W) is written rightly.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/write.py" <<'PYTHON'
import sys

import numpy as np
import safetensors
from safetensors.numpy import load, save

rows = np.arange(6, dtype=np.float32).reshape(2, 3)
arrays = {
    "by rows": rows,
    "transposed": rows.T,
    "by columns": np.asfortranarray(rows),
    "by columns, made contiguous": np.ascontiguousarray(np.asfortranarray(rows)),
}
wrong = []
for name, array in arrays.items():
    again = load(save({"w": array}))["w"]
    same = np.array_equal(again, array)
    print(f"safetensors {safetensors.__version__}, {name}: shape {again.shape}, "
          f"{'the same values' if same else 'other values'}")
    if not same:
        wrong.append(name)
expected = ["transposed", "by columns"] if safetensors.__version__ == "0.8.0" else []
sys.exit(0 if wrong == expected else 1)
PYTHON
for version in 0.7.0 0.8.0; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "safetensors==$version" numpy==2.4.6
  "$folder/$version/bin/python" "$folder/write.py"
done
