/**
 * What the service remembers between two starts: files, jobs, their events and checkpoints, tuned models, collections
 * of other objects, and answers kept for `Idempotency-Key`. A narrow interface, so that nothing else knows the
 * database.
 *
 * SQLite through `node:sqlite`, which Node, Bun and Deno have. Write-ahead log with `synchronous = NORMAL`: whatever
 * was written survives the death of the process. The exclusive lock keeps a second server away from the same directory.
 *
 * @module
 */

import { DatabaseSync } from 'node:sqlite';
import { SubzeroError } from '../src/errors.ts';
import type { GraderDescription } from '../src/graders/index.ts';
import type { TrainConfiguration } from '../src/settings/configuration.ts';
import type { MethodType } from './jobs/hyperparameters.ts';

export interface FileRecord {
  id: string;
  bytes: number;
  createdAt: number;
  filename: string;
  purpose: string;
  /** Non-empty lines, which are examples in a training file. */
  lines: number;
}

export type JobStatus = 'validating_files' | 'queued' | 'running' | 'paused' | 'succeeded' | 'failed' | 'cancelled';

export interface JobRecord {
  id: string;
  createdAt: number;
  finishedAt: number | null;
  status: JobStatus;
  model: string;
  trainingFile: string;
  validationFile: string | null;
  suffix: string | null;
  metadata: Record<string, string> | null;
  /** `method.type` of the request. */
  method: MethodType;
  /** Epochs asked for, if the number of steps was derived from them. */
  epochs: number | null;
  /** Factor on the default learning rate, if one was asked for. */
  learningRateMultiplier: number | null;
  configuration: TrainConfiguration;
  /** What generated answers are worth; absent where nothing is graded. */
  grader?: GraderDescription;
  fineTunedModel: string | null;
  trainedTokens: number | null;
  resultFiles: string[];
  error: { code: string; message: string; param: string | null } | null;
  /** The last step announced. */
  step: number;
  trainLoss: number | null;
  estimatedFinish: number | null;
}

export interface EventRecord {
  /** Position in the sequence of all events; grows. */
  sequence: number;
  jobId: string;
  createdAt: number;
  level: 'info' | 'warn' | 'error';
  message: string;
  type: 'message' | 'metrics';
  data: Record<string, unknown> | null;
}

export interface CheckpointRecord {
  id: string;
  jobId: string;
  createdAt: number;
  step: number;
  model: string;
  metrics: Record<string, number>;
}

/** A fine-tuned model, or a checkpoint of one: the run of a job at a step. */
export interface TunedModelRecord {
  id: string;
  jobId: string;
  base: string;
  /** The step it stands at; `null` = the last. */
  step: number | null;
  createdAt: number;
}

export interface KeptAnswer {
  /** Digest of the request the answer belongs to. */
  fingerprint: string;
  status: number;
  body: string;
  createdAt: number;
}

/** One page of a list; `after` is the sequence number of the object before the page. */
export interface PageRequest {
  after?: number;
  limit: number;
  order: 'asc' | 'desc';
}

export interface Page<T> {
  data: T[];
  hasMore: boolean;
}

/** Objects of one kind, each perhaps a part of another one. */
export interface Collection<T extends { id: string }> {
  /** @param parent the id of the object that it is a part of, if it is one */
  insert(object: T, parent?: string): void;
  update(object: T): void;
  get(id: string): T | undefined;
  /** @returns `undefined` if `after` names none */
  page(request: { after?: string; limit: number; order: 'asc' | 'desc'; parent?: string }): Page<T> | undefined;
  /** All of them, oldest first. */
  all(parent?: string): T[];
  delete(id: string): void;
}

/** All calls are synchronous: each takes some ten microseconds. */
export interface Store {
  collection<T extends { id: string }>(kind: string): Collection<T>;

  insertFile(file: FileRecord): void;
  file(id: string): FileRecord | undefined;
  /** @returns `undefined` if `after` names no file */
  files(page: { after?: string; limit: number; order: 'asc' | 'desc'; purpose?: string }): Page<FileRecord> | undefined;
  deleteFile(id: string): void;
  /** Bytes of all files. */
  storedBytes(): number;

