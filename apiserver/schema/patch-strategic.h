/* Strategic merge patch: a merge patch that knows which lists are keyed.
 *
 * Directives: $patch (delete, replace, merge), $deleteFromPrimitiveList/F, $setElementOrder/F and
 * $retainKeys; merge keys and strategies come from the schema.
 */
#pragma once

#include "../registry/status.h"

/* *ret shares with DOC and PATCH what neither changed. *PATCH becomes what is left of it, for messages. 400 and 500 with upstream's texts for
 * directives that cannot be carried out; 422 for values of a type the schema does not have. */
const struct status *patch_strategic(struct arena *a, const struct schema *schema, const struct json *doc,
                                     const struct json **patch, struct json **ret);
/* That 422: ` "" is invalid: patch: Invalid value: "<value>": <detail>`. VALUE is shown as a string. */
const struct status *patch_undecodable(struct arena *a, const char *value, const char *detail);
/* What Go's converter from maps to structs says where J does not fit S; NULL: it does. Numbers become what it makes of them. */
const char *patch_go_convert(struct arena *a, struct json *j, const struct schema *s);
