/* What priority and fairness is doing: for /metrics, and the tables of /debug/api_priority_and_fairness/. */
#include "flow.h"

#include <stdio.h>
#include <stdlib.h>

#include "../../lib/base/time.h"
#include "levels.h"

/* --- metrics --- */

static void head(struct strbuf *out, const char *name, const char *type, const char *help)
{
        strbuf_printf(out, "# HELP apiserver_flowcontrol_%s %s\n# TYPE apiserver_flowcontrol_%s %s\n", name, help, name, type);
}

static void level_metrics(struct strbuf *out)
{
        static const struct {
                const char *name, *help;
        } metrics[] = {
                {"nominal_limit_seats", "[STABLE] Seats of each level by its share"},
                {"lower_limit_seats", "[STABLE] Seats that it never lends"},
                {"upper_limit_seats", "[STABLE] Seats that it has with all that it may borrow"},
                {"current_limit_seats", "[STABLE] Seats that it has now"},
                {"demand_seats_high_watermark", "[STABLE] Seats asked for at once in the last period"},
                {"demand_seats_average", "[STABLE] Seats asked for on average"},
                {"demand_seats_stdev", "[STABLE] Their standard deviation"},
                {"demand_seats_smoothed", "[STABLE] What is expected from that"},
        };
        const struct flow_levels *all = flow_levels();

        for (size_t k = 0; k < ARRAY_SIZE(metrics); k++) {
                head(out, metrics[k].name, "gauge", metrics[k].help);
                for (size_t i = 0; i < all->n; i++) {
                        const struct flow_level *l = all->list[i];
                        const double values[] = {l->nominal, l->least, l->most, l->limit, l->demand.peak, l->demand.average,
                                                 l->demand.deviation, l->demand.smoothed};

                        strbuf_printf(out, "apiserver_flowcontrol_%s{priority_level=\"%s\"} %g\n", metrics[k].name, l->name, values[k]);
                }
        }
}

static void count_metrics(struct strbuf *out)
{
        static const struct {
                const char *name, *type, *help;
        } metrics[] = {
                {"current_inqueue_requests", "gauge", "[BETA] Requests that wait"},
                {"current_executing_requests", "gauge", "[BETA] Requests that are handled"},
                {"current_executing_seats", "gauge", "[BETA] Seats that they take"},
                {"dispatched_requests_total", "counter", "[BETA] Requests that were let in"},
        };

        for (size_t k = 0; k < ARRAY_SIZE(metrics); k++) {
                head(out, metrics[k].name, metrics[k].type, metrics[k].help);
                for (const struct flow_count *c = flow_counts(); c; c = c->next) {
                        const uint64_t values[] = {c->waiting, c->running, c->seats, c->dispatched};

                        strbuf_printf(out, "apiserver_flowcontrol_%s{flow_schema=\"%s\",priority_level=\"%s\"} %llu\n", metrics[k].name,
                                      c->schema, c->level, (unsigned long long)values[k]);
                }
        }
}

void flow_metrics(struct strbuf *out)
{
        level_metrics(out);
        count_metrics(out);
        head(out, "rejected_requests_total", "counter", "[BETA] Requests that were sent away");
        for (const struct flow_count *c = flow_counts(); c; c = c->next) {
                const struct flow_level *l = flow_level_find(flow_levels(), c->level);

                if (c->rejected)
                        strbuf_printf(out, "apiserver_flowcontrol_rejected_requests_total{flow_schema=\"%s\",priority_level=\"%s\",reason=\"%s\"} %llu\n",
                                      c->schema, c->level, l && l->n_queues ? "queue-full" : "concurrency-limit",
                                      (unsigned long long)c->rejected);
                if (c->timed_out)
                        strbuf_printf(out, "apiserver_flowcontrol_rejected_requests_total{flow_schema=\"%s\",priority_level=\"%s\",reason=\"time-out\"} %llu\n",
                                      c->schema, c->level, (unsigned long long)c->timed_out);
        }
}

/* --- tables --- */

#define COLUMNS_MAX 18

struct table {
        struct arena *a;
        const char **cells;
        size_t n, cap, columns;
};

static void add(struct table *t, const char *cell)
{
        array_reserve(t->cells, t->cap, t->n + 1);
        t->cells[t->n++] = cell;
}

static void add_number(struct table *t, int64_t number)
{
        add(t, arena_printf(t->a, "%lld", (long long)number));
}

static void add_all(struct table *t, const char *const *cells)
{
        for (; *cells; cells++)
                add(t, *cells);
}

/* Columns are as wide as their widest cell, and at least eight; behind each cell but the last of a row is a comma. */
static void write_table(const struct table *t, struct strbuf *out)
{
        size_t width[COLUMNS_MAX] = {0};

        for (size_t i = 0; i < t->n; i++)
                width[i % t->columns] = MAX(width[i % t->columns], MAX(strlen(t->cells[i]) + 2, (size_t)8));
        for (size_t i = 0; i < t->n; i++) {
                size_t column = i % t->columns;

                if (column + 1 < t->columns)
                        strbuf_printf(out, "%s,%*s", t->cells[i], (int)(width[column] - strlen(t->cells[i]) - 1), "");
                else
                        strbuf_printf(out, "%s\n", t->cells[i]);
        }
}

