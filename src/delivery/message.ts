import { createHmac } from 'node:crypto';
import type { Db } from '../inventory/database.js';
import type { Event } from '../inventory/events.js';

/** An event as receivers get it. */
export interface Message {
  /** The same with every try: what a receiver has seen already. */
  id: string;
  type: string;
  /** ISO-8601 UTC. */
  at: string;
  operation: string;
  tenant: string;
  server: { id: string; name: string } | null;
  site: { id: string; domain: string } | null;
  data: Record<string, unknown>;
}

/** Of servers and sites also what people call them. `controller` is the installation's id. */
export async function messageOf(db: Db, controller: string, event: Event): Promise<Message> {
  const { seq, type, at, operation, tenant, data } = event;
  const server =
    event.server === null
      ? undefined
      : await db.selectFrom('servers').select(['id', 'name']).where('id', '=', event.server).executeTakeFirst();
  const site =
    event.site === null
      ? undefined
      : await db.selectFrom('sites').select(['id', 'domain']).where('id', '=', event.site).executeTakeFirst();
  const id = `evt_${controller}_${seq}`;
  return { id, type, at, operation, tenant, server: server ?? null, site: site ?? null, data };
}

/** The beginning of a secret as people copy it; base64 of the key follows. */
export const SECRET_PREFIX = 'whsec_';

/**
 * The headers of a signed request: Standard Webhooks 1.0.0, symmetric signatures
 * (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md, 2026-11-27). `seconds` is
 * Unix time, by which a receiver refuses what is replayed.
 */
export function signedHeaders(secret: Buffer, id: string, seconds: number, body: string): Record<string, string> {
  const signature = createHmac('sha256', secret).update(`${id}.${seconds}.${body}`).digest('base64');
  return {
    'content-type': 'application/json',
    'user-agent': 'CHOM',
    'webhook-id': id,
    'webhook-timestamp': String(seconds),
    'webhook-signature': `v1,${signature}`,
  };
}
