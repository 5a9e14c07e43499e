/**
 * A deterministic engine without a GPU: bytes are tokens, the "model" recites the alphabet, and training writes a small
 * journal so that resuming can be tested. Knobs make it slow, make it fail, and tell what it was asked to do.
 *
 * @module
 */

import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { contextOverflow } from '../../src/context-overflow.ts';
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
  EvaluationResult,
  GenerateEvent,
  GenerateRequest,
  LoadModelRequest,
  ModelInfo,
  PlacedToken,
  StepProbe,
  StepRunInfo,
  StepRunRequest,
  StepUpdate,
  TokenizeChatOptions,
  TokenizerInfo,
  TokenLogprob,
  TrainEvent,
  TrainRequest,
} from '../../src/engine/types.ts';
import { SubzeroError } from '../../src/errors.ts';
import { resolveConfiguration } from '../../src/settings/configuration.ts';
import { stepsOfEpochs } from '../../src/settings/epochs.ts';

const vocabularySize = 256;
const contextLength = 512;

interface Header {
  model: string;
  data: string;
  steps: number;
  evaluateEvery: number;
}

/** The file that makes a folder a run of this engine. */
const journalName = 'journal.fake';

async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  if (milliseconds > 0) await sleep(milliseconds, undefined, signal ? { signal } : {}).catch(() => {});
  else await new Promise((resolve) => setImmediate(resolve));
}

export class FakeEngine implements Engine {
  /** Milliseconds for a token and for a training step. */
  tokenMilliseconds = 0;
  stepMilliseconds = 0;
  /** What steps and evaluations measure beside the loss. */
  measures: Record<string, number> | undefined;
  /** Thrown by `generate` after so many tokens. */
  generationFailure: { after: number; error: Error } | undefined;
  /** Told after each step of `train`, as of a cluster. */
  cluster: Extract<TrainEvent, { type: 'cluster' }> | undefined;
  /** Thrown by `train` before this step. */
  trainingFailure: { step: number; error: Error } | undefined;
  /** The text of a token as log-probabilities show it. */
  tokenTexts = (id: number): string => (id === 1 ? '<s>' : String.fromCharCode(id));
  /** Log-probability of each token of a prompt; that of its most likely alternative is -0.5. */
  logprobOfPrompt = -0.5;
  /** Thrown by `info`. */
  infoFailure: Error | undefined;
  /** Thrown by `loadModel` for this id. */
  loadFailure: { id: RegExp; error: Error } | undefined;

  readonly generateRequests: GenerateRequest[] = [];
  readonly trainRequests: TrainRequest[] = [];
  readonly loadRequests: LoadModelRequest[] = [];
  readonly unloaded: string[] = [];
  generating = 0;
  benching = 0;
  aborted = 0;
  readonly #models = new Map<string, ModelInfo>();
  readonly #runs = new Map<string, StepRunInfo>();

  async info(): Promise<EngineInfo> {
    if (this.infoFailure) throw this.infoFailure;
    return {
      arithmetic: 'exact',
      adapter: {
        vendor: 'none',
        architecture: 'none',
        device: 'none',
        description: 'fake adapter',
        software: true,
        implementation: 'dawn',
        subgroupMatrixConfigs: [],
        subgroupSizes: [8, 8],
      },
      features: [],
      limits: {
        maxBufferSize: 0,
        maxStorageBufferBindingSize: 0,
        maxComputeWorkgroupStorageSize: 0,
        maxComputeInvocationsPerWorkgroup: 0,
      },
      memory: { liveBytes: 1000, peakBytes: 2000, byCategory: { weights: 900, activations: 100 } },
    };
  }

