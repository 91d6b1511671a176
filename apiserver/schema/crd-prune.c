/* What becomes of a custom resource before it is judged (apiextensions' structural pruning, coercion and defaulting).
 *
 * No Go type stands behind it: numbers are written as Go writes what it holds them in, fields that the schema does not
 * know go, and embedded resources get the metadata of any resource. A value where the schema has another type keeps what
 * it is, but nothing that is in it; the validation then says what it should have been.
 */
#include "crd.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

struct step {
        const struct step *up;
        const char *key;
        size_t index;
        bool in_map; /* errors put such a key in brackets */
};

struct pruner {
        struct arena *a;
        struct strict_errors unknown, coerced; /* paths of fields that go: from the schema, from embedded metadata */
        struct field_errors *errs; /* the first is enough */
};

static void print_path(struct strbuf *b, const struct step *at, bool brackets)
{
        if (!at)
                return;
        print_path(b, at->up, brackets);
        if (!at->key)
                strbuf_printf(b, "[%zu]", at->index);
        else if (brackets && at->in_map)
                strbuf_printf(b, "[%s]", at->key);
        else
                strbuf_printf(b, "%s%s", b->len ? "." : "", at->key);
}

static void unknown(struct pruner *p, const struct step *at)
{
        _cleanup_strbuf_ struct strbuf path = STRBUF_INIT;

        print_path(&path, at, false);
        strict_errors_add(&p->unknown, "%s", strbuf_str(&path));
}

/* --- numbers --- */

/* Go holds what is no integer of 64 bits in a float64, and writes that anew: 1.0 as 1. That it was one is still seen by
 * the checks of this request (crd_is_float()). */
static struct json *number(struct arena *a, struct json *v)
{
        struct json *out;
        char *end;
        long long i;
        double d;

        if (v->boolean) /* it was here before */
                return v;
        if (!strpbrk(v->str, ".eE")) {
                errno = 0;
                i = strtoll(v->str, &end, 10);
                if (!errno)
                        return v->len == 2 && v->str[0] == '-' && i == 0 ? json_new_int(a, 0) : v;
        }
        d = strtod(v->str, NULL);
        if (!isfinite(d))
                return NULL;
        out = json_new_double(a, d == 0 ? 0 : d); /* -0 is 0 when it is read again */
        out->boolean = true;
        return out;
}

/* The first number that no float64 holds, or NULL: all are well. */
static const struct json *rewrite_numbers(struct arena *a, struct json *v)
{
        size_t n = json_is_object(v) || json_is_array(v) ? v->len : 0;
        const struct json *bad;

        for (size_t i = 0; i < n; i++) {
                struct json **below = json_is_object(v) ? &v->members[i].value : &v->items[i], *out;

                if (!json_is_number(*below)) {
                        bad = rewrite_numbers(a, *below);
                        if (bad)
                                return bad;
                        continue;
                }
                out = number(a, *below);
                if (!out)
                        return *below;
                *below = out;
        }
        return NULL;
}

const struct json *crd_rewrite(struct arena *a, struct json **value)
{
        struct json *out;

        if (!json_is_number(*value))
                return rewrite_numbers(a, *value);
        out = number(a, *value);
        if (!out)
                return *value;
        *value = out;
        return NULL;
}

/* --- unknown fields --- */

static void prune(struct pruner *p, const struct schema *s, struct json *v, const struct step *at);

/* Nothing in V is known. */
static void drop_all(struct pruner *p, struct json *v, const struct step *at)
{
        if (json_is_array(v))
                json_foreach_item(v, item)
                        drop_all(p, item, &(struct step){.up = at, .index = item_i});
        if (!json_is_object(v))
                return;
        json_foreach_member(v, m)
                unknown(p, &(struct step){.up = at, .key = m->key});
        v->len = 0;
        v->index = NULL;
}

/* Of S or of any type, if S does not say. */
static void prune_part(struct pruner *p, const struct schema *s, struct json *v, const struct step *at)
{
        if (s->crd)
                prune(p, s, v, at);
        else
                drop_all(p, v, at);
}

static void prune_object(struct pruner *p, const struct schema *s, struct json *obj, const struct step *at)
{
        size_t n = 0;

        for (size_t i = 0; i < obj->len; i++) {
                struct json_member *m = &obj->members[i];
                const struct schema_field *f = s->type == SCHEMA_STRUCT ? schema_field(s, m->key) : NULL;
                struct step step = {.up = at, .key = m->key};

                if (f && f->type->crd) {
                        prune(p, f->type, m->value, &step);
                } else if (!f && s->type == SCHEMA_MAP) {
                        prune_part(p, s->elem, m->value, &step);
                } else if (!f && !s->preserve_unknown) {
                        unknown(p, &step);
                        continue;
                }
                obj->members[n++] = *m;
        }
        if (n != obj->len) {
                obj->len = n;
                obj->index = NULL;
        }
}

