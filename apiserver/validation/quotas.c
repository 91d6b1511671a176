/* What rules about quotas, limits and secrets cannot say. */
#include "../../lib/base/encode.h"
#include "../../lib/meta/quantity.h"
#include "functions.h"
#include "metadata.h"
#include "resources.h"

static bool in_list(const char *const *list, const char *s)
{
        for (; *list; list++)
                if (streq(*list, s))
                        return true;
        return false;
}

/* --- quotas and limits --- */

/* What a quota may limit. */
static bool quota_resource(const char *name)
{
        return resource_standard(name) && !streq(name, "storage");
}

void check_quota_resource(struct check *c, const struct at *entry)
{
        const char *path = at_path(c, entry);

        resource_name_known(c, path, entry->name);
        if (!strchr(entry->name, '/') && !quota_resource(entry->name))
                field_error_add(c->errs, FIELD_INVALID, path, json_new_string(c->a, entry->name),
                                "must be a standard resource for quota");
        resource_amount_check(c, entry);
}

static const char *const scopes[] = { "Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass",
                                      "CrossNamespacePodAffinity", "VolumeAttributesClass", NULL };

static bool conflicting(const struct json *names)
{
        static const char *const pairs[][2] = { { "BestEffort", "NotBestEffort" }, { "Terminating", "NotTerminating" } };

        for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
                unsigned seen = 0;
                json_foreach_item(names, n)
                        for (unsigned k = 0; k < 2; k++)
                                if (streq(json_string(n), pairs[i][k]))
                                        seen |= 1 << k;
                if (seen == 3)
                        return true;
        }
        return false;
}

/* Which resources a scope can count. */
static bool scope_counts(const char *scope, const char *resource)
{
        static const char *const compute[] = { "cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory",
                                               "pods", NULL };

        if (!quota_resource(resource))
                return true;
        if (streq(scope, "BestEffort"))
                return streq(resource, "pods");
        if (streq(scope, "VolumeAttributesClass"))
                return streq(resource, "persistentvolumeclaims") || streq(resource, "requests.storage");
        return in_list(compute, resource);
}

static void check_scope(struct check *c, const struct at *where, const char *scope, const struct json *hard, const struct at *name)
{
        if (!in_list(scopes, scope))
                field_error_add(c->errs, FIELD_INVALID, at_path(c, name), where->j, "unsupported scope");
        json_foreach_member(hard, m)
                if (in_list(scopes, scope) && !scope_counts(scope, m->key))
                        field_error_add(c->errs, FIELD_INVALID, at_path(c, where), where->j, "unsupported scope applied to resource");
}

static void check_selector_term(struct check *c, const struct at *list, const struct json *term, const struct json *hard,
                                const char *selector)
{
        static const char *const only_exists[] = { "BestEffort", "NotBestEffort", "Terminating", "NotTerminating",
                                                   "CrossNamespacePodAffinity", NULL };
        const char *scope = json_get_string(term, "scopeName"), *op = json_get_string(term, "operator");
        const struct json *values = json_get(term, "values");
        const char *path = at_path(c, list);

        scope = scope ? scope : "";
        op = op ? op : "";
        if (!in_list(scopes, scope))
                field_error_add(c->errs, FIELD_INVALID, arena_printf(c->a, "%s.scopeName", path), json_new_string(c->a, scope),
                                "unsupported scope");
        json_foreach_member(hard, m)
                if (in_list(scopes, scope) && !scope_counts(scope, m->key))
                        field_error_add_text(c->errs, FIELD_INVALID, path, selector, "unsupported scope applied to resource");
        if (in_list(only_exists, scope) && !streq(op, "Exists"))
                field_error_add(c->errs, FIELD_INVALID, arena_printf(c->a, "%s.operator", path), json_new_string(c->a, op),
                                "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, "
                                "ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort "
                                "or ResourceQuotaScopeCrossNamespacePodAffinity");
        if ((streq(op, "In") || streq(op, "NotIn")) && !json_len(values))
                field_error_add(c->errs, FIELD_REQUIRED, arena_printf(c->a, "%s.values", path), NULL,
                                "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector");
        else if ((streq(op, "Exists") || streq(op, "DoesNotExist")) && json_len(values))
                field_error_add(c->errs, FIELD_INVALID, arena_printf(c->a, "%s.values", path), values,
                                "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector");
        else if (!streq(op, "In") && !streq(op, "NotIn") && !streq(op, "Exists") && !streq(op, "DoesNotExist"))
                field_error_add(c->errs, FIELD_INVALID, arena_printf(c->a, "%s.operator", path), json_new_string(c->a, op),
                                "not a valid selector operator");
}

