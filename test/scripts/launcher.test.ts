import { spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { currentRuntimeRunsTypeScript, findNode, runsTypeScript } from '../../bin/find-node.mjs';

const project = resolve(import.meta.dirname, '../..');

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'subzero launcher '));
  cpSync(join(project, 'bin'), join(root, 'bin'), { recursive: true });
});
afterEach(() => rmSync(root, { recursive: true }));

function write(path: string, text: string) {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

/** Makes this Node say that it is an old one. */
const oldVersions = "{...process.versions,node:'20.1.0'}";
const pretendOld = `data:text/javascript,Object.defineProperty(process,'versions',{value:${oldVersions}})`;

function launch(words: string[], old = false) {
  const start = [...(old ? ['--import', pretendOld] : []), join(root, 'bin', 'subzero.mjs'), ...words];
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, start, { encoding: 'utf8' });
  return { status, signal, stdout, stderr };
}

function bringNode() {
  mkdirSync(join(root, 'node_modules', 'node', 'bin'), { recursive: true });
  symlinkSync(process.execPath, join(root, 'node_modules', 'node', 'bin', 'node'));
}

const echo =
  'const words: string[] = process.argv.slice(2); console.log(JSON.stringify(words)); process.exitCode = 7;\n';

describe('the launcher', () => {
  it('runs the sources in this process and passes arguments and exit code', () => {
    write('src/cli/main.ts', echo);
    expect(launch(['a b', '--c'])).toMatchObject({ status: 7, stdout: '["a b","--c"]\n', stderr: '' });
  });
  it('prefers sources to compiled files, and runs those where there are no sources', () => {
    write('dist/src/cli/main.js', 'console.log("compiled");\n');
    write('package.json', '{"type":"module"}');
    expect(launch([], true)).toMatchObject({ status: 0, stdout: 'compiled\n' });
    write('src/cli/main.ts', echo);
    expect(launch([])).toMatchObject({ status: 7, stdout: '[]\n' });
  });
  it('takes the Node of the project where this one is too old', () => {
    write('src/cli/main.ts', echo);
    bringNode();
    expect(launch(['x y'], true)).toMatchObject({ status: 7, stdout: '["x y"]\n', stderr: '' });
  });
  it('says what to do where there is no newer Node, or no program', () => {
    expect(launch([])).toMatchObject({ status: 1, stderr: expect.stringContaining('the package is incomplete') });
    write('src/cli/main.ts', echo);
    const { status, stderr } = launch([], true);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^subzero: running from source needs Node 22\.18 or newer; this is Node 20\.1\.0\n {2}run/);
  });
  it('hands signals on and waits for the program to end in its own time', async () => {
    write(
      'src/cli/main.ts',
      'const timer = setInterval(() => {}, 1000);\n' +
        "process.on('SIGINT', () => setTimeout(() => { clearInterval(timer); process.exitCode = 130; }, 100));\n" +
        "console.log('ready');\n",
    );
    bringNode();
    const child = spawn(process.execPath, ['--import', pretendOld, join(root, 'bin', 'subzero.mjs')]);
    const ended = new Promise((done) => child.on('exit', (code, signal) => done({ code, signal })));
    await new Promise((ready) => child.stdout.once('data', ready));
    child.kill('SIGINT');
    expect(await ended).toEqual({ code: 130, signal: null });
  });
  it.skipIf(process.platform === 'win32')('leaves no program behind when it is killed', async () => {
    // The program saves what it has, as at a signal that is passed on.
    write(
      'src/cli/main.ts',
      "import { writeFileSync } from 'node:fs';\n" +
        'const timer = setInterval(() => {}, 1000);\n' +
        "process.on('SIGTERM', () => { writeFileSync(process.argv[2]!, 'saved'); clearInterval(timer); });\n" +
        'console.log(process.pid);\n',
    );
    bringNode();
    const saved = join(root, 'saved');
    const child = spawn(process.execPath, ['--import', pretendOld, join(root, 'bin', 'subzero.mjs'), saved]);
    const program = Number(await new Promise((said) => child.stdout.once('data', said)));
    expect(program).not.toBe(child.pid);
    child.kill('SIGKILL');
    // The end of the program's output is the end of all who could write to it.
    await new Promise((ended) => child.stdout.once('close', ended));
    expect(readFileSync(saved, 'utf8')).toBe('saved');
  });
  it('dies of the signal that its program died of', () => {
    write('src/cli/main.ts', "process.kill(process.pid, 'SIGKILL');\n");
    bringNode();
    expect(launch([], true)).toMatchObject({ status: null, signal: 'SIGKILL' });
  });
});

describe('the project’s own launcher', () => {
  it('knows the command line', () => {
    const run = (...words: string[]) =>
      spawnSync(process.execPath, [join(project, 'bin', 'subzero.mjs'), ...words], { encoding: 'utf8' });
    expect(run('--help')).toMatchObject({ status: 0, stderr: '' });
    expect(run('train', '--stpes', '1')).toMatchObject({
      status: 2,
      stdout: '',
      stderr: expect.stringContaining('did you mean --steps?'),
    });
  });
});

describe('finding a Node', () => {
  it.each([
    ['20.20.2', false],
    ['22.17.9', false],
    ['22.18.0', true],
    ['23.5.0', false],
    ['23.6.0', true],
    ['24.0.0', true],
    ['100.1.0', true],
  ])('%s runs TypeScript: %s', (version, answer) => {
    expect(runsTypeScript(version)).toBe(answer);
  });
  it('counts Bun and Deno as able, but not as a Node', () => {
    const versions = { ...process.versions, node: '20.0.0', bun: '1.4.0' };
    expect(currentRuntimeRunsTypeScript(versions)).toBe(true);
    expect(findNode(root, { versions, execPath: process.execPath })).toBeUndefined();
    bringNode();
    expect(findNode(root, { versions, execPath: process.execPath })).toBe(join(root, 'node_modules/node/bin/node'));
  });
  it('takes the Node that runs, if it is new and still there', () => {
    const versions = { ...process.versions, node: '24.0.0' };
    expect(findNode(root, { versions, execPath: process.execPath })).toBe(process.execPath);
    expect(findNode(root, { versions, execPath: join(root, 'gone') })).toBeUndefined();
  });
});
