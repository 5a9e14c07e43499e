import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  countSmoke,
  countVitest,
  longTestPhases,
  type Phase,
  slowestFiles,
  testPhases,
} from '../../scripts/phases.mjs';
import { runPhases } from '../../scripts/run-phases.mjs';

const situation = { root: '/a b', node: '/n/node', scratch: '/tmp/s', arguments: [] as string[] };

function phase(name: string, script: string, more: Partial<Phase> = {}): Phase {
  return { name, headline: name, command: [process.execPath, '-e', script], ...more };
}

async function run(phases: Phase[]) {
  const lines: string[] = [];
  const shown = { text: '' };
  const code = await runPhases(phases, {
    cwd: process.cwd(),
    environment: process.env,
    say: (line) => lines.push(line),
    show: (text) => {
      shown.text += text;
    },
  });
  return { code, last: lines.at(-1)?.trim(), lines, shown: shown.text };
}

describe('the phases', () => {
  it('are lint, types, tests and the smoke suite on three runtimes', () => {
    const phases = testPhases(situation);
    expect(phases.map((one) => one.name)).toEqual([
      'lint',
      'types',
      'tests',
      'smoke on node',
      'smoke on bun',
      'smoke on deno',
    ]);
    for (const one of phases.slice(3)) expect(one.command.at(-1)).toBe('/a b/test/runtimes/smoke.ts');
  });
  it('hand arguments on to vitest', () => {
    expect(testPhases({ ...situation, arguments: ['test/cli'] })[2]?.command.at(-1)).toBe('test/cli');
    const [long] = longTestPhases({ ...situation, arguments: ['-t', 'x'] });
    expect(long?.command).toContain('/a b/vitest.long.config.ts');
    expect(long?.command.slice(-2)).toEqual(['-t', 'x']);
  });
});

describe('counting', () => {
  it('reads vitest’s report and the last line of the smoke suite', () => {
    expect(countVitest('{"numPassedTests": 12, "numFailedTests": 1}')).toEqual({ passed: 12, failed: 1 });
    expect(countVitest('')).toEqual({ passed: 0, failed: 0 });
    expect(countSmoke('ok a\nsmoke: 1 passed, 2 failed\nsmoke: 3 passed, 0 failed\n')).toEqual({
      passed: 3,
      failed: 0,
    });
    expect(countSmoke('nothing')).toEqual({ passed: 0, failed: 0 });
  });
});

describe('the slowest files', () => {
  it('come in order, with what all took', () => {
    const file = (name: string, seconds: number) => ({
      name: `/a b/test/${name}`,
      startTime: 5,
      endTime: 5 + 1000 * seconds,
    });
    const others = Array.from({ length: 12 }, (_, index) => file(`${index}.test.ts`, 0.5));
    const testResults = [file('quick.test.ts', 0.25), ...others, file('ops/slow.test.ts', 12.5)];
    const lines = slowestFiles(JSON.stringify({ testResults }), '/a b');
    expect(lines).toHaveLength(11);
    expect(lines[0]).toBe('14 files, 19 s over all workers; the longest:');
    expect(lines[1]).toBe(`   12.5 s  ${join('test', 'ops', 'slow.test.ts')}`);
    expect(lines[10]).toContain('0.5 s');
  });
});

describe('runPhases', () => {
  const smoke = (passed: number, failed: number) =>
    phase('smoke', `console.log('smoke: ${passed} passed, ${failed} failed')`, { captured: true, count: countSmoke });

  it('sums up in the last line', async () => {
    const { code, last, shown } = await run([phase('lint', ''), smoke(2, 0), smoke(3, 0)]);
    expect({ code, last }).toEqual({ code: 0, last: 'tests: 5 passed, 0 failed' });
    expect(shown).toBe('smoke: 2 passed, 0 failed\nsmoke: 3 passed, 0 failed\n');
  });
  it('shows the notes of a phase before it says how that went, also of one that failed', async () => {
    const { lines } = await run([
      phase('fine', '', { notes: () => ['one'] }),
      phase('broken', 'process.exit(1)', { notes: () => ['two'] }),
    ]);
    expect(lines.indexOf('one')).toBe(lines.findIndex((line) => line.startsWith('fine: ok')) - 1);
    expect(lines.at(-2)).toBe('two');
  });
  it('stops at the first failure, names it and keeps its exit code', async () => {
    const { code, last, lines } = await run([smoke(2, 0), phase('types', 'process.exit(3)'), phase('never', '')]);
    expect(code).toBe(3);
    expect(last).toBe('tests: 2 passed, 0 failed; phase "types" failed (exit code 3)');
    expect(lines.join()).not.toContain('never');
  });
  it('fails when tests failed, none ran, or the program crashed or is not there', async () => {
    expect(await run([smoke(1, 2)])).toMatchObject({ code: 1, last: expect.stringContaining('(2 failed)') });
    expect(await run([smoke(0, 0)])).toMatchObject({ code: 1, last: expect.stringContaining('(no test ran)') });
    const killed = await run([phase('crash', "process.kill(process.pid, 'SIGKILL')")]);
    expect(killed).toMatchObject({ code: 1, last: expect.stringContaining('(ended by SIGKILL)') });
    const absent = await run([{ ...phase('absent', ''), command: ['/does/not/exist'] }]);
    expect(absent).toMatchObject({ code: 1, last: expect.stringContaining('ENOENT') });
  });
});
