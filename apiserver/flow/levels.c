/* Seats and queues of priority levels: see levels.h. */
#include <math.h>

#include "levels.h"

#define GUESS 0.003 /* seconds of work that a request is taken for until it is through */
#define HAND_MAX 64
#define NO_QUEUE 0
#define WIDEST_SHARE 0.15 /* of a level's seats may go to one request */
#define FORGETTING 0.977  /* how much of a past demand is remembered, each adjustment */
#define LEAST_TARGET 0.001

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

/* --- time, and what is asked for --- */

static unsigned seats_of(const struct flow_work *work)
{
        return MAX(work->width, work->final);
}

/* Virtual time runs as fast as each of the queues that have requests gets its share of the seats. */
static void advance(struct flow_level *l, double now)
{
        double dt = now - l->last, asked = l->seats + l->waiting_seats;

        if (!(dt > 0))
                return;
        l->last = now;
        l->demand.seconds += dt;
        l->demand.sum += dt * asked;
        l->demand.squares += dt * asked * asked;
        if (l->active)
                l->now += dt * MIN(asked, (double)l->limit) / l->active;
}

static void note_demand(struct flow_level *l)
{
        l->demand.peak = MAX(l->demand.peak, l->seats + l->waiting_seats);
}

static void take_stock(struct flow_level *l, double now)
{
        double variance, envelope;

        advance(l, now);
        if (l->demand.seconds > 0) {
                l->demand.average = l->demand.sum / l->demand.seconds;
                variance = l->demand.squares / l->demand.seconds - l->demand.average * l->demand.average;
                l->demand.deviation = variance > 0 ? sqrt(variance) : 0;
                envelope = l->demand.average + l->demand.deviation;
                l->demand.smoothed = MAX(envelope, FORGETTING * l->demand.smoothed + (1 - FORGETTING) * envelope);
        }
        l->demand.seconds = l->demand.sum = l->demand.squares = 0;
}

/* --- seats --- */

static unsigned nearest(double x)
{
        return (unsigned)(x + 0.5);
}

/* What all get if each gets SHARE of its target. */
static double given(struct flow_claim *claims, size_t n, double share)
{
        double sum = 0;

        for (size_t i = 0; i < n; i++) {
                struct flow_claim *c = &claims[i];

                c->ret = MAX(c->least, MIN(c->most, share * MAX(c->target, LEAST_TARGET)));
                sum += c->ret;
        }
        return sum;
}

void flow_divide(struct flow_claim *claims, size_t n, double sum)
{
        double low = 0, high = 1;

        while (given(claims, n, high) < sum && high < 1e12)
                high *= 2;
        for (int i = 0; i < 100; i++) { /* what is given grows with the share: halve until it is exact */
                double middle = (low + high) / 2;

                if (given(claims, n, middle) < sum)
                        low = middle;
                else
                        high = middle;
        }
        given(claims, n, high);
}

/* The least that L must have now: what it lends goes back as soon as it was needed. */
static unsigned needed(const struct flow_level *l)
{
        return MAX(l->least, l->exempt ? l->demand.peak : MIN(l->nominal, l->demand.peak));
}

static void set_limits(struct flow_levels *all)
{
        int64_t left = 0, least = 0, wanted = 0;
        struct flow_claim *claims = xcalloc(all->n + 1, sizeof(*claims));
        size_t n = 0;

        for (size_t i = 0; i < all->n; i++)
                left += all->list[i]->nominal;
        for (size_t i = 0; i < all->n; i++) {
                struct flow_level *l = all->list[i];

                if (l->exempt) {
                        l->limit = needed(l);
                        left -= l->limit;
                        continue;
                }
                least += l->least;
                wanted += needed(l);
                claims[n++] = (struct flow_claim){.target = MAX((double)needed(l), l->demand.smoothed), .least = needed(l), .most = l->most};
        }
        if (left > wanted)
                flow_divide(claims, n, (double)left);
        n = 0;
        for (size_t i = 0; i < all->n; i++) {
                struct flow_level *l = all->list[i];

                if (l->exempt)
                        continue;
                if (left > wanted)
                        l->limit = nearest(claims[n].ret);
                else if (left > least) /* not all can have what they need: each the same part of it */
                        l->limit = l->least + nearest((double)(needed(l) - l->least) * (double)(left - least) / (double)(wanted - least));
                else
                        l->limit = l->least;
                n++;
        }
        free(claims);
}

