/* Resources of containers and pods: names, amounts, requests that fit their limits, claims. */
#include "../../lib/meta/pod.h"
#include "../../lib/meta/quantity.h"
#include "functions.h"
#include "resources.h"

static bool in_list(const char *const *list, const char *s)
{
        for (; *list; list++)
                if (streq(*list, s))
                        return true;
        return false;
}

/* --- names --- */

static bool huge_pages(const char *name)
{
        return str_has_prefix(name, "hugepages-");
}

bool resource_standard(const char *name)
{
        static const char *const names[] = {
                "cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.ephemeral-storage",
                "limits.cpu", "limits.memory", "limits.ephemeral-storage", "pods", "resourcequotas", "services",
                "replicationcontrollers", "secrets", "configmaps", "persistentvolumeclaims", "storage", "requests.storage",
                "services.nodeports", "services.loadbalancers", NULL,
        };

        return in_list(names, name) || huge_pages(name) || str_has_prefix(name, "requests.hugepages-");
}

bool resource_native(const char *name)
{
        return !strchr(name, '/') || strstr(name, "kubernetes.io/");
}

bool resource_extended(const char *name)
{
        _cleanup_arena_ struct arena *a = NULL;
        const char *messages[NAME_MESSAGES];

        if (resource_native(name) || str_has_prefix(name, "requests."))
                return false;
        a = arena_new(0);
        return name_check(a, NAME_QUALIFIED, arena_printf(a, "requests.%s", name), messages) == 0;
}

bool resource_whole(const char *name)
{
        static const char *const counted[] = {
                "pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps",
                "persistentvolumeclaims", "services.nodeports", "services.loadbalancers", NULL,
        };

        return in_list(counted, name) || resource_extended(name);
}

bool resource_overcommit(const char *name)
{
        return resource_native(name) && !huge_pages(name);
}

/* Qualified, and known where it has no domain. False: something is wrong. */
bool resource_name_known(struct check *c, const char *path, const char *name)
{
        const struct json *shown = json_new_string(c->a, name);
        size_t before = c->errs->n;

        name_validate(c->errs, NAME_QUALIFIED, path, shown);
        if (c->errs->n == before && !strchr(name, '/') && !resource_standard(name))
                field_error_add(c->errs, FIELD_INVALID, path, shown, "must be a standard resource type or fully qualified");
        return c->errs->n == before;
}

void resource_name_for_containers(struct check *c, const char *path, const char *name)
{
        static const char *const usual[] = { "cpu", "memory", "ephemeral-storage", NULL };
        const struct json *shown;

        if (in_list(usual, name))
                return;
        shown = json_new_string(c->a, name);
        resource_name_known(c, path, name);
        if (!strchr(name, '/')) {
                if (!huge_pages(name))
                        field_error_add(c->errs, FIELD_INVALID, path, shown, "must be a standard resource for containers");
        } else if (!resource_native(name) && !resource_extended(name)) {
                field_error_add(c->errs, FIELD_INVALID, path, shown, "doesn't follow extended resource name standard");
        }
}

static void name_for_pods(struct check *c, const char *path, const char *name)
{
        static const char *const supported[] = { "cpu", "hugepages-", "memory", NULL };

        if (resource_name_known(c, path, name) && !huge_pages(name) && !in_list(supported, name))
                field_error_not_supported(c->errs, path, json_new_string(c->a, name), supported);
}

/* --- amounts --- */

bool resource_amount_of(const struct json *j, struct quantity *ret)
{
        return (json_is_string(j) || json_is_number(j)) && quantity_parse(j->str, ret) == 0;
}

void resource_amount_check(struct check *c, const struct at *entry)
{
        struct quantity q;

        if (!resource_amount_of(entry->j, &q))
                return;
        if (q.nano < 0)
                check_invalid(c, entry, "must be greater than or equal to 0");
        if (q.nano % 1000000000 != 0 && resource_whole(entry->name))
                check_invalid(c, entry, "must be an integer");
}

/* Pages come whole: NAME says how big they are. */
static void check_pages(struct check *c, const struct at *entry)
{
        struct quantity q, page;
        bool sized = quantity_parse(entry->name + strlen("hugepages-"), &page) == 0 && page.nano > 0 && page.nano % 1000000000 == 0;

        if (resource_amount_of(entry->j, &q) && (!sized || quantity_value(&q) % quantity_value(&page)))
                check_invalid(c, entry, "%s is not positive integer multiple of %s", entry->j->str, entry->name);
}

