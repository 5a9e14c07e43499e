/**
 * What the server and the command line see of the engine: plain data in, plain data or asynchronous streams of plain
 * data out, so that the same calls work in the same thread and across a worker.
 *
 * @module
 */

import type { KernelBenchReport } from '../bench/kernels.ts';
import type { Suite } from '../bench/suites.ts';
import type { Learn } from '../data/example.ts';
import type { AdapterDescription, Arithmetic } from '../gpu/device.ts';
import type { BestEvaluation, StepChoice } from '../train/best.ts';
import type { TrainConfiguration } from '../train/configuration.ts';
import type { MemoryPlan } from '../train/memory-plan.ts';
import type { WarningCode } from '../train/watchdog.ts';

/** Storage type of weights on the GPU. `auto` keeps the file's type on a GPU and widens to f32 on a software adapter. */
export type WeightStorage = 'auto' | 'f32' | 'f16' | 'bf16';

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
  /** A model directory (config.json, *.safetensors, tokenizer.json) or a run directory (journal). */
  path: string;
  /** For a run: the step to rebuild, or `best` = the one with the lowest validation loss; the last one by default. */
  step?: StepChoice;
  storage?: WeightStorage;
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
  /** Bytes of the weights that it reads, its own or shared. */
  weightBytes: number;
  /** Loaded models that read the same copy of the weights. */
  sharesWeightsWith: string[];
  createdAt: number;
}

/** A chat message as the OpenAI API has it, text only, and as a chat template sees it. */
export interface ChatMessage {
  role: string;
  content: string;
  name?: string;
  tool_calls?: ToolCall[];
  /** The call that a message of the role `tool` answers. */
  tool_call_id?: string;
  /** What an assistant thought before its answer. */
  reasoning_content?: string;
}

/** A call that an assistant's turn made. */
export interface ToolCall {
  id?: string;
  type: 'function';
  function: { name: string; arguments: object };
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

/** One text generation. Exactly one of `prompt`, `tokens`, `messages` is given. */
export interface GenerateRequest {
  model: string;
  prompt?: string;
  tokens?: number[];
  messages?: ChatMessage[];
  /** More variables of the chat template. */
  templateVariables?: Record<string, unknown>;
  /** 0 generates nothing; the prompt may fill the context then. */
  maxTokens?: number;
  /** 0 = greedy. Default 1. */
  temperature?: number;
  topK?: number;
  topP?: number;
  seed?: number;
  stop?: string[];
  /** How many of the most likely alternatives to report per token (0 = only the chosen token's log-probability). */
  topLogprobs?: number;
  /** Report the prompt's tokens in the same way; with `maxTokens` 0 nothing else. */
  scorePrompt?: boolean;
  /** Token id → additive logit bias. */
  logitBias?: Record<number, number>;
  presencePenalty?: number;
  frequencyPenalty?: number;
}

/** The log-probability of one token. */
export interface TokenLogprob {
  id: number;
  /** Its name, which no other token has: the text it stands for, or `bytes:\xf0` for a part of a character. */
  text: string;
  /** What it adds to the text, or would have added: a special token nothing. */
  bytes: number[];
  logprob: number;
}

export interface TokenizeChatOptions {
  addGenerationPrompt?: boolean;
  /** BOS in front even where the template writes none. Default false, as in a chat. */
  addSpecialTokens?: boolean;
  templateVariables?: Record<string, unknown>;
}

/** A token at its place. */
export interface PlacedToken extends Omit<TokenLogprob, 'logprob'> {
  /** `null` for the first token of a prompt, which nothing predicts. */
  logprob: number | null;
  topLogprobs: TokenLogprob[];
  /** Where it begins in the text of the prompt, or in the generated text: a count of Unicode characters. Tokens that share a character begin at it. */
  textOffset: number;
}

export type GenerateEvent =
  | { type: 'start'; promptTokens: number }
  /** The next tokens of a prompt that is to be scored; all come before the first that is generated. */
  | { type: 'prompt'; tokens: PlacedToken[] }
  /** `text` is what is ready to be shown: nothing while a multi-byte character or a possible stop string is incomplete. */
  | ({ type: 'token'; text: string; tokenText: string; logprob: number } & Omit<PlacedToken, 'text' | 'logprob'>)
  | {
      type: 'done';
      finishReason: 'stop' | 'length';
      text: string;
      promptTokens: number;
      completionTokens: number;
      /** The token that ended the text, which is no part of it, unless a stop string or the length did. */
      endToken?: PlacedToken;
    };

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

/** Data for training or evaluation: a named task over a directory of its splits, or one JSONL file. */
export type DataSource = { task: string; directory: string } | { file: string };

/** Start a run in `out`, with the steps of the run `fork` if there is one, or continue the run at `resume` where its journal ends. */
export type TrainRequest =
  | {
      /** The id of a loaded model, or a model directory. */
      model: string;
      data: DataSource;
      validation?: DataSource;
      configuration: Partial<TrainConfiguration>;
      /** Instead of a number of steps: how often each example is seen, on average. */
      epochs?: number;
      out: string;
    }
  | {
      /** A run whose steps up to `step`, by default all, the new run begins with. */
      fork: string;
      step?: StepChoice;
      data?: DataSource;
      validation?: DataSource;
      /** Changes, see `forkSettings`. */
      configuration: Partial<TrainConfiguration>;
      out: string;
    }
  | {
      resume: string;
      /** A new number of steps in all; kept for later resumptions, as `memory`. */
      steps?: number;
      /** Bytes of GPU memory that the run may take from now on; 0 = no limit. */
      memory?: number;
    };

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
  /** Those to try, ascending; by default some around the default of the optimiser and the scheme. */
  learningRates?: readonly number[];
}

