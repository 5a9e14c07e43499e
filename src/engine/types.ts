/**
 * What the server and the command line see of the engine: plain data in, plain data or asynchronous streams of plain
 * data out, so that the same calls work in the same thread and across a worker.
 *
 * @module
 */

import type { KernelBenchReport } from '../bench/kernels.ts';
import type { Suite } from '../bench-suites.ts';
import type { CoordinatorOptions } from '../cluster/coordinator.ts';
import type { WorkerEvent, WorkerOptions } from '../cluster/worker.ts';
import type { DataSource } from '../data/source.ts';
import type { Outcome } from '../evaluation/outcome.ts';
import type { AnswerOptions } from '../generate/answer.ts';
import type { GenerateEvent, GenerateRequest } from '../generate/types.ts';
import type { AdapterDescription, Arithmetic } from '../gpu/device.ts';
import type { GraderDescription } from '../graders/index.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';
import type { ReadingSettings } from '../settings/settings.ts';
import type { ChatMessage } from '../tokenizer/chat-messages.ts';
import type { StepChoice } from '../train/best.ts';
import type { RunChanges } from '../train/changes.ts';
import type { EvaluationResult, FindEvent, TrainEvent } from '../train/events.ts';
import type { ExportRequest } from '../train/export.ts';
import type { StorageWish } from '../weights/index.ts';

export type { DataSource } from '../data/source.ts';
export type { DataSummary } from '../data/summary.ts';
export type { TaskDescription } from '../data/tasks/described.ts';
export type { Outcome } from '../evaluation/outcome.ts';
export type { AnswerOptions } from '../generate/answer.ts';
export type { AdapterChoice, GenerateEvent, GenerateRequest, PlacedToken, TokenLogprob } from '../generate/types.ts';
export type { ChatMessage, ToolCall } from '../tokenizer/chat-messages.ts';
export type { ClusterMember, EvaluationResult, FindEvent, TrainEvent } from '../train/events.ts';

/**
 * Storage type of weights on the GPU. `auto` keeps the file's type on a GPU and widens to f32 on a software adapter.
 */
export type WeightStorage = StorageWish;

/** Facts about the opened adapter and the memory in use. */
export interface EngineInfo {
  adapter: AdapterDescription;
  arithmetic: Arithmetic;
  features: string[];
  /** The limits that decide how large tensors and kernels can be, in bytes or invocations. */
  limits: Pick<
    GPUSupportedLimits,
    | 'maxBufferSize'
    | 'maxStorageBufferBindingSize'
    | 'maxComputeWorkgroupStorageSize'
    | 'maxComputeInvocationsPerWorkgroup'
  >;
  memory: { liveBytes: number; peakBytes: number; byCategory: Record<string, number> };
}

/** Where a model comes from: a Hugging Face style directory, or a training run (base model + journal). */
export interface LoadModelRequest {
  /** The name that requests use from now on. */
  id: string;
  /** A model directory (config.json, *.safetensors, tokenizer.json), a GGUF file or a run directory (journal). */
  path: string;
  /** For a run: the step to rebuild, or `best` = the one with the lowest validation loss; the last one by default. */
  step?: StepChoice;
  storage?: WeightStorage;
  /** For a model directory: the folder of a PEFT LoRA that is applied to it; models with others share its weights. */
  lora?: string;
}

/** A loaded model. */
export interface ModelInfo {
  id: string;
  path: string;
  architecture: string;
  parameterCount: number;
  vocabularySize: number;
  contextLength: number;
  /** `base` for a model directory, `run` for base + journal. */
  kind: 'base' | 'run';
  /** For a run: the step it stands at; absent for a base model. */
  step?: number;
  /** The folder of the LoRA that is applied to a base model, if one is. */
  lora?: string;
  /** Bytes of the weights that it reads, its own or shared. */
  weightBytes: number;
  /** Loaded models that read the same copy of the weights. */
  sharesWeightsWith: string[];
  createdAt: number;
}

/** What the tokenizer of a model says of itself. */
export interface TokenizerInfo {
  /** The folder of its files: models of one folder have one tokenizer. */
  directory: string;
  vocabularySize: number;
  /** Whether BOS is put in front of texts. */
  addsBosToken: boolean;
  /** By their names in tokenizer_config.json, such as `eos_token`. */
  specialTokens: Record<string, string>;
  chatTemplate?: string;
}

export interface TokenizeChatOptions {
  addGenerationPrompt?: boolean;
  /** BOS in front even where the template writes none. Default false, as in a chat. */
  addSpecialTokens?: boolean;
  templateVariables?: Record<string, unknown>;
}

