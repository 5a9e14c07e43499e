import { describe, expect, test } from 'vitest';
import { type GraderServices, grade, type JudgeRequest, parseGrader } from '../../src/graders/index.ts';

const item = { answer: 'Paris', list: ['a', { deep: 7 }], constructor_: 'x' };

async function run(grader: unknown, outputText: string, services: GraderServices = {}) {
  return grade(await parseGrader(grader), { item, outputText }, services);
}
const reward = async (grader: unknown, output: string, services?: GraderServices) =>
  (await run(grader, output, services)).reward;

describe('string_check', () => {
  const check = (operation: string, reference = '{{item.answer}}') => ({
    type: 'string_check',
    name: 'c',
    input: '{{ sample.output_text }}',
    reference,
    operation,
  });
  test.each([
    ['eq', 'Paris', 1],
    ['eq', 'paris', 0],
    ['ne', 'paris', 1],
    ['ne', 'Paris', 0],
    ['like', 'It is Paris.', 1],
    ['like', 'It is PARIS.', 0],
    ['ilike', 'It is PARIS.', 1],
    ['ilike', 'It is London.', 0],
  ])('%s of %s is %d', async (operation, output, expected) => {
    expect(await reward(check(operation), output)).toBe(expected);
  });

  test('templates reach into items and JSON samples', async () => {
    expect(await reward(check('eq', '{{item.list[1].deep}}'), '7')).toBe(1);
    expect(await reward(check('eq', '{{item.list.1}}'), '{"deep":7}')).toBe(1);
    const json = { ...check('eq'), input: '{{sample.output_json.city.name}}' };
    expect(await reward(json, '{"city": {"name": "Paris"}}')).toBe(1);
    expect(await run(json, 'Paris')).toMatchObject({ reward: 0, failures: [{ kind: 'sample_parse_error' }] });
    expect(await run(json, '{"city": 1}')).toMatchObject({ failures: [{ kind: 'invalid_variable_error' }] });
    expect(await run(check('eq', '{{item.constructor}}'), 'x')).toMatchObject({
      failures: [{ kind: 'invalid_variable_error', message: 'there is no {{item.constructor}} in what is graded' }],
    });
  });
});

test('text_similarity, by a measure or by embeddings', async () => {
  const similar = (evaluation_metric: string, more = {}) => ({
    ...{ type: 'text_similarity', name: 's', input: '{{sample.output_text}}', reference: '{{item.answer}} is big' },
    ...{ evaluation_metric, ...more },
  });
  expect(await reward(similar('rouge_1'), 'Paris was big')).toBeCloseTo(2 / 3, 12);
  const embed = async (_model: string, texts: readonly string[]) => texts.map((text) => [text.length, 1]);
  expect(await reward(similar('cosine', { model: 'm' }), 'Paris is big', { embed })).toBeCloseTo(1, 12);
  expect(await run(similar('cosine', { model: 'm' }), 'x')).toMatchObject({ failures: [{ kind: 'other_error' }] });
});

test('json_schema', async () => {
  const schema = { type: 'object', required: ['n'], properties: { n: { type: 'integer', minimum: 3 } } };
  const grader = { type: 'json_schema', name: 'j', schema };
  expect(await reward(grader, '{"n": 3}')).toBe(1);
  expect(await reward(grader, '{"n": 2}')).toBe(0);
  expect(await reward(grader, '{"n": "3"}')).toBe(0);
  expect(await reward(grader, 'n = 3')).toBe(0);
  // A property may have any name, and data are no schema.
  const named = { properties: { pattern: { enum: ['x', { pattern: 1 }] } } };
  expect(await reward({ ...grader, schema: named }, '{"pattern": "x"}')).toBe(1);
  expect(await reward({ ...grader, schema: named }, '{"pattern": "y"}')).toBe(0);
});

test.each([
  [{ type: 'objekt' }, /^schema: schema\.type must be of null, .*; got "objekt"/],
  [{ properties: { n: { type: ['integer', 'nul'] } } }, /schema\.properties\.n\.type must be of .*; got "nul"/],
  [{ items: { anyOf: [true, { required: 'n' }] } }, /schema\.items\.anyOf\.1\.required must be a list of names/],
  [{ properties: { n: 'integer' } }, /schema\.properties\.n must be an object, true or false/],
  [{ enum: 'x' }, /schema\.enum must be a list of values/],
])('a schema that would refuse every answer, %j, is refused itself', async (schema, expected) => {
  await expect(parseGrader({ type: 'json_schema', name: 'j', schema })).rejects.toThrow(expected);
});

