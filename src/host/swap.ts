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

/** What decides whether a server gets a swap file. */
export interface SwapFacts {
  memoryMiB: number;
  /** Swap of others, as the kernel names it. */
  others: string[];
  /** CHOM's own is in use. */
  on: boolean;
  /** The container that it is, as systemd-detect-virt names it. */
  container: string | null;
  freeMiB: number;
}

/** Prints what `parseSwap` reads. */
export function askSwap(): Script {
  return sh`export LC_ALL=C
awk '/^MemTotal:/ { print "memory=" int($2 / 1024) }' /proc/meminfo
awk 'NR > 1 { print "swap=" $1 }' /proc/swaps
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
    container: container === 'none' || container === '' ? null : container,
    freeMiB: Number(values('free')[0] ?? 0),
  };
}

/** Whether a server needs a swap file of CHOM's, and if so, why it cannot have one. */
export function needsSwap(facts: SwapFacts): { needed: boolean; obstacle: string | null } {
  const { memoryMiB, others, container, freeMiB, on } = facts;
  if (memoryMiB >= ENOUGH_MEMORY_MIB || others.length > 0 || on) return { needed: false, obstacle: null };
  const has = `It has ${memoryMiB} MiB of memory and no swap`;
  if (container !== null) {
    return { needed: true, obstacle: `${has}: it is a container (${container}), whose swap is its host's affair` };
  }
  if (freeMiB < SWAP_MIB + SPARE_MIB) {
    return { needed: true, obstacle: `${has}: with ${freeMiB} MiB free the disk is too small for a swap file` };
  }
  return { needed: true, obstacle: null };
}

/** Makes a swap file and uses it, also after the next boot. Exit codes: diskFull; unsupported, and nothing is left. */
export function makeSwap(mebibytes = SWAP_MIB): { check: Script; act: Script } {
  const unit = `# Written by CHOM: changes made here are replaced.
[Unit]
Description=Swap file of CHOM

[Swap]
What=${FILE}

[Install]
WantedBy=swap.target
`;
  const path = `/etc/systemd/system/${UNIT}`;
  return {
    check: sh`printf %s ${unit} | cmp -s - ${path} && systemctl -q is-enabled ${UNIT} && grep -q ${`^${FILE} `} /proc/swaps`,
    act: sh`umask 077
export LC_ALL=C
${forget()}
# Blocks that are there: a file with holes is no swap.
dd if=/dev/zero of=${FILE} bs=1M count=${mebibytes} conv=fsync 2>/dev/null || { forget; echo 'no space is left for a swap file' >&2; exit ${EXIT.diskFull}; }
said=$(mkswap ${FILE} 2>&1) && said=$(swapon ${FILE} 2>&1) || {
  forget
  echo "the kernel takes no swap file: $said" >&2
  exit ${EXIT.unsupported}
}
${writeFile({ path, content: unit, mode: '0644' })} && systemctl daemon-reload && systemctl -q enable --now ${UNIT} || exit 1`,
  };
}

/** Takes CHOM's swap file out of use and away. That there is none is no error. */
export function removeSwap(): { check: Script; act: Script } {
  return {
    check: sh`[ ! -e ${FILE} ] && [ ! -e ${`/etc/systemd/system/${UNIT}`} ]`,
    act: sh`${forget()}
forget`,
  };
}

function forget(): Script {
  return sh`forget() {
  systemctl -q disable ${UNIT} 2>/dev/null
  if grep -q ${`^${FILE} `} /proc/swaps; then swapoff ${FILE} || exit 1; fi
  rm -f ${[`/etc/systemd/system/${UNIT}`, FILE]}
  systemctl daemon-reload
}`;
}
