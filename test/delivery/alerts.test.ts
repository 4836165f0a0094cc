import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SMTPServer } from 'smtp-server';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runAlertCommand } from '../../src/delivery/alert-command.js';
import { alertText, sendAlert } from '../../src/delivery/alert-mail.js';
import type { Message } from '../../src/delivery/message.js';

const alert: Message = {
  ...{ id: 'evt_controller_7', type: 'Alert', at: '2026-11-27T03:00:00.000Z', operation: 'create-backup-1' },
  ...{ tenant: 'acme', server: { id: 'srv', name: 'web1' }, site: { id: 'site', domain: 'shop.example' } },
  data: { severity: 'error', about: 'BackupFailed', reason: "it's $(broken) `now`" },
};

let directory: string;
beforeEach(async () => (directory = await mkdtemp(join(tmpdir(), 'chom-alerts-'))));
afterEach(async () => await rm(directory, { recursive: true, force: true }));

test('a mail server gets an alert that says what, where, why and the next command', async () => {
  const mails: { from: string; to: string[]; text: string }[] = [];
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onAuth: ({ username, password }, _, done) => done(null, { user: `${username} ${password}` }),
    onData(stream, session, done) {
      let text = '';
      stream.setEncoding('utf8').on('data', (part: string) => (text += part));
      stream.once('end', () => {
        const { mailFrom, rcptTo } = session.envelope;
        mails.push({ from: mailFrom ? mailFrom.address : '', to: rcptTo.map(({ address }) => address), text });
        done();
      });
    },
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.server.address() as AddressInfo;
  const settings = { to: 'ops@example.org', from: 'chom@example.org' };
  const told = await sendAlert({ ...settings, smtpUrl: `smtp://user:word@127.0.0.1:${port}` }, alert, 20_000);
  await new Promise<void>((resolve) => server.close(resolve));
  expect(told).toEqual({ ok: true });
  expect(mails).toEqual([{ from: 'chom@example.org', to: ['ops@example.org'], text: expect.any(String) }]);
  const { text = '' } = mails[0] ?? {};
  expect(text).toContain('Subject: [CHOM] BackupFailed: shop.example');
  expect(text).toContain('Message-ID: <evt_controller_7@chom>');
  for (const part of ['web1', 'acme', "it's $(broken) `now`", 'chom op show create-backup-1']) {
    expect(text).toContain(part);
  }
  expect(alertText({ ...alert, data: { ...alert.data, next: 'chom certificate renew shop.example' } }).text).toContain(
    'next      chom certificate renew shop.example\n',
  );
  const away = await sendAlert({ ...settings, smtpUrl: `smtp://127.0.0.1:${port}` }, alert, 20_000);
  expect(away).toEqual({ ok: false, reason: expect.stringContaining('ECONNREFUSED') });
});

test('a command gets the alert on its standard input, and none of CHOM’s own environment', async () => {
  process.env['CHOM_SECRET_OF_TEST'] = 'secret';
  const told = await runAlertCommand(`cd ${directory} && cat >alert && env >environment`, alert, 20_000);
  delete process.env['CHOM_SECRET_OF_TEST'];
  expect(told).toEqual({ ok: true });
  expect(JSON.parse(await readFile(join(directory, 'alert'), 'utf8'))).toEqual(alert);
  const environment = await readFile(join(directory, 'environment'), 'utf8');
  expect(environment).toContain('CHOM_EVENT=Alert');
  expect(environment).not.toContain('secret');
});

test('a command that fails, or does not read, or does not end, is told of', async () => {
  expect(await runAlertCommand('echo no such pager >&2; exit 3', alert, 20_000)).toEqual({
    ...{ ok: false, reason: 'its exit status was 3: no such pager' },
  });
  expect(await runAlertCommand('exec <&-; exit 0', alert, 20_000)).toEqual({ ok: true });
  expect(await runAlertCommand('sleep 600 & wait', alert, 300)).toEqual({
    ...{ ok: false, reason: 'it was ended: it did not end within 0.3 s' },
  });
});
