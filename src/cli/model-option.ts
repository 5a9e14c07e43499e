import type { Engine } from '../engine/types.ts';
import type { TextOption } from './option.ts';

export const modelOption = {
  name: 'model',
  type: 'text',
  placeholder: 'DIR|RUN',
  description: 'model directory, or run folder of a fine-tuned model',
  group: 'Model and data',
} as const satisfies TextOption;

/** Loads the one model of a command; its path is its name from then on, which is how error messages know it. */
export async function loadOnlyModel(engine: Engine, path: string, step?: number): Promise<string> {
  const model = await engine.loadModel({ id: path, path, ...(step === undefined ? {} : { step }) });
  return model.id;
}
