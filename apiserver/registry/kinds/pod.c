/* Pods: their first status, what each subresource may change, and graceful deletion. */
#include <ctype.h>

#include "kinds.h"

#include "../../../lib/meta/object.h"
#include "../../../lib/meta/pod.h"

/* A gated pod says so from the start. */
static void gated_condition(struct api_request *r, struct json *pod)
{
        struct arena *a = r->arena;
        struct json *c, *conditions;
        char when[TIME_BUF];

        if (json_len(json_path(pod, "spec.schedulingGates")) == 0)
                return;
        conditions = json_ensure_array(a, json_get(pod, "status"), "conditions");
        c = json_new_object(a);
        json_set_string(a, c, "type", "PodScheduled");
        json_set_string(a, c, "status", "False");
        json_set(a, c, "lastProbeTime", json_new_null(a));
        json_set_string(a, c, "lastTransitionTime", time_format(request_now(r), when));
        json_set_string(a, c, "reason", "SchedulingGated");
        json_set_string(a, c, "message", "Scheduling is blocked due to non-empty scheduling gates");
        json_append(a, conditions, c);
}

/* KEYS of the pod's labels, as requirements of the selector in HOLDER: its pods then are of one revision, or tenant. */
static void add_label_keys(struct arena *a, struct json *holder, const char *keys, const char *operator, const struct json *labels)
{
        struct json *selector = json_get(holder, "labelSelector");

        if (!selector)
                return;
        json_foreach_item(json_get(holder, keys), key) {
                const char *value = json_is_string(key) ? json_get_string(labels, key->str) : NULL;
                struct json *expr, *values;

                if (!value)
                        continue;
                expr = json_new_object(a);
                values = json_new_array(a);
                json_append(a, values, json_new_string(a, value));
                json_set_string(a, expr, "key", key->str);
                json_set_string(a, expr, "operator", operator);
                json_set(a, expr, "values", values);
                json_append(a, json_ensure_array(a, selector, "matchExpressions"), expr);
        }
}

static void add_affinity_keys(struct arena *a, struct json *affinity, const struct json *labels)
{
        json_foreach_item(json_get(affinity, "requiredDuringSchedulingIgnoredDuringExecution"), term) {
                add_label_keys(a, term, "matchLabelKeys", "In", labels);
                add_label_keys(a, term, "mismatchLabelKeys", "NotIn", labels);
        }
        json_foreach_item(json_get(affinity, "preferredDuringSchedulingIgnoredDuringExecution"), weighted) {
                struct json *term = json_get(weighted, "podAffinityTerm");

                add_label_keys(a, term, "matchLabelKeys", "In", labels);
                add_label_keys(a, term, "mismatchLabelKeys", "NotIn", labels);
        }
}

/* Keys of labels that stand for the pod's own values are resolved once, on creation. */
static void resolve_label_keys(struct arena *a, struct json *pod)
{
        const struct json *labels = json_path(pod, "metadata.labels");
        struct json *spec = json_get(pod, "spec"), *affinity = json_get(spec, "affinity");

        add_affinity_keys(a, json_get(affinity, "podAffinity"), labels);
        add_affinity_keys(a, json_get(affinity, "podAntiAffinity"), labels);
        json_foreach_item(json_get(spec, "topologySpreadConstraints"), constraint)
                add_label_keys(a, constraint, "matchLabelKeys", "In", labels);
}

#define OLD_APPARMOR "container.apparmor.security.beta.kubernetes.io/"

/* What the value of that annotation says as a field; NULL: nothing that is known. */
static struct json *apparmor_profile(struct arena *a, const char *text)
{
        const char *type = streq(text, "unconfined")          ? "Unconfined" :
                           streq(text, "runtime/default")     ? "RuntimeDefault" :
                           str_has_prefix(text, "localhost/") ? "Localhost" :
                                                                NULL;
        const char *local = type && *type == 'L' ? text + 10 : NULL;
        struct json *profile;

