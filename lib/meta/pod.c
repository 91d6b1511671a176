/* What several daemons ask of a pod. Pure functions over its JSON. */
#include "pod.h"

#include "../base/time.h"

/* --- resource lists --- */

const struct quantity *resource_list_get(const struct resource_list *l, const char *name)
{
        for (size_t i = 0; i < l->n; i++)
                if (strcmp(l->items[i].name, name) == 0)
                        return &l->items[i].amount;
        return NULL;
}

static struct quantity *slot(struct arena *a, struct resource_list *l, const char *name)
{
        struct quantity *have = (struct quantity *)resource_list_get(l, name);

        if (have)
                return have;
        if ((l->n & (l->n - 1)) == 0) { /* room for a power of two */
                struct resource_amount *grown = arena_alloc(a, MAX(l->n * 2, (size_t)1) * sizeof(*grown));

                if (l->n)
                        memcpy(grown, l->items, l->n * sizeof(*grown));
                l->items = grown;
        }
        l->items[l->n].name = arena_strdup(a, name);
        l->items[l->n].amount = (struct quantity){ 0 };
        return &l->items[l->n++].amount;
}

void resource_list_set(struct arena *a, struct resource_list *l, const char *name, const struct quantity *q)
{
        *slot(a, l, name) = *q;
}

void resource_list_add(struct arena *a, struct resource_list *l, const char *name, const struct quantity *q)
{
        quantity_add(slot(a, l, name), q);
}

/* An amount as text or as a plain number, both are in use. */
static bool amount_of(const struct json *j, struct quantity *ret)
{
        return (json_is_string(j) || json_is_number(j)) && quantity_parse(j->str, ret) == 0;
}

void resource_list_from_json(struct arena *a, const struct json *object, struct resource_list *ret)
{
        *ret = (struct resource_list){ 0 };
        json_foreach_member(object, m) {
                struct quantity q;

                if (amount_of(m->value, &q))
                        resource_list_set(a, ret, m->key, &q);
        }
}

struct json *resource_list_to_json(struct arena *a, const struct resource_list *l)
{
        struct json *object = json_new_object(a);
        char buf[QUANTITY_BUF];

        for (size_t i = 0; i < l->n; i++)
                json_set_string(a, object, l->items[i].name, quantity_format(&l->items[i].amount, buf));
        return object;
}

static void add_all(struct arena *a, struct resource_list *to, const struct resource_list *from)
{
        for (size_t i = 0; i < from->n; i++)
                resource_list_add(a, to, from->items[i].name, &from->items[i].amount);
}

static void raise_all(struct arena *a, struct resource_list *to, const struct resource_list *from)
{
        for (size_t i = 0; i < from->n; i++) {
                const struct quantity *have = resource_list_get(to, from->items[i].name);

                if (!have || quantity_cmp(have, &from->items[i].amount) < 0)
                        resource_list_set(a, to, from->items[i].name, &from->items[i].amount);
        }
}

/* --- requests --- */

static void sum(struct arena *a, const struct json *pod, const char *kind, struct resource_list *ret)
{
        const struct json *spec = json_get(pod, "spec");
        struct resource_list total = { 0 }, sidecars = { 0 }, init_peak = { 0 }, one;

        json_foreach_item(json_get(spec, "containers"), c) {
                resource_list_from_json(a, json_get(json_get(c, "resources"), kind), &one);
                add_all(a, &total, &one);
        }
        json_foreach_item(json_get(spec, "initContainers"), c) {
                resource_list_from_json(a, json_get(json_get(c, "resources"), kind), &one);
                if (streq(json_get_string(c, "restartPolicy"), "Always")) {
                        add_all(a, &total, &one);
                        add_all(a, &sidecars, &one);
                        raise_all(a, &init_peak, &sidecars);
                } else {
                        add_all(a, &one, &sidecars);
                        raise_all(a, &init_peak, &one);
                }
        }
        raise_all(a, &total, &init_peak);
        resource_list_from_json(a, json_get(json_get(spec, "resources"), kind), &one);
        for (size_t i = 0; i < one.n; i++)
                resource_list_set(a, &total, one.items[i].name, &one.items[i].amount);
        resource_list_from_json(a, json_get(spec, "overhead"), &one);
        for (size_t i = 0; i < one.n; i++)
                /* Overhead raises a limit only where there is one. */
                if (streq(kind, "requests") || resource_list_get(&total, one.items[i].name))
                        resource_list_add(a, &total, one.items[i].name, &one.items[i].amount);
        *ret = total;
}

