/*
 * loop.c - ppoll(2), an eventfd to wake it, and the clock.
 *
 * How a wake-up cannot be lost: the loop announces `sleeping` with the machine lock held, after it looked at
 * the timers and watches, and looks at `kicked` after that. Whoever changes a timer or a watch holds the
 * lock, so either the loop has yet to look, or it has announced itself and is woken through the eventfd. A
 * kick from outside the lock sets `kicked` first and then asks whether the loop sleeps.
 */
#include "host/loop.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

struct loop_watch {
    struct loop *loop;
    int fd;
    short events;
    bool dead; /* unwatched; freed before the next sleep */
    void (*fn)(void *opaque, short revents);
    void *opaque;
    struct loop_watch *next;
};

struct loop {
    int wake_fd;
    bool sleeping, kicked, quit; /* atomic */
    pthread_mutex_t *lock;       /* atomic: what loop_run_once() was given last */

    struct loop_watch *watches;
    unsigned watch_count;
    struct loop_poller *pollers;

    /* What this sleep polls: slot 0 is wake_fd, slot n belongs to polled[n], or to a poller if that is NULL. */
    struct pollfd *slots;
    struct loop_watch **polled;
    unsigned slot_count, capacity;

    pthread_mutex_t task_lock;
    struct loop_task *tasks, **last_task;

    bool slack_set;
};

struct loop *loop_new(void)
{
    struct loop *loop = calloc(1, sizeof(*loop));

    if (!loop)
        return NULL;
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->wake_fd < 0) {
        free(loop);
        return NULL;
    }
    pthread_mutex_init(&loop->task_lock, NULL);
    loop->last_task = &loop->tasks;
    return loop;
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    for (struct loop_watch *watch = loop->watches, *next; watch; watch = next) {
        next = watch->next;
        free(watch);
    }
    pthread_mutex_destroy(&loop->task_lock);
    close(loop->wake_fd);
    free(loop->slots);
    free(loop->polled);
    free(loop);
}

/* --- wake-ups ------------------------------------------------------------------------------------ */

void loop_deadline(void *opaque)
{
    struct loop *loop = opaque;
    uint64_t one = 1;

    if (!__atomic_exchange_n(&loop->sleeping, false, __ATOMIC_SEQ_CST))
        return;
    /* It can only fail when the counter is full, and then the loop is awake. */
    int saved = errno;
    ssize_t ignored = write(loop->wake_fd, &one, sizeof(one));
    (void)ignored;
    errno = saved;
}

void loop_kick(struct loop *loop)
{
    __atomic_store_n(&loop->kicked, true, __ATOMIC_SEQ_CST);
    loop_deadline(loop);
}

void loop_quit(struct loop *loop)
{
    __atomic_store_n(&loop->quit, true, __ATOMIC_SEQ_CST);
    loop_kick(loop);
}

bool loop_quitting(struct loop *loop)
{
    return __atomic_load_n(&loop->quit, __ATOMIC_SEQ_CST);
}

/* --- watches ------------------------------------------------------------------------------------- */

struct loop_watch *loop_watch_fd(struct loop *loop, int fd, short events,
                                 void (*fn)(void *opaque, short revents), void *opaque)
{
    struct loop_watch *watch = malloc(sizeof(*watch));

    if (!watch)
        return NULL;
    *watch = (struct loop_watch){
        .loop = loop, .fd = fd, .events = events, .fn = fn, .opaque = opaque, .next = loop->watches};
    loop->watches = watch;
    loop->watch_count++;
    loop_deadline(loop);
    return watch;
}

void loop_modify(struct loop_watch *watch, short events)
{
    if (watch->events == events)
        return;
    watch->events = events;
    loop_deadline(watch->loop);
}

void loop_unwatch(struct loop_watch *watch)
{
    if (!watch)
        return;
    watch->dead = true;
    loop_deadline(watch->loop);
}

static void reap(struct loop *loop)
{
    for (struct loop_watch **link = &loop->watches; *link;) {
        struct loop_watch *watch = *link;
        if (!watch->dead) {
            link = &watch->next;
            continue;
        }
        *link = watch->next;
        loop->watch_count--;
        free(watch);
    }
}

