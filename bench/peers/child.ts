/**
 * A process with one library in it, so that each has a GPU device, and crashes, of its own. Started by bench/peers.ts;
 * answers each message with one.
 *
 * @module
 */

import { errorOf, type Peer, type Task } from './tasks.ts';

export type Request = { type: 'prepare'; task: Task } | { type: 'run' };
export type Answer =
  | { type: 'open'; package: string }
  | { type: 'prepared'; error: number }
  | { type: 'ran'; milliseconds: number }
  | { type: 'failed'; message: string };

const answer = (message: Answer): void => void process.send!(message);

let run: (() => Promise<Float32Array>) | undefined;

async function respond(peer: Peer, request: Request): Promise<void> {
  if (request.type === 'prepare') {
    run = await peer.prepare(request.task);
    answer({ type: 'prepared', error: errorOf(request.task, await run()) });
    return;
  }
  const started = performance.now();
  await run!();
  answer({ type: 'ran', milliseconds: performance.now() - started });
}

try {
  const { open } = (await import(`./${process.argv[2]}.ts`)) as { open(): Promise<Peer> };
  const peer = await open();
  process.on('message', (request: Request) => {
    respond(peer, request).catch((error: Error) => answer({ type: 'failed', message: error.message }));
  });
  answer({ type: 'open', package: peer.package });
} catch (error) {
  answer({ type: 'failed', message: (error as Error).message });
}
