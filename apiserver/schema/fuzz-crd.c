/* Schemas of definitions. First line: an openAPIV3Schema; second: an object that is judged by it. What validation
 * lets through must compile, and no object may harm what was compiled. */
#include "crd.h"
#include "default.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct json *parse(struct arena *a, const void *text, size_t len)
{
        const struct json_limits limits = { .max_depth = 64 };
        struct json *j = NULL;

        return json_parse(a, text, len, &limits, &j, NULL) == 0 ? j : NULL;
}

static void judge(struct arena *a, const struct schema *s, const struct json *text)
{
        struct field_errors errs = { .arena = a };
        struct json *obj = json_clone(a, text), *old = json_clone(a, text);

        if (crd_decode(a, s, obj, NULL, NULL) < 0)
                return;
        crd_default(a, s, obj);
        crd_validate(s, obj, NULL, "", &errs);
        crd_judge(s, obj, NULL, &errs, NULL, NULL);
        crd_validate(s, obj, old, "", &errs);
        crd_judge(s, obj, old, &errs, NULL, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const char text[] =
                "{\"apiVersion\":\"apiextensions.k8s.io/v1\",\"kind\":\"CustomResourceDefinition\","
                "\"metadata\":{\"name\":\"foos.example.com\",\"uid\":\"u\"},\"spec\":{\"group\":\"example.com\",\"scope\":\"Namespaced\","
                "\"names\":{\"plural\":\"foos\",\"singular\":\"foo\",\"kind\":\"Foo\",\"listKind\":\"FooList\"},"
                "\"conversion\":{\"strategy\":\"None\"},\"versions\":[{\"name\":\"v1\",\"served\":true,\"storage\":true,\"schema\":{}}]},"
                "\"status\":{\"storedVersions\":[\"v1\"],\"acceptedNames\":{\"plural\":\"foos\",\"singular\":\"foo\",\"kind\":\"Foo\",\"listKind\":\"FooList\"}}}";
        const struct schema *types =
                builtin_schema("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition");
        const uint8_t *line = size ? memchr(data, '\n', size) : NULL;
        _cleanup_arena_ struct arena *a = arena_new(0);
        size_t first = line ? (size_t)(line - data) : size;
        struct field_errors errs = { .arena = a };
        struct json *definition, *schema, *obj, *version;
        struct crd *crd = NULL;
        const char *whole;

        if (!line || !(schema = parse(a, data, first)) || !(obj = parse(a, line + 1, size - first - 1)) ||
            !json_is_object(schema) || !json_is_object(obj))
                return 0;
        definition = parse(a, text, sizeof(text) - 1);
        version = json_at(json_path(definition, "spec.versions"), 0);
        json_set(a, json_get(version, "schema"), "openAPIV3Schema", schema);
        if (schema_decode(a, types, definition, NULL, NULL) < 0)
                return 0;
        schema_canonicalise(a, types, definition);
        crd_validate_definition(definition, NULL, &errs, NULL, NULL);
        if (errs.n)
                return 0;
        whole = json_print(a, definition);
        if (crd_compile(whole, strlen(whole), 1, &crd, NULL) < 0)
                abort();
        judge(a, crd->stored->schema, obj);
        crd_unref(crd);
        return 0;
}
