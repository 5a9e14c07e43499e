/** What page and file draw alike: panels as plain shapes, and their text. */

import { describe, expect, test } from 'vitest';
import { noisyLines, type Panel, panelShapes, stepAxis } from '../../src/chart/panel.js';
import type { Point } from '../../src/chart/scale.js';
import { type Shape, svgText } from '../../src/chart/shape.js';

const rising = (count: number): Point[] => Array.from({ length: count }, (_, step): Point => [step, step / count]);

function panel(rest: Partial<Panel>): Shape[] {
  const place = { left: 50, top: 10, width: 200, height: 100 };
  return panelShapes({ ...place, steps: [0, 10], values: [0, 1], ticks: 4, lines: [], ...rest });
}

const tagged = (shapes: readonly Shape[], tag: string): Shape[] =>
  shapes.flatMap((shape) => [...(shape.tag === tag ? [shape] : []), ...tagged(shape.children ?? [], tag)]);

describe('a noisy series', () => {
  test('is drawn as values and average, a short one as it is', () => {
    expect(noisyLines(rising(7), 100)).toEqual([{ name: 'bold', points: rising(7), hasMarks: false }]);
    expect(noisyLines(rising(1), 100)).toEqual([{ name: 'bold', points: rising(1), hasMarks: true }]);
    const [values, average] = noisyLines(rising(40), 100);
    expect(values).toEqual({ name: 'raw sparse', points: rising(40) });
    expect(average!.name).toBe('bold');
    expect(average!.points).toHaveLength(40);
    expect(average!.points.at(-1)![1]).toBeLessThan(rising(40).at(-1)![1]);
  });

  test('gets less ink where there is more of it than pixels', () => {
    expect(noisyLines(rising(51), 100)[0]!.name).toBe('raw');
    expect(noisyLines(rising(50), 100)[0]!.name).toBe('raw sparse');
  });
});

describe('a panel', () => {
  test('puts corners into its corners, and marks what lies inside', () => {
    const points: Point[] = [
      [0, 0],
      [5, 3],
      [10, 1],
    ];
    const shapes = panel({ lines: [{ name: 'evaluation', points, hasMarks: true }], clip: 'c' });
    const [line] = tagged(shapes, 'polyline');
    expect(line!.attributes).toEqual({ class: 'evaluation', points: '50,110 150,-190 250,10' });
    expect(tagged(shapes, 'circle').map(({ attributes: { cx, cy } }) => [cx, cy])).toEqual([
      [50, 110],
      [250, 10],
    ]);
    expect(tagged(shapes, 'g')[0]!.attributes['clip-path']).toBe('url(#c)');
    expect(tagged(shapes, 'clipPath')[0]!.attributes.id).toBe('c');
    expect(tagged(panel({}), 'clipPath')).toEqual([]);
  });

  test('writes its ticks in its own format', () => {
    const texts = tagged(panel({ name: 'loss', format: (ticks) => ticks.map((tick) => `<${tick}>`) }), 'text');
    expect(texts.map(({ text }) => text)).toEqual(['loss', '<0>', '<0.25>', '<0.5>', '<0.75>', '<1>']);
    expect(svgText(texts[1]!)).toBe('<text text-anchor="end" x="41" y="114">&lt;0&gt;</text>');
  });

  test('draws no line of one point, and thins a long one', () => {
    expect(tagged(panel({ lines: [{ name: 'bold', points: rising(1) }] }), 'polyline')).toEqual([]);
    const [line] = tagged(panel({ steps: [0, 5000], lines: [{ name: 'bold', points: rising(5000) }] }), 'polyline');
    expect(String(line!.attributes.points).split(' ').length).toBeLessThanOrEqual(402);
  });
});

test('steps stand below the last panel; the last number ends inside the drawing', () => {
  const anchors = (edge: number) =>
    tagged(stepAxis([0, 3000], { left: 50, width: 200 }, [60, 120], edge), 'text').map((shape) => [
      shape.text,
      shape.attributes['text-anchor'],
      shape.attributes.y,
    ]);
  expect(anchors(300).at(-1)).toEqual(['3,000', 'middle', 140]);
  expect(anchors(255).at(-1)).toEqual(['3,000', 'end', 140]);
  expect(anchors(255)[0]).toEqual(['0', 'middle', 140]);
});
