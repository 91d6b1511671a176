/* The event loop: epoll, a heap of timers under one timerfd-less timeout, deferred calls, signals
 * through signalfd, worker threads that answer through an eventfd.
 *
 * A source that is freed while the events of a turn are being handed out may still have an event in
 * hand: it is marked dead at once and its memory goes at the end of the turn.
 */
#include "loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

#include "../base/list.h"
#include "../base/time.h"

#define EVENTS_A_TURN 64
#define WORKERS_MAX 4
#define WORKER_IDLE_S 30

struct loop_fd {
        struct loop *loop;
        int fd;
        uint32_t events;
        loop_fd_fn *fn;
        void *userdata;
        bool dead;
        struct loop_fd *next_dead;
};

struct loop_timer {
        struct loop *loop;
        loop_timer_fn *fn;
        void *userdata;
        int64_t at, latest; /* monotonic; fires between the two */
        size_t place;       /* in the heap, + 1; 0: not armed */
};

struct deferred {
        loop_defer_fn *fn;
        void *userdata;
};

struct work {
        struct list link;
        loop_work_fn *fn;
        loop_defer_fn *done;
        void *userdata;
};

struct signal_handler {
        loop_signal_fn *fn;
        void *userdata;
};

struct loop {
        int epoll;
        int64_t now;
        bool stopped;
        int code;
        struct loop_timer **heap; /* by `latest` */
        size_t n_timers, cap_timers;
        struct deferred *deferred;
        size_t n_deferred, cap_deferred;
        struct loop_fd *dead;
        /* signals */
        sigset_t signals;
        int signal_fd;
        struct loop_fd *signal_source;
        struct signal_handler handlers[NSIG];
        /* workers */
        pthread_mutex_t lock;
        pthread_cond_t todo_ready;
        struct list todo, done;
        unsigned workers, idle_workers, outstanding;
        bool ending;
        int done_fd;
        struct loop_fd *done_source;
};

struct loop *loop_new(void)
{
        struct loop *loop = new0(struct loop);

        loop->epoll = epoll_create1(EPOLL_CLOEXEC);
        if (loop->epoll < 0)
                abort();
        loop->now = time_mono();
        loop->signal_fd = loop->done_fd = -1;
        sigemptyset(&loop->signals);
        pthread_mutex_init(&loop->lock, NULL);
        pthread_cond_init(&loop->todo_ready, NULL);
        list_init(&loop->todo);
        list_init(&loop->done);
        return loop;
}

static void free_dead(struct loop *loop)
{
        while (loop->dead) {
                struct loop_fd *next = loop->dead->next_dead;

                free(loop->dead);
                loop->dead = next;
        }
}

void loop_free(struct loop *loop)
{
        if (!loop)
                return;
        pthread_mutex_lock(&loop->lock);
        loop->ending = true;
        pthread_cond_broadcast(&loop->todo_ready);
        while (loop->workers) /* they take the lock to leave */
                pthread_cond_wait(&loop->todo_ready, &loop->lock);
        pthread_mutex_unlock(&loop->lock);
        loop_fd_free(loop->done_source);
        loop_fd_free(loop->signal_source);
        free_dead(loop);
        if (loop->done_fd >= 0)
                close(loop->done_fd);
        if (loop->signal_fd >= 0)
                close(loop->signal_fd);
        close(loop->epoll);
        free(loop->heap);
        free(loop->deferred);
        pthread_cond_destroy(&loop->todo_ready);
        pthread_mutex_destroy(&loop->lock);
        free(loop);
}

int64_t loop_now(const struct loop *loop)
{
        return loop->now;
}

void loop_stop(struct loop *loop, int code)
{
        loop->stopped = true;
        loop->code = code;
}

/* --- descriptors --- */

struct loop_fd *loop_fd_new(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn, void *userdata)
{
        struct loop_fd *source = new0(struct loop_fd);
        struct epoll_event ev = { .events = events, .data.ptr = source };

        *source = (struct loop_fd){ loop, fd, events, fn, userdata, false, NULL };
        if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
                abort(); /* a descriptor added twice, or a file: a mistake of the caller's */
        return source;
}

void loop_fd_set(struct loop_fd *source, uint32_t events)
{
        struct epoll_event ev = { .events = events, .data.ptr = source };

        if (source->events == events)
                return;
        source->events = events;
        epoll_ctl(source->loop->epoll, EPOLL_CTL_MOD, source->fd, &ev);
}

int loop_fd_get(const struct loop_fd *source)
{
        return source->fd;
}

void loop_fd_free(struct loop_fd *source)
{
        if (!source || source->dead)
                return;
        /* Fails harmlessly when the descriptor was closed before. */
        epoll_ctl(source->loop->epoll, EPOLL_CTL_DEL, source->fd, NULL);
        source->dead = true;
        source->next_dead = source->loop->dead;
        source->loop->dead = source;
}

/* --- timers: a binary heap --- */

static void heap_put(struct loop *loop, size_t i, struct loop_timer *t)
{
        loop->heap[i] = t;
        t->place = i + 1;
}

