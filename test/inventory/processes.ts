import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { InventoryLocation } from '../../src/inventory/database.js';
import type { KeyringObject } from '../../src/inventory/keyring.js';

/** What test/inventory/actor.ts is told to do, in a process of its own. */
export interface Act {
  where: InventoryLocation;
  keyring: KeyringObject;
  /** `take`: take one place and say how that went. `work`: one operation after the other until killed. */
  act: 'take' | 'work';
  /** Unique for this process. */
  name: string;
}

/** A process at work on an inventory; it waits for `go`, so that several begin together. */
export interface Actor {
  process: ChildProcess;
  go: () => void;
  /** The next line that it prints; fails when it ends without one. */
  line: () => Promise<string>;
  ended: Promise<number | null>;
}

/** Starts the process and waits until it has loaded its code. */
export async function startActor(act: Act): Promise<Actor> {
  const program = fileURLToPath(new URL('actor.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', program], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit').then(([code]) => code as number | null);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async () => {
    const next = await lines.next();
    if (next.done) throw new Error(`${act.name} ended without a word`);
    return next.value;
  };
  child.stdin.write(`${JSON.stringify(act)}\n`);
  const first = await line();
  if (first !== 'ready') throw new Error(`${act.name} said ${first}`);
  return { process: child, go: () => child.stdin.end('go\n'), line, ended };
}
