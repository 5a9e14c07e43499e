/**
 * Everything about the service that its operator can choose. Bounds of single request fields are in
 * `schemas/limits.ts`.
 *
 * @module
 */

import type { CoordinatorOptions } from '../src/cluster/coordinator.ts';
import type { WeightStorage } from '../src/engine/types.ts';
import type { StepChoice } from '../src/train/best.ts';
import type { LogLevel } from './log.ts';

/** A model that is loaded at the start. */
export interface ServedModel {
  id: string;
  path: string;
  /** The step after which a run is taken; the last one by default. */
  step?: StepChoice;
  storage?: WeightStorage;
  /** The folder of a PEFT LoRA that is applied to it. */
  lora?: string;
  /** The name of the same model without its LoRA, which is served too; absent where it has none. */
  base?: string;
}

export interface ServerLimits {
  /** Largest JSON body, in bytes. */
  bodyBytes: number;
  /** Largest uploaded file, in bytes. */
  fileBytes: number;
  /** All uploaded files together, in bytes. */
  storedBytes: number;
  /** Longest line of an uploaded file, in bytes. */
  lineBytes: number;
  /** Longest prompt or conversation, in characters, checked before it is tokenised. */
  promptCharacters: number;
  /** Completions that are generated at the same time; more are answered with 429. */
  activeGenerations: number;
  /** Jobs that wait; more are answered with 429. */
  queuedJobs: number;
  /** Fine-tuned models that stay loaded; the one unused for longest makes room. */
  loadedTunedModels: number;
  /** Step runs that live at the same time; each has a copy of its model in memory. */
  stepRuns: number;
}

export interface ServerConfiguration {
  /** Database, uploaded files and runs live here. */
  dataDirectory: string;
  /** Address to bind. Any other than loopback needs an API key. */
  host: string;
  /** 0 = any free port. */
  port: number;
  apiKey: string | undefined;
  /** Names that a `Host` header may carry besides `localhost`, IP addresses and {@link ServerConfiguration.host}. */
  allowedHosts: string[];
  /** Origins of web pages that may call the service (`*` = every one); none by default. */
  corsOrigins: string[];
  limits: ServerLimits;
  /** Seconds between two comments on a quiet event stream. */
  heartbeatSeconds: number;
  /** Seconds that a stopping server waits for running generations. */
  graceSeconds: number;
  logLevel: LogLevel;
  /** A cluster whose workers take part in jobs; this process trains alone by default. */
  cluster?: CoordinatorOptions;
}

const MiB = 1024 * 1024;

export const defaultServerConfiguration: ServerConfiguration = {
  dataDirectory: 'subzero-data',
  host: '127.0.0.1',
  port: 8000,
  apiKey: undefined,
  allowedHosts: [],
  corsOrigins: [],
  limits: {
    bodyBytes: 8 * MiB,
    fileBytes: 512 * MiB,
    storedBytes: 8192 * MiB,
    lineBytes: 4 * MiB,
    promptCharacters: 2_000_000,
    activeGenerations: 512,
    queuedJobs: 100,
    loadedTunedModels: 8,
    stepRuns: 4,
  },
  heartbeatSeconds: 15,
  graceSeconds: 10,
  logLevel: 'info',
};

/** Defaults filled in, one level deep for `limits`. */
export function resolveServerConfiguration(
  partial: Partial<Omit<ServerConfiguration, 'limits'>> & { limits?: Partial<ServerLimits> },
): ServerConfiguration {
  const given = Object.fromEntries(Object.entries(partial).filter(([, value]) => value !== undefined));
  return {
    ...defaultServerConfiguration,
    ...given,
    limits: { ...defaultServerConfiguration.limits, ...partial.limits },
  };
}

/** Whether only programs on this machine can reach an address. */
export function isLoopback(host: string): boolean {
  const name = host.replace(/^\[|\]$/g, '').toLowerCase();
  return name === 'localhost' || name === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(name);
}
