/**
 * Our generation beside llama.cpp's, one client, greedy, in turns, from the same file on the same adapter.
 *
 * @module
 */

import { LocalEngine } from '../../src/engine/local.ts';
import { spread } from '../../src/experiments/statistics.ts';
import { markdownTable } from '../../src/table.ts';
import type { deviceOf } from '../device.ts';
import { machine } from '../machine.ts';
import { type LlamaAnswer, LlamaProcess, missingLlama } from './llama.ts';

export interface GenerationOptions {
  /** A GGUF file. */
  file: string;
  prompt: string;
  /** Most tokens generated. */
  tokens: number;
  /** Timed texts of each. */
  repeat: number;
  device: ReturnType<typeof deviceOf>;
}

type Side = 'ours' | 'llama';

/** Measures, and prints a table. @returns the figures; undefined where llama.cpp is missing */
export async function compareGeneration(command: string, options: GenerationOptions): Promise<object | undefined> {
  const { file, prompt, tokens, repeat, device } = options;
  const missing = missingLlama();
  if (missing !== undefined) {
    console.error(missing);
    return undefined;
  }
  const engine = await LocalEngine.open(device);
  await engine.loadModel({ id: 'model', path: file });
  const { adapter } = await engine.info();
  const name = adapter.description || adapter.device;
  const ours = async (): Promise<LlamaAnswer> => {
    const started = performance.now();
    const before = process.cpuUsage();
    let text = '';
    let count = 0;
    for await (const event of engine.generate({ model: 'model', prompt, temperature: 0, maxTokens: tokens })) {
      if (event.type === 'done') [text, count] = [event.text, event.completionTokens];
    }
    const { user, system } = process.cpuUsage(before);
    return {
      adapter: name,
      ...{ count, text },
      seconds: (performance.now() - started) / 1000,
      processorSeconds: (user + system) / 1e6,
    };
  };
  const ids = await engine.tokenize('model', prompt);
  const llama = await LlamaProcess.start({ file, ids, tokens });
  const rounds: Record<Side, LlamaAnswer>[] = [];
  // The first texts compile kernels and fill caches.
  for (let round = -2; round < repeat; round++) {
    const answers = { ours: await ours(), llama: await llama.generate() };
    if (round >= 0) rounds.push(answers);
  }
  llama.close();
  await engine.close();

  const first = rounds[0]!;
  console.log(
    `\`${command}\`: one client, greedy, up to ${tokens} tokens after ${JSON.stringify(prompt)}, ${repeat} texts of ` +
      `each in turns; ${machine(name)}; llama.cpp's Vulkan on ${first.llama.adapter}. Tokens of a text: ours ` +
      `${first.ours.count}, its ${first.llama.count}; the texts are ` +
      `${first.ours.text.trim() === first.llama.text.trim() ? 'equal' : 'different'}.\n`,
  );
  const rates = (side: Side): number[] => rounds.map((round) => round[side].count / round[side].seconds);
  const row = (title: string, side: Side): string[] => [
    title,
    spread(rates(side)),
    spread(
      rates(side).map((rate, index) => rates('ours')[index]! / rate),
      2,
    ),
  ];
  console.log(
    markdownTable(
      ['median (least–most)', 'tokens/s', 'ours / it'],
      [row('ours', 'ours'), row('llama.cpp, Vulkan', 'llama')],
    ),
  );
  return { command, machine: machine(name), prompt, tokens, rounds };
}
