import { STATEMENT_END } from './statement-end.js';

/**
 * The part of the dump checker (Perl) that reads a dump as it is written: take() is given its pieces; then %held has what it
 * holds, %rows the rows of its tables, $trailer whether it came to its end, $unknown what is written otherwise than known.
 *
 * mariadb-dump (10.11 and 11.8, seen) puts each row on a line of its own and escapes line breaks in values, whatever sql_mode the
 * server has, for its session sets its own. All else is taken apart by statements, so that no text in a routine, a comment
 * or a name is taken for a table or a row.
 */
export const DUMP_READER = String.raw`
my (%rows, %held, $unknown);
my ($mode, $statement, $quote, $rest, $trailer, $created) = ('top', '', '', '', 0, 0);
my ($table, $fresh, $last) = ('', 1, '');
my $ident = qr/\x60((?:[^\x60]|\x60\x60)+)\x60/;
# As it is quoted with sql_mode ANSI_QUOTES, too.
my $user = qr/$ident|"(?:[^"]|"")*"|[^\s@]+/;

sub plain { return $_[0] =~ s/\x60\x60/\x60/gr }

${STATEMENT_END}
sub top_line {
  my ($line) = @_;
  if ($statement eq '') {
    return if $line =~ /^\s*$/;
    if ($line =~ /^-- Dump completed/) { $trailer = 1; return }
    return if $line =~ /^--(?:\s|$)/ || $line =~ /^\/\*M?!999999\\- /;
    $trailer = 0;
    if ($line eq "DELIMITER ;;\n") { ($mode, $created) = ('body', 0); return }
  }
  $statement .= $line;
  # With columns by name the first row follows on the same line.
  if ($statement =~ /^INSERT INTO $ident(?: \((?:$ident|[^\x60()])*\))? VALUES(?:\n$| (?=\())/) {
    ($mode, $table, $quote, $fresh) = ('data', plain($1), '', 1);
    $rest = substr($statement, $+[0]) . $rest;
    $statement = '';
    $rows{$table} //= 0;
    return;
  }
  return unless ends($line);
  if ($statement =~ /^CREATE TABLE $ident/) { $held{'table ' . plain($1)} = 1 }
  elsif ($statement =~ /^CREATE SEQUENCE $ident/) { $held{'sequence ' . plain($1)} = 1 }
  elsif ($statement =~ /^\/\*!50001 VIEW $ident AS /m) { $held{'view ' . plain($1)} = 1 }
  elsif ($statement =~ /^INSERT /) { $unknown //= substr $statement, 0, 80 }
  ($statement, $quote) = ('', '');
}

# A trigger, routine or event, in the words of whoever made it. Each has a block of its own.
sub body_line {
  my ($line) = @_;
  if ($line eq "DELIMITER ;\n") { $mode = 'top'; return }
  return if $created || $line !~ /^(?:\/\*!\d+ )?CREATE\b/;
  $created = 1;
  my $text = $line;
  $text =~ s/DEFINER\s*=\s*$user\s*@\s*$user//;
  $text =~ s/\/\*!\d+|\*\///g;
  my ($kind) = $text =~ /^\s*CREATE\s+(?:OR\s+REPLACE\s+)?(?:AGGREGATE\s+)?(TRIGGER|EVENT|PROCEDURE|FUNCTION|PACKAGE\s+BODY|PACKAGE)\b/i;
  if (!defined $kind) { $unknown //= substr $line, 0, 80; return }
  $held{lc($kind =~ s/\s+/ /r) . " " . scalar keys %held} = 1;
}

# Rows are not copied, nor is one of them held whole: it may be a gigabyte long.
sub data {
  my ($text) = @_;
  my $at = 0;
  while ($at < length $text) {
    if ($fresh) {
      if (substr($text, $at, 1) ne '(') { $unknown //= substr $text, $at, 80; $mode = 'top'; return substr $text, $at }
      $rows{$table}++;
      $fresh = 0;
    }
    my $end = index $text, "\n", $at;
    if ($end < 0) { $last = substr $text, -1; return '' }
    $last = substr $text, $end - 1, 1 if $end > $at;
    ($at, $fresh) = ($end + 1, 1);
    if ($last eq ';') { $mode = 'top'; return substr $text, $at }
  }
  return '';
}

sub take {
  $rest .= $_[0];
  while ($rest ne '') {
    if ($mode eq 'data') { $rest = data($rest); return if $mode eq 'data'; next }
    my $end = index $rest, "\n";
    return if $end < 0;
    my $line = substr $rest, 0, $end + 1, '';
    if ($mode eq 'body') { body_line($line) } else { top_line($line) }
  }
}

`;
