/* The driver: see proxy.h. */
#include "proxy.h"

#include <stdio.h>

#include "../lib/base/log.h"
#include "../lib/base/time.h"
#include "conntrack.h"
#include "health.h"
#include "nft.h"
#include "ruleset.h"
#include "watch.h"

#define GATHER_NS (5 * NS_PER_MS)
#define RETRY_FIRST_NS NS_PER_SEC
#define RETRY_MAX_NS (30 * NS_PER_SEC)

struct proxy {
        struct loop *loop;
        struct proxy_options o;
        struct ruleset *rules;  /* NULL: the host is not prepared yet */
        struct map dirty;       /* keys of Services to be looked at again */
        struct map flows;       /* Services with UDP: key to struct conntrack_flows */
        struct conntrack_flows to_flush;
        struct loop_timer *gather;
        size_t by_service;      /* the slices' index */
        int64_t retry_ns;
        struct table_watch *watch;
        struct health *health;
        bool on_fiber;
        bool look; /* whether the table is there: asked when the fiber has ended */
        bool full; /* the next transaction replaces the table */
};

static void kick(struct proxy *p);

/* --- what changed --- */

static const char *service_of_slice(const struct object *o)
{
        return json_get_string(json_path(o->json, "metadata.labels"), "kubernetes.io/service-name");
}

static void index_by_service(const struct object *o, void (*add)(void *ctx, const char *value), void *ctx)
{
        const char *name = service_of_slice(o);

        if (name) {
                _cleanup_free_ char *key = xasprintf("%s/%s", o->namespace, name);

                add(ctx, key);
        }
}

static void mark(struct proxy *p, const char *namespace, const char *name)
{
        _cleanup_free_ char *key = xasprintf("%s/%s", namespace, name);

        map_put(&p->dirty, key, p);
        kick(p);
}

static void on_service(struct informer *inf, struct object *old, struct object *new, void *userdata)
{
        struct object *o = new ? new : old;

        mark(userdata, o->namespace, o->name);
}

static void on_slice(struct informer *inf, struct object *old, struct object *new, void *userdata)
{
        struct object *const both[] = { old, new };

        for (size_t i = 0; i < ARRAY_SIZE(both); i++)
                if (both[i] && service_of_slice(both[i]))
                        mark(userdata, both[i]->namespace, service_of_slice(both[i]));
}

/* --- rendering --- */

/* Remembers what KEY has on UDP, and what the kernel may have to forget of it. */
static void note_flows(struct proxy *p, const char *key, const struct service *s)
{
        struct conntrack_flows none = { 0 }, now, *old = map_get(&p->flows, key);

        conntrack_flows_of(s, &now);
        if (conntrack_flows_equal(old ? old : &none, &now)) {
                conntrack_flows_deinit(&now);
                return;
        }
        conntrack_flows_changed(old ? old : &none, &now, &p->to_flush);
        if (old)
                conntrack_flows_deinit(old);
        if (now.n) {
                old = old ? old : new0(struct conntrack_flows);
                *old = now;
                map_put(&p->flows, key, old);
        } else {
                free(map_del(&p->flows, key));
        }
}

static void render(struct proxy *p, const char *key)
{
        _cleanup_error_ struct error err = ERROR_INIT;
        struct object *const *slices, *o = informer_get(p->o.services, key);
        _cleanup_arena_ struct arena *a = arena_new(16 << 10);
        struct rules rules = { .arena = a };
        const struct json **trees;
        struct service *s = NULL;
        size_t n;

        if (o) {
                slices = object_store_lookup(informer_store(p->o.slices), p->by_service, key, &n);
                trees = arena_alloc(a, (n + 1) * sizeof(*trees));
                for (size_t i = 0; i < n; i++)
                        trees[i] = slices[i]->json;
                s = service_parse(a, o->json, trees, n, p->o.node);
        }
        if (s)
                rules_service(&p->o.rules, s, &rules);
        if (health_set(p->health, key, s, &err) < 0)
                log_warn("%s", error_text(&err));
        note_flows(p, key, s);
        ruleset_set(p->rules, key, s ? &rules : NULL);
        rules_deinit(&rules);
}

static void render_dirty(struct proxy *p)
{
        struct map_entry *e;

        map_foreach(&p->dirty, e)
                render(p, e->key);
        map_clear(&p->dirty);
}

/* --- carrying out --- */

/* Writes the table again where somebody has taken it. */
static void look_for_table(struct proxy *p)
{
        p->look = false;
        if (p->full || table_watch_exists(p->watch))
                return;
        log_warn("table %s is gone; writing it again", p->o.rules.table);
        p->full = true;
        kick(p);
}

static void on_transaction(void *userdata)
{
        struct proxy *p = userdata;

        if (p->on_fiber)
                p->look = true;
        else
                look_for_table(p);
}

static int prepare(struct proxy *p, struct error *reterr)
{
        _cleanup_strbuf_ struct strbuf frame = STRBUF_INIT;
        int r;

        if (p->rules)
                return 0;
        r = host_prepare(p->loop, &p->o.host, &p->o.rules.bridge_unfiltered, reterr);
        if (r < 0)
                return r;
        r = table_watch_new(p->loop, p->o.rules.table, on_transaction, p, &p->watch, reterr);
        if (r < 0)
                return r;
        rules_frame(&p->o.rules, &frame);
        p->rules = ruleset_new(p->o.rules.table, strbuf_str(&frame));
        p->full = true;
        return 0;
}

