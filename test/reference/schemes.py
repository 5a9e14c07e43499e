"""Golden trajectories of LoRA, prompt and prefix tuning under every optimiser, in float64, written to
test/fixtures/golden.

The model's own parameters stay as they are. LoRA: W + (alpha / r) B A. Prompt: rows in front of the token embeddings,
which start as those of seeded tokens. Prefix: keys and values that every token sees in every layer, which start as
those of seeded tokens; the tokens' positions follow them. SubZero and SubZero+ see each tensor as the most-square
matrix a x b, a <= b, of as many elements. 50 steps, renewals before steps 20 and 40.

A file per scheme; every rho and every curvature is rounded to float32 before it is used, as in zo.py.
"""

import sys

import numpy as np
import torch
from fixture_io import GOLDEN, MODELS, rounded, write_json
from float64_models import FORWARD, Added, check_against_transformers, load_parameters
from philox import check_known_answers, uniforms
from subzero import COMMON, SEED, Matrix, batch_loss, make_examples, summary
from zo import Adam, Dense, f32

COMMON.update(steps=50, refresh=20)
WATCHED = 2  # tensors of which the end is kept
LLAMA, OPT = "llama-tiny", "opt-tiny-f32"
OPTIMIZERS = {
    "subzero": dict(model=LLAMA, queries=1, sides=2, norm_alignment=True, weight_decay=0.5),
    "subzero-plus": dict(model=OPT, queries=3, sides=1, norm_alignment=True, adam_beta1=0.9, adam_beta2=0.95,
    weight_decay=0.1),
    "mezo": dict(model=OPT, queries=1, sides=2, weight_decay=0.5),
    "sparse-mezo": dict(model=LLAMA, queries=2, sides=1, sparsity=0.6, weight_decay=0.5),
    "hizoo": dict(model=LLAMA, queries=1, sides=2, hessian_smoothing=1e-3),
}
SCHEMES = {
    "lora": dict(
        common=dict(lora_rank=4, lora_alpha=6, epsilon=1e-2),
        targets={LLAMA: ["q_proj", "v_proj", "down_proj"], OPT: ["k_proj", "fc1"]},
        rates={"subzero": 3e-3, "subzero-plus": 1e-2, "mezo": 1e-3, "sparse-mezo": 3e-3, "hizoo": 3e-3},
    ),
    "prompt": dict(
        common=dict(virtual_tokens=3, epsilon=1e-2),
        rates={"subzero": 1e-3, "subzero-plus": 1e-2, "mezo": 1e-3, "sparse-mezo": 1e-3, "hizoo": 1e-3},
    ),
    "prefix": dict(
        common=dict(virtual_tokens=4, epsilon=3e-2),
        rates={"subzero": 1e-2, "subzero-plus": 1e-2, "mezo": 1e-2, "sparse-mezo": 1e-2, "hizoo": 1e-2},
    ),
}


def tensor32(values):
    return torch.from_numpy(np.asarray(values, dtype=np.float32).astype(np.float64))


def start_tokens(count, vocabulary):
    return [int(u * vocabulary) for u in uniforms(count, SEED, "virtual tokens")]


class Lora:
    def __init__(self, settings, configuration, initial, targets):
        self.scale = settings["lora_alpha"] / settings["lora_rank"]
        weights = [name for name, value in initial.items() if value.dim() == 2]
        self.modules = [name.removesuffix(".weight") for name in weights if name.split(".")[-2] in targets]
        self.tensors = {}
        for module in self.modules:
            rows, columns = initial[f"{module}.weight"].shape
            rank, a = settings["lora_rank"], f"{module}.lora_A.weight"
            start = uniforms(rank * columns, SEED, a).reshape(rank, columns)
            self.tensors[a] = tensor32((2 * start - 1) / columns**0.5)
            self.tensors[f"{module}.lora_B.weight"] = torch.zeros(rows, rank)

    def logits(self, forward, configuration, initial, at, ids):
        changed = {
            f"{module}.weight": initial[f"{module}.weight"]
            + self.scale * at[f"{module}.lora_B.weight"] @ at[f"{module}.lora_A.weight"]
            for module in self.modules
        }
        return forward(configuration, initial | changed, ids)


class Prompt:
    def __init__(self, settings, configuration, initial, _targets):
        embedding = next(value for name, value in initial.items() if "embed_tokens" in name)
        ids = start_tokens(settings["virtual_tokens"], configuration["vocab_size"])
        self.tensors = {"prompt_embeddings": embedding[ids].clone()}

    def logits(self, forward, configuration, initial, at, ids):
        return forward(configuration, initial, ids, Added(prompt=at["prompt_embeddings"]))


class Prefix:
    def __init__(self, settings, configuration, initial, _targets):
        ids, cache = start_tokens(settings["virtual_tokens"], configuration["vocab_size"]), []
        FORWARD[configuration["model_type"]](configuration, initial, ids, cache=cache)
        self.tensors = {
            f"prefix.{layer}.{kind}": tensor32(values)
            for layer, pair in enumerate(cache)
            for kind, values in zip(("keys", "values"), pair)
        }

    def logits(self, forward, configuration, initial, at, ids):
        layers = configuration["num_hidden_layers"]
        prefix = [(at[f"prefix.{layer}.keys"], at[f"prefix.{layer}.values"]) for layer in range(layers)]
        return forward(configuration, initial, ids, Added(prefix=prefix))


KINDS = {"lora": Lora, "prompt": Prompt, "prefix": Prefix}