/* What preserves unknown fields does so for the items of its lists too. */
static void prune(struct pruner *p, const struct schema *s, struct json *v, const struct step *at)
{
        if (json_is_object(v) && (s->type == SCHEMA_STRUCT || s->type == SCHEMA_MAP || !s->preserve_unknown)) {
                prune_object(p, s, v, at);
        } else if (json_is_array(v) && s->type == SCHEMA_ARRAY) {
                json_foreach_item(v, item) {
                        struct step step = {.up = at, .index = item_i};

                        if (s->preserve_unknown && s->elem->crd && json_is_object(item)) {
                                struct schema keeps = *s->elem;

                                keeps.preserve_unknown = true;
                                prune(p, &keeps, item, &step);
                        } else {
                                prune_part(p, s->elem, item, &step);
                        }
                }
        } else if (!s->preserve_unknown) {
                drop_all(p, v, at);
        }
}

/* --- metadata --- */

static const char *go_word(const struct json *v)
{
        static const char *const words[] = {"null", "bool", "number", "string", "array", "object"};

        return words[v->type];
}

/* `unknown field "labels"` of metadata becomes the path "spec.emb.metadata.labels". */
static void gather(struct strict_errors *to, const struct strict_errors *from, const char *path)
{
        for (size_t i = 0; i < from->n; i++) {
                const char *quote = strchr(from->list[i], '"'), *end = quote ? strrchr(from->list[i], '"') : NULL;

                if (quote && end > quote)
                        strict_errors_add(to, "%s.%.*s", path, (int)(end - quote - 1), quote + 1);
        }
}

static int decode_metadata(struct pruner *p, const struct schema *s, struct json *meta, const char *path, struct strict_errors *to,
                           struct error *reterr)
{
        struct strict_errors own = {.arena = p->a};
        int r;

        if (!json_is_object(meta))
                return error_set(reterr, -EINVAL, "json: cannot unmarshal %s into Go value of type v1.ObjectMeta", go_word(meta));
        r = schema_decode(p->a, s, meta, &own, reterr);
        if (r < 0)
                return r;
        schema_canonicalise(p->a, s, meta);
        gather(to, &own, path);
        return 0;
}

static void refuse(struct pruner *p, const struct step *at, const struct json *value, const char *why)
{
        _cleanup_strbuf_ struct strbuf path = STRBUF_INIT;

        print_path(&path, at, true);
        field_error_add(p->errs, FIELD_INVALID, arena_strdup(p->a, strbuf_str(&path)), value, "%s", why);
}

/* An embedded resource's own fields. */
static void coerce_member(struct pruner *p, const struct schema_field *f, struct json_member *m, const struct step *at)
{
        _cleanup_error_ struct error err = ERROR_INIT;
        _cleanup_strbuf_ struct strbuf path = STRBUF_INIT;
        struct json *before;

        if (f->type->type == SCHEMA_STRING) {
                if (!json_is_string(m->value))
                        refuse(p, at, m->value, "must be a string");
                return;
        }
        if (json_is_null(m->value))
                m->value = json_new_object(p->a);
        before = json_clone(p->a, m->value);
        json_sort_keys(before); /* Go shows maps so */
        print_path(&path, at, true);
        if (decode_metadata(p, f->type, m->value, strbuf_str(&path), &p->coerced, &err) < 0)
                refuse(p, at, before, error_text(&err));
}

static void coerce(struct pruner *p, const struct schema *s, struct json *v, const struct step *at)
{
        bool root = s->crd && s->crd->root;

        if (p->errs->n || !s->crd)
                return;
        if (json_is_object(v))
                json_foreach_member(v, m) {
                        const struct schema_field *f = s->type == SCHEMA_STRUCT ? schema_field(s, m->key) : NULL;
                        struct step step = {.up = at, .key = m->key, .in_map = s->type == SCHEMA_MAP};

                        if (f && !f->type->crd && !root && !p->errs->n)
                                coerce_member(p, f, m, &step);
                        else if (f)
                                coerce(p, f->type, m->value, &step);
                        else if (s->type == SCHEMA_MAP)
                                coerce(p, s->elem, m->value, &step);
                }
        else if (json_is_array(v) && s->type == SCHEMA_ARRAY)
                json_foreach_item(v, item)
                        coerce(p, s->elem, item, &(struct step){.up = at, .index = item_i});
}

static int by_path(const void *x, const void *y)
{
        return strcmp(*(const char *const *)x, *(const char *const *)y);
}

bool crd_prune(struct arena *a, const struct schema *s, struct json *v)
{
        struct pruner p = {.a = a, .unknown = {.arena = a}};

        prune(&p, s, v, NULL);
        return p.unknown.n > 0;
}

void crd_coerce(struct arena *a, const struct schema *s, struct json *v, struct field_errors *errs)
{
        struct pruner p = {.a = a, .coerced = {.arena = a}, .errs = errs};

        coerce(&p, s, v, NULL);
}

static void tell(struct strict_errors *strict, const struct strict_errors *paths)
{
        for (size_t i = 0; i < paths->n; i++)
                strict_errors_add(strict, "unknown field \"%s\"", paths->list[i]);
}

