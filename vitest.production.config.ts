import { defineConfig } from 'vitest/config';
import { base } from './vitest.config.js';

/**
 * What `npm test` leaves out unless it is asked for: it takes programs that are built for minutes.
 * `postgres` has workflow tests that use real time run on the full Temporal server, Temporal's state and the inventory on PostgreSQL.
 * Those that wait out backoffs need the server that skips time; those of `chom dev`, `chom doctor` and the UI have a development server.
 * `compose` brings up packaging/compose with images that are made here.
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...base,
          name: 'postgres',
          maxWorkers: 2,
          include: [
            'test/postgres/**/*.test.ts',
            'test/workflows/{batch,batch-command,batch-thousands,bounds,command-line,crowd,deferral,later-build}.test.ts',
            'test/workflows/{lifecycle.property,line,queues,schedules,serve,settling,thousand,upgrade}.test.ts',
          ],
          globalSetup: ['test/workflows/bundle.ts', 'test/postgres/setup.ts'],
          testTimeout: 600_000,
        },
      },
      {
        test: {
          ...base,
          name: 'compose',
          include: ['test/compose/**/*.test.ts'],
          testTimeout: 900_000,
        },
      },
    ],
    reporters: ['default', ['json', { outputFile: '.reports/tests.json' }]],
  },
});