test('what is wrong with a grader is named, within a multi grader too', async () => {
  const part = { type: 'string_check', name: 'c', input: 'a', reference: 'b', operation: 'eq' };
  const multi = (graders: unknown) => ({ type: 'multi', name: 'm', graders, calculate_output: 'a' });
  for (const [grader, expected] of [
    [{ ...part, pass_threshold: 1 }, /^pass_threshold: graders of this type have no such field/],
    [{ ...part, type: 'regex' }, /^type: .*'string_check' .*'multi'$/],
    [multi({ a: { ...part, operation: 'near' } }), /^graders\.a\.operation: .*"eq"/],
    [multi({ ...part, operation: 'near' }), /^graders\.operation: .*"eq"/],
    [multi({ a: multi({ a: part }) }), /^graders\.a\.type: .*'string_check' .*'python'$/],
  ] as const) {
    await expect(parseGrader(grader)).rejects.toThrow(expected);
  }
});

describe('judging models', () => {
  const judge = (answer: string) => {
    const requests: JudgeRequest[] = [];
    return {
      requests,
      services: {
        complete: async (request: JudgeRequest) => {
          requests.push(request);
          return answer;
        },
      },
    };
  };
  const input = [
    { role: 'developer', content: 'Judge.' },
    { role: 'user', content: [{ type: 'input_text', text: '{{sample.output_text}}' }, ' or {{item.answer}}?'] },
  ];
  const score = { type: 'score_model', name: 's', model: 'm', input, range: [0, 10] };
  const label = {
    type: 'label_model',
    name: 'l',
    model: 'm',
    input,
    labels: ['good', 'bad'],
    passing_labels: ['good'],
  };

  test('a score, alone or as a result', async () => {
    const { services, requests } = judge(' 7.5 ');
    const sampling = { temperature: 0, max_completions_tokens: 5, seed: null };
    expect(await reward({ ...score, sampling_params: sampling }, 'Rome', services)).toBe(7.5);
    expect(requests).toEqual([
      {
        model: 'm',
        messages: [
          { role: 'system', content: 'Judge.' },
          { role: 'user', content: 'Rome or Paris?' },
        ],
        ...{ maxTokens: 5, temperature: 0 },
      },
    ]);
    expect(await reward(score, 'x', judge('{"steps": [], "result": 3}').services)).toBe(3);
  });

  test.each(['11', '-1', 'seven', '', '{"result": "3"}', 'null', 'NaN'])('%j is no score', async (answer) => {
    expect(await run(score, 'x', judge(answer).services)).toMatchObject({
      reward: 0,
      failures: [{ kind: 'model_grader_parse_error' }],
    });
  });

  test('labels', async () => {
    expect(await reward(label, 'x', judge('good\n').services)).toBe(1);
    expect(await reward(label, 'x', judge('{"result": "bad"}').services)).toBe(0);
    expect(await run(label, 'x', judge('fine').services)).toMatchObject({
      failures: [{ kind: 'model_grader_parse_error' }],
    });
  });

  test('a model that fails', async () => {
    const complete = () => Promise.reject(new Error('no such model'));
    expect(await run(label, 'x', { complete })).toMatchObject({
      failures: [{ kind: 'model_grader_server_error', message: 'no such model' }],
    });
  });
});

describe('javascript', () => {
  const program = (source: string) => ({ type: 'javascript', name: 'p', source });
  const ofBody = (body: string) => program(`function grade(sample, item) { ${body} }`);

  test('sees sample and item, and nothing else', async () => {
    const body = 'return sample.output_json.n + item.list[1].deep + sample.output_text.length / 100;';
    expect(await reward(ofBody(body), '{"n": 2}')).toBeCloseTo(9.08, 12);
    const names = [
      'require',
      'process',
      'fetch',
      'XMLHttpRequest',
      'Deno',
      'Bun',
      'std',
      'os',
      'WebAssembly',
      'setTimeout',
    ];
    expect(
      await reward(ofBody(`return ${names.map((name) => `(typeof ${name} !== 'undefined')`).join('+')};`), ''),
    ).toBe(0);
    expect(
      await reward(ofBody('return Number(item.answer === "Paris" && item.__proto__ === Object.prototype)'), ''),
    ).toBe(1);
  });

  test('nothing of one call is there in the next', async () => {
    const counting = program('globalThis.calls = (globalThis.calls ?? 0) + 1; const grade = () => calls;');
    expect(await reward(counting, '')).toBe(1);
    expect(await reward(counting, '')).toBe(1);
  });

  test('text in the data is data', async () => {
    const hostile = '"); throw new Error("out"); ("\u2028`';
    expect(await reward(ofBody('return sample.output_text.length;'), hostile)).toBe(hostile.length);
  });

  test.each([
    ['throw new TypeError("oh")', /the program threw TypeError: oh/],
    ['while (true) {}', /ran longer than 1000 ms and was stopped/],
    ['const all = []; while (true) all.push(new ArrayBuffer(1e6));', /more than 32 MiB of memory/],
    ['return grade(sample, item);', /the program threw InternalError: stack overflow/],
    ['return NaN;', /must return a finite number; it returned NaN/],
    ['return 1 / 0;', /it returned Infinity/],
    ['return "1";', /it returned 1$/],
    ['return { valueOf: () => 1 };', /it returned \[object Object\]/],
    ['return Symbol("x");', /must return a finite number/],
    ['', /it returned undefined/],
  ])('%s', async (body, message) => {
    expect(await run(ofBody(body), 'x')).toEqual({
      reward: 0,
      subRewards: {},
      failures: [{ kind: 'script_error', message: expect.stringMatching(message) }],
    });
  });
});

