/**
 * Decides what is to be done so that a WebGPU adapter opens: a pure function over facts about the machine, so that
 * every case can be tested without having the machine.
 *
 * @module
 */

/**
 * @typedef {{ vendor: string, architecture: string, device: string, description: string, software: boolean }} Adapter
 * @typedef {{ id: string, like: string[], version: string, codename: string, name: string }} Distribution
 */

/**
 * @typedef {object} ProbeResult What scripts/probe-adapter.mjs printed.
 * @property {Adapter | null} adapter
 * @property {string} [loadError] npm `webgpu` itself did not load, or the probe crashed
 */

/**
 * @typedef {'apt' | 'dnf' | 'pacman' | 'apk'} PackageManager
 * @typedef {'nvidia' | 'amd' | 'intel'} GpuVendor
 */

/**
 * @typedef {object} MachineFacts
 * @property {string} platform `process.platform`
 * @property {ProbeResult} probe
 * @property {Distribution} distribution from /etc/os-release
 * @property {PackageManager | undefined} manager the package manager found on the path
 * @property {boolean} root
 * @property {boolean} sudo `sudo` works without a password
 * @property {boolean} hasSudo there is a `sudo` command, with or without a password
 * @property {boolean} loader libvulkan.so.1 is installed
 * @property {GpuVendor[]} gpus GPUs whose device files this system can see
 * @property {GpuVendor[]} drivers vendors with a Vulkan driver file where the loader looks
 * @property {string[]} strayDrivers GPU driver files where the loader does not look, as some container hosts mount them
 * @property {string | undefined} mesaVersion version of the installed Mesa Vulkan drivers, if known
 * @property {{ archive: string, security: string }} mirrors Debian mirrors that the system is configured for
 * @property {string[]} driverSettings variables of the user's that tell the Vulkan loader which drivers to look at
 * @property {string[]} attempted what earlier rounds did: `environment`, `loader`, `software`
 */

/**
 * @typedef {(
 *   | { action: 'use', note?: string }
 *   | { action: 'environment', name: 'environment', line: string, variables: Record<string, string> }
 *   | { action: 'install', name: 'loader' | 'software', line: string, packages: string[], script: string }
 *   | { action: 'ask', line: string, command: string }
 *   | { action: 'give up', line: string, advice: string[] }
 * )} AdapterPlan
 */

/** @type {Record<PackageManager, { loader: string[], software: string[] }>} */
const packageNames = {
  // mesa-vulkan-drivers holds Mesa's software adapter (lavapipe) together with the AMD and Intel drivers.
  apt: { loader: ['libvulkan1'], software: ['libvulkan1', 'mesa-vulkan-drivers'] },
  dnf: { loader: ['vulkan-loader'], software: ['vulkan-loader', 'mesa-vulkan-drivers'] },
  pacman: { loader: ['vulkan-icd-loader'], software: ['vulkan-icd-loader', 'vulkan-swrast'] },
  apk: { loader: ['vulkan-loader'], software: ['vulkan-loader', 'mesa-vulkan-swrast'] },
};

/**
 * @param {MachineFacts} facts
 * @returns {AdapterPlan}
 */
