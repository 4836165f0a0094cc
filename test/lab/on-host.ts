import type { LabHost } from '../../lab/index.js';
import { rotateLogs } from '../../src/host/logrotate.js';
import { parseInspection, inspect, supportOf, type SupportedRelease } from '../../src/host/os.js';
import { askForeign, bootstrapNginx, parseForeign } from '../../src/host/nginx-bootstrap.js';
import type { NginxFacts } from '../../src/host/nginx-blocks.js';
import { askNginxFacts, parseNginxFacts } from '../../src/host/nginx-site.js';
import { bootstrapPhp } from '../../src/host/php-fpm.js';
import { sh, type Script } from '../../src/host/shell.js';
import { stateDirectories } from '../../src/host/state.js';

/** What a script did on a lab host. */
export interface Said {
  exit: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a builder's script as a job would: as root, with a job's environment. */
export async function run(host: LabHost, { script }: Script): Promise<Said> {
  return await host.exec(`cd /\n${script.toString()}`);
}

/** What it prints. Throws when it fails. */
export async function ask(host: LabHost, script: Script): Promise<string> {
  const { exit, stdout, stderr } = await run(host, script);
  if (exit !== 0) throw new Error(`on ${host.name}: exit ${exit}: ${stderr}`);
  return stdout;
}

/** Makes a change where it is not made already, and sees that its check then says so. */
export async function make(host: LabHost, { check, act }: { check: Script; act: Script }): Promise<'already' | 'made'> {
  if ((await run(host, check)).exit === 0) return 'already';
  await ask(host, act);
  const { exit, stderr } = await run(host, check);
  if (exit !== 0) throw new Error(`on ${host.name}: what was made does not pass its own check: ${stderr}`);
  return 'made';
}

/** A host that is ready for sites. */
export interface ReadyHost {
  host: LabHost;
  facts: NginxFacts;
  php: SupportedRelease['php'];
}

/** Bootstraps a host that has all packages, without going over SSH. */
export async function ready(host: LabHost): Promise<ReadyHost> {
  const support = supportOf(parseInspection(await ask(host, inspect())).release);
  if (!support) throw new Error(`${host.name} runs an unknown release`);
  const facts = parseNginxFacts(await ask(host, askNginxFacts()));
  for (const change of await preparations(host, facts)) await make(host, change);
  return { host, facts, php: support.php };
}

/** What enrolling changes on a host that has all packages. */
export async function preparations(host: LabHost, facts: NginxFacts): Promise<{ check: Script; act: Script }[]> {
  const foreign = parseForeign(await ask(host, askForeign()));
  return [stateDirectories(), bootstrapNginx(foreign, facts), rotateLogs(), bootstrapPhp()];
}

/** Everything that a change could leave behind: files by content, users, units, processes but PHP's idle ones; not the records of jobs and uids. */
export async function snapshot(host: LabHost): Promise<string> {
  return await ask(
    host,
    sh`find /etc /srv /usr/local /var/lib/chom /var/log/nginx /run/chom-php/ /var/spool/cron -printf '%p %y %m %u:%g %l\n' 2>/dev/null | grep -v -E -e '^/var/lib/chom/(locks|jobs|claims|uids)' -e '[.]log ' -e '^/run/chom-php/ ' | sort
find /etc /srv /usr/local -type f ! -name '*-' ! -name .updated -exec sha256sum {} + | sort -k 2
cat /etc/passwd /etc/group
systemctl list-units --no-legend --plain 'chom-*.service' 'nginx*' 'php[0-9]*' | awk '{ print $1, $3, $4 }'
ps -eo user= -o comm= | grep -v php-fpm | sort -u | grep -E '^s[a-z2-7]{9} ' || true`,
  );
}
