/* ResourceQuota: what a create would use is charged to the namespace's quotas before it is stored, by a write
 * that compares the quota's revision, so that concurrent creates cannot pass it together. */
#include "../../lib/loop/fiber.h"
#include "../../lib/meta/quota-usage.h"
#include "internal.h"

#define ATTEMPTS 16

static struct fiber_mutex charging; /* charges of one server come one after the other: no conflicts among them */

static int compare_names(const void *x, const void *y)
{
        return strcmp(*(const char *const *)x, *(const char *const *)y);
}

/* Those of LIST that HARD names. */
static void mask(struct arena *a, const struct resource_list *list, const struct resource_list *hard, struct resource_list *ret)
{
        *ret = (struct resource_list){ 0 };
        for (size_t i = 0; i < list->n; i++) {
                if (resource_list_get(hard, list->items[i].name))
                        resource_list_set(a, ret, list->items[i].name, &list->items[i].amount);
        }
}

/* "cpu,memory": what QUOTA limits of this kind and nobody has counted yet; NULL: nothing. */
static const char *uncounted(struct admission_attributes *at, const struct json *quota, const struct resource_list *hard,
                             const struct resource_list *used)
{
        struct arena *a = at->request->arena;
        const char **names = arena_alloc(a, (hard->n + 1) * sizeof(char *)), *text = NULL;
        bool all = true;
        size_t n = 0;

        for (size_t i = 0; i < hard->n; i++) {
                if (!quota_concerns(at->res->group, at->res->name, hard->items[i].name))
                        continue;
                names[n++] = hard->items[i].name;
                all &= resource_list_get(used, hard->items[i].name) != NULL;
        }
        qsort(names, n, sizeof(char *), compare_names);
        for (size_t i = 0; i < n && !all; i++)
                text = arena_printf(a, "%s%s%s", text ? text : "", text ? "," : "", names[i]);
        return text;
}

/* What can be said of a pod, or a quota that nobody counted, before anything is added up. */
static const struct status *check_fit(struct admission_attributes *at, struct json *quota)
{
        struct arena *a = at->request->arena;
        const char *name = get_string(quota, "metadata.name"), *why;
        struct resource_list hard, used;

        why = quota_constraints(a, quota, at->res->group, at->res->name, at->object);
        if (why)
                return deny(at, "failed quota: %s: %s", name, why);
        resource_list_from_json(a, json_path(quota, "status.hard"), &hard);
        resource_list_from_json(a, json_path(quota, "status.used"), &used);
        why = uncounted(at, quota, &hard, &used);
        return why ? deny(at, "status unknown for quota: %s, resources: %s", name, why) : NULL;
}

static const struct status *check(struct admission_attributes *at, struct json *quota, const struct resource_list *delta,
                                  bool *ret_charge)
{
        struct arena *a = at->request->arena;
        struct resource_list hard, used, wanted, over_req = { 0 }, over_used = { 0 }, over_hard = { 0 };
        const char *name = get_string(quota, "metadata.name");

        resource_list_from_json(a, json_path(quota, "status.hard"), &hard);
        resource_list_from_json(a, json_path(quota, "status.used"), &used);
        mask(a, delta, &hard, &wanted);
        for (size_t i = 0; i < wanted.n; i++) {
                const char *key = wanted.items[i].name;
                const struct quantity *have = resource_list_get(&used, key), *limit = resource_list_get(&hard, key);
                struct quantity sum;

                sum = have ? *have : (struct quantity){ 0 };
                quantity_add(&sum, &wanted.items[i].amount);
                if (quantity_cmp(&sum, limit) > 0 && !streq(at->subresource, "status")) {
                        resource_list_set(a, &over_req, key, &wanted.items[i].amount);
                        if (have)
                                resource_list_set(a, &over_used, key, have);
                        resource_list_set(a, &over_hard, key, limit);
                }
                resource_list_set(a, &used, key, &sum);
        }
        if (over_req.n)
                return deny(at, "exceeded quota: %s, requested: %s, used: %s, limited: %s", name,
                            resource_list_print(a, &over_req), resource_list_print(a, &over_used),
                            resource_list_print(a, &over_hard));
        *ret_charge = wanted.n > 0;
        if (*ret_charge)
                json_path_set(a, quota, "status.used", resource_list_to_json(a, &used));
        return NULL;
}

