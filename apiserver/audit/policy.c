/* The audit Policy: see policy.h. Rules are matched on the policy's own JSON: a policy has a few dozen at most, and who
 * records everything has dearer things to do. */
#include "policy.h"

#include <errno.h>

struct audit_policy {
        const struct json *rules;
        unsigned omit_stages;
        bool omit_managed_fields;
};

static const char *const levels[] = {"None", "Metadata", "Request", "RequestResponse"};
static const char *const stages[] = {"RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"};

const char *audit_level_name(enum audit_level level)
{
        return levels[level];
}

const char *audit_stage_name(unsigned stage)
{
        size_t i = 0;

        while (!(stage >> i & 1))
                i++;
        return stages[i];
}

/* --- reading --- */

static int find(const char *const *names, size_t n, const char *name)
{
        for (size_t i = 0; i < n; i++)
                if (streq(names[i], name))
                        return (int)i;
        return -1;
}

static int read_stages(const struct json *list, const char *path, unsigned *ret, struct error *reterr)
{
        json_foreach_item(list, item) {
                int i = find(stages, ARRAY_SIZE(stages), json_string(item));

                if (i < 0)
                        return error_set(reterr, -EINVAL,
                                         "%s[%zu]: Invalid value: \"%s\": allowed stages are RequestReceived,ResponseStarted,ResponseComplete,Panic",
                                         path, item_i, json_string(item) ? json_string(item) : "");
                *ret |= 1u << i;
        }
        return 0;
}

/* "*" stands at the end alone, and a path begins with a slash. */
static int check_url(const char *url, const char *path, struct error *reterr)
{
        const char *star = url ? strchr(url, '*') : NULL;

        if (streq(url, "*"))
                return 0;
        if (!url || *url != '/')
                return error_set(reterr, -EINVAL,
                                 "%s: Invalid value: \"%s\": non-resource URL rules must begin with a '/' character", path, url ? url : "");
        if (star && star[1])
                return error_set(reterr, -EINVAL, "%s: Invalid value: \"%s\": non-resource URL wildcards '*' must be the final character of the rule",
                                 path, url);
        return 0;
}

static int check_rule(struct arena *a, const struct json *rule, size_t i, struct error *reterr)
{
        const char *level = json_get_string(rule, "level"), *path = arena_printf(a, "rules[%zu]", i);
        const struct json *urls = json_get(rule, "nonResourceURLs");
        unsigned ignored = 0;

        if (str_empty(level))
                return error_set(reterr, -EINVAL, "%s.level: Required value", path);
        if (find(levels, ARRAY_SIZE(levels), level) < 0)
                return error_set(reterr, -EINVAL,
                                 "%s.level: Unsupported value: \"%s\": supported values: \"Metadata\", \"None\", \"Request\", \"RequestResponse\"",
                                 path, level);
        if (json_len(urls) && (json_len(json_get(rule, "resources")) || json_len(json_get(rule, "namespaces"))))
                return error_set(reterr, -EINVAL,
                                 "%s.nonResourceURLs: Invalid value: rules cannot apply to both regular resources and non-resource URLs", path);
        json_foreach_item(urls, url) {
                int r = check_url(json_string(url), arena_printf(a, "%s.nonResourceURLs[%zu]", path, url_i), reterr);

                if (r < 0)
                        return r;
        }
        return read_stages(json_get(rule, "omitStages"), arena_printf(a, "%s.omitStages", path), &ignored, reterr);
}

int audit_policy_read(struct arena *a, const struct json *doc, struct audit_policy **ret, struct error *reterr)
{
        struct audit_policy *p = arena_calloc(a, sizeof(*p));
        int r;

        if (!streq(json_get_string(doc, "apiVersion"), "audit.k8s.io/v1") || !streq(json_get_string(doc, "kind"), "Policy"))
                return error_set(reterr, -EINVAL, "no Policy of audit.k8s.io/v1");
        p->rules = json_get(doc, "rules");
        p->omit_managed_fields = json_get_bool(doc, "omitManagedFields", false);
        if (!json_len(p->rules))
                return error_set(reterr, -EINVAL, "loaded illegal policy with 0 rules");
        r = read_stages(json_get(doc, "omitStages"), "omitStages", &p->omit_stages, reterr);
        json_foreach_item(p->rules, rule)
                if (r == 0)
                        r = check_rule(a, rule, rule_i, reterr);
        if (r == 0)
                *ret = p;
        return r;
}

