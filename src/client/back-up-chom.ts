import * as storages from '../inventory/storages.js';
import { refuseUpload } from '../plane/refuse-upload.js';
import { hasRecoveryKey } from '../plane/make-backup.js';
import { controlPlanePlan } from '../workflows/control-plane-plan.js';
import { askFor } from './ask-for.js';
import type { Chom } from './open.js';
import { newOperationId } from './submit.js';

/** A backup of CHOM itself as it is wanted. */
export interface ChomBackup {
  /** By name: where a copy is laid down; as the settings say (`CHOM_BACKUP_STORAGE`) unless said. */
  storage?: string;
  /** Its id; made up unless said. Asked for under one id twice, it is done once. */
  operation?: string;
}

/**
 * Asks for a backup of CHOM itself, which a worker makes: encrypted, tried out, uploaded, and old ones removed. Returns the
 * operation's id. @throws Forbidden no recovery key; NotFound no such storage; InvalidInput, Conflict nothing can be uploaded there;
 * TemporalUnavailable
 */
export async function backUpChom(chom: Chom, { storage: named, operation }: ChomBackup = {}): Promise<string> {
  const { tenant, inventory, config, keyring } = chom;
  hasRecoveryKey(keyring);
  const name = named ?? config.backupStorage;
  const storage = name === undefined ? null : await storages.byName(inventory.db, tenant, name);
  if (storage) refuseUpload(storage);
  const kind = 'back-up-control-plane';
  const input = controlPlanePlan.parse({ tenant, storage: storage?.id ?? null });
  const request = { kind, input, summary: 'Back up CHOM itself', tenant, server: null, serverName: '' } as const;
  return await askFor(chom, request, operation ?? newOperationId(kind));
}
