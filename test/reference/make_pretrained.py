"""Reference values of the two real models: TinyStories-656K (copied into the fixtures) and examples/reviews-3m.

usage: make_pretrained.py --tinystories MODEL_DIRECTORY --stories STORIES.json
  MODEL_DIRECTORY  the Hugging Face files of raincandy-u/TinyStories-656K (bf16)
  STORIES.json     a JSON list of TinyStories texts, the first three are used

Arithmetic is float32 on the stored weights (transformers); token ids come from the `tokenizers` library.
"""

import argparse
import json
import pathlib
import shutil

import torch
import transformers
from fixture_io import GOLDEN, MODELS, rounded, write_json
from tokenizers import Tokenizer

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"
ARITHMETIC = f"transformers {transformers.__version__}, float32 arithmetic on the stored weights"


def load(directory):
    model = transformers.LlamaForCausalLM.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager")
    return model.eval(), Tokenizer.from_file(str(directory / "tokenizer.json"))


@torch.no_grad()
def logits_of(model, ids):
    return model(torch.tensor([ids])).logits[0]


def mean_nll(model, ids):
    return torch.nn.functional.cross_entropy(logits_of(model, ids)[:-1], torch.tensor(ids[1:])).item()


def greedy(model, ids, count):
    """Argmax continuation with the smallest gap between the best two logits (how safe the argmax is in f32)."""
    ids, gap = list(ids), float("inf")
    for _ in range(count):
        best = logits_of(model, ids)[-1].topk(2)
        gap = min(gap, (best.values[0] - best.values[1]).item())
        ids.append(best.indices[0].item())
    return ids[-count:], gap


def tinystories(source, stories):
    directory = MODELS / "tinystories-656k"
    directory.mkdir(parents=True, exist_ok=True)
    for file in sorted(source.iterdir()):
        if file.is_file():
            shutil.copyfile(file, directory / file.name)
    model, tokenizer = load(directory)
    prompts = []
    for text in ("Once upon a time, there was a little boy named Tim. Tim",
        "One day, Lily went to the park with her mom and"):
        ids = tokenizer.encode(text).ids
        logits = logits_of(model, ids)
        continuation, gap = greedy(model, ids, 24)
        assert model.config.eos_token_id not in continuation, "a server would stop here; choose another prompt"
        prompts.append(
            {
                "text": text,
                "ids": ids,
                "last_logits_first64": rounded(logits[-1][:64]),
                "last_logits_norm": rounded(logits[-1].double().norm(), 9),
                "last_top5": [[i.item(), rounded(v)] for v, i in zip(*logits[-1].topk(5))],
                "mean_nll": rounded(mean_nll(model, ids), 9),
                "greedy24": continuation,
                "greedy24_text": tokenizer.decode(continuation),
                "greedy24_smallest_gap": rounded(gap, 3),
            }
        )
        print(f"{text!r} -> {tokenizer.decode(continuation)!r}, smallest gap {gap:.4f}")
    rows = []
    for text in stories[:3]:
        ids = tokenizer.encode(text).ids
        assert len(ids) <= model.config.max_position_embeddings, f"{len(ids)} tokens"
        rows.append({"ids": ids, "text": text, "mean_nll": rounded(mean_nll(model, ids), 9)})
        print(f"story of {len(ids)} tokens: {rows[-1]['mean_nll']} nats per token")
    write_json(directory / "logits.json", {"arithmetic": ARITHMETIC, "prompts": prompts, "stories": rows})


def option_logprobs(model, prompt_ids, option_ids):
    logprobs = logits_of(model, prompt_ids + option_ids).log_softmax(-1)
    start = len(prompt_ids) - 1
    return [logprobs[start + i, token].item() for i, token in enumerate(option_ids)]


def reviews():
    directory = EXAMPLES / "reviews-3m"
    model, tokenizer = load(directory)
    options = [" terrible", " great"]
    rows, correct, loss = [], 0, 0.0
    lines = (EXAMPLES / "sst2" / "dev.jsonl").read_text().splitlines()
    for index, line in enumerate(lines):
        example = json.loads(line)
        prompt = f"{example['sentence']} It was"
        prompt_ids = tokenizer.encode(prompt).ids
        option_ids = []
        for option in options:
            ids = tokenizer.encode(prompt + option).ids
            assert ids[: len(prompt_ids)] == prompt_ids
            option_ids.append(ids[len(prompt_ids) :])
        logprobs = [option_logprobs(model, prompt_ids, ids) for ids in option_ids]
        scores = torch.tensor([sum(values) / len(values) for values in logprobs], dtype=torch.float64)
        cross_entropy = -scores.log_softmax(0)[example["label"]].item()
        correct += int(scores.argmax().item() == example["label"])
        loss += cross_entropy
        if index < 8:
            rows.append(
                {
                    **example,
                    "prompt": prompt,
                    "prompt_ids": prompt_ids,
                    "option_ids": option_ids,
                    "option_token_logprobs": rounded(logprobs),
                    "loss": rounded(cross_entropy, 7),
                }
            )
    accuracy, loss = correct / len(lines), loss / len(lines)
    print(f"reviews-3m zero-shot on {len(lines)} rows: accuracy {accuracy:.4f} loss {loss:.4f}")
    published = {"accuracy": 0.6686, "loss": 0.5956}  # the model's own documentation (PyTorch 1.13)
    assert round(accuracy, 4) == published["accuracy"] and abs(loss - published["loss"]) < 1e-4
    write_json(
        GOLDEN / "reviews-3m.json",
        {
            "arithmetic": ARITHMETIC,
            "reference": json.loads((directory / "reference.json").read_text()),
            "options": options,
            "sst2_dev_first8": rows,
            "sst2_dev_zero_shot": {"rows": len(lines), **published, "loss_unrounded": rounded(loss, 8),
            "correct": correct},
        },
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tinystories", type=pathlib.Path, required=True)
    parser.add_argument("--stories", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    GOLDEN.mkdir(parents=True, exist_ok=True)
    tinystories(arguments.tinystories, json.loads(arguments.stories.read_text()))
    reviews()


if __name__ == "__main__":
    main()
