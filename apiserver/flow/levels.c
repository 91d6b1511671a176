/* Seats and queues of priority levels: see levels.h. */
#include "levels.h"

#define GUESS 0.003 /* seconds of work that a request is taken for until it is through */
#define HAND_MAX 64
#define NO_QUEUE 0

/* --- levels --- */

struct flow_level *flow_level_new(struct flow_levels *all, const char *name)
{
        struct flow_level *l = new0(struct flow_level);

        l->name = xstrdup(name);
        l->refs = 1;
        l->of = all;
        array_reserve(all->list, all->cap, all->n + 1);
        all->list[all->n++] = l;
        return l;
}

struct flow_level *flow_level_find(const struct flow_levels *all, const char *name)
{
        for (size_t i = 0; i < all->n; i++)
                if (streq(all->list[i]->name, name))
                        return all->list[i];
        return NULL;
}

void flow_level_unref(struct flow_level *l)
{
        if (--l->refs)
                return;
        free(l->queues);
        free(l->name);
        free(l);
}

void flow_level_remove(struct flow_level *l)
{
        struct flow_levels *all = l->of;
        size_t i = 0;

        while (all->list[i] != l)
                i++;
        memmove(&all->list[i], &all->list[i + 1], (all->n - i - 1) * sizeof(*all->list));
        all->n--;
        l->of = NULL;
        flow_level_unref(l);
}

/* --- seats --- */

/* Its own seats that nobody else may take. */
static unsigned reserved(const struct flow_level *l)
{
        return l->nominal - l->lendable;
}

static bool has_seat(const struct flow_level *l)
{
        if (l->exempt || !l->of)
                return true;
        return l->running < l->max && (l->running < reserved(l) || l->of->pool_taken < l->of->pool);
}

static unsigned from_pool(const struct flow_level *l)
{
        return !l->exempt && l->running > reserved(l) ? l->running - reserved(l) : 0;
}

static void take_seat(struct flow_level *l, unsigned queue)
{
        if (l->of && !l->exempt && l->running >= reserved(l))
                l->of->pool_taken++;
        l->running++;
        l->dispatched++;
        if (l->n_queues)
                l->queues[queue].running++;
}

static void give_back_seat(struct flow_level *l)
{
        if (l->of && !l->exempt && l->running > reserved(l) && l->of->pool_taken)
                l->of->pool_taken--;
        l->running--;
}

/* --- queues --- */

static unsigned rounded_up(double x)
{
        unsigned n = (unsigned)x;

        return n + (n < x);
}

/* Waiters move along when a level has fewer queues than before. */
static void set_queues(struct flow_level *l, unsigned n)
{
        struct flow_queue *queues = n ? xcalloc(n, sizeof(*queues)) : NULL;

        for (unsigned i = 0; i < n; i++) {
                list_init(&queues[i].waiting);
                queues[i].start = l->now;
                queues[i].running = i < l->n_queues ? l->queues[i].running : 0;
        }
        for (unsigned i = 0; i < l->n_queues; i++) {
                struct flow_queue *from = &l->queues[i];

                while (!list_empty(&from->waiting)) {
                        struct flow_waiter *w = list_entry(from->waiting.next, struct flow_waiter, link);
                        struct flow_queue *to = n ? &queues[i % n] : NULL;

                        if (!to) /* cannot be: waiting went with the queues */
                                return;
                        list_remove(&w->link);
                        list_push_back(&to->waiting, &w->link);
                        w->queue = i % n;
                        to->n_waiting++;
                }
        }
        free(l->queues);
        l->queues = queues;
        l->n_queues = n;
}

void flow_levels_set(struct flow_levels *all, const struct flow_limits *limits)
{
        int64_t shares = 0;

        for (size_t i = 0; i < all->n; i++)
                shares += MAX(limits[i].shares, (int64_t)0);
        all->pool = all->pool_taken = 0;
        for (size_t i = 0; i < all->n; i++) {
                struct flow_level *l = all->list[i];
                const struct flow_limits *x = &limits[i];
                int64_t queues = MIN(MAX(x->queues, (int64_t)0), (int64_t)10000);

                l->exempt = x->exempt;
                l->rejects = !x->exempt && !queues;
                l->nominal = shares ? rounded_up((double)all->seats * (double)x->shares / (double)shares) : 0;
                l->lendable = MIN((unsigned)((double)l->nominal * (double)x->lendable_percent / 100 + 0.5), l->nominal);
                l->max = x->borrowing_percent < 0
                                 ? MAX(all->seats, l->nominal)
                                 : l->nominal + (unsigned)((double)l->nominal * (double)x->borrowing_percent / 100 + 0.5);
                l->hand = (unsigned)MIN(MAX(x->hand, (int64_t)1), (int64_t)HAND_MAX);
                l->queue_limit = (unsigned)MAX(x->queue_limit, (int64_t)0);
                if (queues != l->n_queues && (queues || !l->waiting))
                        set_queues(l, (unsigned)queues);
                all->pool += l->lendable;
                all->pool_taken += from_pool(l);
        }
}

