/*
 * loop.h - the event loop: one thread that waits for file descriptors and for the clock's timers, and runs
 * what is due under the machine lock. It sleeps while nothing is.
 *
 * Locking: watches and loop_run_once()'s callbacks belong to the machine lock. loop_kick(), loop_deadline(),
 * loop_post(), loop_hand(), loop_quit() and loop_quitting() may be called from any thread; loop_kick() and loop_quit()
 * from signal handlers too.
 */
#ifndef HOST_LOOP_H
#define HOST_LOOP_H

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>

#include "core/clock.h"

struct loop;
struct loop_watch;

/* Work that another thread or a chip's handler leaves for the loop. Zero it, set fn and opaque. */
struct loop_task {
    void (*fn)(void *opaque); /* machine lock held; in the loop's thread, unless by loop_hand() */
    void *opaque;
    bool posted; /* the loop's own */
    struct loop_task *next;
};

/* NULL when the host refuses an eventfd or memory ran out. Free it after everybody unwatched. */
struct loop *loop_new(void);
void loop_free(struct loop *loop);

/*
 * Calls fn with what poll(2) reported of `fd` whenever one of `events` (POLLIN, POLLOUT), an error or a
 * hang-up is there. With events 0 the descriptor isn't looked at at all. The descriptor stays the caller's:
 * unwatch, then close. NULL when memory ran out. loop_unwatch(NULL) does nothing.
 */
struct loop_watch *loop_watch_fd(struct loop *loop, int fd, short events,
                                 void (*fn)(void *opaque, short revents), void *opaque);
void loop_modify(struct loop_watch *watch, short events);
void loop_unwatch(struct loop_watch *watch);

/*
 * Somebody whose descriptors are others before every sleep, as a library's are. Zero it, set the functions and opaque.
 * fill() names them by loop_poll_fd() and may shorten the sleep, *ns; polled() then asks for each by loop_polled(). Both in
 * the loop's thread, machine lock held.
 */
struct loop_poller {
    void (*fill)(void *opaque, uint64_t *ns);
    void (*polled)(void *opaque);
    void *opaque;
    struct loop_poller *next; /* the loop's own */
};
void loop_add_poller(struct loop *loop, struct loop_poller *poller);
void loop_remove_poller(struct loop *loop, struct loop_poller *poller);

/* From fill(): a number by which to ask, -1 when memory ran out. From polled(): what poll(2) reported; 0 for -1. */
int loop_poll_fd(struct loop *loop, int fd, short events);
short loop_polled(const struct loop *loop, int number);

/* Runs the task once, soon; a task already posted is not posted twice. Cancelling one that isn't does
 * nothing. */
void loop_post(struct loop *loop, struct loop_task *task);
void loop_cancel(struct loop *loop, struct loop_task *task);

/*
 * For other threads, none of which may hold the machine lock: runs the task at once, in this thread, if the
 * machine lock is free, and posts it otherwise. It saves waking the loop's thread.
 */
void loop_hand(struct loop *loop, struct loop_task *task);

/*
 * Runs what is due, having slept until something is: a descriptor, a timer of `clock` (while it runs), a
 * task, or a kick. Takes `lock` around callbacks and leaves it while sleeping; neither clock nor lock need be
 * there (NULL). False once loop_quit() was called. One thread only.
 */
bool loop_run_once(struct loop *loop, struct clock *clock, pthread_mutex_t *lock);

/* Makes a loop_run_once() under way, or the next one, return soon. */
void loop_kick(struct loop *loop);

/* For a clock_source's deadline hook, opaque being the loop: timers changed under the machine lock. */
void loop_deadline(void *loop);

void loop_quit(struct loop *loop);
bool loop_quitting(struct loop *loop);

#endif
