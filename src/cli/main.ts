/**
 * Entry point of the command line on Node, Bun and Deno.
 *
 * @module
 */

import process from 'node:process';
import { processHost } from './process-host.ts';
import { runProgram } from './program.ts';

process.exitCode = await runProgram(process.argv.slice(2), processHost());
