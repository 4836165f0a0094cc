import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { parse } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode } from '@temporalio/worker';
import { build } from 'esbuild';

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
const workflows = path('../dist/workflow-bundle.js');
await mkdir(path('../dist'), { recursive: true });
await writeFile(`${workflows}.part`, code);
await rename(`${workflows}.part`, workflows);

/**
 * The command line and the worker as a few files each: loaded as hundreds of them, a command takes twice the time to start and a worker
 * half as much again. They lie as deep as src/client, for what it finds by paths relative to itself. What is native, or
 * starts threads from its own files, stays where it was installed; so does all of Temporal's that the worker loads, for
 * that is one with it.
 */
const native = ['@temporalio/worker', 'better-sqlite3', 'pg-native', 'pino', 'ssh2'];
await bundled('../src/client/chom.ts', '../dist/cli/chom.js', native);
await bundled('../src/worker.ts', '../dist/worker/index.js', [...native, '@temporalio/*']);

async function bundled(source: string, target: string, external: string[]): Promise<void> {
  const { dir: outdir, name } = parse(path(target));
  await rm(outdir, { recursive: true, force: true });
  await build({
    entryPoints: { [name]: path(source) },
    outdir,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    chunkNames: '[name]-[hash]',
    external,
    // What is no module among the packages asks for Node's own by `require`.
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
    legalComments: 'linked',
    logLevel: 'warning',
  });
}
