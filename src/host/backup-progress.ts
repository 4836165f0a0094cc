import { z } from 'zod';
import { sh, type Script } from './shell.js';

/** How far a backup is. Of a database nobody knows beforehand how long its dump will be: its totals stay 0. */
export interface BackupProgress {
  phase: 'database' | 'files' | 'manifest' | 'reading-back';
  /** From 0 to 1. */
  done: number;
  files: number;
  totalFiles: number;
  bytes: number;
  totalBytes: number;
  /** Seconds since the epoch, by the server's clock. */
  at: number;
}

const progress = z.object({
  phase: z.enum(['database', 'files', 'manifest', 'reading-back']),
  done: z.number(),
  files: z.number(),
  totalFiles: z.number(),
  bytes: z.number(),
  totalBytes: z.number(),
  at: z.number(),
});

/** Below /run: root's, made by systemd with the unit that writes it and gone with it, however that ends. */
export function progressDirectory(operation: string): string {
  return `chom/progress/${operation.replaceAll('/', '.')}`;
}

/** Prints how far the backup of an operation is, or nothing: it does not run. Changes nothing. */
export function readProgress(operation: string): Script {
  return sh`cat ${`/run/${progressDirectory(operation)}/status`} 2>/dev/null || true`;
}

/** Reads the output of `readProgress`; null where there is none yet, or no more. */
export function parseProgress(output: string): BackupProgress | null {
  try {
    return progress.parse(JSON.parse(output));
  } catch {
    return null;
  }
}
