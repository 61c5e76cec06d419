/*
 * thread.h - threads that do a disk's or a folder's blocking work.
 */
#ifndef HOST_THREAD_H
#define HOST_THREAD_H

#include <pthread.h>

/*
 * Starts a thread in which all signals are blocked: they are for the threads that expect them. 0 or an errno
 * value.
 */
int host_thread_start(pthread_t *thread, void *(*run)(void *opaque), void *opaque);

#endif