static int by_name(const void *a, const void *b)
{
        return strcmp((*(struct flow_level *const *)a)->name, (*(struct flow_level *const *)b)->name);
}

static struct flow_level **sorted(struct arena *a, size_t *ret_n)
{
        const struct flow_levels *all = flow_levels();
        struct flow_level **list = arena_alloc(a, (all->n + 1) * sizeof(*list));

        if (all->n) {
                memcpy(list, all->list, all->n * sizeof(*list));
                qsort(list, all->n, sizeof(*list), by_name);
        }
        *ret_n = all->n;
        return list;
}

static void dump_levels(struct table *t)
{
        static const char *const heads[] = {"PriorityLevelName", "ActiveQueues", "IsIdle", "IsQuiescing", "WaitingRequests", "ExecutingRequests",
                                            "DispatchedRequests", "RejectedRequests", "TimedoutRequests", "CancelledRequests", NULL};
        size_t n;
        struct flow_level **list = sorted(t->a, &n);

        t->columns = 10;
        add_all(t, heads);
        for (size_t i = 0; i < n; i++) {
                const struct flow_level *l = list[i];
                int64_t waiting_queues = 0;

                for (unsigned q = 0; q < l->n_queues; q++)
                        waiting_queues += l->queues[q].n_waiting > 0;
                add(t, l->name);
                add_number(t, waiting_queues);
                add(t, l->running || l->waiting ? "false" : "true");
                add(t, "false");
                add_number(t, l->waiting);
                add_number(t, l->running);
                add_number(t, (int64_t)l->dispatched);
                add_number(t, (int64_t)l->rejected);
                add_number(t, (int64_t)l->timed_out);
                add_number(t, 0);
        }
}

static void dump_queues(struct table *t)
{
        static const char *const heads[] = {"PriorityLevelName", "Index", "PendingRequests", "ExecutingRequests", "SeatsInUse", "NextDispatchR",
                                            "InitialSeatsSum", "MaxSeatsSum", "TotalWorkSum", NULL};
        size_t n;
        struct flow_level **list = sorted(t->a, &n);

        t->columns = 9;
        add_all(t, heads);
        for (size_t i = 0; i < n; i++)
                for (unsigned k = 0; k < list[i]->n_queues; k++) {
                        const struct flow_queue *q = &list[i]->queues[k];
                        unsigned most = 0;
                        double work = 0;

                        list_foreach(&q->waiting, it) {
                                const struct flow_waiter *w = list_entry(it, struct flow_waiter, link);

                                most += MAX(w->work.width, w->work.final);
                                work += w->work.width * 0.003 + w->work.final * w->work.seconds;
                        }
                        add(t, list[i]->name);
                        add_number(t, k);
                        add_number(t, q->n_waiting);
                        add_number(t, q->running);
                        add_number(t, q->seats);
                        add(t, arena_printf(t->a, "%.8fss", q->next));
                        add_number(t, q->waiting_seats);
                        add_number(t, most);
                        add(t, arena_printf(t->a, "%.8fss", work));
                }
}

/* Monotonic to what a clock on the wall says. */
static const char *wall(struct arena *a, int64_t mono)
{
        char when[TIME_BUF];

        return mono ? arena_strdup(a, time_format_micro(time_real() - (time_mono() - mono), when)) : "0001-01-01T00:00:00Z";
}

static void dump_requests(struct table *t, bool details)
{
        static const char *const heads[] = {"PriorityLevelName", "FlowSchemaName", "QueueIndex", "RequestIndexInQueue", "FlowDistingsher",
                                            "ArriveTime", "InitialSeats", "FinalSeats", "AdditionalLatency", "StartTime", NULL};
        static const char *const more[] = {"UserName", "Verb", "APIPath", "Namespace", "Name", "APIVersion", "Resource", "SubResource", NULL};

        t->columns = details ? 18 : 10;
        add_all(t, heads);
        if (details)
                add_all(t, more);
        list_foreach(flow_known(), it) {
                const struct flow_ticket *k = list_entry(it, struct flow_ticket, link);
                const struct api_request *r = k->request;

                add(t, k->level->name);
                add(t, k->count->schema);
                add_number(t, k->level->n_queues ? (int64_t)k->queue : -1);
                add_number(t, k->started ? -1 : 0);
                add(t, r->user.name ? r->user.name : "");
                add(t, wall(t->a, k->arrived));
                add_number(t, k->width);
                add_number(t, k->final);
                add(t, k->seconds > 0 ? arena_printf(t->a, "%gms", k->seconds * 1000) : "0s");
                add(t, wall(t->a, k->started));
                if (!details)
                        continue;
                add(t, r->user.name ? r->user.name : "");
                add(t, r->verb);
                add(t, r->path);
                add(t, r->namespace);
                add(t, r->name);
                add(t, *r->group ? arena_printf(t->a, "%s/%s", r->group, r->version) : r->version);
                add(t, r->resource);
                add(t, r->subresource);
        }
}

bool flow_dump(const char *what, bool details, struct strbuf *out)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct table t = {.a = a};

        if (streq(what, "dump_priority_levels"))
                dump_levels(&t);
        else if (streq(what, "dump_queues"))
                dump_queues(&t);
        else if (streq(what, "dump_requests"))
                dump_requests(&t, details);
        else
                return false;
        write_table(&t, out);
        free(t.cells);
        return true;
}
