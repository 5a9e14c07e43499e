/**
 * The dashboard: a page and its parts, as they are in the package but for the fields of settings, from a list of
 * names. No path of a request ever becomes a path on the disk. They hold no secrets, so they need no key; what they
 * show comes from the API, which does.
 *
 * @module
 */

import { createHash, readPackageFile } from '../../src/platform/index.ts';
import type { ApplicationContext } from '../environment.ts';
import { withSettings } from '../settings-form.ts';
import type { Routes } from './routes.ts';

const types: Record<string, string> = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
};

/** Files beside the page. */
const parts = [
  'application.js',
  'chart.js',
  'icon.svg',
  'job-form.js',
  'job-settings.js',
  'jobs.js',
  'models.js',
  'operations.js',
  'page.js',
  'playground.js',
  'service.js',
  'step-runs.js',
  'style.css',
];

/** Modules that draw charts, which the files of runs are drawn with too. */
const chartModules = ['panel.js', 'scale.js', 'shape.js'];

/**
 * Path of the request → file of the package. Both have the same form below the page, so that a module imports another
 * by the same words in a browser and on the disk.
 */
export const dashboardFiles: ReadonlyMap<string, string> = new Map([
  ['/', 'server/dashboard/index.html'],
  ...parts.map((name) => [`/dashboard/${name}`, `server/dashboard/${name}`] as const),
  ...chartModules.map((name) => [`/src/chart/${name}`, `src/chart/${name}`] as const),
]);

/** Everything comes from this server; nothing is inline; no other page may frame it. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

interface Asset {
  content: Uint8Array<ArrayBuffer>;
  tag: string;
}

export const dashboardRoutes: Routes = (application) => {
  const assets = new Map<string, Asset>();
  const assetOf = (file: string) => {
    let asset = assets.get(file);
    if (!asset) assets.set(file, (asset = readAsset(file)));
    return asset;
  };
  for (const [path, file] of dashboardFiles) {
    application.get(path, (context) => answer(context, file, assetOf(file)));
  }
};

function readAsset(file: string): Asset {
  const bytes = readPackageFile(file);
  const content = file.endsWith('.html')
    ? new TextEncoder().encode(withSettings(new TextDecoder().decode(bytes)))
    : bytes;
  return { content, tag: `"${createHash('sha256').update(content).digest('base64url')}"` };
}

function answer(context: ApplicationContext, file: string, { content, tag }: Asset): Response {
  const headers = {
    'content-security-policy': contentSecurityPolicy,
    'referrer-policy': 'no-referrer',
    // Kept by the browser and asked about each time, so that page and parts are always of one version.
    'cache-control': 'no-cache',
    etag: tag,
  };
  if (context.req.header('if-none-match') === tag) return context.body(null, 304, headers);
  return context.body(content, 200, { ...headers, 'content-type': types[file.split('.').at(-1)!]! });
}
