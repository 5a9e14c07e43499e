/**
 * llama.cpp in a process of its own, which generates a text whenever it is told to.
 *
 * Started by llama.ts with a {@link LlamaRequest} as its only argument; answers each message with a {@link
 * LlamaAnswer}.
 *
 * @module
 */

import type { LlamaAnswer, LlamaRequest } from './llama.ts';

/** What is used of node-llama-cpp, which is no dependency of the project. */
interface Sequence {
  clearHistory(): Promise<void>;
  evaluate(tokens: number[], options: { temperature: number }): AsyncIterable<number>;
}
interface LlamaModel {
  detokenize(tokens: number[]): string;
  createContext(options: object): Promise<{ getSequence(): Sequence }>;
}
interface Llama {
  getGpuDeviceNames(): Promise<string[]>;
  loadModel(options: object): Promise<LlamaModel>;
}

const { file, ids, tokens } = JSON.parse(process.argv[2]!) as LlamaRequest;
const packageName = 'node-llama-cpp';
const { getLlama } = (await import(packageName)) as { getLlama(options: object): Promise<Llama> };
const llama = await getLlama({ gpu: 'vulkan', build: 'never', logLevel: 'error' });
const model = await llama.loadModel({ modelPath: file, gpuLayers: 'max' });
const context = await model.createContext({ contextSize: ids.length + tokens + 8, sequences: 1 });
const sequence = context.getSequence();
const adapter = (await llama.getGpuDeviceNames()).join(', ');

process.on('message', async () => {
  await sequence.clearHistory();
  const started = performance.now();
  const before = process.cpuUsage();
  const generated: number[] = [];
  for await (const token of sequence.evaluate([...ids], { temperature: 0 })) {
    generated.push(token);
    if (generated.length >= tokens) break;
  }
  const { user, system } = process.cpuUsage(before);
  process.send!({
    adapter,
    count: generated.length,
    text: model.detokenize(generated),
    seconds: (performance.now() - started) / 1000,
    processorSeconds: (user + system) / 1e6,
  } satisfies LlamaAnswer);
});
process.send!('ready');
