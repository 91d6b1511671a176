/* Matching of FlowSchemas: see classify.h.
 *
 * Most requests are decided by the first group they are compared with, since the schemas for administrators come
 * first; the rest walks a dozen schemas, comparing the user before anything else.
 */
#include "classify.h"

/* --- compiling --- */

static const char *text(const struct json *obj, const char *path)
{
        const char *s = json_path_string(obj, path);

        return s ? s : "";
}

static struct flow_strings strings(struct arena *a, const struct json *array)
{
        const char **list = arena_calloc(a, (json_len(array) + 1) * sizeof(*list));
        struct flow_strings s = {.list = list};
        size_t n = 0;

        json_foreach_item(array, item)
                if (json_string(item)) {
                        list[n++] = json_string(item);
                        s.all |= streq(json_string(item), "*");
                }
        return s;
}

static struct flow_subject subject(struct arena *a, const struct json *in)
{
        const char *kind = text(in, "kind"), *ns = text(in, "serviceAccount.namespace"), *name = text(in, "serviceAccount.name");

        if (streq(kind, "User"))
                return (struct flow_subject){FLOW_USER, text(in, "user.name")};
        if (streq(kind, "Group"))
                return (struct flow_subject){FLOW_GROUP, text(in, "group.name")};
        if (streq(name, "*"))
                return (struct flow_subject){FLOW_ACCOUNTS, arena_printf(a, "system:serviceaccount:%s:", ns)};
        return (struct flow_subject){FLOW_ACCOUNT, arena_printf(a, "system:serviceaccount:%s:%s", ns, name)};
}

static void compile_rule(struct arena *a, const struct json *in, struct flow_rule *ret)
{
        const struct json *subjects = json_get(in, "subjects"), *resources = json_get(in, "resourceRules"),
                          *paths = json_get(in, "nonResourceRules");
        struct flow_subject *list = arena_calloc(a, json_len(subjects) * sizeof(*list) + 1);

        json_foreach_item(subjects, s)
                list[ret->n_subjects++] = subject(a, s);
        ret->subjects = list;
        ret->resources = arena_calloc(a, json_len(resources) * sizeof(*ret->resources) + 1);
        json_foreach_item(resources, x)
                ret->resources[ret->n_resources++] = (struct flow_resources){
                        .verbs = strings(a, json_get(x, "verbs")),
                        .groups = strings(a, json_get(x, "apiGroups")),
                        .resources = strings(a, json_get(x, "resources")),
                        .namespaces = strings(a, json_get(x, "namespaces")),
                        .cluster = json_get_bool(x, "clusterScope", false),
                };
        ret->paths = arena_calloc(a, json_len(paths) * sizeof(*ret->paths) + 1);
        json_foreach_item(paths, x)
                ret->paths[ret->n_paths++] = (struct flow_paths){strings(a, json_get(x, "verbs")),
                                                                 strings(a, json_get(x, "nonResourceURLs"))};
}

void flow_compile(struct arena *a, const struct json *obj, struct flow_schema *ret)
{
        const struct json *rules = json_path(obj, "spec.rules");
        struct flow_rule *list = arena_calloc(a, json_len(rules) * sizeof(*list) + 1);
        const char *by = text(obj, "spec.distinguisherMethod.type");

        *ret = (struct flow_schema){
                .name = text(obj, "metadata.name"),
                .uid = text(obj, "metadata.uid"),
                .level = text(obj, "spec.priorityLevelConfiguration.name"),
                .precedence = json_path_int(obj, "spec.matchingPrecedence", 1000),
                .by = streq(by, "ByUser") ? FLOW_BY_USER : streq(by, "ByNamespace") ? FLOW_BY_NAMESPACE : FLOW_BY_NOTHING,
                .rules = list,
        };
        json_foreach_item(rules, rule)
                compile_rule(a, rule, &list[ret->n_rules++]);
}

int flow_schema_cmp(const void *x, const void *y)
{
        const struct flow_schema *a = x, *b = y;

        if (a->precedence != b->precedence)
                return a->precedence < b->precedence ? -1 : 1;
        return strcmp(a->name, b->name);
}

