/* How much work a request is taken for, in seats (levels.h): upstream's estimates. */
#pragma once

#include "../apiserver.h"
#include "levels.h"

/* WIDEST: of the level; 0: none. */
struct flow_work flow_estimate(const struct api_request *r, unsigned widest);

/* What a list takes: COUNT objects of SIZE bytes, at most LIMIT of them (0: all) from the cache or from etcd. Pure. */
struct flow_list {
        int64_t count, size, limit;
        bool named, selects, cached;
};
unsigned flow_list_width(const struct flow_list *x);
/* What a write that WATCHES hear of takes. Pure. */
struct flow_work flow_write_work(unsigned watches, unsigned widest);

/* Who hears of writes: a watch begins, and ends with what the call gave (NULL allowed). */
struct flow_watch;
struct flow_watch *flow_watch_begin(const struct api_request *r);
void flow_watch_end(struct flow_watch *w);
/* For /metrics: the watches that go on. */
void flow_watch_metrics(struct strbuf *out);
