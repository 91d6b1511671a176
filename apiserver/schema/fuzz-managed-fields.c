/* metadata.managedFields as clients send them. First line: the entries of the stored object; second: the new object,
 * with entries of its own or without. Whatever they say, an update, an apply and a migration get through, and
 * what was decoded and encoded decodes to the same. */
#include "apply.h"
#include "decode.h"
#include "managed-entries.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct json *parse(struct arena *a, const void *text, size_t len)
{
        const struct json_limits limits = { .max_depth = 64 };
        struct json *j = NULL;

        return json_parse(a, text, len, &limits, &j, NULL) == 0 ? j : NULL;
}

static void round_trip(struct arena *a, const struct json *fields)
{
        struct managed once, twice;
        struct json *first;

        if (!managed_decode(a, fields, &once) || !(first = managed_encode(&once)))
                return;
        if (!managed_decode(a, first, &twice) || !streq(json_print(a, first), json_print(a, managed_encode(&twice))))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const char text[] =
                "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"d\",\"labels\":{\"a\":\"b\"}},"
                "\"spec\":{\"replicas\":3,\"selector\":{\"matchLabels\":{\"a\":\"b\"}},\"template\":{\"spec\":{\"containers\":["
                "{\"name\":\"c\",\"image\":\"i\",\"ports\":[{\"containerPort\":80,\"protocol\":\"TCP\"}]}]}}}}";
        const uint8_t *line = size ? memchr(data, '\n', size) : NULL;
        const struct resource *res = builtin_resource("apps", "v1", "deployments");
        _cleanup_arena_ struct arena *a = arena_new(0);
        size_t first = line ? (size_t)(line - data) : size;
        struct json *live, *fields, *obj, *out = NULL;
        struct field_errors errs = { .arena = a };

        if (!line || !(fields = parse(a, data, first)) || !(obj = parse(a, line + 1, size - first - 1)) ||
            !json_is_object(obj) || schema_decode(a, res->schema, obj, NULL, NULL) < 0)
                return 0;
        json_ensure_object(a, obj, "metadata");
        live = parse(a, text, sizeof(text) - 1);
        json_set(a, json_get(live, "metadata"), "managedFields", fields);
        round_trip(a, fields);
        managed_fields_validate(json_path(obj, "metadata.managedFields"), "metadata.managedFields", &errs);
        managed_fields_validate(fields, "metadata.managedFields", &errs);
        apply_patch(a, res, live, json_clone(a, obj), "m", false, "", 0, &out);
        apply_patch(a, res, live, json_clone(a, obj), "m", true, "", 0, &out);
        managed_fields_update(a, res, live, obj, "m", "", 0);
        managed_fields_same(a, live, obj);
        round_trip(a, json_path(obj, "metadata.managedFields"));
        return 0;
}
