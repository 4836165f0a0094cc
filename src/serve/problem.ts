import { ApplicationFailure } from '@temporalio/common';
import { problemOf } from '../client/problem.js';
import { failureDetails, isFailureType, type FailureType } from '../workflows/failures.js';

/** A problem as RFC 9457 writes it, with what CHOM's failures say beside it. */
export interface ProblemDocument {
  type: string;
  title: string;
  status: number;
  detail: string;
  cause: string | null;
  next: string | null;
  operation: string | null;
}

/** What a request alone can be wrong about, or the token that it came with. */
export class Refusal extends Error {
  constructor(
    readonly status: 401 | 404 | 405 | 413 | 415 | 422 | 429,
    message: string,
    readonly more: { cause?: string; next?: string; headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(message);
  }
}

const REFUSALS: Readonly<Record<Refusal['status'], [name: string, title: string]>> = {
  401: ['Unauthorized', 'The request has no token that is valid'],
  404: ['NotFound', 'There is no such thing'],
  405: ['MethodNotAllowed', 'The method is not allowed there'],
  413: ['ContentTooLarge', 'The request is too large'],
  415: ['UnsupportedMediaType', 'The body is no JSON'],
  422: ['KeyReused', 'The Idempotency-Key stands for another request'],
  429: ['RateLimited', 'There were too many requests'],
};

/** Failures that are told to whoever asked. All others are the administrator's, and say nothing of what happened. */
const TOLD: Partial<Record<FailureType, [status: number, title: string]>> = {
  InvalidInput: [400, 'The request is wrong'],
  Forbidden: [403, 'It is not allowed'],
  NotFound: [404, 'There is no such thing'],
  Conflict: [409, 'It cannot be done as things are'],
  Busy: [409, 'Another operation is at work there'],
};

const AWAY: readonly FailureType[] = ['InventoryUnavailable', 'TemporalUnavailable', 'NoWorker'];

/** What became of a request, as a problem. `told` is false where the administrator has to look into it. */
export function describeFailure(error: unknown): {
  document: ProblemDocument;
  headers: Readonly<Record<string, string>>;
  told: boolean;
} {
  if (error instanceof Refusal) {
    const [name, title] = REFUSALS[error.status];
    const { cause = null, next = null, headers = {} } = error.more;
    const document = { type: uri(name), title, status: error.status, detail: error.message };
    return { document: { ...document, cause, next, operation: null }, headers, told: true };
  }
  const type = error instanceof ApplicationFailure && isFailureType(error.type) ? error.type : 'Bug';
  const told = TOLD[type];
  if (told) {
    const [status, title] = told;
    const { message, cause, next } = problemOf(error);
    const { holder = null } = failureDetails(error as ApplicationFailure);
    const document = { type: uri(type), title, status, detail: message, cause, next, operation: holder };
    return { document, headers: {}, told: true };
  }
  const away = AWAY.includes(type);
  const document = {
    type: uri(away ? 'Unavailable' : 'Unexpected'),
    title: away ? 'CHOM cannot answer now' : 'It failed in a way that nobody expected',
    status: away ? 503 : 500,
    detail: away ? 'A part of CHOM is away; send the request again, with the same Idempotency-Key' : 'It was noted',
    ...{ cause: null, next: null, operation: null },
  };
  return { document, headers: away ? { 'Retry-After': '5' } : {}, told: false };
}

function uri(name: string): string {
  return `urn:chom:problem:${name}`;
}
