/* JSON Patch (RFC 6902), as the API server runs it. */
#pragma once

#include "../registry/status.h"

#define PATCH_JSON_MAX_OPS 10000

/* Applies PATCH (the parsed body) to DOC, which is not changed: *ret shares what the patch did not
 * touch. Errors are what upstream answers: 400 for what is no patch, 413 for too many operations,
 * 422 for one that cannot be carried out (a missing path, a failed test). RAW: fields are not validated, so that the
 * operations are not looked at before they are carried out. */
const struct status *patch_json(struct arena *a, const struct json *doc, const struct json *patch, bool raw,
                                struct json **ret);
/* The same for a patch that a webhook or a policy made. 0; -EAGAIN: a test of it fails; -EINVAL: it cannot be carried out.
 * *ret_why is what the library that upstream uses says of it. */
int patch_json_made(struct arena *a, const struct json *doc, const struct json *patch, struct json **ret, const char **ret_why);
