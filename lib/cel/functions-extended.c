/* cel-go's extensions of lists (ext/lists.go, version 3), optionals in lists, and the formatting of strings (ext/strings.go,
 * version 2), with their words. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "../meta/quantity.h"
#include "ast.h"

/* --- lists --- */

static struct cel_value *items_of(struct eval *e, const struct cel_value *list, size_t *ret_n)
{
        size_t n = cel_list_len(list);
        struct cel_value *items = arena_alloc(e->run->arena, (n + 1) * sizeof(*items));

        for (size_t i = 0; i < n; i++)
                items[i] = cel_ripe(e->run->arena, cel_list_at(list, i));
        *ret_n = n;
        return items;
}

static struct cel_value f_reverse(struct eval *e, size_t n, const struct cel_value *v)
{
        struct cel_value *items, x;
        size_t len;

        if (v->type != CEL_LIST)
                return cel_no_overload();
        items = items_of(e, v, &len);
        if (!eval_room(e, len + 10))
                return eval_over_limit();
        for (size_t i = 0; i < len / 2; i++) {
                x = items[i];
                items[i] = items[len - 1 - i];
                items[len - 1 - i] = x;
        }
        return cel_list_new(e->run->arena, items, len);
}

static struct cel_value f_distinct(struct eval *e, size_t n, const struct cel_value *v)
{
        struct cel_value *items;
        size_t len, used = 0;

        if (v->type != CEL_LIST)
                return cel_no_overload();
        items = items_of(e, v, &len);
        if (!eval_room(e, len * len * 2 + 10))
                return eval_over_limit();
        for (size_t i = 0; i < len; i++) {
                size_t k = 0;

                while (k < used && !cel_equal(&items[i], &items[k]))
                        k++;
                if (k == used)
                        items[used++] = items[i];
        }
        return cel_list_new(e->run->arena, items, used);
}

static struct cel_value f_slice(struct eval *e, size_t n, const struct cel_value *v)
{
        long long from = (long long)v[1].i, to = (long long)v[2].i;
        struct cel_value *items;
        size_t len;

        if (v->type != CEL_LIST || v[1].type != CEL_INT || v[2].type != CEL_INT)
                return cel_no_overload();
        if (from < 0 || to < 0)
                return cel_error(e->run->arena, "cannot slice(%lld, %lld), negative indexes not supported", from, to);
        if (from > to)
                return cel_error(e->run->arena, "cannot slice(%lld, %lld), start index must be less than or equal to end index", from, to);
        if ((size_t)to > cel_list_len(v))
                return cel_error(e->run->arena, "cannot slice(%lld, %lld), list is length %zu", from, to, cel_list_len(v));
        items = items_of(e, v, &len);
        if (!eval_room(e, (uint64_t)(to - from) + 10))
                return eval_over_limit();
        return cel_list_new(e->run->arena, items + from, (size_t)(to - from));
}

struct flat {
        struct cel_value *items;
        size_t n, cap;
};

static bool flatten(struct eval *e, const struct cel_value *list, int64_t depth, struct flat *out)
{
        for (size_t i = 0; i < cel_list_len(list); i++) {
                struct cel_value item = cel_ripe(e->run->arena, cel_list_at(list, i));

                if (!eval_room(e, 1))
                        return false;
                if (item.type == CEL_LIST && depth > 0) {
                        if (!flatten(e, &item, depth - 1, out))
                                return false;
                        continue;
                }
                if (out->n == out->cap) {
                        struct cel_value *more = arena_alloc(e->run->arena, (out->cap = out->cap * 2 + 8) * sizeof(*more));

                        if (out->n)
                                memcpy(more, out->items, out->n * sizeof(*more));
                        out->items = more;
                }
                out->items[out->n++] = item;
        }
        return true;
}

static struct cel_value f_flatten(struct eval *e, size_t n, const struct cel_value *v)
{
        struct flat out = { 0 };
        int64_t depth = n > 1 ? v[1].i : 1;

        if (v->type != CEL_LIST || (n > 1 && v[1].type != CEL_INT))
                return cel_no_overload();
        if (depth < 0)
                return cel_error(e->run->arena, "level must be non-negative");
        return flatten(e, v, depth, &out) ? cel_list_new(e->run->arena, out.items, out.n) : eval_over_limit();
}

