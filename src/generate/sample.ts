/**
 * Choosing the next token from its logits.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { type TopLogits, topKept } from '../ops/top-logits.ts';
import { keyOfSeed, philox4x32 } from '../zo/philox.ts';

/** Philox counter word that keeps sampling apart from training noise and batches. */
const samplingPurpose = 5;

export interface SamplingOptions {
  /** 0 = take the most likely token. */
  temperature: number;
  /** Keep only so many of the most likely tokens; 0 = all. */
  topK: number;
  /** Keep the most likely tokens up to this share of probability; 1 = all. */
  topP: number;
  seed: number;
  /** Token id → added to its logit. */
  logitBias: Readonly<Record<number, number>>;
  /** Subtracted once from tokens that occurred in the generated text. */
  presencePenalty: number;
  /** Subtracted per occurrence. */
  frequencyPenalty: number;
}

export interface Sampled {
  id: number;
  /** ln p of the chosen token, before temperature and cuts. */
  logprob: number;
  /** The most likely tokens, best first. */
  top: { id: number; logprob: number }[];
}

/**
 * Samples one token; a pure function of its arguments.
 *
 * @param logits one per vocabulary entry; changed in place by biases and penalties
 * @param position which generated token this is, so that the same seed gives the same text however requests are batched
 * @param counts how often each token was generated so far
 * @param topLogprobs how many alternatives to report
 * @throws SubzeroError `invalid_data` where the logits are no numbers
 */
export function sampleToken(
  logits: Float32Array,
  options: SamplingOptions,
  position: number,
  counts: ReadonlyMap<number, number>,
  topLogprobs: number,
): Sampled {
  for (const [id, bias] of Object.entries(options.logitBias)) {
    if (Number(id) < logits.length) logits[Number(id)]! += bias;
  }
  if (options.presencePenalty !== 0 || options.frequencyPenalty !== 0) {
    for (const [id, count] of counts) logits[id]! -= options.presencePenalty + options.frequencyPenalty * count;
  }
  let highest = Number.NEGATIVE_INFINITY;
  let best = 0;
  for (let id = 0; id < logits.length; id++) {
    if (logits[id]! > highest) {
      highest = logits[id]!;
      best = id;
    }
  }
  let total = 0;
  for (let id = 0; id < logits.length; id++) total += Math.exp(logits[id]! - highest);
  if (!Number.isFinite(total)) {
    throw new SubzeroError(
      'invalid_data',
      'the model says nothing but NaN or infinity about the next token; its weights are damaged, or its training went astray ' +
        '(an earlier step of the run may be good)',
      { parameter: 'model' },
    );
  }
  const logTotal = highest + Math.log(total);
  const logprob = (id: number): number => logits[id]! - logTotal;
  const id = options.temperature === 0 ? best : draw(logits, highest, options, position);
  const top =
    topLogprobs === 0 ? [] : mostLikely(logits, topLogprobs).map((token) => ({ id: token, logprob: logprob(token) }));
  return { id, logprob: logprob(id), top };
}

/** The `count` most likely tokens, best first. */
function mostLikely(logits: Float32Array, count: number): number[] {
  const kept: number[] = [];
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    if (kept.length === count && logit <= logits[kept.at(-1)!]!) continue;
    let place = kept.length;
    while (place > 0 && logits[kept[place - 1]!]! < logit) place--;
    kept.splice(place, 0, id);
    if (kept.length > count) kept.pop();
  }
  return kept;
}

function draw(logits: Float32Array, highest: number, options: SamplingOptions, position: number): number {
  const { temperature, topK, topP } = options;
  let candidates: Uint32Array | number[] = Uint32Array.from(logits, (_, id) => id);
  if (topK > 0 && topK < logits.length) candidates = mostLikely(logits, topK);
  else if (topP < 1) candidates = (candidates as Uint32Array).sort((a, b) => logits[b]! - logits[a]!);
  const weights = Float64Array.from(candidates, (id) => Math.exp((logits[id]! - highest) / temperature));
  return candidates[drawIndex(weights, options, position)]!;
}

/**
 * Draws from weights in proportion, after the cut of top-p (which wants them in falling order).
 * @param slack how far the total may be off, relatively
 * @returns an index, or −1 where the slack leaves the cut in doubt or the weights end before it
 */
function drawIndex(
  weights: Float64Array,
  { topP, seed }: Pick<SamplingOptions, 'topP' | 'seed'>,
  position: number,
  total = weights.reduce((sum, weight) => sum + weight, 0),
  slack = 0,
): number {
  let [sum, end] = [total, weights.length];
  if (topP < 1) {
    // The smallest set of most likely tokens that reaches the share.
    sum = 0;
    for (end = 0; end < weights.length && (end === 0 || sum < topP * total); end++) {
      if (end > 0 && Math.abs(sum - topP * total) < slack * total) return -1;
      sum += weights[end]!;
    }
    if (slack > 0 && !(sum - topP * total >= slack * total)) return -1;
  }
  let left = uniform(seed, position) * sum;
  for (let index = 0; index < end; index++) {
    left -= weights[index]!;
    if (left < 0) return index;
  }
  return end - 1;
}

/** How far the totals of a GPU may be off, generously. */
const totalSlack = 1e-4;

/** Whether {@link sampleFromTop} can do with the top of a vocabulary, which is where the GPU saves reading all of it. */
export function topSuffices(options: SamplingOptions, topLogprobs: number): boolean {
  const { temperature, topK, topP, logitBias, presencePenalty, frequencyPenalty } = options;
  if (topLogprobs > topKept || presencePenalty !== 0 || frequencyPenalty !== 0) return false;
  for (const _ in logitBias) return false;
  return temperature === 0 || (topK > 0 ? topK <= topKept : topP < 1);
}

/**
 * Samples one token from the top of the vocabulary: the same one as {@link sampleToken} from all of it, its log-probability but for f32 rounding.
 * For options that pass {@link topSuffices}.
 *
 * @returns undefined where the top does not decide it: a top-p that goes beyond, or is too close to call
 */
export function sampleFromTop(
  { ids, logits, total, temperedTotal }: TopLogits,
  options: SamplingOptions,
  position: number,
  topLogprobs: number,
): Sampled | undefined {
  const { temperature, topK } = options;
  const highest = logits[0]!;
  let index = 0;
  if (temperature !== 0) {
    const candidates = topK > 0 ? logits.slice(0, topK) : logits;
    const weights = Float64Array.from(candidates, (logit) => Math.exp((logit - highest) / temperature));
    index =
      topK > 0
        ? drawIndex(weights, options, position)
        : drawIndex(weights, options, position, temperedTotal, totalSlack);
    if (index < 0) return undefined;
  }
  const logprob = (place: number): number => logits[place]! - highest - Math.log(total);
  return {
    id: ids[index]!,
    logprob: logprob(index),
    top: ids.slice(0, topLogprobs).map((id, place) => ({ id, logprob: logprob(place) })),
  };
}

/** A uniform number in [0, 1) from (seed, position). */
function uniform(seed: number, position: number): number {
  const [high, low] = philox4x32([position, 0, 0, samplingPurpose << 24], keyOfSeed(seed));
  return (high * 2 ** 21 + (low >>> 11)) * 2 ** -53;
}
