/**
 * What a coordinator knows of those who score shards of its run, itself among them: how fast each is, how far behind,
 * how much of the time it waits, and what it costs on the wire.
 *
 * @module
 */

import type { ClusterMember } from '../train/events.ts';
import type { WorkerIdentity } from './protocol.ts';
import { median, sharesOf } from './shares.ts';

/** Milliseconds from one report to the next. */
const reportMilliseconds = 2000;

/** Workers that are told apart; names come from outside, and each takes memory. */
export const mostWorkers = 1000;

/** Seconds without an answer after which a worker is not reported any more. */
const forgottenSeconds = 120;

/** Milliseconds from one look at who is how fast to the next. */
const shareMilliseconds = 250;

/**
 * Seconds without an answer after which a worker gets no share of the parts, longer than one sits out, unless it scored
 * one of the last steps, as a part may take longer than that.
 */
const activeSeconds = 30;
const activeSteps = 2;

/** Parts by whose times the speed of a member is judged. */
const judgedParts = 5;

/** What a member did in some time. */
interface Tally {
  shards: number;
  /** Rows of its shards, by which the speed of training is counted everywhere. */
  tokens: number;
  milliseconds: number;
  bytes: number;
}

const nothing = (): Tally => ({ shards: 0, tokens: 0, milliseconds: 0, bytes: 0 });

export interface Member {
  readonly name: string;
  readonly adapter: string;
  /** Whether it is the coordinator. */
  readonly here: boolean;
  readonly total: Tally;
  /** Since the last report. */
  recent: Tally;
  /** Milliseconds a token of its last parts; the first of all is left out, as much is compiled then. */
  paces: number[];
  /** Tasks that it shall have at once. */
  room: number;
  /** The last step that it scored a part of. */
  lastStep: number;
  lastSeen: number;
  /** Whether its state was told to differ from the coordinator's. */
  differs: boolean;
  /** Answers that were refused. */
  refused: number;
}

/** What a report says of the run as a whole. */
export interface Pace {
  step: number;
  stepsPerSecond: number;
  bytesPerStep: number;
  members: ClusterMember[];
}

export class Members {
  readonly own: Member;
  readonly #workers = new Map<string, Member>();
  /** Bytes on the wire so far. */
  readonly #traffic: () => number;
  #mark: { at: number; bytes: number; steps: number };
  readonly #begin: { at: number; bytes: number };
  #steps = 0;
  #shared = { at: Number.NEGATIVE_INFINITY, parts: 0 };

  constructor(own: { name: string; adapter: string }, traffic: () => number) {
    this.own = newMember(own, 0, true);
    this.#traffic = traffic;
    this.#begin = { at: performance.now(), bytes: traffic() };
    this.#mark = { ...this.#begin, steps: 0 };
  }

  /** The workers that have answered. */
  get workers(): Iterable<Member> {
    return this.#workers.values();
  }

  find(name: string): Member | undefined {
    return this.#workers.get(name);
  }

  /** @returns nothing when there are too many */
  add({ name, adapter }: WorkerIdentity, step: number): Member | undefined {
    if (this.#workers.size >= mostWorkers) return undefined;
    const member = newMember({ name, adapter }, step, false);
    this.#workers.set(name, member);
    return member;
  }

  /** Counts a shard that was used. */
  scored(member: Member, step: number, work: Omit<Tally, 'shards'>): void {
    for (const tally of [member.total, member.recent]) {
      tally.shards++;
      tally.tokens += work.tokens;
      tally.milliseconds += work.milliseconds;
      tally.bytes += work.bytes;
    }
    if (member.total.shards > 1) {
      member.paces = [...member.paces, Math.max(1e-3, work.milliseconds / work.tokens)].slice(-judgedParts);
    }
    member.lastStep = step;
    member.lastSeen = performance.now();
  }

  /** Decides who shall have how many of a step's parts, so that all are done with theirs at the same time. */
  share(parts: number, step: number): void {
    const now = performance.now();
    if (parts === this.#shared.parts && now - this.#shared.at < shareMilliseconds) return;
    this.#shared = { at: now, parts };
    const workers = [...this.#workers.values()].filter(
      ({ lastSeen, lastStep }) => now - lastSeen < activeSeconds * 1000 || step - lastStep <= activeSteps,
    );
    const known = [this.own, ...workers].filter(({ paces }) => paces.length > 0);
    const shares = sharesOf(
      known.map(({ paces }) => median(paces)),
      parts,
    );
    for (const [index, member] of known.entries()) member.room = shares[index]!;
  }

  /** Tasks that a member shall have at once; 0 for one that the others would only wait for. */
  roomOf(member: Member): number {
    // The leader is there in any case, so that a run goes on.
    return member.here ? Math.max(1, member.room) : member.room;
  }

  stepped(): void {
    this.#steps++;
  }

  /** The time since the last report, when one is due. @param parts of a step @param step that was scored last */
  report(parts: number, step: number): Pace | undefined {
    const now = performance.now();
    const { at, bytes, steps } = this.#mark;
    if (now - at < reportMilliseconds || this.#steps === steps) return undefined;
    this.#mark = { at: now, bytes: this.#traffic(), steps: this.#steps };
    const span = { seconds: (now - at) / 1000, bytes: this.#mark.bytes - bytes, steps: this.#steps - steps };
    const pace = this.#pace(span, parts, step, ({ recent }) => recent);
    for (const member of [this.own, ...this.#workers.values()]) member.recent = nothing();
    return pace;
  }

  /** The whole time; nothing where no step was made. */
  summary(parts: number, step: number): Pace | undefined {
    if (this.#steps === 0) return undefined;
    const seconds = (performance.now() - this.#begin.at) / 1000;
    const span = { seconds, bytes: this.#traffic() - this.#begin.bytes, steps: this.#steps };
    return this.#pace(span, parts, step, ({ total }) => total, Number.POSITIVE_INFINITY);
  }

  #pace(
    span: { seconds: number; bytes: number; steps: number },
    parts: number,
    step: number,
    tallyOf: (member: Member) => Tally,
    patience = forgottenSeconds,
  ): Pace {
    const { seconds, bytes, steps } = span;
    const now = performance.now();
    const seen = [...this.#workers.values()].filter(({ lastSeen }) => now - lastSeen < patience * 1000);
    const members = [this.own, ...seen].map((member): ClusterMember => {
      const tally = tallyOf(member);
      return {
        ...{ name: member.name, adapter: member.adapter, here: member.here, shards: member.total.shards },
        stepsPerSecond: tally.shards / parts / seconds,
        tokensPerSecond: tally.tokens / seconds,
        lag: Math.max(0, step - member.lastStep),
        waitingShare: Math.min(1, Math.max(0, 1 - tally.milliseconds / 1000 / seconds)),
        bytesPerStep: tally.bytes / steps,
        differs: member.differs,
        refused: member.refused,
      };
    });
    return { step: step + 1, stepsPerSecond: steps / seconds, bytesPerStep: bytes / steps, members };
  }
}

function newMember({ name, adapter }: { name: string; adapter: string }, step: number, here: boolean): Member {
  return {
    ...{ name, adapter, here, total: nothing(), recent: nothing(), paces: [], room: 1 },
    ...{ lastStep: step, lastSeen: performance.now(), differs: false, refused: 0 },
  };
}
