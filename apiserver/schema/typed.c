/* Objects by schema: see typed.h. Here: what a walk meets, names of fields and of the elements of lists.
 *
 *      typed-fields.c    the fields of one object, as sets or as FieldsV1
 *      typed-compare.c   what differs between two
 *      typed-merge.c     one laid over another, and fields taken out
 *      typed-validate.c  whether a configuration fits
 */
#include "typed-internal.h"

#include "field-error.h" /* go_quote */

#include <stdlib.h>

const struct schema typed_deduced = { .type = SCHEMA_ANY };

/* --- names of fields --- */

static char *prefixed(char *to, const char *key, size_t len)
{
        to[0] = 'f';
        to[1] = ':';
        memcpy(to + 2, key, len);
        to[len + 2] = '\0';
        return to;
}

/* "f:KEY". Those of declared fields come again with every object, so as many as there is room for are kept for good. */
const char *typed_field_name(struct arena *a, const char *key, size_t len, bool declared)
{
        static char *kept[1024];
        char **place;

        if (!declared || len > 64)
                return prefixed(arena_alloc(a, len + 3), key, len);
        place = &kept[json_tag(key, len) * UINT32_C(0x9e3779b1) >> 22];
        if (!*place)
                *place = prefixed(xmalloc(len + 3), key, len);
        else if (strncmp(*place + 2, key, len) != 0 || (*place)[len + 2])
                return prefixed(arena_alloc(a, len + 3), key, len);
        return *place;
}

/* --- list elements --- */

static int by_string(const void *x, const void *y)
{
        return strcmp(*(const char *const *)x, *(const char *const *)y);
}

#define MAX_KEYS 16

/* Whether JSON writes S as it is. */
static bool is_plain(const char *s, size_t len)
{
        static const bool odd[256] = { [0 ... 0x1f] = true, ['"'] = true, ['\\'] = true, ['<'] = true, ['>'] = true,
                                       ['&'] = true, [0x7f ... 0xff] = true };

        for (size_t i = 0; i < len; i++)
                if (odd[(unsigned char)s[i]])
                        return false;
        return true;
}

/* Most lists have one key, and names in it. False: this one is different. */
static bool name_simply(struct arena *a, const struct schema *s, struct element *e)
{
        const char *key = s->list_keys ? s->list_keys[0] : NULL;
        size_t len = key ? strlen(key) : 0;
        const struct json *v;
        char *p;

        if (!key || s->list_keys[1] || !(v = json_getn(e->value, key, len)) || !json_is_string(v) || !is_plain(v->str, v->len))
                return false;
        e->len = len + v->len + strlen("k:{\"\":\"\"}");
        e->name = p = arena_alloc(a, e->len + 1);
        p = mempcpy(p, "k:{\"", 4);
        p = mempcpy(p, key, len);
        p = mempcpy(p, "\":\"", 3);
        p = mempcpy(p, v->str, v->len);
        memcpy(p, "\"}", 3);
        return true;
}

static const char *without_keys(struct arena *a, const struct schema *s)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        strbuf_puts(&b, "associative list with keys has an element that omits all key fields [");
        for (size_t i = 0; s->list_keys && s->list_keys[i]; i++) {
                strbuf_puts(&b, i ? " " : "");
                go_quote(&b, s->list_keys[i], strlen(s->list_keys[i]));
        }
        strbuf_puts(&b, "] (and doesn't have default values for any key fields)");
        return arena_strdup(a, strbuf_str(&b));
}

