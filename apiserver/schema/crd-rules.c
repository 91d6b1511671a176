/* x-kubernetes-validations: CEL rules of structural schemas (crd.h).
 *
 * Rules are compiled once, with the definition. A rule sees the value that it stands at as `self`, and on
 * update the stored one as `oldSelf`, where the two can be told to be the same (fields, entries of maps, items of
 * lists with keys). What did not change is not judged again, except by rules about changes. Values are the
 * objects' own JSON: formats such as date-time are strings here.
 */
#include "crd.h"

#include "../../lib/cel/cel.h"

#define RULE_COST 1000000    /* of one rule */
#define OBJECT_COST 10000000 /* of all rules of an object */

struct crd_rule {
        const struct json *raw;
        struct cel_program *program, *message; /* MESSAGE: of messageExpression; NULL: none */
        bool about_change;                     /* it names oldSelf */
        bool optional_old;
};

static const char *const variables[] = {"self", "oldSelf", NULL};

/* --- compiling --- */

static const char *text(const struct json *obj, const char *key)
{
        const char *s = json_get_string(obj, key);

        return s ? s : "";
}

static void attach(struct arena *a, struct schema_crd *node)
{
        const struct json *list = json_get(node->raw, "x-kubernetes-validations");
        struct crd_rule *rules = arena_calloc(a, (json_len(list) + 1) * sizeof(*rules));

        node->rules = rules;
        json_foreach_item(list, raw) {
                struct crd_rule *r = &rules[node->n_rules];

                *r = (struct crd_rule){.raw = raw, .optional_old = json_get_bool(raw, "optionalOldSelf", false)};
                if (cel_compile(a, text(raw, "rule"), variables, &r->program, NULL) < 0)
                        continue; /* definitions with such a rule are refused */
                if (*text(raw, "messageExpression") &&
                    cel_compile(a, text(raw, "messageExpression"), variables, &r->message, NULL) < 0)
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
        uint64_t cost;
        bool spent;
        const struct json *self, *old; /* of the rule at hand; OLD NULL: there is none */
        bool optional_old;
};

static struct cel_value resolve(struct cel_run *run, void *userdata, const char *name)
{
        struct judge *j = userdata;
        struct cel_value old = cel_from_json(j->old);

        if (streq(name, "self"))
                return cel_from_json(j->self);
        if (j->optional_old)
                return cel_optional(run->arena, j->old ? &old : NULL);
        return old;
}

static struct cel_value run(struct judge *j, const struct cel_program *p)
{
        struct cel_run r = {.arena = j->a, .resolve = resolve, .userdata = j, .limit = RULE_COST};
        struct cel_value v = cel_eval(p, &r);

        j->cost += r.cost;
        return v;
}

static const char *message_of(struct judge *j, const struct crd_rule *r)
{
        const char *message = text(r->raw, "message");
        struct cel_value v;

        if (r->message) {
                v = run(j, r->message);
                if (v.type == CEL_STRING && v.str.len && !memchr(v.str.s, '\n', v.str.len))
                        return cel_text(j->a, &v);
        }
        if (*message)
                return message;
        return arena_printf(j->a, "failed rule: %s", text(r->raw, "rule"));
}

static enum field_error_type type_of(const char *reason)
{
        return streq(reason, "FieldValueForbidden")   ? FIELD_FORBIDDEN
               : streq(reason, "FieldValueRequired")  ? FIELD_REQUIRED
               : streq(reason, "FieldValueDuplicate") ? FIELD_DUPLICATE
                                                      : FIELD_INVALID;
}

/* Scalars are shown; objects and lists are not. */
static void complain(struct judge *j, const struct crd_rule *r, const char *path)
{
        const char *field = text(r->raw, "fieldPath"), *message = message_of(j, r);
        enum field_error_type type = type_of(json_get_string(r->raw, "reason"));
        bool scalar = !json_is_object(j->self) && !json_is_array(j->self) && !*field;

        if (*field)
                path = *path ? arena_printf(j->a, "%s%s", path, field) : field + (*field == '.');
        path = *path ? path : "<nil>";
        if (scalar || type == FIELD_FORBIDDEN || type == FIELD_REQUIRED)
                field_error_add(j->errs, type, path, j->self, "%s", message);
        else
                field_error_add_text(j->errs, type, path, NULL, "%s", message);
}

static void judge(struct judge *j, const struct crd_rule *r, const struct schema *s, const char *path)
{
        const char *type = text(s->crd->raw, "type"), *message = text(r->raw, "message");
        struct cel_value v;

        if (j->spent)
                return;
        if (j->cost > OBJECT_COST) {
                j->spent = true;
                field_error_add_text(j->errs, FIELD_INVALID, *path ? path : "<nil>", arena_printf(j->a, "\"%s\"", type),
                                     "validation failed due to running out of cost budget, no further validation rules will be run");
                return;
        }
        v = run(j, r->program);
        if (v.type == CEL_ERROR)
                field_error_add_text(j->errs, FIELD_INVALID, *path ? path : "<nil>", arena_printf(j->a, "\"%s\"", type),
                                     "%s evaluating rule: %s", cel_text(j->a, &v), *message ? message : text(r->raw, "rule"));
        else if (v.type != CEL_BOOL || !v.b)
                complain(j, r, path);
}

static void walk(struct judge *j, const struct schema *s, const struct json *v, const struct json *old, const char *path);

static void walk_below(struct judge *j, const struct schema *s, const struct json *v, const struct json *old, const char *path)
{
        if (s->type == SCHEMA_STRUCT && json_is_object(v)) {
                for (unsigned i = 0; i < s->n_fields; i++) {
                        const struct schema_field *f = &s->fields[i];
                        const struct json *sub = json_get(v, f->name);
                        if (sub)
                                walk(j, f->type, sub, json_get(old, f->name),
                                     *path ? arena_printf(j->a, "%s.%s", path, f->name) : f->name);
                }
        } else if (s->type == SCHEMA_MAP) {
                json_foreach_member(v, m)
                        walk(j, s->elem, m->value, json_getn(old, m->key, m->key_len), arena_printf(j->a, "%s[%s]", path, m->key));
        } else if (s->type == SCHEMA_ARRAY) {
                json_foreach_item(v, item)
                        walk(j, s->elem, item, crd_same_item(j->a, s, item, old), arena_printf(j->a, "%s[%zu]", path, item_i));
        }
}

static void walk(struct judge *j, const struct schema *s, const struct json *v, const struct json *old, const char *path)
{
        bool same = old && json_equal(v, old);

        if (!s->crd || !s->crd->has_rules || json_is_null(v))
                return;
        for (unsigned i = 0; i < s->crd->n_rules; i++) {
                const struct crd_rule *r = &s->crd->rules[i];

                if (r->about_change ? !old && !r->optional_old : same)
                        continue;
                j->self = v;
                j->old = old;
                j->optional_old = r->optional_old;
                judge(j, r, s, path);
        }
        walk_below(j, s, v, old, path);
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

void crd_judge(const struct schema *s, const struct json *obj, const struct json *old, struct field_errors *errs)
{
        struct judge j = {.a = errs->arena, .errs = errs};

        if (!s->crd->has_rules)
                return;
        if (blocks(errs))
                field_error_add_text(errs, FIELD_INVALID, "<nil>", "null",
                                     "some validation rules were not checked because the object was invalid; correct the existing "
                                     "errors to complete validation");
        else
                walk(&j, s, obj, old, "");
}

/* --- rules in definitions --- */

static const char *go_rule(struct arena *a, const struct json *raw)
{
        static const char *const fields[] = {"rule", "message", "messageExpression"};
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        const char *reason = json_get_string(raw, "reason"), *path = text(raw, "fieldPath");

        for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
                const char *s = text(raw, fields[i]);
                strbuf_printf(&b, "%s\"%c%s\":", i ? "," : "{", fields[i][0] & ~0x20, fields[i] + 1);
                json_write_string(&b, s, strlen(s));
        }
        strbuf_puts(&b, ",\"Reason\":");
        if (reason)
                json_write_string(&b, reason, strlen(reason));
        else
                strbuf_puts(&b, "null");
        strbuf_puts(&b, ",\"FieldPath\":");
        json_write_string(&b, path, strlen(path));
        strbuf_printf(&b, ",\"OptionalOldSelf\":%s}",
                      json_get(raw, "optionalOldSelf") ? json_get_bool(raw, "optionalOldSelf", false) ? "true" : "false" : "null");
        return arena_strndup(a, b.data, b.len);
}

void crd_check_rule(const struct json *raw, const char *path, struct field_errors *errs)
{
        struct arena *a = errs->arena;
        _cleanup_error_ struct error err = ERROR_INIT, message_err = ERROR_INIT;
        struct cel_program *p = NULL, *message = NULL;
        const char *expression = text(raw, "messageExpression");
        enum cel_type type;

        if (cel_compile(a, text(raw, "rule"), variables, &p, &err) < 0) {
                field_error_add_text(errs, FIELD_INVALID, arena_printf(a, "%s.rule", path), go_rule(a, raw), "%s", err.message);
                return;
        }
        type = cel_program_type(p);
        if (type != CEL_BOOL && type != CEL_DYN)
                field_error_add_text(errs, FIELD_INVALID, arena_printf(a, "%s.rule", path), go_rule(a, raw),
                                     "cel expression must evaluate to a bool");
        if (json_get(raw, "optionalOldSelf") && !cel_program_uses(p, "oldSelf"))
                field_error_add(errs, FIELD_INVALID, arena_printf(a, "%s.optionalOldSelf", path), json_get(raw, "optionalOldSelf"),
                                "may not be set if oldSelf is not used in rule");
        if (!*expression)
                return;
        if (cel_compile(a, expression, variables, &message, &message_err) < 0)
                field_error_add_text(errs, FIELD_INVALID, arena_printf(a, "%s.messageExpression", path), go_rule(a, raw),
                                     "messageExpression %s", message_err.message);
        else if (cel_program_type(message) != CEL_STRING && cel_program_type(message) != CEL_DYN)
                field_error_add_text(errs, FIELD_INVALID, arena_printf(a, "%s.messageExpression", path), go_rule(a, raw),
                                     "messageExpression must evaluate to a string");
}
