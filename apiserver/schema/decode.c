/* Checking a client's tree against the tables, and Go's round trip (decode.h).
 *
 * kube-apiserver decodes JSON into Go structs, so what a client may send and what comes back follow
 * from encoding/json: the first value of a wrong type is the error, its text names the innermost
 * struct, the JSON path without indices, and the Go type; but the first that a type with a decoder of its own refuses (a time, a
 * quantity, a number or a string) goes before all others, wherever it stands. null is as if nothing had been sent; unknown
 * and duplicate fields are collected apart, with indices in their paths. The walk keeps one stack of
 * path parts and prints either form from it when it has to.
 */
#include "crd.h"
#include "decode.h"

#include <errno.h>

#include "../../lib/base/base.h"
#include "../../lib/base/encode.h"
#include "../../lib/meta/quantity.h"
#include "go-time.h"

#define MAX_STRICT_ERRORS 100 /* upstream's number: the rest is not listed */

/* --- strict errors --- */

static void add_text(struct strict_errors *errs, const char *text)
{
        if (errs->n >= MAX_STRICT_ERRORS)
                return;
        for (size_t i = 0; i < errs->n; i++)
                if (streq(errs->list[i], text))
                        return;
        if (errs->n == errs->cap) {
                size_t cap = errs->cap ? errs->cap * 2 : 8;
                const char **list = arena_alloc(errs->arena, cap * sizeof(*list));

                if (errs->n)
                        memcpy(list, errs->list, errs->n * sizeof(*list));
                errs->list = list;
                errs->cap = cap;
        }
        errs->list[errs->n++] = text;
}

void strict_errors_add(struct strict_errors *errs, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        add_text(errs, arena_vprintf(errs->arena, fmt, ap));
        va_end(ap);
}

void strict_errors_duplicate(const char *path, void *strict_errors)
{
        strict_errors_add(strict_errors, "duplicate field \"%s\"", path);
}

void strict_errors_yaml(const char *text, void *strict_errors)
{
        struct strict_errors *errs = strict_errors;

        strict_errors_add(errs, "%s", text);
        errs->n_yaml = errs->n; /* the text is read before it is decoded */
}

const char *strict_errors_of_yaml(struct arena *a, const struct strict_errors *errs)
{
        const char *all = "yaml: unmarshal errors:";

        for (size_t i = 0; i < errs->n_yaml; i++)
                all = arena_printf(a, "%s\n  %s", all, errs->list[i]);
        return errs->n_yaml ? all : NULL;
}

char *strict_errors_print(struct arena *a, const struct strict_errors *errs)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        const char *yaml = strict_errors_of_yaml(a, errs);

        strbuf_puts(&b, "strict decoding error: ");
        if (yaml)
                strbuf_puts(&b, yaml);
        for (size_t i = errs->n_yaml; i < errs->n; i++) {
                if (i)
                        strbuf_puts(&b, ", ");
                strbuf_puts(&b, errs->list[i]);
        }
        return arena_strndup(a, strbuf_str(&b), b.len);
}

/* Inside a value that is skipped or kept raw, upstream never looks: duplicates there are no errors. */
static void forget_duplicates(struct strict_errors *errs, const char *path)
{
        static const char prefix[] = "duplicate field \"";
        size_t len = strlen(path), n = 0;

        for (size_t i = 0; i < errs->n; i++) {
                const char *e = errs->list[i], *p = e + sizeof(prefix) - 1;

                if (!str_has_prefix(e, prefix) || strncmp(p, path, len) != 0 || !strchr("\".[", p[len]))
                        errs->list[n++] = e;
        }
        errs->n = n;
}

/* --- the walk --- */

/* One step from the root: a field, a key of a map, or an item of a list. */
struct step {
        const struct step *up;
        const char *key;   /* NULL: an item */
        size_t index;
        const char *embed; /* Go's embedded struct that the field is in */
        bool in_map;       /* a key of a map: Go's type errors leave it out */
};

