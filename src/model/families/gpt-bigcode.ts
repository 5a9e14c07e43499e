import { flag, text } from '../config-fields.ts';
import { activationNamed, evenHeadWidth, family } from './family.ts';
import { gptLike } from './gpt-like.ts';
import { gpt2Fields, gpt2Ignored } from './gpt2.ts';

/** SantaCoder and StarCoder: a GPT-2 whose queries share one key head. Defaults of `GPTBigCodeConfig`. */
export const gptBigcode = family(
  { ...gpt2Fields, activation_function: text('gelu_pytorch_tanh'), multi_query: flag(true) },
  (values, type) =>
    gptLike(type, {
      names: {
        embedding: 'transformer.wte',
        positions: 'transformer.wpe',
        layers: 'transformer.h',
        finalNorm: 'transformer.ln_f',
        norms: ['ln_1', 'ln_2'],
        projections: ['attn.c_attn'],
        output: 'attn.c_proj',
        up: 'mlp.c_fc',
        down: 'mlp.c_proj',
      },
      vocabulary: values.vocab_size,
      width: values.n_embd,
      inner: values.n_inner ?? 4 * values.n_embd,
      layers: values.n_layer,
      heads: values.n_head,
      keyHeads: values.multi_query ? 1 : values.n_head,
      headWidth: evenHeadWidth(values.n_embd, values.n_head),
      contextLength: values.n_positions,
      epsilon: values.layer_norm_epsilon,
      activation: activationNamed('activation_function', values.activation_function),
      tied: values.tie_word_embeddings,
      biased: { projections: true, output: true, feedForward: true },
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
