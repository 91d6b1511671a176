/* Field errors: collected while an object is checked, printed as Go's field.Error prints them.
 *
 * A printed error is "path: Title: value: detail". The value is turned into text when the error is
 * added, so that nobody has to keep the tree as it was.
 */
#include "field-error.h"

#include <stdio.h>
#include <math.h>
#include <stdlib.h>

/* What Go prints before the value, and what a cause gives as its reason. */
static const struct {
        const char *title, *reason;
        bool valueless;
} types[] = {
        [FIELD_REQUIRED] = { "Required value", "FieldValueRequired", true },
        [FIELD_INVALID] = { "Invalid value", "FieldValueInvalid", false },
        [FIELD_NOT_SUPPORTED] = { "Unsupported value", "FieldValueNotSupported", false },
        [FIELD_DUPLICATE] = { "Duplicate value", "FieldValueDuplicate", false },
        [FIELD_FORBIDDEN] = { "Forbidden", "FieldValueForbidden", true },
        [FIELD_NOT_FOUND] = { "Not found", "FieldValueNotFound", false },
        [FIELD_TOO_LONG] = { "Too long", "FieldValueTooLong", true },
        [FIELD_TOO_MANY] = { "Too many", "FieldValueTooMany", false },
        [FIELD_INTERNAL] = { "Internal error", "InternalError", true },
        [FIELD_TYPE_INVALID] = { "Invalid value", "FieldValueTypeInvalid", false },
        [FIELD_TOO_SHORT] = { "Too short", "FieldValueTooShort", true },
        [FIELD_TOO_FEW] = { "Too few", "FieldValueTooFew", false },
};

unsigned utf8_decode(const char *s, size_t len, uint32_t *ret)
{
        const unsigned char *p = (const unsigned char *)s;
        static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
        unsigned n = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 0;
        uint32_t c;

        if (n == 0 || n > len || p[0] > 0xf4)
                return 0;
        c = n == 1 ? p[0] : p[0] & (0x7f >> n);
        for (unsigned i = 1; i < n; i++) {
                if ((p[i] & 0xc0) != 0x80)
                        return 0;
                c = c << 6 | (p[i] & 0x3f);
        }
        if (n > 1 && (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)))
                return 0;
        *ret = c;
        return n;
}

/* Roughly Go's strconv.IsPrint: what text holds control, format, private and space characters. */
bool go_printable(uint32_t c)
{
        if (c < 0x20 || c == 0x7f || (c >= 0x80 && c <= 0xa0) || c == 0xad)
                return false;
        if ((c >= 0x2000 && c <= 0x200f) || (c >= 0x2028 && c <= 0x202f) || (c >= 0x205f && c <= 0x206f))
                return false;
        if (c == 0x1680 || c == 0x3000 || c == 0xfeff || (c >= 0xe000 && c <= 0xf8ff) || c >= 0xe0000)
                return false;
        return (c & 0xfffe) != 0xfffe;
}

void go_quote(struct strbuf *out, const char *s, size_t len)
{
        static const char escapes[] = "abtnvfr";

        strbuf_putc(out, '"');
        for (size_t i = 0; i < len;) {
                uint32_t c;
                unsigned n = utf8_decode(s + i, len - i, &c);

                if (n == 0) {
                        strbuf_printf(out, "\\x%02x", (unsigned char)s[i]);
                        i++;
                        continue;
                }
                if (c == '"' || c == '\\')
                        strbuf_printf(out, "\\%c", (char)c);
                else if (c >= 7 && c <= 13)
                        strbuf_printf(out, "\\%c", escapes[c - 7]);
                else if (go_printable(c))
                        strbuf_append(out, s + i, n);
                else if (c < 0x80)
                        strbuf_printf(out, "\\x%02x", c);
                else
                        strbuf_printf(out, c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
                i += n;
        }
        strbuf_putc(out, '"');
}

const char *go_quoted(struct arena *a, const char *s)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        go_quote(&b, s, strlen(s));
        return arena_strndup(a, strbuf_str(&b), b.len);
}

const char *go_float(struct arena *a, double d)
{
        char buf[40], *e;
        int exponent, n = 0;

        if (!isfinite(d))
                return isnan(d) ? "NaN" : d > 0 ? "+Inf" : "-Inf";
        do
                snprintf(buf, sizeof(buf), "%.*e", n++, d);
        while (n < 18 && strtod(buf, NULL) != d);
        e = strchr(buf, 'e');
        exponent = atoi(e + 1);
        if (exponent < -4 || exponent >= 6)
                return arena_strdup(a, buf);
        return arena_printf(a, "%.*f", n - 1 - exponent > 0 ? n - 1 - exponent : 0, d);
}

