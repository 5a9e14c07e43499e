import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { type MachineFacts, planAdapter, shellCommand } from '../../scripts/set-up/adapter-plan.mjs';
import { debianMirrors, parseOsRelease } from '../../scripts/set-up/machine-facts.mjs';

const lavapipe = {
  vendor: 'mesa',
  architecture: 'software',
  device: 'llvmpipe',
  description: 'llvmpipe',
  software: true,
};
const geforce = { vendor: 'nvidia', architecture: 'ampere', device: 'a', description: 'A', software: false };

const bookworm = {
  id: 'debian',
  like: [],
  version: '12',
  codename: 'bookworm',
  name: 'Debian GNU/Linux 12 (bookworm)',
};
const trixie = { id: 'debian', like: [], version: '13', codename: 'trixie', name: 'Debian GNU/Linux 13 (trixie)' };
const noble = { id: 'ubuntu', like: ['debian'], version: '24.04', codename: 'noble', name: 'Ubuntu 24.04' };
const jammy = { id: 'ubuntu', like: ['debian'], version: '22.04', codename: 'jammy', name: 'Ubuntu 22.04' };
const fedora = { id: 'fedora', like: [], version: '42', codename: '', name: 'Fedora 42' };

/** A bare Debian 13 as root, without GPU and without Vulkan, except for what is given. */
function machine(more: Partial<MachineFacts> = {}): MachineFacts {
  return {
    platform: 'linux',
    probe: { adapter: null },
    distribution: trixie,
    manager: 'apt',
    root: true,
    sudo: false,
    hasSudo: false,
    loader: false,
    gpus: [],
    drivers: [],
    strayDrivers: [],
    mesaVersion: undefined,
    mirrors: { archive: 'http://mirror.example/debian', security: 'http://mirror.example/debian-security' },
    driverSettings: [],
    attempted: [],
    ...more,
  };
}

function plan<Action extends string>(action: Action, facts: Partial<MachineFacts>) {
  const result = planAdapter(machine(facts));
  expect(result.action).toBe(action);
  return result as Extract<typeof result, { action: Action }>;
}

describe('drivers that the environment chooses', () => {
  const driverSettings = ['VK_DRIVER_FILES=/nowhere.json'];
  it('are named where none of them opens, and nothing is installed', () => {
    const { line, advice } = plan('give up', { driverSettings });
    expect(line).toContain('VK_DRIVER_FILES=/nowhere.json');
    expect(advice.join(' ')).toContain('Unset it');
  });
  it('are not mentioned where one opens', () => {
    expect(planAdapter(machine({ probe: { adapter: lavapipe }, driverSettings }))).toEqual({ action: 'use' });
  });
});

describe('an adapter that opens', () => {
  it('is used, hardware or software', () => {
    expect(planAdapter(machine({ probe: { adapter: geforce }, gpus: ['nvidia'] }))).toEqual({ action: 'use' });
    expect(planAdapter(machine({ probe: { adapter: lavapipe } }))).toEqual({ action: 'use' });
  });
  it('in software beside a GPU is used with a note, and nothing is installed', () => {
    expect(plan('use', { probe: { adapter: lavapipe }, gpus: ['nvidia'] }).note).toMatch(
      /NVIDIA GPU is there but does not open; .*NVIDIA_DRIVER_CAPABILITIES=all/,
    );
    const intel = plan('use', { probe: { adapter: lavapipe }, gpus: ['intel'], drivers: ['intel'] });
    expect(intel.note).toContain('may open /dev/dri');
  });
  it('does not call for anything on other systems either', () => {
    expect(planAdapter(machine({ platform: 'darwin', probe: { adapter: geforce } }))).toEqual({ action: 'use' });
  });
});

