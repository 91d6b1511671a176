/* Values: see cel.h and value.h. */
#include "value.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../base/encode.h"

/* --- making --- */

struct cel_value cel_error(struct arena *a, const char *fmt, ...)
{
        struct cel_value v = { .type = CEL_ERROR };
        va_list ap;

        va_start(ap, fmt);
        v.str.s = arena_vprintf(a, fmt, ap);
        va_end(ap);
        v.str.len = strlen(v.str.s);
        return v;
}

struct cel_value cel_no_overload(void)
{
        return (struct cel_value){ .type = CEL_ERROR, .str = { "no such overload", 16 } };
}

struct cel_value cel_bool(bool b)
{
        return (struct cel_value){ .type = CEL_BOOL, .b = b };
}

struct cel_value cel_int(int64_t i)
{
        return (struct cel_value){ .type = CEL_INT, .i = i };
}

struct cel_value cel_stringn(const char *s, size_t len)
{
        return (struct cel_value){ .type = CEL_STRING, .str = { s, len } };
}

struct cel_value cel_string(const char *s)
{
        return cel_stringn(s, strlen(s));
}

struct cel_value cel_typed(const char *name)
{
        return (struct cel_value){ .type = CEL_TYPE, .str = { name, strlen(name) } };
}

struct cel_value cel_object(const struct cel_class *class, void *data)
{
        return (struct cel_value){ .type = CEL_OBJECT, .object = { class, data } };
}

struct cel_value cel_optional(struct arena *a, const struct cel_value *of)
{
        return (struct cel_value){ .type = CEL_OPTIONAL, .inner = of ? arena_memdup(a, of, sizeof(*of)) : NULL };
}

struct cel_value cel_list_new(struct arena *a, struct cel_value *items, size_t n)
{
        struct cel_list *l = arena_calloc(a, sizeof(*l));

        l->items = items;
        l->n = n;
        return (struct cel_value){ .type = CEL_LIST, .list = l };
}

struct cel_value cel_map_new(struct arena *a, struct cel_entry *entries, size_t n)
{
        struct cel_map *m = arena_calloc(a, sizeof(*m));

        m->entries = entries;
        m->n = n;
        return (struct cel_value){ .type = CEL_MAP, .map = m };
}

/* --- JSON --- */

struct cel_value cel_from_json(const struct json *j)
{
        struct cel_value v = { .type = CEL_NULL };

        switch (j ? (enum json_type)j->type : JSON_NULL) {
        case JSON_NULL:
                break;
        case JSON_BOOL:
                v = cel_bool(j->boolean);
                break;
        case JSON_NUMBER:
                v.type = CEL_INT;
                if (strpbrk(j->str, ".eE") || json_to_int(j, &v.i) < 0) {
                        v.type = CEL_DOUBLE;
                        v.d = json_to_double(j, 0);
                }
                break;
        case JSON_STRING:
                v = cel_stringn(j->str, j->len);
                break;
        case JSON_ARRAY:
                v = (struct cel_value){ .type = CEL_LIST, .lazy = true, .json = j };
                break;
        case JSON_OBJECT:
                v = (struct cel_value){ .type = CEL_MAP, .lazy = true, .json = j };
                break;
        }
        return v;
}

/* A day alone is a timestamp too. */
static struct cel_value timestamp_of(const struct json *j)
{
        struct cel_value v = { .type = CEL_TIMESTAMP };
        char text[32];

        if (cel_parse_timestamp((struct cel_string){ j->str, j->len }, &v.time.seconds, &v.time.nanos))
                return v;
        snprintf(text, sizeof(text), "%.10sT00:00:00Z", j->str);
        if (j->len != 10 || !cel_parse_timestamp((struct cel_string){ text, strlen(text) }, &v.time.seconds, &v.time.nanos))
                return cel_from_json(j);
        return v;
}

#define NO_STRING "invalid data, expected string, got []interface {}"

