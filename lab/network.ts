import { attempt, run } from './command.js';
import type { HostState, LabState } from './state.js';

/**
 * Labs live in 198.18.0.0/15, which RFC 2544 reserves for benchmarks: it is nobody's network. Each takes one /24.
 */
/** The last is none of them: what tests take for an address elsewhere. */
const SUBNETS = 511;

type Lab = Pick<LabState, 'name' | 'subnet'>;

/** Address number `number` of the lab; 1 is the bridge, this machine's own end. */
export function address({ subnet }: Pick<Lab, 'subnet'>, number: number): string {
  return `198.${18 + (subnet >> 8)}.${subnet & 255}.${number}`;
}

export const bridgeAddress = (lab: Pick<Lab, 'subnet'>): string => address(lab, 1);
export const bridge = ({ subnet }: Pick<Lab, 'subnet'>): string => `chom-${subnet}`;
const block = (lab: Pick<Lab, 'subnet'>): string => `${address(lab, 0)}/24`;

/** This machine's end of the host's cable. */
export const cable = (lab: Lab, host: HostState): string => `chom-${lab.subnet}-${host.number}`;
export const namespace = (lab: Lab, host: HostState): string => `chom-${lab.name}-${host.name}`;

/**
 * Takes a free /24: creating the bridge is what takes it, so two labs never get the same. `announce` is told
 * each candidate first, so that a killed lab's bridge is known to be its.
 */
export async function takeSubnet(announce: (subnet: number) => Promise<void>): Promise<void> {
  const routes = await run('ip', '-4', 'route', 'show', 'table', 'all');
  // Not from the first on: whoever looks for what a lab has left shall not find the next one in its place.
  for (let n = 0; n < SUBNETS; n++) {
    const subnet = (process.pid + n) % SUBNETS;
    const lab = { subnet };
    if (routes.includes(address(lab, 0).slice(0, -1))) continue;
    await announce(subnet);
    const { exit, stderr } = await attempt('ip', ['link', 'add', bridge(lab), 'type', 'bridge']);
    if (exit !== 0 && stderr.includes('File exists')) continue;
    if (exit !== 0) throw new Error(`no bridge can be made: ${stderr.trim()}`);
    await run('ip', 'address', 'add', `${bridgeAddress(lab)}/24`, 'dev', bridge(lab));
    await run('ip', 'link', 'set', bridge(lab), 'up');
    // When the bridge is gone, packets for the lab's addresses must not leave by the default route.
    await run('ip', 'route', 'add', 'unreachable', block(lab), 'metric', '4278198272');
    return;
  }
  throw new Error('all networks of 198.18.0.0/15 are taken');
}

/** Makes the names of this process's network namespaces its own: it must be in a mount namespace of its own. */
export async function hideNamespaces(): Promise<void> {
  await run('mkdir', '-p', '/run/netns');
  await run('mount', '-t', 'tmpfs', 'chom-lab', '/run/netns');
}

/** Gives a host its network namespace and its cable to the bridge. It has no way to anywhere else. */
export async function connectHost(lab: Lab, host: HostState): Promise<void> {
  const inside = namespace(lab, host);
  await run('ip', 'netns', 'add', inside);
  await run('ip', 'link', 'add', cable(lab, host), 'type', 'veth', 'peer', 'name', 'host0', 'netns', inside);
  await run('ip', 'link', 'set', cable(lab, host), 'master', bridge(lab), 'up');
  await run('ip', '-n', inside, 'link', 'set', 'lo', 'up');
  await run('ip', '-n', inside, 'address', 'add', `${address(lab, host.number)}/24`, 'dev', 'host0');
  await run('ip', '-n', inside, 'link', 'set', 'host0', 'up');
}

/** Removes what of the lab's network there is. */
export async function removeNetwork(lab: Lab, hosts: readonly HostState[]): Promise<void> {
  // Namespaces end with the processes in them and the supervisor.
  for (const host of hosts) await attempt('ip', ['link', 'delete', cable(lab, host)]);
  await attempt('ip', ['link', 'delete', bridge(lab)]);
  await attempt('ip', ['route', 'delete', 'unreachable', block(lab)]);
}
