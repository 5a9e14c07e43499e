import { existsSync, readFileSync } from 'node:fs';

/** The version in package.json, which lies at a different height above the sources and above the compiled files. */
export function packageVersion(): string {
  for (const path of ['../package.json', '../../package.json']) {
    const url = new URL(path, import.meta.url);
    if (!existsSync(url)) continue;
    const content = JSON.parse(readFileSync(url, 'utf8')) as { name?: string; version?: string };
    if (content.name === 'subzero-webgpu' && content.version) return content.version;
  }
  return 'unknown';
}
