import { defaultFile, headersFile, httpFile } from './nginx.js';
import type { NginxFacts } from './nginx-blocks.js';
import { nginx, portsAreOurs } from './nginx-site.js';
import { paths } from './paths.js';
import { publish, type Change } from './publish.js';
import { join, sh, type Script } from './shell.js';

/** What a server's nginx is configured to do apart from CHOM. */
export interface ForeignNginx {
  /** The distribution's welcome site is enabled, and is what the distribution shipped. */
  stockSite: boolean;
  /** Ports whose default server is somebody else's. */
  defaultPorts: (80 | 443)[];
  /** Settings of the http level that it makes already: a second time is a fatal error. */
  settings: string[];
}

/**
 * Prints what `parseForeign` reads: of nginx's own dump of its configuration the lines that matter, each behind the file
 * that it is from. Changes nothing. Exit 82 when the configuration is broken.
 */
export function askForeign(): Script {
  return sh`export LC_ALL=C
if [ "$(readlink -f ${STOCK_LINK} 2>/dev/null)" = ${STOCK_FILE} ]; then
  shipped=$(dpkg-query -W -f '\${Conffiles}\n' nginx-common 2>/dev/null | awk -v file=${STOCK_FILE} '$1 == file { print $2 }')
  if [ "$(md5sum <${STOCK_FILE} | cut -d ' ' -f 1)" = "$shipped" ]; then echo stock=yes; fi
fi
dump=$(nginx -T -q 2>&1) || { echo "$dump" | tail -n 5 >&2; echo 'the configuration of nginx is broken' >&2; exit 82; }
echo "$dump" | awk '
  /^# configuration file / { file = $4; sub(/:$/, "", file); next }
  {
    sub(/(^|[ \t])#.*/, "")
    count = split($0, directives, /[;{}]/)
    for (i = 1; i <= count; i++)
      if (directives[i] ~ /^[ \t]*(listen|server_names_hash_bucket_size|server_names_hash_max_size)[ \t]/)
        print "in=" file " " directives[i]
  }'`;
}

/** Reads the output of `askForeign`, without what CHOM wrote itself and without the stock site. */
export function parseForeign(output: string): ForeignNginx {
  const stockSite = output.split('\n').includes('stock=yes');
  const ports = new Set<80 | 443>();
  const settings = new Set<string>();
  for (const line of output.split('\n')) {
    const [, file = '', name = '', rest = ''] = /^in=(\S+)\s+(\w+)\s+(.*)$/.exec(line) ?? [];
    const ours = file === `${paths.nginx}/conf.d/chom.conf` || file.startsWith(`${paths.nginx}/chom.d/`);
    if (name === '' || ours || (stockSite && file === STOCK_LINK)) continue;
    if (name !== 'listen') settings.add(name);
    else if (/\s(default_server|default)\b/.test(rest)) {
      const port = portOf(rest.split(/\s/)[0] ?? '');
      if (port !== null) ports.add(port);
    }
  }
  return { stockSite, defaultPorts: [...ports].toSorted((a, b) => a - b), settings: [...settings].toSorted() };
}

/**
 * Lets nginx serve CHOM's sites beside whatever it serves: catch-all servers on the ports that have no default server of
 * somebody else's, and the shared settings. The distribution's welcome site makes room when it is
 * unchanged; nothing else is touched. Exit codes of `publish`.
 */
export function bootstrapNginx(foreign: ForeignNginx, facts: NginxFacts): { check: Script; act: Script } {
  const free = ([80, 443] as const).filter((port) => !foreign.defaultPorts.includes(port));
  const catchAll = defaultFile({ ports: free }, facts);
  const files: Change[] = [
    { path: 'chom.d/headers.inc', text: headersFile() },
    { path: 'chom.d/000-default.conf', text: catchAll.text },
    // Last: it is what makes nginx read the others.
    { path: 'conf.d/chom.conf', text: httpFile(new Set(foreign.settings)) },
  ];
  // First, for two default servers on one port are a fatal error.
  const changes: [Change, ...Change[]] = [{ path: 'sites-enabled/default', text: null }, ...files];
  const [first, ...others] = foreign.stockSite ? changes : files;
  const { check, act } = publish({
    ...nginx([]),
    changes: [first!, ...others],
    before: join([portsAreOurs, sh`install -d -o root -g adm -m 0751 /var/log/nginx/chom`, selfSigned(facts)]),
    served: free.includes(80)
      ? sh`[ "$(curl -s --noproxy '*' --max-time 3 http://127.0.0.1/.well-known/chom-default)" = ${catchAll.version} ]`
      : sh`systemctl -q is-active nginx`,
  });
  return {
    // Alone on the server, so that nobody else's change is on its way: what one of a site left is taken back here, too.
    check: join([sh`systemctl -q is-enabled nginx && [ ! -d ${`${paths.previous}/nginx/pending`} ] || exit 1`, check]),
    act: join([sh`systemctl -q enable nginx || exit 1`, act]),
  };
}

const STOCK_LINK = '/etc/nginx/sites-enabled/default';
const STOCK_FILE = '/etc/nginx/sites-available/default';

function portOf(address: string): 80 | 443 | null {
  if (address.startsWith('unix:')) return null;
  const [, port] = /(?:^|:)(\d+)$/.exec(address) ?? [];
  // An address without a port listens on 80.
  const number = port === undefined ? 80 : Number(port);
  return number === 80 || number === 443 ? number : null;
}

/** nginx before 1.19.4 cannot refuse a handshake: it needs a certificate to say no with. */
function selfSigned(facts: NginxFacts): Script {
  const pair = paths.tls('default');
  if (!defaultFile({ ports: [443] }, facts).text.includes(pair)) return sh`:`;
  return sh`if [ ! -e ${`${pair}/fullchain.pem`} ]; then
  install -d -m 0700 ${pair}
  ( umask 077 && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 -subj /CN=invalid \
    -keyout ${`${pair}/key.pem`} -out ${`${pair}/fullchain.pem`} ) 2>/dev/null || refuse 1 'cannot make a certificate'
fi`;
}
