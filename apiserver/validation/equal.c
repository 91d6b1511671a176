/* Whether two values mean the same to upstream's checks: amounts by what they amount to ("1" and "1000m"), none and an empty
 * list or map alike. */
#include "../../lib/meta/quantity.h"
#include "rules.h"

static bool nothing(const struct json *j)
{
        return !j || json_is_null(j) || ((json_is_array(j) || json_is_object(j)) && !j->len);
}

static bool same_amount(const struct json *x, const struct json *y)
{
        struct quantity a, b;

        return json_is_string(x) && json_is_string(y) && quantity_parse(x->str, &a) == 0 && quantity_parse(y->str, &b) == 0 &&
               quantity_cmp(&a, &b) == 0;
}

static bool same_members(const struct schema *s, const struct json *x, const struct json *y)
{
        json_foreach_member(x, m) {
                const struct schema_field *f = s->type == SCHEMA_STRUCT ? schema_field(s, m->key) : NULL;
                const struct schema *type = f ? f->type : s->type == SCHEMA_MAP ? s->elem : NULL;
                const struct json *other = json_getn(y, m->key, m->key_len);

                if (s->type == SCHEMA_MAP && !other)
                        return false;
                if (!semantic_equal(type, m->value, other))
                        return false;
        }
        return true;
}

bool semantic_equal(const struct schema *s, const struct json *x, const struct json *y)
{
        if (json_equal(x, y))
                return true;
        if (!s)
                return false;
        if (s->type == SCHEMA_QUANTITY)
                return same_amount(x, y);
        if ((s->type == SCHEMA_ARRAY || s->type == SCHEMA_MAP) && nothing(x) && nothing(y))
                return true;
        if (s->type == SCHEMA_ARRAY && json_is_array(x) && json_is_array(y) && x->len == y->len) {
                json_foreach_item(x, item)
                        if (!semantic_equal(s->elem, item, json_at(y, item_i)))
                                return false;
                return true;
        }
        return (s->type == SCHEMA_STRUCT || s->type == SCHEMA_MAP) && json_is_object(x) && json_is_object(y) &&
               same_members(s, x, y) && same_members(s, y, x);
}
