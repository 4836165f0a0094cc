import { closeSftpUser } from '../host/sftp-user.js';
import { removeRestUser } from '../host/storage-host.js';
import type { PurgePlan } from '../workflows/cleaning-plan.js';
import type { StepContext } from '../workflows/step.js';
import type { Deps } from './deps.js';
import { change } from './host-step.js';
import { openRepository } from './repository-access.js';
import { workplace } from './workplace.js';

/** The steps that end what a site had at a storage for itself. */
export function storageLoginActivities(deps: Deps) {
  return {
    /** The login that CHOM made for a repository is let in no more. Nothing where it has the storage's. */
    async closeLogin(step: StepContext, { repository: id, site }: PurgePlan): Promise<void> {
      const { repository, storage, access } = await openRepository(deps, id);
      const { maintainServer, maintainPath: path, name } = storage;
      if (repository.loginPublic === null || repository.site !== site || maintainServer === null || path === null)
        return;
      const place = await workplace(deps, step, maintainServer, `site/${site}`);
      const doing = `Closing the login of ${site} to storage ${name}`;
      if (access.login?.kind === 'rest') await change(place, 'close', doing, removeRestUser({ path, user: site }));
      if (access.login?.kind === 'sftp') {
        await change(place, 'close', doing, closeSftpUser({ storage: storage.id, name: site }));
      }
    },
  };
}
