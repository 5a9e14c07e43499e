#!/usr/bin/env bash
# gguf 0.19.0: of a split file with an alignment of its own, only the first shard can be read right.
#
# Guess: each shard says how it is laid out, or all but the first are laid out by 32 bytes, the format's default.
# Seen: GGUFWriter lays out all shards by "general.alignment" and writes that key, as all keys of the model, into the
# first shard alone. GGUFReader takes 32 for the others and gives their tensors from bytes that lie before them: other
# values, no error. Only where a header happens to end at a multiple of the alignment are they right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check gguf==0.19.0
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import importlib.metadata
import sys
from pathlib import Path

import numpy as np
from gguf import GGUFReader, GGUFWriter

print("gguf", importlib.metadata.version("gguf"))
folder = Path(sys.argv[1])
seen = {}
for alignment in (32, 256):
    tensors = {f"t{index}": np.arange(15, dtype=np.float32).reshape(3, 5) + 100 * index for index in range(4)}
    writer = GGUFWriter(folder / f"a{alignment}.gguf", "llama", split_max_tensors=2)
    if alignment != 32:
        writer.add_custom_alignment(alignment)
    for name, values in tensors.items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    shards = [GGUFReader(path) for path in sorted(folder.glob(f"a{alignment}-*.gguf"))]
    for number, shard in enumerate(shards, 1):
        equal = [bool(np.array_equal(tensor.data, tensors[tensor.name])) for tensor in shard.tensors]
        keyed = "general.alignment" in shard.fields
        print(f"alignment {alignment}, shard {number}: read with {shard.alignment}, "
              f"{'has' if keyed else 'without'} the key, tensors as written: {equal}")
        seen[alignment, number] = (keyed, all(equal))
sys.exit(0 if seen == {
    (32, 1): (False, True),
    (32, 2): (False, True),
    (256, 1): (True, True),
    (256, 2): (False, False),
} else 1)
PYTHON
