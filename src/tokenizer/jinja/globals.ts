/**
 * The functions that every template can call: those of Jinja's sandbox and of transformers.
 *
 * @module
 */

import { checkNamespaceName } from './access.ts';
import { bind, bindPositional } from './arguments.ts';
import { TemplateRuntimeError, typeError, unsupported, valueError } from './errors.ts';
import { maxRange } from './limits.ts';
import { Cycler, Joiner } from './loop.ts';
import { toText } from './repr.ts';
import { strftime } from './strftime.ts';
import {
  asText,
  Callable,
  Dict,
  itemsOf,
  type Keywords,
  Namespace,
  Range,
  typeName,
  Undefined,
  type Value,
} from './values.ts';

function toDict(name: string, positional: readonly Value[], keywords: Keywords): Dict {
  if (positional.length > 1) throw typeError(`${name} expected at most 1 argument, got ${positional.length}`);
  const [from] = positional;
  const dict = new Dict(from === undefined ? [] : from instanceof Dict ? from.entries() : pairs(from));
  for (const [key, value] of keywords) dict.set(key, value);
  return dict;
}

function pairs(value: Value): [Value, Value][] {
  return itemsOf(value).map((item, index) => {
    const pair = itemsOf(item);
    if (pair.length !== 2) {
      throw valueError(`dictionary update sequence element #${index} has length ${pair.length}; 2 is required`);
    }
    return [pair[0]!, pair[1]!];
  });
}

function whole(value: Value): bigint {
  if (value instanceof Undefined) throw value.error();
  if (typeof value === 'boolean') return BigInt(value);
  if (typeof value !== 'bigint') throw typeError(`'${typeName(value)}' object cannot be interpreted as an integer`);
  return value;
}

/** @param now the time that `strftime_now` writes */
export function globalFunctions(now: () => Date): ReadonlyMap<string, Value> {
  const functions: Record<string, (positional: readonly Value[], keywords: Keywords) => Value> = {
    range: (positional, keywords) => {
      const [first, second, third = 1n] = bindPositional('range', 1, 3, positional, keywords);
      const [start, stop] = second === undefined ? [0n, whole(first!)] : [whole(first!), whole(second)];
      const step = whole(third);
      if (step === 0n) throw valueError('range() arg 3 must not be zero');
      const range = new Range(start, stop, step);
      if (range.length > maxRange) {
        throw new TemplateRuntimeError(
          'OverflowError',
          `Range too big. The sandbox blocks ranges larger than MAX_RANGE (${maxRange}).`,
        );
      }
      return range;
    },
    dict: (positional, keywords) => toDict('dict', positional, keywords),
    namespace: (positional, keywords) => {
      const namespace = new Namespace();
      for (const [key, value] of toDict('namespace', positional, keywords).entries()) {
        const name = asText(key);
        if (name === undefined) throw typeError('the names in a namespace must be texts');
        checkNamespaceName(name);
        namespace.attributes.set(name, value);
      }
      return namespace;
    },
    cycler: (positional) => new Cycler(positional),
    joiner: (positional, keywords) => new Joiner(bind('joiner', ['sep'], positional, keywords)[0] ?? ', '),
    lipsum: () => {
      throw unsupported('lipsum(), which writes random text,');
    },
    raise_exception: (positional, keywords) => {
      const [message] = bind('raise_exception', ['message'], positional, keywords, 1);
      throw new TemplateRuntimeError('TemplateError', toText(message!));
    },
    strftime_now: (positional, keywords) => {
      const [format] = bind('strftime_now', ['format'], positional, keywords, 1);
      const text = asText(format!);
      if (text === undefined) throw typeError('strftime() argument 1 must be str');
      return strftime(now(), text);
    },
  };
  return new Map(Object.entries(functions).map(([name, call]) => [name, new Callable(name, call)]));
}
