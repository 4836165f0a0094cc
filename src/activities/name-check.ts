import { lookup, Resolver } from 'node:dns/promises';
import { isIP, SocketAddress } from 'node:net';
import { isPrivate } from '../host/private-address.js';
import { failure } from '../workflows/failures.js';
import { answersWith, describeAnswer, probeChallenge, type ProbeAnswer } from './challenge-probe.js';

/** One A or AAAA record. */
export interface AddressRecord {
  name: string;
  type: 'A' | 'AAAA';
  address: string;
}

/** What can be ordered, and why some names are left out. */
export interface CheckedNames {
  names: string[];
  warnings: string[];
  /** A probe was placed on the server. */
  probed: boolean;
}

/** What a check of names needs to know of the server and of the world. */
export interface NameCheck {
  /** The site's domain first, then its aliases. */
  names: readonly string[];
  server: { name: string; addresses: readonly string[] };
  /** Looks up a name's addresses. Fails with Node's DNS codes. */
  records: (name: string) => Promise<AddressRecord[]>;
  /** Makes the server answer to a token, and says how to ask for it and which addresses the server has itself. */
  placeProbe: () => Promise<{ token: string; content: string; addresses: readonly string[] }>;
  /** Asks one address for the token. */
  probe?: (target: { address: string; name: string; token: string }) => Promise<ProbeAnswer>;
}

/** DNS look-ups by the system's servers, or by `ip:port`. */
export function addressRecords(dnsServer: string | undefined): (name: string) => Promise<AddressRecord[]> {
  const resolver = new Resolver({ timeout: 3000, tries: 2 });
  if (dnsServer !== undefined) resolver.setServers([dnsServer]);
  return async (name) => {
    const [a, aaaa] = await Promise.all([noneIsEmpty(resolver.resolve4(name)), noneIsEmpty(resolver.resolve6(name))]);
    return [
      ...a.map((address) => ({ name, type: 'A' as const, address })),
      ...aaaa.map((address) => ({ name, type: 'AAAA' as const, address })),
    ];
  };
}

/** The addresses behind what the operator gave as the server's address. */
export async function serverAddresses(address: string): Promise<string[]> {
  if (isIP(address)) return [address];
  try {
    return (await lookup(address, { all: true })).map((found) => found.address);
  } catch {
    throw failure('Unreachable', `The server's address ${address} does not resolve`);
  }
}

/**
 * Asks, before any order, what an authority would find: every address of every name must be the server's own, or lead
 * to it through a proxy. Aliases that do not resolve are left out with a warning.
 * @throws DomainNotPointed a record leads elsewhere, or the main domain has none; ValidationFailed DNS gave no answer
 */
export async function checkNames(check: NameCheck): Promise<CheckedNames> {
  const [domain] = check.names;
  const warnings: string[] = [];
  const names: string[] = [];
  const foreign: AddressRecord[] = [];
  const own = addressSet(check.server.addresses);
  for (const name of check.names) {
    const records = await look(name, check.records);
    if (records.length === 0) {
      if (name === domain) throw notPointed(`${name} has no A or AAAA record`, `Add an A record for ${name}`, check);
      warnings.push(`${name} does not resolve and is left out of the certificate`);
      continue;
    }
    names.push(name);
    foreign.push(...records.filter((record) => !own.has(record.address)));
  }
  if (foreign.length > 0) warnings.push(...(await checkForeign(check, foreign)));
  return { names, warnings, probed: foreign.length > 0 };
}

async function checkForeign(check: NameCheck, records: AddressRecord[]): Promise<string[]> {
  const probe = check.probe ?? probeChallenge;
  const { token, content, addresses } = await check.placeProbe();
  const own = addressSet(addresses);
  const warnings: string[] = [];
  const proxied = new Set<string>();
  for (const record of records.filter(({ address }) => !own.has(address))) {
    const { name, type, address } = record;
    const answer: ProbeAnswer = isPrivate(address)
      ? { answered: false, code: 'a private address' }
      : await probe({ address, name, token });
    if (answersWith(answer, content)) {
      proxied.add(name);
    } else if (type === 'AAAA' && proxied.has(name) && !answer.answered && NO_IPV6.has(answer.code)) {
      // Its A records lead here through a proxy, and this machine has no IPv6 to ask the proxy's other door.
      warnings.push(`${name}: the AAAA record ${address} could not be checked, this machine has no IPv6`);
    } else {
      throw notPointed(
        `${name} has the ${type} record ${address}, which is not ${check.server.name}: its port 80 ${describeAnswer(answer)}`,
        type === 'AAAA'
          ? `Remove the AAAA record ${address} of ${name}, or point it at the server: authorities ask IPv6 first`
          : `Point the A record of ${name} at the server (${check.server.addresses.join(', ')})`,
        check,
      );
    }
  }
  return warnings;
}

const NO_IPV6 = new Set(['ENETUNREACH', 'EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EHOSTUNREACH']);

async function look(name: string, records: NameCheck['records']): Promise<AddressRecord[]> {
  try {
    return await records(name);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'no answer';
    throw failure('ValidationFailed', `DNS gives no answer about ${name} (${code})`, {
      cause: "The domain's name servers are down or misconfigured, or this machine cannot ask them.",
      next: `dig ${name} A; dig ${name} AAAA`,
    });
  }
}

function notPointed(message: string, cause: string, { server, names }: NameCheck) {
  return failure('DomainNotPointed', message, {
    server: server.name,
    cause: `${cause}.`,
    next: `change the DNS, then: chom certificate issue ${names[0]}`,
  });
}

/** A name that does not exist, or has no record of the type, has no addresses; every other error is one. */
async function noneIsEmpty(addresses: Promise<string[]>): Promise<string[]> {
  try {
    return await addresses;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOTFOUND' || code === 'ENODATA') return [];
    throw error;
  }
}

export function addressSet(addresses: readonly string[]): { has(address: string): boolean } {
  const canonical = (address: string) =>
    new SocketAddress({ address, family: isIP(address) === 6 ? 'ipv6' : 'ipv4' }).address;
  const known = new Set(addresses.filter((address) => isIP(address)).map(canonical));
  return { has: (address) => known.has(canonical(address)) };
}
