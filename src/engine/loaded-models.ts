/**
 * The models that an engine has loaded: base models, runs and models with adapters, which share weights where these are
 * the same, by the names that requests use.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { Generator } from '../generate/generator.ts';
import type { TextModel } from '../generate/row-adapters.ts';
import type { AdapterChoice } from '../generate/types.ts';
import { isGgufPath } from '../gguf/index.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { loadModel } from '../model/load.ts';
import type { Model } from '../model/model.ts';
import { contextLengthOf } from '../model/virtual-tokens.ts';
import type { Probes } from '../ops/probes.ts';
import { basename, resolve, stat } from '../platform/index.ts';
import { loadTokenizer, type Tokenizer } from '../tokenizer/index.ts';
import { resolveStep } from '../train/best.ts';
import { isRunFolder } from '../train/run-folder.ts';
import type { AppliedAdapter } from '../tuning/applied-adapter.ts';
import type { JournalHeader } from '../zo/journal-format.ts';
import type { ZerothOrderOptimizer } from '../zo/optimizer.ts';
import type { StepRun } from './step-run.ts';
import type { LoadModelRequest, ModelInfo } from './types.ts';

/** A model under one of its names. */
export interface LoadedModel {
  information: Omit<ModelInfo, 'sharesWeightsWith'>;
  model: Model;
  /** Present for a run. */
  optimizer?: ZerothOrderOptimizer;
  /** Present for a base model with an adapter. */
  adapter?: AppliedAdapter;
  tokenizer: Tokenizer;
  /** Shared by a base model and its adapters, whose texts go through the same passes. */
  generator: Generator;
  probes: () => Probes;
  /** Aborted when the model is unloaded, and what has to end before its memory is freed. */
  unloading: AbortController;
  works: Set<Promise<unknown>>;
  /** Whether the weights are those of the base model's files, and stay so. */
  asLoaded: boolean;
  /** Present for a run that its caller makes step by step. */
  stepRun?: StepRun;
}

/** What a model is made of when it is added to the loaded ones. */
export type ModelParts = Pick<LoadedModel, 'model' | 'tokenizer' | 'optimizer' | 'adapter' | 'stepRun' | 'asLoaded'>;

