import type { Command } from '../command.ts';
import { clusterCommand } from './cluster.ts';
import { demoCommand } from './demo.ts';
import { diffCommand } from './diff.ts';
import { doctorCommand } from './doctor.ts';
import { evalCommand } from './eval.ts';
import { experimentCommand } from './experiment.ts';
import { exportCommand } from './export.ts';
import { forkCommand } from './fork.ts';
import { generateCommand } from './generate.ts';
import { inspectCommand } from './inspect.ts';
import { migrateCommand } from './migrate.ts';
import { pullCommand } from './pull.ts';
import { quantizeCommand } from './quantize.ts';
import { recordCommand } from './record.ts';
import { replayCommand } from './replay.ts';
import { serveCommand } from './serve.ts';
import { trainCommand } from './train.ts';
import { workerCommand } from './worker.ts';

/** All commands, in the order of the help. */
export const commands: readonly Command[] = [
  demoCommand,
  trainCommand,
  forkCommand,
  workerCommand,
  clusterCommand,
  evalCommand,
  recordCommand,
  migrateCommand,
  generateCommand,
  serveCommand,
  pullCommand,
  inspectCommand,
  exportCommand,
  quantizeCommand,
  replayCommand,
  diffCommand,
  experimentCommand,
  doctorCommand,
];
