import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { sh } from '../../src/host/shell.js';
import { asSite, createUser, removeUser } from '../../src/host/user.js';

const user = { site: 'sabcdefghi', uid: 20_001 };

describe('the user of a site', () => {
  it('is made by scripts to the shell of a host', () => {
    const { check, act } = createUser(user);
    const removal = removeUser(user);
    for (const { script } of [check, act, removal.check!, removal.act, asSite(user.site, sh`id`)]) {
      expect(execFileSync('dash', ['-n'], { input: script, encoding: 'utf8' })).toBe('');
    }
  });

  it('has its uid and no login', () => {
    const text = createUser(user).act.script.toString();
    expect(text).toContain(
      `useradd --uid '20001' --gid 'sabcdefghi' --home-dir '/srv/chom/sabcdefghi' --no-create-home --shell /usr/sbin/nologin`,
    );
    expect(text).toContain(`install -d -o root -g root -m 0751 '/srv/chom/sabcdefghi'`);
    expect(text).toContain(
      `install -d -o 'sabcdefghi' -g www-data -m 2750 '/srv/chom/sabcdefghi/app' '/srv/chom/sabcdefghi/shared'`,
    );
  });

  it('is looked at before anything of it is removed', () => {
    const [first] = removeUser(user).act.script.toString().split('\n');
    expect(first).toBe(`[ "$(cat '/var/lib/chom/sites/sabcdefghi' 2>/dev/null)" = '20001' ] || exit 0`);
  });

  it('keeps nothing of root’s', () => {
    expect(asSite('sabcdefghi', sh`id`).script.toString()).toMatch(
      /^setpriv --reuid='sabcdefghi' --regid='sabcdefghi' --groups='sabcdefghi' --no-new-privs --inh-caps=-all --bounding-set=-all --reset-env sh -c /,
    );
  });
});