struct transaction {
        struct strbuf text;
        struct conntrack_flows flows;
        bool full;
        char *dropper; /* see nft_forward_dropper() */
        int r;
        struct error err;
        size_t flushed;
        struct error flush_err;
};

static void apply(void *userdata)
{
        struct transaction *t = userdata;

        if (t->text.len)
                t->r = nft_apply(strbuf_str(&t->text), &t->err);
        if (t->full)
                t->dropper = nft_forward_dropper();
        if (t->r == 0 && t->flows.n)
                conntrack_flush(&t->flows, &t->flushed, &t->flush_err);
}

static void transaction_deinit(struct transaction *t)
{
        strbuf_deinit(&t->text);
        conntrack_flows_deinit(&t->flows);
        free(t->dropper);
        error_deinit(&t->err);
        error_deinit(&t->flush_err);
}

/* The first packets of UDP may come before the rules for them; later ones follow what the kernel
 * remembers. So it forgets after the rules are there, not before. */
static int sync_once(struct proxy *p, struct error *reterr)
{
        _cleanup_(transaction_deinit) struct transaction t = { STRBUF_INIT };
        bool full = p->full;
        int64_t begin = time_mono();

        render_dirty(p);
        ruleset_begin(p->rules, full, &t.text);
        t.full = full;
        t.flows = p->to_flush;
        p->to_flush = (struct conntrack_flows){ 0 };
        if (t.text.len || t.flows.n)
                fiber_work(p->loop, apply, &t);
        ruleset_end(p->rules, t.r == 0);
        if (t.r < 0) {
                static const struct conntrack_flows none;

                conntrack_flows_changed(&none, &t.flows, &p->to_flush);
                return error_set(reterr, t.r, "%s", error_text(&t.err));
        }
        if (t.flush_err.message)
                log_warn("%s", error_text(&t.flush_err));
        if (!full) {
                log_debug("%zu bytes of changes, %lld us; %zu flows forgotten", t.text.len,
                          (long long)((time_mono() - begin) / 1000), t.flushed);
                return 0;
        }
        p->full = false;
        log_info("table %s written: %zu entries, %lld ms", p->o.rules.table, ruleset_size(p->rules),
                 (long long)((time_mono() - begin) / NS_PER_MS));
        if (t.dropper)
                log_warn("table %s drops what is forwarded and not accepted there: it has to accept %s, or pods reach nothing",
                         t.dropper, p->o.rules.cluster_cidr);
        if (host_open_loopback(&t.err) < 0)
                log_warn("node ports on 127.0.0.1 will not answer: %s", error_text(&t.err));
        return 0;
}

static bool work_left(const struct proxy *p)
{
        return p->full || p->dirty.n || (p->rules && ruleset_dirty(p->rules));
}

static void sync_fiber(void *userdata)
{
        struct proxy *p = userdata;
        _cleanup_error_ struct error err = ERROR_INIT;
        int r = prepare(p, &err);

        while (r == 0 && work_left(p))
                r = sync_once(p, &err);
        p->on_fiber = false;
        if (r == 0) {
                p->retry_ns = 0;
                if (p->look)
                        look_for_table(p);
                return;
        }
        /* The first failure is followed by a full write at once: most likely somebody else touched our table. */
        log_warn("%s%s", error_text(&err), p->full ? "" : "; writing the whole table");
        if (p->full)
                p->retry_ns = MIN(MAX(p->retry_ns * 2, RETRY_FIRST_NS), RETRY_MAX_NS);
        p->full = true;
        loop_timer_arm(p->gather, p->retry_ns ? p->retry_ns : GATHER_NS);
}

static void on_gathered(struct loop_timer *timer, void *userdata)
{
        struct proxy *p = userdata;

        if (p->on_fiber)
                return;
        p->on_fiber = true;
        fiber_start(p->loop, sync_fiber, p);
}

/* Not before both lists are complete: half a picture would take Services away that are there. */
static void kick(struct proxy *p)
{
        if (p->on_fiber || loop_timer_armed(p->gather) || !informer_synced(p->o.services) ||
            !informer_synced(p->o.slices))
                return;
        loop_timer_arm(p->gather, GATHER_NS);
}

struct proxy *proxy_new(struct loop *loop, const struct proxy_options *o)
{
        struct proxy *p = new0(struct proxy);
        struct informer_handler services = { on_service, p }, slices = { on_slice, p };

        p->loop = loop;
        p->o = *o;
        p->full = true;
        map_init(&p->dirty);
        map_init(&p->flows);
        p->health = health_new(loop);
        p->gather = loop_timer_new(loop, on_gathered, p);
        p->by_service = object_store_add_index(informer_store(o->slices), index_by_service);
        informer_add_handler(o->services, &services);
        informer_add_handler(o->slices, &slices);
        return p;
}

void proxy_synced(struct proxy *p)
{
        kick(p);
}
