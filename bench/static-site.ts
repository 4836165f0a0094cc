import { createSite } from '../src/client/new-site.js';
import { ansible } from './ansible.js';
import { heading, missing, tell } from './report.js';
import { takeTurns, type Contender } from './rounds.js';
import type { Setting } from './setting.js';
import { SERVER } from './setting.js';
import { overOpenConnection } from './script.js';

/** A static site with user, directories, virtual host, reload and probe, in three ways on the same host. */
export async function compareStaticSites(setting: Setting, rounds: number): Promise<void> {
  heading('A static site: user, directories, page, virtual host, nginx -t, reload, probe');
  const contenders: Contender[] = [{ name: 'CHOM', once: async (turn) => await throughChom(setting, turn) }];
  const undo: (() => Promise<void>)[] = [];
  for (const make of [ansible, overOpenConnection]) {
    try {
      const { contender, end } = await make(setting);
      contenders.push(contender);
      undo.push(end);
    } catch (error) {
      missing(make.name, error);
    }
  }
  try {
    tell(await takeTurns(rounds, contenders), [
      { other: 'Ansible', atLeast: 20 },
      { other: 'one script', atMost: 6 },
    ]);
  } finally {
    for (const end of undo) await end();
  }
}

/** From the ask to its outcome, as a program sees it. The site is probed from here too, and its page is CHOM's own. */
async function throughChom({ chom, succeeded }: Setting, turn: string): Promise<void> {
  const { operation } = await createSite(chom, { domain: `static-${turn}.bench.test`, server: SERVER, tls: false });
  await succeeded(operation);
}
