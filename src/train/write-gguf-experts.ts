/**
 * The matrices of experts as the tensors of a GGUF file: those of a layer's projection in one, gate and up in two.
 *
 * @module
 */

import type { ExpertPlace, WrittenArchitecture } from '../gguf/index.ts';
import type { ModelTensor } from './written-tensor.ts';

/** A tensor of a file, under its name there. */
export interface ExpertStack extends ModelTensor {
  /** Whether it holds no matrices. */
  biases: boolean;
}

/** One parameter, or every second run of its rows. */
interface Member {
  tensor: ModelTensor;
  place: ExpertPlace;
}

/** The tensors of a file that hold experts, and the parameters that belong to none. */
export function collectExperts(
  architecture: WrittenArchitecture,
  tensors: readonly ModelTensor[],
): [stacks: ExpertStack[], others: ModelTensor[]] {
  const members = new Map<string, Member[]>();
  const others: ModelTensor[] = [];
  for (const tensor of tensors) {
    const places = architecture.experts(tensor.name);
    if (places.length === 0) others.push(tensor);
    for (const place of places) members.set(place.name, [...(members.get(place.name) ?? []), { tensor, place }]);
  }
  return [[...members].map(([name, own]) => stackOf(architecture, name, own)), others];
}

function stackOf({ interleaved }: WrittenArchitecture, name: string, members: readonly Member[]): ExpertStack {
  const ordered = members.toSorted((one, other) => (one.place.expert ?? 0) - (other.place.expert ?? 0));
  const [{ tensor, place }] = ordered as [Member];
  const biases = place.expert === undefined;
  const divisor = place.turn === undefined ? 1 : 2;
  // The biases of all experts are one vector; of a matrix, rows are divided.
  const [rows, columns] = biases ? [tensor.shape[1]!, 1] : (tensor.shape as [number, number]);
  const count = biases ? tensor.shape[0]! : ordered.length;
  return {
    name,
    biases,
    shape: biases ? [count, rows / divisor] : [count, rows / divisor, columns],
    async *values() {
      for (const { tensor: each, place: own } of ordered) {
        if (own.turn === undefined) yield* each.values();
        else yield* everySecondRun(each, columns, interleaved ? 1 : rows / 2, own.turn);
      }
    },
  };
}

/** Every second run of so many rows, beginning with the first or the second. */
async function* everySecondRun(
  tensor: ModelTensor,
  columns: number,
  run: number,
  turn: 0 | 1,
): AsyncGenerator<Float32Array> {
  let row = 0;
  for await (const values of tensor.values()) {
    const count = values.length / columns;
    const chosen = Array.from({ length: count }, (_, index) => index).filter(
      (index) => Math.floor((row + index) / run) % 2 === turn,
    );
    const result = new Float32Array(chosen.length * columns);
    for (const [to, from] of chosen.entries()) {
      result.set(values.subarray(from * columns, (from + 1) * columns), to * columns);
    }
    row += count;
    yield result;
  }
}
