import { expect, test } from 'vitest';
import { plotSvg } from '../../src/experiments/plot.ts';
import { pairedDifference, summary } from '../../src/experiments/statistics.ts';

test('a plot has its lines, dots and intervals at their places', () => {
  const svg = plotSvg({
    title: 'A < B',
    xTitle: 'x',
    yTitle: 'y',
    xLogarithmic: true,
    series: [
      {
        name: 'first',
        points: [
          { x: 1, y: 0, error: 1 },
          { x: 10, y: 2 },
          { x: 100, y: 4 },
        ],
      },
      { name: 'second', points: [{ x: 10, y: 1 }] },
    ],
    marks: [{ y: 2, name: 'two' }],
  });
  expect(svg).toContain('<title>A &lt; B</title>');
  const [, line] = /<polyline class="line c0" points="([^"]+)"/.exec(svg)!;
  const places = line!.split(' ').map((place) => place.split(',').map(Number));
  // Powers of ten are equally far apart, and so are equal steps of y, upwards.
  expect(places[1]![0]! - places[0]![0]!).toBeCloseTo(places[2]![0]! - places[1]![0]!, 0);
  expect(places[0]![1]! - places[1]![1]!).toBeCloseTo(places[1]![1]! - places[2]![1]!, 0);
  expect(places[0]![1]).toBeGreaterThan(places[1]![1]!);
  expect(svg.match(/<line class="bar c0"/g)).toHaveLength(1);
  expect(svg.match(/<circle class="dot c1"/g)).toHaveLength(2);
  expect(svg).toContain('>100</text>');
  expect(svg).not.toContain('NaN');
});

test('the whole of a small plot is as the file has it', async () => {
  const series = [
    { name: 'measured', points: [1, 10, 100].map((x) => ({ x, y: Math.sqrt(x), error: 0.5 })) },
    { name: 'by theory', points: [1, 100].map((x) => ({ x, y: x / 10 })) },
  ];
  const marks = [{ y: 5, name: 'the paper' }];
  const svg = plotSvg({ title: 'Small', xTitle: 'rank', yTitle: 'loss', xLogarithmic: true, series, marks });
  await expect(svg).toMatchFileSnapshot('../fixtures/golden/experiment-plot.svg');
});

test('intervals end where values do', () => {
  const barsOf = (yWithin?: readonly [number, number]) => {
    const series = [
      {
        name: 'one',
        points: [
          { x: 0, y: 20, error: 42 },
          { x: 1, y: 95, error: 10 },
        ],
      },
    ];
    const plot = { title: 'T', xTitle: 'x', yTitle: '%', names: ['a', 'b'], series };
    const svg = plotSvg(yWithin ? { ...plot, yWithin } : plot);
    const numbers = [...svg.matchAll(/text-anchor="end">(-?[\d.]+)</g)].map(([, text]) => Number(text));
    const bars = [...svg.matchAll(/<line class="bar c0" .* y1="([^"]+)" y2="([^"]+)"/g)];
    return { least: Math.min(...numbers), lengths: bars.map(([, low, high]) => Number(low) - Number(high)) };
  };
  const free = barsOf();
  expect(free.least).toBeLessThan(0);
  expect(free.lengths[0]! / free.lengths[1]!).toBeCloseTo(84 / 20, 1);
  const bounded = barsOf([0, 100]);
  expect(bounded.least).toBe(0);
  expect(bounded.lengths[0]! / bounded.lengths[1]!).toBeCloseTo(62 / 15, 1);
});

test('between whole numbers nothing is marked', () => {
  const numbersOf = (xs: readonly number[]): (string | undefined)[] => {
    const series = [{ name: 'one', points: xs.map((x) => ({ x, y: 0.5 + 0.01 * x })) }];
    const svg = plotSvg({ title: 'T', xTitle: 'x', yTitle: 'y', series });
    return [...svg.matchAll(/text-anchor="middle">([\d.,]+)</g)].map(([, text]) => text);
  };
  expect(numbersOf([1, 2, 3, 4, 5, 6])).toEqual(['1', '2', '3', '4', '5', '6']);
  expect(numbersOf([30, 31])).toEqual(['30', '31']);
  expect(numbersOf([7])).toEqual(['7']);
  expect(numbersOf([1, 2.5, 6])).toContain('1.5');
});

test('intervals of several lines at one place stand beside each other', () => {
  const own = (error?: number) => [
    { x: 1, y: 1, ...(error === undefined ? {} : { error }) },
    { x: 2, y: 2 },
  ];
  const barsOf = (errors: readonly (number | undefined)[]) => {
    const series = errors.map((error, index) => ({ name: String(index), points: own(error) }));
    const svg = plotSvg({ title: 'T', xTitle: 'x', yTitle: 'y', series });
    return [...svg.matchAll(/<line class="bar c\d" x1="([\d.]+)"/g)].map(([, x]) => Number(x));
  };
  const [alone] = barsOf([0.5, undefined]) as [number];
  expect(barsOf([0.5, 0.5])).toEqual([alone - 2, alone + 2]);
  expect(barsOf([0.5, 0.5, 0.5])).toEqual([alone - 4, alone, alone + 4]);
  const many = barsOf(Array(9).fill(0.5));
  expect(many.at(-1)! - many[0]!).toBeCloseTo(16, 5);
});

