/* metadata.managedFields of ordinary writes: who set which field.
 *
 * The rules are those of structured-merge-diff: a writer owns what it added or changed, and everybody
 * else loses that. One walk over old and new by schema tells what changed.
 */
#pragma once

#include "../registry/status.h"

/* Sets obj.metadata.managedFields. Call it on the decoded and defaulted object, before admission and
 * before the strategy prepares it.
 *
 * LIVE: the stored object, NULL on create. OBJ: the new one; what it brings in managedFields is taken
 * where upstream takes it ([] or [{}] resets; nothing, or nonsense, means LIVE's). MANAGER: "" is
 * "unknown". SUB: "" or the subresource. NOW: nanoseconds since 1970, cut to seconds.
 * Subtrees of LIVE may end up in OBJ. */
void managed_fields_update(struct arena *a, const struct resource *res, const struct json *live,
                           struct json *obj, const char *manager, const char *sub, int64_t now);

/* The same for a new object (LIVE NULL, SUB ""), in a quarter of the time. */
void managed_fields_create(struct arena *a, const struct resource *res, struct json *obj, const char *manager, int64_t now);

/* After everything that could change OBJ: true when OBJ and LIVE differ in nothing but the times of
 * managed fields. OBJ then gets LIVE's entries, and need not be written. */
bool managed_fields_same(struct arena *a, const struct json *live, struct json *obj);

/* The entry that a write through the parent's scale subresource makes is that of the parent with
 * subresource "scale": call managed_fields_update() with the parent's objects. */

/* Errors of managedFields as validation reports them (ValidateManagedFields). */
void managed_fields_validate(const struct json *managed, const char *path, struct field_errors *errs);
