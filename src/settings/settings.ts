/**
 * The settings of training, one row each, in the order in which journals store them. Their checks, the options and the
 * help of the command line, warnings about those without effect, the description of the API, the dashboard's form and
 * docs/settings.md are made from it.
 *
 * @module
 */

import { createRowMapping, pairsOf } from '../data/columns.ts';
import { learnChoices } from '../data/example.ts';
import { parseTextTemplate } from '../data/text-template.ts';
import { truncateChoices } from '../data/truncation.ts';
import { SubzeroError } from '../errors.ts';
import { packableStorages, type StorageWish } from '../weights/index.ts';
import { parameter, words } from '../words.ts';
import type { TrainConfiguration } from './configuration.ts';
import { meansOf, methods, optimizerNames, optimizersThat } from './methods.ts';
import { objectiveNames, objectives, objectivesThat } from './objectives.ts';
import { schemeNames, schemes, schemesThat } from './schemes.ts';
import {
  type Applies,
  both,
  type Rule,
  type Setting,
  type ValueOf,
  withMeans,
  withObjectives,
  withOptimizers,
  withSchemes,
} from './setting.ts';

const factored: Applies = withOptimizers(optimizersThat(({ family }) => family !== 'dense'));
const added: Applies = withSchemes(schemesThat(({ adds }) => adds !== undefined));
const own: Applies = withSchemes(schemesThat(({ adds }) => adds === undefined));
const pairs: Applies = withSchemes(schemesThat(({ adds }) => adds === 'pairs'));
const preferences: Applies = withObjectives(objectivesThat(({ learnsFrom }) => learnsFrom.includes('preference')));
const rewards: Applies = withObjectives(['reward']);
const tokens: Applies = withSchemes(schemesThat(({ adds }) => adds === 'tokens'));
const factoredAdapters: Applies = both(factored, added);
const dpo: Applies = withObjectives(['dpo']);
const sparse: Applies = withOptimizers(['sparse-mezo']);
const curved: Applies = withOptimizers(['hizoo']);
const chosenMeans: Applies = withOptimizers(optimizersThat(({ means }) => means === 'chosen'));
const anyMeans: Applies = withMeans('momentum', 'adam');
const adamMeans: Applies = withMeans('adam');
const adaptive: Applies = {
  holds: ({ adaptiveStep }) => adaptiveStep,
  without: words`${parameter('adaptiveStep')}`,
};

/** Answers that are generated are no parts to share out. */
const notOfRewards =
  (setting: 'shards' | 'queryShards'): Rule =>
  ({ objective, [setting]: parts }) =>
    objectives[objective].generates && parts !== 1
      ? words`${parameter(setting)} must be 1 with ${parameter('objective')} ${objective}; got ${parts}`
      : undefined;

const shardsOfRewards: Rule = notOfRewards('shards');
const queryShardsOfRewards: Rule = notOfRewards('queryShards');

const chooseOfModel: Rule = ({ scheme, parameters }) => {
  if (schemes[scheme].adds === undefined || parameters.length === 0) return undefined;
  const problem = words`chooses among the model's own, which ${parameter('scheme')} ${scheme} leaves alone`;
  return words`${parameter('parameters')} ${problem}; leave it out, or train with ${parameter('scheme')} full`;
};

const sidesOfMethod: Rule = ({ optimizer, sides }) => {
  const { sides: needed } = methods[optimizer];
  if (!needed || sides === needed.only) return undefined;
  return words`${parameter('sides')} must be ${needed.only} for ${optimizer}, ${needed.because}; got ${sides}`;
};

/** Their inner products are needed, and dense directions are drawn in pieces. */
const alignedDirections: Rule = ({ queryCombination, optimizer }) => {
  if (queryCombination === 'mean' || methods[optimizer].family !== 'dense') return undefined;
  const named = words`${parameter('queryCombination')} ${queryCombination}`;
  const needed = words`${parameter('optimizer')} subzero or subzero-plus, whose directions are few numbers`;
  return words`${named} needs ${needed}; ${optimizer} has one for every weight`;
};

/** Adam divides by such a root for every number already. */
const adaptiveWithoutAdam: Rule = (configuration) => {
  if (!configuration.adaptiveStep || meansOf(configuration) !== 'adam') return undefined;
  const { optimizer, mezoUpdate } = configuration;
  const of = methods[optimizer].means === 'adam' ? optimizer : words`${parameter('mezoUpdate')} ${mezoUpdate}`;
  return words`${parameter('adaptiveStep')} is not for ${of}, whose steps have a length of their own; leave it out`;
};

