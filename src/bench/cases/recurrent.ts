/**
 * Convolutions over tokens and the gated delta rule: runs of rows that begin, go on from rows before them, or continue
 * a state.
 *
 * @module
 */

import { packRuns, type RowRun } from '../../model/runs.ts';
import type { MatmulActivation } from '../../ops/activation.ts';
import { convolve } from '../../ops/convolution.ts';
import { type DeltaRuleVariant, deltaRule } from '../../ops/delta-rule.ts';
import type { Runs } from '../../ops/runs.ts';
import { wholeQuads } from '../../tensor/axis.ts';
import type { Activation } from '../../tensor/workspace.ts';
import type { Bed } from '../bed.ts';
import { exactTolerance, type KernelCase, type Output } from '../case.ts';
import { activate } from './linear.ts';

/** How the rows of a probe are divided. */
interface RunShape {
  /** Lengths of the runs; one below 0 goes on where the last run above 0 ends, as an option of a prompt does. */
  lengths: readonly number[];
  probes?: number;
  /**
   * Which runs go on from a state: their own, or that of nobody, as from a shared start. With this, states are kept.
   * One probe only.
   */
  continues?: readonly (boolean | 'start')[];
}

function rowRuns({ lengths, continues }: RunShape): { runs: RowRun[]; rows: number } {
  const runs: RowRun[] = [];
  let rows = 0;
  let prompt = { start: 0, end: 0 };
  for (const [index, length] of lengths.entries()) {
    const run: RowRun = { start: rows, end: rows + Math.abs(length) };
    if (length < 0) run.before = prompt;
    else prompt = { ...run };
    // Numbers of states in another order than runs, one of them nobody's.
    if (continues) run.state = lengths.length - index;
    if (continues?.[index]) run.from = continues[index] === 'start' ? 0 : lengths.length - index;
    runs.push(run);
    rows = run.end;
  }
  return { runs, rows };
}

function uploadRuns(bed: Bed, runs: readonly RowRun[], rows: number): Runs {
  const { table, ofRows } = packRuns(runs, rows);
  return { table: bed.upload(table), ofRows: bed.upload(ofRows), count: runs.length };
}

/** The rows of a run's tokens, those before it included. */
function tokensOf({ start, end, before }: RowRun): number[] {
  const rows = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index);
  return [...(before ? rows(before.start, before.end) : []), ...rows(start, end)];
}

function nameOf({ lengths, probes = 1, continues }: RunShape): string {
  return `${probes}×[${lengths.join(', ')}]${continues ? `, continues ${continues.join(' ')}` : ''}`;
}

/** States of all runs and of one sequence besides, as they are before the case. */
function startStates(bed: Bed, runs: readonly RowRun[], size: number) {
  const data = bed.random.normals((runs.length + 1) * size, 0.3);
  const buffer = bed.upload(data);
  return {
    buffer,
    reset: () => buffer.write(data),
    of: (state: number) => data.subarray(state * size, (state + 1) * size),
    output: (reference: Output['reference']): Output => {
      return { name: 'state', buffer, rows: runs.length + 1, columns: size, reference };
    },
  };
}

export interface ConvolutionShape extends RunShape {
  channels: number;
  taps: number;
  gated?: boolean;
  bias?: boolean;
  activation?: MatmulActivation;
}

