/* What objects count for a ResourceQuota (k8s.io/apiserver/pkg/quota and the evaluators of upstream): pure
 * functions, for admission and for the quota controller.
 */
#pragma once

#include "pod.h"

/* "limits.cpu=1,pods=2": sorted by name. */
char *resource_list_print(struct arena *a, const struct resource_list *l);

/* --- usage --- */
/* What OBJ counts for, by the names that quotas use: pods, requests.cpu, services.nodeports, count/jobs.batch ...
 * Added to *ret. */
void quota_usage(struct arena *a, const char *group, const char *resource, const struct json *obj, struct resource_list *ret);
/* NAME (of a hard limit) is counted by objects of this kind. */
bool quota_concerns(const char *group, const char *resource, const char *name);
/* The quota's scopes (spec.scopes, spec.scopeSelector) take OBJ in, and one of its limits concerns the kind. */
bool quota_matches(const struct json *quota, const char *group, const char *resource, const struct json *obj);
/* Pods must say what a quota limits: NULL, or "must specify limits.cpu for: c1; requests.memory for: c1". */
const char *quota_constraints(struct arena *a, const struct json *quota, const char *group, const char *resource,
                              const struct json *obj);
/* The kinds that a quota's hard limits name, as "group/resource" ("pods" gives "/pods", "count/jobs.batch"
 * "batch/jobs"): which the controller must watch. NULL: the name is none of an object count or known kind. */
const char *quota_kind_of(struct arena *a, const char *name);
