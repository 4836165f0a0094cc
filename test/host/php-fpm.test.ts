import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { bootstrapPhp, fpmFile, fpmUnit, startPhp, stopPhp } from '../../src/host/php-fpm.js';
import { OWN_MEMORY } from '../../src/host/sandbox.js';

const site = { site: 'sabcdefghi', domain: 'example.org', type: 'php', version: '8.4' } as const;

describe('the configuration of a site’s PHP', () => {
  it('is this text', () => {
    expect(fpmFile(site)).toMatchInlineSnapshot(`
      "; Site sabcdefghi, written by CHOM: changes made here are replaced.
      [global]
      ; The journal: a log that root opens never lies in a directory of the site's.
      error_log = syslog
      syslog.ident = chom-php-sabcdefghi
      ; Running requests may end before a reload takes their process.
      process_control_timeout = 10s

      [sabcdefghi]
      user = sabcdefghi
      group = sabcdefghi
      listen = /run/chom-php/sabcdefghi.sock
      listen.owner = www-data
      listen.group = www-data
      listen.mode = 0660
      pm = ondemand
      pm.max_children = 10
      pm.process_idle_timeout = 30s
      pm.max_requests = 500
      clear_env = yes
      security.limit_extensions = .php
      catch_workers_output = yes
      php_admin_value[open_basedir] = /srv/chom/sabcdefghi/:/usr/share/php/
      php_admin_value[doc_root] = /srv/chom/sabcdefghi/app
      php_admin_value[upload_tmp_dir] = /srv/chom/sabcdefghi/tmp
      php_admin_value[sys_temp_dir] = /srv/chom/sabcdefghi/tmp
      php_admin_value[session.save_path] = /srv/chom/sabcdefghi/tmp
      ; Debian leaves the removal of old sessions to a job that knows only the stock directory.
      php_admin_value[session.gc_probability] = 1
      php_admin_value[sendmail_path] = "/usr/bin/msmtp -C /etc/chom/msmtprc --domain=example.org --from=www@example.org -t -i"
      php_admin_value[error_log] = syslog
      php_admin_value[syslog.ident] = chom-php-sabcdefghi
      php_admin_flag[log_errors] = on
      php_admin_flag[allow_url_include] = off
      php_admin_flag[expose_php] = off
      php_flag[display_errors] = off
      php_value[upload_max_filesize] = 64M
      php_value[post_max_size] = 64M
      "
    `);
  });

  it('logs to the journal, and lets no process of another user in', () => {
    const lines = fpmFile(site).split('\n');
    expect(lines).toContain('error_log = syslog');
    expect(lines).toContain('listen.mode = 0660');
    expect(lines.filter((line) => line.includes('log =') && line.includes('/'))).toEqual([]);
  });
});

describe('the unit', () => {
  it('shows a master its own site alone', () => {
    const unit = fpmUnit();
    for (const line of [
      `TemporaryFileSystem=/srv:ro ${OWN_MEMORY}`,
      'BindPaths=/srv/chom/%i',
      'ProtectSystem=strict',
      'NoNewPrivileges=yes',
    ]) {
      expect(unit.split('\n')).toContain(line);
    }
    expect(unit).toContain('-d opcache.validate_permission=1');
  });
});

describe('the scripts', () => {
  it('are scripts to the shell of a host', () => {
    for (const { check, act } of [bootstrapPhp(), startPhp(site), stopPhp(site)]) {
      for (const { script } of [check, act]) {
        expect(execFileSync('dash', ['-n'], { input: script, encoding: 'utf8' })).toBe('');
      }
    }
  });

  it('never name the distribution’s own FPM', () => {
    const text = startPhp(site).act.script.toString() + stopPhp(site).act.script.toString();
    expect(text).not.toContain('php8.4-fpm');
    expect(text).toContain("systemctl reload 'chom-php@sabcdefghi.service'");
  });
});
