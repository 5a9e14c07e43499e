"""The demo's run in PyTorch: SubZero on all parameters of examples/reviews-3m, SST-2, with PyTorch's own random
numbers.

The same method and settings as `npm run bench -- sst2`, independent code and other random numbers, so the two are
compared as distributions over seeds. Needs torch, transformers and tokenizers.

    python test/reference/sst2.py [seeds, default 3] [first seed, default 0]
"""

import json
import math
import pathlib
import sys

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

ROOT = pathlib.Path(__file__).resolve().parents[2]
LEARNING_RATE, EPSILON, RANK, REFRESH, BATCH, STEPS = 5e-5, 1e-3, 8, 100, 16, 300


def read(name, tokenizer):
    rows = [json.loads(line) for line in open(ROOT / "examples/sst2" / name, encoding="utf8")]
    prompts = [tokenizer.encode(row["sentence"] + " It was", add_special_tokens=False).ids for row in rows]
    return [[0] + ids for ids in prompts], [row["label"] for row in rows]


@torch.no_grad()
def scores(model, prompts, options):
    """Log-probabilities of the two options after each prompt, padded on the right (causal: padding is never seen)."""
    width = max(map(len, prompts))
    ids = torch.tensor([prompt + [1] * (width - len(prompt)) for prompt in prompts])
    last = torch.tensor([len(prompt) - 1 for prompt in prompts])
    hidden = model.model(ids).last_hidden_state[torch.arange(len(prompts)), last]
    return torch.log_softmax(model.lm_head(hidden), -1)[:, options]


def loss(model, prompts, labels, options):
    return torch.nn.functional.cross_entropy(scores(model, prompts, options), torch.tensor(labels)).item()


def evaluate(model, prompts, labels, options):
    parts = [scores(model, prompts[i : i + 64], options) for i in range(0, len(prompts), 64)]
    logits = torch.cat(parts)
    target = torch.tensor(labels)
    return (logits.argmax(-1) == target).float().mean().item(), torch.nn.functional.cross_entropy(logits, target).item()


@torch.no_grad()
def train(seed, data, dev, options):
    model = LlamaForCausalLM.from_pretrained(ROOT / "examples/reviews-3m", torch_dtype=torch.float32).eval()
    generator = torch.Generator().manual_seed(seed)
    normal = lambda *shape: torch.randn(*shape, generator=generator)
    parameters = [p for p in model.parameters()]  # a tied head is there once
    factors = {}
    for step in range(STEPS):
        if step % REFRESH == 0:
            factors = {
                i: (torch.linalg.qr(normal(p.shape[0], RANK))[0], torch.linalg.qr(normal(p.shape[1], RANK))[0])
                for i, p in enumerate(parameters)
                if p.dim() == 2
            }
        rows = torch.randint(len(data[0]), (BATCH,), generator=generator).tolist()
        prompts, labels = [data[0][i] for i in rows], [data[1][i] for i in rows]
        noise = []
        for i, p in enumerate(parameters):
            if p.dim() == 2:
                u, v = factors[i]
                noise.append(math.sqrt(p.numel()) / RANK * (u @ normal(RANK, RANK) @ v.T))
            else:
                noise.append(normal(*p.shape))
        saved = [p.clone() for p in parameters]
        losses = []
        for sign in (1, -1):
            for p, base, z in zip(parameters, saved, noise):
                p.copy_(base + sign * EPSILON * z)
            losses.append(loss(model, prompts, labels, options))
        rho = (losses[0] - losses[1]) / (2 * EPSILON)
        for p, base, z in zip(parameters, saved, noise):
            p.copy_(base - LEARNING_RATE * rho * z)
    return evaluate(model, *dev, options)


def main():
    tokenizer = Tokenizer.from_file(str(ROOT / "examples/reviews-3m/tokenizer.json"))
    options = [tokenizer.encode(f" {word}", add_special_tokens=False).ids[0] for word in ("terrible", "great")]
    data, dev = read("train.jsonl", tokenizer), read("dev.jsonl", tokenizer)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    results = []
    for seed in range(first, first + count):
        results.append(train(seed, data, dev, options))
        print(f"seed {seed}: dev accuracy {results[-1][0]:.4f}, loss {results[-1][1]:.4f}", flush=True)
    accuracies = torch.tensor([accuracy for accuracy, _ in results])
    error = accuracies.std() / math.sqrt(count) if count > 1 else float("nan")
    print(f"mean {accuracies.mean():.4f} ± {error:.4f}, loss {sum(l for _, l in results) / count:.4f}")


if __name__ == "__main__":
    main()
