import { fileURLToPath } from 'node:url';
import { expect, test, vi } from 'vitest';
import { Gpu } from '../../src/gpu/gpu.ts';
import { loadModel } from '../../src/model/load.ts';
import { sequenceLogits } from '../../src/model/logits.ts';

const directory = fileURLToPath(new URL('../fixtures/models/llama-tiny', import.meta.url));

test.each(['software', 'hardware'] as const)(
  'a loaded model has its %s kernels: no pass compiles any, and loading recorded nothing',
  async (kernelStyle) => {
    const gpu = await Gpu.open({ kernelStyle });
    try {
      const model = await loadModel(gpu, directory);
      expect(gpu.recorder.dispatches).toBe(0);
      const later = vi.spyOn(gpu.device, 'createComputePipelineAsync');
      const here = vi.spyOn(gpu.device, 'createComputePipeline');
      for (const length of [1, 9, 40]) {
        await sequenceLogits(
          model,
          Array.from({ length }, (_, index) => index + 1),
        );
      }
      expect(gpu.recorder.dispatches).toBeGreaterThan(0);
      expect(later).not.toHaveBeenCalled();
      expect(here).not.toHaveBeenCalled();
      model.destroy();
    } finally {
      gpu.close();
    }
  },
);
