/* ResourceClaims of pods: made from the template that a pod names, told in its status, and let go when the pod has ended.
 *
 * Keys are "pod/ns/name" and "claim/ns/name". A claim that was made is known by its owner and an annotation, so that
 * nothing is made twice when the pod's status could not be written.
 */
#include "controllers.h"

#define ANNOTATION "resource.kubernetes.io/pod-claim-name"
#define FINALIZER "resource.kubernetes.io/delete-protection"
#define MANAGER "ResourceClaimController"
#define NAME_MAX_BASE 57

/* The claim that was made for this entry of the pod; NULL: none yet. */
static const struct object *find_made(const struct snapshot *s, const struct object *pod, const char *entry)
{
        struct object *const *owned;
        size_t n;

        owned = snapshot_owned(s, R_CLAIMS, pod->uid, &n);
        for (size_t i = 0; i < n; i++)
                if (streq(object_annotation(owned[i]->json, ANNOTATION), entry) && streq(owned[i]->namespace, pod->namespace))
                        return owned[i];
        return NULL;
}

/* "pod-entry-", both cut in proportion when that is too long. */
static const char *base_name(struct arena *a, const char *pod, const char *entry)
{
        size_t all = strlen(pod) + strlen(entry) + 2;

        if (all <= NAME_MAX_BASE)
                return arena_printf(a, "%s-%s-", pod, entry);
        return arena_printf(a, "%.*s-%.*s", (int)(strlen(pod) * NAME_MAX_BASE / all), pod, (int)(strlen(entry) * NAME_MAX_BASE / all), entry);
}

static void make_claim(struct writes *w, const struct object *pod, const char *entry, const struct object *template)
{
        const struct json *meta = json_path(template->json, "spec.metadata"), *spec = json_path(template->json, "spec.spec");
        struct json *claim = json_new_object(w->arena), *m, *ref;

        json_set_string(w->arena, claim, "apiVersion", "resource.k8s.io/v1");
        json_set_string(w->arena, claim, "kind", "ResourceClaim");
        m = json_ensure_object(w->arena, claim, "metadata");
        json_set_string(w->arena, m, "generateName", base_name(w->arena, pod->name, entry));
        json_set_string(w->arena, m, "namespace", pod->namespace);
        if (json_get(meta, "labels"))
                json_set(w->arena, m, "labels", json_clone(w->arena, json_get(meta, "labels")));
        if (json_get(meta, "annotations"))
                json_set(w->arena, m, "annotations", json_clone(w->arena, json_get(meta, "annotations")));
        json_set_string(w->arena, json_ensure_object(w->arena, m, "annotations"), ANNOTATION, entry);
        ref = object_make_controller_ref(w->arena, "v1", "Pod", pod->json);
        json_del(ref, "blockOwnerDeletion");
        json_append(w->arena, json_ensure_array(w->arena, m, "ownerReferences"), ref);
        json_set(w->arena, claim, "spec", spec ? json_clone(w->arena, spec) : json_new_object(w->arena));
        writes_create(w, R_CLAIMS, pod->namespace, claim);
}

static bool is_told(const struct object *pod, const char *entry, const char *claim)
{
        json_foreach_item(json_path(pod->json, "status.resourceClaimStatuses"), st)
                if (streq(json_get_string(st, "name"), entry) && streq(json_get_string(st, "resourceClaimName"), claim))
                        return true;
        return false;
}

static void tell_status(struct writes *w, const struct object *pod, struct json *statuses)
{
        struct json *body = json_new_object(w->arena), *meta = json_ensure_object(w->arena, body, "metadata");

        json_set_string(w->arena, body, "apiVersion", "v1");
        json_set_string(w->arena, body, "kind", "Pod");
        json_set_string(w->arena, meta, "name", pod->name);
        json_set_string(w->arena, meta, "namespace", pod->namespace);
        json_set(w->arena, json_ensure_object(w->arena, body, "status"), "resourceClaimStatuses", statuses);
        writes_apply(w, R_PODS, "status", MANAGER, body)->ignore_not_found = true;
}

static void reconcile_pod(const struct snapshot *s, const char *key, struct writes *w)
{
        const struct object *pod = snapshot_key(s, R_PODS, key);
        struct json *statuses = json_new_array(w->arena);
        bool news = false;

        if (!pod || s->failure || object_is_deleting(pod->json) || pod_is_terminal(pod->json))
                return;
        json_foreach_item(json_path(pod->json, "spec.resourceClaims"), entry) {
                const char *name = json_get_string(entry, "name"), *from = json_get_string(entry, "resourceClaimTemplateName");
                const struct object *made = from ? find_made(s, pod, name) : NULL, *template;
                struct json *st;

                if (!from)
                        continue;
                if (!made) {
                        template = snapshot_get(s, R_CLAIMTEMPLATES, pod->namespace, from);
                        if (template) {
                                make_claim(w, pod, name, template);
                                continue;
                        }
                        writes_event(w, pod->json, "Warning", "FailedResourceClaimCreation",
                                     "PodResourceClaim %s: resource claim template \"%s\": resourceclaimtemplate.resource.k8s.io \"%s\" not found",
                                     name, from, from);
                        w->failed = true;
                        return;
                }
                st = json_new_object(w->arena);
                json_set_string(w->arena, st, "name", name);
                json_set_string(w->arena, st, "resourceClaimName", made->name);
                json_append(w->arena, statuses, st);
                news |= !is_told(pod, name, made->name);
        }
        if (news)
                tell_status(w, pod, statuses);
}

