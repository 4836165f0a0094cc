import { restic, type RepositoryAccess, type ResticOptions } from './restic.js';
import { sh, type Script } from './shell.js';

/**
 * The Perl program through which restic is run where an operator waits for an answer: `perl - AWAY_SECONDS COMMAND…`.
 * restic tries for 15 minutes to reach a storage that fails, each time saying on stderr that it does, and has no option
 * that shortens this; one whose ssh has ended hangs for ever where it writes (both 0.18, seen). Once nothing has
 * succeeded, or it has had no ssh, for AWAY_SECONDS it is told to stop: exit code 124, with what it said. Its output is
 * left alone. Signals are passed on, and it ends as restic does.
 */
export const RESTIC_GUARD = String.raw`
use strict;
use warnings;
use POSIX ();
my ($away_seconds, @command) = @ARGV;
pipe my $err, my $to_err or die "pipe: $!\n";
my $pid = fork // die "fork: $!\n";
if ($pid == 0) {
  open STDERR, '>&', $to_err;
  { no warnings 'exec'; exec @command }
  print STDERR "cannot start $command[0]: $!\n";
  exit 127;
}
close $to_err;
# Whoever stops this waits until restic has taken its lock away.
my ($told, $away, $given_up) = (0, 0, 0);
$SIG{INT} = sub { kill 'INT', $pid unless $told++ };
$SIG{TERM} = $SIG{INT};

sub line {
  my ($line) = @_;
  print STDERR $line;
  if ($line =~ / returned error, retrying after /) { $away ||= time }
  elsif ($line =~ / operation successful after \d+ retries/) { $away = 0 }
}

# Whether an ssh is among what restic has started.
sub has_ssh {
  my (%parent, @found);
  opendir my $all, '/proc' or return 1;
  for my $one (grep { /^\d+$/ } readdir $all) {
    open my $file, '<', "/proc/$one/stat" or next;
    my ($name, $parent) = (<$file> // '') =~ /^\d+ \((.*)\) [^Z] (\d+) /s or next;
    $parent{$one} = $parent;
    push @found, $one if $name eq 'ssh';
  }
  for my $one (@found) {
    while (my $of = $parent{$one}) { return 1 if $of == $pid; $one = $of }
  }
  return 0;
}

$| = 1;
my ($rest, $looked, $had_ssh, $status) = ('', 0, 0);
while (1) {
  my $ready = '';
  vec($ready, fileno $err, 1) = 1;
  my $found = select $ready, undef, undef, 1;
  if ($found > 0) {
    my $got = sysread $err, $rest, 65536, length $rest;
    while ((my $end = index $rest, "\n") >= 0) { line(substr $rest, 0, $end + 1, '') }
    last if defined $got && $got == 0;
  }
  # What it has started may have its stderr still.
  elsif ($found == 0 && waitpid($pid, POSIX::WNOHANG()) == $pid) { $status = $?; last }
  if (time - $looked >= 2) {
    $looked = time;
    my $has_ssh = has_ssh();
    if ($had_ssh && !$has_ssh && !$away) { $away = time; print STDERR "ssh command exited\n" }
    $had_ssh ||= $has_ssh;
  }
  if ($away && !$given_up && time - $away >= $away_seconds) { $given_up = time; kill 'INT', $pid unless $told++ }
  if ($given_up && time - $given_up > 15) { kill 'KILL', $pid }
}
while (!defined $status) {
  my $ended = waitpid $pid, 0;
  if ($ended == $pid) { $status = $? }
  elsif (!$!{EINTR}) { $status = 255 << 8 }
}
if ($given_up) { print STDERR "the storage did not answer for $away_seconds s\n"; exit 124 }
exit($status & 127 ? 128 + ($status & 127) : $status >> 8);
`;

/** So long may a storage be away before an operator is told; a restart of it takes less. */
const AWAY_SECONDS = 120;

/** The beginning of a restic command as `restic` makes it, which gives up a storage that is away; see RESTIC_GUARD. */
export function guardedRestic(
  access: Pick<RepositoryAccess, 'url' | 'login' | 'ca'>,
  options: ResticOptions = {},
): Script {
  return sh`perl -e ${RESTIC_GUARD} ${AWAY_SECONDS} env ${restic(access, { ...options, stuckSeconds: AWAY_SECONDS })}`;
}