        if (!type || (local && (!*local || isspace((unsigned char)*local) || isspace((unsigned char)local[strlen(local) - 1]))))
                return NULL;
        profile = json_new_object(a);
        json_set_string(a, profile, "type", type);
        if (local)
                json_set_string(a, profile, "localhostProfile", local);
        return profile;
}

/* Before there was a field an annotation said it. */
static void take_apparmor_annotations(struct api_request *r, struct json *pod)
{
        static const char *const lists[] = { "initContainers", "containers", "ephemeralContainers" };
        struct json *spec = json_get(pod, "spec"), *annotations = json_path(pod, "metadata.annotations");
        const struct json *of_pod = json_path(spec, "securityContext.appArmorProfile");

        if (!json_len(annotations) || streq(json_path_string(spec, "os.name"), "windows"))
                return;
        for (size_t l = 0; l < ARRAY_SIZE(lists); l++)
                json_foreach_item(json_get(spec, lists[l]), k) {
                        const char *key = arena_printf(r->arena, OLD_APPARMOR "%s", json_get_string(k, "name") ?: "");
                        const char *value = json_get_string(annotations, key);
                        struct json *profile = value ? apparmor_profile(r->arena, value) : NULL;

                        if (!value || json_path(k, "securityContext.appArmorProfile") ||
                            (profile && of_pod && json_equal(of_pod, profile)))
                                continue;
                        if (profile)
                                json_set(r->arena, json_ensure_object(r->arena, k, "securityContext"), "appArmorProfile", profile);
                        request_warn(r, "metadata.annotations[%s]: deprecated since v1.30; use the \"appArmorProfile\" field instead", key);
                }
}

static void pod_prepare_create(struct api_request *r, struct json *pod)
{
        struct json *status = json_new_object(r->arena);

        json_set_string(r->arena, status, "phase", "Pending");
        json_set_string(r->arena, status, "qosClass", pod_qos_class(pod));
        json_set(r->arena, pod, "status", status);
        gated_condition(r, pod);
        resolve_label_keys(r->arena, pod);
        take_apparmor_annotations(r, pod);
        if (json_path_int(pod, "spec.terminationGracePeriodSeconds", 0) < 0) /* at once, but for the last signal */
                json_path_set(r->arena, pod, "spec.terminationGracePeriodSeconds", json_new_int(r->arena, 1));
}

/* Everything from the stored pod but what PATH names. */
static void only_path(struct arena *a, struct json *pod, const struct json *old, const char *path)
{
        struct json *kept = json_path(pod, path);
        struct json *fields = json_path(pod, "metadata.managedFields");
        const struct json *version = json_path(pod, "metadata.resourceVersion");

        json_set(a, pod, "metadata", json_clone(a, json_get(old, "metadata")));
        json_set(a, pod, "spec", json_clone(a, json_get(old, "spec")));
        json_set(a, pod, "status", json_clone(a, json_get(old, "status")));
        if (fields)
                json_path_set(a, pod, "metadata.managedFields", fields);
        if (version)
                json_path_set(a, pod, "metadata.resourceVersion", (struct json *)version);
        if (kept)
                json_path_set(a, pod, path, kept);
        else
                json_path_del(pod, path);
}

static bool same_names(const struct json *x, const struct json *y)
{
        if (json_len(x) != json_len(y))
                return false;
        for (size_t i = 0; i < json_len(x); i++)
                if (!streq(json_get_string(json_at(x, i), "name"), json_get_string(json_at(y, i), "name")))
                        return false;
        return true;
}

/* The stored pod with resources and resizePolicy of the new one. Where containers came or went nothing is
 * taken back: validation then says what is wrong. */
