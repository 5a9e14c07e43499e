/**
 * Every kernel with every combination of constants in use, compiled by Dawn without any hardware: an adapter that this
 * machine does not have is no excuse for a kernel that does not compile.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type OpenedDevice, openDevice } from '../../src/gpu/device.ts';
import { assembleSource, compilationError, compileKernel, kernelKey, reflect } from '../../src/gpu/kernel.ts';
import { definitions } from '../support/definitions.ts';

const directory = fileURLToPath(new URL('../../kernels/', import.meta.url));
const files = readdirSync(directory, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.wgsl'))
  .map((file) => file.replaceAll('\\', '/'));

let opened: OpenedDevice;

beforeAll(async () => {
  opened = await openDevice({ backend: 'null' });
});

afterAll(() => opened.device.destroy());

test('every kernel file is compiled by some definition', () => {
  const compiled = new Set(
    Object.values(definitions).flatMap((list) => list.flatMap((definition) => definition.files)),
  );
  expect(files.filter((file) => !compiled.has(file))).toEqual([]);
  expect([...compiled].filter((file) => !files.includes(file))).toEqual([]);
});

test('every kernel file opens with a comment that says what it computes', () => {
  for (const file of files) {
    const [first = ''] = readFileSync(`${directory}${file}`, 'utf8').split('\n');
    expect(first, file).toMatch(/^\/\/ \S.{20,}/);
  }
});

test('no two definitions share a cache key', () => {
  const sources = new Map<string, string>();
  for (const definition of Object.values(definitions).flat()) {
    const key = kernelKey(definition);
    const source = assembleSource(definition);
    expect(sources.get(key) ?? source, key).toBe(source);
    sources.set(key, source);
  }
});

/** Each text once: some choices make no difference to some variants. */
const distinct = Object.entries(definitions).map(
  ([name, list]) => [name, [...new Map(list.map((each) => [kernelKey(each), each])).values()]] as const,
);

describe.each(distinct)('%s', (_, list) => {
  test('reflection finds every binding and every parameter', () => {
    for (const definition of list) {
      const code = assembleSource(definition).replace(/\/\/.*$/gm, '');
      const { storage, parameters, uniformBinding } = reflect(code);
      const declared = [...code.matchAll(/@group\((\d+)\)\s*@binding\((\d+)\)/g)];
      const numbers = declared.map((match) => Number(match[2])).sort((a, b) => a - b);
      expect(numbers, 'bindings are numbered from 0 without gaps').toEqual(numbers.map((_, index) => index));
      expect(declared.every((match) => match[1] === '0')).toBe(true);
      expect(storage.filter(Boolean)).toHaveLength(storage.length);
      expect(storage.length + (uniformBinding >= 0 ? 1 : 0)).toBe(numbers.length);
      expect(uniformBinding, 'the uniform comes last').toBe(numbers.length - 1);
      const fields = code
        .match(/struct Parameters\s*\{([^}]*)\}/)![1]!
        .split(',')
        .filter((field) => field.trim() !== '');
      expect(parameters).toHaveLength(fields.length);
      expect(parameters.length, 'a slot of the uniform arena has 32 scalars').toBeLessThanOrEqual(32);
    }
  });

  test('compiles', async () => {
    const { device } = opened;
    for (const definition of list) {
      device.pushErrorScope('validation');
      const kernel = compileKernel(device, definition);
      const error = await device.popErrorScope();
      expect(error?.message, kernel.label).toBeUndefined();
      const failure = await kernel.compiled.catch((reason: Error) => reason.message);
      if (failure !== undefined && /workgroup storage|must be a multiple of the device maxSubgroupSize/.test(failure)) {
        // Larger than this device allows, or for subgroups that it does not have: only the text can be checked.
        expect(definition.files.at(-1)).toMatch(/^(matmul\/matrix-|attention\/tiled|delta-rule\/chunked)/);
        expect(await compilationError(kernel, definition)).toBeUndefined();
        continue;
      }
      expect(failure, kernel.label).toBeUndefined();
      expect(kernel.pipeline).toBeDefined();
    }
  });
});
