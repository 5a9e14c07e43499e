/**
 * The families of checkpoints by model type.
 *
 * @module
 */

import type { Family } from './family.ts';
import { llama } from './llama.ts';
import { mistral } from './mistral.ts';
import { opt } from './opt.ts';
import { qwen2 } from './qwen2.ts';
import { qwen3 } from './qwen3.ts';

export const families: Readonly<Record<string, Family>> = { llama, mistral, qwen2, qwen3, opt };
