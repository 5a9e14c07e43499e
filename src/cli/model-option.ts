import type { Engine, WeightStorage } from '../engine/types.ts';
import { settings } from '../settings/settings.ts';
import type { StepChoice } from '../train/best.ts';
import type { NumberOption, TextOption } from './option.ts';

export const modelOption = {
  name: 'model',
  type: 'text',
  placeholder: 'DIR|RUN',
  description:
    'model directory, GGUF file, run folder of a fine-tuned model, or ORG/NAME[@REVISION] on the Hugging Face Hub',
  group: 'Model and data',
} as const satisfies TextOption;

/** What `best` says, for help. */
export const bestStep = 'best = the one with the lowest validation loss, of a run by rewards the highest reward';

/** The step of a run. */
export const stepOption = {
  name: 'step',
  type: 'integer',
  placeholder: 'N|best',
  minimum: 0,
  words: ['best'],
  description: `state of the run after this step; ${bestStep}`,
  defaultText: 'the last one',
} as const satisfies NumberOption;

export const storageOption = {
  name: 'storage',
  type: 'text',
  placeholder: 'TYPE',
  choices: settings.storage.choices,
  description: "type of a model directory's weights on the GPU; a run has that of its training",
  default: 'auto',
  group: 'Model and data',
} as const satisfies TextOption;

export const loraOption = {
  name: 'lora',
  type: 'text',
  placeholder: 'DIR',
  description: 'folder, or ORG/NAME, of a PEFT LoRA adapter that is applied to the model directory',
  group: 'Model and data',
} as const satisfies TextOption;

/** Loads the one model of a command; its path is its name from then on, which is how error messages know it. */
export async function loadOnlyModel(
  engine: Engine,
  path: string,
  { step, storage, lora }: { step: StepChoice | undefined; storage?: WeightStorage; lora?: string | undefined },
): Promise<string> {
  const model = await engine.loadModel({
    ...{ id: path, path },
    ...(step === undefined ? {} : { step }),
    ...(storage === undefined ? {} : { storage }),
    ...(lora === undefined ? {} : { lora }),
  });
  return model.id;
}
