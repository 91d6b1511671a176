/* ServiceAccount: every pod runs as an account that exists, finds its token where programs look for it, and
 * pulls its images with the account's secrets. */
#include "../../lib/base/encode.h"
#include "../../lib/base/time.h"
#include "../../lib/loop/fiber.h"
#include "internal.h"

#define MOUNT_PATH "/var/run/secrets/kubernetes.io/serviceaccount"
#define VOLUME_PREFIX "kube-api-access-"
#define MIRROR "kubernetes.io/config.mirror"

/* Most accounts say nothing about pods: these need not be read to be seen. */
static struct json *get_account(struct admission_attributes *at, const char *name)
{
        const char *text = admission_text(at, "", "v1", "serviceaccounts", at->namespace, name);

        if (!text)
                return NULL;
        if (!strstr(text, "\"automountServiceAccountToken\"") && !strstr(text, "\"imagePullSecrets\""))
                return json_new_object(at->request->arena);
        return admission_get(at, "", "v1", "serviceaccounts", at->namespace, name);
}

/* The account "default" is made by a controller a moment after its namespace: it is waited for. */
static struct json *find_account(struct admission_attributes *at, const char *name)
{
        unsigned attempts = streq(name, "default") ? 10 : 1;
        struct json *sa = get_account(at, name);

        for (unsigned i = 0; !sa && i < attempts; i++) {
                if (i)
                        fiber_sleep((100 + random_below(100)) * NS_PER_MS);
                admission_catch_up(at);
                sa = get_account(at, name);
        }
        return sa;
}

static bool wants_token(const struct json *pod, const struct json *sa)
{
        const struct json *of_pod = json_path(pod, "spec.automountServiceAccountToken");
        const struct json *of_sa = json_get(sa, "automountServiceAccountToken");

        return json_is_bool(of_pod) ? of_pod->boolean : json_is_bool(of_sa) ? of_sa->boolean : true;
}

static bool has_mount(const struct json *container)
{
        json_foreach_item(json_get(container, "volumeMounts"), m) {
                if (streq(json_get_string(m, "mountPath"), MOUNT_PATH))
                        return true;
        }
        return false;
}

static bool mount_in(struct arena *a, struct json *containers, const char *volume)
{
        bool any = false;

        json_foreach_item(containers, c) {
                struct json *m;

                if (has_mount(c))
                        continue;
                m = json_new_object(a);
                json_set_string(a, m, "name", volume);
                json_set_bool(a, m, "readOnly", true);
                json_set_string(a, m, "mountPath", MOUNT_PATH);
                json_append(a, json_ensure_array(a, c, "volumeMounts"), m);
                any = true;
        }
        return any;
}

static struct json *token_volume(struct admission_attributes *at, const char *name)
{
        static const char text[] =
                "{\"sources\":[{\"serviceAccountToken\":{\"expirationSeconds\":3607,\"path\":\"token\"}},"
                "{\"configMap\":{\"name\":\"kube-root-ca.crt\",\"items\":[{\"key\":\"ca.crt\",\"path\":\"ca.crt\"}]}},"
                "{\"downwardAPI\":{\"items\":[{\"path\":\"namespace\",\"fieldRef\":{\"apiVersion\":\"v1\","
                "\"fieldPath\":\"metadata.namespace\"}}]}}],\"defaultMode\":420}";
        static struct json *projected;
        struct arena *a = at->request->arena;
        struct json *volume = json_new_object(a);

        json_set_string(a, volume, "name", name);
        json_set(a, volume, "projected", admission_copy(at, &projected, text));
        return volume;
}

static void mount_token(struct admission_attributes *at, struct json *spec)
{
        struct arena *a = at->request->arena;
        const char *name = NULL;
        bool there, used;
        char suffix[6];

        json_foreach_item(json_get(spec, "volumes"), v) {
                if (!name && str_has_prefix(get_string(v, "name"), VOLUME_PREFIX))
                        name = json_get_string(v, "name");
        }
        there = name != NULL;
        if (!there)
                name = arena_printf(a, VOLUME_PREFIX "%s", random_suffix(suffix, 5));
        used = mount_in(a, json_get(spec, "initContainers"), name);
        used = mount_in(a, json_get(spec, "containers"), name) || used;
        if (used && !there)
                json_append(a, json_ensure_array(a, spec, "volumes"), token_volume(at, name));
}

static bool is_mirror(const struct json *pod)
{
        return json_get(json_path(pod, "metadata.annotations"), MIRROR) != NULL;
}

static const struct status *check_mirror(struct admission_attributes *at)
{
        const struct json *spec = json_get(at->object, "spec");
        bool secrets, configs;

        if (*get_string(spec, "serviceAccountName"))
                return deny(at, "a mirror pod may not reference service accounts");
        pod_references(at->object, &secrets, &configs);
        if (secrets)
                return deny(at, "a mirror pod may not reference secrets");
        json_foreach_item(json_get(spec, "volumes"), v) {
                json_foreach_item(json_path(v, "projected.sources"), s) {
                        if (json_get(s, "serviceAccountToken"))
                                return deny(at, "a mirror pod may not use ServiceAccountToken volume projections");
                }
        }
        return NULL;
}

/* --- kubernetes.io/enforce-mountable-secrets --- */

static bool enforced(const struct json *sa)
{
        static const char *const yes[] = { "1", "t", "T", "true", "TRUE", "True" };
        const char *value = json_get_string(json_path(sa, "metadata.annotations"), "kubernetes.io/enforce-mountable-secrets");

        for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
                if (streq(value, yes[i]))
                        return true;
        }
        return false;
}

