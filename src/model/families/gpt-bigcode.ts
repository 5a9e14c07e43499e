import { flag, text } from '../config-fields.ts';
import { family } from './family.ts';
import { gptLike } from './gpt-like.ts';
import { gpt2Fields, gpt2Ignored, gpt2Parts } from './gpt2.ts';

/** SantaCoder and StarCoder: a GPT-2 whose queries share one key head. Defaults of `GPTBigCodeConfig`. */
export const gptBigcode = family(
  { ...gpt2Fields, activation_function: text('gelu_pytorch_tanh'), multi_query: flag(true) },
  (values, type) =>
    gptLike(type, {
      ...gpt2Parts(values),
      keyHeads: values.multi_query ? 1 : values.n_head,
      order: 'groups',
      scoreScaleOf: () => (values.scale_attn_weights ? undefined : 1),
    }),
  {
    ignored: {
      ...gpt2Ignored,
      ...Object.fromEntries(
        ['attention_softmax_in_fp32', 'scale_attention_softmax_in_fp32', 'scale_attn_weights_in_fp32'].map((name) => [
          name,
          'is about roundings in 16-bit arithmetic; sums here are f32',
        ]),
      ),
      inference_runner: 'chooses among programs that compute the same function',
      validate_runner_input: 'is about checks of one of these programs',
      pre_allocate_kv_cache: 'is about the memory of one of these programs',
      max_batch_size: 'is about the memory of one of these programs',
    },
  },
);
