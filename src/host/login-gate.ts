import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationFailure } from '@temporalio/common';
import { abortable } from './abortable.js';
import { createSemaphore, type Semaphore } from './semaphore.js';

/** Stands before every login to a server, whoever wants it. */
export interface LoginGate {
  /** `endpoint` is `address:port`; all logins to it share their luck. */
  pass<T>(endpoint: string, logIn: () => Promise<T>, signal?: AbortSignal): Promise<T>;
}

interface Endpoint {
  logins: Semaphore;
  /** Logins in a row that did not reach the server. */
  failed: number;
  notBefore: number;
  /** The one login that is tried while the server does not answer. */
  probe: Promise<void> | null;
}

/** sshd drops unauthenticated connections at random from 10 on (MaxStartups 10:30:100). */
const LOGINS_AT_ONCE = 3;

/**
 * As long as a server answers, a few logins at once. As soon as one finds it gone or ourselves penalised, one prober
 * at a time, after a pause that doubles; who waits meanwhile gets the prober's failure. So an address is not penalised
 * again and again by its own retries (OpenSSH 9.8, PerSourcePenalties: 40 connects cost 24 s without any login).
 */
export function createLoginGate(): LoginGate {
  const endpoints = new Map<string, Endpoint>();

  function endpointOf(name: string): Endpoint {
    const known = endpoints.get(name);
    if (known !== undefined) return known;
    const fresh = { logins: createSemaphore(LOGINS_AT_ONCE), failed: 0, notBefore: 0, probe: null };
    endpoints.set(name, fresh);
    return fresh;
  }

  async function attempt<T>(endpoint: Endpoint, logIn: () => Promise<T>): Promise<T> {
    try {
      const result = await logIn();
      endpoint.failed = 0;
      return result;
    } catch (error) {
      const pause = pauseAfter(error, endpoint.failed);
      if (pause === 0) endpoint.failed = 0;
      // Logins that were under way together count as one.
      if (pause > 0 && endpoint.notBefore <= Date.now()) {
        endpoint.failed += 1;
        endpoint.notBefore = Date.now() + pause;
      }
      throw error;
    }
  }

  async function probe<T>(endpoint: Endpoint, logIn: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    const probing = (async () => {
      await sleep(Math.max(0, endpoint.notBefore - Date.now()), undefined, signal ? { signal } : {});
      return await attempt(endpoint, logIn);
    })();
    endpoint.probe = probing.then(
      () => undefined,
      (error: unknown) => {
        // The prober's own cancellation is nobody else's failure, nor is the refusal of its key.
        if (signal?.aborted !== true && pauseAfter(error, 0) > 0) throw error;
      },
    );
    endpoint.probe.catch(() => undefined);
    try {
      return await probing;
    } catch (error) {
      throw signal?.aborted === true ? (signal.reason as Error) : error;
    } finally {
      endpoint.probe = null;
    }
  }

  return {
    async pass<T>(name: string, logIn: () => Promise<T>, signal?: AbortSignal): Promise<T> {
      const endpoint = endpointOf(name);
      for (;;) {
        // Whoever finds a probe under way shares its failure; after its success the way is free again.
        while (endpoint.probe !== null) await abortable(endpoint.probe, signal);
        if (endpoint.failed > 0) return await probe(endpoint, logIn, signal);
        // Those who waited in line while the server went away do not try it one after the other.
        const healthy = async (): Promise<{ result: T } | null> =>
          endpoint.failed === 0 ? { result: await attempt(endpoint, logIn) } : null;
        const passed = await endpoint.logins.run(healthy, signal);
        if (passed !== null) return passed.result;
      }
    },
  };
}

/** Milliseconds to leave the server alone; 0 where it did answer. */
function pauseAfter(error: unknown, failed: number): number {
  if (!(error instanceof ApplicationFailure)) return 0;
  if (error.type === 'Penalised') return Math.min(60_000, 15_000 * 2 ** failed);
  if (error.type === 'Unreachable') return Math.min(15_000, 500 * 2 ** failed);
  return 0;
}