static void heap_up(struct loop *loop, size_t i)
{
        struct loop_timer *t = loop->heap[i];

        for (; i && loop->heap[(i - 1) / 2]->latest > t->latest; i = (i - 1) / 2)
                heap_put(loop, i, loop->heap[(i - 1) / 2]);
        heap_put(loop, i, t);
}

static void heap_down(struct loop *loop, size_t i)
{
        struct loop_timer *t = loop->heap[i];

        for (;;) {
                size_t child = 2 * i + 1;

                if (child + 1 < loop->n_timers &&
                    loop->heap[child + 1]->latest < loop->heap[child]->latest)
                        child++;
                if (child >= loop->n_timers || loop->heap[child]->latest >= t->latest)
                        break;
                heap_put(loop, i, loop->heap[child]);
                i = child;
        }
        heap_put(loop, i, t);
}

struct loop_timer *loop_timer_new(struct loop *loop, loop_timer_fn *fn, void *userdata)
{
        struct loop_timer *t = new0(struct loop_timer);

        t->loop = loop;
        t->fn = fn;
        t->userdata = userdata;
        return t;
}

void loop_timer_arm_slack(struct loop_timer *timer, int64_t in_ns, int64_t slack_ns)
{
        struct loop *loop = timer->loop;

        loop_timer_disarm(timer);
        timer->at = time_mono() + MAX(in_ns, (int64_t)0);
        timer->latest = timer->at + slack_ns;
        array_reserve(loop->heap, loop->cap_timers, loop->n_timers + 1);
        loop->heap[loop->n_timers] = timer;
        timer->place = ++loop->n_timers;
        heap_up(loop, loop->n_timers - 1);
}

void loop_timer_arm(struct loop_timer *timer, int64_t in_ns)
{
        loop_timer_arm_slack(timer, in_ns, 0);
}

void loop_timer_disarm(struct loop_timer *timer)
{
        struct loop *loop = timer->loop;
        size_t i = timer->place;

        if (!i)
                return;
        i--;
        timer->place = 0;
        loop->n_timers--;
        if (i == loop->n_timers)
                return;
        heap_put(loop, i, loop->heap[loop->n_timers]);
        heap_up(loop, i);
        heap_down(loop, loop->heap[i]->place - 1);
}

bool loop_timer_armed(const struct loop_timer *timer)
{
        return timer->place != 0;
}

void loop_timer_free(struct loop_timer *timer)
{
        if (!timer)
                return;
        loop_timer_disarm(timer);
        free(timer);
}

/* Those that are due; and, since we are awake, those whose slack has begun. */
static void run_timers(struct loop *loop)
{
        for (size_t guard = 0; guard < 10000; guard++) {
                struct loop_timer *due = NULL;

                if (loop->n_timers && loop->heap[0]->latest <= loop->now)
                        due = loop->heap[0];
                for (size_t i = 1; !due && i < MIN(loop->n_timers, (size_t)16); i++)
                        if (loop->heap[i]->at <= loop->now)
                                due = loop->heap[i];
                if (!due && loop->n_timers && loop->heap[0]->at <= loop->now)
                        due = loop->heap[0];
                if (!due)
                        return;
                loop_timer_disarm(due);
                due->fn(due, due->userdata);
        }
}

/* --- deferred --- */

void loop_defer(struct loop *loop, loop_defer_fn *fn, void *userdata)
{
        array_reserve(loop->deferred, loop->cap_deferred, loop->n_deferred + 1);
        loop->deferred[loop->n_deferred++] = (struct deferred){ fn, userdata };
}

static void run_deferred(struct loop *loop)
{
        struct deferred *list = loop->deferred;
        size_t n = loop->n_deferred, cap = loop->cap_deferred;

        if (!n)
                return;
        loop->deferred = NULL;
        loop->n_deferred = loop->cap_deferred = 0;
        for (size_t i = 0; i < n; i++)
                list[i].fn(list[i].userdata);
        if (loop->deferred) {
                free(list);
        } else { /* keep the memory for the next turn */
                loop->deferred = list;
                loop->cap_deferred = cap;
        }
}

/* --- turning --- */

/* epoll waits in milliseconds, rounded up: what is due a little later costs no second turn. */
static int wait_ms(const struct loop *loop, int64_t timeout_ns)
{
        int64_t ns = timeout_ns;

        if (loop->n_deferred)
                return 0;
        if (loop->n_timers) {
                int64_t left = MAX(loop->heap[0]->latest - time_mono(), (int64_t)0);

                ns = ns < 0 ? left : MIN(ns, left);
        }
        if (ns < 0)
                return -1;
        return (int)MIN((ns + NS_PER_MS - 1) / NS_PER_MS, (int64_t)INT32_MAX);
}

