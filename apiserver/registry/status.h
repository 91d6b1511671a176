/* metav1.Status: the one place where errors become what clients see.
 *
 * Functions below the HTTP layer return const struct status *: NULL is success. All texts and
 * reasons are apimachinery's (pkg/api/errors).
 */
#pragma once

#include "../schema/field-error.h"
#include "../schema/schema.h"

struct status {
        unsigned code;
        const char *reason;      /* "NotFound"; "" gives none */
        const char *message;
        const struct json *details; /* {name, group, kind, causes, retryAfterSeconds, uid}; may be NULL */
};

/* Everything is in A. RES may be NULL where noted. */
const struct status *status_make(struct arena *a, unsigned code, const char *reason, const struct json *details,
                                 const char *fmt, ...) printf_like(5, 6);
const struct status *status_not_found(struct arena *a, const struct resource *res, const char *name);
const struct status *status_already_exists(struct arena *a, const struct resource *res, const char *name);
const struct status *status_conflict(struct arena *a, const struct resource *res, const char *name, const char *fmt, ...)
        printf_like(4, 5);
const struct status *status_modified(struct arena *a, const struct resource *res, const char *name); /* "the object has been modified; ..." */
const struct status *status_forbidden(struct arena *a, const struct resource *res, const char *name, const char *fmt, ...)
        printf_like(4, 5); /* pods "x" is forbidden: ... */
const struct status *status_invalid(struct arena *a, const struct resource *res, const char *name, const struct field_errors *errs);
const struct status *status_bad_request(struct arena *a, const char *fmt, ...) printf_like(2, 3);
const struct status *status_method_not_supported(struct arena *a, const struct resource *res, const char *action);
const struct status *status_unsupported_media_type(struct arena *a, const char *type);
const struct status *status_not_acceptable(struct arena *a);
const struct status *status_expired(struct arena *a, const char *fmt, ...) printf_like(2, 3); /* 410 Expired */
const struct status *status_gone(struct arena *a, const char *fmt, ...) printf_like(2, 3);
const struct status *status_too_many(struct arena *a, int retry_after_s, const char *fmt, ...) printf_like(3, 4);
const struct status *status_internal(struct arena *a, const char *fmt, ...) printf_like(2, 3); /* Internal error occurred: ... */
const struct status *status_unavailable(struct arena *a, const char *fmt, ...) printf_like(2, 3);
const struct status *status_timeout(struct arena *a, const char *fmt, ...) printf_like(2, 3);
const struct status *status_unauthorized(struct arena *a);
/* The Status object. */
struct json *status_json(struct arena *a, const struct status *st);