  insertJob(job: JobRecord): void;
  updateJob(job: JobRecord): void;
  job(id: string): JobRecord | undefined;
  /** Newest first. @returns `undefined` if `after` names no job */
  jobs(page: { after?: string; limit: number }): Page<JobRecord> | undefined;
  /** Oldest first. */
  jobsWithStatus(...statuses: JobStatus[]): JobRecord[];

  appendEvent(event: Omit<EventRecord, 'sequence'>): EventRecord;
  events(jobId: string, page: PageRequest): Page<EventRecord>;

  insertCheckpoint(checkpoint: CheckpointRecord): void;
  /** Newest first. @returns `undefined` if `after` names no checkpoint */
  checkpoints(jobId: string, page: { after?: string; limit: number }): Page<CheckpointRecord> | undefined;

  insertTunedModel(model: TunedModelRecord): void;
  tunedModel(id: string): TunedModelRecord | undefined;
  tunedModels(): TunedModelRecord[];
  deleteTunedModel(id: string): void;

  keptAnswer(key: string): KeptAnswer | undefined;
  keepAnswer(key: string, answer: KeptAnswer): void;
  forgetAnswersBefore(time: number): void;

  /** Runs `work` in one transaction. */
  transaction<T>(work: () => T): T;
  close(): void;
}

/** Objects are kept as JSON documents; only what is searched for is a column. */
const schema = `
CREATE TABLE IF NOT EXISTS files (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, purpose TEXT NOT NULL, bytes INTEGER NOT NULL,
  document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS jobs (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, status TEXT NOT NULL, document TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS jobs_by_status ON jobs (status);
CREATE TABLE IF NOT EXISTS events (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, job TEXT NOT NULL, created_at INTEGER NOT NULL, level TEXT NOT NULL,
  message TEXT NOT NULL, type TEXT NOT NULL, data TEXT);
CREATE INDEX IF NOT EXISTS events_by_job ON events (job, sequence);
CREATE TABLE IF NOT EXISTS checkpoints (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, job TEXT NOT NULL, document TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS checkpoints_by_job ON checkpoints (job, sequence);
CREATE TABLE IF NOT EXISTS tuned_models (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS objects (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, parent TEXT NOT NULL,
  document TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS objects_by_parent ON objects (kind, parent, sequence);
CREATE TABLE IF NOT EXISTS answers (
  key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL,
  created_at INTEGER NOT NULL);
`;

/** Raised when a table changes in a way that older code cannot read. */
const schemaVersion = 1;

type Row = Record<string, null | number | bigint | string | Uint8Array>;

/**
 * Opens the database, creating it if need be.
 * @param path a file, or `:memory:`
 * @throws SubzeroError `conflict` if another process holds it, `unsupported` if a newer version wrote it, `io`
 *   otherwise
 */
