/**
 * `bench gate`: this tree against an earlier revision of it, in turns; fails where something got worse.
 *
 * @module
 */

import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ensurePackages } from '../scripts/set-up/packages.mjs';
import { SubzeroError } from '../src/errors.ts';
import { plural } from '../src/format.ts';
import { type Clock, compare, failuresOf, gateTable, type Pairs } from './gate/compare.ts';
import { type Answer, type GateRequest, type Part, parts, type Spent, sizes } from './gate/suite.ts';
import { machine } from './machine.ts';

export const usage = `npm run bench -- gate --against REVISION [options]
  --against REVISION   what git knows it by: a tag, a branch, a hash
  --rounds N           pairs of processes (default 4, or as many as fit the minutes, but 2)
  --turns N            of each part of the suite within a round, besides the first, which compiles (default 3)
  --minutes N          begin no round that would end later (default 4.5)
  --adapter NAME       part of the adapter's name, or its index
  --json FILE          write the figures
fails where this tree takes over 15 % more processor time (on a GPU: time), over 1 % more memory, or any more
dispatches`;

const root = fileURLToPath(new URL('..', import.meta.url));
const leastRounds = 2;

type Done = Extract<Answer, { type: 'done' }>;
type Side = 'before' | 'after';

/** All that both revisions did of a part, pair by pair. */
type Pair = Record<Side, Done>;

/** A process each, started anew: `first` includes compilation. */
interface Round {
  load: Pair;
  first: Record<Exclude<Part, 'load'>, Pair>;
  turns: Record<Exclude<Part, 'load'>, Pair[]>;
}

