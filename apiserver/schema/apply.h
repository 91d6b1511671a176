/* Server-side apply (application/apply-patch+yaml). */
#pragma once

#include "managed-fields.h"

/* Applies CONFIG, the decoded body, to LIVE (NULL: none yet). *ret is the merged object with its
 * managedFields, not yet defaulted, validated or admitted. It equals LIVE when nothing is to be done
 * (managed_fields_same() tells after defaulting).
 *
 * SUB: "" or the subresource; for "scale" CONFIG and *ret are Scales, LIVE is the parent, and so are the entries in *ret. MANAGER is required
 * and checked by the caller. Statuses: 400 for a wrong version or managedFields in CONFIG, 409 for
 * conflicts with other managers unless FORCE, 500 for what does not fit the schema. */
const struct status *apply_patch(struct arena *a, const struct resource *res, const struct json *live,
                                 const struct json *config, const char *manager, bool force,
                                 const char *sub, int64_t now, struct json **ret);
