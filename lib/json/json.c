/* JSON trees: making, asking, changing. Parsing is in parse.c, writing in write.c. */
#include "json.h"

#include "../base/map.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <stdio.h>

static struct json *new_node(struct arena *a, enum json_type type)
{
        struct json *j = arena_calloc(a, sizeof(*j));

        j->type = type;
        return j;
}

struct json *json_new_null(struct arena *a)
{
        return new_node(a, JSON_NULL);
}

struct json *json_new_bool(struct arena *a, bool b)
{
        struct json *j = new_node(a, JSON_BOOL);

        j->boolean = b;
        return j;
}

struct json *json_new_number(struct arena *a, const char *text, size_t len)
{
        struct json *j = new_node(a, JSON_NUMBER);

        j->str = arena_strndup(a, text, len);
        j->len = len;
        return j;
}

struct json *json_new_int(struct arena *a, int64_t i)
{
        char text[24], *p = text + sizeof(text);
        uint64_t left = i < 0 ? -(uint64_t)i : (uint64_t)i;

        do
                *--p = (char)('0' + left % 10);
        while (left /= 10);
        if (i < 0)
                *--p = '-';
        return json_new_number(a, p, (size_t)(text + sizeof(text) - p));
}

/* The shortest digits that read back as the same number, as Go writes them: with an exponent only below 1e-6 and from 1e21 on. */
struct json *json_new_double(struct arena *a, double d)
{
        char text[32], out[48], *e, *o = out;
        int precision = 0, exponent, n;

        if (!isfinite(d))
                return json_new_null(a);
        do
                snprintf(text, sizeof(text), "%.*e", precision++, d);
        while (precision < 18 && strtod(text, NULL) != d);
        e = strchr(text, 'e');
        exponent = atoi(e + 1);
        if (d != 0 && (exponent < -6 || exponent >= 21)) {
                n = snprintf(out, sizeof(out), "%.*se%c%d", (int)(e - text), text, exponent < 0 ? '-' : '+', abs(exponent));
                return json_new_number(a, out, n);
        }
        if (exponent < 0)
                return json_new_number(a, out, snprintf(out, sizeof(out), "%.*f", precision - 1 - exponent, d));
        /* The digits, and zeros up to the point. */
        n = 0;
        for (const char *s = text; s < e || n <= exponent; s += s < e) {
                if (s < e && *s == '.')
                        continue;
                if (s < e && *s == '-') {
                        *o++ = '-';
                        continue;
                }
                if (n++ == exponent + 1)
                        *o++ = '.';
                *o++ = s < e ? *s : '0';
        }
        return json_new_number(a, out, o - out);
}

const struct json *json_beyond_double(const struct json *j)
{
        const struct json *found = NULL;

        if (json_is_number(j))
                return (j->len > 300 || strpbrk(j->str, "eE")) && !isfinite(strtod(j->str, NULL)) ? j : NULL;
        json_foreach_item(j, item)
                if (!found)
                        found = json_beyond_double(item);
        json_foreach_member(j, m)
                if (!found)
                        found = json_beyond_double(m->value);
        return found;
}

struct json *json_new_stringn(struct arena *a, const char *s, size_t len)
{
        struct json *j = new_node(a, JSON_STRING);

        j->str = arena_strndup(a, s, len);
        j->len = len;
        return j;
}

struct json *json_new_string(struct arena *a, const char *s)
{
        return s ? json_new_stringn(a, s, strlen(s)) : json_new_null(a);
}

struct json *json_new_stringf(struct arena *a, const char *fmt, ...)
{
        struct json *j = new_node(a, JSON_STRING);
        va_list ap;

        va_start(ap, fmt);
        j->str = arena_vprintf(a, fmt, ap);
        va_end(ap);
        j->len = strlen(j->str);
        return j;
}

struct json *json_new_array(struct arena *a)
{
        return new_node(a, JSON_ARRAY);
}

struct json *json_new_object(struct arena *a)
{
        return new_node(a, JSON_OBJECT);
}

struct json *json_clone_shallow(struct arena *a, const struct json *j)
{
        struct json *copy;

