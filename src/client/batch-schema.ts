import { z } from 'zod';
import { MOST_AT_ONCE, MOST_ITEMS } from '../workflows/batch-plan.js';

const text = z.string().min(1).max(500);
const some = z.union([text, z.array(text).min(1)]);

/** Sites or servers by what they have in common; what is left out says nothing. */
const selector = z.strictObject({
  /** Names. */
  server: some.exactOptional(),
  /** Of sites. */
  type: some.exactOptional(),
  /** All of them; of sites their own, not those of their server. */
  tag: some.exactOptional(),
  /** In service unless said; of what is suspended or resumed, what can be. */
  state: some.exactOptional(),
});

const wanted = z.strictObject({
  /** By the words of the command line: `backup.create`. */
  verb: text,
  /** Domain. */
  site: text.exactOptional(),
  /** Its name: what the verb works on, or where a new site will live. */
  server: text.exactOptional(),
  select: selector.exactOptional(),
  options: z.record(z.string(), z.unknown()).exactOptional(),
});

const handler = z.array(wanted).max(20).exactOptional();

const common = {
  /** Of one name one is at work. */
  name: z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, {
    error: 'a name has 1 to 63 lower-case letters, digits and hyphens, and neither begins nor ends with a hyphen',
  }),
  operations: z.array(wanted).min(1, { error: 'there is none' }).max(MOST_ITEMS),
  /** When all succeeded. */
  then: handler,
  /** As soon as the first one failed. */
  catch: handler,
  /** At the end, well or not. */
  finally: handler,
  priority: z.enum(['high', 'default', 'low']).exactOptional(),
  /** Temporal's; the configured one unless said. */
  taskQueue: text.exactOptional(),
};

/** Operations that run one after the other. */
export const newChain = z.strictObject(common);

/** Many operations, so many at once. */
export const newBatch = z.strictObject({
  ...common,
  /** Ten unless said. */
  concurrency: z.int().min(1).max(MOST_AT_ONCE).exactOptional(),
  /** As many as the server takes unless said. */
  perServer: z.int().min(1).max(MOST_AT_ONCE).exactOptional(),
  /** The first so many are waited for. */
  canary: z.int().min(1).max(MOST_ITEMS).exactOptional(),
  /** After the canaries: `10m`, or `approve` (unless said). */
  wait: z
    .string()
    .regex(/^(approve|(\d{1,6}[smhd])+)$/, { error: 'neither approve nor a time such as 30s, 10m or 2h' })
    .exactOptional(),
  /** Failures, or `10%`, with which it pauses; without it goes on. */
  failureThreshold: z
    .union([z.int().min(1), z.string()])
    .refine((most) => typeof most === 'number' || /^([1-9]\d?|100)%$/.test(most), {
      error: 'neither a number of failures nor a share such as 10%',
    })
    .exactOptional(),
});

export type Wanted = z.infer<typeof wanted>;
export type Selector = z.infer<typeof selector>;
export type NewChain = z.infer<typeof newChain>;
export type NewBatch = z.infer<typeof newBatch>;

/** What a file says beside: for whom, and through which Temporal. */
export const fileOnly = {
  tenant: z.string().min(1).exactOptional(),
  /** Of temporal.toml. */
  profile: text.exactOptional(),
};