void pod_requests(struct arena *a, const struct json *pod, struct resource_list *ret)
{
        sum(a, pod, "requests", ret);
}

void pod_limits(struct arena *a, const struct json *pod, struct resource_list *ret)
{
        sum(a, pod, "limits", ret);
}

/* --- QoS --- */

struct qos_seen {
        bool any;        /* some request or limit of cpu or memory */
        bool guaranteed; /* each container: both limits, and requests equal to them or absent */
};

static void qos_look(const struct json *resources, struct qos_seen *seen)
{
        static const char *const names[] = { "cpu", "memory" };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                struct quantity request = { 0 }, limit = { 0 };
                bool has_request = amount_of(json_get(json_get(resources, "requests"), names[i]), &request) &&
                                   request.nano > 0;
                bool has_limit = amount_of(json_get(json_get(resources, "limits"), names[i]), &limit) &&
                                 limit.nano > 0;

                seen->any |= has_request || has_limit;
                if (!has_limit || (has_request && quantity_cmp(&request, &limit) != 0))
                        seen->guaranteed = false;
        }
}

const char *pod_qos_class(const struct json *pod)
{
        struct qos_seen seen = { .guaranteed = true };
        const struct json *spec = json_get(pod, "spec");

        /* Those of the whole pod alone count where there are some, be they empty. */
        if (json_is_object(json_get(spec, "resources"))) {
                qos_look(json_get(spec, "resources"), &seen);
        } else {
                json_foreach_item(json_get(spec, "containers"), c)
                        qos_look(json_get(c, "resources"), &seen);
                json_foreach_item(json_get(spec, "initContainers"), c)
                        qos_look(json_get(c, "resources"), &seen);
        }
        return !seen.any ? "BestEffort" : seen.guaranteed ? "Guaranteed" : "Burstable";
}

/* --- status --- */

const struct json *pod_condition(const struct json *object, const char *type)
{
        json_foreach_item(json_path(object, "status.conditions"), c) {
                if (streq(json_get_string(c, "type"), type))
                        return c;
        }
        return NULL;
}

const char *pod_condition_status(const struct json *object, const char *type)
{
        return json_get_string(pod_condition(object, type), "status");
}

const char *pod_phase(const struct json *pod)
{
        const char *phase = json_path_string(pod, "status.phase");

        return phase ? phase : "";
}

bool pod_is_ready(const struct json *pod)
{
        return streq(pod_condition_status(pod, "Ready"), "True");
}

bool pod_is_available(const struct json *pod, int64_t min_ready_s, int64_t now)
{
        const struct json *c = pod_condition(pod, "Ready");
        const char *since = json_get_string(c, "lastTransitionTime");
        int64_t t;

        if (!streq(json_get_string(c, "status"), "True"))
                return false;
        if (min_ready_s <= 0)
                return true;
        return since && time_parse(since, &t) == 0 && t + min_ready_s * NS_PER_SEC <= now;
}

bool pod_is_terminal(const struct json *pod)
{
        return streq(pod_phase(pod), "Succeeded") || streq(pod_phase(pod), "Failed");
}

bool pod_is_active(const struct json *pod)
{
        return !pod_is_terminal(pod) && !json_path_string(pod, "metadata.deletionTimestamp");
}
