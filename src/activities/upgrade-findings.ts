import type { Upgrades } from '../host/upgrades.js';
import type { Protection } from '../inventory/servers.js';
import type { Finding } from '../workflows/inspection.js';
import { fine } from './finding.js';

/** unattended-upgrades works once a day: what waits for longer it does not install. */
const HOURS = 48;

/** Whether security updates wait though they should have come by themselves; those of others only wait. */
export function upgradeFinding(upgrades: Upgrades | null, name: string, protection: Protection | null): Finding[] {
  if (upgrades === null) return [];
  const { all, security } = upgrades;
  const others = all - security;
  const also = others > 0 ? `, and ${others} others` : '';
  if (security === 0) {
    return [fine('upgrades', others === 0 ? 'No update waits' : `${others} updates wait, none of them for security`)];
  }
  const message = `${security} security ${security === 1 ? 'update waits' : 'updates wait'}${also}`;
  const itself = protection?.updates === true;
  const cause = itself ? 'They should have come by themselves' : 'Nobody wanted them to come by themselves';
  const next = `${itself ? 'unattended-upgrade -v' : 'apt-get upgrade'} (on ${name})`;
  return [{ name: 'upgrades', state: 'unknown', message, cause, next, counts: { hours: HOURS } }];
}
