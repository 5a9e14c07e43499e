/**
 * Examples for masked language models, by the rule of the MeZO protocol (arXiv 2305.17333) and of LM-BFF
 * (arXiv 2012.15723), whose code it follows: the answer is one token, in the place of the one mask of the prompt.
 *
 * @module
 */

import { type Encoder, failure } from './encoder.ts';
import type { Example, TokenizedExample } from './example.ts';

/** What stands for the mask in prompts, whatever the tokenizer calls it. */
export const maskMark = '<mask>';

/** What a masked language model learns from, for errors. */
export const maskedShapes =
  'a masked language model learns which word stands in the place of a mask: {"prompt" with one <mask>, "options", ' +
  '"label"} or {"prompt" with one <mask>, "completion"}';

/**
 * Tokenises one example. The tokenizer frames the prompt with its special tokens. A prompt that is too long loses
 * tokens before the mask, from the left, and then those at its end.
 *
 * @returns the example and how many tokens of the prompt were dropped
 * @throws SubzeroError `invalid_data` with `file:line` for a prompt without exactly one mask, and for answers that are
 *   not different single tokens
 */
export function tokenizeMasked(
  tokenizer: Encoder,
  example: Example,
  contextLength: number,
): { tokenized: TokenizedExample; dropped: number } {
  const { prompt, options, completion, correct } = example;
  const answers = options ?? (completion === undefined ? [] : [completion]);
  const label = options === undefined ? 0 : example.label;
  if (example.isRendered || example.spans || label === undefined || answers[label] === undefined) {
    throw failure(example, maskedShapes);
  }
  const mask = maskToken(tokenizer, example);
  const text = prompt.replaceAll(maskMark, mask.text);
  const bare = tokenizer.encode(text, { addSpecialTokens: false });
  const place = bare.indexOf(mask.id);
  const masks = bare.filter((id) => id === mask.id).length;
  if (masks !== 1) {
    const names = mask.text === maskMark ? maskMark : `${maskMark} or ${mask.text}`;
    throw failure(example, `the prompt has ${masks} masks (${names}); expected one, where the answer stands`);
  }

  const framed = tokenizer.encode(text);
  // A text that begins with the first token itself gets no second one.
  const front = tokenizer.addsBosToken && bare[0] !== tokenizer.bosTokenId ? 1 : 0;
  const room = contextLength - (framed.length - bare.length);
  if (room < 1) throw failure(example, `the model's context of ${contextLength} leaves no room for the mask`);
  const dropped = Math.max(0, bare.length - room);
  const left = Math.min(dropped, place);
  return {
    dropped,
    tokenized: {
      kind: options === undefined ? 'completion' : 'options',
      prompt: [
        ...framed.slice(0, front),
        ...bare.slice(left, bare.length - (dropped - left)),
        ...framed.slice(front + bare.length),
      ],
      continuations: wordTokens(tokenizer, example, answers).map((id) => ({ ids: [id], scored: 1 })),
      answerRow: front + place - left,
      label,
      ...(correct === undefined ? {} : { correct }),
    },
  };
}

function maskToken(tokenizer: Encoder, example: Example): { text: string; id: number } {
  const text = tokenizer.specialTokens?.mask_token;
  const ids = text === undefined ? [] : tokenizer.encode(text, { addSpecialTokens: false });
  if (text !== undefined && ids.length === 1) return { text, id: ids[0]! };
  throw failure(example, 'the tokenizer names no mask: write "mask_token" to its tokenizer_config.json');
}

/** The token of each answer: of the word with a space in front, as it stands inside of a text. */
function wordTokens(tokenizer: Encoder, example: Example, answers: readonly string[]): number[] {
  const seen = new Map<number, string>();
  return answers.map((answer) => {
    const word = answer.trim();
    if (word === '') throw failure(example, 'the answer is empty');
    // Words of punctuation have no space in front, as in LM-BFF.
    const ids = tokenizer.encode(/^[<[.,]/.test(word) ? word : ` ${word}`, { addSpecialTokens: false });
    const [id] = ids;
    const name = JSON.stringify(word);
    if (id === undefined || ids.length > 1) {
      const parts = ids.map((each) => tokenizer.tokenString?.(each) ?? each).join(' ');
      throw failure(
        example,
        `the answer ${name} has ${ids.length} tokens${parts && ` (${parts})`}; one mask stands for one token: ` +
          `choose another word`,
      );
    }
    if (tokenizer.isSpecialToken?.(id) || tokenizer.tokenString?.(id) === tokenizer.specialTokens?.unk_token) {
      throw failure(example, `the answer ${name} is not a word of the vocabulary: choose another one`);
    }
    const other = seen.get(id);
    if (other !== undefined)
      throw failure(example, `the answers ${JSON.stringify(other)} and ${name} are the same token`);
    seen.set(id, word);
    return id;
  });
}