/* --- matching --- */

static bool has(const struct json *list, const char *s)
{
        json_foreach_item(list, item)
                if (streq(json_string(item), s))
                        return true;
        return false;
}

static bool fits_path(const struct json *urls, const struct audit_attributes *at)
{
        json_foreach_item(urls, item) {
                const char *url = json_string(item);
                size_t len = url ? strlen(url) : 0;

                if (len && (streq(url, at->path) || (url[len - 1] == '*' && strncmp(url, at->path, len - 1) == 0)))
                        return !at->is_resource;
        }
        return false;
}

/* "pods", "pods/log", "*", "pods/" and any, any and "/scale" */
static bool fits_name(const char *pattern, const struct audit_attributes *at)
{
        size_t len = strlen(at->resource);

        if (streq(pattern, "*"))
                return true;
        if (*at->subresource && str_has_prefix(pattern, "*/") && streq(pattern + 2, at->subresource))
                return true;
        if (strncmp(pattern, at->resource, len) != 0)
                return false;
        if (streq(pattern + len, "/*"))
                return true;
        return *at->subresource ? pattern[len] == '/' && streq(pattern + len + 1, at->subresource) : !pattern[len];
}

static bool fits_resource(const struct json *rule, const struct audit_attributes *at)
{
        const struct json *namespaces = json_get(rule, "namespaces"), *groups = json_get(rule, "resources");

        if (!at->is_resource || (json_len(namespaces) && !has(namespaces, at->namespace)))
                return false;
        if (!json_len(groups))
                return true;
        json_foreach_item(groups, g) {
                const struct json *resources = json_get(g, "resources"), *names = json_get(g, "resourceNames");
                const char *group = json_get_string(g, "group");

                if (!streq(group ? group : "", at->group))
                        continue;
                if (!json_len(resources))
                        return true;
                json_foreach_item(resources, item)
                        if (json_string(item) && (!json_len(names) || has(names, at->name)) && fits_name(json_string(item), at))
                                return true;
        }
        return false;
}

static bool fits(const struct json *rule, const struct audit_attributes *at)
{
        const struct json *users = json_get(rule, "users"), *groups = json_get(rule, "userGroups"), *verbs = json_get(rule, "verbs");
        bool member = false;

        if (json_len(users) && (!at->user || !has(users, at->user)))
                return false;
        for (const char *const *g = at->user ? at->groups : NULL; g && *g; g++)
                member |= has(groups, *g);
        if ((json_len(groups) && !member) || (json_len(verbs) && !has(verbs, at->verb)))
                return false;
        if (json_len(json_get(rule, "namespaces")) || json_len(json_get(rule, "resources")))
                return fits_resource(rule, at);
        return !json_len(json_get(rule, "nonResourceURLs")) || fits_path(json_get(rule, "nonResourceURLs"), at);
}

struct audit_decision audit_decide(const struct audit_policy *p, const struct audit_attributes *at)
{
        json_foreach_item(p->rules, rule) {
                struct audit_decision d = {.omit_stages = p->omit_stages};

                if (!fits(rule, at))
                        continue;
                d.level = (enum audit_level)find(levels, ARRAY_SIZE(levels), json_get_string(rule, "level"));
                d.omit_managed_fields = json_get_bool(rule, "omitManagedFields", p->omit_managed_fields);
                read_stages(json_get(rule, "omitStages"), "", &d.omit_stages, NULL);
                return d;
        }
        return (struct audit_decision){.level = AUDIT_NONE, .omit_stages = p->omit_stages};
}
