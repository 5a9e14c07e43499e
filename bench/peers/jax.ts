/**
 * jax-js with its WebGPU back end, over Dawn, each task compiled as a whole.
 *
 * @module
 */

import { createRequire } from 'node:module';
import { inputsOf, type Peer, projections } from './tasks.ts';
import { installWebGpu } from './web-gpu-globals.ts';

const require = createRequire(import.meta.url);

export async function open(): Promise<Peer> {
  installWebGpu();
  const jax = require('@jax-js/jax');
  const { numpy: np, nn, jit } = jax;
  const devices = await jax.init('webgpu');
  if (!devices.includes('webgpu')) throw new Error(`jax-js opened ${devices.join(', ')}, not webgpu`);
  jax.defaultDevice('webgpu');
  return {
    package: '@jax-js/jax',
    async prepare(task) {
      const { rows, width, x, weights } = inputsOf(task);
      const input = np.array(x, { shape: [rows, width] });
      const matrices = weights.map((weight) => np.array(weight, { shape: [width, width] }));
      // Arrays are consumed by their use unless `.ref` is taken first.
      // biome-ignore lint/suspicious/noExplicitAny: the library is not installed with the project, so it has no types here
      const compute = jit((from: any, matrixList: any[]) => {
        const linear = (value: unknown, index: number) => np.matmul(value, np.transpose(matrixList[index]));
        let last = from;
        if (task.kind === 'gemm') {
          for (let index = 0; index < weights.length; index++) last = linear(last, index);
          return last;
        }
        const headWidth = width / task.heads;
        for (let first = 0; first < weights.length; first += projections) {
          const sources = [last.ref, last.ref, last];
          const [q, k, v] = sources.map((source, index) =>
            np.reshape(linear(source, first + index), [rows, task.heads, headWidth]),
          );
          const mixed = nn.dotProductAttention(q, k, v, { isCausal: true });
          last = linear(np.reshape(mixed, [rows, width]), first + 3);
        }
        return last;
      });
      return async () =>
        (await compute(
          input.ref,
          matrices.map((matrix) => matrix.ref),
        ).data()) as Float32Array;
    },
  };
}
