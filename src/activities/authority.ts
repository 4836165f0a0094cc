import { readFile } from 'node:fs/promises';
import acme from 'acme-client';
import { z } from 'zod';
import { readRetryAfter } from '../retry-after.js';
import { directoryUrl } from './acme-directory.js';
import { AcmeProblem, type Problem, readProblem, unbound } from './acme-problem.js';
import { type Reply, type Send, transport } from './acme-transport.js';

/** An account at an authority: its private key (PEM, P-256) and the URL that the authority gave it. */
export interface Account {
  key: string;
  url: string;
}

/** An order as the authority tells it now. */
export interface Order {
  url: string;
  status: 'pending' | 'ready' | 'processing' | 'valid' | 'invalid';
  names: string[];
  authorizations: string[];
  finalize: string;
  /** Where the chain is, once the order is valid. */
  certificate: string | null;
  problem: Problem | null;
  /** Seconds until it is worth asking again; null where the authority did not say. */
  retryAfterSeconds: number | null;
}

/** What the authority wants to read over HTTP on port 80 of `name`, and how far it has come (RFC 8555 §8.3). */
export interface Challenge {
  name: string;
  url: string;
  token: string;
  keyAuthorization: string;
  /** Of its authorization: `valid` needs nothing more, `pending` waits for us. */
  authorization: string;
  /** Of the challenge itself. */
  status: string;
  problem: Problem | null;
}

/** A certificate authority. Every call is one step of RFC 8555, fails with AcmeProblem or AcmeSilence, never sleeps. */
export interface Authority {
  /** URL of the directory: what an account belongs to. */
  readonly directory: string;
  /** Its host name, for messages. */
  readonly host: string;
  /**
   * Makes the account of this key, or finds it: the same key always has the same account. Returns its URL.
   * @throws CertificateRefused it wants an external account binding, or another one than it was shown
   */
  register(key: string, contact: string | null): Promise<string>;
  /** URL of the account that this key has, and null where it has none; makes none (RFC 8555 §7.3.1). */
  existing(key: string): Promise<string | null>;
  /** From then on the account has the other key, and this one opens nothing (RFC 8555 §7.3.5). */
  changeKey(account: Account, key: string): Promise<void>;
  /** `valid`, `deactivated` or `revoked`. Also stores the contact. */
  accountStatus(account: Account, contact: string | null): Promise<string>;
  /** `replaces`: by `renewalInfoId`, the certificate in whose place it is to come (RFC 9773 §5). */
  order(account: Account, names: readonly string[], replaces?: string | null): Promise<Order>;
  orderAt(account: Account, url: string): Promise<Order>;
  /** The HTTP-01 challenge of each authorization, in the order's order. */
  challenges(account: Account, order: Order): Promise<Challenge[]>;
  accept(account: Account, challengeUrl: string): Promise<void>;
  finalize(account: Account, order: Order, csr: string): Promise<Order>;
  /** The chain as PEM, leaf first. */
  download(account: Account, order: Order): Promise<string>;
  /** Whether it advises when to renew (RFC 9773). */
  advises(): Promise<boolean>;
  /** What it advises for a certificate of its own; null where it does not advise. `window` is null where it makes no sense. */
  renewalInfo(id: string): Promise<Advice | null>;
}

/** External account binding: the key's id as the authority gave it, and the key in base64url; a secret. */
export interface Binding {
  kid: string;
  hmacKey: string;
}

/** What an authority advises, as it came. Times are ISO-8601 UTC. */
export interface Advice {
  window: { start: string; end: string } | null;
  /** A page on which it says why. */
  explanation: string | null;
  retryAfterSeconds: number | null;
}

const directoryDocument = z.looseObject({ renewalInfo: z.string().optional() });
const adviceDocument = z.looseObject({
  suggestedWindow: z.looseObject({ start: z.coerce.date(), end: z.coerce.date() }),
  explanationURL: z
    .url({ protocol: /^https?$/ })
    .max(1000)
    .optional()
    .catch(undefined),
});

/**
 * An authority by its directory. `caFile` holds the PEM roots that its own TLS certificate is checked against, where
 * the public ones do not do (a private authority, Pebble).
 */
