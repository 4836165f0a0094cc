import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Bundle of the product's workflows. */
    workflowBundle: string;
  }
}

/** Builds the product once for all workflow tests: they run the bundle that a worker runs. */
export default async function setup(project: TestProject): Promise<void> {
  await promisify(execFile)('npm', ['run', '--silent', 'build']);
  project.provide('workflowBundle', new URL('../../dist/workflow-bundle.js', import.meta.url).pathname);
}
