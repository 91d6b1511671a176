/* What objects count for a ResourceQuota (k8s.io/apiserver/pkg/quota and the evaluators of upstream): pure
 * functions, for admission and for the quota controller.
 */
#pragma once

#include "../json/json.h"
#include "quantity.h"

/* A list of resources: v1.ResourceList. Names are borrowed or in the arena. */
struct resource_amount {
        const char *name;
        struct quantity q;
};
struct resource_list {
        struct arena *arena;
        struct resource_amount *items;
        size_t n, cap;
};
struct quantity *resource_list_get(const struct resource_list *l, const char *name); /* NULL: absent */
void resource_list_add(struct resource_list *l, const char *name, const struct quantity *q); /* adds to what is there */
void resource_list_set(struct resource_list *l, const char *name, const struct quantity *q);
/* {"cpu":"1"}; amounts that cannot be read are left out. */
void resource_list_read(struct resource_list *l, const struct json *obj);
struct json *resource_list_json(struct arena *a, const struct resource_list *l);
/* "limits.cpu=1,pods=2": sorted by name. */
char *resource_list_print(struct arena *a, const struct resource_list *l);

/* What a pod asks for as a whole: containers added up, the largest init container beside what sidecars take,
 * pod-level resources where given, overhead. LIMITS: its limits instead of its requests. */
void pod_resources(const struct json *pod, bool limits, struct resource_list *ret);
/* "BestEffort", "Burstable" or "Guaranteed", from the spec. */
const char *pod_qos(const struct json *pod);

/* --- usage --- */
/* What OBJ counts for, by the names that quotas use: pods, requests.cpu, services.nodeports, count/jobs.batch ... */
void quota_usage(const char *group, const char *resource, const struct json *obj, struct resource_list *ret);
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