export async function openAuthority(setting: {
  directory: string;
  caFile?: string | null;
  /** What ties a new account to one that its holder has there already (RFC 8555 §7.3.4). */
  binding?: Binding | null;
  /** What the names of its settings begin with. */
  prefix?: string;
}): Promise<Authority> {
  const url = directoryUrl(setting.directory);
  const ca = setting.caFile ? await readFile(setting.caFile) : undefined;
  const send = transport(url, ca);

  async function orderOf(session: Session, data: Promise<acme.Order>): Promise<Order> {
    const { url: at, status, identifiers, authorizations, finalize, certificate, error } = await data;
    return {
      url: at,
      status,
      names: identifiers.map((identifier) => identifier.value),
      authorizations,
      finalize,
      certificate: certificate ?? null,
      problem: error ? readProblem(error) : null,
      retryAfterSeconds: session.retryAfterSeconds(),
    };
  }

  async function adviceUrl(): Promise<string | null> {
    const { data } = await send(url, 'get');
    return directoryDocument.safeParse(data).data?.renewalInfo ?? null;
  }

  return {
    directory: url,
    host: new URL(url).host,

    async register(key, contact) {
      const { client } = open(send, url, key, undefined, setting.binding);
      await client.createAccount({ termsOfServiceAgreed: true, ...contacts(contact) }).catch((error: unknown) => {
        const { binding = null, prefix = 'CHOM_ACME' } = setting;
        const why = error instanceof AcmeProblem ? unbound(error, new URL(url).host, binding, prefix) : null;
        throw why ?? error;
      });
      return client.getAccountUrl();
    },

    async existing(key) {
      const { client } = open(send, url, key);
      try {
        await client.createAccount({ onlyReturnExisting: true });
        return client.getAccountUrl();
      } catch (error) {
        if (error instanceof AcmeProblem && error.problem.type === 'accountDoesNotExist') return null;
        throw error;
      }
    },

    async changeKey({ key: old, url: at }, key) {
      // The library's own would fetch the directory past our HTTP layer.
      const { inner } = open(send, url, old, at);
      const { http } = open(send, url, key).inner;
      const oldKey = inner.http.getJwk();
      const body = http.createSignedBody(await inner.http.getResourceUrl('keyChange'), { account: at, oldKey });
      await inner.api.updateAccountKey(body);
    },

    async accountStatus({ key, url: at }, contact) {
      const { client } = open(send, url, key, at);
      return (await client.updateAccount(contacts(contact))).status;
    },

    async order({ key, url: at }, names, replaces) {
      const session = open(send, url, key, at);
      const identifiers = names.map((value) => ({ type: 'dns', value }));
      // The library's types know nothing of it; it sends what it is given.
      const wanted = { identifiers, ...(replaces && { replaces }) } as Parameters<typeof session.client.createOrder>[0];
      return orderOf(session, session.client.createOrder(wanted));
    },

    async orderAt({ key, url: at }, order) {
      const session = open(send, url, key, at);
      return orderOf(session, session.client.getOrder({ url: order } as acme.Order));
    },

    async challenges({ key, url: at }, order) {
      const { client } = open(send, url, key, at);
      const found: Challenge[] = [];
      // One after the other: each reply brings the nonce of the next request, and Let's Encrypt allows 20 new nonces a
      // second and address (letsencrypt.org/docs/rate-limits, 2026-08-05).
      for (const authorization of order.authorizations) {
        const [answer] = await client.getAuthorizations({ authorizations: [authorization] } as unknown as acme.Order);
        const challenge = answer?.challenges.find((one) => one.type === 'http-01');
        if (!answer || !challenge) throw new Error(`no http-01 challenge in ${authorization}`);
        // It becomes the name of a file (RFC 8555 §8.3: base64url).
        if (!/^[A-Za-z0-9_-]{1,128}$/.test(challenge.token)) throw new Error(`a token that is not base64url`);
        found.push({
          name: answer.identifier.value,
          url: challenge.url,
          token: challenge.token,
          keyAuthorization: await client.getChallengeKeyAuthorization(challenge),
          authorization: answer.status,
          status: challenge.status,
          problem: challenge.error ? readProblem(challenge.error) : null,
        });
      }
      return found;
    },

    async accept({ key, url: at }, challengeUrl) {
      await open(send, url, key, at).client.completeChallenge({ url: challengeUrl } as Parameters<
        acme.Client['completeChallenge']
      >[0]);
    },

    async finalize({ key, url: at }, order, csr) {
      const session = open(send, url, key, at);
      return orderOf(session, session.client.finalizeOrder(bare(order), csr));
    },

    async download({ key, url: at }, order) {
      return open(send, url, key, at).client.getCertificate(bare(order));
    },

    advises: async () => (await adviceUrl()) !== null,

    async renewalInfo(id) {
      const base = await adviceUrl();
      if (base === null) return null;
      const { data, headers } = await send(`${base.replace(/\/$/, '')}/${id}`, 'get');
      const advice = adviceDocument.safeParse(data).data;
      const { start, end } = advice?.suggestedWindow ?? {};
      return {
        window: start && end ? { start: start.toISOString(), end: end.toISOString() } : null,
        explanation: advice?.explanationURL ?? null,
        retryAfterSeconds: readRetryAfter(headers['retry-after'], headers['date']),
      };
    },
  };
}

interface Session {
  client: acme.Client;
  inner: Inner;
  /** What the last reply asked for. */
  retryAfterSeconds(): number | null;
}

/** What the library keeps to itself of a client. */
interface Inner {
  http: {
    request: Send;
    getJwk(): object;
    getResourceUrl(resource: string): Promise<string>;
    createSignedBody(url: string, payload: object): object;
  };
  api: { updateAccountKey(body: object): Promise<unknown> };
}

/**
 * One client of acme-client for one call, with its HTTP layer replaced: the library's own sleeps inside the call on 429
 * and 5xx, sends the same nonce again and ends with "bad nonce" (node-acme-client issues 89 and 103), and its settings
 * are global to the process.
 */
function open(
  send: Send,
  directory: string,
  accountKey: string,
  accountUrl?: string,
  binding: Binding | null = null,
): Session {
  const client = new acme.Client({
    ...{ directoryUrl: directory, accountKey },
    ...(accountUrl && { accountUrl }),
    ...(binding && { externalAccountBinding: binding }),
  });
  let last: Reply | undefined;
  const inner = client as unknown as Inner;
  inner.http.request = async (...request) => (last = await send(...request));
  return {
    client,
    inner,
    retryAfterSeconds: () => readRetryAfter(last?.headers['retry-after'], last?.headers['date']),
  };
}

function contacts(contact: string | null): { contact?: string[] } {
  return contact ? { contact: [contact.startsWith('mailto:') ? contact : `mailto:${contact}`] } : {};
}

function bare(order: Order): acme.Order {
  return { ...order, certificate: order.certificate ?? undefined } as unknown as acme.Order;
}
