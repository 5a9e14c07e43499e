/**
 * What graders that ask a model need, by an engine: judges are its loaded models, or folders of models that are loaded
 * when they are first asked.
 *
 * @module
 */

import type { GraderServices } from '../graders/index.ts';
import type { Engine } from './types.ts';

/** Tokens of a judging model's answer, unless the grader says how many. */
const judgeTokens = 256;

export class EngineGraders implements Required<GraderServices> {
  readonly #engine: Engine;
  readonly #signal: AbortSignal | undefined;
  readonly #loading = new Map<string, Promise<string>>();

  constructor(engine: Engine, signal?: AbortSignal) {
    this.#engine = engine;
    this.#signal = signal;
  }

  readonly complete: Required<GraderServices>['complete'] = async ({ model, maxTokens = judgeTokens, ...request }) => {
    const id = await this.#loaded(model);
    let text = '';
    for await (const event of this.#engine.generate({ ...request, model: id, maxTokens }, this.#signal)) {
      if (event.type === 'done') text = event.text;
    }
    return text;
  };

  readonly embed: Required<GraderServices>['embed'] = async (model, texts) => {
    const inputs = [...texts];
    const id = await this.#loaded(model);
    return (await this.#engine.embed({ model: id, inputs, pooling: 'mean' }, this.#signal)).vectors;
  };

  #loaded(model: string): Promise<string> {
    const loading = this.#loading.get(model) ?? this.#load(model);
    this.#loading.set(model, loading);
    return loading;
  }

  async #load(model: string): Promise<string> {
    const there = (await this.#engine.models()).some(({ id }) => id === model);
    return there ? model : (await this.#engine.loadModel({ id: model, path: model })).id;
  }

  /** Frees the models that were loaded for it. */
  async close(): Promise<void> {
    for (const loading of this.#loading.values()) {
      await loading.then((id) => this.#engine.unloadModel(id)).catch(() => {});
    }
    this.#loading.clear();
  }
}
