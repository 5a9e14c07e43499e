"""The counter-based random numbers of the project: Philox4x32-10 and Gaussians by Box-Muller.

Philox: Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3" (SC 2011), checked below against the
known-answer vectors that its authors publish with Random123. Run as a script it writes
test/fixtures/golden/philox.json.
"""

import math

import numpy as np

PURPOSE_NOISE = 0  # Z (r x r), and the dense noise of 1-D parameters
PURPOSE_OMEGA_U = 1  # (m x r), before the QR that gives U
PURPOSE_OMEGA_V = 2  # (n x r), before the QR that gives V
PURPOSE_START = 5  # uniform numbers that adapter tensors start from

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)

# kat_vectors of Random123, the three lines "philox4x32 10": counter, key, result.
RANDOM123_VECTORS = (
    ((0x00000000,) * 4, (0x00000000,) * 2, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
)


def philox4x32_10(counter, key):
    """Ten rounds. `counter`: uint array (..., 4), `key`: two 32-bit words. Returns uint64 array (..., 4), each <
    2^32."""
    x0, x1, x2, x3 = (np.asarray(counter, dtype=np.uint64)[..., i] for i in range(4))
    k0, k1 = int(key[0]), int(key[1])
    for _ in range(10):
        product0 = _MULTIPLIERS[0] * x0
        product1 = _MULTIPLIERS[1] * x2
        x0, x1, x2, x3 = (
            (product1 >> _HALF) ^ x1 ^ np.uint64(k0),
            product1 & _LOW,
            (product0 >> _HALF) ^ x3 ^ np.uint64(k1),
            product0 & _LOW,
        )
        k0 = (k0 + _WEYL[0]) & 0xFFFFFFFF
        k1 = (k1 + _WEYL[1]) & 0xFFFFFFFF
    return np.stack([x0, x1, x2, x3], axis=-1)


def tensor_id(name):
    """32-bit FNV-1a of the UTF-8 parameter name."""
    value = 0x811C9DC5
    for byte in name.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def counters(count, identifier, step, purpose, query):
    """The `count` consecutive counter blocks of one draw, uint64 (count, 4)."""
    block = np.zeros((count, 4), dtype=np.uint64)
    block[:, 0] = np.arange(count)
    block[:, 1] = identifier
    block[:, 2] = step
    block[:, 3] = (purpose << 24) | query
    return block


def gaussians(count, seed, name, purpose, step, query=0):
    """The first `count` N(0,1) numbers of a draw, float64. `step` is the zero-based step, or the period index."""
    words = philox4x32_10(
        counters((count + 3) // 4, tensor_id(name), step, purpose, query),
        (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF),
    ).astype(np.float64)
    radius = np.sqrt(-2.0 * np.log(words[:, [0, 2]] * 2.0**-32 + 2.0**-33))
    angle = 2.0 * math.pi * words[:, [1, 3]] * 2.0**-32
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)  # (blocks, 2, 2) = g0 g1 | g2 g3
    return pairs.reshape(-1)[:count]


def uniforms(count, seed, name):
    """`count` numbers uniform in (0, 1), float64, that adapter tensors start from."""
    blocks = counters((count + 3) // 4, tensor_id(name), 0, PURPOSE_START, 0)
    words = philox4x32_10(blocks, (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF))
    return (words.reshape(-1)[:count].astype(np.float64) + 0.5) * 2.0**-32


def check_known_answers():
    """Raises AssertionError unless the generator gives the published vectors and the published FNV-1a value."""
    for counter, key, expected in RANDOM123_VECTORS:
        got = tuple(int(word) for word in philox4x32_10(counter, key))
        assert got == expected, f"philox4x32-10 {counter} {key}: {got} != {expected}"
    # FNV-1a test suite of Fowler, Noll, Vo: "", "a", "foobar".
    assert tensor_id("") == 0x811C9DC5
    assert tensor_id("a") == 0xE40C292C
    assert tensor_id("foobar") == 0xBF9CF968


def main():
    import json
    import pathlib

    check_known_answers()
    embedding, projection, bias = (
        "model.embed_tokens.weight",
        "model.layers.0.self_attn.q_proj.weight",
        "model.decoder.layers.1.fc1.bias",
    )
    draws = [
        # seed, tensor name, purpose, step or period, query
        (0, embedding, 0, 0, 0),
        (0, embedding, 0, 1, 0),
        (0, embedding, 0, 0, 1),
        (0, embedding, 1, 0, 0),
        (0, embedding, 2, 0, 0),
        (1, embedding, 0, 0, 0),
        (42, projection, 0, 19999, 127),
        (42, projection, 1, 19, 0),
        (42, projection, 2, 19, 0),
        (2**32, bias, 0, 7, 0),  # differs from seed 0 only in the key's second word
        (2**53 - 1, bias, 0, 9_999_999, 3),  # the largest seed and step that the configuration allows
        (20241107, "lm_head.weight", 0, 123, 98),
    ]
    cases = []
    for seed, name, purpose, step, query in draws:
        identifier = tensor_id(name)
        key = [seed & 0xFFFFFFFF, seed >> 32]
        block = counters(4, identifier, step, purpose, query)
        cases.append(
            {
                "seed": seed,
                "name": name,
                "tensor_id": identifier,
                "purpose": purpose,
                "step": step,
                "query": query,
                "key": key,
                "first_counter": block[0].tolist(),
                "words": philox4x32_10(block, key).reshape(-1).tolist(),
                "gaussians": [float(f"{g:.12g}") for g in gaussians(16, seed, name, purpose, step, query)],
            }
        )
    golden = {
        "random123": [{"counter": c, "key": k, "result": r} for c, k, r in RANDOM123_VECTORS],
        "fnv1a": {"": 0x811C9DC5, "a": 0xE40C292C, "foobar": 0xBF9CF968},
        "cases": cases,
    }
    path = pathlib.Path(__file__).resolve().parents[1] / "fixtures" / "golden" / "philox.json"
    path.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
