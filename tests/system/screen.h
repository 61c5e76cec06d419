/*
 * screen.h - Oxbow with a screen that is looked at: pictures are taken of it by --screenshot and SIGUSR1
 * until one is the golden picture in tests/golden.
 */
#ifndef TESTS_SYSTEM_SCREEN_H
#define TESTS_SYSTEM_SCREEN_H

#include "tests/system/drive.h"
#include "tests/system/picture.h"
#include "tests/system/tap.h"

#define SCREEN_ARGUMENTS 30

/* Seconds that bound a wait: generous, for slow and busy hosts, and more so for builds that check all they
 * do. */
#ifdef OXBOW_SANITIZED
#define PATIENCE(seconds) (8 * (seconds))
#else
#define PATIENCE(seconds) (seconds)
#endif

struct screen {
    struct drive drive;
    char shot[64]; /* the file that pictures are written to */
    char why[200]; /* the last picture was not the golden one because of this */
};

/* What a golden picture is called, NAME for NAME.png, and how exact it is. */
struct golden {
    const char *name;
    struct comparison how;
};

/* A file of the source folder; the caller frees. */
char *source_file(const char *folder, const char *name);

/*
 * Starts Oxbow (OXBOW in the environment, or ./oxbow) with --screenshot and these arguments, a NULL behind
 * the last. False when the host can't.
 */
bool screen_start(struct screen *screen, const char *const arguments[], bool on_terminal);
void screen_free(struct screen *screen);

/* Takes a picture into screen->shot. False when none comes. */
bool screen_shoot(struct screen *screen);

/*
 * Takes pictures until one is the golden one, and reports that as a test. When none is in time, the last
 * stays in the build folder, as tests/system/NAME.seen.png.
 */
bool screen_shows(struct tap *tap, struct screen *screen, const struct golden *golden, double seconds);

#endif
