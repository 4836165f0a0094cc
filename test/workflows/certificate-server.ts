import type { PendingChallenge } from '../../src/activities/certificate-order.js';
import { failure, type FailureType } from '../../src/workflows/failures.js';
import type { StepContext } from '../../src/workflows/step.js';

/** A server on which every step goes well, unless the test says otherwise for its first tries. */
export function certificateServer(names: readonly string[], ends: Record<string, FailureType[]> = {}) {
  const done: string[] = [];
  const challenges = new Set<string>();
  async function act(name: string): Promise<void> {
    const end = ends[name]?.shift();
    if (end === 'Unexpected') throw new TypeError('something nobody thought of');
    if (end) throw failure(end, `${name} fails`);
    done.push(name);
  }
  const step =
    (name: string): ((step: StepContext) => Promise<void>) =>
    async () =>
      await act(name);
  const plain = [
    'discardCertificate',
    'publishWithTls',
    'publishWithoutTls',
    'checkServedCertificate',
    'checkChallenges',
  ];
  const activities = {
    ...Object.fromEntries(plain.map((name) => [name, step(name)])),
    checkCertificateNames: async () => ({ names, warnings: [], probed: false }),
    makeCertificateRequest: async () => {
      await act('makeCertificateRequest');
      return '-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n';
    },
    installCertificate: async () => {
      await act('installCertificate');
      return { first: true };
    },
    placeChallenges: async (_: StepContext, _plan: unknown, placed: PendingChallenge[]) => {
      await act('placeChallenges');
      for (const { token } of placed) challenges.add(token);
    },
    removeChallenges: async (_: StepContext, _plan: unknown, placed: PendingChallenge[]) => {
      for (const { token } of placed) challenges.delete(token);
    },
  };
  return { activities, done, challenges };
}
