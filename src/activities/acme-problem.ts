import { ApplicationFailure } from '@temporalio/common';
import { failure, type FailureDetails, type FailureType } from '../workflows/failures.js';
import { messageOf } from '../workflows/thrown.js';

/**
 * What each ACME error type means for an operation (RFC 8555 §6.7; `alreadyReplaced` RFC 9773; `invalidProfile` is
 * Let's Encrypt's). A type that is not listed is judged by the HTTP status.
 */
const FAILURE_OF = {
  rateLimited: 'RateLimited',
  badCSR: 'CertificateRefused',
  badPublicKey: 'CertificateRefused',
  badSignatureAlgorithm: 'CertificateRefused',
  externalAccountRequired: 'CertificateRefused',
  invalidContact: 'CertificateRefused',
  invalidProfile: 'CertificateRefused',
  malformed: 'CertificateRefused',
  rejectedIdentifier: 'CertificateRefused',
  unsupportedContact: 'CertificateRefused',
  unsupportedIdentifier: 'CertificateRefused',
  userActionRequired: 'CertificateRefused',
  connection: 'ValidationFailed',
  dns: 'ValidationFailed',
  incorrectResponse: 'ValidationFailed',
  tls: 'ValidationFailed',
  unauthorized: 'ValidationFailed',
  caa: 'DomainNotPointed',
  accountDoesNotExist: 'AuthorityError',
  alreadyReplaced: 'AuthorityError',
  badNonce: 'AuthorityError',
  orderNotReady: 'AuthorityError',
  serverInternal: 'AuthorityError',
} as const satisfies Record<string, FailureType>;

const URN = 'urn:ietf:params:acme:error:';
const DETAIL_LIMIT = 600;

/** A problem document as the authority sends it, in an error reply or inside a failed challenge (RFC 7807). */
export interface ProblemDocument {
  type?: unknown;
  detail?: unknown;
  subproblems?: unknown;
}

/** The authority's reason, readable and safe to print. */
export interface Problem {
  /** Without the URN, for example `rateLimited`; `unknown` where the reply held none. */
  type: string;
  detail: string;
}

/** The authority answered, and said no. */
export class AcmeProblem extends Error {
  constructor(
    readonly problem: Problem,
    /** HTTP status. */
    readonly status: number,
    /** What `Retry-After` asked for; null where it asked nothing. */
    readonly retryAfterSeconds: number | null,
  ) {
    super(`${problem.type} (HTTP ${status}): ${problem.detail}`);
    this.name = 'AcmeProblem';
  }
}

/** No answer came: whether the authority acted on the request is unknown. */
export class AcmeSilence extends Error {
  constructor(readonly code: string) {
    super(`no answer (${code})`);
    this.name = 'AcmeSilence';
  }
}

/** Reads a problem document; what came from outside is cut and stripped of control characters. */
export function readProblem(document: unknown): Problem {
  const { type, detail, subproblems } = (
    typeof document === 'object' && document !== null ? document : {}
  ) as ProblemDocument;
  const name = typeof type === 'string' ? printable(type.startsWith(URN) ? type.slice(URN.length) : type) : 'unknown';
  // RFC 8555 §6.7.1: `compound` only says that the truth is in the subproblems.
  const [first] = Array.isArray(subproblems) ? (subproblems as unknown[]) : [];
  if (name === 'compound' && first !== undefined) return readProblem(first);
  return { type: name, detail: printable(typeof detail === 'string' ? detail : '') };
}

/** The failure type of a problem, by the table above, else by the HTTP status. */
export function failureType(problem: Problem, status?: number): FailureType {
  if (Object.hasOwn(FAILURE_OF, problem.type)) return FAILURE_OF[problem.type as keyof typeof FAILURE_OF];
  return status === 429 ? 'RateLimited' : 'AuthorityError';
}

/**
 * Turns whatever an ACME call threw into one of our failures. `doing` completes "could not …"; `authority` is the host
 * name of its directory.
 */
export function authorityFailure(error: unknown, authority: string, doing: string): ApplicationFailure {
  if (error instanceof AcmeSilence) {
    return failure('AuthorityUnreachable', `Could not ${doing}: ${authority} did not answer (${error.code}).`, {
      cause: `The controller cannot reach ${authority}, does not trust its TLS certificate, or it is down.`,
    });
  }
  if (error instanceof AcmeProblem) {
    const type = failureType(error.problem, error.status);
    const wait = error.retryAfterSeconds;
    const details: FailureDetails = {
      ...(CAUSES[type] && { cause: CAUSES[type] }),
      ...(wait !== null && { retryAfterSeconds: wait }),
    };
    const until =
      type === 'RateLimited' && wait !== null
        ? ` It asks to wait ${wait} s, until ${new Date(Date.now() + wait * 1000).toISOString()}.`
        : '';
    return failure(type, `Could not ${doing}: ${authority} answered ${error.message}${until}`, details);
  }
  if (error instanceof ApplicationFailure) return error;
  const message = printable(messageOf(error));
  return failure('AuthorityError', `Could not ${doing}: ${authority} gave an unexpected answer: ${message}`);
}

/**
 * Why an authority made no account: it wants one tied to an account that its holder has there already, and was not shown by what,
 * or by another key than it gave. Null where it refused for something else. `prefix`: what the names of its settings begin with.
 */
export function unbound(
  { problem, message }: AcmeProblem,
  authority: string,
  binding: { kid: string } | null,
  prefix: string,
): ApplicationFailure | null {
  const settings = `${prefix}_EAB_KID and ${prefix}_EAB_SECRET`;
  // In an answer to whoever makes an account; authorities name it by either.
  if (binding !== null && ['unauthorized', 'malformed'].includes(problem.type)) {
    return failure('CertificateRefused', `${authority} makes no account for us: it answered ${message}`, {
      cause: `Most likely it does not know the external account key ${binding.kid}, or that key is another one than ours`,
      next: `set ${settings} to what ${authority} gave, and start the worker again`,
    });
  }
  if (problem.type !== 'externalAccountRequired') return null;
  return failure(
    'CertificateRefused',
    `${authority} makes accounts only for whom it gave a key: it answered ${message}`,
    {
      cause: 'It wants an external account binding, and none is set',
      next: `set ${settings} to what ${authority} gave, and start the worker again`,
    },
  );
}

const CAUSES: Partial<Record<FailureType, string>> = {
  RateLimited: 'The authority limits how many certificates, orders or failed validations it takes in a period.',
  CertificateRefused: 'The authority does not issue for this request; asking again gives the same answer.',
  DomainNotPointed: 'A CAA record of the domain, or of a domain above it, names another authority.',
};

function printable(text: string): string {
  return text
    .replaceAll(/\p{Cc}+/gu, ' ')
    .slice(0, DETAIL_LIMIT)
    .trim();
}
