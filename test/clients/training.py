"""OpenAI's Python client trains by preferences and rewards, runs graders and sends batches, from upload to answer."""

import json
import sys
import time

import openai

url = sys.argv[1].rstrip("/") + "/v1"
model = sys.argv[2] if len(sys.argv) > 2 else "reviews-3m"
client = openai.OpenAI(base_url=url, api_key="unused", max_retries=0)


def upload(name, rows, purpose="fine-tune"):
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    file = client.files.create(file=(name, lines.encode()), purpose=purpose)
    assert client.files.wait_for_processing(file.id, poll_interval=0.1).status == "processed"
    return file.id


def until(read, finished):
    deadline = time.time() + 120
    while time.time() < deadline:
        state = read()
        if state.status in finished:
            return state
        time.sleep(0.3)
    raise AssertionError(f"still {state.status}")


def train(file, method, **more):
    job = client.fine_tuning.jobs.create(model=model, training_file=file, method=method, suffix="check", seed=7, **more)
    assert job.method.type == method["type"], job.method
    done = until(lambda: client.fine_tuning.jobs.retrieve(job.id), {"succeeded", "failed", "cancelled"})
    assert done.status == "succeeded", done.error
    events = [event.message for event in client.fine_tuning.jobs.list_events(job.id)]
    assert any("Training started" in message for message in events), events
    checkpoints = list(client.fine_tuning.jobs.checkpoints.list(job.id))
    assert done.fine_tuned_model and done.result_files
    client.files.content(done.result_files[0]).read()
    answer = client.completions.create(model=done.fine_tuned_model, prompt="the film was", max_tokens=4)
    assert answer.usage.completion_tokens > 0
    return done, checkpoints


def refused(error, call):
    try:
        call()
    except error as caught:
        return caught
    raise AssertionError(f"expected {error.__name__}")


def says(role, text):
    return {"role": role, "content": text}


preferences = upload(
    "preferences.jsonl",
    [
        {
            "input": {"messages": [says("user", f"How was film {i}?")]},
            "preferred_output": [says("assistant", "good")],
            "non_preferred_output": [says("assistant", "bad")],
        }
        for i in range(8)
    ],
)
dpo, checkpoints = train(
    preferences,
    {"type": "dpo", "dpo": {
    "hyperparameters": {"beta": 0.2, "n_epochs": 1, "batch_size": 4, "learning_rate_multiplier": 1.0}}},
    validation_file=preferences,
    metadata={"kind": "dpo"},
)
assert dpo.method.dpo.hyperparameters.beta == 0.2 and dpo.metadata == {"kind": "dpo"}
assert checkpoints and checkpoints[0].metrics.valid_loss is not None, checkpoints

# Graders, by themselves.
grader = {
    "type": "string_check",
    "name": "vowel",
    "operation": "ilike",
    "input": "{{sample.output_text}}",
    "reference": "{{item.letter}}",
}
validated = client.fine_tuning.alpha.graders.validate(grader=grader)
assert validated.grader.name == "vowel", validated
ran = client.fine_tuning.alpha.graders.run(grader=grader, model_sample="a fine film", item={"letter": "E"})
assert ran.reward == 1.0 and not ran.metadata.errors.sample_parse_error, ran
similar = {"type": "text_similarity", "name": "s", "evaluation_metric": "rouge_l", "input": "{{sample.output_text}}",
    "reference": "a"}
multi = {"type": "multi", "name": "both", "graders": {"v": grader, "s": similar},
    "calculate_output": "0.5 * v + 0.5 * s"}
ran = client.fine_tuning.alpha.graders.run(grader=multi, model_sample="a", item={"letter": "a"})
assert abs(ran.reward - 1.0) < 1e-9 and set(ran.sub_rewards) == {"v", "s"}, ran
refused(openai.BadRequestError,
    lambda: client.fine_tuning.alpha.graders.validate(grader={"type": "python", "name": "p", "source": ""}))

# Rewards.
prompts = upload("prompts.jsonl", [{"messages": [says("user", f"film {i} was")], "letter": "e"} for i in range(8)])
rewarded, checkpoints = train(
    prompts,
    {
        "type": "reinforcement",
        "reinforcement": {
            "grader": grader,
            "hyperparameters": {"n_epochs": 1, "batch_size": 4, "compute_multiplier": 2, "eval_interval": 1},
        },
    },
    validation_file=prompts,
)
assert rewarded.method.reinforcement.grader.name == "vowel"
hyperparameters = rewarded.method.reinforcement.hyperparameters
assert (hyperparameters.compute_multiplier, hyperparameters.eval_interval) == (2, 1), hyperparameters
error = refused(openai.BadRequestError, lambda: train(prompts, {"type": "dpo"}))
assert error.param == "training_file" and "has no answer" in str(error), error

# Batches.
requests = upload(
    "requests.jsonl",
    [
        {"custom_id": str(i), "method": "POST", "url": "/v1/completions",
        "body": {"model": model, "prompt": "it was", "max_tokens": 2}}
        for i in range(3)
    ],
    purpose="batch",
)
batch = client.batches.create(input_file_id=requests, endpoint="/v1/completions", completion_window="24h")
batch = until(lambda: client.batches.retrieve(batch.id), {"completed", "failed", "expired", "cancelled"})
assert batch.status == "completed" and batch.request_counts.completed == 3, batch
lines = [json.loads(line) for line in client.files.content(batch.output_file_id).text.splitlines()]
assert sorted(line["custom_id"] for line in lines) == ["0", "1", "2"]
assert all(line["response"]["status_code"] == 200 for line in lines)
assert batch.id in [each.id for each in client.batches.list(limit=5)]

print("ok")
