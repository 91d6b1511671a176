/* The algebra of RBAC rules. */
#include "rbac-rules.h"

static const char *const *read_list(struct arena *a, const struct json *rule, const char *key)
{
        const struct json *list = json_get(rule, key);
        const char **out;
        size_t n = 0;

        if (!json_len(list))
                return NULL;
        out = arena_alloc(a, (json_len(list) + 1) * sizeof(char *));
        json_foreach_item(list, item) {
                if (json_string(item))
                        out[n++] = json_string(item);
        }
        out[n] = NULL;
        return out;
}

static void add_rule(struct arena *a, struct rbac_rules *rules, struct rbac_rule rule)
{
        if (rules->n == rules->cap) {
                struct rbac_rule *more;

                rules->cap = MAX(rules->cap * 2, 8);
                more = arena_alloc(a, rules->cap * sizeof(*more));
                if (rules->n)
                        memcpy(more, rules->list, rules->n * sizeof(*more));
                rules->list = more;
        }
        rules->list[rules->n++] = rule;
}

void rbac_rules_read(struct arena *a, const struct json *rules, struct rbac_rules *ret)
{
        *ret = (struct rbac_rules){ 0 };
        json_foreach_item(rules, rule) {
                add_rule(a, ret,
                         (struct rbac_rule){ .verbs = read_list(a, rule, "verbs"),
                                             .groups = read_list(a, rule, "apiGroups"),
                                             .resources = read_list(a, rule, "resources"),
                                             .names = read_list(a, rule, "resourceNames"),
                                             .urls = read_list(a, rule, "nonResourceURLs") });
        }
}

static bool same_lists(const char *const *a, const char *const *b)
{
        while (*a && *b && strcmp(*a, *b) == 0)
                a++, b++;
        return !*a && !*b;
}

/* A copy of LIST; BEFORE, the list of the rule before, where it says the same, as verbs often do. */
static const char *const *keep_list(struct arena *a, const char *const *list, const char *const *before)
{
        const char **out;
        size_t n = 0;

        if (!list || (before && same_lists(list, before)))
                return list ? before : NULL;
        while (list[n])
                n++;
        out = arena_alloc(a, (n + 1) * sizeof(char *));
        for (size_t i = 0; i < n; i++)
                out[i] = arena_strdup(a, list[i]);
        out[n] = NULL;
        return out;
}

void rbac_rules_keep(struct arena *a, const struct rbac_rules *rules, struct rbac_rules *ret)
{
        static const struct rbac_rule none;
        const struct rbac_rule *before = &none;

        *ret = (struct rbac_rules){ arena_alloc(a, rules->n * sizeof(*ret->list)), rules->n, rules->n };
        for (size_t i = 0; i < rules->n; i++) {
                const struct rbac_rule *rule = &rules->list[i];

                ret->list[i] = (struct rbac_rule){ .verbs = keep_list(a, rule->verbs, before->verbs),
                                                   .groups = keep_list(a, rule->groups, before->groups),
                                                   .resources = keep_list(a, rule->resources, before->resources),
                                                   .names = keep_list(a, rule->names, before->names),
                                                   .urls = keep_list(a, rule->urls, before->urls) };
                before = &ret->list[i];
        }
}

/* --- matching --- */

static bool has(const char *const *list, const char *what)
{
        for (; list && *list; list++) {
                if (strcmp(*list, what) == 0)
                        return true;
        }
        return false;
}

static bool has_or_all(const char *const *list, const char *what)
{
        for (; list && *list; list++) {
                if (((*list)[0] == '*' && !(*list)[1]) || strcmp(*list, what) == 0)
                        return true;
        }
        return false;
}

/* "pods/log" is meant by "*", "pods/log" and the subresource of everything, "*" "/log". */
static bool resource_matches(const char *const *list, const char *resource, const char *subresource)
{
        size_t len = strlen(resource);

        for (; list && *list; list++) {
                const char *r = *list;

                if (r[0] == '*' && !r[1])
                        return true;
                if (!*subresource) {
                        if (strcmp(r, resource) == 0)
                                return true;
                        continue;
                }
                if (r[0] == '*' && r[1] == '/' && strcmp(r + 2, subresource) == 0)
                        return true;
                if (strncmp(r, resource, len) == 0 && r[len] == '/' && strcmp(r + len + 1, subresource) == 0)
                        return true;
        }
        return false;
}

static bool url_matches(const char *pattern, const char *path)
{
        size_t len = strlen(pattern);

        if (strcmp(pattern, path) == 0)
                return true;
        return len && pattern[len - 1] == '*' && strncmp(pattern, path, len - 1) == 0;
}

static bool urls_match(const char *const *list, const char *path)
{
        for (; list && *list; list++) {
                if (url_matches(*list, path))
                        return true;
        }
        return false;
}

bool rbac_rule_allows(const struct rbac_rule *rule, const struct authz_attributes *at)
{
        if (!has_or_all(rule->verbs, at->verb))
                return false;
        if (!at->is_resource)
                return urls_match(rule->urls, at->path);
        return has_or_all(rule->groups, at->group) && resource_matches(rule->resources, at->resource, at->subresource) &&
               (!rule->names || has(rule->names, at->name));
}

bool rbac_rules_allow(const struct rbac_rules *rules, const struct authz_attributes *at)
{
        for (size_t i = 0; i < rules->n; i++) {
                if (rbac_rule_allows(&rules->list[i], at))
                        return true;
        }
        return false;
}

/* --- covering --- */

static const char *const *list_of(struct arena *a, const char *s)
{
        const char **out;

        if (!s)
                return NULL;
        out = arena_alloc(a, 2 * sizeof(char *));
        out[0] = s;
        out[1] = NULL;
        return out;
}