/* --- matching --- */

static bool has(const struct flow_strings *s, const char *value)
{
        if (s->all)
                return true;
        for (const char *const *item = s->list; *item; item++)
                if (strcmp(*item, value) == 0)
                        return true;
        return false;
}

static bool in_group(const struct user_info *user, const char *group)
{
        if (streq(group, "*"))
                return true;
        for (const char *const *g = user->groups; g && *g; g++)
                if (strcmp(*g, group) == 0)
                        return true;
        return false;
}

static bool is_subject(const struct flow_rule *rule, const struct user_info *user)
{
        for (size_t i = 0; i < rule->n_subjects; i++) {
                const struct flow_subject *s = &rule->subjects[i];

                switch (s->kind) {
                case FLOW_USER:
                        if (streq(s->name, "*") || streq(s->name, user->name))
                                return true;
                        break;
                case FLOW_GROUP:
                        if (in_group(user, s->name))
                                return true;
                        break;
                case FLOW_ACCOUNT:
                        if (streq(s->name, user->name))
                                return true;
                        break;
                case FLOW_ACCOUNTS:
                        if (str_has_prefix(user->name, s->name))
                                return true;
                        break;
                }
        }
        return false;
}

/* "pods" or "pods/status" */
static bool has_resource(const struct flow_strings *s, const char *resource, const char *subresource)
{
        size_t len = strlen(resource);

        if (s->all || !*subresource)
                return s->all || has(s, resource);
        for (const char *const *item = s->list; *item; item++)
                if (strncmp(*item, resource, len) == 0 && (*item)[len] == '/' && strcmp(*item + len + 1, subresource) == 0)
                        return true;
        return false;
}

static bool fits_resource(const struct flow_rule *rule, const struct api_request *r)
{
        for (size_t i = 0; i < rule->n_resources; i++) {
                const struct flow_resources *x = &rule->resources[i];

                if (has(&x->verbs, r->verb) && has(&x->groups, r->group) && has_resource(&x->resources, r->resource, r->subresource) &&
                    (*r->namespace ? has(&x->namespaces, r->namespace) : x->cluster))
                        return true;
        }
        return false;
}

static bool has_path(const struct flow_strings *s, const char *path)
{
        if (has(s, path))
                return true;
        for (const char *const *item = s->list; *item; item++) {
                size_t len = strlen(*item);

                if (len && (*item)[len - 1] == '*' && strncmp(*item, path, len - 1) == 0)
                        return true;
        }
        return false;
}

static bool fits_path(const struct flow_rule *rule, const struct api_request *r)
{
        for (size_t i = 0; i < rule->n_paths; i++)
                if (has(&rule->paths[i].verbs, r->verb) && has_path(&rule->paths[i].paths, r->path))
                        return true;
        return false;
}

const struct flow_schema *flow_classify(const struct flow_schema *schemas, size_t n, const struct api_request *r)
{
        for (size_t i = 0; i < n; i++)
                for (size_t k = 0; k < schemas[i].n_rules; k++) {
                        const struct flow_rule *rule = &schemas[i].rules[k];

                        if (is_subject(rule, &r->user) && (r->is_resource ? fits_resource(rule, r) : fits_path(rule, r)))
                                return &schemas[i];
                }
        return NULL;
}

static uint64_t mix(uint64_t h, const char *s)
{
        for (; *s; s++)
                h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
        return (h ^ 0xff) * UINT64_C(0x100000001b3);
}

uint64_t flow_hash(const struct flow_schema *s, const struct api_request *r)
{
        uint64_t h = mix(UINT64_C(0xcbf29ce484222325), s->name);

        if (s->by == FLOW_BY_USER)
                h = mix(h, r->user.name);
        else if (s->by == FLOW_BY_NAMESPACE)
                h = mix(h, r->namespace);
        h ^= h >> 33; /* the low digits deal the cards: let the high ones have their say */
        h *= UINT64_C(0xff51afd7ed558ccd);
        return h ^ h >> 33;
}