static void keep_resources(struct arena *a, struct json *pod, const struct json *old)
{
        static const char *const lists[] = { "spec.containers", "spec.initContainers" };
        static const char *const taken[] = { "resources", "resizePolicy" };
        struct json *sent = json_clone_shallow(a, pod);
        struct json *whole = json_path(pod, "spec.resources");

        for (size_t l = 0; l < ARRAY_SIZE(lists); l++)
                if (!same_names(json_path(pod, lists[l]), json_path(old, lists[l])))
                        return;
        only_path(a, pod, old, "spec.resources");
        if (whole)
                json_path_set(a, pod, "spec.resources", whole);
        for (size_t l = 0; l < ARRAY_SIZE(lists); l++) {
                struct json *list = json_path(pod, lists[l]), *new = json_path(sent, lists[l]);

                for (size_t i = 0; i < json_len(list); i++)
                        for (size_t t = 0; t < ARRAY_SIZE(taken); t++) {
                                struct json *v = json_get(json_at(new, i), taken[t]);

                                if (v)
                                        json_set(a, json_at(list, i), taken[t], v);
                                else
                                        json_del(json_at(list, i), taken[t]);
                        }
        }
}

/* An older kubelet does not send what it does not know: it stays. */
static void keep_observed(struct arena *a, struct json *pod, const struct json *old)
{
        struct json *status = json_ensure_object(a, pod, "status");

        if (str_empty(json_get_string(status, "qosClass")))
                copy_path(a, pod, old, "status.qosClass");
        if (json_get_int(status, "observedGeneration", 0) == 0)
                copy_path(a, pod, old, "status.observedGeneration");
        json_foreach_item(json_get(status, "conditions"), c) {
                const struct json *before = pod_condition(old, json_get_string(c, "type"));

                if (json_get_int(c, "observedGeneration", 0) == 0 && json_get(before, "observedGeneration"))
                        json_set(a, c, "observedGeneration", json_clone(a, json_get(before, "observedGeneration")));
        }
}

static void pod_prepare_update(struct api_request *r, struct json *pod, const struct json *old, const char *sub)
{
        int64_t grace;

        if (streq(sub, "status")) {
                keep_observed(r->arena, pod, old);
        } else if (streq(sub, "ephemeralcontainers")) {
                only_path(r->arena, pod, old, "spec.ephemeralContainers");
        } else if (streq(sub, "resize")) {
                keep_resources(r->arena, pod, old);
        } else if (!*sub) {
                grace = json_path_int(pod, "spec.terminationGracePeriodSeconds", 30);
                if (grace < 0 && json_path_int(old, "spec.terminationGracePeriodSeconds", 30) >= 0)
                        json_path_set(r->arena, pod, "spec.terminationGracePeriodSeconds", json_new_int(r->arena, 1));
        }
}

static int64_t pod_grace_period(const struct json *pod, const struct json *options)
{
        const struct json *asked = json_get(options, "gracePeriodSeconds");
        int64_t period = json_path_int(pod, "spec.terminationGracePeriodSeconds", 30);

        if (asked)
                json_to_int(asked, &period);
        /* Nobody runs it: nothing has to be waited for. */
        if (str_empty(json_path_string(pod, "spec.nodeName")) || pod_is_terminal(pod))
                return 0;
        return period < 0 ? 1 : period;
}

const struct strategy pod_strategy = {
        .group = "",
        .kind = "Pod",
        .prepare_create = pod_prepare_create,
        .prepare_update = pod_prepare_update,
        .grace_period = pod_grace_period,
};

/* --- pods/binding --- */

struct binding {
        const struct json *body;
        const char *node;
};

/* A binding may say which pod of that name it means. */
static const struct status *binding_preconditions(struct api_request *r, const struct json *body, const struct json *pod)
{
        static const char *const fields[][2] = { { "uid", "UID" }, { "resourceVersion", "ResourceVersion" } };

        for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
                const char *want = meta_string(body, fields[i][0]), *have = meta_string(pod, fields[i][0]);

                if (*want && !streq(want, have))
                        return status_conflict(r->arena, r->res, meta_string(pod, "name"),
                                               "StorageError: invalid object, Code: 4, Key: %s, ResourceVersion: 0, "
                                               "AdditionalErrorMsg: Precondition failed: %s in precondition: %s, %s in object "
                                               "meta: %s",
                                               registry_key(r->arena, r->res, meta_string(pod, "namespace"),
                                                            meta_string(pod, "name")),
                                               fields[i][1], want, fields[i][1], have);
        }
        return NULL;
}

