import type { certificateActivities } from '../activities/certificate.js';
import type { PendingChallenge, PlacedOrder } from '../activities/certificate-order.js';
import type { Operation } from './definition.js';
import { failure } from './failures.js';
import { operation } from './operation.js';
import { CERTIFICATE, certificatePlan, type CertificatePlan } from './plans.js';
import { steps } from './steps.js';

// An authority that takes longer than this over an order has lost it.
const ORDER_SECONDS = 600;
/** Seconds between looks at an order, where the authority does not say; the last one repeats. */
const PAUSES = [0.25, 0.5, 1, 2, 3, 5, 8, 10];

const certificate = steps<ReturnType<typeof certificateActivities>>();

/**
 * Gives a live site a certificate from an ACME authority, by HTTP-01: the key is made on the site's server and stays
 * there, what is installed is what is seen served, and whatever fails leaves the site as it was. A site whose installed
 * certificate is valid and not due keeps it. With `renewal` it is a try to renew that one, which the worker's sweep asks for.
 */
export const issueCertificate = operation(
  'issue-certificate',
  {
    input: certificatePlan,
    attempts: 3,
    backoff: '120 seconds',
    expected: '120 seconds',
    // The schedule of renewals spreads failed validations, of which an authority takes few; attempts would triple them.
    once: ({ renewal }) => renewal !== undefined,
    owes: ({ site, names }) => ({ name: CERTIFICATE, targets: { site, names } }),
  },
  async (op, plan) => {
    const { names, warnings, probed } = await op.step('Check the names', certificate.checkCertificateNames, [plan], {
      undo: [certificate.removeChallenges, [plan, []]],
    });
    for (const warning of warnings) op.warn(warning);
    // A try of what is owed no more.
    if (names.length === 0) return;
    const valid = await op.step('Look for a valid certificate', certificate.findValidCertificate, [plan, names]);
    if (valid) {
      await op.step('Remove the probe', certificate.removeChallenges, [plan, []], { when: probed });
      return;
    }

    const account = await op.step('Prepare the account', certificate.prepareAcmeAccount, [plan], { bounds: 'quick' });
    if (account.renewed)
      op.warn(`${account.authority} had forgotten our account: a new one was made with the same key`);
    const request = await op.step('Make key and request', certificate.makeCertificateRequest, [plan, names], {
      undo: [certificate.discardCertificate, [plan]],
    });

    const { order, challenges } = await obtain(op, plan, names, request);
    const { id } = await op.step('Download the certificate', certificate.downloadCertificate, [plan, order, names]);
    const { first } = await op.step('Install the certificate', certificate.installCertificate, [plan, id]);
    await op.step('Publish the site with TLS', certificate.publishWithTls, [plan], {
      ...(first && { undo: [certificate.publishWithoutTls, [plan]] }),
    });
    await op.step('Check what is served', certificate.checkServedCertificate, [plan, id]);
    await op.step('Remove the challenges', certificate.removeChallenges, [plan, challenges], {
      when: probed || challenges.length > 0,
    });
    await op.step('Record the certificate', certificate.recordCertificate, [plan, id], { final: true });
  },
);

/** Orders until an order is valid: one that failed in an earlier attempt cannot be used again. */
async function obtain(op: Operation, plan: CertificatePlan, names: string[], request: string) {
  const placed: PendingChallenge[] = [];
  for (;;) {
    const order = await op.step('Order the certificate', certificate.placeOrder, [names, plan], { bounds: 'quick' });
    const challenges = await op.step('Read the challenges', certificate.readChallenges, [order]);
    if (challenges.length > 0) {
      placed.push(...challenges);
      await op.step('Place the challenges', certificate.placeChallenges, [plan, challenges], {
        undo: [certificate.removeChallenges, [plan, challenges]],
      });
      await op.step('Check the challenges', certificate.checkChallenges, [plan, challenges]);
      await op.step('Ask for validation', certificate.acceptChallenges, [order]);
    }
    if ((await follow(op, order, request)) === 'valid') return { order, challenges: placed };
  }
}

/** Looks at an order until it is valid, handing in the request once it is ready. */
async function follow(op: Operation, order: PlacedOrder, request: string): Promise<'valid' | 'lost'> {
  let waited = 0;
  for (let look = 0; ; look += 1) {
    let state = await op.step('Read the order', certificate.readOrder, [order], { bounds: 'quick' });
    if (state.status === 'ready') {
      state = await op.step('Finalize the order', certificate.finalizeOrder, [order, request], { bounds: 'quick' });
    }
    if (state.status === 'valid' || state.status === 'lost') return state.status;
    const pause = Math.max(state.retryAfterSeconds ?? 0, PAUSES[look] ?? 10);
    waited += pause;
    if (waited > ORDER_SECONDS) {
      throw failure('AuthorityError', `The authority has not finished the order ${order.url} in time: ${state.status}`);
    }
    await op.wait('Wait for the authority', pause * 1000);
  }
}
