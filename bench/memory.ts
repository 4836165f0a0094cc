import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { createSite } from '../src/client/new-site.js';
import { PRODUCT } from '../test/lab/product.js';
import { heading, say } from './report.js';
import { SERVER, type Setting } from './setting.js';

const SITES = 24;

/** What of the machine's memory the worker holds: when nobody asks for anything, and while it makes many sites. */
export async function measureMemory({ rig, chom, succeeded }: Setting): Promise<void> {
  heading('Memory of the worker (resident)');
  await rig.stopWorker();
  await rig.startWorker();
  const worker = await workerProcess();
  await sleep(5000);
  say(`  idle, 5 s after its start           ${await resident(worker, 'VmRSS')} MB`);
  const asked = Array.from({ length: SITES }, async (_, n) => {
    const { operation } = await createSite(chom, { domain: `memory-${n}.bench.test`, server: SERVER, tls: false });
    await succeeded(operation);
  });
  await Promise.all(asked);
  say(`  at most, while ${SITES} sites are made   ${await resident(worker, 'VmHWM')} MB  (aim: below 200)`);
  say(`  afterwards                          ${await resident(worker, 'VmRSS')} MB`);
}

/** The child of this process that runs the product's worker. */
export async function workerProcess(): Promise<string> {
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const [command, status] = await Promise.all(
      ['cmdline', 'status'].map(async (file) => await readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')),
    );
    if (command?.split('\0').includes(PRODUCT.worker) && status?.includes(`PPid:\t${process.pid}\n`)) return pid;
  }
  throw new Error('no worker is running');
}

/** Megabytes of `VmRSS`, now, or `VmHWM`, at most so far. */
export async function resident(pid: string, field: 'VmRSS' | 'VmHWM'): Promise<string> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const [, kilobytes = ''] = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status) ?? [];
  return (Number(kilobytes) / 1024).toFixed(0);
}
