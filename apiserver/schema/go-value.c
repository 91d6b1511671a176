/* How Go's fmt prints values that came as JSON: see go-value.h. */
#include "go-value.h"

#include "field-error.h"

#include <stdlib.h>

static int by_key(const void *x, const void *y)
{
        const struct json_member *const *mx = x, *const *my = y;

        return strcmp((*mx)->key, (*my)->key);
}

/* The members of J by key; to be freed. */
static const struct json_member **sorted_members(const struct json *j)
{
        const struct json_member **sorted = xcalloc(j->len + 1, sizeof(*sorted));
        size_t n = 0;

        json_foreach_member(j, m)
                sorted[n++] = m;
        qsort(sorted, n, sizeof(*sorted), by_key);
        return sorted;
}

static void print_double(struct strbuf *out, double d)
{
        struct arena *a = arena_new(0);

        strbuf_puts(out, go_float(a, d));
        arena_free(a);
}

static bool is_float(const struct json *j)
{
        return strpbrk(j->str, ".eE");
}

void go_print(struct strbuf *out, const struct json *j)
{
        const struct json_member **sorted;

        switch (j->type) {
        case JSON_NULL:
                strbuf_puts(out, "<nil>");
                break;
        case JSON_BOOL:
                strbuf_puts(out, j->boolean ? "true" : "false");
                break;
        case JSON_NUMBER:
                if (is_float(j))
                        print_double(out, json_to_double(j, 0));
                else
                        strbuf_append(out, j->str, j->len);
                break;
        case JSON_STRING:
                strbuf_append(out, j->str, j->len);
                break;
        case JSON_ARRAY:
                strbuf_putc(out, '[');
                json_foreach_item(j, it) {
                        if (it_i)
                                strbuf_putc(out, ' ');
                        go_print(out, it);
                }
                strbuf_putc(out, ']');
                break;
        case JSON_OBJECT:
                sorted = sorted_members(j);
                strbuf_puts(out, "map[");
                for (size_t i = 0; i < j->len; i++) {
                        strbuf_printf(out, "%s%s:", i ? " " : "", sorted[i]->key);
                        go_print(out, sorted[i]->value);
                }
                strbuf_putc(out, ']');
                free(sorted);
                break;
        }
}

void go_print_syntax(struct strbuf *out, const struct json *j)
{
        const struct json_member **sorted;

        switch (j->type) {
        case JSON_NULL:
                strbuf_puts(out, "interface {}(nil)");
                break;
        case JSON_STRING:
                go_quote(out, j->str, j->len);
                break;
        case JSON_ARRAY:
                strbuf_puts(out, "[]interface {}{");
                json_foreach_item(j, it) {
                        strbuf_puts(out, it_i ? ", " : "");
                        go_print_syntax(out, it);
                }
                strbuf_putc(out, '}');
                break;
        case JSON_OBJECT:
                sorted = sorted_members(j);
                strbuf_puts(out, "map[string]interface {}{");
                for (size_t i = 0; i < j->len; i++) {
                        strbuf_puts(out, i ? ", " : "");
                        go_quote(out, sorted[i]->key, sorted[i]->key_len);
                        strbuf_putc(out, ':');
                        go_print_syntax(out, sorted[i]->value);
                }
                strbuf_putc(out, '}');
                free(sorted);
                break;
        default:
                go_print(out, j);
        }
}

void go_print_path_value(struct strbuf *out, const struct json *j)
{
        switch (j->type) {
        case JSON_NULL:
                strbuf_puts(out, "null");
                break;
        case JSON_STRING:
                go_quote(out, j->str, j->len);
                break;
        case JSON_ARRAY:
                strbuf_putc(out, '[');
                json_foreach_item(j, it) {
                        strbuf_puts(out, it_i ? "," : "");
                        go_print_path_value(out, it);
                }
                strbuf_putc(out, ']');
                break;
        case JSON_OBJECT:
                json_foreach_member(j, m) {
                        strbuf_printf(out, "%s=", m->key);
                        go_print_path_value(out, m->value);
                }
                break;
        default:
                go_print(out, j);
        }
}
