// `npm test`: sets up what it needs, then format, lint, types, dead code, build, and every test.
// `npm test -- unit` (or workflows, lab) runs the checks and one project alone. Only when they are named run those that build programs
// for minutes: postgres, compose.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { installPackages, root, run } from './setup.mjs';

/** Written by vitest for each project; at the end the report of all. */
const REPORT = `${root}.reports/tests.json`;

process.on('SIGINT', () => {});
installPackages();

const words = process.argv.slice(2);
const all = ['unit', 'workflows', 'lab'];
const projects = words.length > 0 ? words : all;
const more = ['postgres', 'compose'];
const checks = [
  ['oxfmt', '--check', '.'],
  ['oxlint', '--type-aware', '--deny-warnings'],
  ['tsc', '-p', 'tsconfig.json'],
  ['knip'],
  ['npm', 'run', '--silent', 'build'],
];
for (const [program, ...arguments_] of checks) {
  const status = run(program, arguments_);
  if (status !== 0) process.exit(status);
}

// Programs and images are got before the tests start: their minutes are nobody's test's.
const prepared = run('node', ['--import', 'tsx', 'lab/prepare.ts', ...projects]);
if (prepared !== 0) process.exit(prepared);

// What tests note of the commands that they run.
rmSync(`${root}.reports/commands.jsonl`, { force: true });

// What waits for timers beside what computes; real hosts on a small machine need it to themselves.
const together = ['unit', 'workflows'].filter((project) => projects.includes(project));
const alone = projects.filter((project) => !together.includes(project)).map((project) => [project]);
const reports = [];
let status = 0;
for (const group of [together, ...alone].filter(({ length }) => length > 0)) {
  rmSync(REPORT, { force: true });
  const config = group.some((project) => more.includes(project)) ? ['--config', 'vitest.production.config.ts'] : [];
  const named = group.flatMap((project) => ['--project', project]);
  const ended = run('vitest', ['run', ...config, ...named], { CHOM_TEST_BUILT: '1' });
  status ||= ended;
  // Without a report the runner itself broke down: this throws, and says so.
  reports.push(JSON.parse(readFileSync(REPORT, 'utf8')));
}
const testResults = reports.flatMap((report) => report.testResults);
writeFileSync(REPORT, JSON.stringify({ testResults }));

const sum = (name) => reports.reduce((total, report) => total + report[name], 0);
const [passed, failed, skipped] = ['numPassedTests', 'numFailedTests', 'numPendingTests'].map((name) => sum(name));
process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`);
// Every command that the documents show was run by one of them.
if (all.every((project) => projects.includes(project)))
  status ||= run('node', ['--import', 'tsx', 'scripts/documented.ts']);
process.exit(status);
