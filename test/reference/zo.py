"""Golden trajectories of the other optimisers in float64, written to test/fixtures/golden: MeZO (arXiv 2305.17333),
Sparse MeZO (2402.15751), HiZOO (2402.15173) and SubZero+ (2608.15665). Examples, losses and subspaces are those of
subzero.py.

Dense methods perturb every parameter by a direction d made from Gaussian z: d = z (MeZO); z where |w| <= h, 0 elsewhere
(Sparse MeZO); z / sqrt(H) (HiZOO). W <- W - lr wd W - lr mean_k(rho_k d_k). Every rho and every curvature is rounded to
float32 before it is used: a test that feeds the recorded values follows the same trajectory.
"""

import sys

import numpy as np
import torch
from fixture_io import GOLDEN, MODELS, rounded, write_json
from float64_models import FORWARD, check_against_transformers, load_parameters
from philox import PURPOSE_NOISE, check_known_answers, gaussians
from subzero import COMMON, FINE, RECORD_S_AFTER, SEED, Matrix, Vector, batch_loss, make_examples, summary, trains

CASES = {
    "mezo-llama": dict(model="llama-tiny", optimizer="mezo", queries=1, sides=2, learning_rate=1e-4),
    "mezo-opt-k3": dict(
        model="opt-tiny-f32", optimizer="mezo", queries=3, sides=1, learning_rate=2e-4, weight_decay=1.0
    ),
    "mezo-momentum-llama": dict(
        model="llama-tiny", optimizer="mezo", mezo_update="momentum", queries=2, sides=2, learning_rate=2e-4,
        adam_beta1=0.9,
        weight_decay=1.0,
    ),
    "mezo-adam-llama": dict(
        model="llama-tiny", optimizer="mezo", mezo_update="adam", queries=2, sides=2, learning_rate=3e-4,
        adam_beta1=0.9,
        adam_beta2=0.999, weight_decay=1.0,
    ),
    "mezo-frozen-opt": dict(
        model="opt-tiny-f32", optimizer="mezo", queries=2, sides=2, learning_rate=2e-4, weight_decay=1.0,
        parameters=["!*.v_proj.*", "!*embed*", "!*.layers.0.fc1.*", "!*final_layer_norm.weight", "*.embed_positions.*"],
    ),
    "sparse-mezo-llama": dict(
        model="llama-tiny", optimizer="sparse-mezo", queries=2, sides=2, learning_rate=3e-4, sparsity=0.75,
        weight_decay=1.0
    ),
    "hizoo-llama": dict(
        model="llama-tiny", optimizer="hizoo", queries=2, sides=2, learning_rate=2e-4, epsilon=1e-2,
        hessian_smoothing=1e-3
    ),
    "subzero-plus-llama": dict(
        model="llama-tiny", optimizer="subzero-plus", queries=5, sides=1, learning_rate=5e-3, norm_alignment=True,
        adam_beta1=0.9, adam_beta2=0.95, weight_decay=0.1,
        watched=["model.embed_tokens.weight", "model.layers.1.self_attn.k_proj.weight"],
    ),
}
DEFAULTS = dict(weight_decay=0.0)
ADAM_EPSILON = 1e-8


class Moments:
    """Running means of a gradient and of its square, corrected for their start at zero."""

    def __init__(self, settings):
        self.beta1, self.beta2 = settings["adam_beta1"], settings.get("adam_beta2", 0.0)
        self.adaptive = settings.get("mezo_update") != "momentum"
        self.start()

    def start(self):
        self.count, self.first, self.second = 0, 0.0, 0.0

    def direction(self, gradient):
        """The mean (momentum), or the mean over the root of the mean square (Adam)."""
        self.count += 1
        self.first = self.beta1 * self.first + (1 - self.beta1) * gradient
        self.second = self.beta2 * self.second + (1 - self.beta2) * gradient**2
        mean = self.first / (1 - self.beta1**self.count)
        if not self.adaptive:
            return mean
        return mean / ((self.second / (1 - self.beta2**self.count)).sqrt() + ADAM_EPSILON)


def f32(values):
    return [float(np.float32(value)) for value in values]


