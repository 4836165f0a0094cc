import { EXIT } from './exit-codes.js';
import { paths } from './paths.js';
import { sh, type Script, writeFile } from './shell.js';

/** From here on a server gets on without. */
const ENOUGH_MEMORY_MIB = 2048;
const SWAP_MIB = 1024;
/** Left on the disk beside it. */
const SPARE_MIB = 2048;

const FILE = `${paths.state}/swap`;
/** systemd wants the unit named after its path (systemd.swap(5)). */
const UNIT = 'var-lib-chom-swap.swap';
const UNIT_PATH = `/etc/systemd/system/${UNIT}`;
const UNIT_TEXT = `# Written by CHOM: changes made here are replaced.
[Unit]
Description=Swap file of CHOM

[Swap]
What=${FILE}

[Install]
WantedBy=swap.target
`;

/** CHOM's file is in use. */
const ON = sh`grep -q ${`^${FILE} `} /proc/swaps`;
/** It is used by the next boot too. */
const LASTS = sh`printf %s ${UNIT_TEXT} | cmp -s - ${UNIT_PATH} && systemctl -q is-enabled ${UNIT} 2>/dev/null`;

/** What decides whether a server gets a swap file. */
export interface SwapFacts {
  memoryMiB: number;
  /** Swap of others, as the kernel names it. */
  others: string[];
  /** CHOM's own is in use. */
  on: boolean;
  /** And will be after the next boot. */
  lasts: boolean;
  /** The container that it is, as systemd-detect-virt names it. */
  container: string | null;
  freeMiB: number;
}

/** Prints what `parseSwap` reads. */
export function askSwap(): Script {
  return sh`export LC_ALL=C
awk '/^MemTotal:/ { print "memory=" int($2 / 1024) }' /proc/meminfo
awk 'NR > 1 { print "swap=" $1 }' /proc/swaps
if ${LASTS}; then echo lasts=yes; fi
echo "container=$(systemd-detect-virt --container)"
echo "free=$(df -P -m /var/lib | awk 'NR == 2 { print $4 }')"`;
}

export function parseSwap(output: string): SwapFacts {
  const values = (name: string) =>
    output.split('\n').flatMap((line) => (line.startsWith(`${name}=`) ? [line.slice(name.length + 1)] : []));
  const swaps = values('swap');
  const [container = 'none'] = values('container');
  return {
    memoryMiB: Number(values('memory')[0] ?? 0),
    others: swaps.filter((one) => one !== FILE),
    on: swaps.includes(FILE),
    lasts: values('lasts').includes('yes'),
    container: container === 'none' || container === '' ? null : container,
    freeMiB: Number(values('free')[0] ?? 0),
  };
}

/** Whether a server needs a swap file of CHOM's, and if so, why it cannot have one. */
export function needsSwap(facts: SwapFacts): { needed: boolean; obstacle: string | null } {
  const { memoryMiB, others, container, freeMiB, on, lasts } = facts;
  if (memoryMiB >= ENOUGH_MEMORY_MIB || others.length > 0) return { needed: false, obstacle: null };
  // Where it was taken into use its unit may still be missing: whoever made it died in between.
  if (on) return { needed: !lasts, obstacle: null };
  const has = `It has ${memoryMiB} MiB of memory and no swap`;
  if (container !== null) {
    return { needed: true, obstacle: `${has}: it is a container (${container}), whose swap is its host's affair` };
  }
  if (freeMiB < SWAP_MIB + SPARE_MIB) {
    return { needed: true, obstacle: `${has}: with ${freeMiB} MiB free the disk is too small for a swap file` };
  }
  return { needed: true, obstacle: null };
}

/**
 * Makes a swap file and uses it, also after the next boot. One that is in use stays: a server that is short of memory
 * may not be able to do without it for a moment. Exit codes: diskFull; unsupported, and nothing is left.
 */
export function makeSwap(mebibytes = SWAP_MIB): { check: Script; act: Script } {
  return {
    check: sh`${LASTS} && ${ON}`,
    act: sh`umask 077
export LC_ALL=C
${forget()}
if ! ${ON}; then
  # What is there was left half-way. Blocks that are there: a file with holes is no swap.
  rm -f ${FILE}
  dd if=/dev/zero of=${FILE} bs=1M count=${mebibytes} conv=fsync 2>/dev/null || { forget; echo 'no space is left for a swap file' >&2; exit ${EXIT.diskFull}; }
  said=$(mkswap ${FILE} 2>&1 && sync ${FILE} ${paths.state} && swapon ${FILE} 2>&1) || {
    forget
    echo "the kernel takes no swap file: $(echo "$said" | tail -n 1)" >&2
    exit ${EXIT.unsupported}
  }
fi
# Not started: systemd sees what the kernel uses.
${writeFile({ path: UNIT_PATH, content: UNIT_TEXT, mode: '0644' })} && systemctl daemon-reload && systemctl -q enable ${UNIT} &&
  sync /etc/systemd/system/swap.target.wants || exit 1`,
  };
}

/** Takes CHOM's swap file out of use and away. That there is none is no error. */
export function removeSwap(): { check: Script; act: Script } {
  return {
    check: sh`[ ! -e ${FILE} ] && [ ! -e ${UNIT_PATH} ]`,
    act: sh`${forget()}
forget`,
  };
}

function forget(): Script {
  return sh`forget() {
  systemctl -q disable ${UNIT} 2>/dev/null
  if ${ON}; then swapoff ${FILE} || exit 1; fi
  rm -f ${[UNIT_PATH, FILE]}
  systemctl daemon-reload
}`;
}
