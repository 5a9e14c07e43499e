"""lm-evaluation-harness runs a generative task (`generate_until`) of its own against the completions endpoint."""

import json
import os
import sys
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")

import lm_eval
import requests
from lm_eval.tasks import TaskManager
from lm_eval.utils import RemoteTokenizer

base = sys.argv[1].rstrip("/")
model = sys.argv[2] if len(sys.argv) > 2 else "reviews-3m"
url = base + "/v1/completions"
stop = [".", "\n"]


def answer(prompt):
    body = {"model": model, "prompt": prompt, "max_tokens": 12, "temperature": 0, "stop": stop}
    return requests.post(url, json=body, timeout=60).json()["choices"][0]["text"]


questions = ["the movie is", "a charming", "the actors are", "this story", "a dull", "the ending was"]
folder = tempfile.mkdtemp()
data = os.path.join(folder, "rows.jsonl")
with open(os.path.join(folder, "task.yaml"), "w") as file:
    file.write(
        f"""task: own_generative
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
output_type: generate_until
test_split: test
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
target_delimiter: ""
generation_kwargs:
  until: {json.dumps(stop)}
  max_gen_toks: 12
  do_sample: false
  temperature: 0
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
"""
    )

remote = RemoteTokenizer(url)
limit = requests.get(base + "/tokenizer_info", timeout=30).json()["max_model_len"]
# The harness sends texts, or the ids of its tokenizer, which have no BOS in front.
forms = {
    "texts": (lambda text: text, {"tokenizer_backend": None, "tokenized_requests": False}),
    "ids": (remote.encode, {"tokenizer_backend": "remote"}),
}
for name, (prompt_of, own) in forms.items():
    answers = {text: answer(prompt_of(text)) for text in questions}
    # Half of the answers are those that the server gives when asked by hand.
    rows = [
        {"question": text, "answer": answers[text] if index % 2 == 0 else "no model says this"}
        for index, text in enumerate(questions)
    ]
    with open(data, "w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    for concurrent in [1, 3]:
        results = lm_eval.simple_evaluate(
            model="local-completions",
            model_args={
                **{"model": model, "base_url": url, "max_length": limit},
                **{"num_concurrent": concurrent, "max_retries": 1},
                **own,
            },
            tasks=["own_generative"],
            task_manager=TaskManager(include_path=folder, include_defaults=False),
            bootstrap_iters=10,
            log_samples=True,
        )
        scores = results["results"]["own_generative"]
        assert scores["exact_match,none"] == 0.5, (name, scores)
        for sample in results["samples"]["own_generative"]:
            [[generated]] = sample["resps"]
            assert generated == answers[sample["doc"]["question"]], (name, sample)
print("ok", *forms)
