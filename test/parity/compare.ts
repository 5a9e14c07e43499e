/**
 * One checkpoint of the parity suite in our hands: the largest differences from what transformers computed, or the
 * refusal.
 *
 * @module
 */

import type { LocalEngine } from '../../src/engine/local.ts';
import { SubzeroError } from '../../src/errors.ts';
import type { Gpu } from '../../src/gpu/gpu.ts';
import { loadModel } from '../../src/model/load.ts';
import { sequenceLogits } from '../../src/model/logits.ts';
import {
  isMasked,
  type ParityCase,
  projectionWeights,
  promptLengths,
  promptOf,
  textConfig,
  writeCheckpoint,
} from './checkpoint.ts';

/** Most that a log-probability may differ, for up to 110 tokens. */
export const tolerance = 3e-5;

export interface Verdict {
  name: string;
  agrees: boolean;
  /** Largest difference of a log-probability or of the projection; undefined where nothing was computed. */
  difference?: number;
  /** What is wrong, or what the refusal said. */
  note: string;
}

/**
 * Makes the checkpoint in `directory`, and reads it through passes over whole sequences, scores of prompts and
 * generation.
 */
export async function compareCase(
  gpu: Gpu,
  engine: LocalEngine,
  directory: string,
  parity: ParityCase,
): Promise<Verdict> {
  const { name, expect } = parity;
  await writeCheckpoint(directory, parity);
  let difference: number;
  let greedy: string;
  try {
    difference = Math.max(await ofPasses(gpu, directory, parity), 0);
    const generated = isMasked(parity) ? undefined : await ofGeneration(engine, directory, parity);
    difference = Math.max(difference, generated?.difference ?? 0);
    greedy = generated?.ids.join() ?? '';
  } catch (error) {
    if (!(error instanceof SubzeroError)) throw error;
    const agrees = expect !== undefined && new RegExp(expect).test(error.message);
    return { name, agrees, note: `${agrees ? 'refused' : 'refused otherwise than expected'}: ${error.message}` };
  }
  if (expect !== undefined)
    return { name, agrees: false, note: `computed, where a refusal with /${expect}/ is expected` };
  if (!parity.prompts || !parity.greedy) {
    return { name, agrees: false, note: `computed, where transformers failed: ${parity.transformers}` };
  }
  const same = greedy === parity.greedy.join();
  // NaN fails the comparison.
  const agrees = difference <= tolerance && same;
  return { name, agrees, difference, note: same ? '' : `greedy tokens ${greedy}, expected ${parity.greedy.join()}` };
}

/** A case of one long prompt: the largest difference of a pass over it, and the greedy tokens after another prompt. */
export async function compareLong(
  gpu: Gpu,
  engine: LocalEngine,
  directory: string,
  parity: ParityCase,
  lengths: { scored: number; continued: number },
): Promise<{ difference: number; ids: number[] }> {
  await writeCheckpoint(directory, parity);
  const difference = await ofPasses(gpu, directory, parity, [lengths.scored]);
  await engine.loadModel({ id: 'parity', path: directory });
  try {
    const tokens = promptOf(lengths.continued, textConfig(parity));
    const ids: number[] = [];
    const request = { model: 'parity', tokens, maxTokens: parity.greedy!.length, temperature: 0 };
    for await (const event of engine.generate(request)) if (event.type === 'token') ids.push(event.id);
    return { difference, ids };
  } finally {
    await engine.unloadModel('parity');
  }
}

function largest(actual: readonly number[], expected: readonly number[]): number {
  if (actual.length !== expected.length) return Number.NaN;
  return Math.max(0, ...actual.map((value, index) => Math.abs(value - expected[index]!)));
}