void loop_turn(struct loop *loop, int64_t timeout_ns)
{
        struct epoll_event events[EVENTS_A_TURN];
        int n = epoll_wait(loop->epoll, events, EVENTS_A_TURN, wait_ms(loop, timeout_ns));

        loop->now = time_mono();
        for (int i = 0; i < n; i++) {
                struct loop_fd *source = events[i].data.ptr;

                if (!source->dead)
                        source->fn(source, events[i].events, source->userdata);
        }
        run_timers(loop);
        run_deferred(loop);
        free_dead(loop);
}

int loop_run(struct loop *loop)
{
        loop->stopped = false;
        while (!loop->stopped)
                loop_turn(loop, -1);
        return loop->code;
}

/* --- signals --- */

static void on_signal(struct loop_fd *source, uint32_t events, void *userdata)
{
        struct loop *loop = userdata;
        struct signalfd_siginfo info;

        while (read(loop->signal_fd, &info, sizeof(info)) == sizeof(info)) {
                struct signal_handler *h = &loop->handlers[info.ssi_signo];

                if (h->fn)
                        h->fn((int)info.ssi_signo, h->userdata);
        }
}

int loop_signal(struct loop *loop, int signo, loop_signal_fn *fn, void *userdata)
{
        sigaddset(&loop->signals, signo);
        if (pthread_sigmask(SIG_BLOCK, &loop->signals, NULL) != 0)
                return -EINVAL;
        loop->handlers[signo] = (struct signal_handler){ fn, userdata };
        loop->signal_fd = signalfd(loop->signal_fd, &loop->signals, SFD_CLOEXEC | SFD_NONBLOCK);
        if (loop->signal_fd < 0)
                return -errno;
        if (!loop->signal_source)
                loop->signal_source = loop_fd_new(loop, loop->signal_fd, EPOLLIN, on_signal, loop);
        return 0;
}

/* --- workers --- */

/* Threads start when there is work and none is idle, and leave after a while without any. */
static void *worker(void *userdata)
{
        struct loop *loop = userdata;
        uint64_t one = 1;

        pthread_mutex_lock(&loop->lock);
        while (!loop->ending) {
                struct timespec until;
                struct work *w;
                int r = 0;

                if (list_empty(&loop->todo)) {
                        clock_gettime(CLOCK_REALTIME, &until);
                        until.tv_sec += WORKER_IDLE_S;
                        loop->idle_workers++;
                        r = pthread_cond_timedwait(&loop->todo_ready, &loop->lock, &until);
                        loop->idle_workers--;
                        if (list_empty(&loop->todo) && r == ETIMEDOUT)
                                break;
                        continue;
                }
                w = list_entry(loop->todo.next, struct work, link);
                list_remove(&w->link);
                pthread_mutex_unlock(&loop->lock);
                w->fn(w->userdata);
                pthread_mutex_lock(&loop->lock);
                list_push_back(&loop->done, &w->link);
                if (write(loop->done_fd, &one, sizeof(one)) < 0)
                        abort();
        }
        loop->workers--;
        pthread_cond_broadcast(&loop->todo_ready);
        pthread_mutex_unlock(&loop->lock);
        return NULL;
}

static void on_work_done(struct loop_fd *source, uint32_t events, void *userdata)
{
        struct loop *loop = userdata;
        struct list done;
        uint64_t count;

        if (read(loop->done_fd, &count, sizeof(count)) < 0)
                return;
        list_init(&done);
        pthread_mutex_lock(&loop->lock);
        while (!list_empty(&loop->done)) {
                struct list *e = loop->done.next;

                list_remove(e);
                list_push_back(&done, e);
        }
        pthread_mutex_unlock(&loop->lock);
        while (!list_empty(&done)) {
                struct work *w = list_entry(done.next, struct work, link);

                list_remove(&w->link);
                w->done(w->userdata);
                free(w);
        }
}

/* Workers must not take the signals that the loop waits for. */
static bool start_worker(struct loop *loop)
{
        pthread_attr_t attr;
        sigset_t all, old;
        pthread_t thread;
        int r;

        sigfillset(&all);
        pthread_attr_init(&attr);
        pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        pthread_attr_setstacksize(&attr, 512 * 1024);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        r = pthread_create(&thread, &attr, worker, loop);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        pthread_attr_destroy(&attr);
        return r == 0;
}

void loop_work(struct loop *loop, loop_work_fn *work, loop_defer_fn *done, void *userdata)
{
        struct work *w = new0(struct work);

        *w = (struct work){ .fn = work, .done = done, .userdata = userdata };
        if (!loop->done_source) {
                loop->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
                if (loop->done_fd < 0)
                        abort();
                loop->done_source = loop_fd_new(loop, loop->done_fd, EPOLLIN, on_work_done, loop);
        }
        pthread_mutex_lock(&loop->lock);
        list_push_back(&loop->todo, &w->link);
        if (!loop->idle_workers && loop->workers < WORKERS_MAX && start_worker(loop))
                loop->workers++;
        if (!loop->workers)
                abort(); /* no thread to be had at all */
        pthread_cond_signal(&loop->todo_ready);
        pthread_mutex_unlock(&loop->lock);
}
