import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { freePort } from '../../lab/ports.js';
import type { LabHost } from '../../lab/index.js';
import { poll } from '../../lab/poll.js';
import { sh } from '../../src/host/shell.js';
import { ask } from './on-host.js';
import type { Rig } from './rig.js';
import type { Chom, Document } from './rig-command.js';

/** A tenant's way to the API: the same commands with a token and nothing else of CHOM, and requests as they are. */
export interface Client {
  chom: Chom;
  url: string;
  ask(method: string, path: string, body?: object): Promise<{ status: number; text: string }>;
}

/** Serves the API of a rig for as long as `fn` runs; `client` makes a client of that tenant. */
export async function overApi(
  rig: Rig,
  fn: (client: (tenant: string) => Promise<Client>) => Promise<void>,
): Promise<void> {
  const url = `http://127.0.0.1:${await freePort()}`;
  const serving = rig.chom.start('serve', '--plain-http', '--port', new URL(url).port);
  const client = async (tenant: string): Promise<Client> => {
    const { json } = await rig.chom.must('--tenant', tenant, 'token', 'create', tenant, '--scope', 'admin', '--json');
    const token = String(json?.['token']);
    const away = { CHOM_HOME: '/nonexistent', TEMPORAL_ADDRESS: '127.0.0.1:1' };
    return {
      chom: rig.chom.within({ ...away, CHOM_API: url, CHOM_TOKEN: token }),
      url,
      async ask(method, path, body) {
        const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
        const response = await fetch(url + path, { method, headers, ...(body && { body: JSON.stringify(body) }) });
        return { status: response.status, text: await response.text() };
      },
    };
  };
  try {
    await poll('the API serves', 60_000, async () => serving.said().stderr.includes('openapi.json'));
    await fn(client);
    expect(serving.said().stderr).not.toContain('failed');
  } finally {
    await serving.stop();
  }
}

/**
 * A tenant's site on `web1` from a directory of the client, over the API alone: made, backed up, damaged, restored and deleted; all
 * of it is to another tenant as if it never was.
 */
export async function liveOverApi(rig: Rig, web1: LabHost, clients: [own: Client, other: Client]): Promise<void> {
  const [own, other] = clients;
  const domain = 'tenant.lab.test';
  const directory = await mkdtemp(join(tmpdir(), 'chom-page-'));
  const page = async () => (await rig.fetch(domain, { address: web1.address, https: false })).body;
  const done = async (...words: string[]): Promise<Document> => {
    const ran = await own.chom.must(...words, '--json');
    expect(ran.json).toMatchObject({ status: 'succeeded' });
    // It was followed as it went.
    expect(ran.stderr).toMatch(/^✔ .+\(\d+\.\d s\)$/m);
    return ran.json ?? {};
  };
  try {
    await writeFile(join(directory, 'index.html'), 'uploaded over the API');
    const made = await done('site', 'create', domain, '--server', 'web1', '--no-tls', '--from', directory);
    expect(await page()).toBe('uploaded over the API');
    expect(await rig.inventory.db.selectFrom('uploads').selectAll().execute()).toEqual([]);

    const saved = await done('backup', 'create', domain, '--storage', 'here');
    const list = async () => (await own.chom.must('backup', 'list', domain, '--json')).json;
    const [backup] = ((await list())?.['backups'] ?? []) as { id: string; state: string }[];
    expect(backup).toMatchObject({ state: 'completed' });
    const { site } = (await own.chom.must('site', 'show', domain, '--json')).json ?? {};
    const index = (await ask(web1, sh`find / -xdev -user ${site?.id ?? ''} -name index.html -print -quit`)).trim();
    await ask(web1, sh`echo damaged >${index}`);
    expect(await page()).toBe('damaged\n');
    await done('backup', 'restore', backup?.id ?? '', '--no-safety-backup', '--confirm', domain);
    expect(await page()).toBe('uploaded over the API');

    const never: Record<string, string> = {
      [domain]: 'never.lab.test',
      [backup?.id ?? '']: `b${'a'.repeat(9)}`,
      [made.operation ?? '']: 'provision-site-aaaaaaaaaaaa',
      [saved.operation ?? '']: 'create-backup-aaaaaaaaaaaa',
    };
    const tries: [string, string, string, object?][] = [
      ['GET', `/v1/sites/${domain}`, domain],
      ['DELETE', `/v1/sites/${domain}?confirm=${domain}`, domain],
      ['POST', `/v1/sites/${domain}/suspend`, domain, {}],
      ['POST', `/v1/sites/${domain}/backups`, domain, {}],
      ['GET', `/v1/sites/${domain}/backups`, domain],
      ['GET', `/v1/backups/${backup?.id}`, backup?.id ?? ''],
      ['POST', `/v1/backups/${backup?.id}/restore`, backup?.id ?? '', {}],
      ['GET', `/v1/operations/${made.operation}`, made.operation ?? ''],
      ['GET', `/v1/operations/${made.operation}/events`, made.operation ?? ''],
      ['POST', `/v1/operations/${saved.operation}/cancel`, saved.operation ?? '', {}],
      ['POST', `/v1/operations/${saved.operation}/retry`, saved.operation ?? '', {}],
    ];
    for (const [method, path, id, body] of tries) {
      const instead = never[id] ?? '';
      const theirs = await other.ask(method, path, body);
      const nothing = await other.ask(method, path.replaceAll(id, instead), body);
      expect([method, path, nothing.status]).toEqual([method, path, 404]);
      expect({ ...theirs, text: theirs.text.replaceAll(id, instead) }).toEqual(nothing);
    }
    expect((await other.chom.must('--api', other.url, 'site', 'list', '--json')).json).toEqual({ sites: [] });
    expect((await other.chom('site', 'delete', domain, '--confirm', domain, '--json')).exit).toBe(5);
    expect(await page()).toBe('uploaded over the API');

    await done('site', 'delete', domain, '--confirm', domain, '--no-final-backup');
    expect((await own.chom('site', 'show', domain)).exit).toBe(5);
    // The server has no site of that name: it hangs up.
    await expect(page()).rejects.toThrow('hang up');
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
