/* Priority and fairness: a request enters its priority level, waits there for a seat if it must, and leaves.
 *
 * What counts is a request that has been let in and is not answered: in this server of one thread those that are parked,
 * on etcd, on a webhook, on another server, and those that wait behind them. A watch counts until it has begun; exec,
 * attach, port-forward, logs and proxying do not count, as upstream's long-running requests. How many seats one takes is
 * estimated (work.h).
 */
#pragma once

#include "../apiserver.h"
#include "../../lib/base/list.h"

struct flow_level;

/* What became of the requests of one schema in one level. Stays, also when the schema goes. */
struct flow_count {
        struct flow_count *next;
        char *schema, *level;
        unsigned waiting, running, seats;
        uint64_t dispatched, rejected, timed_out;
        double waited, worked; /* seconds, of all */
};

/* A request that has come and not left; its owner keeps it where it is meanwhile. */
struct flow_ticket {
        struct flow_level *level; /* NULL: nobody counts it */
        unsigned queue, width, final;
        double seconds;
        int64_t arrived, started; /* monotonic; STARTED 0: it waits */
        const struct api_request *request;
        struct list link;
        struct flow_count *count;
        char schema[40]; /* its uid */
};

struct flow_options {
        unsigned max_inflight, max_mutating_inflight; /* their sum is what all levels share */
};
/* Follows FlowSchemas and PriorityLevelConfigurations; called once the store is there. Until it is, nothing is limited. */
void flow_start(struct apiserver *s, const struct flow_options *o);

/* R is known (who, what) and not authorized yet. True: go on, and call flow_leave(); R's answer will name its schema and
 * level. False: R was answered, 429. On R's fiber, which may have waited for at most a quarter of a minute. */
bool flow_enter(struct api_request *r, struct flow_ticket *t);
void flow_leave(struct flow_ticket *t);
/* For /metrics. */
void flow_metrics(struct strbuf *out);
/* /debug/api_priority_and_fairness/WHAT: dump_priority_levels, dump_queues, dump_requests. False: there is no such thing. */
bool flow_dump(const char *what, bool details, struct strbuf *out);
/* For those two (dump.c): the levels, the tickets, the counts. */
const struct flow_levels *flow_levels(void);
const struct list *flow_known(void);
const struct flow_count *flow_counts(void);
