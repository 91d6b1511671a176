/* JSON Merge Patch (RFC 7386). */
#pragma once

#include "../registry/status.h"

/* *ret shares with DOC and PATCH what neither changed. 400 when PATCH is no object. */
const struct status *patch_merge(struct arena *a, const struct json *doc, const struct json *patch,
                                 struct json **ret);