void check_quota_spec(struct check *c, const struct at *spec)
{
        const struct at *hard = at_field(c, spec, "hard"), *list = at_field(c, spec, "scopes");
        const struct at *terms = at_field(c, spec, "scopeSelector.matchExpressions");
        const struct at *selector = at_field(c, spec, "scopeSelector");
        struct json *names = json_new_array(c->a);
        const char *shown = NULL;

        json_foreach_member(hard->j, m)
                check_quota_resource(c, at_entry(c, hard, m));
        json_foreach_item(list->j, s)
                if (json_is_string(s))
                        check_scope(c, list, s->str, hard->j, list);
        if (conflicting(list->j))
                check_invalid(c, list, "conflicting scopes");
        if (json_len(terms->j))
                shown = go_struct(c, selector);
        json_foreach_item(terms->j, t) {
                check_selector_term(c, terms, t, hard->j, shown);
                if (json_get(t, "scopeName"))
                        json_append(c->a, names, json_get(t, "scopeName"));
        }
        if (conflicting(names)) /* upstream shows the other list here */
                field_error_add(c->errs, FIELD_INVALID, at_path(c, terms), list->j ? list->j : json_new_null(c->a),
                                "conflicting scopes");
}

static bool all_among(const struct json *some, const struct json *all)
{
        json_foreach_item(some, s) {
                bool found = false;

                json_foreach_item(all, x)
                        found = found || json_equal(x, s);
                if (!found)
                        return false;
        }
        return true;
}

/* They are a set. */
void check_scopes_kept(struct check *c, const struct at *list)
{
        if (c->old && (!all_among(list->j, list->old) || !all_among(list->old, list->j)))
                check_invalid(c, list, ERR_IMMUTABLE);
}

static void check_limit_names(struct check *c, const struct at *map, bool container)
{
        json_foreach_member(map->j, m) {
                const char *path = at_path(c, at_entry(c, map, m));

                if (container)
                        resource_name_for_containers(c, path, m->key);
                else
                        resource_name_known(c, path, m->key);
        }
}

/* Both are there, and X is more than Y. */
static bool over(const struct json *x, const struct json *y)
{
        struct quantity a, b;

        return resource_amount_of(x, &a) && resource_amount_of(y, &b) && quantity_cmp(&a, &b) > 0;
}

static void out_of_order(struct check *c, const char *map, const char *key, const struct json *shown, const char *fmt,
                         const struct json *x, const struct json *y)
{
        const char *text = arena_strdup(c->a, fmt);
        const char *first = strstr(text, "%"), *second = strstr(first + 1, "%");

        field_error_add(c->errs, FIELD_INVALID, arena_printf(c->a, "%s[%s]", map, key), json_new_string(c->a, shown->str),
                        "%.*s%s%.*s%s", (int)(first - text), text, x->str, (int)(second - first - 1), first + 1, y->str);
}

/* In thousandths, or in whole numbers where one of them is too large for that: what is below 1 counts as 1 then. */
static void check_limit_ratio(struct check *c, const char *path, const struct json *shown, const struct quantity *ratio,
                              const struct quantity *min, const struct quantity *max)
{
        const int64_t too_large = INT64_MAX / 1000;
        bool milli = quantity_value(ratio) < too_large && quantity_value(min) < too_large && quantity_value(max) < too_large;
        double r = milli ? (double)quantity_milli(ratio) / 1000 : (double)quantity_value(ratio);
        double most = milli ? (double)quantity_milli(max) / (double)quantity_milli(min)
                            : (double)quantity_value(max) / (double)quantity_value(min);

        if (r > most)
                field_error_add(c->errs, FIELD_INVALID, path, shown, "ratio %s is greater than max/min = %f", shown->str, most);
}

