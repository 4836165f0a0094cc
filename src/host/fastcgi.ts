/**
 * The Perl program `perl - SOCKET NAME VALUE…` that asks a FastCGI server for one page, with these parameters, and
 * prints its status and how many bytes it has; what PHP says beside goes to stderr. Exit code 1 where there is no answer.
 * (FastCGI 1.0: records of begin, parameters and input; of output, errors and end.)
 */
export const FASTCGI = String.raw`
use strict;
use warnings;
use IO::Socket::UNIX;
my ($path, %parameters) = @ARGV;
my $server = IO::Socket::UNIX->new(Peer => $path) or die "$path: $!\n";
binmode $server;
binmode STDERR;
alarm 120;
$SIG{ALRM} = sub { die "no answer within 120 s\n" };
sub record { my ($type, $content) = @_; return pack('CCnnCC', 1, $type, 1, length $content, 0, 0) . $content }
sub size { return $_[0] < 128 ? pack('C', $_[0]) : pack('N', $_[0] | 0x80000000) }
my $list = join '', map { size(length $_) . size(length $parameters{$_}) . $_ . $parameters{$_} } sort keys %parameters;
print $server record(1, pack('nCx5', 1, 0)), record(4, $list), record(4, ''), record(5, '');
$server->flush;
my ($said, $ended) = ('', 0);
sub take { my ($n) = @_; my $got = ''; while (length $got < $n) { read($server, $got, $n - length $got, length $got) or return undef } return $got }
while (defined(my $head = take(8))) {
  my (undef, $type, undef, $length, $padding) = unpack 'CCnnC', $head;
  my $content = take($length + $padding) // last;
  $content = substr $content, 0, $length;
  if ($type == 6) { $said .= $content }
  elsif ($type == 7) { print STDERR $content }
  elsif ($type == 3) { $ended = 1; last }
}
die "PHP broke off\n" unless $ended && $said =~ /\r?\n\r?\n/;
my ($headers, $body) = split /\r?\n\r?\n/, $said, 2;
my ($status) = $headers =~ /^Status:\s*(\d{3})/mi;
print $status // 200, ' ', length $body, "\n";
`;
