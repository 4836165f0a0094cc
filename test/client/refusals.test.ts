import { execFile } from 'node:child_process';
import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as servers from '../../src/inventory/servers.js';
import { addServer, addSite, rowCounts, startCommandLine, type CommandLine } from './command-line.js';

const run = promisify(execFile);

let line: CommandLine;
let key = '';
beforeAll(async () => {
  line = await startCommandLine();
  const web1 = await addServer(line, 'web1', ['8.2', '8.4']);
  await addServer(line, 'web2', []);
  await addSite(line, web1, 'taken.example', ['www.taken.example']);
  key = join(line.home, 'id_ed25519');
  await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
});
afterAll(async () => await line.close());

/** Runs it, and sees that it was refused with nothing written, nobody contacted, and nothing but talk on stderr. */
async function refused(words: string[], status: number) {
  const before = await rowCounts(line);
  const ran = await line.here(...words, '--json');
  expect(ran.status).toBe(status);
  // Neither Temporal nor the host.
  expect(line.contacts()).toBe(0);
  expect(await rowCounts(line)).toEqual(before);
  const document = JSON.parse(ran.stdout) as { operation: null; status: string; error: Record<string, string | null> };
  expect(document).toMatchObject({ operation: null, status: 'failed' });
  expect(ran.stderr).toContain(document.error['message']);
  expect(ran.stderr).toMatch(/^chom: /m);
  expect(document.error['next']).toBeTruthy();
  return document.error;
}

const create = (...words: string[]) => ['site', 'create', ...words];
const good = create('new.example', '--server', 'web1');

const wordpress = (...words: string[]) => [
  ...good,
  '--type',
  'wordpress',
  '--admin-email',
  'anna@example.org',
  ...words,
];

test('what is to be renewed is said, and has a certificate', async () => {
  expect((await refused(['certificate', 'renew'], 2))['message']).toContain('--due');
  await refused(['certificate', 'renew', 'taken.example', '--all'], 2);
  expect((await refused(['certificate', 'renew', 'taken.example'], 1))['next']).toBe(
    'chom certificate issue taken.example',
  );
});

test('which server is to be looked at or kept in order is said, once, and a restart is confirmed', async () => {
  await refused(['server', 'check'], 2);
  await refused(['server', 'check', 'web1', '--all'], 2);
  await refused(['server', 'optimise'], 2);
  await refused(['server', 'optimise', 'web1', '--site', 'taken.example'], 2);
  expect((await refused(['server', 'optimise', '--site', 'taken.example'], 1))['message']).toContain('no database');
  expect((await refused(['server', 'reboot', 'web1'], 2))['next']).toBe('add --confirm web1');
  await refused(['server', 'reboot', 'web1', '--confirm', 'web2'], 2);
});

