import { describe, expect, test } from 'vitest';
import { type CurvePoint, curvePoints, lossCurveSvg } from '../../src/train/curve.ts';
import {
  formatTicks,
  niceTicks,
  type Point,
  paddedRange,
  smooth,
  thin,
  withoutOutliers,
} from '../../src/train/curve-scale.ts';

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
    const gridAt = new RegExp(`y2="${evaluation[0]![1]}"/><text text-anchor="end"[^>]*>2.0+</text>`);
    expect(svg).toMatch(gridAt);
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
    ]),
  ).toEqual([
    { step: 1, loss: 0.7 },
    { step: 1, evaluationLoss: 0.6, accuracy: 0.5 },
    { step: 2, loss: undefined },
    { step: 2, evaluationLoss: 0.5, accuracy: undefined },
  ]);
});

describe('scales', () => {
  test.each<[number, number, number, number, string]>([
    [0, 1, 5, 0, '0.0 0.2 0.4 0.6 0.8 1.0'],
    [0, 20_000, 5, 1, '0 5,000 10,000 15,000 20,000'],
    [0, 3, 7, 1, '0 1 2 3'],
    [0, 12, 5, 1, '0 2 4 6 8 10 12'],
    [0.27, 0.45, 7, 0, '0.275 0.300 0.325 0.350 0.375 0.400 0.425 0.450'],
    [-0.3, 0.3, 3, 0, '-0.2 0.0 0.2'],
    [0, 4e7, 4, 0, '0 1e7 2e7 3e7 4e7'],
    [1e-5, 4e-5, 3, 0, '1e-5 2e-5 3e-5 4e-5'],
    [1.2e7, 1.22e7, 4, 0, '1.2e7 1.205e7 1.21e7 1.215e7 1.22e7'],
    [1e-10, 4e-10, 3, 0, '1e-10 2e-10 3e-10 4e-10'],
  ])('ticks from %d to %d', (low, high, count, smallest, expected) => {
    expect(formatTicks(niceTicks([low, high], count, smallest)).join(' ')).toBe(expected);
  });

  test('ticks lie inside, evenly, and are about as many as asked for', () => {
    for (let i = 1; i < 400; i++) {
      const low = Math.sin(i) * 10 ** (i % 7);
      const high = low + (1 + Math.cos(i * 3)) * 10 ** (i % 5) + 1e-3;
      const ticks = niceTicks([low, high], 6);
      expect(ticks.length).toBeGreaterThanOrEqual(3);
      expect(ticks.length).toBeLessThanOrEqual(10);
      const slack = (high - low) * 1e-6;
      expect(ticks[0]! >= low - slack && ticks.at(-1)! <= high + slack).toBe(true);
      expect(new Set(formatTicks(ticks)).size).toBe(ticks.length);
    }
  });

  test('a range has room, and width even for equal values', () => {
    expect(paddedRange([1, 2], 0.5)).toEqual([0.5, 2.5]);
    expect(paddedRange([])).toEqual([0, 1]);
    const [low, high] = paddedRange([3, 3]);
    expect(low < 3 && high > 3).toBe(true);
  });

  test('outliers are left out only if they flatten the rest', () => {
    const even = Array.from({ length: 200 }, (_, i) => i);
    expect(withoutOutliers(even)).toEqual(even);
    expect(Math.max(...withoutOutliers([...even, 1e6]))).toBeLessThan(200);
    expect(withoutOutliers([1, 2, 1e6])).toEqual([1, 2, 1e6]);
  });

  test('smoothing keeps a constant, follows a step and starts calmly', () => {
    const at = (values: number[], span: number) =>
      smooth(
        values.map((y, x): Point => [x, y]),
        span,
      ).map(([, y]) => y);
    for (const y of at(Array(20).fill(3), 5)) expect(y).toBeCloseTo(3, 12);
    const step = at([...Array(50).fill(0), ...Array(50).fill(1)], 10);
    expect(step[49]).toBe(0);
    // After one span 1 - 1/e of the step is made.
    expect(step[59]).toBeCloseTo(1 - Math.exp(-1), 12);
    expect(at([10, ...Array(99).fill(0)], 10)[0]).toBeLessThan(2);
  });

  test('thinning keeps short lines, and the extremes of long ones in order', () => {
    const short: Point[] = [
      [0, 1],
      [1, 2],
    ];
    expect(thin(short, [0, 1], 10)).toEqual(short);
    const long = Array.from({ length: 1000 }, (_, x): Point => [x, x === 333 ? 99 : x === 337 ? -99 : Math.sin(x)]);
    const thinned = thin(long, [0, 1000], 10);
    expect(thinned.length).toBe(20);
    expect(thinned).toContainEqual([333, 99]);
    expect(thinned).toContainEqual([337, -99]);
    expect(thinned.map(([x]) => x)).toEqual(thinned.map(([x]) => x).toSorted((a, b) => a - b));
  });
});