describe('no GPU', () => {
  it.each([
    ['Debian 13', trixie],
    ['Ubuntu 24.04', noble],
    ['Ubuntu 22.04', jammy],
  ])('on %s installs from the system’s own sources', (_, distribution) => {
    const { line, script, packages } = plan('install', { distribution });
    expect(packages).toEqual(['libvulkan1', 'mesa-vulkan-drivers']);
    expect(line).toContain('no Vulkan loader');
    expect(script).toContain('apt-get install -y --no-install-recommends libvulkan1 mesa-vulkan-drivers');
    expect(script).not.toContain('backports');
  });
  it('on Debian 12 installs from backports in sources of their own, with the configured mirror first', () => {
    const { line, script } = plan('install', { distribution: bookworm, loader: true, mesaVersion: '22.3.6-1+deb12u1' });
    expect(line).toContain('Mesa 22.3.6-1+deb12u1 is too old');
    expect(line).toContain('bookworm-backports');
    expect(script).toContain('for mirror in http://mirror.example/debian http://deb.debian.org/debian http://archive');
    expect(script).toContain('Dir::Etc::SourceParts=-');
    expect(script).toContain('-t bookworm-backports libvulkan1 mesa-vulkan-drivers');
    expect(script).not.toContain('/etc/apt');
  });
  it('names each mirror once', () => {
    const mirrors = { archive: 'http://deb.debian.org/debian', security: 'http://deb.debian.org/debian-security' };
    const { script } = plan('install', { distribution: bookworm, mirrors });
    expect(script).toContain('for mirror in http://deb.debian.org/debian http://archive.debian.org/debian; do');
  });
  it.each([
    ['dnf', 'dnf install -y vulkan-loader mesa-vulkan-drivers'],
    ['pacman', 'pacman -Sy --noconfirm --needed vulkan-icd-loader vulkan-swrast'],
    ['apk', 'apk add vulkan-loader mesa-vulkan-swrast'],
  ] as const)('with %s installs its packages', (manager, command) => {
    expect(plan('install', { manager, distribution: fedora }).script).toContain(command);
  });
  it('without root uses sudo where it asks for no password', () => {
    expect(plan('install', { root: false, sudo: true, hasSudo: true }).line).toContain('with sudo');
  });
  it('without rights says exactly what to run, with the same script', () => {
    const { script } = plan('install', { distribution: bookworm });
    const withSudo = plan('ask', { distribution: bookworm, root: false, hasSudo: true });
    expect(withSudo.command).toBe(`sudo sh -c '\n${script}'`);
    const withoutSudo = plan('ask', { distribution: bookworm, root: false });
    expect(withoutSudo.command).toBe(`sh -c '\n${script}'`);
    expect(withoutSudo.line).toContain('as root');
  });
  it('without a package manager says what is needed', () => {
    expect(plan('give up', { manager: undefined }).advice.join(' ')).toContain('libvulkan.so.1');
  });
  it('installs once and then gives up with what can be checked', () => {
    const facts = { loader: true, mesaVersion: '25.0.7', attempted: ['software'] };
    expect(plan('give up', facts).advice.join('\n')).toContain('vulkaninfo');
    const old = plan('give up', { ...facts, distribution: jammy, mesaVersion: '23.2.1' });
    expect(old.advice.join('\n')).toContain('ppa:kisak/kisak-mesa');
  });
});

