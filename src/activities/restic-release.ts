import { Context } from '@temporalio/activity';
import type { Config } from '../config.js';
import { paths } from '../host/paths.js';
import {
  askRestic,
  isRecentRestic,
  LEAST_RESTIC,
  parseResticFacts,
  pinnedResticPath,
  useDistributionRestic,
  usePinnedRestic,
} from '../host/restic-install.js';
import { failure } from '../workflows/failures.js';
import type { Deps } from './deps.js';
import { ask, change } from './host-step.js';
import { releaseContent, type Release } from './release.js';
import type { Workplace } from './workplace.js';

const RELEASE = 'https://github.com/restic/restic/releases/download/v0.18.1/restic_0.18.1_linux';

/** SHA-256 as SHA256SUMS of release 0.18.1 has them (2025-09), by dpkg's name of the architecture. */
const RELEASES: Readonly<Record<string, Release>> = {
  amd64: {
    url: `${RELEASE}_amd64.bz2`,
    sha256: '680838f19d67151adba227e1570cdd8af12c19cf1735783ed1ba928bc41f363d',
  },
  arm64: {
    url: `${RELEASE}_arm64.bz2`,
    sha256: '87f53fddde38764095e9c058a3b31834052c37e5826d2acf34e18923c006bd45',
  },
};

/**
 * Lets the server have a restic that CHOM works with: its distribution's, or where that is too old a pinned release beside
 * it, which the worker fetches and the server compares by its hash.
 * @throws UnsupportedHost, SourceUnavailable, SourceRejected, DiskFull
 */
export async function chooseRestic(deps: Deps, place: Workplace): Promise<void> {
  const facts = parseResticFacts(await ask(place, 'Asking restic for its version', askRestic()));
  if (isRecentRestic(facts.distribution)) {
    await change(place, 'restic', 'Choosing restic', useDistributionRestic());
    return;
  }
  const release = resticRelease(deps.config, facts.architecture);
  const file = `${paths.staging}/restic-${release.sha256}`;
  const { check, act } = usePinnedRestic({ file, sha256: release.sha256 });
  if (facts.target === pinnedResticPath(release.sha256) && isRecentRestic(facts.used)) return;
  const { cancellationSignal } = Context.current();
  const content = await releaseContent(deps.config.home, release, cancellationSignal);
  await place.upload(file, release.sha256, content);
  await change(place, 'restic', 'Installing restic', { check, act });
}

/** @throws InvalidInput one of the two settings alone; UnsupportedHost no release is known for that architecture */
export function resticRelease({ resticUrl, resticSha256 }: Config, architecture: string): Release {
  if (resticUrl !== undefined && resticSha256 !== undefined) return { url: resticUrl, sha256: resticSha256 };
  if (resticUrl !== undefined || resticSha256 !== undefined) {
    throw failure('InvalidInput', 'Of CHOM_RESTIC_URL and CHOM_RESTIC_SHA256 only one is set', {
      cause: 'what is fetched is compared with its checksum',
      next: 'set both, or neither',
    });
  }
  const known = RELEASES[architecture];
  if (known) return known;
  throw failure('UnsupportedHost', `CHOM knows no release of restic for ${architecture}`, {
    cause: `the distribution's is older than ${LEAST_RESTIC}`,
    next: 'set CHOM_RESTIC_URL and CHOM_RESTIC_SHA256',
  });
}
