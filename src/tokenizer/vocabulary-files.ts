/**
 * The older pair vocab.json and merges.txt of a byte-level BPE (GPT-2, OPT, Qwen2).
 *
 * @module
 */

import { SubzeroError } from '../errors.ts';

/** The lines of merges.txt: two tokens and a space between them; a first line may name the version. */
export function readMerges(text: string): string[] {
  const merges: string[] = [];
  for (const [index, row] of text.split('\n').entries()) {
    const line = row.endsWith('\r') ? row.slice(0, -1) : row;
    if (line === '' || (index === 0 && line.startsWith('#version'))) continue;
    const space = line.indexOf(' ');
    if (space < 0 || line.includes(' ', space + 1)) {
      throw new SubzeroError(
        'invalid_data',
        `merges.txt:${index + 1}: expected two tokens with one space between them; got ` +
          `${JSON.stringify(line.slice(0, 80))}`,
      );
    }
    merges.push(line);
  }
  return merges;
}

/** A post-processor for folders without tokenizer.json: BOS and EOS around a text. */
export function bosAndEos(
  bos: { token: string; id: number } | undefined,
  eos: { token: string; id: number } | undefined,
) {
  const special = (token: { token: string }) => ({ SpecialToken: { id: token.token, type_id: 0 } });
  const tokens = [bos, eos].filter((token) => token !== undefined);
  return {
    type: 'TemplateProcessing',
    single: [...(bos ? [special(bos)] : []), { Sequence: { id: 'A', type_id: 0 } }, ...(eos ? [special(eos)] : [])],
    pair: [],
    special_tokens: Object.fromEntries(
      tokens.map(({ token, id }) => [token, { id: token, ids: [id], tokens: [token] }]),
    ),
  };
}
