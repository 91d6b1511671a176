/* Claims: see claims.h.
 *
 * All claims of a pod are looked at, and one event tells of all that is wrong with them, beside the volumes that wait:
 * none is mounted while one cannot be.
 */
#include "claims.h"

#include <errno.h>
#include <stdlib.h>

#include "../../lib/base/time.h"
#include "../../lib/loop/fiber.h"

/* The scheduler trusts a claim that names its volume; its phase is written a moment later. Upstream's kubelet
 * looks ten times a second, and tells after the third. */
#define LOOKS 4
#define BETWEEN_LOOKS (100 * NS_PER_MS)

struct claim {
        const struct volumes_fetch *fetch;
        struct arena *a;
        const char *namespace, *name;
        bool started;
};

static int fetch(const struct claim *c, const char *resource, const char *namespace, const char *name, const char *what,
                 struct json **ret, struct error *reterr)
{
        _cleanup_error_ struct error why = ERROR_INIT;
        int r = c->fetch->get(resource, namespace, name, c->a, ret, c->fetch->userdata, &why);
        if (r == 0)
                return 0;
        if (r == VOLUMES_NOT_FOUND)
                return error_set(reterr, -ENOENT, "failed to fetch %s from API server: %s \"%s\" not found", what, resource, name);
        return error_set(reterr, r, "failed to fetch %s from API server: %s", what, error_text(&why));
}

/* The claim, once it is bound. */
static int fetch_claim(const struct claim *c, struct json **ret, struct error *reterr)
{
        for (unsigned look = 1;; look++) {
                int r = fetch(c, "persistentvolumeclaims", c->namespace, c->name, "PVC", ret, reterr);
                if (r < 0)
                        return r;
                if (!c->started && json_path(*ret, "metadata.deletionTimestamp"))
                        return error_set(reterr, -EAGAIN, "PVC is being deleted");
                if (streq(json_path_string(*ret, "status.phase"), "Bound"))
                        break;
                if (look == LOOKS)
                        return error_set(reterr, -EAGAIN, "PVC is not bound");
                fiber_sleep(BETWEEN_LOOKS);
        }
        if (str_empty(json_path_string(*ret, "spec.volumeName")))
                return error_set(reterr, -EAGAIN, "PVC has empty pvc.Spec.VolumeName");
        return 0;
}

static int fetch_volume(const struct claim *c, struct json **ret, struct error *reterr)
{
        struct json *pvc;
        int r = fetch_claim(c, &pvc, reterr);
        if (r < 0)
                return r;
        const char *name = json_path_string(pvc, "spec.volumeName"), *uid = json_path_string(pvc, "metadata.uid");
        r = fetch(c, "persistentvolumes", NULL, name, arena_printf(c->a, "PV %s", name), ret, reterr);
        if (r < 0)
                return r;
        const struct json *ref = json_path(*ret, "spec.claimRef");
        const char *owner = json_get_string(ref, "uid");
        if (!ref)
                return error_set(reterr, -EAGAIN,
                                 "found PV object %s but it has a nil pv.Spec.ClaimRef indicating it is not yet bound to the claim",
                                 name);
        if (!streq(owner, uid))
                return error_set(reterr, -EAGAIN,
                                 "found PV object %s but its pv.Spec.ClaimRef.UID %s does not point to claim.UID %s", name,
                                 owner ? owner : "", uid ? uid : "");
        return 0;
}

static int by_text(const void *a, const void *b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "[a b]": the names of the pod's volumes in their order. */
static const char *waiting_volumes(struct arena *a, const struct json *pod)
{
        const struct json *volumes = json_path(pod, "spec.volumes");
        size_t n = 0, max = json_len(volumes);
        const char **names = arena_calloc(a, (max + 1) * sizeof(*names)), *text = "";
        json_foreach_item(volumes, v)
                names[n++] = json_get_string(v, "name");
        qsort(names, n, sizeof(*names), by_text);
        for (size_t i = 0; i < n; i++)
                text = arena_printf(a, "%s%s%s", text, i ? " " : "", names[i]);
        return text;
}

int claims_fetch(const struct volumes_fetch *fetch, const struct json *pod, bool started, struct arena *a,
                 struct json **ret, struct error *reterr)
{
        struct claim c = {.fetch = fetch, .a = a, .namespace = json_path_string(pod, "metadata.namespace"), .started = started};
        struct json *found = json_new_object(a), *pv;
        const char *failed = "", *why = "";
        json_foreach_item(json_path(pod, "spec.volumes"), volume) {
                _cleanup_error_ struct error err = ERROR_INIT;
                const char *name = json_get_string(volume, "name");
                c.name = json_path_string(volume, "persistentVolumeClaim.claimName");
                if (!c.name)
                        continue;
                if (fetch_volume(&c, &pv, &err) == 0) {
                        json_set(a, found, name, pv);
                        continue;
                }
                why = arena_printf(a, "%s%serror processing PVC %s/%s: %s", why, *why ? "; " : "", c.namespace, c.name,
                                   error_text(&err));
                failed = arena_printf(a, "%s%s%s", failed, *failed ? " " : "", name);
        }
        if (*failed)
                return error_set(reterr, -EAGAIN,
                                 "Unable to attach or mount volumes: unmounted volumes=[%s], unattached volumes=[], "
                                 "failed to process volumes=[%s]: %s",
                                 waiting_volumes(a, pod), failed, why);
        *ret = found;
        return 0;
}
