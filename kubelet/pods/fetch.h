/* Other objects that pods refer to, from the API. On a fiber. */
#pragma once

#include "env.h"
#include "../kubelet.h"

/* As env_source.get and volumes_fetch.get; USERDATA: struct kubelet. */
int kubelet_fetch(const char *resource, const char *namespace, const char *name, struct arena *a, struct json **ret,
                  void *userdata, struct error *reterr);
/* As volumes_fetch.token. */
int kubelet_token(const struct json *pod, const char *audience, int64_t expiration_seconds, struct arena *a,
                  const char **ret_token, int64_t *ret_expires, void *userdata, struct error *reterr);
/* The Services that environments name; waits for the first list of them. */
void kubelet_services(struct kubelet *k, struct arena *a, struct env_source *src);