/** Exit code 1 when something got worse. */
export async function benchGate(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      against: { type: 'string' },
      rounds: { type: 'string', default: '4' },
      turns: { type: 'string', default: '3' },
      minutes: { type: 'string', default: '4.5' },
      adapter: { type: 'string' },
      json: { type: 'string' },
    },
  });
  const [most, turns, minutes] = [values.rounds, values.turns, values.minutes].map(Number) as [number, number, number];
  if (![most, turns].every((count) => Number.isInteger(count) && count >= 1) || !(minutes > 0)) {
    throw new SubzeroError('invalid_argument', '--rounds and --turns must be whole numbers from 1, --minutes above 0');
  }
  const revision = revisionOf(values.against);
  const started = performance.now();
  const folder = mkdtempSync(join(tmpdir(), 'subzero-gate-'));
  const other = join(folder, 'revision');
  // A Ctrl-C ends the processes that measure; this one then clears up.
  const ignore = (): void => {};
  process.on('SIGINT', ignore);
  try {
    checkOut(revision, other);
    const data = join(folder, 'rows.jsonl');
    writeFileSync(data, rows());
    const rounds: Round[] = [];
    const measuring = performance.now();
    while (rounds.length < most) {
      const spent = (performance.now() - measuring) / Math.max(1, rounds.length);
      if (rounds.length >= leastRounds && (performance.now() - started + spent) / 60_000 > minutes) break;
      console.error(`round ${rounds.length + 1}`);
      const requestOf = (side: Side): GateRequest => {
        const out = join(folder, `${side}-${rounds.length}`);
        mkdirSync(out);
        const model = join(root, 'examples', 'reviews-3m');
        const where = { root: side === 'before' ? other : root, model, data, out };
        return { ...where, ...(values.adapter ? { adapter: values.adapter } : {}) };
      };
      rounds.push(await measureRound(requestOf, turns));
    }
    const { adapter } = rounds[0]!.load.after;
    const clock: Clock = adapter.software ? 'processor' : 'wall';
    const table = figuresOf(rounds).map((pairs) => compare(pairs, clock));
    const failures = failuresOf(table);
    const names = { before: revision.slice(0, 7), after: currentName() };
    const report = {
      command: `npm run bench -- gate --against ${values.against}`,
      ...names,
      rounds: rounds.length,
      turns,
      minutes: Number(((performance.now() - started) / 60_000).toFixed(1)),
      machine: machine(adapter.description),
      results: agreement(rounds),
    };
    console.log(
      `\`${report.command}\`: ${names.after} against ${names.before}, ` +
        `${plural(rounds.length, 'pair')} of processes with ${plural(turns, 'turn')} each, ` +
        `${report.minutes} minutes; ${report.machine}. ${report.results}.\n`,
    );
    console.log(gateTable(table, names));
    for (const failure of failures) console.log(`\nworse: ${failure}`);
    if (failures.length === 0) console.log('\nnothing got worse beyond the bounds that --help names');
    if (values.json) {
      writeFileSync(values.json, `${JSON.stringify({ ...report, rows: table, failures, figures: rounds }, null, 2)}\n`);
    }
    return failures.length === 0 ? 0 : 1;
  } finally {
    process.off('SIGINT', ignore);
    if (existsSync(other)) git('worktree', 'remove', '--force', other);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Parts that are repeated within a process. */
const repeated = parts.filter((part) => part !== 'load');

async function measureRound(requestOf: (side: Side) => GateRequest, turns: number): Promise<Round> {
  const children: Partial<Record<Side, ChildProcess>> = {};
  let swap = false;
  /** Who comes first takes turns too. */
  const pair = async (body: (side: Side) => Promise<Done>): Promise<Pair> => {
    swap = !swap;
    if (swap) {
      const before = await body('before');
      return { before, after: await body('after') };
    }
    const after = await body('after');
    return { before: await body('before'), after };
  };
  const doing = (part: Part) => pair((side) => ask(children[side]!, part));
  try {
    for (const side of ['before', 'after'] as const) children[side] = await start(requestOf(side));
    const load = await doing('load');
    const first: Partial<Round['first']> = {};
    const later: Partial<Round['turns']> = {};
    for (const part of repeated) {
      first[part] = await doing(part);
      const list: Pair[] = [];
      for (let turn = 0; turn < turns; turn++) list.push(await doing(part));
      later[part] = list;
    }
    return { load, first: first as Round['first'], turns: later as Round['turns'] };
  } finally {
    for (const child of Object.values(children)) if (child.connected) child.send('end');
  }
}

const titles: Readonly<Record<Part, string>> = {
  load: 'opening and loading',
  training: `training, ${sizes.steps} steps of ${sizes.batchSize} sentences`,
  evaluation: `evaluation, ${sizes.evaluated} sentences`,
  generation: `generation, ${sizes.generated} tokens`,
};

/** The figures of all rounds. */
function figuresOf(rounds: readonly Round[]): Pairs[] {
  const pairs = (
    title: string,
    kind: Pairs['kind'],
    list: readonly Pair[],
    of: (spent: Spent) => number | null,
  ): Pairs => ({
    ...{ title, kind },
    before: list.map(({ before }) => of(before.spent)),
    after: list.map(({ after }) => of(after.spent)),
  });
  const clocks = ['processor', 'wall'] as const;
  const times = (title: string, list: readonly Pair[]): Pairs[] =>
    clocks.map((kind) => pairs(title, kind, list, (spent) => spent[kind]));
  /** What the first of each part took beyond the fastest of the later ones. */
  const compilation = (kind: (typeof clocks)[number], side: Side): number[] =>
    rounds.map(({ first, turns }) =>
      repeated.reduce((sum, part) => {
        const later = turns[part].map((turn) => turn[side].spent[kind]);
        return sum + first[part][side].spent[kind] - Math.min(...later);
      }, 0),
    );
  return [
    ...repeated.flatMap((part) =>
      times(
        titles[part],
        rounds.flatMap(({ turns }) => turns[part]),
      ),
    ),
    ...times(
      titles.load,
      rounds.map(({ load }) => load),
    ),
    ...clocks.map((kind) => {
      const of = (side: Side) => compilation(kind, side);
      return {
        title: 'compiling (the first of each beyond the later ones)',
        kind,
        before: of('before'),
        after: of('after'),
      };
    }),
    // The peak so far: of training before there is anything else, and of all.
    pairs(
      'training',
      'bytes',
      rounds.map(({ turns }) => turns.training.at(-1)!),
      ({ peakBytes }) => peakBytes,
    ),
    pairs(
      'all',
      'bytes',
      rounds.map(({ turns }) => turns.generation.at(-1)!),
      ({ peakBytes }) => peakBytes,
    ),
    ...repeated.map((part) =>
      pairs(
        titles[part],
        'dispatches',
        rounds.flatMap(({ turns }) => turns[part]),
        ({ dispatches }) => dispatches,
      ),
    ),
  ];
}

/** How the results of both compare, in words: a difference may be wanted, but not unnoticed. */
function agreement([round]: readonly Round[]): string {
  const { training, evaluation, generation } = round!.first;
  const difference = Math.max(
    ...[training, evaluation].map(({ before, after }) => Math.abs(Number(after.result) - Number(before.result))),
  );
  const losses =
    difference === 0 ? 'The losses are the same bits' : `The losses differ by ${difference.toExponential(1)}`;
  return (
    `${losses}; the generated text is ` +
    `${generation.before.result === generation.after.result ? 'the same' : 'another'}`
  );
}

function git(...words: string[]): string {
  return execFileSync('git', ['-C', root, ...words], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
}

/** The hash of a revision. @throws SubzeroError `invalid_argument` where git knows none */
function revisionOf(name: string | undefined): string {
  if (name === undefined) {
    throw new SubzeroError(
      'invalid_argument',
      '--against REVISION is missing; name a commit, tag or branch to compare with',
    );
  }
  try {
    return git('rev-parse', '--verify', '--quiet', '--end-of-options', `${name}^{commit}`);
  } catch {
    throw new SubzeroError(
      'invalid_argument',
      `--against ${name}: git knows no such commit here (a shallow clone has few)`,
    );
  }
}

/** The hash of this tree's commit, with a plus sign where it has changes since. */
function currentName(): string {
  const isChanged = git('status', '--porcelain', '--untracked-files=no') !== '';
  return `${git('rev-parse', '--short=7', 'HEAD')}${isChanged ? '+' : ''}`;
}

/** Checks a revision out into a folder and gives it its packages. */
function checkOut(revision: string, folder: string): void {
  git('-c', 'core.hooksPath=/dev/null', 'worktree', 'add', '--detach', folder, revision);
  const lockOf = (side: string): string => readFileSync(join(side, 'package-lock.json'), 'utf8');
  if (lockOf(folder) === lockOf(root))
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'), 'junction');
  else ensurePackages(folder, (line) => console.error(`${revision.slice(0, 7)}: ${line}`));
}

/** Sentences of the example data as rows that need no task. */
function rows(): string {
  const file = join(root, 'examples', 'sst2', 'train.jsonl');
  const sentences = readFileSync(file, 'utf8').trim().split('\n').slice(0, 64);
  return sentences
    .map((line) => {
      const { sentence, label } = JSON.parse(line) as { sentence: string; label: number };
      return `${JSON.stringify({ prompt: `${sentence.trim()} It was`, options: [' terrible', ' great'], label })}\n`;
    })
    .join('');
}

/** Starts a process with a revision in it, without anything that an earlier one has compiled or tuned. */
async function start(request: GateRequest): Promise<ChildProcess> {
  const child = fork(fileURLToPath(new URL('./gate/child.ts', import.meta.url)), [JSON.stringify(request)], {
    env: { ...process.env, SUBZERO_CACHE_DIR: join(request.out, 'cache'), MESA_SHADER_CACHE_DISABLE: 'true' },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  await next(child, request.root);
  return child;
}

async function ask(child: ChildProcess, part: Part): Promise<Done> {
  const answered = next(child, part);
  child.send(part);
  return (await answered) as Done;
}

/** The next message of a child. @throws SubzeroError `gpu` where it failed, or ended without one */
function next(child: ChildProcess, what: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const fail = (message: string): void => reject(new SubzeroError('gpu', `the suite failed (${what}): ${message}`));
    const ended = (code: number | null, signal: string | null): void =>
      fail(`it ended with ${signal ?? `exit code ${code}`}`);
    child.once('exit', ended);
    child.once('message', (message) => {
      child.off('exit', ended);
      const answer = message as Answer;
      if (answer.type === 'failed') fail(answer.message);
      else resolve(answer);
    });
  });
}
