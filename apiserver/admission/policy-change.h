/* What a mutating policy's expressions make of an object. */
#pragma once

#include "../../lib/cel/cel.h"
#include "internal.h"

/* PATCH is [JSONPatch{op: "add", path: "/x", value: 1}] as RFC 6902 writes it; CONFIG what an ApplyConfiguration evaluated to.
 * 0: *ret is the object as it becomes, in the request's arena; NULL: it stays. <0: *ret_why is the policy's fault, or, when that
 * is NULL, *ret_st is the answer whatever the failurePolicy is. */
int policy_change_by_patch(struct admission_attributes *at, const struct json *patch, struct json **ret, const char **ret_why,
                           const struct status **ret_st);
int policy_change_by_apply(struct admission_attributes *at, const struct cel_value *config, struct json **ret, const char **ret_why);