test('multi', async () => {
  const check = { type: 'string_check', name: 'c', input: '{{sample.output_text}}', operation: 'like', reference: 'P' };
  const near = { ...check, type: 'text_similarity', evaluation_metric: 'fuzzy_match', reference: '{{item.answer}}' };
  const { operation: _, ...similar } = near;
  const multi = {
    type: 'multi',
    name: 'm',
    graders: { check, similar },
    calculate_output: '0.25 * check + 0.75 * similar',
  };
  expect(await run(multi, 'Paris')).toEqual({ reward: 1, subRewards: { check: 1, similar: 1 }, failures: [] });
  const one = await run({ ...multi, graders: check, calculate_output: '2 * c' }, 'P');
  expect(one).toEqual({ reward: 2, subRewards: { c: 1 }, failures: [] });
  const failing = { ...check, reference: '{{item.nothing}}' };
  expect(await run({ ...multi, graders: { check, similar: failing } }, 'Paris')).toEqual({
    reward: 0,
    subRewards: { check: 1 },
    failures: [{ kind: 'invalid_variable_error', message: 'similar: there is no {{item.nothing}} in what is graded' }],
  });
  const divided = await run({ ...multi, calculate_output: 'similar / (check - 1)' }, 'Paris');
  expect(divided).toMatchObject({ reward: 0, failures: [{ kind: 'formula_parse_error' }] });
});

const similar = { type: 'text_similarity', name: 's', input: 'a', reference: 'b', evaluation_metric: 'cosine' };

describe('graders that cannot be are refused by the field', () => {
  const check = { type: 'string_check', name: 'c', input: 'a', reference: 'b', operation: 'eq' };
  const cases: [unknown, RegExp][] = [
    [
      { type: 'json_schema', name: 'j', schema: { items: { properties: { pattern: { pattern: 'a+' } } } } },
      /^type: the keyword "pattern" of a schema is not supported/,
    ],
    [{}, /^type: /],
    [{ ...check, type: 'oracle' }, /^type: /],
    [{ ...check, operation: 'near' }, /^operation: /],
    [{ ...check, colour: 1 }, /colour/],
    [{ ...check, input: '{{sample.choices}}' }, /^input: \{\{sample\.choices\}\} is unknown; expected/],
    [{ ...check, reference: '{{ row.a }}' }, /^reference: \{\{ row\.a \}\} is unknown/],
    [
      { type: 'python', name: 'p', source: 'def grade(sample, item): return 1' },
      /^type: graders in Python.*"javascript"/,
    ],
    [{ ...similar, evaluation_metric: 'meteor' }, /^type: the metric meteor needs the synonyms of WordNet/],
    [similar, /^model: the metric cosine needs the model/],
    [{ type: 'javascript', name: 'p', source: 'function grade( {' }, /^source: the program threw SyntaxError/],
    [
      { type: 'javascript', name: 'p', source: 'const other = 1;' },
      /^source: the program must define a function grade/,
    ],
    [{ type: 'javascript', name: 'p', source: 'while (true) {}' }, /^source: the program ran longer/],
    [
      {
        type: 'label_model',
        name: 'l',
        model: 'm',
        input: [{ role: 'user', content: 'x' }],
        labels: ['a'],
        passing_labels: ['b'],
      },
      /^passing_labels: "b" is none of the labels/,
    ],
    [
      {
        type: 'score_model',
        name: 'l',
        model: 'm',
        input: [{ role: 'user', content: { type: 'input_image', image_url: 'x' } }],
      },
      /^input\.0\.content: .*images and audio are not supported/,
    ],
    [
      { type: 'multi', name: 'm', graders: { a: check }, calculate_output: 'a + b' },
      /^calculate_output: there is no grader "b"; there are a/,
    ],
    [{ type: 'multi', name: 'm', graders: { a: check }, calculate_output: 'a +' }, /^calculate_output: formula a \+/],
    [
      { type: 'multi', name: 'm', graders: { a: { ...check, input: '{{x}}' } }, calculate_output: 'a' },
      /^graders\.a\.input: /,
    ],
  ];
  test.each(cases)('%j', async (grader, message) => {
    await expect(parseGrader(grader)).rejects.toMatchObject({
      name: 'SubzeroError',
      message: expect.stringMatching(message),
    });
  });
});
