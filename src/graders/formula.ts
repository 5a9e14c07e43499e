/**
 * Formulas over the scores of graders: numbers, names, `+ - * / ^`, parentheses, and a few functions. Parsed by
 * recursive descent; nothing is ever executed as a program.
 *
 * @module
 */

import { GraderFailure } from './failure.ts';

type Scores = ReadonlyMap<string, number>;

export interface Formula {
  /** The names of scores that it reads. */
  names: readonly string[];
  /** @throws GraderFailure `formula_parse_error` where the result is no finite number */
  evaluate(scores: Scores): number;
}

/** With how many arguments: a number, or at least one. */
const functions: Readonly<Record<string, { arity?: number; apply: (...values: number[]) => number }>> = {
  min: { apply: Math.min },
  max: { apply: Math.max },
  abs: { arity: 1, apply: Math.abs },
  floor: { arity: 1, apply: Math.floor },
  ceil: { arity: 1, apply: Math.ceil },
  exp: { arity: 1, apply: Math.exp },
  sqrt: { arity: 1, apply: Math.sqrt },
  log: { arity: 1, apply: Math.log },
};

/** Longest formula, and deepest nesting in it. */
const mostCharacters = 1000;
const deepest = 100;

type Node = (scores: Scores) => number;

/** @throws GraderFailure `formula_parse_error` that says at which character */
export function parseFormula(text: string): Formula {
  if (text.length > mostCharacters) throw problem(text, 0, `it has more than ${mostCharacters} characters`);
  const tokens = tokenize(text);
  const names = new Set<string>();
  let next = 0;
  let depth = 0;

  const peek = (): string | undefined => tokens[next]?.text;
  const refuse = (expected: string): GraderFailure =>
    problem(text, tokens[next]?.place ?? text.length, `expected ${expected}; got ${peek() ?? 'the end'}`);
  const take = (token: string): void => {
    if (peek() !== token) throw refuse(`"${token}"`);
    next++;
  };
  /** Operators of one rank, from left to right. */
  const chain = (operand: () => Node, operators: Readonly<Record<string, (a: number, b: number) => number>>) => () => {
    let left = operand();
    for (let operator = peek(); operator !== undefined && Object.hasOwn(operators, operator); operator = peek()) {
      next++;
      const [apply, first, second] = [operators[operator]!, left, operand()];
      left = (scores) => apply(first(scores), second(scores));
    }
    return left;
  };
  const product = chain(signed, { '*': (a, b) => a * b, '/': (a, b) => a / b });
  const sum = chain(product, { '+': (a, b) => a + b, '-': (a, b) => a - b });

  /** A sign binds less than a power: −2^2 is −4. */
  function signed(): Node {
    if (peek() !== '-' && peek() !== '+') return power();
    const isMinus = tokens[next++]!.text === '-';
    const value = nested(signed);
    return isMinus ? (scores) => -value(scores) : value;
  }

  /** From right to left. */
  function power(): Node {
    const base = primary();
    if (peek() !== '^') return base;
    next++;
    const exponent = nested(signed);
    return (scores) => base(scores) ** exponent(scores);
  }

  function primary(): Node {
    const token = tokens[next];
    if (token === undefined) throw refuse('a number, a name or "("');
    if (token.text === '(') {
      next++;
      const inner = nested(sum);
      take(')');
      return inner;
    }
    if (token.kind === 'number') {
      next++;
      const value = Number(token.text);
      return () => value;
    }
    if (token.kind !== 'name') throw refuse('a number, a name or "("');
    next++;
    if (peek() === '(') return call(token);
    names.add(token.text);
    return (scores) => {
      const score = scores.get(token.text);
      if (score === undefined) throw problem(text, token.place, `there is no grader "${token.text}"`);
      return score;
    };
  }

  function call({ text: name, place }: Token): Node {
    const known = Object.hasOwn(functions, name) ? functions[name] : undefined;
    if (!known)
      throw problem(text, place, `unknown function "${name}"; there are ${Object.keys(functions).join(', ')}`);
    take('(');
    const values = [nested(sum)];
    while (peek() === ',') {
      next++;
      values.push(nested(sum));
    }
    take(')');
    if (known.arity !== undefined && values.length !== known.arity)
      throw problem(text, place, `${name} takes one value; got ${values.length}`);
    return (scores) => known.apply(...values.map((value) => value(scores)));
  }

  function nested(parse: () => Node): Node {
    if (++depth > deepest) throw problem(text, tokens[next]?.place ?? 0, `it nests deeper than ${deepest}`);
    const node = parse();
    depth--;
    return node;
  }

  const root = sum();
  if (next < tokens.length) throw refuse('an operator');
  return {
    names: [...names],
    evaluate(scores) {
      const value = root(scores);
      if (!Number.isFinite(value))
        throw new GraderFailure('formula_parse_error', `the formula ${text} comes to ${value}`);
      return value;
    },
  };
}

interface Token {
  kind: 'number' | 'name' | 'sign';
  text: string;
  place: number;
}

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  const form = /\s*(?:(\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)|([A-Za-z_]\w*)|([-+*/^(),]))/y;
  const end = text.trimEnd().length;
  while (form.lastIndex < end) {
    const start = form.lastIndex;
    const match = form.exec(text);
    if (!match) throw problem(text, start, `unexpected ${text.slice(start).trimStart().charAt(0)}`);
    const kind = match[1] !== undefined ? 'number' : match[2] !== undefined ? 'name' : 'sign';
    const token = match[1] ?? match[2] ?? match[3]!;
    tokens.push({ kind, text: token, place: form.lastIndex - token.length });
  }
  return tokens;
}

function problem(text: string, place: number, what: string): GraderFailure {
  return new GraderFailure('formula_parse_error', `formula ${text.slice(0, 80)}, character ${place + 1}: ${what}`);
}