/* "3 days 2 hours": what the format "duration" takes besides Go's. Units may be cut short or go on. */
static bool loose_duration(struct cel_string s, int64_t *ret_ns)
{
        static const struct {
                const char *names[3]; /* the last may go on: "nanoseconds" */
                int64_t ns;
        } known[] = { { { "ns", "nano" }, 1 },
                      { { "us", "\xc2\xb5s", "micro" }, 1000 },
                      { { "ms", "milli" }, 1000000 },
                      { { "s", "sec" }, 1000000000 },
                      { { "m", "min" }, 60 * (int64_t)1000000000 },
                      { { "h", "hr", "hour" }, 3600 * (int64_t)1000000000 },
                      { { "d", "day" }, 24 * 3600 * (int64_t)1000000000 },
                      { { "w", "wk", "week" }, 7 * 24 * 3600 * (int64_t)1000000000 } };
        int64_t sum = 0;
        bool any = false;

        for (size_t i = 0; i < s.len;) {
                int64_t n = 0;
                char unit[24];
                size_t len = 0;

                if (s.s[i] < '0' || s.s[i] > '9') {
                        i++;
                        continue;
                }
                for (; i < s.len && s.s[i] >= '0' && s.s[i] <= '9'; i++)
                        n = n < INT64_MAX / 100 ? n * 10 + s.s[i] - '0' : n;
                while (i < s.len && s.s[i] == ' ')
                        i++;
                for (; i < s.len && (((s.s[i] | 32) >= 'a' && (s.s[i] | 32) <= 'z') || (unsigned char)s.s[i] >= 0x80); i++)
                        if (len + 1 < sizeof(unit))
                                unit[len++] = (unsigned char)s.s[i] < 0x80 ? (char)(s.s[i] | 32) : s.s[i];
                unit[len] = '\0';
                for (size_t k = 0; len && k < ARRAY_SIZE(known); k++)
                        for (size_t m = 0; m < 3 && known[k].names[m]; m++) {
                                bool last = m == 2 || !known[k].names[m + 1];

                                if (last ? !strncmp(unit, known[k].names[m], strlen(known[k].names[m])) : !strcmp(unit, known[k].names[m])) {
                                        any = true;
                                        if (__builtin_mul_overflow(n, known[k].ns, &n) || __builtin_add_overflow(sum, n, &sum))
                                                return false;
                                        break;
                                }
                        }
        }
        *ret_ns = sum;
        return any;
}

struct cel_value cel_from_json_as(const struct json *j, const struct cel_shape *shape)
{
        struct cel_value v = cel_from_json(j);

        if (!shape)
                return v;
        if (v.type == CEL_LIST && (shape->type == CEL_STRING || shape->type == CEL_TIMESTAMP || shape->type == CEL_DURATION ||
                                   shape->type == CEL_BYTES)) /* a format lets lists pass */
                return (struct cel_value){ .type = CEL_ERROR, .str = { NO_STRING, sizeof(NO_STRING) - 1 } };
        if (v.lazy)
                v.shape = shape;
        else if (shape->type == CEL_DOUBLE && v.type == CEL_INT)
                v = (struct cel_value){ .type = CEL_DOUBLE, .d = (double)v.i };
        else if (shape->type == CEL_TIMESTAMP && v.type == CEL_STRING)
                v = timestamp_of(j);
        else if (shape->type == CEL_BYTES && v.type == CEL_STRING) /* base64: cel_ripe() */
                v = (struct cel_value){ .type = CEL_BYTES, .lazy = true, .json = j };
        else if (shape->type == CEL_DURATION && v.type == CEL_STRING && (cel_parse_duration(v.str, &v.i) || loose_duration(v.str, &v.i)))
                v.type = CEL_DURATION;
        return v;
}

struct cel_value cel_ripe(struct arena *a, struct cel_value v)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        if (v.type != CEL_BYTES || !v.lazy)
                return v;
        if (base64_decode(&b, v.json->str, v.json->len, NULL) < 0)
                return cel_error(a, "illegal base64 data");
        return (struct cel_value){ .type = CEL_BYTES, .str = { arena_memdup(a, strbuf_str(&b), b.len + 1), b.len } };
}

