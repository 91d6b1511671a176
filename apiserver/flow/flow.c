/* The configuration of priority and fairness, and requests that wait (flow.h).
 *
 *      FlowSchemas, levels --feeds--> "changed" --> fiber: compiles all of them anew, in the same turn of the loop
 *                                              \--> conditions (Dangling), and the objects that every cluster has
 *
 * What is not contended costs a walk over the schemas and two counters. Who has to wait parks with a timer.
 */
#include "flow.h"

#include "../../lib/base/log.h"
#include "../../lib/base/time.h"
#include "../auth/auth.h"
#include "../auth/feed.h"
#include "../http/answer.h"
#include "../registry/registry.h"
#include "classify.h"
#include "levels.h"

#define WAIT_NS (15 * NS_PER_SEC) /* upstream: a quarter of the time that a request may take */
#define GROUP "flowcontrol.apiserver.k8s.io"

static struct {
        struct apiserver *server;
        struct flow_levels levels;
        struct arena *arena;          /* the schemas and their objects */
        struct flow_schema *schemas;  /* in order of precedence; those whose level exists */
        size_t n_schemas;
        struct fiber *fiber;
        bool waits, changed;
        uint64_t kept;                /* what the objects that every cluster has looked like when they were seen to */
} flow;

static void wake(void)
{
        if (!flow.waits)
                return;
        flow.waits = false;
        fiber_wake(flow.fiber);
}

static void changed(struct entry *e, void *userdata)
{
        flow.changed = true;
        wake();
}

static void cleared(void *userdata)
{
        flow.changed = true;
}

static void cut(void *userdata)
{
        wake();
}

static struct feed schemas = {.group = GROUP, .version = "v1", .resource = "flowschemas", .clear = cleared, .put = changed,
                              .del = changed, .cut = cut};
static struct feed levels = {.group = GROUP, .version = "v1", .resource = "prioritylevelconfigurations", .clear = cleared,
                             .put = changed, .del = changed, .cut = cut};

/* --- requests --- */

struct waiting {
        struct flow_waiter w;
        struct fiber *fiber;
        bool granted, expired;
};

static void on_expired(struct loop_timer *timer, void *userdata)
{
        struct waiting *x = userdata;

        if (!x->granted && !x->expired)
                fiber_wake(x->fiber);
        x->expired = true;
}

/* Lets in whom there is room for now. */
static void dispatch(struct flow_level *prefer)
{
        struct flow_waiter *w;

        while ((w = flow_next(&flow.levels, prefer))) {
                struct waiting *x = w->userdata;

                if (!x->expired)
                        fiber_wake(x->fiber);
                x->granted = true;
        }
}

/* True: it has a seat. */
static bool wait_for_seat(struct waiting *x)
{
        struct loop_timer *timer = loop_timer_new(flow.server->loop, on_expired, x);

        loop_timer_arm(timer, WAIT_NS);
        while (!x->granted && !x->expired)
                fiber_park();
        loop_timer_free(timer);
        if (!x->granted)
                flow_give_up(&x->w);
        return x->granted;
}

static bool is_long_running(const struct api_request *r)
{
        static const char *const subresources[] = {"attach", "exec", "log", "portforward", "proxy"};

        for (size_t i = 0; *r->subresource && i < ARRAY_SIZE(subresources); i++)
                if (strcmp(r->subresource, subresources[i]) == 0)
                        return true;
        return false;
}

static void refuse(struct api_request *r)
{
        static const char *const headers[] = {"Retry-After", "1", "X-Content-Type-Options", "nosniff", NULL};
        static const char text[] = "Too many requests, please try again later.\n";

        answer_buffer(r, 429, "text/plain; charset=utf-8", buffer_new_copy(text, sizeof(text) - 1), headers);
}

bool flow_enter(struct api_request *r, struct flow_ticket *t)
{
        const struct flow_schema *s;
        struct waiting x = {0};
        bool in;

        t->level = NULL;
        if (is_long_running(r) || !(s = flow_classify(flow.schemas, flow.n_schemas, r)))
                return true;
        t->level = flow_level_find(&flow.levels, s->level);
        if (!t->level)
                return true;
        t->level->refs++;
        memcpy(t->schema, s->uid, MIN(strlen(s->uid) + 1, sizeof(t->schema) - 1));
        r->flow_schema = t->schema;
        r->flow_level = t->level->uid;
        x.fiber = fiber_self();
        x.w.userdata = &x;
        switch (flow_arrive(t->level, t->level->n_queues ? flow_hash(s, r) : 0, &x.w)) {
        case FLOW_RUN:
                in = true;
                break;
        case FLOW_WAIT:
                in = wait_for_seat(&x);
                break;
        default:
                in = false;
        }
        t->queue = x.w.queue;
        t->since = t->level->n_queues ? time_mono() : 0;
        if (in)
                return true;
        refuse(r);
        flow_level_unref(t->level);
        t->level = NULL;
        return false;
}