describe('invalid configuration of a site is refused before any host is touched [PS-06]', () => {
  test.each([
    ['an unknown type', [...good, '--type', 'drupal'], 'type of site'],
    ['a WordPress without an address', [...good, '--type', 'wordpress'], 'e-mail address of its administrator'],
    ['an address that is none', [...good, '--type', 'wordpress', '--admin-email', 'anna'], '--admin-email'],
    ['a user of metacharacters', wordpress('--admin-user', 'a;b'), '--admin-user'],
    ['a title with a line break', wordpress('--title', 'a\nb'), '--title'],
    ['an empty title', wordpress('--title', ' '), '--title'],
    ['a title for PHP', [...good, '--type', 'php', '--title', 'x'], '--title is for WordPress'],
    ['a database for a static site', [...good, '--database'], 'no database'],
    ['a Laravel without its application', [...good, '--type', 'laravel'], 'needs its application'],
    ['a Laravel on a server without MariaDB', [...good, '--type', 'laravel', '--from', '.'], 'does not have MariaDB'],
    ['an empty type', [...good, '--type', ''], 'type of site'],
    ['an unknown PHP version', [...good, '--type', 'php', '--php', '5.6'], 'PHP version'],
    ['a PHP version that the server has not', [...good, '--type', 'php', '--php', '8.3'], 'does not have PHP 8.3'],
    ['a server without PHP', create('new.example', '--server', 'web2', '--type', 'php'), 'does not have PHP'],
    ['PHP for a static site', [...good, '--php', '8.4'], 'no PHP version'],
    ['an empty domain', create('', '--server', 'web1'), 'empty'],
    ['a domain of blanks', create('  ', '--server', 'web1'), 'empty'],
    ['one label', create('localhost', '--server', 'web1'), 'no domain'],
    ['a domain of 300 characters', create(`${'a.'.repeat(146)}example`, '--server', 'web1'), 'no domain'],
    ['a label of 64 characters', create(`${'a'.repeat(64)}.example`, '--server', 'web1'), 'no domain'],
    ['shell metacharacters', create('a.example;reboot', '--server', 'web1'), 'no domain'],
    ['a command substitution', create('$(reboot).example', '--server', 'web1'), 'no domain'],
    ['a path', create('../etc.example', '--server', 'web1'), 'no domain'],
    ['a newline', create('a.example\nb.example', '--server', 'web1'), 'no domain'],
    ['an address', create('192.0.2.1', '--server', 'web1'), 'no domain'],
    ['a bad alias', [...good, '--alias', 'under_score.example'], 'no alias'],
    ['an alias that is the domain', [...good, '--alias', 'NEW.example'], 'given twice'],
    ['an empty server', create('new.example', '--server', ''), 'empty'],
    ['a server of metacharacters', create('new.example', '--server', 'web1; reboot'), 'no name for a server'],
    ['no such source', [...good, '--from', '/nonexistent/place'], 'cannot be made from'],
    ['an empty source', [...good, '--from', ''], 'empty'],
    ['a source by ftp', [...good, '--from', 'ftp://example.org/site.git'], 'no git URL'],
    [
      'no such deploy key',
      [...good, '--from', 'ssh://git@example.org/a.git', '--deploy-key', '/nonexistent'],
      'key file',
    ],
    ['a timeout that is none', [...good, '--timeout', 'soon'], '--timeout'],
  ])('%s', async (_, words, message) => {
    expect(await refused(words, 2)).toMatchObject({ type: 'InvalidInput', message: expect.stringContaining(message) });
  });

  test('a deploy key for what is not read with one', async () => {
    for (const from of [[], ['--from', line.home], ['--from', 'https://example.org/a.git']]) {
      const error = await refused([...good, ...from, '--deploy-key', key], 2);
      expect(error).toMatchObject({ type: 'InvalidInput', next: expect.stringContaining('ssh://') });
    }
  });

  test('a domain that is taken, as a domain or an alias', async () => {
    for (const domain of ['taken.example', 'www.taken.example', 'TAKEN.Example.']) {
      const error = await refused(create(domain, '--server', 'web1'), 1);
      expect(error).toMatchObject({ type: 'Conflict', next: 'chom site show taken.example' });
    }
    await refused([...good, '--alias', 'www.taken.example'], 1);
  });

  test('a server that is not enrolled', async () => {
    await line.stores.inventory.transaction(async (trx) => {
      await servers.add(trx, {
        id: 'srv-half',
        tenant: 'default',
        name: 'half',
        address: '192.0.2.9',
        port: 22,
        user: 'root',
      });
    });
    const error = await refused(create('new.example', '--server', 'half'), 1);
    expect(error).toMatchObject({ type: 'Conflict', server: 'half', next: 'chom server show half' });
  });
});

describe('a site without a server ends early with a clear error [PS-08]', () => {
  test('none is given', async () => {
    expect(await refused(create('new.example'), 2)).toMatchObject({ message: expect.stringContaining('--server') });
  });

  test('there is none of that name', async () => {
    const error = await refused(create('new.example', '--server', 'web9'), 5);
    expect(error).toMatchObject({ type: 'NotFound', message: 'There is no server web9', next: 'chom server list' });
  });
});

