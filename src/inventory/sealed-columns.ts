import * as batchItems from './batch-items.js';
import * as credentials from './credentials.js';
import * as operations from './operations.js';
import * as repositories from './repositories.js';
import * as rotation from './repository-rotation.js';
import type { BatchPhase, Schema } from './schema.js';
import * as secrets from './secrets.js';
import * as storages from './storages.js';
import * as undos from './undos.js';
import * as uploads from './uploads.js';
import * as webhooks from './webhooks.js';

/** A column whose values are sealed. */
export interface SealedColumn {
  table: keyof Schema;
  column: string;
  /** The primary key: by it rows are gone through, and what a value is sealed for is found. */
  key: readonly string[];
  /** What a row's value is sealed for. */
  context: (...key: never[]) => string;
  /** Bytes, not text; rows are large. */
  bytes?: true;
}

/** Every column that holds something sealed. One that is missing here would keep a key that was replaced in use for ever. */
export const SEALED_COLUMNS: readonly SealedColumn[] = [
  { table: 'credentials', column: 'sealed', key: ['id'], context: credentials.context },
  { table: 'operations', column: 'input', key: ['id'], context: operations.context },
  { table: 'undos', column: 'args', key: ['operation', 'step'], context: undos.context },
  {
    ...{ table: 'operationSecrets', column: 'sealed', key: ['operation', 'name'] },
    context: (operation: string, name: string) => secrets.context({ operation, name }),
  },
  { table: 'uploadChunks', column: 'bytes', key: ['operation', 'n'], context: uploads.context, bytes: true },
  { table: 'storages', column: 'sealedLogin', key: ['id'], context: storages.context },
  { table: 'storages', column: 'maintainSealedLogin', key: ['id'], context: storages.maintenanceContext },
  { table: 'repositories', column: 'sealedPassword', key: ['id'], context: repositories.passwordContext },
  { table: 'repositories', column: 'sealedLogin', key: ['id'], context: repositories.loginContext },
  { table: 'repositories', column: 'sealedNextPassword', key: ['id'], context: rotation.nextPasswordContext },
  { table: 'repositories', column: 'sealedNextLogin', key: ['id'], context: rotation.nextLoginContext },
  { table: 'repositories', column: 'sealedOldPassword', key: ['id'], context: rotation.oldPasswordContext },
  {
    ...{ table: 'batchItems', column: 'input', key: ['batch', 'phase', 'ordinal'] },
    context: (batch: string, phase: BatchPhase, ordinal: number) => batchItems.context({ batch, phase, ordinal }),
  },
  { table: 'webhooks', column: 'sealedSecret', key: ['id'], context: webhooks.context },
];
