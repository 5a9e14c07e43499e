/**
 * What the project asks of the system that it runs on: files and their paths, hashes, threads, and a few facts about
 * the process. Everything else is JavaScript and WebGPU, which all runtimes have.
 *
 * Names and behaviour are those of Node's modules, of which this is the part in use, so an error of the file system is
 * an `Error` with a `code` such as `ENOENT`.
 *
 * @module
 */

/** What is known of a file or a folder. */
export interface FileStatus {
  /** The size in bytes. */
  readonly size: number;
  /** When it was last written, in milliseconds since 1970. */
  readonly mtimeMs: number;
  isFile(): boolean;
  isDirectory(): boolean;
}

/** `x` refuses a file that exists with `EEXIST`; `a` writes at the end, whatever the position says. */
export type OpenFlags = 'r' | 'r+' | 'w' | 'wx' | 'a' | 'ax';

/** An open file. Whoever opened it closes it. */
export interface FileHandle {
  /** Reads into `target` from its byte `offset` on; fewer bytes than asked for are no error, none mean the end. */
  read(target: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesRead: number }>;
  /** Writes bytes of `source` from its byte `offset` on; fewer than asked for are no error. */
  write(source: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesWritten: number }>;
  stat(): Promise<{ size: number }>;
  truncate(bytes: number): Promise<void>;
  /** Returns when all that was written is on the device. */
  sync(): Promise<void>;
  /** As {@link FileHandle.sync}, without what is not needed to read the content again, such as times. */
  datasync(): Promise<void>;
  close(): Promise<void>;
}

/** How the bytes of a file may be packed. */
export type Packing = 'gzip' | 'zstd';

/** A temporary file without a name, written and read at once, as its readers cannot wait. */
export interface ScratchFile {
  /** Writes all of the bytes from a position on. */
  write(source: Uint8Array, position: number): void;
  /** Reads as many bytes as the target has; they must have been written before. */
  read(target: Uint8Array, position: number): void;
  /** Gives the space back. */
  close(): void;
}

/** An incremental hash. */
export interface Hash {
  update(data: string | Uint8Array): Hash;
  digest(encoding: 'hex' | 'base64url'): string;
}

interface ThreadEvents {
  message: (message: never) => void;
  error: (error: Error) => void;
  exit: () => void;
}

/** A thread as its starter sees it. An uncaught error ends it. */
export interface Worker {
  postMessage(message: unknown): void;
  on<Event extends keyof ThreadEvents>(event: Event, listener: ThreadEvents[Event]): Worker;
  once<Event extends keyof ThreadEvents>(event: Event, listener: ThreadEvents[Event]): Worker;
  off<Event extends keyof ThreadEvents>(event: Event, listener: ThreadEvents[Event]): Worker;
  removeAllListeners(event: keyof ThreadEvents): Worker;
  terminate(): Promise<unknown>;
  /** Whether it keeps the process alive: yes with `ref`, as at the start; no with `unref`. */
  ref(): void;
  unref(): void;
}

export interface WorkerOptions {
  /** What the thread finds in {@link Platform.workerData}. */
  data?: unknown;
  /** Beyond this the thread ends with an error, where the runtime counts it. */
  maxHeapMegabytes?: number;
}

/** A thread's line to its starter. */
export interface ParentPort {
  postMessage(message: unknown): void;
  on(event: 'message', listener: (message: never) => void): unknown;
}

export interface Platform {
  /** A package of the dependencies, loaded when it is first asked for. */
  requirePackage(name: string): unknown;

  // Paths of files.
  join(...parts: string[]): string;
  resolve(path: string): string;
  dirname(path: string): string;
  basename(path: string): string;

  // Files.
  readFile(path: string): Promise<Uint8Array<ArrayBuffer>>;
  readFile(path: string, encoding: 'utf8'): Promise<string>;
  writeFile(path: string, content: string | Uint8Array): Promise<void>;
  open(path: string, flags: OpenFlags): Promise<FileHandle>;
  /**
   * The content of a file piece by piece, unpacked if it is packed; broken packing is an error with a code `Z_…` or
   * `ZSTD_…`, a packing that the system has not one with the code `ENOSYS`.
   * @param options.range the first byte of the file to read and the byte behind the last one; all by default
   * @param options.onRead told before each piece of how many bytes of the file, as it lies there, the pieces up to it
   *   are made
   */
  readStream(
    path: string,
    options?: {
      packing?: Packing | undefined;
      range?: { start: number; end: number };
      onRead?: ((bytes: number) => void) | undefined;
    },
  ): AsyncIterable<Uint8Array>;
  /** Makes a file that only this process can see, and that is gone at the latest when the process is. */
  openScratchFile(): ScratchFile;
  stat(path: string): Promise<FileStatus>;
  /** The names in a folder, in no particular order. */
  readdir(path: string): Promise<string[]>;
  mkdir(path: string, options?: { recursive?: boolean; mode?: number }): Promise<unknown>;
  rename(from: string, to: string): Promise<void>;
  copyFile(from: string, to: string): Promise<void>;
  /** Makes `path` a link to `target`, which is looked up from the link's folder. */
  symlink(target: string, path: string): Promise<void>;
  rm(path: string, options: { force: boolean; recursive?: boolean }): Promise<void>;
  rmdir(path: string): Promise<void>;
  /** A file of this package, such as `kernels/rope.wgsl`, at once. @param path from the package's root, with `/` */
  readPackageFile(path: string): Uint8Array<ArrayBuffer>;

  // Bytes.
  /** SHA-1 only to compare with names that others have given. */
  createHash(algorithm: 'sha256' | 'sha1'): Hash;
  /** CRC-32 as in gzip. @param value that of the bytes before; 0 by default */
  crc32(data: Uint8Array, value?: number): number;
  equalBytes(first: Uint8Array, second: Uint8Array): boolean;
  /** The bytes of a text in base64; what is not base64 is passed over. */
  decodeBase64(text: string): Uint8Array<ArrayBuffer>;
  /** Compares a TLS server's certificate with a name or an address. @returns what is wrong */
  checkServerIdentity(name: string, certificate: object): Error | undefined;

  // The process and its machine.
  readonly environmentVariables: Readonly<Record<string, string | undefined>>;
  /** `linux`, `darwin`, `win32`, … */
  readonly operatingSystem: string;
  readonly processId: number;
  /** Whether there is a process of this number on this machine. */
  isProcessAlive(processId: number): boolean;
  hostname(): string;
  homedir(): string;
  writeStandardError(text: string): void;
  /** Frees at once what nothing refers to any more; it takes some 20 ms. Finalizers run at the next turn of events. */
  collectGarbage(): void;

  // Threads.
  /**
   * Starts a thread.
   * @param module its TypeScript file from that of the caller, such as `./worker.ts`; compiled, the `.js` in its place
   * @param from the caller's `import.meta.url`
   */
  startWorker(module: `./${string}.ts`, from: string, options?: WorkerOptions): Worker;
  /** `null` in a thread that nobody started. */
  readonly parentPort: ParentPort | null;
  /** Called in a thread: it hears nothing more from its starter, so that it ends when it has nothing left to do. */
  endThread(): void;
  readonly workerData: unknown;
  /** Blocks this thread while `words[0]` is `value`, until it is woken by `Atomics.notify`, at most so long. */
  blockWhile(words: Int32Array<SharedArrayBuffer>, value: number, milliseconds: number): void;
  /** Calls back when this thread has looked after what is waiting: messages, timers, files. */
  afterEvents(callback: () => void): void;
}