class DenseTensor(Dense):
    def __init__(self, name, value, settings):
        super().__init__(name, value, settings)
        # A tensor that starts at zero has no large values to leave alone.
        if settings["optimizer"] == "sparse-mezo" and self.threshold == 0:
            self.threshold = torch.tensor(torch.inf)


class SubZeroMatrix:
    """A matrix under SubZero with decoupled weight decay."""

    def __init__(self, name, value, settings):
        self.inner, self.settings = Matrix(name, value, settings["norm_alignment"]), settings

    def start_step(self, step):
        if step % COMMON["refresh"] == 0:
            self.inner.start_period(step // COMMON["refresh"])

    def effective(self):
        return self.inner.effective()

    def at(self, step, query, scale):
        return self.inner.effective(scale * self.inner.noise(step, query))

    def update(self, step, rho, _curvatures):
        rate = self.settings["learning_rate"]
        decay = 1 - rate * self.settings["weight_decay"]
        self.inner.weight, self.inner.s = decay * self.inner.weight, decay * self.inner.s
        self.inner.update(-rate * sum(value * self.inner.noise(step, k) for k, value in enumerate(rho)) / len(rho))


class Reshaped:
    """A tensor that an optimiser sees as its most-square matrix."""

    def __init__(self, kind, name, value, settings):
        count = value.numel()
        rows = max(a for a in range(1, int(count**0.5) + 1) if count % a == 0)
        self.shape, self.inner = value.shape, kind(name, value.reshape(rows, -1), settings)
        self.start_step, self.update = self.inner.start_step, self.inner.update

    def effective(self):
        return self.inner.effective().reshape(self.shape)

    def at(self, step, query, scale):
        return self.inner.at(step, query, scale).reshape(self.shape)


def trained_of(name, value, settings):
    factored = {"subzero": SubZeroMatrix, "subzero-plus": Adam}.get(settings["optimizer"])
    return Reshaped(factored, name, value, settings) if factored else DenseTensor(name, value, settings)


@torch.no_grad()
def trajectory(scheme, settings, examples, batches):
    configuration, initial = load_parameters(MODELS / settings["model"])
    check_against_transformers(MODELS / settings["model"])
    forward = FORWARD[configuration["model_type"]]
    added = KINDS[scheme](settings, configuration, initial, settings.get("lora_targets"))
    trained = {name: trained_of(name, value, settings) for name, value in added.tensors.items()}
    epsilon, queries, sides = (settings[name] for name in ("epsilon", "queries", "sides"))

    def loss_of(at, batch):
        def logits(configuration, parameters, ids):
            return added.logits(forward, configuration, parameters, at, ids)

        return batch_loss(logits, configuration, initial, batch).item()

    def now():
        return {name: parameter.effective() for name, parameter in trained.items()}

    all_losses, all_rho, all_curvatures = [], [], []
    for step in range(COMMON["steps"]):
        for parameter in trained.values():
            parameter.start_step(step)
        batch = [examples[i] for i in batches[step]]

        def loss_at(query, scale):
            return loss_of({name: p.at(step, query, scale) if scale else p.effective() for name, p in trained.items()},
                batch)

        centred = sides == 1 or settings["optimizer"] == "hizoo"
        losses = [loss_at(0, 0)] if centred else []
        for query in range(queries):
            losses += [loss_at(query, sign * epsilon) for sign in ((1, -1) if sides == 2 else (1,))]
        points = losses[centred:]
        if sides == 2:
            rho = f32((points[2 * k] - points[2 * k + 1]) / (2 * epsilon) for k in range(queries))
        else:
            rho = f32((points[k] - losses[0]) / epsilon for k in range(queries))
        curvatures = []
        if settings["optimizer"] == "hizoo":
            curvatures = f32(abs(points[2 * k] + points[2 * k + 1] - 2 * losses[0]) / (2 * epsilon**2)
                for k in range(queries))
        all_losses.append(rounded(losses, 9))
        all_rho.append(rho)
        all_curvatures.append(curvatures)
        for parameter in trained.values():
            parameter.update(step, rho, curvatures)

    final = now()
    before, after = loss_of(added.tensors, examples), loss_of(final, examples)
    moved = [((final[name] - start).norm() / final[name].norm()).item() for name, start in added.tensors.items()]
    print(f"{scheme} {settings['optimizer']}: loss {before:.4f} -> {after:.4f}, "
          f"change of a tensor {min(moved):.3f}-{max(moved):.3f}")
    assert min(moved) > 0.005 and max(moved) <= 1, "tensors should move visibly"
    names = list(final)
    return {
        "settings": settings,
        "losses": all_losses,
        "rho": rounded(all_rho, 9),
        **({"curvatures": rounded(all_curvatures, 9)} if settings["optimizer"] == "hizoo" else {}),
        "loss_of_all_examples": {"before": before, "after": after},
        "final": {name: summary(final[name]) for name in (names[0], names[-1])},
    }


def main():
    check_known_answers()
    examples, batches = make_examples(160, 7)
    for scheme in sys.argv[1:] or SCHEMES:
        own = SCHEMES[scheme]
        runs = {}
        for optimizer, settings in OPTIMIZERS.items():
            targets = {"lora_targets": own["targets"][settings["model"]]} if "targets" in own else {}
            settings = {**COMMON, **own["common"], **targets, "weight_decay": 0.0, **settings}
            settings |= {"optimizer": optimizer, "scheme": scheme, "learning_rate": own["rates"][optimizer]}
            runs[optimizer] = trajectory(scheme, settings, examples, batches)
        write_json(GOLDEN / f"scheme-{scheme}.json", {"examples": examples, "batches": batches, **runs})


if __name__ == "__main__":
    main()
