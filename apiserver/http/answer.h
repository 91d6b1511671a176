/* Answers: Statuses, objects and documents in the form that was negotiated, with the headers that every
 * answer of the API carries. Each answers the request; call exactly one.
 */
#pragma once

#include "../apiserver.h"
#include "negotiate.h"

void answer_status(struct api_request *r, const struct status *st);
/* {"kind":"Status","status":"Success"}; DETAILS may be NULL. */
void answer_success(struct api_request *r, unsigned code, const struct json *details);
void answer_text(struct api_request *r, unsigned code, const char *content_type, const char *text);
/* Takes the reference over. HEADERS: name, value, ..., NULL; may be NULL. */
void answer_buffer(struct api_request *r, unsigned code, const char *content_type, struct buffer *b,
                   const char *const *headers);
/* An object of RES (NULL: it is no object with metadata): plain, pretty, YAML, protobuf, as a Table or partial. */
void answer_object(struct api_request *r, unsigned code, const struct resource *res, const struct json *obj);
/* The bytes of a cached object as they are, where that will do. */
void answer_entry(struct api_request *r, const struct resource *res, struct entry *e);
/* A document made of many buffers: a list. Takes the references over. */
void answer_parts(struct api_request *r, const char *content_type, struct buffer **parts, const uint32_t *skips, size_t n);
/* The header list of this request: cache control, warnings and MORE (may be NULL). In the arena. */
const char *const *answer_headers(struct api_request *r, const char *const *more);

/* JSON as YAML, keys sorted. */
void yaml_write(struct strbuf *out, const struct json *j);
