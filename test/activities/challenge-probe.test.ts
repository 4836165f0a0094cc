import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { answersWith, describeAnswer, probeChallenge } from '../../src/activities/challenge-probe.js';

const servers: Server[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

async function serve(listener: RequestListener): Promise<number> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

test('asks the address for the token, under the name', async () => {
  const seen: (string | undefined)[] = [];
  const port = await serve((request, response) => {
    seen.push(request.url, request.headers.host);
    response.end('token.thumbprint\n');
  });
  const answer = await probeChallenge({ address: '127.0.0.1', port, name: 'a.test', token: 'token' });
  expect(seen).toEqual(['/.well-known/acme-challenge/token', 'a.test']);
  expect(answersWith(answer, 'token.thumbprint')).toBe(true);
  expect(answersWith(answer, 'another')).toBe(false);
});

test('follows no redirect, wherever it leads', async () => {
  let reached = false;
  const elsewhere = await serve((_, response) => {
    reached = true;
    response.end();
  });
  const port = await serve((_, response) => {
    response.writeHead(301, { location: `http://127.0.0.1:${elsewhere}/` }).end();
  });
  const answer = await probeChallenge({ address: '127.0.0.1', port, name: 'a.test', token: 'token' });
  expect(answer).toMatchObject({ answered: true, status: 301 });
  expect(describeAnswer(answer)).toContain(`redirects to "http://127.0.0.1:${elsewhere}/"`);
  expect(reached).toBe(false);
});

test('reads at most 128 bytes of an answer that never ends', async () => {
  const port = await serve((_, response) => {
    response.write('x'.repeat(1000));
  });
  const answer = await probeChallenge({ address: '127.0.0.1', port, name: 'a.test', token: 'token' });
  expect(answer).toMatchObject({ answered: true, status: 200, body: 'x'.repeat(128) });
});

test('gives up on an address that accepts and says nothing', async () => {
  const port = await serve(() => undefined);
  const answer = await probeChallenge({ address: '127.0.0.1', port, name: 'a.test', token: 'token' }, 50);
  expect(answer).toEqual({ answered: false, code: 'ETIMEDOUT' });
});

test('says why nothing answered', async () => {
  const port = await serve(() => undefined);
  await new Promise((resolve) => servers.pop()?.close(resolve));
  const answer = await probeChallenge({ address: '127.0.0.1', port, name: 'a.test', token: 'token' });
  expect(describeAnswer(answer)).toBe('does not answer (ECONNREFUSED)');
});
