/**
 * The `loop` of a for loop, and the loop helpers `cycler` and `joiner`.
 *
 * @module
 */

import { bindPositional } from './arguments.ts';
import { TemplateRuntimeError, typeError } from './errors.ts';
import {
  Callable,
  Iteration,
  isEqual,
  iterate,
  type Keywords,
  lengthOfValue,
  NativeObject,
  Tuple,
  Undefined,
  type Value,
} from './values.ts';

/** The values of a loop, with a look at the next one. */
export class Loop extends NativeObject {
  readonly typeName = 'LoopContext';
  readonly #depth: number;
  readonly #recurse: ((values: Value, depth: number) => Value) | undefined;
  #iterator: Iterator<Value>;
  #known: number | undefined;
  #index = -1;
  #next: IteratorResult<Value> | undefined;
  #current: Value | undefined;
  #previous: Value | undefined;
  #changed: Value | undefined;

  /** @param recurse renders the body for inner values, in a loop that is marked recursive */
  constructor(values: Value, depth: number, recurse?: (values: Value, depth: number) => Value) {
    super();
    this.#iterator = iterate(values);
    if (!(values instanceof Iteration)) this.#known = lengthOfValue(values);
    this.#depth = depth;
    this.#recurse = recurse;
  }

  /** Goes to the next value; undefined after the last. */
  advance(): Value | undefined {
    const { done, value } = this.#peek();
    this.#next = undefined;
    if (done) return undefined;
    this.#index++;
    this.#previous = this.#current;
    this.#current = value;
    return value;
  }

  #peek(): IteratorResult<Value> {
    this.#next ??= this.#iterator.next();
    return this.#next;
  }

  override length(): number {
    if (this.#known === undefined) {
      const rest: Value[] = [];
      const ahead = this.#next;
      for (let step = this.#iterator.next(); !step.done; step = this.#iterator.next()) rest.push(step.value);
      this.#iterator = rest.values();
      this.#known = rest.length + this.#index + 1 + (ahead !== undefined && !ahead.done ? 1 : 0);
    }
    return this.#known;
  }

  override text(): string {
    return `<LoopContext ${this.#index + 1}/${this.length()}>`;
  }

  override attribute(name: string): Value | undefined {
    switch (name) {
      case 'index':
        return BigInt(this.#index + 1);
      case 'index0':
        return BigInt(this.#index);
      case 'revindex':
        return BigInt(this.length() - this.#index);
      case 'revindex0':
        return BigInt(this.length() - this.#index - 1);
      case 'first':
        return this.#index === 0;
      case 'last':
        return this.#peek().done === true;
      case 'length':
        return BigInt(this.length());
      case 'depth':
        return BigInt(this.#depth + 1);
      case 'depth0':
        return BigInt(this.#depth);
      case 'previtem':
        return this.#index === 0 ? new Undefined('there is no previous item') : this.#previous;
      case 'nextitem': {
        const { done, value } = this.#peek();
        return done ? new Undefined('there is no next item') : (value as Value);
      }
      case 'cycle':
        return new Callable('cycle', (values, keywords) => {
          if (keywords.size > 0) throw typeError('cycle() takes no keyword arguments');
          if (values.length === 0) throw typeError('no items for cycling given');
          return values[this.#index % values.length]!;
        });
      case 'changed':
        return new Callable('changed', (values, keywords) => {
          if (keywords.size > 0) throw typeError('changed() takes no keyword arguments');
          const given = new Tuple(values);
          if (this.#changed !== undefined && isEqual(this.#changed, given)) return false;
          this.#changed = given;
          return true;
        });
      default:
        return undefined;
    }
  }

  override call(positional: readonly Value[], keywords: Keywords): Value {
    const [values] = bindPositional('loop', 1, 1, positional, keywords);
    if (this.#recurse === undefined) {
      throw typeError("The loop must have the 'recursive' marker to be called recursively.");
    }
    return this.#recurse(values!, this.#depth + 1);
  }
}

/** `cycler('a', 'b')`: gives its values in turn. */
export class Cycler extends NativeObject {
  readonly typeName = 'Cycler';
  readonly #values: readonly Value[];
  #position = 0;

  constructor(values: readonly Value[]) {
    super();
    if (values.length === 0) throw new TemplateRuntimeError('RuntimeError', 'at least one item has to be provided');
    this.#values = values;
  }

  override attribute(name: string): Value | undefined {
    if (name === 'current') return this.#values[this.#position];
    if (name === 'reset') {
      return new Callable('reset', () => {
        this.#position = 0;
        return null;
      });
    }
    if (name !== 'next') return undefined;
    return new Callable('next', () => {
      const value = this.#values[this.#position]!;
      this.#position = (this.#position + 1) % this.#values.length;
      return value;
    });
  }
}

/** `joiner(', ')`: nothing the first time, then its text. */
export class Joiner extends NativeObject {
  readonly typeName = 'Joiner';
  readonly #separator: Value;
  #used = false;

  constructor(separator: Value) {
    super();
    this.#separator = separator;
  }

  override attribute(name: string): Value | undefined {
    return name === 'sep' ? this.#separator : name === 'used' ? this.#used : undefined;
  }

  override call(): Value {
    if (this.#used) return this.#separator;
    this.#used = true;
    return '';
  }
}
