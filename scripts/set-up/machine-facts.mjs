/**
 * Reads from the machine what {@link planAdapter} decides on. Looks only, changes nothing.
 *
 * @module
 */

import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * @typedef {import('./adapter-plan.mjs').MachineFacts} MachineFacts
 * @typedef {import('./adapter-plan.mjs').ProbeResult} ProbeResult
 * @typedef {import('./adapter-plan.mjs').GpuVendor} GpuVendor
 * @typedef {import('./adapter-plan.mjs').PackageManager} PackageManager
 */

/** Where the Vulkan loader looks for drivers. */
const driverFolders = [
  '/etc/vulkan/icd.d',
  '/usr/share/vulkan/icd.d',
  '/usr/local/share/vulkan/icd.d',
  '/usr/local/etc/vulkan/icd.d',
];
/** Variables that keep the Vulkan loader from looking at all drivers there. */
const driverVariables = [
  'VK_DRIVER_FILES',
  'VK_ICD_FILENAMES',
  'VK_LOADER_DRIVERS_SELECT',
  'VK_LOADER_DRIVERS_DISABLE',
];
/** Where container hosts mount the NVIDIA driver without telling the loader. */
const strayDriverFolders = ['/usr/local/nvidia/share/vulkan/icd.d', '/opt/nvidia/share/vulkan/icd.d'];

const libraryFolders = ['/usr/lib', '/usr/lib64', '/lib', '/lib64', '/usr/local/lib', '/usr/local/lib64'].flatMap(
  (folder) => [folder, `${folder}/x86_64-linux-gnu`, `${folder}/aarch64-linux-gnu`],
);

/** @type {Record<string, GpuVendor>} */
const vendorByPciId = { '0x10de': 'nvidia', '0x1002': 'amd', '0x8086': 'intel' };

/**
 * @param {string} node
 * @param {Record<string, string>} extraEnvironment
 * @param {string[]} attempted
 * @returns {MachineFacts}
 */
export function readMachineFacts(node, extraEnvironment, attempted) {
  const probe = probeAdapter(node, extraEnvironment);
  const drivers = driverFolders.flatMap(driverFiles);
  const manager = packageManager();
  const root = process.getuid?.() === 0;
  const hasSudo = onPath('sudo');
  const vulkanDrivers = vendorsOf(drivers);
  return {
    platform: process.platform,
    probe,
    distribution: parseOsRelease(readText('/etc/os-release') ?? readText('/usr/lib/os-release') ?? ''),
    manager,
    root,
    hasSudo,
    sudo: !root && hasSudo && !probe.adapter && spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0,
    loader: hasVulkanLoader(),
    gpus: visibleGpus(),
    drivers: vulkanDrivers,
    strayDrivers: vulkanDrivers.includes('nvidia') ? [] : strayDriverFolders.flatMap(driverFiles),
    mesaVersion: manager === 'apt' ? debianVersion('mesa-vulkan-drivers') : undefined,
    mirrors: debianMirrors(aptSources()),
    driverSettings: driverVariables.flatMap((name) => (process.env[name] ? [`${name}=${process.env[name]}`] : [])),
    attempted,
  };
}

/**
 * Asks in a child process whether an adapter opens.
 *
 * @param {string} node
 * @param {Record<string, string>} extraEnvironment
 * @returns {ProbeResult}
 */
export function probeAdapter(node, extraEnvironment) {
  const script = fileURLToPath(new URL('../probe-adapter.mjs', import.meta.url));
  const result = spawnSync(node, [script], {
    encoding: 'utf8',
    timeout: 60_000,
    env: { ...process.env, ...extraEnvironment },
  });
  const line = result.stdout?.trim().split('\n').at(-1) ?? '';
  try {
    const answer = JSON.parse(line);
    return { adapter: answer.adapter ?? null, ...(answer.loadError ? { loadError: answer.loadError } : {}) };
  } catch {
    // A driver that brings the process down is a driver that does not open: the plan goes on as without an adapter.
    return { adapter: null };
  }
}

/**
 * @param {string} text content of /etc/os-release
 * @returns {MachineFacts['distribution']}
 */
export function parseOsRelease(text) {
  /** @type {Record<string, string>} */
  const fields = {};
  for (const line of text.split('\n')) {
    const match = /^([A-Z_]+)=(?:"(.*)"|'(.*)'|(.*))$/.exec(line.trim());
    if (match) fields[match[1]] = match[2] ?? match[3] ?? match[4] ?? '';
  }
  return {
    id: fields.ID ?? '',
    like: (fields.ID_LIKE ?? '').split(' ').filter(Boolean),
    version: fields.VERSION_ID ?? '',
    codename: fields.VERSION_CODENAME ?? '',
    name: fields.PRETTY_NAME ?? fields.NAME ?? '',
  };
}

