/**
 * The part of a Perl program that takes the text of mariadb-dump apart by statements: ends() is given its lines in their
 * order, and says whether a statement ends with this one. $quote, which the program declares and empties for a new
 * statement, has what the next line begins in: a quote, or `*` for a comment.
 */
export const STATEMENT_END = String.raw`# Follows quotes and comments over lines, and says whether the statement ends here.
sub ends {
  my ($line) = @_;
  for ($line) {
    while ((pos // 0) < length) {
      if ($quote eq '*') { if (/\G.*?\*\//gcs) { $quote = '' } else { return 0 } }
      elsif ($quote eq "\x60") { if (/\G[^\x60]*\x60/gcs) { $quote = '' } else { return 0 } }
      elsif ($quote ne '') { if (/\G(?:[^$quote\\]++|\\.)*+$quote/gcs) { $quote = '' } else { return 0 } }
      elsif (/\G[^'"\x60\/#-]+/gcs) { }
      elsif (/\G(['"\x60])/gcs) { $quote = $1 }
      elsif (/\G\/\*(?!M?!)/gcs) { $quote = '*' }
      elsif (/\G(?:#|--(?=\s))[^\n]*/gcs) { }
      else { /\G./gcs }
    }
  }
  return $quote eq '' && $line =~ /;\s*$/;
}
`;