/* Of what is in a lazy value: an item, or the member KEY. */
static const struct cel_shape *shape_within(const struct cel_value *v, const char *key, size_t len)
{
        const struct cel_shape *s = v->shape;

        if (!s)
                return NULL;
        if (s->type == CEL_LIST)
                return s->of[0];
        if (s->type == CEL_MAP)
                return s->of[1];
        for (size_t i = 0; s->type == CEL_OBJECT && key && i < s->n_members; i++)
                if (!strncmp(s->members[i].field, key, len) && !s->members[i].field[len])
                        return s->members[i].shape;
        return NULL;
}

static struct json *list_to_json(struct arena *a, const struct cel_value *v)
{
        struct json *out = json_new_array(a);

        for (size_t i = 0; i < cel_list_len(v); i++) {
                struct cel_value item = cel_list_at(v, i);
                struct json *j = cel_to_json(a, &item);

                if (!j)
                        return NULL;
                json_append(a, out, j);
        }
        return out;
}

static struct json *map_to_json(struct arena *a, const struct cel_value *v)
{
        struct json *out = json_new_object(a);

        for (size_t i = 0; i < cel_map_len(v); i++) {
                struct cel_entry e = cel_map_at(v, i);
                struct json *j = cel_to_json(a, &e.value);

                if (!j || e.key.type != CEL_STRING)
                        return NULL;
                json_set(a, out, cel_text(a, &e.key), j);
        }
        return out;
}

struct json *cel_to_json(struct arena *a, const struct cel_value *v)
{
        char buf[QUANTITY_BUF];

        switch (v->type) {
        case CEL_NULL:
                return json_new_null(a);
        case CEL_BOOL:
                return json_new_bool(a, v->b);
        case CEL_INT:
                return json_new_int(a, v->i);
        case CEL_UINT:
                snprintf(buf, sizeof(buf), "%llu", (unsigned long long)v->u);
                return json_new_number(a, buf, strlen(buf));
        case CEL_DOUBLE:
                return isfinite(v->d) ? json_new_double(a, v->d) : NULL;
        case CEL_STRING:
                return json_new_stringn(a, v->str.s, v->str.len);
        case CEL_LIST:
                return v->lazy ? json_clone(a, v->json) : list_to_json(a, v);
        case CEL_MAP:
                return v->lazy ? json_clone(a, v->json) : map_to_json(a, v);
        case CEL_TIMESTAMP:
                return json_new_string(a, cel_timestamp_text(a, v->time.seconds, v->time.nanos));
        case CEL_DURATION:
                return json_new_string(a, cel_duration_text(a, v->i));
        case CEL_QUANTITY:
                return json_new_string(a, quantity_format(v->quantity, buf));
        default:
                return NULL;
        }
}

/* --- lists and maps --- */

size_t cel_list_len(const struct cel_value *list)
{
        return list->lazy ? json_len(list->json) : list->list->n;
}

struct cel_value cel_list_at(const struct cel_value *list, size_t i)
{
        return list->lazy ? cel_from_json_as(json_at(list->json, i), shape_within(list, NULL, 0)) : list->list->items[i];
}

size_t cel_map_len(const struct cel_value *map)
{
        return map->lazy ? json_len(map->json) : map->map->n;
}

struct cel_entry cel_map_at(const struct cel_value *map, size_t i)
{
        const struct json_member *m;

        if (!map->lazy)
                return map->map->entries[i];
        m = &map->json->members[i];
        return (struct cel_entry){ cel_stringn(m->key, m->key_len), cel_from_json_as(m->value, shape_within(map, m->key, m->key_len)) };
}