export function convolutionCase(shape: ConvolutionShape): KernelCase {
  const { channels, taps, probes = 1, gated = false, bias = false, activation = 'none', continues } = shape;
  const { runs, rows } = rowRuns(shape);
  const all = rows * probes;
  const width = gated ? 3 * channels : channels;
  return {
    operation: 'convolution',
    name: `${nameOf(shape)} × ${channels}, ${taps} taps${gated ? ', gated' : ''}${bias ? ', bias' : ''}, ${activation}`,
    tolerance: exactTolerance,
    flops: 2 * all * channels * taps,
    bytes: 4 * all * (width + channels),
    prepare(bed) {
      const data = bed.random.normals(all * width);
      const vectors = (length: number) => Array.from({ length: probes }, () => bed.random.normals(length));
      const [kernels, biases] = [vectors(channels * taps), vectors(channels)];
      bed.reserve(all);
      const context = bed.context({ count: probes, vectors: { kernel: kernels, ...(bias ? { bias: biases } : {}) } });
      const x = bed.activation(data, all, width);
      const table = uploadRuns(bed, runs, rows);
      const states = continues ? startStates(bed, runs, (taps - 1) * channels) : undefined;
      const inputOf = (row: number, channel: number): number => {
        const value = data[row * width + (gated ? 2 * channels : 0) + channel]!;
        return gated ? data[row * width + channel]! * value : value;
      };
      /** The input so many tokens in front of all rows of a run. */
      const earlier = ({ from }: RowRun, back: number, channel: number): number =>
        from !== undefined ? states!.of(from)[(taps - 1 - back) * channels + channel]! : 0;
      const convolved = (row: number): Float64Array => {
        const [probe, own] = [Math.floor(row / rows), row % rows];
        const run = runs.find(({ start, end }) => own >= start && own < end)!;
        const tokens = tokensOf(run);
        const place = tokens.indexOf(own);
        return Float64Array.from({ length: channels }, (_, channel) => {
          let sum = bias ? biases[probe]![channel]! : 0;
          for (let back = 0; back < taps; back++) {
            const inside = back <= place;
            const value = inside
              ? inputOf(probe * rows + tokens[place - back]!, channel)
              : earlier(run, back - place, channel);
            sum += kernels[probe]![channel * taps + taps - 1 - back]! * value;
          }
          return activate(sum, activation) * (gated ? data[row * width + channels + channel]! : 1);
        });
      };
      const keptBy = (number: number): ArrayLike<number> => {
        const run = runs.find(({ state }) => state === number);
        if (!run) return states!.of(number);
        return Float64Array.from({ length: (taps - 1) * channels }, (_, index) => {
          const [back, channel] = [taps - 1 - Math.floor(index / channels), index % channels];
          const length = run.end - run.start;
          return back <= length ? inputOf(run.end - back, channel) : earlier(run, back - length, channel);
        });
      };
      let last: Activation | undefined;
      return {
        reset: () => states?.reset(),
        record() {
          if (last) bed.workspace.give(last);
          last = convolve(context, x, {
            ...{ weight: 'kernel', bias: 'bias', channels, taps, gated, activation, runs: table },
            ...(states ? { state: states.buffer } : {}),
          });
          const y = { name: 'y', buffer: last.buffer, rows: all, columns: channels, guarded: true };
          return [{ ...y, reference: convolved }, ...(states && taps > 1 ? [states.output(keptBy)] : [])];
        },
      };
    },
  };
}

export const convolutionShapes: readonly ConvolutionShape[] = [
  { lengths: [1], channels: 4, taps: 1 },
  { lengths: [5, 1, 2], channels: 12, taps: 3, gated: true, probes: 2 },
  { lengths: [2, -3, -1, 9], channels: 20, taps: 4, activation: 'silu', probes: 3 },
  { lengths: [1, -4, 1, -1], channels: 8, taps: 4, bias: true },
  { lengths: [70], channels: 36, taps: 7, gated: true, bias: true },
  { lengths: [1, 1, 2, 6], channels: 12, taps: 4, activation: 'silu', continues: [true, false, true, true] },
  { lengths: [1, 3, 1], channels: 16, taps: 3, gated: true, continues: [true, false, false] },
  { lengths: [3, 1], channels: 8, taps: 7, gated: true, continues: [true, true] },
  { lengths: [1, 2, 5], channels: 8, taps: 4, activation: 'silu', continues: ['start', 'start', true] },
];

export interface DeltaRuleShape extends RunShape {
  heads: number;
  keyHeads: number;
  keyWidth: number;
  valueWidth: number;
  /** Whether every third token forgets everything that was before it: its decay is 0. */
  forgetful?: boolean;
  variant?: DeltaRuleVariant;
}

