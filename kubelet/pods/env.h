/* A container's environment: literals with $(VAR), references to the pod, to ConfigMaps and Secrets,
 * envFrom, and the variables that name the Services. Pure but for the two functions that fetch.
 */
#pragma once

#include "../../lib/json/json.h"

struct env_source {
        /* RESOURCE: "configmaps" or "secrets". 0; 1: not found; negative with a text. */
        int (*get)(const char *resource, const char *namespace, const char *name, struct arena *a,
                   struct json **ret, void *userdata, struct error *reterr);
        void *userdata;
        const struct json *const *services; /* of the pod's namespace, and default/kubernetes */
        size_t n_services;
        const struct json *allocatable;     /* of the node, for resourceFieldRef; may be NULL */
};

/* POD has status.podIP, podIPs and hostIP set. *ret: "NAME=value", NULL-ended, each name once, in the
 * arena. -EINVAL: upstream's text of a CreateContainerConfigError. Parks as get() does. */
int env_build(struct arena *a, const struct json *pod, const struct json *container, const struct env_source *src,
              const char *const **ret, struct error *reterr);
/* $(NAME) by ENV, $$ for a dollar; what is not known stays as it is. In the arena. */
char *env_expand(struct arena *a, const char *text, const char *const *env);
/* All of a command or args array. NULL for an array that is absent or empty. */
const char *const *env_expand_list(struct arena *a, const struct json *list, const char *const *env);
