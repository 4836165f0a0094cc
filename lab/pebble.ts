import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Kept } from './kept.js';
import { bridgeAddress } from './network.js';
import type { LabState } from './state.js';
import { makeCertificate } from './tls.js';

/** Ports on the bridge: it is the lab's own, so they are always free. */
export const ACME_PORTS = { directory: 14000, management: 15000, dns: 53, dnsManagement: 8055 } as const;

type Lab = Pick<LabState, 'directory' | 'subnet' | 'name'>;

/** Where the CA of Pebble's own HTTPS lies. */
export const caFile = (lab: Pick<Lab, 'directory'>): string => join(lab.directory, 'acme', 'ca.pem');

/** Makes Pebble's configuration, its HTTPS certificate and the CA of that. */
export async function makeAcme(lab: Lab): Promise<void> {
  const directory = join(lab.directory, 'acme');
  await mkdir(directory);
  const { ca, certificate, privateKey } = await makeCertificate('pebble.lab.test', bridgeAddress(lab));
  await writeFile(caFile(lab), ca);
  await writeFile(join(directory, 'certificate.pem'), certificate);
  await writeFile(join(directory, 'key.pem'), privateKey, { mode: 0o600 });
  await writeFile(join(directory, 'pebble.json'), JSON.stringify(configuration(lab, directory), null, 2));
}

/** https://github.com/letsencrypt/pebble/blob/v2.10.1/test/config/pebble-config.json */
function configuration(lab: Lab, directory: string): object {
  return {
    pebble: {
      listenAddress: `${bridgeAddress(lab)}:${ACME_PORTS.directory}`,
      managementListenAddress: `${bridgeAddress(lab)}:${ACME_PORTS.management}`,
      certificate: join(directory, 'certificate.pem'),
      privateKey: join(directory, 'key.pem'),
      httpPort: 80,
      tlsPort: 443,
      ocspResponderURL: '',
      externalAccountBindingRequired: false,
      domainBlocklist: ['blocked-domain.example'],
      keyAlgorithm: 'ecdsa',
      caaIdentities: ['pebble.lab.test'],
      retryAfter: { authz: 1, order: 1 },
      // One only: an order without a profile gets a random one.
      profiles: { classic: { description: '90 days', validityPeriod: 7_776_000 } },
    },
  };
}

/** Pebble, strict and refusing a fifth of all nonces, and the DNS server that it and the hosts ask. */
export function acmeProgramsKept(lab: Lab, programs: { pebble: string; challengeServer: string }): Kept[] {
  const at = (port: number): string => `${bridgeAddress(lab)}:${port}`;
  const off = ['-doh', '', '-http01', '', '-https01', '', '-tlsalpn01', '', '-defaultIPv4', '', '-defaultIPv6', ''];
  return [
    {
      name: 'dns',
      command: async () => [
        programs.challengeServer,
        '-dnsserver',
        at(ACME_PORTS.dns),
        '-management',
        at(ACME_PORTS.dnsManagement),
        ...off,
      ],
    },
    {
      name: 'pebble',
      environment: {
        PEBBLE_WFE_NONCEREJECT: '20',
        PEBBLE_VA_NOSLEEP: '1',
        // An authorization that is used again would let a challenge pass that nobody answered.
        PEBBLE_AUTHZREUSE: '0',
      },
      command: async () => [
        programs.pebble,
        '-config',
        join(lab.directory, 'acme', 'pebble.json'),
        '-strict',
        '-dnsserver',
        at(ACME_PORTS.dns),
      ],
    },
  ];
}