export class LoadedModels {
  readonly #gpu: Gpu;
  readonly #models = new Map<string, LoadedModel>();
  /** Loads under way, so that two requests for one model load it once. */
  readonly #loading = new Map<string, Promise<ModelInfo>>();

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /** The names, in the order of loading. */
  get ids(): string[] {
    return [...this.#models.keys()];
  }

  /** What is known of every model. */
  list(): ModelInfo[] {
    return [...this.#models.values()].map((loaded) => this.describe(loaded));
  }

  /** @throws SubzeroError `not_found` that lists the loaded ones */
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
        `the name "${request.id}" is taken by the model of ${loaded.information.path}; unload it or choose another name`,
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
    const load = this.#open(request, path).finally(() => this.#loading.delete(request.id));
    this.#loading.set(request.id, load);
    return load;
  }

  async #open(request: LoadModelRequest, path: string): Promise<ModelInfo> {
    await checkDirectory(path);
    const gpu = this.#gpu;
    const isRun = await isRunFolder(path);
    if (!isRun && request.step !== undefined) {
      throw new SubzeroError('invalid_argument', `${path} is a model, not a run; it has no steps`, {
        parameter: 'step',
      });
    }
    if (isRun && request.lora !== undefined) {
      throw new SubzeroError(
        'unsupported',
        `${path} is a run; an adapter is applied to a model directory. Export the run as safetensors first`,
        { parameter: 'lora' },
      );
    }
    const restored = isRun
      ? await (await import('../train/run.ts')).restoreRun(gpu, path, {
          ...(request.step === undefined ? {} : { step: request.step }),
          shared: (header) => this.#sharedBase(header),
        })
      : undefined;
    const { storage } = request;
    const shared = request.lora === undefined ? undefined : this.#sharedModel(path, storage);
    const model = restored?.model ?? shared ?? (await loadModel(gpu, path, storage ? { storage } : {}));
    const optimizer = restored?.optimizer;
    let adapter: AppliedAdapter | undefined;
    try {
      if (request.lora !== undefined) adapter = await this.#applyLora(model, request.lora);
      const tokenizer = await loadTokenizer(model.directory);
      return this.#add(
        {
          ...{ id: request.id, path, kind: isRun ? 'run' : 'base' },
          ...(restored ? { step: restored.step } : {}),
          ...(request.lora === undefined ? {} : { lora: resolve(request.lora) }),
        },
        {
          ...{ model, tokenizer, asLoaded: restored?.asLoaded ?? true },
          ...(optimizer ? { optimizer } : {}),
          ...(adapter ? { adapter } : {}),
        },
      );
    } catch (error) {
      adapter?.destroy();
      optimizer?.destroy();
      model.destroy();
      throw error;
    }
  }

  async #applyLora(model: Model, directory: string): Promise<AppliedAdapter> {
    const { readPeftLora } = await import('../tuning/peft-lora.ts');
    const { AppliedAdapter } = await import('../tuning/applied-adapter.ts');
    const adapter = new AppliedAdapter(model, await readPeftLora(directory, model.decoder));
    await this.#gpu.checkAllocations();
    return adapter;
  }

  /** Loaded models that are these weights as they are, alone or with an adapter. */
  #onPlainWeights(model: Model): LoadedModel[] {
    return [...this.#models.values()].filter((other) => other.model === model && !other.optimizer);
  }

  /**
   * What a text is made with.
   * @throws SubzeroError `invalid_argument` that names the adapter which cannot be had
   */
  textModel(loaded: LoadedModel, choices?: readonly AdapterChoice[]): TextModel {
    const own = loaded.adapter ? [{ adapter: loaded.adapter, weight: 1 }] : [];
    if (!choices) return { adapters: own, users: [loaded.unloading.signal] };
    const { information, model, optimizer } = loaded;
    const refuse = (problem: string): SubzeroError =>
      new SubzeroError('invalid_argument', problem, { parameter: 'adapters' });
    if (optimizer && choices.length > 0) {
      throw refuse(`"${information.id}" is a run, which has no adapters beside its own change`);
    }
    const names = choices.map(({ name }) => name);
    const twice = names.find((name, index) => names.indexOf(name) < index);
    if (twice !== undefined) throw refuse(`the adapter "${twice}" is named twice`);
    const found = choices.map(({ name, weight = 1 }) => {
      const other = this.#models.get(name);
      if (!Number.isFinite(weight)) throw refuse(`the weight of the adapter "${name}" must be a number; got ${weight}`);
      if (!other?.adapter) {
        const why = other ? 'is a model without an adapter of PEFT' : 'is not loaded';
        const known = this.#onPlainWeights(model).flatMap(({ adapter, information: { id } }) => (adapter ? [id] : []));
        const list = known.length > 0 ? `those of "${information.id}" are ${known.join(', ')}` : 'there are none here';
        throw refuse(`the adapter "${name}" ${why}; ${list}`);
      }
      if (other.model !== model) {
        throw refuse(`the adapter "${name}" belongs to another base model than "${information.id}"`);
      }
      return { adapter: other.adapter, weight, name, signal: other.unloading.signal };
    });
    const used = found.filter(({ weight }) => weight !== 0);
    const whole = used.find(({ adapter, weight }) => adapter.hasGains && (used.length > 1 || weight !== 1));
    if (whole) {
      throw refuse(`the adapter "${whole.name}" is a DoRA, which can only be used alone and with the weight 1`);
    }
    return { adapters: used, users: [loaded.unloading.signal, ...used.map(({ signal }) => signal)] };
  }

  /** A loaded model of a folder whose weights nobody writes, with one more user. */
  #sharedModel(path: string, storage: LoadModelRequest['storage']): Model | undefined {
    const found = [...this.#models.values()].find(
      ({ model, asLoaded }) =>
        asLoaded &&
        resolve(model.directory) === path &&
        (storage === undefined || storage === 'auto' || model.storage === storage),
    );
    return found?.model.share();
  }

  /** The base model of a run among the loaded ones whose weights nobody writes, with the run as one more user. */
  #sharedBase({ basePath, baseFingerprint, configuration }: JournalHeader): Model | undefined {
    const found = [...this.#models.values()].find(
      ({ model, asLoaded }) =>
        asLoaded &&
        resolve(model.directory) === resolve(basePath) &&
        model.fingerprint === baseFingerprint &&
        model.storage === configuration.storage,
    );
    return found?.model.share();
  }

  #add(known: Pick<ModelInfo, 'id' | 'path' | 'kind' | 'step' | 'lora'>, parts: ModelParts): ModelInfo {
    const { model, tokenizer, optimizer, adapter } = parts;
    const probes = (): Probes => optimizer?.current ?? adapter?.probes ?? model.plainProbes;
    const relative = optimizer ? undefined : this.#onPlainWeights(model)[0];
    this.#gpu.turns.expect();
    const information: LoadedModel['information'] = {
      ...known,
      architecture: model.decoder.architecture,
      parameterCount: model.parameterCount,
      vocabularySize: model.decoder.vocabularySize,
      contextLength: contextLengthOf(model, probes()),
      createdAt: Math.floor(Date.now() / 1000),
      weightBytes: model.weightBytes,
    };
    this.#models.set(known.id, {
      ...parts,
      information,
      generator:
        relative?.generator ??
        new Generator(model, tokenizer, optimizer ? () => optimizer.current : () => model.plainProbes),
      probes,
      unloading: new AbortController(),
      works: new Set(),
    });
    return this.describe(this.#models.get(known.id)!);
  }

  describe({ information, model }: LoadedModel): ModelInfo {
    const users = [...this.#models.values()].filter((other) => other.model === model);
    const others = users.map((other) => other.information.id).filter((id) => id !== information.id);
    return { ...information, sharesWeightsWith: others };
  }

  async unload(id: string): Promise<void> {
    const loaded = this.find(id);
    this.#models.delete(id);
    loaded.unloading.abort();
    const shared = [...this.#models.values()].some(({ generator }) => generator === loaded.generator);
    await (shared ? loaded.generator.release() : loaded.generator.destroy());
    await Promise.allSettled(loaded.works);
    await loaded.stepRun?.close();
    loaded.optimizer?.destroy();
    loaded.adapter?.destroy();
    loaded.model.destroy();
  }

  /**
   * Adds a model that `load` makes under a name that nothing else may have or get meanwhile.
   * @throws SubzeroError `conflict` if the name is taken
   */
  async addAs(
    known: Pick<ModelInfo, 'id' | 'path' | 'kind' | 'step'>,
    load: () => Promise<ModelParts>,
  ): Promise<ModelInfo> {
    const { id } = known;
    if (this.#models.has(id) || this.#loading.has(id)) {
      throw new SubzeroError('conflict', `the name "${id}" is taken; choose another`, { parameter: 'id' });
    }
    const loading = load()
      .then((parts) => this.#add(known, parts))
      .finally(() => this.#loading.delete(id));
    this.#loading.set(id, loading);
    return loading;
  }

  /** The directory of a base model, by the id of a loaded one or by its path. */
  async baseDirectory(model: string): Promise<string> {
    const loaded = this.#models.get(model)?.information;
    if (loaded?.lora !== undefined) {
      throw new SubzeroError(
        'unsupported',
        `"${model}" is a model with the adapter ${loaded.lora}; train on its base model, or merge the adapter into it first`,
        { parameter: 'model' },
      );
    }
    const directory = loaded?.path ?? resolve(model);
    await checkDirectory(directory);
    if (await isRunFolder(directory)) {
      throw new SubzeroError(
        'unsupported',
        `${directory} is a run; export it as safetensors to train on top of it, or continue it with --resume`,
        { parameter: 'model' },
      );
    }
    return directory;
  }
}

/** Work over a model's memory: unloading ends it and frees the memory after it. */
export async function workOver<T>(
  { unloading, works }: LoadedModel,
  signal: AbortSignal | undefined,
  begin: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const work = begin(signal ? AbortSignal.any([signal, unloading.signal]) : unloading.signal);
  works.add(work);
  try {
    return await work;
  } finally {
    works.delete(work);
  }
}

/** @throws SubzeroError `not_found` unless it is a folder or a GGUF file */
export async function checkDirectory(path: string): Promise<void> {
  const status = await stat(path).catch(() => undefined);
  if (status?.isDirectory() || (status?.isFile() && isGgufPath(path))) return;
  throw new SubzeroError(
    'not_found',
    `there is no folder ${path}; expected a model directory, a GGUF file (.gguf) or a run folder`,
    { parameter: 'model' },
  );
}
