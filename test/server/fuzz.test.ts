/**
 * Requests made of /openapi.json and then spoilt, by a seeded generator: whatever comes, the answer is of the caller's
 * making.
 */

import { expect, test } from 'vitest';
import { expectError, startServer } from './harness.ts';

const requestsPerOperation = 30;

interface Schema {
  type?: string | string[];
  $ref?: string;
  properties?: Record<string, Schema>;
  items?: Schema;
  enum?: unknown[];
  const?: unknown;
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  required?: string[];
  minimum?: number;
  maximum?: number;
}

interface Operation {
  parameters?: { name: string; in: 'path' | 'query'; required?: boolean; schema: Schema }[];
  requestBody?: { content: Record<string, { schema: Schema }> };
}

interface Description {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}

/** A small generator of numbers from 0 to 1 (mulberry32), so that a failure can be repeated. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

class Fuzzer {
  readonly #random: () => number;
  readonly #schemas: Record<string, Schema>;

  constructor(seed: number, schemas: Record<string, Schema>) {
    this.#random = generator(seed);
    this.#schemas = schemas;
  }

  chance(share: number): boolean {
    return this.#random() < share;
  }

  pick<T>(values: readonly T[]): T {
    return values[Math.floor(this.#random() * values.length)]!;
  }

  wrong(): unknown {
    return this.pick<() => unknown>([
      () => null,
      () => true,
      () => -1,
      () => 0,
      () => 1.5,
      () => 1e308,
      () => -1e308,
      () => Number.MAX_SAFE_INTEGER,
      () => 2 ** 63,
      () => '',
      () => 'x'.repeat(5000),
      () => '\u0000\ud800\uffff',
      () => '../../etc/passwd',
      () => '__proto__',
      () => [],
      () => [[[[null]]]],
      () => ({}),
      () => ({ constructor: { prototype: 1 }, toString: null }),
      () => Array.from({ length: 2000 }, () => 0),
    ])();
  }

  /** A value that fits the schema more often than not. */
  value(schema: Schema, depth = 0): unknown {
    if (this.chance(0.1) || depth > 6) return this.wrong();
    if (schema.$ref) return this.value(this.#schemas[schema.$ref.split('/').at(-1)!]!, depth);
    const branches = schema.anyOf ?? schema.oneOf;
    if (branches) return this.value(this.pick(branches), depth + 1);
    if (schema.allOf) {
      return Object.assign({}, ...schema.allOf.map((part) => this.value(part, depth + 1)));
    }
    if (schema.const !== undefined) return schema.const;
    if (schema.enum) return this.pick(schema.enum);
    const type = Array.isArray(schema.type) ? this.pick(schema.type) : schema.type;
    const { minimum = 0, maximum = 100 } = schema;
    switch (type) {
      case 'object':
        return this.#object(schema, depth);
      case 'array':
        return Array.from({ length: this.pick([0, 1, 2, 5]) }, () => this.value(schema.items ?? {}, depth + 1));
      case 'integer':
      case 'number':
        return this.pick([minimum, minimum, Math.min(maximum, minimum + 1), maximum, minimum - 1, maximum * 2]);
      case 'boolean':
        return this.chance(0.5);
      case 'null':
        return null;
      default:
        return this.pick(['base', 'a', 'The film was', 'user', '1', 'asc', 'file-none', '\u00e9\ud83d\ude00']);
    }
  }

  #object({ properties = {}, required = [] }: Schema, depth: number): Record<string, unknown> {
    const result: Record<string, unknown> = {};
    for (const [name, schema] of Object.entries(properties)) {
      // What is optional is mostly left out, or every request would fail by one of many fields.
      if (!this.chance(required.includes(name) ? 0.95 : 0.15)) continue;
      result[name] = name === 'model' && this.chance(0.8) ? 'base' : this.value(schema, depth + 1);
    }
    if (this.chance(0.05)) result[`unknown ${depth}`] = this.wrong();
    return result;
  }
}

/** The text of a body: JSON, or now and then no JSON at all. */
function bodyText(fuzzer: Fuzzer, schema: Schema): string {
  const text = JSON.stringify(fuzzer.value(schema));
  if (fuzzer.chance(0.05)) return text.slice(0, -1);
  return fuzzer.chance(0.03) ? text.replace(/\d+/, '1e999') : text;
}

for (const seed of [1, 2]) {
  test(`no request makes the server fail (seed ${seed})`, async () => {
    const server = await startServer({ limits: { activeGenerations: 8, stepRuns: 3 }, logLevel: 'error' });
    const description = (await (await fetch(`${server.url}/openapi.json`)).json()) as Description;
    const fuzzer = new Fuzzer(seed, description.components.schemas);
    const run = (await (
      await fetch(`${server.url}/v1/zo/runs`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"model": "base"}',
      })
    ).json()) as { id: string };
    const answered = new Map<number, number>();
    for (const [path, methods] of Object.entries(description.paths)) {
      for (const [method, { parameters = [], requestBody }] of Object.entries(methods)) {
        for (let count = 0; count < requestsPerOperation; count++) {
          let address = path;
          const query = new URLSearchParams();
          for (const { name, in: place, required, schema } of parameters) {
            const drawn = fuzzer.value(schema);
            const value = typeof drawn === 'string' ? drawn : JSON.stringify(drawn);
            // A run that is live, so that more than the lookup is tried; deleting it would end that.
            const known =
              name === 'run_id' && method !== 'delete' && fuzzer.chance(0.8) ? run.id : value.slice(0, 1000);
            if (place === 'path')
              address = address.replace(`{${name}}`, encodeURIComponent(known.replace(/\p{Surrogate}/gu, '?')));
            else if (required || fuzzer.chance(0.5)) query.set(name, known);
          }
          const [type, content] = Object.entries(requestBody?.content ?? {})[0] ?? [];
          const headers: Record<string, string> = {};
          let body: string | undefined;
          if (type && content) {
            headers['content-type'] = fuzzer.chance(0.03) ? 'text/plain' : type;
            body = bodyText(fuzzer, content.schema);
          }
          const target = `${server.url}${address}${query.size > 0 ? `?${query}` : ''}`;
          const response = await fetch(target, {
            method: method.toUpperCase(),
            headers,
            ...(body === undefined ? {} : { body }),
            signal: AbortSignal.timeout(5000),
          });
          answered.set(response.status, (answered.get(response.status) ?? 0) + 1);
          const about = `${method} ${target.slice(0, 300)} ${body?.slice(0, 600) ?? ''}`;
          expect(response.status, about).toBeLessThan(500);
          if (response.status >= 400) await expectError(response, response.status);
          else await response.arrayBuffer();
        }
      }
    }
    expect(server.logLines).toEqual([]);
    expect(answered.get(200)).toBeGreaterThan(50);
    expect(answered.get(400)).toBeGreaterThan(50);
    expect((await fetch(`${server.url}/ready`)).status).toBe(200);
  });
}