        if (!j)
                return NULL;
        copy = arena_memdup(a, j, sizeof(*j));
        copy->index = NULL;
        if (j->type == JSON_ARRAY && j->len)
                copy->items = arena_memdup(a, j->items, j->len * sizeof(*j->items));
        if (j->type == JSON_OBJECT && j->len)
                copy->members = arena_memdup(a, j->members, j->len * sizeof(*j->members));
        if (j->type == JSON_ARRAY || j->type == JSON_OBJECT)
                copy->cap = j->len;
        return copy;
}

struct json *json_clone(struct arena *a, const struct json *j)
{
        struct json *copy = json_clone_shallow(a, j);

        if (!copy)
                return NULL;
        switch ((enum json_type)copy->type) {
        case JSON_STRING:
        case JSON_NUMBER:
                copy->str = arena_strndup(a, j->str, j->len);
                break;
        case JSON_ARRAY:
                for (size_t i = 0; i < copy->len; i++)
                        copy->items[i] = json_clone(a, copy->items[i]);
                break;
        case JSON_OBJECT:
                json_foreach_member(copy, m)
                {
                        m->key = arena_strndup(a, m->key, m->key_len);
                        m->value = json_clone(a, m->value);
                }
                break;
        default:
                break;
        }
        return copy;
}

/* --- asking --- */

size_t json_len(const struct json *j)
{
        return json_is_array(j) || json_is_object(j) ? j->len : 0;
}

static uint32_t index_size(uint32_t members)
{
        uint32_t size = 64;

        while (size < members * 2)
                size *= 2;
        return size;
}

/* The index maps a key's hash to its position + 1; 0 is an empty slot. It exists only for objects
 * whose members were put there through this file's functions, which keep it or drop it. */
static void index_add(struct json *obj, uint32_t position)
{
        uint32_t mask = index_size(obj->cap) - 1;
        const struct json_member *m = &obj->members[position];
        uint32_t i = hash_bytes(m->key, m->key_len) & mask;

        while (obj->index[i])
                i = (i + 1) & mask;
        obj->index[i] = position + 1;
}

static void index_build(struct arena *a, struct json *obj)
{
        obj->index = arena_calloc(a, index_size(obj->cap) * sizeof(*obj->index));
        for (uint32_t i = 0; i < obj->len; i++)
                index_add(obj, i);
}

static __attribute__((noinline)) struct json_member *find_indexed(const struct json *obj, const char *key, size_t len)
{
        uint32_t mask = index_size(obj->cap) - 1;

        for (uint32_t i = hash_bytes(key, len) & mask; obj->index[i]; i = (i + 1) & mask) {
                struct json_member *m = &obj->members[obj->index[i] - 1];

                if (m->key_len == len && memcmp(m->key, key, len) == 0)
                        return m;
        }
        return NULL;
}

static inline __attribute__((always_inline)) struct json_member *find(const struct json *obj, const char *key, size_t len, uint32_t tag)
{
        if (!json_is_object(obj) || !(obj->names & json_tag_bit(tag)))
                return NULL;
        if (obj->index)
                return find_indexed(obj, key, len);
        for (struct json_member *m = obj->members, *end = m + obj->len; m < end; m++)
                if (m->tag == tag && m->key_len == len && json_same_key(m->key, key, len))
                        return m;
        return NULL;
}

struct json *json_find(const struct json *obj, const char *key, size_t key_len, uint32_t tag)
{
        struct json_member *m = find(obj, key, key_len, tag);

        return m ? m->value : NULL;
}

struct json *json_getn(const struct json *obj, const char *key, size_t key_len)
{
        return json_find(obj, key, key_len, json_tag(key, key_len));
}

struct json *json_at(const struct json *arr, size_t i)
{
        return json_is_array(arr) && i < arr->len ? arr->items[i] : NULL;
}

struct json *json_path(const struct json *j, const char *path)
{
        while (j && *path) {
                size_t n = 0;

                while (path[n] && path[n] != '.') /* a few letters: a call costs more */
                        n++;
                j = json_find(j, path, n, json_tag(path, n));
                path += n + (path[n] == '.');
        }
        return (struct json *)j;
}

const char *json_string(const struct json *j)
{
        return json_is_string(j) ? j->str : NULL;
}

const char *json_find_string(const struct json *obj, const char *key, size_t key_len, uint32_t tag)
{
        return json_string(json_find(obj, key, key_len, tag));
}

const char *json_path_string(const struct json *j, const char *path)
{
        return json_string(json_path(j, path));
}