struct decoder {
        struct arena *arena;
        struct strict_errors *strict;
        struct error *reterr;
        bool fatal; /* what was wrong ended Go's walk: nothing that comes later counts */
        const struct schema *reader; /* of a field whose type reads itself: what is wrong below is said to be its */
        int r;
};

static int decode_value(struct decoder *d, const struct schema *s, const struct schema *owner, struct json **value,
                        const struct step *at);

static void print_steps(struct strbuf *b, const struct step *at)
{
        if (!at)
                return;
        print_steps(b, at->up);
        if (at->key)
                strbuf_printf(b, "%s%s", b->len ? "." : "", at->key);
        else
                strbuf_printf(b, "[%zu]", at->index);
}

static void print_go_path(struct strbuf *b, const struct step *at)
{
        if (!at)
                return;
        print_go_path(b, at->up);
        if (at->key && !at->in_map) {
                if (at->embed)
                        strbuf_printf(b, ".%s", at->embed);
                strbuf_printf(b, ".%s", at->key);
        }
}

static const char *go_scalar(enum schema_type t)
{
        switch (t) {
        case SCHEMA_BOOLEAN:
                return "bool";
        case SCHEMA_INT32:
        case SCHEMA_INT_OR_STRING:
                return "int32";
        case SCHEMA_INT64:
                return "int64";
        case SCHEMA_DOUBLE:
                return "float64";
        case SCHEMA_BYTES:
                return "[]uint8";
        default:
                return "string";
        }
}

/* "[]v1.Container", "map[string]string": as Go's reflection names the type. */
static void print_go_type(struct strbuf *b, const struct schema *s)
{
        const char *dot, *start;

        if (s->go_type && (s->type == SCHEMA_MAP || s->type == SCHEMA_ARRAY)) {
                strbuf_puts(b, s->go_type);
        } else if (s->type == SCHEMA_ARRAY || s->type == SCHEMA_MAP) {
                strbuf_puts(b, s->type == SCHEMA_ARRAY ? "[]" : "map[string]");
                print_go_type(b, s->elem);
        } else if (s->name && (s->type == SCHEMA_STRUCT || s->type == SCHEMA_ANY)) {
                dot = strrchr(s->name, '.');
                for (start = dot; start > s->name && start[-1] != '.'; start--)
                        ;
                strbuf_puts(b, start);
        } else if (s->go_type && s->type != SCHEMA_INT_OR_STRING && s->type != SCHEMA_TIME &&
                   s->type != SCHEMA_MICRO_TIME) {
                strbuf_puts(b, s->go_type);
        } else {
                strbuf_puts(b, go_scalar(s->type));
        }
}

static const char *last_name(const struct schema *s)
{
        const char *dot = s && s->name ? strrchr(s->name, '.') : NULL;

        return dot ? dot + 1 : "";
}

static const char *json_word(const struct json *v)
{
        static const char *const words[] = { "null", "bool", "number", "string", "array", "object" };

        return words[v->type];
}

/* Types that decode themselves. */
static bool own_decoder(const struct schema *s)
{
        return s->type == SCHEMA_INT_OR_STRING || s->type == SCHEMA_QUANTITY || s->type == SCHEMA_TIME ||
               s->type == SCHEMA_MICRO_TIME || s->type == SCHEMA_DURATION;
}

/* Whether an error is the one to be told, so far. */
static bool counts(struct decoder *d, bool fatal)
{
        if (d->fatal || (d->r < 0 && !fatal))
                return false;
        d->fatal = fatal;
        return true;
}

/* Decoding goes on after errors, so that nothing is left half-checked. */
static int type_error(struct decoder *d, const struct schema *s, const struct schema *owner, const struct json *v,
                      const struct step *at, bool with_number)
{
        _cleanup_strbuf_ struct strbuf path = STRBUF_INIT, type = STRBUF_INIT;

        if (!counts(d, own_decoder(s)))
                return d->r;
        print_go_path(&path, at);
        print_go_type(&type, s);
        d->r = error_set(d->reterr, -EINVAL, "json: cannot unmarshal %s%s%s into Go struct field %s%s of type %s",
                         json_word(v), with_number ? " " : "", with_number ? v->str : "", last_name(d->reader ? d->reader : owner),
                         strbuf_str(&path), strbuf_str(&type));
        return d->r;
}

