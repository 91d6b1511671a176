/* Questions about nodes and taints that several controllers ask. */
#pragma once

#include "controllers.h"

/* A toleration takes this taint. */
bool toleration_matches(const struct json *toleration, const struct json *taint);
/* Some toleration in the list does. */
bool is_tolerated(const struct json *tolerations, const struct json *taint);
/* spec.nodeSelector and the required node affinity of a pod's SPEC take NODE. */
bool node_is_selected(const struct json *spec, const struct object *node);
