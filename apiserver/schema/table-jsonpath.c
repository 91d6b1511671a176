/* JSONPath as far as printer columns of custom resources need it: .a.b, ['a'], [0], [-1], [*], .*,
 * [?(@.type=="Ready")], and \. inside a name. The first match is the cell. */
#include <ctype.h>

#include "../../lib/base/base.h"
#include "../../lib/base/time.h"
#include "table-cells.h"

enum { SORTED_MAX = 1000 };

/* Copies a name up to '.', '[' or the end, without its backslashes. Returns what follows it. */
static const char *read_name(const char *p, char *name, size_t size)
{
        size_t n = 0;

        while (*p && *p != '.' && *p != '[') {
                if (*p == '\\' && p[1])
                        p++;
                if (n + 1 < size)
                        name[n++] = *p;
                p++;
        }
        name[n] = '\0';
        return p;
}

static const struct json *find(const struct json *v, const char *p);

/* [?(@.type=="Ready")] */
static const struct json *find_filtered(const struct json *list, const char *filter, const char *rest)
{
        char key[128], value[256];
        const char *p = filter;
        size_t n = 0;
        char quote;

        if (!str_has_prefix(p, "?(@."))
                return NULL;
        p = p + 4;
        while (*p && *p != '=' && *p != ' ' && n + 1 < sizeof(key))
                key[n++] = *p++;
        key[n] = '\0';
        p += strspn(p, " =");
        quote = *p == '"' || *p == '\'' ? *p++ : ')';
        for (n = 0; *p && *p != quote && n + 1 < sizeof(value);)
                value[n++] = *p++;
        value[n] = '\0';
        json_foreach_item(list, item) {
                const struct json *v = json_path(item, key), *found;

                if (v && ((json_is_string(v) || json_is_number(v)) ? streq(v->str, value)
                                                                    : json_is_bool(v) && streq(v->boolean ? "true" : "false", value))) {
                        found = find(item, rest);
                        if (found)
                                return found;
                }
        }
        return NULL;
}

static const struct json *find_any(const struct json *v, const char *rest)
{
        const struct json *found = NULL;

        json_foreach_item(v, item)
                if (!found)
                        found = find(item, rest);
        json_foreach_member(v, m)
                if (!found)
                        found = find(m->value, rest);
        return found;
}

static const struct json *find_bracket(const struct json *v, const char *p)
{
        const char *end = *p == '?' ? strstr(p, ")]") : strchr(p, ']');
        char name[256];
        int64_t i;

        if (!end)
                return NULL;
        if (*p == '?')
                return find_filtered(v, p, end + 2);
        if (*p == '*')
                return find_any(v, end + 1);
        if (*p == '\'' || *p == '"') {
                if ((size_t)(end - p) < 2 || (size_t)(end - p - 2) >= sizeof(name))
                        return NULL;
                memcpy(name, p + 1, end - p - 2);
                name[end - p - 2] = '\0';
                return find(json_get(v, name), end + 1);
        }
        i = strtol(p, NULL, 10);
        return find(json_at(v, i < 0 ? (size_t)(i + (int64_t)json_len(v)) : (size_t)i), end + 1);
}

static const struct json *find(const struct json *v, const char *p)
{
        char name[256];

        if (!v || !*p)
                return v;
        if (*p == '[')
                return find_bracket(v, p + 1);
        if (*p == '.')
                p++;
        if (*p == '*')
                return find_any(v, p + 1);
        p = read_name(p, name, sizeof(name));
        return find(*name ? json_get(v, name) : v, p);
}

/* The first member behind LAST (NULL: of all), by name. */
static const struct json_member *next_member(const struct json *v, const char *last)
{
        const struct json_member *found = NULL;

        json_foreach_member(v, m)
                if ((!last || strcmp(m->key, last) > 0) && (!found || strcmp(m->key, found->key) < 0))
                        found = m;
        return found;
}

/* As Go writes a map: by names. */
static void write_sorted(struct strbuf *b, const struct json *v)
{
        if (json_is_array(v)) {
                strbuf_putc(b, '[');
                json_foreach_item(v, item) {
                        strbuf_puts(b, item_i ? "," : "");
                        write_sorted(b, item);
                }
                strbuf_putc(b, ']');
        } else if (json_is_object(v) && json_len(v) <= SORTED_MAX) {
                const struct json_member *m = NULL;

                strbuf_putc(b, '{');
                for (bool first = true; (m = next_member(v, m ? m->key : NULL)); first = false) {
                        strbuf_puts(b, first ? "" : ",");
                        json_write_string(b, m->key, m->key_len);
                        strbuf_putc(b, ':');
                        write_sorted(b, m->value);
                }
                strbuf_putc(b, '}');
        } else {
                json_write(b, v);
        }
}

/* What is no time at all is told, what is no text is nothing. */
static void cell_date(const struct cell *c, const struct json *v)
{
        int64_t t;

        if (!json_is_string(v))
                strbuf_puts(c->out, "null");
        else if (!str_empty(json_string(v)) && time_parse(json_string(v), &t) < 0)
                cell_string(c, "<invalid>");
        else
                cell_age(c, json_string(v));
}

void cell_jsonpath(const struct cell *c)
{
        const struct json *v = find(c->obj, c->args);
        const char *type = c->column->type;
        int64_t i;
        double d;

        if (v && json_is_null(v) && streq(type, "string"))
                cell_string(c, "<no value>");
        else if (!v || json_is_null(v))
                strbuf_puts(c->out, "null");
        else if (streq(type, "date"))
                cell_date(c, v);
        else if (streq(type, "integer") && json_is_number(v) && json_to_int(v, &i) < 0) {
                d = json_to_double(v, 0);
                if (d > -9e18 && d < 9e18)
                        strbuf_printf(c->out, "%lld", (long long)d);
                else
                        strbuf_puts(c->out, "null");
        } else if (streq(type, "integer") && !json_is_number(v))
                strbuf_puts(c->out, "null");
        else if ((streq(type, "number") && !json_is_number(v)) || (streq(type, "boolean") && !json_is_bool(v)))
                strbuf_puts(c->out, "null");
        else if (streq(type, "string") && !json_is_string(v)) {
                _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

                write_sorted(&b, v);
                cell_string(c, strbuf_str(&b));
        } else
                json_write(c->out, v);
}
