/* Type checking of admission policies. A policy's expressions are compiled when it is stored, with objects of no known type;
 * here they are compiled again for each kind that its rules name, with what is known of it. What fails is only a warning:
 * a kind may change, and an expression may be meant for several. */
#include "policy-check.h"

#include <stdio.h>

#define MOST_TYPES 10 /* of one rule */
#define MOST_VARIABLES 8

/* --- which kinds --- */

static int compare_kinds(const void *x, const void *y)
{
        const struct policy_kind *a = x, *b = y;
        int r = strcmp(a->group, b->group);

        r = r ? r : strcmp(a->version, b->version);
        return r ? r : strcmp(a->kind, b->kind);
}

static int compare_texts(const void *x, const void *y)
{
        return strcmp(*(const char *const *)x, *(const char *const *)y);
}

/* The strings of a list without those that have one of SKIP in them, sorted. One with a '*': none at all if GIVE_UP. */
static const char **texts_of(struct arena *a, const struct json *list, const char *skip, bool give_up, size_t *ret_n)
{
        const char **out = arena_calloc(a, (json_len(list) + 1) * sizeof(*out));

        *ret_n = 0;
        json_foreach_item(list, it) {
                const char *text = json_string(it);

                if (text && !strpbrk(text, skip)) {
                        out[(*ret_n)++] = text;
                } else if (give_up) {
                        *ret_n = 0;
                        return out;
                }
        }
        qsort(out, *ret_n, sizeof(*out), compare_texts);
        return out;
}

struct collected {
        struct policy_kind *kinds;
        size_t n, of_rule;
};

static void add_kind(struct collected *c, const char *group, const char *version, const char *kind)
{
        c->of_rule++;
        for (size_t i = 0; i < c->n; i++)
                if (streq(c->kinds[i].group, group) && streq(c->kinds[i].version, version) && streq(c->kinds[i].kind, kind))
                        return;
        if (c->n < POLICY_KINDS_MAX)
                c->kinds[c->n++] = (struct policy_kind){ group, version, kind, NULL };
}

/* A group that is not named is any: upstream looks up resources as kubectl does. */
static void find_resource(struct collected *c, const struct json *discovery, const char *group, const char *version, const char *resource)
{
        json_foreach_item(json_get(discovery, "items"), g) {
                const char *name = json_path_string(g, "metadata.name");

                name = name ? name : "";
                if (*group && !streq(name, group))
                        continue;
                json_foreach_item(json_get(g, "versions"), v) {
                        if (!streq(json_get_string(v, "version"), version))
                                continue;
                        json_foreach_item(json_get(v, "resources"), r)
                                if ((streq(json_get_string(r, "resource"), resource) ||
                                     streq(json_get_string(r, "singularResource"), resource)) && c->of_rule < MOST_TYPES)
                                        add_kind(c, name, version, json_path_string(r, "responseKind.kind"));
                }
        }
}

/* False: ten have been found, which ends the search. */
static bool take_rule(struct arena *a, struct collected *c, const struct json *rule, const struct json *const discovery[2])
{
        size_t n_groups, n_versions, n_resources;
        const char **groups = texts_of(a, json_get(rule, "apiGroups"), "*", true, &n_groups);
        const char **versions = texts_of(a, json_get(rule, "apiVersions"), "*", true, &n_versions);
        const char **resources = texts_of(a, json_get(rule, "resources"), "*/", false, &n_resources);

        c->of_rule = 0;
        for (size_t i = 0; i < n_groups * n_versions * n_resources; i++) {
                const char *group = groups[i / n_resources / n_versions], *version = versions[i / n_resources % n_versions];

                for (size_t d = 0; d < 2; d++)
                        find_resource(c, discovery[d], group, version, resources[i % n_resources]);
                if (c->of_rule >= MOST_TYPES)
                        return false;
        }
        return true;
}

size_t policy_kinds(struct arena *a, const struct json *policy, const struct json *const discovery[2],
                    struct policy_kind ret[POLICY_KINDS_MAX])
{
        struct collected c = { .kinds = ret };

        json_foreach_item(json_path(policy, "spec.matchConstraints.resourceRules"), rule)
                if (!take_rule(a, &c, rule, discovery))
                        break;
        qsort(ret, c.n, sizeof(*ret), compare_kinds);
        return c.n;
}

bool policy_params(struct arena *a, const struct json *policy, struct policy_kind *ret)
{
        const struct json *param = json_path(policy, "spec.paramKind");
        const char *version = json_get_string(param, "apiVersion"), *slash = version ? strchr(version, '/') : NULL;

        if (!json_is_object(param))
                return false;
        *ret = (struct policy_kind){ .group = slash ? arena_strndup(a, version, (size_t)(slash - version)) : "",
                                     .version = slash ? slash + 1 : version ? version : "",
                                     .kind = json_get_string(param, "kind") };
        return true;
}

const struct json *policy_schema(const struct json *document, const struct policy_kind *k)
{
        json_foreach_member(json_path(document, "components.schemas"), m)
                json_foreach_item(json_get(m->value, "x-kubernetes-group-version-kind"), gvk)
                        if (streq(json_get_string(gvk, "group"), k->group) && streq(json_get_string(gvk, "version"), k->version) &&
                            streq(json_get_string(gvk, "kind"), k->kind))
                                return m->value;
        return NULL;
}

