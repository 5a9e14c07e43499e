/**
 * The families of checkpoints by model type.
 *
 * @module
 */

import { bert } from './bert.ts';
import type { Family } from './family.ts';
import { gptNeox } from './gpt-neox.ts';
import { gpt2 } from './gpt2.ts';
import { llama } from './llama.ts';
import { mistral } from './mistral.ts';
import { modernbert } from './modernbert.ts';
import { olmo2 } from './olmo2.ts';
import { opt } from './opt.ts';
import { phi } from './phi.ts';
import { phi3 } from './phi3.ts';
import { qwen2 } from './qwen2.ts';
import { qwen3 } from './qwen3.ts';
import { roberta, xlmRoberta } from './roberta.ts';
import { seedOss } from './seed-oss.ts';
import { smollm3 } from './smollm3.ts';
import { starcoder2 } from './starcoder2.ts';

export const families: Readonly<Record<string, Family>> = {
  llama,
  mistral,
  qwen2,
  qwen3,
  smollm3,
  olmo2,
  seed_oss: seedOss,
  opt,
  phi3,
  gpt2,
  gpt_neox: gptNeox,
  starcoder2,
  phi,
  roberta,
  'xlm-roberta': xlmRoberta,
  bert,
  modernbert,
};
