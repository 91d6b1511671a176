/* What data cannot say about a kind: hooks around the generic store. Any may be NULL.
 *
 * Trees are the request's own copies and may be changed, except OLD.
 */
#pragma once

#include "../request.h"

struct strategy {
        /* Before validation. prepare_update sees the stored object too; SUB is "" or the subresource. */
        void (*prepare_create)(struct api_request *r, struct json *obj);
        void (*prepare_update)(struct api_request *r, struct json *obj, const struct json *old, const char *sub);
        /* Rules that are no data; they add to errs. OLD is NULL on create. */
        void (*validate)(struct api_request *r, const struct json *obj, const struct json *old, const char *sub,
                         struct field_errors *errs);
        /* After validation, before storage: allocates what must be unique (cluster IPs, node ports).
         * Undone by release when the write fails. */
        const struct status *(*allocate)(struct api_request *r, struct json *obj, const struct json *old);
        void (*release)(struct api_request *r, const struct json *obj);
        /* After it was stored. */
        void (*after_create)(struct api_request *r, const struct json *obj);
        void (*after_delete)(struct api_request *r, const struct json *obj);
        /* Graceful deletion: the period in seconds, 0 for at once. NULL: at once. */
        int64_t (*grace_period)(const struct json *obj, const struct json *delete_options);
        /* What a read shows that is not stored (may be NULL nearly everywhere). */
        void (*decorate)(struct api_request *r, struct json *obj);
};
