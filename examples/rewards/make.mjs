/**
 * Makes the prompts beside it: beginnings of stories, from a few words of our own.
 *
 *   node examples/rewards/make.mjs
 */
import { mkdirSync, writeFileSync } from 'node:fs';

const names = ['Tom', 'Lily', 'Ben', 'Mia', 'Sam', 'Anna', 'Max', 'Sue', 'Tim', 'Amy', 'Jack', 'Lucy'];
const others = ['his mom', 'the dog', 'a friend', 'the cat', 'his dad', 'the bird', 'a girl', 'the old man'];
const places = ['in the park', 'at home', 'in the garden', 'by the tree'];

const prompts = {
  json: (name, other) => `${name} looked at ${other}. ${name} said, "`,
  length: (name, other, place) => `${name} played with ${other} ${place}. ${name}`,
};

for (const [folder, write] of Object.entries(prompts)) {
  mkdirSync(new URL(folder, import.meta.url), { recursive: true });
  const rows = names.flatMap((name, i) =>
    others.map((other, j) => write(name, other, places[(i + j) % places.length])),
  );
  // Every third row is held out.
  for (const [file, held] of [
    ['train', false],
    ['test', true],
  ]) {
    const own = rows.filter((_, index) => (index % 3 === 0) === held);
    const text = own.map((prompt) => `${JSON.stringify({ prompt })}\n`).join('');
    writeFileSync(new URL(`${folder}/${file}.jsonl`, import.meta.url), text);
  }
}