/** Texts, or their token ids, to turn into vectors. */
export interface EmbedRequest {
  model: string;
  inputs: (string | number[])[];
  /** The mean of all tokens' final hidden states, or the last token's. */
  pooling: 'mean' | 'last';
}

/** One vector of length 1 for each input, and how many tokens they had together. */
export interface EmbedResult {
  vectors: Float32Array<ArrayBuffer>[];
  tokens: number;
}

/**
 * Start a run in `out`, with the steps of the run `fork` if there is one, or continue the run at `resume` where its
 * journal ends. With `cluster`, its workers take part.
 */
export type TrainRequest = { cluster?: CoordinatorOptions } & (
  | {
      /** The id of a loaded model, or a model directory. */
      model: string;
      data: DataSource;
      validation?: DataSource;
      /** What generated answers are worth, for the objective `reward`. */
      grader?: GraderDescription;
      configuration: Partial<TrainConfiguration>;
      /** Instead of a number of steps: how often each example is seen, on average. */
      epochs?: number;
      out: string;
      /** The folder of a PEFT LoRA that a run with scheme `lora` begins with. */
      lora?: string;
    }
  | {
      /** A run whose steps up to `step`, by default all, the new run begins with. */
      fork: string;
      step?: StepChoice;
      data?: DataSource;
      validation?: DataSource;
      /** Another grader, or one for a run that had none. */
      grader?: GraderDescription;
      /** Changes; settings.ts says which settings may. */
      configuration: Partial<TrainConfiguration>;
      out: string;
    }
  /** With changes, which are kept for later resumptions. */
  | ({ resume: string } & RunChanges)
);

/** Short trials of several learning rates on a model; nothing is written. */
export interface FindLearningRateRequest {
  /** The id of a loaded model, or a model directory. */
  model: string;
  data: DataSource;
  validation?: DataSource;
  /** All but the learning rate. */
  configuration: Partial<TrainConfiguration>;
  /** Steps of a trial. */
  trialSteps: number;
  /** The folder of a PEFT LoRA that runs with scheme `lora` begin with. */
  lora?: string;
  /** Those to try, ascending; by default some around the default of the optimiser and the scheme. */
  learningRates?: readonly number[];
}

/** How rows are read is the settings' default where it is not given. */
export interface EvaluateRequest extends Partial<ReadingSettings> {
  model: string;
  data: DataSource;
  /** Use only the first so many examples. */
  limit?: number;
  /** Also say what became of every example: its scores, or its prompt and row besides. */
  outcomes?: 'scores' | 'texts';
  /**
   * Generate answers to rows of prompt and completion and to the last turns of conversations, too, not only to tasks
   * that are scored so. An answer ends with its line where no right one has several, else where the model ends it.
   */
  generate?: AnswerOptions;
}

/** The benchmark of the kernels. */
export interface BenchRequest {
  suite: Suite;
  /** Only cases whose name contains it. */
  filter?: string;
  /** How long to repeat each case for each of the two clocks. */
  seconds: number;
}

export interface BenchResult extends KernelBenchReport {
  /** Whether other work used the GPU meanwhile, so that the times are too long. */
  disturbed: boolean;
}

/** A run that its caller makes step by step: a base model of its own, an optimiser over it, and no data or file. */
export interface StepRunRequest {
  /**
   * The name of the run, from now on also that of its model for {@link Engine.generate} and {@link Engine.unloadModel}.
   */
  id: string;
  /** The id of a loaded base model, or a model directory. */
  model: string;
  /** Number of steps and learning rate decide the schedule; batch size and evaluations have no meaning here. */
  configuration: Partial<TrainConfiguration>;
}

export interface StepRunInfo extends ModelInfo {
  /** Steps done. */
  step: number;
  /** With the defaults filled in and the storage that `auto` chose. */
  configuration: TrainConfiguration;
}

/**
 * A row of training data in any format of a JSON Lines file: prompt and completion, prompt with options and label, …
 */
export type DataRow = Record<string, unknown>;

/** What a run's next step sees of some data. */
export interface StepProbe {
  /** The number of the step, from 1. */
  step: number;
  /** Mean over all points of the step. */
  loss: number;
  accuracy: number | null;
  /** Scored tokens under one point. */
  tokens: number;
  /** Means over all points of what the objective measures beside the loss, by name; absent if nothing is. */
  measures?: Record<string, number>;
  /** The unperturbed loss, where the method looks at it. */
  lossCentre: number | null;
  /** Losses at +ε, by query. */
  lossPlus: number[];
  /** Losses at −ε, by query; `null` for one-sided methods. */
  lossMinus: number[] | null;
  /** ρ by query, exactly f32. */
  projectedGradients: number[];
  /** HiZOO's curvature terms by query, exactly f32. */
  curvatures: number[] | null;
  /** Why the run cannot learn any more, in words, where this step and those before it say so; `null` otherwise. */
  stuck: string | null;
}

