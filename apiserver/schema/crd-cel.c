/* What CEL sees of a schema, and the rules of definitions: whether they compile by those types, and what they may cost
 * (apiextensions' CEL validation). The figures are part of the API: they decide which definitions are let in. */
#include "crd-internal.h"

#include <stdlib.h>

#include "../../lib/cel/cel.h"

enum { REQUEST_MAX = 3 * 1024 * 1024, RULE_MAX = 10000000, DEFINITION_MAX = 100000000, MOST_SHOWN = 4 };

/* A maximum that the schema sets; -1: it does not. */
static int64_t maximum(const struct json *s, const char *key)
{
        const struct json *v = json_get(s, key);

        return !json_is_number(v) ? -1 : MAX((int64_t)json_get_int(s, key, 0), (int64_t)0);
}

/* Objects get names that nobody can rely on; upstream's start with the nanosecond. */
const struct cel_shape *crd_shape(struct arena *a, const struct json *s, bool resource)
{
        return cel_schema_shape(a, s, resource, "selfType0", NULL);
}

/* --- places --- */

static uint64_t times(uint64_t x, uint64_t y)
{
        return x && UINT64_MAX / x < y ? UINT64_MAX : x * y;
}

const struct crd_place *crd_place_below(struct arena *a, const struct crd_place *parent, const struct json *s,
                                        const struct json *below, const char *field, struct crd_place *ret)
{
        bool list = streq(text(s, "type"), "array"), map = streq(text(s, "type"), "object") && json_get(s, "additionalProperties");
        int64_t max = list ? maximum(s, "maxItems") : map ? maximum(s, "maxProperties") : 1;

        if (!parent)
                return NULL;
        *ret = (struct crd_place){.parent = parent, .schema = below, .field = field};
        ret->bounded = parent->bounded && max >= 0;
        if (ret->bounded)
                ret->cardinality = times(parent->cardinality, (uint64_t)max);
        return ret;
}

static const struct cel_shape *shape_at(struct arena *a, const struct crd_place *at)
{
        struct crd_place *p = (struct crd_place *)at; /* what is found stays with it */

        if (p->tried)
                return p->shape;
        p->tried = true;
        p->shape = crd_shape(a, p->schema, p->root || flag(p->schema, "x-kubernetes-embedded-resource"));
        return p->shape;
}

/* --- costs --- */

static const char *factor(struct arena *a, uint64_t cost, uint64_t max)
{
        double times_more = (double)cost / (double)max;

        return times_more > 100 ? "more than 100x" : arena_printf(a, times_more < 1.5 ? "%fx" : "%.1fx", times_more);
}

static const char *too_dear(struct arena *a, const char *what, uint64_t cost, uint64_t max)
{
        return arena_printf(a, "%s exceeds budget by factor of %s (try simplifying the rule, or adding maxItems, maxProperties, and maxLength "
                               "where arrays, maps, and strings are declared)", what, factor(a, cost, max));
}

static void observe(struct crd_cost *c, const char *path, uint64_t cost)
{
        size_t i;

        c->total = UINT64_MAX - c->total < cost ? UINT64_MAX : c->total + cost;
        if (cost < DEFINITION_MAX / 100)
                return;
        for (i = c->n; i > 0 && c->most[i - 1].cost < cost; i--)
                c->most[i] = c->most[i - 1];
        c->most[i] = (struct crd_expensive){path, cost};
        c->n = MIN(c->n + 1, (size_t)MOST_SHOWN);
}

void crd_check_total_cost(const struct crd_cost *cost, const char *path, struct field_errors *errs)
{
        if (cost->total <= DEFINITION_MAX)
                return;
        for (size_t i = 0; i < cost->n; i++)
                field_error_add(errs, FIELD_FORBIDDEN, cost->most[i].path, NULL,
                                "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema");
        field_error_add(errs, FIELD_FORBIDDEN, path, NULL, "%s",
                        too_dear(errs->arena, "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema", cost->total,
                                 DEFINITION_MAX));
}

/* --- rules --- */

static bool blank(const char *s)
{
        return s[strspn(s, " \t\r\n\v\f")] == '\0';
}

/* A line break that is not at an end. */
static bool breaks(const char *s)
{
        size_t len;

        s += strspn(s, " \t\r\n\v\f");
        for (len = strlen(s); len && strchr(" \t\r\n\v\f", s[len - 1]);)
                len--;
        return strcspn(s, "\r\n") < len;
}

