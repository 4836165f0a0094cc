// `npm run demo`: sets up what it needs, then shows CHOM's main job on a real host of this machine.
import { installPackages, run } from './setup.mjs';

// The demo itself ends in order; it gets the Ctrl-C too.
process.on('SIGINT', () => {});
installPackages();
const built = run('npm', ['run', '--silent', 'build']);
process.exit(built || run('node', ['--import', 'tsx', 'lab/demo.ts', ...process.argv.slice(2)]));
