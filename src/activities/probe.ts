import { request } from 'node:http';
import { request as requestSecurely } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import * as servers from '../inventory/servers.js';
import { failure } from '../workflows/failures.js';
import type { SitePlan } from '../workflows/plans.js';
import type { StepContext } from '../workflows/step.js';
import type { Deps } from './deps.js';

/** How long a site may take to be seen; PHP's first answer, and a firewall's dropped packets, take a while. */
const DEADLINE_MILLISECONDS = 20_000;
const REQUEST_MILLISECONDS = 10_000;

/** The steps that look at a site from the controller, as a visitor would. */
export function probeActivities(deps: Deps) {
  return {
    /**
     * The server's own address answers for the site's name with the version that was published, and its front page
     * with something better than a server error. @throws ProbeFailed saying what was answered instead
     */
    async seeSite(_step: StepContext, plan: SitePlan, version: string): Promise<void> {
      const { address } = await servers.byId(deps.inventory.db, plan.server);
      const { cancellationSignal } = Context.current();
      await answers({ address, port: 80, name: plan.domain, version }, cancellationSignal, plan.serverName);
    },
  };
}

/** Where a site is looked for, and the version of its configuration that is expected. */
export interface Sight {
  address: string;
  port: number;
  /** HTTPS. The certificate is not looked at. */
  secure?: boolean;
  name: string;
  version: string;
  /** Visitors are turned away there: HTTP 503 is what it shall answer with. */
  suspended?: boolean;
}

/**
 * Asks until the site answers as it shall, or until the deadline. Connects to that address alone and follows no
 * redirect. @throws ProbeFailed
 */
export async function answers(
  sight: Sight,
  signal: AbortSignal,
  server: string,
  deadline = DEADLINE_MILLISECONDS,
): Promise<void> {
  const until = Date.now() + deadline;
  for (;;) {
    const wrong = await look(sight, signal);
    if (wrong === null) return;
    signal.throwIfAborted();
    if (Date.now() >= until) {
      throw failure('ProbeFailed', `${sight.name} ${wrong.what} at ${sight.address}`, {
        server,
        cause: wrong.cause,
        next: `curl -${sight.secure ? 'k' : ''}i --resolve ${sight.name}:${sight.port}:${sight.address} http${sight.secure ? 's' : ''}://${sight.name}/`,
      });
    }
    await sleep(250, undefined, { signal });
  }
}

interface Wrong {
  what: string;
  cause: string;
}

async function look(sight: Sight, signal: AbortSignal): Promise<Wrong | null> {
  try {
    const version = await get(sight, '/.well-known/chom-version', signal);
    if (version.status !== 200 || version.body.trim() !== sight.version) {
      return {
        what: `is not answered by the configuration that was published (HTTP ${version.status})`,
        cause: 'Another server or proxy answers there, or nginx on that server serves the name from elsewhere',
      };
    }
    const { status } = await get(sight, '/', signal);
    // Where there is a certificate, HTTP redirects to what turns them away.
    if (sight.suspended ? status === 503 || status === 301 : status < 500) return null;
    return {
      what: `answers with HTTP ${status}`,
      cause: 'The site itself fails: its files, or its PHP, see its error log',
    };
  } catch (error) {
    const { code = 'no answer' } = error as NodeJS.ErrnoException;
    const cause = `Port ${sight.port} of the server is not reachable from the controller: a firewall, or the wrong address`;
    return { what: `does not answer (${code})`, cause };
  }
}

async function get(
  { address, port, name, secure }: Sight,
  path: string,
  signal: AbortSignal,
): Promise<{ status: number; body: string }> {
  return await new Promise((resolve, reject) => {
    const send = secure ? requestSecurely : request;
    const sent = send(
      {
        host: address,
        port,
        path,
        ...(secure && { servername: name, rejectUnauthorized: false }),
        headers: { Host: name, 'User-Agent': 'chom' },
        agent: false,
        signal: AbortSignal.any([signal, AbortSignal.timeout(REQUEST_MILLISECONDS)]),
      },
      (reply) => {
        let body = '';
        const status = reply.statusCode ?? 0;
        const done = () => {
          resolve({ status, body });
          sent.destroy();
        };
        reply.setEncoding('latin1');
        reply.on('data', (text: string) => {
          body += text;
          if (body.length >= 1024) done();
        });
        reply.on('end', done);
        reply.on('error', reject);
      },
    );
    sent.on('error', reject);
    sent.end();
  });
}
