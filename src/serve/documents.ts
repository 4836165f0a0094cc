import { z } from 'zod';
import { login as anyLogin } from '../client/documents/site.js';
import { text } from '../client/documents/values.js';

/** What the API answers: the documents that the same commands print with --json. Fields may be added to them. */
export { backedUp, backups, wholeBackup } from '../client/documents/backup.js';
export { certificates } from '../client/documents/certificate.js';
export { cancelled, operations, wholeOperation } from '../client/documents/operation.js';
export { servers, wholeServer } from '../client/documents/server.js';
export { sites, taggedSite, wholeSite } from '../client/documents/site.js';
export { usableStorages as storages } from '../client/documents/storage.js';

/** An operation that was asked for: it goes on by itself. */
export const asked = z.strictObject({
  operation: z.string().describe('Its id, for GET /v1/operations/{operation}'),
  status: z.literal('running'),
});

/** The first login of an application, which is shown once. */
export const login = z.strictObject({ admin: anyLogin.admin.nullable() });

/** RFC 9457, with what CHOM's failures say beside it. */
export const problem = z.strictObject({
  type: z.string().describe('urn:chom:problem: and the failure’s type'),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  cause: text,
  next: text.describe('The command that helps'),
  operation: text.describe('The operation that is in the way, or was asked for'),
});

export const upload = z.strictObject({ upload: z.string(), sha256: z.string(), bytes: z.int() });
