/**
 * Who may import whom: the floors that docs/architecture.md describes, read from the imports.
 *
 * @module
 */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { expect, test } from 'vitest';

/** From the lowest floor to the highest: a file imports from its own floor and from those before it. */
const floors = [
  // What differs between systems.
  'src/platform',
  // Files directly under src/: errors, texts and small things that belong to nothing else.
  'src',
  // Drawings as plain data, which pages load as they are.
  'src/chart',
  ...['src/random', 'src/gpu', 'src/safetensors', 'src/hub', 'src/weights', 'src/gguf', 'src/quantized'],
  ...['src/tensor', 'src/ops'],
  ...['src/tokenizer', 'src/data', 'src/settings', 'src/model', 'src/tuning', 'src/zo'],
  ...[
    'src/generate',
    'src/graders',
    'src/objectives',
    'src/evaluation',
    'src/train',
    'src/cluster',
    'src/bench',
    'src/engine',
    'src/experiments',
    'src/recording',
    'server',
    'src/cli',
  ],
];

/**
 * Floors that launch kernels: what lies above asks these to. The benchmarks of the kernels launch what they measure.
 */
const launching = new Set(['src/gpu', 'src/ops', 'src/bench']);

/**
 * Where Node's own modules are used, which Bun and Deno have too: the platform, the command line, and what the server
 * needs of them: its listeners, streams of uploads, SQLite, comparison in constant time, addresses, comparison in
 * depth.
 */
const runtimeBound = [
  ...['src/platform/', 'src/cli/', 'server/adapters/', 'server/files/', 'server/store.ts'],
  ...['server/middleware/authentication.ts', 'server/middleware/host-check.ts', 'server/schemas/known-fields.ts'],
];

function floorOf(file: string): string {
  const [top, next] = file.split('/');
  if (top === 'server') return 'server';
  return file.split('/').length === 2 ? 'src' : `${top}/${next}`;
}

const files = ['src', 'server'].flatMap((root) =>
  readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.[jt]s$/.test(name))
    .map((name) => join(root, name)),
);

interface Import {
  from: string;
  to: string;
  /** Erased before anything runs. */
  isType: boolean;
  /** Loaded when it is first wanted. */
  isLate: boolean;
}

const imports: Import[] = files.flatMap((from) => {
  const text = readFileSync(from, 'utf8');
  const found = text.matchAll(
    /^(?:import|export)\s+(type\s)?(?:[^;'"]*?\sfrom\s+)?'(\.[^']+)'|\bimport\('(\.[^']+)'\)/gm,
  );
  return [...found].map(([, type, path, dynamic]) => {
    const to = relative('.', join(dirname(from), (path ?? dynamic)!));
    return { from, to, isType: type !== undefined, isLate: dynamic !== undefined };
  });
});

test('every import was found, and every file has a floor', () => {
  expect(imports.length).toBeGreaterThan(1000);
  expect(imports.filter(({ to }) => !existsSync(to))).toEqual([]);
  expect(files.filter((file) => !floors.includes(floorOf(file)))).toEqual([]);
});

test('imports point down, types included', () => {
  const upward = imports.filter(({ from, to }) => floors.indexOf(floorOf(to)) > floors.indexOf(floorOf(from)));
  expect(upward.map(({ from, to }) => `${from} imports ${to}`)).toEqual([]);
});

test('what a page loads imports nothing but what the page loads', () => {
  const loaded = (file: string): boolean => file.startsWith('src/chart/') || file.startsWith('server/dashboard/');
  const pages = imports.filter(({ from }) => loaded(from));
  expect(pages.length).toBeGreaterThan(10);
  expect(pages.filter(({ to }) => !loaded(to) || !to.endsWith('.js'))).toEqual([]);
});

test('kernel benchmarks and the client of NATS are loaded when they are asked for', () => {
  for (const floor of ['src/bench/', 'src/cluster/']) {
    const inside = imports.filter(({ from, to }) => !from.startsWith(floor) && to.startsWith(floor));
    expect(inside.some(({ isLate }) => isLate)).toBe(true);
    // Commands are loaded one by one, each when it is given.
    const early = inside.filter(
      ({ from, isType, isLate }) => !isType && !isLate && !from.startsWith('src/cli/commands/'),
    );
    expect(early.map(({ from, to }) => `${from} imports ${to}`)).toEqual([]);
  }
});

test('no files import each other in a circle', () => {
  const next = new Map<string, string[]>();
  for (const { from, to, isType } of imports) if (!isType) next.set(from, [...(next.get(from) ?? []), to]);
  const done = new Set<string>();
  const circles: string[] = [];
  const visit = (file: string, path: string[]): void => {
    if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(' → '));
    if (done.has(file) || path.includes(file)) return;
    for (const other of next.get(file) ?? []) visit(other, [...path, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
  expect(circles).toEqual([]);
});

test('kernels are launched by operations only', () => {
  const others = files.filter((file) => !launching.has(floorOf(file)));
  const found = others.filter((file) => /\.dispatch\(|gpu\.kernel\(|\.wgsl'/.test(readFileSync(file, 'utf8')));
  expect(found).toEqual([]);
});

test('the core reaches the system through src/platform only', () => {
  const bound = /['"]node:|\bprocess\.\w|\bAtomics\.wait\b/;
  // Web standards have none of these either; the server runs where they are.
  const boundInCore = /\bBuffer\.\w|\bNodeJS\.\w|\bsetImmediate\b|\bnew Worker\b|\bDeno\.\w|\bBun\.\w/;
  const uses = (file: string): boolean => {
    const text = readFileSync(file, 'utf8');
    return bound.test(text) || (file.startsWith('src/') && boundInCore.test(text));
  };
  const isAllowed = (file: string): boolean => runtimeBound.some((place) => file.startsWith(place));
  expect(files.filter((file) => uses(file) && !isAllowed(file))).toEqual([]);
  // Each place is named because it needs to be.
  expect(runtimeBound.filter((place) => !files.some((file) => file.startsWith(place) && uses(file)))).toEqual([]);
  const importers = imports.filter(({ to }) => to === 'src/platform/node.ts').map(({ from }) => from);
  expect(importers).toEqual(['src/platform/index.ts']);
});
