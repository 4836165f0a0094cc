import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { authorizeKey } from '../../src/host/authorized-keys.js';
import { askMariadb, configureMariadb, parseMariadb } from '../../src/host/mariadb.js';
import { askVersions, inspect, parseInspection, parseRelease, parseVersions, supportOf } from '../../src/host/os.js';
import { installPackages } from '../../src/host/packages.js';
import { installSource } from '../../src/host/site-source.js';
import { stateDirectories } from '../../src/host/state.js';

describe('a release', () => {
  it('is read from os-release, quoted or not', () => {
    const text = `PRETTY_NAME="Ubuntu 24.04.1 LTS"\nNAME='Ubuntu'\nVERSION_ID="24.04"\nID=ubuntu\nID_LIKE=debian\n`;
    expect(parseRelease(text)).toEqual({ id: 'ubuntu', version: '24.04', name: 'Ubuntu 24.04.1 LTS' });
    expect(parseRelease('')).toEqual({ id: 'unknown', version: 'unknown', name: 'unknown unknown' });
  });

  it.each([
    ['debian', '12', { php: '8.2', oldRestic: true, tested: true }],
    ['debian', '13', { php: '8.4', oldRestic: false, tested: true }],
    ['ubuntu', '22.04', { php: '8.1', oldRestic: true, tested: false }],
    ['ubuntu', '24.04', { php: '8.3', oldRestic: true, tested: false }],
    ['debian', '11', null],
    ['ubuntu', '23.10', null],
    ['fedora', '12', null],
  ])('%s %s is %j', (id, version, support) => {
    expect(supportOf({ id, version })).toEqual(support);
  });
});

describe('an inspection', () => {
  it('is read as it was printed', () => {
    const said = `clock=1795474544\nsystemd=yes\nmachine=0123456789abcdef0123456789abcdef\nfree=3807\nfree=200\nfree=900\nholder=apache2\nrelease:\nID=debian\nVERSION_ID="13"\n`;
    expect(parseInspection(said)).toEqual({
      release: { id: 'debian', version: '13', name: 'debian 13' },
      systemd: true,
      ipv6: false,
      machineId: '0123456789abcdef0123456789abcdef',
      freeMiB: 200,
      clock: 1795474544,
      portHolders: ['apache2'],
    });
  });

  it.each(['machine=uninitialized\n', 'machine=\n', ''])('knows no machine by %j', (said) => {
    expect(parseInspection(`${said}release:\n`).machineId).toBeNull();
  });

  it('finds every PHP', () => {
    expect(parseVersions('nginx=1.26.3\nphp=8.4\nphp=8.2\nopenssh=10.0p2\nipv6=yes\n')).toEqual({
      php: ['8.2', '8.4'],
      nginx: '1.26.3',
      openssh: '10.0p2',
      ipv6: true,
    });
  });
});

describe('a MariaDB', () => {
  it('is ours when CHOM installed it, or when it holds nothing', () => {
    expect(parseMariadb('bind=127.0.0.1\ninfile=ON\n')).toEqual({
      ours: true,
      bindAddress: '127.0.0.1',
      localInfile: true,
    });
    expect(parseMariadb('bind=0.0.0.0\ninfile=0\nforeign=shop\n')).toMatchObject({ ours: false, localInfile: false });
    expect(parseMariadb('installed=yes\nbind=127.0.0.1\ninfile=0\nforeign=shop\n')).toMatchObject({ ours: true });
  });
});

describe('the scripts', () => {
  it('are scripts to the shell of a host', () => {
    const site = { site: 'sabcdefghi', type: 'static' as const };
    const upload = { kind: 'upload' as const, sha256: 'a'.repeat(64), bytes: 1 };
    const all = [
      stateDirectories(),
      installPackages({ php: '8.4', more: ['nftables', 'unattended-upgrades'] }),
      configureMariadb(),
      authorizeKey('admin', 'ssh-ed25519 AAAA chom-1'),
      installSource({ ...site, source: { kind: 'placeholder' } }, { kind: 'placeholder' }),
      installSource({ ...site, source: upload }, { ...upload, archive: '/var/lib/chom/staging/sabcdefghi.tar' }),
    ].flatMap(({ check, act }) => [check, act]);
    for (const { script } of [inspect(), askVersions(), askMariadb(), ...all]) {
      expect(execFileSync('dash', ['-n'], { input: script, encoding: 'utf8' })).toBe('');
    }
  });

  it('ask nobody while packages are installed, and wait for whoever installs others', () => {
    const text = installPackages({ php: '8.4', more: ['nftables', 'unattended-upgrades'] }).act.script.toString();
    expect(text).toContain('DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a');
    expect(text).toContain("-o 'DPkg::Lock::Timeout=600' -o Dpkg::Options::=--force-confold");
    expect(text).toContain("'php8.4-fpm'");
    expect(text).toContain("-f '${db:Status-Status}'");
  });
});
