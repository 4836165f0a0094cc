import { randomBytes } from 'node:crypto';
import { EVENT_TYPES, isEventType } from '../inventory/event-types.js';
import * as webhooks from '../inventory/webhooks.js';
import type { Webhook } from '../inventory/webhooks.js';
import { SECRET_PREFIX } from '../delivery/message.js';
import { failure } from '../workflows/failures.js';
import { parseWebhookName } from './names.js';
import type { Chom } from './open.js';
import { randomId } from './submit.js';
import { quoted } from './text.js';

/** A webhook as it is to be added. */
export interface NewWebhook {
  name: string;
  /** `https://…`; `http://…` only with `allowPrivate`. */
  url: string;
  /** Event types; none means all. */
  events?: readonly string[];
  /** It may lead to an address that is not public. */
  allowPrivate?: boolean;
  /** It is told of all tenants' events. */
  allTenants?: boolean;
}

/** What is wrong with it, before anything is opened. @throws InvalidInput */
export function checkWebhook({ name, url, events = [], allowPrivate = false }: NewWebhook): void {
  parseWebhookName(name);
  if (name === 'mail' || name === 'command') {
    throw failure('InvalidInput', `${name} is what alerts of the worker’s own settings go to`, {
      next: 'choose another name',
    });
  }
  const address = URL.canParse(url) ? new URL(url) : null;
  if (address === null || !['https:', 'http:'].includes(address.protocol)) {
    throw failure('InvalidInput', `${quoted(url)} is no address of a webhook`, {
      next: 'give --url https://HOST/PATH',
    });
  }
  if (address.username !== '' || address.password !== '') {
    throw failure('InvalidInput', 'The address holds a login', {
      cause: 'it is shown in lists and logs',
      next: 'leave the login out: every request is signed, and the receiver checks that',
    });
  }
  if (address.protocol === 'http:' && !allowPrivate) {
    throw failure('InvalidInput', 'Over http:// everybody on the way reads what happens on your servers', {
      next: 'give an https:// address, or add --allow-private for a receiver in a network of your own',
    });
  }
  const unknown = events.find((type) => !isEventType(type));
  if (unknown !== undefined) {
    throw failure('InvalidInput', `There is no event ${quoted(unknown)}`, {
      cause: `there are ${EVENT_TYPES.join(', ')}`,
    });
  }
}

/**
 * Adds a webhook, which is told of what happens from now on. Its secret, for the receiver, is returned this once.
 * @throws InvalidInput; Conflict one of that name is there
 */
export async function addWebhook(chom: Chom, wanted: NewWebhook): Promise<{ webhook: Webhook; secret: string }> {
  checkWebhook(wanted);
  const { inventory, keyring, tenant } = chom;
  const { name, url, events = [], allowPrivate = false, allTenants = false } = wanted;
  const secret = randomBytes(32);
  const webhook = await inventory.transaction(
    async (trx) =>
      await webhooks.add(trx, keyring, {
        ...{ id: randomId(12), tenant: allTenants ? null : tenant },
        ...{ name, url, events, allowPrivate, secret },
      }),
  );
  return { webhook, secret: `${SECRET_PREFIX}${secret.toString('base64')}` };
}
