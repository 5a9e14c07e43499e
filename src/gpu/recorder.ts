/**
 * Records kernels into one command encoder, with all their parameters in one uniform arena, and submits them together.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import type { GpuBuffer } from './buffer.ts';
import type { Gpu } from './gpu.ts';
import type { Kernel } from './kernel.ts';
import { paced } from './pace.ts';
import { type KernelWork, PieceTimes } from './piece-times.ts';
import type { Profiler } from './profiler.ts';

/** Parameter slots in the arena; a step of a 40-layer model records about 800 dispatches. */
const arenaSlots = 2048;

/** Initial estimate of the milliseconds of a workgroup with little work, by the style of the adapter. */
const workgroupMilliseconds = { software: 2e-3, hardware: 2e-5 };

/** Recorded work that is submitted to the GPU at once. */
interface Piece {
  commands: Command[];
  /** The first `count` commands, already encoded; the buffers are submitted one after the other. */
  encoded?: { count: number; buffers: GPUCommandBuffer[] };
  /** The used part of the parameter arena. */
  parameters: Uint8Array<ArrayBuffer>;
  /** Estimated time on the GPU. */
  milliseconds: number;
}

/** Work recorded before its time, with {@link Recorder.ahead}. */
export interface AheadWork {
  readonly pieces: readonly Piece[];
}

/** Commands in the first buffer of work recorded ahead. The GPU starts on this buffer while it receives the rest. */
const firstCommands = 64;

/** How late, in milliseconds, the end of a piece may be noticed while another piece is in flight. */
const pieceSlack = 1;

/** One recorded dispatch, or a copy or a clear between dispatches. */
type Command =
  | {
      kernel: Kernel;
      group: GPUBindGroup;
      offsets: readonly number[];
      workgroups: readonly [number, number?, number?];
      work: number;
    }
  | { kernel?: undefined; encode(encoder: GPUCommandEncoder): void };

function workOf(commands: readonly Command[]): KernelWork {
  const sums: KernelWork = new Map();
  for (const command of commands) {
    if (command.kernel) sums.set(command.kernel, (sums.get(command.kernel) ?? 0) + command.work);
  }
  return sums;
}

/** A part of a buffer to be read back; offset and length are in bytes. */
export interface ReadRequest {
  buffer: GpuBuffer;
  offset?: number;
  bytes: number;
}

/** Size of the staging buffer for reads of this many bytes. */
function stagingBytes(bytes: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(4096, bytes)));
}

export class Recorder {
  readonly #gpu: Gpu;
  readonly #arena: GpuBuffer;
  readonly #slotBytes: number;
  readonly #data: ArrayBuffer;
  readonly #u32: Uint32Array;
  readonly #i32: Int32Array;
  readonly #f32: Float32Array;
  #used = 0;
  /** Recorded commands in order. They are kept until submission, because kernels may still be compiling. */
  #commands: Command[] = [];
  #rehearsing: boolean;
  /** Whether a kernel was submitted before the outcome of its compilation was known. */
  #unchecked = false;
  #staging: { buffer: GpuBuffer; free: boolean }[] = [];
  readonly #times: PieceTimes;
  /** Estimated time of the recorded commands; see {@link Piece}. */
  #milliseconds = 0;
  /** Finished pieces that are not submitted yet; present while work is being divided. */
  #pieces: Piece[] | undefined;
  /** Target time of a piece while work is being divided. */
  #pieceMilliseconds = 0;
  /** One promise for the end of each piece in flight. */
  #inFlight: Promise<void>[] = [];
  #lastEnd = 0;
  /** Milliseconds of the last read by the number of commands before it, which usually identifies the kind of pass. */
  readonly #readTimes = new Map<number, number>();
  /** Time at which the last piece in flight is expected to end. */
  #expectedEnd = 0;
  /** If set, each dispatch is timed on the GPU. */
  profiler: Profiler | undefined;
  /** Number of dispatches recorded since the device was opened. */
  dispatches = 0;

