/**
 * Picks the Node that runs the TypeScript sources.
 *
 * @module
 */

import { spawnSync } from 'node:child_process';
import { findNode, runsTypeScript, sourceRequirement } from '../../bin/find-node.mjs';
import { SetUpError } from './set-up-error.mjs';

/**
 * @param {string} root the project folder, packages installed
 * @param {(line: string) => void} say
 * @returns {string} the path of a Node that runs TypeScript
 * @throws {SetUpError} when there is none
 */
export function ensureNode(root, say) {
  const node = findNode(root);
  if (node === process.execPath) return node;
  const version = node ? spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout?.trim().replace(/^v/, '') : '';
  if (!node || !version || !runsTypeScript(version)) {
    throw new SetUpError(`${sourceRequirement} is needed; this is ${process.versions.node}`, [
      'The npm package "node" brings one along, but its binary is not in node_modules/node/bin.',
      'Its installation script may have been switched off (npm option ignore-scripts). Try:',
      '  rm -r node_modules/node && npm install --ignore-scripts=false',
      'or install a newer Node.',
    ]);
  }
  say(`node: this is ${process.versions.node}; using ${version} from node_modules`);
  return node;
}
