import type { FailureType } from '../workflows/failures.js';
import { EXIT_TYPES } from './exit-codes.js';
import { expectOk } from './exit.js';
import type { Output } from './host.js';
import { expectRestic } from './restic-output.js';

/**
 * What a script printed that runs restic. Failures: by the scripts' exit codes (DumpRejected, DatabaseLocked, DiskFull …),
 * else those of restic. `storage` names it for the command to run next.
 */
export function readResult(
  output: Output,
  host: { readonly name: string },
  { what, storage }: { what: string; storage: string },
): string {
  const ours = (EXIT_TYPES as Readonly<Record<number, FailureType>>)[output.exit] !== undefined;
  return (ours ? expectOk(output, host, what, EXIT_TYPES) : expectRestic(output, host, { what, storage })).stdout;
}
