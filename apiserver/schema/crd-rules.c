/* x-kubernetes-validations: CEL rules of structural schemas (crd.h).
 *
 * Rules are compiled once, with the definition, by the types of the schema that they stand in (crd-cel.c). A rule sees its value
 * as `self`, and on update the stored one as `oldSelf`, where the two can be told to be the same (fields, entries of maps, items
 * of lists with keys). What did not change and fails is only warned of, except by rules about changes.
 */
#include "crd-internal.h"

#include "../../lib/cel/cel.h"

#define RULE_COST 1000000    /* of one rule */
#define OBJECT_COST 10000000 /* of all rules of an object */

enum { MESSAGE_MAX = 5 * 1024 };

struct crd_rule {
        const struct json *raw;
        const struct cel_shape *self;
        struct cel_program *program, *message; /* MESSAGE: of messageExpression; NULL: none */
        bool about_change;                     /* it names oldSelf */
        bool optional_old;
        const char *field; /* that errors point to, below the value; "": the value */
};

/* --- compiling --- */

/* "." stands before it, or a bracket: as it is put behind the path of the value. */
static const char *field_of(struct arena *a, const struct json *schema, const struct json *rule)
{
        const char *path, *why;

        if (!*text(rule, "fieldPath") || !crd_field_at(a, schema, text(rule, "fieldPath"), true, &path, &why))
                return "";
        return path;
}

static void attach(struct arena *a, struct schema_crd *node)
{
        const struct json *list = json_get(node->raw, "x-kubernetes-validations");
        struct crd_rule *rules = arena_calloc(a, (json_len(list) + 1) * sizeof(*rules));
        const struct cel_shape *self = crd_shape(a, node->raw, node->root || json_get_bool(node->raw, "x-kubernetes-embedded-resource",
                                                                                          false));

        node->rules = rules;
        json_foreach_item(self ? list : NULL, raw) {
                struct crd_rule *r = &rules[node->n_rules];
                bool optional = json_get_bool(raw, "optionalOldSelf", false);
                const struct cel_variable variables[] = {{"self", self}, {"oldSelf", optional ? cel_shape_optional(a, self) : self}};
                const struct cel_env env = {.variables = variables, .n = 2};

                *r = (struct crd_rule){.raw = raw, .self = self, .optional_old = optional, .field = field_of(a, node->raw, raw)};
                if (cel_compile_in(a, text(raw, "rule"), &env, &r->program, NULL) < 0)
                        continue; /* definitions with such a rule are refused */
                if (*text(raw, "messageExpression") &&
                    cel_compile_in(a, text(raw, "messageExpression"), &env, &r->message, NULL) < 0)
                        r->message = NULL;
                r->about_change = cel_program_uses(r->program, "oldSelf");
                node->n_rules++;
        }
}

bool crd_attach_rules(struct arena *a, const struct schema *s)
{
        struct schema_crd *node = (struct schema_crd *)s->crd; /* still ours: the definition is being compiled */
        bool any;

        if (!node)
                return false;
        if (json_len(json_get(node->raw, "x-kubernetes-validations")))
                attach(a, node);
        any = node->n_rules > 0;
        if (s->type == SCHEMA_STRUCT)
                for (unsigned i = 0; i < s->n_fields; i++)
                        any |= crd_attach_rules(a, s->fields[i].type);
        else if (s->elem)
                any |= crd_attach_rules(a, s->elem);
        node->has_rules = any;
        return any;
}

/* --- evaluating --- */

struct judge {
        struct arena *a;
        struct field_errors *errs;
        void (*warn)(const char *text, void *userdata); /* of what was let in before; may be NULL */
        void *userdata;
        uint64_t left; /* of OBJECT_COST */
        bool spent;
        bool same; /* what the rule at hand is about did not change */
        const struct json *self, *old; /* of the rule at hand; OLD NULL: there is none */
        const struct crd_rule *rule;
        bool message; /* the rule's message is made: there oldSelf is the value itself, whatever the rule asks for */
};

static struct cel_value resolve(struct cel_run *run, void *userdata, const char *name)
{
        struct judge *j = userdata;
        struct cel_value old = cel_from_json_as(j->old, j->rule->self);

        if (streq(name, "self"))
                return cel_from_json_as(j->self, j->rule->self);
        if (j->message && !j->old)
                return cel_error(run->arena, "no such attribute(s): %s", name);
        if (j->rule->optional_old && !j->message)
                return cel_optional(run->arena, j->old ? &old : NULL);
        return old;
}

