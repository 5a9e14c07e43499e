/**
 * The syntax tree of a template.
 *
 * @module
 */

export type Expression = { line: number } & (
  | { type: 'constant'; value: null | boolean | bigint | number | string }
  | { type: 'name'; name: string }
  | { type: 'list' | 'tuple'; items: Expression[] }
  | { type: 'dict'; entries: [Expression, Expression][] }
  | { type: 'attribute'; object: Expression; name: string }
  | { type: 'item'; object: Expression; key: Expression }
  | { type: 'slice'; object: Expression; bounds: (Expression | undefined)[] }
  | { type: 'call'; callee: Expression; call: CallArguments }
  | { type: 'filter'; value: Expression | undefined; name: string; call: CallArguments }
  | { type: 'test'; value: Expression; name: string; call: CallArguments }
  | { type: 'not' | 'negative' | 'positive'; value: Expression }
  | { type: 'and' | 'or'; left: Expression; right: Expression }
  | { type: 'binary'; operator: BinaryOperator; left: Expression; right: Expression }
  | { type: 'concat'; items: Expression[] }
  | { type: 'compare'; first: Expression; rest: [Comparison, Expression][] }
  | { type: 'condition'; test: Expression; yes: Expression; no: Expression | undefined }
);

export type BinaryOperator = '+' | '-' | '*' | '/' | '//' | '%' | '**';
export type Comparison = '==' | '!=' | '<' | '<=' | '>' | '>=' | 'in' | 'not in';

export interface CallArguments {
  positional: Expression[];
  keywords: [string, Expression][];
  /** `*rest` and `**rest` */
  spread?: Expression;
  spreadKeywords?: Expression;
}

export type Target =
  | { type: 'name'; name: string; line: number }
  | { type: 'namespace'; name: string; attribute: string; line: number }
  | { type: 'tuple'; items: Target[]; line: number };

/** What macros and call blocks take. The last parameters have the defaults. */
export interface Signature {
  parameters: string[];
  defaults: Expression[];
}

export interface MacroBody extends Signature {
  name: string;
  body: Statement[];
  /** Which of the special names the body uses; a macro that does not takes no further arguments. */
  uses: { varargs: boolean; kwargs: boolean; caller: boolean };
}

export interface ForLoop {
  type: 'for';
  target: Target;
  iterable: Expression;
  test: Expression | undefined;
  recursive: boolean;
  body: Statement[];
  otherwise: Statement[];
  line: number;
}

export type Statement =
  | { type: 'text'; text: string }
  | { type: 'output'; expression: Expression }
  | { type: 'if'; branches: [Expression, Statement[]][]; otherwise: Statement[] }
  | ForLoop
  | { type: 'set'; target: Target; value: Expression }
  | { type: 'setBlock'; target: Target; filter: Expression | undefined; body: Statement[] }
  | { type: 'with'; targets: Target[]; values: Expression[]; body: Statement[] }
  | { type: 'filterBlock'; filter: Expression; body: Statement[] }
  | { type: 'macro'; macro: MacroBody }
  | { type: 'callBlock'; macro: MacroBody; call: Expression & { type: 'call' } }
  | { type: 'generation'; body: Statement[] }
  | { type: 'break' | 'continue' };