/* Charges (or, NEGATIVE, gives back) DELTA to the quota NAME. */
static const struct status *charge(struct admission_attributes *at, const char *name, const struct resource_list *delta,
                                   bool negative)
{
        const struct resource *res = builtin_resource("", "v1", "resourcequotas");
        struct arena *a = at->request->arena;
        const char *key = registry_key(a, res, at->namespace, name);
        struct entry *e = NULL;
        const struct status *st = NULL;
        bool lost = false;
        int r = 1;

        for (unsigned i = 0; r > 0 && i < ATTEMPTS; i++) {
                struct json *quota = NULL;
                struct entry *next = NULL;
                bool write = negative;

                entry_unref(e);
                e = NULL;
                lost = store_get_fresh(admission_store, key, &e, NULL) < 0 ||
                       (e && json_parse(a, e->json->data, e->json->len, NULL, &quota, NULL) < 0);
                if (lost || !e)
                        break; /* gone: it limits nothing */
                if (negative) {
                        json_foreach_member(json_path(quota, "status.used"), m) {
                                const struct quantity *back = resource_list_get(delta, m->key);
                                struct quantity q;
                                char text[QUANTITY_BUF];

                                if (back && m->value->type == JSON_STRING && quantity_parse(m->value->str, &q) >= 0) {
                                        quantity_sub(&q, back);
                                        m->value = json_new_string(a, quantity_format(&q, text));
                                }
                        }
                } else if ((st = check(at, quota, delta, &write))) {
                        break;
                }
                if (!write || at->dry_run)
                        break;
                r = store_put(admission_store, res, key, quota, e->revision, &next, NULL);
                lost = r > 0;
                entry_unref(next);
        }
        entry_unref(e);
        /* What could not be charged is not let in. */
        if (!st && !negative && (r < 0 || lost))
                st = status_internal(a, "resource quota %s cannot be charged", name);
        return st;
}

/* NOW less BEFORE, where that is more than nothing. */
static void added(struct arena *a, const struct resource_list *now, const struct resource_list *before,
                  struct resource_list *ret)
{
        *ret = (struct resource_list){ 0 };
        for (size_t i = 0; i < now->n; i++) {
                const struct quantity *old = resource_list_get(before, now->items[i].name);
                struct quantity q = now->items[i].amount;

                if (old)
                        quantity_sub(&q, old);
                if (q.nano > 0)
                        resource_list_set(a, ret, now->items[i].name, &q);
        }
}

/* All of QUOTAS are about the object. What was no business of one before the update is new to it, whole. */
static const struct status *charge_all(struct admission_attributes *at, const struct json *quotas)
{
        const char *group = at->res->group, *resource = at->res->name;
        struct arena *a = at->request->arena;
        struct resource_list now = { 0 }, before = { 0 }, nothing = { 0 };

        quota_usage(a, group, resource, at->object, &now);
        if (at->op == ADMISSION_UPDATE)
                quota_usage(a, group, resource, at->old, &before);
        json_foreach_item(quotas, q) {
                bool known = at->op == ADMISSION_UPDATE && quota_matches(q, group, resource, at->old);
                const char *name = get_string(q, "metadata.name");
                const struct status *st;
                struct resource_list delta;

                added(a, &now, known ? &before : &nothing, &delta);
                if (!delta.n)
                        continue;
                st = charge(at, name, &delta, false);
                if (st)
                        return st;
                if (at->dry_run)
                        continue;
                if (!at->charged)
                        at->charged = json_new_object(a);
                json_set(a, at->charged, name, resource_list_to_json(a, &delta));
        }
        return NULL;
}

static bool terminating(const struct json *pod)
{
        return json_is_number(json_path(pod, "spec.activeDeadlineSeconds"));
}

/* What can change the use of a namespace: creations, and the updates of those kinds whose size is in their fields. */
static bool handled(const struct admission_attributes *at)
{
        bool plain = !*at->subresource, update = at->op == ADMISSION_UPDATE;

        if (about(at, "", "pods") && update)
                return plain ? terminating(at->object) != terminating(at->old) : streq(at->subresource, "resize");
        if (about(at, "", "persistentvolumeclaims"))
                return plain || streq(at->subresource, "status");
        if (about(at, "", "services") || about(at, "resource.k8s.io", "resourceclaims"))
                return plain;
        return plain && !update && !about(at, "", "bindings") && !streq(at->res->name, "events");
}

static const struct status *validate(struct admission_attributes *at)
{
        struct arena *a = at->request->arena;
        struct json *quotas, *mine = json_new_array(a);
        const struct status *st;

        if (!at->res->namespaced || !*at->namespace || !handled(at))
                return NULL;
        quotas = admission_list(at, "", "v1", "resourcequotas", at->namespace);
        json_foreach_item(quotas, q) {
                if (!quota_matches(q, at->res->group, at->res->name, at->object))
                        continue;
                st = check_fit(at, q);
                if (st)
                        return st;
                json_append(a, mine, q);
        }
        if (!json_len(mine))
                return NULL;
        fiber_mutex_lock(&charging);
        st = charge_all(at, mine);
        fiber_mutex_unlock(&charging);
        if (st)
                quota_undo(at);
        return st;
}

void quota_undo(struct admission_attributes *at)
{
        struct json *charged = at->charged;

        at->charged = NULL;
        json_foreach_member(charged, m) {
                struct resource_list delta;

                resource_list_from_json(at->request->arena, m->value, &delta);
                charge(at, m->key, &delta, true);
        }
}

void quota_deinit(void)
{
}

const struct admission_plugin plugin_resource_quota = {
        .name = "ResourceQuota", .ops = ADMISSION_CREATE | ADMISSION_UPDATE, .validate = validate
};
