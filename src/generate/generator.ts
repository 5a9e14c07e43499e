/**
 * Text generation with continuous batching: every pass carries the next token of each running sequence and the prompts
 * of new sequences.
 *
 * @module
 */

import { contextOverflow } from '../context-overflow.ts';
import { SubzeroError } from '../errors.ts';
import { EventQueue } from '../event-queue.ts';
import type { GpuBuffer } from '../gpu/buffer.ts';
import { type CacheRun, KeyValueCache } from '../model/cache.ts';
import { keyAxis, keyMakers, recurrents, windowOf } from '../model/decoder.ts';
import { forward, widestActivation } from '../model/forward.ts';
import { logitsOf } from '../model/head.ts';
import type { Model } from '../model/model.ts';
import { uploadRuns } from '../model/runs.ts';
import { fixedAnglesUpTo, uploadPositions } from '../model/upload-positions.ts';
import { contextLengthOf, leadingTokens } from '../model/virtual-tokens.ts';
import type { OperationContext } from '../ops/context.ts';
import type { Probes } from '../ops/probes.ts';
import { leastVocabulary, readTopLogits, topLogits, topLogitsBytes } from '../ops/top-logits.ts';
import { keyOfSeed } from '../random/philox.ts';
import { storedLength } from '../tensor/axis.ts';
import { NamedBuffers } from '../tensor/named-buffers.ts';
import { type Activation, Workspace } from '../tensor/workspace.ts';
import type { Tokenizer, TokenStream } from '../tokenizer/index.ts';
import { checkTokenIds } from '../tokenizer/token-ids.ts';
import { type Predicted, ProbeRows, packRows } from './pass-rows.ts';
import { rowAdapters, type TextModel } from './row-adapters.ts';
import {
  drawParameters,
  type Sampled,
  type SamplingOptions,
  sampleFromTop,
  sampleToken,
  topSuffices,
} from './sample.ts';
import { scoreRows } from './score.ts';
import { chooseStart, comparedTexts, type SharedStart, type Startable } from './shared-start.ts';
import { StopFilter } from './stop.ts';
import { characterCount, promptOffsets } from './text-offsets.ts';
import type { GenerateEvent, GenerateRequest, PlacedToken, TokenLogprob } from './types.ts';

/** Most rows of a pass; bounds memory. */
export const passRows = 1024;

/**
 * Most rows of a pass that also generates, unless generating sequences make up more than half of it; bounds their wait
 * for a new prompt.
 */
const sharedPassRows = 256;

/**
 * Rows that a scored row counts as in a shared pass: for one row, the output head is at most about as much work as all
 * layers.
 */
const scoredRowCost = 2;

/** Most bytes of keys and values over all layers, unless one sequence of full length needs more. */
const cacheBytes = 256 * 1024 * 1024;

/** Tokens to generate if a request sets no limit. */
export const defaultMaxTokens = 256;

interface Sequence {
  tokens: number[];
  promptLength: number;
  /** Number of virtual tokens before the prompt. */
  leading: number;
  /** Number of tokens whose keys and values are in the cache. */
  done: number;
  /** Number of tokens at which the sequence must end. */
  limit: number;
  /** Offset at which each token of the prompt begins; present if the prompt is to be scored. */
  promptOffsets: number[] | undefined;
  run: CacheRun;
  /** What it reads together with others, of its prompt and the virtual tokens before that. */
  start?: SharedStart;
  sampling: SamplingOptions;
  topLogprobs: number;
  counts: Map<number, number>;
  stream: TokenStream;
  stop: StopFilter;
  text: string;
  /** Number of characters of all tokens so far, including those not shown yet. */
  characters: number;
  /** Ended by the consumer when nobody wants the text any more. */
  events: EventQueue<GenerateEvent>;
  endTokens: ReadonlySet<number>;
  model: TextModel;
}

type Waiting = Omit<Sequence, 'run' | 'start'>;

/** Index of the next token to sample among the generated tokens. */
function positionOf({ tokens, leading, promptLength }: Sequence): number {
  return tokens.length - leading - promptLength;
}

/** The text that ends a sequence: what its last bytes left open. */
function endOf(stream: TokenStream): { text: string; before: number } {
  const text = stream.flush();
  return { text, before: characterCount(text) };
}

