/**
 * The same small life of the engine on Node, Bun and Deno, without a test framework: open the GPU in its worker, load a
 * real model, read, generate, train, resume, close.
 *
 * Run: `node test/runtimes/smoke.ts`, `bun test/runtimes/smoke.ts`, `deno run --allow-all test/runtimes/smoke.ts`.
 *
 * @module
 */

import { Buffer } from 'node:buffer';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { readRows } from '../../src/data/containers/index.ts';
import { ExampleStore } from '../../src/data/example-store.ts';
import { openEngine } from '../../src/engine/client.ts';
import type { TrainEvent, TrainRequest } from '../../src/engine/types.ts';
import { SubzeroError } from '../../src/errors.ts';
import { grade, parseGrader } from '../../src/graders/index.ts';
import { Pipeline } from '../../src/tokenizer/pipeline.ts';
import { openJournal } from '../../src/zo/journal.ts';
import { digest, mixedTexts, sweepTexts, type Variants } from '../tokenizer/reference-texts.ts';

interface Reference {
  reference: { prompt: string; ids: number[]; greedy24: Record<string, string> };
  sst2_dev_first8: { prompt: string; label: number; loss: number }[];
}

const model = fileURLToPath(new URL('../../examples/reviews-3m', import.meta.url));
const golden: Reference = JSON.parse(
  readFileSync(new URL('../fixtures/golden/reviews-3m.json', import.meta.url), 'utf8'),
);
const temporary = mkdtempSync(join(tmpdir(), 'subzero-smoke-'));
let passed = 0;
let failed = 0;

function check(what: string, holds: boolean, seen: unknown = ''): void {
  if (holds) passed++;
  else failed++;
  console.log(`${holds ? 'ok  ' : 'FAIL'} ${what}${holds ? '' : `: ${String(seen)}`}`);
}

/** Fails the suite, with a line, if it hangs: a runtime's worker that never answers must not look like patience. */
const watchdog = setTimeout(() => {
  console.log('FAIL the suite took more than 180 s');
  console.log(`smoke: ${passed} passed, ${failed + 1} failed`);
  process.exit(1);
}, 180_000);

/** The tokenizers that give other ids than the reference: engines know different Unicode versions. */
function differingTokenizers(): string[] {
  const file = new URL('../fixtures/tokenizers/variants.json', import.meta.url);
  const reference: Variants = JSON.parse(readFileSync(file, 'utf8'));
  const mixed = mixedTexts(reference);
  const swept = sweepTexts(reference.sweep);
  const withSweep = ['normalizer NFKC', 'normalizer Lowercase', 'pre_tokenizer Bert', 'pre_tokenizer Split GPT-4'];
  return reference.encode.flatMap((row) => {
    const model = reference.models[(row.sections.model as string | undefined) ?? 'reveal'];
    const pipeline = new Pipeline({ ...row.sections, model }, 'tokenizer.json');
    const ids = (text: string) => pipeline.encode(text, { addSpecialTokens: true });
    const isSame =
      reference.texts.every((text, index) => digest(ids(text)) === row.texts[index]) &&
      digest(mixed.map(ids)) === row.mixed &&
      (!withSweep.includes(row.name) || digest(swept.map(ids)) === row.sweep);
    return isSame ? [] : [row.name];
  });
}

