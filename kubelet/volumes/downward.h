/* fieldRef and resourceFieldRef: values of a pod for env and downwardAPI volumes. Pure. */
#pragma once

#include "../../lib/json/json.h"

/* PATH: "metadata.labels", "metadata.annotations['a/b']", "metadata.name", "spec.nodeName", "status.podIP", ... Maps give `key="value"`
 * lines, sorted. status.* are read from POD's status: the caller sets podIP, podIPs, hostIP there first. -EINVAL: `unsupported fieldPath: ...`. */
int downward_field(struct arena *a, const struct json *pod, const char *path, char **ret, struct error *reterr);
/* REF: {containerName, resource, divisor}; CONTAINER: where containerName is absent. Limits that are not set are ALLOCATABLE's ({"cpu","memory",...}).
 * -EINVAL with upstream's text. */
int downward_resource(struct arena *a, const struct json *pod, const struct json *container, const struct json *ref,
                      const struct json *allocatable, char **ret, struct error *reterr);
