import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { TestProject } from 'vitest/node';
import { bundled } from './bundled.js';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Bundle of the product's workflows. */
    workflowBundle: string;
    /** Bundle of the scripted operation. */
    scriptedBundle: string;
  }
}

/** Builds the product once for all workflow tests: they run the bundle that a worker runs. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  if (process.env['CHOM_TEST_BUILT'] === undefined) await promisify(execFile)('npm', ['run', '--silent', 'build']);
  project.provide('workflowBundle', fileURLToPath(new URL('../../dist/workflow-bundle.js', import.meta.url)));
  const directory = await mkdtemp(join(tmpdir(), 'chom-bundle-'));
  const scripted = new URL('scripted.ts', import.meta.url);
  project.provide('scriptedBundle', await bundled(scripted, join(directory, 'scripted.js')));
  return async () => await rm(directory, { recursive: true, force: true });
}
