/* application/vnd.kubernetes.protobuf, driven by the field numbers in the tables: into JSON trees, and out of JSON text.
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
 * `no kind "X" is registered for version "v1" ...`); -EBADMSG: the message is malformed. With these two
 * *ret holds the envelope's apiVersion and kind. */
int protobuf_decode(struct arena *a, const void *data, size_t len, const struct schema *fallback, struct json **ret,
                    struct error *reterr);
/* The body of OBJ (apiVersion and kind from it), of type S. Objects that are kept as text are better given as text. */
void protobuf_encode(struct strbuf *out, const struct schema *s, const struct json *obj);
/* The same of TEXT, as json_write() made it. False, and OUT as it was: it is no object. */
bool protobuf_encode_text(struct strbuf *out, const char *group_version, const char *kind, const struct schema *s,
                          const char *text, size_t len);

/* What stands before and behind a message of LEN bytes to make it a body (lists are written item by item). */
void protobuf_envelope_begin(struct strbuf *out, const char *group_version, const char *kind, size_t len);
void protobuf_envelope_end(struct strbuf *out);
/* One frame of a watch: 4 bytes of length (big endian), then the WatchEvent around BODY. */
void protobuf_frame(struct strbuf *out, const char *type, const struct strbuf *body);

/* One message without the envelope. */
int protobuf_decode_message(struct arena *a, const struct schema *s, const void *data, size_t len, struct json **ret,
                            struct error *reterr);
/* The fields of the object in TEXT. False, and OUT as it was: it is none. */
bool protobuf_encode_message(struct strbuf *out, const struct schema *s, const char *text, size_t len);
/* Neighbours in a list mostly come from one template: what is the same in both, to the letter, is then encoded once.
 * In A: what its fields took last, 4 KB each at most. */
struct protobuf_memory *protobuf_memory_new(struct arena *a);
/* The object in TEXT as field NUMBER of a message that is written piece by piece. MEMORY may be NULL. */
bool protobuf_encode_nested(struct strbuf *out, unsigned number, const struct schema *s, const char *text, size_t len,
                            struct protobuf_memory *memory);