bool cel_map_find(const struct cel_value *map, const struct cel_value *key, struct cel_value *ret)
{
        if (map->lazy) {
                const struct json *j = key->type == CEL_STRING ? json_getn(map->json, key->str.s, key->str.len) : NULL;

                if (j)
                        *ret = cel_from_json_as(j, shape_within(map, key->str.s, key->str.len));
                return j != NULL;
        }
        for (size_t i = 0; i < map->map->n; i++) {
                if (!cel_equal(&map->map->entries[i].key, key))
                        continue;
                *ret = map->map->entries[i].value;
                return true;
        }
        return false;
}

/* --- asking --- */

const char *cel_type_word(enum cel_type t)
{
        static const char *const words[] = {
                [CEL_ERROR] = "error", [CEL_NULL] = "null_type", [CEL_BOOL] = "bool", [CEL_INT] = "int", [CEL_UINT] = "uint",
                [CEL_DOUBLE] = "double", [CEL_STRING] = "string", [CEL_BYTES] = "bytes", [CEL_LIST] = "list",
                [CEL_MAP] = "map", [CEL_TYPE] = "type", [CEL_TIMESTAMP] = "google.protobuf.Timestamp",
                [CEL_DURATION] = "google.protobuf.Duration", [CEL_OPTIONAL] = "optional_type",
                [CEL_QUANTITY] = "kubernetes.Quantity", [CEL_IP] = "net.IP", [CEL_CIDR] = "net.CIDR",
                [CEL_URL] = "kubernetes.URL", [CEL_SEMVER] = "kubernetes.Semver", [CEL_FORMAT] = "kubernetes.NamedFormat",
                [CEL_OBJECT] = "object", [CEL_DYN] = "dyn", [CEL_PARAM] = "_var0",
        };
        return words[t];
}

const char *cel_type_name(const struct cel_value *v)
{
        if (v->type == CEL_OBJECT)
                return v->object.class->type_name;
        if (v->type == CEL_MAP && !v->lazy && v->map->type_name)
                return v->map->type_name;
        return cel_type_word(v->type);
}

const char *cel_text(struct arena *a, const struct cel_value *v)
{
        return v->type == CEL_STRING || v->type == CEL_ERROR || v->type == CEL_TYPE ? arena_strndup(a, v->str.s, v->str.len)
                                                                                    : cel_type_name(v);
}

bool cel_str_is(struct cel_string s, const char *text)
{
        return strlen(text) == s.len && memcmp(s.s, text, s.len) == 0;
}

int cel_str_cmp(struct cel_string a, struct cel_string b)
{
        size_t len = MIN(a.len, b.len);
        int c = len ? memcmp(a.s, b.s, len) : 0; /* what is empty may be NULL */

        return c ? c : (a.len > b.len) - (a.len < b.len);
}

size_t cel_code_points(struct cel_string s)
{
        size_t n = 0;

        for (size_t i = 0; i < s.len; i++)
                n += ((unsigned char)s.s[i] & 0xc0) != 0x80;
        return n;
}

size_t cel_offset(struct cel_string s, size_t i)
{
        size_t at = 0;

        while (at < s.len && i) {
                do
                        at++;
                while (at < s.len && ((unsigned char)s.s[at] & 0xc0) == 0x80);
                i--;
        }
        return at;
}

/* --- comparing --- */

static bool is_number(const struct cel_value *v)
{
        return v->type == CEL_INT || v->type == CEL_UINT || v->type == CEL_DOUBLE;
}

static int cmp3(__int128 a, __int128 b)
{
        return (a > b) - (a < b);
}

/* Exact, also where a double has no integer's digits. */
static int cmp_double(double d, __int128 i, bool *ret_ok)
{
        if (isnan(d)) {
                *ret_ok = false;
                return 1;
        }
        if (d >= 18446744073709551616.0)
                return 1;
        if (d < -9223372036854775808.0)
                return -1;
        if (cmp3((__int128)d, i) != 0)
                return cmp3((__int128)d, i);
        return (d > trunc(d)) - (d < trunc(d));
}

