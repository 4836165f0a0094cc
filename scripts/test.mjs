// `npm test`: sets up what it needs, then format, lint, types, dead code, build, and every test.
// `npm test -- unit` (or workflows, lab) runs the checks and one project alone.
import { readFileSync } from 'node:fs';
import { installPackages, root, run } from './setup.mjs';

process.on('SIGINT', () => {});
installPackages();

const projects = process.argv.slice(2);
const checks = [
  ['oxfmt', '--check', '.'],
  ['oxlint', '--type-aware', '--deny-warnings'],
  ['tsc', '-p', 'tsconfig.json'],
  ['knip'],
  ['npm', 'run', '--silent', 'build'],
];
for (const [program, ...words] of checks) {
  const status = run(program, words);
  if (status !== 0) process.exit(status);
}

// Programs and images are got before the tests start: their minutes are nobody's test's.
const prepared = run('node', ['--import', 'tsx', 'lab/prepare.ts', ...projects]);
if (prepared !== 0) process.exit(prepared);

const chosen = projects.flatMap((project) => ['--project', project]);
const status = run('vitest', ['run', '--coverage.enabled=false', ...chosen], { CHOM_TEST_BUILT: '1' });
const { numPassedTests, numFailedTests, numPendingTests } = JSON.parse(
  readFileSync(`${root}.reports/tests.json`, 'utf8'),
);
process.stdout.write(`${numPassedTests} passed, ${numFailedTests} failed, ${numPendingTests} skipped\n`);
process.exit(status);
