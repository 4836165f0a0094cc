import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EXIT } from '../../src/host/exit-codes.js';
import type { Script } from '../../src/host/shell.js';
import { askNextUid, noteUid } from '../../src/host/uids.js';

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'chom-uids-'));
  for (const place of ['sites', 'locks', 'srv']) mkdirSync(join(root, place));
  writeFileSync(join(root, 'passwd'), 'root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n');
});
afterEach(() => rmSync(root, { recursive: true }));

/** On a copy of a host's directories. */
const here = ({ script }: Script) =>
  script
    .toString()
    .replaceAll('/var/lib/chom', root)
    .replaceAll('/srv/chom', join(root, 'srv'))
    .replaceAll('/etc/passwd', join(root, 'passwd'));
const note = (uid: number, site: string) =>
  spawnSync('dash', ['-c', here(noteUid({ uid, site }))], { encoding: 'utf8' });
const next = () => execFileSync('dash', ['-c', here(askNextUid())], { encoding: 'utf8' });
const noted = () => readFileSync(join(root, 'uids'), 'utf8');

describe('a uid', () => {
  it('is one site’s for ever, whatever order sites come in', () => {
    for (const [uid, site] of [
      [20_002, 'stwo'],
      [20_001, 'sone'],
      [20_002, 'stwo'],
    ] as const) {
      expect(note(uid, site)).toMatchObject({ status: 0, stderr: '' });
    }
    expect(note(20_002, 'sother')).toMatchObject({
      status: EXIT.uidUsed,
      stderr: 'uid 20002 was given to site stwo before\n',
    });
    // Not because it begins alike.
    expect(note(2000, 'sshort').status).toBe(0);
    expect(noted()).toBe('20002 stwo\n20001 sone\n2000 sshort\n');
  });

  it('is not given where that cannot be noted', () => {
    rmSync(join(root, 'locks'), { recursive: true });
    expect(note(20_001, 'sone').status).not.toBe(0);
  });

  it('that comes next is above all that a site can have had', () => {
    expect(next()).toBe('20000\n');
    writeFileSync(join(root, 'passwd'), 'admin:x:20003:20003::/:/bin/sh\n', { flag: 'a' });
    expect(next()).toBe('20004\n');
    writeFileSync(join(root, 'sites', 'sone'), '20007\n');
    writeFileSync(join(root, 'sites', 'sone.source'), '29000\n');
    expect(next()).toBe('20008\n');
    note(20_011, 'stwo');
    expect(next()).toBe('20012\n');
  });
});