static void check_message(const struct json *rule, const char *at, struct field_errors *errs)
{
        const char *message = text(rule, "message"), *path = arena_printf(errs->arena, "%s.message", at);

        if (blank(text(rule, "rule")))
                field_error_add(errs, FIELD_REQUIRED, arena_printf(errs->arena, "%s.rule", at), NULL, "rule is not specified");
        else if (*message && blank(message))
                field_error_add(errs, FIELD_INVALID, path, json_get(rule, "message"), "must be non-empty if specified");
        else if (breaks(message))
                field_error_add(errs, FIELD_INVALID, path, json_get(rule, "message"), "must not contain line breaks");
        else if (breaks(text(rule, "rule")) && !*message)
                field_error_add(errs, FIELD_REQUIRED, path, NULL, "message must be specified if rule contains line breaks");
        if (*text(rule, "messageExpression") && blank(text(rule, "messageExpression")))
                field_error_add(errs, FIELD_REQUIRED, arena_printf(errs->arena, "%s.messageExpression", at), NULL,
                                "messageExpression must be non-empty if specified");
}

void crd_check_rule_words(const struct json *s, const char *path, struct field_errors *errs)
{
        static const char *const reasons[] = {"FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid",
                                              "FieldValueRequired", NULL};
        struct arena *a = errs->arena;

        json_foreach_item(json_get(s, "x-kubernetes-validations"), rule) {
                const char *at = arena_printf(a, "%s.x-kubernetes-validations[%zu]", path, rule_i), *field = text(rule, "fieldPath"),
                           *reason = json_get_string(rule, "reason"), *field_at = arena_printf(a, "%s.fieldPath", at), *why, *shown;
                const struct json *value = json_get(rule, "fieldPath");
                bool known = !reason;

                check_message(rule, at, errs);
                for (size_t i = 0; reasons[i]; i++)
                        known |= streq(reason, reasons[i]);
                if (!known)
                        field_error_not_supported(errs, arena_printf(a, "%s.reason", at), json_get(rule, "reason"), reasons);
                if (*field && blank(field))
                        field_error_add(errs, FIELD_INVALID, field_at, value, "must be non-empty if specified");
                if (strpbrk(field, "\r\n"))
                        field_error_add(errs, FIELD_INVALID, field_at, value, "must not contain line breaks");
                if (*field && !crd_field_at(a, s, field, true, &shown, &why))
                        field_error_add(errs, FIELD_INVALID, field_at, value, "must be a valid path");
        }
}

struct compiled {
        struct arena *a;
        const struct json *rule;
        const char *at;
        const struct crd_place *place;
        struct crd_cost *cost;
        struct field_errors *errs;
        struct cel_env env;
};

static void wrong(struct compiled *c, const char *field, const char *detail)
{
        field_error_add_text(c->errs, FIELD_INVALID, arena_printf(c->a, "%s.%s", c->at, field), crd_go_rule(c->a, c->rule), "%s", detail);
}

static void add_cost(struct compiled *c, const char *field, const char *what, uint64_t cost)
{
        const char *path = arena_printf(c->a, "%s.%s", c->at, field);

        if (!c->cost->known && cost > RULE_MAX)
                field_error_add(c->errs, FIELD_FORBIDDEN, path, NULL, "%s", too_dear(c->a, what, cost, RULE_MAX));
        observe(c->cost, path, cost);
}

static void check_message_expression(struct compiled *c)
{
        _cleanup_error_ struct error err = ERROR_INIT;
        struct cel_program *p;

        if (cel_compile_in(c->a, text(c->rule, "messageExpression"), &c->env, &p, &err) < 0)
                wrong(c, "messageExpression", arena_printf(c->a, "messageExpression %s", err.message));
        else if (cel_program_type(p) != CEL_STRING)
                wrong(c, "messageExpression", "messageExpression must evaluate to a string");
        else if (cel_program_trouble(p))
                wrong(c, "messageExpression", arena_printf(c->a, "messageExpression instantiation failed: %s", cel_program_trouble(p)));
        else
                add_cost(c, "messageExpression", "estimated messageExpression cost", cel_program_cost(p));
}

static void check_rule(struct compiled *c, const char *loose)
{
        const struct json *optional = json_get(c->rule, "optionalOldSelf");
        _cleanup_error_ struct error err = ERROR_INIT;
        struct cel_program *p = NULL;
        uint64_t often = c->place->bounded ? c->place->cardinality : REQUEST_MAX / (c->env.estimate->min + 1);
        bool uses_old = false;

        if (cel_compile_in(c->a, text(c->rule, "rule"), &c->env, &p, &err) < 0) {
                observe(c->cost, c->at, 0);
                wrong(c, "rule", err.message);
        } else if (cel_program_type(p) != CEL_BOOL) {
                wrong(c, "rule", "cel expression must evaluate to a bool");
                p = NULL;
        } else if (cel_program_trouble(p)) {
                observe(c->cost, c->at, 0);
                wrong(c, "rule", arena_printf(c->a, "program instantiation failed: %s", cel_program_trouble(p)));
                p = NULL;
        } else {
                add_cost(c, "rule", "estimated rule cost", times(cel_program_cost(p), often));
                uses_old = cel_program_uses(p, "oldSelf");
        }
        if (p && *text(c->rule, "messageExpression"))
                check_message_expression(c);
        if (uses_old && loose)
                field_error_add(c->errs, FIELD_INVALID, arena_printf(c->a, "%s.rule", c->at), json_get(c->rule, "rule"),
                                "oldSelf cannot be used on the uncorrelatable portion of the schema within %s", loose);
        else if (!uses_old && optional && !json_is_null(optional))
                field_error_add(c->errs, FIELD_INVALID, arena_printf(c->a, "%s.optionalOldSelf", c->at), optional,
                                "may not be set if oldSelf is not used in rule");
}

