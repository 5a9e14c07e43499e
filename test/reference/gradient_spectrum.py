"""
Singular values of the true gradients of one SST-2 batch on examples/reviews-3m, by automatic differentiation in
float64.

Prints for every kind of matrix, in the first and the last layer: the stable rank (squared norm over the square of the
largest singular value), the share of the squared norm in the first and in the first eight singular values, and the
stable rank that a random two-sided projection of rank 16 shows of it, over 50 draws. docs/experiments.md quotes it
beside `subzero experiment rank-spectrum`, which sees such projections alone.
"""

import pathlib

import torch
from fidelity import MODEL, make_examples
from float64_models import FORWARD, load_parameters
from subzero import batch_loss

ROOT = pathlib.Path(__file__).resolve().parents[2]
RANK, DRAWS = 16, 50


def stable_rank(values):
    return (values.square().sum() / values[0].square()).item()


def seen(gradient, generator):
    drawn = (torch.randn(size, RANK, generator=generator, dtype=torch.float64) for size in gradient.shape)
    u, v = (torch.linalg.qr(each)[0] for each in drawn)
    return stable_rank(torch.linalg.svdvals(u.T @ gradient @ v))


def main():
    generator = torch.Generator().manual_seed(20260315)
    configuration, parameters = load_parameters(ROOT / "examples" / MODEL)
    at = {name: tensor.requires_grad_() for name, tensor in parameters.items()}
    loss = batch_loss(FORWARD[configuration["model_type"]], configuration, at, make_examples())
    gradients = dict(zip(at, torch.autograd.grad(loss, list(at.values()))))
    last = max(int(name.split(".")[2]) for name in gradients if name.startswith("model.layers."))
    noise = (torch.randn(192, 192, generator=generator, dtype=torch.float64) for _ in range(DRAWS))
    unstructured = sum(seen(each, generator) for each in noise) / DRAWS
    print(f"without structure a projection of rank {RANK} shows a stable rank of {unstructured:.2f}")
    print("matrix  stable rank  first share  first eight  stable rank as seen")
    for name, gradient in gradients.items():
        if gradient.dim() == 1 or not (name.startswith("model.layers.0.") or name.startswith(f"model.layers.{last}.")):
            continue
        values = torch.linalg.svdvals(gradient)
        shares = values.square().cumsum(0) / values.square().sum()
        shown = sum(seen(gradient, generator) for _ in range(DRAWS)) / DRAWS
        print(f"{name}  {stable_rank(values):.2f}  {shares[0]:.3f}  {shares[7]:.4f}  {shown:.2f}")


if __name__ == "__main__":
    main()
