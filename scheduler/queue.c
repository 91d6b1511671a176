/* The scheduling queue: see queue.h. */
#include "queue.h"

#include "../lib/base/map.h"
#include "../lib/base/time.h"

#define FIRST_BACKOFF NS_PER_SEC
#define MAX_BACKOFF (10 * NS_PER_SEC)
#define PARKED_AT_MOST (300 * NS_PER_SEC)

enum place { ACTIVE, BACKOFF, PARKED, TRYING };

struct waiting {
        char *key;
        int64_t priority;
        uint64_t seq;         /* who came first */
        enum place place;
        unsigned wake;        /* PARKED: what helps; TRYING: what has happened meanwhile */
        unsigned attempts;
        int64_t last_attempt;
        int64_t due;          /* BACKOFF and PARKED: when it moves by itself */
        bool failed;          /* BACKOFF: the world's fault, waited out whatever happens */
        size_t heap;          /* ACTIVE: place in the heap */
};

struct sched_queue {
        struct map all;
        struct waiting **heap; /* active: the highest priority, then the oldest, first */
        size_t n, cap;
        uint64_t seq;
};

struct sched_queue *sched_queue_new(void)
{
        return new0(struct sched_queue);
}

static void free_waiting(struct waiting *w)
{
        free(w->key);
        free(w);
}

void sched_queue_free(struct sched_queue *q)
{
        struct map_entry *e;

        map_foreach(&q->all, e)
                free_waiting(e->value);
        map_deinit(&q->all);
        free(q->heap);
        free(q);
}

size_t sched_queue_len(const struct sched_queue *q)
{
        return q->all.n;
}

/* --- the heap of active pods --- */

static bool before(const struct waiting *x, const struct waiting *y)
{
        return x->priority != y->priority ? x->priority > y->priority : x->seq < y->seq;
}

static void put(struct sched_queue *q, size_t i, struct waiting *w)
{
        q->heap[i] = w;
        w->heap = i;
}

static void sift_up(struct sched_queue *q, size_t i)
{
        struct waiting *w = q->heap[i];

        for (; i && before(w, q->heap[(i - 1) / 2]); i = (i - 1) / 2)
                put(q, i, q->heap[(i - 1) / 2]);
        put(q, i, w);
}

static void sift_down(struct sched_queue *q, size_t i)
{
        struct waiting *w = q->heap[i];

        for (;;) {
                size_t child = 2 * i + 1;

                if (child + 1 < q->n && before(q->heap[child + 1], q->heap[child]))
                        child++;
                if (child >= q->n || !before(q->heap[child], w))
                        break;
                put(q, i, q->heap[child]);
                i = child;
        }
        put(q, i, w);
}

static void leave(struct sched_queue *q, struct waiting *w)
{
        size_t i = w->heap;

        if (w->place != ACTIVE)
                return;
        q->n--;
        if (i < q->n) {
                put(q, i, q->heap[q->n]);
                sift_up(q, i);
                sift_down(q, q->heap[i]->heap);
        }
}

static void activate(struct sched_queue *q, struct waiting *w)
{
        w->place = ACTIVE;
        array_reserve(q->heap, q->cap, q->n + 1);
        put(q, q->n++, w);
        sift_up(q, q->n - 1);
}

/* --- moving --- */

static int64_t backoff_ends(const struct waiting *w)
{
        int64_t backoff = FIRST_BACKOFF;

        for (unsigned i = 1; i < w->attempts && backoff < MAX_BACKOFF; i++)
                backoff *= 2;
        return w->attempts ? w->last_attempt + MIN(backoff, MAX_BACKOFF) : 0;
}

static void back_off(struct sched_queue *q, struct waiting *w, int64_t now)
{
        leave(q, w);
        w->failed = false;
        w->due = backoff_ends(w);
        if (w->due <= now)
                activate(q, w);
        else
                w->place = BACKOFF;
}

void sched_queue_add(struct sched_queue *q, const char *key, int64_t priority, int64_t now_ns)
{
        struct waiting *w = map_get(&q->all, key);

        if (!w) {
                w = new0(struct waiting);
                w->key = xstrdup(key);
                w->seq = ++q->seq;
                w->priority = priority;
                map_put(&q->all, key, w);
                activate(q, w);
        } else if (w->place == TRYING) {
                w->wake = ~0u;
        } else if (w->place == PARKED) {
                back_off(q, w, now_ns);
        }
}

void sched_queue_remove(struct sched_queue *q, const char *key)
{
        struct waiting *w = map_del(&q->all, key);

        if (!w)
                return;
        leave(q, w);
        free_waiting(w);
}

static void move_due(struct sched_queue *q, int64_t now)
{
        struct map_entry *e;

        map_foreach(&q->all, e)
        {
                struct waiting *w = e->value;

                if ((w->place == BACKOFF || w->place == PARKED) && w->due <= now)
                        activate(q, w);
        }
}

/* With nothing else to do, who waits out a backoff need not: the one whose turn comes first; NULL: none. */
static struct waiting *first_of_backoff(const struct sched_queue *q)
{
        struct waiting *first = NULL;
        struct map_entry *e;

        map_foreach(&q->all, e)
        {
                struct waiting *w = e->value;

                if (w->place == BACKOFF && !w->failed && (!first || w->due < first->due))
                        first = w;
        }
        return first;
}

const char *sched_queue_pop(struct sched_queue *q, int64_t now_ns)
{
        struct waiting *w;

        if (!q->n)
                move_due(q, now_ns);
        w = q->n ? q->heap[0] : first_of_backoff(q);
        if (!w)
                return NULL;
        leave(q, w);
        w->place = TRYING;
        w->wake = 0;
        w->attempts++;
        w->last_attempt = now_ns;
        return w->key;
}

void sched_queue_park(struct sched_queue *q, const char *key, unsigned wake, int64_t now_ns)
{
        struct waiting *w = map_get(&q->all, key);

        if (!w)
                return;
        if (w->place == TRYING && w->wake & wake) {
                back_off(q, w, now_ns);
                return;
        }
        leave(q, w);
        w->place = PARKED;
        w->wake = wake;
        w->due = now_ns + PARKED_AT_MOST;
}

void sched_queue_retry(struct sched_queue *q, const char *key, int64_t now_ns)
{
        struct waiting *w = map_get(&q->all, key);

        if (!w)
                return;
        back_off(q, w, now_ns);
        w->failed = true;
}

void sched_queue_wake(struct sched_queue *q, unsigned wake, int64_t now_ns)
{
        struct map_entry *e;

        map_foreach(&q->all, e)
        {
                struct waiting *w = e->value;

                if (w->place == TRYING)
                        w->wake |= wake;
                else if (w->place == PARKED && w->wake & wake)
                        back_off(q, w, now_ns);
        }
}

int64_t sched_queue_next(const struct sched_queue *q)
{
        int64_t next = INT64_MAX;
        struct map_entry *e;

        if (q->n || first_of_backoff(q))
                return 0;
        map_foreach(&q->all, e)
        {
                const struct waiting *w = e->value;

                if (w->place == BACKOFF || w->place == PARKED)
                        next = MIN(next, w->due);
        }
        return next;
}
