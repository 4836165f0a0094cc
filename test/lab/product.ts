import { fileURLToPath } from 'node:url';

const built = (path: string) => fileURLToPath(new URL(`../../dist/${path}`, import.meta.url));

/** The product as it is installed: what the rig runs. It was built before the tests started. */
export const PRODUCT = {
  chom: built('cli/chom.js'),
  worker: built('worker/index.js'),
  workflowBundle: built('workflow-bundle.js'),
} as const;
