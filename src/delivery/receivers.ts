import type { Config } from '../config.js';
import type { Db } from '../inventory/database.js';
import type { Delivery, Receiver } from '../inventory/deliveries.js';
import type { Keyring } from '../inventory/keyring.js';
import * as webhooks from '../inventory/webhooks.js';
import { runAlertCommand } from './alert-command.js';
import { sendAlert } from './alert-mail.js';
import { type Message, signedHeaders } from './message.js';
import { post, type Told } from './post.js';

/** So long may a receiver take, in milliseconds; a delivery is left to others only later (`LEASE` in deliver.ts). */
const TIMEOUT = 15_000;

type AlertSettings = Pick<Config, 'alertCommand' | 'alertMail' | 'alertFrom' | 'smtpUrl'>;

/** All receivers that this worker can tell: webhooks, and what its own settings name for alerts. */
export async function receivers(db: Db, settings: AlertSettings): Promise<Receiver[]> {
  const alerts = ({ type }: { type: string }) => type === 'Alert';
  return [
    ...(await webhooks.list(db)).map(({ id, tenant, events }) => ({
      id,
      wants: (event: { tenant: string; type: string }) =>
        (tenant === null || tenant === event.tenant) && (events.length === 0 || events.includes(event.type)),
    })),
    ...(settings.alertCommand === undefined ? [] : [{ id: 'command', wants: alerts }]),
    ...(settings.alertMail === undefined ? [] : [{ id: 'mail', wants: alerts }]),
  ];
}

/** Tells one receiver of one event. Never throws; what is gone or unknown is given up. */
export async function tell(
  { db, keyring, settings }: { db: Db; keyring: Keyring; settings: AlertSettings },
  { receiver }: Pick<Delivery, 'receiver'>,
  message: Message,
): Promise<Told> {
  const { alertCommand, alertMail, alertFrom, smtpUrl } = settings;
  if (receiver === 'command' && alertCommand !== undefined)
    return await runAlertCommand(alertCommand, message, TIMEOUT);
  if (receiver === 'mail' && alertMail !== undefined && smtpUrl !== undefined) {
    return await sendAlert({ smtpUrl, to: alertMail, from: alertFrom ?? alertMail }, message, TIMEOUT);
  }
  const webhook = await webhooks.opened(db, keyring, receiver);
  return webhook ? await tellWebhook(webhook, message) : { ok: false, reason: 'it was removed', final: true };
}

/** One signed request. */
export async function tellWebhook(
  { url, allowPrivate, secret }: { url: string; allowPrivate: boolean; secret: Buffer },
  message: Message,
): Promise<Told> {
  const body = JSON.stringify(message);
  const headers = signedHeaders(secret, message.id, Math.floor(Date.now() / 1000), body);
  return await post({ url, headers, body, allowPrivate, timeoutMilliseconds: TIMEOUT });
}
