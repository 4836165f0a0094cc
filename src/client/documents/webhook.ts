import { z } from 'zod';
import { named, text, time } from './values.js';

const counts = { pending: z.int(), delivered: z.int(), parked: z.int() };

export const webhook = named(
  'Webhook',
  z.strictObject({
    id: z.string(),
    tenant: text.describe('null: of all tenants'),
    name: z.string(),
    url: z.string(),
    events: z.array(z.string()),
    allowPrivate: z.boolean(),
    createdAt: time,
    ...counts,
  }),
);

export const webhooks = z.strictObject({ webhooks: z.array(webhook) });
export const newWebhook = z.strictObject({ webhook, secret: z.string() });
export const receiver = z.strictObject({
  receiver: z.string(),
  webhook: webhook.nullable(),
  ...counts,
  missed: z.array(
    z.strictObject({
      type: z.string(),
      at: time,
      operation: z.string(),
      state: z.enum(['pending', 'delivered', 'parked']),
      tries: z.int(),
      due: time,
      reason: text,
    }),
  ),
});
export const tested = z.strictObject({ webhook: z.string(), received: z.literal(true) });
export const redelivered = z.strictObject({ receiver: z.string(), resumed: z.int() });

/** What happened, as webhooks are told of it. */
export const event = named(
  'Event',
  z.strictObject({
    id: z.string(),
    type: z.string(),
    at: time,
    operation: z.string(),
    tenant: z.string(),
    server: z.strictObject({ id: z.string(), name: z.string() }).nullable(),
    site: z.strictObject({ id: z.string(), domain: z.string() }).nullable(),
    data: z.record(z.string(), z.unknown()),
  }),
);
export const events = z.strictObject({ events: z.array(event) });
export type WebhookDocument = z.infer<typeof webhook>;
