import { readPackageFile } from './platform/index.ts';

/** The version in package.json. */
export function packageVersion(): string {
  const content = JSON.parse(new TextDecoder().decode(readPackageFile('package.json'))) as { version: string };
  return content.version;
}
