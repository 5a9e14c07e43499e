/**
 * Evaluations as people and programs read them: lines, Markdown, JSON.
 *
 * @module
 */

import { formatFixed } from '../format.ts';
import { markdownTable } from '../table.ts';
import { type GradingFailures, ungradedText } from './grading.ts';
import type { Compared, Measured } from './measure.ts';
import { isRight, metrics } from './metrics.ts';
import type { Outcome } from './outcome.ts';

/** The result of a model. */
export interface Evaluated {
  /** Its path, with the step of a run. */
  name: string;
  outcomes: readonly Outcome[];
  failures?: GradingFailures;
  /** Examples that lost a part, because they were too long. */
  truncated?: number;
  /** Files of the data that the model was trained on. */
  trainedOn?: readonly string[];
}

export interface EvaluationReport {
  title: string;
  data: string;
  /** How answers were made and graded, in words. */
  notes: readonly string[];
  model: Evaluated;
  measured: readonly Measured[];
  /** The model that it is compared with, on the same examples. */
  baseline?: Evaluated;
  compared?: readonly Compared[];
}

/** Examples that a Markdown report shows of each kind. */
const examplesShown = 20;

/** Characters of a text in a Markdown report. */
const charactersShown = 300;

/** `0.6690 [0.6376, 0.7006]` */
function intervalText({ value, interval: [low, high] }: Pick<Measured, 'value' | 'interval'>): string {
  return `${formatFixed(value)} [${formatFixed(low)}, ${formatFixed(high)}]`;
}

/** A probability with two digits that count. */
function probabilityText(probability: number): string {
  if (probability < 1e-4) return '< 0.0001';
  return probability < 0.1 ? String(Number(probability.toPrecision(2))) : probability.toFixed(2);
}

/** A line for each metric. */
export function reportLines({ measured, compared }: Pick<EvaluationReport, 'measured' | 'compared'>): string[] {
  if (!compared) return measured.map((each) => `${titleOf(each.metric)}: ${intervalText(each)}`);
  return compared.map((each) => {
    const counts = each.gained === undefined ? '' : `, ${each.gained} gained and ${each.lost} lost`;
    return (
      `${titleOf(each.metric)}: ${formatFixed(each.before.value)} → ${formatFixed(each.after.value)}, ` +
      `difference ${signedInterval(each)}, p = ${probabilityText(each.probability)} (${each.test}${counts})`
    );
  });
}

/** The report as plain data: everything that the Markdown has, and every example. */
export function reportData({ model, baseline, measured, compared, ...rest }: EvaluationReport): object {
  const facts = ({ outcomes, ...others }: Evaluated) => ({ ...others, examples: outcomes.length });
  return {
    ...rest,
    model: facts(model),
    ...(baseline ? { baseline: facts(baseline) } : {}),
    metrics: measured,
    ...(compared ? { comparison: compared } : {}),
    outcomes: model.outcomes.map((outcome, index) => ({
      ...outcome,
      ...(baseline ? { baseline: ofModel(baseline.outcomes[index]!) } : {}),
    })),
  };
}

/** What differs between two models on one example. */
function ofModel({ loss, chosen, answer, reward, margin, dpoLoss }: Outcome): Partial<Outcome> {
  return {
    loss,
    ...(chosen === undefined ? {} : { chosen }),
    ...(answer === undefined ? {} : { answer }),
    ...(reward === undefined ? {} : { reward }),
    ...(margin === undefined ? {} : { margin }),
    ...(dpoLoss === undefined ? {} : { dpoLoss }),
  };
}

/** The report in Markdown. */
export function reportMarkdown(report: EvaluationReport): string {
  const { title, data, notes, model, baseline, measured, compared } = report;
  const facts = [
    `Model: \`${model.name}\``,
    ...(baseline ? [`Compared with: \`${baseline.name}\``] : []),
    `Data: ${data}, ${model.outcomes.length} examples`,
    ...notes,
    ...[model, baseline].flatMap((each) => (each ? troubles(each) : [])),
  ];
  const parts = [`# ${title}`, facts.map((fact) => `- ${fact}`).join('\n')];
  parts.push(compared ? comparisonTable(compared) : measuredTable(measured));
  const sections = baseline ? changedSections(model, baseline) : wrongSections(model);
  return `${[...parts, ...sections].join('\n\n')}\n`;
}

/** What is to be said of files that a model was trained on. */
export function trainedOnText({ name, trainedOn = [] }: Pick<Evaluated, 'name' | 'trainedOn'>): string[] {
  return trainedOn.map(
    (file) => `${name} was trained on rows of ${file}: these figures say little of rows that it has not seen`,
  );
}

function troubles({ name, outcomes, failures, truncated, trainedOn = [] }: Evaluated): string[] {
  return [
    ...trainedOnText({ name: `\`${name}\``, trainedOn: trainedOn.map((file) => `\`${file}\``) }),
    ...(failures && failures.count > 0 ? [ungradedText(failures, outcomes.length, ` of \`${name}\``)] : []),
    ...(truncated ? [`${truncated} examples did not fit the context of \`${name}\` and lost a part`] : []),
  ];
}

function measuredTable(measured: readonly Measured[]): string {
  const rows = measured.map(({ metric, value, interval: [low, high] }) => [
    titleOf(metric),
    ...[value, low, high].map((number) => formatFixed(number)),
  ]);
  return `${markdownTable(['Metric', 'Value', 'from', 'to'], rows)}\n\nIntervals: 95 %, bootstrap over the examples.`;
}

