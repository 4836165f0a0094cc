import type { LabHost } from '../lab/index.js';
import { openChom, type Chom } from '../src/client/open.js';
import { watch } from '../src/client/watch.js';
import { startRig, type Rig } from '../test/lab/rig.js';

/** A whole CHOM with one enrolled host, and CHOM as a program has it. */
export interface Setting {
  rig: Rig;
  host: LabHost;
  chom: Chom;
  /** Waits for an operation's end. Throws unless it succeeded without a warning. */
  succeeded(operation: string): Promise<void>;
  down(): Promise<void>;
}

export const SERVER = 'web1';

/** What the largest site takes several times over: live, restored, kept for an undo, and in two repositories. */
const DISK_MEGABYTES = 40 * 1024;

export async function startSetting(): Promise<Setting> {
  const rig = await startRig({ hosts: [{ name: SERVER, diskMegabytes: DISK_MEGABYTES }], acme: true });
  try {
    const host = rig.lab.host(SERVER);
    await rig.startWorker();
    await rig.enrol(host);
    const chom = await openChom(rig.environment);
    return {
      ...{ rig, host, chom },
      async succeeded(operation) {
        const { operation: ended, warnings } = await watch(chom, operation);
        if (ended.outcome === 'succeeded' && warnings.length === 0) return;
        throw new Error(`${operation} ${ended.outcome}: ${ended.reason ?? warnings.join('; ')}`);
      },
      async down() {
        await chom.close();
        await rig.down();
      },
    };
  } catch (error) {
    await rig.down();
    throw error;
  }
}