void flow_deal(uint64_t hash, unsigned n, unsigned hand, unsigned *ret)
{
        for (unsigned i = 0; i < hand && i < n; i++) {
                unsigned card = (unsigned)(hash % (n - i)), at = 0;

                hash /= n - i;
                /* The card-th of those not dealt yet: RET is kept sorted, so each smaller one dealt pushes it on. */
                while (at < i && ret[at] <= card) {
                        card++;
                        at++;
                }
                memmove(&ret[at + 1], &ret[at], (i - at) * sizeof(*ret));
                ret[at] = card;
        }
}

static unsigned shortest(const struct flow_level *l, uint64_t hash)
{
        unsigned hand[HAND_MAX + 1], n = MIN(l->hand, l->n_queues), best;

        flow_deal(hash, l->n_queues, n, hand);
        best = hand[0];
        for (unsigned i = 1; i < n; i++) {
                const struct flow_queue *q = &l->queues[hand[i]], *b = &l->queues[best];

                if (q->n_waiting + q->running < b->n_waiting + b->running)
                        best = hand[i];
        }
        return best;
}

/* A queue that had nothing to do gains nothing by that. */
static void begin_if_idle(struct flow_level *l, struct flow_queue *q)
{
        if (!q->n_waiting && !q->running)
                q->start = l->now;
}

enum flow_verdict flow_arrive(struct flow_level *l, uint64_t hash, struct flow_waiter *w)
{
        struct flow_queue *q;

        w->level = l;
        w->queue = NO_QUEUE;
        list_init(&w->link);
        if (l->exempt || !l->n_queues) {
                if (!has_seat(l)) {
                        l->rejected++;
                        return FLOW_REJECT;
                }
                take_seat(l, NO_QUEUE);
                return FLOW_RUN;
        }
        w->queue = shortest(l, hash);
        q = &l->queues[w->queue];
        if (!l->waiting && has_seat(l)) {
                begin_if_idle(l, q);
                q->start += GUESS;
                take_seat(l, w->queue);
                return FLOW_RUN;
        }
        if (q->n_waiting >= l->queue_limit) {
                l->rejected++;
                return FLOW_REJECT;
        }
        begin_if_idle(l, q);
        list_push_back(&q->waiting, &w->link);
        q->n_waiting++;
        l->waiting++;
        return FLOW_WAIT;
}

static void unqueue(struct flow_waiter *w)
{
        list_remove(&w->link);
        w->level->queues[w->queue].n_waiting--;
        w->level->waiting--;
}

void flow_give_up(struct flow_waiter *w)
{
        unqueue(w);
        w->level->timed_out++;
}

void flow_finish(struct flow_level *l, unsigned queue, double seconds)
{
        give_back_seat(l);
        if (queue < l->n_queues) {
                struct flow_queue *q = &l->queues[queue];

                q->running -= q->running > 0;
                q->start += seconds - GUESS;
        }
}

/* The queue whose next request would be through first. */
static struct flow_waiter *first_waiter(struct flow_level *l)
{
        struct flow_queue *best = NULL;
        struct flow_waiter *w;

        for (unsigned i = 0; i < l->n_queues; i++)
                if (l->queues[i].n_waiting && (!best || l->queues[i].start < best->start))
                        best = &l->queues[i];
        w = list_entry(best->waiting.next, struct flow_waiter, link);
        l->now = MAX(l->now, best->start);
        best->start += GUESS;
        unqueue(w);
        take_seat(l, w->queue);
        return w;
}

struct flow_waiter *flow_next(struct flow_levels *all, struct flow_level *prefer)
{
        struct flow_level *best = NULL;

        if (prefer && prefer->waiting && has_seat(prefer) && prefer->running < prefer->nominal)
                return first_waiter(prefer);
        for (size_t i = 0; i < all->n; i++) { /* who has least of what is his */
                struct flow_level *l = all->list[i];

                if (l->waiting && has_seat(l) &&
                    (!best || (double)l->running * MAX(best->nominal, 1u) < (double)best->running * MAX(l->nominal, 1u)))
                        best = l;
        }
        if (!best && prefer && prefer->waiting && has_seat(prefer)) /* one that is gone */
                best = prefer;
        return best ? first_waiter(best) : NULL;
}