export function deltaRuleCase(shape: DeltaRuleShape): KernelCase {
  const { heads, keyHeads, keyWidth, valueWidth, probes = 1, continues, forgetful, variant } = shape;
  const { runs, rows } = rowRuns(shape);
  const all = rows * probes;
  const keys = keyHeads * keyWidth;
  const columns = heads * valueWidth;
  const width = 2 * keys + columns;
  const gateWidth = wholeQuads(heads);
  const size = columns * keyWidth;
  const way = `${forgetful ? ', forgetful' : ''}${variant ? `, ${variant}` : ''}`;
  return {
    operation: 'delta rule',
    name: `${nameOf(shape)}, ${heads} of ${keyHeads} heads, ${keyWidth}×${valueWidth}${way}`,
    tolerance: exactTolerance,
    flops: 7 * all * size,
    bytes: 4 * all * (width + 2 * gateWidth + columns),
    prepare(bed) {
      const { random } = bed;
      const data = random.normals(all * width);
      const learning = random.normals(all * gateWidth, 2);
      const forgetting = random.normals(all * gateWidth, 3, -2);
      if (forgetful)
        for (let row = 2; row < all; row += 3) forgetting.fill(1e4, row * gateWidth, (row + 1) * gateWidth);
      const vectors = () => Array.from({ length: probes }, () => random.normals(heads));
      const [rates, biases] = [vectors(), vectors()];
      bed.reserve(all);
      const context = bed.context({ count: probes, vectors: { rate: rates, bias: biases } });
      const x = bed.activation(data, all, width);
      const learns = bed.activation(learning, all, gateWidth);
      const forgets = bed.activation(forgetting, all, gateWidth);
      const table = uploadRuns(bed, runs, rows);
      const states = continues ? startStates(bed, runs, size) : undefined;
      const unit = (start: number): Float64Array => {
        const values = Float64Array.from(data.subarray(start, start + keyWidth));
        const length = Math.sqrt(values.reduce((sum, value) => sum + value * value, 1e-6));
        return values.map((value) => value / length);
      };
      /** The results of one token, which changes the matrices. */
      const read = (row: number, matrices: Float64Array): Float64Array => {
        const [probe, found] = [Math.floor(row / rows), new Float64Array(columns)];
        for (let head = 0; head < heads; head++) {
          const start = row * width + Math.floor((head * keyHeads) / heads) * keyWidth;
          const [query, key, gate] = [unit(start), unit(start + keys), row * gateWidth + head];
          const sum = forgetting[gate]! + biases[probe]![head]!;
          const softplus = Math.max(sum, 0) + Math.log1p(Math.exp(-Math.abs(sum)));
          const decay = Math.exp(-Math.exp(rates[probe]![head]!) * softplus);
          const rate = 1 / (1 + Math.exp(-learning[gate]!));
          for (let column = 0; column < valueWidth; column++) {
            const place = (d: number): number => (head * keyWidth + d) * valueWidth + column;
            let known = 0;
            for (let d = 0; d < keyWidth; d++) known += decay * matrices[place(d)]! * key[d]!;
            const value = data[row * width + 2 * keys + head * valueWidth + column]!;
            for (let d = 0; d < keyWidth; d++) {
              matrices[place(d)] = decay * matrices[place(d)]! + key[d]! * rate * (value - known);
              found[head * valueWidth + column]! += (matrices[place(d)]! * query[d]!) / Math.sqrt(keyWidth);
            }
          }
        }
        return found;
      };
      const results = new Map<number, Float64Array>();
      const kept = new Map<number, Float64Array>();
      for (let probe = 0; probe < probes; probe++) {
        for (const run of runs) {
          const matrices = new Float64Array(size);
          if (run.from !== undefined) matrices.set(states!.of(run.from));
          for (const own of tokensOf(run)) results.set(probe * rows + own, read(probe * rows + own, matrices));
          if (run.state !== undefined) kept.set(run.state, matrices);
        }
      }
      let last: Activation | undefined;
      return {
        reset: () => states?.reset(),
        record() {
          if (last) bed.workspace.give(last);
          last = deltaRule(context, x, learns, forgets, {
            ...{ heads, keyHeads, keyWidth, valueWidth, rate: 'rate', bias: 'bias', runs: table },
            ...(states ? { state: states.buffer } : {}),
            ...(variant ? { variant } : {}),
          });
          const y = { name: 'y', buffer: last.buffer, rows: all, columns, guarded: true };
          return [
            { ...y, reference: (row) => results.get(row)! },
            ...(states ? [states.output((state) => kept.get(state) ?? states.of(state))] : []),
          ];
        },
      };
    },
  };
}

export const deltaRuleShapes: readonly DeltaRuleShape[] = [
  { lengths: [1], heads: 4, keyHeads: 4, keyWidth: 4, valueWidth: 4 },
  { lengths: [3, 1, 5], heads: 4, keyHeads: 2, keyWidth: 8, valueWidth: 12, probes: 2 },
  { lengths: [6, -2, -3, 2], heads: 3, keyHeads: 1, keyWidth: 12, valueWidth: 8, probes: 3 },
  { lengths: [150], heads: 2, keyHeads: 2, keyWidth: 8, valueWidth: 20 },
  { lengths: [1, 4, 1], heads: 2, keyHeads: 1, keyWidth: 8, valueWidth: 8, continues: [true, false, true] },
  { lengths: [70, 2], heads: 2, keyHeads: 2, keyWidth: 4, valueWidth: 4, continues: [false, true] },
  { lengths: [2, 3], heads: 1, keyHeads: 1, keyWidth: 12, valueWidth: 4, continues: [true, true] },
  { lengths: [1, 3, 2], heads: 2, keyHeads: 1, keyWidth: 8, valueWidth: 8, continues: ['start', 'start', true] },
  { lengths: [33], heads: 2, keyHeads: 1, keyWidth: 64, valueWidth: 64 },
  { lengths: [20, 1, -18], heads: 2, keyHeads: 2, keyWidth: 12, valueWidth: 36, probes: 2, forgetful: true },
  { lengths: [17, 32, 3], heads: 1, keyHeads: 1, keyWidth: 64, valueWidth: 40, continues: [true, false, true] },
  { lengths: [40], heads: 1, keyHeads: 1, keyWidth: 128, valueWidth: 100 },
];
