/* Two JSON texts, one a line: a patch of each sort, and an apply, must never crash. */
#include "apply.h"
#include "patch-json.h"
#include "patch-merge.h"
#include "patch-strategic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const uint8_t *line = size ? memchr(data, '\n', size) : NULL;
        const struct json_limits limits = { .max_depth = 64 };
        const struct resource *res = builtin_resource("apps", "v1", "deployments");
        struct json *doc = NULL, *patch = NULL, *out = NULL;
        const struct json *left;
        _cleanup_arena_ struct arena *a = arena_new(0);
        size_t first = line ? (size_t)(line - data) : size;

        if (!line || json_parse(a, (const char *)data, first, &limits, &doc, NULL) != 0 ||
            json_parse(a, (const char *)line + 1, size - first - 1, &limits, &patch, NULL) != 0)
                return 0;
        patch_json(a, doc, patch, false, &out);
        patch_merge(a, doc, patch, true, &out);
        if (!json_is_object(doc))
                return 0;
        left = patch;
        patch_strategic(a, res->schema, doc, &left, &out);
        if (json_is_object(patch))
                apply_patch(a, res, doc, patch, "m", false, "", 0, &out);
        return 0;
}
