import { spawnSync } from 'node:child_process';
import { Command, InvalidArgumentError } from 'commander';
import { ApplicationFailure } from '@temporalio/common';
import { failureDetails } from '../src/workflows/failures.js';
import { attachLab, type DebianRelease, type Lab, type LabHost, startLab } from './index.js';
import { allStates, isRunning } from './state.js';
import { sweep } from './sweep.js';

interface Named {
  name: string;
}

const program = new Command('lab')
  .description('Real Debian hosts on this machine, with a certificate authority: needs root and Linux')
  .showHelpAfterError('(run `npm run lab -- help`)');

program
  .command('up')
  .description('make a lab and leave it running; a host boots in a few seconds once the base is built')
  .option('--hosts <names>', 'names, separated by commas', 'web1')
  .option('--debian <release>', 'Debian 13 or 12', debianRelease, 13)
  .option('--bare', 'hosts without web server, PHP and database, as a hoster delivers them', false)
  .option('--store', 'a host store1 beside them, which keeps backups by SFTP and by a REST server', false)
  .option('--disk <megabytes>', 'size of each disk', megabytes, 4096)
  .option('--name <name>', 'of the lab; several can be up', 'lab')
  .action(
    async (options: Named & { hosts: string; debian: DebianRelease; bare: boolean; store: boolean; disk: number }) => {
      const { debian, bare, disk: diskMegabytes, name } = options;
      const named = options.hosts.split(',').map((host) => ({ name: host.trim(), debian, bare, diskMegabytes }));
      const hosts = [...named, ...(options.store ? [{ name: 'store1', store: true, diskMegabytes }] : [])];
      const lab = await startLab({ hosts, acme: true, name, stays: true });
      print(lab);
      const suffix = name === 'lab' ? '' : ` --name ${name}`;
      console.error(`\nnext: npm run lab -- ssh ${hosts[0]?.name}${suffix}   end: npm run lab -- down${suffix}`);
    },
  );

program
  .command('status')
  .description('show the labs that are up')
  .action(async () => {
    const states = await allStates();
    if (states.length === 0) console.error('no lab is up');
    for (const state of states) {
      if (!(await isRunning(state.supervisor))) console.error(`${state.name}: killed; \`down\` removes what it left`);
      else if (!state.ready) console.error(`${state.name}: starting`);
      else print(await attachLab(state.name));
    }
  });

program
  .command('down')
  .description('remove a lab, and whatever killed ones have left')
  .option('--name <name>', 'of the lab', 'lab')
  .action(async ({ name }: Named) => {
    const states = await allStates();
    const there = states.find((state) => state.name === name && state.ready);
    if (there && (await isRunning(there.supervisor))) await (await attachLab(name)).down();
    await sweep();
  });

onHost('reboot', 'restart it in order, wait for SSH', (host) => host.reboot());
onHost('crash', 'kill everything on it at once, boot, wait for SSH; no written byte is lost', (host) => host.crash());
onHost('power-cut', 'the same, but what was not synced to disk is lost', (host) => host.powerCut());
onHost('cut', 'pull out its network cable', (host) => host.cut());
onHost('mend', 'put the cable back', (host) => host.mend());
onHost('fill', 'fill its disk to the last byte', (host) => host.fill());
onHost('unfill', 'free the disk again', (host) => host.unfill());

program
  .command('ssh')
  .description('log in, or run a command')
  .argument('<host>')
  .argument('[command...]', 'put `--` before one with options')
  .option('--name <name>', 'of the lab', 'lab')
  .action(async (name: string, command: string[], { name: lab }: Named) => {
    const host = find(await attachLab(lab), name);
    const { status } = spawnSync('ssh', [...host.sshArguments, ...command], { stdio: 'inherit' });
    process.exitCode = status ?? 1;
  });

function onHost(verb: string, description: string, act: (host: LabHost) => Promise<void>): void {
  program
    .command(verb)
    .description(description)
    .argument('<host>')
    .option('--name <name>', 'of the lab', 'lab')
    .action(async (name: string, { name: lab }: Named) => act(find(await attachLab(lab), name)));
}

function find(lab: Lab, name: string): LabHost {
  const host = lab.hosts.find((each) => each.name === name);
  if (host) return host;
  const names = lab.hosts.map((each) => each.name).join(', ');
  return program.error(`error: the lab ${lab.name} has no host ${name}, only ${names}`, { exitCode: 5 });
}

function print(lab: Lab): void {
  console.log(`${lab.name}:`);
  for (const host of lab.hosts) console.log(`  ${host.name}  ${host.address}  ${host.hostKey}  key ${host.keyFile}`);
  if (lab.hasStore) {
    console.log(`  --repository ${lab.store.sftp}`);
    console.log(
      `  --repository ${lab.store.rest} --ca ${lab.store.caFile} --maintain ${lab.store.host.name}:${lab.store.restPath}`,
    );
  }
  if (lab.restic) console.log(`  CHOM_RESTIC_URL=${lab.restic.url}\n  CHOM_RESTIC_SHA256=${lab.restic.sha256}`);
  if (!lab.hasAcme) return;
  console.log(`  CHOM_ACME_DIRECTORY=${lab.acme.directoryUrl}`);
  console.log(`  CHOM_ACME_CA_FILE=${lab.acme.caFile}`);
  console.log(`  CHOM_DNS_SERVER=${lab.acme.dnsServer}`);
}

function debianRelease(text: string): DebianRelease {
  if (text === '12') return 12;
  if (text === '13') return 13;
  throw new InvalidArgumentError('only 12 and 13 are there.');
}

function megabytes(text: string): number {
  const size = Number(text);
  if (Number.isInteger(size) && size >= 256) return size;
  throw new InvalidArgumentError('a whole number from 256 on.');
}

try {
  await program.parseAsync();
} catch (error) {
  const { cause, next, output } = error instanceof ApplicationFailure ? failureDetails(error) : {};
  console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
  if (cause) console.error(`cause: ${cause}`);
  if (output) console.error(output.trimEnd());
  if (next) console.error(`next: ${next}`);
  process.exitCode = 1;
}