static void check_limit_values(struct check *c, const struct at *item, const char *key)
{
        const struct json *max = json_get(json_get(item->j, "max"), key), *min = json_get(json_get(item->j, "min"), key);
        const struct json *limit = json_get(json_get(item->j, "default"), key);
        const struct json *request = json_get(json_get(item->j, "defaultRequest"), key);
        const struct json *ratio = json_get(json_get(item->j, "maxLimitRequestRatio"), key);
        const char *path = at_path(c, item);
        const char *of_request = arena_printf(c->a, "%s.defaultRequest", path), *of_limit = arena_printf(c->a, "%s.default", path);
        struct quantity q, low, high, one = quantity_from_int(1, QUANTITY_DECIMAL_SI);

        if (over(min, max))
                out_of_order(c, arena_printf(c->a, "%s.min", path), key, min, "min value % is greater than max value %", min, max);
        if (over(min, request))
                out_of_order(c, of_request, key, request, "min value % is greater than default request value %", min, request);
        if (over(request, max))
                out_of_order(c, of_request, key, request, "default request value % is greater than max value %", request, max);
        if (over(request, limit))
                out_of_order(c, of_request, key, request, "default request value % is greater than default limit value %", request,
                             limit);
        if (over(min, limit))
                out_of_order(c, of_limit, key, min, "min value % is greater than default value %", min, limit);
        if (over(limit, max))
                out_of_order(c, of_limit, key, max, "default value % is greater than max value %", limit, max);
        if (resource_amount_of(ratio, &q) && quantity_cmp(&q, &one) < 0)
                field_error_add(c->errs, FIELD_INVALID, arena_printf(c->a, "%s.maxLimitRequestRatio[%s]", path, key), ratio,
                                "ratio %s is less than 1", ratio->str);
        if (resource_amount_of(ratio, &q) && resource_amount_of(min, &low) && resource_amount_of(max, &high))
                check_limit_ratio(c, arena_printf(c->a, "%s.maxLimitRequestRatio[%s]", path, key), ratio, &q, &low, &high);
        if (limit && request && !resource_overcommit(key) && (over(limit, request) || over(request, limit)))
                field_error_add(c->errs, FIELD_INVALID, arena_printf(c->a, "%s[%s]", of_request, key), request,
                                "default value %s must equal to defaultRequest value %s in %s", limit->str, request->str, key);
}

void check_limit_range_item(struct check *c, const struct at *item)
{
        static const char *const maps[] = { "max", "min", "default", "defaultRequest", "maxLimitRequestRatio" };
        static const char *const types[] = { "Pod", "Container", "PersistentVolumeClaim", NULL };
        const struct at *type = at_field(c, item, "type");
        const char *t = text_at(type);
        bool pod = streq(t, "Pod"), container = pod || streq(t, "Container");
        struct json *keys = json_new_object(c->a);
        size_t before = c->errs->n;

        check_name(c, type, NAME_QUALIFIED);
        if (c->errs->n == before && !strchr(t, '/') && !in_list(types, t))
                check_invalid(c, type, "must be a standard limit type or fully qualified");
        for (size_t i = 0; i < item->index; i++)
                if (streq(json_get_string(json_at(item->up->j, i), "type"), t)) {
                        field_error_add(c->errs, FIELD_DUPLICATE, at_path(c, type), type->j, NULL);
                        break;
                }
        for (size_t i = 0; i < ARRAY_SIZE(maps); i++) {
                const struct at *map = at_field(c, item, maps[i]);

                if (i == 4 && streq(t, "PersistentVolumeClaim") && !json_get(json_get(item->j, "min"), "storage") &&
                    !json_get(json_get(item->j, "max"), "storage"))
                        check_required(c, at_field(c, item, "limits"),
                                       "either minimum or maximum storage value is required, but neither was provided");
                if (pod && (i == 2 || i == 3)) {
                        if (json_len(map->j))
                                check_forbidden(c, map, "may not be specified when `type` is 'Pod'");
                } else {
                        check_limit_names(c, map, container);
                }
                json_foreach_member(map->j, m)
                        json_setn(c->a, keys, m->key, m->key_len, m->value);
        }
        json_foreach_member(keys, m)
                check_limit_values(c, item, m->key);
}

