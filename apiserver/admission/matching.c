/* Matching: see matching.h. */
#include "matching.h"

#include "../registry/conversion.h"
#include "../registry/internal.h"
#include "../schema/crd.h"

const char *operation_name(enum admission_op op)
{
        return op == ADMISSION_CREATE ? "CREATE" : op == ADMISSION_UPDATE ? "UPDATE" : op == ADMISSION_DELETE ? "DELETE" : "CONNECT";
}

static bool listed(const struct json *list, const char *what)
{
        json_foreach_item(list, s)
                if (streq(json_string(s), "*") || streq(json_string(s), what))
                        return true;
        return false;
}

/* "pods", "pods/status"; a star stands for any resource or subresource, alone for all resources without theirs. */
static bool resource_matches(const struct admission_attributes *at, const struct resource *res, const char *pattern)
{
        const char *slash = strchr(pattern, '/');
        size_t len = slash ? (size_t)(slash - pattern) : strlen(pattern);

        if (!(len == 1 && *pattern == '*') && (strlen(res->name) != len || memcmp(pattern, res->name, len) != 0))
                return false;
        if (!slash)
                return !*at->subresource;
        return streq(slash + 1, "*") || streq(slash + 1, at->subresource);
}

static bool rule_matches(const struct admission_attributes *at, const struct resource *res, const struct json *rule)
{
        const char *scope = json_get_string(rule, "scope");
        const struct json *names = json_get(rule, "resourceNames");
        bool resource = false, namespaced = res->namespaced;

        json_foreach_item(json_get(rule, "resources"), r)
                resource |= json_is_string(r) && resource_matches(at, res, json_string(r));
        if (scope && !streq(scope, "*") && namespaced != streq(scope, "Namespaced"))
                return false;
        if (json_len(names) && (str_empty(at->name) || !listed(names, at->name)))
                return false;
        return resource && listed(json_get(rule, "operations"), operation_name(at->op)) &&
               listed(json_get(rule, "apiGroups"), res->group) && listed(json_get(rule, "apiVersions"), res->version);
}

static bool any_matches(const struct admission_attributes *at, const struct resource *res, const struct json *rules)
{
        json_foreach_item(rules, rule)
                if (rule_matches(at, res, rule))
                        return true;
        return false;
}

const struct resource *match_rules(const struct admission_attributes *at, const struct json *rules, bool exact)
{
        const struct resource *res = at->res;
        const struct crd *crd = res->crd ? res->crd->crd : NULL;

        if (any_matches(at, res, rules))
                return res;
        if (exact || !json_len(rules))
                return NULL;
        for (size_t i = 0; crd && i < crd->n_resources; i++)
                if (crd->resources[i] != res && any_matches(at, crd->resources[i], rules))
                        return crd->resources[i];
        for (unsigned i = 0; !crd && i < n_builtin_resources; i++) {
                const struct resource *other = builtin_resources[i];

                if (other != res && streq(other->storage_prefix, res->storage_prefix) && streq(other->kind, res->kind) &&
                    any_matches(at, other, rules))
                        return other;
        }
        return NULL;
}

/* An absent selector takes everything in. */
static bool selects(struct arena *a, const struct json *selector, const struct json *labels)
{
        struct selector s;

        if (!json_is_object(selector))
                return true;
        return selector_from_object(a, selector, &s, NULL) < 0 || selector_matches(&s, labels);
}

struct json *match_namespace(struct admission_attributes *at)
{
        return *at->namespace ? admission_get(at, "", "v1", "namespaces", "", at->namespace) : NULL;
}

bool match_selectors(struct admission_attributes *at, const struct json *who)
{
        struct arena *a = at->request->arena;
        const struct json *ns = json_get(who, "namespaceSelector"), *objects = json_get(who, "objectSelector"), *of = NULL;

        if (json_len(ns) && *at->namespace)
                of = match_namespace(at);
        else if (json_len(ns) && about(at, "", "namespaces"))
                of = at->object ? at->object : at->old;
        if (of && !selects(a, ns, json_path(of, "metadata.labels")))
                return false;
        return !json_len(objects) || (at->object && selects(a, objects, json_path(at->object, "metadata.labels"))) ||
               (at->old && selects(a, objects, json_path(at->old, "metadata.labels")));
}

const struct resource *match_resources(struct admission_attributes *at, const struct json *match, bool empty_is_all)
{
        const struct json *rules = json_get(match, "resourceRules");
        bool exact = streq(json_get_string(match, "matchPolicy"), "Exact");
        const struct resource *res = json_len(rules) ? match_rules(at, rules, exact) : empty_is_all ? at->res : NULL;

        if (!res || match_rules(at, json_get(match, "excludeResourceRules"), exact) || !match_selectors(at, match))
                return NULL;
        return res;
}

struct json *match_convert(struct admission_attributes *at, const struct resource *as, const struct json *obj, bool back,
                           const struct status **ret_st)
{
        struct arena *a = at->request->arena;
        const struct resource *from = back ? as : at->res, *to = back ? at->res : as;
        struct json *out;
        const struct status *st;

        if (!obj || as == at->res || *at->subresource)
                return (struct json *)obj;
        out = json_clone(a, obj);
        st = to->crd ? conversion_of(at->request, to, &out, 1) : NULL;
        if (st) {
                *ret_st = st;
                return NULL;
        }
        return convert_object(a, from, to, out);
}

void match_error_add(const char **errors, const char *text)
{
        if (!strings_has(errors, text))
                errors[strings_len(errors)] = text;
}

const char *match_errors(struct arena *a, const char *const *errors)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        if (!errors[0] || !errors[1])
                return errors[0];
        for (size_t i = 0; errors[i]; i++)
                strbuf_printf(&b, "%s%s", i ? ", " : "[", errors[i]);
        strbuf_putc(&b, ']');
        return arena_strndup(a, b.data, b.len);
}