export function planAdapter(facts) {
  const { probe, gpus, drivers, attempted } = facts;
  const adapterOpens = probe.adapter !== null;
  const gpuUnused = gpus.length > 0 && (!adapterOpens || probe.adapter?.software === true);

  if (probe.loadError !== undefined) return cannotLoad(facts, probe.loadError);

  if (gpuUnused && facts.strayDrivers.length > 0 && !attempted.includes('environment')) {
    return {
      action: 'environment',
      name: 'environment',
      line: `the GPU's Vulkan driver lies outside the usual folders; using ${facts.strayDrivers.join(', ')}`,
      // The second name is the older one, for loaders before 1.3.207, which do not know the first.
      variables: {
        VK_DRIVER_FILES: facts.strayDrivers.join(':'),
        VK_ICD_FILENAMES: facts.strayDrivers.join(':'),
      },
    };
  }

  if (adapterOpens) {
    if (!gpuUnused) return { action: 'use' };
    return { action: 'use', note: `${vendorNames(gpus)} is there but does not open; ${gpuAdvice(facts)}` };
  }

  // Whatever were installed, the loader would not look at it.
  if (facts.driverSettings.length > 0) {
    return {
      action: 'give up',
      line: `no WebGPU adapter opens among the drivers that ${facts.driverSettings.join(' and ')} leaves`,
      advice: ['Unset it, or let it name the JSON file of a driver whose library is there, then run again.'],
    };
  }

  if (facts.platform !== 'linux') {
    return {
      action: 'give up',
      line: 'no WebGPU adapter opens, although this system brings its own GPU driver',
      advice: ['Update the graphics driver or the system. In a virtual machine, give it a GPU or use Linux.'],
    };
  }

  const driverPresent = gpus.some((vendor) => drivers.includes(vendor)) || attempted.includes('environment');
  if (gpus.length > 0 && driverPresent && !facts.loader && !attempted.includes('loader')) {
    const reason = `${vendorNames(gpus)} and its driver are there, but the Vulkan loader (libvulkan.so.1) is not`;
    return installPlan(facts, 'loader', reason);
  }
  if (!attempted.includes('software')) return installPlan(facts, 'software', softwareReason(facts));
  return stillNone(facts);
}

/**
 * @param {MachineFacts} facts
 * @param {'loader' | 'software'} name
 * @param {string} reason
 * @returns {AdapterPlan}
 */
function installPlan(facts, name, reason) {
  const manager = facts.manager;
  if (!manager) {
    return {
      action: 'give up',
      line: `no WebGPU adapter opens: ${reason}`,
      advice: [
        'No package manager that this script knows (apt-get, dnf, pacman, apk) was found. Install the Vulkan loader',
        '(libvulkan.so.1) and Mesa >= 24 with its software driver lavapipe, then run again.',
      ],
    };
  }
  const packages = packageNames[manager][name];
  const script = installScript(manager, packages, facts);
  const origin = usesBackports(facts) ? ' from bookworm-backports' : '';
  if (facts.root || facts.sudo) {
    return {
      action: 'install',
      name,
      line:
        `no adapter opens: ${reason}; installing ` +
        `${packages.join(' ')}${origin}${facts.root ? '' : ' with sudo'} (a minute or two)`,
      packages,
      script,
    };
  }
  return {
    action: 'ask',
    line:
      `no adapter opens: ${reason}. Installing ${packages.join(' ')}${origin} needs root. Run ` +
      `this${facts.hasSudo ? '' : ' as root'}, then run again:`,
    command: shellCommand(script, facts.hasSudo),
  };
}

/**
 * The shell script that installs the packages; the same text is run by us or printed for the user.
 *
 * @param {PackageManager} manager
 * @param {string[]} packages
 * @param {MachineFacts} facts
 * @returns {string}
 */
function installScript(manager, packages, facts) {
  const names = packages.join(' ');
  if (manager === 'dnf') return `dnf install -y ${names}\n`;
  if (manager === 'pacman') return `pacman -Sy --noconfirm --needed ${names}\n`;
  if (manager === 'apk') return `apk add ${names}\n`;
  if (!usesBackports(facts)) {
    // A third-party source that does not answer must not keep Debian's own packages from being installed.
    return `export DEBIAN_FRONTEND=noninteractive
apt-get update || true
apt-get install -y --no-install-recommends ${names}
`;
  }
  // Debian 12 has Mesa 22, which Dawn refuses. Its backports have a newer one; they are read from lists of their own,
  // so that the system's sources stay as they are. Old backports move to archive.debian.org one day, hence the list of
  // mirrors. No single quotes in this text: it is printed inside a pair of them.
  const mirrors = [...new Set([facts.mirrors.archive, 'http://deb.debian.org/debian'])];
  return `export DEBIAN_FRONTEND=noninteractive
folder=$(mktemp -d)
trap "rm -rf $folder" EXIT
chmod 755 $folder
mkdir -p $folder/lists/partial
options="-o Dir::Etc::SourceList=$folder/x.sources.list -o Dir::Etc::SourceParts=- -o Dir::State::Lists=$folder/lists"
for mirror in ${mirrors.join(' ')} http://archive.debian.org/debian; do
  {
    echo "deb $mirror bookworm main"
    echo "deb $mirror bookworm-backports main"
    echo "deb ${facts.mirrors.security} bookworm-security main"
  } >$folder/x.sources.list
  apt-get $options update || true
  apt-get $options install -y --no-install-recommends -t bookworm-backports ${names} && exit 0
  options="$options -o Acquire::Check-Valid-Until=false"
done
exit 1
`;
}

