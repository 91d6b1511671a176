/* JSON Merge Patch (RFC 7386). */
#pragma once

#include "../registry/status.h"

/* *ret shares with DOC and PATCH what neither changed. 400 when PATCH is no object; RAW (fields are not validated): the
 * words are the patch library's then, and an array takes DOC's place. */
const struct status *patch_merge(struct arena *a, const struct json *doc, const struct json *patch, bool raw,
                                 struct json **ret);
