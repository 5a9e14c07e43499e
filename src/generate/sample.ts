/**
 * Choosing the next token from its logits.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { drawClasses, type TopLogits, topKept } from '../ops/top-logits.ts';
import { keyOfSeed, philox4x32, purposes } from '../random/philox.ts';

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
  const { best, highest, logTotal } = summarise(logits);
  const id = options.temperature === 0 ? best : draw(logits, highest, options, position);
  return scored(logits, id, logTotal, topLogprobs);
}

/**
 * The log-probability of a token that is given instead of sampled.
 *
 * @param logits one per vocabulary entry
 * @param topLogprobs how many alternatives to report
 * @throws SubzeroError `invalid_data` where the logits are no numbers
 */
export function scoreToken(logits: Float32Array, id: number, topLogprobs: number): Sampled {
  return scored(logits, id, summarise(logits).logTotal, topLogprobs);
}

/** The most likely token, its logit, and the logarithm of the sum of all exponentials. */
function summarise(logits: Float32Array): { best: number; highest: number; logTotal: number } {
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
  return { best, highest, logTotal: highest + Math.log(total) };
}

function scored(logits: Float32Array, id: number, logTotal: number, topLogprobs: number): Sampled {
  const of = (token: number) => ({ id: token, logprob: logits[token]! - logTotal });
  return { ...of(id), top: topLogprobs === 0 ? [] : mostLikely(logits, topLogprobs).map(of) };
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
  const { temperature, topP, seed } = options;
  const topK = options.topK > 0 ? options.topK : logits.length;
  const [first, second] = uniforms(seed, position);
  if (topK >= logits.length && topP >= 1) return drawFromAll(tempered(logits, highest, temperature), [first, second]);
  const drawFrom = (best: ArrayLike<number>): number => drawBest(tempered(best, highest, temperature), topP, first);
  if (topK <= topKept) {
    const ids = mostLikely(logits, topK);
    return ids[drawFrom(ids.map((id) => logits[id]!))]!;
  }
  // Without their tokens, logits are sorted ten times as fast; equal ones belong to tokens in the order of their numbers.
  const best = logits.slice().sort().reverse().subarray(0, topK);
  const index = drawFrom(best);
  const logit = best[index]!;
  let id = logits.indexOf(logit);
  for (let rank = best.indexOf(logit); rank < index; rank++) id = logits.indexOf(logit, id + 1);
  return id;
}

/**
 * Draws from the whole vocabulary: first the class of the token, then the token. With a uniform number for each, f32 is enough to know the class but
 * near the few borders between classes; a single number would have to tell unlikely tokens apart by sums over all of the vocabulary.
 */
function drawFromAll(weights: Float64Array, [classUniform, tokenUniform]: readonly [number, number]): number {
  const sums = new Float64Array(drawClasses);
  for (let id = 0; id < weights.length; id++) sums[id % drawClasses]! += weights[id]!;
  const first = pick(sums, classUniform);
  const ofClass = new Float64Array(Math.ceil((weights.length - first) / drawClasses));
  for (let index = 0; index < ofClass.length; index++) ofClass[index] = weights[first + drawClasses * index]!;
  return first + drawClasses * pick(ofClass, tokenUniform);
}

/**
 * Draws from the weights of the most likely tokens, best first, after the cut of top-p.
 * @param total of the weights that top-p is a share of, those of less likely tokens included
 * @param slack how far the total may be off, relatively
 * @returns an index, or −1 where the slack leaves the cut in doubt or the weights end before it
 */
function drawBest(weights: Float64Array, topP: number, uniform: number, total = sumOf(weights), slack = 0): number {
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
  return pick(weights.subarray(0, end), uniform, sum);
}

function sumOf(weights: Float64Array): number {
  return weights.reduce((sum, weight) => sum + weight, 0);
}

/** Picks an index with the probability of its weight: where the running sum exceeds this part of the sum. One without weight is never picked. */
function pick(weights: Float64Array, uniform: number, sum = sumOf(weights)): number {
  let left = uniform * sum;
  let last = 0;
  for (let index = 0; index < weights.length; index++) {
    if (weights[index] === 0) continue;
    left -= weights[index]!;
    last = index;
    if (left < 0) break;
  }
  return last;
}

/**
 * How far sums of the GPU may be off, as a part of the total, with a factor of two to spare. The exponential of x may be off by 3 + 2 |x| units of 2^-23,
 * the three roundings of x cost 1.5 |x| more, and |x|, averaged over the weights, is at most the logarithm of the vocabulary's size: about 13. A sum goes
 * through less than 80 additions, each of half a unit.
 */
