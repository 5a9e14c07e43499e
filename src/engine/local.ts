/**
 * The engine in the thread it is made in: the one owner of the GPU, its models, runs and generations. What trains and
 * evaluates is imported when it is first asked for: a third of all sources, which a model can be loaded without.
 *
 * @module
 */

import type { WorkerEvent, WorkerOptions } from '../cluster/worker.ts';
import { SubzeroError } from '../errors.ts';
import type { Outcome } from '../evaluation/outcome.ts';
import type { OpenDeviceOptions } from '../gpu/device.ts';
import { Gpu } from '../gpu/gpu.ts';
import { embedSequences } from '../model/embed.ts';
import { contextLengthOf } from '../model/virtual-tokens.ts';
import { resolve } from '../platform/index.ts';
import { closeChatTemplates } from '../tokenizer/chat-template.ts';
import type { ExportRequest } from '../train/export.ts';
import { parameter, words } from '../words.ts';
import { textModel } from './adapters.ts';
import { baseDirectory, checkDirectory } from './directories.ts';
import { generateText } from './generate.ts';
import { workOver } from './loaded-model.ts';
import { LoadedModels } from './loaded-models.ts';
import { openStepRun } from './open-step-run.ts';
import type { StepRun } from './step-run.ts';
import { chatTokens, encodeText, inputTokens } from './texts.ts';
import { findRate, train } from './training.ts';
import type {
  AppliedUpdate,
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
  StepRunInfo,
  StepRunRequest,
  StepUpdate,
  TokenizeChatOptions,
  TokenizerInfo,
  TrainEvent,
  TrainRequest,
} from './types.ts';

export class LocalEngine implements Engine {
  readonly #gpu: Gpu;
  readonly #options: OpenDeviceOptions;
  readonly #models: LoadedModels;
  #benching = false;

  /** Opens the adapter. @throws SubzeroError `no_adapter` */
  static async open(options: OpenDeviceOptions = {}): Promise<LocalEngine> {
    return new LocalEngine(await Gpu.open(options), options);
  }

  /** @param options those that the device was opened with, to open another like it */
  constructor(gpu: Gpu, options: OpenDeviceOptions = {}) {
    this.#gpu = gpu;
    this.#options = options;
    this.#models = new LoadedModels(gpu);
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
    return this.#models.load(request);
  }

  async unloadModel(id: string): Promise<void> {
    await this.#models.unload(id);
  }

  async models(): Promise<ModelInfo[]> {
    return this.#models.list();
  }

