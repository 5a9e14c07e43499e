/** LangChain's JavaScript client maps a refusal of a long text to its ContextOverflowError. */

// Names in variables: the packages are not installed where the types of this project are checked.
const [client, errors] = ['@langchain/openai', '@langchain/core/errors'];
const { ChatOpenAI } = await import(client).catch(() => {
  console.error('install it first: npm install --no-save @langchain/openai @langchain/core');
  process.exit(1);
});
const { ContextOverflowError } = await import(errors);

const [url = 'http://127.0.0.1:8080', model = 'reviews-3m'] = process.argv.slice(2);
const chat = new ChatOpenAI({ model, apiKey: 'unused', maxRetries: 0, configuration: { baseURL: `${url}/v1` } });
const words = 'word '.repeat(600);
for (const [name, call] of Object.entries({
  chat: () => chat.invoke(words),
  'chat, streamed': async () => {
    for await (const _ of await chat.stream(words));
  },
})) {
  const error = await call().then(
    () => 'an answer',
    (/** @type {unknown} */ reason) => reason,
  );
  if (!ContextOverflowError.isInstance(error)) {
    console.error(`@langchain/openai, ${name}: expected a ContextOverflowError, got`, error);
    process.exit(1);
  }
}
console.log('ok');