/* --- the check --- */

struct scope {
        struct cel_variable list[MOST_VARIABLES];
        struct cel_env env;
};

static void declare(struct scope *s, const char *name, const struct cel_shape *shape)
{
        s->list[s->env.n++] = (struct cel_variable){ name, shape ? shape : &cel_shapes[CEL_DYN] };
        s->env.variables = s->list;
}

/* What is known of a variable's type outside of the expression that made it: simple ones, lists and maps of them. */
static const struct cel_shape *known_shape(struct arena *a, const struct cel_shape *s)
{
        struct cel_shape *shape;

        if (s->type <= CEL_BYTES || s->type == CEL_TIMESTAMP || s->type == CEL_DURATION)
                return s;
        if (s->type != CEL_LIST && s->type != CEL_MAP)
                return &cel_shapes[CEL_DYN];
        shape = arena_calloc(a, sizeof(*shape));
        *shape = (struct cel_shape){ .type = s->type };
        for (unsigned i = 0; i < (s->type == CEL_MAP ? 2u : 1u); i++)
                shape->of[i] = s->of[i] ? known_shape(a, s->of[i]) : &cel_shapes[CEL_DYN];
        return shape;
}

static int compare_members(const void *x, const void *y)
{
        return strcmp(((const struct cel_member *)x)->name, ((const struct cel_member *)y)->name);
}

/* Each variable has the type that its expression comes to by those before it. */
static void declare_variables(struct arena *a, struct scope *s, const struct json *variables)
{
        struct cel_member *members = arena_calloc(a, (json_len(variables) + 1) * sizeof(*members));
        struct cel_shape *shape = arena_calloc(a, sizeof(*shape));

        *shape = (struct cel_shape){ .type = CEL_OBJECT, .name = "kubernetes.variables", .members = members };
        declare(s, "variables", shape);
        json_foreach_item(variables, v) {
                const char *name = json_get_string(v, "name"), *text = json_get_string(v, "expression");
                struct cel_program *program = NULL;
                bool good = text && cel_compile_in(a, text, &s->env, &program, NULL) == 0;

                members[shape->n_members++] = (struct cel_member){ name, name, good ? known_shape(a, cel_program_shape(program)) :
                                                                                      &cel_shapes[CEL_DYN] };
                qsort(members, shape->n_members, sizeof(*members), compare_members);
        }
}

static void make_scope(struct arena *a, const struct json *policy, const struct policy_kind *k, const struct policy_kind *params,
                       struct scope *ret)
{
        *ret = (struct scope){ .env.n = 0 };
        declare(ret, "namespaceObject", &cel_namespace_shape);
        declare(ret, "request", &cel_request_shape);
        declare(ret, "object", k->shape);
        declare(ret, "oldObject", k->shape);
        if (params)
                declare(ret, "params", params->shape);
        declare(ret, "authorizer", cel_authorizer_shape());
        declare_variables(a, ret, json_path(policy, "spec.variables"));
}

/* "apps/v1, Kind=Deployment: ERROR: ...\n" for each kind that it does not fit; NULL: it fits all. */
static const char *check_text(struct arena *a, const char *text, const struct policy_kind *kinds, const struct scope *scopes, size_t n)
{
        static const char before[] = "compilation failed: ";
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        for (size_t i = 0; i < n; i++) {
                _cleanup_error_ struct error err = ERROR_INIT;
                struct cel_env env = scopes[i].env;
                struct cel_program *program = NULL;
                const char *why;

                env.variables = scopes[i].list; /* it may have been moved */
                if (cel_compile_in(a, text, &env, &program, &err) == 0)
                        continue;
                why = error_text(&err);
                strbuf_printf(&b, "%s%s/%s, Kind=%s: %s\n", b.len ? "\n" : "", kinds[i].group, kinds[i].version, kinds[i].kind,
                              str_has_prefix(why, before) ? why + strlen(before) : why);
        }
        return b.len ? arena_strdup(a, strbuf_str(&b)) : NULL;
}

struct json *policy_warnings(struct arena *a, const struct json *policy, const struct policy_kind *kinds, size_t n,
                             const struct policy_kind *params)
{
        static const char *const fields[] = { "expression", "messageExpression" };
        struct scope *scopes = arena_calloc(a, (n + 1) * sizeof(*scopes));
        struct json *all = json_new_array(a);

        for (size_t i = 0; i < n; i++)
                make_scope(a, policy, &kinds[i], params, &scopes[i]);
        json_foreach_item(json_path(policy, "spec.validations"), v)
                for (size_t f = 0; f < ARRAY_SIZE(fields); f++) {
                        const char *text = json_get_string(v, fields[f]), *warning;
                        struct json *w;

                        warning = !str_empty(text) || (text && !f) ? check_text(a, text, kinds, scopes, n) : NULL;
                        if (!warning)
                                continue;
                        w = json_new_object(a);
                        json_set(a, w, "fieldRef", json_new_stringf(a, "spec.validations[%zu].%s", v_i, fields[f]));
                        json_set_string(a, w, "warning", warning);
                        json_append(a, all, w);
                }
        return all;
}
