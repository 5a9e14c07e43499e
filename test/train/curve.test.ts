import { describe, expect, test } from 'vitest';
import type { Point } from '../../src/chart/scale.js';
import { type CurvePoint, curvePoints, lossCurveSvg } from '../../src/train/curve.ts';

/** A run whose loss falls and wiggles, evaluated now and then. */
function run(steps: number, evaluateEvery: number): CurvePoint[] {
  const points: CurvePoint[] = [];
  for (let step = 1; step <= steps; step++) {
    const loss = 0.4 + 0.3 * Math.exp((-3 * step) / steps);
    points.push({ step, loss: loss + 0.1 * Math.sin(step * 12.9898) });
    if (step % evaluateEvery === 0) points.push({ step, evaluationLoss: loss, accuracy: 1 - loss / 2 });
  }
  return points;
}

/** Checks that every element is closed in order and every text is escaped; returns the elements by name. */
function elementsOf(svg: string): Record<string, string[]> {
  const elements: Record<string, string[]> = {};
  const open: string[] = [];
  let end = 0;
  for (const match of svg.matchAll(/<(\/?)([a-zA-Z]+)((?: [\w:-]+="[^"<>]*")*)(\/?)>/g)) {
    const [whole, closing, name, , selfClosing] = match as unknown as [string, string, string, string, string];
    const between = svg.slice(end, match.index);
    expect(between.replace(/&(amp|lt|gt|quot);/g, '')).not.toMatch(/[<&]/);
    end = match.index + whole.length;
    if (closing) expect(open.pop()).toBe(name);
    else {
      (elements[name] ??= []).push(whole);
      if (!selfClosing) open.push(name);
    }
  }
  expect(svg.slice(end)).toBe('\n');
  expect(open).toEqual([]);
  return elements;
}

const numberIn = (element: string, attribute: string) =>
  Number(new RegExp(` ${attribute}="([^"]*)"`).exec(element)![1]);

const polyline = (svg: string, name: string): Point[] => {
  // The first one of a name is its sample in the legend.
  const [, found] = [...svg.matchAll(new RegExp(`<polyline class="${name}" points="([^"]*)"`, 'g'))];
  return found![1]!.split(' ').map((pair) => pair.split(',').map(Number) as unknown as Point);
};

describe('the chart', () => {
  test('of a whole run has both panels, all lines and all marks', () => {
    const svg = lossCurveSvg(run(600, 100), { title: 'reviews-3m', subtitle: 'SubZero', id: 'a b' });
    const elements = elementsOf(svg);
    expect(svg.startsWith('<svg xmlns="http://www.w3.org/2000/svg"')).toBe(true);
    for (const text of ['reviews-3m', 'SubZero', 'loss', 'accuracy', 'step', 'training loss']) {
      expect(svg).toContain(`>${text}</text>`);
    }
    // The lowest evaluation loss and the highest accuracy are those of the end.
    expect(svg).toContain('evaluation loss, best 0.4149 at 600<');
    expect(svg).toContain('accuracy, best 79.3 % at 600<');
    expect(svg).toContain('prefers-color-scheme: dark');
    // Six evaluations in two panels, and two samples in the legend.
    expect(elements.circle!.length).toBe(14);
    expect(elements.clipPath).toEqual(['<clipPath id="a-b-clip">']);
    for (const word of ['NaN', 'Infinity', 'undefined', 'null', 'script', 'href']) expect(svg).not.toContain(word);
  });

  test('puts every point where its value is', () => {
    const points = [0, 1, 2, 3, 4].map((step) => ({ step, loss: step === 2 ? 3 : 1, evaluationLoss: 2 }));
    const svg = lossCurveSvg(points);
    const loss = polyline(svg, 'bold');
    const evaluation = polyline(svg, 'evaluation');
    const distances = loss.slice(1).map(([x], i) => x - loss[i]![0]);
    expect(new Set(distances.map((distance) => Math.round(distance)))).toEqual(new Set([192]));
    // 2 lies half way between 1 and 3, and up is smaller.
    expect(loss[2]![1]).toBeLessThan(loss[0]![1]);
    expect(evaluation[0]![1]).toBeCloseTo((loss[0]![1] + loss[2]![1]) / 2, 0);
    // The grid line of 2 runs through the evaluation line.
    const gridAt = new RegExp(`y2="${evaluation[0]![1]}"/>\n<text text-anchor="end"[^>]*>2.0+</text>`);
    expect(svg).toMatch(gridAt);
  });

  test('of a graded run shows the reward in place of the loss, and the highest as the best', () => {
    const points = run(600, 100).map((point) => {
      const { step, loss, evaluationLoss } = point;
      return evaluationLoss == null
        ? { step, loss: -9, reward: 1 - loss! }
        : { step, evaluationLoss: -9, evaluationReward: 1 - evaluationLoss };
    });
    const svg = lossCurveSvg(points);
    elementsOf(svg);
    expect(svg).not.toContain('loss');
    for (const text of ['reward', 'training reward', 'evaluation reward, best 0.5851 at 600']) {
      expect(svg).toContain(`>${text}</text>`);
    }
    // Rewards grow, and up is smaller.
    const curve = polyline(svg, 'bold');
    expect(curve.at(-1)![1]).toBeLessThan(curve[0]![1]);
  });

  test('has no accuracy panel without accuracy, and is lower then', () => {
    const all = run(200, 50);
    const without = all.map(({ step, loss, evaluationLoss }) => ({ step, loss, evaluationLoss, accuracy: null }));
    const svg = lossCurveSvg(without);
    expect(svg).not.toContain('>accuracy');
    const height = (text: string) => numberIn(elementsOf(text).svg![0]!, 'height');
    expect(height(svg)).toBeLessThan(height(lossCurveSvg(all)));
  });

  test.each<[string, CurvePoint[]]>([
    ['nothing', []],
    ['one step', [{ step: 1, loss: 0.7 }]],
    ['one evaluation', [{ step: 0, evaluationLoss: 0.7, accuracy: 0.5 }]],
    ['equal losses', run(50, 10).map(({ step }) => ({ step, loss: 2, accuracy: 1 }))],
    ['zeros', [0, 1, 2].map((step) => ({ step, loss: 0, accuracy: 0 }))],
    [
      'values that are no numbers',
      [
        { step: 1, loss: Number.NaN },
        { step: 2, loss: Number.POSITIVE_INFINITY, accuracy: null },
      ],
    ],
    ['a late start', [1000, 1001, 1002].map((step) => ({ step, loss: step }))],
    [
      'huge and tiny losses',
      [
        { step: 1, loss: 1e30 },
        { step: 2, loss: 1e-30 },
      ],
    ],
    [
      'tiny losses',
      [
        { step: 1, loss: 1e-9 },
        { step: 2, loss: 2e-9 },
      ],
    ],
  ])('of %s is whole, and everything lies inside', (_, points) => {
    const svg = lossCurveSvg(points);
    const elements = elementsOf(svg);
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
    const [width, height] = ['width', 'height'].map((name) => numberIn(elements.svg![0]!, name));
    for (const [name, horizontal, vertical] of [
      ['text', 'x', 'y'],
      ['circle', 'cx', 'cy'],
    ] as const) {
      for (const element of elements[name] ?? []) {
        expect(numberIn(element, horizontal)).toBeGreaterThan(0);
        expect(numberIn(element, horizontal)).toBeLessThan(width!);
        expect(numberIn(element, vertical)).toBeGreaterThan(0);
        expect(numberIn(element, vertical)).toBeLessThan(height!);
      }
    }
  });

  test('says so when there is nothing to show', () => {
    expect(lossCurveSvg([])).toContain('no data yet');
    expect(lossCurveSvg([{ step: 1, loss: 1 }])).not.toContain('no data yet');
  });

  test('escapes what it is given and cuts what is too long', () => {
    const svg = lossCurveSvg(run(20, 5), {
      title: `<script>"&'\u0000\ud800 ${'x'.repeat(500)}`,
      subtitle: '</text><b>',
      id: '"><x',
    });
    elementsOf(svg);
    expect(svg).toContain('&lt;script&gt;&quot;&amp;');
    expect(svg).toContain('…</text>');
    expect(svg).not.toContain('\u0000');
    expect(svg).not.toMatch(/\p{Surrogate}/u);
  });

  test('stays small for long runs, and shows their extremes', () => {
    const points = run(100_000, 5000);
    points[50_000] = { step: 50_000, loss: 0.9 };
    const svg = lossCurveSvg(points);
    expect(svg.length).toBeLessThan(60_000);
    const highest = Math.min(...polyline(svg, 'raw').map(([, y]) => y));
    expect(polyline(svg, 'raw').filter(([, y]) => y === highest).length).toBe(1);
  });

  test('is not flattened by one wild batch', () => {
    const points = run(1000, 100);
    const calm = polyline(lossCurveSvg(points), 'bold');
    const wild = polyline(lossCurveSvg([...points, { step: 1001, loss: 500 }]), 'bold');
    const spread = (line: Point[]) => Math.abs(line[0]![1] - line[line.length - 50]![1]);
    expect(spread(wild)).toBeGreaterThan(spread(calm) / 2);
  });

  test('wraps its legend at the width', () => {
    const rows = (width: number) => {
      const circles = elementsOf(lossCurveSvg(run(100, 20), { width })).circle!;
      return circles.slice(0, 2).map((circle) => numberIn(circle, 'cy'));
    };
    const [evaluation, accuracy] = rows(400);
    expect(accuracy).toBe(evaluation! + 20);
    expect(new Set(rows(1200)).size).toBe(1);
  });
});

test('points are taken out of metrics by kind', () => {
  expect(
    curvePoints([
      { type: 'start', step: 0, loss: 9 },
      { type: 'step', step: 1, loss: 0.7, learningRate: 1 },
      { type: 'evaluation', step: 1, loss: 0.6, accuracy: 0.5 },
      { type: 'step', step: 2, loss: null },
      { type: 'evaluation', step: 2, loss: 0.5, accuracy: null },
      { type: 'step', step: 3, loss: -0.4, measures: { reward: 0.3 } },
      { type: 'evaluation', step: 3, loss: -0.5, accuracy: null, measures: { reward: 0.5, answerTokens: 4 } },
    ]),
  ).toEqual([
    { step: 1, loss: 0.7 },
    { step: 1, evaluationLoss: 0.6, accuracy: 0.5 },
    { step: 2, loss: undefined },
    { step: 2, evaluationLoss: 0.5, accuracy: undefined },
    { step: 3, loss: -0.4, reward: 0.3 },
    { step: 3, evaluationLoss: -0.5, evaluationReward: 0.5 },
  ]);
});
