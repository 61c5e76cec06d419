# Floating point as awk (gawk's and mawk's) prints it.
for awk in gawk mawk; do
    $awk 'BEGIN {
        x = 0.5
        for (i = 1; i <= 3000; i++) {
            x = 3.99 * x * (1 - x)
            printf "%.17g %.10e %d %x %s\n", x, exp(sin(i) * 20) * atan2(i, x), x * 1e9, i * 7919, i / 7
            t += sqrt(i) * log(i + x) + cos(i ^ 1.5) - int(i / 3)
        }
        printf "%.17g %.17g %.17g\n", t, 1e308 * 10, -log(0)
        n = split("the quick brown fox jumps over the lazy dog", w, " ")
        for (i = n; i; i--) printf "%s%s", toupper(substr(w[i], 1, 1)) substr(w[i], 2), (i > 1 ? " " : "\n")
    }'
    $awk '{ s += $1; c[$1 % 97] += length($1) } END { for (i = 0; i < 97; i++) printf "%d ", c[i]; print s }' /work/data/numbers
done
