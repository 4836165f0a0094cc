import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../../lab/command.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The product as it is installed: what the rig runs. */
export const PRODUCT = {
  chom: join(root, 'dist/client/chom.js'),
  worker: join(root, 'dist/worker.js'),
  workflowBundle: join(root, 'dist/workflow-bundle.js'),
} as const;

/** Builds the product unless that was done, by whoever set `CHOM_TEST_BUILT` or since the last change of src. */
export async function built(): Promise<void> {
  if (process.env['CHOM_TEST_BUILT'] !== undefined || (await isCurrent())) return;
  // Several test files may start at once, and each would write dist/.
  await run('flock', join(root, 'package.json'), 'npm', '--prefix', root, 'run', '--silent', 'build');
}

async function isCurrent(): Promise<boolean> {
  const bundle = await stat(PRODUCT.workflowBundle).catch(() => null);
  if (!bundle) return false;
  const names = await readdir(join(root, 'src'), { recursive: true });
  const changed = await Promise.all(names.map(async (name) => (await stat(join(root, 'src', name))).mtimeMs));
  return Math.max(...changed) < bundle.mtimeMs;
}
