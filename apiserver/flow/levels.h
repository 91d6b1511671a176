/* Priority levels: seats, queues, and who goes next. No clock, no fibers: whoever calls brings the time, in seconds.
 *
 * A level has NOMINAL seats: its share of the server's. Of those it may lend all but LEAST, and with what others lend it
 * may have up to MOST; LIMIT is what it has now. flow_levels_adjust(), called every ten seconds, moves seats to where
 * they were asked for (upstream's borrowing).
 *
 * A request takes one seat or, if it is much work, several, until it is through, and some keep theirs a little longer: for
 * the events that a write sends to watchers. In a level, requests of one flow go to one of a hand of queues (shuffle
 * sharding), the least loaded, so that a flow with many requests fills its own hand and not those of others; queues
 * take turns by the work they had, in virtual time (fair queuing).
 */
#pragma once

#include "../../lib/base/list.h"

struct flow_queue {
        struct list waiting;
        unsigned n_waiting, running;      /* requests */
        unsigned seats, waiting_seats;    /* in use, and first asked for */
        double next;                      /* virtual time at which its next request begins: seat-seconds */
};

struct flow_level {
        char *name;
        char uid[40];
        unsigned refs;
        struct flow_levels *of; /* NULL: it is gone; who is in it goes on, unlimited */
        bool exempt, rejects;
        unsigned nominal, least, most, limit;
        unsigned widest;        /* what one request may take; 0: no limit of its own */
        unsigned hand, queue_limit;
        struct flow_queue *queues;
        unsigned n_queues, turn, active; /* ACTIVE: queues that have requests */
        double now, last;       /* virtual time, and the clock's when it was counted */
        unsigned running, waiting, seats, waiting_seats;
        uint64_t dispatched, rejected, timed_out;
        struct {
                double seconds, sum, squares; /* since the last adjustment: of the seats asked for, in use or not */
                unsigned peak;
                double smoothed;
                double average, deviation;    /* as of the last adjustment */
        } demand;
};

struct flow_levels {
        struct flow_level **list;
        size_t n, cap;
        unsigned seats;         /* of the server */
};

/* How much work a request is: WIDTH seats while it is handled, FINAL for SECONDS more. */
struct flow_work {
        unsigned width, final;
        double seconds;
};

struct flow_waiter {
        struct list link;
        struct flow_level *level;
        unsigned queue;
        struct flow_work work;
        void *userdata;
        const void *about;      /* what the caller knows of it, for who lists the queue */
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
void flow_levels_set(struct flow_levels *all, const struct flow_limits *limits, double now);
/* Moves seats by what was asked for since the last time. */
void flow_levels_adjust(struct flow_levels *all, double now);

enum flow_verdict { FLOW_RUN, FLOW_WAIT, FLOW_REJECT };
/* A request comes, W->work of it. FLOW_RUN: it has its seats. FLOW_WAIT: W is in a queue. W->queue and W->work are what
 * flow_finish() and flow_release() are to be told. */
enum flow_verdict flow_arrive(struct flow_level *l, uint64_t hash, struct flow_waiter *w, double now);
/* It is through after SECONDS. Its seats are to be given back with flow_release() when WORK->seconds have passed. */
void flow_finish(struct flow_level *l, unsigned queue, const struct flow_work *work, double seconds, double now);
void flow_release(struct flow_level *l, unsigned queue, const struct flow_work *work, double now);
/* It does not want to wait any more. */
void flow_give_up(struct flow_waiter *w, double now);
/* The next waiter of L, who has a seat now; NULL: none can go. Call until then whenever seats come free. */
struct flow_waiter *flow_next(struct flow_level *l, double now);

/* The I-th card of the hand that HASH deals from a deck of N: RET has room for HAND. */
void flow_deal(uint64_t hash, unsigned n, unsigned hand, unsigned *ret);

/* Divides SUM among N who want TARGET each, in proportion, but not less than LEAST nor more than MOST. */
struct flow_claim {
        double target, least, most, ret;
};
void flow_divide(struct flow_claim *claims, size_t n, double sum);
