/**
 * This project's own runtime at the same tasks.
 *
 * @module
 */

import { Gpu } from '../../src/gpu/gpu.ts';
import { attention } from '../../src/ops/attention.ts';
import type { OperationContext } from '../../src/ops/context.ts';
import { linear } from '../../src/ops/linear.ts';
import { NamedBuffers } from '../../src/tensor/named-buffers.ts';
import { allocateWeight } from '../../src/tensor/weight.ts';
import { type Activation, Workspace } from '../../src/tensor/workspace.ts';
import { inputsOf, type Peer, projections } from './tasks.ts';

export async function open(): Promise<Peer> {
  const gpu = await Gpu.open();
  return {
    package: 'subzero-webgpu',
    async prepare(task) {
      const { rows, width, x, weights } = inputsOf(task);
      const workspace = new Workspace(gpu);
      workspace.reserve(rows);
      const buffers = new NamedBuffers(gpu);
      const context: OperationContext = {
        gpu,
        workspace,
        probes: { count: 1, state: gpu.unused, stateStride: 0, factors: new Map(), weightScale: 1, vectors: new Map() },
      };
      const matrices = weights.map((data, index) => {
        const weight = allocateWeight(gpu, `w${index}`, width, width, 'f32');
        weight.parts[0]!.buffer.write(data);
        return weight;
      });
      const multiply = (from: Activation, index: number): Activation => linear(context, from, matrices[index]!);
      // Row i sees the keys 0 … i.
      const ranges = buffers.upload(
        'ranges',
        new Uint32Array(rows * 4).map((_, i) => (i % 4 === 3 ? (i + 1) / 4 : 0)),
      );
      const input: Activation = { buffer: buffers.upload('x', x), rows, columns: width };
      return async () => {
        let last = input;
        const replace = (next: Activation): void => {
          if (last !== input) workspace.give(last);
          last = next;
        };
        if (task.kind === 'gemm') {
          for (let index = 0; index < matrices.length; index++) replace(multiply(last, index));
        } else {
          for (let first = 0; first < matrices.length; first += projections) {
            const [q, k, v] = [0, 1, 2].map((index) => multiply(last, first + index));
            const heads = { heads: task.heads, keyHeads: task.heads, headWidth: width / task.heads };
            const mixed = attention(context, q!, k!.buffer, v!.buffer, { ...heads, ranges, keyStride: 0 });
            workspace.give(q!, k!, v!);
            replace(multiply(mixed, first + 3));
            workspace.give(mixed);
          }
        }
        const [data] = await gpu.recorder.read([{ buffer: last.buffer, bytes: x.byteLength }]);
        workspace.give(last);
        return new Float32Array(data!);
      };
    },
  };
}
