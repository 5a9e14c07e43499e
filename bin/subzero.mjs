#!/usr/bin/env node
/**
 * The `subzero` command. Runs the command line in this process where the runtime allows it (Node >= 22.18, Bun, Deno,
 * or the compiled package on Node >= 20), and otherwise in a newer Node that the project brings along.
 */

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { keepCompiledCode } from './code-cache.mjs';
import { currentRuntimeRunsTypeScript, findNode, sourceRequirement } from './find-node.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
// The published package has no sources, so where there are sources they are the truth and `dist` may be stale.
const source = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url));
const compiled = fileURLToPath(new URL('../dist/src/cli/main.js', import.meta.url));

keepCompiledCode();
if (existsSync(source)) {
  if (currentRuntimeRunsTypeScript()) await import(pathToFileURL(source).href);
  else runInNewerNode();
} else if (existsSync(compiled)) {
  await import(pathToFileURL(compiled).href);
} else {
  fail('the package is incomplete: neither src/cli/main.ts nor dist/src/cli/main.js is there', 'install it again');
}

function runInNewerNode() {
  const node = findNode(root);
  if (!node) {
    fail(
      `running from source needs ${sourceRequirement}; this is Node ${process.versions.node}`,
      'run "npm install" in the project folder, which brings a newer Node along, or install one',
    );
    return;
  }
  const endWithParent = new URL('end-with-parent.mjs', import.meta.url).href;
  const child = spawn(node, ['--import', endWithParent, source, ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    // The child decides what a signal means; a Ctrl-C that reaches it twice, from terminal and launcher, counts once.
    process.on(signal, () => child.kill(signal));
  }
  child.on('error', (error) => fail(`${node} could not be started: ${error.message}`, 'run "npm install" again'));
  child.on('exit', (code, signal) => {
    if (signal) {
      process.removeAllListeners(signal);
      process.kill(process.pid, signal);
    } else {
      process.exitCode = code ?? 1;
    }
  });
}

/**
 * @param {string} message
 * @param {string} hint
 */
function fail(message, hint) {
  process.stderr.write(`subzero: ${message}\n  ${hint}\n`);
  process.exitCode = 1;
}
