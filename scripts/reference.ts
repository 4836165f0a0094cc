import { writeFile } from 'node:fs/promises';
import { reference } from '../src/client/reference.js';

/** `npm run reference`: writes docs/reference.md from the commands themselves. A test sees that it is up to date. */
await writeFile(new URL('../docs/reference.md', import.meta.url), reference());