/** An update: what a probe measured, or other numbers of the caller's choice. */
export interface StepUpdate {
  projectedGradients: readonly number[];
  /** HiZOO only. */
  curvatures?: readonly number[];
  /** That of the run's schedule by default. */
  learningRate?: number;
  /** The number of the step that this is, from 1, to be refused if the run stands elsewhere. */
  step?: number;
}

/** What an update applied: with the base model and the configuration, all that rebuilds the run. */
export interface AppliedUpdate {
  /** From 1. */
  step: number;
  /** Exactly an f32. */
  learningRate: number;
  /** Exactly f32. */
  projectedGradients: number[];
  curvatures?: number[];
}

/**
 * The owner of the GPU. All methods reject with a `SubzeroError` for anything the caller can repair.
 * Streams end early and quietly when their `signal` is aborted; a training stream then still delivers its `done` event.
 */
export interface Engine {
  info(): Promise<EngineInfo>;
  loadModel(request: LoadModelRequest): Promise<ModelInfo>;
  unloadModel(id: string): Promise<void>;
  models(): Promise<ModelInfo[]>;
  tokenizerInfo(model: string): Promise<TokenizerInfo>;
  tokenize(model: string, text: string, addSpecialTokens?: boolean): Promise<number[]>;
  /** What a model reads of a conversation, as {@link Engine.generate} does unless the options say otherwise. */
  tokenizeChat(model: string, messages: ChatMessage[], options?: TokenizeChatOptions): Promise<number[]>;
  /**
   * The vocabulary's entries of some ids, as they are written there; empty for one that the tokenizer does not know.
   */
  tokenStrings(model: string, tokens: number[]): Promise<string[]>;
  /**
   * @returns `text`, the whole characters, and `rest`, what a character that the tokens leave open becomes if no more
   * follow
   */
  detokenize(model: string, tokens: number[]): Promise<{ text: string; rest: string }>;
  embed(request: EmbedRequest, signal?: AbortSignal): Promise<EmbedResult>;
  generate(request: GenerateRequest, signal?: AbortSignal): AsyncIterable<GenerateEvent>;
  train(request: TrainRequest, signal?: AbortSignal): AsyncIterable<TrainEvent>;
  /** Takes part in the runs of a cluster, one after the other, until the signal is aborted. */
  work(options: WorkerOptions, signal?: AbortSignal): AsyncIterable<WorkerEvent>;
  /** Tries learning rates for a few steps each, ascending, until one diverges. */
  findLearningRate(request: FindLearningRateRequest, signal?: AbortSignal): AsyncIterable<FindEvent>;
  evaluate(
    request: EvaluateRequest,
    onProgress?: (done: number, total: number) => void,
    signal?: AbortSignal,
  ): Promise<EvaluationResult & { outcomes?: Outcome[] }>;
  /**
   * Begins a run whose steps the caller makes. It is a loaded model too, and goes with {@link Engine.unloadModel}.
   * The operations on a run happen one after another, in the order of the calls.
   */
  createRun(request: StepRunRequest): Promise<StepRunInfo>;
  /** The loss of some data under the run as it stands. */
  forwardRun(run: string, data: DataRow[], signal?: AbortSignal): Promise<EvaluationResult>;
  /** Looks at some data from the points of the next step; moves nothing. */
  probeRun(run: string, data: DataRow[], step?: number): Promise<StepProbe>;
  /** Makes the next step. */
  applyRun(run: string, update: StepUpdate): Promise<AppliedUpdate>;
  /** {@link probeRun} and {@link applyRun} of what it measured. */
  stepRun(
    run: string,
    data: DataRow[],
    options?: { step?: number; learningRate?: number },
  ): Promise<{ probe: StepProbe; record: AppliedUpdate }>;
  /** Applies steps made elsewhere, with the same result bit for bit. The first must be the run's next. */
  replayRun(run: string, records: AppliedUpdate[]): Promise<StepRunInfo>;
  /**
   * Checks and times every kernel, on a device of its own beside the engine's.
   * @param onProgress told each case before it runs
   */
  benchKernels(
    request: BenchRequest,
    onProgress?: (name: string, done: number, total: number) => void,
    signal?: AbortSignal,
  ): Promise<BenchResult>;
  /**
   * Writes a run as a model (`safetensors`, `gguf`) or as an adapter (`peft`, `gguf-lora`). Returns the files written.
   */
  exportRun(request: ExportRequest): Promise<string[]>;
  close(): Promise<void>;
}
