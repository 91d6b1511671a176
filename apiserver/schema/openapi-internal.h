/* Shared by the files that write OpenAPI: openapi.c (documents), openapi-schemas.c, openapi-paths.c,
 * openapi-gnostic.c (v2 and v3 as protobuf). */
#pragma once

#include "openapi.h"

/* A document being written. Paths come first and note what types they name; the types follow. */
struct openapi_doc {
        struct strbuf *out;
        bool v2;
        uint64_t *used;                      /* bits: builtin_schemas that are named */
        const struct discovery_extra *extra;
        const char *group, *version;         /* v3: whose document it is; NULL: nobody's */
        bool custom;                         /* v3: of definitions */
};

void openapi_use(struct openapi_doc *doc, const struct schema *s);
bool openapi_used(const struct openapi_doc *doc, unsigned i);
#define OPENAPI_USED_WORDS 16 /* 1,024 named types at most */

/* --- schemas --- */
/* `{"$ref":"#/components/schemas/NAME"}`; notes that the type is used. */
void openapi_ref(struct openapi_doc *doc, const char *name);
/* The definition of a named type; notes the types it names. */
void openapi_schema(struct openapi_doc *doc, const struct schema *s);
/* Custom resources: the definition of RES, and of its list. Their names: "com.example.v1.Foo". */
void openapi_custom_schema(struct openapi_doc *doc, const struct resource *res, bool list);
void openapi_custom_name(const struct resource *res, bool list, char *buf, size_t size);

/* --- paths --- */
typedef void openapi_path_fn(const char *path, const char *item, size_t len, void *userdata);
/* Calls FN with each path of RES and its path item as JSON text, written into a builder that is
 * reused. OUT of DOC is used for it. */
void openapi_resource_paths(struct openapi_doc *doc, const struct resource *res, openapi_path_fn *fn, void *userdata);
/* A GET that answers with TYPE or, NULL, text: /version and the like. Its operation is "get" and ID. */
struct openapi_plain {
        const char *path, *type, *id, *tag;
        const char *produces; /* NULL: what resources are answered in */
};
void openapi_plain_path(struct openapi_doc *doc, const struct openapi_plain *x, openapi_path_fn *fn, void *userdata);
/* Likewise the discovery of a group, or, VERSION not "", of a version. */
void openapi_group_path(struct openapi_doc *doc, const char *group, const char *version, openapi_path_fn *fn, void *userdata);

/* --- gnostic --- */
/* Each appends one field of openapi.v2.Document. */
void gnostic_head(struct strbuf *out);
void gnostic_path(struct strbuf *out, const char *path, const struct json *item);
void gnostic_definition(struct strbuf *out, const char *name, const struct json *schema);
/* Paths and definitions are gathered into messages of their own first, then added. */
void gnostic_finish(struct strbuf *out, const struct strbuf *paths, const struct strbuf *definitions);

/* openapi.v3.Document of a whole document, as it is sent as JSON. */
void gnostic_v3(struct strbuf *out, const struct json *document);