/* --- secrets --- */

enum secret_value { VALUE_ANY, VALUE_NOT_EMPTY, VALUE_JSON };

/* What a typed secret must hold under KEY. */
static void check_secret_key(struct check *c, const struct at *data, const char *key, enum secret_value holds)
{
        const char *path = arena_printf(c->a, "data[%s]", key), *text = json_get_string(data->j, key);
        _cleanup_strbuf_ struct strbuf value = STRBUF_INIT;
        _cleanup_error_ struct error err = ERROR_INIT;
        struct json *parsed;

        if (!json_get(data->j, key) || (holds == VALUE_NOT_EMPTY && str_empty(text)))
                field_error_add(c->errs, FIELD_REQUIRED, path, NULL, "%s", "");
        else if (holds == VALUE_JSON && base64_decode(&value, text ? text : "", text ? strlen(text) : 0, NULL) == 0 &&
                 json_parse(c->a, strbuf_str(&value), value.len, NULL, &parsed, &err) < 0)
                field_error_add(c->errs, FIELD_INVALID, path, json_new_string(c->a, "<secret contents redacted>"), "%s",
                                error_text(&err));
}

void check_secret_data(struct check *c, const struct at *at)
{
        static const struct {
                const char *type, *keys[2];
                enum secret_value holds;
        } types[] = {
                { "kubernetes.io/dockercfg", { ".dockercfg" }, VALUE_JSON },
                { "kubernetes.io/dockerconfigjson", { ".dockerconfigjson" }, VALUE_JSON },
                { "kubernetes.io/ssh-auth", { "ssh-privatekey" }, VALUE_NOT_EMPTY },
                { "kubernetes.io/tls", { "tls.crt", "tls.key" }, VALUE_ANY },
        };
        const struct at *data = at_field(c, at, "data"), *annotations = at_field(c, at, "metadata.annotations");
        const char *type = json_get_string(at->j, "type");
        size_t total = 0;

        json_foreach_member(data->j, m) {
                name_validate_string(c->errs, NAME_CONFIG_KEY, at_path(c, at_entry(c, data, m)), m->key);
                if (json_is_string(m->value))
                        total += m->value->len / 4 * 3 - (m->value->len && m->value->str[m->value->len - 1] == '=') -
                                 (m->value->len > 1 && m->value->str[m->value->len - 2] == '=');
        }
        if (total > 1 << 20)
                field_error_add(c->errs, FIELD_TOO_LONG, at_path(c, data), data->j, "may not be more than %d bytes", 1 << 20);
        if (streq(type, "kubernetes.io/service-account-token") &&
            str_empty(json_get_string(annotations->j, "kubernetes.io/service-account.name")))
                field_error_add(c->errs, FIELD_REQUIRED, "metadata.annotations[kubernetes.io/service-account.name]", NULL, "%s", "");
        if (streq(type, "kubernetes.io/basic-auth") && !json_get(data->j, "username") && !json_get(data->j, "password")) {
                field_error_add(c->errs, FIELD_REQUIRED, "data[username]", NULL, "%s", "");
                field_error_add(c->errs, FIELD_REQUIRED, "data[password]", NULL, "%s", "");
        }
        for (size_t i = 0; i < ARRAY_SIZE(types); i++)
                for (size_t k = 0; streq(type, types[i].type) && k < 2 && types[i].keys[k]; k++)
                        check_secret_key(c, data, types[i].keys[k], types[i].holds);
}