/** From all logits of passes over the prompts. */
export async function ofPasses(
  gpu: Gpu,
  directory: string,
  parity: ParityCase,
  lengths: readonly number[] = promptLengths,
): Promise<number> {
  const { prompts = [] } = parity;
  const config = textConfig(parity);
  const first = isMasked(parity) ? 0 : 1;
  const weights = projectionWeights(config.vocab_size);
  const model = await loadModel(gpu, directory);
  try {
    const differences = [0];
    for (const [index, { logprobs, projections }] of prompts.entries()) {
      const ids = promptOf(lengths[index]!, config);
      const rows = (await sequenceLogits(model, ids)).map(logSoftmax);
      differences.push(
        largest(
          ids.slice(first).map((id, row) => rows[row]![id]!),
          logprobs,
        ),
        largest(
          rows.map((row) => row.reduce((sum, value, id) => sum + value * weights[id]!, 0)),
          projections,
        ),
      );
    }
    return Math.max(...differences);
  } finally {
    model.destroy();
  }
}

function logSoftmax(logits: Float32Array): Float64Array {
  const highest = logits.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  const total = Math.log(logits.reduce((sum, value) => sum + Math.exp(value - highest), 0));
  return Float64Array.from(logits, (value) => value - highest - total);
}

/** From the engine's scores of the prompts, and its greedy continuation of the first one. */
async function ofGeneration(
  engine: LocalEngine,
  path: string,
  { prompts = [], greedy = [], ...parity }: ParityCase,
): Promise<{ difference: number; ids: number[] }> {
  await engine.loadModel({ id: 'parity', path });
  try {
    const differences = [0];
    const ids: number[] = [];
    for (const [index, { logprobs }] of prompts.entries()) {
      const tokens = promptOf(promptLengths[index]!, textConfig(parity));
      const scored: (number | null)[] = [];
      const maxTokens = index === 0 ? greedy.length : 0;
      for await (const event of engine.generate({
        model: 'parity',
        tokens,
        maxTokens,
        temperature: 0,
        scorePrompt: true,
      })) {
        if (event.type === 'prompt') scored.push(...event.tokens.map(({ logprob }) => logprob));
        if (event.type === 'token') ids.push(event.id);
      }
      differences.push(
        largest(
          scored.slice(1).map((value) => value ?? Number.NaN),
          logprobs,
        ),
      );
    }
    return { difference: Math.max(...differences), ids };
  } finally {
    await engine.unloadModel('parity');
  }
}

/** A line per verdict. */
export function table(verdicts: readonly Verdict[], cases: readonly ParityCase[]): string {
  const off = new Map(cases.map((each) => [each.name, each.float32_off]));
  const pending = new Map(cases.flatMap(({ name, pending }) => (pending ? [[name, pending]] : [])));
  const width = Math.max(4, ...verdicts.map(({ name }) => name.length));
  const number = (value: number | undefined): string => (value === undefined ? '' : value.toExponential(1)).padStart(8);
  return [
    `${'case'.padEnd(width)}  ours−f64  theirs f32−f64  verdict`,
    ...verdicts.map(
      ({ name, agrees, difference, note }) =>
        `${name.padEnd(width)}  ${number(difference)}        ${number(off.get(name))}  ` +
        `${agrees ? 'agrees' : pending.has(name) ? `known to disagree (${pending.get(name)})` : 'DISAGREES'}` +
        `${note && `, ${note}`}`,
    ),
  ].join('\n');
}

/** A line per model type in Markdown: cases that agree, refusals, and the largest differences. */
export function typeTable(verdicts: readonly Verdict[], cases: readonly ParityCase[]): string {
  const offs = new Map(cases.map((each) => [each.name, each.float32_off ?? 0]));
  const typeOf = ({ name }: Verdict): string => name.slice(0, name.indexOf(':'));
  const types = new Map(
    verdicts.map((verdict) => [typeOf(verdict), verdicts.filter((other) => typeOf(other) === typeOf(verdict))]),
  );
  const most = (values: readonly number[]): string => (values.length === 0 ? '' : Math.max(...values).toExponential(1));
  const rows = [...types].map(([type, own]) => {
    const computed = own.filter(({ difference }) => difference !== undefined);
    return [
      `\`${type}\``,
      String(computed.filter(({ agrees }) => agrees).length),
      String(own.length - computed.length),
      most(computed.map(({ difference }) => difference!)),
      most(computed.map(({ name }) => offs.get(name)!)),
    ];
  });
  const header = ['model type', 'agree', 'refused by name', 'ours − float64', 'transformers in float32 − float64'];
  return [header, ['---', '---:', '---:', '---:', '---:'], ...rows]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n');
}
