/* application/vnd.kubernetes.protobuf <-> JSON trees, driven by the field numbers in the tables.
 *
 * A body is the magic "k8s\0" and a runtime.Unknown {typeMeta {apiVersion, kind}, raw,
 * contentEncoding, contentType}; raw is the message. Only built-in kinds have numbers: custom
 * resources cannot be sent so (415).
 */
#pragma once

#include "schema.h"

#define PROTOBUF_MEDIA_TYPE "application/vnd.kubernetes.protobuf"

/* Decodes a body. The kind is the one the envelope names, else FALLBACK (the schema of what the URL
 * names; may be NULL). The tree carries apiVersion and kind where the envelope does; it is as after
 * schema_decode(). -EINVAL: malformed, with a text; -ENOENT: a kind that has no numbers (text as upstream:
 * `no kind "X" is registered for version "v1" ...`). */
int protobuf_decode(struct arena *a, const void *data, size_t len, const struct schema *fallback, struct json **ret,
                    struct error *reterr);
/* The body of OBJ (apiVersion and kind from it). */
void protobuf_encode(struct strbuf *out, const struct schema *s, const struct json *obj);

/* The same around a message that is there already (lists are written item by item). */
void protobuf_envelope(struct strbuf *out, const char *group_version, const char *kind, const struct strbuf *raw);
/* OBJ as field FIELD of a message that is written piece by piece. */
void protobuf_encode_nested(struct strbuf *out, unsigned field, const struct schema *s, const struct json *obj);
/* One frame of a watch: 4 bytes of length (big endian), then the WatchEvent around BODY. */
void protobuf_frame(struct strbuf *out, const char *type, const struct strbuf *body);

/* One message without the envelope. */
int protobuf_decode_message(struct arena *a, const struct schema *s, const void *data, size_t len, struct json **ret,
                            struct error *reterr);
void protobuf_encode_message(struct strbuf *out, const struct schema *s, const struct json *obj);
