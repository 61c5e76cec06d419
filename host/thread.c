/* thread.c - see thread.h. */
#include "host/thread.h"

#include <signal.h>

int host_thread_start(pthread_t *thread, void *(*run)(void *opaque), void *opaque)
{
    sigset_t all, old;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(thread, NULL, run, opaque);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return error;
}
