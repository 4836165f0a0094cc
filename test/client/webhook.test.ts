import { afterAll, beforeAll, expect, test } from 'vitest';
import { httpReceiver } from '../delivery/receiver.js';
import { type CommandLine, startCommandLine } from './command-line.js';

let line: CommandLine;
beforeAll(async () => (line = await startCommandLine()));
afterAll(async () => await line.close());

const json = async (...words: string[]) => {
  const { status, stdout } = await line.here(...words, '--json');
  return { status, document: JSON.parse(stdout) as Record<string, unknown> };
};

test('a webhook is added, tried, listed, shown and removed', async () => {
  const receiver = await httpReceiver((response, n) => response.writeHead(n === 1 ? 200 : 503).end('closed'));
  const words = ['webhook', 'add', 'pager', '--url', receiver.url, '--event', 'Alert', 'BackupFailed'];
  const added = await json(...words, '--allow-private');
  expect(added).toMatchObject({
    status: 0,
    document: {
      webhook: { name: 'pager', events: ['Alert', 'BackupFailed'] },
      secret: expect.stringMatching(/^whsec_/),
    },
  });
  expect(await json(...words, '--allow-private')).toMatchObject({ document: { error: { type: 'Conflict' } } });
  expect(await json('webhook', 'test', 'pager')).toMatchObject({ status: 0, document: { received: true } });
  expect(JSON.parse(receiver.received[0]?.body ?? '')).toMatchObject({ type: 'Test', tenant: 'default' });
  const refused = await json('webhook', 'test', 'pager');
  expect(refused).toMatchObject({
    status: 1,
    document: { error: { type: 'ProbeFailed', message: 'Webhook pager did not take a test: it answered 503: closed' } },
  });
  await receiver.close();
  const listed = await line.here('webhook', 'list');
  expect(listed.stdout).toMatch(/^pager .* Alert BackupFailed +default +0 +0$/m);
  expect(listed.stdout + listed.stderr).not.toContain('whsec_');
  expect((await line.here('webhook', 'show', 'pager')).stdout).toContain('delivered  0 in 30 days');
  expect(await json('webhook', 'retry', 'pager')).toMatchObject({ status: 0, document: { resumed: 0 } });
  expect((await line.here('webhook', 'show', 'mail')).status).toBe(0);
  await line.here('tenant', 'add', 'other');
  expect(await json('--tenant', 'other', 'webhook', 'show', 'pager')).toMatchObject({ status: 5 });
  expect(await json('--tenant', 'other', 'webhook', 'remove', 'pager', '--confirm', 'pager')).toMatchObject({
    status: 5,
  });
  expect(await json('webhook', 'remove', 'pager')).toMatchObject({ status: 2 });
  expect(await json('webhook', 'remove', 'pager', '--confirm', 'pager')).toMatchObject({ status: 0 });
  expect((await line.here('webhook', 'list')).stdout).toBe('No webhooks\n');
});

test.each([
  ['no address', ['--url', 'hooks.example']],
  ['no web address', ['--url', 'ftp://hooks.example/']],
  ['a login in the address', ['--url', 'https://user:word@hooks.example/']],
  ['plain HTTP', ['--url', 'http://hooks.example/']],
  ['an unknown event', ['--url', 'https://hooks.example/', '--event', 'SiteExploded']],
])('%s is refused before anything is opened', async (_, words) => {
  expect(await json('webhook', 'add', 'pager', ...words)).toMatchObject({
    status: 2,
    document: { error: { type: 'InvalidInput' } },
  });
});

test('a name that a worker’s own receivers have is refused', async () => {
  expect(await json('webhook', 'add', 'mail', '--url', 'https://hooks.example/')).toMatchObject({ status: 2 });
});
