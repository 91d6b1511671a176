/* managedFields of a new object: nobody else owns anything, so its fields are written down as they are met, without the
 * sets that an update needs (managed-fields.c). A create spent an eighth of its time on them.
 */
#include "managed-fields.h"

#include "managed-entries.h"
#include "typed.h"

#include "../../lib/base/time.h"

/* The members that a create never writes; false: there are some below them. */
static bool resets(const struct resource *res, const char *const **ret)
{
        static const char *const custom[] = { "status", NULL };

        *ret = res->crd && res->status_subresource ? custom : res->crd ? NULL : res->reset_on_update;
        for (const char *const *p = *ret; p && *p; p++)
                if (strchr(*p, '.'))
                        return false;
        return true;
}

/* What a new object of type S is compared with; those of built-in kinds are made once. */
static const struct json *zero_of(struct arena *a, const struct schema *s)
{
        static struct {
                const struct schema *s;
                const struct json *zero;
        } kept[256], *place;
        static struct arena *forever;

        if (s->crd)
                return schema_zero(a, s);
        place = &kept[((uintptr_t)s >> 4) * UINT32_C(0x9e3779b1) >> 8 & 0xff];
        if (!forever)
                forever = arena_new(0);
        if (!place->s)
                place->zero = schema_zero(forever, place->s = s);
        return place->s == s ? place->zero : schema_zero(a, s);
}

void managed_fields_create(struct arena *a, const struct resource *res, struct json *obj, const char *manager, int64_t now)
{
        struct typed t = { .a = a, .schema = res->schema, .deduce = res->crd };
        const char *const *skip;
        struct json *meta = json_ensure_object(a, obj, "metadata"), *entry, *fields, *list;
        char buf[TIME_BUF];

        if (json_get(meta, "managedFields") || !resets(res, &skip)) {
                managed_fields_update(a, res, NULL, obj, manager, "", now);
                return;
        }
        fields = typed_new_fields(&t, zero_of(a, res->schema), obj, skip);
        if (!fields)
                return;
        entry = json_new_object(a);
        json_set_string(a, entry, "manager", str_empty(manager) ? "unknown" : manager);
        json_set_string(a, entry, "operation", "Update");
        json_set_string(a, entry, "apiVersion", resource_group_version(a, res));
        json_set_string(a, entry, "time", time_format(now, buf));
        json_set_string(a, entry, "fieldsType", "FieldsV1");
        json_set(a, entry, "fieldsV1", fields);
        list = json_new_array(a);
        json_append(a, list, entry);
        json_set(a, meta, "managedFields", list);
}
