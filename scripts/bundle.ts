import { mkdir, rename, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode } from '@temporalio/worker';

/**
 * Bundles the workflows into dist/workflow-bundle.js, which is all that a worker loads of them: the bundler itself
 * costs 60 MB of memory and a second at each start.
 */
const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
const { code } = await bundleWorkflowCode({
  workflowsPath: path('../src/workflows/index.ts'),
  failureConverterPath: path('../dist/workflows/failure-converter.js'),
  logger: { ...console, log: () => undefined, trace: () => undefined, debug: () => undefined, info: () => undefined },
});
const target = path('../dist/workflow-bundle.js');
await mkdir(path('../dist'), { recursive: true });
await writeFile(`${target}.part`, code);
await rename(`${target}.part`, target);
