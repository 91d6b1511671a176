/* Pod.status from the lifecycle's facts: pure. What clients see, in upstream's words. */
#pragma once

#include "lifecycle.h"

#define CONTAINER_ID_SCHEME "colibri://"

struct status_input {
        int64_t now;              /* realtime */
        const char *host_ips[2];  /* the node's */
        const struct json *previous; /* the status written last: transition times. NULL: the pod's own */
};

/* A whole PodStatus. In the arena; shares nothing with the lifecycle but what is in its pod's JSON. */
struct json *status_build(struct arena *a, const struct lifecycle *lc, const struct status_input *in);
/* The phase it reports. */
const char *status_phase(const struct lifecycle *lc);

/* What differs between a pod's status in the API and the one wanted, as a strategic merge patch of the
 * pod: {"metadata": {"uid": ...}, "status": {...}}. NULL: nothing. */
struct json *status_patch(struct arena *a, const struct json *pod, const struct json *status);
/* The pod's requests (LIMITS: limits): containers and sidecars summed, init containers as their maximum. */
struct json *status_pod_resources(struct arena *a, const struct json *pod, const char *what);