function comparisonTable(compared: readonly Compared[]): string {
  const rows = compared.map((each) => [
    titleOf(each.metric),
    ...[intervalText(each.before), intervalText(each.after), signedInterval(each)],
    ...[probabilityText(each.probability), each.test],
    each.gained === undefined ? '' : `${each.gained} / ${each.lost}`,
  ]);
  const header = ['Metric', 'Before', 'After', 'Difference', 'p', 'Test', 'Gained / lost'];
  return (
    `${markdownTable(header, rows)}\n\nIntervals: 95 %, bootstrap over the examples, the same ones for both ` +
    `models.`
  );
}

function signedInterval({ difference, interval: [low, high] }: Compared): string {
  const signed = (value: number): string => `+${formatFixed(value)}`.replace('+-', '−');
  return `${signed(difference)} [${signed(low)}, ${signed(high)}]`;
}

/** What an example is judged by in lists: the reward, the margin, whether or how much of it is right, or the loss. */
function judgedBy(outcomes: readonly Outcome[]): { name: string; scores: readonly number[] } {
  for (const name of ['reward', 'margin', 'accuracy', 'f1'] as const) {
    const scores = metrics[name]!.measure(outcomes)?.scores;
    if (scores) return { name: titleOf(name), scores };
  }
  return { name: '− loss', scores: outcomes.map(({ loss, weight }) => -loss / weight) };
}

/** Numbers of those above 0, the largest first. */
function largest(changes: readonly number[]): number[] {
  const found = [...changes.keys()].filter((index) => changes[index]! > 0);
  return found.toSorted((a, b) => changes[b]! - changes[a]! || a - b);
}

function changedSections(model: Evaluated, baseline: Evaluated): string[] {
  const [after, before] = [judgedBy(model.outcomes), judgedBy(baseline.outcomes)];
  const changes = after.scores.map((score, index) => score - before.scores[index]!);
  const section = (title: string, sign: 1 | -1): string[] => {
    const found = largest(changes.map((change) => sign * change));
    if (found.length === 0) return [`## ${title} by ${after.name}: none`];
    const shown = found
      .slice(0, examplesShown)
      .map((index) =>
        exampleText(model.outcomes[index]!, [
          `before: ${answerText(baseline.outcomes[index]!)} (${after.name} ${formatFixed(before.scores[index]!, 3)})`,
          `after: ${answerText(model.outcomes[index]!)} (${after.name} ${formatFixed(after.scores[index]!, 3)})`,
        ]),
      );
    return [`## ${title} by ${after.name}: ${found.length}${more(found.length)}`, ...shown];
  };
  return [...section('Examples that became better', 1), ...section('Examples that became worse', -1)];
}

function wrongSections({ outcomes }: Evaluated): string[] {
  const { name, scores } = judgedBy(outcomes);
  const worst = outcomes.every((outcome) => isRight(outcome) !== undefined)
    ? [...outcomes.keys()].filter((index) => scores[index]! <= 0)
    : [...outcomes.keys()].toSorted((a, b) => scores[a]! - scores[b]! || a - b).slice(0, examplesShown);
  if (worst.length === 0) return ['## Wrong examples: none'];
  const shown = worst
    .slice(0, examplesShown)
    .map((index) =>
      exampleText(outcomes[index]!, [
        `answer: ${answerText(outcomes[index]!)} (${name} ${formatFixed(scores[index]!, 3)})`,
      ]),
    );
  return [`## Examples with the lowest ${name}${more(worst.length)}`, ...shown];
}

function more(count: number): string {
  return count > examplesShown ? `, the first ${examplesShown}` : '';
}

function exampleText({ source, prompt = '', references }: Outcome, lines: readonly string[]): string {
  const facts = [
    ...(prompt === '' ? [] : [`prompt: ${code(prompt, true)}`]),
    ...(references ? [`right: ${references.map((reference) => code(reference)).join(' or ')}`] : []),
    ...lines,
  ];
  return `### ${source ?? 'example'}\n\n${facts.map((line) => `- ${line}`).join('\n')}`;
}

function answerText({ answer, loss, weight, margin, options }: Outcome): string {
  // That of a preference is the one that the margin is for, which the mean over tokens need not be.
  if (margin !== undefined && options) return code(options[margin > 0 ? 0 : 1]!.trim());
  return answer === undefined ? `loss ${formatFixed(loss / weight)}` : code(answer);
}

/** A text that stands for itself in Markdown, on one line; of a long one the end, or the beginning. */
function code(text: string, keepEnd = false): string {
  const whole = Array.from(text.replaceAll('\r', '').replaceAll('\n', '⏎'));
  const isCut = whole.length > charactersShown;
  const kept = (keepEnd ? whole.slice(-charactersShown) : whole.slice(0, charactersShown)).join('');
  const shown = isCut ? (keepEnd ? `…${kept}` : `${kept}…`) : kept;
  // A fence longer than any run of backticks within, with a space where the text begins or ends with one.
  const longest = Math.max(0, ...(shown.match(/`+/g) ?? []).map(({ length }) => length));
  const fence = '`'.repeat(longest + 1);
  const pad = shown === '' || /^[` ]|[` ]$/.test(shown) ? ' ' : '';
  return `${fence}${pad}${shown}${pad}${fence}`;
}

function titleOf(metric: string): string {
  return metrics[metric]?.title ?? metric;
}