typedef void name_fn(struct check *c, const char *path, const char *name);

static bool usual_container_name(const char *name)
{
        return streq(name, "cpu") || streq(name, "memory");
}

static void check_request(struct check *c, const struct at *requests, const struct at *limits, const struct json_member *m)
{
        const struct json *limit = json_getn(limits->j, m->key, m->key_len);
        bool overcommit = resource_overcommit(m->key);
        struct quantity q, l;
        int diff;

        if (!resource_amount_of(m->value, &q))
                return;
        if (!limit || !resource_amount_of(limit, &l)) {
                if (!overcommit)
                        check_required(c, limits, "Limit must be set for non overcommitable resources");
                return;
        }
        diff = quantity_cmp(&q, &l);
        if (diff != 0 && !overcommit)
                field_error_add(c->errs, FIELD_INVALID, at_path(c, requests), m->value, "must be equal to %s limit of %s", m->key,
                                limit->str);
        else if (diff > 0)
                field_error_add(c->errs, FIELD_INVALID, at_path(c, requests), m->value,
                                "must be less than or equal to %s limit of %s", m->key, limit->str);
}

/* AT: where both maps are; what they are is given, since an overhead is one without being called so. */
static void check_requirements(struct check *c, const struct at *at, const struct at *limits, const struct at *requests,
                               name_fn *check_one)
{
        const struct at *maps[] = { limits, requests };
        bool pages = false, ordinary = false;

        for (size_t i = 0; i < ARRAY_SIZE(maps); i++)
                json_foreach_member(maps[i]->j, m) {
                        const struct at *e = at_entry(c, maps[i], m);

                        if (usual_container_name(m->key))
                                ordinary = true;
                        else
                                check_one(c, at_path(c, e), m->key);
                        resource_amount_check(c, e);
                        if (i)
                                check_request(c, requests, limits, m);
                        if (huge_pages(m->key)) {
                                pages = true;
                                check_pages(c, e);
                        }
                }
        if (pages && !ordinary)
                check_forbidden(c, at, "HugePages require cpu or memory");
}

void check_resources(struct check *c, const struct at *at)
{
        check_requirements(c, at, at_field(c, at, "limits"), at_field(c, at, "requests"), resource_name_for_containers);
}

/* What a pod costs beyond its containers: checked as if it were limits. */
void check_pod_overhead(struct check *c, const struct at *at)
{
        struct at *limits, *requests;

        if (!at_set(at))
                return;
        limits = arena_memdup(c->a, at, sizeof(*at));
        limits->up = at;
        limits->name = "limits";
        limits->shown = NULL;
        requests = arena_memdup(c->a, limits, sizeof(*at));
        requests->name = "requests";
        requests->j = json_new_null(c->a);
        check_requirements(c, at, limits, requests, resource_name_for_containers);
}

/* --- of the whole pod --- */

static void above_containers(struct check *c, const struct at *map, const struct resource_list *sum, const char *which, bool only_pages)
{
        for (size_t i = 0; i < sum->n; i++) {
                const char *name = sum->items[i].name;
                struct json *mine = json_get(map->j, name);
                struct json_member m = json_member_of(name, mine);
                struct quantity q;
                char buf[QUANTITY_BUF];

                if (!mine || (only_pages && !huge_pages(name)) || !resource_amount_of(mine, &q) ||
                    quantity_cmp(&sum->items[i].amount, &q) <= 0)
                        continue;
                check_invalid(c, at_entry(c, map, &m), "must be greater than or equal to aggregate container %s of %s", which,
                              quantity_format(&sum->items[i].amount, buf));
        }
}

