# perl: numbers, text, big integers, digests.
exec perl /work/software/perl.pl
