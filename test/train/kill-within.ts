/**
 * Loaded into a process before `subzero train` (node --import), kills it with SIGKILL in the middle of a compression of
 * the bank, or while the GPU folds: `SUBZERO_TEST_KILL` says which, and at the how-manieth of its parts, as in
 * `compression:20`. A part is the change of one weight.
 *
 * @module
 */

import process from 'node:process';
import { Gpu } from '../../src/gpu/gpu.ts';
import type { KernelDefinition } from '../../src/gpu/kernel.ts';
import { Recorder } from '../../src/gpu/recorder.ts';
import { Bank } from '../../src/zo/bank.ts';

/** Calls something before or after a method of a class. */
function around<Self extends object, Name extends keyof Self>(
  { prototype }: { prototype: Self },
  name: Name,
  {
    before = () => {},
    after = () => {},
  }: { before?(...args: never[]): void; after?(result: never, ...args: never[]): void },
): void {
  const original = prototype[name] as (...args: unknown[]) => unknown;
  prototype[name] = function (this: Self, ...args: never[]) {
    before(...args);
    const result = original.apply(this, args);
    after(result as never, ...args);
    return result;
  } as Self[Name];
}

const die = (): void => {
  process.kill(process.pid, 'SIGKILL');
};

const [place = '', part = ''] = (process.env.SUBZERO_TEST_KILL ?? '').split(':');
let left = Number(part);

if (place === 'compression') {
  around(Bank, 'change', {
    before: () => {
      if (--left === 0) die();
    },
  });
}

if (place === 'fold') {
  const folds = new WeakSet<object>();
  around(Gpu, 'kernel', {
    after: (kernel: object, definition: KernelDefinition) => {
      if (definition.files.includes('zo/fold.wgsl')) folds.add(kernel);
    },
  });
  around(Recorder, 'dispatch', {
    before: (kernel: object) => {
      if (folds.has(kernel)) left--;
    },
  });
  around(Recorder, 'submit', {
    after: () => {
      if (left <= 0) die();
    },
  });
}
