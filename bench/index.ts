import { parseArgs } from 'node:util';
import { cpus } from 'node:os';
import { say } from './report.js';
import { startSetting } from './setting.js';
import { compareBackups, compareLargeBackups } from './backup.js';
import { compareCertificates } from './certificate.js';
import { compareEngines } from './engine.js';
import { measureMemory } from './memory.js';
import { measureNeighbour } from './neighbour.js';
import { measurePieces } from './pieces.js';
import { profileSiteCreate } from './profile.js';
import { compareStaticSites } from './static-site.js';
import type { Setting } from './setting.js';

/**
 * Measures CHOM against what one would use instead, and what it is made of, on one host of the lab; docs/performance.md
 * says what was found. `--rounds N`; names of comparisons run those alone, and are the only way to those that take long.
 */
const COMPARISONS: Record<string, (setting: Setting, rounds: number) => Promise<void>> = {
  static: compareStaticSites,
  certificate: compareCertificates,
  engine: compareEngines,
  memory: measureMemory,
  neighbour: measureNeighbour,
  backup: compareBackups,
  profile: profileSiteCreate,
  pieces: measurePieces,
};

/** Those that take long, and run only where they are named. */
const LARGE: typeof COMPARISONS = { 'backup-large': compareLargeBackups };
const ALL = { ...COMPARISONS, ...LARGE };

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string', default: '7' } },
});
const rounds = Number(values.rounds);
const wanted = positionals.length > 0 ? positionals : Object.keys(COMPARISONS);
const unknown = wanted.find((name) => !(name in ALL));
if (unknown !== undefined || !(rounds >= 1)) {
  say(`npm run bench -- [--rounds N] [${Object.keys(ALL).join('] [')}]`);
  process.exit(2);
}

say(`${cpus().length} cores, ${rounds} rounds after one that is not counted`);
const setting = await startSetting();
try {
  for (const name of wanted) await ALL[name]?.(setting, rounds);
} catch (error) {
  say(`The measurement failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  process.exitCode = 1;
} finally {
  await setting.down();
}
