/*
 * vcpu.c - the thread of a virtual CPU; see vcpu.h.
 *
 * No wake-up is lost: a wire's change is made before cpu_on_wake's function takes the lock, and the thread
 * looks at the wires with the lock held before it sleeps. So it either sees the change or is asleep when the
 * signal comes.
 */
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "host/time.h"
#include "machine/vcpu.h"

/* Instructions between looks at what others want, should a kick come in between two runs. */
#define BUDGET (1u << 20)

/* A wire of the CPU changed. */
static void wake(void *opaque)
{
    struct vcpu *vcpu = opaque;

    pthread_mutex_lock(&vcpu->lock);
    pthread_cond_broadcast(&vcpu->changed);
    pthread_mutex_unlock(&vcpu->lock);
}

/* Until there is something to do again. Lock held. */
static void sleep_halted(struct vcpu *vcpu)
{
    while (!vcpu->hold && !vcpu->quit && !cpu_has_work(vcpu->cpu))
        pthread_cond_wait(&vcpu->changed, &vcpu->lock);
}

/* Lock held. */
static void stand_still(struct vcpu *vcpu)
{
    vcpu->standing = true;
    vcpu->wall += host_monotonic() - vcpu->ran_since;
    pthread_cond_broadcast(&vcpu->changed);
    while (vcpu->hold && !vcpu->quit)
        pthread_cond_wait(&vcpu->changed, &vcpu->lock);
    vcpu->standing = false;
    vcpu->ran_since = host_monotonic();
}

static enum cpu_exit make_step(struct vcpu *vcpu)
{
    const struct engine *engine = vcpu->engine;
    enum cpu_exit exit;

    if (engine->run == cpu_run)
        return cpu_step_over(vcpu->cpu);
    engine->pull(vcpu->cpu);
    exit = cpu_step_over(vcpu->cpu);
    engine->push(vcpu->cpu);
    return exit;
}

/* Lock held. */
static void stop(struct vcpu *vcpu)
{
    vcpu->step = false;
    vcpu->hold |= VCPU_STOPPED;
    vcpu->stopped(vcpu->opaque);
}

static void *run(void *opaque)
{
    struct vcpu *vcpu = opaque;

    pthread_mutex_lock(&vcpu->lock);
    vcpu->host_id = gettid();
    vcpu->ran_since = host_monotonic();
    while (!vcpu->quit) {
        if (vcpu->hold) {
            stand_still(vcpu);
            continue;
        }
        bool step = vcpu->step;
        pthread_mutex_unlock(&vcpu->lock);
        enum cpu_exit exit = step ? make_step(vcpu) : vcpu->engine->run(vcpu->cpu, BUDGET);
        if (exit == CPU_EXIT_SHUTDOWN)
            vcpu->shutdown(vcpu->opaque);
        pthread_mutex_lock(&vcpu->lock);
        if (exit == CPU_EXIT_HALT)
            sleep_halted(vcpu);
        else if (exit == CPU_EXIT_SHUTDOWN)
            vcpu->hold |= VCPU_HELD;
        else if (exit == CPU_EXIT_STOPPED || step)
            stop(vcpu);
    }
    pthread_mutex_unlock(&vcpu->lock);
    return NULL;
}

bool vcpu_start(struct vcpu *vcpu, struct cpu *cpu, const struct engine *engine,
                void (*shutdown)(void *opaque), void (*stopped)(void *opaque), void *opaque)
{
    *vcpu = (struct vcpu){.cpu = cpu,
                          .engine = engine,
                          .shutdown = shutdown,
                          .stopped = stopped,
                          .opaque = opaque,
                          .hold = VCPU_HELD};
    if (pthread_mutex_init(&vcpu->lock, NULL))
        return false;
    if (pthread_cond_init(&vcpu->changed, NULL)) {
        pthread_mutex_destroy(&vcpu->lock);
        return false;
    }
    cpu_on_wake(cpu, wake, vcpu);
    if (pthread_create(&vcpu->thread, NULL, run, vcpu)) {
        cpu_on_wake(cpu, NULL, NULL);
        pthread_cond_destroy(&vcpu->changed);
        pthread_mutex_destroy(&vcpu->lock);
        return false;
    }
    vcpu->started = true;
    return true;
}

void vcpu_hold_for(struct vcpu *vcpu, enum vcpu_reason reason)
{
    pthread_mutex_lock(&vcpu->lock);
    vcpu->hold |= reason;
    pthread_cond_broadcast(&vcpu->changed);
    pthread_mutex_unlock(&vcpu->lock);
    vcpu->engine->kick(vcpu->cpu);
}

void vcpu_hold(struct vcpu *vcpu)
{
    vcpu_hold_for(vcpu, VCPU_HELD);
}

void vcpu_wait(struct vcpu *vcpu)
{
    pthread_mutex_lock(&vcpu->lock);
    while (!vcpu->standing)
        pthread_cond_wait(&vcpu->changed, &vcpu->lock);
    pthread_mutex_unlock(&vcpu->lock);
}

void vcpu_release_for(struct vcpu *vcpu, enum vcpu_reason reason)
{
    pthread_mutex_lock(&vcpu->lock);
    vcpu->hold &= ~(unsigned)reason;
    if (reason == VCPU_STOPPED)
        vcpu->step = false; /* one that was broken off */
    pthread_cond_broadcast(&vcpu->changed);
    pthread_mutex_unlock(&vcpu->lock);
}

void vcpu_release(struct vcpu *vcpu)
{
    vcpu_release_for(vcpu, VCPU_HELD);
}

void vcpu_step(struct vcpu *vcpu)
{
    pthread_mutex_lock(&vcpu->lock);
    vcpu->step = true;
    vcpu->hold &= ~(unsigned)VCPU_STOPPED;
    pthread_cond_broadcast(&vcpu->changed);
    pthread_mutex_unlock(&vcpu->lock);
}

uint64_t vcpu_wall(const struct vcpu *vcpu)
{
    return vcpu->wall + (vcpu->standing ? 0 : host_monotonic() - vcpu->ran_since);
}

struct vcpu_times vcpu_get_times(const struct vcpu *vcpu)
{
    struct vcpu_times times = {.wall = (double)vcpu->wall / (double)NS_PER_SEC};
    struct timespec busy;
    clockid_t id;

    if (vcpu->started && !pthread_getcpuclockid(vcpu->thread, &id) && !clock_gettime(id, &busy))
        times.busy = (double)busy.tv_sec + (double)busy.tv_nsec / (double)NS_PER_SEC;
    return times;
}

void vcpu_stop(struct vcpu *vcpu)
{
    if (!vcpu->started)
        return;
    pthread_mutex_lock(&vcpu->lock);
    vcpu->quit = true;
    pthread_cond_broadcast(&vcpu->changed);
    pthread_mutex_unlock(&vcpu->lock);
    vcpu->engine->kick(vcpu->cpu);
    pthread_join(vcpu->thread, NULL);
    cpu_on_wake(vcpu->cpu, NULL, NULL);
    pthread_cond_destroy(&vcpu->changed);
    pthread_mutex_destroy(&vcpu->lock);
    vcpu->started = false;
}
