/* /healthz, /livez and /readyz with their checks, and what becomes of those in /metrics/slis. */
#pragma once

#include "../apiserver.h"

/* True: R was for one of them and is answered. */
bool health_handle(struct api_request *r);
/* Adds the paths of all checks to the array PATHS. */
void health_paths(struct arena *a, struct json *paths);
