/**
 * `npm run demo`, `npm test`, `npm run test:long`, `npm run bench`, `npm run parity`: prepares what is missing
 * (packages, a Node that runs TypeScript, a WebGPU adapter), saying so only where there is something to do, and then
 * runs.
 *
 * Plain JavaScript without dependencies, because it runs on any Node >= 20 before anything is installed.
 */

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { codeCacheDirectory } from '../bin/code-cache.mjs';
import { longTestPhases, testPhases } from './phases.mjs';
import { runPhases } from './run-phases.mjs';
import { ensureAdapter } from './set-up/adapter.mjs';
import { ensureNode } from './set-up/node.mjs';
import { ensurePackages } from './set-up/packages.mjs';
import { SetUpError } from './set-up/set-up-error.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

/** @type {Record<string, (node: string, environment: NodeJS.ProcessEnv, rest: string[]) => Promise<number>>} */
const commands = {
  demo: (node, environment, rest) =>
    runProgram([node, join(root, 'src', 'cli', 'main.ts'), 'demo', ...rest], environment),
  bench: (node, environment, rest) => runProgram([node, join(root, 'bench', 'main.ts'), ...rest], environment),
  parity: (node, environment, rest) =>
    runProgram([node, join(root, 'test', 'parity', 'main.ts'), ...rest], environment),
  test: (node, environment, rest) => runTests(testPhases, node, environment, rest),
  'test:long': (node, environment, rest) => runTests(longTestPhases, node, environment, rest),
};

process.exitCode = await main(process.argv.slice(2));

/** @param {string[]} argv */
async function main([name = '', ...rest]) {
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!command) {
    process.stderr.write(`usage: node scripts/run.mjs ${Object.keys(commands).join('|')} [arguments]\n`);
    return 2;
  }
  try {
    ensurePackages(root, say);
    const node = ensureNode(root, say);
    // Tests and benchmarks start hundreds of processes, which share their compiled code.
    const environment = { NODE_COMPILE_CACHE: codeCacheDirectory(), ...process.env, ...ensureAdapter(node, say) };
    return await command(node, environment, rest);
  } catch (error) {
    if (!(error instanceof SetUpError)) throw error;
    process.stderr.write(`${[error.message, ...error.advice].join('\n')}\n`);
    return 1;
  }
}

/** @param {string} line */
function say(line) {
  show(`${line}\n`);
}

/** @param {string} text */
function show(text) {
  process.stdout.write(text);
}

/**
 * @param {typeof testPhases} phases
 * @param {string} node
 * @param {NodeJS.ProcessEnv} environment
 * @param {string[]} rest
 */
async function runTests(phases, node, environment, rest) {
  const scratch = mkdtempSync(join(tmpdir(), 'subzero-test-'));
  try {
    return await runPhases(phases({ root, node, scratch, arguments: rest }), { cwd: root, environment, say, show });
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/**
 * @param {string[]} command
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<number>}
 */
function runProgram([program, ...args], env) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: root, env, stdio: 'inherit' });
    for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
      // The program ends in its own time (it saves first); this process waits for it and passes its exit code on.
      process.on(signal, () => child.kill(signal));
    }
    child.on('error', reject);
    child.on('exit', (code, signal) => resolve(code ?? (signal === 'SIGINT' ? 130 : 1)));
  });
}