static bool reserve_slots(struct loop *loop, unsigned need)
{
    if (need <= loop->capacity)
        return true;
    unsigned capacity = 2 * need + 6;
    struct pollfd *slots = realloc(loop->slots, capacity * sizeof(*slots));
    if (slots)
        loop->slots = slots;
    struct loop_watch **polled = realloc(loop->polled, capacity * sizeof(*polled));
    if (polled)
        loop->polled = polled;
    if (!slots || !polled)
        return false;
    loop->capacity = capacity;
    return true;
}

static void fill_slots(struct loop *loop)
{
    reap(loop);
    loop->slot_count = 0;
    if (!reserve_slots(loop, loop->watch_count + 1))
        return;
    loop->slots[0] = (struct pollfd){.fd = loop->wake_fd, .events = POLLIN};
    loop->polled[0] = NULL;
    loop->slot_count = 1;
    for (struct loop_watch *watch = loop->watches; watch; watch = watch->next) {
        if (!watch->events)
            continue;
        loop->slots[loop->slot_count] = (struct pollfd){.fd = watch->fd, .events = watch->events};
        loop->polled[loop->slot_count++] = watch;
    }
}

/* A callback may unwatch itself or others, or pause them: those are not called any more. */
static void run_watches(struct loop *loop)
{
    uint64_t count;

    if (loop->slot_count && loop->slots[0].revents) {
        ssize_t ignored = read(loop->wake_fd, &count, sizeof(count));
        (void)ignored;
    }
    for (unsigned i = 1; i < loop->slot_count; i++) {
        struct loop_watch *watch = loop->polled[i];
        if (!watch)
            continue;
        short news = loop->slots[i].revents & (short)(watch->events | POLLERR | POLLHUP | POLLNVAL);
        if (news && watch->events && !watch->dead)
            watch->fn(watch->opaque, news);
    }
}

/* --- pollers ------------------------------------------------------------------------------------- */

void loop_add_poller(struct loop *loop, struct loop_poller *poller)
{
    poller->next = loop->pollers;
    loop->pollers = poller;
    loop_deadline(loop);
}

void loop_remove_poller(struct loop *loop, struct loop_poller *poller)
{
    for (struct loop_poller **link = &loop->pollers; *link; link = &(*link)->next) {
        if (*link != poller)
            continue;
        *link = poller->next;
        return;
    }
}

int loop_poll_fd(struct loop *loop, int fd, short events)
{
    if (!loop->slot_count || !reserve_slots(loop, loop->slot_count + 1))
        return -1;
    loop->slots[loop->slot_count] = (struct pollfd){.fd = fd, .events = events};
    loop->polled[loop->slot_count] = NULL;
    return (int)loop->slot_count++;
}

short loop_polled(const struct loop *loop, int number)
{
    return number > 0 && (unsigned)number < loop->slot_count ? loop->slots[number].revents : 0;
}

/* How long the sleep may be, at most `ns`. */
static uint64_t ask_pollers(struct loop *loop, uint64_t ns)
{
    for (struct loop_poller *poller = loop->pollers; poller; poller = poller->next)
        poller->fill(poller->opaque, &ns);
    return ns;
}

static void tell_pollers(struct loop *loop)
{
    for (struct loop_poller *poller = loop->pollers, *next; poller; poller = next) {
        next = poller->next;
        poller->polled(poller->opaque);
    }
}

/* --- tasks --------------------------------------------------------------------------------------- */

void loop_post(struct loop *loop, struct loop_task *task)
{
    pthread_mutex_lock(&loop->task_lock);
    bool fresh = !task->posted;
    if (fresh) {
        task->posted = true;
        task->next = NULL;
        *loop->last_task = task;
        loop->last_task = &task->next;
    }
    pthread_mutex_unlock(&loop->task_lock);
    if (fresh)
        loop_kick(loop);
}

void loop_cancel(struct loop *loop, struct loop_task *task)
{
    pthread_mutex_lock(&loop->task_lock);
    for (struct loop_task **link = &loop->tasks; task->posted && *link; link = &(*link)->next) {
        if (*link != task)
            continue;
        *link = task->next;
        if (!*link)
            loop->last_task = link;
        task->posted = false;
        break;
    }
    pthread_mutex_unlock(&loop->task_lock);
}