export function openStore(path: string): Store {
  const database = openDatabase(path);
  const prepared = new Map<string, ReturnType<DatabaseSync['prepare']>>();
  const statement = (sql: string) => {
    let found = prepared.get(sql);
    if (!found) prepared.set(sql, (found = database.prepare(sql)));
    return found;
  };
  const run = (sql: string, ...values: (string | number | null)[]) => statement(sql).run(...values);
  const one = (sql: string, ...values: (string | number | null)[]) => statement(sql).get(...values) as Row | undefined;
  const all = (sql: string, ...values: (string | number | null)[]) => statement(sql).all(...values) as Row[];

  const document = <T>(row: Row | undefined): T | undefined => row && (JSON.parse(row.document as string) as T);
  const sequenceOf = (table: string, id: string) =>
    one(`SELECT sequence FROM ${table} WHERE id = ?`, id)?.sequence as number | undefined;

  /** One page of a table: asks for one row more than the limit to learn whether there are more. */
  const pageOf = <T>(
    table: string,
    filter: { column: string; value: string } | undefined,
    { after, limit, order }: PageRequest,
    read: (row: Row) => T,
  ): Page<T> => {
    const conditions = [
      ...(filter ? [`${filter.column} = ?`] : []),
      ...(after === undefined ? [] : [`sequence ${order === 'asc' ? '>' : '<'} ?`]),
    ];
    const where = conditions.length ? `WHERE ${conditions.join(' AND ')}` : '';
    const rows = all(
      `SELECT * FROM ${table} ${where} ORDER BY sequence ${order === 'asc' ? 'ASC' : 'DESC'} LIMIT ?`,
      ...(filter ? [filter.value] : []),
      ...(after === undefined ? [] : [after]),
      limit + 1,
    );
    return { data: rows.slice(0, limit).map(read), hasMore: rows.length > limit };
  };
  const pageAfter = <T>(
    table: string,
    filter: { column: string; value: string } | undefined,
    page: { after?: string; limit: number; order: 'asc' | 'desc' },
  ): Page<T> | undefined => {
    const after = page.after === undefined ? undefined : sequenceOf(table, page.after);
    if (page.after !== undefined && after === undefined) return undefined;
    const request = { limit: page.limit, order: page.order, ...(after === undefined ? {} : { after }) };
    return pageOf(table, filter, request, (row) => document<T>(row)!);
  };

  return {
    collection: <T extends { id: string }>(kind: string): Collection<T> => ({
      insert(object, parent = '') {
        const values = [object.id, kind, parent, JSON.stringify(object)] as const;
        run('INSERT INTO objects (id, kind, parent, document) VALUES (?, ?, ?, ?)', ...values);
      },
      update(object) {
        run('UPDATE objects SET document = ? WHERE id = ? AND kind = ?', JSON.stringify(object), object.id, kind);
      },
      get: (id) => document(one('SELECT document FROM objects WHERE id = ? AND kind = ?', id, kind)),
      page({ after, limit, order, parent = '' }) {
        const last = after === undefined ? undefined : sequenceOf('objects', after);
        if (after !== undefined && last === undefined) return undefined;
        const [sign, direction] = order === 'asc' ? ['>', 'ASC'] : ['<', 'DESC'];
        const rows = all(
          `SELECT document FROM objects WHERE kind = ? AND parent = ?
           ${last === undefined ? '' : `AND sequence ${sign} ?`} ORDER BY sequence ${direction} LIMIT ?`,
          ...[kind, parent, ...(last === undefined ? [] : [last]), limit + 1],
        );
        return { data: rows.slice(0, limit).map((row) => document<T>(row)!), hasMore: rows.length > limit };
      },
      all: (parent = '') =>
        all('SELECT document FROM objects WHERE kind = ? AND parent = ? ORDER BY sequence', kind, parent).map(
          (row) => document<T>(row)!,
        ),
      delete(id) {
        run('DELETE FROM objects WHERE id = ? AND kind = ?', id, kind);
      },
    }),

    insertFile(file) {
      run(
        'INSERT INTO files (id, purpose, bytes, document) VALUES (?, ?, ?, ?)',
        file.id,
        file.purpose,
        file.bytes,
        JSON.stringify(file),
      );
    },
    file: (id) => document(one('SELECT document FROM files WHERE id = ?', id)),
    files: ({ purpose, ...page }) =>
      pageAfter('files', purpose === undefined ? undefined : { column: 'purpose', value: purpose }, page),
    deleteFile(id) {
      run('DELETE FROM files WHERE id = ?', id);
    },
    storedBytes: () => Number(one('SELECT coalesce(sum(bytes), 0) AS total FROM files')!.total),

    insertJob(job) {
      run('INSERT INTO jobs (id, status, document) VALUES (?, ?, ?)', job.id, job.status, JSON.stringify(job));
    },
    updateJob(job) {
      run('UPDATE jobs SET status = ?, document = ? WHERE id = ?', job.status, JSON.stringify(job), job.id);
    },
    job: (id) => document(one('SELECT document FROM jobs WHERE id = ?', id)),
    jobs: (page) => pageAfter('jobs', undefined, { ...page, order: 'desc' }),
    jobsWithStatus(...statuses) {
      const marks = statuses.map(() => '?').join(', ');
      return all(`SELECT document FROM jobs WHERE status IN (${marks}) ORDER BY sequence`, ...statuses).map(
        (row) => document<JobRecord>(row)!,
      );
    },

    appendEvent(event) {
      const { lastInsertRowid } = run(
        'INSERT INTO events (job, created_at, level, message, type, data) VALUES (?, ?, ?, ?, ?, ?)',
        event.jobId,
        event.createdAt,
        event.level,
        event.message,
        event.type,
        event.data && JSON.stringify(event.data),
      );
      return { ...event, sequence: Number(lastInsertRowid) };
    },
    events: (jobId, page) =>
      pageOf('events', { column: 'job', value: jobId }, page, (row) => ({
        sequence: Number(row.sequence),
        jobId,
        createdAt: Number(row.created_at),
        level: row.level as EventRecord['level'],
        message: row.message as string,
        type: row.type as EventRecord['type'],
        data: row.data === null ? null : JSON.parse(row.data as string),
      })),

    insertCheckpoint(checkpoint) {
      run(
        'INSERT INTO checkpoints (id, job, document) VALUES (?, ?, ?)',
        checkpoint.id,
        checkpoint.jobId,
        JSON.stringify(checkpoint),
      );
    },
    checkpoints: (jobId, page) => pageAfter('checkpoints', { column: 'job', value: jobId }, { ...page, order: 'desc' }),

    insertTunedModel(model) {
      run('INSERT OR REPLACE INTO tuned_models (id, document) VALUES (?, ?)', model.id, JSON.stringify(model));
    },
    tunedModel: (id) => document(one('SELECT document FROM tuned_models WHERE id = ?', id)),
    tunedModels: () =>
      all('SELECT document FROM tuned_models ORDER BY sequence').map((row) => document<TunedModelRecord>(row)!),
    deleteTunedModel(id) {
      run('DELETE FROM tuned_models WHERE id = ?', id);
    },

    keptAnswer(key) {
      const row = one('SELECT * FROM answers WHERE key = ?', key);
      return (
        row && {
          fingerprint: row.fingerprint as string,
          status: Number(row.status),
          body: row.body as string,
          createdAt: Number(row.created_at),
        }
      );
    },
    keepAnswer(key, answer) {
      run(
        'INSERT OR REPLACE INTO answers (key, fingerprint, status, body, created_at) VALUES (?, ?, ?, ?, ?)',
        key,
        answer.fingerprint,
        answer.status,
        answer.body,
        answer.createdAt,
      );
    },
    forgetAnswersBefore(time) {
      run('DELETE FROM answers WHERE created_at < ?', time);
    },

    transaction(work) {
      database.exec('BEGIN IMMEDIATE');
      try {
        const result = work();
        database.exec('COMMIT');
        return result;
      } catch (error) {
        database.exec('ROLLBACK');
        throw error;
      }
    },
    close: () => database.close(),
  };
}

function openDatabase(path: string): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path);
    database.exec('PRAGMA locking_mode = EXCLUSIVE');
    database.exec('PRAGMA journal_mode = WAL');
    database.exec('PRAGMA synchronous = NORMAL');
    const version = Number((database.prepare('PRAGMA user_version').get() as Row).user_version);
    if (version > schemaVersion) {
      throw new SubzeroError(
        'unsupported',
        `${path} was written by a newer version (format ${version}, this version reads up to ${schemaVersion}); ` +
          'update, or choose another data directory',
      );
    }
    database.exec(`BEGIN IMMEDIATE; ${schema} PRAGMA user_version = ${schemaVersion}; COMMIT`);
    return database;
  } catch (error) {
    database?.close();
    if (error instanceof SubzeroError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    if (/locked|busy/i.test(reason)) {
      throw new SubzeroError(
        'conflict',
        `${path} is in use by another server; stop that one, or give this one another data directory`,
        { cause: error },
      );
    }
    throw new SubzeroError('io', `cannot open the database ${path}: ${reason}`, { cause: error });
  }
}
