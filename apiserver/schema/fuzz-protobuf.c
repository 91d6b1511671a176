/* Any bytes as a protobuf body: nothing may be read or written out of bounds, and what was decoded can be
 * encoded and decoded again to the same tree. Any text as JSON to be encoded: the same, and an object of the kind comes
 * back as it went, whatever is remembered of others. */
#include <stdint.h>

#include "decode.h"
#include "protobuf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trip(struct arena *a, const struct schema *s, const struct json *obj)
{
        _cleanup_strbuf_ struct strbuf out = STRBUF_INIT;
        const char *text = json_print(a, obj);
        struct json *again;

        if (!protobuf_encode_message(&out, s, text, strlen(text)) ||
            protobuf_decode_message(a, s, out.data, out.len, &again, NULL) < 0)
                abort();
}

static void encode(struct arena *a, const struct schema *s, const char *text, size_t len)
{
        _cleanup_strbuf_ struct strbuf out = STRBUF_INIT, out2 = STRBUF_INIT;
        struct json *obj, *again;
        struct protobuf_memory *memory = protobuf_memory_new(a);
        bool ok = protobuf_encode_nested(&out, 7, s, text, len, NULL);
        const char *canonical;

        for (unsigned i = 0; i < 2; i++) { /* what is remembered of the first one makes no other */
                strbuf_reset(&out2);
                if (protobuf_encode_nested(&out2, 7, s, text, len, memory) != ok || out2.len != out.len ||
                    memcmp(strbuf_str(&out2), strbuf_str(&out), out.len) != 0)
                        abort();
        }
        strbuf_reset(&out2);
        if (json_parse(a, text, len, NULL, &obj, NULL) < 0 || !json_is_object(obj) || schema_decode(a, s, obj, NULL, NULL) < 0)
                return;
        schema_canonicalise(a, s, obj);
        json_del(obj, "kind"); /* the envelope has them */
        json_del(obj, "apiVersion");
        canonical = json_print(a, obj);
        strbuf_reset(&out);
        if (!protobuf_encode_message(&out, s, canonical, strlen(canonical)))
                abort();
        if (protobuf_decode_message(a, s, out.data, out.len, &again, NULL) < 0)
                return; /* times past 2262 */
        canonical = json_print(a, again);
        if (!protobuf_encode_message(&out2, s, canonical, strlen(canonical)) ||
            protobuf_decode_message(a, s, strbuf_str(&out2), out2.len, &obj, NULL) < 0 || !json_equal(obj, again))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const char *const types[] = { "io.k8s.api.core.v1.Pod", "io.k8s.api.apps.v1.Deployment",
                                             "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
                                             "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicy" };
        _cleanup_arena_ struct arena *a = arena_new(0);
        const struct schema *s = builtin_schema(size ? types[data[0] % ARRAY_SIZE(types)] : types[0]);
        struct json *obj;

        if (protobuf_decode(a, data, size, s, &obj, NULL) == 0)
                schema_canonicalise(a, s, obj);
        if (size && protobuf_decode_message(a, s, data + 1, size - 1, &obj, NULL) == 0)
                round_trip(a, s, obj);
        if (size)
                encode(a, s, (const char *)data + 1, size - 1);
        return 0;
}
