import { defineConfig } from 'vitest/config';
import { LongAndShort } from './test/sequencer.js';

// Left to itself vitest uses one core less than there are: of two, one.
// `forks`: worker threads with isolation crash as soon as a second file loads Temporal's native bridge.
// The limits are for what hangs: a machine that is slow, or stalls for seconds, must pass.
export const base = {
  pool: 'forks' as const,
  testTimeout: 60_000,
  hookTimeout: 300_000,
  expect: { poll: { timeout: 30_000, interval: 100 } },
};

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...base,
          name: 'unit',
          maxWorkers: 3,
          include: ['test/{client,activities,delivery,host,inventory,plane,scripts,serve}/**/*.test.ts'],
        },
      },
      {
        test: {
          ...base,
          name: 'workflows',
          maxWorkers: 3,
          include: ['test/{workflows,replay}/**/*.test.ts'],
          globalSetup: ['test/workflows/bundle.ts'],
          testTimeout: 240_000,
        },
      },
      {
        test: {
          ...base,
          name: 'lab',
          include: ['test/lab/**/*.test.ts'],
          globalSetup: ['test/workflows/bundle.ts'],
          // Real hosts on a small machine: mostly waited for, so five files at a time (labs do not meet), and time enough
          // for a host to boot and reboot.
          maxWorkers: 5,
          testTimeout: 900_000,
          hookTimeout: 900_000,
        },
      },
    ],
    sequence: { sequencer: LongAndShort },
    reporters: ['default', ['json', { outputFile: '.reports/tests.json' }]],
  },
});