static struct cel_value f_range(struct eval *e, size_t n, const struct cel_value *v)
{
        size_t len = v->type == CEL_INT && v->i > 0 ? (size_t)v->i : 0;
        struct cel_value *items;

        if (v->type != CEL_INT)
                return cel_no_overload();
        if (len > 10000000 || !eval_room(e, len + 10))
                return eval_over_limit();
        items = arena_alloc(e->run->arena, (len + 1) * sizeof(*items));
        for (size_t i = 0; i < len; i++)
                items[i] = cel_int((int64_t)i);
        return cel_list_new(e->run->arena, items, len);
}

static struct cel_value end_of(struct eval *e, const struct cel_value *v, bool last)
{
        size_t len = v->type == CEL_LIST ? cel_list_len(v) : 0;
        struct cel_value item;

        if (v->type != CEL_LIST)
                return cel_no_overload();
        if (!len)
                return cel_optional(e->run->arena, NULL);
        item = cel_ripe(e->run->arena, cel_list_at(v, last ? len - 1 : 0));
        return cel_optional(e->run->arena, &item);
}

static struct cel_value f_first(struct eval *e, size_t n, const struct cel_value *v)
{
        return end_of(e, v, false);
}

static struct cel_value f_last(struct eval *e, size_t n, const struct cel_value *v)
{
        return end_of(e, v, true);
}

struct keyed {
        struct cel_value key, item;
        size_t at;
};

static int by_key(const void *x, const void *y)
{
        const struct keyed *a = x, *b = y;
        bool ok;
        int c = cel_compare(&a->key, &b->key, &ok);

        return c ? c : (a->at > b->at) - (a->at < b->at);
}

/* V[0] in the order of V[1]. */
static struct cel_value f_sort_by_keys(struct eval *e, size_t n, const struct cel_value *v)
{
        struct cel_value *items, *keys;
        struct keyed *list;
        size_t len, n_keys;
        bool ok;

        if (v[0].type != CEL_LIST || v[1].type != CEL_LIST)
                return cel_no_overload();
        items = items_of(e, &v[0], &len);
        keys = items_of(e, &v[1], &n_keys);
        if (len != n_keys)
                return cel_error(e->run->arena, "@sortByAssociatedKeys() expected a list of the same size as the associated keys list, but got "
                                                "%zu and %zu elements respectively", len, n_keys);
        if (!eval_room(e, len * len + 10))
                return eval_over_limit();
        list = arena_alloc(e->run->arena, (len + 1) * sizeof(*list));
        for (size_t i = 0; i < len; i++) {
                cel_compare(&keys[i], &keys[0], &ok);
                if (!ok && keys[i].type == keys[0].type && keys[0].type != CEL_DOUBLE)
                        return cel_error(e->run->arena, "list elements must be comparable");
                if (keys[i].type != keys[0].type)
                        return cel_error(e->run->arena, "list elements must have the same type");
                list[i] = (struct keyed){ keys[i], items[i], i };
        }
        if (len)
                qsort(list, len, sizeof(*list), by_key);
        for (size_t i = 0; i < len; i++)
                items[i] = list[i].item;
        return cel_list_new(e->run->arena, items, len);
}

static struct cel_value f_sort(struct eval *e, size_t n, const struct cel_value *v)
{
        return f_sort_by_keys(e, 2, (const struct cel_value[]){ v[0], v[0] });
}

static struct cel_value f_unwrap(struct eval *e, size_t n, const struct cel_value *v)
{
        struct cel_value *items;
        size_t len, used = 0;

        if (v->type != CEL_LIST)
                return cel_no_overload();
        items = items_of(e, v, &len);
        for (size_t i = 0; i < len; i++) {
                if (items[i].type != CEL_OPTIONAL)
                        return cel_error(e->run->arena, "value %s is not optional", cel_type_name(&items[i]));
                if (items[i].inner)
                        items[used++] = *items[i].inner;
        }
        return cel_list_new(e->run->arena, items, used);
}

/* --- formatting --- */

static struct cel_value text_of(struct eval *e, const struct strbuf *b)
{
        if (!eval_room(e, b->len / 10))
                return eval_over_limit();
        return cel_stringn(arena_memdup(e->run->arena, strbuf_str(b), b->len + 1), b->len);
}

