import type { EngineInfo } from '../../engine/types.ts';
import { SubzeroError } from '../../errors.ts';
import { formatBytes } from '../../format.ts';
import { driverSettings, listAdapters } from '../../gpu/device.ts';
import { matrixFragment, sharedLanes } from '../../ops/matmul-choice.ts';
import { tuningWanted } from '../../ops/matmul-tuner.ts';
import { planTableFile, readPlanTable } from '../../ops/plan-table.ts';
import { packageVersion } from '../../version.ts';
import { defineCommand } from '../command.ts';
import { engineOptions, jsonOption } from '../common-options.ts';
import { withEngine } from '../with-engine.ts';

/** What each optional feature is good for, for people who wonder whether they miss something. */
const featureUses: Readonly<Record<string, string>> = {
  'shader-f16': 'f16 arithmetic; f16 storage works without it',
  subgroups: 'matrix units need them',
  'timestamp-query': 'kernel times measured on the GPU',
  'chromium-experimental-subgroup-matrix': 'matrix units',
};

export const doctorCommand = defineCommand({
  name: 'doctor',
  summary: 'Say which GPU is used, what it can do and what is missing',
  usage: ['doctor [options]'],
  options: [{ ...jsonOption, description: 'print the facts as one JSON line' }, ...engineOptions],
  examples: [
    { text: 'the adapter in use', command: 'subzero doctor' },
    { text: 'another one', command: 'subzero doctor --adapter 1' },
  ],
  async run(context) {
    const adapters = await listAdapters();
    try {
      return await withEngine(context, async (engine) => {
        const info = await engine.info();
        const table = await kernelTable(info);
        const lines = [...describe(info, adapters), ...describeTable(table, info)];
        context.standardOutput.write(
          `${context.options.json ? JSON.stringify({ ...info, adapters, kernelTable: table }) : lines.join('\n')}\n`,
        );
        return 0;
      });
    } catch (error) {
      // What is missing is the whole point of this command: print it as its result as well.
      if (!(error instanceof SubzeroError) || error.code !== 'no_adapter') throw error;
      context.standardOutput.write(
        context.options.json
          ? `${JSON.stringify({ adapter: null, adapters, problem: error.message })}\n`
          : `subzero ${packageVersion()} on ${runtimeName()}\nadapter      none\n${error.message}\n`,
      );
      return 1;
    }
  },
});

function describe(info: EngineInfo, adapters: readonly string[]): string[] {
  const { adapter, features, limits } = info;
  const lines = [
    `subzero ${packageVersion()} on ${runtimeName()}`,
    `adapter      ${adapter.description || adapter.device || adapter.vendor}`,
    `             ${[adapter.vendor, adapter.architecture, adapter.device].filter(Boolean).join(', ')}; ` +
      `${adapter.software ? 'software' : 'hardware'}, through ` +
      `${adapter.implementation === 'dawn' ? 'Dawn (npm webgpu)' : "the runtime's own WebGPU"}`,
  ];
  const used = adapters.findIndex((name) => deviceName(name) === adapter.device);
  lines.push(
    ...adapters.map(
      (name, index) =>
        `${index === 0 ? 'available' : '         '}    ${index}: ${name}` +
        `${adapters.length > 1 && index === used ? ' (in use; --adapter NAME|INDEX takes another)' : ''}`,
    ),
    ...driverSettings().map((text, index) => `${index === 0 ? 'drivers' : '       '}      ${text}`),
  );
  lines.push(
    ...Object.entries(featureUses).map(
      ([feature, use], index) =>
        `${index === 0 ? 'features' : '        '}     ${features.includes(feature) ? 'yes' : 'no '}  ${feature}: ` +
        `${use}`,
    ),
    `limits       buffer ${formatBytes(limits.maxBufferSize)}, binding ` +
      `${formatBytes(limits.maxStorageBufferBindingSize)} (larger tensors are split), workgroup memory ` +
      `${formatBytes(limits.maxComputeWorkgroupStorageSize)}`,
  );
  const matrices = adapter.subgroupMatrixConfigs.map(
    ({ M, N, K, componentType, resultComponentType }) => `${M}×${N}×${K} ${componentType}→${resultComponentType}`,
  );
  lines.push(`matrix units ${matrices.length > 0 ? matrices.join(', ') : 'none'}`);
  if (matrices.length > 0) lines.push(`             ${usedUnits(info)}`);
  if (adapter.software) {
    lines.push(
      'note         no GPU is in use. With one: install its vendor driver for Vulkan and the loader libvulkan.so.1.',
    );
  }
  return lines;
}

/** What Dawn makes of an adapter's name to have the name of its device. */
function deviceName(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-');
}

/** Which of the matrix units matrix products use. */
function usedUnits({ adapter, features, limits, arithmetic }: EngineInfo): string {
  const fragment = matrixFragment({ adapter, features: new Set(features), device: { limits } }, 2);
  if (!fragment)
    return 'none of them in use: kernels want f16→f32, shader-f16, and subgroups of a size that they can ask for';
  const { M, N, K } = fragment;
  const use = arithmetic === 'half' ? 'operands rounded to f16' : 'operands in two halves, exact to 22 bits';
  return `${adapter.software ? 'kernels for GPUs would use' : 'in use:'} ${M}×${N}×${K} f16→f32, ${use}`;
}

/** The timed plans of this adapter and where they are kept; none on adapters where plans go by rule. */
async function kernelTable(info: EngineInfo): Promise<{ file: string; plans: Record<string, string> } | null> {
  if (!tuningWanted(info)) return null;
  const file = planTableFile(info);
  const plans = [...(await readPlanTable(file, info))].map(([key, { variant, slices }]): [string, string] => [
    key,
    slices > 1 ? `${variant} in ${slices} slices` : variant,
  ]);
  return { file, plans: Object.fromEntries(plans) };
}

function describeTable(table: Awaited<ReturnType<typeof kernelTable>>, info: EngineInfo): string[] {
  if (!table) {
    const reason = info.adapter.software ? softwareKernels(info) : 'SUBZERO_AUTOTUNE=off';
    return [`kernels      by rule, none timed: ${reason}`];
  }
  const plans = Object.entries(table.plans);
  return [
    `kernels      ${plans.length} timed, in ${table.file} (SUBZERO_CACHE_DIR moves it, SUBZERO_AUTOTUNE=off ignores ` +
      `it)`,
    ...plans.map(([key, plan]) => `             ${key}: ${plan}`),
  ];
}

/** Which kernels a software adapter gets, by what it reports. */
function softwareKernels({ adapter, features }: EngineInfo): string {
  const lanes = sharedLanes({ adapter, features: new Set(features) });
  if (lanes) return `those for software adapters whose subgroups, of ${lanes}, share what they load`;
  const [least, most] = adapter.subgroupSizes;
  const sizes = features.includes('subgroups')
    ? `subgroups of ${least === most ? least : `${least} to ${most}`}`
    : 'none';
  return `those for software adapters without subgroups of 4 or 8 (this one has ${sizes})`;
}

function runtimeName(): string {
  const { versions } = process;
  const runtime = (['bun', 'deno'] as const).find((name) => versions[name] !== undefined);
  return (
    `${runtime ? `${runtime} ${versions[runtime]}` : `node ${versions.node}`}, ${process.platform} ` + `${process.arch}`
  );
}
