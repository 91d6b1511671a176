/* Fibers: code that reads from top to bottom and still never blocks the loop.
 *
 * A fiber is a function on a stack of its own. Where it would block it parks, the loop goes on, and
 * a callback (of a timer, a request, a child process) wakes it. Only one runs at a time, on the
 * loop's thread, and it gives way only where it parks: no locks, but what is read before a parking
 * call may have changed after it.
 *
 * Stacks are 256 KiB of address space with a guard page; only touched pages cost memory. Idle things
 * (watchers, keep-alive connections) must not hold a fiber.
 */
#pragma once

#include "loop.h"

struct fiber;

typedef void fiber_fn(void *userdata);

/* Starts FN on a fiber, now: returns when it first parks or ends. */
void fiber_start(struct loop *loop, fiber_fn *fn, void *userdata);
struct fiber *fiber_self(void); /* NULL: not on a fiber */

/* Gives way until fiber_wake(). A wake that came before the park is not lost: the park returns at
 * once. One park takes one wake. */
void fiber_park(void);
void fiber_wake(struct fiber *fiber); /* from anywhere on the loop's thread; runs it at the end of the turn */
void fiber_sleep(int64_t ns);         /* on a fiber only */

/* Runs FN(userdata) in a worker thread and waits for it. On a fiber only. */
void fiber_work(struct loop *loop, loop_work_fn *fn, void *userdata);

/* Starts a fiber and turns the loop until it has ended: for tools and tests. */
void fiber_run(struct loop *loop, fiber_fn *fn, void *userdata);

/* A lock among fibers, fair. */
struct fiber_mutex {
        struct fiber *owner;
        struct fiber **waiters;
        size_t n, cap;
};
void fiber_mutex_lock(struct fiber_mutex *m);
void fiber_mutex_unlock(struct fiber_mutex *m);
