import { DUMP_READER } from './dump-reader.js';
import { EXIT } from './exit-codes.js';

/**
 * The Perl program that restic starts as the source of a database's snapshot: `perl - DATABASE RESULT LOCK_SECONDS
 * SILENT_SECONDS`. It passes the dump through, and ends with other than 0, so that restic makes no snapshot, unless the
 * dump is whole. What it saw goes into `RESULT/dump` as JSON lines, why it failed into `RESULT/failed` (exit code,
 * sentence). perl-base has neither JSON nor a hash: sha256sum reads along.
 */
export const DUMP_CHECKER = String.raw`
use strict;
use warnings;
use POSIX ();
my ($database, $place, $lock_seconds, $silent_seconds) = @ARGV;
my @login = ('--no-defaults', '--socket=/run/mysqld/mysqld.sock', '--default-character-set=utf8mb4');
my %exit = (broken => ${EXIT.databaseBroken}, locked => ${EXIT.databaseLocked}, unsupported => ${EXIT.unsupported}, timeout => ${EXIT.timedOut}, failed => ${EXIT.dumpFailed});
$SIG{PIPE} = 'DEFAULT';
binmode STDOUT;

sub refuse {
  my ($why, $text) = @_;
  $text =~ s/\s*\n\s*/ /g;
  if (open my $file, '>', "$place/failed") { print $file "$exit{$why}\n$text\n"; close $file }
  else { print STDERR "$text\n" }
  exit $exit{$why};
}

# Rows of a query, each a list; what batch mode escapes is itself again.
sub ask {
  my ($query, $must) = @_;
  my $set = "SET SESSION lock_wait_timeout = $lock_seconds, max_statement_time = $silent_seconds";
  my @command = ('timeout', '-k', 5, $silent_seconds + 10, 'mariadb', @login, "--init-command=$set", '-N', '-B', '-e', $query);
  open my $from, '-|', 'sh', '-c', 'exec "$@" 2>"$0"', "$place/said", @command or refuse('failed', "cannot start mariadb: $!");
  binmode $from;
  my @rows;
  while (my $line = <$from>) {
    chomp $line;
    push @rows, [map { s/\\([tn0\\])/{ t => "\t", n => "\n", 0 => "\0", '\\' => '\\' }->{$1}/ger } split /\t/, $line, -1];
  }
  return @rows if close $from;
  return unless $must;
  explain('the database cannot be read', said());
}

sub said {
  open my $file, '<', "$place/said" or return '';
  local $/;
  my @lines = grep { /\S/ } split /\n/, <$file> // '';
  my @errors = grep { !/^Warning:/ } @lines;
  return join ' ', @errors ? @errors : @lines;
}

# By MariaDB's number of the error.
sub explain {
  my ($what, $text) = @_;
  # By transactions instead of times, or before MariaDB 10.11.
  refuse('unsupported', "a table keeps its history in a way that this mariadb-dump cannot dump: $text") if $text =~ /dump-history/;
  my ($number) = $text =~ /(?:Got error: |ERROR |Error )(\d{2,4})\b/;
  ($number) = $text =~ /\((\d{3,4})\)\s*$/ unless defined $number;
  $number //= 0;
  my $why = 'failed';
  if (grep { $_ == $number } 126, 127, 130 .. 145, 1016, 1017, 1030, 1033 .. 1035, 1168, 1194, 1195, 1286, 1356, 1449, 1712, 1812, 1814, 1877, 1932) { $why = 'broken' }
  if (grep { $_ == $number } 1146, 1205, 1213, 1317, 1412, 1927, 1969) { $why = 'locked' }
  if (grep { $_ == $number } 1045, 1698) { $why = 'unsupported' }
  my %cause = (
    broken => "database $database is damaged",
    locked => "database $database is locked or is being changed by somebody else",
    unsupported => 'root cannot log in to MariaDB by its socket, as Debian sets it up',
    failed => $what,
  );
  refuse($why, "$cause{$why}: " . ($text eq '' ? 'it says nothing' : substr $text, 0, 600));
}

my $name = "'" . ($database =~ s/(['\\])/\\$1/gr) . "'";
# All that the dump must hold, as "kind name".
sub contents {
  my @rows = ask(qq{
    SELECT IF(TABLE_TYPE = 'SEQUENCE', 'sequence', IF(TABLE_TYPE LIKE '%VIEW', 'view', 'table')), TABLE_NAME,
      IFNULL(ENGINE, ''), TABLE_TYPE, IF(TABLE_TYPE LIKE '%VIEW' OR ENGINE IS NULL, TABLE_COMMENT, '')
      FROM information_schema.TABLES WHERE TABLE_SCHEMA = $name AND TABLE_TYPE NOT LIKE '%TEMPORARY%'
    UNION ALL SELECT 'trigger', TRIGGER_NAME, '', '', '' FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = $name
    UNION ALL SELECT LOWER(ROUTINE_TYPE), ROUTINE_NAME, '', '', '' FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = $name
    UNION ALL SELECT 'event', EVENT_NAME, '', '', '' FROM information_schema.EVENTS WHERE EVENT_SCHEMA = $name}, 1);
  return map { { kind => $_->[0], name => $_->[1], engine => $_->[2], type => $_->[3], comment => $_->[4] } } @rows;
}

my ($server) = ask("SELECT VERSION(), DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME, CONNECTION_ID()
  FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = $name", 1);
refuse('broken', "there is no database $database") unless $server;
my ($version, $charset, $collation, $connection) = @$server;
my @before = contents();
# mariadb-dump fails at the first broken view, in words that do not say what to do.
if (my @views = map { "\x60" . ($_->{name} =~ s{\x60}{\x60\x60}gr) . "\x60" } grep { $_->{kind} eq 'view' } @before) {
  my @broken = grep { lc $_->[2] eq 'error' } ask("USE \x60$database\x60; CHECK TABLE " . join(', ', @views), 1);
  refuse('locked', "view $_->[0] is locked: $_->[3]") for grep { $_->[3] =~ /lock wait timeout/i } @broken;
  refuse('broken', "view $broken[0][0] is broken: drop it, or make again what it reads: $broken[0][3]") if @broken;
}
for my $one (@before) {
  next unless $one->{comment} =~ /\bcrashed\b|doesn't exist in engine|Incorrect (?:file|information)|marked as/i;
  refuse('broken', "$one->{kind} $one->{name} of database $database is broken, repair or drop it: $one->{comment}");
}
my @history = grep { $_->{type} eq 'SYSTEM VERSIONED' } @before;
my @options = qw(--single-transaction --quick --extended-insert --routines --events --triggers --hex-blob
  --no-tablespaces --skip-dump-date --order-by-primary --max-allowed-packet=1G);
# Without it the rows that were are left out, and nobody is told.
push @options, '--dump-history' if @history;
my $started = time;

my $hash = start_hash();
pipe my $dump, my $into or refuse('failed', "pipe: $!");
my $pid = fork // refuse('failed', "fork: $!");
if ($pid == 0) {
  open STDOUT, '>&', $into;
  open STDERR, '>', "$place/said";
  close $_ for $dump, $into;
  { no warnings 'exec'; exec 'mariadb-dump', @login, @options, $database }
  print STDERR "cannot start mariadb-dump: $!\n";
  POSIX::_exit(127);
}
close $into;
binmode $dump;

sub start_hash {
  open my $to, '|-', 'sh', '-c', 'exec sha256sum >"$0"', "$place/sha256" or refuse('failed', "cannot start sha256sum: $!");
  binmode $to;
  return $to;
}

sub pass {
  my ($to, $data) = @_;
  my $at = 0;
  while ($at < length $data) {
    my $done = syswrite $to, $data, length($data) - $at, $at;
    if (!defined $done) {
      next if $!{EINTR};
      stop_dump();
      refuse('failed', "the dump cannot be passed on: $!");
    }
    $at += $done;
  }
}

sub stop_dump { kill 'TERM', $pid; waitpid $pid, 0 }

${DUMP_READER}
# ---- The dump, as it comes.
my ($bytes, $silent) = (0, time);
while (1) {
  my $ready = '';
  vec($ready, fileno $dump, 1) = 1;
  my $found = select $ready, undef, undef, 5;
  if ($found > 0) {
    my $got = sysread $dump, my $chunk, 262144;
    if (!defined $got) { next if $!{EINTR}; stop_dump(); refuse('failed', "the dump cannot be read: $!") }
    last if $got == 0;
    $bytes += $got;
    pass(\*STDOUT, $chunk);
    pass($hash, $chunk);
    take($chunk);
    $silent = time;
    next;
  }
  next if $found < 0 || time - $silent < 5;
  waits_for_lock();
  if (time - $silent > $silent_seconds) {
    stop_dump();
    refuse('timeout', "the dump of database $database came to a stop: nothing for $silent_seconds s");
  }
}

# Whether our connection, made after the first one here, waits for somebody's lock.
sub waits_for_lock {
  my $mine = "ID > $connection AND DB = $name AND USER = SUBSTRING_INDEX(CURRENT_USER(), '\@', 1) AND STATE LIKE 'Waiting for%'";
  my ($wait) = ask("SELECT ID, TIME, STATE FROM information_schema.PROCESSLIST WHERE $mine AND TIME >= $lock_seconds LIMIT 1");
  return unless $wait;
  my ($id, $seconds, $state) = @$wait;
  my @others = ask("SELECT ID, USER, TIME FROM information_schema.PROCESSLIST WHERE DB = $name AND ID <> $id
    AND STATE NOT LIKE 'Waiting for%' AND ID <> CONNECTION_ID() ORDER BY TIME DESC LIMIT 3");
  ask("KILL CONNECTION $id");
  stop_dump();
  my $who = join ', ', map { "connection $_->[0] of $_->[1] ($_->[2] s)" } @others;
  refuse('locked', "database $database is locked, the dump waited $seconds s ($state)" . ($who eq '' ? '' : "; perhaps by $who"));
}

waitpid $pid, 0;
my $status = $?;
close $hash or refuse('failed', 'the dump could not be hashed');
if ($status & 127) { refuse('failed', 'mariadb-dump was ended by signal ' . ($status & 127)) }
if ($status != 0) { explain('mariadb-dump ended with exit code ' . ($status >> 8), said()) }
refuse('failed', 'the dump has no end: its last line is not "-- Dump completed"') unless $trailer && $mode eq 'top' && $statement eq '' && $rest eq '';
refuse('unsupported', "this mariadb-dump writes what CHOM cannot follow: $unknown") if defined $unknown;

# ---- Whether that is all.
my $ended = time;
my @after = contents();
my $listed = sub { join "\0", sort map { "$_->{kind} $_->{name} $_->{type}" } @_ };
refuse('locked', "database $database was changed while it was read: tables, views or routines came or went") if $listed->(@before) ne $listed->(@after);
my %count;
$count{$_->{kind}}++ for @before;
my %dumped;
$dumped{/^(package body|\w+) /s ? $1 : ''}++ for keys %held;
for my $one (@before) {
  next unless $one->{kind} =~ /^(?:table|sequence|view)$/;
  refuse('failed', "the dump lacks $one->{kind} $one->{name}") unless $held{"$one->{kind} $one->{name}"};
}
for my $kind (sort { $a cmp $b } keys %{ { %count, %dumped } }) {
  my ($is, $must) = ($dumped{$kind} // 0, $count{$kind} // 0);
  refuse('failed', "the dump holds $is of $must of kind $kind") if $is != $must;
}

# ---- What is said of it.
sub json {
  my ($text) = @_;
  $text =~ s/(["\\])/\\$1/g;
  $text =~ s/([\x00-\x1f\x7f])/sprintf '\\u%04x', ord $1/ge;
  return "\"$text\"";
}
my ($sha256) = do { open my $file, '<', "$place/sha256" or refuse('failed', "sha256sum: $!"); <$file> =~ /^([0-9a-f]{64})/ };
refuse('failed', 'the dump could not be hashed') unless defined $sha256;
my (%transactional, %no_data);
my ($total, @tables) = (0);
for my $one (sort { $a->{name} cmp $b->{name} } grep { $_->{kind} eq 'table' } @before) {
  # Their rows lie elsewhere, and mariadb-dump leaves them there.
  my $elsewhere = $one->{engine} =~ /^(?:MRG_|CONNECT|OQGRAPH|SPIDER|VP|FEDERATED)/i;
  my $rows = $rows{$one->{name}} // 0;
  $total += $rows;
  push @tables, '{"name":' . json($one->{name}) . ',"engine":' . json($one->{engine}) . ',"rows":' . ($elsewhere ? 'null' : $rows)
    . ($one->{type} eq 'SYSTEM VERSIONED' ? ',"history":true' : '') . '}';
}
my @unsafe = grep { $_->{kind} eq 'table' && $_->{engine} !~ /^(?:InnoDB|MyRocks|ROCKSDB|MRG_.*)$/i } @before;
my %names;
push @{ $names{$_->{kind}} }, json($_->{name}) for @before;
my $list = sub { '[' . join(',', sort @{ $names{$_[0]} // [] }) . ']' };
open my $file, '>', "$place/dump.new" or refuse('failed', "cannot write what was seen: $!");
print $file '{"server":', json($version), ',"charset":', json($charset), ',"collation":', json($collation),
  ",\"startedAt\":$started,\"endedAt\":$ended,\"bytes\":$bytes,\"sha256\":\"$sha256\",\"rows\":$total,\"tables\":", scalar(@tables),
  ',"views":', ($count{view} // 0), ',"notTransactional":', scalar(@unsafe), ",\"history\":", (@history ? 'true' : 'false'), "}\n";
print $file '{"tables":[', join(",\n", @tables), "]\n",
  map({ ",\"$_->[0]\":" . $list->($_->[1]) . "\n" } ['views', 'view'], ['sequences', 'sequence'], ['triggers', 'trigger'], ['procedures', 'procedure'],
    ['functions', 'function'], ['packages', 'package'], ['events', 'event']), "}\n";
close $file or refuse('failed', "cannot write what was seen: $!");
rename "$place/dump.new", "$place/dump" or refuse('failed', "cannot write what was seen: $!");
exit 0;
`;
