import { readFile } from 'node:fs/promises';
import { request } from 'node:https';
import { text } from 'node:stream/consumers';
import { hold, logFile, release } from './kept.js';
import { bridgeAddress } from './network.js';
import { ACME_PORTS, caFile } from './pebble.js';
import { poll } from './poll.js';
import type { LabState } from './state.js';

/** The lab's certificate authority and its names. */
export interface LabAcme {
  readonly directoryUrl: string;
  /** PEM file: the CA of the authority's own HTTPS. */
  readonly caFile: string;
  /** `ip:port` that answers for the lab's names, and knows no others. */
  readonly dnsServer: string;
  /** PEM of the root above the certificates it issues. It is another one after each start. */
  rootCertificate(): Promise<string>;
  /** Makes a name resolve to these addresses and no others. */
  setAddress(name: string, addresses: { a?: readonly string[]; aaaa?: readonly string[] }): Promise<void>;
  /** Asks the management interface (Pebble's README). Rejects unless it answers 200. */
  manage(path: string, body?: object): Promise<string>;
  /** Asks the DNS server's management interface (challtestsrv's README), for example `set-servfail {"host":"a.test"}`. */
  manageDns(path: string, body: object): Promise<string>;
  /** Takes the authority off the network, and starts it again. It forgets accounts and orders. */
  stop(): Promise<void>;
  start(): Promise<void>;
  waitUntilReady(): Promise<void>;
}

export async function labAcme(lab: LabState): Promise<LabAcme> {
  const host = bridgeAddress(lab);
  const ca = await readFile(caFile(lab), 'utf8');
  const directoryUrl = `https://${host}:${ACME_PORTS.directory}/dir`;

  const manage = (path: string, body?: object): Promise<string> =>
    ask(`https://${host}:${ACME_PORTS.management}/${path}`, ca, body);

  const manageDns = async (path: string, body: object): Promise<string> => {
    const url = `http://${host}:${ACME_PORTS.dnsManagement}/${path}`;
    const answer = await fetch(url, { method: 'POST', body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${await answer.text()}`);
    return answer.text();
  };

  const isReady = async (): Promise<true> => {
    await ask(directoryUrl, ca);
    await manageDns('clear-a', { host: 'nothing.lab.test' });
    return true;
  };

  async function waitUntilReady(): Promise<void> {
    let last: unknown;
    const ready = poll('Pebble answers', 60_000, () => isReady().catch((error: unknown) => void (last = error)));
    await ready.catch(async (error: unknown) => {
      const logs = await Promise.all(
        ['pebble', 'dns'].map((name) => readFile(logFile(lab, name), 'utf8').catch(() => '')),
      );
      throw new Error(`${String(error)}: ${String(last)}\n${logs.join('\n').slice(-2000)}`);
    });
  }

  return {
    directoryUrl,
    caFile: caFile(lab),
    dnsServer: `${host}:${ACME_PORTS.dns}`,
    rootCertificate: () => manage('roots/0'),
    async setAddress(name, { a = [], aaaa = [] }) {
      await manageDns('clear-a', { host: name });
      await manageDns('clear-aaaa', { host: name });
      if (a.length > 0) await manageDns('add-a', { host: name, addresses: a });
      if (aaaa.length > 0) await manageDns('add-aaaa', { host: name, addresses: aaaa });
    },
    manage,
    manageDns,
    stop: () => hold(lab, 'pebble'),
    async start() {
      await release(lab, 'pebble');
      await waitUntilReady();
    },
    waitUntilReady,
  };
}

/** An HTTPS request to a server whose certificate is the lab's own, which fetch cannot be told to trust. */
async function ask(url: string, ca: string, body?: object): Promise<string> {
  // ACME demands a User-Agent (RFC 8555, 6.1), and Pebble enforces it.
  const headers = { 'user-agent': 'chom-lab' };
  return new Promise((resolve, reject) => {
    const asked = request(
      url,
      { ca, headers, agent: false, method: body ? 'POST' : 'GET', timeout: 30_000 },
      (answer) => {
        text(answer).then((content) => {
          if (answer.statusCode === 200) resolve(content);
          else reject(new Error(`${url} answered ${answer.statusCode}: ${content}`));
        }, reject);
      },
    );
    asked.on('error', reject).on('timeout', () => asked.destroy(new Error(`${url} did not answer`)));
    asked.end(body ? JSON.stringify(body) : undefined);
  });
}
