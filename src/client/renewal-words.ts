import { type ExpiryStage, expiryStage, scheduledFor } from '../inventory/renewal-schedule.js';
import { nextTry, type Owed, windowOf } from '../inventory/renewals.js';
import { renewalId } from '../inventory/renewal-tries.js';
import type { RenewalDocument } from './documents/certificate.js';

/** A renewal as programs read it. */
export function renewalDocument(owed: Owed): RenewalDocument {
  const { due, heldUntil, tries, failures, failingSince, failedAt, failureType, reason, explanation } = owed;
  const failing = failures > 0 ? { failures, failingSince, failedAt, type: failureType, reason } : null;
  const operation = tries > 0 ? renewalId(owed.site, tries) : null;
  return {
    next: nextTry(owed),
    due,
    heldUntil,
    window: windowOf(owed),
    explanation,
    failing,
    operation,
    stage: stageOf(owed),
  };
}

/** When it is renewed, for people. */
export function describeRenewal(owed: Owed | undefined): string {
  if (!owed) return '';
  const next = nextTry(owed);
  const when = next === null ? 'given up' : Date.parse(next) > Date.now() ? next : 'now';
  const stage = stageOf(owed);
  return stage === null || next === null ? when : `${when} (${stage})`;
}

/** What the last try failed with, for people. */
export function describeFailing(owed: Owed | undefined): string {
  if (!owed || owed.failures === 0) return '';
  return `${owed.failures}x ${owed.failureType}: ${owed.reason ?? ''}`.trim();
}

/** How near its end it is, where that is worth a word. */
export function stageOf(owed: Owed): ExpiryStage | null {
  return expiryStage(owed, scheduledFor(owed, windowOf(owed), owed.fingerprint), Date.now());
}
