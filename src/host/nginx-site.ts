import type { SitePlan } from '../workflows/plans.js';
import { EXIT } from './exit-codes.js';
import { siteFile, type NginxSite } from './nginx.js';
import type { NginxFacts } from './nginx-blocks.js';
import { paths } from './paths.js';
import { publish, type Publication } from './publish.js';
import { join, sh, type Script } from './shell.js';

/** A job that brings a server to a state, and the version by which that state is known when it is served. */
export interface Publishing {
  check: Script;
  act: Script;
  version: string;
}

/**
 * Publishes a site's nginx file, or a newer one: with `certificate` the second phase. Exit codes of `publish`;
 * `conflict` also when another program holds port 80 or 443, or a server of somebody else's has one of the names.
 */
export function publishSite(site: NginxSite, facts: NginxFacts): Publishing {
  const { text, version } = siteFile(site, facts);
  const { domain } = site;
  const served = site.certificate
    ? sh`${asked(domain, 'http')} = ${version} ] && ${asked(domain, 'https')} = ${version} ]`
    : sh`${asked(domain, 'http')} = ${version} ]`;
  const publication = {
    ...nginx([domain, ...site.aliases]),
    changes: [{ path: path(site.site), text }],
    before: sh`${portsAreOurs}
${logDirectory(site.site)}`,
    served,
  } satisfies Publication;
  const { check, act } = publish(publication);
  const logs = sh`[ "$(stat -c '%a %U %G' ${paths.logs(site.site)} 2>/dev/null)" = '751 root adm' ] || exit 1`;
  return { check: join([logs, check]), act, version };
}

/** Takes a site's nginx file away, with its logs. Succeeds when there was none. */
export function unpublishSite(site: Pick<SitePlan, 'site' | 'domain'>): { check: Script; act: Script } {
  const { check, act } = publish({
    ...nginx([]),
    changes: [{ path: path(site.site), text: null }],
    // The version is what tells this site's answer from that of whoever else gets to answer for the name. It is read from
    // the copy that lies there until it is done, also where the file was removed by an attempt that died.
    served: sh`old=$(grep -o 'return 200 "[0-9a-f]*' ${`${paths.previous}/nginx/pending/files/${path(site.site)}`} 2>/dev/null | head -n 1 | cut -d '"' -f 2)
case "$old" in
  '') true ;;
  *) ${asked(site.domain, 'http')} != "$old" ] ;;
esac`,
    after: sh`rm -rf ${paths.logs(site.site)} "$kept"/${path(site.site)}
find "$kept" -depth -mindepth 1 -type d -empty -delete`,
  });
  // A server that answers for the name with a version still has the file in memory.
  const unpublished = sh`${check}
version=$(${askVersion(site.domain, 'http')})
case "$version" in
  '' | *[!0-9a-f]*) exit 0 ;;
esac
exit 1`;
  return {
    check: sh`[ ! -e ${paths.logs(site.site)} ] || exit 1
${unpublished}`,
    // What was never published is not taken back through nginx, which may be broken by then.
    act: sh`if ( ${unpublished} ); then
  rm -rf ${paths.logs(site.site)}
  exit 0
fi
${act}`,
  };
}

/** What every publication to nginx has in common. `names` must not be served by anybody else. */
export function nginx(names: readonly string[]): Pick<Publication, 'service' | 'lock' | 'tree' | 'test' | 'apply'> {
  const collisions = names.map((name) => `conflicting server name "${name}"`).join('\n');
  return {
    service: 'nginx',
    lock: 'nginx',
    tree: paths.nginx,
    test:
      names.length === 0
        ? sh`nginx -t -q`
        : sh`said=$(nginx -t -q 2>&1)
code=$?
echo "$said"
if echo "$said" | grep -F ${collisions}; then exit ${EXIT.conflict}; fi
exit "$code"`,
    apply: reloadNginx(),
  };
}

/**
 * Starts nginx, or lets it take its configuration by the signal that `nginx -s reload` sends too, after testing once more
 * (nginx(8)). It returns before the old workers have let go of the ports, some 100 ms later: until then they answer some
 * requests from the configuration before, so they are waited for.
 */
export function reloadNginx(): Script {
  return sh`main=$(systemctl show -P MainPID nginx)
case $main in
  '' | 0) systemctl start nginx; exit ;;
esac
workers=$(pgrep -P "$main" -f '^nginx: worker process$') || :
kill -HUP "$main" || exit 1
tries=0
for pid in $workers; do
  # A worker that has let go is called "worker process is shutting down".
  while name=; read -r name <"/proc/$pid/cmdline" || [ -n "$name" ]; do
    case $name in 'nginx: worker process') ;; *) break ;; esac
    [ "$tries" -lt 1000 ] || break
    tries=$((tries + 1))
    sleep 0.01
  done
done 2>/dev/null
exit 0`;
}

/** nginx tests a configuration without complaint while another program holds its port, and then cannot listen. */
export const portsAreOurs: Script = sh`others=$(ss -Hltnp '( sport = :80 or sport = :443 )' | grep -v '("nginx",')
if [ -n "$others" ]; then
  echo "$others" >&2
  echo "port 80 or 443 is held by another program: $(echo "$others" | grep -o '(("[^"]*"' | cut -d '"' -f 2 | sort -u | tr '[:space:]' ' ')" >&2
  exit ${EXIT.conflict}
fi`;

/**
 * Root's, so that the site cannot put links where root opens files. nginx's workers reopen logs as www-data and must pass
 * through; the files are made first because nginx makes them readable for everybody.
 */
function logDirectory(site: string): Script {
  const logs = paths.logs(site);
  return sh`install -d -o root -g adm -m 0751 /var/log/nginx/chom ${logs}
for log in ${[`${logs}/access.log`, `${logs}/error.log`]}; do
  [ -e "$log" ] || install -o www-data -g adm -m 0640 /dev/null "$log" || cannot_write
done`;
}

/** Prints what `parseNginxFacts` reads. */
export function askNginxFacts(): Script {
  return sh`nginx -v 2>&1
if [ -e /proc/net/if_inet6 ]; then echo ipv6; fi`;
}

/** @param said what `askNginxFacts` printed */
export function parseNginxFacts(said: string): NginxFacts {
  const [, version = '0'] = /nginx\/([0-9.]+)/.exec(said) ?? [];
  return { version, ipv6: said.includes('ipv6') };
}

function path(site: string): string {
  return `chom.d/${site}.conf`;
}

/** Prints the version of the file that answers for a name on the server itself, or nothing. */
export function askVersion(domain: string, scheme: 'http' | 'https'): Script {
  const port = scheme === 'http' ? 80 : 443;
  // -k: whom the certificate is trusted by is asked from outside; here only which file answers.
  return sh`curl -sk --noproxy '*' --max-time 3 --resolve ${`${domain}:${port}:127.0.0.1`} ${`${scheme}://${domain}/.well-known/chom-version`}`;
}

function asked(domain: string, scheme: 'http' | 'https'): Script {
  return sh`[ "$(${askVersion(domain, scheme)})"`;
}
