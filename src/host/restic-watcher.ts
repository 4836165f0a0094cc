/**
 * The Perl program through which a restic that makes a snapshot is run: `perl - PROGRESS PHASE ERRORS OPEN_SECONDS
 * SILENT_SECONDS COMMAND…`. It keeps restic's newest status in the file PROGRESS, prints only its summary, notes what could not be
 * read in the file ERRORS (how much, and up to 50 of it as JSON), and ends with restic's exit code. A restic that has not
 * opened the repository after OPEN_SECONDS, or shows no progress for SILENT_SECONDS, is told to stop: exit code 124.
 *
 * JSON is taken apart by patterns: a quote inside a JSON string is always escaped, so none of them fits there.
 */
export const RESTIC_WATCHER = String.raw`
use strict;
use warnings;
my ($progress, $phase, $errors, $open_seconds, $silent_seconds, @command) = @ARGV;
my ($said, $failed, $limit, @items) = ('', 0, $open_seconds);
pipe my $out, my $to_out or die "pipe: $!\n";
pipe my $err, my $to_err or die "pipe: $!\n";
my $pid = fork // die "fork: $!\n";
if ($pid == 0) {
  # What it starts is ended with it, should it not listen.
  setpgrp 0, 0;
  open STDOUT, '>&', $to_out;
  open STDERR, '>&', $to_err;
  { no warnings 'exec'; exec @command }
  print STDERR "cannot start $command[0]: $!\n";
  exit 127;
}
close $_ for $to_out, $to_err;
# Whoever stops the unit tells restic too; it takes its lock away, and this waits for it.
my ($stopped, $stalled, $moved) = (0, 0, time);
$SIG{$_} = sub { $stopped = 1; kill 'INT', $pid if $_[0] eq 'TERM' } for 'INT', 'TERM';

sub number { return $_[0] =~ /"$_[1]":([0-9.e+-]+)/ ? $1 : 0 }

sub show {
  my ($line) = @_;
  $limit = $silent_seconds;
  my ($files, $bytes) = (number($line, 'files_done'), number($line, 'bytes_done'));
  my ($all, $total) = (number($line, 'total_files'), number($line, 'total_bytes'));
  my $now = join ' ', $files, $bytes, $all, $total;
  $moved = time if $now ne $said;
  $said = $now;
  my $done = number($line, 'percent_done');
  open my $file, '>', "$progress.new" or return;
  print $file "{\"phase\":\"$phase\",\"done\":$done,\"files\":$files,\"totalFiles\":$all,\"bytes\":$bytes,\"totalBytes\":$total,\"at\":" . time . "}\n";
  close $file and rename "$progress.new", $progress;
}

sub out_line {
  my ($line) = @_;
  if ($line =~ /"message_type":"status"/) { show($line) }
  elsif ($line =~ /"message_type":"summary"/) { $moved = time; print STDOUT $line }
}

sub err_line {
  my ($line) = @_;
  if ($line =~ /^\{"message_type":"error"/) {
    my $string = qr/"((?:[^"\\]|\\.)*+)"/;
    my ($item) = $line =~ /"item":$string/;
    my ($why) = $line =~ /"message":$string/;
    return print STDERR $line if !defined $item || $item eq '';
    $failed++;
    push @items, [map { cut($_) } $item, $why // ''] if @items < 50;
    return;
  }
  # Words for a person, also of the JSON in which restic says why it ended.
  print STDERR $line;
}

# Not in the middle of an escape.
sub cut {
  my ($text) = @_;
  return $text if length $text <= 300;
  $text = substr $text, 0, 300;
  $text =~ s/\A((?:[^\\]|\\u[0-9a-fA-F]{4}|\\[^u])*+).*\z/$1/s;
  $text =~ s/[\xc0-\xff][\x80-\xbf]*$//;
  return "$text…";
}

my %rest = (out => '', err => '');
my %from = (out => $out, err => $err);
my %take = (out => \&out_line, err => \&err_line);
$| = 1;
while (%from) {
  my $ready = '';
  vec($ready, fileno $_, 1) = 1 for values %from;
  my $found = select $ready, undef, undef, 5;
  if (!$stalled && time - $moved > $limit) { $stalled = 1; kill 'INT', $pid }
  if ($stalled && time - $moved > $limit + 60) { kill 'KILL', -$pid }
  next if $found <= 0;
  for my $name (keys %from) {
    next unless vec $ready, fileno $from{$name}, 1;
    my $got = sysread $from{$name}, $rest{$name}, 65536, length $rest{$name};
    next if !defined $got;
    while ((my $end = index $rest{$name}, "\n") >= 0) { $take{$name}->(substr $rest{$name}, 0, $end + 1, '') }
    delete $from{$name} if $got == 0;
  }
}
1 while waitpid($pid, 0) < 0 && $!{EINTR};
my $status = $?;
open my $file, '>', $errors or die "$errors: $!\n";
print $file "{\"count\":$failed,\"items\":[", join(',', map { "{\"path\":\"$_->[0]\",\"why\":\"$_->[1]\"}" } @items), "]}\n";
close $file or die "$errors: $!\n";
if ($stalled) { print STDERR "restic made no progress for $limit s\n"; exit 124 }
exit 130 if $stopped;
exit($status & 127 ? 128 + ($status & 127) : $status >> 8);
`;
