#!/usr/bin/env bash
# Does a client know by OpenAI's error code that a text is too long for the context, whatever the message says?
#
# Guess: LangChain does, in Python and JavaScript, since its matchers name the code `context_length_exceeded`; LiteLLM, which
#        has it in a list of texts, may not.
# Seen:  None does. LangChain looks for the code in the text of the exception, and the exceptions of OpenAI's clients have it as
#        a field (`error.code`) and only the message in their text. All three raise a plain bad request, so that a caller who waits
#        for their ContextOverflowError or ContextWindowExceededError never cuts the text or turns to another model. Only the
#        words of the message count ("prompt is too long", "maximum context length").
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q openai==3.57.0 langchain-openai==1.7.4 litellm==1.110.2
npm init -y >/dev/null
npm install --silent --no-fund --no-audit @langchain/openai@1.5.8 @langchain/core@1.4.0 >/dev/null

cat >server.py <<'PY'
import http.server, json, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        words = request["messages"][-1]["content"]
        error = {"message": words, "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}
        body = json.dumps({"error": error}).encode()
        self.send_response(400)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
PY
python3 server.py >port &
server=$!
trap 'kill $server; rm -rf "$folder"' EXIT
until [ -s port ]; do sleep 0.1; done
export URL="http://127.0.0.1:$(cat port)/v1"

# Each client, once with a message that says nothing and once with the usual words. The answer has the code both times.
cat >clients.py <<'PY'
import importlib.metadata, os
import langchain_openai, litellm

for name in ["openai", "langchain-openai", "litellm"]:
    print("version", name, importlib.metadata.version(name))
litellm.suppress_debug_info = True
url = os.environ["URL"]
chat = langchain_openai.ChatOpenAI(model="m", base_url=url, api_key="x", max_retries=0)
for words in ["It does not fit.", "The prompt is too long."]:
    for name, call in {
        "langchain-openai": lambda: chat.invoke(words),
        "litellm": lambda: litellm.completion(
            model="openai/m", api_base=url, api_key="x", num_retries=0, messages=[{"role": "user", "content": words}]
        ),
    }.items():
        try:
            call()
        except Exception as error:
            print(f"{name} | {words} | {type(error).__name__}")
PY
cat >clients.mjs <<'JS'
import { readFileSync } from 'node:fs';
const { ChatOpenAI } = await import('@langchain/openai');
const { ContextOverflowError } = await import('@langchain/core/errors');
const { version } = JSON.parse(readFileSync('node_modules/@langchain/openai/package.json', 'utf8'));
console.log('version @langchain/openai', version);
const configuration = { baseURL: process.env.URL };
const chat = new ChatOpenAI({ model: 'm', apiKey: 'x', maxRetries: 0, configuration });
for (const words of ['It does not fit.', 'It exceeds the maximum context length.']) {
  const error = await chat.invoke(words).catch((reason) => reason);
  const name = ContextOverflowError.isInstance(error) ? 'ContextOverflowError' : 'another';
  console.log(`@langchain/openai | ${words} | ${name} (code ${error.code ?? error.cause?.code})`);
}
JS
LITELLM_LOCAL_MODEL_COST_MAP=True venv/bin/python clients.py 2>/dev/null | tee seen
node clients.mjs | tee -a seen

cat >expected <<'TXT'
langchain-openai | It does not fit. | OpenAIInvalidRequestError
litellm | It does not fit. | BadRequestError
langchain-openai | The prompt is too long. | OpenAIContextOverflowError
litellm | The prompt is too long. | ContextWindowExceededError
@langchain/openai | It does not fit. | another (code context_length_exceeded)
@langchain/openai | It exceeds the maximum context length. | ContextOverflowError (code context_length_exceeded)
TXT
grep -v '^version' seen | diff expected - && echo 'as recorded'
