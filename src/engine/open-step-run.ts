/**
 * From a base model and a configuration to the parts of a run whose steps its caller makes.
 *
 * @module
 */

import type { Gpu } from '../gpu/gpu.ts';
import { loadModel } from '../model/load.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';
import { loadTokenizer } from '../tokenizer/index.ts';
import type { ZerothOrderOptimizer } from '../zo/optimizer.ts';
import type { ModelParts } from './loaded-model.ts';

/** Loads the base model of a run whose caller makes the steps, with its optimiser. @returns the caller's to destroy */
export async function openStepRun(gpu: Gpu, directory: string, configuration: TrainConfiguration): Promise<ModelParts> {
  const model = await loadModel(gpu, directory, { storage: configuration.storage });
  let optimizer: ZerothOrderOptimizer | undefined;
  try {
    const tokenizer = await loadTokenizer(directory);
    const { exactConfiguration } = await import('../zo/change.ts');
    const exact = exactConfiguration(configuration, model);
    const { createOptimizer } = await import('../zo/create-optimizer.ts');
    const { StepRun } = await import('./step-run.ts');
    optimizer = await createOptimizer(model, exact);
    await gpu.checkAllocations();
    const stepRun = new StepRun({ model, optimizer, tokenizer, configuration: exact });
    return { model, optimizer, tokenizer, stepRun, asLoaded: false };
  } catch (error) {
    optimizer?.destroy();
    model.destroy();
    throw error;
  }
}