static void put_quoted(struct strbuf *b, struct cel_string s)
{
        static const char from[] = "\a\b\f\n\r\t\v\\\"", to[] = "abfnrtv\\\"";

        strbuf_putc(b, '"');
        for (size_t i = 0; i < s.len; i++) {
                const char *at = s.s[i] ? strchr(from, s.s[i]) : NULL;

                if (at)
                        strbuf_printf(b, "\\%c", to[at - from]);
                else
                        strbuf_putc(b, s.s[i]);
        }
        strbuf_putc(b, '"');
}

static struct cel_value f_quote(struct eval *e, size_t n, const struct cel_value *v)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        if (v->type != CEL_STRING)
                return cel_no_overload();
        put_quoted(&b, v->str);
        return text_of(e, &b);
}

/* A name as a part of a JSON pointer. */
static struct cel_value f_escape_key(struct eval *e, size_t n, const struct cel_value *v)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        if (v->type != CEL_STRING)
                return cel_no_overload();
        for (size_t i = 0; i < v->str.len; i++) {
                if (v->str.s[i] == '~' || v->str.s[i] == '/')
                        strbuf_append(&b, v->str.s[i] == '~' ? "~0" : "~1", 2);
                else
                        strbuf_append(&b, &v->str.s[i], 1);
        }
        return text_of(e, &b);
}

/* How %s shows a value. NESTED: within a list or a map, where texts have quotes. NULL: fine, else what is wrong. */
static const char *put_value(struct eval *e, struct strbuf *b, const struct cel_value *v, bool nested, int depth);

static int by_text(const void *x, const void *y)
{
        return strcmp(*(const char *const *)x, *(const char *const *)y);
}

static const char *put_map(struct eval *e, struct strbuf *b, const struct cel_value *v, int depth)
{
        size_t n = cel_map_len(v);
        const char **list = arena_alloc(e->run->arena, (n + 1) * sizeof(*list)), *wrong = NULL;

        for (size_t i = 0; i < n && !wrong; i++) {
                _cleanup_strbuf_ struct strbuf one = STRBUF_INIT;
                struct cel_entry entry = cel_map_at(v, i);
                struct cel_value value = cel_ripe(e->run->arena, entry.value);

                wrong = put_value(e, &one, &entry.key, true, depth);
                strbuf_putc(&one, ':');
                wrong = wrong ? wrong : put_value(e, &one, &value, true, depth);
                list[i] = arena_strdup(e->run->arena, strbuf_str(&one));
        }
        if (wrong)
                return wrong;
        if (n)
                qsort(list, n, sizeof(*list), by_text);
        strbuf_putc(b, '{');
        for (size_t i = 0; i < n; i++)
                strbuf_printf(b, "%s%s", i ? ", " : "", list[i]);
        strbuf_putc(b, '}');
        return NULL;
}

static const char *put_value(struct eval *e, struct strbuf *b, const struct cel_value *v, bool nested, int depth)
{
        const char *wrong = NULL;

        if (depth > 64)
                return "nested too deep";
        switch (v->type) {
        case CEL_NULL:
                strbuf_puts(b, "null");
                break;
        case CEL_BOOL:
                strbuf_puts(b, v->b ? "true" : "false");
                break;
        case CEL_INT:
                strbuf_printf(b, "%lld", (long long)v->i);
                break;
        case CEL_UINT:
                strbuf_printf(b, "%llu", (unsigned long long)v->u);
                break;
        case CEL_DOUBLE:
                if (nested && isfinite(v->d))
                        strbuf_printf(b, "%.6f", v->d);
                else
                        strbuf_printf(b, nested ? "\"%s\"" : "%s", cel_double_text(e->run->arena, v->d));
                break;
        case CEL_STRING:
        case CEL_BYTES:
                if (nested && v->type == CEL_BYTES)
                        strbuf_putc(b, 'b');
                if (nested)
                        put_quoted(b, v->str);
                else
                        strbuf_append(b, v->str.s, v->str.len);
                break;
        case CEL_TYPE:
                strbuf_append(b, v->str.s, v->str.len);
                break;
        case CEL_TIMESTAMP:
                strbuf_printf(b, nested ? "timestamp(\"%s\")" : "%s", cel_timestamp_text(e->run->arena, v->time.seconds, v->time.nanos));
                break;
        case CEL_DURATION:
                strbuf_printf(b, nested ? "duration(\"%s\")" : "%s", cel_duration_text(e->run->arena, v->i));
                break;
        case CEL_LIST:
                strbuf_putc(b, '[');
                for (size_t i = 0; i < cel_list_len(v) && !wrong; i++) {
                        struct cel_value item = cel_ripe(e->run->arena, cel_list_at(v, i));

                        strbuf_puts(b, i ? ", " : "");
                        wrong = put_value(e, b, &item, true, depth + 1);
                }
                strbuf_putc(b, ']');
                break;
        case CEL_MAP:
                wrong = put_map(e, b, v, depth + 1);
                break;
        default:
                wrong = arena_printf(e->run->arena,
                                     "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, "
                                     "and timestamps, was given %s", cel_type_name(v));
        }
        return wrong;
}

