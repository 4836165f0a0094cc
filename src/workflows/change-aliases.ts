import type { aliasActivities } from '../activities/aliases.js';
import type { exchangeActivities } from '../activities/exchange.js';
import { aliasesPlan, changesOf } from './aliases-plan.js';
import { issueCertificate } from './issue-certificate.js';
import { operation } from './operation.js';
import { steps } from './steps.js';

const alias = steps<ReturnType<typeof aliasActivities>>();
const exchange = steps<ReturnType<typeof exchangeActivities>>();

/**
 * Gives a site other aliases. Names that it gets are its own from the first step on, those that it gives up only once it
 * was seen to answer without them; a certificate for the new ones follows, and its failure is a warning.
 */
export const changeAliases = operation(
  'change-aliases',
  { input: aliasesPlan, attempts: 3, backoff: '30 seconds', expected: '90 seconds' },
  async (op, plan) => {
    const { before, ...site } = plan;
    const { suspended } = await op.step('Take the names', alias.takeNames, [plan], {
      undo: [alias.giveNamesBack, [plan]],
      bounds: 'quick',
    });
    const published = await op.step('Publish its names', alias.publishNames, [site], {
      undo: [alias.publishNames, [{ ...site, aliases: before }]],
    });
    await op.step('See it answer', exchange.seeContent, [site, published], { bounds: 'quick', when: !suspended });
    await op.step('Record the aliases', alias.recordAliases, [plan], { final: true, bounds: 'quick' });
    if (!(site.tls || published.secure) || changesOf(plan).added.length === 0) return;
    const { site: id, tenant, server, serverName, domain, aliases } = site;
    const wanted = { site: id, tenant, server, serverName, names: [domain, ...aliases] };
    await op.child(issueCertificate, 'certificate', wanted, { failureIs: 'warning' });
  },
);
