// `npm test`: sets up what it needs, then format, lint, types, dead code, build, and every test.
// `npm test -- unit` (or workflows, lab) runs the checks and one project alone.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
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

// One after the other: real hosts on a small machine need it to themselves.
const reports = [];
let status = 0;
for (const project of projects.length > 0 ? projects : ['unit', 'workflows', 'lab']) {
  const report = `.reports/${project}.json`;
  rmSync(`${root}${report}`, { force: true });
  const ended = run('vitest', ['run', '--project', project, `--outputFile.json=${report}`], { CHOM_TEST_BUILT: '1' });
  status ||= ended;
  reports.push(JSON.parse(readFileSync(`${root}${report}`, 'utf8')));
}
const testResults = reports.flatMap((report) => report.testResults);
writeFileSync(`${root}.reports/tests.json`, JSON.stringify({ testResults }));

const sum = (name) => reports.reduce((total, report) => total + report[name], 0);
const [passed, failed, skipped] = ['numPassedTests', 'numFailedTests', 'numPendingTests'].map((name) => sum(name));
process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`);
process.exit(status);
