/* Expressions in CEL that clients store: they must compile, and come to the right type. */
#include "../../lib/cel/cel.h"
#include "functions.h"

/* --- what an expression sees --- */

#define STRING (&cel_shapes[CEL_STRING])
#define DYN (&cel_shapes[CEL_DYN])

#define OBJECT(shown, list) { .type = CEL_OBJECT, .name = shown, .members = list, .n_members = ARRAY_SIZE(list) }

/* A device is small: what an expression about it may cost rests on these maxima. */
#define DEVICE_EXPRESSION_COST 1000000
static const struct cel_shape domain_shape = { .type = CEL_STRING, .max = 63 };
static const struct cel_shape id_shape = { .type = CEL_STRING, .max = 32 };
static const struct cel_shape attribute_shape = { .type = CEL_DYN, .max = 64 };
static const struct cel_shape any_values = { .type = CEL_MAP, .of = { &id_shape, &attribute_shape }, .max = 32, .open = true };
static const struct cel_shape amounts = { .type = CEL_MAP, .of = { &id_shape, &cel_shapes[CEL_QUANTITY] }, .max = 32 };
static const struct cel_shape attributes_shape = { .type = CEL_MAP, .of = { &domain_shape, &any_values }, .max = 32 };
static const struct cel_shape capacity_shape = { .type = CEL_MAP, .of = { &domain_shape, &amounts }, .max = 32 };
static const struct cel_member device_members[] = {
        { "allowMultipleAllocations", "allowMultipleAllocations", &cel_shapes[CEL_BOOL] },
        { "attributes", "attributes", &attributes_shape },
        { "capacity", "capacity", &capacity_shape },
        { "driver", "driver", &domain_shape },
};
static const struct cel_shape device_shape = OBJECT("kubernetes.DRADevice", device_members);

#define MAX_VARIABLES 8
struct scope {
        struct cel_variable list[MAX_VARIABLES];
        struct cel_env env;
};

static void declare(struct scope *s, const char *name, const struct cel_shape *shape)
{
        s->list[s->env.n++] = (struct cel_variable){ name, shape };
        s->env.variables = s->list;
}

static void declare_request(struct scope *s, bool authorizer)
{
        declare(s, "object", DYN);
        declare(s, "oldObject", DYN);
        declare(s, "namespaceObject", &cel_namespace_shape);
        declare(s, "request", &cel_request_shape);
        if (authorizer)
                declare(s, "authorizer", cel_authorizer_shape());
}

static int by_name(const void *x, const void *y)
{
        return strcmp(((const struct cel_member *)x)->name, ((const struct cel_member *)y)->name);
}

/* What upstream knows of a variable: types of its libraries, objects and optionals are not among it. */
static const struct cel_shape *variable_shape(struct arena *a, const struct cel_shape *s)
{
        struct cel_shape *shape;

        if (s->type <= CEL_BYTES || s->type == CEL_TIMESTAMP || s->type == CEL_DURATION)
                return s;
        if (s->type != CEL_LIST && s->type != CEL_MAP)
                return DYN;
        shape = arena_calloc(a, sizeof(*shape));
        *shape = (struct cel_shape){ .type = s->type };
        for (unsigned i = 0; i < (s->type == CEL_MAP ? 2 : 1); i++)
                shape->of[i] = s->of[i] ? variable_shape(a, s->of[i]) : DYN;
        return shape;
}

/* What a policy's expressions see: parameters if it has a kind of them. Messages may ask for no authorization. */
static struct scope policy_scope(struct check *c, bool authorizer)
{
        struct scope s = { 0 };

        declare_request(&s, authorizer);
        if (json_is_object(json_path(c->obj, "spec.paramKind")))
                declare(&s, "params", DYN);
        return s;
}

static void member_set(struct cel_shape *shape, struct cel_member *members, const char *name, const struct cel_shape *of)
{
        for (size_t i = 0; i < shape->n_members; i++)
                if (streq(members[i].name, name)) {
                        members[i].shape = of;
                        return;
                }
        members[shape->n_members++] = (struct cel_member){ name, name, of };
        qsort(members, shape->n_members, sizeof(*members), by_name);
}

static bool blank(const char *s)
{
        return !s || !s[strspn(s, " \t\r\n\v\f")];
}

/* The policy's variables, each of the type that its expression comes to by those before it (anything when it does not compile).
 * MINE: only those before it. */
static void declare_variables(struct check *c, struct scope *s, const struct at *mine)
{
        const struct json *variables = json_path(c->obj, "spec.variables");
        struct cel_member *members = arena_calloc(c->a, (json_len(variables) + 1) * sizeof(*members));
        struct cel_shape *shape = arena_calloc(c->a, sizeof(*shape));
        struct scope sees = policy_scope(c, true);

        if (!json_len(variables) && str_has_prefix(c->res->kind, "Validating"))
                return;
        *shape = (struct cel_shape){ .type = CEL_OBJECT, .name = "kubernetes.variables", .members = members };
        declare(s, "variables", shape);
        declare(&sees, "variables", shape);
        sees.env.variables = sees.list;
        json_foreach_item(variables, v) {
                const char *name = json_get_string(v, "name"), *text = json_get_string(v, "expression");
                struct cel_program *program;

                if (mine && v_i >= mine->index)
                        break;
                if (blank(text))
                        continue;
                member_set(shape, members, name ?: "", cel_compile_in(c->a, text, &sees.env, &program, NULL) == 0
                                                               ? variable_shape(c->a, cel_program_shape(program)) : DYN);
        }
}

