/* Pruning and defaulting of custom resources (apiextensions' structural pruning and defaulting). */
#include "crd.h"

struct step {
        const struct step *up;
        const char *key;
        size_t index;
};

struct pruner {
        struct arena *a;
        struct strict_errors *strict;
        struct error *reterr;
        int r;
};

static void print_path(struct strbuf *b, const struct step *at)
{
        if (!at)
                return;
        print_path(b, at->up);
        if (at->key)
                strbuf_printf(b, "%s%s", b->len ? "." : "", at->key);
        else
                strbuf_printf(b, "[%zu]", at->index);
}

static void prune(struct pruner *p, const struct schema *s, struct json *v, const struct step *at);

/* metadata of the resource itself or of an embedded one. */
static void prune_metadata(struct pruner *p, const struct schema *s, struct json *meta, const struct step *at)
{
        struct strict_errors own = {.arena = p->a};
        _cleanup_strbuf_ struct strbuf path = STRBUF_INIT;

        if (p->r < 0)
                return;
        p->r = schema_decode(p->a, s, meta, p->strict ? &own : NULL, p->reterr);
        if (p->r == 0)
                schema_canonicalise(p->a, s, meta);
        print_path(&path, at);
        for (size_t i = 0; i < own.n; i++) { /* `unknown field "labels"` becomes `... "spec.emb.metadata.labels"` */
                const char *quote = strchr(own.list[i], '"');
                if (quote)
                        strict_errors_add(p->strict, "%.*s\"%s.%s", (int)(quote - own.list[i]), own.list[i], strbuf_str(&path),
                                          quote + 1);
        }
}

static void prune_struct(struct pruner *p, const struct schema *s, struct json *obj, const struct step *at)
{
        size_t n = 0;

        for (size_t i = 0; i < obj->len; i++) {
                struct json_member *m = &obj->members[i];
                const struct schema_field *f = schema_field(s, m->key);
                struct step step = {.up = at, .key = m->key};

                if (f && !f->type->crd && f->type->type == SCHEMA_STRUCT && json_is_object(m->value)) {
                        prune_metadata(p, f->type, m->value, &step);
                } else if (f && f->type->crd) {
                        prune(p, f->type, m->value, &step);
                } else if (!f && !s->preserve_unknown) {
                        _cleanup_strbuf_ struct strbuf path = STRBUF_INIT;
                        print_path(&path, &step);
                        if (p->strict)
                                strict_errors_add(p->strict, "unknown field \"%s\"", strbuf_str(&path));
                        continue;
                }
                obj->members[n++] = *m;
        }
        if (n != obj->len) {
                obj->len = n;
                obj->index = NULL;
        }
}

static void prune(struct pruner *p, const struct schema *s, struct json *v, const struct step *at)
{
        if (s->type == SCHEMA_STRUCT && json_is_object(v)) {
                prune_struct(p, s, v, at);
        } else if (s->type == SCHEMA_ARRAY) {
                json_foreach_item(v, item) {
                        struct step step = {.up = at, .index = item_i};
                        if (s->elem->crd)
                                prune(p, s->elem, item, &step);
                }
        } else if (s->type == SCHEMA_MAP) {
                json_foreach_member(v, m) {
                        struct step step = {.up = at, .key = m->key};
                        if (s->elem->crd)
                                prune(p, s->elem, m->value, &step);
                }
        }
}

int crd_decode(struct arena *a, const struct schema *s, struct json *obj, struct strict_errors *strict,
               struct error *reterr)
{
        struct pruner p = {.a = a, .strict = strict, .reterr = reterr};

        prune(&p, s, obj, NULL);
        return p.r;
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