static int text_error(struct decoder *d, const struct schema *s, const char *text)
{
        if (counts(d, own_decoder(s)))
                d->r = error_set(d->reterr, -EINVAL, "%s", text);
        return d->r;
}

struct json *schema_zero_value(struct arena *a, const struct schema *s)
{
        switch (s->type) {
        case SCHEMA_BOOLEAN:
                return json_new_bool(a, false);
        case SCHEMA_INT32:
        case SCHEMA_INT64:
        case SCHEMA_DOUBLE:
        case SCHEMA_INT_OR_STRING:
                return json_new_int(a, 0);
        case SCHEMA_QUANTITY:
                return json_new_string(a, "0");
        case SCHEMA_DURATION:
                return json_new_string(a, "0s");
        case SCHEMA_STRING:
                return json_new_string(a, "");
        case SCHEMA_STRUCT:
                return json_new_object(a);
        default:
                return json_new_null(a);
        }
}

bool schema_is_zero(const struct json *v)
{
        int64_t i;

        switch (v->type) {
        case JSON_NULL:
                return true;
        case JSON_BOOL:
                return !v->boolean;
        case JSON_NUMBER:
                return json_to_int(v, &i) == 0 && i == 0;
        case JSON_STRING:
        case JSON_ARRAY:
                return v->len == 0;
        default:
                return false;
        }
}

/* --- scalars --- */

static bool whole(const struct json *v)
{
        for (size_t i = 0; i < v->len; i++)
                if (v->str[i] == '.' || (v->str[i] | 0x20) == 'e')
                        return false;
        return true;
}

static int decode_int(struct decoder *d, const struct schema *s, const struct schema *owner, struct json *v,
                      const struct step *at)
{
        int64_t i;

        if (!json_is_number(v))
                return type_error(d, s, owner, v, at, false);
        /* Go reads integers digit by digit: 1e3 and 5.0 are none. */
        if (!whole(v) || json_to_int(v, &i) < 0 ||
            (s->type != SCHEMA_INT64 && (i < INT32_MIN || i > INT32_MAX)))
                return type_error(d, s, owner, v, at, true);
        return 0;
}

/* As Go writes it anew. */
static int decode_double(struct decoder *d, const struct schema *s, const struct schema *owner, struct json **value,
                         const struct step *at)
{
        struct json *v = *value;

        if (!json_is_number(v))
                return type_error(d, s, owner, v, at, false);
        if (json_beyond_double(v))
                return type_error(d, s, owner, v, at, true);
        if (v->len > 15 || !whole(v))
                *value = json_new_double(d->arena, json_to_double(v, 0));
        return 0;
}

static int decode_quantity(struct decoder *d, const struct schema *s, struct json **value)
{
        struct json *v = *value;
        char buf[QUANTITY_BUF], text[128];
        size_t start = 0, end = v->len;
        int r;

        if (!json_is_string(v) && !json_is_number(v))
                return text_error(d, s, QUANTITY_ERR_FORMAT);
        while (start < end && strchr(" \t\n\r", v->str[start]))
                start++;
        while (end > start && strchr(" \t\n\r", v->str[end - 1]))
                end--;
        if (end - start >= sizeof(text))
                return text_error(d, s, QUANTITY_ERR_FORMAT);
        memcpy(text, v->str + start, end - start);
        text[end - start] = '\0';
        r = quantity_keep_text(text, buf);
        if (r < 0)
                return text_error(d, s, r == -EDOM ? QUANTITY_ERR_SUFFIX : QUANTITY_ERR_FORMAT);
        if (!json_is_string(v) || !streq(buf, v->str))
                *value = json_new_string(d->arena, buf);
        return 0;
}

