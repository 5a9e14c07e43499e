import { expect, test } from 'vitest';
import { gradeOutcomes } from '../../src/evaluation/grading.ts';
import { compare, measure } from '../../src/evaluation/measure.ts';
import type { Outcome } from '../../src/evaluation/outcome.ts';
import { type EvaluationReport, reportData, reportLines, reportMarkdown } from '../../src/evaluation/report.ts';
import { parseGrader } from '../../src/graders/index.ts';

const outcome = (number: number, answer: string): Outcome => ({
  ...{ source: `rows.jsonl:${number}`, prompt: `question ${number}\nwith a \`tick\``, item: { id: number } },
  ...{ loss: 2, weight: 4, answer, references: ['yes'] },
});
const before = [outcome(1, 'no'), outcome(2, 'yes'), outcome(3, 'yes')];
const after = [outcome(1, 'yes'), outcome(2, 'no | never'), outcome(3, 'yes')];

function comparison(): EvaluationReport {
  const compared = compare(before, after, ['exact-match', 'loss']);
  return {
    ...{ title: 'Comparison', data: '`rows.jsonl`', notes: ['greedily'] },
    model: { name: 'tuned', outcomes: after, failures: { count: 2, first: 'rows.jsonl:1: no number' } },
    ...{
      measured: compared.map((each) => each.after),
      compared,
      baseline: { name: 'base', outcomes: before, truncated: 1 },
    },
  };
}

test('an evaluation of which nothing could be graded says so', () => {
  const failures = { count: 3, first: 'rows.jsonl:1: no number' };
  const of = comparison();
  const text = reportMarkdown({ ...of, model: { ...of.model, failures } });
  expect(after.length).toBe(3);
  expect(text).toContain('none of the 3 answers of `tuned` could be graded (each is taken as 0); the first: rows');
});

test('a comparison shows the examples that changed, and no others', () => {
  const text = reportMarkdown(comparison());
  expect(text).toContain('| exact match | 0.6667 [');
  expect(text).toContain('| exact McNemar | 1 / 1 |');
  expect(text).toContain('2 answers of `tuned` could not be graded (taken as 0); the first: rows.jsonl:1: no number');
  expect(text).toContain('1 examples did not fit the context of `base`');
  const [better, worse] = text.split('## Examples that became worse by token F1: 1');
  expect(better).toContain('## Examples that became better by token F1: 1');
  expect(better).toContain('### rows.jsonl:1\n\n- prompt: `` question 1⏎with a `tick` ``\n- right: `yes`');
  expect(better).toContain('- before: `no` (token F1 0.000)\n- after: `yes` (token F1 1.000)');
  expect(worse).toContain('### rows.jsonl:2');
  expect(worse).toContain('- after: `no | never`');
  expect(text).not.toContain('rows.jsonl:3');
});

test('JSON has every example, with what the other model made of it', () => {
  const data = JSON.parse(JSON.stringify(reportData(comparison())));
  expect(data.outcomes).toHaveLength(3);
  expect(data.outcomes[0]).toMatchObject({
    source: 'rows.jsonl:1',
    answer: 'yes',
    item: { id: 1 },
    baseline: { answer: 'no' },
  });
  expect(data.comparison[0]).toMatchObject({ metric: 'exact-match', gained: 1, lost: 1, probability: 1 });
  expect(data.model).toEqual({ name: 'tuned', examples: 3, failures: { count: 2, first: 'rows.jsonl:1: no number' } });
});

test('lines say value, interval and test', () => {
  const { measured, compared } = comparison();
  expect(reportLines({ measured: measure(before, ['loss']) })).toEqual(['loss (nats): 0.5000 [0.5000, 0.5000]']);
  expect(reportLines({ measured, compared: compared! })[0]).toMatch(
    /^exact match: 0\.6667 → 0\.6667, difference \+0\.0000 \[−.*\], p = 1\.00 \(exact McNemar, 1 gained and 1 lost\)$/,
  );
});

test('the report of one model shows where it does worst', () => {
  const text = reportMarkdown({
    ...{ title: 'Evaluation', data: '`rows.jsonl`', notes: [] },
    ...{ model: { name: 'base', outcomes: before }, measured: measure(before, ['f1']) },
  });
  expect(text.indexOf('### rows.jsonl:1')).toBeGreaterThan(0);
  expect(text.indexOf('### rows.jsonl:1')).toBeLessThan(text.indexOf('### rows.jsonl:2'));
});

test('a grader sees row and answer; what it cannot grade is 0 and is counted', async () => {
  const source = 'function grade(sample, item) { if (item.id === 2) throw new Error("two"); return item.id / 10; }';
  const grader = await parseGrader({ type: 'javascript', name: 'id', source });
  const outcomes = before.map((each) => ({ ...each }));
  const failures = await gradeOutcomes(grader, outcomes, {});
  expect(outcomes.map(({ reward }) => reward)).toEqual([0.1, 0, 0.3]);
  expect(failures).toMatchObject({ count: 1, first: expect.stringMatching(/^rows\.jsonl:2: .*two/) });
  await expect(gradeOutcomes(grader, [{ loss: 1, weight: 1, source: 'a:1' }], {})).rejects.toThrow(/a:1 has no answer/);
});
