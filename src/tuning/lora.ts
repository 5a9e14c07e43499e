/**
 * LoRA (arXiv 2106.09685): a pair of thin matrices beside a linear layer, y = x Wᵀ + b + (α/r) (x Aᵀ) Bᵀ.
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';
import { attentions, type Decoder, type Linear, queriesAndValues, sublayersOf } from '../model/decoder.ts';
import type { Model } from '../model/model.ts';
import { linearsOf, stacksOf } from '../model/parameters.ts';
import type { LoraPair } from '../ops/probes.ts';
import type { TrainConfiguration } from '../settings/configuration.ts';
import { shapeOf } from '../tensor/weight.ts';
import { parameter, words } from '../words.ts';
import { type Adapter, type AdapterTensor, uniforms } from './adapter.ts';

/**
 * Pairs for the layers that a configuration names: A [rank, in] uniform within ±1/√in (Kaiming's rule with a = √5, as
 * PEFT starts it), B [out, rank] zero. Names are those of PEFT without its prefix.
 *
 * @throws SubzeroError `invalid_argument` for a target that no layer has
 */
export function loraAdapter(
  model: Model,
  {
    loraRank: rank,
    loraAlpha,
    loraTargets,
    seed,
  }: Pick<TrainConfiguration, 'loraRank' | 'loraAlpha' | 'loraTargets' | 'seed'>,
): Adapter {
  const tensors: AdapterTensor[] = [];
  const lora = new Map<string, LoraPair>();
  for (const module of targetModules(model, loraTargets)) {
    const weight = model.weight(`${module}.weight`);
    const [rows, columns] = shapeOf(weight);
    const [a, b] = [`${module}.lora_A.weight`, `${module}.lora_B.weight`];
    const bound = 1 / Math.sqrt(columns);
    tensors.push(
      {
        name: a,
        shape: [rank, columns],
        values: Float32Array.from(uniforms(seed, a, rank * columns), (u) => bound * (2 * u - 1)),
      },
      { name: b, shape: [rows, rank], values: new Float32Array(rows * rank) },
    );
    lora.set(weight.name, { rank, scale: loraAlpha / rank, a, b });
  }
  return { tensors, lora };
}

/**
 * The layers that a pair can stand beside: all but most routers, and experts, which are no linear layers of their own
 * in transformers, so that PEFT does not find them by their names.
 */
export function loraLayers(decoder: Decoder): Linear[] {
  const routers = new Set(
    sublayersOf(decoder).flatMap((sublayer) =>
      sublayer.kind === 'experts' && !sublayer.routerIsLayer ? sublayer.router : [],
    ),
  );
  return linearsOf(decoder).filter((linear) => !routers.has(linear));
}

/** @throws SubzeroError where the target is a router or a part of experts */
function refuseExperts(decoder: Decoder, target: string, fits: (module: string, target: string) => boolean): void {
  for (const sublayer of sublayersOf(decoder)) {
    if (sublayer.kind !== 'experts') continue;
    const parts = [sublayer.router, ...stacksOf(sublayer).flat()];
    const found = parts.find(({ name }) => fits(name, target));
    if (!found) continue;
    const kind = found === sublayer.router ? 'a router' : 'a part of experts';
    const named = words`${parameter('loraTargets')}: "${target}" is ${kind} (${found.name})`;
    const problem = words`${named}, beside which no pair can stand: PEFT does not find it by this name`;
    const reason = 'since it is no linear layer of its own in transformers';
    const others = words`train without pairs (${parameter('scheme')} full), by ${parameter('parameters')}`;
    const advice = words`Name other layers, or ${others} if only some shall change`;
    throw new SubzeroError('unsupported', words`${problem}, ${reason}. ${advice}`, { parameter: 'loraTargets' });
  }
}

/**
 * The linear layers that targets name, by their whole names or by the ends of them; queries and values, or the layer
 * that makes both, if there is no target.
 */
function targetModules({ decoder }: Model, targets: readonly string[]): string[] {
  const modules = loraLayers(decoder).map(({ name }) => name);
  if (targets.length === 0) {
    const found = attentions(decoder).flatMap(queriesAndValues);
    if (found.length > 0) return found.map(({ name }) => name);
    const problem = words`${parameter('loraTargets')}: the model has no queries and values, which are the default`;
    throw new SubzeroError('invalid_argument', words`${problem}; name layers such as ${modules[0]!}`, {
      parameter: 'loraTargets',
    });
  }
  const fits = (module: string, target: string) => module === target || module.endsWith(`.${target}`);
  const strange = targets.find((target) => !modules.some((module) => fits(module, target)));
  if (strange !== undefined) {
    refuseExperts(decoder, strange, fits);
    const ends = new Set(modules.map((module) => module.slice(module.lastIndexOf('.') + 1)));
    const others = `there are ${[...ends].join(', ')}, or whole names such as ${modules[0]}`;
    throw new SubzeroError(
      'invalid_argument',
      words`${parameter('loraTargets')}: the model has no linear layer "${strange}"; ${others}`,
      { parameter: 'loraTargets' },
    );
  }
  return modules.filter((module) => targets.some((target) => fits(module, target)));
}
