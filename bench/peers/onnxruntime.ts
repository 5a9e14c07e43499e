/**
 * ONNX Runtime's WebGPU execution provider, with its own Dawn.
 *
 * @module
 */

import { createRequire } from 'node:module';
import { type OnnxNode, onnxModel } from './onnx-model.ts';
import { inputsOf, type Peer, projections, transpose } from './tasks.ts';

const require = createRequire(import.meta.url);

export async function open(): Promise<Peer> {
  const { InferenceSession, Tensor } = require('onnxruntime-node');
  return {
    package: 'onnxruntime-node',
    async prepare(task) {
      const { rows, width, x, weights } = inputsOf(task);
      const nodes: OnnxNode[] = [];
      let last = 'x';
      const multiply = (from: string, weight: number): string => {
        const to = `y${weight}`;
        nodes.push({ operator: 'MatMul', inputs: [from, `w${weight}`], outputs: [to] });
        return to;
      };
      if (task.kind === 'gemm') {
        for (let index = 0; index < weights.length; index++) last = multiply(last, index);
      } else {
        for (let first = 0; first < weights.length; first += projections) {
          const [q, k, v] = [0, 1, 2].map((index) => multiply(last, first + index));
          nodes.push({
            operator: 'MultiHeadAttention',
            domain: 'com.microsoft',
            inputs: [q!, k!, v!],
            outputs: [`mixed${first}`],
            attributes: { num_heads: task.heads, unidirectional: 1 },
          });
          last = multiply(`mixed${first}`, first + 3);
        }
      }
      const shape = task.kind === 'gemm' ? [rows, width] : [1, rows, width];
      const model = onnxModel({
        nodes,
        input: { name: 'x', shape },
        output: { name: last, shape },
        constants: Object.fromEntries(
          weights.map((weight, index) => [`w${index}`, { shape: [width, width], data: transpose(weight, width) }]),
        ),
      });
      const session = await InferenceSession.create(model, {
        executionProviders: ['webgpu'],
        // Without this, operators that the provider lacks would run on the CPU unnoticed.
        extra: { session: { disable_cpu_ep_fallback: '1' } },
      });
      const input = new Tensor('float32', x, shape);
      return async () => (await session.run({ x: input }))[last].data;
    },
  };
}