static const char *print_value(struct arena *a, const struct json *value)
{
        int64_t i;

        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        if (!value)
                return "null";
        if (value->type == JSON_NUMBER && (strpbrk(value->str, ".eE") || json_to_int(value, &i) < 0))
                return go_float(a, json_to_double(value, 0));
        if (value->type == JSON_STRING)
                go_quote(&b, value->str, value->len);
        else
                json_write(&b, value);
        return arena_strndup(a, strbuf_str(&b), b.len);
}

static void add(struct field_errors *errs, enum field_error_type type, const char *path,
                const char *value, const char *detail)
{
        struct field_error *e;

        if (errs->n == errs->cap) {
                struct field_error *old = errs->list;

                errs->cap = errs->cap ? errs->cap * 2 : 8;
                errs->list = arena_alloc(errs->arena, errs->cap * sizeof(*errs->list));
                if (errs->n)
                        memcpy(errs->list, old, errs->n * sizeof(*old));
        }
        e = &errs->list[errs->n++];
        e->type = type;
        e->path = arena_strdup(errs->arena, path ? path : "");
        e->value = types[type].valueless ? NULL : value;
        e->detail = detail;
}

void field_error_add(struct field_errors *errs, enum field_error_type type, const char *path,
                     const struct json *value, const char *detail_fmt, ...)
{
        const char *detail = "";
        va_list ap;

        if (detail_fmt) {
                va_start(ap, detail_fmt);
                detail = arena_vprintf(errs->arena, detail_fmt, ap);
                va_end(ap);
        }
        add(errs, type, path, types[type].valueless ? NULL : print_value(errs->arena, value), detail);
}

void field_error_add_text(struct field_errors *errs, enum field_error_type type, const char *path,
                          const char *text, const char *detail_fmt, ...)
{
        const char *detail = "";
        va_list ap;

        if (detail_fmt) {
                va_start(ap, detail_fmt);
                detail = arena_vprintf(errs->arena, detail_fmt, ap);
                va_end(ap);
        }
        add(errs, type, path, text ? arena_strdup(errs->arena, text) : NULL, detail);
}

void field_error_not_supported(struct field_errors *errs, const char *path, const struct json *value,
                               const char *const *supported)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        for (; supported && *supported; supported++) {
                strbuf_puts(&b, b.len ? ", " : "supported values: ");
                go_quote(&b, *supported, strlen(*supported));
        }
        field_error_add(errs, FIELD_NOT_SUPPORTED, path, value, "%s", strbuf_str(&b));
}

const char *field_error_reason(enum field_error_type type)
{
        return types[type].reason;
}

char *field_error_body(struct arena *a, const struct field_error *e)
{
        const char *title = types[e->type].title;

        return arena_printf(a, "%s%s%s%s%s", title, e->value ? ": " : "", e->value ? e->value : "",
                            str_empty(e->detail) ? "" : ": ", e->detail ? e->detail : "");
}

void field_errors_move_front(struct field_errors *errs, size_t n)
{
        size_t moved = errs->n - n;
        struct field_error *list;

        if (!moved || !n)
                return;
        list = arena_memdup(errs->arena, errs->list + n, moved * sizeof(*list));
        memmove(errs->list + moved, errs->list, n * sizeof(*list));
        memcpy(errs->list, list, moved * sizeof(*list));
}

char *field_error_print(struct arena *a, const struct field_error *e)
{
        return arena_printf(a, "%s: %s", e->path, field_error_body(a, e));
}

char *field_errors_print(struct arena *a, const struct field_errors *errs)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        char **texts = arena_alloc(a, (errs->n + 1) * sizeof(*texts));
        size_t n = 0;

        for (size_t i = 0; i < errs->n; i++) {
                char *text = field_error_print(a, &errs->list[i]);
                size_t j = 0;

                while (j < n && strcmp(texts[j], text) != 0)
                        j++;
                if (j == n)
                        texts[n++] = text;
        }
        if (n <= 1)
                return n ? texts[0] : arena_strdup(a, "");
        for (size_t i = 0; i < n; i++) {
                strbuf_puts(&b, i ? ", " : "[");
                strbuf_puts(&b, texts[i]);
        }
        strbuf_putc(&b, ']');
        return arena_strndup(a, strbuf_str(&b), b.len);
}

const char *field_path(struct arena *a, const char *fmt, ...)
{
        va_list ap;
        char *s;

        va_start(ap, fmt);
        s = arena_vprintf(a, fmt, ap);
        va_end(ap);
        return s;
}
