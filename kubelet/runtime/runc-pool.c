/* A few network namespaces with addresses, made ahead.
 *
 * Two thirds of the time that a sandbox takes are the CNI plugins: two programs, started one by the other. With
 * our own configuration what they do depends on nothing that the pod says, so they may as well run
 * before the pod comes. An entry is named by the id that the sandbox will get; taking it is a look
 * into a list. Other configurations' plugins may read the pod's name: those are never called ahead.
 *
 * The list is refilled when the node has a quiet moment: in a burst of pods the plugins cost the same
 * sooner or later. An entry that is left when the kubelet ends is given back by the next one: its id belongs
 * to no sandbox.
 */
#include "../../lib/base/encode.h"
#include "../../lib/base/log.h"
#include "../../lib/base/time.h"
#include "namespaces.h"
#include "runc.h"

#define POOL_SIZE 3
#define REFILL_AFTER (150 * NS_PER_MS) /* without a new sandbox: then its containers have been started */

struct netns_entry {
        struct arena *arena;
        const char *id;
        struct network_result result;
        uint64_t conf;
};

struct netns_pool {
        struct runc *r;
        struct netns_entry entries[POOL_SIZE];
        size_t n;
        struct loop_timer *timer;
        bool filling;
};

static struct network_pod pod_of(struct runc *r, struct arena *a, const char *id)
{
        return (struct network_pod){
                .id = id, .netns = namespaces_path(a, r->o.run, "net", id), .name = "", .namespace = "", .uid = "",
        };
}

static void give_back(struct runc *r, const char *id)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct network_pod pod = pod_of(r, a, id);

        network_del(r->network, &pod, NULL);
        namespaces_unpin(r->o.run, id);
}

struct give_back_task {
        struct runc *r;
        struct netns_entry entry;
};

static void give_back_fiber(void *userdata)
{
        struct give_back_task *t = userdata;

        give_back(t->r, t->entry.id);
        arena_free(t->entry.arena);
        free(t);
}

static int make_entry(struct netns_pool *p, struct netns_entry *ret, struct error *reterr)
{
        struct runc *r = p->r;
        struct netns_entry e = { .arena = arena_new(1024), .conf = network_own_conf(r->network) };
        int result;

        e.id = random_id(e.arena);
        struct namespaces_request q = { .run = r->o.run, .id = e.id, .net = true };
        struct network_pod pod = pod_of(r, e.arena, e.id);
        result = e.conf ? namespaces_pin(r->base.loop, &q, reterr) : -ENOTSUP;
        if (!result) {
                result = network_add(r->network, &pod, e.arena, &e.result, reterr);
                if (result < 0)
                        namespaces_unpin(r->o.run, e.id);
        }
        if (result < 0)
                arena_free(e.arena);
        else
                *ret = e;
        return result;
}

static void fill_fiber(void *userdata)
{
        struct netns_pool *p = userdata;

        while (p->n < POOL_SIZE && !p->r->building) {
                _cleanup_error_ struct error err = ERROR_INIT;
                struct netns_entry e;
                int r = make_entry(p, &e, &err);
                if (r < 0 && r != -ENOTSUP)
                        log_debug("no network ahead: %s", error_text(&err));
                if (r < 0)
                        break; /* the next pod will say what is wrong */
                p->entries[p->n++] = e;
        }
        p->filling = false;
}

static void on_timer(struct loop_timer *timer, void *userdata)
{
        struct netns_pool *p = userdata;

        if (p->filling)
                return;
        if (p->r->building) {
                runc_pool_refill(p->r);
                return;
        }
        p->filling = true;
        fiber_start(p->r->base.loop, fill_fiber, p);
}

void runc_pool_refill(struct runc *r)
{
        if (r->pool)
                loop_timer_arm(r->pool->timer, REFILL_AFTER);
}

static void sweep_fiber(void *userdata)
{
        struct runc *r = userdata;
        _cleanup_arena_ struct arena *a = arena_new(0);
        const char **ids;
        size_t n;

        network_list(r->network, a, &ids, &n);
        for (size_t i = 0; i < n; i++) {
                bool ahead = false;
                for (size_t j = 0; j < r->pool->n; j++)
                        ahead |= streq(r->pool->entries[j].id, ids[i]);
                if (!ahead && !map_has(&r->sandboxes, ids[i]))
                        give_back(r, ids[i]);
        }
        r->pool->filling = false;
        runc_pool_refill(r);
}

void runc_pool_start(struct runc *r)
{
        r->pool = new0(struct netns_pool);
        r->pool->r = r;
        r->pool->timer = loop_timer_new(r->base.loop, on_timer, r->pool);
        r->pool->filling = true; /* until what is left over is swept */
        fiber_start(r->base.loop, sweep_fiber, r);
}

void runc_pool_free(struct runc *r)
{
        if (!r->pool)
                return;
        while (r->pool->filling && fiber_self()) /* a fiber of the pool is under way */
                fiber_sleep(5 * NS_PER_MS);
        loop_timer_free(r->pool->timer);
        for (size_t i = 0; i < r->pool->n; i++)
                arena_free(r->pool->entries[i].arena);
        free(r->pool);
}

static bool may_take(const struct runtime_sandbox_config *c)
{
        for (size_t i = 0; i < c->n_ports; i++)
                if (c->ports[i].host_port > 0)
                        return false; /* portmap has to run, after the bridge */
        return !c->host_network && !json_len(c->sysctls);
}

bool runc_pool_take(struct runc_sandbox *s, const struct runtime_sandbox_config *c)
{
        struct netns_pool *p = s->r->pool;

        while (p && p->n && may_take(c)) {
                struct netns_entry e = p->entries[0];
                memmove(p->entries, p->entries + 1, --p->n * sizeof(e));
                if (e.conf != network_own_conf(s->r->network)) { /* the range of addresses is another now */
                        struct give_back_task *t = new0(struct give_back_task);
                        *t = (struct give_back_task){ s->r, e };
                        fiber_start(s->r->base.loop, give_back_fiber, t);
                        continue;
                }
                s->id = arena_strdup(s->arena, e.id);
                s->n_ips = e.result.n_ips;
                s->ips = arena_calloc(s->arena, (s->n_ips + 1) * sizeof(*s->ips));
                for (size_t i = 0; i < s->n_ips; i++)
                        s->ips[i] = arena_strdup(s->arena, e.result.ips[i]);
                s->networked = true;
                arena_free(e.arena);
                return true;
        }
        return false;
}
