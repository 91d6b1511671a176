/* Expressions in CEL that clients store: they must compile, and come to the right type. */
#include "../../lib/cel/cel.h"
#include "functions.h"

/* What expressions of an AdmissionRequest see: its fields are known. */
#define REQUEST "request.kind", "request.resource", "request.subResource", "request.requestKind", "request.requestResource", \
        "request.requestSubResource", "request.name", "request.namespace", "request.operation", "request.userInfo",  \
        "request.dryRun", "request.options"

static const char *const webhook_names[] = { "object", "oldObject", "authorizer", REQUEST, NULL };

/* Of a policy: parameters if it has a kind of them, and those of its variables that are before MINE (NULL: all). */
static const char *const *policy_names(struct check *c, const struct at *mine)
{
        static const char *const fixed[] = { "object", "oldObject", "authorizer", "namespaceObject", "variables.", REQUEST };
        const struct json *variables = json_path(c->obj, "spec.variables");
        const char **names = arena_calloc(c->a, (ARRAY_SIZE(fixed) + json_len(variables) + 2) * sizeof(*names));
        size_t n = ARRAY_SIZE(fixed);

        memcpy(names, fixed, sizeof(fixed));
        if (json_is_object(json_path(c->obj, "spec.paramKind")))
                names[n++] = "params";
        json_foreach_item(variables, v) {
                if (mine && mine->kind == AT_ITEM && v_i >= mine->index)
                        break;
                if (json_get_string(v, "name"))
                        names[n++] = arena_printf(c->a, "variables.%s", json_get_string(v, "name"));
        }
        return names;
}

/* TYPES: what it may come to; N 0: anything. WANTED: how upstream names them. */
static void check_expression(struct check *c, const struct at *at, const char *const *names, const enum cel_type *types, size_t n,
                             const char *wanted)
{
        static const char *const words[] = { [CEL_NULL] = "null_type", [CEL_BOOL] = "bool", [CEL_INT] = "int", [CEL_UINT] = "uint",
                                             [CEL_DOUBLE] = "double", [CEL_STRING] = "string", [CEL_BYTES] = "bytes",
                                             [CEL_LIST] = "list", [CEL_MAP] = "map" };
        _cleanup_error_ struct error err = ERROR_INIT;
        const char *text = json_string(at->j);
        struct cel_program *program;
        enum cel_type type;
        bool ok = !n;

        if (str_empty(text))
                return;
        if (cel_compile(c->a, text, names, &program, &err) < 0) {
                check_invalid(c, at, "%s", error_text(&err));
                return;
        }
        type = cel_program_type(program);
        for (size_t i = 0; i < n; i++)
                ok |= type == types[i] || type == CEL_DYN;
        if (!ok)
                check_invalid(c, at, "must evaluate to %s but got %s", wanted,
                              type < ARRAY_SIZE(words) && words[type] ? words[type] : "another type");
}

void check_policy_validation(struct check *c, const struct at *at)
{
        check_expression(c, at, policy_names(c, NULL), (const enum cel_type[]){ CEL_BOOL }, 1, "bool");
}

void check_policy_message(struct check *c, const struct at *at)
{
        check_expression(c, at, policy_names(c, NULL), (const enum cel_type[]){ CEL_STRING }, 1, "string");
}

void check_policy_annotation(struct check *c, const struct at *at)
{
        check_expression(c, at, policy_names(c, NULL), (const enum cel_type[]){ CEL_STRING, CEL_NULL }, 2,
                         "one of [string null_type]");
}

void check_policy_variable(struct check *c, const struct at *at)
{
        check_expression(c, at, policy_names(c, at->up), NULL, 0, "");
}

void check_policy_mutation(struct check *c, const struct at *at)
{
        check_expression(c, at, policy_names(c, NULL), (const enum cel_type[]){ CEL_MAP, CEL_LIST }, 2, "an object or a list");
}

/* Of a webhook or a policy: their match conditions see different things. */
void check_match_condition(struct check *c, const struct at *at)
{
        bool policy = str_has_suffix(c->res->kind, "Policy");

        check_expression(c, at, policy ? policy_names(c, NULL) : webhook_names, (const enum cel_type[]){ CEL_BOOL }, 1, "bool");
}
