import { backupRoutes } from './backups.js';
import { certificateRoutes } from './certificates.js';
import { operationRoutes } from './operations.js';
import { placeRoutes } from './places.js';
import type { Route } from './route.js';
import { siteRoutes } from './sites.js';

/** Everything that the API can be asked, but for the events of an operation. */
export const ROUTES: readonly Route[] = [
  ...siteRoutes,
  ...backupRoutes,
  ...certificateRoutes,
  ...operationRoutes,
  ...placeRoutes,
];
