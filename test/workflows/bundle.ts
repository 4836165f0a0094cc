import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { bundleWorkflowCode } from '@temporalio/worker';
import type { TestProject } from 'vitest/node';

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
  const { code } = await bundleWorkflowCode({
    workflowsPath: fileURLToPath(new URL('scripted.ts', import.meta.url)),
    failureConverterPath: fileURLToPath(new URL('../../dist/workflows/failure-converter.js', import.meta.url)),
    logger: { ...console, log: ignore, trace: ignore, debug: ignore, info: ignore },
  });
  const scripted = join(directory, 'scripted.js');
  await writeFile(scripted, code);
  project.provide('scriptedBundle', scripted);
  return async () => await rm(directory, { recursive: true, force: true });
}

function ignore(): void {}
