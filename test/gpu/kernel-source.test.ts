import { expect, test } from 'vitest';
import { addKernelSource, assembleSource, kernelSource, locateLine } from '../../src/gpu/kernel.ts';

test("a source of one's own stands beside those of the package", () => {
  addKernelSource('own/last.wgsl', 'fn main() {}\n// end');
  const definition = { files: ['weights/f32.wgsl', 'own/last.wgsl'], constants: { N: 2 } };
  const text = assembleSource(definition);
  expect(text).toContain(kernelSource('weights/f32.wgsl'));
  expect(text.endsWith('fn main() {}\n// end')).toBe(true);
  expect(locateLine(definition, text.split('\n').length)).toEqual({ file: 'own/last.wgsl', line: 2 });
});

test('a name has one text', () => {
  addKernelSource('own/twice.wgsl', 'fn a() {}');
  addKernelSource('own/twice.wgsl', 'fn a() {}');
  expect(() => addKernelSource('own/twice.wgsl', 'fn b() {}')).toThrow('another kernel source "own/twice.wgsl"');
  expect(() => addKernelSource('weights/f32.wgsl', 'fn b() {}')).toThrow('choose another name');
  expect(kernelSource('own/twice.wgsl')).toBe('fn a() {}');
});
