/**
 * PyTorch's process, which makes a step whenever it is told to.
 *
 * @module
 */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface PyTorchRequest {
  /** A model directory. */
  model: string;
  rows: { prompt: readonly number[]; options: readonly number[]; label: number }[];
  rank: number;
  epsilon: number;
  learningRate: number;
  threads: number;
}

/** What it says before the first step. */
export interface PyTorchStart {
  /** The loss of the rows before any step. */
  loss: number;
  torch: string;
  transformers: string;
  threads: number;
}

export interface StepTime {
  seconds: number;
  processorSeconds: number;
}

const script = fileURLToPath(new URL('./subzero_step.py', import.meta.url));

/** Why an interpreter cannot run the script, with what to do; `undefined` if it can. */
export function missingPyTorch(python: string): string | undefined {
  const { status, error, stderr } = spawnSync(python, ['-c', 'import torch, transformers'], { encoding: 'utf8' });
  if (status === 0) return undefined;
  const why = error?.message ?? stderr.trim().split('\n').at(-1) ?? '';
  return (
    `${python} cannot run PyTorch (${why}); install it (${python} -m pip install torch transformers), ` +
    'or name an interpreter that has both: PYTHON=/path/to/python npm run bench -- rivals'
  );
}

/** The process with the model loaded. */
export class PyTorch {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  }

  static async start(python: string, request: PyTorchRequest): Promise<{ pytorch: PyTorch; start: PyTorchStart }> {
    const pytorch = new PyTorch(spawn(python, [script], { stdio: ['pipe', 'pipe', 'inherit'] }));
    return { pytorch, start: (await pytorch.#ask(request)) as PyTorchStart };
  }

  async step(): Promise<StepTime> {
    return (await this.#ask({})) as StepTime;
  }

  async #ask(message: object): Promise<unknown> {
    this.#child.stdin!.write(`${JSON.stringify(message)}\n`);
    const { value, done } = await this.#lines.next();
    if (done) throw new Error('the process of PyTorch ended; its messages are above');
    return JSON.parse(value);
  }

  close(): void {
    this.#child.stdin!.end();
  }
}
