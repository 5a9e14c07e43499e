"""Golden trajectories of SubZero (arXiv 2410.08989, Algorithm 1) in float64, written to test/fixtures/golden.

Per matrix W (m x n): U, V = thin-QR factors (positive diagonal of R) of Gaussian m x r and n x r matrices, drawn anew
every `refresh` steps; perturbation mu U Z V^T with Z (r x r) Gaussian; the projected gradient rho is a difference of
losses; inside a period all updates live in an r x r matrix S (effective weight W + mu U S V^T). 1-D parameters get
dense noise. This script forms the full perturbed matrices, so it shares no trick with the factored product.

Every rho is rounded to float32 before it is used: a test that feeds the recorded values follows the same trajectory.
"""

import sys
from fnmatch import fnmatchcase

import numpy as np
import torch
from fixture_io import GOLDEN, MODELS, rounded, write_json
from float64_models import FORWARD, check_against_transformers, load_parameters
from philox import PURPOSE_NOISE, PURPOSE_OMEGA_U, PURPOSE_OMEGA_V, check_known_answers, gaussians, tensor_id

SEED = 2**33 + 20241008  # above 2^32, so that the second key word matters
FINE = 1e-6  # scale of the check against automatic differentiation
RECORD_S_AFTER = (1, 2, 19, 20, 21, 40, 41, 50)

CASES = {
    "llama-central": dict(
        model="llama-tiny", queries=1, sides=2, norm_alignment=True, learning_rate=1e-4,
        watched=["model.embed_tokens.weight", "model.layers.1.self_attn.k_proj.weight"],
    ),
    "llama-forward-k3": dict(
        model="llama-tiny", queries=3, sides=1, norm_alignment=True, learning_rate=2e-4,
        watched=["model.layers.0.mlp.down_proj.weight", "model.layers.1.self_attn.v_proj.weight"],
    ),
    "opt-central": dict(
        model="opt-tiny-f32", queries=1, sides=2, norm_alignment=False, learning_rate=3e-3,
        watched=["model.decoder.embed_positions.weight", "model.decoder.layers.0.fc1.weight"],
    ),
    "llama-frozen": dict(
        model="llama-tiny", queries=2, sides=2, norm_alignment=True, learning_rate=2e-4,
        parameters=["*.self_attn.*", "*layernorm*", "model.embed_tokens.weight", "!*.v_proj.*", "!*.layers.0.input_*"],
        watched=["model.embed_tokens.weight", "model.layers.1.self_attn.k_proj.weight"],
    ),
}
COMMON = dict(seed=SEED, rank=4, refresh=20, steps=50, epsilon=1e-3)


def make_examples(vocabulary, seed):
    """Eight examples with 2-3 options of 1-3 tokens, and the four examples of every step."""
    generator = np.random.default_rng(seed)

    def draw(low, high):
        return generator.integers(4, vocabulary, size=generator.integers(low, high + 1)).tolist()

    examples = []
    for index in range(8):
        options = [draw(1, 3) for _ in range(2 + index % 2)]
        examples.append({"prompt": draw(3, 9), "options": options, "label": int(generator.integers(len(options)))})
    batches = [generator.integers(8, size=4).tolist() for _ in range(COMMON["steps"])]
    return examples, batches


def trains(name, patterns):
    """Whether patterns choose a name: the last that fits decides; where none fits, the opposite of what the first one
    says."""
    fitting = [pattern for pattern in patterns if fnmatchcase(name, pattern.removeprefix("!"))]
    if fitting:
        return not fitting[-1].startswith("!")
    return not patterns or patterns[0].startswith("!")


def batch_loss(forward, configuration, parameters, batch):
    """Mean over the batch of the cross-entropy over options, scored by their mean token log-probability."""
    total = 0.0
    for example in batch:
        scores = []
        for option in example["options"]:
            logprobs = forward(configuration, parameters, example["prompt"] + option).log_softmax(-1)
            start = len(example["prompt"]) - 1
            scores.append(torch.stack([logprobs[start + i, token] for i, token in enumerate(option)]).mean())
        total += -torch.stack(scores).log_softmax(0)[example["label"]]
    return total / len(batch)


