/**
 * llama.cpp in a process of its own, which tells the logits after each token of some texts.
 *
 * Started with a {@link LogitsRequest} as its only argument; sends a list of rows of logits for each text.
 *
 * @module
 */

/** What is asked. */
export interface LogitsRequest {
  /** A GGUF file. */
  file: string;
  /** A GGUF file of a LoRA adapter beside it. */
  lora?: string;
  texts: number[][];
}

/** What is used of node-llama-cpp, which is no dependency of the project. */
interface Llama {
  loadModel(options: object): Promise<{
    createContext(options: object): Promise<{
      getSequence(): {
        clearHistory(): Promise<void>;
        controlledEvaluate(
          input: readonly (readonly [number, object])[],
        ): Promise<({ next: { logits?: Map<number, number> } } | undefined)[]>;
      };
    }>;
  }>;
}

const { file, lora, texts } = JSON.parse(process.argv[2]!) as LogitsRequest;
// A path by the folder that `npm install --prefix bench/rivals` fills.
const packageUrl = new URL('../../bench/rivals/node_modules/node-llama-cpp/dist/index.js', import.meta.url).href;
const { getLlama } = (await import(packageUrl)) as { getLlama(options: object): Promise<Llama> };
const llama = await getLlama({ gpu: false, build: 'never', logLevel: 'error' });
const model = await llama.loadModel({ modelPath: file });
const context = await model.createContext({ contextSize: 64, sequences: 1, ...(lora ? { lora } : {}) });
const sequence = context.getSequence();
const told: number[][][] = [];
for (const ids of texts) {
  await sequence.clearHistory();
  const rows = await sequence.controlledEvaluate(ids.map((id) => [id, { generateNext: { logits: true } }] as const));
  told.push(
    rows.map((row) => {
      const logits = row!.next.logits!;
      return Array.from({ length: logits.size }, (_, id) => logits.get(id)!);
    }),
  );
}
process.send!(told, () => process.exit(0));
