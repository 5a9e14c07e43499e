import { fileURLToPath } from 'node:url';
import { expect, test, vi } from 'vitest';
import { compilesAtLaunch } from '../../src/gpu/device.ts';
import { Gpu } from '../../src/gpu/gpu.ts';
import { loadModel } from '../../src/model/load.ts';
import { sequenceLogits } from '../../src/model/logits.ts';
import { rehearse } from '../../src/model/rehearse.ts';

const directory = fileURLToPath(new URL('../fixtures/models/llama-tiny', import.meta.url));

test.each(['software', 'hardware'] as const)(
  'a rehearsed model has its %s kernels: no pass compiles any, and the rehearsal recorded nothing',
  async (kernelStyle) => {
    const gpu = await Gpu.open({ kernelStyle });
    try {
      const model = await loadModel(gpu, directory);
      rehearse(model);
      await gpu.checkKernels();
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

test('loading compiles kernels, but not where they are compiled when they are launched', async () => {
  const gpu = await Gpu.open();
  try {
    const compile = vi.spyOn(gpu.device, 'createComputePipelineAsync');
    const model = await loadModel(gpu, directory);
    expect(compile.mock.calls.length === 0).toBe(compilesAtLaunch(gpu.adapter));
    model.destroy();
  } finally {
    gpu.close();
  }
});

test('llvmpipe compiles kernels when they are launched', () => {
  const adapter = {
    ...({ vendor: '', architecture: '', device: '', description: '', implementation: 'dawn', software: true } as const),
    ...{ subgroupMatrixConfigs: [], subgroupSizes: [8, 8] as const },
  };
  expect(compilesAtLaunch({ ...adapter, device: 'llvmpipe (LLVM 15.0.6, 256 bits)' })).toBe(true);
  expect(compilesAtLaunch({ ...adapter, description: 'llvmpipe (LLVM 19.1.7, 256 bits)' })).toBe(true);
  expect(compilesAtLaunch({ ...adapter, device: 'SwiftShader Device (Subzero)' })).toBe(false);
});
