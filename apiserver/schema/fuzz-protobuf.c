/* Any bytes as a protobuf body: nothing may be read or written out of bounds, and what was decoded can be
 * encoded and decoded again to the same tree. */
#include <stdint.h>

#include "decode.h"
#include "protobuf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const char *const types[] = { "io.k8s.api.core.v1.Pod", "io.k8s.api.apps.v1.Deployment",
                                             "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
                                             "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicy" };
        struct arena *a = arena_new(0);
        const struct schema *s = builtin_schema(size ? types[data[0] % ARRAY_SIZE(types)] : types[0]);
        _cleanup_strbuf_ struct strbuf again = STRBUF_INIT;
        struct json *obj, *obj2;

        if (protobuf_decode(a, data, size, s, &obj, NULL) == 0)
                schema_canonicalise(a, s, obj);
        if (size && protobuf_decode_message(a, s, data + 1, size - 1, &obj, NULL) == 0) {
                protobuf_encode_message(&again, s, obj);
                if (protobuf_decode_message(a, s, strbuf_str(&again), again.len, &obj2, NULL) < 0)
                        abort();
        }
        arena_free(a);
        return 0;
}