@torch.enable_grad()
def directional_derivative(trained, step, query, loss_of):
    """The derivative of the loss along the perturbation of one query by automatic differentiation."""
    at = {p.name: p.effective().clone().requires_grad_() for p in trained}
    gradients = torch.autograd.grad(loss_of(at), list(at.values()))
    # effective() is affine in its argument, so the difference is the direction itself.
    directions = [p.effective(p.noise(step, query)) - p.effective() for p in trained]
    return sum((g * d).sum().item() for g, d in zip(gradients, directions))


def orthonormal(name, rows, rank, purpose, period):
    omega = torch.from_numpy(gaussians(rows * rank, SEED, name, purpose, period).reshape(rows, rank))
    q, r = torch.linalg.qr(omega)
    q = q * torch.sign(torch.diagonal(r))
    assert (q.T @ q - torch.eye(rank)).abs().max() < 1e-13
    return q


class Matrix:
    """A 2-D parameter with its subspace: W, U, V, S."""

    def __init__(self, name, weight, norm_alignment):
        self.name, self.weight = name, weight
        self.rank = min(COMMON["rank"], *weight.shape)
        m, n = weight.shape
        self.mu = (m * n) ** 0.5 / self.rank if norm_alignment else 1.0

    def start_period(self, period):
        if period > 0:
            self.weight = self.effective()
        self.u = orthonormal(self.name, self.weight.shape[0], self.rank, PURPOSE_OMEGA_U, period)
        self.v = orthonormal(self.name, self.weight.shape[1], self.rank, PURPOSE_OMEGA_V, period)
        self.s = torch.zeros(self.rank, self.rank)

    def noise(self, step, query):
        count = self.rank * self.rank
        return torch.from_numpy(gaussians(count, SEED, self.name, PURPOSE_NOISE, step, query).reshape(self.rank, -1))

    def effective(self, offset=0.0):
        return self.weight + self.mu * self.u @ (self.s + offset) @ self.v.T

    def update(self, change):
        self.s = self.s + change


class Vector:
    """A 1-D parameter: dense noise, updated in place of a subspace."""

    def __init__(self, name, value):
        self.name, self.value = name, value

    def start_period(self, period):
        pass

    def noise(self, step, query):
        return torch.from_numpy(gaussians(self.value.numel(), SEED, self.name, PURPOSE_NOISE, step, query))

    def effective(self, offset=0.0):
        return self.value + offset

    def update(self, change):
        self.value = self.value + change


