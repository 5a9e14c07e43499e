"""Writes blocks of every GGUF type that is read, and the values that the `gguf` package gives them.

Types that the package can quantise to are made from normal numbers; K blocks are random bits with scales of a model's
size, so that every bit of every field counts.
"""

import base64
import json
from importlib.metadata import version
from pathlib import Path

import gguf
import numpy as np

VALUES = 512
GOLDEN = Path(__file__).parent.parent / "fixtures" / "golden" / "gguf-blocks.json"

# type -> byte offsets of its f16 numbers within a block
RANDOM_BITS = {"Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,)}
QUANTISED = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "MXFP4"]


def random_blocks(name, generator):
    elements, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]]
    blocks = generator.integers(0, 256, (VALUES // elements, size), dtype=np.uint8)
    for offset in RANDOM_BITS[name]:
        numbers = generator.uniform(1e-4, 1e-2, len(blocks)).astype(np.float16)
        blocks[:, offset : offset + 2] = numbers.view(np.uint8).reshape(-1, 2)
    return blocks.reshape(-1)


def encoded(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def main():
    generator = np.random.default_rng(20)
    cases = {}
    for name in [*QUANTISED, *RANDOM_BITS]:
        kind = gguf.GGMLQuantizationType[name]
        if name in QUANTISED:
            blocks = gguf.quants.quantize(generator.normal(0, 0.05, VALUES).astype(np.float32), kind)
        else:
            blocks = random_blocks(name, generator)
        values = gguf.quants.dequantize(blocks, kind)
        assert values.dtype == np.float32 and values.size == VALUES and np.isfinite(values).all()
        cases[name] = {"blocks": encoded(blocks), "values": encoded(values)}
    GOLDEN.write_text(json.dumps({"package": "gguf " + version("gguf"), "cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    main()