static void put_base(struct strbuf *b, uint64_t u, unsigned base, bool upper)
{
        char digits[65];
        size_t n = sizeof(digits);

        do
                digits[--n] = (upper ? "0123456789ABCDEF" : "0123456789abcdef")[u % base];
        while (u /= base);
        strbuf_append(b, digits + n, sizeof(digits) - n);
}

static bool put_number(struct strbuf *b, const struct cel_value *v, unsigned base, bool upper)
{
        if (v->type == CEL_INT) {
                if (v->i < 0)
                        strbuf_putc(b, '-');
                put_base(b, v->i < 0 ? -(uint64_t)v->i : (uint64_t)v->i, base, upper);
        } else if (v->type == CEL_UINT) {
                put_base(b, v->u, base, upper);
        }
        return v->type == CEL_INT || v->type == CEL_UINT;
}

/* 12345.678 with three digits between commas, as English has it. */
static void put_double(struct strbuf *b, double d, char clause, int precision)
{
        char buf[512], *point;
        size_t len;

        if (clause == 'e') {
                snprintf(buf, sizeof(buf), "%.6e", d); /* upstream takes the precision for a width */
                point = strchr(buf, 'e'); /* "1.5 x 10 to the 02", with the signs for them */
                strbuf_append(b, buf, (size_t)(point - buf));
                strbuf_puts(b, "\xc3\x97" "10");
                for (const char *p = point + 1; *p; p++) {
                        static const char *const digits[] = { "⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹" };

                        if (*p >= '0' && *p <= '9')
                                strbuf_puts(b, digits[*p - '0']);
                        else if (*p == '-')
                                strbuf_puts(b, "\xe2\x81\xbb");
                }
                return;
        }
        snprintf(buf, sizeof(buf), "%.*f", MIN(precision, 100), d);
        point = strchr(buf, '.');
        len = point ? (size_t)(point - buf) : strlen(buf);
        for (size_t i = 0; buf[i]; i++) {
                strbuf_putc(b, buf[i]);
                if (i + 1 < len && buf[i] != '-' && (len - i - 1) % 3 == 0)
                        strbuf_putc(b, ',');
        }
}

