/**
 * The Perl program `perl - MACHINE ONE OTHER` that lets two files or directories change places at one instant:
 * renameat2(2) with RENAME_EXCHANGE, which mv(1) knows from coreutils 9.5 on alone. Its number goes by the machine, as
 * `uname -m` names it; exit code 2 where that is not known.
 */
export const EXCHANGE = String.raw`
use strict; use warnings;
my ($machine, $one, $other) = @ARGV;
my %number = (x86_64 => 316, aarch64 => 276, riscv64 => 276);
my $call = $number{$machine} or do { print STDERR "directories cannot be exchanged on $machine\n"; exit 2 };
syscall($call, -100, $one, -100, $other, 2) == 0 or do { print STDERR "$one and $other cannot be exchanged: $!\n"; exit 1 };
`;
