/**
 * What a coordinator and its workers say to each other.
 *
 * A coordinator holds a lease of its run and raises the run's epoch whenever it takes the run up, so that what was
 * meant for its predecessor is told apart. It publishes the run's journal (the header, then a record a step, each
 * numbered by its step), and a task for each part of the next step: a shard of its examples under a range of its
 * probes. A worker brings its copy of the model to the task's step with the records, scores the part, and sends the
 * sums, which the coordinator confirms; only then the task is done. The confirmation also says how many tasks the
 * worker shall have at once, by how fast it is. A task that is not done in time goes to somebody else: what it asks for
 * is a function of the run, the step and the part, so it may be answered twice.
 *
 * Every message carries the version of this protocol: a coordinator and a worker of two versions refuse each other.
 *
 * @module
 */

import { z } from 'zod';
import { SubzeroError } from '../errors.ts';

/** Raised with every change that one side would not understand of the other. */
export const protocolVersion = 3;

/** Most bytes of a message other than the journal's header. */
export const mostMessageBytes = 256 * 1024;

const epoch = z.int().min(1);
const step = z.int().min(0);
const name = z.string().min(1).max(200);

/** A part of a step to be scored. */
const task = z.strictObject({
  epoch,
  /** Zero-based; the weights are those before it. */
  step,
  shard: z.int().min(0),
  /** Shards that the batch is cut into. */
  shards: z.int().min(1),
  /** The probes that it is scored under. */
  firstProbe: z.int().min(0),
  probes: z.int().min(1),
  /** Whether the answer shall carry a digest of the trained state. */
  digest: z.boolean(),
});
export type Task = z.infer<typeof task>;

const sums = z.strictObject({
  optionLoss: z.number(),
  optionExamples: z.int().min(0),
  correct: z.int().min(0),
  completionLoss: z.number(),
  completionTokens: z.int().min(0),
  completionExamples: z.int().min(0),
  tokens: z.int().min(0),
  measures: z.record(name, z.strictObject({ sum: z.number(), count: z.int().min(0) })).optional(),
});

const workerSchema = z.strictObject({ name, adapter: name, software: z.boolean() });
/** Who answers. */
export type WorkerIdentity = z.infer<typeof workerSchema>;

/** The sums of a part. */
const answer = z.strictObject({
  worker: workerSchema,
  epoch,
  step,
  shard: z.int().min(0),
  firstProbe: z.int().min(0),
  /** By probe of the part. JSON has no numbers that are not finite: null stands for them. */
  sums: z
    .array(sums.extend({ optionLoss: z.number().nullable(), completionLoss: z.number().nullable() }))
    .min(1)
    .max(4096),
  milliseconds: z.number().min(0),
  digest: z.string().max(64).optional(),
  /** With a digest, by which a difference is measured. */
  sketch: z.array(z.number()).max(16).optional(),
});
export type Answer = z.infer<typeof answer>;

/** What the coordinator says to an answer: `refused` ones are wrong, and whoever sent them should stop. */
const reply = z.strictObject({
  verdict: z.enum(['taken', 'late', 'refused']),
  reason: z.string().optional(),
  /** Tasks that the worker shall have at once from here on; 0 where the others would only wait for it. */
  room: z.int().min(0).max(100_000).optional(),
  /** Whether the worker shall take its state from the next snapshot, as it differs. */
  resynchronise: z.boolean().optional(),
});
export type Reply = z.infer<typeof reply>;

/** A run that is being trained, as workers choose by it. */
const announcement = z.strictObject({
  run: name,
  owner: name,
  epoch,
  baseFingerprint: z.string(),
  dataFingerprint: z.string(),
  /** Seconds after which a task goes to another worker. */
  deadline: z.number().min(1),
  /** Rows of a pass and probes of a pass at most: other passes would give other last bits. */
  rows: z.int().min(1),
  probesAtOnce: z.int().min(1),
});
export type Announcement = z.infer<typeof announcement>;

const schemas = { task, answer, reply, announcement };
type Kind = keyof typeof schemas;
type Of<K extends Kind> = z.infer<(typeof schemas)[K]>;

export function encode<K extends Kind>(_kind: K, message: Of<K>): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ protocol: protocolVersion, ...message }));
}

/** @throws SubzeroError `unsupported` for another version of the protocol, `invalid_data` that says what is wrong */
export function decode<K extends Kind>(kind: K, bytes: Uint8Array): Of<K> {
  if (bytes.length > mostMessageBytes) {
    throw new SubzeroError('invalid_data', `a message of ${bytes.length} bytes; at most ${mostMessageBytes} are read`);
  }
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw new SubzeroError('invalid_data', `a message that is no JSON: ${(error as Error).message}`);
  }
  // The first version had no number.
  const { protocol = 1, ...message } = (typeof value === 'object' && value !== null ? value : {}) as {
    protocol?: unknown;
  };
  if (protocol !== protocolVersion) {
    const { run } = message as { run?: unknown };
    const who = kind === 'answer' ? 'a worker' : `the coordinator${typeof run === 'string' ? ` of "${run}"` : ''}`;
    throw new SubzeroError(
      'unsupported',
      `${who} speaks version ${JSON.stringify(protocol)} of the cluster's protocol, this process version ` +
        `${protocolVersion}: use one version of subzero on all machines`,
    );
  }
  const parsed = schemas[kind].safeParse(message);
  if (parsed.success) return parsed.data as Of<K>;
  const [issue] = parsed.error.issues;
  throw new SubzeroError('invalid_data', `a wrong ${kind}: ${issue!.path.join('.') || 'message'}: ${issue!.message}`);
}
