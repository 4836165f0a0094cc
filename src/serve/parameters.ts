import { z } from 'zod';

/** Parts of requests that several routes take. The verbs themselves say what is wrong with a name. */

export const domain = z.string().min(1).max(500).describe('Domain or alias of a site, also with letters beyond ASCII');
export const name = z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/);
export const tag = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/)
  .describe('Lower-case letters, digits and hyphens');
export const tags = z
  .string()
  .regex(/^[a-z0-9-]{1,63}(,[a-z0-9-]{1,63}){0,49}$/)
  .transform((text) => text.split(','))
  .describe('Only those that have it; of several, with commas between them, all');
export const backup = z
  .string()
  .regex(/^b[a-z2-7]{9}$/)
  .describe('Id of a backup');
export const operation = z
  .string()
  .regex(/^[a-z0-9][a-z0-9/-]{0,199}$/)
  .describe('Id of an operation; a slash in it is written %2F');

/** `true` or `false` in a query. */
export const flag = z.enum(['true', 'false']).transform((text) => text === 'true');

/** In the body of whatever asks for an operation. */
export const wait = z.boolean().optional().describe('false: refused where it would have to wait in line');
