/**
 * Runs phases one after the other, stops at the first that fails, and says in the last line how many tests ran.
 *
 * @module
 */

import { spawn } from 'node:child_process';

/**
 * @typedef {import('./phases.mjs').Phase} Phase
 * @typedef {import('./phases.mjs').TestCount} TestCount
 */

/**
 * @param {Phase[]} phases
 * @param {{ cwd: string, environment: NodeJS.ProcessEnv, say: (line: string) => void, show: (text: string) => void }}
 *   surroundings `say` writes a line of ours, `show` passes on what a captured phase prints
 * @returns {Promise<number>} the exit code
 */
export async function runPhases(phases, { cwd, environment, say, show }) {
  const total = { passed: 0, failed: 0 };
  for (const phase of phases) {
    say(`\n── ${phase.headline} ${'─'.repeat(Math.max(0, 70 - phase.headline.length))}`);
    const start = performance.now();
    const { code, output } = await runPhase(phase, cwd, { ...environment, ...phase.environment }, show);
    const count = phase.count?.(output);
    for (const line of phase.notes?.() ?? []) say(line);
    total.passed += count?.passed ?? 0;
    total.failed += count?.failed ?? 0;
    const problem = describeProblem(code, count);
    if (problem) {
      say(`\ntests: ${total.passed} passed, ${total.failed} failed; phase "${phase.name}" failed (${problem})`);
      return typeof code === 'number' && code !== 0 ? code : 1;
    }
    say(`${phase.name}: ok (${((performance.now() - start) / 1000).toFixed(1)} s)`);
  }
  say(`\ntests: ${total.passed} passed, ${total.failed} failed`);
  return 0;
}

/**
 * @param {number | string} code exit code or the name of the signal that ended the phase
 * @param {TestCount | undefined} count
 * @returns {string | undefined}
 */
function describeProblem(code, count) {
  if (code !== 0) return typeof code === 'number' ? `exit code ${code}` : code;
  if (count && count.failed > 0) return `${count.failed} failed`;
  // A suite that finds nothing to run must not look like one that passed.
  if (count && count.passed === 0) return 'no test ran';
  return undefined;
}

/**
 * @param {Phase} phase
 * @param {string} cwd
 * @param {NodeJS.ProcessEnv} env
 * @param {(text: string) => void} show
 * @returns {Promise<{ code: number | string, output: string }>}
 */
function runPhase(phase, cwd, env, show) {
  return new Promise((resolve) => {
    const [program, ...args] = phase.command;
    const child = spawn(program, args, {
      cwd,
      env,
      stdio: ['inherit', phase.captured ? 'pipe' : 'inherit', 'inherit'],
    });
    let output = '';
    child.stdout?.setEncoding('utf8').on('data', (text) => {
      output += text;
      show(text);
    });
    child.on('error', (error) => resolve({ code: error.message, output }));
    child.on('close', (code, signal) => resolve({ code: code ?? `ended by ${signal}`, output }));
  });
}
