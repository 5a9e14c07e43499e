/**
 * A process with one revision in it, that does parts of the fixed suite when it is told to. It lives off what changes
 * least between revisions, the `Engine` interface and WebGPU itself: memory is counted where Dawn is asked for it.
 *
 * Started by bench/gate.ts with a {@link GateRequest} as its only argument; answers each message with one.
 *
 * @module
 */

import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Engine } from '../../src/engine/types.ts';
import { type Answer, type GateRequest, type Part, sizes } from './suite.ts';

/** The source file that exports something, wherever a revision keeps it. */
function sourceOf(root: string, exported: string): string | undefined {
  const source = join(root, 'src');
  return readdirSync(source, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(source, name))
    .find((path) => readFileSync(path, 'utf8').includes(`export ${exported}`));
}

/** What was asked for in this thread. */
interface Work {
  /**
   * Launches recorded, those in a row of one kernel over the same buffers as one; `null` where the revision has no
   * such recorder.
   */
  dispatches: number | null;
  /** Bytes of the buffers that Dawn was asked for and that were not destroyed. */
  bytes: number;
  peakBytes: number;
}

/** Lets a method of a class tell of its calls before it does what it does. */
function around<Self>(
  type: { prototype: object },
  method: string,
  before: (self: Self, ...args: never[]) => void,
): void {
  const prototype = type.prototype as Record<string, (...args: never[]) => unknown>;
  const original = prototype[method]!;
  prototype[method] = function (this: Self, ...args: never[]) {
    before(this, ...args);
    return original.apply(this, args);
  };
}

/** Counts bytes where Dawn is asked for them, and launches where they are recorded. */
async function countWork(root: string): Promise<Work> {
  const work: Work = { dispatches: null, bytes: 0, peakBytes: 0 };
  const path = createRequire(join(root, 'package.json')).resolve('webgpu');
  const { globals } = (await import(pathToFileURL(path).href)) as { globals: Record<string, { prototype: object }> };
  around(globals.GPUDevice!, 'createBuffer', (_, { size }: { size: number }) => {
    work.bytes += size;
    work.peakBytes = Math.max(work.peakBytes, work.bytes);
  });
  const destroyed = new WeakSet();
  around(globals.GPUBuffer!, 'destroy', (buffer: { size: number }) => {
    if (!destroyed.has(buffer)) work.bytes -= buffer.size;
    destroyed.add(buffer);
  });
  const file = sourceOf(root, 'class Recorder');
  if (file === undefined) return work;
  const { Recorder } = (await import(pathToFileURL(file).href)) as { Recorder: { prototype: { dispatch?: unknown } } };
  if (typeof Recorder.prototype.dispatch !== 'function') return work;
  work.dispatches = 0;
  let last: readonly unknown[] = [];
  around(Recorder, 'dispatch', ({ rehearsing }: { rehearsing?: boolean }, kernel: unknown, buffers: unknown[]) => {
    if (rehearsing) return;
    const launch = [kernel, ...buffers];
    // Into how many launches a kernel over the same buffers is cut is decided by the clock.
    if (launch.length !== last.length || launch.some((part, index) => part !== last[index])) work.dispatches!++;
    last = launch;
  });
  return work;
}

/**
 * The engine in this thread where the revision has one, so that its work is counted; else the one in a thread of its
 * own.
 */
async function openEngine(root: string, adapter: string | undefined): Promise<{ engine: Engine; counted: boolean }> {
  const options = adapter === undefined ? {} : { adapter };
  const local = sourceOf(root, 'class LocalEngine');
  if (local !== undefined) {
    const { LocalEngine } = (await import(pathToFileURL(local).href)) as {
      LocalEngine: { open(options: object): Promise<Engine> };
    };
    return { engine: await LocalEngine.open(options), counted: true };
  }
  const client = sourceOf(root, 'async function openEngine');
  if (client === undefined) throw new Error(`${root} has no engine: neither LocalEngine nor openEngine is in its src`);
  const open = (await import(pathToFileURL(client).href)) as { openEngine(options: object): Promise<Engine> };
  return { engine: await open.openEngine(options), counted: false };
}

const { root, model, data, out, adapter } = JSON.parse(process.argv[2]!) as GateRequest;
const work = await countWork(root);
let opened: Awaited<ReturnType<typeof openEngine>> | undefined;
let runs = 0;

/** Does a part. @returns something of what it computed */
async function run(part: Part): Promise<number | string> {
  if (part === 'load') {
    opened = await openEngine(root, adapter);
    await opened.engine.loadModel({ id: 'model', path: model });
    return 0;
  }
  const { engine } = opened!;
  let result: number | string = 0;
  switch (part) {
    case 'training': {
      const { steps, batchSize } = sizes;
      const configuration = { steps, batchSize, rank: 8, refresh: 100, learningRate: 5e-5, epsilon: 1e-3, seed: 1 };
      const request = { model: 'model', data: { file: data }, configuration, out: join(out, `run-${runs++}`) };
      for await (const event of engine.train(request)) if (event.type === 'step') result = event.loss;
      break;
    }
    case 'evaluation':
      result = (await engine.evaluate({ model: 'model', data: { file: data }, limit: sizes.evaluated })).loss;
      break;
    case 'generation': {
      const request = { model: 'model', prompt: 'The film was', temperature: 0, maxTokens: sizes.generated };
      for await (const event of engine.generate(request)) if (event.type === 'done') result = event.text;
    }
  }
  return result;
}

async function measure(part: Part): Promise<Answer> {
  const dispatches = work.dispatches ?? 0;
  const wall = performance.now();
  const before = process.cpuUsage();
  const result = await run(part);
  const { user, system } = process.cpuUsage(before);
  const { engine, counted } = opened!;
  const spent = {
    processor: (user + system) / 1e6,
    wall: (performance.now() - wall) / 1000,
    dispatches: counted && work.dispatches !== null ? work.dispatches - dispatches : null,
    peakBytes: counted ? work.peakBytes : null,
  };
  const { description, device, software } = (await engine.info()).adapter;
  return { type: 'done', spent, adapter: { description: description || device, software }, result };
}

process.on('message', (part: Part | 'end') => {
  if (part === 'end') {
    void (opened?.engine.close() ?? Promise.resolve()).finally(() => process.disconnect());
    return;
  }
  measure(part).then(
    (answer) => process.send!(answer),
    (error: Error) => process.send!({ type: 'failed', message: error.message } satisfies Answer),
  );
});
process.send!({ type: 'ready' } satisfies Answer);