static const struct status *bind_to(struct api_request *r, const struct json *old, struct json **ret, void *userdata)
{
        const struct binding *b = userdata;
        struct arena *a = r->arena;
        struct resource binding = *r->res;
        struct json *pod, *status, *conditions, *c = NULL;
        const char *name = meta_string(old, "name"), *node = json_path_string(old, "spec.nodeName"), *text = NULL;
        const struct status *st;
        char when[TIME_BUF];

        binding.name = "pods/binding";
        if (!old)
                return status_not_found(a, builtin_resource("", "v1", "pods"), r->name);
        st = binding_preconditions(r, b->body, old);
        if (st)
                return st;
        if (meta_deleting(old))
                text = arena_printf(a, "pod %s is being deleted, cannot be assigned to a host", name);
        else if (!str_empty(node))
                text = arena_printf(a, "pod %s is already assigned to node \"%s\"", name, node);
        else if (json_len(json_path(old, "spec.schedulingGates")))
                text = arena_printf(a, "pod %s has non-empty .spec.schedulingGates", name);
        if (text) {
                binding.group = "";
                return status_conflict(a, &binding, name, "%s", text);
        }
        pod = json_clone(a, old);
        json_path_del(pod, "metadata.resourceVersion");
        json_path_set(a, pod, "spec.nodeName", json_new_string(a, b->node));
        json_foreach_member(json_path(b->body, "metadata.annotations"), m)
                json_set(a, json_ensure_object(a, json_get(pod, "metadata"), "annotations"), m->key, m->value);
        json_foreach_member(json_path(b->body, "metadata.labels"), m)
                json_set(a, json_ensure_object(a, json_get(pod, "metadata"), "labels"), m->key, m->value);
        status = json_ensure_object(a, pod, "status");
        conditions = json_ensure_array(a, status, "conditions");
        json_foreach_item(conditions, it)
                if (streq(json_get_string(it, "type"), "PodScheduled"))
                        c = it;
        if (!c) {
                c = json_new_object(a);
                json_set_string(a, c, "type", "PodScheduled");
                json_append(a, conditions, c);
        }
        if (!streq(json_get_string(c, "status"), "True"))
                json_set_string(a, c, "lastTransitionTime", time_format(request_now(r), when));
        json_set_string(a, c, "status", "True");
        if (!json_get(c, "lastProbeTime"))
                json_set(a, c, "lastProbeTime", json_new_null(a));
        json_del(c, "reason");
        json_del(c, "message");
        json_del(c, "observedGeneration"); /* of the scheduler's failed attempt */
        json_del(status, "nominatedNodeName"); /* it has its node */
        *ret = pod;
        return NULL;
}

static struct json *success(struct arena *a, unsigned code)
{
        struct json *st = json_new_object(a);

        json_set_string(a, st, "kind", "Status");
        json_set_string(a, st, "apiVersion", "v1");
        json_set(a, st, "metadata", json_new_object(a));
        json_set_string(a, st, "status", "Success");
        json_set_int(a, st, "code", code);
        return st;
}

const struct status *pod_bind(struct api_request *r, const struct resource *res, const char *namespace, const char *name,
                              struct json *body, struct json **ret)
{
        struct arena *a = r->arena;
        struct binding b = { .body = body, .node = json_path_string(body, "target.name") };
        const char *kind = json_path_string(body, "target.kind");
        struct field_errors errs = { .arena = a };
        struct json *out = NULL;
        const struct status *st = check_namespace(r, res, namespace, body);
        struct admission_attributes at;

