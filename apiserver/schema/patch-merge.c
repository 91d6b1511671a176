/* RFC 7386: null deletes, objects merge, all else replaces. */
#include "patch-merge.h"

/* VALUE without the nulls that would delete something, for a place where nothing is yet. Those that are items stay. */
static struct json *without_nulls(struct arena *a, const struct json *value)
{
        struct json *out;

        if (!json_is_object(value) && !json_is_array(value))
                return (struct json *)value;
        out = json_is_array(value) ? json_new_array(a) : json_new_object(a);
        json_foreach_item(value, it)
                json_append(a, out, without_nulls(a, it));
        json_foreach_member(value, m)
                if (!json_is_null(m->value))
                        json_setn(a, out, m->key, m->key_len, without_nulls(a, m->value));
        return out;
}

static struct json *merge(struct arena *a, const struct json *doc, const struct json *patch)
{
        struct json *out;

        if (!json_is_object(doc)) /* where a map was, a list comes as it is */
                return without_nulls(a, patch);
        if (!json_is_object(patch))
                return (struct json *)patch;
        if (patch->len == 0)
                return (struct json *)doc;
        out = json_new_object(a);
        json_foreach_member(doc, m) {
                const struct json *p = json_getn(patch, m->key, m->key_len);

                if (!p)
                        json_setn(a, out, m->key, m->key_len, m->value);
                else if (!json_is_null(p))
                        json_setn(a, out, m->key, m->key_len, merge(a, m->value, p));
        }
        json_foreach_member(patch, m)
                if (!json_is_null(m->value) && !json_getn(doc, m->key, m->key_len))
                        json_setn(a, out, m->key, m->key_len, without_nulls(a, m->value));
        return out;
}

const struct status *patch_merge(struct arena *a, const struct json *doc, const struct json *patch, bool raw,
                                 struct json **ret)
{
        static const char *const names[] = {
                [JSON_BOOL] = "bool", [JSON_NUMBER] = "number", [JSON_STRING] = "string", [JSON_ARRAY] = "array",
        };

        if (json_is_null(patch) || (raw && !json_is_object(patch) && !json_is_array(patch)))
                return status_bad_request(a, "Invalid JSON Patch");
        if (!json_is_object(patch) && !raw)
                return status_bad_request(a, "error decoding patch: json: cannot unmarshal %s into Go value of type "
                                             "map[string]interface {}", names[patch->type]);
        *ret = json_is_array(patch) ? without_nulls(a, patch) : merge(a, doc, patch);
        return NULL;
}
