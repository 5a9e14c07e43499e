"""The true gradient of one SST-2 batch on examples/reviews-3m, as SubZero and MeZO see it; written to
test/fixtures/golden/fidelity.json.

The gradient itself has as many numbers as the model. Kept are: per matrix its projection U^T G V (r x r) onto the
subspace of period 0, per 1-D parameter the gradient, squared norms, and for the first dense draws z of MeZO the
products z.G and z.z. Float64 throughout, by automatic differentiation. `bench fidelity` holds measured losses against
this.
"""

import json
import pathlib
import sys

import torch
from fixture_io import GOLDEN, rounded, write_json
from float64_models import FORWARD, load_parameters
from philox import PURPOSE_NOISE, PURPOSE_OMEGA_U, PURPOSE_OMEGA_V, check_known_answers, gaussians
from subzero import batch_loss
from tokenizers import Tokenizer

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = "reviews-3m"
SEED, RANK, BATCH = 20260315, 8, 8
DENSE_DRAWS = int(sys.argv[1]) if len(sys.argv) > 1 else 192


def make_examples():
    """The first training sentences of SST-2 with their two one-token options."""
    tokenizer = Tokenizer.from_file(str(ROOT / "examples" / MODEL / "tokenizer.json"))

    def ids(text):
        return tokenizer.encode(text, add_special_tokens=False).ids

    rows = [json.loads(line) for line in (ROOT / "examples/sst2/train.jsonl").open(encoding="utf8")][:BATCH]
    options = [ids(f" {word}") for word in ("terrible", "great")]
    return [{"prompt": [0, *ids(row["sentence"] + " It was")], "options": options, "label": row["label"]}
        for row in rows]


def orthonormal(name, rows, rank, purpose):
    q, r = torch.linalg.qr(torch.from_numpy(gaussians(rows * rank, SEED, name, purpose, 0).reshape(rows, rank)))
    return q * torch.sign(torch.diagonal(r))


def projection(name, gradient):
    if gradient.dim() == 1:
        return gradient
    rank = min(RANK, *gradient.shape)
    u, v = (
        orthonormal(name, size, rank, purpose)
        for size, purpose in zip(gradient.shape, (PURPOSE_OMEGA_U, PURPOSE_OMEGA_V))
    )
    return u.T @ gradient @ v


def main():
    check_known_answers()
    examples = make_examples()
    configuration, parameters = load_parameters(ROOT / "examples" / MODEL)
    at = {name: tensor.requires_grad_() for name, tensor in parameters.items()}
    loss = batch_loss(FORWARD[configuration["model_type"]], configuration, at, examples)
    gradients = dict(zip(at, torch.autograd.grad(loss, list(at.values()))))
    along, squares = [], []
    for step in range(DENSE_DRAWS):
        product = square = 0.0
        for name, gradient in gradients.items():
            z = torch.from_numpy(gaussians(gradient.numel(), SEED, name, PURPOSE_NOISE, step))
            product += (z @ gradient.reshape(-1)).item()
            square += (z @ z).item()
        along.append(product)
        squares.append(square)
    tensors = [
        {
            "name": name,
            "shape": list(gradient.shape),
            "squared_norm": rounded(gradient.square().sum(), 10),
            "projected": rounded(projection(name, gradient).reshape(-1), 8),
        }
        for name, gradient in gradients.items()
    ]
    print(f"loss {loss:.6f}, squared norm of the gradient {sum(t['squared_norm'] for t in tensors):.6f}")
    write_json(
        GOLDEN / "fidelity.json",
        {
            "settings": {"model": MODEL, "seed": SEED, "rank": RANK},
            "examples": examples,
            "loss": rounded(loss, 12),
            "dense": {"along_gradient": rounded(along, 10), "squared_norm": rounded(squares, 10)},
            "tensors": tensors,
        },
    )


if __name__ == "__main__":
    main()