class Dense:
    """A parameter whose every element is perturbed and updated."""

    def __init__(self, name, value, settings):
        self.name, self.value, self.settings = name, value, settings
        self.curvature = torch.ones_like(value)  # H of HiZOO
        self.moments = Moments(settings) if "mezo_update" in settings else None
        if settings["optimizer"] == "sparse-mezo":
            trained = max(1, round(value.numel() * (1 - settings["sparsity"])))
            self.threshold = value.abs().reshape(-1).sort().values[trained - 1]

    def start_step(self, step):
        pass

    def noise(self, step, query):
        return torch.from_numpy(gaussians(self.value.numel(), SEED, self.name, PURPOSE_NOISE, step, query)).view_as(
            self.value)

    def direction(self, step, query):
        z = self.noise(step, query)
        if self.settings["optimizer"] == "sparse-mezo":
            return z * (self.value.abs() <= self.threshold)
        if self.settings["optimizer"] == "hizoo":
            return z / self.curvature.sqrt()
        return z

    def effective(self):
        return self.value

    def at(self, step, query, scale):
        return self.value + scale * self.direction(step, query) if scale else self.value

    def update(self, step, rho, curvatures):
        rate, queries = self.settings["learning_rate"], len(rho)
        gradient = sum(rho[k] * self.direction(step, k) for k in range(queries)) / queries
        decay = rate * self.settings["weight_decay"] * self.value if self.value.dim() == 2 else 0.0
        if self.settings["optimizer"] == "sparse-mezo" and self.value.dim() == 2:
            decay = decay * (self.value.abs() <= self.threshold)
        if self.moments:
            gradient = self.moments.direction(gradient)
        value = self.value - decay - rate * gradient
        if self.settings["optimizer"] == "hizoo":
            s = self.settings["hessian_smoothing"]
            seen = sum(curvatures[k] * self.noise(step, k) ** 2 for k in range(queries)) / queries
            self.curvature = (1 - s) * self.curvature + s * seen * self.curvature
        self.value = value


