/**
 * Tokens to a syntax tree, with Jinja's grammar and precedences. What is not supported is refused here, with its line,
 * so that a template is known to be usable before it runs.
 *
 * @module
 */

import { TemplateSyntaxError } from './errors.ts';
import { type Token, type TokenType, tokenize } from './lexer.ts';
import type {
  BinaryOperator,
  CallArguments,
  Comparison,
  Expression,
  MacroBody,
  Signature,
  Statement,
  Target,
} from './nodes.ts';

/** Names that the interpreter has. */
export interface KnownNames {
  filters: ReadonlySet<string>;
  tests: ReadonlySet<string>;
}

const unsupportedTags = ['extends', 'include', 'import', 'from', 'block', 'autoescape', 'trans', 'do', 'debug'];
const constants: Readonly<Record<string, boolean | null>> = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
};

/** @throws TemplateSyntaxError with the line and what was wrong there */
export function parse(template: string, known: KnownNames): Statement[] {
  return new Parser(tokenize(template), known).parse();
}

class Parser {
  readonly #tokens: readonly Token[];
  readonly #known: KnownNames;
  #position = 0;
  /** How many loops are open around the current place, within the innermost macro. */
  #loops = 0;
  /** Names that the innermost macro's body uses, of those with a meaning there. */
  #used = new Set<string>();

  constructor(tokens: readonly Token[], known: KnownNames) {
    this.#tokens = tokens;
    this.#known = known;
  }

  parse(): Statement[] {
    const body = this.#statements([]);
    if (this.#current.type !== 'end') throw this.#unexpected();
    return body;
  }

  get #current(): Token {
    return this.#tokens[this.#position]!;
  }

