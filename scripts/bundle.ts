import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
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
const target = path('../dist/workflow-bundle.js');
await mkdir(path('../dist'), { recursive: true });
await writeFile(`${target}.part`, code);
await rename(`${target}.part`, target);

/**
 * The command line as a few files in dist/cli: loaded as hundreds of them, a command takes twice the time to start. It lies
 * as deep as src/client, for what it finds by paths relative to itself. What is native, or starts threads from its own
 * files, stays where it was installed.
 */
await rm(path('../dist/cli'), { recursive: true, force: true });
await build({
  entryPoints: [path('../src/client/chom.ts')],
  outdir: path('../dist/cli'),
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  chunkNames: '[name]-[hash]',
  external: ['@temporalio/worker', 'better-sqlite3', 'pg-native', 'pino', 'ssh2'],
  // What is no module among the packages asks for Node's own by `require`.
  banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  legalComments: 'linked',
  logLevel: 'warning',
});
