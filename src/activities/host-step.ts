import { expectOk } from '../host/exit.js';
import { EXIT_TYPES } from '../host/exit-codes.js';
import type { Output } from '../host/host.js';
import type { Script } from '../host/shell.js';
import { JOB_SECONDS, type Workplace } from './workplace.js';

/** A change as the builders of src/host make it. */
export interface Change {
  check?: Script;
  act: Script;
  properties?: readonly string[];
  /** Files under `$CREDENTIALS_DIRECTORY`, by name. */
  secrets?: Record<string, Buffer>;
}

/** Makes a change as a job of the step. `what` completes "… failed on web1". Failures: by exit code, see exit-codes.ts. */
export async function change(
  place: Workplace,
  part: string,
  what: string,
  { act, ...optional }: Change,
  limitSeconds = JOB_SECONDS,
): Promise<Output> {
  return expectOk(await place.job(part, { act, limitSeconds, ...optional }), place, what, EXIT_TYPES);
}

/** What a script that changes nothing prints. */
export async function ask(place: Workplace, what: string, script: Script): Promise<string> {
  return expectOk(await place.read(script), place, what, EXIT_TYPES).stdout;
}
