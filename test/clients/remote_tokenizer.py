"""lm-evaluation-harness scores with the server's tokenizer alone (`tokenizer_backend=remote`), as with its ids."""

import sys

import requests
from lm_eval.api.instance import Instance
from lm_eval.models.openai_completions import LocalCompletionsAPI
from lm_eval.utils import RemoteTokenizer

base = sys.argv[1].rstrip("/")
model = sys.argv[2] if len(sys.argv) > 2 else "reviews-3m"
url = base + "/v1/completions"

tokenizer = RemoteTokenizer(url)
info = requests.get(base + "/tokenizer_info", timeout=30).json()
text = "a charming , funny and moving film . 🙂"
ids = tokenizer.encode(text)
assert tokenizer.decode(ids) == text, ids
assert tokenizer.batch_decode([ids[:2], ids]) == [tokenizer.decode(ids[:2]), text]
for name in ["eos_token", "bos_token", "pad_token"]:
    assert getattr(tokenizer, name) == info[name]
assert tokenizer.decode([tokenizer.eos_token_id]) == tokenizer.eos_token
chat = [{"role": "user", "content": "Hello"}]
rendered = tokenizer.apply_chat_template(chat)
sent = requests.post(base + "/tokenize", json={"messages": chat, "add_special_tokens": False}, timeout=30).json()
assert tokenizer.encode(rendered) == sent["tokens"], (rendered, sent)

lm = LocalCompletionsAPI(
    model=model, base_url=url, tokenizer_backend="remote", max_length=info["max_model_len"], num_concurrent=1
)
contexts = [("a charming and funny film . It was", " great"), ("a dull and boring film . It was", " terrible")]
results = lm.loglikelihood([Instance("loglikelihood", {}, pair, index) for index, pair in enumerate(contexts)])
for (context, continuation), (score, _) in zip(contexts, results):
    # The same, asked for by hand: harnesses sum what follows the context.
    prompt = tokenizer.encode(context) + tokenizer.encode(continuation)
    body = {"model": model, "prompt": prompt, "echo": True, "logprobs": 1, "max_tokens": 0}
    own = requests.post(url, json=body, timeout=30).json()["choices"][0]["logprobs"]["token_logprobs"]
    expected = sum(own[len(tokenizer.encode(context)) :])
    assert abs(score - expected) < 1e-3, (score, expected)
[text] = lm.generate_until([Instance("generate_until", {}, ("The film was", {"until": ["."], "max_gen_toks": 8}), 0)])
assert isinstance(text, str)
print("ok", [round(score, 3) for score, _ in results])