void crd_check_rules(const struct json *s, const char *path, const struct crd_place *at, const char *loose, struct crd_cost *cost,
                     struct field_errors *errs)
{
        struct arena *a = errs->arena;
        const struct cel_shape *self = shape_at(a, at);

        if (!self) {
                field_error_add(errs, FIELD_INTERNAL, arena_printf(a, "%s.x-kubernetes-validations", path), NULL,
                                "internal error: failed to construct type information for x-kubernetes-validations rules: unable to "
                                "convert structural schema to CEL declarations");
                return;
        }
        json_foreach_item(json_get(s, "x-kubernetes-validations"), rule) {
                bool optional = json_get_bool(rule, "optionalOldSelf", false);
                struct cel_variable variables[] = {{"self", self}, {"oldSelf", optional ? cel_shape_optional(a, self) : self}};
                struct compiled c = {.a = a, .rule = rule, .at = arena_printf(a, "%s.x-kubernetes-validations[%zu]", path, rule_i),
                                     .place = at, .cost = cost, .errs = errs, .env = {variables, 2, false, self}};

                check_rule(&c, loose);
        }
}

/* --- paths of fields --- */

static const char *unquoted(struct arena *a, const char *s, size_t len)
{
        static const char letters[] = "abfnrtv'\\", meant[] = "\a\b\f\n\r\t\v'\\";
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        for (size_t i = 0; i < len; i++) {
                const char *letter;

                if (s[i] != '\\' || i + 1 == len) {
                        strbuf_putc(&b, s[i]);
                        continue;
                }
                letter = strchr(letters, s[++i]);
                if (!letter || !*letter)
                        return NULL;
                strbuf_putc(&b, meant[letter - letters]);
        }
        return arena_strdup(a, strbuf_str(&b));
}

/* The next word of a path: "." "[" "]" 'quoted' or a name. 0: there is none. */
static size_t word(const char *s)
{
        size_t n = 1;

        if (*s != '\'')
                return *s ? MAX(strcspn(s, ".[]"), (size_t)1) : 0;
        while (s[n] && (s[n] != '\'' || s[n - 1] == '\\'))
                n++;
        return n + (s[n] == '\'');
}

static const struct json *step_down(struct arena *a, const struct json *s, const char *name, const char **path, const char **ret_why)
{
        const struct json *props = json_get(s, "properties"), *more = json_get(s, "additionalProperties");

        *ret_why = "does not refer to a valid field";
        if (json_len(props)) {
                *path = **path ? arena_printf(a, "%s.%s", *path, name) : name;
                return json_get(props, name);
        }
        *path = arena_printf(a, "%s[%s]", *path, name);
        return json_is_object(more) ? more : NULL;
}

const struct json *crd_field_at(struct arena *a, const struct json *s, const char *path, bool brackets, const char **ret_path,
                                const char **ret_why)
{
        *ret_path = "";
        *ret_why = "";
        while (s && *path) {
                size_t n = word(path);
                bool bracket = *path == '[';
                const char *name;

                if (n != 1 || (*path != '.' && *path != '[')) {
                        *ret_why = arena_printf(a, "expected [ or . but got: %.*s", (int)n, path);
                        return NULL;
                }
                if (bracket && !brackets) {
                        *ret_why = "array notation is not allowed";
                        return NULL;
                }
                path++;
                n = word(path);
                if (!n) {
                        *ret_why = "unexpected end of JSON path";
                        return NULL;
                }
                if (bracket && (n < 2 || path[0] != '\'' || path[n - 1] != '\'')) {
                        *ret_why = arena_printf(a, "expected single quoted string but got %.*s", (int)n, path);
                        return NULL;
                }
                name = bracket ? unquoted(a, path + 1, n - 2) : arena_strndup(a, path, n);
                if (!name) {
                        *ret_why = "invalid string literal";
                        return NULL;
                }
                s = step_down(a, s, name, ret_path, ret_why);
                path += n;
                if (s && bracket && *path != ']') {
                        *ret_why = *path ? arena_printf(a, "expected ] but got %.*s", (int)word(path), path) : "unexpected end of JSON path";
                        return NULL;
                }
                path += s && bracket;
        }
        return s;
}