describe('a certificate', () => {
  test('of no site is refused', async () => {
    expect(await refused(['certificate', 'issue', 'none.example'], 5)).toMatchObject({ next: 'chom site list' });
  });

  test('of a site whose server is gone ends early [IS-06]', async () => {
    const gone = await addServer(line, 'gone');
    await addSite(line, gone, 'orphan.example');
    await line.stores.inventory.transaction((trx) => servers.setStatus(trx, gone, 'removed'));
    const error = await refused(['certificate', 'issue', 'orphan.example'], 1);
    expect(error).toMatchObject({ type: 'Conflict', message: expect.stringContaining('no server'), server: 'gone' });
  });
});

describe('a server to be enrolled is refused before anything is written', () => {
  const fingerprint = `SHA256:${'A'.repeat(43)}`;
  const add = (name: string, ...words: string[]) => ['server', 'add', name, '--host-key', fingerprint, ...words];
  const host = ['--host', '192.0.2.10'];

  test.each([
    ['an empty name', () => add('', ...host, '--key', key)],
    ['a name of 300 characters', () => add('a'.repeat(300), ...host, '--key', key)],
    ['metacharacters in its name', () => add('web`id`', ...host, '--key', key)],
    ['an empty host', () => add('web3', '--host', '', '--key', key)],
    ['metacharacters in its host', () => add('web3', '--host', '-oProxyCommand=reboot', '--key', key)],
    ['a host that is an address gone wrong', () => add('web3', '--host', '192.0.2.256', '--key', key)],
    ['port 0', () => add('web3', ...host, '--port', '0', '--key', key)],
    ['port 65536', () => add('web3', ...host, '--port', '65536', '--key', key)],
    ['port 22x', () => add('web3', ...host, '--port', '22x', '--key', key)],
    ['a user that is an option', () => add('web3', ...host, '--user', '-l', '--key', key)],
    ['no such key', () => add('web3', ...host, '--key', join(line.home, 'none'))],
    ['a key that is a directory', () => add('web3', ...host, '--key', line.home)],
    ['the public half', () => add('web3', ...host, '--key', `${key}.pub`)],
    ['a file that is no key', () => add('web3', ...host, '--key', '/etc/hostname')],
    ['a fingerprint that is none', () => ['server', 'add', 'web3', ...host, '--key', key, '--host-key', 'MD5:00']],
    ['a relay with a bad port', () => add('web3', ...host, '--key', key, '--smtp-relay', 'mail.example.org:99999')],
    ['a relay of metacharacters', () => add('web3', ...host, '--key', key, '--smtp-relay', 'mail;id')],
    ['an empty relay', () => add('web3', ...host, '--key', key, '--smtp-relay', '')],
    ['no host', () => add('web3', '--key', key)],
    ['no key', () => add('web3', ...host)],
  ])('%s', async (_, words) => {
    expect(await refused(words(), 2)).toMatchObject({ type: 'InvalidInput' });
  });

  test('a key with a passphrase, of either form', async () => {
    for (const form of ['RFC4716', 'PEM']) {
      const locked = join(line.home, `locked-${form}`);
      await run('ssh-keygen', ['-q', '-t', 'rsa', '-b', '2048', '-m', form, '-N', 'secret', '-f', locked]);
      const error = await refused(add('web3', ...host, '--key', locked), 2);
      expect(error).toMatchObject({ message: expect.stringContaining('has a passphrase') });
    }
  });

  test('without a terminal and without its host key', async () => {
    const error = await refused(['server', 'add', 'web3', ...host, '--key', key], 2);
    expect(error).toMatchObject({ next: expect.stringContaining('--host-key SHA256:') });
  });
});