/* One clause, "%.2f": NULL, or what is wrong. */
static const char *put_clause(struct eval *e, struct strbuf *b, char clause, int precision, const struct cel_value *v)
{
        const char *wanted;

        switch (clause) {
        case 's':
                return put_value(e, b, v, false, 0);
        case 'd':
                if (put_number(b, v, 10, false))
                        return NULL;
                wanted = "decimal clause can only be used on integers";
                break;
        case 'f':
        case 'e':
                if (v->type == CEL_DOUBLE && isfinite(v->d)) {
                        put_double(b, v->d, clause, precision < 0 ? 6 : precision);
                        return NULL;
                }
                if (v->type == CEL_DOUBLE || (v->type == CEL_STRING && (cel_str_is(v->str, "NaN") || cel_str_is(v->str, "Infinity") ||
                                                                        cel_str_is(v->str, "-Infinity")))) {
                        bool nan = v->type == CEL_DOUBLE ? isnan(v->d) : cel_str_is(v->str, "NaN");
                        bool minus = v->type == CEL_DOUBLE ? v->d < 0 : *v->str.s == '-';
                        int pad;

                        pad = clause == 'e' ? (precision < 0 ? 6 : precision) - (nan ? 3 : minus ? 2 : 1) : 0;
                        strbuf_printf(b, "%*s%s", MAX(pad, 0), "", nan ? "NaN" : minus ? "-∞" : "∞");
                        return NULL;
                }
                wanted = clause == 'f' ? "fixed-point clause can only be used on doubles" : "scientific clause can only be used on doubles";
                break;
        case 'b':
                if (v->type == CEL_BOOL)
                        strbuf_putc(b, v->b ? '1' : '0');
                if (v->type == CEL_BOOL || put_number(b, v, 2, false))
                        return NULL;
                wanted = "only integers and bools can be formatted as binary";
                break;
        case 'o':
                if (put_number(b, v, 8, false))
                        return NULL;
                wanted = "octal clause can only be used on integers";
                break;
        default:
                for (size_t i = 0; (v->type == CEL_STRING || v->type == CEL_BYTES) && i < v->str.len; i++)
                        strbuf_printf(b, clause == 'x' ? "%02x" : "%02X", (unsigned char)v->str.s[i]);
                if (v->type == CEL_STRING || v->type == CEL_BYTES || put_number(b, v, 16, clause == 'X'))
                        return NULL;
                wanted = "only integers, byte buffers, and strings can be formatted as hex";
        }
        return arena_printf(e->run->arena, "%s, was given %s", wanted, cel_type_name(v));
}

static struct cel_value f_format(struct eval *e, size_t n, const struct cel_value *v)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        const char *at = v->str.s, *end = at + v->str.len, *wrong;
        size_t used = 0;

        if (v[0].type != CEL_STRING || v[1].type != CEL_LIST)
                return cel_no_overload();
        for (; at < end; at++) {
                struct cel_value arg;
                int precision = -1;

                if (*at != '%' || (at + 1 < end && at[1] == '%')) {
                        at += *at == '%';
                        strbuf_putc(&b, *at);
                        continue;
                }
                if (used >= cel_list_len(&v[1]))
                        return cel_error(e->run->arena, "index %zu out of range", used);
                if (++at == end)
                        return cel_error(e->run->arena, "unexpected end of string");
                arg = cel_ripe(e->run->arena, cel_list_at(&v[1], used++));
                if (*at == '.')
                        for (precision = 0, at++; at < end && *at >= '0' && *at <= '9' && precision < 1000; at++)
                                precision = precision * 10 + (*at - '0');
                if (at == end)
                        return cel_error(e->run->arena, "could not parse formatting clause: error while parsing precision: could not find end "
                                                        "of precision specifier");
                if (!strchr("sdfebxXo", *at))
                        return cel_error(e->run->arena, "could not parse formatting clause: unrecognized formatting clause \"%c\"", *at);
                wrong = put_clause(e, &b, *at, MIN(precision, 100), &arg);
                if (wrong)
                        return cel_error(e->run->arena, "error during formatting: %s", wrong);
                if (!eval_room(e, b.len / 100))
                        return eval_over_limit();
        }
        return text_of(e, &b);
}

const struct function functions_extended[] = {
        { "reverse", true, false, 1, 1, CEL_LIST, f_reverse },
        { "distinct", true, false, 1, 1, CEL_LIST, f_distinct },
        { "slice", true, false, 3, 3, CEL_LIST, f_slice },
        { "flatten", true, false, 1, 2, CEL_LIST, f_flatten },
        { "lists.range", false, true, 1, 1, CEL_LIST, f_range },
        { "first", true, false, 1, 1, CEL_OPTIONAL, f_first },
        { "last", true, false, 1, 1, CEL_OPTIONAL, f_last },
        { "sort", true, false, 1, 1, CEL_LIST, f_sort },
        { "@sortByAssociatedKeys", true, false, 2, 2, CEL_LIST, f_sort_by_keys },
        { "optional.unwrap", false, true, 1, 1, CEL_LIST, f_unwrap },
        { "unwrapOpt", true, false, 1, 1, CEL_LIST, f_unwrap },
        { "strings.quote", false, true, 1, 1, CEL_STRING, f_quote },
        { "jsonpatch.escapeKey", false, true, 1, 1, CEL_STRING, f_escape_key },
        { "format", true, false, 2, 2, CEL_STRING, f_format },
        { NULL },
};
