/* What a write brings: its body as a tree, and its options. */
#pragma once

#include "answer.h"
#include "../schema/decode.h"

/* What a body has to be: a kind at a group version. */
struct body_type {
        const char *group_version; /* "apps/v1", "v1" */
        const char *version;       /* "v1" */
        const char *kind;
        const struct schema *schema;
        const struct resource *res; /* for defaulting; NULL: by schema alone */
};
/* The Go package of a group's internal types: "apps", "core", "rbac". */
const char *go_package(struct arena *a, const char *group_version);
/* What J is, in the errors of the decoder of Go: "array". */
const char *go_type_name(const struct json *j);
struct body_type body_type_of(struct arena *a, const struct resource *res);
/* "policy/v1", "Eviction". */
struct body_type body_type_named(const char *group_version, const char *kind);
/* What the request writes: the resource's kind, or the subresource's ("scale": autoscaling/v1 Scale). */
struct body_type body_type_target(struct api_request *r);
/* The resource whose columns and metadata an answer to the request has: its own, table_scale, or NULL where it
 * is no object (a Status). */
const struct resource *answer_resource(struct api_request *r);

/* Decodes the request's body by its Content-Type (JSON, YAML, protobuf), checks kind and version, collects
 * unknown and duplicate fields by r->field_validation, and fills in defaults. kind and apiVersion come
 * first in *ret. */
const struct status *body_decode(struct api_request *r, const struct body_type *type, struct json **ret);
/* The same for a tree that a patch made. STRICT_PATCH: errors are the 422 of patches. */
const struct status *body_check(struct api_request *r, const struct body_type *type, struct json *obj,
                                struct strict_errors *strict, struct json **ret);

/* Query options of writes into r: dryRun, fieldManager, fieldValidation. KIND: "CreateOptions",
 * "UpdateOptions", "PatchOptions" names the 422. */
const struct status *write_options(struct api_request *r, const char *kind);
/* The same, complaints being added to ERRS. */
void write_options_take(struct api_request *r, struct field_errors *errs);
/* DeleteOptions of the body, or of the query where there is none, checked. *ret is NULL when nothing is
 * given. Sets r->dry_run. */
const struct status *delete_options(struct api_request *r, struct json **ret);
/* A resource to say "X.meta.k8s.io "" is invalid" with. */
const struct resource *meta_kind(struct arena *a, const char *kind);
/* Go finds kind and apiVersion whatever their case, before anything else is looked at; the last one counts (NULL: none).
 * NULL, or why OBJ is nothing that could have them. */
const char *body_find_type(struct arena *a, const struct json *obj, const char **ret_gv, const char **ret_kind);
