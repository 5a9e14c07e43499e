import { describe, expect, test } from 'vitest';
import type { ExampleKind, TokenizedExample } from '../../src/data/example.ts';
import { add, type ExampleScore, lossOf, meanOf, sumLosses } from '../../src/objectives/loss.ts';
import { createObjective } from '../../src/objectives/objective.ts';
import { resolveConfiguration, type TrainConfiguration } from '../../src/settings/configuration.ts';
import { objectiveNames } from '../../src/settings/objectives.ts';
import { withSeed } from '../support/random.ts';

const example = (kind: ExampleKind, lengths: readonly number[]): TokenizedExample => ({
  ...{ kind, prompt: [1], label: 0 },
  continuations: lengths.map((length) => ({ ids: Array<number>(length).fill(2), scored: length })),
});

const score = (...tokens: number[][]): ExampleScore => ({
  logprobs: tokens.map((values) => values.reduce((sum, value) => sum + value, 0)),
  counts: tokens.map(({ length }) => length),
  tokens,
});

const objective = (settings: Partial<TrainConfiguration>) => createObjective(resolveConfiguration(settings));
const pair = example('preference', [2, 1]);

describe('preferences', () => {
  const base = score([-1, -2], [-3]);

  test('an untrained model has a loss of ln 2 under DPO, 1/4β² under IPO, and prefers nothing', () => {
    const dpo = objective({ objective: 'dpo' })(pair, base, base);
    expect(meanOf(dpo)).toEqual({ loss: Math.LN2, accuracy: 0, tokens: 3, measures: { rewardMargin: 0, drift: 0 } });
    expect(meanOf(objective({ objective: 'ipo', dpoBeta: 0.25 })(pair, base, base)).loss).toBe(4);
  });

  test('margins far apart have finite losses', () => {
    const far = score([-2000, -2000], [-0.1]);
    const { loss, measures } = meanOf(objective({ objective: 'dpo', dpoBeta: 1 })(pair, far, base));
    expect(loss).toBeCloseTo(3999.9, 9);
    expect(measures!.rewardMargin).toBeCloseTo(-3999.9, 9);
    const near = score([0, 0], [-2000]);
    expect(meanOf(objective({ objective: 'dpo', dpoBeta: 1 })(pair, near, base)).loss).toBe(0);
  });

  test('answers that are certain, up to rounding beyond it, have a finite loss under ORPO', () => {
    for (const certain of [0, 1e-8]) {
      for (const tokens of [
        [[certain, certain], [-4]],
        [[-4, -4], [certain]],
      ]) {
        const { loss } = meanOf(objective({ objective: 'orpo' })(pair, score(...tokens)));
        expect(loss, `${tokens}`).toSatisfy(Number.isFinite);
      }
    }
  });

  test('what compares with the base fails without it, rather than compare with nothing', () => {
    expect(() => objective({ objective: 'dpo' })(pair, base)).toThrow('without the base');
  });

  test('accuracy is 1 for an example whose best option is a wrong one', () => {
    const accuracy = objective({ objective: 'accuracy' });
    const options = example('options', [2, 1]);
    const loss = accuracy(options, base);
    expect([loss.optionLoss, loss.correct, loss.optionExamples]).toEqual([0, 1, 1]);
    const wrong = accuracy({ ...options, label: 1 - options.label }, base);
    expect([wrong.optionLoss, wrong.correct, wrong.optionExamples]).toEqual([1, 0, 1]);
  });

  test('data of other kinds have their own loss', () => {
    for (const kind of ['options', 'completion'] as const) {
      const other = example(kind, [2, 1]);
      // Accuracy is a loss of its own on options.
      for (const name of objectiveNames.filter((each) => each !== 'accuracy')) {
        expect(objective({ objective: name })(other, base)).toEqual(lossOf(other, base));
      }
    }
  });
});

describe('the anchor', () => {
  const base = score([-1, -2]);
  const now = score([-1.5, -1]);
  // ½ · 0.5² + ½ · 1²
  const drift = 0.625;

  test('adds the mean over the tokens, whatever an example counts by', () => {
    for (const kind of ['completion', 'options'] as const) {
      const data = example(kind, [2]);
      const plain = meanOf(objective({})(data, now, base));
      const held = meanOf(objective({ anchor: 3 })(data, now, base));
      expect(plain.measures).toEqual({ drift: drift / 2 });
      expect(held.measures).toEqual({ drift: drift / 2 });
      expect(held.loss).toBeCloseTo(plain.loss + (3 * drift) / 2, 14);
      expect(plain.loss).toBe(meanOf(lossOf(data, now)).loss);
    }
  });

  test('is 0 where nothing has changed, and the same in both directions', () => {
    const data = example('completion', [2]);
    expect(meanOf(objective({ anchor: 1 })(data, base, base)).measures).toEqual({ drift: 0 });
    expect(meanOf(objective({})(data, now, base)).measures).toEqual(meanOf(objective({})(data, base, now)).measures);
  });

  test('of a divergence that is small it is the KL divergence to second order, where the base draws the tokens', () => {
    const logits = [0.3, -1, 2, 0];
    const normalized = (values: readonly number[]): number[] => {
      const sum = Math.log(values.reduce((total, value) => total + Math.exp(value), 0));
      return values.map((value) => value - sum);
    };
    const [from, to] = [normalized(logits), normalized(logits.map((logit, index) => logit + 1e-3 * (index - 1)))];
    const one = example('completion', [1]);
    const expected = from.reduce((sum, logprob, index) => sum + Math.exp(logprob) * (logprob - to[index]!), 0);
    const estimated = from.reduce((sum, logprob, index) => {
      const { measures } = meanOf(objective({})(one, score([to[index]!]), score([logprob])));
      return sum + Math.exp(logprob) * measures!.drift!;
    }, 0);
    expect(estimated / expected).toBeCloseTo(1, 2);
  });
});

test('sums of parts come to those of the whole, measures included', async () => {
  await withSeed('objective sums', (generator) => {
    const random = () => generator.uniform();
    const draw = (length: number): number[] => Array.from({ length }, () => -5 * random());
    const examples: TokenizedExample[] = [];
    const [scores, bases]: ExampleScore[][] = [[], []];
    for (let index = 0; index < 40; index++) {
      const kind = (['preference', 'options', 'completion'] as const)[Math.floor(3 * random())]!;
      const lengths = kind === 'completion' ? [3] : [1 + Math.floor(4 * random()), 2];
      examples.push(example(kind, lengths));
      for (const list of [scores!, bases!]) list.push(score(...lengths.map(draw)));
    }
    const ofRun = objective({ objective: 'dpo', anchor: 0.5 });
    const loss = (each: TokenizedExample, said: ExampleScore) => ofRun(each, said, bases![examples.indexOf(each)]);
    const whole = sumLosses(examples, scores!, undefined, loss);
    const cut = Math.floor(40 * random());
    const first = sumLosses(examples.slice(0, cut), scores!.slice(0, cut), undefined, loss);
    expect(sumLosses(examples.slice(cut), scores!.slice(cut), first, loss)).toEqual(whole);
    const second = sumLosses(examples.slice(cut), scores!.slice(cut), undefined, loss);
    const [added, mean] = [meanOf(add(first, second)), meanOf(whole)];
    expect(added.loss).toBeCloseTo(mean.loss, 10);
    expect(added.accuracy).toBe(mean.accuracy);
    for (const [name, value] of Object.entries(mean.measures!)) expect(added.measures![name]).toBeCloseTo(value, 10);
  });
});
