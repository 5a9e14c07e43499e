/**
 * y = x W_eᵀ for rows that lie in groups, each with the matrix W_e of its expert, and the low-rank change or the dense
 * noise that the probe of each row sees it with: what `linear` is for all rows.
 *
 * @module
 */

import type { GpuBuffer } from '../gpu/buffer.ts';
import type { KernelDefinition } from '../gpu/kernel.ts';
import { perElement } from '../gpu/workgroups.ts';
import { Memo } from '../memo.ts';
import type { WeightStack } from '../tensor/weight.ts';
import type { Activation } from '../tensor/workspace.ts';
import type { Storage } from '../weights/index.ts';
import { checkShape } from './check-shape.ts';
import type { OperationContext } from './context.ts';
import { perturbedWeight } from './dense.ts';
import type { RowGroups } from './experts.ts';
import { matmulParts } from './linear.ts';
import { blockRowsOf, type MatmulPlan, matmulDescriptions } from './matmul-variants.ts';
import { factorWidth, type StackedFactors, weightScaleOf } from './probes.ts';

const definitions = new Memo<KernelDefinition>();

/** The kernel of a plan, which has no slices. */
export function groupedKernel(plan: MatmulPlan, storage: Storage): KernelDefinition {
  const { M = 0, N = 0, K = 0, subgroup = 0, sized = false } = plan.fragment ?? {};
  return definitions.get([plan.variant, storage, M, N, K, subgroup, sized], () =>
    matmulParts(plan, storage, 'grouped'),
  );
}

/** One launch: some groups, and some rows of the matrices that they are multiplied with. */
interface GroupedLaunch {
  x: Activation;
  storage: Storage;
  weight: GpuBuffer;
  /** The matrix that the buffer begins with, rows from one to the next, and the first row that counts. */
  firstMatrix: number;
  stride: number;
  weightRow: number;
  columns: number;
  columnStart: number;
  groupStart: number;
  groupEnd: number;
  /** Most rows of these groups. */
  mostRows: number;
  side?: { q: GpuBuffer; factors: StackedFactors; stride: number };
  y: Activation;
  weightScale: number;
}

function record(context: OperationContext, groups: RowGroups, launch: GroupedLaunch): void {
  const { gpu } = context;
  const { x, y, side, columns, groupStart, groupEnd, mostRows } = launch;
  const { plan } = groups;
  const { workgroups } = matmulDescriptions[plan.variant];
  const blockRows = blockRowsOf(plan);
  const kernel = gpu.kernel(groupedKernel(plan, launch.storage));
  // All rows but one of each group may be the first of a block.
  const filled = Math.min(groupEnd - groupStart, mostRows);
  const blocks = Math.floor((mostRows + filled * (blockRows - 1)) / blockRows);
  const workOf = ([wide, high]: [number, number]): number => (wide * high * x.columns) / 64;
  const launches = gpu.recorder.launches(kernel, workOf(workgroups(blocks * blockRows, columns, plan.fragment)));
  const atOnce = Math.ceil(blocks / launches);
  for (let first = 0; first < blocks; first += atOnce) {
    const size = workgroups(Math.min(atOnce, blocks - first) * blockRows, columns, plan.fragment);
    gpu.recorder.dispatch(
      kernel,
      [
        x.buffer,
        launch.weight,
        side?.q ?? gpu.unused,
        side?.factors.u ?? gpu.unused,
        gpu.unused,
        y.buffer,
        groups.starts,
      ],
      {
        columns,
        inner_quads: x.columns / 4,
        rank_quads: side ? factorWidth(side.factors) / 4 : 0,
        q_start: 0,
        group_start: groupStart,
        group_end: groupEnd,
        groups_per_matrix: groups.groupsPerExpert,
        first_matrix: launch.firstMatrix,
        weight_stride: launch.stride,
        output_stride: side?.stride ?? 0,
        weight_row: launch.weightRow,
        output_row: launch.columnStart,
        y_stride: y.columns,
        column_start: launch.columnStart,
        first_block: first,
        weight_scale: launch.weightScale,
      },
      size,
      workOf(size),
    );
  }
}

