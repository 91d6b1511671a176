/* Whether a configuration fits its schema, in the words of structured-merge-diff. */
#include "typed-internal.h"

#include "crd.h"
#include "go-value.h"

/* The way to a value; it becomes text only when there is something to say. */
struct step {
        const struct step *up;
        const char *key;               /* of a member; else */
        const struct element *element; /* of a list with keys; else */
        size_t index;
};

struct check {
        const struct typed *t;
        struct strbuf errors;
        unsigned n;
};

/* "k:{\"name\":\"a\"}" as messages show it: [name="a"] */
static void name_path(const char *path, void *userdata)
{
        strbuf_reset(userdata);
        strbuf_puts(userdata, path);
}

static const char *element_path(struct check *c, const struct element *e)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        struct field_set one = { 0 };

        field_set_node(c->t->a, &one, e->name, e->len)->member = true;
        field_set_walk(c->t->a, &one, name_path, &b);
        return arena_strdup(c->t->a, strbuf_str(&b));
}

static void print_steps(struct check *c, const struct step *at)
{
        if (at->up)
                print_steps(c, at->up);
        if (at->key)
                strbuf_printf(&c->errors, ".%s", at->key);
        else if (at->element)
                strbuf_puts(&c->errors, element_path(c, at->element));
        else
                strbuf_printf(&c->errors, "[%zu]", at->index);
}

static void complain(struct check *c, const struct step *at, const char *fmt, ...) printf_like(3, 4);
static void complain(struct check *c, const struct step *at, const char *fmt, ...)
{
        va_list ap;

        c->n++;
        strbuf_puts(&c->errors, "\n  ");
        if (at) {
                print_steps(c, at);
                strbuf_puts(&c->errors, ": ");
        }
        va_start(ap, fmt);
        strbuf_vprintf(&c->errors, fmt, ap);
        va_end(ap);
}

static void complain_value(struct check *c, const struct step *at, const char *expected, const struct json *j)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        go_print(&b, j);
        complain(c, at, "expected %s, got &{%s}", expected, strbuf_str(&b));
}

/* For strings upstream shows the Go value that holds the other one. */
static void complain_string(struct check *c, const struct step *at, const struct json *j)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        go_print_syntax(&b, j);
        complain(c, at, "expected string, got &value.valueUnstructured{Value:%s}", strbuf_str(&b));
}

static void complain_type(struct check *c, const struct step *at, const char *expected, const struct json *j)
{
        static const char *const names[] = {
                [JSON_BOOL] = "bool",
                [JSON_STRING] = "string",
                [JSON_ARRAY] = "[]interface {}",
                [JSON_OBJECT] = "map[string]interface {}",
        };

        complain(c, at, "expected %s, got %s", expected, names[j->type]);
}

static void check(struct check *c, const struct step *at, const struct schema *s, const struct json *j);

static void check_map(struct check *c, const struct step *at, const struct schema *s, const struct json *j)
{
        bool declared;

        if (!json_is_object(j)) {
                complain_value(c, at, "map", j);
                return;
        }
        json_foreach_member(j, m) {
                const struct schema *ms = member_schema(s, m, &declared);
                struct step below = { .up = at, .key = m->key };

                if (ms)
                        check(c, &below, ms, m->value);
                else
                        complain(c, &below, "field not declared in schema");
        }
}

static void check_items(struct check *c, const struct step *at, const struct schema *s, const struct json *j)
{
        struct element *e;
        size_t n = typed_elements(c->t->a, s, j, true, &e);

        for (size_t i = 0; i < n; i++) {
                struct step below = { .up = at, .element = &e[i] };

                if (e[i].error) { /* the rest of the list is not looked at */
                        complain(c, at, "element %zu: %s", i, e[i].error);
                        break;
                }
                for (size_t k = 0; k < i; k++)
                        if (!e[k].error && typed_same_name(&e[i], &e[k])) {
                                complain(c, at, "duplicate entries for key %s", element_path(c, &e[i]));
                                break;
                        }
                check(c, &below, s->elem, e[i].value);
        }
}

static void check_list(struct check *c, const struct step *at, const struct schema *s, const struct json *j)
{
        if (!json_is_array(j)) {
                complain_value(c, at, "list", j);
                return;
        }
        if (s->list_type != SCHEMA_LIST_ATOMIC) {
                check_items(c, at, s, j);
                return;
        }
        json_foreach_item(j, it) {
                struct step below = { .up = at, .index = it_i };

                check(c, &below, s->elem, it);
        }
}

/* Strings of a definition that have a format count as any scalar, those of base64 aside. */
static bool any_scalar(const struct schema *s)
{
        const char *format = s->crd ? json_get_string(s->crd->raw, "format") : NULL;

        return !str_empty(format) && !streq(format, "byte");
}

static void check(struct check *c, const struct step *at, const struct schema *s, const struct json *j)
{
        bool scalar = !json_is_object(j) && !json_is_array(j);

        if (json_is_null(j))
                return;
        switch (s->type) {
        case SCHEMA_STRUCT:
        case SCHEMA_MAP:
                check_map(c, at, s, j);
                break;
        case SCHEMA_ARRAY:
                check_list(c, at, s, j);
                break;
        case SCHEMA_STRING:
        case SCHEMA_BYTES:
        case SCHEMA_DURATION:
                if (any_scalar(s) && !scalar)
                        complain_value(c, at, "any scalar", j);
                else if (!any_scalar(s) && !json_is_string(j))
                        complain_string(c, at, j);
                break;
        case SCHEMA_BOOLEAN:
                if (!json_is_bool(j))
                        complain_value(c, at, "boolean", j);
                break;
        case SCHEMA_INT32:
        case SCHEMA_INT64:
        case SCHEMA_DOUBLE:
                if (!json_is_number(j))
                        complain_type(c, at, "numeric (int or float)", j);
                break;
        case SCHEMA_ANY:
        case SCHEMA_INT_OR_STRING: /* has no type of its own in OpenAPI */
                break;
        default:
                if (!scalar)
                        complain_value(c, at, "any scalar", j);
        }
}

const char *typed_validate(const struct typed *t, const struct json *j)
{
        struct check c = { .t = t, .errors = STRBUF_INIT };
        char *text = NULL;

        check(&c, NULL, t->schema, j);
        if (c.n == 1)
                text = arena_strdup(t->a, strbuf_str(&c.errors) + 3);
        else if (c.n)
                text = arena_printf(t->a, "errors:%s", strbuf_str(&c.errors));
        strbuf_deinit(&c.errors);
        return text;
}