int crd_decode(struct arena *a, const struct schema *s, struct json *obj, struct strict_errors *strict,
               struct error *reterr)
{
        struct field_errors errs = {.arena = a};
        struct pruner p = {.a = a, .unknown = {.arena = a}, .coerced = {.arena = a}, .errs = &errs};
        struct strict_errors own = {.arena = a};
        struct json *meta = s->crd->root ? json_get(obj, "metadata") : NULL;
        const struct json *bad;
        int r;

        bad = rewrite_numbers(a, obj);
        if (bad)
                return error_set(reterr, -EINVAL, "json: cannot unmarshal number %s into Go value of type float64", bad->str);
        if (meta && !json_is_object(meta) && !json_is_null(meta))
                return error_set(reterr, -EINVAL, "json: cannot unmarshal %s into Go value of type v1.ObjectMeta",
                                 json_is_string(meta) ? "string" : json_is_array(meta) ? "array" : json_is_number(meta) ? "number" : "bool");
        if (json_is_object(meta)) {
                r = decode_metadata(&p, schema_field(s, "metadata")->type, meta, "metadata", &own, reterr);
                if (r < 0)
                        return r;
        }
        prune(&p, s, obj, NULL);
        if (p.unknown.n)
                qsort(p.unknown.list, p.unknown.n, sizeof(*p.unknown.list), by_path);
        coerce(&p, s, obj, NULL);
        if (errs.n)
                return error_set(reterr, -EINVAL, "%s", field_error_print(a, errs.list));
        if (!strict)
                return 0;
        tell(strict, &own);
        tell(strict, &p.unknown);
        tell(strict, &p.coerced);
        return 0;
}

/* --- defaults --- */

static bool forbidden_null(const struct schema *s, const struct json *v)
{
        return json_is_null(v) && s->crd && !s->crd->nullable;
}

static void fill(struct arena *a, const struct schema *s, struct json *v);

static void fill_struct(struct arena *a, const struct schema *s, struct json *obj)
{
        for (unsigned i = 0; i < s->n_fields; i++) {
                const struct schema_field *f = &s->fields[i];
                struct json *v = json_get(obj, f->name);

                if (!f->type->crd)
                        continue;
                if (f->type->crd->fallback && (!v || forbidden_null(f->type, v))) {
                        v = json_clone(a, f->type->crd->fallback);
                        json_set(a, obj, f->name, v);
                } else if (v && forbidden_null(f->type, v)) {
                        json_del(obj, f->name);
                        continue;
                }
                if (v)
                        fill(a, f->type, v);
        }
}

static void fill(struct arena *a, const struct schema *s, struct json *v)
{
        if (s->type == SCHEMA_STRUCT && json_is_object(v)) {
                fill_struct(a, s, v);
        } else if (s->type == SCHEMA_ARRAY && s->elem->crd) {
                for (size_t i = 0; i < (json_is_array(v) ? v->len : 0); i++) {
                        if (s->elem->crd->fallback && forbidden_null(s->elem, v->items[i]))
                                v->items[i] = json_clone(a, s->elem->crd->fallback);
                        fill(a, s->elem, v->items[i]);
                }
        } else if (s->type == SCHEMA_MAP && s->elem->crd && json_is_object(v)) {
                for (size_t i = v->len; i-- > 0;) {
                        struct json_member *m = &v->members[i];

                        if (s->elem->crd->fallback && forbidden_null(s->elem, m->value))
                                m->value = json_clone(a, s->elem->crd->fallback);
                        else if (forbidden_null(s->elem, m->value))
                                json_del(v, m->key);
                        else
                                fill(a, s->elem, m->value);
                }
        }
}

void crd_default(struct arena *a, const struct schema *s, struct json *obj)
{
        fill(a, s, obj);
}

/* --- nulls that are applied --- */

/* Whether V, where S stands, is a null that defaulting took away although validation has something to say of it. */
static bool lost_null(const struct schema *s, const struct json *v)
{
        return forbidden_null(s, v) && !s->crd->fallback;
}

void crd_keep_nulls(struct arena *a, const struct schema *s, const struct json *from, struct json *to)
{
        const struct schema *below;

        if (s->type == SCHEMA_ARRAY && s->elem->crd)
                json_foreach_item(from, it)
                        if (json_at(to, it_i))
                                crd_keep_nulls(a, s->elem, it, json_at(to, it_i));
        if (!json_is_object(to))
                return;
        json_foreach_member(from, m) {
                const struct schema_field *f = s->type == SCHEMA_STRUCT ? schema_find(s, m->key, m->key_len, m->tag) : NULL;

                below = f ? f->type : s->type == SCHEMA_MAP ? s->elem : NULL;
                if (!below || !below->crd)
                        continue;
                if (lost_null(below, m->value))
                        json_setn(a, to, m->key, m->key_len, json_new_null(a));
                else if (json_getn(to, m->key, m->key_len))
                        crd_keep_nulls(a, below, m->value, json_getn(to, m->key, m->key_len));
        }
}
