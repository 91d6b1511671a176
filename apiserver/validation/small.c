/* What rules about quotas, limits, secrets, certificate requests, events and endpoints cannot say. */
#include "metadata.h"

#include <arpa/inet.h>
#include <ctype.h>

#include "../../lib/base/encode.h"
#include "../../lib/meta/quantity.h"
#include "functions.h"

static const char *text_at(const struct at *at)
{
        return json_string(at->j) ? json_string(at->j) : "";
}

static bool in_list(const char *const *list, const char *s)
{
        for (; *list; list++)
                if (streq(*list, s))
                        return true;
        return false;
}

/* --- addresses --- */

static bool is_ip(const char *s)
{
        unsigned char buf[16];

        return inet_pton(AF_INET, s, buf) == 1 || inet_pton(AF_INET6, s, buf) == 1;
}

/* Addresses that no endpoint can have. */
static void check_range_of_ip(struct check *c, const struct at *at)
{
        unsigned char v6[16], v4[4];
        const char *s = text_at(at);

        if (inet_pton(AF_INET, s, v4) == 1) {
                if (!v4[0] && !v4[1] && !v4[2] && !v4[3])
                        check_invalid(c, at, "may not be unspecified (%s)", s);
                if (v4[0] == 127)
                        check_invalid(c, at, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
                if (v4[0] == 169 && v4[1] == 254)
                        check_invalid(c, at, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
                if (v4[0] == 224 && !v4[1] && !v4[2])
                        check_invalid(c, at, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
        } else if (inet_pton(AF_INET6, s, v6) == 1) {
                static const unsigned char none[16], loopback[16] = { [15] = 1 };

                if (memcmp(v6, none, 16) == 0)
                        check_invalid(c, at, "may not be unspecified (%s)", s);
                if (memcmp(v6, loopback, 16) == 0)
                        check_invalid(c, at, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
                if (v6[0] == 0xfe && (v6[1] & 0xc0) == 0x80)
                        check_invalid(c, at, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
                if (v6[0] == 0xff && v6[1] == 2)
                        check_invalid(c, at, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
        }
}

void check_endpoint_ip(struct check *c, const struct at *at)
{
        if (!is_ip(text_at(at)))
                check_invalid(c, at, "must be a valid IP address");
        check_range_of_ip(c, at);
}

/* One address of a slice, by the slice's type. */
/* Two labels at least; a dot at the end is nothing. */
static void check_domain_name(struct check *c, const struct at *at)
{
        const char *s = text_at(at), *messages[NAME_MESSAGES];
        size_t len = strlen(s), before = c->errs->n;
        const char *name;

        if (!len) {
                check_required(c, at, NULL);
                return;
        }
        name = arena_strndup(c->a, s, s[len - 1] == '.' ? len - 1 : len);
        for (unsigned i = 0, n = name_check(c->a, NAME_DNS1123_SUBDOMAIN, name, messages); i < n; i++)
                check_invalid(c, at, "%s", messages[i]);
        if (c->errs->n > before)
                return;
        if (!strchr(name, '.')) {
                check_invalid(c, at, "should be a domain with at least two segments separated by dots");
                return;
        }
        for (size_t n; *name; name += n + (name[n] == '.')) {
                n = strcspn(name, ".");
                name_validate_string(c->errs, NAME_DNS1123_LABEL, at_path(c, at), arena_strndup(c->a, name, n));
        }
}

void check_slice_address(struct check *c, const struct at *at)
{
        const char *type = json_get_string(c->obj, "addressType"), *s = text_at(at);
        unsigned char buf[16];
        size_t before = c->errs->n;

        if (streq(type, "FQDN")) {
                check_domain_name(c, at);
                return;
        }
        if (!streq(type, "IPv4") && !streq(type, "IPv6"))
                return;
        check_name(c, at, NAME_IP);
        if (streq(type, "IPv6") && c->errs->n == before)
                check_canonical_address(c, at);
        if (c->errs->n > before)
                return;
        if (inet_pton(streq(type, "IPv4") ? AF_INET : AF_INET6, s, buf) != 1) /* said of the list, shown with the address */
                field_error_add(c->errs, FIELD_INVALID, at_path(c, at->up), at->j, "must be an %s address", type);
        check_range_of_ip(c, at);
}

/* --- ingresses --- */

void check_ingress_spec(struct check *c, const struct at *at)
{
        if (!json_len(json_get(at->j, "rules")) && !json_get(at->j, "defaultBackend"))
                field_error_add_text(c->errs, FIELD_INVALID, at_path(c, at), "null",
                                     "either `defaultBackend` or `rules` must be specified");
}

void check_ingress_port(struct check *c, const struct at *service)
{
        const struct at *name = at_field(c, service, "port.name"), *number = at_field(c, service, "port.number");
        int64_t n = 0;
        bool has_name = *text_at(name), has_number = json_to_int(number->j, &n) == 0 && n != 0;
        const char *backend = at_path(c, service->up);

        if (has_name && has_number)
                field_error_add_text(c->errs, FIELD_INVALID, backend, "\"\"", "cannot set both port name & port number");
        else if (has_name)
                check_name(c, name, NAME_PORT);
        else if (has_number && (n < 1 || n > 65535))
                check_invalid(c, number, "must be between 1 and 65535, inclusive");
        else if (!has_number)
                field_error_add(c->errs, FIELD_REQUIRED, backend, NULL, "port name or number is required");
}

void check_ingress_backend(struct check *c, const struct at *at)
{
        const struct at *service = at_field(c, at, "service"), *resource = at_field(c, at, "resource");

        if (at_set(service) && at_set(resource))
                field_error_add_text(c->errs, FIELD_INVALID, at_path(c, at), "\"\"",
                                     "cannot set both resource and service backends");
        else if (at_set(resource))
                rules_use(c, "TypedReference", resource);
        else if (at_set(service))
                rules_use(c, "IngressService", service);
        else
                field_error_add_text(c->errs, FIELD_INVALID, at_path(c, at), "\"\"", "resource or service backend is required");
}

void check_wildcard_or_subdomain(struct check *c, const struct at *at)
{
        check_name(c, at, strchr(text_at(at), '*') ? NAME_WILDCARD_SUBDOMAIN : NAME_DNS1123_SUBDOMAIN);
}

void check_ingress_host(struct check *c, const struct at *at)
{
        if (!*text_at(at))
                return;
        if (is_ip(text_at(at)))
                check_invalid(c, at, "must be a DNS name, not an IP address");
        check_wildcard_or_subdomain(c, at);
}

void check_ingress_hostname(struct check *c, const struct at *at)
{
        if (!*text_at(at))
                return;
        check_name(c, at, NAME_DNS1123_SUBDOMAIN);
        if (is_ip(text_at(at)))
                check_invalid(c, at, "must be a DNS name, not an IP address");
}

static void check_plain_path(struct check *c, const struct at *path)
{
        static const char *const sequences[] = { "//", "/./", "/../", "%2f", "%2F", NULL };
        static const char *const suffixes[] = { "/..", "/.", NULL };
        const char *s = text_at(path);

        if (*s != '/')
                check_invalid(c, path, "must be an absolute path");
        for (const char *const *q = sequences; *s && *q; q++)
                if (strstr(s, *q))
                        check_invalid(c, path, "must not contain '%s'", *q);
        for (const char *const *q = suffixes; *s && *q; q++)
                if (str_has_suffix(s, *q))
                        check_invalid(c, path, "cannot end with '%s'", *q);
}

void check_ingress_path(struct check *c, const struct at *at)
{
        static const char *const types[] = { "Exact", "ImplementationSpecific", "Prefix", NULL };
        const struct at *type = at_field(c, at, "pathType"), *path = at_field(c, at, "path");

        if (!at_set(type)) {
                check_required(c, type, "pathType must be specified");
                return;
        }
        if (streq(text_at(type), "Exact") || streq(text_at(type), "Prefix"))
                check_plain_path(c, path);
        else if (!streq(text_at(type), "ImplementationSpecific"))
                check_enum(c, type, types);
        else if (*text_at(path) && *text_at(path) != '/')
                check_invalid(c, path, "must be an absolute path");
        check_ingress_backend(c, at_field(c, at, "backend"));
}

void check_ingress_class_annotation(struct check *c, const struct at *at)
{
        const char *old = json_get_string(at->j, "kubernetes.io/ingress.class");
        const char *name = json_get_string(json_get(c->obj, "spec"), "ingressClassName");

        if (old && name && !streq(old, name))
                field_error_add(c->errs, FIELD_INVALID, "annotations.kubernetes.io/ingress.class", json_new_string(c->a, old),
                                "must match `ingressClassName` when both are specified");
}

void check_controller_name(struct check *c, const struct at *at)
{
        const char *s = text_at(at), *slash = strchr(s, '/');

        if (!slash || slash == s || !slash[1])
                check_invalid(c, at, "must be a domain-prefixed path (such as \"acme.io/foo\")");
        else {
                name_validate_string(c->errs, NAME_DNS1123_SUBDOMAIN, at_path(c, at), arena_strndup(c->a, s, slash - s));
                for (const char *p = slash + 1; *p; p++)
                        if (!isalnum((unsigned char)*p) && !strchr("/-._~%!$&'()*+,;=:", *p)) {
                                field_error_add(c->errs, FIELD_INVALID, at_path(c, at), json_new_string(c->a, slash + 1),
                                                "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%%!$&'()*+,;=:]+')");
                                break;
                        }
        }
}

/* --- quotas and limits --- */

static const char *const standard_resources[] = {
        "cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.ephemeral-storage",
        "limits.cpu", "limits.memory", "limits.ephemeral-storage", "pods", "resourcequotas", "services",
        "replicationcontrollers", "secrets", "configmaps", "persistentvolumeclaims", "storage", "requests.storage",
        "services.nodeports", "services.loadbalancers", NULL,
};

static bool has_prefix_of(const char *s, const char *const *prefixes)
{
        for (; *prefixes; prefixes++)
                if (str_has_prefix(s, *prefixes))
                        return true;
        return false;
}

static bool standard_resource(const char *name)
{
        static const char *const pages[] = { "hugepages-", "requests.hugepages-", NULL };

        return in_list(standard_resources, name) || has_prefix_of(name, pages);
}

static bool whole_number_resource(const char *name)
{
        static const char *const whole[] = { "pods", "resourcequotas", "services", "replicationcontrollers", "secrets",
                                             "configmaps", "persistentvolumeclaims", "services.nodeports",
                                             "services.loadbalancers", NULL };

        return in_list(whole, name) || str_has_prefix(name, "count/");
}

static void invalid_name(struct check *c, const struct at *entry, const char *detail)
{
        field_error_add(c->errs, FIELD_INVALID, at_path(c, entry), json_new_string(c->a, entry->name), "%s", detail);
}

static bool amount_of(const struct json *j, struct quantity *ret)
{
        return (json_is_string(j) || json_is_number(j)) && quantity_parse(j->str, ret) == 0;
}

void check_quota_resource(struct check *c, const struct at *entry)
{
        struct quantity q;

        name_validate_string(c->errs, NAME_QUALIFIED, at_path(c, entry), entry->name);
        if (!strchr(entry->name, '/') && !standard_resource(entry->name)) {
                invalid_name(c, entry, "must be a standard resource type or fully qualified");
                invalid_name(c, entry, "must be a standard resource for quota");
        }
        if (!amount_of(entry->j, &q))
                return;
        if (q.nano < 0)
                check_invalid(c, entry, "must be greater than or equal to 0");
        if (whole_number_resource(entry->name) && q.nano % 1000000000 != 0)
                check_invalid(c, entry, "must be an integer");
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
        static const char *const compute[] = { "cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory",
                                               "limits.cpu", "limits.memory", "pods", "requests.ephemeral-storage",
                                               "limits.ephemeral-storage", NULL };

        if (!standard_resource(resource))
                return true;
        if (streq(scope, "BestEffort"))
                return streq(resource, "pods");
        if (streq(scope, "VolumeAttributesClass"))
                return streq(resource, "persistentvolumeclaims") || streq(resource, "requests.storage");
        return in_list(compute, resource) || str_has_prefix(resource, "hugepages-") ||
               str_has_prefix(resource, "requests.hugepages-");
}

static void check_scope(struct check *c, const struct at *where, const char *scope, const struct json *hard, const struct at *name)
{
        if (!in_list(scopes, scope))
                field_error_add(c->errs, FIELD_INVALID, at_path(c, name), where->j, "unsupported scope");
        json_foreach_member(hard, m)
                if (in_list(scopes, scope) && !scope_counts(scope, m->key))
                        field_error_add(c->errs, FIELD_INVALID, at_path(c, where), where->j, "unsupported scope applied to resource");
}

static void check_selector_term(struct check *c, const struct at *list, const struct json *term, const struct json *hard)
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
                        field_error_add(c->errs, FIELD_INVALID, path, list->j, "unsupported scope applied to resource");
        if (in_list(only_exists, scope) && !streq(op, "Exists"))
                field_error_add(c->errs, FIELD_INVALID, arena_printf(c->a, "%s.operator", path), json_new_string(c->a, op),
                                "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, "
                                "ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort "
                                "or ResourceQuotaScopeCrossNamespacePodAffinity");
        else if ((streq(op, "In") || streq(op, "NotIn")) && !json_len(values))
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
        struct json *names = json_new_array(c->a);

        json_foreach_member(hard->j, m)
                check_quota_resource(c, at_entry(c, hard, m));
        json_foreach_item(list->j, s)
                if (json_is_string(s))
                        check_scope(c, list, s->str, hard->j, list);
        if (conflicting(list->j))
                check_invalid(c, list, "conflicting scopes");
        json_foreach_item(terms->j, t) {
                check_selector_term(c, terms, t, hard->j);
                if (json_get(t, "scopeName"))
                        json_append(c->a, names, json_get(t, "scopeName"));
        }
        if (conflicting(names))
                check_invalid(c, terms, "conflicting scopes");
}

static void check_limit_names(struct check *c, const struct at *map, bool container)
{
        static const char *const of_containers[] = { "cpu", "memory", "ephemeral-storage", NULL };

        json_foreach_member(map->j, m) {
                const struct at *e = at_entry(c, map, m);

                name_validate_string(c->errs, NAME_QUALIFIED, at_path(c, e), m->key);
                if (strchr(m->key, '/'))
                        continue;
                if (!standard_resource(m->key))
                        invalid_name(c, e, "must be a standard resource type or fully qualified");
                if (container && !in_list(of_containers, m->key) && !str_has_prefix(m->key, "hugepages-"))
                        invalid_name(c, e, "must be a standard resource for containers");
        }
}

/* Both are there, and X is more than Y. */
static bool over(const struct json *x, const struct json *y)
{
        struct quantity a, b;

        return amount_of(x, &a) && amount_of(y, &b) && quantity_cmp(&a, &b) > 0;
}

static void out_of_order(struct check *c, const char *map, const char *key, const struct json *shown, const char *fmt,
                         const struct json *x, const struct json *y)
{
        const char *text = arena_strdup(c->a, fmt);
        const char *first = strstr(text, "%"), *second = strstr(first + 1, "%");

        field_error_add(c->errs, FIELD_INVALID, arena_printf(c->a, "%s[%s]", map, key), json_new_string(c->a, shown->str),
                        "%.*s%s%.*s%s", (int)(first - text), text, x->str, (int)(second - first - 1), first + 1, y->str);
}

static void check_limit_values(struct check *c, const struct at *item, const char *key)
{
        const struct json *max = json_get(json_get(item->j, "max"), key), *min = json_get(json_get(item->j, "min"), key);
        const struct json *limit = json_get(json_get(item->j, "default"), key);
        const struct json *request = json_get(json_get(item->j, "defaultRequest"), key);
        const struct json *ratio = json_get(json_get(item->j, "maxLimitRequestRatio"), key);
        const char *path = at_path(c, item);
        const char *of_request = arena_printf(c->a, "%s.defaultRequest", path), *of_limit = arena_printf(c->a, "%s.default", path);
        struct quantity q, one = quantity_from_int(1, QUANTITY_DECIMAL_SI);

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
        if (amount_of(ratio, &q) && quantity_cmp(&q, &one) < 0)
                field_error_add(c->errs, FIELD_INVALID, arena_printf(c->a, "%s.maxLimitRequestRatio[%s]", path, key), ratio,
                                "ratio %s is less than 1", ratio->str);
}

void check_limit_range_item(struct check *c, const struct at *item)
{
        static const char *const maps[] = { "max", "min", "default", "defaultRequest", "maxLimitRequestRatio" };
        static const char *const types[] = { "Pod", "Container", "PersistentVolumeClaim", NULL };
        const struct at *type = at_field(c, item, "type");
        const char *t = text_at(type);
        bool pod = streq(t, "Pod"), container = pod || streq(t, "Container");
        struct json *keys = json_new_object(c->a);

        check_name(c, type, NAME_QUALIFIED);
        if (*t && !strchr(t, '/') && !in_list(types, t))
                check_invalid(c, type, "must be a standard limit type or fully qualified");
        for (size_t i = 0; i < item->index; i++)
                if (streq(json_get_string(json_at(item->up->j, i), "type"), t))
                        field_error_add(c->errs, FIELD_DUPLICATE, at_path(c, type), type->j, NULL);
        for (size_t i = 0; i < ARRAY_SIZE(maps); i++) {
                const struct at *map = at_field(c, item, maps[i]);

                if (pod && (i == 2 || i == 3)) {
                        if (json_len(map->j))
                                check_forbidden(c, map, "may not be specified when `type` is 'Pod'");
                } else {
                        check_limit_names(c, map, container);
                }
                json_foreach_member(map->j, m)
                        json_setn(c->a, keys, m->key, m->key_len, m->value);
        }
        if (streq(t, "PersistentVolumeClaim") && !json_get(json_get(item->j, "min"), "storage") &&
            !json_get(json_get(item->j, "max"), "storage"))
                check_required(c, at_field(c, item, "limits"),
                               "either minimum or maximum storage value is required, but neither was provided");
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

/* --- certificate requests --- */

void check_certificate_request(struct check *c, const struct at *at)
{
        _cleanup_strbuf_ struct strbuf pem = STRBUF_INIT;
        const char *s = text_at(at);

        if (base64_decode(&pem, s, strlen(s), NULL) == 0 && strstr(strbuf_str(&pem), "-----BEGIN CERTIFICATE REQUEST-----") &&
            strstr(strbuf_str(&pem), "-----END CERTIFICATE REQUEST-----"))
                return;
        field_error_add(c->errs, FIELD_INVALID, at_path(c, at), *s ? at->j : json_new_null(c->a),
                        "PEM block type must be CERTIFICATE REQUEST");
        if (!*s)
                c->errs->list[c->errs->n - 1].value = "null";
}

void check_signer_name(struct check *c, const struct at *at)
{
        const char *s = text_at(at), *slash = strchr(s, '/'), *messages[NAME_MESSAGES];
        const char *path = at_path(c, at);
        char *domain, *dot;

        if (streq(s, "kubernetes.io/legacy-unknown")) {
                check_invalid(c, at, "the legacy signerName is not allowed via this API version");
                return;
        }
        if (!*s) {
                check_required(c, at, "");
                return;
        }
        if (!slash || strchr(slash + 1, '/')) {
                check_invalid(c, at, "must be a fully qualified domain and path of the form 'example.com/signer-name'");
                return;
        }
        domain = arena_strndup(c->a, s, slash - s);
        dot = strchr(domain, '.');
        for (const char *p = domain; p; p = strchr(p, '.') ? strchr(p, '.') + 1 : NULL) {
                const char *label = arena_strndup(c->a, p, strcspn(p, "."));

                if (name_check(c->a, NAME_DNS1123_LABEL, label, messages))
                        field_error_add(c->errs, FIELD_INVALID, path, json_new_string(c->a, domain), "validating label \"%s\": %s",
                                        label, messages[0]);
        }
        if (!dot)
                field_error_add(c->errs, FIELD_INVALID, path, json_new_string(c->a, domain),
                                "should be a domain with at least two segments separated by dots");
        for (const char *p = slash + 1; p; p = strchr(p, '.') ? strchr(p, '.') + 1 : NULL) {
                const char *label = arena_strndup(c->a, p, strcspn(p, "."));

                if (name_check(c->a, NAME_DNS1123_SUBDOMAIN, label, messages))
                        field_error_add(c->errs, FIELD_INVALID, path, json_new_string(c->a, slash + 1),
                                        "validating label \"%s\": %s", label, messages[0]);
        }
}

void check_request_conditions(struct check *c, const struct at *at)
{
        bool approved = false, denied = false;

        json_foreach_item(at->j, k) {
                approved |= streq(json_get_string(k, "type"), "Approved");
                denied |= streq(json_get_string(k, "type"), "Denied");
        }
        if (approved && denied)
                check_invalid(c, at, "Approved and Denied conditions are mutually exclusive");
}

/* --- events --- */

static void needs_unset(struct check *c, const struct at *at, const char *field)
{
        const struct at *f = at_field(c, at, field);

        if (!at_empty(f) && !(json_is_object(f->j) && !json_len(f->j)))
                field_error_add_text(c->errs, FIELD_INVALID, at_path(c, f), "\"\"", "needs to be unset");
}

static void too_long(struct check *c, const struct at *at, size_t max)
{
        if (strlen(text_at(at)) > max)
                field_error_add_text(c->errs, FIELD_INVALID, at_path(c, at), "\"\"", "can have at most %zu characters", max);
}

/* The old API's rules: only events with an eventTime are checked at all. */
static void check_legacy_event(struct check *c, const struct at *at, bool strict)
{
        const struct at *about = at_field(c, at, "involvedObject.namespace"), *controller = at_field(c, at, "reportingComponent");
        const struct at *instance = at_field(c, at, "reportingInstance"), *action = at_field(c, at, "action");
        const struct at *reason = at_field(c, at, "reason"), *time = at_field(c, at, "eventTime");
        const char *ns = json_path_string(at->j, "metadata.namespace"), *of = text_at(about);
        const char *path = strict ? "reportingController" : "reportingComponent";

        ns = ns ? ns : "";
        if (!at_set(time)) {
                if (*of ? !streq(ns, of) : *ns && !streq(ns, "default"))
                        check_invalid(c, about, "does not match event.namespace");
                return;
        }
        if (!*of && !streq(ns, "default") && !streq(ns, "kube-system"))
                check_invalid(c, about, "does not match event.namespace");
        if (!*text_at(controller))
                field_error_add(c->errs, FIELD_REQUIRED, path, NULL, "%s", "");
        name_validate_string(c->errs, NAME_QUALIFIED, path, text_at(controller));
        if (!*text_at(instance))
                check_required(c, instance, "");
        too_long(c, instance, 128);
        if (!*text_at(action))
                check_required(c, action, "");
        too_long(c, action, 128);
        if (!*text_at(reason))
                check_required(c, reason, "");
        too_long(c, reason, 128);
        too_long(c, at_field(c, at, "message"), 1024);
}

static void check_series(struct check *c, const struct at *at)
{
        const struct at *series = at_field(c, at, "series");

        if (!at_set(series))
                return;
        if (json_get_int(series->j, "count", 0) < 2)
                field_error_add_text(c->errs, FIELD_INVALID, "series.count", "\"\"", "should be at least 2");
        if (!json_get_string(series->j, "lastObservedTime"))
                check_required(c, at_field(c, series, "lastObservedTime"), "");
}

void check_event(struct check *c, const struct at *at)
{
        static const char *const fixed[] = { "involvedObject", "reason", "message", "source", "firstTimestamp", "lastTimestamp",
                                             "count", "type", "eventTime", "action", "related", "reportingComponent",
                                             "reportingInstance" };
        bool strict = c->r && c->r->res && streq(c->r->res->group, "events.k8s.io");
        const struct at *type = at_field(c, at, "type");

        if (!strict) {
                check_legacy_event(c, at, false);
                return;
        }
        if (!c->old) {
                if (c->errs->n == 0)
                        check_name(c, at_field(c, at, "metadata.name"), NAME_DNS1123_SUBDOMAIN);
                check_legacy_event(c, at, true);
                check_series(c, at);
                if (!at_set(at_field(c, at, "eventTime"))) {
                        c->errs->n = 0;
                        check_required(c, at_field(c, at, "eventTime"), "");
                        return;
                }
                if (!streq(text_at(type), "Normal") && !streq(text_at(type), "Warning"))
                        field_error_add_text(c->errs, FIELD_INVALID, "type", "\"\"", "has invalid value: %s", text_at(type));
                needs_unset(c, at, "firstTimestamp");
                needs_unset(c, at, "lastTimestamp");
                needs_unset(c, at, "count");
                needs_unset(c, at, "source");
                return;
        }
        if (!json_equal(json_get(at->j, "series"), json_get(c->old, "series")))
                check_series(c, at);
        for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
                check_immutable(c, at_field(c, at, fixed[i]));
}
