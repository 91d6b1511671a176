/* What several daemons ask of a pod: what it requests, its QoS class, its conditions. */
#pragma once

#include "../json/json.h"
#include "quantity.h"

/* Amounts by resource name ("cpu", "memory", "example.com/gpu"), in an arena. */
struct resource_amount {
        const char *name;
        struct quantity amount;
};
struct resource_list {
        struct resource_amount *items;
        size_t n;
};
/* NULL: not named. */
const struct quantity *resource_list_get(const struct resource_list *l, const char *name);
void resource_list_set(struct arena *a, struct resource_list *l, const char *name, const struct quantity *q);
void resource_list_add(struct arena *a, struct resource_list *l, const char *name, const struct quantity *q);
/* A ResourceList object, {"cpu":"1"}; malformed amounts count as none. */
void resource_list_from_json(struct arena *a, const struct json *object, struct resource_list *ret);
struct json *resource_list_to_json(struct arena *a, const struct resource_list *l); /* canonical texts */

/* What a pod asks of a node, as upstream's PodRequests: containers and restartable init containers
 * (sidecars) added up; no less than what each init container needs beside the sidecars before it;
 * plus overhead; pod-level spec.resources win where given. */
void pod_requests(struct arena *a, const struct json *pod, struct resource_list *ret);
void pod_limits(struct arena *a, const struct json *pod, struct resource_list *ret);

const char *pod_qos_class(const struct json *pod); /* "Guaranteed", "Burstable", "BestEffort", by the spec */

/* The status of condition TYPE: "True", "False", "Unknown"; NULL when there is none. */
const struct json *pod_condition(const struct json *object, const char *type); /* of any kind; NULL */
const char *pod_condition_status(const struct json *object, const char *type);
const char *pod_phase(const struct json *pod); /* "" when it has none */
bool pod_is_ready(const struct json *pod);
/* Ready for at least MIN_READY_S seconds at NOW (real, ns); 0 asks for Ready alone. */
bool pod_is_available(const struct json *pod, int64_t min_ready_s, int64_t now);
bool pod_is_terminal(const struct json *pod); /* phase Succeeded or Failed */
bool pod_is_active(const struct json *pod);   /* neither terminal nor being deleted */
