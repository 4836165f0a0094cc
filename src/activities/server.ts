import type { Deps } from './deps.js';
import { serverAccessActivities } from './server-access.js';
import { serverMailActivities } from './server-mail.js';
import { serverProtectionActivities } from './server-protection.js';
import { serverRemovalActivities } from './server-removal.js';
import { serverSetupActivities } from './server-setup.js';

/** The steps of enrolling a server, and of leaving it. */
export function serverActivities(deps: Deps) {
  return {
    ...serverAccessActivities(deps),
    ...serverSetupActivities(deps),
    ...serverMailActivities(deps),
    ...serverProtectionActivities(deps),
    ...serverRemovalActivities(deps),
  };
}