/* 2006-01-02T15:04:05Z, or with six digits of a fraction: as nearly all times come, and stay. False: maybe not. */
static bool plain_time(const struct json *v, bool micro)
{
        static const char plain[] = "dddd-dd-ddTdd:dd:ddZ", fine[] = "dddd-dd-ddTdd:dd:dd.ddddddZ";
        static const unsigned char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
        const char *form = micro ? fine : plain, *s = v->str;
        unsigned month, day;

        if (v->len != (micro ? sizeof(fine) : sizeof(plain)) - 1)
                return false;
        for (size_t i = 0; i < v->len; i++)
                if (form[i] == 'd' ? s[i] < '0' || s[i] > '9' : s[i] != form[i])
                        return false;
        month = (unsigned)(10 * (s[5] - '0') + s[6] - '0');
        day = (unsigned)(10 * (s[8] - '0') + s[9] - '0');
        return memcmp(s, "1970", 4) >= 0 && memcmp(s, "2200", 4) < 0 && month >= 1 && month <= 12 && day >= 1 &&
               day <= days[month - 1] && memcmp(s + 11, "23", 2) <= 0 && s[14] < '6' && s[17] < '6';
}

/* A time of year 1's first second is Go's zero, and written as null. */
static int decode_time(struct decoder *d, const struct schema *s, const struct schema *owner, struct json **value,
                       const struct step *at)
{
        bool micro = s->type == SCHEMA_MICRO_TIME;
        struct json *v = *value;
        const char *canonical;
        char *text;

        if (!json_is_string(v))
                return type_error(d, s, owner, v, at, false);
        if (plain_time(v, micro))
                return 0;
        text = go_time_canonical(d->arena, v->str, micro, &canonical);
        if (text)
                return text_error(d, s, text);
        if (!canonical)
                *value = json_new_null(d->arena);
        else if (!streq(canonical, v->str))
                *value = json_new_string(d->arena, canonical);
        return 0;
}

static int base64_value(char c)
{
        if (c >= 'A' && c <= 'Z')
                return c - 'A';
        if (c >= 'a' && c <= 'z')
                return c - 'a' + 26;
        if (c >= '0' && c <= '9')
                return c - '0' + 52;
        return c == '+' ? 62 : c == '/' ? 63 : -1;
}

ssize_t base64_bad(const char *s, size_t len)
{
        size_t i = 0, j = 0;

        for (; i < len; i++) {
                if (s[i] == '\n' || s[i] == '\r')
                        continue;
                if (s[i] == '=')
                        break;
                if (base64_value(s[i]) < 0)
                        return i;
                j = (j + 1) % 4;
        }
        if (i == len)
                return j ? (ssize_t)(len - j) : -1;
        if (j < 2)
                return i;
        if (j == 2) {
                for (i++; i < len && (s[i] == '\n' || s[i] == '\r'); i++)
                        ;
                if (i == len)
                        return len;
                if (s[i] != '=') /* the byte before is what Go finds wrong here */
                        return i - 1;
        }
        for (i++; i < len && (s[i] == '\n' || s[i] == '\r'); i++)
                ;
        return i < len ? (ssize_t)i : -1;
}

/* Bytes may come as a list of numbers, too. */
static int decode_byte_list(struct decoder *d, const struct schema *owner, struct json **value, const struct step *at)
{
        static const struct schema byte = { .type = SCHEMA_INT32, .go_type = "uint8" };
        _cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
        struct json *list = *value;
        unsigned char *bytes = arena_alloc(d->arena, list->len + 1);
        int64_t i;

        json_foreach_item(list, item) {
                bytes[item_i] = 0;
                if (json_is_null(item))
                        continue;
                if (!json_is_number(item))
                        type_error(d, &byte, owner, item, at, false);
                else if (!whole(item) || json_to_int(item, &i) < 0 || i < 0 || i > UINT8_MAX)
                        type_error(d, &byte, owner, item, at, true);
                else
                        bytes[item_i] = (unsigned char)i;
        }
        base64_encode(&text, bytes, list->len);
        *value = json_new_string(d->arena, arena_strndup(d->arena, strbuf_str(&text), text.len));
        return d->r;
}

