import { execFileSync } from 'node:child_process';
import * as fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { isWrong, sighting } from '../../src/activities/check-sightings.js';
import { chooseTables, hasRoom } from '../../src/activities/table-choice.js';
import { upgradeFinding } from '../../src/activities/upgrade-findings.js';
import { askBoot, parseBoot, restart } from '../../src/host/boot.js';
import {
  analyseTables,
  askTables,
  parseTables,
  rebuildFailure,
  rebuildTable,
  type Table,
} from '../../src/host/optimise.js';
import { askUpgrades, parseUpgrades } from '../../src/host/upgrades.js';

const MIB = 1024 * 1024;
const hex = (name: string) => Buffer.from(name).toString('hex').toUpperCase();
const table = (name: string, more: Partial<Table> = {}): Table => ({
  ...{ name: hex(name), engine: 'InnoDB', data: 60 * MIB, indexes: 10 * MIB, free: 30 * MIB, fulltext: false },
  ...more,
});

test('the scripts are scripts to the shell of a host', () => {
  const { check, act } = restart('b');
  const database = [
    askTables('sabcdefghi'),
    analyseTables('sabcdefghi', [hex('a')]),
    rebuildTable('sabcdefghi', hex('a'), 9),
  ];
  for (const { script } of [askUpgrades(), askBoot(), check, act, ...database]) {
    expect(execFileSync('dash', ['-n'], { input: script, encoding: 'utf8' })).toBe('');
  }
});

test('a boot is read with what is at work in it', () => {
  const said =
    'boot=b1\ndue=yes\nservice=nginx.service\nservice=chom-php@sabcdefghi.service\nversion=sabcdefghi 0af\nversion=sbbcdefghi \n';
  const services = ['nginx.service', 'chom-php@sabcdefghi.service'];
  expect(parseBoot(said)).toEqual({ id: 'b1', due: true, services, versions: { sabcdefghi: '0af' } });
  expect(parseBoot('')).toEqual({ id: '', due: false, services: [], versions: {} });
});

describe('updates that wait', () => {
  const said = `Inst libc6 [2.41-12] (2.41-12+deb13u1 Debian:13.2/stable, Debian-Security:13/stable-security [amd64])
Inst vim [9.1] (9.2 Debian:13.2/stable [amd64])
Conf libc6 (2.41-12+deb13u1 Debian:13.2/stable [amd64])
`;

  it('are told apart by where they come from', () => {
    const [, program = ''] = /awk '([^']*)'/.exec(askUpgrades().script.toString()) ?? [];
    const counted = execFileSync('/usr/bin/env', ['awk', program], { input: said, encoding: 'utf8' });
    expect(parseUpgrades(counted)).toEqual({ all: 2, security: 1 });
    expect(parseUpgrades('')).toBeNull();
  });

  it('are wrong after two days if they are for security', () => {
    const all = { firewall: true, updates: true, swap: true, logrotate: true };
    expect(upgradeFinding(null, 'web1', null)).toEqual([]);
    expect(upgradeFinding({ all: 3, security: 0 }, 'web1', all).some(isWrong)).toBe(false);
    expect(upgradeFinding({ all: 3, security: 1 }, 'web1', all)).toMatchObject([
      {
        message: '1 security update waits, and 2 others',
        next: 'unattended-upgrade -v (on web1)',
        counts: { hours: 48 },
      },
    ]);
    const [unwanted] = upgradeFinding({ all: 3, security: 1 }, 'web1', { ...all, updates: false });
    expect(unwanted).toMatchObject({ next: 'apt-get upgrade (on web1)' });
    expect(isWrong(unwanted!)).toBe(true);
  });
});

test('a finding is kept under what is wrong with what, whatever else is said of it', () => {
  const disk = { name: 'disk', state: 'wrong', message: '/srv has 9 MiB free', about: '/srv' } as const;
  expect(sighting(disk)).toMatchObject({ key: 'disk//srv', severity: 'serious', site: null, counts: { checks: 1 } });
  expect(sighting({ ...disk, message: '/srv has 8 MiB free' }).key).toBe('disk//srv');
  const http = { name: 'http', state: 'wrong', message: 'x', site: 'sabcdefghi' } as const;
  expect(sighting(http)).toMatchObject({ key: 'sabcdefghi/http', severity: 'serious', site: 'sabcdefghi' });
  expect(sighting({ ...http, name: 'names', about: 'a.test' })).toMatchObject({ severity: 'warning' });
});

describe('tables', () => {
  it('are read with whatever names they have', () => {
    const said = `free=123\ntable ${hex("a'`b")} InnoDB 10 20 30 1\ntable ${hex('c')} Aria 1 2 3 0\n`;
    expect(parseTables(said)).toEqual({
      freeBytes: 123,
      tables: [
        { name: hex("a'`b"), engine: 'InnoDB', data: 10, indexes: 20, free: 30, fulltext: true },
        { name: hex('c'), engine: 'Aria', data: 1, indexes: 2, free: 3, fulltext: false },
      ],
    });
    expect(rebuildTable('sabcdefghi', hex('a`; DROP'), 9.7).script.toString()).toContain('TABLE `a``; DROP`');
    expect(rebuildTable('sabcdefghi', hex('a'), 9.7).script.toString()).toContain('max_statement_time = 9;');
  });

  it('are rebuilt where much is free, the emptiest first, and not where that would be in somebody’s way', () => {
    const tables = [
      table('full', { free: 2 * MIB }),
      table('large', { data: 900 * MIB, free: 50 * MIB }),
      table('empty', { data: 20 * MIB, free: 90 * MIB }),
      table('emptied'),
      table('searched', { fulltext: true }),
      table('old', { engine: 'MyISAM' }),
    ];
    const choice = chooseTables({ tables, freeBytes: 4096 * MIB });
    expect(choice.tables).toBe(6);
    expect(choice.chosen.map((one) => one.table)).toEqual([hex('empty'), hex('emptied')]);
    expect(choice.skipped.map(({ table: name, why }) => [name, why])).toEqual([
      [hex('old'), 'locking'],
      [hex('searched'), 'locking'],
    ]);
    const short = chooseTables({ tables: [table('emptied')], freeBytes: 1100 * MIB });
    expect(short).toMatchObject({ chosen: [], skipped: [{ why: 'no-room' }] });
  });

  it('never fill the disk', () => {
    const kept = fc.property(fc.nat(1e12), fc.nat(1e12), fc.nat(1e12), (data, indexes, freeBytes) => {
      return !hasRoom({ data, indexes }, freeBytes) || freeBytes - (data + indexes) > 1000 * MIB;
    });
    expect(() => fc.assert(kept)).not.toThrow();
  });

  it.each([
    [
      's.t\toptimize\tnote\tTable does not support optimize, doing recreate + analyze instead\ns.t\toptimize\tstatus\tOK\n',
      null,
    ],
    [
      's.t\toptimize\tError\tLock wait timeout exceeded; try restarting transaction\ns.t\toptimize\tstatus\tOperation failed\n',
      'busy',
    ],
    ['ERROR 1969 (70100) at line 1: Query execution was interrupted (max_statement_time exceeded)\n', 'time'],
    ["s.t\toptimize\tError\tTable 's.t' doesn't exist\n", 'failed'],
  ])('say how it went: %j is %s', (said, failure) => {
    expect(rebuildFailure(said)).toBe(failure);
  });
});
