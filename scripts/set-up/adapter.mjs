/**
 * Makes sure that a WebGPU adapter opens: carries out what {@link planAdapter} says until one does.
 *
 * @module
 */

import { spawnSync } from 'node:child_process';
import { planAdapter, shellCommand } from './adapter-plan.mjs';
import { readMachineFacts } from './machine-facts.mjs';
import { SetUpError } from './set-up-error.mjs';

/** Enough of the package manager's messages to see why it failed. */
const linesOfOutputShown = 30;

/**
 * @param {string} node a Node that can load npm `webgpu`
 * @param {(line: string) => void} say
 * @returns {Record<string, string>} environment variables that the program needs so that the adapter opens
 * @throws {SetUpError} when none opens, with what the user can do
 */
export function ensureAdapter(node, say) {
  /** @type {Record<string, string>} */
  let environment = {};
  /** @type {string[]} */
  const attempted = [];
  for (;;) {
    const plan = planAdapter(readMachineFacts(node, environment, attempted));
    switch (plan.action) {
      case 'use':
        if (plan.note) say(`adapter: ${plan.note}`);
        return environment;
      case 'environment':
        say(`adapter: ${plan.line}`);
        environment = plan.variables;
        attempted.push(plan.name);
        break;
      case 'install':
        say(`adapter: ${plan.line}`);
        install(plan.script);
        // A new software adapter is found only where the loader is not told to look at the GPU's driver alone.
        if (plan.name === 'software') environment = {};
        attempted.push(plan.name);
        break;
      case 'ask':
        throw new SetUpError(`adapter: ${plan.line}`, ['', ...plan.command.split('\n'), '']);
      case 'give up':
        throw new SetUpError(`adapter: ${plan.line}`, plan.advice);
    }
  }
}

/** @param {string} script */
function install(script) {
  const [program, ...first] = process.getuid?.() === 0 ? ['sh'] : ['sudo', '-n', 'sh'];
  const result = spawnSync(program, [...first, '-c', script], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 64 * 1024 * 1024,
  });
  if (result.status === 0) return;
  const output = `${result.stdout ?? ''}\n${result.stderr ?? ''}`.trim().split('\n').slice(-linesOfOutputShown);
  const reason = result.error?.message ?? `exit code ${result.status}`;
  throw new SetUpError(`adapter: the installation failed (${reason})`, [
    ...output.map((line) => `  | ${line}`),
    'This is what was run; once the cause is gone, run it again:',
    '',
    ...shellCommand(script, process.getuid?.() !== 0).split('\n'),
    '',
  ]);
}
