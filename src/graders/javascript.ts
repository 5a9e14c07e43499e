/**
 * Programs of other people, in an interpreter of their own: QuickJS compiled to WebAssembly, which knows no files
 * and no network, and is stopped by limits on time and memory.
 *
 * @module
 */

import { GraderFailure } from './failure.ts';

/** Limits of one call, the reading of the program included. */
const mostMilliseconds = 1000;
const mostBytes = 32 * 1024 * 1024;
const mostStackBytes = 256 * 1024;

let loading: Promise<Interpreter> | undefined;
type Interpreter = Awaited<ReturnType<typeof load>>;

async function load() {
  const { newQuickJSWASMModuleFromVariant } = await import('quickjs-emscripten-core');
  const { default: variant } = await import('@jitl/quickjs-singlefile-mjs-release-sync');
  return newQuickJSWASMModuleFromVariant(variant as never);
}

/**
 * Runs `grade(sample, item)` of a program.
 * @param source defines `grade`, which returns a number
 * @param call the arguments; without them the program is read and nothing is called
 * @throws GraderFailure `script_error` for a program that throws, takes too long or too much memory, or returns no
 * finite number
 */
export async function runGrade(source: string, call?: { sample: unknown; item: unknown }): Promise<number> {
  loading ??= load();
  const runtime = (await loading).newRuntime();
  const deadline = Date.now() + mostMilliseconds;
  runtime.setMemoryLimit(mostBytes);
  runtime.setMaxStackSize(mostStackBytes);
  runtime.setInterruptHandler(() => Date.now() > deadline);
  const context = runtime.newContext();
  const evaluate = (code: string, name: string): unknown => {
    const result = context.evalCode(code, name);
    if (result.error) {
      const error = context.dump(result.error);
      result.error.dispose();
      throw failure(error, Date.now() > deadline);
    }
    const value = context.dump(result.value);
    result.value.dispose();
    return value;
  };
  try {
    evaluate(source, 'grader.js');
    const kind = evaluate('typeof grade', 'call.js');
    if (kind !== 'function') {
      throw new GraderFailure('script_error', `the program must define a function grade(sample, item); it is ${kind}`);
    }
    if (!call) return 0;
    // JSON is JavaScript, so the arguments cannot be anything but data.
    const values = [call.sample, call.item].map((value) => JSON.stringify(value ?? null)).join(', ');
    const value = evaluate(
      `(() => { const value = grade(${values}); return [typeof value, String(value)]; })()`,
      'call.js',
    );
    const [type, text] = value as [string, string];
    const number = type === 'number' ? Number(text) : Number.NaN;
    if (!Number.isFinite(number)) {
      throw new GraderFailure('script_error', `grade must return a finite number; it returned ${text.slice(0, 80)}`);
    }
    return number;
  } finally {
    context.dispose();
    runtime.dispose();
  }
}

function failure(error: unknown, isLate: boolean): GraderFailure {
  const { name = 'Error', message = String(error) } = (error ?? {}) as { name?: string; message?: string };
  if (isLate && message === 'interrupted') {
    return new GraderFailure('script_error', `the program ran longer than ${mostMilliseconds} ms and was stopped`);
  }
  if (message === 'out of memory') {
    return new GraderFailure('script_error', `the program wanted more than ${mostBytes / 1024 ** 2} MiB of memory`);
  }
  return new GraderFailure('script_error', `the program threw ${name}: ${message}`.slice(0, 500));
}
