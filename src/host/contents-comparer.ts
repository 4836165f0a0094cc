/**
 * The Perl program that compares a database with the manifest of a backup: `perl - MANIFEST DATABASE counted|named`,
 * with rows counted or not. It prints each difference as a sentence, at most 20, and then ends with 1. Events that are
 * over are none: MariaDB drops them as they come in.
 */
export const CONTENTS_COMPARER = String.raw`
use strict;
use warnings;
my ($manifest, $database, $way) = @ARGV;
my %kinds = (views => 'view', sequences => 'sequence', triggers => 'trigger', procedures => 'procedure', functions => 'function', packages => 'package');
my $string = qr/"((?:[^"\\]|\\.)*)"/;

my %escape = (n => "\n", t => "\t", r => "\r", b => "\b", f => "\f");
sub plain { return $_[0] =~ s/\\(?:u00([0-9a-f]{2})|(.))/defined $1 ? chr hex $1 : $escape{$2} \/\/ $2/gerx }

my (%must, %rows, %history);
open my $file, '<', $manifest or die "$manifest: $!\n";
my $inside = 0;
while (my $line = <$file>) {
  $inside ||= $line =~ s/^,"contents":\{//;
  next unless $inside;
  while ($line =~ /\{"name":$string,"engine":$string,"rows":(\d+|null)(,"history":true)?/g) {
    my ($name, $count, $kept) = (plain($1), $3, $4);
    $must{"table $name"} = 1;
    next if $count eq 'null';
    $rows{$name} = $count;
  }
  if ($line =~ /^,"(\w+)":\[(.*)\]$/ && exists $kinds{$1}) {
    my ($kind, $list) = ($kinds{$1}, $2);
    $must{"$kind " . plain($1)} = 1 while $list =~ /$string/g;
  }
}
die "the manifest lists no contents of a database\n" unless $inside;

# Rows of a query; names come as hexadecimal digits. What it runs is not parsed by the client.
sub ask {
  my ($query) = @_;
  open my $from, '-|', 'mariadb', '--no-defaults', '--socket=/run/mysqld/mysqld.sock', '--default-character-set=utf8mb4',
    '-N', '-B', '--delimiter=//', '-e', $query or die "mariadb: $!\n";
  my @rows = map { chomp; [split /\t/, $_, -1] } <$from>;
  close $from or die "the restored database cannot be read\n";
  return @rows;
}

my %is;
for my $row (ask(qq{
  SELECT IF(TABLE_TYPE = 'SEQUENCE', 'sequence', IF(TABLE_TYPE LIKE '%VIEW', 'view', 'table')), HEX(TABLE_NAME)
    FROM information_schema.TABLES WHERE TABLE_SCHEMA = '$database' AND TABLE_TYPE NOT LIKE '%TEMPORARY%'
  UNION ALL SELECT 'trigger', HEX(TRIGGER_NAME) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = '$database'
  UNION ALL SELECT LOWER(ROUTINE_TYPE), HEX(ROUTINE_NAME) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = '$database'})) {
  my ($kind, $name) = ($row->[0], pack 'H*', $row->[1]);
  next if $kind eq 'package body' || $name =~ /^chom restore /;
  $is{"$kind $name"} = 1;
}
my @wrong;
for my $one (sort keys %must) { push @wrong, "the $one is missing" unless $is{$one} }
for my $one (sort keys %is) { push @wrong, "the $one is not in the backup" unless $must{$one} }
if (!@wrong && $way eq 'counted' && %rows) {
  my @counted = ask(qq{
    BEGIN NOT ATOMIC
      FOR t IN (SELECT TABLE_NAME n, TABLE_TYPE y FROM information_schema.TABLES
        WHERE TABLE_SCHEMA = '$database' AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')) DO
        EXECUTE IMMEDIATE CONCAT('SELECT ''', HEX(t.n), ''', COUNT(*) FROM \x60$database\x60.\x60', REPLACE(t.n, '\x60', '\x60\x60'), '\x60',
          IF(t.y = 'SYSTEM VERSIONED', ' FOR SYSTEM_TIME ALL', ''));
      END FOR;
    END});
  my %counted = map { (pack('H*', $_->[0]) => $_->[1]) } @counted;
  for my $table (sort keys %rows) {
    my $found = $counted{$table} // 'no';
    push @wrong, "table $table has $found rows, but the backup $rows{$table}" if $found ne $rows{$table};
  }
}
if (@wrong) {
  print scalar(@wrong), " differences\n" if @wrong > 1;
  print map { s/\s+/ /gr . "\n" } splice @wrong, 0, 20;
  exit 1;
}
`;
