/* The prober: timers, attempts and what they lead to. See prober.h. */
#include "prober-internal.h"

#include <stdio.h>

#include "../../lib/base/encode.h"

struct probe_slot {
        struct probe_worker worker;
        struct probe_set *set;
        struct loop_timer *timer;
        bool present, running; /* running: an attempt is under way */
};

struct probe_set {
        struct prober *p;
        unsigned refs; /* the owner's, and one for each attempt */
        bool gone;     /* the owner freed it */
        void *userdata;
        struct arena *arena;
        const struct json *spec; /* a copy of what attempts read: the pod's object may be replaced meanwhile */
        char *container_id, *pod_ip;
        bool started;
        struct probe_slot slots[3];
};

static const char *const spec_keys[] = {"startupProbe", "readinessProbe", "livenessProbe"};

struct prober *prober_new(struct loop *loop, struct runtime *runtime, const struct prober_ops *ops)
{
        struct prober *p = new0(struct prober);
        p->loop = loop;
        p->runtime = runtime;
        p->ops = *ops;
        return p;
}

void prober_free(struct prober *p)
{
        if (!p)
                return;
        http_client_free(p->http);
        free(p);
}

static void set_unref(struct probe_set *s)
{
        if (--s->refs)
                return;
        free(s->container_id);
        free(s->pod_ip);
        arena_free(s->arena);
        free(s);
}

static void slot_arm(struct probe_slot *slot, int64_t at)
{
        int64_t now = time_real();
        /* A little slack lets probes of many pods share a wake-up. */
        loop_timer_arm_slack(slot->timer, MAX(at - now, (int64_t)0), slot->worker.period / 20);
}

static void slot_attempt(struct probe_slot *slot)
{
        struct probe_set *s = slot->set;
        struct probe_call call = {.handler = json_get(s->spec, spec_keys[slot->worker.kind]),
                                  .container = s->spec,
                                  .container_id = s->container_id,
                                  .host = s->pod_ip,
                                  .timeout = slot->worker.timeout};
        _cleanup_free_ char *text = NULL;
        enum probe_outcome outcome = probe_run(s->p, &call, &text);
        if (s->gone)
                return;
        const char *name = probe_kind_name(slot->worker.kind);
        if (outcome != PROBE_SUCCESS) {
                _cleanup_free_ char *event =
                        outcome == PROBE_FAILURE
                                ? xasprintf("%s probe failed: %s", name, text)
                                : xasprintf("%s probe errored and resulted in unknown state: %s", name, text);
                s->p->ops.unhealthy(s, event, s->userdata);
        }
        if (s->gone || !probe_outcome(&slot->worker, outcome))
                return;
        bool result = slot->worker.result;
        enum probe_kind kind = slot->worker.kind;
        if (kind == PROBE_STARTUP && result) {
                s->started = true;
                /* The others begin now, not at the end of their period. */
                for (size_t i = PROBE_READINESS; i <= PROBE_LIVENESS; i++)
                        if (s->slots[i].present && !s->slots[i].running)
                                slot_arm(&s->slots[i], probe_first(&s->slots[i].worker, time_real(), 0));
        }
        s->p->ops.result(s, kind, result, s->userdata);
}

static void slot_fiber(void *userdata)
{
        struct probe_slot *slot = userdata;
        struct probe_set *s = slot->set;
        slot_attempt(slot);
        slot->running = false;
        bool over = slot->worker.on_hold || (slot->worker.kind == PROBE_STARTUP && s->started);
        if (!s->gone && !over && !loop_timer_armed(slot->timer))
                slot_arm(slot, probe_next(&slot->worker, time_real()));
        set_unref(s);
}

static void slot_fire(struct loop_timer *timer, void *userdata)
{
        struct probe_slot *slot = userdata;
        struct probe_set *s = slot->set;
        if (slot->running)
                return;
        if (!probe_due(&slot->worker, time_real(), s->started)) {
                bool waits = slot->worker.kind != PROBE_STARTUP && !s->started;
                if (!slot->worker.on_hold && !waits)
                        slot_arm(slot, probe_next(&slot->worker, time_real()));
                return;
        }
        slot->running = true;
        s->refs++;
        fiber_start(s->p->loop, slot_fiber, slot);
}

static struct json *copy_spec(struct arena *a, const struct json *spec)
{
        struct json *copy = json_new_object(a);
        json_foreach_member(spec, m)
                if (str_has_suffix(m->key, "Probe") || streq(m->key, "ports") || streq(m->key, "name"))
                        json_set(a, copy, m->key, json_clone(a, m->value));
        return copy;
}

struct probe_set *probe_set_new(struct prober *p, const struct prober_target *t, void *userdata)
{
        struct probe_set *s = NULL;
        for (size_t i = 0; i < ARRAY_SIZE(spec_keys); i++) {
                const struct json *probe = json_get(t->spec, spec_keys[i]);
                if (!probe)
                        continue;
                if (!s) {
                        s = new0(struct probe_set);
                        s->p = p;
                        s->refs = 1;
                        s->userdata = userdata;
                        s->arena = arena_new(512);
                        s->spec = copy_spec(s->arena, t->spec);
                        s->container_id = xstrdup(t->container_id);
                        s->pod_ip = xstrdup(t->pod_ip ? t->pod_ip : "127.0.0.1");
                        s->started = t->startup_done || !json_get(t->spec, "startupProbe");
                }
                struct probe_slot *slot = &s->slots[i];
                slot->set = s;
                slot->present = true;
                slot->timer = loop_timer_new(p->loop, slot_fire, slot);
                probe_worker_init(&slot->worker, (enum probe_kind)i, probe, t->started);
        }
        for (size_t i = 0; s && i < ARRAY_SIZE(spec_keys); i++) {
                struct probe_slot *slot = &s->slots[i];
                double jitter = t->adopted ? random_below(1000) / 1000.0 : 0;
                if (slot->present && (i == PROBE_STARTUP ? !s->started : s->started))
                        slot_arm(slot, probe_first(&slot->worker, time_real(), jitter));
        }
        return s;
}

void probe_set_free(struct probe_set *s)
{
        if (!s)
                return;
        s->gone = true;
        for (size_t i = 0; i < ARRAY_SIZE(s->slots); i++) {
                loop_timer_free(s->slots[i].timer);
                s->slots[i].timer = NULL;
        }
        set_unref(s);
}
