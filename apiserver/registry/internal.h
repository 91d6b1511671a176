/* What the files of the registry share. */
#pragma once

#include "../../lib/base/encode.h"
#include "../../lib/base/time.h"
#include "../admission/admission.h"
#include "../apiserver.h"
#include "../schema/decode.h"
#include "../schema/default.h"
#include "../schema/managed-fields.h"
#include "../validation/validate.h"
#include "registry.h"
#include "strategy.h"

/* The resource that RES's objects are stored as: itself nearly always. */
const struct resource *registry_stored_as(const struct resource *res);
/* convert.c: OBJ of version FROM as one of version TO, in A; subtrees may be shared. */
struct json *convert_object(struct arena *a, const struct resource *from, const struct resource *to, struct json *obj);

/* --- metadata --- */
const char *meta_string(const struct json *obj, const char *field); /* "" when absent */
bool meta_deleting(const struct json *obj);
size_t meta_finalizers(const struct json *obj);
void meta_bump_generation(struct arena *a, struct json *obj);
/* Copies the value at PATH from FROM to TO, or deletes it there. */
void copy_path(struct arena *a, struct json *to, const struct json *from, const char *path);
int64_t request_now(const struct api_request *r); /* real time */
/* namespace checks of what a client sent (rest.EnsureObjectNamespaceMatchesRequestNamespace) */
const struct status *check_namespace(struct api_request *r, const struct resource *res, const char *namespace,
                                     struct json *obj);
void warn_duplicate_owners(struct api_request *r, struct json *obj, bool admitted);
/* uid and creationTimestamp of a new object. */
void fill_system_fields(struct api_request *r, struct json *obj);
void wipe_system_fields(struct json *obj);
/* SENT as a number, 0 for none; 500 in the words of Go's parser when it is not one. */
const struct status *parse_resource_version(struct arena *a, const char *sent, uint64_t *ret);
void set_resource_version(struct arena *a, struct json *obj, uint64_t revision); /* 0: removes it */

/* --- steps shared by create and update --- */
/* Remembers for the answer the bytes E of what was stored, whose tree is OBJ. Who changes OBJ later takes
 * r->written_of back. */
void note_written(struct api_request *r, const struct resource *res, const struct json *obj, const struct entry *e);
const struct status *validate_write(struct api_request *r, const struct resource *res, struct json *obj,
                                    const struct json *old, const char *sub);
struct admission_attributes admission_of(struct api_request *r, enum admission_op op, const struct resource *res,
                                         const char *sub, const char *namespace, const char *name, struct json *obj,
                                         const struct json *old);
/* From mutating admission on: what POST and create-on-update share. KEEP_FIELDS: managedFields are in place. */
const struct status *create_prepared(struct api_request *r, const struct resource *res, const char *namespace,
                                     struct json *obj, bool keep_fields, struct json **ret);

/* delete.c: whether OBJ is the one that DeleteOptions mean: its uid and resourceVersion. */
const struct status *delete_preconditions(struct arena *a, const struct resource *res, const struct json *options,
                                          const struct json *obj);
/* It takes the object whose last finalizer is gone. */
bool should_delete_on_update(const struct resource *res, const struct json *obj, const struct json *old);

/* scale.c */
/* Where a custom resource should have its number of replicas, if it has none; else NULL. */
const char *scale_missing(const struct resource *res, const struct json *obj);
struct json *scale_of(struct arena *a, const struct resource *res, const struct json *obj);
const struct status *scale_apply(struct api_request *r, const struct resource *res, const struct json *old,
                                 const struct json *scale, struct json **ret_obj);
