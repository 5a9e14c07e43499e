"""The loss of conversations with several learnt turns, by a mask of labels as trainers make it:
golden/conversations.json.

The model is examples/reviews-3m; the texts are written out here as its chat template writes them, without rendering.

    python conversations.py
"""

import json
import pathlib

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

root = pathlib.Path(__file__).parent.parent.parent
folder = root / "examples" / "reviews-3m"
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

rows = [
    [("user", "was the film good ?", None), ("assistant", " it was great .", 1), ("user", "and the end ?", None),
     ("assistant", " it was dull .", 1)],
    [("system", "talk of films .", None), ("user", "who is in it ?", None), ("assistant", " nobody knows .", 0),
     ("user", "was it funny ?", None), ("assistant", " no , it was sad .", 1), ("user", "why ?", None),
     ("assistant", " everybody dies .", 1)],
]


def loss(turns, only_last: bool) -> float:
    ids, learnt = [tokenizer.bos_token_id], [False]
    for index, (role, text, weight) in enumerate(turns):
        head = tokenizer(f"<|{role}|>", add_special_tokens=False).input_ids
        body = tokenizer(text, add_special_tokens=False).input_ids
        ids += head + body
        learnt += [False] * len(head) + [weight == 1 and (not only_last or index == len(turns) - 1)] * len(body)
    with torch.no_grad():
        logprobs = model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    picked = [-logprobs[i - 1, ids[i]].item() for i in range(len(ids)) if learnt[i]]
    return sum(picked) / len(picked)


result = []
for turns in rows:
    messages = [{"role": role, "content": text, **({} if weight is None else {"weight": weight})}
        for role, text, weight in turns]
    result.append({"messages": messages, "all": loss(turns, False), "last": loss(turns, True)})
out = root / "test" / "fixtures" / "golden" / "conversations.json"
out.write_text(json.dumps(result, indent=1) + "\n")