static int decode_bytes(struct decoder *d, const struct schema *s, const struct schema *owner, struct json **value,
                        const struct step *at)
{
        struct json *v = *value;
        char *clean;
        ssize_t bad;
        size_t n = 0;

        if (json_is_array(v))
                return decode_byte_list(d, owner, value, at);
        if (!json_is_string(v))
                return type_error(d, s, owner, v, at, false);
        bad = base64_bad(v->str, v->len);
        if (bad >= 0)
                return text_error(d, s, arena_printf(d->arena, "illegal base64 data at input byte %zd", bad));
        if (!memchr(v->str, '\n', v->len) && !memchr(v->str, '\r', v->len))
                return 0;
        clean = arena_alloc(d->arena, v->len + 1);
        for (size_t i = 0; i < v->len; i++)
                if (v->str[i] != '\n' && v->str[i] != '\r')
                        clean[n++] = v->str[i];
        *value = json_new_stringn(d->arena, clean, n);
        return 0;
}

static int decode_scalar(struct decoder *d, const struct schema *s, const struct schema *owner, struct json **value,
                         const struct step *at)
{
        struct json *v = *value;

        switch (s->type) {
        case SCHEMA_BOOLEAN:
                return json_is_bool(v) ? 0 : type_error(d, s, owner, v, at, false);
        case SCHEMA_INT32:
        case SCHEMA_INT64:
                return decode_int(d, s, owner, v, at);
        case SCHEMA_DOUBLE:
                return decode_double(d, s, owner, value, at);
        case SCHEMA_INT_OR_STRING:
                return json_is_string(v) ? 0 : decode_int(d, s, owner, v, at);
        case SCHEMA_QUANTITY:
                return decode_quantity(d, s, value);
        case SCHEMA_TIME:
        case SCHEMA_MICRO_TIME:
                return decode_time(d, s, owner, value, at);
        case SCHEMA_BYTES:
                return decode_bytes(d, s, owner, value, at);
        default:
                return json_is_string(v) ? 0 : type_error(d, s, owner, v, at, false);
        }
}

/* --- structure --- */

static void unknown_field(struct decoder *d, const struct step *at, bool report)
{
        _cleanup_strbuf_ struct strbuf path = STRBUF_INIT;

        if (!d->strict || (!report && !d->strict->n))
                return;
        print_steps(&path, at);
        forget_duplicates(d->strict, strbuf_str(&path));
        if (report)
                strict_errors_add(d->strict, "unknown field \"%s\"", strbuf_str(&path));
}

/* Whether V held HAD members and nothing is left now that those whose feature is off are gone. */
static bool only_gated(const struct schema *s, const struct json *v, size_t had)
{
        if (s->type != SCHEMA_STRUCT || !json_is_object(v) || v->len || !had)
                return false;
        for (unsigned i = 0; i < s->n_fields; i++)
                if (s->fields[i].gated == GATED_PARENT)
                        return true;
        return false;
}

/* A known key becomes the field's own name: who looks for the field later finds the same pointer. */
static void decode_struct(struct decoder *d, const struct schema *s, struct json *obj, const struct step *at)
{
        size_t n = 0, had;

        for (size_t i = 0; i < obj->len; i++) {
                struct json_member *m = &obj->members[i];
                const struct schema_field *f = schema_member(s, m);
                struct step step = { .up = at, .key = m->key, .embed = f ? f->embed : NULL };

                if (!f) {
                        if (s->preserve_unknown) {
                                obj->members[n++] = *m;
                                continue;
                        }
                        unknown_field(d, &step, true);
                        continue;
                }
                if (json_is_null(m->value))
                        continue;
                had = m->value->len;
                m->key = f->name;
                decode_value(d, f->type, s, &m->value, &step);
                if (f->gated || (f->presence && only_gated(f->type, m->value, had)))
                        continue;
                obj->members[n++] = *m;
        }
        if (n != obj->len) {
                obj->len = n;
                obj->index = NULL;
        }
}