static const char *trimmed(struct arena *a, const char *s)
{
        size_t len;

        s += strspn(s, " \t\r\n\v\f");
        for (len = strlen(s); len && strchr(" \t\r\n\v\f", s[len - 1]);)
                len--;
        return arena_strndup(a, s, len);
}

/* What a rule is called in errors about itself. */
static const char *rule_text(struct judge *j, const struct crd_rule *r)
{
        const char *message = text(r->raw, "message");

        return trimmed(j->a, *message ? message : text(r->raw, "rule"));
}

static bool over_limit(const struct cel_value *v)
{
        return v->type == CEL_ERROR && str_has_prefix(v->str.s, "operation cancelled");
}

/* False: the budget is spent, which an error says. */
static bool run(struct judge *j, const struct cel_program *p, struct cel_value *ret)
{
        struct cel_run r = {.arena = j->a, .resolve = resolve, .userdata = j, .limit = RULE_COST};

        *ret = cel_eval(p, &r);
        if (r.cost > j->left)
                return false;
        j->left -= r.cost;
        return true;
}

static void stop(struct judge *j, struct field_errors *errs, const char *path, const char *shown, const char *detail)
{
        j->spent = true;
        field_error_add_text(errs, FIELD_INVALID, path, shown, "%s", detail);
}

/* The message of a rule that failed; NULL: the budget is spent, which ERRS say. */
static const char *message_of(struct judge *j, const struct crd_rule *r, struct field_errors *errs, const char *path, const char *shown)
{
        struct cel_value v;
        const char *s;

        if (r->message) {
                bool ran;

                j->message = true;
                ran = run(j, r->message, &v);
                j->message = false;
                if (!ran) {
                        stop(j, errs, path, shown, "messageExpression evaluation failed due to running out of cost budget, no further "
                                             "validation rules will be run");
                        return NULL;
                }
                if (over_limit(&v)) {
                        _cleanup_strbuf_ struct strbuf quoted = STRBUF_INIT;

                        go_quote(&quoted, text(r->raw, "messageExpression"), strlen(text(r->raw, "messageExpression")));
                        stop(j, errs, path, shown, arena_printf(j->a, "no further validation rules will be run due to call cost exceeds limit "
                                                                "for messageExpression: %s", strbuf_str(&quoted)));
                        return NULL;
                }
                s = v.type == CEL_STRING ? trimmed(j->a, cel_text(j->a, &v)) : "";
                if (*s && !strchr(s, '\n') && strlen(s) <= MESSAGE_MAX)
                        return s;
        }
        return *text(r->raw, "message") ? trimmed(j->a, text(r->raw, "message"))
                                        : arena_printf(j->a, "failed rule: %s", rule_text(j, r));
}

static enum field_error_type type_of(const char *reason)
{
        return streq(reason, "FieldValueForbidden")   ? FIELD_FORBIDDEN
               : streq(reason, "FieldValueRequired")  ? FIELD_REQUIRED
               : streq(reason, "FieldValueDuplicate") ? FIELD_DUPLICATE
                                                      : FIELD_INVALID;
}

/* Scalars are shown; objects and lists are not. */
static void describe(struct judge *j, const struct crd_rule *r, const char *path, const char *type_name, struct field_errors *errs)
{
        enum field_error_type type = type_of(json_get_string(r->raw, "reason"));
        const char *message, *shown = arena_printf(j->a, "\"%s\"", type_name);
        bool hidden = streq(type_name, "object") || streq(type_name, "array");

        if (*r->field)
                path = *path ? arena_printf(j->a, "%s.%s", path, r->field) : r->field;
        path = *path ? path : "<nil>";
        message = message_of(j, r, errs, path, shown);
        if (!message)
                return;
        if (type == FIELD_DUPLICATE)
                message = "";
        if (!hidden || type == FIELD_FORBIDDEN || type == FIELD_REQUIRED)
                field_error_add(errs, type, path, j->self, "%s", message);
        else
                field_error_add_text(errs, type, path, NULL, "%s", message);
}

static void complain(struct judge *j, const struct crd_rule *r, const char *path, const char *type_name)
{
        struct field_errors known = {.arena = j->a};

        if (!j->same || r->about_change) {
                describe(j, r, path, type_name, j->errs);
                return;
        }
        describe(j, r, path, type_name, &known);
        for (size_t i = 0; i < known.n && j->warn; i++)
                j->warn(field_error_print(j->a, &known.list[i]), j->userdata);
}