/**
 * The script as one block to paste into a terminal.
 *
 * @param {string} script without single quotes
 * @param {boolean} sudo
 */
export function shellCommand(script, sudo) {
  return `${sudo ? 'sudo ' : ''}sh -c '\n${script}'`;
}

/** @param {MachineFacts} facts */
function usesBackports(facts) {
  return facts.manager === 'apt' && facts.distribution.codename === 'bookworm';
}

/** @param {MachineFacts} facts */
function softwareReason(facts) {
  if (facts.gpus.length > 0) return `${vendorNames(facts.gpus)} is there but does not open (${gpuAdvice(facts)})`;
  if (!facts.loader) return 'there is no GPU and no Vulkan loader (libvulkan.so.1)';
  if (facts.mesaVersion && Number.parseInt(facts.mesaVersion, 10) < 24) {
    return `there is no GPU, and the software adapter of Mesa ${facts.mesaVersion} is too old (24 or newer is needed)`;
  }
  return 'there is no GPU and no software adapter';
}

/** @param {MachineFacts} facts */
function gpuAdvice(facts) {
  if (facts.gpus.includes('nvidia') && !facts.drivers.includes('nvidia') && facts.strayDrivers.length === 0) {
    return (
      'the Vulkan part of the NVIDIA driver is missing: install libnvidia-gl of the driver version in use, ' +
      'or start the container with NVIDIA_DRIVER_CAPABILITIES=all'
    );
  }
  if (facts.gpus.some((vendor) => facts.drivers.includes(vendor))) {
    return 'its driver is installed: check that this user may open /dev/dri/render* or /dev/nvidia*';
  }
  return 'its Vulkan driver is missing: install mesa-vulkan-drivers, or on Arch vulkan-radeon or vulkan-intel';
}

/**
 * @param {MachineFacts} facts
 * @param {string} loadError
 * @returns {AdapterPlan}
 */
function cannotLoad(facts, loadError) {
  const advice = /GLIBC|GLIBCXX|ld-linux|libc\.so|musl/.test(loadError)
    ? 'Its binaries need glibc >= 2.34 and libstdc++ >= 12: Debian 12, Ubuntu 22.04 or newer. Alpine (musl) does ' +
      'not work.'
    : `Its binaries exist for Linux x64 and arm64, macOS and Windows; this is ${facts.platform}. Try "npm install".`;
  return { action: 'give up', line: `npm webgpu (Dawn) does not load: ${firstLine(loadError)}`, advice: [advice] };
}

/**
 * @param {MachineFacts} facts
 * @returns {AdapterPlan}
 */
function stillNone(facts) {
  const advice = ['Check with "vulkaninfo --summary" (package vulkan-tools) that a Vulkan device is listed.'];
  if (facts.distribution.id === 'ubuntu' && Number.parseFloat(facts.distribution.version) < 24.04) {
    advice.push(
      `${facts.distribution.name} brings Mesa ${facts.mesaVersion ?? '23 or older'}; Dawn needs 24 or newer. A ` +
        `newer one:`,
      '  sudo add-apt-repository ppa:kisak/kisak-mesa && sudo apt-get update && sudo apt-get install -y ' +
        'mesa-vulkan-drivers',
    );
  } else {
    advice.push(`Mesa must be version 24 or newer; installed: ${facts.mesaVersion ?? 'unknown'}.`);
  }
  return { action: 'give up', line: 'the packages are installed, but still no WebGPU adapter opens', advice };
}

/** @param {GpuVendor[]} vendors */
function vendorNames(vendors) {
  const names = { nvidia: 'an NVIDIA GPU', amd: 'an AMD GPU', intel: 'an Intel GPU' };
  return vendors.map((vendor) => names[vendor]).join(' and ');
}

/** @param {string} text */
function firstLine(text) {
  return text.split('\n', 1)[0];
}
