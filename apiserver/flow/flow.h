/* Priority and fairness: a request enters its priority level, waits there for a seat if it must, and leaves.
 *
 * What counts is a request that has been let in and is not answered: in this server of one thread those that are parked,
 * on etcd, on a webhook, on another server, and those that wait behind them. A watch counts until it has begun; exec,
 * attach, port-forward, logs and proxying do not count, as upstream's long-running requests. Each request is one seat.
 */
#pragma once

#include "../apiserver.h"

struct flow_level;

struct flow_ticket {
        struct flow_level *level; /* NULL: nobody counts it */
        unsigned queue;
        int64_t since;            /* monotonic */
        char schema[40];
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
