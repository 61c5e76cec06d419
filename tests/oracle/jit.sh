#!/bin/sh
# jit.sh - the host's processor as judge of translated code: programs above all. Run by `make check`.
exec "${top_builddir:-.}/tests/oracle/oracle" --engine jit --cases 500000 --programs 1000000 "$@"
