import { DEPLOY_KEY, type SitePlan } from '../workflows/plans.js';
import { inspectArchive, unpackArchive } from './archive.js';
import { EXIT } from './exit-codes.js';
import { fetchCommit, holdDeployKey, type PinnedRemote } from './git.js';
import { documentRoot, paths } from './paths.js';
import { OWN_MEMORY } from './sandbox.js';
import { sh, type Script, writeFile } from './shell.js';
import { asSite } from './user.js';

/** Where a site's files come from, with all that is needed to get them. */
export type SiteSource =
  | { kind: 'placeholder' }
  /** `archive` lies on the server, root's. */
  | { kind: 'upload'; sha256: string; archive: string }
  /** With `deployKey` the job is given the private key as the secret of that name. */
  | { kind: 'git'; remote: PinnedRemote; ref: string | null; deployKey?: boolean };

const LIMITS = { bytes: 4 * 1024 ** 3, entries: 250_000 };
/** Hidden, so that nginx does not serve it, and inside `app`, so that its group is right. */
const ASIDE = '.chom-install';

/**
 * What a job of a site sees: of /srv its own site alone, and its code no process but the site's. Its code writes nowhere
 * else, not where all users may, /run among them: what it left there would outlive the site. Root's part writes
 * down what was installed, and takes an archive away.
 */
export function siteBox(site: string): string[] {
  return [
    `TemporaryFileSystem=/srv:ro ${OWN_MEMORY}`,
    `BindPaths=${paths.root(site)}`,
    'ProtectSystem=strict',
    `ReadWritePaths=${paths.sites} -${paths.staging}`,
    'ReadOnlyPaths=/run',
    'ProtectHome=yes',
    'PrivateTmp=yes',
    'PrivateDevices=yes',
    'PrivateIPC=yes',
    'ProtectProc=invisible',
  ];
}

/** Where it is noted that the application of a site is installed. */
export function applicationMark(site: string): string {
  return `${paths.sites}/${site}.application`;
}

/** Exit 0 when exactly this source was installed. */
export function sourceInstalled(plan: Pick<SitePlan, 'site' | 'source'>): Script {
  return sh`printf %s ${JSON.stringify(plan.source)} | cmp -s - ${mark(plan.site)}`;
}

/**
 * Puts the files of a site in place. Everything from a source is done as the site's user, which alone writes there, in a
 * unit that sees no other site. A directory that is all an archive holds is not repeated. What was in `app` goes.
 * Exit codes: sourceRejected, sourceUnavailable, diskFull.
 */
export function installSource(
  plan: Pick<SitePlan, 'site' | 'type' | 'source'>,
  source: SiteSource,
): { check: Script; act: Script; properties: string[] } {
  const { site } = plan;
  return {
    check: sourceInstalled(plan),
    act: sh`export LC_ALL=C
fetched() {
${fetch(plan, source)}
}
fetched
code=$?
if [ "$code" -ne 0 ]; then
  if [ "$(df -P -m ${paths.root(site)} | awk 'NR == 2 { print $4 }')" -lt 16 ]; then
    echo ${`no space is left for the files of ${site}`} >&2
    exit ${EXIT.diskFull}
  fi
  exit "$code"
fi
${asSite(site, place(site, source.kind === 'upload'), 'www-data')} || exit 1
${source.kind === 'upload' ? sh`rm -f ${source.archive}` : sh`:`}
${writeFile({ path: mark(site), content: JSON.stringify(plan.source), mode: '0600' })} || exit 1`,
    properties: siteBox(site),
  };
}

/** Forgets what was installed, and an archive that was not. The files go with the user. */
export function forgetSource(plan: Pick<SitePlan, 'site'>, archive: string): { check: Script; act: Script } {
  return {
    check: sh`[ ! -e ${mark(plan.site)} ] && [ ! -e ${archive} ]`,
    act: sh`rm -f ${mark(plan.site)} ${archive}`,
  };
}

function fetch({ site, type }: Pick<SitePlan, 'site' | 'type'>, source: SiteSource): Script {
  const app = documentRoot(site);
  const fresh = sh`cd ${app} && rm -rf ${ASIDE} || exit 1`;
  if (source.kind === 'placeholder') {
    const [name, text] = placeholder(type);
    return asSite(
      site,
      sh`${fresh}
mkdir ${ASIDE} && printf %s ${text} >${`${ASIDE}/${name}`}`,
    );
  }
  if (source.kind === 'git') {
    const fetching = asSite(
      site,
      sh`${fresh}
${source.deployKey ? holdDeployKey() : sh`:`}
${fetchCommit(source.remote, source.ref, ASIDE, LIMITS.bytes)}`,
    );
    // Opened by root, who alone can; the site's user reads on from there.
    return source.deployKey ? sh`${fetching} <"$CREDENTIALS_DIRECTORY"/${DEPLOY_KEY}` : fetching;
  }
  // The site's user reads from root's descriptor: the archive itself stays root's.
  const archive = sh`if [ "$zipped" = 1f8b ]; then gzip -dc; else cat; fi`;
  return sh`zipped=$(head -c 2 ${source.archive} | od -An -tx1 | tr -d ' ')
bytes=$( ${asSite(
    site,
    sh`zipped=$1
${inspectArchive(archive, LIMITS)}`,
  )} chom "$zipped" <${source.archive} )
code=$?
[ "$code" -eq 0 ] || return "$code"
if [ "$(df -P -k ${paths.root(site)} | awk 'NR == 2 { print $4 }')" -lt $((bytes / 1024 + 65536)) ]; then
  echo ${`no space is left for the files of ${site}`} >&2
  exit ${EXIT.diskFull}
fi
${asSite(
  site,
  sh`zipped=$1
${fresh}
${unpackArchive(archive, ASIDE)}`,
)} chom "$zipped" <${source.archive}`;
}

/**
 * Takes the place of what is in `app`, readable for nginx and for no other site. Run as the site's user, in the group of
 * nginx: tar clears the bit by which new files get that group, and only its members can set it again.
 */
function place(site: string, maySkip: boolean): Script {
  const only = sh`set -- "$(ls -A ${ASIDE})"
if [ -n "$1" ] && [ "$(printf '%s\n' "$1" | wc -l)" = 1 ] && [ -d ${ASIDE}/"$1" ] && [ ! -L ${ASIDE}/"$1" ]; then
  from=${ASIDE}/$1
fi`;
  return sh`cd ${documentRoot(site)} || exit 1
chmod -R u+rwX,g+rX,g-w,o-rwx ${ASIDE} && find ${ASIDE} -type f -perm /7000 -exec chmod a-st {} + &&
  find ${ASIDE} -type d -exec chmod g+s {} + || exit 1
from=${ASIDE}
${maySkip ? only : sh`:`}
find . -mindepth 1 -maxdepth 1 ! -name ${ASIDE} -exec rm -rf {} + || exit 1
find "$from" -mindepth 1 -maxdepth 1 -exec mv -t . {} + || exit 1
rm -rf ${ASIDE}`;
}

function placeholder(type: SitePlan['type']): [name: string, text: string] {
  const page = (body: string) =>
    `<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>Ready</title>\n<p>${body}</p>\n</html>\n`;
  if (type === 'static') return ['index.html', page('This site is ready for its files.')];
  return ['index.php', page('<?= "This site is ready for its files, and PHP runs." ?>')];
}

function mark(site: string): string {
  return `${paths.sites}/${site}.source`;
}
