/**
 * The models that an engine has loaded, from loading to unloading: base models, runs and models with adapters, by the
 * names that requests use.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { Generator } from '../generate/generator.ts';
import type { Gpu } from '../gpu/gpu.ts';
import type { Model } from '../model/model.ts';
import { contextLengthOf } from '../model/virtual-tokens.ts';
import type { Probes } from '../ops/probes.ts';
import { basename, resolve } from '../platform/index.ts';
import { resolveStep } from '../train/best.ts';
import { destroyParts, type KnownModel, type LoadedModel, type ModelParts } from './loaded-model.ts';
import { openModel } from './open-model.ts';
import type { LoadModelRequest, ModelInfo } from './types.ts';

export class LoadedModels {
  readonly #gpu: Gpu;
  readonly #models = new Map<string, LoadedModel>();
  /** Loads under way, so that two requests for one model load it once. */
  readonly #loading = new Map<string, Promise<ModelInfo>>();

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /**
   * Loads a model directory, a GGUF file or a run; a name that has the same already is left as it is.
   * @throws SubzeroError `conflict` if the name belongs to another model, and what reading the files throws
   */
  async load(request: LoadModelRequest): Promise<ModelInfo> {
    const path = resolve(request.path);
    const loaded = this.#models.get(request.id);
    if (loaded) {
      const { information } = loaded;
      if (
        information.path === path &&
        information.lora === (request.lora === undefined ? undefined : resolve(request.lora)) &&
        (request.step === undefined || information.step === (await resolveStep(path, request.step)))
      ) {
        return this.describe(loaded);
      }
      throw new SubzeroError(
        'conflict',
        `the name "${request.id}" is taken by the model of ${loaded.information.path}; unload it or choose another ` +
          `name`,
        { parameter: 'id' },
      );
    }
    const loading = this.#loading.get(request.id);
    if (loading) {
      // Wait for the other request, then judge this one by what is loaded; if the other failed, this one has its own
      // try.
      await loading.catch(() => {});
      return this.load(request);
    }
    return this.#begin(request.id, async () => {
      const { known, parts } = await openModel(this.#gpu, request, path, () => this.all);
      return this.#add(known, parts);
    });
  }

  /**
   * Adds a model that `load` makes under a name that nothing else may have or get meanwhile.
   * @throws SubzeroError `conflict` if the name is taken
   */
  async addAs(known: KnownModel, load: () => Promise<ModelParts>): Promise<ModelInfo> {
    const { id } = known;
    if (this.#models.has(id) || this.#loading.has(id)) {
      throw new SubzeroError('conflict', `the name "${id}" is taken; choose another`, { parameter: 'id' });
    }
    return this.#begin(id, async () => this.#add(known, await load()));
  }

  #begin(id: string, load: () => Promise<ModelInfo>): Promise<ModelInfo> {
    const loading = load().finally(() => this.#loading.delete(id));
    this.#loading.set(id, loading);
    return loading;
  }

  /** Adds a model to the loaded ones. @param parts destroyed if that fails, and by {@link unload} otherwise */
  #add(known: KnownModel, parts: ModelParts): ModelInfo {
    try {
      const loaded = this.#complete(known, parts);
      this.#models.set(known.id, loaded);
      return this.describe(loaded);
    } catch (error) {
      destroyParts(parts);
      throw error;
    }
  }

  #complete(known: KnownModel, parts: ModelParts): LoadedModel {
    const { model, tokenizer, optimizer, adapter } = parts;
    const probes = (): Probes => optimizer?.current ?? adapter?.probes ?? model.plainProbes;
    const relative = optimizer ? undefined : this.onPlainWeights(model)[0];
    this.#gpu.turns.expect();
    return {
      ...parts,
      information: {
        ...known,
        architecture: model.decoder.architecture,
        parameterCount: model.parameterCount,
        vocabularySize: model.decoder.vocabularySize,
        contextLength: contextLengthOf(model, probes()),
        createdAt: Math.floor(Date.now() / 1000),
        weightBytes: model.weightBytes,
      },
      generator:
        relative?.generator ??
        new Generator(model, tokenizer, optimizer ? () => optimizer.current : () => model.plainProbes),
      probes,
      unloading: new AbortController(),
      works: new Set(),
    };
  }

  /** Ends the work over a model and frees its memory. @throws SubzeroError `not_found` */
  async unload(id: string): Promise<void> {
    const loaded = this.find(id);
    this.#models.delete(id);
    loaded.unloading.abort();
    const shared = this.all.some(({ generator }) => generator === loaded.generator);
    await (shared ? loaded.generator.release() : loaded.generator.destroy());
    await Promise.allSettled(loaded.works);
    await loaded.stepRun?.close();
    destroyParts(loaded);
  }

  async unloadAll(): Promise<void> {
    for (const id of [...this.#models.keys()]) await this.unload(id);
  }

  /** What is known of every model. */
  list(): ModelInfo[] {
    return this.all.map((loaded) => this.describe(loaded));
  }

  /** Every loaded model, in the order of loading. */
  get all(): LoadedModel[] {
    return [...this.#models.values()];
  }

  /** The loaded model of that name, if there is one. */
  get(id: string): LoadedModel | undefined {
    return this.#models.get(id);
  }

  /** The loaded model of that name. @throws SubzeroError `not_found` that lists the loaded ones */
  find(id: string): LoadedModel {
    const loaded = this.#models.get(id);
    if (loaded) return loaded;
    const names = [...this.#models.keys()].map((name) => basename(name) || name);
    throw new SubzeroError(
      'not_found',
      `the model "${id}" is not loaded; ${names.length > 0 ? `loaded are ${names.join(', ')}` : 'none is'}`,
      { parameter: 'model' },
    );
  }

  /** Loaded models that are these weights as they are, alone or with an adapter. */
  onPlainWeights(model: Model): LoadedModel[] {
    return this.all.filter((other) => other.model === model && !other.optimizer);
  }

  describe({ information, model }: LoadedModel): ModelInfo {
    const users = this.all.filter((other) => other.model === model);
    const others = users.map((other) => other.information.id).filter((id) => id !== information.id);
    return { ...information, sharesWeightsWith: others };
  }
}
