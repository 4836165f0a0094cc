import { request } from 'node:http';

/** What an address answers when it is asked for a challenge file of a name. */
export type ProbeAnswer =
  | { answered: true; status: number; location: string | null; body: string }
  /** `code` is Node's, for example ECONNREFUSED, ENETUNREACH, or ETIMEDOUT. */
  | { answered: false; code: string };

/** Where challenge files are found on port 80 (RFC 8555 §8.3). */
export const CHALLENGE_PATH = '/.well-known/acme-challenge/';

// Authorities refuse longer bodies (boulder va/http.go: 128 bytes); a key authorization has 87.
const BODY_LIMIT = 128;
const PROBE_MILLISECONDS = 10_000;

/**
 * Asks one address, and only it, for a challenge file as an authority would: over plain HTTP, with the name as `Host`.
 * Redirects are reported, never followed, and at most 128 bytes are read: names are a tenant's, and CHOM is not to be
 * led to places of their choice. Never throws.
 */
export async function probeChallenge(
  target: { address: string; port?: number; name: string; token: string },
  milliseconds = PROBE_MILLISECONDS,
): Promise<ProbeAnswer> {
  return await new Promise((resolve) => {
    const fail = (code: string) => resolve({ answered: false, code });
    const sent = request(
      {
        host: target.address,
        port: target.port ?? 80,
        path: CHALLENGE_PATH + target.token,
        headers: { Host: target.name, 'User-Agent': 'chom', Accept: '*/*' },
        agent: false,
        signal: AbortSignal.timeout(milliseconds),
      },
      (reply) => {
        const chunks: Buffer[] = [];
        let size = 0;
        const done = () => {
          const body = Buffer.concat(chunks).subarray(0, BODY_LIMIT).toString('latin1');
          resolve({ answered: true, status: reply.statusCode ?? 0, location: reply.headers.location ?? null, body });
          sent.destroy();
        };
        reply.on('data', (chunk: Buffer) => {
          chunks.push(chunk);
          size += chunk.length;
          if (size >= BODY_LIMIT) done();
        });
        reply.on('end', done);
        reply.on('error', () => fail('ECONNRESET'));
      },
    );
    sent.on('error', (error: NodeJS.ErrnoException) => {
      fail(error.name === 'AbortError' || error.name === 'TimeoutError' ? 'ETIMEDOUT' : (error.code ?? error.name));
    });
    sent.end();
  });
}

/** Whether the answer is the expected content; authorities ignore whitespace behind it. */
export function answersWith(answer: ProbeAnswer, content: string): boolean {
  return answer.answered && answer.status === 200 && answer.body.trimEnd() === content;
}

/** What went wrong, to be read by an operator: completes "port 80 of … ". */
export function describeAnswer(answer: ProbeAnswer): string {
  if (!answer.answered) return `does not answer (${answer.code})`;
  if (answer.location !== null) {
    return `redirects to ${JSON.stringify(answer.location.slice(0, 200))} instead of answering (HTTP ${answer.status})`;
  }
  if (answer.status !== 200) return `answers with HTTP ${answer.status}`;
  return 'answers with something else: another server, or a proxy in front';
}