/**
 * The mirrors that the system's own sources name for Debian 12, so that a local mirror is used where there is one.
 *
 * @param {string[]} sources contents of the apt source files, one-line and deb822 format
 * @returns {{ archive: string, security: string }}
 */
export function debianMirrors(sources) {
  /** @type {{ uri: string, suites: string[], components: string[] }[]} */
  const entries = [];
  for (const text of sources) {
    for (const match of text.matchAll(/^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+(.+)$/gm)) {
      entries.push({ uri: match[1], suites: [match[2]], components: match[3].trim().split(/\s+/) });
    }
    for (const paragraph of text.split(/\n\s*\n/)) {
      const field = (/** @type {string} */ name) =>
        new RegExp(`^${name}:[ \\t]*(.+)$`, 'm').exec(paragraph)?.[1].trim().split(/\s+/) ?? [];
      if (field('Enabled')[0] === 'no') continue;
      for (const uri of field('URIs')) entries.push({ uri, suites: field('Suites'), components: field('Components') });
    }
  }
  // The addresses end up in a shell script that may run as root: only plain ones are taken over. Other vendors'
  // archives also name their suites after Debian's, but lie elsewhere or have components of their own.
  const find = (/** @type {string} */ suite, /** @type {RegExp} */ place) =>
    entries.find(
      ({ uri, suites, components }) =>
        suites.includes(suite) &&
        components.includes('main') &&
        place.test(uri) &&
        /^https?:\/\/[\w.:/~+-]+$/.test(uri),
    )?.uri;
  return {
    archive: find('bookworm', /\/debian(\/|$)/)?.replace(/\/+$/, '') ?? 'http://deb.debian.org/debian',
    security:
      find('bookworm-security', /\/debian-security(\/|$)/)?.replace(/\/+$/, '') ??
      'http://deb.debian.org/debian-security',
  };
}

/** @returns {string[]} */
function aptSources() {
  const folder = '/etc/apt/sources.list.d';
  const files = listFolder(folder)
    .filter((name) => /\.(list|sources)$/.test(name))
    .map((name) => join(folder, name));
  return ['/etc/apt/sources.list', ...files].map((path) => readText(path) ?? '');
}

/** @returns {PackageManager | undefined} */
function packageManager() {
  if (onPath('apt-get')) return 'apt';
  return /** @type {const} */ (['dnf', 'pacman', 'apk']).find(onPath);
}

/** GPUs by their device files: sysfs alone also lists those of the host that a container may not use. */
function visibleGpus() {
  /** @type {Set<GpuVendor>} */
  const gpus = new Set();
  if (existsSync('/dev/nvidia0') || listFolder('/dev').some((name) => /^nvidia\d+$/.test(name))) gpus.add('nvidia');
  for (const name of listFolder('/dev/dri').filter((entry) => entry.startsWith('renderD'))) {
    const vendor = vendorByPciId[readText(`/sys/class/drm/${name}/device/vendor`)?.trim() ?? ''];
    if (vendor) gpus.add(vendor);
  }
  return [...gpus];
}

/** @param {string[]} files */
function vendorsOf(files) {
  /** @type {[RegExp, GpuVendor][]} */
  const patterns = [
    [/nvidia|nouveau/, 'nvidia'],
    [/radeon|amd/, 'amd'],
    [/intel/, 'intel'],
  ];
  return patterns.filter(([pattern]) => files.some((file) => pattern.test(file))).map(([, vendor]) => vendor);
}

/** @param {string} folder */
function driverFiles(folder) {
  return listFolder(folder)
    .filter((name) => name.endsWith('.json'))
    .map((name) => join(folder, name));
}

function hasVulkanLoader() {
  const own = (process.env.LD_LIBRARY_PATH ?? '').split(delimiter).filter(Boolean);
  return [...own, ...libraryFolders].some((folder) => existsSync(join(folder, 'libvulkan.so.1')));
}

/** @param {string} name */
function debianVersion(name) {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the braces are dpkg-query's own format language.
  const format = '${Status}|${Version}';
  const [status, version] = (
    spawnSync('dpkg-query', ['-W', '-f', format, name], { encoding: 'utf8' }).stdout ?? ''
  ).split('|');
  return status?.endsWith(' installed') ? version : undefined;
}

/** @param {string} program */
function onPath(program) {
  // System administration programs are not on every user's path.
  return [...(process.env.PATH ?? '').split(delimiter), '/usr/bin', '/usr/sbin', '/sbin']
    .filter(Boolean)
    .some((folder) => {
      try {
        accessSync(join(folder, program), constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** @param {string} path */
function readText(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** @param {string} path */
function listFolder(path) {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
