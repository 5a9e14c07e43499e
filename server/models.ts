/**
 * The allow-list of model names: those served from the start, and those that jobs have made. Tuned models load on their
 * first use and make room for each other; a lease keeps a model from being unloaded under a running generation.
 *
 * @module
 */

import type { AdapterChoice, Engine, ModelInfo } from '../src/engine/types.ts';
import { join } from '../src/platform/index.ts';
import type { ServedModel } from './configuration.ts';
import { ApiError, invalid } from './errors.ts';
import type { Logger } from './log.ts';
import type { Store, TunedModelRecord } from './store.ts';

/** What a request holds while it uses a model. */
export interface ModelLease {
  info: ModelInfo;
  release(): void;
}

/** A model by name, loaded or not. */
export interface ModelEntry {
  id: string;
  createdAt: number;
  /** The model it was tuned from; `null` for a base model. */
  base: string | null;
  jobId: string | null;
  step: number | null;
  info: ModelInfo | undefined;
}

/** An adapter beside a base model that is served too. */
export interface ServedAdapter {
  id: number;
  name: string;
  base: string;
  scale: number;
}

interface Loaded {
  info: ModelInfo;
  leases: number;
  lastUsed: number;
  tuned: boolean;
  /** Deleted while in use: goes when its last lease ends. */
  doomed: boolean;
}

export class ModelRegistry {
  readonly #engine: Engine;
  readonly #store: Store;
  readonly #log: Logger;
  readonly #runsDirectory: string;
  readonly #maxTuned: number;
  readonly #base = new Map<string, ModelInfo>();
  /** The models that others are with an adapter, by the names of these. */
  readonly #adapted = new Map<string, string>();
  /** Scales of adapters, by their names, in requests to their base models that say nothing of adapters. */
  #scales: ReadonlyMap<string, number> = new Map();
  readonly #loaded = new Map<string, Loaded>();
  readonly #loading = new Map<string, Promise<Loaded>>();
  #clock = 0;

  constructor(options: { engine: Engine; store: Store; log: Logger; runsDirectory: string; maxTuned: number }) {
    this.#engine = options.engine;
    this.#store = options.store;
    this.#log = options.log;
    this.#runsDirectory = options.runsDirectory;
    this.#maxTuned = options.maxTuned;
  }

  /** Loads the models served from the start, in order. Rejects with the engine's error for the first that fails. */
  async loadBase(models: ServedModel[]): Promise<void> {
    for (const model of models) {
      const { base, ...request } = model;
      const info = await this.#engine.loadModel(request);
      this.#base.set(model.id, info);
      if (base !== undefined) this.#adapted.set(model.id, base);
      this.#loaded.set(model.id, { info, leases: 0, lastUsed: 0, tuned: false, doomed: false });
      this.#log.info('model loaded', { model: model.id, parameters: info.parameterCount });
    }
  }

