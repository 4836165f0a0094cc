import { sh, type Script } from './shell.js';
import { STATEMENT_END } from './statement-end.js';

/**
 * A query that says what the server writes as the end of a system-versioned row that is the current one: the last TIMESTAMP that it
 * knows, in UTC, which MariaDB 11.5 has moved from 2038 to 2106.
 */
const LAST_TIMESTAMP = `SET time_zone = '+00:00';
SELECT IF(UNIX_TIMESTAMP('2100-01-01 00:00:00') > 0, '2106-02-07 06:28:15.999999', '2038-01-19 03:14:07.999999')`;

/** A command that prints that of the server that root reaches; `options` are of the client. */
export function askLastTimestamp(options: readonly string[] = []): Script {
  return sh`mariadb ${options} -N -B -e ${LAST_TIMESTAMP}`;
}

/**
 * The Perl program that a dump of mariadb-dump passes on its way into a database: `perl - import|load EVENTS [LAST]`. Whoever
 * imports becomes the definer of views, triggers, routines and events, for a definer that is not there, or may more,
 * would make the import fail. With `import` all events come in disabled, so that none runs on what is not live yet, and
 * the file EVENTS gets the names of those that were not; `load` enables those again that the file names.
 *
 * In tables with system versioning LAST becomes the end of the rows that are current, whichever of the two it was where the dump
 * was made: an older server refuses the later one, and to a newer one rows that end before are rows of the past, which nobody sees.
 *
 * It goes by statements: a definer is rewritten only where a statement begins, never in a row, a comment or the text of a
 * routine. It is no guard: a statement that gets by with its definer is refused by the server, to whom the importing
 * user is nobody.
 */
export const DUMP_FILTER = String.raw`
use strict;
use warnings;
my ($way, $events, $last) = @ARGV;
binmode STDIN;
binmode STDOUT;
my $out;
my %enabled;
if ($way eq 'import') { open $out, '>', $events or die "$events: $!\n" }
elsif (open my $in, '<', $events) { while (<$in>) { chomp; $enabled{pack 'H*', $_} = 1 } }
# With sql_mode ANSI_QUOTES, under which something was made, the server quotes its names by the other mark.
my $name = qr/\x60(?:[^\x60]|\x60\x60)*\x60|"(?:[^"]|"")*"/;
my $string = qr/'(?:[^'\\]++|''|\\.)*+'/s;
my $user = qr/(?:$name|$string|[\w.-]+)(?:\s*\@\s*(?:$name|$string|[\w.%-]+))?/;
# What may stand between the beginning of a statement and its definer.
my $before = qr/(?:\s+|\/\*M?!\d*|\*\/|CREATE\b|OR\s+REPLACE\b|ALGORITHM\s*=\s*\w+)+/i;
my $event = qr/^($before EVENT\s+(?:IF\s+NOT\s+EXISTS\s+)?($name)\s+ON\s+SCHEDULE\s(?:$string|[^';])*?\sON\s+COMPLETION\s+(?:NOT\s+)?PRESERVE\s+)(ENABLE|DISABLE)\b(?!\s+ON\b)/si;

sub rewrite {
  my ($text) = @_;
  return $text unless $text =~ /^(?:\/\*M?!\d*\s*)?CREATE\b/i;
  $text =~ s/^($before)DEFINER\s*=\s*$user\s*/$1/si;
  if ($text =~ $event) {
    my ($head, $quoted, $is) = ($1, $2, uc $3);
    my $plain = substr($quoted, 1, -1) =~ s/([\x60"])\1/$1/gr;
    if ($way eq 'import' && $is eq 'ENABLE') {
      print $out unpack('H*', $plain), "\n";
      $text = $head . 'DISABLE' . substr $text, length($head) + 6;
    } elsif ($way eq 'load' && $is eq 'DISABLE' && $enabled{$plain}) {
      $text = $head . 'ENABLE' . substr $text, length($head) + 7;
    }
  }
  return $text;
}

my $quote = '';
${STATEMENT_END}
my ($mode, $text) = ('top', '');
# The table that was made last, and whether it keeps what was.
my $versioned = 0;
# A quote in a value is escaped: only a value that is nothing else begins and ends so.
my $end = qr/(?<=[(,])'(?:2038-01-19 03:14:07|2106-02-07 06:28:15)\.999999'(?=[,)])/;
while (my $line = <STDIN>) {
  if ($mode eq 'data') {
    $line =~ s/$end/'$last'/g if $versioned;
    print STDOUT $line;
    $mode = 'top' if $line =~ /;\n?$/;
  } elsif ($mode eq 'body') {
    # A trigger, routine or event has such a block of its own. It begins with what the server says of its session.
    if ($line eq "DELIMITER ;\n") { print STDOUT rewrite($text), $line; ($mode, $text) = ('top', '') }
    elsif ($text ne '' || $line =~ /^(?:\/\*M?!\d*\s*)?CREATE\b/) { $text .= $line }
    else { print STDOUT $line }
  } elsif ($text eq '' && $line =~ /^(?:\s*|--(?:\s.*)?|\/\*M?!999999\\- .*)$/) {
    print STDOUT $line;
  } elsif ($text eq '' && $line eq "DELIMITER ;;\n") {
    print STDOUT $line;
    $mode = 'body';
  } else {
    $text .= $line;
    my $ended = ends($line);
    if ($quote eq '' && $text =~ /^INSERT (?:IGNORE )?INTO $name(?: \([^\n]*\))? VALUES\n$/) {
      print STDOUT $text;
      ($mode, $text) = ('data', '');
    } elsif ($ended) {
      $versioned = defined $last && $text =~ /\bWITH SYSTEM VERSIONING\b/ if $text =~ /^CREATE TABLE /;
      # Where columns are named, the first row follows on the same line.
      $text =~ s/$end/'$last'/g if $versioned && $text =~ /^INSERT /;
      print STDOUT rewrite($text);
      $text = '';
    }
  }
}
print STDOUT rewrite($text);
if ($out) { close $out or die "$events: $!\n" }
close STDOUT or die "the dump cannot be passed on: $!\n";
`;
