/**
 * The families of checkpoints by model type.
 *
 * @module
 */

import { cohere, cohere2 } from './cohere.ts';
import { falcon } from './falcon.ts';
import type { Family } from './family.ts';
import { glm, glm4 } from './glm.ts';
import { gptBigcode } from './gpt-bigcode.ts';
import { gptNeox } from './gpt-neox.ts';
import { gpt2 } from './gpt2.ts';
import { gptj } from './gptj.ts';
import { llama } from './llama.ts';
import { mistral } from './mistral.ts';
import { olmo2 } from './olmo2.ts';
import { opt } from './opt.ts';
import { phi } from './phi.ts';
import { phi3 } from './phi3.ts';
import { qwen2 } from './qwen2.ts';
import { qwen3 } from './qwen3.ts';
import { seedOss } from './seed-oss.ts';
import { smollm3 } from './smollm3.ts';
import { stablelm } from './stablelm.ts';
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
  stablelm,
  cohere,
  cohere2,
  glm,
  glm4,
  falcon,
  gpt_bigcode: gptBigcode,
  gptj,
};
