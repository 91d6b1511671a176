/* What several controllers do with any object. Pure functions over JSON. */
#include "object.h"

#include <ctype.h>

#include "../base/time.h"

/* --- owners --- */

const struct json *object_controller(const struct json *object)
{
        json_foreach_item(json_path(object, "metadata.ownerReferences"), ref) {
                if (json_get_bool(ref, "controller", false))
                        return ref;
        }
        return NULL;
}

bool object_is_controlled_by(const struct json *object, const char *uid)
{
        return streq(json_get_string(object_controller(object), "uid"), uid);
}

struct json *object_make_controller_ref(struct arena *a, const char *api_version, const char *kind,
                                        const struct json *owner)
{
        struct json *ref = json_new_object(a);

        json_set_string(a, ref, "apiVersion", api_version);
        json_set_string(a, ref, "kind", kind);
        json_set_string(a, ref, "name", object_name(owner));
        json_set_string(a, ref, "uid", object_uid(owner));
        json_set_bool(a, ref, "controller", true);
        json_set_bool(a, ref, "blockOwnerDeletion", true);
        return ref;
}

bool object_has_finalizer(const struct json *object, const char *finalizer)
{
        json_foreach_item(json_path(object, "metadata.finalizers"), f) {
                if (streq(json_string(f), finalizer))
                        return true;
        }
        return false;
}

bool object_is_deleting(const struct json *object)
{
        return json_path_string(object, "metadata.deletionTimestamp");
}

/* --- asking --- */

static const char *meta_string(const struct json *object, const char *key)
{
        const char *s = json_get_string(json_get(object, "metadata"), key);

        return s ? s : "";
}

const char *object_name(const struct json *object)
{
        return meta_string(object, "name");
}

const char *object_namespace(const struct json *object)
{
        return meta_string(object, "namespace");
}

const char *object_uid(const struct json *object)
{
        return meta_string(object, "uid");
}

const char *object_annotation(const struct json *object, const char *key)
{
        return json_get_string(json_path(object, "metadata.annotations"), key);
}

const char *object_label(const struct json *object, const char *key)
{
        return json_get_string(json_path(object, "metadata.labels"), key);
}

int64_t object_time(const struct json *object, const char *path)
{
        const char *s = json_path_string(object, path);
        int64_t t;

        return s && time_parse(s, &t) == 0 ? t : 0;
}

/* --- changing --- */

struct json *object_editable(struct arena *a, const struct json *object)
{
        struct json *copy = json_clone_shallow(a, object);
        static const char *const deep[] = { "metadata", "status" };

        for (size_t i = 0; i < ARRAY_SIZE(deep); i++)
                if (json_get(object, deep[i]))
                        json_set(a, copy, deep[i], json_clone(a, json_get(object, deep[i])));
        return copy;
}

void object_set_annotation(struct arena *a, struct json *object, const char *key, const char *value)
{
        struct json *annotations = json_ensure_object(a, json_ensure_object(a, object, "metadata"), "annotations");

        json_set_string(a, annotations, key, value);
}

struct json *condition_find(const struct json *conditions, const char *type)
{
        json_foreach_item(conditions, c) {
                if (streq(json_get_string(c, "type"), type))
                        return c;
        }
        return NULL;
}

bool condition_set(struct arena *a, struct json *conditions, const char *type, const char *status, const char *reason,
                   const char *message, int64_t now)
{
        struct json *c = condition_find(conditions, type);
        char buf[TIME_BUF];

        if (c && streq(json_get_string(c, "status"), status) && streq(json_get_string(c, "reason"), reason) &&
            streq(json_get_string(c, "message"), message))
                return false;
        if (!c) {
                c = json_new_object(a);
                json_set_string(a, c, "type", type);
                json_append(a, conditions, c);
        }
        if (!streq(json_get_string(c, "status"), status))
                json_set_string(a, c, "lastTransitionTime", time_format(now, buf));
        json_set_string(a, c, "status", status);
        json_set_string(a, c, "reason", reason);
        json_set_string(a, c, "message", message);
        return true;
}

void condition_remove(struct json *conditions, const char *type)
{
        for (size_t i = 0; i < json_len(conditions);)
                if (streq(json_get_string(json_at(conditions, i), "type"), type))
                        json_remove(conditions, i);
                else
                        i++;
}

/* --- intOrString --- */

int64_t int_or_percent(const struct json *v, int64_t total, bool round_up, int64_t fallback)
{
        const char *s = json_string(v);
        int64_t n;
        char *end;

        if (json_is_number(v) && json_to_int(v, &n) == 0)
                return n;
        if (!s || !isdigit((unsigned char)*s))
                return fallback;
        n = strtoll(s, &end, 10);
        if (!streq(end, "%"))
                return fallback;
        return (n * total + (round_up ? 99 : 0)) / 100;
}

/* --- hashes --- */

char *safe_encode(struct arena *a, const char *s)
{
        static const char alphabet[] = "bcdfghjklmnpqrstvwxz2456789";
        char *out = arena_strdup(a, s);

        for (char *p = out; *p; p++)
                *p = alphabet[(unsigned char)*p % (sizeof(alphabet) - 1)];
        return out;
}

char *template_hash(struct arena *a, const struct json *template, int64_t collisions)
{
        uint64_t h = json_hash(template);
        uint32_t folded = (uint32_t)(h ^ (h >> 32));

        for (int64_t c = collisions; c > 0; c >>= 8)
                folded = (folded ^ (uint32_t)(c & 0xff)) * 16777619u;
        return safe_encode(a, arena_printf(a, "%u", folded));
}