        if (st)
                return st;
        at = admission_of(r, ADMISSION_CREATE, res, "binding", namespace, name, body, NULL);
        st = admission_mutate(&at);
        if (!st && !streq(meta_string(body, "name"), name))
                return status_bad_request(a, "name in URL does not match name in Binding object");
        if (!st && !str_empty(kind) && !streq(kind, "Node"))
                field_error_add_text(&errs, FIELD_NOT_SUPPORTED, "target.kind", arena_printf(a, "\"%s\"", kind),
                                     "supported values: \"Node\", \"<empty>\"");
        if (!st && str_empty(b.node))
                field_error_add(&errs, FIELD_REQUIRED, "target.name", NULL, NULL);
        if (errs.n) /* an error that has no status of its own */
                return status_make(a, 500, "", NULL, "%s", field_errors_print(a, &errs));
        if (!st)
                st = admission_validate(&at);
        if (st)
                return st;
        r->admitted = true; /* what follows is what was let in */
        st = registry_update(r, res, namespace, name, "binding", bind_to, &b, &out, NULL);
        if (!st)
                *ret = success(a, 201);
        return st;
}

/* --- pods/eviction --- */

struct budgets {
        struct api_request *r;
        const struct json *labels;
        struct json *found;
        unsigned n;
};

static bool find_budget(struct entry *e, void *userdata)
{
        struct budgets *b = userdata;
        const struct resource *res = builtin_resource("policy", "v1", "poddisruptionbudgets");
        struct json *pdb = registry_object(b->r->arena, res, e);
        struct selector s = { 0 };

        if (pdb && selector_from_object(b->r->arena, json_path(pdb, "spec.selector"), &s, NULL) == 0 &&
            selector_matches(&s, b->labels)) {
                b->found = pdb;
                b->n++;
        }
        return true;
}

static const struct status *too_many(struct arena *a, int retry_after_s, const char *message)
{
        struct json *details = json_new_object(a), *cause = json_new_object(a), *causes = json_new_array(a);

        json_set_string(a, cause, "reason", "DisruptionBudget");
        json_set_string(a, cause, "message", message);
        json_append(a, causes, cause);
        json_set(a, details, "causes", causes);
        if (retry_after_s)
                json_set_int(a, details, "retryAfterSeconds", retry_after_s);
        return status_make(a, 429, "TooManyRequests", details,
                           "Cannot evict pod as it would violate the pod's disruption budget.");
}

#define DISRUPTED_MAX 2000 /* pods that a budget notes, until its controller has seen them go */

struct disruption {
        const char *pod;
        bool refuse_only; /* nothing is counted: an unready pod */
};

/* Why a budget allows nothing: what its condition says when the controller failed or when there are enough. */
static const char *refusal(struct arena *a, const struct json *pdb, const struct json *condition)
{
        const char *name = meta_string(pdb, "name"), *reason = json_get_string(condition, "reason");
        const char *message = json_get_string(condition, "message"), *text;
        int64_t healthy = json_path_int(pdb, "status.currentHealthy", 0);
        int64_t desired = json_path_int(pdb, "status.desiredHealthy", 0);
        bool told = streq(json_get_string(condition, "status"), "False") && !str_empty(message);

        text = arena_printf(a, "The disruption budget %s does not allow evicting pods currently", name);
        if (told && streq(reason, "SyncFailed"))
                return arena_printf(a, "%s because it failed sync: %s", text, message);
        if (healthy <= desired)
                return arena_printf(a, "The disruption budget %s needs %lld healthy pods and has %lld currently", name,
                                    (long long)desired, (long long)healthy);
        return told ? arena_printf(a, "%s (%s): %s", text, reason ?: "", message) : text;
}