/**
 * @param x [pairs, in features], in the order of the groups
 * @param stack [experts][out features, in features]
 * @returns [pairs, out features]
 */
export function groupedLinear(
  context: OperationContext,
  x: Activation,
  stack: WeightStack,
  groups: RowGroups,
): Activation {
  const { workspace, probes } = context;
  const { weights, storage, stride, rows: columns } = stack;
  const name = weights[0]!.name;
  const pairs = groups.rows * groups.count;
  checkShape('groupedLinear', `x for ${name}`, x, pairs, stack.columns);
  if (weights.length !== groups.experts) throw new Error(`${weights.length} weights for ${groups.experts} experts`);
  const y = workspace.takeTimes(groups.rows, groups.count, columns);
  const factors = probes.stacks?.get(name);
  const q = factors && project(context, x, factors, groups);
  const side = factors && q ? { side: { q: q.buffer, factors, stride } } : {};
  const { dense } = probes;
  const perExpert = groups.groupsPerExpert;
  for (const part of stack.parts) {
    const whole = {
      ...{ x, y, storage, stride, columns, columnStart: 0, weight: part.buffer, weightRow: 0, ...side },
      firstMatrix: part.first,
      weightScale: weightScaleOf(probes, weights[part.first]!.name),
    };
    const end = part.first + part.count;
    if (!dense || !weights.slice(part.first, end).some((weight) => dense.tensors.has(weight.name))) {
      const [groupStart, groupEnd] = [part.first * perExpert, end * perExpert];
      record(context, groups, { ...whole, groupStart, groupEnd, mostRows: pairs });
      continue;
    }
    for (let expert = part.first; expert < end; expert++) {
      const weight = weights[expert]!;
      const groupStart = expert * perExpert;
      if (!dense.tensors.has(weight.name)) {
        record(context, groups, { ...whole, groupStart, groupEnd: groupStart + perExpert, mostRows: groups.rows });
        continue;
      }
      const { rowsPerProbe } = groups;
      const all = { outputRow: 0, columns, columnStart: 0, rowsPerProbe };
      for (const piece of perturbedWeight(context.gpu, dense, weight, all)) {
        const group = groupStart + piece.rowStart / rowsPerProbe;
        record(context, groups, {
          ...whole,
          ...{ storage: piece.storage, weight: piece.weight.buffer, firstMatrix: expert, weightRow: piece.weightRow },
          ...{ columns: piece.columns, columnStart: piece.columnStart, groupStart: group, groupEnd: group + 1 },
          mostRows: rowsPerProbe,
        });
      }
    }
  }
  if (q) workspace.give(q);
  return y;
}

/** The pairs in the coordinates of their experts' U, as `project` of linear.ts makes them of rows. */
function project(context: OperationContext, x: Activation, factors: StackedFactors, groups: RowGroups): Activation {
  const { gpu, workspace, probes } = context;
  const { experts, groupsPerExpert } = groups;
  const width = factorWidth(factors);
  const [t, q] = [0, 1].map(() => workspace.takeTimes(groups.rows, groups.count, width)) as [Activation, Activation];
  record(context, groups, {
    ...{ x, y: t, storage: 'f32', weight: factors.vTransposed, firstMatrix: 0, stride: width, weightRow: 0 },
    ...{ columns: width, columnStart: 0, groupStart: 0, groupEnd: experts * groupsPerExpert, mostRows: x.rows },
    weightScale: 1,
  });
  gpu.recorder.dispatch(
    gpu.kernel({ files: ['experts/rotate.wgsl'] }),
    [groups.order, groups.chosen, factors.stateOffsets, probes.state, t.buffer, q.buffer],
    {
      elements: x.rows * width,
      rank: factors.rank,
      bank_quads: (factors.bank ?? 0) / 4,
      count: groups.count,
      rows_per_probe: groups.rowsPerProbe,
      state_stride: probes.stateStride,
      scale: factors.scale,
    },
    perElement(x.rows * width),
  );
  workspace.give(t);
  return q;
}