  /** @param rehearses whether all recording is a rehearsal */
  constructor(gpu: Gpu, rehearses = false) {
    this.#gpu = gpu;
    this.#rehearsing = rehearses;
    this.#times = new PieceTimes(workgroupMilliseconds[gpu.kernelStyle]);
    // 128 bytes hold 32 scalars, more than any kernel has. Devices have 256 unless a lower limit is asked for.
    this.#slotBytes = Math.max(128, gpu.device.limits.minUniformBufferOffsetAlignment);
    this.#data = new ArrayBuffer(arenaSlots * this.#slotBytes);
    this.#u32 = new Uint32Array(this.#data);
    this.#i32 = new Int32Array(this.#data);
    this.#f32 = new Float32Array(this.#data);
    this.#arena = gpu.allocate(
      this.#data.byteLength,
      'staging',
      'kernel parameters',
      GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    );
  }

  /**
   * Records one kernel.
   * @param buffers one per storage binding of the kernel, in order
   * @param parameters one value per field of the kernel's `Parameters`
   * @param workgroups counts in x, y, z
   * @param work a number that the kernel's time is proportional to. By default it is the number of workgroups, which is
   * right if each does the same work for every shape
   */
  dispatch(
    kernel: Kernel,
    buffers: readonly GpuBuffer[],
    parameters: Readonly<Record<string, number>>,
    workgroups: readonly [number, number?, number?],
    work = workgroups[0] * (workgroups[1] ?? 1) * (workgroups[2] ?? 1),
  ): void {
    if (this.#rehearsing) return;
    if (this.#used === arenaSlots) this.#finish();
    const milliseconds = this.#times.estimate(kernel, work);
    if (this.#pieces && this.#used > 0 && this.#milliseconds + milliseconds > this.#pieceMilliseconds) this.#finish();
    this.#milliseconds += milliseconds;
    const slot = this.#used++;
    const base = (slot * this.#slotBytes) / 4;
    for (let index = 0; index < kernel.parameters.length; index++) {
      const field = kernel.parameters[index]!;
      const value = parameters[field.name];
      if (value === undefined) throw new Error(`${kernel.label}: parameter "${field.name}" is missing`);
      if (field.type === 'u32') this.#u32[base + index] = value;
      else if (field.type === 'f32') this.#f32[base + index] = value;
      else this.#i32[base + index] = value;
    }
    const group = this.#gpu.bindGroup(kernel, buffers, this.#arena);
    const offsets = kernel.parameters.length > 0 ? [slot * this.#slotBytes] : [];
    this.#commands.push({ kernel, group, offsets, workgroups, work });
    this.dispatches++;
  }

  /**
   * Starts to compile the kernels that `record` uses, without recording any work.
   * @param record records with `gpu.unused` in place of buffers that do not exist yet; awaits nothing
   */
  rehearse(record: () => void): void {
    const before = this.#rehearsing;
    this.#rehearsing = true;
    try {
      record();
    } finally {
      this.#rehearsing = before;
    }
  }

  /** Whether a rehearsal is in progress, in which recording has no effect. */
  get rehearsing(): boolean {
    return this.#rehearsing;
  }

  #push(encode: (encoder: GPUCommandEncoder) => void): void {
    if (!this.#rehearsing) this.#commands.push({ encode });
  }

  /** Records a copy between two buffers; offsets and size are in bytes and multiples of 4. */
  copy(source: GpuBuffer, sourceOffset: number, target: GpuBuffer, targetOffset: number, bytes: number): void {
    const [from, to] = [source.offset + sourceOffset, target.offset + targetOffset];
    this.#push((encoder) => encoder.copyBufferToBuffer(source.raw, from, target.raw, to, bytes));
  }

  /** Records the zeroing of a buffer or of a part of it. */
  clear(buffer: GpuBuffer, byteOffset = 0, bytes = buffer.size - byteOffset): void {
    this.#push((encoder) => encoder.clearBuffer(buffer.raw, buffer.offset + byteOffset, bytes));
  }

  /**
   * Divides the work recorded from here on into pieces of a few milliseconds, until the next {@link flush}, {@link
   * readInTurns} or {@link submit}. Nothing may be awaited in between. Work recorded before is submitted first, because
   * it may be other work that somebody waits for.
   */
  divide(): void {
    if (this.#pieces || this.#rehearsing) return;
    this.submit();
    this.#pieces = [];
    this.#pieceMilliseconds = this.#gpu.turns.pieceMilliseconds;
  }

  /** Number of launches to cut some work into so that each makes a piece; 1 unless work is being divided. */
  launches(kernel: Kernel, work: number): number {
    return this.#pieces ? Math.max(1, Math.ceil(this.#times.estimate(kernel, work) / this.#pieceMilliseconds)) : 1;
  }

  /** Ends the piece that is being recorded. It goes to the GPU unless work is being divided. */
  #finish(): void {
    if (this.#commands.length === 0) return;
    const last = this.#pieces?.at(-1);
    if (last && this.#used === 0) {
      // Copies alone do not make a piece.
      last.commands.push(...this.#commands);
      this.#commands = [];
      return;
    }
    const piece = {
      commands: this.#commands,
      parameters: new Uint8Array(this.#data.slice(0, this.#used * this.#slotBytes)),
      milliseconds: this.#milliseconds,
    };
    this.#commands = [];
    this.#used = 0;
    this.#milliseconds = 0;
    if (this.#pieces) this.#pieces.push(piece);
    else this.#send(piece);
  }

  /** Encodes the commands that are not encoded yet, and submits all. */
  #send({ commands, encoded, parameters }: Piece): void {
    const { queue } = this.#gpu.device;
    // The write is queued behind the previous submission, so all pieces can use the same arena without waiting.
    if (parameters.byteLength > 0) queue.writeBuffer(this.#arena.raw, 0, parameters);
    for (const buffer of encoded?.buffers ?? []) queue.submit([buffer]);
    const rest = commands.slice(encoded?.count ?? 0);
    if (rest.length > 0) queue.submit([this.#encode(rest)]);
  }

  /** Encodes commands. A kernel that another thread has not compiled yet is compiled here, synchronously. */
  #encode(commands: readonly Command[]): GPUCommandBuffer {
    const { device } = this.#gpu;
    const encoder = device.createCommandEncoder();
    let pass: GPUComputePassEncoder | undefined;
    let current: GPUComputePipeline | undefined;
    for (const command of commands) {
      const timed = command.kernel && this.profiler?.begin(command.kernel.label);
      if (!command.kernel || timed) {
        pass?.end();
        pass = undefined;
      }
      if (!command.kernel) {
        command.encode(encoder);
        continue;
      }
      const { kernel, group, offsets, workgroups } = command;
      if (!pass) {
        pass = encoder.beginComputePass(timed ? { timestampWrites: timed } : undefined);
        current = undefined;
      }
      if (!kernel.pipeline) {
        kernel.pipeline = device.createComputePipeline(kernel.descriptor);
        this.#unchecked = true;
      }
      if (kernel.pipeline !== current) pass.setPipeline(kernel.pipeline);
      current = kernel.pipeline;
      pass.setBindGroup(0, group, offsets);
      pass.dispatchWorkgroups(workgroups[0], workgroups[1] ?? 1, workgroups[2] ?? 1);
      if (timed) {
        pass.end();
        pass = undefined;
      }
    }
    pass?.end();
    return encoder.finish();
  }

  /**
   * Records divided work that {@link resume} sends later, and encodes it, so that the host does its share while the GPU
   * is busy. Uploads are made at once, so everything that reads what they overwrite must have been submitted. Work that
   * is not resumed is dropped.
   * @param record awaits nothing and submits nothing
   */
  ahead(record: () => void): AheadWork {
    this.submit();
    this.divide();
    try {
      record();
      this.#finish();
      const pieces = this.#pieces!;
      for (const [index, piece] of pieces.entries()) {
        const { commands } = piece;
        const compiled = commands.every(({ kernel }) => !kernel || kernel.pipeline);
        // The profiler counts launches in the order of encoding, so they must not be encoded ahead.
        if (!compiled || this.profiler) continue;
        const first = index === 0 ? firstCommands : commands.length;
        const parts = [commands.slice(0, first), commands.slice(first)].filter(({ length }) => length > 0);
        piece.encoded = { count: commands.length, buffers: parts.map((part) => this.#encode(part)) };
      }
      return { pieces };
    } finally {
      this.#commands = [];
      this.#used = 0;
      this.#milliseconds = 0;
      this.#pieces = undefined;
    }
  }

  /** Adds work of {@link ahead} as if it had just been recorded as divided work. */
  resume({ pieces }: AheadWork): void {
    this.submit();
    this.divide();
    this.#pieces!.push(...pieces);
  }

  /** Sends everything recorded so far to the GPU. */
  submit(): void {
    if (this.#rehearsing) return;
    this.#finish();
    for (const piece of this.#pieces ?? []) this.#send(piece);
    this.#pieces = undefined;
  }

  /**
   * Sends everything recorded so far to the GPU, one piece after the other, each when it is its turn
   * (src/gpu/turns.ts). Other work may be recorded and submitted in the meantime, but it must not write what this work
   * reads. The last pieces may still be running when the promise resolves.
   * @throws SubzeroError `gpu` for a kernel that does not compile
   */
  async flush(): Promise<void> {
    this.#finish();
    const pieces = this.#pieces ?? [];
    this.#pieces = undefined;
    const { turns } = this.#gpu;
    await this.#compiled(pieces, async () => {
      for (const piece of pieces) {
        while (turns.held || this.#inFlight.length >= turns.piecesInFlight) {
          await (turns.held ? turns.wait() : this.#inFlight[0]);
        }
        this.#launch(piece);
      }
    });
  }

  /**
   * Sends pieces once their kernels are compiled, synchronously if they already are, and then waits for the outcome of
   * all compilations.
   */
  async #compiled(pieces: readonly Pick<Piece, 'commands'>[], send: () => Promise<void> | void): Promise<void> {
    const compiling = pieces.flatMap(({ commands }) =>
      commands.flatMap(({ kernel }) => (kernel && !kernel.pipeline ? [kernel.compiled] : [])),
    );
    if (compiling.length > 0) await paced(Promise.allSettled(compiling));
    await send();
    if (compiling.length === 0 && !this.#unchecked) return;
    this.#unchecked = false;
    await this.#gpu.checkKernels();
  }

  /** Sends a piece and measures the time until it is done. */
  #launch(piece: Piece): void {
    const { device, turns } = this.#gpu;
    const alone = !turns.urgent;
    const { entries } = turns;
    const begun = performance.now();
    this.#send(piece);
    turns.ran(piece.milliseconds);
    // The pieces before this one end first.
    this.#expectedEnd = Math.max(begun, this.#expectedEnd) + piece.milliseconds;
    // While the GPU has another piece, noticing the end of this one late costs nothing.
    const expectation = { expected: this.#expectedEnd - begun, slack: this.#inFlight.length > 0 ? pieceSlack : 0 };
    const ended = paced(device.queue.onSubmittedWorkDone(), expectation).then(
      () => {
        const now = performance.now();
        // Only a piece that had the GPU to itself tells how long its kernels take.
        if (alone && turns.entries === entries)
          this.#times.observe(workOf(piece.commands), now - Math.max(begun, this.#lastEnd));
        this.#lastEnd = now;
        if (this.#inFlight.length === 1) this.#expectedEnd = now;
      },
      // Reads report the loss of the device.
      () => undefined,
    );
    const entry = ended.then(() => {
      this.#inFlight.splice(this.#inFlight.indexOf(entry), 1);
    });
    this.#inFlight.push(entry);
  }

  /**
   * Submits the recorded work and reads back parts of buffers after it.
   * @returns one fresh ArrayBuffer per request
   * @throws SubzeroError `out_of_memory`, `gpu` or `device_lost`, whichever occurred since the last read
   */
  read(requests: readonly ReadRequest[]): Promise<ArrayBuffer[]> {
    const like = this.#commands.length;
    // The commands stay recorded while kernels compile, so that work submitted by others in the meantime keeps the
    // order.
    return this.#read(
      requests,
      () => this.#compiled([...(this.#pieces ?? []), { commands: this.#commands }], () => this.submit()),
      async (mapping) => {
        const begun = performance.now();
        await paced(mapping, { expected: this.#readTimes.get(like) ?? 0 });
        this.#readTimes.set(like, performance.now() - begun);
      },
    );
  }

  /**
   * {@link read} with a {@link flush} instead of a {@link submit}: for work that other work may overtake.
   * @param meanwhile called when all of the work is submitted, before its end is awaited
   */
  readInTurns(requests: readonly ReadRequest[], meanwhile?: () => void): Promise<ArrayBuffer[]> {
    return this.#read(
      requests,
      async () => {
        await this.flush();
        meanwhile?.();
      },
      (mapping) => paced(mapping, { expected: this.#expectedEnd - performance.now() }),
    );
  }

  async #read(
    requests: readonly ReadRequest[],
    send: () => Promise<void>,
    wait: (mapping: Promise<undefined>) => Promise<unknown>,
  ): Promise<ArrayBuffer[]> {
    const total = requests.reduce((sum, request) => sum + Math.ceil(request.bytes / 4) * 4, 0);
    const staging = this.#takeStaging(total);
    let position = 0;
    for (const { buffer, offset = 0, bytes } of requests) {
      const padded = Math.ceil(bytes / 4) * 4;
      this.copy(buffer, offset, staging.buffer, position, padded);
      position += padded;
    }
    try {
      // If everything is compiled, this submits synchronously: what the caller writes next must not overtake the work.
      await send();
      await this.#gpu.checkAllocations();
      await wait(staging.buffer.raw.mapAsync(GPUMapMode.READ, 0, Math.max(4, total)));
    } catch (error) {
      // The device's own error explains more than that of the mapping, which failed as a result.
      if (!(error instanceof SubzeroError)) this.#gpu.throwIfFailed();
      throw error;
    } finally {
      staging.free = true;
    }
    try {
      this.#gpu.throwIfFailed();
      const mapped = staging.buffer.raw.getMappedRange(0, Math.max(4, total));
      let from = 0;
      return requests.map(({ bytes }) => {
        const copy = mapped.slice(from, from + bytes);
        from += Math.ceil(bytes / 4) * 4;
        return copy;
      });
    } finally {
      // No other read can take the buffer before this, because nothing above awaits.
      staging.buffer.raw.unmap();
    }
  }

  /**
   * Bytes that this recorder will hold: for kernel parameters, and for reads of up to `bytes` bytes, one at a time, or
   * for larger reads that came before.
   */
  bytesToRead(bytes: number): number {
    return this.#arena.size + Math.max(stagingBytes(bytes), ...this.#staging.map(({ buffer }) => buffer.size));
  }

  /** Returns a free staging buffer. They are kept and grow in powers of two, so steady-state reads allocate nothing. */
  #takeStaging(bytes: number): { buffer: GpuBuffer; free: boolean } {
    const found = this.#staging.find((entry) => entry.free && entry.buffer.size >= bytes);
    if (found) {
      found.free = false;
      return found;
    }
    for (const entry of this.#staging.filter(({ free }) => free)) entry.buffer.destroy();
    this.#staging = this.#staging.filter(({ free }) => !free);
    const size = stagingBytes(bytes);
    const buffer = this.#gpu.allocate(size, 'staging', 'readback', GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
    const entry = { buffer, free: false };
    this.#staging.push(entry);
    return entry;
  }
}
