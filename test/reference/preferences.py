"""Golden trajectories of SubZero on preferences in float64, written to test/fixtures/golden/preferences.json: DPO
(arXiv 2305.18290, with the label smoothing of cDPO), IPO (2310.12036) and ORPO (2403.07691), with and without an anchor
to the base. Losses are written as TRL writes them, with functions of PyTorch; the step is that of subzero.py, with
folds in between, so that the reference of the losses is older than the weights that are stored.

Every rho is rounded to float32 before it is used: a test that feeds the recorded values follows the same trajectory.
"""

import numpy as np
import torch
import torch.nn.functional as F
from fixture_io import GOLDEN, MODELS, write_json
from float64_models import FORWARD, check_against_transformers, load_parameters
from philox import check_known_answers
from subzero import FINE, SEED, Matrix, Vector, directional_derivative

MODEL = "llama-tiny"
STEPS, REFRESH, EPSILON, BATCH = 20, 8, 1e-3, 4

CASES = {
    "dpo": dict(objective="dpo", beta=0.5, label_smoothing=0.0, anchor=0.0, learning_rate=2e-4),
    "dpo-anchor": dict(objective="dpo", beta=2.0, label_smoothing=0.1, anchor=0.3, learning_rate=1e-4),
    "ipo": dict(objective="ipo", beta=0.2, label_smoothing=0.0, anchor=0.0, learning_rate=1e-4),
    "orpo": dict(objective="orpo", beta=0.7, label_smoothing=0.0, anchor=0.2, learning_rate=2e-4),
}


def make_examples(vocabulary):
    generator = np.random.default_rng(11)

    def draw(low, high):
        return generator.integers(4, vocabulary, size=generator.integers(low, high + 1)).tolist()

    examples = [{"prompt": draw(2, 7), "chosen": draw(1, 5), "rejected": draw(1, 5)} for _ in range(8)]
    return examples, [generator.integers(8, size=BATCH).tolist() for _ in range(STEPS)]


def token_logps(forward, configuration, parameters, prompt, answer):
    logprobs = forward(configuration, parameters, prompt + answer).log_softmax(-1)
    start = len(prompt) - 1
    return torch.stack([logprobs[start + i, token] for i, token in enumerate(answer)])


def sides(forward, configuration, parameters, example):
    return [token_logps(forward, configuration, parameters, example["prompt"], example[side])
        for side in ("chosen", "rejected")]


def preference_loss(settings, policy, reference):
    """Loss and margin of rewards of one example, by the formulas of TRL's trainers."""
    beta, smoothing = settings["beta"], settings["label_smoothing"]
    if settings["objective"] == "orpo":
        chosen, rejected = (logps.mean() for logps in policy)
        log_odds = (chosen - rejected) - (torch.log1p(-torch.exp(chosen)) - torch.log1p(-torch.exp(rejected)))
        return -chosen - beta * F.logsigmoid(log_odds), beta * (chosen - rejected)
    reduce = torch.mean if settings["objective"] == "ipo" else torch.sum
    chosen, rejected, ref_chosen, ref_rejected = (reduce(logps) for logps in (*policy, *reference))
    logits = (chosen - rejected) - (ref_chosen - ref_rejected)
    margin = beta * (chosen - ref_chosen) - beta * (rejected - ref_rejected)
    if settings["objective"] == "ipo":
        return (logits - 1 / (2 * beta)) ** 2, margin
    return -F.logsigmoid(beta * logits) * (1 - smoothing) - F.logsigmoid(-beta * logits) * smoothing, margin


def batch_measures(settings, forward, configuration, parameters, batch):
    """Loss, mean margin, share of margins above zero, and mean drift per token."""
    losses, margins, drifts, tokens = [], [], [], 0
    for example, reference in batch:
        policy = sides(forward, configuration, parameters, example)
        loss, margin = preference_loss(settings, policy, reference)
        squares = torch.cat([(own - its) ** 2 / 2 for own, its in zip(policy, reference)])
        losses.append(loss + settings["anchor"] * squares.mean())
        margins.append(margin)
        drifts.append(squares.sum())
        tokens += squares.numel()
    margins = torch.stack(margins)
    return torch.stack(losses).mean(), margins.mean(), (margins > 0).double().mean(), torch.stack(drifts).sum() / tokens


@torch.no_grad()
def trajectory(settings):
    directory = MODELS / MODEL
    configuration, initial = load_parameters(directory)
    forward = FORWARD[configuration["model_type"]]
    examples, batches = make_examples(configuration["vocab_size"])
    pairs = [(example, sides(forward, configuration, initial, example)) for example in examples]
    trained = [Matrix(n, t, True) if t.dim() == 2 else Vector(n, t) for n, t in initial.items()]
    steps, errors = [], []
    for step in range(STEPS):
        if step % REFRESH == 0:
            for parameter in trained:
                parameter.start_period(step // REFRESH)
        batch = [pairs[index] for index in batches[step]]

        def measures_at(scale):
            at = {p.name: p.effective(scale * p.noise(step, 0)) for p in trained}
            return [value.item() for value in batch_measures(settings, forward, configuration, at, batch)]

        def loss_of(at):
            return batch_measures(settings, forward, configuration, initial | at, batch)[0]

        plus, minus = measures_at(EPSILON), measures_at(-EPSILON)
        derivative = directional_derivative(trained, step, 0, loss_of)
        fine = (measures_at(FINE)[0] - measures_at(-FINE)[0]) / (2 * FINE)
        errors.append(abs(fine - derivative) / (1 + abs(derivative)))
        rho = float(np.float32((plus[0] - minus[0]) / (2 * EPSILON)))
        steps.append({"batch": batches[step], "losses": [plus[0], minus[0]], "rho": rho,
            "margin": (plus[1] + minus[1]) / 2,
                      "accuracy": (plus[2] + minus[2]) / 2, "drift": (plus[3] + minus[3]) / 2})
        for parameter in trained:
            parameter.update(-settings["learning_rate"] * rho * parameter.noise(step, 0))
    at = {p.name: p.effective() for p in trained}
    names = ("loss", "margin", "accuracy", "drift")
    values = batch_measures(settings, forward, configuration, at, pairs)
    final = dict(zip(names, (value.item() for value in values)))
    before = batch_measures(settings, forward, configuration, initial, pairs)
    print(f"{settings}: loss {before[0]:.4f} -> {final['loss']:.4f}, "
          f"margin {before[1]:.4f} -> {final['margin']:.4f}, drift"
          f" {final['drift']:.4f}; finite differences against automatic differentiation {max(errors):.1e}")
    assert max(errors) < 1e-5
    return examples, {"settings": settings, "steps": steps, "final": final}


def main():
    check_known_answers()
    check_against_transformers(MODELS / MODEL)
    results = {name: trajectory(settings) for name, settings in CASES.items()}
    examples = next(iter(results.values()))[0]
    write_json(
        GOLDEN / "preferences.json",
        {
            "model": MODEL, "seed": SEED, "rank": 4, "refresh": REFRESH, "epsilon": EPSILON, "examples": examples,
            "cases": {name: result for name, (_, result) in results.items()},
        },
    )


if __name__ == "__main__":
    main()
