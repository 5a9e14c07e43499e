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
  /** Keep only this many of the most likely tokens; 0 = all. */
  topK: number;
  /** Keep only the most likely tokens that make up this share of the probability; 1 = all. */
  topP: number;
  seed: number;
  /** Token id → number added to its logit. */
  logitBias: Readonly<Record<number, number>>;
  /** Subtracted once from the logit of each token that occurs in the generated text. */
  presencePenalty: number;
  /** Subtracted from a token's logit once per occurrence. */
  frequencyPenalty: number;
}

export interface Sampled {
  id: number;
  /** ln p of the chosen token, before temperature, top-k and top-p. */
  logprob: number;
  /** The most likely tokens, best first. */
  top: { id: number; logprob: number }[];
}

/**
 * Samples one token. This is a pure function of its arguments.
 *
 * @param logits one per vocabulary entry; biases and penalties change them in place
 * @param position index of the generated token; it makes a seed give the same text however requests are batched
 * @param counts how often each token was generated so far
 * @param topLogprobs how many alternatives to report
 * @throws SubzeroError `invalid_data` if the logits are not numbers
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
 * Returns the log-probability of a given token.
 *
 * @param logits one per vocabulary entry
 * @param topLogprobs how many alternatives to report
 * @throws SubzeroError `invalid_data` if the logits are not numbers
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
      'the model says nothing but NaN or infinity about the next token; its weights are damaged, or its training ' +
        'went astray (an earlier step of the run may be good)',
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
  // Sorting logits without their tokens is ten times as fast. Equal logits belong to their tokens in order of token id.
  const best = logits.slice().sort().reverse().subarray(0, topK);
  const index = drawFrom(best);
  const logit = best[index]!;
  let id = logits.indexOf(logit);
  for (let rank = best.indexOf(logit); rank < index; rank++) id = logits.indexOf(logit, id + 1);
  return id;
}

/**
 * Draws from the whole vocabulary: first the class of the token, then the token within it, with one uniform number
 * each. So f32 sums determine the class except near the few borders between classes. A single uniform number would have
 * to separate unlikely tokens by sums over the whole vocabulary.
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
 * Draws from the weights of the most likely tokens, best first, after the top-p cut.
 * @param total sum of the weights of all tokens, including less likely ones; top-p is a share of it
 * @param slack largest relative error of the total
 * @returns an index, or −1 if the slack leaves the cut uncertain or the weights end before it
 */
function drawBest(weights: Float64Array, topP: number, uniform: number, total = sumOf(weights), slack = 0): number {
  let [sum, end] = [total, weights.length];
  if (topP < 1) {
    // The cut keeps the smallest set of most likely tokens that reaches the share.
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

/**
 * Draws an index with a probability proportional to its weight: the first at which the running sum exceeds this share
 * of the sum. An index of weight 0 is never drawn.
 */
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
 * Largest relative error of sums on the GPU, with a safety factor of two. The exponential of x may be off by 3 + 2 |x|
 * units of 2^-23. The three roundings of x add 1.5 |x|. The mean of |x| over the weights is at most the logarithm of
 * the vocabulary's size, about 13. A sum goes through fewer than 80 additions, each with an error of half a unit.
 */
const totalSlack = 2e-5;

/**
 * Whether {@link sampleFromTop} can work with what the GPU finds in a row of logits, which avoids reading the whole
 * row.
 */
export function topSuffices(options: SamplingOptions, topLogprobs: number): boolean {
  const { topK, temperature, logitBias, presencePenalty, frequencyPenalty } = options;
  if (topLogprobs > topKept || presencePenalty !== 0 || frequencyPenalty !== 0) return false;
  for (const _ in logitBias) return false;
  return temperature === 0 || topK <= topKept;
}

/** What the GPU needs for a draw: 1 / temperature, and the uniform number that chooses the class. */
export function drawParameters({ temperature, seed }: SamplingOptions, position: number): [number, number] {
  return [1 / (temperature || 1), uniforms(seed, position)[0]];
}

/**
 * Samples one token from what the GPU found in a row of logits. The token is the one that {@link sampleToken} samples
 * from the whole row; its log-probability differs only by f32 rounding. The options must pass {@link topSuffices}.
 *
 * @returns undefined if that does not determine the token: top-p extends beyond the top, more equal logits exist than
 * are listed, or the draw is too close to a border
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
 * Returns the log-probability of a token, like {@link scoreToken}, from what the GPU found in its row of logits.
 *
 * @param topLogprobs at most {@link topKept}
 * @returns undefined if the alternatives are unknown, because more equal logits exist than are listed
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
  // The comparison is negated so that NaN counts as uncertain, too.
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

/** The weight of each token at a temperature, 1 for the most likely token. */
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
