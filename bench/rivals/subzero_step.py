"""A SubZero step as PyTorch's eager loops make it, for `npm run bench -- rivals`: the weights are moved in place.

W += e U Z V', a forward pass, W -= 2e U Z V', a forward pass, and W += (e - lr rho) U Z V', each with the product made
anew; 1-D parameters alike with a dense Z. Needs torch and transformers.

Reads JSON lines: first {"model", "rows": [{"prompt": ids, "options": [ids of one token], "label"}], "rank", "epsilon",
"learningRate", "threads"}, answered by {"loss", "torch", "transformers", "threads"}; then a step for every line,
answered by {"seconds", "processorSeconds"}.
"""

import json
import math
import sys
import time

import torch
import transformers


def main():
    request = json.loads(sys.stdin.readline())
    torch.set_num_threads(request["threads"])
    transformers.utils.logging.disable_progress_bar()
    generator = torch.Generator().manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_pretrained(request["model"], dtype=torch.float32).eval()
    parameters = list(model.parameters())
    rank, epsilon, learning_rate = request["rank"], request["epsilon"], request["learningRate"]
    rows = request["rows"]
    width = max(len(row["prompt"]) for row in rows)
    # Padding stands behind the prompt, where a causal model never sees it.
    ids = torch.tensor([row["prompt"] + [0] * (width - len(row["prompt"])) for row in rows])
    last = torch.tensor([len(row["prompt"]) - 1 for row in rows])
    options = torch.tensor([row["options"] for row in rows])
    labels = torch.tensor([row["label"] for row in rows])

    def orthonormal(size):
        return torch.linalg.qr(torch.randn(size, rank, generator=generator))[0]

    factors = [(orthonormal(p.shape[0]), orthonormal(p.shape[1])) if p.dim() == 2 else None for p in parameters]

    def loss():
        hidden = model.model(ids).last_hidden_state[torch.arange(len(rows)), last]
        scores = torch.log_softmax(model.lm_head(hidden), -1).gather(1, options)
        return torch.nn.functional.cross_entropy(scores, labels).item()

    def move(noise, distance):
        for parameter, uv, z in zip(parameters, factors, noise):
            if uv is None:
                parameter.add_(z, alpha=distance)
            else:
                scale = math.sqrt(parameter.numel()) / rank
                parameter.add_(uv[0] @ z @ uv[1].T, alpha=distance * scale)

    def step():
        shapes = [p.shape if uv is None else (rank, rank) for p, uv in zip(parameters, factors)]
        noise = [torch.randn(*shape, generator=generator) for shape in shapes]
        move(noise, epsilon)
        plus = loss()
        move(noise, -2 * epsilon)
        rho = (plus - loss()) / (2 * epsilon)
        move(noise, epsilon - learning_rate * rho)

    def answer(values):
        print(json.dumps(values), flush=True)

    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    answer({"loss": loss(), **versions, "threads": torch.get_num_threads()})
    for _ in sys.stdin:
        started, processor = time.perf_counter(), time.process_time()
        step()
        answer({"seconds": time.perf_counter() - started, "processorSeconds": time.process_time() - processor})


if __name__ == "__main__":
    with torch.no_grad():
        main()