  async loadModel(request: LoadModelRequest): Promise<ModelInfo> {
    this.loadRequests.push(request);
    if (this.loadFailure?.id.test(request.id)) throw this.loadFailure.error;
    const kind = existsSync(join(request.path, journalName)) ? 'run' : 'base';
    if (kind === 'base' && !request.path.startsWith('fake:')) {
      throw new SubzeroError('not_found', `${request.path} holds neither a model nor a run`, { parameter: 'path' });
    }
    const info: ModelInfo = {
      id: request.id,
      path: request.path,
      architecture: 'fake',
      parameterCount: 42,
      vocabularySize,
      contextLength,
      kind,
      ...(kind === 'run'
        ? { step: typeof request.step === 'number' ? request.step : this.#journal(request.path).steps }
        : {}),
      ...(request.lora === undefined ? {} : { lora: request.lora }),
      createdAt: 1_700_000_000,
      weightBytes: 900,
      sharesWeightsWith: [],
    };
    this.#models.set(request.id, info);
    return info;
  }

  async unloadModel(id: string): Promise<void> {
    this.#model(id);
    this.#models.delete(id);
    this.#runs.delete(id);
    this.unloaded.push(id);
  }

  async models(): Promise<ModelInfo[]> {
    return [...this.#models.values()];
  }

  async tokenize(model: string, text: string, addSpecialTokens = true): Promise<number[]> {
    this.#model(model);
    return [...(addSpecialTokens ? [1] : []), ...new TextEncoder().encode(text)];
  }

  /** Models of one path have one tokenizer. */
  async tokenizerInfo(id: string): Promise<TokenizerInfo> {
    const { path } = this.#model(id);
    const specialTokens = { bos_token: '<s>' };
    return { directory: path, vocabularySize, addsBosToken: true, specialTokens, chatTemplate: '{{ messages }}' };
  }

  async tokenizeChat(model: string, messages: ChatMessage[], options: TokenizeChatOptions = {}): Promise<number[]> {
    const text = messages.map(({ content }) => content).join('\n');
    return this.tokenize(model, options.addGenerationPrompt === false ? text : `${text}>`, options.addSpecialTokens);
  }

  async tokenStrings(model: string, tokens: number[]): Promise<string[]> {
    this.#model(model);
    return tokens.map((id) => this.tokenTexts(id));
  }

  async detokenize(model: string, tokens: number[]): Promise<{ text: string; rest: string }> {
    this.#model(model);
    const bytes = new Uint8Array(tokens.filter((token) => token !== 1));
    const text = new TextDecoder().decode(bytes, { stream: true });
    return { text, rest: new TextDecoder().decode(bytes).slice(text.length) };
  }

  /** The vector of a text: its length and its first token, so that a test can tell which text it belongs to. */
  async embed({ model, inputs }: EmbedRequest): Promise<EmbedResult> {
    const sequences = await Promise.all(
      inputs.map((input) => (typeof input === 'string' ? this.tokenize(model, input) : input)),
    );
    const vectors = sequences.map((tokens) => new Float32Array([tokens.length, tokens[1] ?? 0, 0.5]));
    return { vectors, tokens: sequences.reduce((sum, { length }) => sum + length, 0) };
  }

  async *generate(request: GenerateRequest, signal?: AbortSignal): AsyncGenerator<GenerateEvent> {
    const model = this.#model(request.model);
    this.generateRequests.push(request);
    const given = [request.prompt, request.tokens, request.messages].filter((value) => value !== undefined);
    if (given.length !== 1) throw new Error('exactly one of prompt, tokens and messages');
    const text = request.prompt ?? request.messages?.map(({ content }) => content).join('\n');
    const prompt = request.tokens ?? (await this.tokenize(request.model, text!));
    if (prompt.length >= contextLength + (request.maxTokens === 0 ? 1 : 0)) {
      throw contextOverflow(`it has ${prompt.length} tokens`, contextLength, request.messages ? 'messages' : 'prompt');
    }
    this.generating++;
    try {
      yield { type: 'start', promptTokens: prompt.length };
      if (request.scorePrompt) yield* this.#scorePrompt(prompt, request.topLogprobs ?? 0);
      // A base model recites from "a", a tuned one from "A"; the seed moves the beginning.
      const first = (model.kind === 'run' ? 65 : 97) as number;
      const limit = Math.min(request.maxTokens ?? contextLength, contextLength - prompt.length);
      let full = '';
      let sent = 0;
      let count = 0;
      let finishReason: 'stop' | 'length' = 'length';
      const longestStop = Math.max(0, ...(request.stop ?? []).map((stop) => stop.length));
      while (count < limit) {
        if (this.generationFailure?.after === count) throw this.generationFailure.error;
        await pause(this.tokenMilliseconds, signal);
        if (signal?.aborted) {
          this.aborted++;
          return;
        }
        const forced = Object.entries(request.logitBias ?? {}).find(([, bias]) => bias >= 100);
        const id = forced ? Number(forced[0]) : first + (((request.seed ?? 0) + count) % 26);
        full += String.fromCharCode(id);
        count++;
        const stops = (request.stop ?? []).map((stop) => full.indexOf(stop)).filter((at) => at >= 0);
        if (stops.length > 0) {
          full = full.slice(0, Math.min(...stops));
          finishReason = 'stop';
        }
        // What could be the beginning of a stop string is held back.
        const ready =
          finishReason === 'stop' ? full.length : Math.max(sent, full.length - Math.max(0, longestStop - 1));
        const ownText = full.slice(sent, Math.max(sent, ready));
        sent += ownText.length;
        yield {
          ...{ type: 'token', id, text: ownText, tokenText: this.tokenTexts(id), bytes: [id], logprob: -0.5 },
          ...{ topLogprobs: this.#topOf(id, request.topLogprobs ?? 0), textOffset: count - 1 },
        };
        if (finishReason === 'stop') break;
      }
      yield { type: 'done', finishReason, text: full, promptTokens: prompt.length, completionTokens: count };
    } finally {
      this.generating--;
    }
  }

  /** In two pieces; the special token takes no place. */
  async *#scorePrompt(prompt: readonly number[], topLogprobs: number): AsyncGenerator<GenerateEvent> {
    const tokens = prompt.map((id, index): PlacedToken => {
      const textOffset = prompt.slice(0, index).filter((earlier) => earlier !== 1).length;
      const text = this.tokenTexts(id);
      if (index === 0) return { id, text, bytes: [id], logprob: null, topLogprobs: [], textOffset };
      return {
        id,
        text,
        bytes: [id],
        logprob: this.logprobOfPrompt,
        topLogprobs: this.#topOf(id, topLogprobs),
        textOffset,
      };
    });
    yield { type: 'prompt', tokens: tokens.slice(0, 1) };
    if (tokens.length > 1) yield { type: 'prompt', tokens: tokens.slice(1) };
  }

  /** A token and those that follow it in the alphabet, ever less likely. */
  #topOf(id: number, count: number): TokenLogprob[] {
    return Array.from({ length: count }, (_, rank) => ({
      id: id + rank,
      text: this.tokenTexts(id + rank),
      bytes: [id + rank],
      logprob: -0.5 - rank,
    }));
  }

  async *train(request: TrainRequest, signal?: AbortSignal): AsyncGenerator<TrainEvent> {
    this.trainRequests.push(request);
    let run: string;
    let header: Header;
    let step = 0;
    if ('resume' in request) {
      run = request.resume;
      ({ header, steps: step } = this.#journal(run));
      this.#model(header.model);
    } else if ('fork' in request) {
      throw new Error('jobs do not fork');
    } else {
      run = request.out;
      if (existsSync(run)) throw new SubzeroError('conflict', `${run} exists`);
      const configuration = resolveConfiguration(request.configuration);
      this.#model(request.model);
      const { evaluateEvery } = configuration;
      const data = 'file' in request.data ? request.data.file : request.data.directory;
      const examples = readFileSync(data, 'utf8');
      // As if lines with such a text were longer than the context.
      const count = examples.trim().split('\n').length + examples.split('several examples').length - 1;
      const steps =
        request.epochs === undefined ? configuration.steps : stepsOfEpochs(request.epochs, count, configuration);
      header = { model: request.model, data, steps, evaluateEvery };
      if (examples.includes('refused by the engine')) {
        throw new SubzeroError('invalid_data', `${data} line 1: refused by the engine`, { parameter: 'training_file' });
      }
      mkdirSync(run, { recursive: true });
      writeFileSync(join(run, journalName), `${JSON.stringify(header)}\n`);
    }
    const examples = readFileSync(header.data, 'utf8').trim().split('\n').length;
    const first = step;
    const plan = { weightBytes: 1, factorBytes: 2, activationBytes: 3, scratchBytes: 4, totalBytes: 10, rows: 5 };
    const data = {
      ...{ format: 'completion', rows: examples, examples, truncated: 0, dropped: 0, split: 0 },
      ...{ tokens: { minimum: 3, median: 5, p95: 9, maximum: 12 }, first: 'It was⟦ good⟧' },
    };
    yield { type: 'start', run, step, steps: header.steps, examples, plan, data };
    const evaluation = (): TrainEvent => ({
      type: 'evaluation',
      step,
      examples,
      loss: 1 / (step + 1),
      accuracy: 0.5,
      f1: null,
      exactMatch: null,
      tokens: 10,
      seconds: 0.1,
      ...(this.measures ? { measures: this.measures } : {}),
    });
    while (step < header.steps && !signal?.aborted) {
      await pause(this.stepMilliseconds, signal);
      if (signal?.aborted) break;
      if (this.trainingFailure?.step === step + 1) throw this.trainingFailure.error;
      step++;
      appendFileSync(join(run, journalName), `${step}\n`);
      yield {
        type: 'step',
        step,
        steps: header.steps,
        loss: 1 / step,
        accuracy: 0.5,
        projectedGradient: 0.25,
        learningRate: 1e-6,
        tokensPerSecond: 100,
        elapsedSeconds: step,
        etaSeconds: header.steps - step,
        trainedTokens: (step - first) * 10,
        ...(this.measures ? { measures: this.measures } : {}),
      };
      if (this.cluster) yield this.cluster;
      if (header.evaluateEvery > 0 && step % header.evaluateEvery === 0) yield evaluation();
    }
    const outcome = step === header.steps ? 'finished' : 'stopped';
    yield {
      type: 'done',
      run,
      step,
      outcome,
      reason: null,
      best: null,
      trainedTokens: (step - first) * 10,
      seconds: step,
    };
  }

  // biome-ignore lint/correctness/useYield: a server never works for a cluster
  async *work(): AsyncGenerator<never> {
    throw new Error('not used');
  }

  // biome-ignore lint/correctness/useYield: the server has no request that asks for it
  async *findLearningRate(): AsyncGenerator<never> {
    throw new Error('jobs look for no learning rate');
  }

  async evaluate(): Promise<EvaluationResult> {
    return { examples: 1, loss: 1, accuracy: null, f1: null, exactMatch: null, tokens: 1, seconds: 0 };
  }

  /** Two cases; stops between them when the signal is aborted. */
  async benchKernels(
    { suite, filter = '' }: BenchRequest,
    onProgress?: (name: string, done: number, total: number) => void,
    signal?: AbortSignal,
  ): Promise<BenchResult> {
    const names = ['norm: small', 'linear: large'].filter((name) => name.includes(filter));
    if (names.length === 0) throw new SubzeroError('invalid_argument', `no case of the suite "${suite}"`);
    for (const [done, name] of names.entries()) {
      onProgress?.(name, done, names.length);
      this.benching++;
      await pause(this.stepMilliseconds, signal);
      this.benching--;
      if (signal?.aborted) throw new SubzeroError('cancelled', 'the benchmark was stopped before its end');
    }
    const time = { wallMilliseconds: 2, gigaflopsPerSecond: 3, gigabytesPerSecond: 4, rooflineShare: 0.5 };
    const cases = names.map((name) => ({
      operation: name.split(':')[0]!,
      name: name.split(': ')[1]!,
      error: 1e-9,
      ...time,
    }));
    const roofline = { bytesPerSecond: 1e9, flopsPerSecond: 2e9 };
    return { adapter: 'fake adapter', suite, seed: 1, roofline, cases, wrong: [], disturbed: false };
  }

  async createRun({ id, model, configuration }: StepRunRequest): Promise<StepRunInfo> {
    const info = { ...this.#model(model), id, kind: 'run' as const, step: 0 };
    this.#models.set(id, info);
    this.#runs.set(id, { ...info, configuration: resolveConfiguration(configuration) });
    return this.#run(id);
  }

  /** The loss is a function of the number of steps and of rows alone. */
  async forwardRun(run: string, data: DataRow[]): Promise<EvaluationResult> {
    await pause(this.stepMilliseconds, undefined);
    const loss = data.length / (this.#run(run).step + 1);
    return { examples: data.length, loss, accuracy: null, f1: null, exactMatch: null, tokens: 10, seconds: 0 };
  }

  async probeRun(run: string, data: DataRow[], step?: number): Promise<StepProbe> {
    await pause(this.stepMilliseconds, undefined);
    const { configuration, step: done } = this.#run(run);
    if (step !== undefined && step !== done + 1) throw new SubzeroError('conflict', `the next step is ${done + 1}`);
    const perQuery = (value: number) => Array.from({ length: configuration.queries }, () => value);
    return {
      step: done + 1,
      loss: data.length,
      accuracy: null,
      tokens: 10,
      lossCentre: null,
      lossPlus: perQuery(data.length + 0.25),
      lossMinus: perQuery(data.length - 0.25),
      stuck: null,
      projectedGradients: perQuery(0.25),
      curvatures: null,
    };
  }

  async applyRun(run: string, { projectedGradients, learningRate, step }: StepUpdate): Promise<AppliedUpdate> {
    const info = this.#run(run);
    if (step !== undefined && step !== info.step + 1) throw new SubzeroError('conflict', 'another step is next');
    info.step++;
    const { configuration } = info;
    return {
      step: info.step,
      learningRate: learningRate ?? configuration.learningRate,
      projectedGradients: [...projectedGradients],
    };
  }

  async stepRun(run: string, data: DataRow[], options: { step?: number; learningRate?: number } = {}) {
    const probe = await this.probeRun(run, data, options.step);
    return { probe, record: await this.applyRun(run, { ...options, projectedGradients: probe.projectedGradients }) };
  }

  async replayRun(run: string, records: AppliedUpdate[]): Promise<StepRunInfo> {
    if (records[0]!.step !== this.#run(run).step + 1) throw new SubzeroError('conflict', 'another step is next');
    for (const record of records) await this.applyRun(run, record);
    return this.#run(run);
  }

  #run(id: string): StepRunInfo {
    const run = this.#runs.get(id);
    if (!run) throw new SubzeroError('not_found', `no run "${id}"`, { parameter: 'run' });
    return run;
  }

  async exportRun(): Promise<string[]> {
    return [];
  }

  async close(): Promise<void> {
    this.#models.clear();
  }

  #model(id: string): ModelInfo {
    const model = this.#models.get(id);
    if (!model) throw new SubzeroError('not_found', `no model "${id}" is loaded`, { parameter: 'model' });
    return model;
  }

  #journal(run: string): { header: Header; steps: number } {
    const path = join(run, journalName);
    if (!existsSync(path)) throw new SubzeroError('not_found', `${run} has no journal`, { parameter: 'resume' });
    const [header, ...steps] = readFileSync(path, 'utf8').trim().split('\n');
    return { header: JSON.parse(header!) as Header, steps: steps.length };
  }
}
