# Numbers and text as perl has them; run by perl.sh.
use strict;
use warnings;
use integer ();
use Digest::MD5;
use Digest::SHA;
use List::Util qw(sum max reduce);
use Math::BigFloat;
use Math::BigInt;
use POSIX ();

for my $i (1 .. 2000) {
    my $x = sin($i) * 10**(($i % 600) - 300);
    printf "%.15g %a %s %d %u\n", $x, $x, $x, $i * 2654435761, ($i << 40) ^ 0xdeadbeef;
}
print join(' ', map { POSIX::fmod($_ * 1e10, 7.1), POSIX::floor(-$_ / 3), POSIX::strtod("$_.e-3") } 1 .. 50), "\n";
print Math::BigInt->new(2)->bpow(521)->bmodpow(12345, Math::BigInt->new('1000000007') ** 9), "\n";
print Math::BigInt->new(1)->bfac(300), "\n";
print Math::BigFloat->new(2)->bsqrt(200), "\n";
print Math::BigFloat->bpi(150), "\n";
my @words = map { join '', map { chr 97 + ($_ * 7919) % 26 } $_ .. $_ + $_ % 9 } 1 .. 20000;
print Digest::SHA::sha256_hex(join ' ', sort @words), "\n";
my %count;
$count{length $_}++ for @words;
print "$_=$count{$_} " for sort { $a <=> $b } keys %count;
my $text = join ' ', @words;
my $found = () = $text =~ /(\w)\w*\1\b/g;
(my $other = $text) =~ s/([aeiou]+)(\w)/$2\U$1/g;
$other =~ tr/a-m/n-z/;
print "\n$found ", Digest::MD5::md5_hex($other), "\n";
print Digest::SHA::sha512_base64(pack 'C* n* N* v* V* w* f* d* q* F', (1 .. 10) x 10), "\n";
print unpack('%32b*', $text), ' ', unpack('%64Q*', substr $text, 0, 4096), "\n" if length pack 'j', 0 == 8;
print unpack('%32C*', $text), "\n";
{ use integer; print reduce(sub { ($a * 31 + $b) & 0x7fffffff }, map { ord } split //, $text), "\n"; }
