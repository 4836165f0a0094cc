import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Config } from '../config.js';

const built = (relative: string) => new URL(`../../${relative}`, import.meta.url);

/** The workflows, bundled: all that a worker loads of them. */
export const workflowBundle = built('dist/workflow-bundle.js');

/** One build of the workers, as Temporal's worker versioning knows it. */
export interface Build {
  deploymentName: string;
  buildId: string;
}

/**
 * The build that this installation is, or null where worker versioning is off: `CHOM_BUILD`, else the package's version with
 * a hash of the workflows as workers load them, so that two builds which would replay a history differently never share
 * a name.
 */
export async function ownBuild({ deployment, build }: Pick<Config, 'deployment' | 'build'>): Promise<Build | null> {
  if (deployment === undefined) return null;
  return { deploymentName: deployment, buildId: build ?? (await versionAndHash()) };
}

async function versionAndHash(): Promise<string> {
  const { version } = JSON.parse(await readFile(built('package.json'), 'utf8')) as { version: string };
  const bundle = await readFile(workflowBundle);
  return `${version}-${createHash('sha256').update(bundle).digest('hex').slice(0, 12)}`;
}
