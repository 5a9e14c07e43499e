/**
 * The engine in the thread it is made in: the one owner of the GPU, its models, runs and generations. What trains and
 * evaluates is imported when it is first asked for: a third of all sources, which a model can be loaded without.
 *
 * @module
 */

import type { WorkerEvent, WorkerOptions } from '../cluster/worker.ts';
import { contextOverflow } from '../context-overflow.ts';
import type { Example } from '../data/example.ts';
import { SubzeroError } from '../errors.ts';
import type { Outcome } from '../evaluation/outcome.ts';
import { type AnswerOptions, generateAnswer } from '../generate/answer.ts';
import { Generator } from '../generate/generator.ts';
import type { TextModel } from '../generate/row-adapters.ts';
import type { AdapterChoice } from '../generate/types.ts';
import { isGgufPath } from '../gguf/index.ts';
import type { OpenDeviceOptions } from '../gpu/device.ts';
import { Gpu } from '../gpu/gpu.ts';
import type { Grader, GraderDescription, GraderServices } from '../graders/index.ts';
import { type Decoder, generates } from '../model/decoder.ts';
import { embedSequences } from '../model/embed.ts';
import { loadModel } from '../model/load.ts';
import type { Model } from '../model/model.ts';
import { contextLengthOf, leadingTokens, withLeading } from '../model/virtual-tokens.ts';
import type { Probes } from '../ops/probes.ts';
import { basename, resolve, stat } from '../platform/index.ts';
import { resolveConfiguration, type TrainConfiguration } from '../settings/configuration.ts';
import { closeChatTemplates } from '../tokenizer/chat-template.ts';
import { loadTokenizer, type Tokenizer } from '../tokenizer/index.ts';
import { checkTokenIds } from '../tokenizer/token-ids.ts';
import { checkToolHistory } from '../tokenizer/tool-history.ts';
import { resolveStep } from '../train/best.ts';
import { wantsAnswers } from '../train/evaluate.ts';
import type { ExportRequest } from '../train/export.ts';
import { isRunFolder } from '../train/run-folder.ts';
import type { AppliedAdapter } from '../tuning/applied-adapter.ts';
import { parameter, words } from '../words.ts';
import type { JournalHeader } from '../zo/journal-format.ts';
import type { ZerothOrderOptimizer } from '../zo/optimizer.ts';
import type { StepRun } from './step-run.ts';
import type {
  BenchRequest,
  BenchResult,
  ChatMessage,
  DataRow,
  EmbedRequest,
  EmbedResult,
  Engine,
  EngineInfo,
  EvaluateRequest,
  EvaluationResult,
  FindEvent,
  FindLearningRateRequest,
  GenerateEvent,
  GenerateRequest,
  LoadModelRequest,
  ModelInfo,
  StepProbe,
  StepRecord,
  StepRunInfo,
  StepRunRequest,
  StepUpdate,
  TokenizeChatOptions,
  TokenizerInfo,
  TrainEvent,
  TrainRequest,
} from './types.ts';

/** Longest text that is tokenised: tokenizers are written for documents, not for books. */
const maxTextLength = 4 * 1024 * 1024;

/** Rows of one pass of an evaluation. */
const evaluationRows = 8192;

interface LoadedModel {
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

export class LocalEngine implements Engine {
  readonly #gpu: Gpu;
  readonly #options: OpenDeviceOptions;
  readonly #models = new Map<string, LoadedModel>();
  /** Loads under way, so that two requests for one model load it once. */
  readonly #loading = new Map<string, Promise<ModelInfo>>();

  #benching = false;

  /** Opens the adapter. @throws SubzeroError `no_adapter` */
  static async open(options: OpenDeviceOptions = {}): Promise<LocalEngine> {
    return new LocalEngine(await Gpu.open(options), options);
  }

  /** @param options those that the device was opened with, to open another like it */
  constructor(gpu: Gpu, options: OpenDeviceOptions = {}) {
    this.#gpu = gpu;
    this.#options = options;
  }

