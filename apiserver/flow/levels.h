/* Priority levels: seats, queues, and who goes next. No clock, no fibers: whoever calls brings the time.
 *
 * A level has NOMINAL seats: its share of the server's. LENDABLE of them lie in a pool that others may take from while
 * they are free, up to each one's MAX. Upstream moves seats every ten seconds by what it saw; here they are lent the
 * moment they are asked for and go back when the borrower's request ends, the owner being served first then.
 *
 * In a level, requests of one flow go to one of a hand of queues (shuffle sharding), the shortest, so that a flow with
 * many requests fills its own hand and not those of others; queues take turns by the work they had (fair queuing).
 */
#pragma once

#include "../../lib/base/list.h"

struct flow_queue {
        struct list waiting;
        unsigned n_waiting, running;
        double start; /* virtual seconds of work at which its next request begins */
};

struct flow_level {
        char *name;
        char uid[40];
        unsigned refs;
        struct flow_levels *of; /* NULL: it is gone; who is in it goes on, unlimited */
        bool exempt, rejects;
        unsigned nominal, lendable, max;
        unsigned hand, queue_limit;
        struct flow_queue *queues;
        unsigned n_queues;
        double now; /* virtual seconds */
        unsigned running, waiting;
        uint64_t dispatched, rejected, timed_out;
};

struct flow_levels {
        struct flow_level **list;
        size_t n, cap;
        unsigned seats;            /* of the server */
        unsigned pool, pool_taken; /* what is lendable, and what of it is taken, by its owners too */
};

struct flow_waiter {
        struct list link;
        struct flow_level *level;
        unsigned queue;
        void *userdata;
};

/* What a configuration says. SHARES and percents as in its spec; BORROWING < 0: no limit. QUEUES 0: it rejects. */
struct flow_limits {
        bool exempt;
        int64_t shares, lendable_percent, borrowing_percent, queues, hand, queue_limit;
};

struct flow_level *flow_level_new(struct flow_levels *all, const char *name);
struct flow_level *flow_level_find(const struct flow_levels *all, const char *name); /* NULL: none */
void flow_level_remove(struct flow_level *l);
void flow_level_unref(struct flow_level *l);
/* LIMITS is an entry for each of the list. Waiters stay. */
void flow_levels_set(struct flow_levels *all, const struct flow_limits *limits);

enum flow_verdict { FLOW_RUN, FLOW_WAIT, FLOW_REJECT };
/* A request comes. FLOW_RUN: it has a seat; W->queue is to be given to flow_finish(). FLOW_WAIT: W is in a queue. */
enum flow_verdict flow_arrive(struct flow_level *l, uint64_t hash, struct flow_waiter *w);
/* It is through after SECONDS of work. */
void flow_finish(struct flow_level *l, unsigned queue, double seconds);
/* It does not want to wait any more. */
void flow_give_up(struct flow_waiter *w);
/* A waiter who has a seat now, one of PREFER if there is one; NULL: none can go. Call until then after flow_finish() and
 * flow_levels_set(). */
struct flow_waiter *flow_next(struct flow_levels *all, struct flow_level *prefer);

/* The I-th card of the hand that HASH deals from a deck of N: RET has room for HAND. */
void flow_deal(uint64_t hash, unsigned n, unsigned hand, unsigned *ret);
