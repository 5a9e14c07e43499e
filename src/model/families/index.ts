/**
 * The families of checkpoints by model type.
 *
 * @module
 */

import type { Family } from './family.ts';
import { lfm2 } from './lfm2.ts';
import { llama } from './llama.ts';
import { mistral } from './mistral.ts';
import { olmo2 } from './olmo2.ts';
import { opt } from './opt.ts';
import { qwen2 } from './qwen2.ts';
import { qwen3 } from './qwen3.ts';
import { qwen35Text } from './qwen3-5.ts';
import { seedOss } from './seed-oss.ts';
import { smollm3 } from './smollm3.ts';

export const families: Readonly<Record<string, Family>> = {
  llama,
  mistral,
  qwen2,
  qwen3,
  smollm3,
  olmo2,
  seed_oss: seedOss,
  opt,
  lfm2,
  qwen3_5_text: qwen35Text,
};
