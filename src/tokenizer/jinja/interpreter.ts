/**
 * Runs a template's syntax tree. Names are looked up through a chain of scopes: loops, `with`, macros and captured
 * blocks open a scope of their own, and `set` writes into the innermost one, as Jinja has it.
 *
 * @module
 */

import { callValue, getAttribute, getItem, getSlice, setNamespace, spreadKeywords } from './access.ts';
import { TemplateRuntimeError, typeError, valueError } from './errors.ts';
import { filters, type Registry } from './filters.ts';
import { checkItems, checkLength, joinChecked } from './limits.ts';
import { Loop } from './loop.ts';
import type { CallArguments, Expression, ForLoop, MacroBody, Statement, Target } from './nodes.ts';
import { binary, negative, positive } from './operators.ts';
import { toText } from './repr.ts';
import { tests } from './tests.ts';
import {
  Callable,
  compare,
  contains,
  Dict,
  Iteration,
  isEqual,
  isIterable,
  isTrue,
  itemsOf,
  iterate,
  type Keywords,
  List,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from './values.ts';

class Scope {
  readonly #variables: Map<string, Value>;
  readonly #outer: Scope | undefined;
  constructor(outer?: Scope, variables = new Map<string, Value>()) {
    this.#outer = outer;
    this.#variables = variables;
  }
  get(name: string): Value | undefined {
    const value = this.#variables.get(name);
    return value === undefined ? this.#outer?.get(name) : value;
  }
  set(name: string, value: Value): void {
    this.#variables.set(name, value);
  }
}

/** Text that is being written, with the length so far. */
class Writer {
  readonly #parts: string[] = [];
  #length = 0;
  write(text: string): void {
    this.#length += text.length;
    checkLength(this.#length);
    this.#parts.push(text);
  }
  text(): string {
    return this.#parts.join('');
  }
}

/** How a body ended. */
type Ending = 'break' | 'continue' | undefined;

const registry: Registry = {
  filter(name, value, positional, keywords) {
    const filter = Object.hasOwn(filters, name) ? filters[name] : undefined;
    if (filter === undefined) throw new TemplateRuntimeError('TemplateRuntimeError', `No filter named '${name}'.`);
    return filter(value, positional, keywords, registry);
  },
  test(name, value, positional, keywords) {
    const test = Object.hasOwn(tests, name) ? tests[name] : undefined;
    if (test === undefined) throw new TemplateRuntimeError('TemplateRuntimeError', `No test named '${name}'.`);
    return test(value, positional, keywords);
  },
};

/**
 * Runs a template.
 * @param globals what the variables may hide
 */
export function run(
  template: readonly Statement[],
  variables: ReadonlyMap<string, Value>,
  globals: ReadonlyMap<string, Value>,
): string {
  const scope = new Scope(new Scope(undefined, new Map(globals)), new Map(variables));
  const writer = new Writer();
  execute(template, scope, writer);
  return writer.text();
}

function execute(body: readonly Statement[], scope: Scope, writer: Writer): Ending {
  for (const statement of body) {
    const ending = step(statement, scope, writer);
    if (ending !== undefined) return ending;
  }
  return undefined;
}

function step(statement: Statement, scope: Scope, writer: Writer): Ending {
  switch (statement.type) {
    case 'text':
      writer.write(statement.text);
      return undefined;
    case 'output':
      writer.write(toText(evaluate(statement.expression, scope)));
      return undefined;
    case 'if': {
      for (const [test, body] of statement.branches) {
        if (isTrue(evaluate(test, scope))) return execute(body, scope, writer);
      }
      return execute(statement.otherwise, scope, writer);
    }
    case 'for': {
      runLoop(statement, evaluate(statement.iterable, scope), scope, writer, 0);
      return undefined;
    }
    case 'set':
      assign(statement.target, evaluate(statement.value, scope), scope);
      return undefined;
    case 'setBlock': {
      const captured = new Writer();
      const ending = execute(statement.body, new Scope(scope), captured);
      if (ending !== undefined) return ending;
      const text = captured.text();
      assign(statement.target, statement.filter ? evaluate(statement.filter, scope, text) : text, scope);
      return undefined;
    }
    case 'with': {
      const inner = new Scope(scope);
      statement.targets.forEach((target, index) => {
        assign(target, evaluate(statement.values[index]!, scope), inner);
      });
      return execute(statement.body, inner, writer);
    }
    case 'filterBlock': {
      const captured = new Writer();
      const ending = execute(statement.body, new Scope(scope), captured);
      if (ending !== undefined) return ending;
      writer.write(toText(evaluate(statement.filter, scope, captured.text())));
      return undefined;
    }
    case 'macro':
      scope.set(statement.macro.name, makeMacro(statement.macro, scope));
      return undefined;
    case 'callBlock': {
      const { callee, call } = statement.call;
      const caller = makeMacro(statement.macro, scope);
      const { positional, keywords } = evaluateArguments(call, scope);
      const result = callValue(evaluate(callee, scope), positional, new Map([...keywords, ['caller', caller]]));
      writer.write(toText(result));
      return undefined;
    }
    case 'generation':
      execute(statement.body, new Scope(scope), writer);
      return undefined;
    default:
      return statement.type;
  }
}

function runLoop(loop: ForLoop, values: Value, scope: Scope, writer: Writer, depth: number): void {
  if (!isIterable(values)) throw typeError(`'${typeName(values)}' object is not iterable`);
  const filtered = loop.test === undefined ? values : new Iteration(passing(loop, loop.test, values, scope));
  const recurse = (inner: Value, innerDepth: number): Value => {
    const captured = new Writer();
    runLoop(loop, inner, scope, captured, innerDepth);
    return captured.text();
  };
  const context = new Loop(filtered, depth, loop.recursive ? recurse : undefined);
  let ran = false;
  for (let value = context.advance(); value !== undefined; value = context.advance()) {
    const inner = new Scope(scope, new Map<string, Value>([['loop', context]]));
    assign(loop.target, value, inner);
    const ending = execute(loop.body, inner, writer);
    if (ending === 'break') break;
    // Jinja notes an iteration at its end only, which `continue` does not reach either.
    if (ending === undefined) ran = true;
  }
  if (!ran) execute(loop.otherwise, new Scope(scope), writer);
}

/** The values that a loop's `if` lets through, found as they are asked for. */
function* passing(loop: ForLoop, test: Expression, values: Value, scope: Scope): Generator<Value, undefined> {
  for (const value of iterate(values)) {
    const inner = new Scope(scope);
    assign(loop.target, value, inner);
    if (isTrue(evaluate(test, inner))) yield value;
  }
}

function assign(target: Target, value: Value, scope: Scope): void {
  if (target.type === 'name') scope.set(target.name, value);
  else if (target.type === 'namespace') setNamespace(lookUp(target.name, scope), target.attribute, value);
  else {
    if (!isIterable(value)) throw typeError(`cannot unpack non-iterable ${typeName(value)} object`);
    const items = itemsOf(value);
    const count = target.items.length;
    if (items.length < count) throw valueError(`not enough values to unpack (expected ${count}, got ${items.length})`);
    if (items.length > count) throw valueError(`too many values to unpack (expected ${count})`);
    target.items.forEach((each, index) => {
      assign(each, items[index]!, scope);
    });
  }
}

function lookUp(name: string, scope: Scope): Value {
  const value = scope.get(name);
  return value === undefined ? new Undefined(`'${name}' is undefined`) : value;
}

function makeMacro(macro: MacroBody, scope: Scope): Callable {
  const { name, parameters, defaults, uses } = macro;
  const takesCaller = uses.caller && !parameters.includes('caller');
  const call = (positional: readonly Value[], keywords: Keywords): Value => {
    const inner = new Scope(scope);
    const named = new Map(keywords);
    const firstDefault = parameters.length - defaults.length;
    parameters.forEach((parameter, index) => {
      const given = positional[index] === undefined ? named.get(parameter) : positional[index];
      if (positional[index] === undefined) named.delete(parameter);
      let value = given;
      if (value === undefined) {
        value =
          index >= firstDefault
            ? evaluate(defaults[index - firstDefault]!, inner)
            : new Undefined(`parameter '${parameter}' was not provided`);
      }
      inner.set(parameter, value);
    });
    if (takesCaller) {
      inner.set('caller', named.get('caller') ?? new Undefined('No caller defined'));
      named.delete('caller');
    }
    if (uses.kwargs) inner.set('kwargs', new Dict(named));
    else if (named.size > 0) {
      throw typeError(`macro '${name}' takes no keyword argument '${[...named.keys()][0]}'`);
    }
    if (uses.varargs) inner.set('varargs', new Tuple(positional.slice(parameters.length)));
    else if (positional.length > parameters.length) {
      throw typeError(`macro '${name}' takes not more than ${parameters.length} argument(s)`);
    }
    const writer = new Writer();
    execute(macro.body, inner, writer);
    return writer.text();
  };
  const attributes = new Map<string, Value>([
    ['name', name],
    ['arguments', new Tuple(parameters)],
    ['catch_kwargs', uses.kwargs],
    ['catch_varargs', uses.varargs],
    ['caller', uses.caller],
  ]);
  return new Callable(name, call, { typeName: 'Macro', attributes });
}

function evaluateArguments(call: CallArguments, scope: Scope): { positional: Value[]; keywords: Map<string, Value> } {
  const positional = call.positional.map((argument) => evaluate(argument, scope));
  if (call.spread) positional.push(...itemsOf(evaluate(call.spread, scope)));
  const keywords = new Map<string, Value>(call.keywords.map(([name, value]) => [name, evaluate(value, scope)]));
  if (call.spreadKeywords) {
    for (const [name, value] of spreadKeywords(evaluate(call.spreadKeywords, scope))) {
      if (keywords.has(name)) throw typeError(`got multiple values for keyword argument '${name}'`);
      keywords.set(name, value);
    }
  }
  return { positional, keywords };
}

/** @param captured what a filter without a value of its own works on: the text of its block */
function evaluate(expression: Expression, scope: Scope, captured = ''): Value {
  switch (expression.type) {
    case 'constant':
      return expression.value;
    case 'name':
      return lookUp(expression.name, scope);
    case 'list':
      return new List(expression.items.map((item) => evaluate(item, scope)));
    case 'tuple':
      return new Tuple(expression.items.map((item) => evaluate(item, scope)));
    case 'dict':
      return new Dict(expression.entries.map(([key, value]) => [evaluate(key, scope), evaluate(value, scope)]));
    case 'attribute':
      return getAttribute(evaluate(expression.object, scope), expression.name);
    case 'item':
      return getItem(evaluate(expression.object, scope), evaluate(expression.key, scope));
    case 'slice': {
      const object = evaluate(expression.object, scope);
      const [from = null, to = null, by = null] = expression.bounds.map((bound) =>
        bound === undefined ? null : evaluate(bound, scope),
      );
      return getSlice(object, from, to, by);
    }
    case 'call': {
      const callee = evaluate(expression.callee, scope);
      const { positional, keywords } = evaluateArguments(expression.call, scope);
      return callValue(callee, positional, keywords);
    }
    case 'filter': {
      const value = expression.value === undefined ? captured : evaluate(expression.value, scope, captured);
      const { positional, keywords } = evaluateArguments(expression.call, scope);
      const result = registry.filter(expression.name, value, positional, keywords);
      if (result instanceof List) checkItems(result.items.length);
      return result;
    }
    case 'test': {
      const value = evaluate(expression.value, scope);
      const { positional, keywords } = evaluateArguments(expression.call, scope);
      return registry.test(expression.name, value, positional, keywords);
    }
    case 'not':
      return !isTrue(evaluate(expression.value, scope));
    case 'negative':
      return negative(evaluate(expression.value, scope));
    case 'positive':
      return positive(evaluate(expression.value, scope));
    case 'and': {
      const left = evaluate(expression.left, scope);
      return isTrue(left) ? evaluate(expression.right, scope) : left;
    }
    case 'or': {
      const left = evaluate(expression.left, scope);
      return isTrue(left) ? left : evaluate(expression.right, scope);
    }
    case 'binary':
      return binary(expression.operator, evaluate(expression.left, scope), evaluate(expression.right, scope));
    case 'concat':
      return joinChecked(expression.items.map((item) => toText(evaluate(item, scope))));
    case 'compare': {
      let left = evaluate(expression.first, scope);
      for (const [operator, other] of expression.rest) {
        const right = evaluate(other, scope);
        if (!compareBy(operator, left, right)) return false;
        left = right;
      }
      return true;
    }
    case 'condition':
      if (isTrue(evaluate(expression.test, scope))) return evaluate(expression.yes, scope);
      return expression.no === undefined
        ? new Undefined('the inline if-expression evaluated to false and no else section was defined')
        : evaluate(expression.no, scope);
    default:
      throw new TypeError('unknown expression');
  }
}

function compareBy(operator: string, left: Value, right: Value): boolean {
  switch (operator) {
    case '==':
      return isEqual(left, right);
    case '!=':
      return !isEqual(left, right);
    case 'in':
      return contains(right, left);
    case 'not in':
      return !contains(right, left);
    default:
      return compare(operator as '<', left, right);
  }
}
