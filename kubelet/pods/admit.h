/* Whether a node takes a pod that was bound to it: the checks that the scheduler may have missed. Pure. */
#pragma once

#include "../../lib/json/json.h"

/* NODE: the Node object (labels, status.allocatable). PODS: those on the node that have not ended.
 * 0: admitted; 1: rejected, with upstream's reason and message ("OutOfcpu", "Pod was rejected: ..."). */
int pod_admit(struct arena *a, const struct json *pod, const struct json *node, const struct json *const *pods,
              size_t n_pods, const char **ret_reason, const char **ret_message);
/* Whether the node could ever, or can now, give POD what its spec asks for: reason NULL, "Infeasible" or
 * "Deferred". PODS: the others. */
void pod_resize_check(struct arena *a, const struct json *pod, const struct json *node, const struct json *const *pods,
                      size_t n_pods, const char **ret_reason, const char **ret_message);