static int cmp_numbers(const struct cel_value *a, const struct cel_value *b, bool *ret_ok)
{
        __int128 x = a->type == CEL_INT ? (__int128)a->i : (__int128)a->u, y = b->type == CEL_INT ? (__int128)b->i : (__int128)b->u;

        if (a->type == CEL_DOUBLE && b->type == CEL_DOUBLE) {
                *ret_ok = !isnan(a->d) && !isnan(b->d);
                return (a->d > b->d) - (a->d < b->d);
        }
        if (a->type == CEL_DOUBLE)
                return cmp_double(a->d, y, ret_ok);
        return b->type == CEL_DOUBLE ? -cmp_double(b->d, x, ret_ok) : cmp3(x, y);
}

int cel_compare(const struct cel_value *a, const struct cel_value *b, bool *ret_ok)
{
        *ret_ok = true;
        if (is_number(a) && is_number(b))
                return cmp_numbers(a, b, ret_ok);
        *ret_ok = a->type == b->type;
        if (!*ret_ok)
                return 0;
        switch (a->type) {
        case CEL_BOOL:
                return a->b - b->b;
        case CEL_STRING:
        case CEL_BYTES:
                return cel_str_cmp(a->str, b->str);
        case CEL_DURATION:
                return cmp3(a->i, b->i);
        case CEL_TIMESTAMP:
                return a->time.seconds != b->time.seconds ? cmp3(a->time.seconds, b->time.seconds)
                                                          : cmp3(a->time.nanos, b->time.nanos);
        case CEL_QUANTITY:
                return quantity_cmp(a->quantity, b->quantity);
        default:
                *ret_ok = false;
                return 0;
        }
}

/* Whether X and Y are the same item of a list with KEYS. */
static bool same_item(const struct json *keys, const struct cel_value *x, const struct cel_value *y)
{
        if (x->type != CEL_MAP || y->type != CEL_MAP)
                return false;
        json_foreach_item(keys, key) {
                struct cel_value name = cel_string(json_string(key) ? json_string(key) : ""), p, q;
                bool has = cel_map_find(x, &name, &p);

                if (has != cel_map_find(y, &name, &q) || (has && !cel_equal(&p, &q)))
                        return false;
        }
        return true;
}

ptrdiff_t cel_list_find(const struct cel_value *list, const struct cel_shape *shape, const struct cel_value *item)
{
        for (size_t i = 0; i < cel_list_len(list); i++) {
                struct cel_value x = cel_list_at(list, i);

                if (shape->list == CEL_LIST_MAP ? same_item(shape->keys, &x, item) : cel_equal(&x, item))
                        return (ptrdiff_t)i;
        }
        return -1;
}

const struct cel_shape *cel_list_shape(const struct cel_value *list)
{
        const struct cel_shape *s = list->lazy ? list->shape : list->list->shape;

        return s && s->list != CEL_LIST_ATOMIC ? s : NULL;
}

static uint64_t hash_bytes(uint64_t hash, const void *data, size_t len)
{
        const unsigned char *p = data;

        for (size_t i = 0; i < len; i++)
                hash = (hash ^ p[i]) * 1099511628211u;
        return hash;
}

/* What is equal has the same. What sets and keys are seldom made of has none. */
static uint64_t hash_value(uint64_t hash, const struct cel_value *v)
{
        double d;

        switch (v->type) {
        case CEL_BOOL:
                return hash_bytes(hash, &v->b, sizeof(v->b));
        case CEL_INT:
        case CEL_UINT:
        case CEL_DOUBLE:
                d = v->type == CEL_INT ? (double)v->i : v->type == CEL_UINT ? (double)v->u : v->d;
                if (d == 0)
                        d = 0; /* and no -0 */
                return hash_bytes(hash, &d, sizeof(d));
        case CEL_STRING:
                return hash_bytes(hash, v->str.s, v->str.len);
        case CEL_TIMESTAMP:
                return hash_bytes(hash, &v->time.seconds, sizeof(v->time.seconds));
        case CEL_DURATION:
                return hash_bytes(hash, &v->i, sizeof(v->i));
        default:
                return hash;
        }
}

