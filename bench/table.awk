# table.awk - the figures of a run (see docs/performance.md for the format) as a table.
#
#     awk -v clock=wall|cpu -v engines="A B" -v order="ROW ROW" [-v ours=ENGINE] [-v compare=OLDER.tsv] [-v stages=1]
#         -f table.awk RESULTS.tsv
#
# The others are compared with `ours`, an engine of Oxbow (oxbow). With stages, the rows are stages of one thing: they have no mean, nor a speed of their own.
#
# Ends with 1 when a row failed: no answer, or not the checksum that the first engine gave.

BEGIN {
    FS = "\t"
    if (ours == "")
        ours = "oxbow"
    columns = split(engines, engine, " ")
    rows = split(order, row, " ")
    seconds_field = clock == "cpu" ? 7 : 6
    if (compare != "") {
        while ((getline line < compare) > 0) {
            split(line, field, "\t")
            if (field[1] == "time" && field[2] == ours && field[5] == "ok")
                older[field[4]] = older[field[4]] " " field[seconds_field]
        }
    }
}

/^# percent/ { percent = $2 }

$1 == "time" && $5 == "ok" {
    times[$2, $4] = times[$2, $4] " " $seconds_field
    if ($9 != "-")
        judge($2, $4, $9)
    if ($3 > repeats)
        repeats = $3
}

$1 == "time" && $5 != "ok" { fail($2, $4, $5) }

$1 == "count" {
    instructions[$2] = $3
    if ($2 == "boot")
        boot_busy = $4
}

$1 == "machine" && $2 == ours {
    whole_instructions += $4
    whole_busy += $5
}

function fail(who, what, why) {
    if (!((who, what) in failures))
        reasons[++reason_count] = sprintf("FAIL  %s, %s: %s", who, what, why)
    failures[who, what] = 1
}

# The same program has the same answer everywhere, and in every repetition.
function judge(who, what, sum) {
    if (!(what in answer)) {
        answer[what] = sum
        answered_by[what] = who
    } else if (answer[what] != sum)
        fail(who, what, "its answer is " sum ", but " answered_by[what] "'s is " answer[what])
}

function median(list,    value, n, i, j, swap) {
    n = split(list, value, " ")
    for (i = 2; i <= n; i++) {
        for (j = i; j > 1 && value[j - 1] + 0 > value[j] + 0; j--) {
            swap = value[j]
            value[j] = value[j - 1]
            value[j - 1] = swap
        }
    }
    return n % 2 ? value[(n + 1) / 2] : (value[n / 2] + value[n / 2 + 1]) / 2
}

# Seconds, or -1 when there are none that count.
function time_of(who, what) {
    return !((who, what) in failures) && (who, what) in times ? median(times[who, what]) : -1
}

function cell(who, what,    time) {
    if ((who, what) in failures)
        return "FAIL"
    time = time_of(who, what)
    return time < 0 ? "-" : sprintf(time < 0.1 ? "%.4f" : "%.3f", time)
}

# How many times as long `ours` takes; the boot is no part of the means.
function ratio(what, peer,    mine, theirs) {
    mine = time_of(ours, what)
    theirs = time_of(peer, what)
    if (mine <= 0 || theirs <= 0)
        return "-"
    if (what != "boot") {
        logs[peer] += log(mine / theirs)
        counted[peer]++
    }
    return sprintf("%.2f", mine / theirs)
}

function mips(what,    time) {
    time = what == "boot" ? boot_busy : time_of(ours, what)
    if (time <= 0 || !(what in instructions) || time_of(ours, what) < 0)
        return "-"
    if (what != "boot") {
        all_instructions += instructions[what]
        all_seconds += time
    }
    return sprintf("%.0f", instructions[what] / time / 1e6)
}

function change(what,    mine) {
    mine = time_of(ours, what)
    return mine <= 0 || !(what in older) ? "-" : sprintf("%+.1f%%", 100 * (mine / median(older[what]) - 1))
}

function has(who,    i) {
    for (i = 1; i <= columns; i++)
        if (engine[i] == who)
            return 1
    return 0
}

END {
    oxbow = has(ours)
    name = ours == "oxbow" ? "Oxbow" : "Oxbow (" ours ")"
    printf("%s seconds, %s%s\n\n", clock == "cpu" ? "Processor" : "Elapsed",
        repeats > 1 ? "median of " repeats : "one run", percent != "" && percent != 100 ? ", at " percent "% of the work" : "")
    printf "%-10s", ""
    for (i = 1; i <= columns; i++)
        printf "%10s", engine[i]
    if (oxbow) {
        for (i = 1; i <= columns; i++)
            if (engine[i] != ours)
                printf "%9s", "/" engine[i]
        if (!stages)
            printf "%8s", "MIPS"
        if (compare != "")
            printf "%9s", "change"
    }
    printf "\n"
    for (r = 1; r <= rows; r++) {
        printf "%-10s", row[r]
        for (i = 1; i <= columns; i++)
            printf "%10s", cell(engine[i], row[r])
        if (oxbow) {
            for (i = 1; i <= columns; i++)
                if (engine[i] != ours)
                    printf "%9s", ratio(row[r], engine[i])
            if (!stages)
                printf "%8s", mips(row[r])
            if (compare != "")
                printf "%9s", change(row[r])
        }
        printf "\n"
    }
    if (oxbow && rows > 1 && !stages) {
        printf "%-10s%*s", "mean", 10 * columns, ""
        for (i = 1; i <= columns; i++)
            if (engine[i] != ours)
                printf "%9s", counted[engine[i]] ? sprintf("%.2f", exp(logs[engine[i]] / counted[engine[i]])) : "-"
        printf "%8s\n", all_seconds ? sprintf("%.0f", all_instructions / all_seconds / 1e6) : "-"
    }
    printf "\n"
    if (oxbow)
        print "/X: how many times as long as X " name " takes" \
            (stages ? "." : "; the mean is geometric and leaves the boot out.")
    if (whole_busy)
        printf "%s, boot and all: %.0f million instructions in %.2f s at work, %.1f MIPS.\n", name,
            whole_instructions / 1e6, whole_busy, whole_instructions / whole_busy / 1e6
    if (time_of("bochs", "firmware") >= 0)
        printf "Bochs boots through BIOS and GRUB, which takes %.2f s of its boot.\n", time_of("bochs", "firmware")
    for (i = 1; i <= reason_count; i++)
        print reasons[i]
    exit reason_count > 0
}