static bool account_has(const struct json *sa, const char *list, const char *secret)
{
        json_foreach_item(json_get(sa, list), s) {
                if (streq(json_get_string(s, "name"), secret))
                        return true;
        }
        return false;
}

/* What of LIST names a secret that the account may not; NULL: nothing. */
static const char *foreign_secret(struct admission_attributes *at, const struct json *sa, const char *list, const char *what)
{
        const char *name = get_string(sa, "metadata.name");

        json_foreach_item(json_get(json_get(at->object, "spec"), list), c) {
                json_foreach_item(json_get(c, "env"), e) {
                        const struct json *ref = json_path(e, "valueFrom.secretKeyRef");

                        if (ref && !account_has(sa, "secrets", get_string(ref, "name")))
                                return arena_printf(at->request->arena,
                                                    "%s %s with envVar %s referencing secret.secretName=\"%s\" is not allowed "
                                                    "because service account %s does not reference that secret",
                                                    what, get_string(c, "name"), get_string(e, "name"), get_string(ref, "name"),
                                                    name);
                }
                json_foreach_item(json_get(c, "envFrom"), e) {
                        const struct json *ref = json_get(e, "secretRef");

                        if (ref && !account_has(sa, "secrets", get_string(ref, "name")))
                                return arena_printf(at->request->arena,
                                                    "%s %s with envFrom referencing secret.secretName=\"%s\" is not allowed "
                                                    "because service account %s does not reference that secret",
                                                    what, get_string(c, "name"), get_string(ref, "name"), name);
                }
        }
        return NULL;
}

static const struct status *check_secrets(struct admission_attributes *at, const struct json *sa)
{
        const struct json *spec = json_get(at->object, "spec");
        const char *name = get_string(sa, "metadata.name"), *foreign;

        json_foreach_item(json_get(spec, "volumes"), v) {
                const char *secret = get_string(v, "secret.secretName");

                if (json_get(v, "secret") && !account_has(sa, "secrets", secret))
                        return deny(at,
                                    "volume with secret.secretName=\"%s\" is not allowed because service account %s does not "
                                    "reference that secret",
                                    secret, name);
        }
        foreign = foreign_secret(at, sa, "initContainers", "init container");
        if (!foreign)
                foreign = foreign_secret(at, sa, "containers", "container");
        if (foreign)
                return deny(at, "%s", foreign);
        json_foreach_item(json_get(spec, "imagePullSecrets"), s) {
                if (!account_has(sa, "imagePullSecrets", get_string(s, "name")))
                        return deny(at,
                                    "imagePullSecrets[%zu].name=\"%s\" is not allowed because service account %s does not "
                                    "reference that imagePullSecret",
                                    s_i, get_string(s, "name"), name);
        }
        return NULL;
}

/* Unlike all others this refusal is none by name, but a server's error: so upstream. */
static const struct status *check_ephemeral(struct admission_attributes *at, const struct json *sa)
{
        const char *foreign = foreign_secret(at, sa, "ephemeralContainers", "ephemeral container");

        return foreign ? status_make(at->request->arena, 500, "", NULL, "%s", foreign) : NULL;
}

static const struct status *validate(struct admission_attributes *at)
{
        bool ephemeral = at->op == ADMISSION_UPDATE && about(at, "", "pods") && streq(at->subresource, "ephemeralcontainers");
        const char *name = get_string(at->object, "spec.serviceAccountName");
        struct json *sa = NULL;

        if (!pod_create(at) && !ephemeral)
                return NULL;
        if (!ephemeral && is_mirror(at->object))
                return check_mirror(at);
        if (ephemeral && !*name)
                return deny(at, "no service account specified for pod %s/%s", at->namespace, at->name);
        if (ephemeral && !find_account(at, name))
                return deny(at, "error looking up service account %s/%s: serviceaccount %s not found", at->namespace, name,
                            go_quoted(at->request->arena, name));
        if (admission_has(at, "", "v1", "serviceaccounts", at->namespace, name, "enforce-mountable-secrets"))
                sa = admission_get(at, "", "v1", "serviceaccounts", at->namespace, name);
        if (!enforced(sa))
                return NULL;
        return ephemeral ? check_ephemeral(at, sa) : check_secrets(at, sa);
}

static const struct status *mutate(struct admission_attributes *at)
{
        struct arena *a = at->request->arena;
        struct json *spec, *sa;
        const char *name;

        if (!pod_create(at))
                return NULL;
        if (is_mirror(at->object))
                return check_mirror(at);
        spec = json_ensure_object(a, at->object, "spec");
        name = get_string(spec, "serviceAccountName");
        if (!*name)
                name = "default";
        json_set_string(a, spec, "serviceAccountName", name);
        json_set_string(a, spec, "serviceAccount", name);
        sa = find_account(at, name);
        if (!sa)
                return deny(at, "error looking up service account %s/%s: serviceaccount %s not found", at->namespace,
                            name, go_quoted(at->request->arena, name));
        if (wants_token(at->object, sa))
                mount_token(at, spec);
        if (!json_len(json_get(spec, "imagePullSecrets")) && json_len(json_get(sa, "imagePullSecrets")))
                json_set(a, spec, "imagePullSecrets", json_clone(a, json_get(sa, "imagePullSecrets")));
        return validate(at);
}

const struct admission_plugin plugin_service_account = {
        .name = "ServiceAccount",
        .ops = ADMISSION_CREATE | ADMISSION_UPDATE,
        .mutate = mutate,
        .validate = validate,
};
