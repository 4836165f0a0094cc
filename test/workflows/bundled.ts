import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode } from '@temporalio/worker';

/** Bundles the workflows that `module` exports, with the product's failure converter, into `file`. Returns `file`. */
export async function bundled(module: URL, file: string): Promise<string> {
  const { code } = await bundleWorkflowCode({
    workflowsPath: fileURLToPath(module),
    failureConverterPath: fileURLToPath(new URL('../../dist/workflows/failure-converter.js', import.meta.url)),
    logger: { ...console, log: ignore, trace: ignore, debug: ignore, info: ignore },
  });
  await writeFile(file, code);
  return file;
}

function ignore(): void {}
