/**
 * Layers of experts in float64, a token at a time.
 *
 * @module
 */

import { activate } from '../../../src/bench/cases/linear.ts';
import type { ExpertLinears, ExpertsSublayer, FeedForwardSublayer, Linear, Norm } from '../../../src/model/decoder.ts';

interface Layers64 {
  get: (name: string) => Float64Array;
  linear: (x: Float64Array, layer: Omit<Linear, 'rows'>) => Float64Array;
  feedForward: (x: Float64Array, layer: FeedForwardSublayer) => Float64Array;
  norm: (x: Float64Array, norm: Norm) => Float64Array;
}

/**
 * The smallest distance so far between a chosen expert and one that is not. Where it is of the size of rounding errors,
 * a pass may well choose the other.
 */
export const choices64 = { smallestGap: Number.POSITIVE_INFINITY };

/** Distances that rounding does not bridge. */
export const safeGap = 1e-5;

/**
 * @param x [tokens, width], what the experts read
 * @param hidden what x is made of, which others read by themselves
 */
export function experts64(
  x: Float64Array,
  hidden: Float64Array,
  sublayer: ExpertsSublayer,
  { get, linear, feedForward, norm }: Layers64,
): Float64Array {
  const { router, routing, down, activation, shared, routerNorm, afterExperts } = sublayer;
  const { width } = router.columns;
  const { experts, chosen, score, normalised, correction, scale = 1, sumLeast = 0, sumOffset = 0 } = routing;
  const layer = (input: Float64Array, { matrices, bias }: ExpertLinears, expert: number): Float64Array => {
    const result = linear(input, matrices[expert]!);
    return bias ? result.map((value, i) => value + get(bias)[expert * result.length + i]!) : result;
  };
  const inside = (token: Float64Array, expert: number): Float64Array => {
    if (!('packed' in sublayer)) {
      const gated = layer(token, sublayer.gate, expert);
      return layer(token, sublayer.up, expert).map((value, i) => value * activate(gated[i]!, activation));
    }
    const both = layer(token, sublayer.packed, expert);
    const { interleaved, clamped } = sublayer;
    const count = both.length / 2;
    return Float64Array.from({ length: count }, (_, i) => {
      const [gate, up] = interleaved ? [both[2 * i]!, both[2 * i + 1]!] : [both[i]!, both[count + i]!];
      if (!clamped) return up * activate(gate, activation);
      const { limit, gain } = clamped;
      const low = Math.min(gate, limit);
      return (Math.max(-limit, Math.min(up, limit)) + 1) * (low / (1 + Math.exp(-gain * low)));
    });
  };
  const ofShared = (layer: NonNullable<typeof shared>): Float64Array => {
    const made = feedForward(layer.before ? norm(hidden, layer.before) : x, {
      ...layer,
      kind: 'feed-forward',
      activation,
    });
    return layer.after ? norm(made, layer.after) : made;
  };
  const routed = routerNorm ? norm(hidden, routerNorm) : x;
  const together = shared ? ofShared(shared) : new Float64Array(x.length);
  const y = afterExperts ? new Float64Array(x.length) : together;
  for (let start = 0; start < x.length; start += width) {
    const token = x.subarray(start, start + width);
    const sum = y.subarray(start, start + width);
    if (shared?.scale) {
      const [logit] = linear(token, shared.scale);
      for (let i = 0; i < width; i++) sum[i]! /= 1 + Math.exp(-logit!);
    }
    const logits = linear(routed.subarray(start, start + width), router).map(
      (logit) => (routing.logitScale ?? 1) * logit,
    );
    const total = logits.reduce((all, logit) => all + Math.exp(logit), 0);
    const shares =
      score === 'sparse-mixer'
        ? sparseMixer64(logits, routing.tolerance!)
        : logits.map((logit) => (score === 'sigmoid' ? 1 / (1 + Math.exp(-logit)) : Math.exp(logit) / total));
    const ranks = correction ? shares.map((share, expert) => share + get(correction)[expert]!) : logits;
    const order = Array.from({ length: experts }, (_, expert) => expert).sort((a, b) => ranks[b]! - ranks[a]! || a - b);
    const members = order.slice(0, chosen);
    if (chosen < experts) {
      const gap = ranks[order[chosen - 1]!]! - ranks[order[chosen]!]!;
      choices64.smallestGap = Math.min(choices64.smallestGap, gap);
    }
    const sumOfShares = members.reduce((all, expert) => all + shares[expert]!, 0);
    const divisor = normalised ? Math.max(sumOfShares, sumLeast) + sumOffset : 1;
    for (const expert of members) {
      const made = layer(inside(token, expert), down, expert);
      const factor = routing.expertScales ? get(routing.expertScales)[expert]! : 1;
      for (let i = 0; i < width; i++) sum[i]! += (scale * factor * shares[expert]! * made[i]!) / divisor;
    }
  }
  return afterExperts ? norm(y, afterExperts).map((value, i) => value + together[i]!) : y;
}

/** Scores of the two experts with the highest logits, and 0 of the others; see kernels/experts/sparse-mixer.wgsl. */
export function sparseMixer64(logits: Float64Array, tolerance: number): Float64Array {
  const order = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b);
  const shares = new Float64Array(logits.length);
  for (const [place, best] of order.slice(0, 2).entries()) {
    const highest = logits[best]!;
    let sum = 0;
    for (const expert of order.slice(place)) {
      const logit = logits[expert]!;
      const distance = (highest - logit) / Math.max(Math.abs(logit), highest);
      choices64.smallestGap = Math.min(
        choices64.smallestGap,
        Math.abs(distance - tolerance) || Number.POSITIVE_INFINITY,
      );
      if (!(distance > tolerance)) sum += Math.exp(logit - highest);
    }
    shares[best] = 1 / sum;
  }
  return shares;
}
