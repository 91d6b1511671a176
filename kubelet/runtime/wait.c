/* Waiting for one descriptor on a fiber. */
#include <errno.h>

#include "runc.h"

struct wait {
        struct fiber *fiber;
        bool ready, timed_out, woken;
};

static void wake(struct wait *w)
{
        if (!w->woken)
                fiber_wake(w->fiber);
        w->woken = true;
}

static void on_ready(struct loop_fd *source, uint32_t events, void *userdata)
{
        struct wait *w = userdata;

        loop_fd_set(source, 0);
        w->ready = true;
        wake(w);
}

static void on_timeout(struct loop_timer *timer, void *userdata)
{
        struct wait *w = userdata;

        w->timed_out = true;
        wake(w);
}

int wait_fd(struct loop *loop, int fd, uint32_t events, int64_t timeout_ns)
{
        struct wait w = { .fiber = fiber_self() };
        struct loop_fd *source = loop_fd_new(loop, fd, events, on_ready, &w);
        struct loop_timer *timer = NULL;

        if (timeout_ns >= 0) {
                timer = loop_timer_new(loop, on_timeout, &w);
                loop_timer_arm(timer, timeout_ns);
        }
        while (!w.woken)
                fiber_park();
        loop_fd_free(source);
        loop_timer_free(timer);
        return w.ready ? 0 : -ETIMEDOUT;
}

/* --- so many at a time --- */

struct turnstile_waiter {
        struct list link;
        struct fiber *fiber;
        bool let_in;
};

void turnstile_enter(struct turnstile *t)
{
        struct turnstile_waiter *w;

        if (t->inside < t->max && list_empty(&t->waiting)) {
                t->inside++;
                return;
        }
        w = new0(struct turnstile_waiter);
        w->fiber = fiber_self();
        list_push_back(&t->waiting, &w->link);
        while (!w->let_in)
                fiber_park();
        free(w);
}

/* Whoever leaves hands the place on: nobody who comes in between may take it. */
void turnstile_leave(struct turnstile *t)
{
        struct turnstile_waiter *w;

        if (list_empty(&t->waiting)) {
                t->inside--;
                return;
        }
        w = list_entry(t->waiting.next, struct turnstile_waiter, link);
        list_remove(&w->link);
        w->let_in = true;
        fiber_wake(w->fiber);
}
