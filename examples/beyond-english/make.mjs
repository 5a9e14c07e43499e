/** Writes the files beside it: node examples/beyond-english/make.mjs */

import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Sentences with the same meaning in both languages. */
const subjects = [
  ['Der Film', 'The film'],
  ['Die Geschichte', 'The story'],
  ['Das Ende', 'The ending'],
  ['Die Musik', 'The music'],
  ['Das Buch', 'The book'],
  ['Die Regie', 'The direction'],
  ['Der Witz', 'The humour'],
  ['Die Fortsetzung', 'The sequel'],
  ['Das Drehbuch', 'The script'],
];
const verdicts = [
  ['{s} war {a}.', '{s} was {a}.'],
  ['{s} ist wirklich {a}.', '{s} is really {a}.'],
  ['Ich fand: {s} ist {a}.', 'I found that {s} is {a}.'],
  ['{s} bleibt von Anfang bis Ende {a}.', '{s} stays {a} from beginning to end.'],
  ['Man muss es sagen: {s} war sehr {a}.', 'It has to be said: {s} was very {a}.'],
];
const adjectives = [
  [1, 'wunderbar', 'wonderful'],
  [0, 'langweilig', 'boring'],
  [1, 'spannend', 'gripping'],
  [0, 'dumm', 'stupid'],
  [1, 'klug', 'clever'],
  [0, 'schlecht', 'bad'],
  [1, 'bewegend', 'moving'],
  [0, 'enttäuschend', 'disappointing'],
  [1, 'witzig', 'funny'],
  [0, 'zäh', 'tedious'],
  [1, 'schön', 'beautiful'],
  [0, 'lieblos', 'careless'],
  [1, 'gelungen', 'successful'],
  [0, 'albern', 'silly'],
  [1, 'herrlich', 'delightful'],
  [0, 'öde', 'dull'],
  [1, 'fesselnd', 'captivating'],
  [0, 'misslungen', 'botched'],
  [1, 'geistreich', 'witty'],
  [0, 'flach', 'shallow'],
];
const languages = [
  { name: 'german', index: 0, ask: ' Es war', options: [' schrecklich', ' großartig'] },
  { name: 'english', index: 1, ask: ' It was', options: [' terrible', ' great'] },
];

/** Subjects and verdicts of the test sentences occur in no training sentence; adjectives do. */
const split = {
  train: { subjects: subjects.slice(0, 5), verdicts: verdicts.slice(0, 3) },
  test: { subjects: subjects.slice(5), verdicts: verdicts.slice(3) },
};

function sentences({ name, index, ask, options }) {
  for (const [part, { subjects: about, verdicts: says }] of Object.entries(split)) {
    const rows = adjectives.flatMap(([label, ...words]) =>
      about.flatMap((subject, s) =>
        says.flatMap((verdict, v) => {
          // Two of three training sentences, all for the test.
          if (part === 'train' && (s + v) % 3 === 2) return [];
          const text = verdict[index].replace('{s}', subject[index]).replace('{a}', words[index]);
          const lower = text.replace(
            /(: |that )(The|Der|Die|Das)\b/,
            (_, before, article) => before + article.toLowerCase(),
          );
          return [{ prompt: lower + ask, options, label }];
        }),
      ),
    );
    write(name, part, rows);
  }
}

/** Families of small functions: docstring, parameters, body, and the function itself, which makes the tests. */
const pairs = [
  ['sum', 'the sum of {0} and {1}', '{0} + {1}', (a, b) => a + b],
  ['difference', '{0} minus {1}', '{0} - {1}', (a, b) => a - b],
  ['product', 'the product of {0} and {1}', '{0} * {1}', (a, b) => a * b],
  ['larger', 'the larger of {0} and {1}', 'Math.max({0}, {1})', (a, b) => Math.max(a, b)],
  ['smaller', 'the smaller of {0} and {1}', 'Math.min({0}, {1})', (a, b) => Math.min(a, b)],
  ['same', 'whether {0} and {1} are the same', '{0} === {1}', (a, b) => a === b],
  ['above', 'whether {0} is larger than {1}', '{0} > {1}', (a, b) => a > b],
];
const texts = [
  ['upper', '{0} in upper case', '{0}.toUpperCase()', (s) => s.toUpperCase()],
  ['lower', '{0} in lower case', '{0}.toLowerCase()', (s) => s.toLowerCase()],
  ['size', 'the length of {0}', '{0}.length', (s) => s.length],
  ['first', 'the first character of {0}', '{0}[0]', (s) => s[0]],
  ['last', 'the last character of {0}', '{0}.at(-1)', (s) => s.at(-1)],
  ['twice', '{0} repeated twice', '{0} + {0}', (s) => s + s],
];
const numbers = { train: [1, 2, 4, 10], test: [3, 5, 7] };
const added = (n) => [`plus${n}`, `{0} plus ${n}`, `{0} + ${n}`, (a) => a + n];
const multiplied = (n) => [`times${n}`, `{0} times ${n}`, `{0} * ${n}`, (a) => a * n];
const named = {
  train: {
    pairs: [
      ['a', 'b'],
      ['x', 'y'],
      ['m', 'n'],
    ],
    singles: ['text', 's', 'word'],
    number: 'n',
  },
  test: { pairs: [['left', 'right']], singles: ['name'], number: 'value' },
};
const argumentsOf = {
  pair: [
    [3, 5],
    [7, 2],
    [4, 4],
    [-1, 6],
  ],
  text: [['Hello'], ['ab'], ['Zebra x']],
  number: [[0], [6], [-3]],
};

function functions() {
  for (const part of ['train', 'test']) {
    const { pairs: pairNames, singles, number } = named[part];
    const rows = [
      ...pairs.flatMap((each) => pairNames.map((names) => row(each, names, argumentsOf.pair))),
      ...texts.flatMap((each) => singles.map((name) => row(each, [name], argumentsOf.text))),
      ...numbers[part].flatMap((n) => [added(n), multiplied(n)].map((each) => row(each, [number], argumentsOf.number))),
    ];
    write('code', part, rows);
  }
}

function row([name, says, body, run], parameters, calls) {
  const fill = (template) => template.replace(/\{(\d)\}/g, (_, index) => parameters[index]);
  return {
    prompt: `/** Returns ${fill(says)}. */\nfunction ${name}(${parameters.join(', ')}) {`,
    completion: ` return ${fill(body)}; }`,
    name,
    tests: calls.map((call) => [call, run(...call)]),
  };
}

function write(folder, part, rows) {
  const directory = fileURLToPath(new URL(`./${folder}/`, import.meta.url));
  mkdirSync(directory, { recursive: true });
  writeFileSync(`${directory}${part}.jsonl`, rows.map((each) => `${JSON.stringify(each)}\n`).join(''));
}

for (const language of languages) sentences(language);
functions();