const evaluatesToStop: Rule = ({ evaluateEvery, earlyStopping }) => {
  if (earlyStopping === 0 || evaluateEvery > 0) return undefined;
  const [every, stopping] = [parameter('evaluateEvery'), parameter('earlyStopping')];
  return words`${every} must be at least 1 with ${stopping}, which counts evaluations; got 0`;
};

/** What is wrong with a value by itself, where reading it says so. */
function refusedBy(read: (configuration: TrainConfiguration) => unknown): Rule {
  return (configuration) => {
    try {
      read(configuration);
    } catch (error) {
      if (error instanceof SubzeroError) return error.words;
      throw error;
    }
    return undefined;
  };
}

const columnsThatAre: Rule = refusedBy(({ columns }) => createRowMapping({ columns, template: '', labels: [] }));
const readableTemplate: Rule = refusedBy(({ template }) => template === '' || parseTextTemplate(template));
const storageChoices: readonly StorageWish[] = ['auto', ...packableStorages];

const pairsOfLabels: Rule = refusedBy(({ labels }) => pairsOf(labels, 'labels'));

export const settings = {
  /** See methods.ts. */
  optimizer: {
    type: 'choice',
    default: 'subzero',
    choices: optimizerNames,
    placeholder: 'NAME',
    help: 'how the weights are updated; defaults below are those of subzero',
    group: 'method',
  },
  /** See schemes.ts. */
  scheme: {
    type: 'choice',
    default: 'full',
    choices: schemeNames,
    placeholder: 'NAME',
    help:
      "what trains: the model's own parameters, LoRA beside them, or virtual tokens in front of every text " +
      '(by embedding, or by keys and values)',
    title: 'What trains',
    group: 'method',
  },
  /** Scheme `full`: patterns over the checkpoint's names, see tuning/patterns.ts; none = all. */
  parameters: {
    type: 'list',
    default: [],
    placeholder: 'PATTERN',
    help: 'train only parameters whose names fit, such as "*.self_attn.*"; "!*.bias" leaves out',
    group: 'method',
    appliesTo: own,
    rule: chooseOfModel,
  },
  /** Scheme `lora`: columns of B and rows of A. */
  loraRank: {
    type: 'integer',
    default: 8,
    minimum: 1,
    maximum: 256,
    help: 'lora: rows of A and columns of B',
    title: 'LoRA rank',
    group: 'method',
    appliesTo: pairs,
  },
  /** Scheme `lora`: α; the product B A counts α / rank times. */
  loraAlpha: {
    type: 'number',
    default: 16,
    minimum: 1e-3,
    maximum: 65_536,
    help: 'lora: α; the product of A and B counts α/rank times',
    title: 'LoRA α',
    group: 'method',
    appliesTo: pairs,
  },
  /** Scheme `lora`: ends of the names of linear layers, such as `q_proj`; none = queries and values. */
  loraTargets: {
    type: 'list',
    default: [],
    placeholder: 'NAME',
    help: 'lora: a kind of linear layer, such as q_proj; queries and values if left out',
    title: 'LoRA targets',
    group: 'method',
    appliesTo: pairs,
  },
  /** Schemes `prompt` and `prefix`: tokens in front of every text whose embeddings, or keys and values, are trained. */
  virtualTokens: {
    type: 'integer',
    default: 10,
    minimum: 1,
    maximum: 1024,
    unit: 'tokens',
    help: 'prompt and prefix (there 5): how many virtual tokens; each takes a position of the context',
    group: 'method',
    appliesTo: tokens,
  },
  steps: {
    type: 'integer',
    default: 1000,
    minimum: 1,
    maximum: 10_000_000,
    unit: 'steps',
    help: 'training steps in all, those before a resumption or a fork included',
    group: 'method',
    changes: 'resume',
  },
  /** Examples of a step, or with accumulate of a part of it. */
  batchSize: {
    type: 'integer',
    default: 16,
    minimum: 1,
    maximum: 65_536,
    unit: 'examples',
    help: 'examples per step',
    group: 'method',
    changes: 'fork',
    loop: true,
  },
  /** Batches that make a step: its loss is that of all their examples, its passes are as large as for one of them. */
  accumulate: {
    type: 'integer',
    default: 1,
    minimum: 1,
    maximum: 65_536,
    help: 'batches that make one step, in the memory of one of them',
    title: 'Batches per step',
    group: 'method',
    changes: 'fork',
    loop: true,
  },
  /** Parts of a batch that are scored one by one, on one machine or on those of a cluster: the bits are the same. */
  shards: {
    type: 'integer',
    default: 1,
    minimum: 1,
    maximum: 1024,
    help: "parts of a step's examples that are scored one by one, which the machines of a cluster share out",
    title: 'Parts of a step',
    rule: shardsOfRewards,
    group: 'method',
    changes: 'fork',
    loop: true,
  },
  /** Parts of the probes that each part of a batch is scored under, one by one. */
  queryShards: {
    type: 'integer',
    default: 1,
    minimum: 1,
    maximum: 257,
    help:
      "parts of a step's probes (2 a direction) that are scored one by one, so that more machines than parts of " +
      'the examples share a step',
    title: 'Parts of the directions',
    rule: queryShardsOfRewards,
    group: 'method',
    changes: 'fork',
    loop: true,
  },
  /** Independent draws, or each example once an epoch in a new order. */
  sampling: {
    type: 'choice',
    default: 'with-replacement',
    choices: ['with-replacement', 'shuffle'],
    placeholder: 'NAME',
    help: 'how examples are drawn: each time from all of them, or each once an epoch in a new order',
    group: 'method',
    changes: 'fork',
    loop: true,
  },
  /** Added to the seed where examples are drawn. */
  batchSeed: {
    type: 'integer',
    default: 0,
    minimum: 0,
    maximum: 0xffff_ffff,
    help: 'added to the seed where examples are drawn: other batches with the same directions',
    group: 'method',
    changes: 'fork',
    loop: true,
  },
  /** Which of the assistant's turns of a conversation are learnt: all whose weight is not 0, or the last one. */
  learn: {
    type: 'choice',
    default: 'all',
    choices: learnChoices,
    placeholder: 'TURNS',
    help: 'which answers of a conversation are learnt: all whose weight is not 0, or the last one',
    title: 'Answers learnt',
    group: 'method',
    changes: 'fork',
  },
  /** What a run minimises, see objectives.ts; `auto` = by the data. */
  objective: {
    type: 'choice',
    default: 'auto',
    choices: objectiveNames,
    placeholder: 'NAME',
    help:
      'what is minimised: auto is the loss of options and completions, and dpo for preferences; accuracy the share ' +
      'of wrong options; reward minus what a grader gives for generated answers',
    group: 'method',
    changes: 'fork',
  },
  /** β of DPO and IPO; λ of ORPO, which TRL calls β too. */
  dpoBeta: {
    type: 'number',
    default: 0.1,
    minimum: 1e-6,
    maximum: 1000,
    help: 'dpo and ipo: β, how strongly the model is held to the base; orpo: λ, the weight of the odds ratio',
    title: 'Preference β',
    group: 'method',
    appliesTo: preferences,
    changes: 'fork',
  },
  /** DPO: the share of rows whose answers are believed to be the wrong way round. */
  dpoLabelSmoothing: {
    type: 'number',
    default: 0,
    minimum: 0,
    maximum: 0.5,
    help: 'dpo: the share of preferences that are believed to be the wrong way round',
    title: 'Preference label smoothing',
    group: 'method',
    appliesTo: dpo,
    changes: 'fork',
  },
  /** Reward: most tokens of an answer. */
  rewardTokens: {
    type: 'integer',
    default: 64,
    minimum: 1,
    maximum: 32_768,
    unit: 'tokens',
    help: 'reward: most tokens of a generated answer',
    title: 'Tokens of an answer',
    group: 'method',
    appliesTo: rewards,
    changes: 'fork',
    loop: true,
  },
  /** Reward: temperature of the answers; all points of a step draw from the same random numbers. */
  rewardTemperature: {
    type: 'number',
    default: 0,
    minimum: 0,
    maximum: 2,
    help: 'reward: temperature of generated answers, 0 for the likeliest tokens; all probes draw the same numbers',
    title: 'Temperature of answers',
    group: 'method',
    appliesTo: rewards,
    changes: 'fork',
    loop: true,
  },
  /** Reward: texts that an answer ends before. */
  rewardStop: {
    type: 'list',
    default: [],
    placeholder: 'TEXT',
    help: 'reward: a text that an answer ends before, beside the end of text',
    title: 'Answers end before',
    group: 'method',
    appliesTo: rewards,
    changes: 'fork',
    loop: true,
  },
  /** Reward: whether losses of a step are its rewards, or how many deviations they are from their mean. */
  rewardScaling: {
    type: 'choice',
    default: 'none',
    choices: ['none', 'z-score'],
    placeholder: 'NAME',
    help: 'reward: none, or z-score: differences from the mean over the probes of a step, in deviations',
    title: 'Scaling of rewards',
    group: 'method',
    appliesTo: rewards,
    changes: 'fork',
    loop: true,
  },
  /** Weight of what the model has drifted from the base on the label tokens, see objectives/anchor.ts. */
  anchor: {
    type: 'number',
    default: 0,
    minimum: 0,
    maximum: 1e6,
    help:
      'weight of the drift from the base on the learnt tokens, with rewards on those of the prompts (about a KL ' +
      'divergence), added to any objective',
    title: 'Anchor to the base',
    group: 'method',
    changes: 'fork',
  },
  /** Which columns of a data file are which fields of a format, see data/columns.ts. */
  columns: {
    type: 'list',
    default: [],
    placeholder: 'FIELD=COLUMN',
    help: 'columns with other names than the fields of a format: prompt=question,completion=answer',
    group: 'data',
    rule: columnsThatAre,
    loop: true,
    changes: 'fork',
  },
  /** The prompt made of columns, see data/text-template.ts. */
  template: {
    type: 'text',
    default: '',
    help:
      'the prompt made of columns: "{sentence} It was"; {column?} may be empty, {column|trim} loses its white ' +
      'space',
    title: 'Prompt template',
    group: 'data',
    rule: readableTemplate,
    loop: true,
    changes: 'fork',
  },
  /** The words that labels mean: the options of each row. */
  labels: {
    type: 'list',
    default: [],
    placeholder: 'LABEL=WORD',
    help: 'words to choose from for what the column "label" holds: 0=terrible,1=great; without a template after "text"',
    title: 'Words of labels',
    group: 'data',
    rule: pairsOfLabels,
    loop: true,
    changes: 'fork',
  },
  /** What becomes of examples that are longer than the context, see data/truncation.ts. */
  truncate: {
    type: 'choice',
    default: 'left',
    choices: truncateChoices,
    placeholder: 'POLICY',
    help:
      'examples longer than the context: lose their beginning (plain texts become several), lose their end, ' +
      'are left out, or end the run',
    title: 'Too long examples',
    group: 'data',
    loop: true,
    changes: 'fork',
  },
  /** The share of the training rows that is held out, drawn by the seed, and evaluated on. */
  validationSplit: {
    type: 'number',
    default: 0,
    minimum: 0,
    maximum: 0.9,
    help: 'share of the training rows to hold out for validation, drawn by the seed',
    title: 'Held out for validation',
    group: 'data',
    loop: true,
  },
  /** η; of SubZero+ that of Adam. */
  learningRate: {
    type: 'number',
    default: 1e-6,
    minimum: 0,
    maximum: 10,
    help: 'η; far smaller than for back-propagation',
    group: 'method',
    changes: 'fork',
  },
  schedule: {
    type: 'choice',
    default: 'constant',
    choices: ['constant', 'linear', 'cosine'],
    placeholder: 'NAME',
    help: 'course of the learning rate over the steps',
    group: 'method',
    changes: 'fork',
  },
  warmupSteps: {
    type: 'integer',
    default: 0,
    minimum: 0,
    maximum: 10_000_000,
    unit: 'steps',
    help: 'steps over which the learning rate rises from 0',
    title: 'Warm-up steps',
    group: 'method',
    changes: 'fork',
  },
  /** ε, the scale of the perturbation. */
  epsilon: {
    type: 'number',
    default: 1e-3,
    minimum: 1e-8,
    maximum: 10,
    help: 'ε, the scale of the perturbation',
    title: 'Perturbation ε',
    group: 'method',
  },
  /** r, columns of U and V; clipped to the smaller side of each matrix. */
  rank: {
    type: 'integer',
    default: 24,
    minimum: 1,
    maximum: 256,
    help: 'r, the rank of the perturbation of each matrix',
    group: 'method',
    appliesTo: factored,
  },
  /** F, steps between two draws of U and V. */
  refresh: {
    type: 'integer',
    default: 1000,
    minimum: 1,
    maximum: 10_000_000,
    unit: 'steps',
    help: 'F, steps between two draws of the subspaces',
    title: 'Refresh every',
    requestName: 'refresh_interval',
    group: 'method',
    appliesTo: factored,
  },
  /** Where the change of a period goes; `auto` = see zo/change.ts. */
  change: {
    type: 'choice',
    default: 'auto',
    choices: ['auto', 'fold', 'bank'],
    placeholder: 'KIND',
    help:
      'where the change of a period goes: fold into the weights, or bank beside them; ' +
      'auto folds unless the storage cannot be written',
    title: 'Keep the change',
    group: 'method',
    appliesTo: factored,
  },
  /** Terms of a bank, from which on it is compressed. */
  bankRank: {
    type: 'integer',
    default: 64,
    minimum: 1,
    maximum: 256,
    help: 'rank of the change that is kept beside the weights; what goes beyond it is dropped, the least first',
    title: 'Rank of the bank',
    group: 'method',
    appliesTo: factored,
  },
  /** The element type of a bank's factors, and of the period's beside it. */
  bankStorage: {
    type: 'choice',
    default: 'f16',
    choices: ['f16', 'f32'],
    placeholder: 'TYPE',
    help: 'element type of what is kept beside the weights: f16 takes half of the memory, rounded to the nearest',
    title: 'Storage of the bank',
    group: 'method',
    appliesTo: factored,
  },
  /** K, directions averaged per step. */
  queries: {
    type: 'integer',
    default: 1,
    minimum: 1,
    maximum: 128,
    help: 'K, random directions averaged per step',
    title: 'Directions per step',
    group: 'method',
  },
  /** How the K directions of a step become one estimate, see zo/alignment.ts. */
  queryCombination: {
    type: 'choice',
    default: 'mean',
    choices: ['mean', 'aligned'],
    help:
      'how the directions of a step make one estimate: their mean, or aligned = the projection of the gradient ' +
      'onto them',
    title: 'Combination of directions',
    group: 'method',
    rule: alignedDirections,
    loop: true,
  },
  /** Whether each step is divided by a running root mean square of ρ, see zo/adaptive-step.ts. */
  adaptiveStep: {
    type: 'boolean',
    default: false,
    help:
      'divide each step by the running root mean square of the projected gradients (MEAZO): η is its length then, ' +
      'whatever the scale of the loss',
    title: 'Adaptive step',
    group: 'method',
    rule: adaptiveWithoutAdam,
  },
  /** Decay of that mean of squares. */
  adaptiveDecay: {
    type: 'number',
    default: 0.99,
    minimum: 0,
    maximum: 0.999999,
    help: 'adaptive step: decay of the mean of squared projected gradients',
    title: 'Adaptive decay',
    group: 'method',
    appliesTo: adaptive,
  },
  /** 2 = central difference, 1 = forward difference against the unperturbed loss. */
  sides: {
    type: 'choice',
    default: 2,
    choices: [1, 2],
    help: '2 = central difference, 1 = forward difference',
    title: 'Sides of a direction',
    group: 'method',
    rule: sidesOfMethod,
  },
  /** μ = sqrt(mn)/r when true, 1 when false. */
  normAlignment: {
    type: 'boolean',
    default: true,
    help: 'scale a perturbation to the norm that dense noise has, so that learning rates carry over',
    group: 'method',
    appliesTo: factored,
  },
  /** Schemes that add tensors: whether each is seen as its most-square matrix, see tuning/adapter.ts, or as it is. */
  reshape: {
    type: 'boolean',
    default: true,
    help: 'see a tensor that a scheme adds as the matrix of its elements that is closest to square',
    title: 'Most-square view',
    group: 'method',
    appliesTo: factoredAdapters,
  },
  /** Decoupled weight decay on 2-D parameters. */
  weightDecay: {
    type: 'number',
    default: 0,
    minimum: 0,
    maximum: 1,
    help: 'decoupled weight decay of matrices',
    group: 'method',
  },
  /** Sparse MeZO: the share of every tensor, its largest magnitudes, that is left alone. */
  sparsity: {
    type: 'number',
    default: 0.75,
    minimum: 0,
    maximum: 0.999,
    help: 'sparse-mezo: the share of each tensor, its largest weights, that is left alone',
    title: 'Share left alone',
    group: 'method',
    appliesTo: sparse,
  },
  /** HiZOO: s, the weight of a step's curvature in the running estimate H. */
  hessianSmoothing: {
    type: 'number',
    default: 1e-6,
    minimum: 0,
    maximum: 1,
    help: 'hizoo: the weight of a step in the running curvature',
    title: 'Curvature smoothing',
    group: 'method',
    appliesTo: curved,
  },
  /** MeZO: what moves the weights along the estimated gradient. */
  mezoUpdate: {
    type: 'choice',
    default: 'sgd',
    choices: ['sgd', 'momentum', 'adam'],
    placeholder: 'NAME',
    help: 'mezo: the update; momentum keeps another f32 copy of the weights, adam two',
    title: 'Update',
    group: 'method',
    appliesTo: chosenMeans,
  },
  /** Decay of Adam's mean of gradients: SubZero+, and MeZO with momentum or Adam. */
  adamBeta1: {
    type: 'number',
    default: 0.9,
    minimum: 0,
    maximum: 0.999999,
    help: 'subzero-plus, momentum and adam of mezo: decay of the mean of gradients',
    title: 'Adam β₁',
    group: 'method',
    appliesTo: anyMeans,
  },
  /** Decay of Adam's mean of squared gradients: SubZero+, and MeZO with Adam. */
  adamBeta2: {
    type: 'number',
    default: 0.95,
    minimum: 0,
    maximum: 0.999999,
    help: 'subzero-plus and adam of mezo (0.999 there): decay of the mean of squared gradients',
    title: 'Adam β₂',
    group: 'method',
    appliesTo: adamMeans,
  },
  seed: {
    type: 'integer',
    default: 0,
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER,
    help: 'of everything random; the same seed on the same adapter makes the same bits',
    group: 'method',
  },
  /** Storage of the trained weights; `auto` = see WeightStorage. */
  storage: {
    type: 'choice',
    default: 'auto',
    choices: storageChoices,
    placeholder: 'TYPE',
    help:
      'type of the weights on the GPU; auto keeps that of the file, or f32 on a software adapter; ' +
      'q8 and q4 round to 8.5 and 4.5 bits a weight',
    group: 'method',
  },
  /** Evaluate on the validation data every so many steps; 0 = only at the end. */
  evaluateEvery: {
    type: 'integer',
    default: 0,
    minimum: 0,
    maximum: 10_000_000,
    unit: 'steps',
    help: 'steps between two evaluations on the validation data; 0 = only at the end',
    group: 'run',
    rule: evaluatesToStop,
    changes: 'fork',
    loop: true,
  },
  /** End the run after so many evaluations in a row without a lower validation loss; 0 = never. */
  earlyStopping: {
    type: 'integer',
    default: 0,
    minimum: 0,
    maximum: 10_000_000,
    placeholder: 'PATIENCE',
    help: 'end after so many evaluations in a row without a lower validation loss; 0 = never',
    group: 'run',
    changes: 'fork',
    loop: true,
  },
  /** Write event files for TensorBoard into the run folder. */
  tensorboard: {
    type: 'boolean',
    default: false,
    help: 'write event files for TensorBoard into the run folder',
    title: 'TensorBoard',
    group: 'run',
    changes: 'fork',
    loop: true,
  },
  /** Bytes of GPU memory that the run may take, see memory-plan.ts; 0 = no limit. */
  memory: {
    type: 'integer',
    default: 0,
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER,
    unit: 'bytes',
    help: 'GPU memory that the run may take; larger steps run in several passes; 0 = no limit',
    group: 'run',
    changes: 'resume',
    loop: true,
  },
  /** Upper limit of rows (tokens × probes) of one forward pass; larger steps run in several. */
  maxRows: {
    type: 'integer',
    default: 8192,
    minimum: 16,
    maximum: 1_048_576,
    unit: 'rows',
    help: 'most rows (tokens times probes) in one forward pass; a larger step runs in several',
    group: 'run',
    changes: 'fork',
  },
} as const satisfies Readonly<Record<string, Setting>>;

export type SettingName = keyof typeof settings;

/** The names in the order of the table. */
export const settingNames = Object.keys(settings) as SettingName[];

/** A row. Its type says less than that of the table, whose rows are as they stand. */
export function settingOf(name: SettingName): Setting {
  return settings[name];
}

export function isSetting(name: string): name is SettingName {
  return Object.hasOwn(settings, name);
}

/** What decides how a row becomes an example. */
export const readingSettings = [
  'learn',
  'columns',
  'template',
  'labels',
  'truncate',
] as const satisfies readonly SettingName[];
export type ReadingSettings = { [S in (typeof readingSettings)[number]]: ValueOf<(typeof settings)[S]> };

/** The settings whose rows have a mark. */
type Marked<Mark> = { [S in SettingName]: (typeof settings)[S] extends Mark ? S : never }[SettingName];

/** Settings that may change when a run is resumed. */
export type ResumeSetting = Marked<{ changes: 'resume' }>;