const totalSlack = 2e-5;

/** Whether {@link sampleFromTop} can do with what the GPU finds in a row of logits, which saves reading all of it. */
export function topSuffices(options: SamplingOptions, topLogprobs: number): boolean {
  const { topK, temperature, logitBias, presencePenalty, frequencyPenalty } = options;
  if (topLogprobs > topKept || presencePenalty !== 0 || frequencyPenalty !== 0) return false;
  for (const _ in logitBias) return false;
  return temperature === 0 || topK <= topKept;
}

/** What the GPU needs to know of a draw: 1 / temperature and the number that chooses the class. */
export function drawParameters({ temperature, seed }: SamplingOptions, position: number): [number, number] {
  return [1 / (temperature || 1), uniforms(seed, position)[0]];
}

/**
 * Samples one token from what the GPU found in a row of logits: the same one as {@link sampleToken} from all of it, its log-probability but for f32
 * rounding. For options that pass {@link topSuffices}.
 *
 * @returns undefined where that does not decide it: a top-p that goes beyond the top, more equals than are listed, or a draw too close to call
 */
export function sampleFromTop(
  found: TopLogits,
  options: SamplingOptions,
  position: number,
  topLogprobs: number,
): Sampled | undefined {
  const { ids } = found;
  const fromAll = options.temperature !== 0 && options.topK === 0 && options.topP >= 1;
  if (ids.length === 0 && (topLogprobs > 0 || !fromAll)) return undefined;
  const chosen = fromAll ? chooseFromClass(found, options, position) : chooseFromTop(found, options, position);
  return chosen && scoreFromTop(found, chosen, topLogprobs);
}

/**
 * The log-probability of a token, like {@link scoreToken}, from what the GPU found in its row of logits.
 *
 * @param topLogprobs at most {@link topKept}
 * @returns undefined where more equals than are listed hide the alternatives
 */
export function scoreFromTop(found: TopLogits, chosen: Choice, topLogprobs: number): Sampled | undefined {
  const { ids, logits, highest, total } = found;
  if (ids.length === 0 && topLogprobs > 0) return undefined;
  const logprob = (logit: number): number => logit - highest - Math.log(total);
  return {
    id: chosen.id,
    logprob: logprob(chosen.logit),
    top: ids.slice(0, topLogprobs).map((id, place) => ({ id, logprob: logprob(logits[place]!) })),
  };
}

/** A token and its logit. */
export interface Choice {
  id: number;
  logit: number;
}

function chooseFromClass(
  { highest, temperedTotal, drawn }: TopLogits,
  { temperature, seed }: SamplingOptions,
  position: number,
): Choice | undefined {
  const [classUniform, tokenUniform] = uniforms(seed, position);
  const target = classUniform * temperedTotal;
  // NaN is in doubt, too.
  if (!(Math.min(target - drawn.before, drawn.end - target) > totalSlack * temperedTotal)) return undefined;
  const index = pick(tempered(drawn.logits, highest, temperature), tokenUniform);
  return { id: drawn.first + drawClasses * index, logit: drawn.logits[index]! };
}

function chooseFromTop(
  { ids, logits, highest, temperedTotal }: TopLogits,
  { temperature, topK, topP, seed }: SamplingOptions,
  position: number,
): Choice | undefined {
  let index = 0;
  if (temperature !== 0) {
    const [uniform] = uniforms(seed, position);
    const weights = tempered(topK > 0 ? logits.slice(0, topK) : logits, highest, temperature);
    index = topK > 0 ? drawBest(weights, topP, uniform) : drawBest(weights, topP, uniform, temperedTotal, totalSlack);
    if (index < 0) return undefined;
  }
  return { id: ids[index]!, logit: logits[index]! };
}

/** What each token weighs at a temperature; 1 for the most likely one. */
function tempered(logits: ArrayLike<number>, highest: number, temperature: number): Float64Array {
  const weights = new Float64Array(logits.length);
  for (let index = 0; index < weights.length; index++)
    weights[index] = Math.exp((logits[index]! - highest) / temperature);
  return weights;
}

/** Two uniform numbers in [0, 1) from (seed, position). */
function uniforms(seed: number, position: number): [number, number] {
  const words = philox4x32([position, 0, 0, purposes.sampling << 24], keyOfSeed(seed));
  const fraction = (high: number, low: number): number => (high * 2 ** 21 + (low >>> 11)) * 2 ** -53;
  return [fraction(words[0], words[1]), fraction(words[2], words[3])];
}