class Adam:
    """A SubZero+ parameter: S of a matrix, or a vector, moved by Adam along g = mean_k(rho_k z_k)."""

    def __init__(self, name, value, settings):
        self.settings, self.name = settings, name
        self.is_matrix = value.dim() == 2
        self.inner = Matrix(name, value, settings["norm_alignment"]) if self.is_matrix else Vector(name, value)
        # Adam's unit step along a coefficient of U V^T is 1/mu of it in S.
        self.unit = 1 / self.inner.mu if self.is_matrix else 1.0
        self.moments = Moments(settings)

    def start_step(self, step):
        if step % COMMON["refresh"] == 0:
            self.inner.start_period(step // COMMON["refresh"])
            if self.is_matrix:
                self.moments.start()

    def effective(self):
        return self.inner.effective()

    def at(self, step, query, scale):
        return self.inner.effective(scale * self.inner.noise(step, query)) if scale else self.inner.effective()

    def update(self, step, rho, _curvatures):
        rate = self.settings["learning_rate"]
        gradient = sum(value * self.inner.noise(step, k) for k, value in enumerate(rho)) / len(rho)
        if self.is_matrix:
            decay = 1 - rate * self.settings["weight_decay"]
            self.inner.weight, self.inner.s = decay * self.inner.weight, decay * self.inner.s
        self.inner.update(-rate * self.unit * self.moments.direction(gradient))


@torch.enable_grad()
def derivative_along(trained, step, query, loss_of):
    """The derivative of the loss along the direction of a query, by automatic differentiation."""
    at = {p.name: p.effective().clone().requires_grad_() for p in trained}
    gradients = torch.autograd.grad(loss_of(at), list(at.values()))
    directions = [p.at(step, query, 1.0) - p.effective() for p in trained]
    return sum((g * d).sum().item() for g, d in zip(gradients, directions))


@torch.no_grad()
def trajectory(case, own):
    settings = {**DEFAULTS, "epsilon": COMMON["epsilon"], **own}
    watched = settings.pop("watched", [])
    directory = MODELS / settings["model"]
    check_against_transformers(directory)
    configuration, initial = load_parameters(directory)
    forward = FORWARD[configuration["model_type"]]
    examples, batches = make_examples(configuration["vocab_size"], 7)
    kind = Adam if settings["optimizer"] == "subzero-plus" else Dense
    chosen = {name: tensor for name, tensor in initial.items() if trains(name, settings.get("parameters", []))}
    trained = [kind(name, tensor, settings) for name, tensor in chosen.items()]
    by_name = {parameter.name: parameter for parameter in trained}
    epsilon, queries, sides = (settings[name] for name in ("epsilon", "queries", "sides"))
    steps, records, errors = [], [], []

    for step in range(COMMON["steps"]):
        for parameter in trained:
            parameter.start_step(step)
        batch = [examples[i] for i in batches[step]]

        def loss_of(at):
            return batch_loss(forward, configuration, initial | at, batch)

        def loss_at(query, scale):
            return loss_of({p.name: p.at(step, query, scale) for p in trained}).item()

        centred = sides == 1 or settings["optimizer"] == "hizoo"
        losses = [loss_at(0, 0)] if centred else []
        for query in range(queries):
            losses += [loss_at(query, sign * epsilon) for sign in ((1, -1) if sides == 2 else (1,))]
        points = losses[centred:]
        if sides == 2:
            rho = f32((points[2 * k] - points[2 * k + 1]) / (2 * epsilon) for k in range(queries))
        else:
            rho = f32((points[k] - losses[0]) / epsilon for k in range(queries))
        record = {"step": step, "batch": batches[step], "losses": losses, "rho": rho}
        curvatures = []
        if settings["optimizer"] == "hizoo":
            curvatures = f32(
                abs(points[2 * k] + points[2 * k + 1] - 2 * losses[0]) / (2 * epsilon**2) for k in range(queries)
            )
            record["curvatures"] = curvatures
        if step < 3:
            for query in range(queries):
                fine = (loss_at(query, FINE) - loss_at(query, -FINE)) / (2 * FINE)
                derivative = derivative_along(trained, step, query, loss_of)
                errors.append(abs(fine - derivative) / (1 + abs(derivative)))
        steps.append(record)
        for parameter in trained:
            parameter.update(step, rho, curvatures)
        if watched and step + 1 in RECORD_S_AFTER:
            records.append({"after": step + 1, "s": {name: rounded(by_name[name].inner.s, 10) for name in watched}})

    final = {p.name: summary(p.effective()) for p in trained}
    moved = {p.name: ((p.effective() - initial[p.name]).norm() / initial[p.name].norm()).item() for p in trained}
    first_loss = batch_loss(forward, configuration, initial, examples).item()
    final_loss = batch_loss(forward, configuration, initial | {p.name: p.effective() for p in trained}, examples).item()
    matrices = [value for name, value in moved.items() if initial[name].dim() == 2]
    print(
        f"{case}: loss {first_loss:.4f} -> {final_loss:.4f}, "
        f"relative change of matrices {min(matrices):.4f}-{max(matrices):.4f},"
        f" rho {[round(s['rho'][0], 2) for s in steps]}"
    )
    print(f"  central differences at {FINE} against automatic differentiation: "
              f"largest relative error {max(errors):.1e}")
    assert max(errors) < 1e-6
    assert 0.003 < min(matrices) and max(matrices) < 0.3, "the weights should move visibly, and stay close"
    golden = {
        "settings": {**{k: v for k, v in COMMON.items() if k not in settings}, **settings},
        "examples": examples,
        "steps": steps,
        "loss_of_all_examples": {"before": first_loss, "after": final_loss},
        "final": final,
    }
    if watched:
        golden["s"] = records
    if settings["optimizer"] == "sparse-mezo":
        golden["thresholds"] = {p.name: p.threshold.item() for p in trained}
    if settings["optimizer"] == "hizoo":
        golden["curvature"] = {p.name: summary(p.curvature) for p in trained}
        spread = torch.cat([p.curvature.reshape(-1) for p in trained])
        print(f"  H from {spread.min():.3f} to {spread.max():.3f}")
    write_json(GOLDEN / f"zo-{case}.json", golden)


def main():
    """Writes the cases named on the command line, or all."""
    check_known_answers()
    for case in sys.argv[1:] or CASES:
        trajectory(case, CASES[case])


if __name__ == "__main__":
    main()