def summary(values):
    """Sixteen entries (row-major) spread over rows and columns, and the Frobenius norm."""
    flat = values.reshape(-1)
    indices = [(i * (flat.numel() // 16) + 7 * i) % flat.numel() for i in range(16)]
    assert len(set(indices)) == 16
    return {
        "shape": list(values.shape),
        "indices": indices,
        "values": rounded(flat[indices], 10),
        "norm": rounded(flat.norm(), 12),
    }


@torch.no_grad()
def trajectory(case, settings):
    directory = MODELS / settings["model"]
    check_against_transformers(directory)
    configuration, initial = load_parameters(directory)
    forward = FORWARD[configuration["model_type"]]
    examples, batches = make_examples(configuration["vocab_size"], 7)
    trained = [
        Matrix(name, tensor, settings["norm_alignment"]) if tensor.dim() == 2 else Vector(name, tensor)
        for name, tensor in initial.items()
        if trains(name, settings.get("parameters", []))
    ]
    by_name = {parameter.name: parameter for parameter in trained}
    epsilon, rate, queries = COMMON["epsilon"], settings["learning_rate"], settings["queries"]
    factors, steps, records, errors = [], [], [], []

    for step in range(COMMON["steps"]):
        if step % COMMON["refresh"] == 0:
            period = step // COMMON["refresh"]
            for parameter in trained:
                parameter.start_period(period)
            watched = by_name[settings["watched"][1]]
            factors.append({"period": period, "u": rounded(watched.u, 10), "v": rounded(watched.v, 10)})
        batch = [examples[i] for i in batches[step]]

        def loss_of(at):
            return batch_loss(forward, configuration, initial | at, batch)

        def loss_at(query, scale):
            at = {p.name: p.effective(scale * p.noise(step, query)) if scale else p.effective() for p in trained}
            return loss_of(at).item()

        record = {"step": step, "batch": batches[step]}
        if settings["sides"] == 2:
            plus, minus = ([loss_at(k, sign * epsilon) for k in range(queries)] for sign in (1, -1))
            raw = [(p - m) / (2 * epsilon) for p, m in zip(plus, minus)]
            record |= {"loss_plus": plus, "loss_minus": minus}
        else:
            base, plus = loss_at(0, 0), [loss_at(k, epsilon) for k in range(queries)]
            raw = [(p - base) / epsilon for p in plus]
            record |= {"loss_base": base, "loss_plus": plus}
        derivatives = [directional_derivative(trained, step, k, loss_of) for k in range(queries)]
        # At a far smaller scale the truncation error (and the kinks of ReLU) vanish and the difference is the
        # derivative.
        fine = [(loss_at(k, FINE) - loss_at(k, -FINE)) / (2 * FINE) for k in range(queries)]
        errors += [abs(r - d) / (1 + abs(d)) for r, d in zip(fine, derivatives)]
        rho = [float(np.float32(value)) for value in raw]
        record["rho"] = rho
        steps.append(record)
        for parameter in trained:
            gradient = sum(rho[k] * parameter.noise(step, k) for k in range(queries)) / queries
            parameter.update(-rate * gradient)
        if step + 1 in RECORD_S_AFTER:
            records.append({"after": step + 1, "s": {n: rounded(by_name[n].s, 10) for n in settings["watched"]}})

    final = {p.name: summary(p.effective()) for p in trained}
    moved = {p.name: ((p.effective() - initial[p.name]).norm() / initial[p.name].norm()).item() for p in trained}
    final_loss = batch_loss(forward, configuration, initial | {p.name: p.effective() for p in trained}, examples).item()
    first_loss = batch_loss(forward, configuration, initial, examples).item()
    matrices = [value for name, value in moved.items() if initial[name].dim() == 2]
    vectors = [value for name, value in moved.items() if initial[name].dim() == 1]
    print(
        f"{case}: loss {first_loss:.4f} -> {final_loss:.4f}, "
        f"relative change of matrices {min(matrices):.4f}-{max(matrices):.4f},"
        f" vectors {min(vectors):.5f}-{max(vectors):.5f}, rho {[round(s['rho'][0], 2) for s in steps]}"
    )
    print(f"  central differences at {FINE} against automatic differentiation: "
              f"largest relative error {max(errors):.1e}")
    assert max(errors) < 1e-6
    assert 0.003 < min(matrices) and max(matrices) < 0.2, "the weights should move visibly, and stay close"
    write_json(
        GOLDEN / f"subzero-{case}.json",
        {
            "settings": {**COMMON, **{k: v for k, v in settings.items() if k != "watched"}, "weight_decay": 0},
            "tensors": [{"name": name, "id": tensor_id(name), "shape": list(value.shape)}
                for name, value in initial.items()],
            "examples": examples,
            "factors_of": settings["watched"][1],
            "factors": factors,
            "steps": steps,
            "s": records,
            "loss_of_all_examples": {"before": first_loss, "after": final_loss},
            "relative_change": {name: rounded(value, 6) for name, value in moved.items()},
            "final": final,
        },
    )


def main():
    """Writes the cases named on the command line, or all."""
    check_known_answers()
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for case in sys.argv[1:] or CASES:
        trajectory(case, CASES[case])


if __name__ == "__main__":
    main()
