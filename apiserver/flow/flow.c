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
#include "work.h"

#define ADJUST_NS (10 * NS_PER_SEC)
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
        struct loop_timer *adjust;    /* armed while somebody has asked for seats lately */
        struct loop_timer *release;   /* for the first of `late` */
        struct list late;             /* of struct late: seats that are kept a little longer, the next to go in front */
        struct flow_count *counts;
        struct list known;            /* of tickets: all requests that have come and not left */
        uint64_t kept;                /* what the objects that every cluster has looked like when they were seen to */
} flow = {.late = LIST_INIT(flow.late), .known = LIST_INIT(flow.known)};

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

static double seconds(int64_t ns)
{
        return (double)ns / NS_PER_SEC;
}

static void on_expired(struct loop_timer *timer, void *userdata)
{
        struct waiting *x = userdata;

        if (!x->granted && !x->expired)
                fiber_wake(x->fiber);
        x->expired = true;
}

/* Lets in whom there is room for now. */
static void dispatch(struct flow_level *l)
{
        struct flow_waiter *w;

        while (l->waiting && (w = flow_next(l, seconds(time_mono())))) {
                struct waiting *x = w->userdata;

                if (!x->expired)
                        fiber_wake(x->fiber);
                x->granted = true;
        }
}

static void dispatch_all(void)
{
        for (size_t i = 0; i < flow.levels.n; i++)
                dispatch(flow.levels.list[i]);
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
                flow_give_up(&x->w, seconds(time_mono()));
        return x->granted;
}

/* --- seats move --- */

static void on_adjust(struct loop_timer *timer, void *userdata)
{
        bool asked = false;

        flow_levels_adjust(&flow.levels, seconds(time_mono()));
        for (size_t i = 0; i < flow.levels.n; i++)
                asked |= flow.levels.list[i]->running || flow.levels.list[i]->demand.smoothed > 0.5;
        dispatch_all();
        if (asked)
                loop_timer_arm_slack(flow.adjust, ADJUST_NS, NS_PER_SEC);
}

/* Seats of a write that is answered, while watchers hear of it. */
struct late {
        struct list link;
        struct flow_level *level;
        struct flow_work work;
        unsigned queue;
        int64_t until;
};

static void on_release(struct loop_timer *timer, void *userdata)
{
        int64_t now = time_mono();

        while (!list_empty(&flow.late)) {
                struct late *x = list_entry(flow.late.next, struct late, link);

                if (x->until > now) {
                        loop_timer_arm(flow.release, x->until - now);
                        return;
                }
                list_remove(&x->link);
                flow_release(x->level, x->queue, &x->work, seconds(now));
                dispatch(x->level);
                flow_level_unref(x->level);
                free(x);
        }
}

/* Takes over the ticket's reference to its level. */
static void release_later(const struct flow_ticket *t, int64_t now)
{
        struct late *x = new0(struct late);
        struct list *at = flow.late.prev;

        *x = (struct late){.level = t->level, .work = {t->width, t->final, t->seconds}, .queue = t->queue,
                           .until = now + (int64_t)(t->seconds * NS_PER_SEC)};
        while (at != &flow.late && list_entry(at, struct late, link)->until > x->until)
                at = at->prev;
        list_insert_before(at->next, &x->link);
        if (flow.late.next == &x->link)
                loop_timer_arm(flow.release, x->until - now);
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
        t->count = s->count;
        r->flow_schema = t->schema;
        r->flow_level = t->level->uid;
        t->request = r;
        t->arrived = t->level->exempt ? loop_now(flow.server->loop) : time_mono();
        t->started = 0;
        list_push_back(&flow.known, &t->link);
        x.fiber = fiber_self();
        x.w.userdata = &x;
        x.w.work = t->level->exempt ? (struct flow_work){.width = 1} : flow_estimate(r, t->level->widest);
        if (!t->level->exempt && !loop_timer_armed(flow.adjust))
                loop_timer_arm_slack(flow.adjust, ADJUST_NS, NS_PER_SEC);
        switch (flow_arrive(t->level, t->level->n_queues ? flow_hash(s, r) : 0, &x.w, seconds(t->arrived))) {
        case FLOW_RUN:
                in = true;
                break;
        case FLOW_WAIT:
                t->count->waiting++;
                in = wait_for_seat(&x);
                t->count->waiting--;
                t->count->timed_out += !in;
                break;
        default:
                in = false;
                t->count->rejected++;
        }
        t->queue = x.w.queue;
        t->width = x.w.work.width;
        t->final = x.w.work.final;
        t->seconds = x.w.work.seconds;
        t->started = t->level->exempt ? t->arrived : time_mono();
        if (in) {
                t->count->dispatched++;
                t->count->running++;
                t->count->seats += MAX(t->width, t->final);
                t->count->waited += seconds(t->started - t->arrived);
                return true;
        }
        refuse(r);
        list_remove(&t->link);
        flow_level_unref(t->level);
        t->level = NULL;
        return false;
}

void flow_leave(struct flow_ticket *t)
{
        const struct flow_work work = {t->width, t->final, t->seconds};
        struct flow_level *l = t->level;
        int64_t now;

        if (!l)
                return;
        list_remove(&t->link);
        now = l->exempt ? t->started : time_mono();
        t->count->running--;
        t->count->seats -= MAX(t->width, t->final);
        t->count->worked += seconds(now - t->started);
        flow_finish(l, t->queue, &work, seconds(now - t->started), seconds(now));
        if (work.seconds > 0 && l->of) {
                release_later(t, now);
                return;
        }
        flow_release(l, t->queue, &work, seconds(now));
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
        flow_levels_set(&flow.levels, limits, seconds(time_mono()));
}

static struct flow_count *count_of(const char *schema, const char *level)
{
        struct flow_count *c = flow.counts;

        while (c && !(streq(c->schema, schema) && streq(c->level, level)))
                c = c->next;
        if (c)
                return c;
        c = new0(struct flow_count);
        c->schema = xstrdup(schema);
        c->level = xstrdup(level);
        c->next = flow.counts;
        flow.counts = c;
        return c;
}

static void set_schemas(struct arena *a, const struct json *list, const struct json *level_list)
{
        struct flow_schema *out = arena_calloc(a, (json_len(list) + 1) * sizeof(*out));
        size_t n = 0;

        json_foreach_item(list, obj)
                if (named(level_list, json_path_string(obj, "spec.priorityLevelConfiguration.name")))
                        flow_compile(a, obj, &out[n++]);
        for (size_t i = 0; i < n; i++)
                out[i].count = count_of(out[i].name, out[i].level);
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
        dispatch_all();
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
        flow.adjust = loop_timer_new(s->loop, on_adjust, NULL);
        flow.release = loop_timer_new(s->loop, on_release, NULL);
        flow.levels.seats = o->max_inflight + o->max_mutating_inflight;
        fiber_start(s->loop, run, NULL);
}

const struct flow_levels *flow_levels(void)
{
        return &flow.levels;
}

const struct list *flow_known(void)
{
        return &flow.known;
}

const struct flow_count *flow_counts(void)
{
        return flow.counts;
}