static uint64_t hash_item(const struct cel_shape *shape, const struct cel_value *item)
{
        uint64_t hash = 14695981039346656037u;

        if (shape->list != CEL_LIST_MAP)
                return hash_value(hash, item);
        if (item->type != CEL_MAP)
                return hash;
        json_foreach_item(shape->keys, key) {
                struct cel_value name = cel_string(json_string(key) ? json_string(key) : ""), v;

                hash = cel_map_find(item, &name, &v) ? hash_value(hash, &v) : hash + 1;
        }
        return hash;
}

/* Large ones: one look at each item. */
static bool equal_indexed(const struct cel_value *a, const struct cel_value *b)
{
        const struct cel_shape *shape = cel_list_shape(a);
        size_t n = cel_list_len(a), mask = 63;
        struct place {
                uint64_t hash;
                size_t i; /* from 1 */
        } *table;
        bool same = true;

        while (mask < n * 2)
                mask = mask * 2 + 1;
        table = xcalloc(mask + 1, sizeof(*table));
        for (size_t i = 0; i < n; i++) {
                struct cel_value x = cel_list_at(a, i);
                uint64_t hash = hash_item(shape, &x);
                size_t at = hash & mask;

                while (table[at].i)
                        at = (at + 1) & mask;
                table[at] = (struct place){ hash, i + 1 };
        }
        for (size_t i = 0; i < cel_list_len(b) && same; i++) {
                struct cel_value y = cel_list_at(b, i), x;
                uint64_t hash = hash_item(shape, &y);
                size_t at = hash & mask;

                for (; table[at].i; at = (at + 1) & mask) {
                        if (table[at].hash != hash)
                                continue;
                        x = cel_list_at(a, table[at].i - 1);
                        if (shape->list == CEL_LIST_MAP ? same_item(shape->keys, &x, &y) : cel_equal(&x, &y))
                                break;
                }
                same = table[at].i && cel_equal(&x, &y);
        }
        free(table);
        return same;
}

/* Sets and lists with keys have no order. */
static bool equal_unordered(const struct cel_value *a, const struct cel_value *b)
{
        if (cel_list_len(a) > 32)
                return equal_indexed(a, b);
        for (size_t i = 0; i < cel_list_len(b); i++) {
                struct cel_value y = cel_list_at(b, i), x;
                ptrdiff_t at = cel_list_find(a, cel_list_shape(a), &y);

                if (at < 0)
                        return false;
                x = cel_list_at(a, (size_t)at);
                if (!cel_equal(&x, &y))
                        return false;
        }
        return true;
}

static bool equal_lists(const struct cel_value *a, const struct cel_value *b)
{
        if (cel_list_shape(a))
                return cel_list_len(a) == cel_list_len(b) && equal_unordered(a, b);
        if (cel_list_len(a) != cel_list_len(b))
                return false;
        for (size_t i = 0; i < cel_list_len(a); i++) {
                struct cel_value x = cel_list_at(a, i), y = cel_list_at(b, i);

                if (!cel_equal(&x, &y))
                        return false;
        }
        return true;
}

static bool equal_maps(const struct cel_value *a, const struct cel_value *b)
{
        if (cel_map_len(a) != cel_map_len(b))
                return false;
        for (size_t i = 0; i < cel_map_len(a); i++) {
                struct cel_entry e = cel_map_at(a, i);
                struct cel_value other;

                if (!cel_map_find(b, &e.key, &other) || !cel_equal(&e.value, &other))
                        return false;
        }
        return true;
}

static bool equal_semver(const struct cel_semver *a, const struct cel_semver *b)
{
        return a->major == b->major && a->minor == b->minor && a->patch == b->patch && cel_str_cmp(a->pre, b->pre) == 0;
}