void flow_leave(struct flow_ticket *t)
{
        struct flow_level *l = t->level;

        if (!l)
                return;
        flow_finish(l, t->queue, t->since ? (double)(time_mono() - t->since) / 1e9 : 0);
        if (l->waiting || flow.levels.pool_taken)
                dispatch(l);
        flow_level_unref(l);
}

/* --- the configuration --- */

struct collection {
        struct arena *arena;
        struct json *list;
};

static bool collect(struct entry *e, void *userdata)
{
        struct collection *c = userdata;
        struct json *obj;

        if (json_parse(c->arena, e->json->data, e->json->len, NULL, &obj, NULL) == 0)
                json_append(c->arena, c->list, obj);
        return true;
}

static struct json *all_of(struct arena *a, const char *resource)
{
        struct collection c = {a, json_new_array(a)};
        const struct resource *res = builtin_resource(GROUP, "v1", resource);

        store_scan(flow.server->store, registry_key(a, res, NULL, NULL), NULL, collect, &c);
        return c.list;
}

static const char *name_of(const struct json *obj)
{
        return json_path_string(obj, "metadata.name");
}

static const struct json *named(const struct json *list, const char *name)
{
        json_foreach_item(list, obj)
                if (streq(name_of(obj), name))
                        return obj;
        return NULL;
}

static struct flow_limits limits_of(const struct json *obj)
{
        bool exempt = streq(json_path_string(obj, "spec.type"), "Exempt");
        const struct json *x = json_path(obj, exempt ? "spec.exempt" : "spec.limited"), *q = json_path(x, "limitResponse.queuing");
        bool queue = !exempt && streq(json_path_string(x, "limitResponse.type"), "Queue");

        return (struct flow_limits){
                .exempt = exempt,
                .shares = json_get_int(x, "nominalConcurrencyShares", exempt ? 0 : 30),
                .lendable_percent = json_get_int(x, "lendablePercent", 0),
                .borrowing_percent = json_get_int(x, "borrowingLimitPercent", -1),
                .queues = queue ? json_get_int(q, "queues", 64) : 0,
                .hand = json_get_int(q, "handSize", 8),
                .queue_limit = json_get_int(q, "queueLengthLimit", 50),
        };
}

static void set_levels(struct arena *a, const struct json *list)
{
        struct flow_limits *limits = arena_calloc(a, (json_len(list) + 1) * sizeof(*limits));

        for (size_t i = flow.levels.n; i-- > 0;)
                if (!named(list, flow.levels.list[i]->name)) {
                        struct flow_level *l = flow.levels.list[i];

                        l->refs++;
                        flow_level_remove(l);
                        dispatch(l); /* who waited there goes on, unlimited */
                        flow_level_unref(l);
                }
        json_foreach_item(list, obj) {
                struct flow_level *l = flow_level_find(&flow.levels, name_of(obj));
                const char *uid = json_path_string(obj, "metadata.uid");

                if (!l)
                        l = flow_level_new(&flow.levels, name_of(obj));
                memcpy(l->uid, uid ? uid : "", MIN(strlen(uid ? uid : "") + 1, sizeof(l->uid) - 1));
        }
        for (size_t i = 0; i < flow.levels.n; i++)
                limits[i] = limits_of(named(list, flow.levels.list[i]->name));
        flow_levels_set(&flow.levels, limits);
}

static void set_schemas(struct arena *a, const struct json *list, const struct json *level_list)
{
        struct flow_schema *out = arena_calloc(a, (json_len(list) + 1) * sizeof(*out));
        size_t n = 0;

        json_foreach_item(list, obj)
                if (named(level_list, json_path_string(obj, "spec.priorityLevelConfiguration.name")))
                        flow_compile(a, obj, &out[n++]);
        if (n)
                qsort(out, n, sizeof(*out), flow_schema_cmp);
        flow.schemas = out;
        flow.n_schemas = n;
}

/* --- the condition of a schema --- */

static struct json *dangling(struct api_request *r, const struct json *schema, bool is)
{
        const char *level = json_path_string(schema, "spec.priorityLevelConfiguration.name");
        struct json *c = json_new_object(r->arena);
        char when[TIME_BUF];

        json_set_string(r->arena, c, "type", "Dangling");
        json_set_string(r->arena, c, "status", is ? "True" : "False");
        json_set_string(r->arena, c, "lastTransitionTime", time_format(time_real(), when));
        json_set_string(r->arena, c, "reason", is ? "NotFound" : "Found");
        json_set_string(r->arena, c, "message",
                        arena_printf(r->arena, "This FlowSchema references the PriorityLevelConfiguration object named \"%s\" %s", level,
                                     is ? "but there is no such object" : "and it exists"));
        return c;
}

static const struct json *condition_of(const struct json *schema)
{
        json_foreach_item(json_path(schema, "status.conditions"), c)
                if (streq(json_get_string(c, "type"), "Dangling"))
                        return c;
        return NULL;
}

