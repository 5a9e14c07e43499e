"""LiteLLM and LangChain map a refusal of a long text to their own errors, from which callers cut it or turn to another
model."""

import sys

import langchain_openai
import litellm
import openai
from langchain_core.exceptions import ContextOverflowError

litellm.suppress_debug_info = True
url = sys.argv[1].rstrip("/") + "/v1"
model = sys.argv[2] if len(sys.argv) > 2 else "reviews-3m"
words = "word " * 600
common = {"model": f"openai/{model}", "api_base": url, "api_key": "unused", "num_retries": 0}
user = [{"role": "user", "content": words}]

calls = {
    "completion": lambda: litellm.text_completion(**common, prompt=words),
    "completion, streamed": lambda: list(litellm.text_completion(**common, prompt=words, stream=True)),
    "chat": lambda: litellm.completion(**common, messages=user),
    "chat, streamed": lambda: list(litellm.completion(**common, messages=user, stream=True)),
    "embedding": lambda: litellm.embedding(**common, input=[words]),
}
for name, call in calls.items():
    try:
        call()
    except litellm.ContextWindowExceededError:
        continue
    sys.exit(f"litellm, {name}: was not refused")

chat = langchain_openai.ChatOpenAI(model=model, base_url=url, api_key="unused", max_retries=0)
embeddings = langchain_openai.OpenAIEmbeddings(
    model=model, base_url=url, api_key="unused", max_retries=0, check_embedding_ctx_length=False
)
for name, call in {
    "chat": lambda: chat.invoke(words),
    "chat, streamed": lambda: list(chat.stream(words)),
}.items():
    try:
        call()
    except ContextOverflowError:
        continue
    sys.exit(f"langchain-openai, {name}: was not refused")
try:
    embeddings.embed_query(words)
    sys.exit("langchain-openai, embedding: was not refused")
except openai.BadRequestError as error:  # its embeddings have no error of their own
    assert error.code == "context_length_exceeded", error
print("ok")