bool cel_equal(const struct cel_value *a, const struct cel_value *b)
{
        bool ok = true;

        if (is_number(a) && is_number(b))
                return cmp_numbers(a, b, &ok) == 0 && ok;
        if (a->type != b->type)
                return false;
        switch (a->type) {
        case CEL_NULL:
                return true;
        case CEL_LIST:
                return equal_lists(a, b);
        case CEL_MAP:
                return equal_maps(a, b);
        case CEL_TYPE:
        case CEL_FORMAT:
                return cel_str_cmp(a->str, b->str) == 0;
        case CEL_OPTIONAL:
                return a->inner && b->inner ? cel_equal(a->inner, b->inner) : !a->inner && !b->inner;
        case CEL_IP:
        case CEL_CIDR:
                return a->address->v6 == b->address->v6 && a->address->prefix == b->address->prefix &&
                       memcmp(a->address->bytes, b->address->bytes, sizeof(a->address->bytes)) == 0;
        case CEL_URL:
                return cel_str_cmp(a->url->scheme, b->url->scheme) == 0 && cel_str_cmp(a->url->host, b->url->host) == 0 &&
                       cel_str_cmp(a->url->path, b->url->path) == 0 && cel_str_cmp(a->url->query, b->url->query) == 0;
        case CEL_SEMVER:
                return equal_semver(a->semver, b->semver);
        case CEL_OBJECT:
                return a->object.data == b->object.data;
        default:
                return cel_compare(a, b, &ok) == 0 && ok;
        }
}

/* --- texts --- */

static const struct {
        const char *name;
        int64_t ns;
} units[] = {
        { "ns", 1 }, { "us", 1000 }, { "\xc2\xb5s", 1000 }, { "ms", 1000000 }, { "s", 1000000000 },
        { "m", 60 * (int64_t)1000000000 }, { "h", 3600 * (int64_t)1000000000 },
};

static bool digit(char c)
{
        return c >= '0' && c <= '9';
}

bool cel_parse_duration(struct cel_string s, int64_t *ret_ns)
{
        size_t i = 0;
        bool negative = s.len && s.s[0] == '-';
        __int128 sum = 0;

        if (s.len && (s.s[0] == '-' || s.s[0] == '+'))
                i++;
        if (s.len - i == 1 && s.s[i] == '0') {
                *ret_ns = 0;
                return true;
        }
        if (i == s.len)
                return false;
        while (i < s.len) {
                __int128 whole = 0, fraction = 0, scale = 1;
                bool any = false;
                size_t u = 0, start;

                for (; i < s.len && digit(s.s[i]); i++, any = true)
                        if ((whole = whole * 10 + (s.s[i] - '0')) > INT64_MAX)
                                return false;
                if (i < s.len && s.s[i] == '.')
                        for (i++; i < s.len && digit(s.s[i]); i++, any = true)
                                if (scale < 1000000000000000) {
                                        fraction = fraction * 10 + (s.s[i] - '0');
                                        scale *= 10;
                                }
                for (start = i; i < s.len && s.s[i] != '.' && !digit(s.s[i]);)
                        i++;
                while (u < ARRAY_SIZE(units) && !cel_str_is((struct cel_string){ s.s + start, i - start }, units[u].name))
                        u++;
                if (!any || u == ARRAY_SIZE(units))
                        return false;
                sum += whole * units[u].ns + fraction * units[u].ns / scale;
                if (sum > INT64_MAX)
                        return false;
        }
        *ret_ns = (int64_t)(negative ? -sum : sum);
        return true;
}

const char *cel_duration_text(struct arena *a, int64_t ns)
{
        char fraction[16];
        uint64_t abs = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
        size_t n;

        /* A protobuf Duration's JSON: seconds and an s. */
        snprintf(fraction, sizeof(fraction), ".%09llu", (unsigned long long)(abs % 1000000000));
        for (n = strlen(fraction); n > 1 && fraction[n - 1] == '0';)
                fraction[--n] = '\0';
        return arena_printf(a, "%s%llu%ss", ns < 0 ? "-" : "", (unsigned long long)(abs / 1000000000), n > 1 ? fraction : "");
}

