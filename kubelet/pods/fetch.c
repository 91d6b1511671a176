/* Other objects that pods refer to: see fetch.h. */
#include "fetch.h"

#include <errno.h>
#include <stdio.h>

int kubelet_fetch(const char *resource, const char *namespace, const char *name, struct arena *a, struct json **ret,
                  void *userdata, struct error *reterr)
{
        struct kubelet *k = userdata;
        bool cluster = streq(resource, "persistentvolumes");
        int r = client_get(k->client, client_path(a, "", "v1", resource, cluster ? NULL : namespace, name, NULL), a,
                           ret, reterr);
        if (r == CLIENT_NOT_FOUND)
                return 1;
        return r > 0 ? -EIO : r;
}

int kubelet_token(const struct json *pod, const char *audience, int64_t expiration_seconds, struct arena *a,
                  const char **ret_token, int64_t *ret_expires, void *userdata, struct error *reterr)
{
        struct kubelet *k = userdata;
        struct json *request = json_new_object(a), *spec = json_ensure_object(a, request, "spec");
        struct json *audiences = json_new_array(a), *answer = NULL;
        const char *account = json_path_string(pod, "spec.serviceAccountName");
        json_set_string(a, request, "kind", "TokenRequest");
        json_set_string(a, request, "apiVersion", "authentication.k8s.io/v1");
        if (audience)
                json_append(a, audiences, json_new_string(a, audience));
        json_set(a, spec, "audiences", audiences);
        json_set_int(a, spec, "expirationSeconds", expiration_seconds);
        struct json *bound = json_ensure_object(a, spec, "boundObjectRef");
        json_set_string(a, bound, "kind", "Pod");
        json_set_string(a, bound, "apiVersion", "v1");
        json_set_string(a, bound, "name", json_path_string(pod, "metadata.name"));
        json_set_string(a, bound, "uid", json_path_string(pod, "metadata.uid"));
        int r = client_create(k->client,
                              client_path(a, "", "v1", "serviceaccounts", json_path_string(pod, "metadata.namespace"),
                                          account ? account : "default", "token"),
                              request, a, &answer, reterr);
        if (r != 0)
                return r > 0 ? -EIO : r;
        *ret_token = json_path_string(answer, "status.token");
        const char *expires = json_path_string(answer, "status.expirationTimestamp");
        if (!*ret_token || !expires || time_parse(expires, ret_expires) < 0)
                return error_set(reterr, -EPROTO, "the token request was answered without a token");
        return 0;
}

void kubelet_services(struct kubelet *k, struct arena *a, struct env_source *src)
{
        for (int i = 0; i < 100 && !informer_synced(k->services); i++)
                fiber_sleep(20 * NS_PER_MS);
        const struct map *objects = informer_objects(k->services);
        const struct json **list = arena_calloc(a, (objects->n + 1) * sizeof(*list));
        size_t n = 0;
        struct map_entry *e;
        map_foreach(objects, e)
                list[n++] = json_clone(a, ((struct object *)e->value)->json);
        src->services = list;
        src->n_services = n;
}
