import { SubzeroError } from '../../errors.ts';
import { whole } from '../config-fields.ts';
import { bertFields, bertKeys, bertLike, square } from './bert.ts';
import { family } from './family.ts';

/** Keys with the defaults of `XLMRobertaConfig`. */
const fields = { ...bertFields, pad_token_id: whole(1, 0) };

const read: Parameters<typeof family<typeof fields>>[1] = (values, type) => {
  const { pad_token_id: padding, max_position_embeddings: rows, hidden_size: width } = values;
  // Positions are counted from behind the padding token's id, as in fairseq.
  const offset = padding + 1;
  if (rows <= offset) {
    throw new SubzeroError(
      'invalid_data',
      `"max_position_embeddings" is ${rows}; positions begin at row ${offset}, behind "pad_token_id"`,
    );
  }
  return bertLike(type, values, {
    prefix: 'roberta',
    contextLength: rows - offset,
    position: { offset, padding },
    head: ({ normOf }) => ({
      name: 'lm_head.decoder',
      bias: 'lm_head.bias',
      transform: {
        dense: square('lm_head.dense', width),
        activation: 'gelu',
        norm: normOf('lm_head.layer_norm'),
      },
    }),
  });
};

/** RoBERTa: a BERT whose positions begin behind the padding token's id. Defaults of `RobertaConfig`. */
export const roberta = family({ ...fields, vocab_size: whole(50_265) }, read, bertKeys);

/** XLM-RoBERTa: the same in many languages. */
export const xlmRoberta = family(fields, read, bertKeys);