try {
  const differing = differingTokenizers();
  check('tokenizers give the ids of the reference', differing.length === 0, differing.join(', '));

  const engine = await openEngine();
  const info = await engine.info();
  check('the engine opens its adapter', info.adapter.description !== '' || info.adapter.device !== '');

  const loaded = await engine.loadModel({ id: 'reviews', path: model });
  check('the model loads', loaded.architecture === 'llama' && loaded.kind === 'base', JSON.stringify(loaded));
  const ids = await engine.tokenize('reviews', golden.reference.prompt);
  check('the prompt tokenises as the reference did', ids.join() === golden.reference.ids.join(), ids);

  // The reference went on behind the end-of-text token, which left no text of its own.
  const endOfText = 0;
  for (const prompt of ['The film was', 'Once upon a time']) {
    const tokens = await engine.tokenize('reviews', prompt);
    const length = tokens.length + 24;
    let streamed = '';
    let texts = '';
    let ends = 0;
    while (tokens.length < length) {
      const maxTokens = length - tokens.length;
      for await (const event of engine.generate({ model: 'reviews', tokens: [...tokens], maxTokens, temperature: 0 })) {
        if (event.type === 'token') {
          tokens.push(event.id);
          streamed += event.text;
        } else if (event.type === 'done') {
          texts += event.text;
          if (event.finishReason === 'stop') ends = tokens.push(endOfText);
        }
      }
    }
    const reference = golden.reference.greedy24[prompt];
    check(`24 greedy tokens after "${prompt}"`, prompt + texts === reference && ends > 0, texts);
    check('their stream says the same', texts === streamed, streamed);
  }

  const data = join(temporary, 'rows.jsonl');
  const rows = golden.sst2_dev_first8.map(({ prompt, label }) => ({ prompt, options: [' terrible', ' great'], label }));
  writeFileSync(data, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const { loss, examples } = await engine.evaluate({ model: 'reviews', data: { file: data } });
  const expected = golden.sst2_dev_first8.reduce((sum, row) => sum + row.loss, 0) / rows.length;
  check('the loss over eight rows is the reference', examples === 8 && Math.abs(loss - expected) < 1e-4, loss);

  const configuration = { batchSize: 2, learningRate: 5e-5, rank: 8, refresh: 2, seed: 7 };
  const train = async (request: TrainRequest): Promise<TrainEvent[]> => {
    const events: TrainEvent[] = [];
    for await (const event of engine.train(request)) events.push(event);
    return events;
  };
  const whole = join(temporary, 'whole');
  const parts = join(temporary, 'parts');
  const start = { model, data: { file: data } };
  const events = await train({ ...start, configuration: { ...configuration, steps: 3 }, out: whole });
  const steps = events.filter((event) => event.type === 'step');
  check('three steps are announced', steps.map(({ step }) => step).join() === '1,2,3', JSON.stringify(events));
  const end = events.at(-1);
  check('the run finishes', end?.type === 'done' && end.outcome === 'finished', JSON.stringify(end));
  await train({ ...start, configuration: { ...configuration, steps: 2 }, out: parts });
  await train({ resume: parts, steps: 3 });
  const [one, other] = [
    await openJournal(join(whole, 'journal.subzero')),
    await openJournal(join(parts, 'journal.subzero')),
  ];
  check(
    'a resumed run has the same journal bits',
    one.records.length === 3 && JSON.stringify(one.records) === JSON.stringify(other.records),
    JSON.stringify([one.records, other.records]),
  );

  const read = async (name: string): Promise<string> => {
    const texts: string[] = [];
    for await (const { value } of readRows(name)) texts.push(Object.values(value).join());
    return texts.join(';');
  };
  const csv = Buffer.from('a,b\n"x ""y""\nz",2\n');
  const files = { 'rows.csv': csv, 'rows.csv.gz': gzipSync(csv), 'rows.csv.zst': zstdCompressSync(csv) };
  for (const [name, bytes] of Object.entries(files)) {
    writeFileSync(join(temporary, name), bytes);
    const seen = await read(join(temporary, name));
    check(`the rows of ${name}`, seen === 'x "y"\nz,2', seen);
  }
  for (const packing of ['snappy', 'gzip', 'zstd']) {
    const seen = await read(fileURLToPath(new URL(`../fixtures/data/parquet/${packing}.parquet`, import.meta.url)));
    check(`the rows of Parquet packed with ${packing}`, seen.endsWith('Two and 4 make,6.,1099511627780,1'), seen);
  }
  writeFileSync(join(temporary, 'cut.jsonl.zst'), files['rows.csv.zst'].subarray(0, -2));
  const cut = await read(join(temporary, 'cut.jsonl.zst')).catch((error) => error);
  check('a zstd file that was cut off is refused', cut instanceof SubzeroError && cut.code === 'invalid_data', cut);
  const grader = await parseGrader({
    type: 'javascript',
    name: 'length',
    source: 'const grade = (s) => s.output_text.length;',
  });
  const { reward } = await grade(grader, { item: {}, outputText: 'four' });
  check('a program grades', reward === 4, reward);
  const stored = new ExampleStore(0).keep({ kind: 'completion', label: 0, prompt: [5, 6], continuations: [] });
  check('an example in a file is read', stored.prompt.join() === '5,6', stored.prompt);

  const refusal = await engine.loadModel({ id: 'none', path: join(temporary, 'none') }).catch((error) => error);
  check('errors keep their code across the worker', refusal instanceof SubzeroError && refusal.code === 'not_found');

  await engine.unloadModel('reviews');
  const { memory } = await engine.info();
  check('unloading frees the weights', memory.byCategory.weights === 0, JSON.stringify(memory));
  await engine.close();
  const closed = await engine.info().catch((error) => error);
  check('a closed engine says so', closed instanceof SubzeroError && closed.code === 'conflict', closed);
} catch (error) {
  check('nothing is thrown', false, error instanceof Error ? error.stack : error);
} finally {
  clearTimeout(watchdog);
  rmSync(temporary, { recursive: true, force: true });
}
console.log(`smoke: ${passed} passed, ${failed} failed`);
// No process.exit where all is well: an engine that closes cleanly lets the process end by itself.
if (failed > 0) process.exit(1);