test('a server is not removed without its name, nor while it has sites', async () => {
  const remove = ['server', 'remove', 'web1'];
  expect(await refused(remove, 2)).toMatchObject({ next: 'add --confirm web1' });
  expect(await refused([...remove, '--confirm', 'web2'], 2)).toMatchObject({ type: 'InvalidInput' });
  expect(await refused([...remove, '--gone'], 2)).toMatchObject({ type: 'InvalidInput' });
  const error = await refused([...remove, '--confirm', 'web1'], 1);
  expect(error).toMatchObject({ type: 'Conflict', message: expect.stringContaining('taken.example') });
  await refused(['server', 'remove', 'web9', '--confirm', 'web9'], 5);
});

test('words that the command line does not know', async () => {
  expect(await refused(['sit', 'list'], 2)).toMatchObject({ message: expect.stringContaining('Did you mean site?') });
  expect(await refused(['site', 'lst'], 2)).toMatchObject({ message: expect.stringContaining('Did you mean list?') });
  await refused(['site', 'list', 'more'], 2);
  await refused([...good, '--form', '.'], 2);
  await refused(['op', 'show', '../x'], 2);
  await refused(['op', 'list', '--limit', '0'], 2);
  await refused(['op', 'list', '--failed', '--running'], 2);
  await refused(['op', 'show', 'provision-site-none'], 5);
  await refused(['op', 'watch', 'provision-site-none'], 5);
  await refused(['op', 'cancel', 'provision-site-none'], 5);
  await refused(['server', 'show', 'web9'], 5);
  await refused(['site', 'show', 'none.example'], 5);
});

// Starting from source takes seconds on a busy machine.
describe('in a process of its own', { timeout: 120_000 }, () => {
  test('data goes to stdout, talk to stderr, and the status tells', async () => {
    const listed = await line.chom('site', 'list');
    expect(listed).toMatchObject({ status: 0, stderr: '' });
    expect(listed.stdout).toMatch(
      /^DOMAIN +STATUS +TYPE +SERVER +ALIASES\n(.*\n)*taken\.example +active +static +web1/,
    );
    const wrong = await line.chom('site', 'create', 'a b', '--server', 'web1');
    expect(wrong).toMatchObject({ status: 2, stdout: '' });
    expect(wrong.stderr).toMatch(/^chom: "a b" is no domain\n {2}cause {2}it holds " "/);
  });

  test('without Temporal nothing is written, and the status is 12', async () => {
    const before = await rowCounts(line);
    const ran = await line.chom(...good, '--json');
    expect(ran.status).toBe(12);
    expect(JSON.parse(ran.stdout)).toMatchObject({ operation: null, error: { type: 'TemporalUnavailable' } });
    expect(ran.stderr).toContain('chom dev');
    expect(await rowCounts(line)).toEqual(before);
  });

  test('a WordPress to be fetched without its checksum is refused', async () => {
    const { environment } = line;
    environment['CHOM_WORDPRESS_URL'] = 'https://example.org/wordpress.tar.gz';
    const ran = await line.here(...wordpress());
    delete environment['CHOM_WORDPRESS_URL'];
    expect(ran).toMatchObject({ status: 2, stderr: expect.stringContaining('CHOM_WORDPRESS_SHA256') });
  });

  test('settings that are wrong are named', async () => {
    const { environment } = line;
    environment['CHOM_DATABASE_URL'] = 'mysql://x';
    const ran = await line.here('site', 'list');
    delete environment['CHOM_DATABASE_URL'];
    expect(ran).toMatchObject({ status: 2, stderr: expect.stringContaining('CHOM_DATABASE_URL') });
  });

  test('a data directory that others may change is refused', async () => {
    const home = join(line.home, 'open');
    await mkdir(home);
    await chmod(home, 0o777);
    const { environment } = line;
    environment['CHOM_HOME'] = home;
    const ran = await line.here('site', 'list');
    environment['CHOM_HOME'] = line.home;
    expect(ran).toMatchObject({ status: 4, stderr: expect.stringContaining(`chmod 700 ${home}`) });
  });
});