test('an open series has dashes and rings, through which what it covers is seen', () => {
  const points = [1, 2].map((x) => ({ x, y: x }));
  const svg = plotSvg({
    ...{ title: 'T', xTitle: 'x', yTitle: 'y' },
    series: [
      { name: 'below', points },
      { name: 'above', points, open: true },
    ],
  });
  expect(svg.match(/<circle class="dot c0"/g)).toHaveLength(3);
  expect(svg.match(/<circle class="ring c1" [^>]*r="6"/g)).toHaveLength(3);
  expect(svg).not.toMatch(/class="dot c1"/);
  expect(svg.match(/<polyline class="line (?:dashed )?c\d"/g)).toEqual([
    '<polyline class="line c0"',
    '<polyline class="line dashed c1"',
  ]);
  expect(svg).not.toContain('bars:');
});

test('names take the place of numbers: dots beside each other, and no lines', () => {
  const points = [
    { x: 0, y: 1 },
    { x: 1, y: 2 },
  ];
  const names = ['a < b', 'c'];
  const series = ['one', 'two', 'three'].map((name) => ({ name, points }));
  const svg = plotSvg({ title: 'T', xTitle: 'x', yTitle: 'y', names, series });
  expect(svg).not.toContain('<polyline');
  const places = [...svg.matchAll(/<circle class="dot c(\d)" cx="([\d.]+)" cy="[\d.]+" r="4"\/>/g)]
    .filter((_, index) => index % 3 < 2)
    .map(([, , x]) => Number(x));
  const ticks = ['a &lt; b', 'c'].map((name) =>
    Number(new RegExp(`<text x="([\\d.]+)"[^>]*>${name}</text>`).exec(svg)![1]),
  );
  // The series in the middle stands above the name, the others as far to the left and the right.
  expect(places.slice(2, 4)).toEqual(ticks);
  expect(ticks[0]! - places[0]!).toBeCloseTo(places[4]! - ticks[0]!, 0);
  expect(places[4]!).toBeLessThan(places[1]!);
});

test('numbers that would run into each other lose their text, not their line', () => {
  const points = [1, 1.01, 1.02, 2, 50].map((x) => ({ x, y: x }));
  const series = [{ name: 'one', points }];
  const svg = plotSvg({ title: 'T', xTitle: 'x', yTitle: 'y', xLogarithmic: true, series });
  expect(svg.match(/<line class="grid" x1="([\d.]+)" x2="\1"/g)).toHaveLength(5);
  const texts = [...svg.matchAll(/ y="420" text-anchor="middle">([^<]*)</g)].map(([, text]) => text);
  expect(texts).toEqual(['1', '2', '50']);
});

test('the legend has as many columns as its names leave room for, and cuts what no column holds', () => {
  const legendOf = (names: readonly string[]) => {
    const series = names.map((name) => ({ name, points: [{ x: 1, y: 1 }] }));
    const svg = plotSvg({ title: 'T', xTitle: 'x', yTitle: 'y', series });
    return [...svg.matchAll(/<text x="([\d.]+)" y="([\d.]+)">([^<]*)</g)]
      .map(([, x, y, text]) => ({ x: Number(x), y: Number(y), text: text! }))
      .filter(({ text }) => /^[ab]+…?$/.test(text));
  };
  expect(legendOf(['a', 'b', 'a']).map(({ y }) => y)).toEqual([54, 54, 54]);
  expect(legendOf(['a'.repeat(40), 'b', 'a']).map(({ y }) => y)).toEqual([54, 54, 74]);
  const [long, next] = legendOf(['a'.repeat(300), 'b']);
  expect([long!.y, next!.y]).toEqual([54, 74]);
  expect(long!.text).toMatch(/^a{90,105}…$/);
});

test('names below an axis are cut to their share of it', () => {
  const names = Array.from({ length: 6 }, (_, index) => `${index}${'n'.repeat(40)}`);
  const series = [{ name: 'one', points: names.map((_, x) => ({ x, y: 1 })) }];
  const svg = plotSvg({ title: 'T', xTitle: 'x', yTitle: 'y', names, series });
  expect(svg.match(/>\dn{10,16}…<\/text>/g)).toHaveLength(6);
});

test('paired differences leave out what has no partner', () => {
  const difference = pairedDifference([3, 5, 7, 9], [1, 2, Number.NaN, 5]);
  expect(difference).toEqual(summary([2, 3, 4]));
  expect(difference.mean).toBe(3);
  // t of two degrees of freedom over √3.
  expect(difference.halfWidth95).toBeCloseTo(4.303 / Math.sqrt(3), 3);
});