  #next(): Token {
    const token = this.#current;
    if (token.type !== 'end') this.#position++;
    return token;
  }

  #at(type: TokenType, value?: string, ahead = 0): boolean {
    const token = this.#tokens[this.#position + ahead];
    return token?.type === type && (value === undefined || token.value === value);
  }

  #operator(value: string): boolean {
    return this.#at('operator', value);
  }

  #skip(type: TokenType, value: string): boolean {
    if (!this.#at(type, value)) return false;
    this.#position++;
    return true;
  }

  #expect(type: TokenType, value?: string): Token {
    if (!this.#at(type, value)) throw this.#unexpected(value ?? typeNames[type]);
    return this.#next();
  }

  #unexpected(expected?: string): TemplateSyntaxError {
    const { type, value, line } = this.#current;
    const what = type === 'end' ? 'the end of the template' : `"${value}"`;
    return new TemplateSyntaxError(`unexpected ${what}${expected === undefined ? '' : `, expected ${expected}`}`, line);
  }

  /** Statements until a tag with one of the names, which stays the current token. */
  #statements(ends: readonly string[]): Statement[] {
    const body: Statement[] = [];
    while (true) {
      const token = this.#current;
      if (token.type === 'text') {
        this.#next();
        body.push({ type: 'text', text: token.value });
      } else if (token.type === 'outputBegin') {
        this.#next();
        body.push({ type: 'output', expression: this.#tuple() });
        this.#expect('outputEnd');
      } else if (token.type === 'blockBegin') {
        this.#next();
        if (ends.some((end) => this.#at('name', end))) return body;
        body.push(...this.#statement(ends));
        this.#expect('blockEnd');
      } else {
        if (ends.length > 0) throw this.#unexpected(`{% ${ends.join(' %} or {% ')} %}`);
        return body;
      }
    }
  }

  /** The body of a tag, after its head, up to and with the name of the closing tag. */
  #body(...ends: string[]): Statement[] {
    this.#skip('operator', ':');
    this.#expect('blockEnd');
    return this.#statements(ends);
  }

  #bodyTo(end: string): Statement[] {
    const body = this.#body(end);
    this.#next();
    return body;
  }

  #statement(ends: readonly string[]): Statement[] {
    const { value: tag, line, type } = this.#current;
    if (type !== 'name') throw this.#unexpected('the name of a tag');
    this.#next();
    switch (tag) {
      case 'for':
        return [this.#for(line)];
      case 'if':
        return [this.#if()];
      case 'set':
        return [this.#set()];
      case 'with':
        return [this.#with()];
      case 'print':
        return this.#print();
      case 'macro': {
        const name = this.#expect('name').value;
        this.#checkAssignable(name, line);
        const macro = this.#macro(name, this.#signature(), 'endmacro');
        return [{ type: 'macro', macro }];
      }
      case 'call': {
        const signature = this.#operator('(') ? this.#signature() : { parameters: [], defaults: [] };
        const call = this.#expression();
        if (call.type !== 'call') throw new TemplateSyntaxError('{% call %} needs the call of a macro', line);
        return [{ type: 'callBlock', call, macro: this.#macro('caller', signature, 'endcall') }];
      }
      case 'filter': {
        const filter = this.#filter(undefined);
        return [{ type: 'filterBlock', filter, body: this.#bodyTo('endfilter') }];
      }
      case 'generation': {
        // The body is a macro of its own, which a loop cannot be left from.
        const { body } = this.#macro('generation', { parameters: [], defaults: [] }, 'endgeneration');
        return [{ type: 'generation', body }];
      }
      case 'break':
      case 'continue':
        if (this.#loops === 0) throw new TemplateSyntaxError(`{% ${tag} %} outside of a loop`, line);
        return [{ type: tag }];
      default: {
        if (unsupportedTags.includes(tag)) throw new TemplateSyntaxError(`the tag {% ${tag} %} is not supported`, line);
        const open = ends.length === 0 ? '' : `; open is the one that ends with {% ${ends.at(-1)} %}`;
        throw new TemplateSyntaxError(`unknown tag {% ${tag} %}${open}`, line);
      }
    }
  }

  #for(line: number): Statement {
    const target = this.#target(['in']);
    forbidLoop(target);
    this.#expect('name', 'in');
    const iterable = this.#tuple({ condition: false, ends: ['recursive'] });
    const test = this.#skip('name', 'if') ? this.#expression() : undefined;
    const recursive = this.#skip('name', 'recursive');
    this.#loops++;
    const body = this.#body('endfor', 'else');
    this.#loops--;
    const otherwise = this.#next().value === 'else' ? this.#bodyTo('endfor') : [];
    return { type: 'for', target, iterable, test, recursive, body, otherwise, line };
  }

  #if(): Statement {
    const branches: [Expression, Statement[]][] = [];
    do {
      const test = this.#tuple({ condition: false });
      branches.push([test, this.#body('elif', 'else', 'endif')]);
    } while (this.#skip('name', 'elif'));
    const otherwise = this.#next().value === 'else' ? this.#bodyTo('endif') : [];
    return { type: 'if', branches, otherwise };
  }

  #set(): Statement {
    const target = this.#target([], true);
    if (this.#skip('operator', '=')) return { type: 'set', target, value: this.#tuple() };
    let filter: Expression | undefined;
    while (this.#skip('operator', '|')) filter = this.#filter(filter);
    return { type: 'setBlock', target, filter, body: this.#bodyTo('endset') };
  }

  #with(): Statement {
    const targets: Target[] = [];
    const values: Expression[] = [];
    while (!this.#at('blockEnd')) {
      if (targets.length > 0) this.#expect('operator', ',');
      targets.push(this.#target([]));
      this.#expect('operator', '=');
      values.push(this.#expression());
    }
    return { type: 'with', targets, values, body: this.#bodyTo('endwith') };
  }

  #print(): Statement[] {
    const outputs: Statement[] = [];
    while (!this.#at('blockEnd')) {
      if (outputs.length > 0) this.#expect('operator', ',');
      outputs.push({ type: 'output', expression: this.#expression() });
    }
    return outputs;
  }

  #signature(): Signature {
    const signature: Signature = { parameters: [], defaults: [] };
    this.#expect('operator', '(');
    while (!this.#operator(')')) {
      if (signature.parameters.length > 0) this.#expect('operator', ',');
      const { value: name, line } = this.#expect('name');
      this.#checkAssignable(name, line);
      if (this.#skip('operator', '=')) signature.defaults.push(this.#expression());
      else if (signature.defaults.length > 0) {
        throw new TemplateSyntaxError(`the parameter "${name}" needs a default, as the one before has`, line);
      }
      signature.parameters.push(name);
    }
    this.#next();
    return signature;
  }

  #macro(name: string, signature: Signature, end: string): MacroBody {
    const outer = { used: this.#used, loops: this.#loops };
    this.#used = new Set();
    this.#loops = 0;
    const body = this.#bodyTo(end);
    const used = this.#used;
    const uses = { varargs: used.has('varargs'), kwargs: used.has('kwargs'), caller: used.has('caller') };
    this.#loops = outer.loops;
    this.#used = new Set([...outer.used, ...used]);
    return { name, ...signature, body, uses };
  }

  #checkAssignable(name: string, line: number): void {
    if (Object.hasOwn(constants, name)) throw new TemplateSyntaxError(`cannot assign to "${name}"`, line);
  }

  #target(ends: readonly string[], withNamespace = false): Target {
    const one = (): Target => {
      if (this.#skip('operator', '(')) {
        const inner = this.#target([], withNamespace);
        this.#expect('operator', ')');
        return inner;
      }
      const { value: name, line } = this.#expect('name');
      this.#checkAssignable(name, line);
      if (withNamespace && this.#skip('operator', '.')) {
        return { type: 'namespace', name, attribute: this.#expect('name').value, line };
      }
      return { type: 'name', name, line };
    };
    const { line } = this.#current;
    const first = one();
    if (!this.#operator(',')) return first;
    const items = [first];
    while (this.#skip('operator', ',')) {
      if (this.#at('blockEnd') || this.#operator(')') || this.#operator('=') || ends.includes(this.#current.value))
        break;
      items.push(one());
    }
    return { type: 'tuple', items, line };
  }

  /** One expression, or several with commas between them as a tuple. */
  #tuple(options: { condition?: boolean; ends?: readonly string[]; parentheses?: boolean } = {}): Expression {
    const { line } = this.#current;
    const items: Expression[] = [];
    let isTuple = false;
    while (true) {
      if (items.length > 0) this.#expect('operator', ',');
      if (this.#at('outputEnd') || this.#at('blockEnd') || this.#operator(')')) break;
      if (this.#at('name') && options.ends?.includes(this.#current.value)) break;
      items.push(this.#expression(options.condition ?? true));
      if (!this.#operator(',')) break;
      isTuple = true;
    }
    if (isTuple || (items.length === 0 && options.parentheses)) return { type: 'tuple', items, line };
    if (items.length === 0) throw this.#unexpected('an expression');
    return items[0]!;
  }

  #expression(condition = true): Expression {
    let expression = this.#or();
    while (condition && this.#at('name', 'if')) {
      const { line } = this.#next();
      const test = this.#or();
      const no = this.#skip('name', 'else') ? this.#expression() : undefined;
      expression = { type: 'condition', test, yes: expression, no, line };
    }
    return expression;
  }

  #or(): Expression {
    let left = this.#and();
    while (this.#at('name', 'or')) {
      const { line } = this.#next();
      left = { type: 'or', left, right: this.#and(), line };
    }
    return left;
  }

  #and(): Expression {
    let left = this.#not();
    while (this.#at('name', 'and')) {
      const { line } = this.#next();
      left = { type: 'and', left, right: this.#not(), line };
    }
    return left;
  }

  #not(): Expression {
    if (!this.#at('name', 'not')) return this.#compare();
    const { line } = this.#next();
    return { type: 'not', value: this.#not(), line };
  }

  #compare(): Expression {
    const first = this.#sum();
    const rest: [Comparison, Expression][] = [];
    while (true) {
      const { type, value } = this.#current;
      if (type === 'operator' && ['==', '!=', '<', '<=', '>', '>='].includes(value)) {
        this.#next();
        rest.push([value as Comparison, this.#sum()]);
      } else if (this.#skip('name', 'in')) rest.push(['in', this.#sum()]);
      else if (this.#at('name', 'not') && this.#at('name', 'in', 1)) {
        this.#position += 2;
        rest.push(['not in', this.#sum()]);
      } else break;
    }
    return rest.length === 0 ? first : { type: 'compare', first, rest, line: first.line };
  }

  #binary(operators: readonly string[], operand: () => Expression): Expression {
    let left = operand();
    while (this.#at('operator') && operators.includes(this.#current.value)) {
      const { value, line } = this.#next();
      left = { type: 'binary', operator: value as BinaryOperator, left, right: operand(), line };
    }
    return left;
  }

  #sum(): Expression {
    return this.#binary(['+', '-'], () => this.#concat());
  }

  #concat(): Expression {
    const items = [this.#product()];
    while (this.#skip('operator', '~')) items.push(this.#product());
    return items.length === 1 ? items[0]! : { type: 'concat', items, line: items[0]!.line };
  }

  #product(): Expression {
    return this.#binary(['*', '/', '//', '%'], () => this.#binary(['**'], () => this.#unary()));
  }

  #unary(withFilters = true): Expression {
    const { line } = this.#current;
    let expression: Expression;
    if (this.#skip('operator', '-')) expression = { type: 'negative', value: this.#unary(false), line };
    else if (this.#skip('operator', '+')) expression = { type: 'positive', value: this.#unary(false), line };
    else expression = this.#primary();
    expression = this.#postfix(expression);
    while (withFilters) {
      if (this.#skip('operator', '|')) expression = this.#filter(expression);
      else if (this.#at('name', 'is')) expression = this.#test(expression);
      else if (this.#operator('(')) expression = this.#call(expression);
      else break;
    }
    return expression;
  }

  #primary(): Expression {
    const token = this.#next();
    const { line, value } = token;
    switch (token.type) {
      case 'name':
        if (Object.hasOwn(constants, value)) return { type: 'constant', value: constants[value]!, line };
        if (value === 'self' || value === 'super') {
          throw new TemplateSyntaxError(`"${value}" (template inheritance) is not supported`, line);
        }
        this.#used.add(value);
        return { type: 'name', name: value, line };
      case 'string': {
        let text = value;
        while (this.#at('string')) text += this.#next().value;
        return { type: 'constant', value: text, line };
      }
      case 'integer':
      case 'float':
        return { type: 'constant', value: token.number!, line };
      default:
    }
    if (token.type === 'operator') {
      if (value === '(') {
        const inner = this.#tuple({ parentheses: true });
        this.#expect('operator', ')');
        return inner;
      }
      if (value === '[') return { type: 'list', items: this.#sequence(']', () => this.#expression()), line };
      if (value === '{') {
        const entry = (): [Expression, Expression] => {
          const key = this.#expression();
          this.#expect('operator', ':');
          return [key, this.#expression()];
        };
        return { type: 'dict', entries: this.#sequence('}', entry), line };
      }
    }
    this.#position = this.#tokens.indexOf(token);
    throw this.#unexpected('an expression');
  }

  /** Items with commas between them, and maybe one after the last, up to the closing bracket. */
  #sequence<T>(close: string, item: () => T): T[] {
    const items: T[] = [];
    while (!this.#operator(close)) {
      if (items.length > 0) this.#expect('operator', ',');
      if (this.#operator(close)) break;
      items.push(item());
    }
    this.#next();
    return items;
  }

  #postfix(start: Expression): Expression {
    let expression = start;
    while (true) {
      const { line } = this.#current;
      if (this.#skip('operator', '.')) {
        const token = this.#next();
        if (token.type === 'name') expression = { type: 'attribute', object: expression, name: token.value, line };
        else if (token.type === 'integer') {
          expression = {
            type: 'item',
            object: expression,
            key: { type: 'constant', value: token.number!, line },
            line,
          };
        } else throw new TemplateSyntaxError('a name or a number must follow the dot', line);
      } else if (this.#skip('operator', '[')) expression = this.#subscript(expression, line);
      else if (this.#operator('(')) expression = this.#call(expression);
      else return expression;
    }
  }

  #subscript(object: Expression, line: number): Expression {
    const bounds: (Expression | undefined)[] = [];
    const bound = () => (this.#operator(':') || this.#operator(']') ? undefined : this.#expression());
    bounds.push(bound());
    while (bounds.length < 3 && this.#skip('operator', ':')) bounds.push(bound());
    if (bounds.length === 1 && bounds[0] === undefined) throw this.#unexpected('an index');
    if (this.#operator(',')) {
      if (bounds.length > 1) throw new TemplateSyntaxError('slices of several dimensions are not supported', line);
      const items = [bounds[0]!];
      while (this.#skip('operator', ',')) items.push(this.#expression());
      this.#expect('operator', ']');
      return { type: 'item', object, key: { type: 'tuple', items, line }, line };
    }
    this.#expect('operator', ']');
    return bounds.length === 1
      ? { type: 'item', object, key: bounds[0]!, line }
      : { type: 'slice', object, bounds, line };
  }

  #call(callee: Expression): Expression {
    const { line } = this.#current;
    return { type: 'call', callee, call: this.#arguments(), line };
  }

  #arguments(): CallArguments {
    const { line } = this.#expect('operator', '(');
    const call: CallArguments = { positional: [], keywords: [] };
    const wrong = (what: string) => new TemplateSyntaxError(what, line);
    this.#sequence(')', () => {
      if (this.#skip('operator', '*')) {
        if (call.spread || call.spreadKeywords) throw wrong('"*" is given twice in a call, or after "**"');
        call.spread = this.#expression();
      } else if (this.#skip('operator', '**')) {
        if (call.spreadKeywords) throw wrong('"**" is given twice in a call');
        call.spreadKeywords = this.#expression();
      } else if (this.#at('name') && this.#at('operator', '=', 1)) {
        if (call.spreadKeywords) throw wrong('a named argument follows "**" in a call');
        const name = this.#next().value;
        this.#next();
        if (call.keywords.some(([other]) => other === name)) throw wrong(`the argument "${name}" is given twice`);
        call.keywords.push([name, this.#expression()]);
      } else {
        if (call.spread || call.spreadKeywords || call.keywords.length > 0) {
          throw wrong('an argument without a name follows one with a name in a call');
        }
        call.positional.push(this.#expression());
      }
    });
    return call;
  }

  #dottedName(): Token {
    const token = this.#expect('name');
    let name = token.value;
    while (this.#skip('operator', '.')) name += `.${this.#expect('name').value}`;
    return { ...token, value: name };
  }

  #filter(value: Expression | undefined): Expression {
    const { value: name, line } = this.#dottedName();
    if (!this.#known.filters.has(name)) throw new TemplateSyntaxError(`the filter "${name}" is not supported`, line);
    const call = this.#operator('(') ? this.#arguments() : { positional: [], keywords: [] };
    const expression: Expression = { type: 'filter', value, name, call, line };
    // A filter block may chain filters after its first one.
    if (value === undefined && this.#operator('|')) {
      let chained: Expression = expression;
      while (this.#skip('operator', '|')) chained = this.#filter(chained);
      return chained;
    }
    return expression;
  }

  #test(value: Expression): Expression {
    const { line } = this.#next();
    const negated = this.#skip('name', 'not');
    const { value: name } = this.#dottedName();
    if (!this.#known.tests.has(name)) throw new TemplateSyntaxError(`the test "${name}" is not supported`, line);
    let call: CallArguments = { positional: [], keywords: [] };
    const { type, value: next } = this.#current;
    const begins =
      type === 'string' ||
      type === 'integer' ||
      type === 'float' ||
      (type === 'operator' && '[{'.includes(next)) ||
      (type === 'name' && !['else', 'or', 'and'].includes(next));
    if (this.#operator('(')) call = this.#arguments();
    else if (begins) {
      if (this.#at('name', 'is')) throw new TemplateSyntaxError('tests cannot be chained with "is"', line);
      call = { positional: [this.#postfix(this.#primary())], keywords: [] };
    }
    const test: Expression = { type: 'test', value, name, call, line };
    return negated ? { type: 'not', value: test, line } : test;
  }
}

const typeNames: Readonly<Record<TokenType, string>> = {
  text: 'text',
  blockBegin: '{%',
  blockEnd: '%}',
  outputBegin: '{{',
  outputEnd: '}}',
  name: 'a name',
  string: 'a text',
  integer: 'a whole number',
  float: 'a number',
  operator: 'an operator',
  end: 'the end',
};

function forbidLoop(target: Target): void {
  if (target.type === 'tuple') target.items.forEach(forbidLoop);
  else if (target.name === 'loop')
    throw new TemplateSyntaxError('"loop" cannot be the variable of a loop', target.line);
}