void loop_hand(struct loop *loop, struct loop_task *task)
{
    pthread_mutex_t *lock = __atomic_load_n(&loop->lock, __ATOMIC_ACQUIRE);

    if (!lock || pthread_mutex_trylock(lock)) {
        loop_post(loop, task);
        return;
    }
    task->fn(task->opaque);
    pthread_mutex_unlock(lock);
}

static struct loop_task *next_task(struct loop *loop)
{
    pthread_mutex_lock(&loop->task_lock);
    struct loop_task *task = loop->tasks;
    if (task) {
        loop->tasks = task->next;
        if (!loop->tasks)
            loop->last_task = &loop->tasks;
        task->posted = false;
    }
    pthread_mutex_unlock(&loop->task_lock);
    return task;
}

/* A task that posts itself again has its turn after the next sleep's descriptors; hence the bound. */
static void run_tasks(struct loop *loop)
{
    struct loop_task *task;

    for (unsigned i = 0; i < 256 && (task = next_task(loop)); i++)
        task->fn(task->opaque);
    pthread_mutex_lock(&loop->task_lock);
    bool more = loop->tasks != NULL;
    pthread_mutex_unlock(&loop->task_lock);
    if (more)
        __atomic_store_n(&loop->kicked, true, __ATOMIC_SEQ_CST);
}

/* --- the loop ------------------------------------------------------------------------------------ */

/* Nanoseconds to sleep at most, CLOCK_NEVER without end. */
static uint64_t time_left(struct clock *clock)
{
    if (!clock || !clock_running(clock))
        return CLOCK_NEVER;
    uint64_t next = clock_next(clock), now = clock_now(clock);
    if (next == CLOCK_NEVER)
        return CLOCK_NEVER;
    return next > now ? next - now : 0;
}

static void sleep_at_most(struct loop *loop, uint64_t ns)
{
    struct timespec limit = {.tv_sec = (time_t)(ns / NS_PER_SEC), .tv_nsec = (long)(ns % NS_PER_SEC)};

    if (!loop->slack_set) {
        /* The kernel rounds a thread's sleeps by 50 us unless told otherwise; a guest's timer wants better.
         */
        prctl(PR_SET_TIMERSLACK, 1ul, 0ul, 0ul, 0ul);
        loop->slack_set = true;
    }
    if (ppoll(loop->slots, loop->slot_count, ns == CLOCK_NEVER ? NULL : &limit, NULL) <= 0) {
        /* Timed out or interrupted: nothing is ready. */
        for (unsigned i = 0; i < loop->slot_count; i++)
            loop->slots[i].revents = 0;
    }
}

static void take(pthread_mutex_t *lock)
{
    if (lock)
        pthread_mutex_lock(lock);
}

static void leave(pthread_mutex_t *lock)
{
    if (lock)
        pthread_mutex_unlock(lock);
}

bool loop_run_once(struct loop *loop, struct clock *clock, pthread_mutex_t *lock)
{
    take(lock);
    fill_slots(loop);
    uint64_t ns = ask_pollers(loop, time_left(clock));
    /* Without memory to poll even the eventfd, look again in a moment. */
    if (!loop->slot_count && ns > NS_PER_SEC / 100)
        ns = NS_PER_SEC / 100;
    __atomic_store_n(&loop->sleeping, true, __ATOMIC_SEQ_CST);
    if (__atomic_exchange_n(&loop->kicked, false, __ATOMIC_SEQ_CST) || loop_quitting(loop))
        ns = 0;
    leave(lock);

    if (loop->lock != lock)
        __atomic_store_n(&loop->lock, lock, __ATOMIC_RELEASE);
    sleep_at_most(loop, ns);
    __atomic_store_n(&loop->sleeping, false, __ATOMIC_SEQ_CST);
    /* Whatever a kick up to here was for is seen below or by our caller. */
    __atomic_store_n(&loop->kicked, false, __ATOMIC_SEQ_CST);

    take(lock);
    if (clock && clock_running(clock))
        clock_run(clock);
    run_watches(loop);
    tell_pollers(loop);
    run_tasks(loop);
    leave(lock);
    return !loop_quitting(loop);
}