/* Takes one allowed disruption off the budget and notes the pod in it. */
static const struct status *disrupt(struct api_request *r, const struct json *old, struct json **ret, void *userdata)
{
        const struct disruption *d = userdata;
        struct arena *a = r->arena;
        struct json *pdb, *status, *pods, *conditions, *c = NULL;
        int64_t allowed = json_path_int(old, "status.disruptionsAllowed", 0);
        const char *name = meta_string(old, "name");
        struct resource singular = *builtin_resource("policy", "v1", "poddisruptionbudgets");
        char when[TIME_BUF];

        singular.name = "poddisruptionbudget"; /* upstream's word in this place */
        if (json_path_int(old, "status.observedGeneration", 0) < json_path_int(old, "metadata.generation", 0))
                return too_many(a, 10,
                                arena_printf(a, "The disruption budget %s is still being processed by the server.", name));
        if (allowed < 0)
                return status_forbidden(a, &singular, name, "pdb disruptions allowed is negative");
        if (json_len(json_path(old, "status.disruptedPods")) > DISRUPTED_MAX)
                return status_forbidden(a, &singular, name,
                                        "DisruptedPods map too big - too many evictions not confirmed by PDB controller");
        c = condition_find(json_path(old, "status.conditions"), "DisruptionAllowed");
        if (allowed == 0)
                return too_many(a, 0, refusal(a, old, c));
        pdb = json_clone(a, old); /* with its resourceVersion: two evictions must not both take the last one */
        status = json_get(pdb, "status");
        json_set_int(a, status, "disruptionsAllowed", allowed - 1);
        pods = json_ensure_object(a, status, "disruptedPods");
        json_set_string(a, pods, d->pod, time_format(request_now(r), when));
        if (allowed == 1) { /* the last one */
                conditions = json_ensure_array(a, status, "conditions");
                condition_set(a, conditions, "DisruptionAllowed", "False", "InsufficientPods", "", request_now(r));
                json_set_int(a, condition_find(conditions, "DisruptionAllowed"), "observedGeneration",
                             json_path_int(pdb, "status.observedGeneration", 0));
        }
        *ret = pdb;
        return NULL;
}

/* Whether the budget has to be asked: pods that serve nothing may always go. */
static bool ignores_budgets(const struct json *pod)
{
        return pod_is_terminal(pod) || streq(pod_phase(pod), "Pending") || meta_deleting(pod);
}

static const struct status *ask_budgets(struct api_request *r, const char *namespace, const struct json *pod)
{
        const struct resource *res = builtin_resource("policy", "v1", "poddisruptionbudgets");
        struct budgets b = { .r = r, .labels = json_path(pod, "metadata.labels") };
        struct disruption d = { .pod = meta_string(pod, "name") };
        struct json *out;
        int64_t healthy, desired;
        const char *policy;

        store_scan(r->server->store, registry_key(r->arena, res, namespace, NULL), NULL, find_budget, &b);
        if (b.n > 1)
                return status_make(r->arena, 500, "", NULL,
                                   "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.");
        if (!b.found)
                return NULL;
        healthy = json_path_int(b.found, "status.currentHealthy", 0);
        desired = json_path_int(b.found, "status.desiredHealthy", 0);
        policy = json_path_string(b.found, "spec.unhealthyPodEvictionPolicy");
        /* A pod that is not ready takes nothing away from a budget that is met, or by policy never. */
        if (!pod_is_ready(pod) && (streq(policy, "AlwaysAllow") || (healthy >= desired && desired > 0)))
                return NULL;
        for (unsigned i = 0;; i++) {
                const struct status *st =
                        registry_update(r, res, namespace, meta_string(b.found, "name"), "status", disrupt, &d, &out, NULL);

                if (!st || st->code != 409 || i == 8)
                        return st;
        }
}

/* Says in the pod's status why it goes, for those who count its end (a Job's failure policy, say). */
static const struct status *mark_evicted(struct api_request *r, const struct json *old, struct json **ret, void *userdata)
{
        struct arena *a = r->arena;
        struct json *pod = json_clone(a, old), *conditions;
        const struct status *st = delete_preconditions(a, builtin_resource("", "v1", "pods"), userdata, old);

        if (st)
                return st;
        conditions = json_ensure_array(a, json_ensure_object(a, pod, "status"), "conditions");
        condition_set(a, conditions, "DisruptionTarget", "True", "EvictionByEvictionAPI", "Eviction API: evicting",
                      request_now(r));
        *ret = pod;
        return NULL;
}