void flow_levels_adjust(struct flow_levels *all, double now)
{
        for (size_t i = 0; i < all->n; i++)
                take_stock(all->list[i], now);
        set_limits(all);
        for (size_t i = 0; i < all->n; i++)
                all->list[i]->demand.peak = all->list[i]->seats + all->list[i]->waiting_seats;
}

static bool fits(const struct flow_level *l, unsigned seats)
{
        if (l->exempt || !l->of)
                return true;
        if (seats > l->limit) /* wider than the level: alone, then */
                return !l->running;
        return l->seats + seats <= l->limit;
}

static void take_seats(struct flow_level *l, unsigned queue, const struct flow_work *work)
{
        l->running++;
        l->dispatched++;
        l->seats += seats_of(work);
        if (l->n_queues) {
                l->queues[queue].running++;
                l->queues[queue].seats += seats_of(work);
        }
}

/* --- queues --- */

static bool is_active(const struct flow_queue *q)
{
        return q->n_waiting || q->running;
}

static void enqueue(struct flow_level *l, struct flow_waiter *w, unsigned queue)
{
        struct flow_queue *q = &l->queues[queue];

        l->active += !is_active(q);
        w->queue = queue;
        list_push_back(&q->waiting, &w->link);
        q->n_waiting++;
        q->waiting_seats += w->work.width;
        l->waiting++;
        l->waiting_seats += seats_of(&w->work);
}

static void unqueue(struct flow_waiter *w)
{
        struct flow_level *l = w->level;
        struct flow_queue *q = &l->queues[w->queue];

        list_remove(&w->link);
        q->n_waiting--;
        q->waiting_seats -= w->work.width;
        l->waiting--;
        l->waiting_seats -= seats_of(&w->work);
        l->active -= !is_active(q);
}

static unsigned rounded_up(double x)
{
        unsigned n = (unsigned)x;

        return n + (n < x);
}

/* Waiters move along when a level has fewer queues than before. */
static void set_queues(struct flow_level *l, unsigned n)
{
        struct flow_queue *old = l->queues, *queues = n ? xcalloc(n, sizeof(*queues)) : NULL;
        unsigned n_old = l->n_queues;

        for (unsigned i = 0; i < n; i++) {
                list_init(&queues[i].waiting);
                queues[i].next = l->now;
                queues[i].running = i < n_old ? old[i].running : 0;
                queues[i].seats = i < n_old ? old[i].seats : 0;
        }
        l->queues = queues;
        l->n_queues = n;
        l->active = l->waiting = l->waiting_seats = 0;
        for (unsigned i = 0; i < n; i++)
                l->active += is_active(&queues[i]);
        for (unsigned i = 0; n && i < n_old; i++) /* to a level without queues none of those that wait come */
                while (!list_empty(&old[i].waiting)) {
                        struct flow_waiter *w = list_entry(old[i].waiting.next, struct flow_waiter, link);

                        list_remove(&w->link);
                        enqueue(l, w, i % n);
                }
        free(old);
}

