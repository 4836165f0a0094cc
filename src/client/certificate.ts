import type { Command } from 'commander';
import * as certificates from '../inventory/certificates.js';
import type { Certificate } from '../inventory/certificates.js';
import { action, type Cli, type Session } from './cli.js';
import { parseDomain } from './domain.js';
import { follow, FOLLOW_OPTIONS, parseTimeout, type FollowOptions } from './follow.js';
import { facts, table } from './text.js';

/** `chom certificate …` */
export function certificateCommand(program: Command, cli: Cli): void {
  const certificate = program.command('certificate').description('certificates of sites');
  certificate
    .command('issue')
    .argument('<domain>', 'domain of a site; its aliases are included')
    .description('get a certificate for a live site and serve it')
    .option(...FOLLOW_OPTIONS.noWait)
    .option(...FOLLOW_OPTIONS.detach)
    .option(...FOLLOW_OPTIONS.timeout)
    .addHelpText('after', '\nExample:\n  chom certificate issue example.org')
    .action(action(cli, issue));
  certificate
    .command('list')
    .description('certificates that are served, the soonest to expire first')
    .option('--all', 'also those that were replaced or never installed')
    .addHelpText('after', '\nExample:\n  chom certificate list --json')
    .action(action(cli, list));
}

async function issue(session: Session, domain: string, options: FollowOptions & { wait: boolean }): Promise<number> {
  parseTimeout(options.timeout);
  parseDomain(domain);
  const { issueCertificate } = await import('./new-certificate.js');
  const chom = await session.open();
  const { operation, site } = await issueCertificate(chom, domain, options);
  return await follow(session, chom, operation, {
    ...options,
    needsWorker: true,
    tell: async () => {
      const certificate = await certificates.installed(chom.inventory.db, site.id);
      const text = facts([
        ['site', site.domain],
        ['names', certificate?.names.join(', ')],
        ['until', certificate?.notAfter],
        ['issuer', certificate?.issuer],
        ['serial', certificate?.serial],
      ]);
      return { document: { certificate: certificate && certificateDocument(certificate) }, text };
    },
  });
}

async function list(session: Session, { all }: { all?: boolean }): Promise<void> {
  const { tenant, inventory } = await session.open();
  const every = await certificates.list(inventory.db, { tenant });
  const found = every.filter(({ state }) => all === true || state === 'installed');
  const rows = found.map((one) => [one.domain, one.state, one.notAfter, one.issuer, one.names.join(' ')]);
  if (found.length === 0) session.output.say('No certificates yet. Next: chom certificate issue DOMAIN');
  const text = found.length === 0 ? '' : table(['SITE', 'STATE', 'UNTIL', 'ISSUER', 'NAMES'], rows);
  session.output.data({ certificates: found.map((one) => ({ site: one.domain, ...certificateDocument(one) })) }, text);
}

/** A certificate as programs read it. */
export function certificateDocument(certificate: Certificate): object {
  const { id, names, serial, fingerprint, issuer, notBefore, notAfter, state } = certificate;
  return { id, names, serial, fingerprint, issuer, notBefore, notAfter, state };
}