/* One verb of one resource (of one name), or of one URL: what a subrule is. */
struct atom {
        const char *verb, *group, *resource, *name, *url;
};

static bool rule_covers(const struct rbac_rule *rule, const struct atom *atom)
{
        const char *slash;

        if (!has_or_all(rule->verbs, atom->verb))
                return false;
        if (atom->url)
                return urls_match(rule->urls, atom->url);
        if (!has_or_all(rule->groups, atom->group))
                return false;
        slash = strchr(atom->resource, '/');
        if (!has_or_all(rule->resources, atom->resource)) {
                bool found = false;

                for (const char *const *r = rule->resources; slash && r && *r; r++)
                        found = found || ((*r)[0] == '*' && strcmp(*r + 1, slash) == 0);
                if (!found)
                        return false;
        }
        return !rule->names || (atom->name && has(rule->names, atom->name));
}

static void check_atom(struct arena *a, const struct rbac_rules *owner, const struct atom *atom,
                       struct rbac_rules *missing)
{
        for (size_t i = 0; i < owner->n; i++) {
                if (rule_covers(&owner->list[i], atom))
                        return;
        }
        add_rule(a, missing,
                 (struct rbac_rule){ .verbs = list_of(a, atom->verb),
                                     .groups = list_of(a, atom->group),
                                     .resources = list_of(a, atom->resource),
                                     .names = list_of(a, atom->name),
                                     .urls = list_of(a, atom->url) });
}

static void check_rule(struct arena *a, const struct rbac_rules *owner, const struct rbac_rule *rule,
                       struct rbac_rules *missing)
{
        static const char *const any_name[] = { NULL };

        for (const char *const *g = rule->groups; g && *g; g++) {
                for (const char *const *r = rule->resources; r && *r; r++) {
                        for (const char *const *v = rule->verbs; v && *v; v++) {
                                const char *const *n = rule->names ? rule->names : any_name;

                                do {
                                        struct atom atom = { .verb = *v, .group = *g, .resource = *r, .name = *n };

                                        check_atom(a, owner, &atom, missing);
                                } while (*n && *++n);
                        }
                }
        }
        for (const char *const *u = rule->urls; u && *u; u++) {
                for (const char *const *v = rule->verbs; v && *v; v++)
                        check_atom(a, owner, &(struct atom){ .verb = *v, .url = *u }, missing);
        }
}

bool rbac_covers(struct arena *a, const struct rbac_rules *owner, const struct rbac_rules *servant,
                 struct rbac_rules *ret_missing)
{
        *ret_missing = (struct rbac_rules){ 0 };
        for (size_t i = 0; i < servant->n; i++)
                check_rule(a, owner, &servant->list[i], ret_missing);
        return ret_missing->n == 0;
}

/* --- printing --- */

static void print_list(struct strbuf *b, const char *label, const char *const *list)
{
        if (!list)
                return;
        if (b->len && b->data[b->len - 1] != '{')
                strbuf_puts(b, ", ");
        strbuf_printf(b, "%s:[", label);
        for (size_t i = 0; list[i]; i++) {
                if (i)
                        strbuf_putc(b, ' ');
                go_quote(b, list[i], strlen(list[i]));
        }
        strbuf_putc(b, ']');
}

static char *print_rule(struct arena *a, const struct rbac_rule *rule, bool verbs)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        strbuf_putc(&b, '{');
        print_list(&b, "APIGroups", rule->groups);
        print_list(&b, "Resources", rule->resources);
        print_list(&b, "NonResourceURLs", rule->urls);
        print_list(&b, "ResourceNames", rule->names);
        if (verbs)
                print_list(&b, "Verbs", rule->verbs);
        strbuf_putc(&b, '}');
        return arena_strndup(a, b.data, b.len);
}

/* Subrules of one resource are put together into one rule with all their verbs, as they were written. */
static size_t compact(struct arena *a, const struct rbac_rules *rules, struct rbac_rule *out)
{
        const char **keys = arena_alloc(a, (rules->n + 1) * sizeof(char *));
        size_t n = 0;

        for (size_t i = 0; i < rules->n; i++) {
                const struct rbac_rule *r = &rules->list[i];
                const char *key = print_rule(a, r, false);
                size_t at = 0, verbs = 0;
                const char **more;

                while (at < n && strcmp(keys[at], key) != 0)
                        at++;
                if (at == n || r->urls) { /* only resource rules are put together */
                        keys[n] = key;
                        out[n++] = *r;
                        continue;
                }
                while (out[at].verbs[verbs])
                        verbs++;
                more = arena_alloc(a, (verbs + 2) * sizeof(char *));
                memcpy(more, out[at].verbs, verbs * sizeof(char *));
                more[verbs] = r->verbs[0];
                more[verbs + 1] = NULL;
                out[at].verbs = more;
        }
        return n;
}

static int compare_texts(const void *x, const void *y)
{
        return strcmp(*(const char *const *)x, *(const char *const *)y);
}

char *rbac_rules_print(struct arena *a, const struct rbac_rules *rules)
{
        struct rbac_rule *list = arena_alloc(a, (rules->n + 1) * sizeof(*list));
        size_t n = compact(a, rules, list);
        char **texts = arena_alloc(a, (n + 1) * sizeof(char *));
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        for (size_t i = 0; i < n; i++)
                texts[i] = print_rule(a, &list[i], true);
        qsort(texts, n, sizeof(char *), compare_texts);
        for (size_t i = 0; i < n; i++) {
                if (i && strcmp(texts[i], texts[i - 1]) == 0)
                        continue;
                strbuf_printf(&b, "%s%s", b.len ? "\n" : "", texts[i]);
        }
        return arena_strndup(a, strbuf_str(&b), b.len);
}
