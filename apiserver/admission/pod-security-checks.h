/* The Pod Security Standards: what is wrong with a pod, in upstream's words. Pure. */
#pragma once

#include "../../lib/json/json.h"

enum { POD_SECURITY_LATEST = 1000 };

struct pod_security_policy {
        const char *level;   /* "privileged", "baseline" or "restricted" */
        const char *version; /* "latest" or "v1.N", as it was asked for */
        int minor;           /* POD_SECURITY_LATEST, or N: labels may pin an older standard */
};

/* "hostPort (container "c" uses hostPort 80), ...", without DETAILS only the reasons; in the arena. NULL: a pod
 * with this METADATA and SPEC is as POLICY wants it. */
const char *pod_security_violations(struct arena *a, const struct json *metadata, const struct json *spec,
                                    const struct pod_security_policy *policy, bool details);
/* "latest" or "v1.N" to its minor version. False: neither. */
bool pod_security_version(const char *text, int *ret_minor);