/** Number of tokens that a pass has to read next. The last token is never read, because nothing follows it. */
function unread({ tokens, limit, done }: Sequence): number {
  return Math.min(tokens.length, limit - 1) - done;
}

/** Number of tokens to be read before its next one is known. */
function ahead(sequence: Sequence): number {
  const { start } = sequence;
  return unread(sequence) + (start ? start.length - start.done : 0);
}

function probeOf({ model }: Sequence): number {
  return model.probe ?? 0;
}

function unloadedError(): SubzeroError {
  return new SubzeroError('cancelled', 'the model was unloaded');
}

function isUnloaded({ users }: TextModel): boolean {
  return users.some(({ aborted }) => aborted);
}

export class Generator {
  readonly #model: Model;
  readonly #probes: () => Probes;
  readonly #tokenizer: Tokenizer;
  readonly #severalProbes: boolean;
  readonly #workspace: Workspace;
  readonly #buffers: NamedBuffers;
  /** Scratch memory of scoring. */
  readonly #scoring: NamedBuffers;
  #cache: KeyValueCache | undefined;
  #waiting: Waiting[] = [];
  #running: Sequence[] = [];
  /** The waiting text that found no room, until some is given back: to look for its start takes time. */
  #refused: Waiting | undefined;
  #looping: Promise<void> | undefined;
  /** The pass under way, or the last one. */
  #passing: Promise<void> | undefined;
  /** The error for every later request; set once the model is unloaded. */
  #unloaded: SubzeroError | undefined;

  /**
   * @param probes returns the state of the model to generate with: plain weights, or a run's or an adapter's change
   * @param severalProbes whether there may be more than one, whose texts share passes
   */
  constructor(model: Model, tokenizer: Tokenizer, probes: () => Probes, severalProbes = false) {
    this.#model = model;
    this.#severalProbes = severalProbes;
    this.#tokenizer = tokenizer;
    this.#probes = probes;
    this.#workspace = new Workspace(model.gpu);
    this.#buffers = new NamedBuffers(model.gpu);
    this.#scoring = new NamedBuffers(model.gpu);
  }