static bool number(struct cel_string s, size_t *at, size_t digits, int *ret)
{
        *ret = 0;
        for (size_t i = 0; i < digits; i++, (*at)++) {
                if (*at >= s.len || !digit(s.s[*at]))
                        return false;
                *ret = *ret * 10 + (s.s[*at] - '0');
        }
        return true;
}

static bool literal(struct cel_string s, size_t *at, const char *set)
{
        return *at < s.len && strchr(set, s.s[*at]) && s.s[(*at)++];
}

bool cel_parse_timestamp(struct cel_string s, int64_t *ret_seconds, int32_t *ret_nanos)
{
        struct tm tm = { 0 }, normal;
        size_t at = 0;
        int32_t nanos = 0, scale = 100000000;
        int hours = 0, minutes = 0;
        time_t t;

        if (!number(s, &at, 4, &tm.tm_year) || !literal(s, &at, "-") || !number(s, &at, 2, &tm.tm_mon) ||
            !literal(s, &at, "-") || !number(s, &at, 2, &tm.tm_mday) || !literal(s, &at, "Tt") ||
            !number(s, &at, 2, &tm.tm_hour) || !literal(s, &at, ":") || !number(s, &at, 2, &tm.tm_min) ||
            !literal(s, &at, ":") || !number(s, &at, 2, &tm.tm_sec))
                return false;
        if (at < s.len && s.s[at] == '.') {
                if (++at == s.len || !digit(s.s[at]))
                        return false;
                for (; at < s.len && digit(s.s[at]); at++, scale /= 10)
                        nanos += (s.s[at] - '0') * scale;
        }
        if (!literal(s, &at, "Zz")) {
                bool west = at < s.len && s.s[at] == '-';

                if (!literal(s, &at, "+-") || !number(s, &at, 2, &hours) || !literal(s, &at, ":") ||
                    !number(s, &at, 2, &minutes) || hours > 23 || minutes > 59)
                        return false;
                minutes = (hours * 60 + minutes) * (west ? -1 : 1);
        }
        tm.tm_year -= 1900;
        tm.tm_mon -= 1;
        normal = tm;
        t = timegm(&normal);
        if (at != s.len || normal.tm_mday != tm.tm_mday || normal.tm_mon != tm.tm_mon || tm.tm_hour > 23 || tm.tm_min > 59 ||
            tm.tm_sec > 59)
                return false;
        *ret_seconds = (int64_t)t - minutes * 60;
        *ret_nanos = nanos;
        return true;
}

const char *cel_timestamp_text(struct arena *a, int64_t seconds, int32_t nanos)
{
        time_t t = (time_t)seconds;
        struct tm tm;
        char date[40], fraction[16];
        size_t n;

        gmtime_r(&t, &tm);
        strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
        snprintf(fraction, sizeof(fraction), ".%09d", nanos);
        for (n = strlen(fraction); n > 1 && fraction[n - 1] == '0';)
                fraction[--n] = '\0';
        return arena_printf(a, "%s%sZ", date, n > 1 ? fraction : "");
}

const char *cel_double_text(struct arena *a, double d)
{
        char buf[40], *e;
        int exponent;

        if (isnan(d))
                return "NaN";
        if (isinf(d))
                return d > 0 ? "+Inf" : "-Inf";
        for (int digits = 1; digits <= 17; digits++) {
                snprintf(buf, sizeof(buf), "%.*e", digits - 1, d);
                if (strtod(buf, NULL) == d)
                        break;
        }
        e = strchr(buf, 'e');
        exponent = atoi(e + 1);
        if (exponent < -4 || exponent >= 6)
                return arena_strdup(a, buf);
        return arena_printf(a, "%.*f", MAX((int)(e - buf) - (buf[0] == '-') - 2 - exponent, 0), d);
}