  async tokenizerInfo(id: string): Promise<TokenizerInfo> {
    const { tokenizer, model } = this.#models.find(id);
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
    return encodeText(this.#models.find(model).tokenizer, text, { addSpecialTokens });
  }

  async tokenizeChat(
    model: string,
    messages: ChatMessage[],
    { templateVariables: variables = {}, ...options }: TokenizeChatOptions = {},
  ): Promise<number[]> {
    return chatTokens(this.#models.find(model).tokenizer, messages, { ...options, variables });
  }

  async tokenStrings(model: string, tokens: number[]): Promise<string[]> {
    const { tokenizer } = this.#models.find(model);
    return tokens.map((id) => tokenizer.tokenString(id));
  }

  async detokenize(model: string, tokens: number[]): ReturnType<Engine['detokenize']> {
    return this.#models.find(model).tokenizer.decodeOpen(tokens);
  }

  async embed({ model: id, inputs, pooling }: EmbedRequest, signal?: AbortSignal): Promise<EmbedResult> {
    const loaded = this.#models.find(id);
    const { model, tokenizer, probes, stepRun } = loaded;
    const contextLength = contextLengthOf(model, probes());
    const { vocabularySize } = model.decoder;
    const sequences = inputTokens(inputs, { tokenizer, contextLength, vocabularySize });
    // A model that changes meanwhile would give vectors that belong to no step of its run.
    const release = await stepRun?.hold();
    try {
      const vectors = await workOver(loaded, signal, (both) =>
        embedSequences(model, sequences, pooling, probes(), both),
      );
      return { vectors, tokens: sequences.reduce((sum, { length }) => sum + length, 0) };
    } finally {
      release?.();
    }
  }

  generate(request: GenerateRequest, signal?: AbortSignal): AsyncGenerator<GenerateEvent> {
    return generateText(this.#models, request, signal);
  }

  async *train(request: TrainRequest, signal?: AbortSignal): AsyncGenerator<TrainEvent> {
    const { EngineGraders } = await import('./grader-services.ts');
    const graderServices = new EngineGraders(this, signal);
    try {
      yield* train(this.#gpu, this.#models, request, graderServices, signal);
    } finally {
      await graderServices.close();
    }
  }

  async *work(options: WorkerOptions, signal = new AbortController().signal): AsyncGenerator<WorkerEvent> {
    const { work } = await import('../cluster/worker.ts');
    yield* work(this.#gpu, options, signal);
  }

  findLearningRate(request: FindLearningRateRequest, signal?: AbortSignal): AsyncGenerator<FindEvent> {
    return findRate(this.#gpu, this.#models, request, signal);
  }

  async createRun(request: StepRunRequest): Promise<StepRunInfo> {
    const { id } = request;
    const { resolveConfiguration } = await import('../settings/configuration.ts');
    const configuration = resolveConfiguration(request.configuration);
    if (configuration.queryCombination !== 'mean') {
      const problem = words`${parameter('queryCombination')} ${configuration.queryCombination} is the training loop's`;
      throw new SubzeroError('unsupported', words`${problem}: the steps of such a run are ρ alone`, {
        parameter: 'queryCombination',
      });
    }
    const directory = await baseDirectory(this.#models, request.model);
    await this.#models.addAs({ id, path: directory, kind: 'run', step: 0 }, () =>
      openStepRun(this.#gpu, directory, configuration),
    );
    return this.#runInfo(id);
  }

  async forwardRun(run: string, data: DataRow[], signal?: AbortSignal): Promise<EvaluationResult> {
    return this.#findRun(run).forward(data, signal);
  }

  async probeRun(run: string, data: DataRow[], step?: number): Promise<StepProbe> {
    return this.#findRun(run).probe(data, step);
  }

  async applyRun(run: string, update: StepUpdate): Promise<AppliedUpdate> {
    return this.#findRun(run).apply(update);
  }

  async stepRun(
    run: string,
    data: DataRow[],
    options: { step?: number; learningRate?: number } = {},
  ): Promise<{ probe: StepProbe; record: AppliedUpdate }> {
    return this.#findRun(run).step(data, options);
  }

  async replayRun(run: string, records: AppliedUpdate[]): Promise<StepRunInfo> {
    await this.#findRun(run).replay(records);
    return this.#runInfo(run);
  }

  #findRun(id: string): StepRun {
    const { stepRun } = this.#models.find(id);
    if (stepRun) return stepRun;
    throw new SubzeroError('invalid_argument', `"${id}" is a model that cannot be trained step by step`, {
      parameter: 'run',
    });
  }

  #runInfo(id: string): StepRunInfo {
    const { configuration, stepsDone } = this.#findRun(id);
    return { ...this.#models.describe(this.#models.find(id)), step: stepsDone, configuration };
  }

  async evaluate(
    request: EvaluateRequest,
    onProgress?: (done: number, total: number) => void,
    signal?: AbortSignal,
  ): Promise<EvaluationResult & { outcomes?: Outcome[] }> {
    const { evaluateModel } = await import('./evaluate.ts');
    const loaded = this.#models.find(request.model);
    return workOver(loaded, signal, (both) =>
      evaluateModel(loaded, textModel(this.#models, loaded), request, onProgress, both),
    );
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
    await this.#models.unloadAll();
    await closeChatTemplates();
    this.#gpu.close();
  }
}