/* Nearly all numbers are a few digits. */
static bool short_int(const struct json *j, int64_t *ret)
{
        bool negative = j->len && *j->str == '-';
        int64_t v = 0;

        if (j->len > 18 || j->len == negative)
                return false;
        for (size_t i = negative; i < j->len; i++) {
                if (j->str[i] < '0' || j->str[i] > '9')
                        return false;
                v = v * 10 + (j->str[i] - '0');
        }
        *ret = negative ? -v : v;
        return true;
}

int json_to_int(const struct json *j, int64_t *ret)
{
        char *end;
        double d;

        if (!json_is_number(j))
                return -EINVAL;
        if (short_int(j, ret))
                return 0;
        errno = 0;
        *ret = strtoll(j->str, &end, 10);
        if (!*end)
                return errno == ERANGE ? -ERANGE : 0;
        d = strtod(j->str, NULL);
        if (!isfinite(d) || fabs(d) >= 9.3e18)
                return -ERANGE;
        if (d != floor(d))
                return -EINVAL;
        if (d >= 9223372036854775808.0 || d < -9223372036854775808.0)
                return -ERANGE;
        *ret = (int64_t)d;
        return 0;
}

double json_to_double(const struct json *j, double otherwise)
{
        return json_is_number(j) ? strtod(j->str, NULL) : otherwise;
}

static int64_t int_or(const struct json *j, int64_t otherwise)
{
        int64_t i;

        return json_to_int(j, &i) == 0 ? i : otherwise;
}

int64_t json_get_int(const struct json *obj, const char *key, int64_t otherwise)
{
        return int_or(json_get(obj, key), otherwise);
}

int64_t json_path_int(const struct json *j, const char *path, int64_t otherwise)
{
        return int_or(json_path(j, path), otherwise);
}

bool json_get_bool(const struct json *obj, const char *key, bool otherwise)
{
        const struct json *j = json_get(obj, key);

        return json_is_bool(j) ? j->boolean : otherwise;
}

bool json_path_bool(const struct json *j, const char *path, bool otherwise)
{
        const struct json *b = json_path(j, path);

        return json_is_bool(b) ? b->boolean : otherwise;
}

static bool numbers_equal(const struct json *x, const struct json *y)
{
        int64_t i, k;

        if (x->len == y->len && memcmp(x->str, y->str, x->len) == 0)
                return true;
        if (json_to_int(x, &i) == 0 && json_to_int(y, &k) == 0)
                return i == k;
        if (strchr("[{", *x->str) || strchr("[{", *y->str)) /* no numbers: JSON_MAX_DEPTH */
                return false;
        return strtod(x->str, NULL) == strtod(y->str, NULL);
}

static bool objects_equal(const struct json *x, const struct json *y)
{
        for (uint32_t i = 0; i < x->len; i++) {
                const struct json_member *m = &x->members[i];
                /* Most often both sides have the same order. */
                const struct json_member *n = &y->members[i];

                if (n->tag != m->tag || n->key_len != m->key_len || !json_same_key(n->key, m->key, m->key_len))
                        n = find(y, m->key, m->key_len, m->tag);
                if (!n || !json_equal(m->value, n->value))
                        return false;
        }
        return true;
}

bool json_equal(const struct json *x, const struct json *y)
{
        if (x == y)
                return true;
        if (!x || !y || x->type != y->type)
                return false;
        switch ((enum json_type)x->type) {
        case JSON_NULL:
                return true;
        case JSON_BOOL:
                return x->boolean == y->boolean;
        case JSON_NUMBER:
                return numbers_equal(x, y);
        case JSON_STRING:
                return x->len == y->len && memcmp(x->str, y->str, x->len) == 0;
        case JSON_ARRAY:
                if (x->len != y->len)
                        return false;
                for (uint32_t i = 0; i < x->len; i++)
                        if (!json_equal(x->items[i], y->items[i]))
                                return false;
                return true;
        case JSON_OBJECT:
                return x->len == y->len && objects_equal(x, y);
        }
        return false;
}

/* --- changing --- */

static void grow(struct arena *a, void **list, uint32_t len, uint32_t *cap, size_t size)
{
        void *more;

        if (len < *cap)
                return;
        *cap = MAX(*cap * 2, 4u);
        more = arena_alloc(a, *cap * size);
        if (len)
                memcpy(more, *list, len * size);
        *list = more;
}