/* --- claims that are needed no more --- */

/* It will not run, or not again. */
static bool is_done(const struct object *pod)
{
        return pod_is_terminal(pod->json) || (object_is_deleting(pod->json) && str_empty(json_path_string(pod->json, "spec.nodeName")));
}

static bool still_uses(const struct snapshot *s, const struct object *claim, const struct json *consumer)
{
        const struct object *pod;

        if (!str_empty(json_get_string(consumer, "apiGroup")) || !streq(json_get_string(consumer, "resource"), "pods"))
                return true; /* not ours to judge */
        pod = snapshot_get(s, R_PODS, claim->namespace, json_get_string(consumer, "name"));
        return pod && streq(pod->uid, json_get_string(consumer, "uid")) && !is_done(pod);
}

/* Takes out those that are gone; where nobody is left, what was allocated is free again. */
static void release(const struct snapshot *s, const struct object *claim, struct json *left, struct writes *w)
{
        struct json *copy = object_editable(w->arena, claim->json), *status = json_ensure_object(w->arena, copy, "status");

        if (json_len(left))
                json_set(w->arena, status, "reservedFor", left);
        else
                json_del(status, "reservedFor");
        if (!json_len(left) && object_has_finalizer(claim->json, FINALIZER))
                json_del(status, "allocation");
        if (!json_equal(status, json_get(claim->json, "status")))
                writes_update(w, R_CLAIMS, "status", copy)->ignore_not_found = true;
}

static void drop_finalizer(const struct object *claim, struct writes *w)
{
        struct json *copy = object_editable(w->arena, claim->json), *list = json_path(copy, "metadata.finalizers");

        for (size_t i = 0; i < json_len(list);)
                if (streq(json_string(json_at(list, i)), FINALIZER))
                        json_remove(list, i);
                else
                        i++;
        writes_update(w, R_CLAIMS, NULL, copy)->ignore_not_found = true;
}

static void reconcile_claim(const struct snapshot *s, const char *key, struct writes *w)
{
        const struct object *claim = snapshot_key(s, R_CLAIMS, key), *pod;
        const struct json *reserved = claim ? json_path(claim->json, "status.reservedFor") : NULL, *owner;
        struct json *left = json_new_array(w->arena);
        bool ends, held;

        if (!claim)
                return;
        json_foreach_item(reserved, consumer)
                if (still_uses(s, claim, consumer))
                        json_append(w->arena, left, json_clone(w->arena, consumer));
        ends = object_is_deleting(claim->json);
        held = object_has_finalizer(claim->json, FINALIZER);
        if (json_len(left) < json_len(reserved) || (ends && held && !json_len(left)))
                release(s, claim, left, w);
        if (w->n || json_len(left))
                return; /* what was written brings the next round */
        if (held && !json_path(claim->json, "status.allocation")) {
                drop_finalizer(claim, w);
                return;
        }
        owner = object_controller(claim->json);
        pod = streq(json_get_string(owner, "kind"), "Pod") ? snapshot_get(s, R_PODS, claim->namespace, json_get_string(owner, "name")) : NULL;
        if (!ends && pod && streq(pod->uid, json_get_string(owner, "uid")) && is_done(pod))
                writes_delete(w, R_CLAIMS, claim, -1, NULL);
}

static void reconcile(const struct snapshot *s, const char *key, struct writes *w)
{
        if (str_has_prefix(key, "pod/"))
                reconcile_pod(s, key + strlen("pod/"), w);
        else if (str_has_prefix(key, "claim/"))
                reconcile_claim(s, key + strlen("claim/"), w);
}

/* --- which keys a change concerns --- */

static void map_pod(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        const struct object *pod = new ? new : old;
        struct object *const *owned;
        size_t n;

        if (!json_len(json_path(pod->json, "spec.resourceClaims")))
                return;
        keys_addf(k, "pod/%s", pod->key);
        owned = snapshot_owned(s, R_CLAIMS, pod->uid, &n);
        for (size_t i = 0; i < n; i++)
                keys_addf(k, "claim/%s", owned[i]->key);
        json_foreach_item(json_path(pod->json, "spec.resourceClaims"), entry)
                if (json_get_string(entry, "resourceClaimName"))
                        keys_addf(k, "claim/%s/%s", pod->namespace, json_get_string(entry, "resourceClaimName"));
}

static void map_claim(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        const struct object *claim = new ? new : old;
        const struct json *owner = object_controller(claim->json);

        keys_addf(k, "claim/%s", claim->key);
        if (streq(json_get_string(owner, "kind"), "Pod"))
                keys_addf(k, "pod/%s/%s", claim->namespace, json_get_string(owner, "name"));
}

const struct controller resource_claim_controller = {
        .name = "resourceclaim-controller",
        .component = "resource_claim",
        .watches = { { .resource = R_PODS, .map = map_pod }, { .resource = R_CLAIMS, .map = map_claim },
                     { .resource = R_CLAIMTEMPLATES, .passive = true } },
        .n_watches = 3,
        .reconcile = reconcile,
};