/* OPTIONS of the deletion: what it asks of the version is asked here, and then of the version that this makes. */
static const struct status *mark_pod(struct api_request *r, const struct resource *res, const char *namespace, const char *name,
                                     struct json *options)
{
        struct json *pre = json_get(options, "preconditions");
        const struct status *st = NULL;
        struct json *out;

        for (unsigned i = 0; i < 8; i++) {
                st = registry_update(r, res, namespace, name, "status", mark_evicted, options, &out, NULL);
                if (!st && json_get(pre, "resourceVersion"))
                        json_set_string(r->arena, pre, "resourceVersion", meta_string(out, "resourceVersion"));
                if (!st || st->code != 409 || json_get(pre, "resourceVersion"))
                        return st;
        }
        return st;
}

/* The request, its body or both may ask to only try. */
static const struct status *take_dry_run(struct api_request *r, const struct json *options)
{
        const struct json *asked = json_get(options, "dryRun");
        _cleanup_strbuf_ struct strbuf words = STRBUF_INIT;

        json_foreach_item(asked, it)
                strbuf_printf(&words, "%s%s", words.len ? " " : "", json_string(it) ?: "");
        if (r->dry_run && words.len && !streq(strbuf_str(&words), "All"))
                return status_make(r->arena, 500, "", NULL,
                                   "Non-matching dry-run options in request and content: [All] and [%s]", strbuf_str(&words));
        r->dry_run = r->dry_run || json_len(asked);
        return NULL;
}

/* What the body must say before anybody looks at the pod. */
static const struct status *check_eviction(struct api_request *r, const char *name, const struct json *body)
{
        static const char ignore[] = "deleteOptions.ignoreStoreReadErrorWithClusterBreakingPotential";
        struct field_errors errs = { .arena = r->arena };
        static const struct resource eviction = { .group = "policy", .kind = "Eviction" };

        if (!streq(meta_string(body, "name"), name))
                return status_bad_request(r->arena, "name in URL does not match name in Eviction object");
        if (json_path_bool(body, ignore, false)) {
                field_error_add_text(&errs, FIELD_INVALID, ignore, "true",
                                     "can not be set for pod eviction, try after removing the option");
                return status_invalid(r->arena, &eviction, name, &errs);
        }
        return take_dry_run(r, json_get(body, "deleteOptions"));
}

const struct status *pod_evict(struct api_request *r, const struct resource *res, const char *namespace, const char *name,
                               struct json *body, struct json **ret)
{
        struct arena *a = r->arena;
        struct json *options = json_get(body, "deleteOptions"), *pod = NULL, *gone_pod = NULL, *pre;
        struct admission_attributes at;
        const struct status *st = check_namespace(r, res, namespace, body);
        bool gone;

        if (st)
                return st;
        at = admission_of(r, ADMISSION_CREATE, res, "eviction", namespace, name, body, NULL);
        st = admission_mutate(&at);
        if (!st)
                st = check_eviction(r, name, body);
        if (!st)
                st = admission_validate(&at);
        if (!st)
                st = registry_get(r, res, namespace, name, &pod);
        if (!st && !ignores_budgets(pod))
                st = ask_budgets(r, namespace, pod);
        if (st)
                return st;
        options = options ? json_clone(a, options) : json_new_object(a);
        pre = json_ensure_object(a, options, "preconditions");
        /* The budget allowed this pod to go, not one that took its name since. */
        if (!json_get(pre, "uid"))
                json_set_string(a, pre, "uid", meta_string(pod, "uid"));
        r->admitted = true; /* what follows is what was let in */
        if (!r->dry_run)
                st = mark_pod(r, res, namespace, name, options);
        if (!st)
                st = registry_delete(r, res, namespace, name, options, &gone_pod, &gone);
        if (!st)
                *ret = success(a, 201);
        return st;
}