void flow_levels_set(struct flow_levels *all, const struct flow_limits *limits, double now)
{
        int64_t shares = 0;

        for (size_t i = 0; i < all->n; i++)
                shares += MAX(limits[i].shares, (int64_t)0);
        for (size_t i = 0; i < all->n; i++) {
                struct flow_level *l = all->list[i];
                const struct flow_limits *x = &limits[i];
                int64_t queues = MIN(MAX(x->queues, (int64_t)0), (int64_t)10000);
                unsigned lendable;

                advance(l, now);
                l->exempt = x->exempt;
                l->rejects = !x->exempt && !queues;
                l->nominal = shares ? rounded_up((double)all->seats * (double)x->shares / (double)shares) : 0;
                lendable = MIN(nearest((double)l->nominal * (double)x->lendable_percent / 100), l->nominal);
                l->least = l->nominal - lendable;
                l->most = l->nominal + (x->borrowing_percent < 0 ? all->seats : nearest((double)l->nominal * (double)x->borrowing_percent / 100));
                l->hand = (unsigned)MIN(MAX(x->hand, (int64_t)1), (int64_t)HAND_MAX);
                l->queue_limit = (unsigned)MAX(x->queue_limit, (int64_t)0);
                l->widest = queues ? MAX(MIN(rounded_up((double)l->nominal * WIDEST_SHARE), l->nominal / l->hand), 1u) : 0;
                if (queues != l->n_queues && (queues || !l->waiting))
                        set_queues(l, (unsigned)queues);
        }
        flow_levels_adjust(all, now);
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

static unsigned least_loaded(const struct flow_level *l, uint64_t hash)
{
        unsigned hand[HAND_MAX + 1], n = MIN(l->hand, l->n_queues), best;

        flow_deal(hash, l->n_queues, n, hand);
        best = hand[0];
        for (unsigned i = 1; i < n; i++) {
                const struct flow_queue *q = &l->queues[hand[i]], *b = &l->queues[best];

                if (q->waiting_seats + q->seats < b->waiting_seats + b->seats)
                        best = hand[i];
        }
        return best;
}

static double work_of(const struct flow_work *work)
{
        return GUESS * work->width + work->final * work->seconds;
}

/* It begins. A queue that had nothing to do gains nothing by that. */
static void begin(struct flow_level *l, struct flow_queue *q, const struct flow_work *work)
{
        q->next += work_of(work);
        take_seats(l, (unsigned)(q - l->queues), work);
}

enum flow_verdict flow_arrive(struct flow_level *l, uint64_t hash, struct flow_waiter *w, double now)
{
        struct flow_queue *q;
        unsigned queue;

        w->level = l;
        w->queue = NO_QUEUE;
        list_init(&w->link);
        if (l->exempt || !l->n_queues) {
                if (!fits(l, seats_of(&w->work))) {
                        l->rejected++;
                        return FLOW_REJECT;
                }
                advance(l, now);
                take_seats(l, NO_QUEUE, &w->work);
                note_demand(l);
                return FLOW_RUN;
        }
        advance(l, now);
        queue = least_loaded(l, hash);
        q = &l->queues[queue];
        if (l->seats >= l->limit && q->n_waiting >= l->queue_limit) {
                l->rejected++;
                return FLOW_REJECT;
        }
        if (!is_active(q))
                q->next = l->now;
        if (!l->waiting && fits(l, seats_of(&w->work))) {
                w->queue = queue;
                l->active += !is_active(q);
                begin(l, q, &w->work);
                note_demand(l);
                return FLOW_RUN;
        }
        enqueue(l, w, queue);
        note_demand(l);
        return FLOW_WAIT;
}

void flow_give_up(struct flow_waiter *w, double now)
{
        advance(w->level, now);
        unqueue(w);
        w->level->timed_out++;
}

void flow_finish(struct flow_level *l, unsigned queue, const struct flow_work *work, double seconds, double now)
{
        advance(l, now);
        l->running--;
        if (queue < l->n_queues) {
                struct flow_queue *q = &l->queues[queue];

                q->running -= q->running > 0;
                q->next += (seconds - GUESS) * work->width;
                l->active -= l->active && !is_active(q);
        }
}

void flow_release(struct flow_level *l, unsigned queue, const struct flow_work *work, double now)
{
        advance(l, now);
        l->seats -= seats_of(work);
        if (queue < l->n_queues)
                l->queues[queue].seats -= MIN(l->queues[queue].seats, seats_of(work));
}

/* The one whose request would be through first; among equals, who has waited longer for his turn. */
static struct flow_waiter *first_waiter(struct flow_level *l, unsigned *ret_turn)
{
        struct flow_waiter *best = NULL;
        double first = 0;

        for (unsigned i = 1; i <= l->n_queues; i++) {
                unsigned at = (l->turn + i) % l->n_queues;
                struct flow_queue *q = &l->queues[at];
                struct flow_waiter *w = q->n_waiting ? list_entry(q->waiting.next, struct flow_waiter, link) : NULL;

                if (w && (!best || q->next + work_of(&w->work) < first)) {
                        best = w;
                        first = q->next + work_of(&w->work);
                        *ret_turn = at;
                }
        }
        return best;
}

struct flow_waiter *flow_next(struct flow_level *l, double now)
{
        struct flow_waiter *w;
        struct flow_queue *q;
        unsigned turn = 0;

        if (!l->waiting)
                return NULL;
        advance(l, now);
        w = first_waiter(l, &turn);
        if (!fits(l, seats_of(&w->work)))
                return NULL;
        l->turn = turn;
        q = &l->queues[w->queue];
        unqueue(w);
        if (l->of && w->work.final > l->limit && l->limit) { /* narrower, for longer: the same work */
                w->work.seconds *= (double)w->work.final / l->limit;
                w->work.final = l->limit;
        }
        l->active += !is_active(q);
        begin(l, q, &w->work);
        return w;
}
