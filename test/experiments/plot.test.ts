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

test('paired differences leave out what has no partner', () => {
  const difference = pairedDifference([3, 5, 7, 9], [1, 2, Number.NaN, 5]);
  expect(difference).toEqual(summary([2, 3, 4]));
  expect(difference.mean).toBe(3);
  // t of two degrees of freedom over √3.
  expect(difference.halfWidth95).toBeCloseTo(4.303 / Math.sqrt(3), 3);
});
