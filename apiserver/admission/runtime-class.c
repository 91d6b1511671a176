/* RuntimeClass (upstream's plugin/pkg/admission/runtimeclass): a pod takes over its class's overhead and scheduling. */
#include "../../lib/meta/quantity.h"
#include "internal.h"

/* The class a pod names; NULL: it names none. *ret_st: it is not there. */
static struct json *class_of(struct admission_attributes *at, const struct status **ret_st)
{
        const char *name = json_path_string(at->object, "spec.runtimeClassName");
        struct json *class;

        *ret_st = NULL;
        if (str_empty(name))
                return NULL;
        class = admission_get(at, "node.k8s.io", "v1", "runtimeclasses", "", name);
        if (!class) {
                admission_catch_up(at);
                class = admission_get(at, "node.k8s.io", "v1", "runtimeclasses", "", name);
        }
        if (!class)
                *ret_st = deny(at, "pod rejected: RuntimeClass \"%s\" not found", name);
        return class;
}

/* By value: "1Mi" and "1024Ki" are the same. */
static bool same_resources(const struct json *x, const struct json *y)
{
        if (json_len(x) != json_len(y))
                return false;
        json_foreach_member(x, m) {
                const struct json *other = json_get(y, m->key);
                struct quantity p, q;

                if (!other || quantity_parse(m->value->str, &p) < 0 || quantity_parse(other->str, &q) < 0 || quantity_cmp(&p, &q))
                        return false;
        }
        return true;
}

static const struct status *take_overhead(struct admission_attributes *at, const struct json *class)
{
        struct arena *a = at->request->arena;
        struct json *spec = json_get(at->object, "spec"), *has = json_get(spec, "overhead");
        const struct json *wanted = json_path(class, "overhead.podFixed");

        if (!wanted)
                return NULL;
        if (has && !same_resources(has, wanted))
                return deny(at, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead");
        json_set(a, spec, "overhead", json_clone(a, wanted));
        return NULL;
}

static const struct status *take_scheduling(struct admission_attributes *at, const struct json *class)
{
        struct arena *a = at->request->arena;
        struct json *spec = json_get(at->object, "spec");
        const struct json *scheduling = json_get(class, "scheduling");

        json_foreach_member(json_get(scheduling, "nodeSelector"), m) {
                struct json *selector = json_ensure_object(a, spec, "nodeSelector");
                const char *own = json_get_string(selector, m->key);

                if (own && !streq(own, json_string(m->value)))
                        return deny(at, "conflict: runtimeClass.scheduling.nodeSelector[%s] = %s; pod.spec.nodeSelector[%s] = %s",
                                    m->key, json_string(m->value), m->key, own);
                json_set(a, selector, m->key, json_clone(a, m->value));
        }
        json_foreach_item(json_get(scheduling, "tolerations"), toleration) {
                struct json *list = json_ensure_array(a, spec, "tolerations");
                bool there = false;

                json_foreach_item(list, t)
                        there |= json_equal(t, toleration);
                if (!there)
                        json_append(a, list, json_clone(a, toleration));
        }
        return NULL;
}

static const struct status *mutate(struct admission_attributes *at)
{
        const struct status *st = NULL;
        struct json *class;

        if (!pod_create(at))
                return NULL;
        class = class_of(at, &st);
        if (st || !class)
                return st;
        st = take_overhead(at, class);
        return st ? st : take_scheduling(at, class);
}

static const struct status *validate(struct admission_attributes *at)
{
        const struct status *st = NULL;
        struct json *class;
        const struct json *has;

        if (!pod_create(at))
                return NULL;
        class = class_of(at, &st);
        if (st)
                return st;
        has = json_path(at->object, "spec.overhead");
        if (class && has && !same_resources(has, json_path(class, "overhead.podFixed")))
                return deny(at, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead");
        if (!class && json_len(has))
                return deny(at, "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead");
        return NULL;
}

const struct admission_plugin plugin_runtime_class = {
        .name = "RuntimeClass", .ops = ADMISSION_CREATE, .mutate = mutate, .validate = validate
};
