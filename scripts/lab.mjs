// `npm run lab -- …`: the lab's command line.
import { installPackages, run } from './setup.mjs';

process.on('SIGINT', () => {});
installPackages();
process.exit(run('node', ['--import', 'tsx', 'lab/cli.ts', ...process.argv.slice(2)]));