  /**
   * Generates one text. Ends early, without an error, when the signal is aborted.
   *
   * @param prompt token ids, including BOS if the model expects it
   * @param model the adapters of this text, on plain weights; texts with others share its passes, and change none of
   *   its bits
   * @throws SubzeroError `invalid_argument` if the prompt leaves no room for a token
   */
  async *generate(
    request: Omit<GenerateRequest, 'model'>,
    prompt: readonly number[],
    signal?: AbortSignal,
    model: TextModel = { adapters: [], users: [] },
  ): AsyncGenerator<GenerateEvent> {
    const { vocabularySize } = this.#model.decoder;
    const probes = this.#probes();
    const contextLength = contextLengthOf(this.#model, probes);
    const leading = leadingTokens(this.#model, probes);
    if (probes.count > 1 && (request.scorePrompt || model.adapters.length > 0))
      throw new Error('prompts are scored, and texts have adapters, under one probe alone');
    if (prompt.length === 0)
      throw new SubzeroError('invalid_argument', 'the prompt has no tokens', { parameter: 'prompt' });
    const room = request.maxTokens === 0 ? 0 : 1;
    if (prompt.length + room > contextLength) {
      const beside = leading.length > 0 ? ` beside its ${leading.length} virtual tokens` : '';
      const what = `it has ${prompt.length} tokens${room ? ' and the answer needs one more' : ''}`;
      throw contextOverflow(what, contextLength, request.messages ? 'messages' : 'prompt', beside);
    }
    const tokenString = (id: number): string => this.#tokenizer.tokenString(id);
    checkTokenIds(prompt, { vocabularySize, tokenString, parameter: request.messages ? 'messages' : 'prompt' });
    checkTokenIds(Object.keys(request.logitBias ?? {}).map(Number), { vocabularySize, parameter: 'logitBias' });
    const seed = request.seed ?? Math.floor(Math.random() * 2 ** 32);
    // An invalid seed fails its own request here rather than the pass of all sequences.
    keyOfSeed(seed);
    const maxTokens = Math.min(request.maxTokens ?? defaultMaxTokens, contextLength - prompt.length);
    const events = new EventQueue<GenerateEvent>();
    yield { type: 'start', promptTokens: prompt.length };
    const offsets = request.scorePrompt
      ? promptOffsets(this.#tokenizer, prompt, request.prompt ?? this.#tokenizer.decode(prompt))
      : undefined;
    if (offsets) {
      const [id] = prompt as [number];
      yield { type: 'prompt', tokens: [{ ...this.#show(id), logprob: null, topLogprobs: [], textOffset: 0 }] };
    }
    if (maxTokens === 0 && !(offsets && prompt.length > 1)) {
      yield { type: 'done', finishReason: 'length', text: '', promptTokens: prompt.length, completionTokens: 0 };
      return;
    }
    // An abort before this point has already fired its event, so the listener below would miss it.
    if (signal?.aborted) return;
    if (this.#unloaded) throw this.#unloaded;
    if (isUnloaded(model)) throw unloadedError();
    this.#waiting.push({
      tokens: [...leading, ...prompt],
      promptLength: prompt.length,
      leading: leading.length,
      done: 0,
      limit: leading.length + prompt.length + maxTokens,
      promptOffsets: offsets,
      sampling: {
        temperature: request.temperature ?? 1,
        topK: request.topK ?? 0,
        topP: request.topP ?? 1,
        seed,
        logitBias: request.logitBias ?? {},
        presencePenalty: request.presencePenalty ?? 0,
        frequencyPenalty: request.frequencyPenalty ?? 0,
      },
      topLogprobs: request.topLogprobs ?? 0,
      counts: new Map(),
      stream: this.#tokenizer.createTokenStream({ skipSpecialTokens: true, after: prompt }),
      stop: new StopFilter(request.stop ?? []),
      text: '',
      characters: 0,
      events,
      endTokens: new Set(this.#tokenizer.eosTokenIds),
      model,
    });
    this.#looping ??= Promise.resolve().then(() => this.#loop());
    // The loop notices the end at its next pass; the consumer need not wait for that.
    const onAbort = (): void => events.end();
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      yield* events.drain();
    } finally {
      // A consumer that leaves early does not want the rest either.
      events.end();
      signal?.removeEventListener('abort', onAbort);
    }
  }

  async #loop(): Promise<void> {
    const leave = this.#model.gpu.turns.enter();
    try {
      while (this.#waiting.length + this.#running.length > 0) {
        this.#dropEnded();
        this.#admit();
        if (this.#running.length === 0) continue;
        this.#passing = this.#pass();
        await this.#passing;
      }
    } catch (error) {
      // A failed pass does not give its activations back, so all buffers are dropped.
      this.#model.gpu.recorder.submit();
      this.#workspace.destroy();
      this.#buffers.destroy();
      this.#scoring.destroy();
      for (const sequence of this.#running) this.#finish(sequence, error);
      for (const sequence of this.#waiting) sequence.events.end(error);
      this.#waiting = [];
    } finally {
      // This runs in the same turn of the event loop that found nothing left to do: a request in the next turn must
      // start a new loop.
      this.#looping = undefined;
      leave();
    }
  }

  #dropEnded(): void {
    this.#waiting = this.#waiting.filter(({ events }) => !events.ended);
    for (const sequence of this.#running.filter(({ events }) => events.ended)) this.#finish(sequence);
  }

  /** Starts waiting requests in order of arrival, as long as the cache has room. */
  #admit(): void {
    this.#cache ??= this.#makeCache();
    while (this.#waiting.length > 0) {
      const next = this.#waiting[0]!;
      if (next === this.#refused) return;
      let place: Pick<Sequence, 'run' | 'start'> | undefined;
      try {
        place = this.#reserve(next, this.#cache);
      } catch (error) {
        next.events.end(error);
        this.#waiting.shift();
        continue;
      }
      if (!place) {
        this.#refused = next;
        return;
      }
      this.#running.push({ ...next, ...place, done: place.start?.length ?? 0 });
      this.#waiting.shift();
    }
  }

  /** Room in the cache for the next waiting text, behind a start that others have too; undefined if there is none. */
  #reserve(next: Waiting, cache: KeyValueCache): Pick<Sequence, 'run' | 'start'> | undefined {
    const start = this.#startOf(next, cache);
    const rest = start && cache.reserve(next.limit - start.length);
    if (rest) {
      start.users++;
      return { run: rest, start };
    }
    if (start?.users === 0) cache.release(start.run);
    const run = cache.reserve(next.limit);
    return run && { run };
  }

  /** A start that the next waiting text and others have, whether they run or wait; undefined if there is none. */
  #startOf(next: Waiting, cache: KeyValueCache): SharedStart | undefined {
    const limit = fixedAnglesUpTo(this.#model.decoder);
    // Rows of a start predict nothing, and have the same angles in all texts.
    const canShare = ({ promptOffsets, tokens }: Waiting): boolean => !promptOffsets && tokens.length <= limit;
    if (!canShare(next) || next.limit > cache.rows) return undefined;
    const others: Startable[] = this.#waiting.slice(1, 1 + comparedTexts).filter(canShare);
    const choice = chooseStart(next, others, new Set(this.#running.flatMap(({ start }) => start ?? [])));
    if (typeof choice !== 'number') return choice;
    const run = choice > 0 ? cache.reserve(choice) : undefined;
    if (!run) return undefined;
    const { leading, promptLength, model } = next;
    return { tokens: [...next.tokens], leading, promptLength, model, run, length: choice, done: 0, users: 0 };
  }

  #makeCache(): KeyValueCache {
    const { decoder } = this.#model;
    const { contextLength } = decoder;
    const keys = keyMakers(decoder).reduce((sum, attention) => sum + storedLength(keyAxis(attention)), 0);
    const rowBytes = keys * 4 * 2;
    const rows = Math.max(contextLength, Math.min(contextLength * 64, Math.floor(cacheBytes / Math.max(1, rowBytes))));
    return new KeyValueCache(this.#model.gpu, this.#model, rows, this.#severalProbes);
  }

  async #pass(): Promise<void> {
    const model = this.#model;
    const { gpu, decoder } = model;
    const budget = Math.min(passRows, Math.floor(gpu.bindingLimit / 4 / widestActivation(model)));
    const { count } = this.#probes();
    const window = windowOf(decoder);
    const hasStates = recurrents(decoder).length > 0;
    const answering = this.#running.filter((sequence) => positionOf(sequence) > 0).length;
    const most = answering > 0 ? Math.min(budget, Math.max(sharedPassRows, 2 * answering)) : budget;
    // None would never go on.
    const each = Math.max(1, Math.floor(most / count));
    // Logits lie in one binding.
    const labels = Math.max(1, Math.floor(gpu.bindingLimit / 4 / decoder.vocabularySize / count));
    const ofProbes = Array.from({ length: count }, () => new ProbeRows<Sequence>(each, labels, window));
    // Generating sequences come first, with one row each. Prompts share the rest, in pieces if necessary.
    const begun = new Set<SharedStart>();
    for (const sequence of [...this.#running].sort((a, b) => ahead(a) - ahead(b))) {
      const rows = ofProbes[probeOf(sequence)]!;
      const { start } = sequence;
      if (start && start.done < start.length) {
        const taken = Math.min(start.length - start.done, rows.left);
        if (taken > 0) rows.walk(start, taken);
        rows.left -= taken;
        begun.add(start);
      }
      // Keys of this pass are seen by its other rows; a state can be gone on from once the pass has left it.
      if (start && (start.done < start.length || (hasStates && begun.has(start)))) continue;
      const scored = sequence.promptOffsets !== undefined && sequence.done < sequence.leading + sequence.promptLength;
      const cost = scored && answering > 0 ? scoredRowCost : 1;
      const taken = Math.min(unread(sequence), Math.floor(rows.left / cost));
      if (taken > 0) rows.left -= cost * rows.read(sequence, taken, scored);
    }
    const packed = packRows(ofProbes, this.#cache!.spare);
    const { ids, positions, lengths, rows, labelRows, sampled, predicted } = packed;

    this.#workspace.reserve(Math.max(ids.length, 16));
    const buffers = this.#buffers;
    const upload = (name: string, values: number[]) => buffers.upload(name, new Uint32Array(values));
    const probes = {
      ...this.#probes(),
      ...rowAdapters(packed.models, labelRows, buffers),
      ...(count > 1 ? { ownInputs: true } : {}),
    };
    const context = { gpu, workspace: this.#workspace, probes, plans: model.plans };
    const hidden = forward(model, context, {
      ids: upload('ids', ids),
      ...uploadPositions(model, new Uint32Array(positions), new Uint32Array(lengths), buffers),
      ranges: upload('ranges', packed.ranges),
      ...(window === undefined ? {} : { windowRanges: upload('window ranges', packed.windowRanges) }),
      ...(hasStates ? { runs: uploadRuns(packed.runs, ids.length, buffers) } : {}),
      rows,
      longest: positions.reduce((most, position) => Math.max(most, position), 0) + 1,
      labelRows: upload('label rows', labelRows),
      labelCount: labelRows.length / count,
      cache: { cache: this.#cache!, slots: upload('slots', packed.slots) },
    });
    const tokens = sampled.length > 0 ? await this.#sample(sampled, context, { ...hidden, rows: sampled.length }) : [];
    const targets = predicted.map(({ sequence, position }) => ({
      target: sequence.tokens[position]!,
      topLogprobs: sequence.topLogprobs,
    }));
    const scores = await scoreRows(model, context, hidden, sampled.length, targets, this.#scoring);
    this.#workspace.give(hidden);
    // The model may have been unloaded in the meantime.
    if (this.#unloaded) return;
    this.#report(predicted, scores);
    for (const [index, sequence] of sampled.entries()) {
      if (!sequence || sequence.events.ended) continue;
      try {
        this.#extend(sequence, tokens[index]!());
      } catch (error) {
        this.#finish(sequence, error);
      }
    }
  }

  /**
   * Samples the next token of each sequence. The search of the logits on the GPU decides most tokens; the others are
   * sampled from whole rows of logits.
   * @param sequences undefined for a row that nobody asks for
   * @param hidden one row per sequence, at least one
   * @returns one function per sequence that there is, so that an error fails only its own sequence
   */
  async #sample(
    sequences: readonly (Sequence | undefined)[],
    context: OperationContext,
    hidden: Activation,
  ): Promise<(() => Sampled)[]> {
    const { gpu, decoder } = this.#model;
    const { rows } = hidden;
    const columns = decoder.vocabularySize;
    const rowBytes = columns * 4;
    const logits = logitsOf(this.#model, context, hidden, this.#buffers);
    const wantsTop = sequences.map(
      (sequence) => sequence && columns >= leastVocabulary && topSuffices(sequence.sampling, sequence.topLogprobs),
    );
    const rowOf = (row: number) => ({ buffer: logits, offset: row * rowBytes, bytes: rowBytes });
    const whole = sequences.map((_, row) => row).filter((row) => sequences[row] && !wantsTop[row]);
    const top: { buffer: GpuBuffer; bytes: number }[] = [];
    if (wantsTop.includes(true)) {
      const draws = sequences.flatMap((sequence) =>
        sequence ? drawParameters(sequence.sampling, positionOf(sequence)) : [1, 0],
      );
      const results = this.#buffers.ensure('top logits', rows * topLogitsBytes(columns));
      topLogits(gpu, logits, { rows, columns }, this.#buffers.upload('draws', new Float32Array(draws)), results);
      top.push({ buffer: results, bytes: rows * topLogitsBytes(columns) });
    }
    // If no sequence has a token to sample, reading one word tells that the pass is done.
    const wanted = sequences.some((sequence) => sequence)
      ? [...top, ...whole.map(rowOf)]
      : [{ buffer: logits, bytes: 4 }];
    const data = await gpu.recorder.read(wanted);
    const found = top.length > 0 ? data.shift()! : undefined;
    const allOf = new Map(whole.map((row, index) => [row, new Float32Array(data[index]!)]));
    const sampled = sequences.map((sequence, row) => {
      const best = found && wantsTop[row] ? readTopLogits(found, row, columns) : undefined;
      return sequence && best && sampleFromTop(best, sequence.sampling, positionOf(sequence), sequence.topLogprobs);
    });
    const undecided = sequences.map((_, row) => row).filter((row) => wantsTop[row] && !sampled[row]);
    if (undecided.length > 0) {
      const rest = await gpu.recorder.read(undecided.map(rowOf));
      for (const [index, row] of undecided.entries()) allOf.set(row, new Float32Array(rest[index]!));
    }
    return sequences.map((sequence, row) => () => {
      const { sampling, counts, topLogprobs } = sequence!;
      return sampled[row] ?? sampleToken(allOf.get(row)!, sampling, positionOf(sequence!), counts, topLogprobs);
    });
  }

  /** Reports the scores of prompt tokens that a pass predicted, and ends the sequences that ask for nothing else. */
  #report(predicted: readonly Predicted<Sequence>[], scores: readonly (() => Sampled)[]): void {
    const reports = new Map<Sequence, PlacedToken[]>();
    for (const [index, { sequence, position }] of predicted.entries()) {
      if (sequence.events.ended) continue;
      const tokens = reports.get(sequence) ?? [];
      reports.set(sequence, tokens);
      try {
        tokens.push(this.#place(scores[index]!(), sequence.promptOffsets![position - sequence.leading]!));
      } catch (error) {
        this.#finish(sequence, error);
      }
    }
    for (const [sequence, tokens] of reports) {
      if (sequence.events.ended) continue;
      sequence.events.push({ type: 'prompt', tokens });
      if (sequence.tokens.length < sequence.limit || unread(sequence) > 0) continue;
      const { promptLength: promptTokens } = sequence;
      sequence.events.push({ type: 'done', finishReason: 'length', text: '', promptTokens, completionTokens: 0 });
      this.#finish(sequence);
    }
  }

  /** @param stream the stream in which the token comes next; without one the token is shown as inside a text */
  #show(id: number, stream?: TokenStream) {
    const bytes = stream?.bytesOf(id) ?? this.#tokenizer.tokenBytes(id);
    return { id, text: this.#tokenizer.tokenText(id), bytes: [...bytes] };
  }

  #place({ id, logprob, top }: Sampled, textOffset: number, stream?: TokenStream) {
    const topLogprobs: TokenLogprob[] = top.map((entry) => ({ ...this.#show(entry.id, stream), ...entry }));
    return { ...this.#show(id, stream), logprob, topLogprobs, textOffset };
  }

  /** Appends the next token of a sequence and ends the sequence if it must end. */
  #extend(sequence: Sequence, sampled: Sampled): void {
    const { id } = sampled;
    const ended = sequence.endTokens.has(id);
    sequence.tokens.push(id);
    sequence.counts.set(id, (sequence.counts.get(id) ?? 0) + 1);
    const { stream } = sequence;
    const placed = this.#place(sampled, sequence.characters, stream);
    // The offset of an end token is after all text, and that of a token is after bytes that turn out to be no
    // character.
    const decoded = ended ? endOf(stream) : stream.take(id);
    placed.textOffset += decoded.before;
    const text = sequence.stop.push(decoded.text);
    sequence.text += text;
    sequence.characters += characterCount(decoded.text);
    if (!ended) sequence.events.push({ type: 'token', ...placed, text, tokenText: placed.text });
    const stopped = ended || sequence.stop.stopped;
    if (!stopped && sequence.tokens.length < sequence.limit) return;
    sequence.text += sequence.stop.push(stream.flush()) + sequence.stop.flush();
    sequence.events.push({
      type: 'done',
      finishReason: stopped || sequence.stop.stopped ? 'stop' : 'length',
      text: sequence.text,
      promptTokens: sequence.promptLength,
      completionTokens: sequence.tokens.length - sequence.leading - sequence.promptLength,
      ...(ended ? { endToken: placed } : {}),
    });
    this.#finish(sequence);
  }

  #finish(sequence: Sequence, error?: unknown): void {
    const { start } = sequence;
    this.#cache?.release(sequence.run);
    if (start && --start.users === 0) this.#cache?.release(start.run);
    this.#refused = undefined;
    this.#running = this.#running.filter((other) => other !== sequence);
    sequence.events.end(error);
  }

  /** Ends the texts of models that are unloaded with an error; resolves once no pass reads their memory any more. */
  async release(): Promise<void> {
    const error = unloadedError();
    for (const sequence of this.#running.filter(({ model }) => isUnloaded(model))) this.#finish(sequence, error);
    const [gone, left] = [true, false].map((is) => this.#waiting.filter(({ model }) => isUnloaded(model) === is));
    for (const { events } of gone!) events.end(error);
    this.#waiting = left!;
    // A pass that fails tells those whose texts it makes.
    await this.#passing?.catch(() => {});
  }

  /** Ends every text with an error, and frees the memory once the pass in progress is over. */
  async destroy(): Promise<void> {
    const error = unloadedError();
    this.#unloaded = error;
    for (const sequence of [...this.#running]) this.#finish(sequence, error);
    for (const { events } of this.#waiting) events.end(error);
    this.#waiting = [];
    await this.#looping;
    this.#cache?.destroy();
    this.#workspace.destroy();
    this.#buffers.destroy();
    this.#scoring.destroy();
  }
}