describe('a GPU that does not open', () => {
  it('gets the missing loader, not a software adapter', () => {
    const { packages, line } = plan('install', { gpus: ['nvidia'], drivers: ['nvidia'] });
    expect(packages).toEqual(['libvulkan1']);
    expect(line).toContain('an NVIDIA GPU and its driver are there, but the Vulkan loader');
  });
  it('has its driver found where container hosts put it, even while a software adapter opens', () => {
    const strayDrivers = ['/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json'];
    for (const adapter of [null, lavapipe]) {
      const { variables } = plan('environment', { probe: { adapter }, gpus: ['nvidia'], strayDrivers, loader: true });
      expect(variables.VK_DRIVER_FILES).toBe(strayDrivers[0]);
    }
    // Found, but there is no loader to use it.
    const next = plan('install', { gpus: ['nvidia'], strayDrivers, attempted: ['environment'] });
    expect(next.packages).toEqual(['libvulkan1']);
  });
  it('falls back to software after everything else was tried', () => {
    const facts = { gpus: ['nvidia' as const], drivers: ['nvidia' as const], attempted: ['loader'], loader: true };
    const { name, line } = plan('install', facts);
    expect(name).toBe('software');
    expect(line).toContain('is there but does not open');
  });
  it('always comes to an end', () => {
    for (const gpus of [[], ['nvidia'], ['amd', 'intel']] as MachineFacts['gpus'][]) {
      for (const strayDrivers of [[], ['/opt/x.json']]) {
        const attempted: string[] = [];
        let result = planAdapter(machine({ gpus, drivers: gpus, strayDrivers, attempted }));
        for (let round = 0; 'name' in result; round++) {
          expect(round).toBeLessThan(4);
          attempted.push(result.name);
          result = planAdapter(machine({ gpus, drivers: gpus, strayDrivers, attempted }));
        }
        expect(result.action).toBe('give up');
      }
    }
  });
});

describe('what no installation can help', () => {
  it('is explained: binaries that do not load, systems with drivers of their own', () => {
    const musl = plan('give up', { probe: { adapter: null, loadError: 'libc.so: ld-linux-x86-64.so.2 not found' } });
    expect(musl.advice.join(' ')).toContain('Alpine');
    expect(plan('give up', { probe: { adapter: null, loadError: 'Cannot find module x' } }).advice[0]).toContain(
      'npm install',
    );
    for (const platform of ['darwin', 'win32']) plan('give up', { platform });
  });
});

describe('the installation script', () => {
  it.each([bookworm, trixie])('is valid shell, also inside its quotes ($name)', (distribution) => {
    const { script } = plan('install', { distribution });
    expect(script).not.toContain("'");
    expect(spawnSync('sh', ['-n', '-c', script]).status).toBe(0);
    expect(spawnSync('sh', ['-n', '-c', shellCommand(script, false)]).status).toBe(0);
  });
});

describe('the mirrors of the system', () => {
  it('are read from one-line and deb822 sources', () => {
    expect(
      debianMirrors(['# c\ndeb [signed-by=/k.gpg] https://m.example/debian/ bookworm main contrib\n']).archive,
    ).toBe('https://m.example/debian');
    const deb822 =
      'Types: deb\n# old\nURIs: http://a.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n\n' +
      'Types: deb\nURIs: http://a.example/debian-security\nSuites: bookworm-security\nComponents: main\n';
    expect(debianMirrors([deb822])).toEqual({
      archive: 'http://a.example/debian',
      security: 'http://a.example/debian-security',
    });
  });
  it('are not those of other vendors, switched-off ones or what a shell could misread', () => {
    const standard = { archive: 'http://deb.debian.org/debian', security: 'http://deb.debian.org/debian-security' };
    for (const text of [
      'deb https://download.docker.com/linux/debian bookworm stable\n',
      'deb https://packages.example.com/php bookworm main\n',
      'deb http://x.example/$(id)/debian bookworm main\n',
      'deb cdrom:[Debian]/debian bookworm main\n',
      'Enabled: no\nTypes: deb\nURIs: http://a.example/debian\nSuites: bookworm\nComponents: main\n',
      '',
    ]) {
      expect(debianMirrors([text]), text).toEqual(standard);
    }
  });
});

it('reads /etc/os-release', () => {
  const text =
    'PRETTY_NAME="Ubuntu 24.04 LTS"\nID=ubuntu\nID_LIKE="debian x"\nVERSION_ID="24.04"\nVERSION_CODENAME=noble\n';
  expect(parseOsRelease(text)).toEqual({
    id: 'ubuntu',
    like: ['debian', 'x'],
    version: '24.04',
    codename: 'noble',
    name: 'Ubuntu 24.04 LTS',
  });
  expect(parseOsRelease('').id).toBe('');
});
