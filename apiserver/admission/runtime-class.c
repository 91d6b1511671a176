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
                *ret_st = deny(at, "pod rejected: RuntimeClass %s not found", go_quoted(at->request->arena, name));
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

static const char *member(const struct json *t, const char *key)
{
        const char *s = json_get_string(t, key);

        return s ? s : "";
}

/* MORE tolerates all that T does. */
static bool takes_in(const struct json *more, const struct json *t)
{
        const char *op = member(more, "operator");
        const struct json *most = json_get(more, "tolerationSeconds"), *seconds = json_get(t, "tolerationSeconds");
        int64_t x = 0, y = 0;

        if (json_equal(more, t))
                return true;
        if (!streq(member(t, "key"), member(more, "key")) && (*member(more, "key") || !streq(op, "Exists")))
                return false;
        if (!streq(member(t, "effect"), member(more, "effect")) && *member(more, "effect"))
                return false;
        if (streq(member(more, "effect"), "NoExecute") && most && json_to_int(most, &x) == 0 &&
            (!seconds || json_to_int(seconds, &y) != 0 || y > x))
                return false;
        if (streq(op, "Exists"))
                return true;
        return (!*op || streq(op, "Equal")) && streq(member(t, "operator"), "Equal") &&
               streq(member(t, "value"), member(more, "value"));
}

/* Both lists, without what another one says too; of equal ones the first stays. */
static struct json *merged(struct arena *a, const struct json *first, const struct json *second)
{
        struct json *all = json_new_array(a), *out = json_new_array(a);

        json_foreach_item(first, t)
                json_append(a, all, json_clone(a, t));
        json_foreach_item(second, t)
                json_append(a, all, json_clone(a, t));
        json_foreach_item(all, t) {
                bool needless = false;

                json_foreach_item(out, kept)
                        needless |= takes_in(kept, t);
                for (size_t i = t_i + 1; i < json_len(all); i++)
                        needless |= takes_in(json_at(all, i), t) && !json_equal(json_at(all, i), t);
                if (!needless)
                        json_append(a, out, t);
        }
        return out;
}

static const struct status *take_scheduling(struct admission_attributes *at, const struct json *class)
{
        struct arena *a = at->request->arena;
        struct json *spec = json_get(at->object, "spec");
        const struct json *scheduling = json_get(class, "scheduling");

        if (!scheduling)
                return NULL;
        json_foreach_member(json_get(scheduling, "nodeSelector"), m) {
                struct json *selector = json_ensure_object(a, spec, "nodeSelector");
                const char *own = json_get_string(selector, m->key);

                if (own && !streq(own, json_string(m->value)))
                        return deny(at, "conflict: runtimeClass.scheduling.nodeSelector[%s] = %s; pod.spec.nodeSelector[%s] = %s",
                                    m->key, json_string(m->value), m->key, own);
                json_set(a, selector, m->key, json_clone(a, m->value));
        }
        if (json_len(json_get(spec, "tolerations")) || json_len(json_get(scheduling, "tolerations")))
                json_set(a, spec, "tolerations", merged(a, json_get(spec, "tolerations"), json_get(scheduling, "tolerations")));
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