/* Behind all others: nobody has KEY yet. */
static void add(struct arena *a, struct json *obj, const char *key, size_t len, uint32_t tag, struct json *value)
{
        uint32_t cap = obj->cap;

        grow(a, (void **)&obj->members, obj->len, &obj->cap, sizeof(*obj->members));
        obj->members[obj->len++] = (struct json_member){ .key = key, .key_len = len, .tag = tag, .value = value };
        obj->names |= json_tag_bit(tag);
        if (obj->len > JSON_INDEX_FROM) {
                if (!obj->index || cap != obj->cap)
                        index_build(a, obj);
                else
                        index_add(obj, obj->len - 1);
        }
}

void json_put(struct arena *a, struct json *obj, const char *key, size_t len, uint32_t tag, struct json *value)
{
        struct json_member *m = find(obj, key, len, tag);

        if (m)
                m->value = value;
        else
                add(a, obj, key, len, tag, value);
}

void json_setn(struct arena *a, struct json *obj, const char *key, size_t len, struct json *value)
{
        uint32_t tag = json_tag(key, len);
        struct json_member *m = find(obj, key, len, tag);

        if (m)
                m->value = value;
        else
                add(a, obj, arena_strndup(a, key, len), len, tag, value);
}

void json_set_copied(struct arena *a, struct json *obj, const char *key, struct json *value)
{
        json_setn(a, obj, key, strlen(key), value);
}

void json_set_string(struct arena *a, struct json *obj, const char *key, const char *s)
{
        if (s)
                json_set(a, obj, key, json_new_string(a, s));
        else
                json_del(obj, key);
}

void json_set_int(struct arena *a, struct json *obj, const char *key, int64_t i)
{
        json_set(a, obj, key, json_new_int(a, i));
}

void json_set_bool(struct arena *a, struct json *obj, const char *key, bool b)
{
        json_set(a, obj, key, json_new_bool(a, b));
}

static struct json *ensure(struct arena *a, struct json *obj, const char *key, size_t len,
                           enum json_type type)
{
        struct json *j = json_getn(obj, key, len);

        if (!json_is(j, type)) {
                j = new_node(a, type);
                json_setn(a, obj, key, len, j);
        }
        return j;
}

struct json *json_ensure_object(struct arena *a, struct json *obj, const char *key)
{
        return ensure(a, obj, key, strlen(key), JSON_OBJECT);
}

struct json *json_ensure_array(struct arena *a, struct json *obj, const char *key)
{
        return ensure(a, obj, key, strlen(key), JSON_ARRAY);
}

void json_path_set(struct arena *a, struct json *obj, const char *path, struct json *value)
{
        for (const char *dot; (dot = strchr(path, '.')); path = dot + 1)
                obj = ensure(a, obj, path, dot - path, JSON_OBJECT);
        json_set(a, obj, path, value);
}

bool json_del(struct json *obj, const char *key)
{
        size_t len = strlen(key);
        struct json_member *m = find(obj, key, len, json_tag(key, len));

        if (!m)
                return false;
        obj->len--;
        memmove(m, m + 1, (size_t)(obj->members + obj->len - m) * sizeof(*m));
        obj->index = NULL; /* the next json_set makes it anew */
        return true;
}

bool json_path_del(struct json *obj, const char *path)
{
        for (const char *dot; obj && (dot = strchr(path, '.')); path = dot + 1)
                obj = json_getn(obj, path, dot - path);
        return obj && json_del(obj, path);
}

void json_insert(struct arena *a, struct json *arr, size_t at, struct json *value)
{
        grow(a, (void **)&arr->items, arr->len, &arr->cap, sizeof(*arr->items));
        memmove(arr->items + at + 1, arr->items + at, (arr->len - at) * sizeof(*arr->items));
        arr->items[at] = value;
        arr->len++;
}

void json_append(struct arena *a, struct json *arr, struct json *value)
{
        json_insert(a, arr, arr->len, value);
}

void json_remove(struct json *arr, size_t at)
{
        if (at >= json_len(arr))
                return;
        arr->len--;
        memmove(arr->items + at, arr->items + at + 1, (arr->len - at) * sizeof(*arr->items));
}