static int decode_list(struct decoder *d, const struct schema *s, const struct schema *owner, struct json *list,
                       const struct step *at)
{
        for (size_t i = 0; i < list->len; i++) {
                struct step step = { .up = at, .index = i };

                if (json_is_null(list->items[i]))
                        list->items[i] = schema_zero_value(d->arena, s->elem);
                else
                        decode_value(d, s->elem, owner, &list->items[i], &step);
        }
        return d->r;
}

static int decode_map(struct decoder *d, const struct schema *s, const struct schema *owner, struct json *map,
                      const struct step *at)
{
        json_foreach_member(map, m) {
                struct step step = { .up = at, .key = m->key, .in_map = true };

                if (json_is_null(m->value))
                        m->value = s->elem->type == SCHEMA_BYTES ? json_new_string(d->arena, "") : schema_zero_value(d->arena, s->elem);
                else
                        decode_value(d, s->elem, owner, &m->value, &step);
        }
        return d->r;
}

/* A JSON schema, or a boolean, a list of schemas or a list of strings in its place. Upstream's types read themselves: fields that
 * they do not know are not told, and what is neither becomes null. */
static int decode_either(struct decoder *d, const struct schema *s, const struct schema *owner, struct json **value,
                         const struct step *at)
{
        static const struct schema string = { .type = SCHEMA_STRING };
        _cleanup_error_ struct error err = ERROR_INIT;
        struct decoder own = { .arena = d->arena, .reterr = &err, .reader = d->reader ? d->reader : owner };
        bool list = s->wire != SCHEMA_WIRE_OR_BOOL;
        struct json *v = *value;

        unknown_field(d, at, false);
        if (json_is_object(v))
                decode_struct(&own, s->elem, v, at);
        else if (!list && !json_is_bool(v))
                own.r = error_set(&err, -EINVAL, "boolean or JSON schema expected");
        else if (json_is_array(v) && list)
                decode_list(&own, &(struct schema){ .elem = s->wire == SCHEMA_WIRE_OR_LIST ? s->elem : &string }, owner, v, at);
        if (list && !json_is_object(v) && !(json_is_array(v) && v->len))
                *value = json_new_null(d->arena);
        if (own.r < 0 && counts(d, true))
                d->r = error_set(d->reterr, -EINVAL, "%s", error_text(&err));
        return d->r;
}

static int decode_value(struct decoder *d, const struct schema *s, const struct schema *owner, struct json **value,
                        const struct step *at)
{
        struct json *v = *value;

        switch (s->type) {
        case SCHEMA_ANY:
                if (s->wire >= SCHEMA_WIRE_OR_LIST)
                        return decode_either(d, s, owner, value, at);
                unknown_field(d, at, false);
                if (s->name && str_has_suffix(s->name, ".JSON")) { /* upstream reads it, and writes it anew */
                        const struct json *bad = crd_rewrite(d->arena, value);

                        if (bad)
                                return text_error(d, s, arena_printf(d->arena, "json: cannot unmarshal number %s into Go value of type float64",
                                                                     bad->str));
                        json_sort_keys(*value);
                }
                return 0;
        case SCHEMA_ARRAY:
                if (!json_is_array(v))
                        return type_error(d, s, owner, v, at, false);
                return decode_list(d, s, owner, v, at);
        case SCHEMA_MAP:
                if (!json_is_object(v))
                        return type_error(d, s, owner, v, at, false);
                return decode_map(d, s, owner, v, at);
        case SCHEMA_STRUCT:
                if (!json_is_object(v))
                        return type_error(d, s, owner, v, at, false);
                decode_struct(d, s, v, at);
                return d->r;
        default:
                return decode_scalar(d, s, owner, value, at);
        }
}

int schema_decode(struct arena *a, const struct schema *s, struct json *obj, struct strict_errors *strict,
                  struct error *reterr)
{
        struct decoder d = { .arena = a, .strict = strict, .reterr = reterr };