/* --- what it must come to --- */

static const char *trimmed(struct arena *a, const char *s)
{
        size_t end;

        s += strspn(s, " \t\r\n\v\f");
        for (end = strlen(s); end && strchr(" \t\r\n\v\f", s[end - 1]); end--)
                ;
        return s[end] ? arena_strndup(a, s, end) : s;
}

/* TEXT: what is compiled, for the field AT. TYPES: the words for what will do, NULL-ended; NULL: anything. */
static void check_text(struct check *c, const struct at *at, const char *text, const struct cel_env *env, const char *const *types)
{
        _cleanup_error_ struct error err = ERROR_INIT;
        const char *got, *wanted = "";
        struct cel_program *program;

        if (cel_compile_in(c->a, text, env, &program, &err) < 0) {
                check_invalid(c, at, "%s", error_text(&err));
                return;
        }
        got = cel_shape_text(c->a, cel_program_shape(program), true);
        for (size_t i = 0; types && types[i]; i++) {
                if (streq(got, types[i]))
                        types = NULL;
                else
                        wanted = arena_printf(c->a, "%s%s%s", wanted, i ? " " : "", types[i]);
                if (!types)
                        break;
        }
        if (!types && cel_program_trouble(program))
                check_invalid(c, at, "program instantiation failed: %s", cel_program_trouble(program));
        if (types)
                check_invalid(c, at, types[1] ? "must evaluate to one of [%s] but got %s" : "must evaluate to %s but got %s", wanted, got);
}

static void check_expression(struct check *c, const struct at *at, const struct cel_env *env, const char *const *types)
{
        if (!blank(json_string(at->j)))
                check_text(c, at, json_string(at->j), env, types);
}

/* As check_expression(), where upstream looks at the text without the white space around it, and shows that. */
static void check_trimmed(struct check *c, const struct at *at, const struct cel_env *env, const char *const *types)
{
        const char *text = json_string(at->j), *shorter;
        struct at shown = *at;

        if (blank(text))
                return;
        shorter = trimmed(c->a, text);
        if (!streq(shorter, text))
                shown.j = json_new_string(c->a, shorter);
        check_expression(c, &shown, env, types);
}

static void scope_with_variables(struct check *c, struct scope *ret, bool authorizer)
{
        *ret = policy_scope(c, authorizer);
        ret->env.variables = ret->list;
        declare_variables(c, ret, NULL);
}

void check_policy_validation(struct check *c, const struct at *at)
{
        struct scope s;

        scope_with_variables(c, &s, true);
        check_expression(c, at, &s.env, (const char *const[]){ "bool", NULL });
}

void check_policy_message(struct check *c, const struct at *at)
{
        struct scope s;

        scope_with_variables(c, &s, false);
        check_expression(c, at, &s.env, (const char *const[]){ "string", NULL });
}

/* Compiled without the white space around it, and shown with it. */
void check_policy_annotation(struct check *c, const struct at *at)
{
        struct scope s;

        if (blank(json_string(at->j)))
                return;
        scope_with_variables(c, &s, true);
        check_text(c, at, trimmed(c->a, json_string(at->j)), &s.env, (const char *const[]){ "string", "null_type", NULL });
}

void check_policy_variable(struct check *c, const struct at *at)
{
        struct scope s = policy_scope(c, true);

        s.env.variables = s.list;
        declare_variables(c, &s, at->up);
        check_expression(c, at, &s.env, NULL);
}

void check_policy_mutation(struct check *c, const struct at *at)
{
        struct scope s;

        scope_with_variables(c, &s, true);
        s.env.patches = true;
        check_trimmed(c, at, &s.env, (const char *const[]){ streq(at->up->name, "jsonPatch") ? "list(JSONPatch)" : "Object", NULL });
}

/* Of a webhook or a policy: their match conditions see different things. */
void check_match_condition(struct check *c, const struct at *at)
{
        struct scope s = { 0 };

        if (str_has_suffix(c->res->kind, "Policy"))
                s = policy_scope(c, true);
        else
                declare_request(&s, true);
        s.env.variables = s.list;
        check_trimmed(c, at, &s.env, (const char *const[]){ "bool", NULL });
}

/* Attributes are google.protobuf.Any upstream, which only errors tell from what is dynamic. */
static const char *device_type(struct arena *a, const struct cel_shape *shape)
{
        const char *text = cel_shape_text(a, shape, true);

        if (streq(text, "map(string, dyn)"))
                return "map(string, google.protobuf.Any)";
        return streq(text, "map(string, map(string, dyn))") ? "map(string, map(string, google.protobuf.Any))" : text;
}

void check_device_expression(struct check *c, const struct at *at)
{
        _cleanup_error_ struct error err = ERROR_INIT;
        struct scope s = { .env.estimate = &device_shape };
        struct cel_program *program;

        declare(&s, "device", &device_shape);
        if (cel_compile_in(c->a, json_string(at->j) ?: "", &s.env, &program, &err) < 0)
                check_invalid(c, at, "%s", error_text(&err));
        else if (cel_program_type(program) != CEL_BOOL && cel_program_type(program) != CEL_DYN)
                check_invalid(c, at, "must evaluate to bool or the unknown type, not %s",
                              device_type(c->a, cel_program_shape(program)));
        else if (cel_program_cost(program) > DEVICE_EXPRESSION_COST)
                check_forbidden(c, at, "too complex, exceeds cost limit");
}
