"""Answers are accepted as messages of the next request, in the forms in which OpenAI's Python client has them."""

import sys

import openai

url = sys.argv[1].rstrip("/") + "/v1"
model = sys.argv[2] if len(sys.argv) > 2 else "reviews-3m"
client = openai.OpenAI(base_url=url, api_key="unused", max_retries=0)
user = {"role": "user", "content": "Say something"}
# It ends at a letter: an answer that ends by its length has no parsed form.
request = {"model": model, "stop": ["e", "a", "o"], "seed": 1}

answer = client.chat.completions.create(**request, messages=[user]).choices[0].message
with client.chat.completions.stream(**request, messages=[user]) as stream:
    streamed = stream.get_final_completion().choices[0].message
assert streamed.content == answer.content, (streamed, answer)
prompt_tokens = None
for message in [
    answer,
    streamed,
    answer.model_dump(),
    streamed.model_dump(),
    answer.model_dump(exclude_none=True),
    {**answer.model_dump(), "tool_calls": [], "reasoning": None, "name": None, "parsed": None},
]:
    history = [user, message,
        {"role": "user", "content": [{"type": "text", "text": "More", "cache_control": {"type": "ephemeral"}}]}]
    again = client.chat.completions.create(
        **request, messages=history, store=False, user="me", metadata={"a": "b"}, reasoning_effort="low",
        service_tier="auto"
    )
    prompt_tokens = prompt_tokens or again.usage.prompt_tokens
    assert again.usage.prompt_tokens == prompt_tokens, message
nulls = {name: None
    for name in ["n", "stop", "temperature", "tools", "response_format", "audio", "functions", "logprobs", "stream"]}
client.chat.completions.create(**request, messages=[user], extra_body=nulls)
print("ok")
