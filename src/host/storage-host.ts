import { failure } from '../workflows/failures.js';
import type { CheckedStep } from './certificate.js';
import { serviceLock } from './service-lock.js';
import { sh, type Script } from './shell.js';

/** Names below a storage's directory: a site's id. */
const NAME = /^[a-z0-9-]{1,40}$/;

/**
 * Does something in a storage's directory as whoever owns that: who writes there, a server of backups, could put a link in
 * root's way.
 */
export function asOwner(path: string, script: Script): Script {
  return sh`[ -d ${path} ] || { echo ${`there is no directory ${path}`} >&2; exit 1; }
setpriv --reuid="$(stat -c %u ${path})" --regid="$(stat -c %g ${path})" --clear-groups sh -c ${
    sh`cd ${path} && {
${script}
}`.script
  }`;
}

/**
 * Lets a user into the REST server whose data directory this is: a line of its `.htpasswd` (bcrypt), beside those of others.
 * The password is the credential `login`. rest-server looks for a changed file at most every 30 s (0.13, htpasswd.go).
 * Exit codes: lockTimeout.
 */
export function addRestUser({ path, user, salt }: { path: string; user: string; salt: string }): CheckedStep {
  if (!NAME.test(user) || !/^[./A-Za-z0-9]{22}$/.test(salt)) throw failure('Bug', `${user} is no user of a storage`);
  return {
    check: sh`${asOwner(path, sh`perl -e ${IS_IN} .htpasswd ${user}`)} <"$CREDENTIALS_DIRECTORY/login"`,
    act: sh`set -eu
${serviceLock('storage')}
${asOwner(
  path,
  sh`umask 077
[ -e .htpasswd ] || : >.htpasswd
perl -e ${PUT} .htpasswd ${user} ${`$2y$10$${salt}`} >.htpasswd.new || exit 1
chmod --reference=.htpasswd .htpasswd.new
sync .htpasswd.new
mv -fT .htpasswd.new .htpasswd
sync .`,
)} <"$CREDENTIALS_DIRECTORY/login"`,
  };
}

/** Lets a user in no more: his line goes, those of others stay. Succeeds when there was none. Exit codes: lockTimeout. */
export function removeRestUser({ path, user }: { path: string; user: string }): CheckedStep {
  if (!NAME.test(user)) throw failure('Bug', `${user} is no user of a storage`);
  const line = `^${user}:`;
  return {
    check: asOwner(path, sh`! grep -q ${line} .htpasswd 2>/dev/null`),
    act: sh`set -eu
${serviceLock('storage')}
${asOwner(
  path,
  sh`umask 077
[ -e .htpasswd ] || exit 0
# 1: it was the only one.
grep -v ${line} .htpasswd >.htpasswd.new || [ $? -eq 1 ] || exit 1
chmod --reference=.htpasswd .htpasswd.new
sync .htpasswd.new
mv -fT .htpasswd.new .htpasswd
sync .`,
)}`,
  };
}

/** crypt(3) of Debian knows bcrypt. */
const IS_IN = `chomp(my $password = <STDIN>);
open(my $file, "<", $ARGV[0]) or exit 1;
while (<$file>) {
  chomp;
  my ($user, $hash) = split /:/, $_, 2;
  exit(crypt($password, $hash) eq $hash ? 0 : 1) if $user eq $ARGV[1];
}
exit 1;`;

const PUT = `chomp(my $password = <STDIN>);
my $hash = crypt($password, $ARGV[2]);
$hash =~ /^\\$2y\\$10\\$.{53}$/ or die "no bcrypt on this server\\n";
open(my $file, "<", $ARGV[0]) or die "$ARGV[0]: $!\\n";
while (<$file>) {
  s/\\n?$/\\n/;
  print unless /^\\Q$ARGV[1]\\E:/;
}
print "$ARGV[1]:$hash\\n";`;
