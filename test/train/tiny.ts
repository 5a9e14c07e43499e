/**
 * Models and data that train in milliseconds: the fixtures' tiny weights with a tokenizer of single characters beside
 * them.
 *
 * @module
 */

import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Engine, TrainEvent } from '../../src/engine/types.ts';
import type { TrainConfiguration } from '../../src/settings/configuration.ts';
import { openJournal } from '../../src/zo/journal.ts';

const fixtures = fileURLToPath(new URL('../fixtures/models/', import.meta.url));

/** A folder that {@link removeTemporary} removes. */
const temporary: string[] = [];

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'subzero-test-'));
  temporary.push(folder);
  return folder;
}

export function removeTemporary(): void {
  for (const folder of temporary.splice(0)) rmSync(folder, { recursive: true, force: true });
}

/** Characters that the tiny tokenizer knows, as byte-level pieces: Ġ is a space, Ċ a line feed. */
const characters = ['Ġ', 'Ċ', ...Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i))];

/** A tokenizer.json of one token per ASCII character, with the given token as its beginning and end of text. */
function characterTokenizer(special: string): object {
  const vocab: Record<string, number> = { [special]: 0 };
  for (const [index, character] of characters.entries()) vocab[character] = index + 1;
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [
      { id: 0, content: special, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true },
    ],
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      vocab,
      merges: [],
    },
  };
}

/**
 * Copies a fixture model to a folder of its own and gives it the tokenizer.
 * @param name a folder of test/fixtures/models with a vocabulary of at least 97
 */
export function tinyModel(name = 'llama-tiny', folder = join(temporaryFolder(), name)): string {
  mkdirSync(folder, { recursive: true });
  for (const file of readdirSync(join(fixtures, name))) {
    if (file !== 'logits.json') copyFileSync(join(fixtures, name, file), join(folder, file));
  }
  const special = '<s>';
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(characterTokenizer(special)));
  const config = { tokenizer_class: 'PreTrainedTokenizerFast', bos_token: special, eos_token: special };
  writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify(config));
  return folder;
}

const words = ['good', 'bad', 'fine', 'dull', 'warm', 'cold', 'fun', 'slow'];

/** Rows with two options each, of different lengths. */
export function optionRows(count = 24): string {
  return Array.from({ length: count }, (_, i) => {
    const prompt = `${words[i % words.length]} film ${i}, it was`;
    return `${JSON.stringify({ prompt, options: [' bad', ' great'], label: i % 2 })}\n`;
  }).join('');
}

/** Rows of prompt and completion. */
export function completionRows(count = 24): string {
  return Array.from({ length: count }, (_, i) => {
    return `${JSON.stringify({ prompt: `say ${words[i % words.length]} ${i}:`, completion: ` yes, ${i % 7}.` })}\n`;
  }).join('');
}

export function writeRows(rows: string, folder = temporaryFolder(), name = 'rows.jsonl'): string {
  const file = join(folder, name);
  writeFileSync(file, rows);
  return file;
}

/** Settings of a run of a few quick steps with folds. */
export const quick = {
  steps: 12,
  batchSize: 4,
  learningRate: 1e-3,
  epsilon: 1e-3,
  rank: 4,
  refresh: 5,
  seed: 11,
} satisfies Partial<TrainConfiguration>;

export async function collect(stream: AsyncIterable<TrainEvent>): Promise<TrainEvent[]> {
  const events: TrainEvent[] = [];
  for await (const event of stream) events.push(event);
  return events;
}

export function ofType<T extends TrainEvent['type']>(
  events: readonly TrainEvent[],
  type: T,
): Extract<TrainEvent, { type: T }>[] {
  return events.filter((event): event is Extract<TrainEvent, { type: T }> => event.type === type);
}

/** Trains with {@link quick} and other settings in a new folder, at most up to a step. */
export async function trainUpTo(
  engine: Engine,
  { model, file }: { model: string; file: string },
  configuration: Partial<TrainConfiguration>,
  stopAfter = Number.POSITIVE_INFINITY,
): Promise<{ run: string; events: TrainEvent[] }> {
  const run = join(temporaryFolder(), 'run');
  const abort = new AbortController();
  const request = { model, data: { file }, configuration: { ...quick, ...configuration }, out: run };
  const events: TrainEvent[] = [];
  for await (const event of engine.train(request, abort.signal)) {
    events.push(event);
    if (event.type === 'step' && event.step === stopAfter) abort.abort();
  }
  return { run, events };
}

/** The journal of a run's folder, read whole. */
export const journalOf = (run: string) => openJournal(join(run, 'journal.subzero'));

/** The steps of a run, as its journal keeps them. */
export const recordsOf = async (run: string) => (await journalOf(run)).records;