        if (s->crd && json_is_object(obj))
                return crd_decode(a, s, obj, strict, reterr);
        if (s->type != SCHEMA_STRUCT || !json_is_object(obj))
                return error_set(reterr, -EINVAL, "json: cannot unmarshal %s into Go value of type %s", json_word(obj),
                                 last_name(s));
        decode_struct(&d, s, obj, NULL);
        return d.r;
}

/* --- Go's round trip --- */

static bool is_empty(const struct schema *s, const struct json *v)
{
        if (s->type == SCHEMA_ANY) /* Go keeps the text, whatever it says */
                return json_is_null(v);
        if (s->type == SCHEMA_INT_OR_STRING && (json_is_number(v) || json_is_string(v)))
                return false;
        if (s->type == SCHEMA_MAP && json_is_object(v))
                return v->len == 0;
        return schema_is_zero(v);
}

/* What Go writes for a field without omitempty that holds nothing. */
static struct json *empty_value(struct arena *a, const struct schema_field *f)
{
        struct json *v = NULL;

        if (f->empty_as) {
                if (streq(f->empty_as, "{}"))
                        return json_new_object(a);
                json_parse(a, f->empty_as, strlen(f->empty_as), NULL, &v, NULL);
                return v;
        }
        return f->presence ? json_new_null(a) : schema_zero_value(a, f->type);
}

static void canonicalise_value(struct arena *a, const struct schema *s, struct json *v)
{
        if (s->type == SCHEMA_STRUCT && json_is_object(v))
                schema_canonicalise(a, s, v);
        else if (s->type == SCHEMA_ARRAY)
                json_foreach_item(v, item)
                        canonicalise_value(a, s->elem, item);
        else if (s->type == SCHEMA_MAP)
                json_foreach_member(v, m)
                        canonicalise_value(a, s->elem, m->value);
        else if (s->type == SCHEMA_ANY && s->elem)
                canonicalise_value(a, s->elem, v);
}

/* Whether a present value stays; an empty one may be replaced by how Go writes it. */
static bool keep_member(struct arena *a, const struct schema_field *f, struct json_member *m)
{
        if (f->presence)
                return !json_is_null(m->value) || f->emit_empty || (f->type->type == SCHEMA_ANY && f->type->elem);
        if (!is_empty(f->type, m->value))
                return true;
        if (!f->emit_empty && !f->empty_as)
                return false;
        /* Lists and maps without elements are nil after a trip through protobuf; definitions do not make it. */
        if (json_is_array(m->value) && streq(f->name, "versions"))
                return true;
        if (json_is_array(m->value) || json_is_object(m->value) || json_is_null(m->value))
                m->value = empty_value(a, f);
        return true;
}

void schema_canonicalise(struct arena *a, const struct schema *s, struct json *obj)
{
        size_t n = 0;

        if (s->crd) { /* only metadata is Go's */
                const struct schema_field *meta = schema_field(s, "metadata");

                if (meta && json_is_object(json_get(obj, "metadata")))
                        schema_canonicalise(a, meta->type, json_get(obj, "metadata"));
                return;
        }
        for (size_t i = 0; i < obj->len; i++) {
                struct json_member m = obj->members[i];
                const struct schema_field *f = schema_member(s, &m);

                if (f) {
                        if (f->type->type >= SCHEMA_ANY)
                                canonicalise_value(a, f->type, m.value);
                        if (!keep_member(a, f, &m))
                                continue;
                }
                obj->members[n++] = m;
        }
        if (n != obj->len) {
                obj->len = n;
                obj->index = NULL;
        }
        for (unsigned i = 0; i < s->n_written; i++) {
                const struct schema_field *f = &s->fields[s->written[i]];
                struct json *v;

                if (schema_get(obj, f))
                        continue;
                v = empty_value(a, f);
                canonicalise_value(a, f->type, v);
                json_put(a, obj, f->name, f->len, f->tag, v);
        }
}