  async info(): Promise<EngineInfo> {
    const { limits } = this.#gpu.device;
    return {
      adapter: this.#gpu.adapter,
      arithmetic: this.#gpu.arithmetic,
      limits: {
        maxBufferSize: limits.maxBufferSize,
        maxStorageBufferBindingSize: this.#gpu.bindingLimit,
        maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
        maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
      },
      features: [...this.#gpu.features],
      memory: this.#gpu.memory.report(),
    };
  }

  async loadModel(request: LoadModelRequest): Promise<ModelInfo> {
    const path = resolve(request.path);
    const loaded = this.#models.get(request.id);
    if (loaded) {
      const { information } = loaded;
      if (
        information.path === path &&
        information.lora === (request.lora === undefined ? undefined : resolve(request.lora)) &&
        (request.step === undefined || information.step === (await resolveStep(path, request.step)))
      ) {
        return this.#describe(loaded);
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
      return this.loadModel(request);
    }
    const load = this.#load(request, path).finally(() => this.#loading.delete(request.id));
    this.#loading.set(request.id, load);
    return load;
  }

  async #load(request: LoadModelRequest, path: string): Promise<ModelInfo> {
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
  #textModel(loaded: LoadedModel, choices?: readonly AdapterChoice[]): TextModel {
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

  #add(
    known: Pick<ModelInfo, 'id' | 'path' | 'kind' | 'step' | 'lora'>,
    parts: Pick<LoadedModel, 'model' | 'tokenizer' | 'optimizer' | 'adapter' | 'stepRun' | 'asLoaded'>,
  ): ModelInfo {
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
    return this.#describe(this.#models.get(known.id)!);
  }

  #describe({ information, model }: LoadedModel): ModelInfo {
    const users = [...this.#models.values()].filter((other) => other.model === model);
    const others = users.map((other) => other.information.id).filter((id) => id !== information.id);
    return { ...information, sharesWeightsWith: others };
  }

  async unloadModel(id: string): Promise<void> {
    const loaded = this.#find(id);
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

  async models(): Promise<ModelInfo[]> {
    return [...this.#models.values()].map((loaded) => this.#describe(loaded));
  }

  async tokenizerInfo(id: string): Promise<TokenizerInfo> {
    const { tokenizer, model } = this.#find(id);
    const { vocabularySize, addsBosToken, specialTokens, chatTemplate } = tokenizer;
    return {
      directory: resolve(model.directory),
      vocabularySize,
      addsBosToken,
      specialTokens: { ...specialTokens },
      ...(chatTemplate === undefined ? {} : { chatTemplate }),
    };
  }

  async tokenize(model: string, text: string, addSpecialTokens = true): Promise<number[]> {
    return encodeText(this.#find(model).tokenizer, text, { addSpecialTokens });
  }

  async tokenizeChat(
    model: string,
    messages: ChatMessage[],
    { templateVariables: variables = {}, ...options }: TokenizeChatOptions = {},
  ): Promise<number[]> {
    return chatTokens(this.#find(model).tokenizer, messages, { ...options, variables });
  }

  async tokenStrings(model: string, tokens: number[]): Promise<string[]> {
    const { tokenizer } = this.#find(model);
    return tokens.map((id) => tokenizer.tokenString(id));
  }

  async detokenize(model: string, tokens: number[]): ReturnType<Engine['detokenize']> {
    return this.#find(model).tokenizer.decodeOpen(tokens);
  }

  async embed({ model: id, inputs, pooling }: EmbedRequest, signal?: AbortSignal): Promise<EmbedResult> {
    const loaded = this.#find(id);
    const { model, tokenizer, probes, stepRun } = loaded;
    const contextLength = contextLengthOf(model, probes());
    const sequences = inputs.map((input, index) => {
      const tokens =
        typeof input === 'string' ? encodeText(tokenizer, input, { contextLength, parameter: 'input' }) : input;
      if (tokens.length === 0) {
        throw new SubzeroError('invalid_argument', `input ${index} has no tokens`, { parameter: 'input' });
      }
      if (tokens.length > contextLength) {
        throw contextOverflow(`input ${index} has ${tokens.length} tokens`, contextLength, 'input');
      }
      checkTokenIds(tokens, {
        vocabularySize: model.decoder.vocabularySize,
        tokenString: (id) => tokenizer.tokenString(id),
        parameter: 'input',
      });
      return tokens;
    });
    // A model that changes meanwhile would give vectors that belong to no step of its run.
    const release = await stepRun?.hold();
    try {
      const vectors = await this.#over(loaded, signal, (both) =>
        embedSequences(model, sequences, pooling, probes(), both),
      );
      return { vectors, tokens: sequences.reduce((sum, { length }) => sum + length, 0) };
    } finally {
      release?.();
    }
  }

  /** Work over a model's memory: unloading ends it and frees the memory after it. */
  async #over<T>(
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

  async *generate(request: GenerateRequest, signal?: AbortSignal): AsyncGenerator<GenerateEvent> {
    const loaded = this.#find(request.model);
    const { tokenizer, generator, stepRun, information, model } = loaded;
    refuseMasked(information, model.decoder);
    const textModel = this.#textModel(loaded, request.adapters);
    const { contextLength } = information;
    let prompt = request.tokens;
    if (request.messages) {
      const variables = request.templateVariables ?? {};
      prompt = await chatTokens(tokenizer, request.messages, { variables, contextLength });
    }
    prompt ??= encodeText(tokenizer, request.prompt ?? '', { contextLength });
    // A model without BOS cannot begin from nothing; its end-of-text token stands in, as in pre-training.
    if (prompt.length === 0 && tokenizer.eosTokenIds.length > 0) prompt = [tokenizer.eosTokenIds[0]!];
    // A model that changes meanwhile would give a text that belongs to no step of its run.
    const release = await stepRun?.hold();
    try {
      yield* generator.generate(request, prompt, signal, textModel);
    } finally {
      release?.();
    }
  }

  async *train(request: TrainRequest, signal?: AbortSignal): AsyncGenerator<TrainEvent> {
    const { EngineGraders } = await import('./grader-services.ts');
    const graderServices = new EngineGraders(this, signal);
    try {
      yield* this.#train(request, graderServices, signal);
    } finally {
      await graderServices.close();
    }
  }

  async *#train(
    { cluster, ...request }: TrainRequest,
    graderServices: GraderServices,
    signal?: AbortSignal,
  ): AsyncGenerator<TrainEvent> {
    const share = cluster && (await import('../cluster/coordinator.ts')).sharing(cluster);
    if ('resume' in request) {
      const { resume, ...changes } = request;
      await checkDirectory(resume);
      const { resumeRun } = await import('../train/resume.ts');
      yield* resumeRun(this.#gpu, { folder: resume, changes, share, graderServices }, signal);
      return;
    }
    if ('fork' in request) {
      const { fork, data, validation, grader: description, ...rest } = request;
      await checkDirectory(fork);
      const grader = await graderOf(description);
      const sources = { ...(data ? { data } : {}), ...(validation ? { validation } : {}), ...grader };
      const { forkRun } = await import('../train/fork.ts');
      yield* forkRun(this.#gpu, { ...rest, run: fork, sources, share, graderServices }, signal);
      return;
    }
    const { data, validation, grader: description, ...rest } = request;
    const modelDirectory = await this.#baseDirectory(rest.model);
    const grader = await graderOf(description);
    const sources = { data, ...(validation ? { validation } : {}), ...grader };
    const { startRun } = await import('../train/start.ts');
    yield* startRun(this.#gpu, { ...rest, modelDirectory, sources, share, graderServices }, signal);
  }

  async *work(options: WorkerOptions, signal = new AbortController().signal): AsyncGenerator<WorkerEvent> {
    const { work } = await import('../cluster/worker.ts');
    yield* work(this.#gpu, options, signal);
  }

  async *findLearningRate(request: FindLearningRateRequest, signal?: AbortSignal): AsyncGenerator<FindEvent> {
    const { model, data, validation, ...rest } = request;
    const modelDirectory = await this.#baseDirectory(model);
    const sources = { data, ...(validation ? { validation } : {}) };
    const { findLearningRate } = await import('../train/find-learning-rate.ts');
    yield* findLearningRate(this.#gpu, { ...rest, modelDirectory, sources }, signal);
  }

  /** The directory of a base model, by the id of a loaded one or by its path. */
  async #baseDirectory(model: string): Promise<string> {
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

  async createRun(request: StepRunRequest): Promise<StepRunInfo> {
    const { id } = request;
    const configuration = resolveConfiguration(request.configuration);
    if (configuration.queryCombination !== 'mean') {
      const problem = words`${parameter('queryCombination')} ${configuration.queryCombination} is the training loop's: the steps of such a run are ρ alone`;
      throw new SubzeroError('unsupported', problem, { parameter: 'queryCombination' });
    }
    const directory = await this.#baseDirectory(request.model);
    if (this.#models.has(id) || this.#loading.has(id)) {
      throw new SubzeroError('conflict', `the name "${id}" is taken; choose another`, { parameter: 'id' });
    }
    const load = this.#loadStepRun(id, directory, configuration).finally(() => this.#loading.delete(id));
    this.#loading.set(id, load);
    await load;
    return this.#runInfo(id);
  }

  async #loadStepRun(id: string, directory: string, configuration: TrainConfiguration): Promise<ModelInfo> {
    const model = await loadModel(this.#gpu, directory, { storage: configuration.storage });
    let optimizer: ZerothOrderOptimizer | undefined;
    try {
      const tokenizer = await loadTokenizer(directory);
      const { exactConfiguration } = await import('../zo/change.ts');
      const exact = exactConfiguration(configuration, model);
      const { createOptimizer } = await import('../zo/create-optimizer.ts');
      const { StepRun } = await import('./step-run.ts');
      optimizer = await createOptimizer(model, exact);
      await this.#gpu.checkAllocations();
      const stepRun = new StepRun({ model, optimizer, tokenizer, configuration: exact });
      return this.#add(
        { id, path: directory, kind: 'run', step: 0 },
        { model, optimizer, tokenizer, stepRun, asLoaded: false },
      );
    } catch (error) {
      optimizer?.destroy();
      model.destroy();
      throw error;
    }
  }

  async forwardRun(run: string, data: DataRow[], signal?: AbortSignal): Promise<EvaluationResult> {
    return this.#findRun(run).forward(data, signal);
  }

  async probeRun(run: string, data: DataRow[], step?: number): Promise<StepProbe> {
    return this.#findRun(run).probe(data, step);
  }

  async applyRun(run: string, update: StepUpdate): Promise<StepRecord> {
    return this.#findRun(run).apply(update);
  }

  async stepRun(
    run: string,
    data: DataRow[],
    options: { step?: number; learningRate?: number } = {},
  ): Promise<{ probe: StepProbe; record: StepRecord }> {
    return this.#findRun(run).step(data, options);
  }

  async replayRun(run: string, records: StepRecord[]): Promise<StepRunInfo> {
    await this.#findRun(run).replay(records);
    return this.#runInfo(run);
  }

  #findRun(id: string): StepRun {
    const { stepRun } = this.#find(id);
    if (stepRun) return stepRun;
    throw new SubzeroError('invalid_argument', `"${id}" is a model that cannot be trained step by step`, {
      parameter: 'run',
    });
  }

  #runInfo(id: string): StepRunInfo {
    const { configuration, stepsDone } = this.#findRun(id);
    return { ...this.#describe(this.#find(id)), step: stepsDone, configuration };
  }

  async evaluate(
    request: EvaluateRequest,
    onProgress?: (done: number, total: number) => void,
    signal?: AbortSignal,
  ): Promise<EvaluationResult & { outcomes?: Outcome[] }> {
    const loaded = this.#find(request.model);
    return this.#over(loaded, signal, (both) => this.#evaluate(loaded, request, onProgress, both));
  }

  async #evaluate(
    loaded: LoadedModel,
    request: EvaluateRequest,
    onProgress: ((done: number, total: number) => void) | undefined,
    signal: AbortSignal,
  ): Promise<EvaluationResult & { outcomes?: Outcome[] }> {
    const { model, probes, generator } = loaded;
    const { loadTokenized } = await import('../train/examples.ts');
    const { evaluate } = await import('../train/evaluate.ts');
    const { Scorer } = await import('../train/score.ts');
    const { OutcomeCollector } = await import('../train/outcomes.ts');
    const { outcomes: wanted, generate } = request;
    const collector = wanted && new OutcomeCollector(wanted === 'texts');
    let isLine = true;
    const { examples, truncated } = await loadTokenized(model.directory, request.data, {
      split: 'evaluation',
      contextLength: contextLengthOf(model, probes()),
      reading: request,
      ...(request.limit === undefined ? {} : { limit: request.limit }),
      ...(generate === undefined ? {} : { withReferences: true }),
      ...(collector || generate
        ? {
            onText: (example: Example) => {
              collector?.addText(example);
              isLine &&= isAnsweredByLine(example);
            },
          }
        : {}),
    });
    const scorer = new Scorer(model, evaluationRows);
    try {
      const textModel = this.#textModel(loaded);
      const shown = withLeading(examples, leadingTokens(model, probes()));
      const answering = { ...(isLine ? {} : freeAnswers), ...generate };
      const answer = async (prompt: readonly number[], index: number): Promise<string> => {
        const text = await generateAnswer(generator, prompt, signal, answering, textModel);
        collector?.answer(index, text);
        return text;
      };
      const result = await evaluate(scorer, shown, probes(), {
        ...(onProgress ? { onProgress } : {}),
        ...(wantsAnswers(shown) ? { answer } : {}),
        ...(collector ? { onScore: (index, score) => collector.score(index, shown[index]!, score) } : {}),
        signal,
      });
      return {
        ...result,
        ...(truncated === 0 ? {} : { truncated }),
        ...(collector ? { outcomes: collector.outcomes } : {}),
      };
    } finally {
      scorer.destroy();
    }
  }

  async exportRun(request: ExportRequest): Promise<string[]> {
    await checkDirectory(request.run);
    const { exportRun } = await import('../train/export.ts');
    return exportRun(this.#gpu, request);
  }

  async benchKernels(
    request: BenchRequest,
    onProgress?: (name: string, done: number, total: number) => void,
    signal?: AbortSignal,
  ): Promise<BenchResult> {
    if (request.suite === 'full' && this.#gpu.adapter.software) {
      throw new SubzeroError(
        'unsupported',
        `the suite "full" is made for GPUs and would take hours on ${this.#gpu.adapter.description}; use "quick"`,
        { parameter: 'suite' },
      );
    }
    if (this.#benching) {
      throw new SubzeroError('conflict', 'a benchmark is running already; wait for its end');
    }
    this.#benching = true;
    let gpu: Gpu | undefined;
    try {
      const { benchKernels } = await import('../bench/kernels.ts');
      gpu = await Gpu.open(this.#options);
      const before = this.#gpu.recorder.dispatches;
      const seed = Math.floor(Math.random() * 2 ** 31);
      const report = await benchKernels(gpu, { ...request, seed }, onProgress, signal);
      return { ...report, disturbed: this.#gpu.recorder.dispatches !== before };
    } finally {
      gpu?.close();
      this.#benching = false;
    }
  }

  async close(): Promise<void> {
    for (const id of [...this.#models.keys()]) await this.unloadModel(id);
    await closeChatTemplates();
    this.#gpu.close();
  }

  #find(id: string): LoadedModel {
    const loaded = this.#models.get(id);
    if (loaded) return loaded;
    const names = [...this.#models.keys()].map((name) => basename(name) || name);
    throw new SubzeroError(
      'not_found',
      `the model "${id}" is not loaded; ${names.length > 0 ? `loaded are ${names.join(', ')}` : 'none is'}`,
      { parameter: 'model' },
    );
  }
}

/** How answers are generated that are not a line each. */
const freeAnswers: AnswerOptions = { maxTokens: 256, stop: [] };

/** Whether the answers to an example end with their line, as those of tasks do. */
function isAnsweredByLine({ isRendered, references = [] }: Example): boolean {
  return !isRendered && !references.some((reference) => reference.includes('\n'));
}

async function graderOf(description: GraderDescription | undefined): Promise<{ grader?: Grader }> {
  if (!description) return {};
  const { parseGrader } = await import('../graders/index.ts');
  return { grader: await parseGrader(description) };
}

/** @throws SubzeroError `unsupported` for a model that does not go on with texts */
function refuseMasked({ id, architecture }: Pick<ModelInfo, 'id' | 'architecture'>, decoder: Decoder): void {
  if (generates(decoder)) return;
  throw new SubzeroError(
    'unsupported',
    `"${id}" is a masked language model (${architecture}): it fills in masks and cannot go on with a text; ` +
      'it can be trained, evaluated and asked for embeddings',
    { parameter: 'model' },
  );
}

/** The token ids that a model reads of a conversation. */
async function chatTokens(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: Omit<TokenizeChatOptions, 'templateVariables'> & {
    variables: Record<string, unknown>;
    contextLength?: number;
  },
): Promise<number[]> {
  // A template writes the special tokens itself, so none are added unless they are asked for.
  const { variables, addGenerationPrompt = true, addSpecialTokens = false, contextLength } = options;
  const render = (others: readonly ChatMessage[]) => tokenizer.renderChat(others, { addGenerationPrompt, variables });
  const text = await render(messages);
  await checkToolHistory(messages, render);
  return encodeText(tokenizer, text, { addSpecialTokens, contextLength, parameter: 'messages' });
}

/** @param options.contextLength of the model that is to read the text, if one is */
function encodeText(
  tokenizer: Tokenizer,
  text: string,
  options: { addSpecialTokens?: boolean; contextLength?: number | undefined; parameter?: string },
): number[] {
  const { addSpecialTokens = true, contextLength, parameter = 'prompt' } = options;
  if (text.length > maxTextLength) {
    const what = `it has ${text.length} characters of at most ${maxTextLength}`;
    throw contextLength === undefined
      ? new SubzeroError('invalid_argument', `the text is too long: ${what}`, { parameter })
      : contextOverflow(what, contextLength, parameter);
  }
  return tokenizer.encode(text, { addSpecialTokens });
}

async function checkDirectory(path: string): Promise<void> {
  const status = await stat(path).catch(() => undefined);
  if (status?.isDirectory() || (status?.isFile() && isGgufPath(path))) return;
  throw new SubzeroError(
    'not_found',
    `there is no folder ${path}; expected a model directory, a GGUF file (.gguf) or a run folder`,
    { parameter: 'model' },
  );
}
