/* OpenAPI: /openapi/v3 (an index and a document per group version) and /openapi/v2 (JSON, and the
 * gnostic protobuf that client-go asks for). Written on demand from the tables; nothing is kept.
 *
 * EXTRA as in discovery.h. Hashes (ETags, ?hash=) are of what the documents are made from, so that they
 * are known without making them: 128 upper-case hexadecimal digits, without quotes.
 */
#pragma once

#include "discovery.h"

#define OPENAPI_HASH 129

/* /openapi/v3 */
struct buffer *openapi_v3_index(const struct discovery_extra *extra);
/* The document at "api/v1", "apis/apps/v1", "api", "apis", "apis/apps", "version"; NULL: there is none.
 * ret_hash may be NULL. */
struct buffer *openapi_v3(const char *path, const struct discovery_extra *extra, char ret_hash[OPENAPI_HASH]);
/* DOCUMENT, as openapi_v3() made it, as gnostic's openapi.v3.Document; takes over the reference. */
struct buffer *openapi_v3_protobuf(struct buffer *document);
#define OPENAPI_V3_PROTOBUF_TYPE "application/com.github.proto-openapi.spec.v3.v1.0+protobuf"
/* Only the hash; false: there is no such document. */
bool openapi_v3_hash(const char *path, const struct discovery_extra *extra, char ret_hash[OPENAPI_HASH]);

enum openapi_v2_form { OPENAPI_V2_JSON, OPENAPI_V2_PROTOBUF };
#define OPENAPI_V2_PROTOBUF_TYPE "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
struct buffer *openapi_v2(enum openapi_v2_form form, const struct discovery_extra *extra);
void openapi_v2_hash(const struct discovery_extra *extra, char ret_hash[OPENAPI_HASH]);
