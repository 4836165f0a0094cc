import type { serverActivities } from '../activities/server.js';
import { failure } from './failures.js';
import { operation } from './operation.js';
import { serverPlan } from './plans.js';
import { steps } from './steps.js';

const server = steps<ReturnType<typeof serverActivities>>();

/**
 * Takes a server over, as far as it is free to be taken: sites and databases of others on it stay as they are. Every step
 * finds out first what is there already, so that enrolling again changes nothing and nothing needs undoing.
 */
export const enrolServer = operation(
  'enrol-server',
  { input: serverPlan, attempts: 3, backoff: '30 seconds', expected: '10 minutes', exclusive: true },
  async (op, plan) => {
    // A step that was skipped gives nothing.
    const note = (noted: { warnings: string[] } | undefined) => {
      for (const warning of noted?.warnings ?? []) op.warn(warning);
    };

    const offered = await op.step('Learn the host key', server.learnHostKey, [plan], { bounds: 'quick' });
    if (!offered.confirmed) {
      const question = {
        name: 'host-key',
        prompt: `Is this the host key of ${plan.name}?`,
        value: offered.fingerprint,
      };
      const answer = await op.answer(question, '15 minutes');
      if (answer !== offered.fingerprint) {
        throw failure('HostKeyUnconfirmed', `The host key of ${plan.name} was not confirmed: ${offered.fingerprint}`, {
          server: plan.name,
          cause: answer === null ? 'Nobody answered within 15 minutes' : 'It was refused',
          next: `chom server add ${plan.name} --host-key SHA256:…`,
        });
      }
    }
    await op.step('Pin the host key', server.pinHostKey, [plan, offered], { bounds: 'quick' });
    note(await op.step('Check the server', server.checkServer, [plan], { bounds: 'quick' }));

    const key = await op.step("Make CHOM's key", server.makeServerKey, [plan]);
    note(key);
    await op.step('Install the key', server.installServerKey, [plan, key.credential]);
    await op.step('Prove the key', server.proveServerKey, [plan, key.credential]);

    await op.step('Install packages', server.installPackages, [plan], { bounds: 'packages' });
    note(await op.step('Bootstrap nginx', server.bootstrapNginx, [plan]));
    await op.step('Bootstrap PHP-FPM', server.bootstrapPhp, [plan]);
    note(await op.step('Bootstrap MariaDB', server.bootstrapMariadb, [plan]));
    await op.step('Configure mail', server.configureMail, [plan], { when: plan.smtpRelay !== undefined });
    // Each as it is wanted, up or away; the firewall last, when all that listens does.
    note(await op.step('Updates', server.setUpUpdates, [plan], { when: plan.updates !== undefined }));
    note(await op.step('Swap', server.setUpSwap, [plan], { when: plan.swap !== undefined }));
    note(await op.step('Firewall', server.setUpFirewall, [plan], { when: plan.firewall !== undefined }));
    await op.step('Record what is there', server.activateServer, [plan], { final: true });
  },
);
