import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startTraffic } from '../test/lab/traffic.js';
import { createSite } from '../src/client/new-site.js';
import { watch } from '../src/client/watch.js';
import { heading, say } from './report.js';
import { SERVER, type Setting } from './setting.js';

const OPERATIONS = 50;
const AT_ONCE = 3;
const PER_SECOND = 50;
const NEIGHBOUR = 'neighbour.bench.test';

/** What the visitors of a PHP site notice of fifty sites that are made on its server meanwhile. `_rounds`: it is one run. */
export async function measureNeighbour(setting: Setting, _rounds: number): Promise<void> {
  heading(`${PER_SECOND} requests a second on a PHP site while ${OPERATIONS} sites are made on its server`);
  const files = await mkdtemp(join(tmpdir(), 'chom-bench-files-'));
  try {
    await writeFile(join(files, 'index.php'), '<?php echo "here";');
    await create(setting, NEIGHBOUR, files);
    const { address } = setting.host;
    const traffic = startTraffic(
      PER_SECOND,
      async () => await setting.rig.fetch(NEIGHBOUR, { address, https: false, path: '/' }),
      ({ body }) => body === 'here',
    );
    const left = Array.from({ length: OPERATIONS }, (_, n) => `beside${n}.bench.test`);
    const work = async () => {
      for (let domain = left.shift(); domain !== undefined; domain = left.shift()) {
        await create(setting, domain, files);
      }
    };
    try {
      await Promise.all(Array.from({ length: AT_ONCE }, work));
    } finally {
      const { answered, failed, p99, slowest } = await traffic.end();
      say(`  ${answered} answered, ${failed.length} failed; 1 in 100 above ${p99} ms, the slowest ${slowest} ms`);
      for (const why of new Set(failed)) say(`  failed: ${why}`);
      if (failed.length > 0) process.exitCode = 1;
    }
  } finally {
    await rm(files, { recursive: true, force: true });
  }
}

/** Its server has no SMTP relay, of which CHOM warns. */
async function create({ chom }: Setting, domain: string, from: string): Promise<void> {
  const { operation } = await createSite(chom, { domain, server: SERVER, type: 'php', from, tls: false });
  const { operation: ended } = await watch(chom, operation);
  if (ended.outcome !== 'succeeded') throw new Error(`${operation} ${ended.outcome}: ${ended.reason}`);
}
