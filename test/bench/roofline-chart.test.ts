import { expect, test } from 'vitest';
import { rooflineChart } from '../../bench/roofline-chart.ts';
import type { KernelBenchReport } from '../../src/bench/kernels.ts';

const measured = { error: 0, wallMilliseconds: 1, gigaflopsPerSecond: 1, gigabytesPerSecond: 1 };

test('one bar per case, as long as its share, never longer than the roof', () => {
  const report: KernelBenchReport = {
    ...{ adapter: 'A <GPU> & co', suite: 'quick', seed: 1, wrong: [] },
    roofline: { bytesPerSecond: 2e9, flopsPerSecond: 3e9 },
    cases: [
      { ...measured, operation: 'linear', name: 'q 1×8 → 8', rooflineShare: 0.25 },
      { ...measured, operation: 'linear', name: 'beats it', rooflineShare: 1.5 },
    ],
  };
  const svg = rooflineChart(report);
  const widths = [...svg.matchAll(/class="bar"[^>]* width="([\d.]+)"/g)].map((match) => Number(match[1]));
  const [roof] = [...svg.matchAll(/class="roof"[^>]* width="(\d+)"/g)].map((match) => Number(match[1]));
  expect(widths).toEqual([roof! / 4, roof]);
  expect(svg).toContain('25.0 %');
  expect(svg).toContain('150.0 %');
  expect(svg).toContain('A &lt;GPU&gt; &amp; co');
  expect(svg).not.toContain('<GPU>');
});