static void name_keyed(struct arena *a, const struct schema *s, struct element *e)
{
        static struct strbuf b; /* kept: every element of every list comes here */
        const char *keys[MAX_KEYS];
        size_t n = 0, n_set = 0;

        if (b.cap > 4096)
                strbuf_deinit(&b);
        strbuf_reset(&b);
        if (!json_is_object(e->value)) {
                e->error = json_is_null(e->value) ? "associative list with keys may not have a null element"
                                                  : "associative list with keys may not have non-map elements";
                return;
        }
        if (name_simply(a, s, e))
                return;
        for (; s->list_keys && s->list_keys[n] && n < MAX_KEYS; n++)
                keys[n] = s->list_keys[n];
        if (n > 1)
                qsort(keys, n, sizeof(*keys), by_string);
        strbuf_puts(&b, "k:{");
        for (size_t i = 0; i < n; i++) {
                const struct json *v = json_get(e->value, keys[i]);
                const struct schema_field *f = s->elem->type == SCHEMA_STRUCT ? schema_field(s->elem, keys[i]) : NULL;
                const char *fallback = NULL;

                if (!v && f)
                        fallback = s->elem->crd ? f->fallback : schema_published_default(f);
                if (!v && !fallback)
                        continue;
                strbuf_puts(&b, n_set++ ? "," : "");
                json_write_string(&b, keys[i], strlen(keys[i]));
                strbuf_putc(&b, ':');
                if (v)
                        json_write(&b, v);
                else
                        strbuf_puts(&b, fallback);
        }
        strbuf_putc(&b, '}');
        if (n_set == 0)
                e->error = without_keys(a, s);
        e->len = b.len;
        e->name = arena_strndup(a, strbuf_str(&b), b.len);
}

static void name_value(struct arena *a, struct element *e)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        if (json_is_object(e->value))
                e->error = "associative list without keys has an element that's a map type";
        else if (json_is_array(e->value))
                e->error = "not supported: associative list with lists as elements";
        else if (json_is_null(e->value))
                e->error = "associative list without keys has an element that's an explicit null";
        strbuf_puts(&b, "v:");
        json_write(&b, e->value);
        e->len = b.len;
        e->name = arena_strndup(a, strbuf_str(&b), b.len);
}

size_t typed_elements(struct arena *a, const struct schema *s, const struct json *list, bool with_errors,
                       struct element **ret)
{
        struct element *out = arena_alloc(a, (json_len(list) + 1) * sizeof(*out));
        size_t n = 0;

        json_foreach_item(list, it) {
                struct element *e = &out[n];

                *e = (struct element){ .value = it, .at = it_i };
                if (s->list_type == SCHEMA_LIST_SET)
                        name_value(a, e);
                else
                        name_keyed(a, s, e);
                n += with_errors || !e->error;
        }
        *ret = out;
        return n;
}

static int by_name(const void *x, const void *y)
{
        const struct element *ex = x, *ey = y;
        int r = strcmp(ex->name, ey->name);

        return r ? r : (ex->at > ey->at) - (ex->at < ey->at);
}

size_t typed_sorted_elements(struct arena *a, const struct schema *s, const struct json *list,
                              struct element **ret)
{
        size_t n = typed_elements(a, s, json_is_array(list) ? list : NULL, false, ret);

        if (n > 1)
                qsort(*ret, n, sizeof(**ret), by_name);
        return n;
}

bool typed_same(const struct json *x, const struct json *y)
{
        if (x == y)
                return true;
        if (x->type != y->type || x->len != y->len)
                return false;
        switch ((enum json_type)x->type) {
        case JSON_NULL:
                return true;
        case JSON_BOOL:
                return x->boolean == y->boolean;
        case JSON_NUMBER:
        case JSON_STRING:
                return memcmp(x->str, y->str, x->len) == 0;
        case JSON_ARRAY:
                for (uint32_t i = 0; i < x->len; i++)
                        if (!typed_same(x->items[i], y->items[i]))
                                return false;
                return true;
        case JSON_OBJECT:
                for (uint32_t i = 0; i < x->len; i++) {
                        const struct json_member *mx = &x->members[i], *my = &y->members[i];

                        if (mx->tag != my->tag || mx->key_len != my->key_len || !json_same_key(mx->key, my->key, mx->key_len) ||
                            !typed_same(mx->value, my->value))
                                return false;
                }
                return true;
        }
        return false;
}
