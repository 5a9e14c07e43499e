/**
 * The models of test/fixtures/models that transformers has computed logits of: every architecture, sharded, in 16 bits
 * and with odd widths as well.
 */
export const tinyModels = [
  'llama-tiny',
  'llama-tiny-f16',
  'llama-tiny-sharded',
  'mistral-tiny',
  'qwen2-tiny',
  'qwen3-tiny',
  'opt-tiny',
  'opt-postln-tiny',
  'qwen3-odd-tiny',
  'opt-odd-tiny',
  'gemma3-tiny',
  'granite-tiny',
  'phi3-tiny',
  'gpt2-tiny',
  'gpt-neox-tiny',
] as const;
