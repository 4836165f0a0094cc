import { MockActivityEnvironment } from '@temporalio/testing';
import { expect, test } from 'vitest';
import { certificateServerActivities } from '../../src/activities/certificate-server.js';
import type { Deps } from '../../src/activities/deps.js';
import type { Host, Job } from '../../src/host/host.js';
import type { CertificatePlan } from '../../src/workflows/plans.js';
import type { StepContext } from '../../src/workflows/step.js';

const PLAN: CertificatePlan = {
  ...{ site: 'sabcdefghi', tenant: 'default', server: 'web1', serverName: 'web1' },
  names: ['example.org'],
};

/** What two undos do on the server, and what was stopped there first. */
async function undone(step: StepContext) {
  const [scripts, stopped]: [string[], string[]] = [[], []];
  const host: Partial<Host> = {
    name: 'web1',
    stop: async (root) => void stopped.push(root),
    job: async ({ act }: Job) => {
      scripts.push(act.script.toString());
      return { exit: 0, stdout: '', stderr: '', already: false, milliseconds: 1 };
    },
  };
  const deps = { controller: 'a', hosts: { for: async () => host } } as unknown as Deps;
  const { discardCertificate, removeChallenges } = certificateServerActivities(deps);
  const environment = new MockActivityEnvironment();
  await environment.run(discardCertificate, step, PLAN);
  await environment.run(removeChallenges, step, PLAN, []);
  return { scripts, stopped: [...new Set(stopped)] };
}

test('what an operation left is taken back by another one under its own names, once nothing of it runs', async () => {
  const own = { operation: 'p1/certificate', root: 'p1', kind: 'issue-certificate', epoch: 1, index: 3 } as const;
  const step = { ...own, label: 'Make key and request', attempt: 1001 };
  const first = await undone({ ...step, undoes: 3 });
  const takesBack = { operation: own.operation, root: own.root, step: 3 };
  const tried = { ...step, operation: 'obligation/p1/certificate/undo/1', root: 'obligation/p1/certificate/undo/1' };
  const later = await undone({ ...tried, kind: 'undo-operation', epoch: 7, attempt: 1, takesBack });
  expect(later).toEqual(first);
  expect(later.stopped).toEqual(['p1']);
  // Nothing of this is the same for every operation.
  expect((await undone({ ...tried, undoes: 3 })).scripts).not.toEqual(first.scripts);
});
