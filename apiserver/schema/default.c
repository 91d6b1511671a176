/* The walk that sets defaults, and the part of them that is data (default.h).
 *
 * A struct's plain defaults come first, then those of what it holds, then its rules (default-rules.c), so that a rule
 * sees complete children. Go's types decide when a default is due: a field that keeps presence (a
 * pointer) only when it is absent, any other also when it is the zero value. A struct held by value
 * exists even where the client left it out, so its defaults are due too.
 */
#include "crd.h"
#include "decode.h"
#include "default.h"

#include "../../lib/base/base.h"

static void default_value(struct arena *a, const struct schema *s, struct json *v);

static struct json *parse_fallback(struct arena *a, const char *text)
{
        struct json *v = NULL;
        size_t len = strlen(text);

        /* Most are words and small numbers: parsing them would cost more than all else of a default. */
        if (*text == '"' && !memchr(text, '\\', len))
                return json_new_stringn(a, text + 1, len - 2);
        if (*text >= '0' && *text <= '9' && strspn(text, "0123456789") == len)
                return json_new_number(a, text, len);
        if (json_parse(a, text, strlen(text), NULL, &v, NULL) < 0)
                return NULL;
        return v;
}

static void default_field(struct arena *a, const struct schema_field *f, struct json *obj)
{
        struct json *v = schema_get(obj, f);

        if (f->fallback && (!v || (!f->presence && schema_is_zero(v)))) {
                v = parse_fallback(a, f->fallback);
                if (v)
                        json_put(a, obj, f->name, f->len, f->tag, v);
        }
        if (!v && !f->presence && f->type->type == SCHEMA_STRUCT && f->type->defaults_absent && f->empty_as) {
                v = json_new_object(a);
                json_put(a, obj, f->name, f->len, f->tag, v);
        }
        if (v && f->type->has_defaults)
                default_value(a, f->type, v);
}

static void default_value(struct arena *a, const struct schema *s, struct json *v)
{
        if (!s->has_defaults)
                return;
        if (s->type == SCHEMA_STRUCT && json_is_object(v)) {
                for (unsigned i = 0; i < s->n_defaulted; i++)
                        default_field(a, &s->fields[s->defaulted[i]], v);
        } else if (s->type == SCHEMA_ARRAY) {
                json_foreach_item(v, item)
                        default_value(a, s->elem, item);
        } else if (s->type == SCHEMA_MAP) {
                json_foreach_member(v, m)
                        default_value(a, s->elem, m->value);
        }
        for (schema_rule *const *rule = s->rules; rule && *rule; rule++)
                (*rule)(a, v);
}

void schema_default(struct arena *a, const struct resource *res, struct json *obj)
{
        if (res->crd)
                crd_default(a, res->schema, obj);
        else if (res->schema)
                default_value(a, res->schema, obj);
}

void schema_default_type(struct arena *a, const struct schema *s, struct json *obj)
{
        default_value(a, s, obj);
}
