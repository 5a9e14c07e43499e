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

/** First guess of the milliseconds of a workgroup that does little, by the style of the adapter. */
const workgroupMilliseconds = { software: 2e-3, hardware: 2e-5 };

/** Recorded work that goes to the GPU at once. */
interface Piece {
  commands: Command[];
  /** The first of the commands, so many, where they are encoded already: to be submitted one after the other. */
  encoded?: { count: number; buffers: GPUCommandBuffer[] };
  /** The used part of the arena. */
  parameters: Uint8Array<ArrayBuffer>;
  /** How long it takes, about. */
  milliseconds: number;
}

/** Work that was recorded ahead of its time, with {@link Recorder.ahead}. */
export interface AheadWork {
  readonly pieces: readonly Piece[];
}

/** So many of its commands are submitted by themselves, so that the GPU is at them while it gets the rest. */
const firstCommands = 64;

/** How late the end of a piece may be noticed that is not the only one in flight, in milliseconds. */
const pieceSlack = 1;

/** One recorded dispatch, or a copy or clearing between dispatches. */
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

/** A part of a buffer to be read back; offset and length in bytes. */
export interface ReadRequest {
  buffer: GpuBuffer;
  offset?: number;
  bytes: number;
}

/** Bytes of a staging buffer for reads of so many. */
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
  /** In order; kept until submission, since kernels may still be compiling. */
  #commands: Command[] = [];
  #rehearsing = false;
  /** Whether a kernel was submitted without waiting for the outcome of its compilation. */
  #unchecked = false;
  #staging: { buffer: GpuBuffer; free: boolean }[] = [];
  readonly #times: PieceTimes;
  /** Of the recorded commands; see {@link Piece}. */
  #milliseconds = 0;
  /** Present while work is being divided: what is finished and not submitted. */
  #pieces: Piece[] | undefined;
  /** How long a piece of what is being divided should take. */
  #pieceMilliseconds = 0;
  /** The ends of pieces that the GPU has. */
  #inFlight: Promise<void>[] = [];
  #lastEnd = 0;
  /** How long the last read behind so many commands took, in milliseconds: passes of the same kind, as a rule. */
  readonly #readTimes = new Map<number, number>();
  /** When the last piece in flight should end. */
  #expectedEnd = 0;
  /** Set to time each dispatch on the GPU. */
  profiler: Profiler | undefined;
  /** Dispatches recorded since the device was opened. */
  dispatches = 0;

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
    this.#times = new PieceTimes(workgroupMilliseconds[gpu.kernelStyle]);
    // 64 bytes hold 16 scalars, more than any kernel has; the adapter may ask for coarser slots.
    this.#slotBytes = Math.max(64, gpu.device.limits.minUniformBufferOffsetAlignment);
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
   * @param work what its time is proportional to; the number of workgroups where each does the same whatever the shape
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
   * Starts to compile the kernels that some work records, and does none of it.
   * @param record records with `gpu.unused` where no buffer exists yet; waits for nothing
   */
  rehearse(record: () => void): void {
    this.#rehearsing = true;
    try {
      record();
    } finally {
      this.#rehearsing = false;
    }
  }

  /** Whether what is recorded now leaves no trace. */
  get rehearsing(): boolean {
    return this.#rehearsing;
  }

  #push(encode: (encoder: GPUCommandEncoder) => void): void {
    if (!this.#rehearsing) this.#commands.push({ encode });
  }

  /** Records a copy between two buffers; offsets and size are in bytes, multiples of 4. */
  copy(source: GpuBuffer, sourceOffset: number, target: GpuBuffer, targetOffset: number, bytes: number): void {
    this.#push((encoder) => encoder.copyBufferToBuffer(source.raw, sourceOffset, target.raw, targetOffset, bytes));
  }

  /** Records zeroing of a buffer or a part of it. */
  clear(buffer: GpuBuffer, byteOffset = 0, bytes = buffer.size - byteOffset): void {
    this.#push((encoder) => encoder.clearBuffer(buffer.raw, byteOffset, bytes));
  }

  /**
   * From here on work is divided into pieces of a few milliseconds, until the next {@link flush}, {@link readInTurns} or {@link submit}, and nothing may
   * wait in between. What was recorded before is submitted: it may be other work, which is waited for.
   */
  divide(): void {
    if (this.#pieces || this.#rehearsing) return;
    this.submit();
    this.#pieces = [];
    this.#pieceMilliseconds = this.#gpu.turns.pieceMilliseconds;
  }

  /** Into how many launches some work should be cut so that each makes a piece; 1 unless work is being divided. */
  launches(kernel: Kernel, work: number): number {
    return this.#pieces ? Math.max(1, Math.ceil(this.#times.estimate(kernel, work) / this.#pieceMilliseconds)) : 1;
  }

  /** Ends the piece that is being recorded. What is not being divided goes to the GPU. */
  #finish(): void {
    if (this.#commands.length === 0) return;
    const last = this.#pieces?.at(-1);
    if (last && this.#used === 0) {
      // Copies alone are no piece of work.
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

  /** Encodes what is not yet, and submits. */
  #send({ commands, encoded, parameters }: Piece): void {
    const { queue } = this.#gpu.device;
    // Queued behind the previous submission, so all pieces can use the same arena without waiting.
    if (parameters.byteLength > 0) queue.writeBuffer(this.#arena.raw, 0, parameters);
    for (const buffer of encoded?.buffers ?? []) queue.submit([buffer]);
    const rest = commands.slice(encoded?.count ?? 0);
    if (rest.length > 0) queue.submit([this.#encode(rest)]);
  }

  /** Compiles here and now what other threads have not compiled yet. */
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
   * Records divided work that is to be sent later, with {@link resume}, and encodes it: the host does its share while the GPU is busy. Uploads
   * are made at once, so everything that reads what they overwrite must have been submitted. Work that is not resumed is forgotten.
   * @param record waits for nothing and submits nothing
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
        // The profiler counts launches in the order in which they are encoded.
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

  /** Has work of {@link ahead} as if it had just been recorded, divided. */
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
   * Sends everything recorded so far to the GPU, piece by piece, each when it is its turn (src/gpu/turns.ts). Other work may be recorded and
   * submitted meanwhile, but must not write what this work reads. The last pieces may still run when the promise resolves.
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

  /** Sends pieces once their kernels are compiled, within this turn when they are, and waits until it is known whether they could be. */
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

  /** Sends a piece and takes the time until it is done. */
  #launch(piece: Piece): void {
    const { device, turns } = this.#gpu;
    const alone = !turns.urgent;
    const { entries } = turns;
    const begun = performance.now();
    this.#send(piece);
    turns.ran(piece.milliseconds);
    // Those before it first.
    this.#expectedEnd = Math.max(begun, this.#expectedEnd) + piece.milliseconds;
    // While the GPU has another piece nothing is lost when the end of this one is noticed late.
    const expectation = { expected: this.#expectedEnd - begun, slack: this.#inFlight.length > 0 ? pieceSlack : 0 };
    const ended = paced(device.queue.onSubmittedWorkDone(), expectation).then(
      () => {
        const now = performance.now();
        // Only what had the GPU to itself says how long it takes.
        if (alone && turns.entries === entries)
          this.#times.observe(workOf(piece.commands), now - Math.max(begun, this.#lastEnd));
        this.#lastEnd = now;
        if (this.#inFlight.length === 1) this.#expectedEnd = now;
      },
      // The loss of the device is reported to whoever reads.
      () => undefined,
    );
    const entry = ended.then(() => {
      this.#inFlight.splice(this.#inFlight.indexOf(entry), 1);
    });
    this.#inFlight.push(entry);
  }

  /**
   * Submits what is recorded and reads back parts of buffers after it.
   * @returns one fresh ArrayBuffer per request
   * @throws SubzeroError `out_of_memory`, `gpu` or `device_lost`, whichever came up since the last read
   */
  read(requests: readonly ReadRequest[]): Promise<ArrayBuffer[]> {
    const like = this.#commands.length;
    // What is recorded stays so while kernels are compiled, so that others who submit meanwhile keep the order.
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
   * {@link read} after a {@link flush} instead of a {@link submit}: for work that others may get ahead of.
   * @param meanwhile called when the GPU has all of the work, before its end is awaited
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
      // Within this turn when everything is compiled: what the caller writes next must not overtake the work.
      await send();
      await this.#gpu.checkAllocations();
      await wait(staging.buffer.raw.mapAsync(GPUMapMode.READ, 0, Math.max(4, total)));
    } catch (error) {
      // The device knows better what went wrong than the mapping that failed with it.
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
      // Nothing can take the buffer before this, since nothing above waits.
      staging.buffer.raw.unmap();
    }
  }

  /** Bytes that this recorder will hold: for reads of up to so many bytes, one at a time, or larger ones before; and for kernel parameters. */
  bytesToRead(bytes: number): number {
    return this.#arena.size + Math.max(stagingBytes(bytes), ...this.#staging.map(({ buffer }) => buffer.size));
  }

  /** Staging buffers are kept and grow in powers of two, so that steady-state reads allocate nothing. */
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