export interface EvaluationResult {
  examples: number;
  loss: number;
  /** Share of examples whose best option is the label; `null` for data without options. */
  accuracy: number | null;
  tokens: number;
  seconds: number;
  /** Examples that were too long for the model and lost the start of their prompt; absent if there are none. */
  truncated?: number;
}

export type TrainEvent =
  | {
      type: 'start';
      run: string;
      step: number;
      steps: number;
      examples: number;
      plan: MemoryPlan;
    }
  | {
      type: 'step';
      step: number;
      steps: number;
      /** Mean over the step's perturbed passes. */
      loss: number;
      /** Share of the batch's examples answered rightly; null for data without options. */
      accuracy: number | null;
      /** ρ, the mean over the queries. */
      projectedGradient: number;
      learningRate: number;
      tokensPerSecond: number;
      elapsedSeconds: number;
      etaSeconds: number;
      trainedTokens: number;
    }
  | ({ type: 'evaluation'; step: number } & EvaluationResult)
  /** A step belongs to what was noticed at it, a code to what a program may want to act upon. */
  | { type: 'message'; level: 'info' | 'warn' | 'error'; message: string; step?: number; code?: WarningCode }
  | {
      type: 'done';
      run: string;
      step: number;
      /**
       * `finished` = all steps done, or ended by early stopping; `stopped` = cancelled or paused, can be resumed; `stuck` = it can no longer
       * learn, and was given up or had done all of its steps so.
       */
      outcome: 'finished' | 'stopped' | 'stuck';
      /** Why a run finished before its last step, or is stuck, in words; `null` otherwise. */
      reason: string | null;
      /** The evaluation with the lowest validation loss; `null` if there was none. */
      best: BestEvaluation | null;
      trainedTokens: number;
      seconds: number;
    };

/** What a search for a learning rate tells. */
export type FindEvent =
  | {
      type: 'start';
      learningRates: number[];
      trialSteps: number;
      /** The loss before training, and the examples that it is taken over. */
      loss: number;
      examples: number;
      /** Whether these are training examples kept apart, for want of validation data. */
      heldOut: boolean;
    }
  | {
      type: 'trial';
      learningRate: number;
      /** After the trial; `null` if it diverged or got stuck. */
      loss: number | null;
      diverged: boolean;
      /** Why it cannot learn any more, in words; `null` if it can. */
      stuck: string | null;
      /** Steps done. */
      steps: number;
      seconds: number;
    }
  | {
      type: 'suggestion';
      /** That of the lowest loss; `null` if no trial lowered it. */
      learningRate: number | null;
      loss: number | null;
    };

export interface EvaluateRequest {
  model: string;
  data: DataSource;
  /** Use only the first so many examples. */
  limit?: number;
  /** Which assistant turns of a conversation count; all by default. */
  learn?: Learn;
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
  /** The name of the run, from now on also that of its model for {@link Engine.generate} and {@link Engine.unloadModel}. */
  id: string;
  /** The id of a loaded base model, or a model directory. */
  model: string;
  /** Number of steps and learning rate decide the schedule; batch size and evaluations have no meaning here. */
  configuration: Partial<TrainConfiguration>;
}

export interface StepRunInfo extends ModelInfo {
  /** Steps done. */
  step: number;
  /** With the defaults filled in and the storage that `auto` came to. */
  configuration: TrainConfiguration;
}

/** A row of training data in any format of a JSON Lines file: prompt and completion, prompt with options and label, … */
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

/** A step as it was applied: with the base model and the configuration, all that rebuilds the run. */
export interface StepRecord {
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
  /** The vocabulary's entries of some ids, as they are written there; empty for one that the tokenizer does not know. */
  tokenStrings(model: string, tokens: number[]): Promise<string[]>;
  /** @returns `text`, the whole characters, and `rest`, what a character that the tokens leave open becomes if no more follow */
  detokenize(model: string, tokens: number[]): Promise<{ text: string; rest: string }>;
  embed(request: EmbedRequest, signal?: AbortSignal): Promise<EmbedResult>;
  generate(request: GenerateRequest, signal?: AbortSignal): AsyncIterable<GenerateEvent>;
  train(request: TrainRequest, signal?: AbortSignal): AsyncIterable<TrainEvent>;
  /** Tries learning rates for a few steps each, ascending, until one diverges. */
  findLearningRate(request: FindLearningRateRequest, signal?: AbortSignal): AsyncIterable<FindEvent>;
  evaluate(
    request: EvaluateRequest,
    onProgress?: (done: number, total: number) => void,
    signal?: AbortSignal,
  ): Promise<EvaluationResult>;
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
  applyRun(run: string, update: StepUpdate): Promise<StepRecord>;
  /** {@link probeRun} and {@link applyRun} of what it measured. */
  stepRun(
    run: string,
    data: DataRow[],
    options?: { step?: number; learningRate?: number },
  ): Promise<{ probe: StepProbe; record: StepRecord }>;
  /** Applies steps made elsewhere, with the same result bit for bit. The first must be the run's next. */
  replayRun(run: string, records: StepRecord[]): Promise<StepRunInfo>;
  /**
   * Checks and times every kernel, on a device of its own beside the engine's.
   * @param onProgress told each case before it runs
   */
  benchKernels(
    request: BenchRequest,
    onProgress?: (name: string, done: number, total: number) => void,
    signal?: AbortSignal,
  ): Promise<BenchResult>;
  /** Writes a run as a model directory (`safetensors`) or as an adapter (`peft`). Returns the files written. */
  exportRun(request: {
    run: string;
    format: 'safetensors' | 'peft';
    out: string;
    step?: StepChoice;
  }): Promise<string[]>;
  close(): Promise<void>;
}