static bool says(const struct json *have, const struct json *wanted)
{
        return streq(json_get_string(have, "status"), json_get_string(wanted, "status")) &&
               streq(json_get_string(have, "message"), json_get_string(wanted, "message"));
}

static const struct status *set_dangling(struct api_request *r, const struct json *old, struct json **ret_new, void *userdata)
{
        const struct json *have = condition_of(old);
        struct json *list = json_new_array(r->arena), *c = dangling(r, old, *(bool *)userdata);

        *ret_new = json_clone(r->arena, old);
        json_foreach_item(json_path(old, "status.conditions"), other)
                if (other != have)
                        json_append(r->arena, list, other);
        json_append(r->arena, list, have && says(have, c) ? json_clone(r->arena, have) : c);
        json_path_set(r->arena, *ret_new, "status.conditions", list);
        return NULL;
}

static void write_condition(const char *name, const struct json *schema, bool is)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        const struct status *st;
        struct api_request r;
        struct json *out;

        request_init_internal(&r, flow.server, a);
        r.field_manager = "api-priority-and-fairness-config-consumer-v1";
        r.res = builtin_resource(GROUP, "v1", "flowschemas");
        r.verb = "update";
        r.subresource = "status";
        if (says(condition_of(schema), dangling(&r, schema, is)))
                return;
        st = registry_update(&r, r.res, "", name, "status", set_dangling, &is, &out, NULL);
        if (st && st->code != 404)
                log_error("FlowSchema %s: %s", name, st->message);
}

/* --- the fiber --- */

/* Of the objects that are ours to keep: a sum that changes with any of their specs. */
static uint64_t sum_of_kept(const struct json *list)
{
        uint64_t sum = 0;

        json_foreach_item(list, obj) {
                const char *mark = json_get_string(json_path(obj, "metadata.annotations"), "apf.kubernetes.io/autoupdate-spec");

                if (streq(mark, "true") || streq(name_of(obj), "exempt") || streq(name_of(obj), "catch-all"))
                        sum += json_hash(json_get(obj, "spec")) ^ json_hash(json_path(obj, "metadata.name"));
        }
        return sum;
}

/* What is compiled must not change while it is written about: the condition is worked out from copies. */
static uint64_t take_over(void)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct arena *next = arena_new(0), *old = flow.arena;
        struct json *level_list = all_of(a, "prioritylevelconfigurations"), *schema_list = all_of(next, "flowschemas");
        struct json *copy = json_clone(a, schema_list);
        uint64_t sum = sum_of_kept(level_list) * 31 + sum_of_kept(copy);

        set_levels(a, level_list);
        set_schemas(next, schema_list, level_list);
        flow.arena = next;
        arena_free(old);
        dispatch(NULL);
        json_foreach_item(copy, obj)
                write_condition(name_of(obj), obj, !named(level_list, json_path_string(obj, "spec.priorityLevelConfiguration.name")));
        return sum;
}

/* Somebody changed or deleted what must be there. */
static void restore(uint64_t sum)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        _cleanup_error_ struct error err = ERROR_INIT;
        struct api_request r;

        if (sum == flow.kept)
                return;
        request_init_internal(&r, flow.server, a);
        if (auth_bootstrap_flow(&r, &err) < 0)
                log_error("priority and fairness: %s", error_text(&err));
        else
                flow.kept = sum;
}

static void run(void *userdata)
{
        flow.fiber = fiber_self();
        for (;;) {
                if (!flow.server->bootstrapped || !feed_ensure(&schemas, flow.server->store) ||
                    !feed_ensure(&levels, flow.server->store)) {
                        fiber_sleep(20 * NS_PER_MS);
                        continue;
                }
                if (flow.changed) {
                        flow.changed = false;
                        restore(take_over());
                        continue;
                }
                flow.waits = true;
                fiber_park();
                flow.waits = false;
        }
}

void flow_start(struct apiserver *s, const struct flow_options *o)
{
        flow.server = s;
        flow.levels.seats = o->max_inflight + o->max_mutating_inflight;
        fiber_start(s->loop, run, NULL);
}

void flow_metrics(struct strbuf *out)
{
        static const char *const names[] = {"nominal_limit_seats gauge", "current_executing_seats gauge",
                                            "current_inqueue_requests gauge", "dispatched_requests_total counter",
                                            "rejected_requests_total counter"};

        for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
                strbuf_printf(out, "# TYPE apiserver_flowcontrol_%s\n", names[k]);
                for (size_t i = 0; i < flow.levels.n; i++) {
                        const struct flow_level *l = flow.levels.list[i];
                        const uint64_t values[] = {l->nominal, l->running, l->waiting, l->dispatched, l->rejected + l->timed_out};

                        strbuf_printf(out, "apiserver_flowcontrol_%.*s{priority_level=\"%s\"} %llu\n", (int)strcspn(names[k], " "),
                                      names[k], l->name, (unsigned long long)values[k]);
                }
        }
}
