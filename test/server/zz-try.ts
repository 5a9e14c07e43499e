import { modelId, startRealServer, upload } from './real-server.ts';

const s = await startRealServer({ logLevel: 'silent' });
const lines = [
  ['a charming , funny and moving film .', 1],
  ['the acting is wonderful and the story is clever .', 1],
  ['one of the best movies of the year .', 1],
  ['i loved every minute of it .', 1],
  ['a dull , lifeless and boring film .', 0],
  ['the acting is awful and the story is stupid .', 0],
  ['one of the worst movies of the year .', 0],
  ['i hated every minute of it .', 0],
] as const;
const file = await upload(
  s.client,
  lines.map(([t, l]) => ({ prompt: `${t} It was`, completion: l ? ' great' : ' terrible' })),
);
for (const hp of JSON.parse(process.argv[2]!)) {
  const t = performance.now();
  const { id } = await s.client.fineTuning.jobs.create({
    model: modelId,
    training_file: file,
    method: { type: 'zeroth_order', zeroth_order: { hyperparameters: hp } },
  } as any);
  const text = await (await fetch(`${s.url}/v1/fine_tuning/jobs/${id}/events?stream=true`)).text();
  const losses = [...text.matchAll(/"train_loss":([\d.]+)/g)].map((m) => Number(m[1]));
  const job: any = await s.client.fineTuning.jobs.retrieve(id);
  console.log(
    JSON.stringify(hp),
    ((performance.now() - t) / 1000).toFixed(1),
    's',
    losses
      .filter((_, i) => i % Math.ceil(losses.length / 10) === 0 || i === losses.length - 1)
      .map((l) => l.toFixed(2))
      .join(' '),
    job.error?.message ?? '',
  );
  for (const p of ['a wonderful movie . It was', 'an awful movie . It was']) {
    const c = await s.client.completions.create({
      model: job.fine_tuned_model,
      prompt: p,
      max_tokens: 1,
      temperature: 0,
      logprobs: 3,
    });
    console.log('   ', p, JSON.stringify(c.choices[0]!.logprobs!.top_logprobs));
  }
}
await s.close();
