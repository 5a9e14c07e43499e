/**
 * TensorFlow.js with its WebGPU back end, over Dawn.
 *
 * @module
 */

import { createRequire } from 'node:module';
import { inputsOf, type Peer, projections } from './tasks.ts';
import { installWebGpu } from './web-gpu-globals.ts';

const require = createRequire(import.meta.url);

export async function open(): Promise<Peer> {
  installWebGpu();
  const tf = require('@tensorflow/tfjs-core');
  require('@tensorflow/tfjs-backend-webgpu');
  await tf.setBackend('webgpu');
  await tf.ready();
  return {
    package: '@tensorflow/tfjs-backend-webgpu',
    async prepare(task) {
      const { rows, width, x, weights } = inputsOf(task);
      const input = tf.tensor2d(x, [rows, width]);
      const matrices = weights.map((weight) => tf.tensor2d(weight, [width, width]));
      const mask = tf.tensor2d(
        Float32Array.from({ length: rows ** 2 }, (_, i) => (i % rows > Math.floor(i / rows) ? -1e9 : 0)),
        [rows, rows],
      );
      const linear = (from: unknown, index: number) => tf.matMul(from, matrices[index], false, true);
      const compute = () => {
        let last = input;
        if (task.kind === 'gemm') {
          for (let index = 0; index < matrices.length; index++) last = linear(last, index);
          return last;
        }
        const headWidth = width / task.heads;
        const split = (tensor: unknown) => tf.transpose(tf.reshape(tensor, [rows, task.heads, headWidth]), [1, 0, 2]);
        for (let first = 0; first < matrices.length; first += projections) {
          const [q, k, v] = [0, 1, 2].map((index) => split(linear(last, first + index)));
          const scores = tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(headWidth));
          const mixed = tf.matMul(tf.softmax(tf.add(scores, mask)), v);
          last = linear(tf.reshape(tf.transpose(mixed, [1, 0, 2]), [rows, width]), first + 3);
        }
        return last;
      };
      return async () => {
        const result = tf.tidy(compute);
        const data = (await result.data()) as Float32Array;
        if (result !== input) result.dispose();
        return data;
      };
    },
  };
}