static void judge(struct judge *j, const struct crd_rule *r, const struct schema *s, const char *path)
{
        const char *type = text(s->crd->raw, "type"), *shown = arena_printf(j->a, "\"%s\"", type), *at = *path ? path : "<nil>", *why;
        struct cel_value v;

        if (j->spent)
                return;
        if (!j->left || !run(j, r->program, &v)) {
                stop(j, j->errs, at, shown, "validation failed due to running out of cost budget, no further validation rules will be run");
                return;
        }
        if (v.type != CEL_ERROR) {
                if (v.type != CEL_BOOL || !v.b)
                        complain(j, r, path, type);
                return;
        }
        why = cel_text(j->a, &v);
        if (over_limit(&v))
                stop(j, j->errs, at, shown, arena_printf(j->a, "'%s': no further validation rules will be run due to call cost exceeds limit for "
                                                      "rule: %s", why, rule_text(j, r)));
        else if (str_has_prefix(why, "no such overload"))
                field_error_add_text(j->errs, FIELD_INVALID, at, shown,
                                     "'%s': call arguments did not match a supported operator, function or macro signature for rule: %s",
                                     why, rule_text(j, r));
        else
                field_error_add_text(j->errs, FIELD_INVALID, at, shown, "%s evaluating rule: %s", why, rule_text(j, r));
}

/* OLD: the stored value; SAME: it, or what it is a part of where it cannot be matched, did not change. */
static void walk(struct judge *j, const struct schema *s, const struct json *v, const struct json *old, bool same, const char *path);

static void walk_below(struct judge *j, const struct schema *s, const struct json *v, const struct json *old, bool same,
                       const char *path)
{
        if (s->type == SCHEMA_STRUCT && json_is_object(v)) {
                for (unsigned i = 0; i < s->n_fields; i++) {
                        const struct schema_field *f = &s->fields[i];
                        const struct json *sub = json_get(v, f->name);
                        if (sub && f->type->crd && f->type->crd->has_rules)
                                walk(j, f->type, sub, json_get(old, f->name), same,
                                     *path ? arena_printf(j->a, "%s.%s", path, f->name) : f->name);
                }
        } else if (s->type == SCHEMA_MAP && s->elem->crd && s->elem->crd->has_rules) {
                json_foreach_member(v, m)
                        walk(j, s->elem, m->value, json_getn(old, m->key, m->key_len), same, arena_printf(j->a, "%s[%s]", path, m->key));
        } else if (s->type == SCHEMA_ARRAY && s->elem->crd && s->elem->crd->has_rules) {
                struct crd_keyed_list before;

                crd_keyed_init(&before, j->a, s, old);
                json_foreach_item(v, item)
                        walk(j, s->elem, item, crd_keyed_find(&before, item), same, arena_printf(j->a, "%s[%zu]", path, item_i));
        }
}

static void walk(struct judge *j, const struct schema *s, const struct json *v, const struct json *old, bool same, const char *path)
{
        if (j->spent || !s->crd || !s->crd->has_rules || json_is_null(v))
                return;
        if (old)
                same = json_equal(v, old);
        if (old && json_is_null(old))
                old = NULL;
        for (unsigned i = 0; i < s->crd->n_rules; i++) {
                const struct crd_rule *r = &s->crd->rules[i];

                if (r->about_change && !old && !r->optional_old)
                        continue;
                j->same = same;
                j->self = v;
                j->old = old;
                j->rule = r;
                judge(j, r, s, path);
        }
        walk_below(j, s, v, old, same, path);
}

/* Mistakes that make rules meaningless: they would fail for the wrong reason. */
static bool blocks(const struct field_errors *errs)
{
        for (size_t i = 0; i < errs->n; i++)
                switch (errs->list[i].type) {
                case FIELD_NOT_SUPPORTED:
                case FIELD_REQUIRED:
                case FIELD_TOO_LONG:
                case FIELD_TOO_MANY:
                case FIELD_TYPE_INVALID:
                        return true;
                default:
                        break;
                }
        return false;
}

void crd_judge(const struct schema *s, const struct json *obj, const struct json *old, struct field_errors *errs,
               void (*warn)(const char *text, void *userdata), void *userdata)
{
        struct judge j = {.a = errs->arena, .errs = errs, .warn = warn, .userdata = userdata, .left = OBJECT_COST};

        if (!s->crd->has_rules)
                return;
        if (blocks(errs))
                field_error_add_text(errs, FIELD_INVALID, "<nil>", "null",
                                     "some validation rules were not checked because the object was invalid; correct the existing "
                                     "errors to complete validation");
        else
                walk(&j, s, obj, old, false, "");
}

void crd_judge_at(const struct schema *s, const struct json *value, const char *path, struct field_errors *errs)
{
        struct judge j = {.a = errs->arena, .errs = errs, .left = OBJECT_COST};

        walk(&j, s, value, NULL, false, path);
}
