import { z } from 'zod';
import { listBackedUp, listBackups, showBackup } from '../client/backup-document.js';
import { parseDomain } from '../client/domain.js';
import { createBackup } from '../client/new-backup.js';
import { planRestore, restoreBackup } from '../client/new-restore.js';
import { verifyBackup } from '../client/verify-backup.js';
import { BACKUP_KINDS, MOST_RETENTION_DAYS } from '../workflows/backup-plan.js';
import { failure } from '../workflows/failures.js';
import { MOST_UNDO_HOURS } from '../workflows/restore-plan.js';
import * as documents from './documents.js';
import { backup, domain, flag, name, wait } from './parameters.js';
import { given } from './given.js';
import { route, type Route } from './route.js';

export const backupRoutes: readonly Route[] = [
  route({
    ...{ method: 'GET', path: '/v1/backups', id: 'listBackedUp', scope: 'read' },
    summary: 'How each of your sites stands: its newest backup, and the newest that was seen to restore',
    answer: documents.backedUp,
    run: async ({ chom }) => (await listBackedUp(chom)).document,
  }),
  route({
    ...{ method: 'GET', path: '/v1/sites/{domain}/backups', id: 'listBackups', scope: 'read' },
    summary: 'Backups of a site, the newest first',
    answer: documents.backups,
    params: { domain },
    query: { all: flag.optional().describe('true: also those that failed or were deleted') },
    run: async ({ chom, path, query }) =>
      (await listBackups(chom, parseDomain(path.domain), query.all === true)).document,
  }),
  route({
    ...{ method: 'POST', path: '/v1/sites/{domain}/backups', id: 'createBackup', scope: 'operate' },
    summary: 'Back a live site up',
    answer: documents.asked,
    asksFor: 'create-backup',
    params: { domain },
    body: {
      kind: z.enum(BACKUP_KINDS).optional(),
      storage: name.optional().describe('The only one that you may use unless said'),
      tag: z.string().max(40).optional(),
      retentionDays: z.int().min(1).max(MOST_RETENTION_DAYS).optional(),
      maintenance: z.boolean().optional().describe('true: the site is closed meanwhile, so that all is of one moment'),
      wait,
    },
    run: async ({ chom, path, body, operation }) =>
      await createBackup(chom, { ...given(body), domain: path.domain, operation }),
  }),
  route({
    ...{ method: 'GET', path: '/v1/backups/{backup}', id: 'showBackup', scope: 'read' },
    summary: 'A backup and the snapshots that it consists of',
    answer: documents.wholeBackup,
    params: { backup },
    run: async ({ chom, path }) => (await showBackup(chom, path.backup)).document,
  }),
  route({
    ...{ method: 'POST', path: '/v1/backups/{backup}/verify', id: 'verifyBackup', scope: 'operate' },
    summary: 'Restore a backup beside its live site, compare it, and ask for the first page',
    answer: documents.asked,
    asksFor: 'verify-backup',
    params: { backup },
    body: { wait },
    run: async ({ chom, path, body, operation }) => await verifyBackup(chom, path, { ...given(body), operation }),
  }),
  route({
    ...{ method: 'POST', path: '/v1/backups/{backup}/restore', id: 'restoreBackup', scope: 'admin' },
    summary: 'Put a backup in the place of what its site has now',
    answer: documents.asked,
    asksFor: 'restore-backup',
    params: { backup },
    body: {
      confirm: domain.optional().describe('The domain that it goes into; needed for safetyBackup: false'),
      only: z.enum(['files', 'database']).optional(),
      path: z.string().max(4000).optional().describe('One file or directory alone: app/… or shared/…'),
      to: domain.optional().describe('Another site of yours that it goes into'),
      safetyBackup: z.boolean().optional().describe('false: what is there now is not backed up before'),
      partial: z.boolean().optional(),
      undoHours: z.int().min(1).max(MOST_UNDO_HOURS).optional(),
      wait,
    },
    async run({ chom, path, body: { confirm, ...body }, operation }) {
      const wanted = { ...given(body), backup: path.backup, operation };
      const plan = await planRestore(chom, wanted);
      const confirmed = confirm !== undefined && parseDomain(confirm) === plan.domain;
      if (!confirmed && (confirm !== undefined || body.safetyBackup === false)) {
        throw failure('InvalidInput', `confirm does not name ${plan.domain}`, {
          cause: 'without a safety backup this cannot be taken back for longer than its undo hours',
          next: `confirm: ${plan.domain}`,
        });
      }
      return await restoreBackup(chom, wanted);
    },
  }),
];
