import { sh, type Script } from './shell.js';

/** Packages of which the server knows later versions. */
export interface Upgrades {
  all: number;
  security: number;
}

const LIMIT_SECONDS = 30;

/**
 * Prints what `parseUpgrades` reads: what apt would upgrade by the lists that it has, without a lock and without changing
 * anything. Where apt cannot say, nothing is printed.
 */
export function askUpgrades(): Script {
  return sh`export LC_ALL=C
if said=$(timeout ${LIMIT_SECONDS} apt-get -s -o Debug::NoLocking=1 upgrade 2>/dev/null); then
  printf '%s\n' "$said" | awk '/^Inst / { all++; if (/-[Ss]ecurity/) security++ } END { print "upgrades=" all + 0, security + 0 }'
fi`;
}

/** Null where apt could not say. */
export function parseUpgrades(output: string): Upgrades | null {
  const [, all, security] = /^upgrades=(\d+) (\d+)$/m.exec(output) ?? [];
  return all === undefined ? null : { all: Number(all), security: Number(security) };
}
