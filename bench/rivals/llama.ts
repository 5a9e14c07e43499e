/**
 * llama.cpp's process as the benchmark sees it.
 *
 * @module
 */

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export interface LlamaRequest {
  /** A GGUF file. */
  file: string;
  /** Ids of the prompt's tokens. */
  ids: number[];
  /** Most tokens to generate. */
  tokens: number;
}

/** A generated text. */
export interface LlamaAnswer {
  adapter: string;
  /** Tokens generated. */
  count: number;
  text: string;
  seconds: number;
  processorSeconds: number;
}

/** Why llama.cpp cannot run, with what to do; `undefined` if it can. */
export function missingLlama(): string | undefined {
  const installed = existsSync(fileURLToPath(new URL('./node_modules/node-llama-cpp', import.meta.url)));
  return installed ? undefined : 'llama.cpp is not installed; run: npm install --prefix bench/rivals';
}

export class LlamaProcess {
  readonly #child: ChildProcess;
  readonly #ended: Promise<never>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#ended = once(child, 'exit').then(() => {
      throw new Error('the process of llama.cpp ended; its messages are above');
    });
    // Its end is no failure when nobody waits for an answer.
    this.#ended.catch(() => {});
  }

  /** Loads the model. */
  static async start(request: LlamaRequest): Promise<LlamaProcess> {
    const child = fork(fileURLToPath(new URL('./llama-child.ts', import.meta.url)), [JSON.stringify(request)], {
      // llama.cpp leaves software adapters out unless one is asked for by its number.
      env: { ...process.env, GGML_VK_VISIBLE_DEVICES: process.env.GGML_VK_VISIBLE_DEVICES ?? '0' },
    });
    const process_ = new LlamaProcess(child);
    await process_.#answer();
    return process_;
  }

  async generate(): Promise<LlamaAnswer> {
    this.#child.send('generate');
    return (await this.#answer()) as LlamaAnswer;
  }

  async #answer(): Promise<unknown> {
    const [answer] = await Promise.race([once(this.#child, 'message'), this.#ended]);
    return answer;
  }

  close(): void {
    this.#child.kill();
  }
}
