"""Log-probabilities of every token of a text, with the five most likely ones, by the two real models:
golden/prompt-logprobs.json.

Arithmetic is float64 on the stored weights (transformers keeps RoPE, RMSNorm and softmax in float32); token ids come
from the `tokenizers` library.
"""

import torch
import transformers
from fixture_io import GOLDEN, MODELS, rounded, write_json
from make_pretrained import EXAMPLES
from tokenizers import Tokenizer

TEXTS = {
    "tinystories-656k": (MODELS,
    "One day, Lily went to the park with her mom. She saw a big red ball and said, \"Can I play?\""),
    "reviews-3m": (EXAMPLES, "The film was a ☃ of a naïve comedy, and I liked it . It was great"),
}


@torch.no_grad()
def scores(directory, text):
    model = transformers.LlamaForCausalLM.from_pretrained(directory, dtype=torch.float64,
        attn_implementation="eager").eval()
    ids = Tokenizer.from_file(str(directory / "tokenizer.json")).encode(text).ids
    if ids[0] != model.config.bos_token_id:
        ids = [model.config.bos_token_id, *ids]
    rows = model(torch.tensor([ids])).logits[0, :-1].double().log_softmax(-1)
    top = rows.topk(5)
    return {
        "text": text,
        "ids": ids,
        "logprobs": rounded(rows.gather(1, torch.tensor(ids[1:])[:, None])[:, 0]),
        "top5": [[[i, rounded(v)] for i, v in zip(*pair)] for pair in zip(top.indices.tolist(), top.values)],
    }


if __name__ == "__main__":
    models = {name: scores(parent / name, text) for name, (parent, text) in TEXTS.items()}
    arithmetic = f"transformers {transformers.__version__}, float64 weights; RoPE, RMSNorm and softmax in float32"
    write_json(GOLDEN / "prompt-logprobs.json", {"arithmetic": arithmetic, **models})
