import { sandbox } from './sandbox.js';
import { join, sh, type Script, writeFile } from './shell.js';

/** Something that a site does without a visitor: a program that runs always, or every so often. */
export interface Background {
  /** With the site's id it names the unit: `chom-<name>@<site>`. */
  name: (typeof NAMES)[number];
  description: string;
  /** Run as the site's user in its `app` directory. */
  command: readonly string[];
  /** systemd's calendar, and over how long the sites of a server are spread. Missing: it runs always. */
  every?: { calendar: string; spread: string };
}

/** All that any type of site has: what is not named here is never taken away. */
const NAMES = ['cron', 'scheduler', 'queue'] as const;
const UNITS = '/etc/systemd/system';

interface UnitFile {
  name: string;
  text: string;
}

/** Starts what a site does in the background, now and at every boot. Its files are root's. */
export function startBackground(site: string, all: readonly Background[]): { check: Script; act: Script } {
  const files = all.flatMap((one) => unitFiles(site, one));
  const enabled = all.map((one) => `chom-${one.name}@${site}.${one.every ? 'timer' : 'service'}`);
  return {
    check: join([
      ...files.map(({ name, text }) => sh`printf %s ${text} | cmp -s - ${`${UNITS}/${name}`} || exit 1`),
      // A queue worker that ended is started again: between the two it is "activating".
      ...enabled.map(
        (unit) => sh`systemctl -q is-enabled ${unit} || exit 1
case "$(systemctl show -P ActiveState ${unit})" in active | activating) ;; *) exit 1 ;; esac`,
      ),
    ]),
    act: join([
      ...files.map(
        ({ name, text }) => sh`${writeFile({ path: `${UNITS}/${name}`, content: text, mode: '0644' })} || exit 1`,
      ),
      sh`systemctl daemon-reload && systemctl -q enable --now ${enabled}`,
    ]),
  };
}

/** Ends it, and takes its files away. Succeeds when there was none. */
export function stopBackground(site: string): { check: Script; act: Script } {
  const units = backgroundUnits(site);
  // With the links that enable them: systemctl takes those away only while the unit's file is there.
  const files = units.flatMap((unit) => {
    const target = unit.endsWith('.timer') ? 'timers.target' : 'multi-user.target';
    return [`${UNITS}/${unit}`, `${UNITS}/${target}.wants/${unit}`];
  });
  return {
    check: sh`for file in ${files}; do [ ! -e "$file" ] && [ ! -L "$file" ] || exit 1; done
# One that has failed is listed by systemd as long as it is not told to forget it, also without its file.
for unit in ${units}; do
  ! systemctl -q is-active "$unit" && ! systemctl -q is-failed "$unit" || exit 1
done`,
    act: sh`systemctl stop ${units} 2>/dev/null
rm -f ${files} && systemctl daemon-reload || exit 1
systemctl reset-failed ${units} 2>/dev/null
exit 0`,
  };
}

/** All that a site may do in the background, by its units; a timer before what it starts. */
export function backgroundUnits(site: string): string[] {
  return NAMES.flatMap((name) => [`chom-${name}@${site}.timer`, `chom-${name}@${site}.service`]);
}

function unitFiles(site: string, { name, description, command, every }: Background): UnitFile[] {
  const head = `# Written by CHOM: changes made here are replaced.
[Unit]
Description=${description} of CHOM site ${site}`;
  const service = `${head}
After=network.target mariadb.service

[Service]
Type=${every ? 'oneshot' : 'exec'}
User=${site}
Group=${site}
WorkingDirectory=/srv/chom/${site}/app
ExecStart=${command.map(word).join(' ')}
${every ? '' : 'Restart=always\nRestartSec=10\n'}UMask=0027
Environment=HOME=/srv/chom/${site}/tmp
${sandbox(site)}
`;
  const unit = `chom-${name}@${site}`;
  if (!every) return [{ name: `${unit}.service`, text: `${service}\n[Install]\nWantedBy=multi-user.target\n` }];
  const timer = `${head}

[Timer]
OnCalendar=${every.calendar}
AccuracySec=1s
RandomizedDelaySec=${every.spread}
FixedRandomDelay=yes

[Install]
WantedBy=timers.target
`;
  return [
    { name: `${unit}.service`, text: service },
    { name: `${unit}.timer`, text: timer },
  ];
}

/** A word of a command line as systemd.service(5) quotes it. */
function word(text: string): string {
  return `"${text.replaceAll(/[\\"]/g, '\\$&').replaceAll('$', '$$$$').replaceAll('%', '%%')}"`;
}
