/** LangChain's JavaScript client maps a refusal of a long text to its ContextOverflowError. */

const { ChatOpenAI } = await import('@langchain/openai').catch(() => {
  console.error('install it first: npm install --no-save @langchain/openai @langchain/core');
  process.exit(1);
});
const { ContextOverflowError } = await import('@langchain/core/errors');

const [url = 'http://127.0.0.1:8080', model = 'reviews-3m'] = process.argv.slice(2);
const chat = new ChatOpenAI({ model, apiKey: 'unused', maxRetries: 0, configuration: { baseURL: `${url}/v1` } });
const words = 'word '.repeat(600);
for (const [name, call] of Object.entries({
  chat: () => chat.invoke(words),
  'chat, streamed': async () => {
    for await (const _ of await chat.stream(words));
  },
})) {
  const error = await call().catch((reason) => reason);
  if (!ContextOverflowError.isInstance(error)) {
    console.error(`@langchain/openai, ${name}: expected a ContextOverflowError, got`, error);
    process.exit(1);
  }
}
console.log('ok');