  list(): ModelEntry[] {
    const base = [...this.#base.keys()];
    const tuned = this.#store.tunedModels().map((record) => record.id);
    return [...base, ...tuned].map((id) => this.find(id)!);
  }

  find(id: string): ModelEntry | undefined {
    const base = this.#base.get(id);
    if (base) {
      const { createdAt } = base;
      return { id, createdAt, base: this.#adapted.get(id) ?? null, jobId: null, step: null, info: base };
    }
    const record = this.#store.tunedModel(id);
    if (!record) return undefined;
    const { createdAt, base: from, jobId, step } = record;
    return { id, createdAt, base: from, jobId, step, info: this.#loaded.get(id)?.info };
  }

  /** The adapters of models that are served without them too; their numbers are places in this list. */
  adapters(): ServedAdapter[] {
    return [...this.#adapted].map(([name, base], id) => ({ id, name, base, scale: this.#scales.get(name) ?? 0 }));
  }

  /**
   * Sets the scales of adapters; others get 0.
   * @throws ApiError 400 for a number that is none, or comes twice
   */
  setScales(scales: readonly { id: number; scale: number }[]): void {
    const known = this.adapters();
    const next = new Map<string, number>();
    for (const [index, { id, scale }] of scales.entries()) {
      const name = known[id]?.name;
      if (name === undefined || next.has(name)) {
        const problem = name === undefined ? `there is no adapter ${id}` : `the adapter ${id} is named twice`;
        throw invalid(`"${index}.id": ${problem}. GET /lora-adapters lists them.`, `${index}.id`);
      }
      next.set(name, scale);
    }
    this.#scales = next;
  }

  /** The adapters that a base model is used with where a request names none; `undefined` for the model alone. */
  scaled(id: string): AdapterChoice[] | undefined {
    const used = this.adapters().filter(({ base, scale }) => base === id && scale !== 0);
    return used.length === 0 ? undefined : used.map(({ name, scale: weight }) => ({ name, weight }));
  }

  /**
   * A base model that training can start from.
   * @throws ApiError 400 for a name that is not on the list or that of a tuned model
   */
  trainable(id: string): ModelEntry {
    const entry = this.find(id);
    if (!entry) {
      throw invalid(
        `The model "${id}" does not exist here. GET /v1/models lists those that do.`,
        'model',
        'model_not_found',
      );
    }
    if (entry.base !== null || entry.info?.kind === 'run' || entry.info?.lora !== undefined) {
      throw notTrainable(entry);
    }
    return entry;
  }

  /**
   * Loads the model if need be and holds it until the lease is released.
   * @throws ApiError 404 `model_not_found` for a name that is not on the list; the engine's error if loading fails
   */
  async acquire(id: string): Promise<ModelLease> {
    let loaded = this.#loaded.get(id);
    if (!loaded || loaded.doomed) {
      const record = this.#store.tunedModel(id);
      if (!record) throw modelNotFound(id);
      let loading = this.#loading.get(id);
      if (!loading) {
        loading = this.#load(record).finally(() => this.#loading.delete(id));
        this.#loading.set(id, loading);
      }
      loaded = await loading;
    }
    const held = loaded;
    held.leases++;
    held.lastUsed = ++this.#clock;
    let released = false;
    return {
      info: held.info,
      release: () => {
        if (released) return;
        released = true;
        held.leases--;
        if (held.doomed && held.leases === 0) void this.#unload(id);
      },
    };
  }

  /**
   * The model whose tokenizer a request means that may leave it out.
   * @returns the name that it says, or the first base model's where all base models have one tokenizer
   * @throws ApiError 400 where it says nothing and there are several
   */
  async tokenizing(id: string | undefined): Promise<string> {
    if (id !== undefined) return id;
    const names = [...this.#base.keys()];
    if (names.length === 1) return names[0]!;
    const tokenizers = await Promise.all(names.map((name) => this.#engine.tokenizerInfo(name)));
    if (new Set(tokenizers.map(({ directory }) => directory)).size === 1) return names[0]!;
    throw invalid(
      names.length === 0
        ? '"model" is required: the server was started without one.'
        : `"model" is required: this server has several with different tokenizers (${names.join(', ')}).`,
      'model',
      'missing_field',
    );
  }

  /** Puts a tuned model on the list; it loads on its first use. */
  register(record: TunedModelRecord): void {
    this.#store.insertTunedModel(record);
  }

  /**
   * Takes a tuned model off the list and frees its memory. The run folder stays.
   * @throws ApiError 404 for an unknown name, 403 for a base model
   */
  async remove(id: string): Promise<void> {
    if (this.#base.has(id)) {
      throw new ApiError(
        403,
        `"${id}" is served from the start of the server; only fine-tuned models can be deleted.`,
        {
          param: 'model',
          code: 'model_not_deletable',
        },
      );
    }
    if (!this.#store.tunedModel(id)) throw modelNotFound(id);
    this.#store.deleteTunedModel(id);
    const loaded = this.#loaded.get(id);
    if (!loaded) return;
    loaded.doomed = true;
    if (loaded.leases === 0) await this.#unload(id);
  }

  async #load(record: TunedModelRecord): Promise<Loaded> {
    await this.#makeRoom();
    const path = join(this.#runsDirectory, record.jobId);
    const step = record.step === null ? {} : { step: record.step };
    const info = await this.#engine.loadModel({ id: record.id, path, ...step });
    const loaded: Loaded = { info, leases: 0, lastUsed: ++this.#clock, tuned: true, doomed: false };
    this.#loaded.set(record.id, loaded);
    this.#log.info('tuned model loaded', { model: record.id });
    return loaded;
  }

  /** Unloads idle tuned models, the one unused for longest first, until one more is within the limit. */
  async #makeRoom(): Promise<void> {
    const tuned = [...this.#loaded].filter(([, loaded]) => loaded.tuned);
    const idle = tuned.filter(([, loaded]) => loaded.leases === 0).sort(([, a], [, b]) => a.lastUsed - b.lastUsed);
    for (const [id] of idle.slice(0, Math.max(0, tuned.length - this.#maxTuned + 1))) await this.#unload(id);
  }

  async #unload(id: string): Promise<void> {
    this.#loaded.delete(id);
    try {
      await this.#engine.unloadModel(id);
    } catch (error) {
      this.#log.warn('a model could not be unloaded', { model: id, reason: String(error) });
    }
  }
}

/** A tuned model as the start of training: says where its run lies, and what goes on from that. */
function notTrainable({ id, base, jobId, step, info }: ModelEntry): ApiError {
  if (info?.lora !== undefined) {
    const start = base === null ? 'its base model' : `its base model "${base}"`;
    const message = `"${id}" is a model with an adapter; training starts from ${start}.`;
    return invalid(message, 'model', 'unsupported');
  }
  const start = base === null ? '' : `, here "${base}"`;
  const run = jobId === null ? 'RUN' : `DATA/runs/${jobId}${step === null ? '' : ` --step ${step}`}`;
  return invalid(
    `"${id}" is a fine-tuned model; training starts from a base model${start}. To go on from it, fork its run on ` +
      `the machine of the server, under its data directory: subzero fork --run ${run} --out NEW. To train on top of ` +
      'it with another method, export it as safetensors and serve that.',
    'model',
    'unsupported',
  );
}

function modelNotFound(id: string): ApiError {
  return new ApiError(404, `The model "${id}" does not exist here. GET /v1/models lists those that do.`, {
    param: 'model',
    code: 'model_not_found',
  });
}