void check_pod_resources(struct check *c, const struct at *at)
{
        const struct at *limits = at_field(c, at, "limits"), *requests = at_field(c, at, "requests");
        const struct at *claims = at_field(c, at, "claims");
        struct resource_list sum = { 0 };
        struct json *alone, *spec;
        struct quantity q, most;

        if (streq(json_path_string(at->up->j, "os.name"), "windows")) {
                check_forbidden(c, at, "may not be set for a windows pod");
                return;
        }
        if (at_set(claims) || cond_sent_empty(c, claims))
                check_forbidden(c, claims, "claims may not be set for Resources at pod-level");
        check_requirements(c, at, limits, requests, name_for_pods);
        check_resource_claims(c, at);

        alone = json_new_object(c->a); /* the pod without its own resources: those of its containers add up */
        spec = json_clone_shallow(c->a, at->up->j);
        json_del(spec, "resources");
        json_del(spec, "overhead");
        json_set(c->a, alone, "spec", spec);
        pod_requests(c->a, alone, &sum);
        above_containers(c, requests, &sum, "requests", false);
        sum = (struct resource_list){ 0 };
        pod_limits(c->a, alone, &sum);
        above_containers(c, limits, &sum, "limits", true);
        json_foreach_item(json_get(at->up->j, "containers"), k)
                json_foreach_member(json_path(k, "resources.limits"), m)
                        if (resource_amount_of(m->value, &q) && resource_amount_of(json_get(limits->j, m->key), &most) &&
                            quantity_cmp(&q, &most) > 0)
                                field_error_add(c->errs, FIELD_INVALID,
                                                arena_printf(c->a, "%s.containers[%zu][%s].limits", at_path(c, at), k_i, m->key),
                                                m->value, "must be less than or equal to pod limits of %s",
                                                json_get(limits->j, m->key)->str);
}

/* --- claims --- */

static const struct at *spec_of(const struct at *at)
{
        while (at->up && !json_get(at->j, "containers"))
                at = at->up;
        return at;
}

static int by_name(const void *x, const void *y)
{
        return strcmp(*(const char *const *)x, *(const char *const *)y);
}

/* "a, b": the names in order. */
static const char *claim_names(struct check *c, const struct json *claims)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        const char **names = arena_calloc(c->a, (json_len(claims) + 1) * sizeof(*names));
        size_t n = 0;

        json_foreach_item(claims, k)
                names[n++] = json_get_string(k, "name") ?: "";
        qsort(names, n, sizeof(*names), by_name);
        for (size_t i = 0; i < n; i++)
                strbuf_printf(&b, "%s%s", i ? ", " : ": ", names[i]);
        return arena_strndup(c->a, strbuf_str(&b), b.len);
}

/* Whether claims before INDEX name the same: the whole claim, this request of it, or any (then WHOLE asks). */
static bool claimed_before(const struct json *list, size_t index, const char *name, const char *request, bool whole)
{
        for (size_t i = 0; i < index; i++) {
                const char *other = json_get_string(json_at(list, i), "name"), *part = json_get_string(json_at(list, i), "request");

                if (streq(other, name) && (whole ? str_empty(part) : streq(part ?: "", request)))
                        return true;
        }
        return false;
}

void check_resource_claims(struct check *c, const struct at *at)
{
        const struct at *claims = at_field(c, at, "claims");
        const struct json *there = json_get(spec_of(at)->j, "resourceClaims");

        for (size_t i = 0; i < json_len(claims->j); i++) {
                const struct at *one = at_item(c, claims, i), *request = at_field(c, one, "request");
                const char *name = json_get_string(one->j, "name"), *part = json_string(request->j) ?: "";
                bool found = false;

                if (str_empty(name)) {
                        check_required(c, one, NULL);
                        continue;
                }
                json_foreach_item(there, k)
                        found |= streq(json_get_string(k, "name"), name);
                if (claimed_before(claims->j, i, name, "", true)) {
                        field_error_add(c->errs, FIELD_DUPLICATE, at_path(c, one), json_new_string(c->a, name), NULL);
                } else {
                        if (*part)
                                check_name(c, request, NAME_DNS1123_LABEL);
                        if (*part && claimed_before(claims->j, i, name, part, false))
                                field_error_add(c->errs, FIELD_DUPLICATE, at_path(c, one), json_new_stringf(c->a, "%s/%s", name, part),
                                                NULL);
                        for (size_t k = 0; !*part && k < i; k++)
                                if (streq(json_get_string(json_at(claims->j, k), "name"), name))
                                        field_error_add(c->errs, FIELD_DUPLICATE, at_path(c, one), json_new_string(c->a, name), NULL);
                }
                if (!found)
                        field_error_add(c->errs, FIELD_NOT_FOUND, at_path(c, one), json_new_string(c->a, name),
                                        "must be one of the names in pod.spec.resourceClaims%s",
                                        json_len(there) ? claim_names(c, there) : " which is empty");
        }
}
