import { describe, expect, it } from 'vitest';
import { createProgress } from '../../src/cli/progress.ts';
import { formatBytes, formatCount, formatDuration, plural, shellWord } from '../../src/format.ts';
import { fakeHost } from './fake-host.ts';

describe('progress on a terminal', () => {
  it('rewrites its line, cuts it to the width and keeps other lines above it', () => {
    const host = fakeHost({ live: true, columns: 10 });
    const progress = createProgress(host);
    progress.update('step 1');
    host.time = 50;
    progress.update('too soon');
    host.time = 200;
    progress.update('step 2 of many');
    progress.line('note');
    progress.end();
    expect(host.error.text).toBe(
      '\rstep 1\x1b[K' + '\rstep 2 o…\x1b[K' + '\r\x1b[K' + 'note\n' + '\rstep 2 o…\x1b[K' + '\n',
    );
  });
});

describe('progress in a log', () => {
  it('is a line every few seconds and the last state at the end', () => {
    const host = fakeHost();
    const progress = createProgress(host);
    for (let second = 0; second <= 11; second++) {
      host.time = second * 1000;
      progress.update(`second ${second}`);
    }
    progress.end();
    expect(host.error.text).toBe('second 0\nsecond 5\nsecond 10\nsecond 11\n');
  });
  it('shows the last state above a line that follows from it', () => {
    const host = fakeHost();
    const progress = createProgress(host);
    progress.update('step 1');
    progress.update('step 2');
    progress.line('evaluated after step 2');
    progress.line('saved');
    progress.end();
    expect(host.error.text).toBe('step 1\nstep 2\nevaluated after step 2\nsaved\n');
  });
  it('is silent when quiet, except for lines', () => {
    const host = fakeHost();
    const progress = createProgress(host, true);
    progress.update('step 1');
    progress.line('warning: x');
    progress.end();
    expect(host.error.text).toBe('warning: x\n');
  });
});

describe('numbers', () => {
  it('read well', () => {
    expect(formatDuration(72.4)).toBe('1:12');
    expect(formatDuration(7389)).toBe('2:03:09');
    expect(formatDuration(0)).toBe('0:00');
    expect(formatDuration(Number.POSITIVE_INFINITY)).toBe('–');
    expect(formatBytes(512)).toBe('512 bytes');
    expect(formatBytes(6_291_456)).toBe('6.0 MiB');
    expect(formatCount(8530.4)).toBe('8,530');
    expect(plural(1, 'example')).toBe('1 example');
    expect(plural(1000, 'example')).toBe('1,000 examples');
  });
});

describe('a word of a command', () => {
  it('is quoted where a shell would take it apart', () => {
    expect(shellWord('/runs/sst2-a_b.1')).toBe('/runs/sst2-a_b.1');
    expect(shellWord('my runs/$a')).toBe("'my runs/$a'");
    expect(shellWord("it's")).toBe("'it'\\''s'");
  });
});
