/**
 * The share of the roofline that each kernel case reaches, as a bar chart.
 *
 * @module
 */

import type { KernelBenchReport } from '../src/bench/kernels.ts';
import { escapeXml } from '../src/chart/shape.js';
import { short } from '../src/table.ts';

const [width, nameWidth, valueWidth, line] = [1000, 430, 130, 20];
const top = 74;

/** Draws a report of `bench kernels`: one bar per case, operation by operation, the whole width being the roof. */
export function rooflineChart({ adapter, suite, roofline, cases }: KernelBenchReport): string {
  const barWidth = width - nameWidth - valueWidth;
  const roofs =
    `copy ${short(roofline.bytesPerSecond / 1e9)} GB/s, f32 FMA ${short(roofline.flopsPerSecond / 1e9)} GFLOP/s; ` +
    'the time that these allow over the time taken';
  const bars = cases.map(({ operation, name, rooflineShare }, index) => {
    const y = top + index * line;
    // Matrix units and caches can beat the roofs, which are measured with f32 arithmetic and memory.
    const length = Math.min(1, Math.max(0, rooflineShare)) * barWidth;
    return [
      `<text x="${nameWidth - 8}" y="${y + 14}" text-anchor="end">${escapeXml(`${operation}: ${name}`)}</text>`,
      `<rect class="roof" x="${nameWidth}" y="${y + 3}" width="${barWidth}" height="${line - 6}"/>`,
      `<rect class="bar" x="${nameWidth}" y="${y + 3}" width="${length.toFixed(1)}" height="${line - 6}"/>`,
      `<text x="${width - valueWidth + 8}" y="${y + 14}">${(100 * rooflineShare).toFixed(1)} %</text>`,
    ].join('\n');
  });
  const height = top + cases.length * line + 16;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" class="subzero-roofline" role="img" width="${width}" ` +
      `height="${height}" viewBox="0 0 ${width} ${height}">`,
    `<title>${escapeXml(`Share of the roofline on ${adapter}`)}</title>`,
    `<style>
.subzero-roofline text { fill: #57606a; font: 12px system-ui, sans-serif; }
.subzero-roofline .title { fill: #1f2328; font-size: 18px; font-weight: 600; }
.subzero-roofline .paper { fill: #ffffff; }
.subzero-roofline .roof { fill: #eaeef2; }
.subzero-roofline .bar { fill: #0969da; }
@media (prefers-color-scheme: dark) {
.subzero-roofline text { fill: #9da7b3; }
.subzero-roofline .title { fill: #f0f3f6; }
.subzero-roofline .paper { fill: #0d1117; }
.subzero-roofline .roof { fill: #21262d; }
.subzero-roofline .bar { fill: #58a6ff; }
}
</style>`,
    `<rect class="paper" width="${width}" height="${height}"/>`,
    `<text class="title" x="16" y="30">${escapeXml(`Share of the roofline, ${adapter}, suite ${suite}`)}</text>`,
    `<text x="16" y="52">${escapeXml(roofs)}</text>`,
    ...bars,
    '</svg>',
    '',
  ].join('\n');
}
