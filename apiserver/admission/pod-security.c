/* PodSecurity: the profiles that a namespace's labels ask for, enforced on pods and said in warnings for what
 * makes pods. */
#include "../audit/audit.h"
#include "../registry/status.h"
#include "internal.h"
#include "pod-security-checks.h"

/* --- labels --- */

static const char *const modes[] = { "enforce", "audit", "warn" };

static struct pod_security_policy policy_of(struct arena *a, const struct json *labels, const char *mode)
{
        if (!json_len(labels))
                return (struct pod_security_policy){ "privileged", "latest", POD_SECURITY_LATEST };

        const char *level = json_get_string(labels, arena_printf(a, "pod-security.kubernetes.io/%s", mode)),
                   *version = json_get_string(labels, arena_printf(a, "pod-security.kubernetes.io/%s-version", mode));
        struct pod_security_policy p = { level ? level : "privileged", version ? version : "latest", POD_SECURITY_LATEST };

        if (!pod_security_version(p.version, &p.minor))
                p.version = "latest";
        return p;
}

static int strictness(const char *level)
{
        return streq(level, "restricted") ? 2 : streq(level, "baseline") ? 1 : 0;
}

/* Who is enforced upon and says nothing of warnings is warned of the same. */
static struct pod_security_policy warnings_of(struct arena *a, const struct json *labels)
{
        struct pod_security_policy warn = policy_of(a, labels, "warn"), enforce = policy_of(a, labels, "enforce");

        if (json_get(labels, "pod-security.kubernetes.io/warn") || !strictness(enforce.level))
                return warn;
        if (json_get(labels, "pod-security.kubernetes.io/warn-version"))
                enforce.version = warn.version, enforce.minor = warn.minor;
        return enforce;
}

/* 422 for labels that say nothing known. */
static const struct status *check_labels(struct admission_attributes *at, const struct json *labels)
{
        struct arena *a = at->request->arena;
        struct field_errors errors = { .arena = a };
        int minor;

        for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
                const char *key = arena_printf(a, "pod-security.kubernetes.io/%s", modes[i]);
                const struct json *level = json_get(labels, key);

                if (level && !streq(json_string(level), "privileged") && !streq(json_string(level), "baseline") &&
                    !streq(json_string(level), "restricted"))
                        field_error_add(&errors, FIELD_INVALID, arena_printf(a, "metadata.labels[%s]", key), level,
                                            "must be one of privileged, baseline, restricted");
                key = arena_printf(a, "pod-security.kubernetes.io/%s-version", modes[i]);
                level = json_get(labels, key);
                if (level && !pod_security_version(json_string(level), &minor))
                        field_error_add(&errors, FIELD_INVALID, arena_printf(a, "metadata.labels[%s]", key), level,
                                            "must be \"latest\" or \"v1.x\"");
        }
        return errors.n ? status_invalid(a, at->res, get_string(at->object, "metadata.name"), &errors) : NULL;
}

/* Pods that a stricter level would not let in again: said in warnings, one for each set of reasons. */
static void warn_of_pods(struct admission_attributes *at, const char *namespace, const struct pod_security_policy *policy)
{
        struct arena *a = at->request->arena;
        struct {
                const char *reasons, *pod;
                size_t others;
        } groups[32];
        size_t n = 0;

        json_foreach_item(admission_list(at, "", "v1", "pods", namespace), pod) {
                const char *why = pod_security_violations(a, json_get(pod, "metadata"), json_get(pod, "spec"), policy, false);
                size_t i = 0;

                if (!why)
                        continue;
                while (i < n && !streq(groups[i].reasons, why))
                        i++;
                if (i < n) {
                        groups[i].others++;
                } else if (n < ARRAY_SIZE(groups)) {
                        groups[n].reasons = why;
                        groups[n].pod = get_string(pod, "metadata.name");
                        groups[n++].others = 0;
                }
        }
        if (n)
                request_warn(at->request, "existing pods in namespace \"%s\" violate the new PodSecurity enforce level \"%s:%s\"",
                             namespace, policy->level, policy->version);
        for (size_t i = 0; i < n; i++) {
                if (!groups[i].others)
                        request_warn(at->request, "%s: %s", groups[i].pod, groups[i].reasons);
                else
                        request_warn(at->request, "%s (and %zu other pod%s): %s", groups[i].pod, groups[i].others,
                                     groups[i].others > 1 ? "s" : "", groups[i].reasons);
        }
}

static const struct status *validate_namespace(struct admission_attributes *at)
{
        struct arena *a = at->request->arena;
        const struct json *labels = json_path(at->object, "metadata.labels");
        const struct status *st = *at->subresource ? NULL : check_labels(at, labels);
        struct pod_security_policy is = policy_of(a, labels, "enforce"), was;

        if (st || *at->subresource || !at->old)
                return st;
        was = policy_of(a, json_path(at->old, "metadata.labels"), "enforce");
        /* What is let in by a level is let in by a looser one of the same version. */
        if (!streq(is.version, was.version) || strictness(is.level) > strictness(was.level))
                warn_of_pods(at, get_string(at->object, "metadata.name"), &is);
        return NULL;
}

/* --- pods, and what makes pods --- */

static bool other_annotation(const struct json *is, const struct json *was, const char *key)
{
        const char *new = json_get_string(json_path(is, "metadata.annotations"), key);
        const char *old = json_get_string(json_path(was, "metadata.annotations"), key);

        return !streq(new ? new : "", old ? old : "");
}

/* An update that can make a pod worse: other containers, other images, or another profile by the annotations that once
 * told it. */
static bool significant(struct arena *a, const struct json *is, const struct json *was)
{
        static const char *const container_lists[] = { "spec.initContainers", "spec.containers", "spec.ephemeralContainers" };

        if (other_annotation(is, was, "seccomp.security.alpha.kubernetes.io/pod"))
                return true;
        for (size_t i = 0; i < ARRAY_SIZE(container_lists); i++) {
                const struct json *new = json_path(is, container_lists[i]), *old = json_path(was, container_lists[i]);

                if (json_len(new) != json_len(old))
                        return true;
                json_foreach_item(new, c)
                        if (!streq(get_string(c, "image"), get_string(json_at(old, c_i), "image")) ||
                            other_annotation(is, was, arena_join(a, "container.seccomp.security.alpha.kubernetes.io/",
                                                                 get_string(c, "name"), NULL)))
                                return true;
        }
        return false;
}

static const struct json *template_of(const struct admission_attributes *at)
{
        if (about(at, "", "podtemplates"))
                return json_get(at->object, "template");
        if (about(at, "batch", "cronjobs"))
                return json_path(at->object, "spec.jobTemplate.spec.template");
        return json_path(at->object, "spec.template");
}

static const struct status *validate(struct admission_attributes *at)
{
        struct arena *a = at->request->arena;
        bool pod = about(at, "", "pods");
        const struct json *subject = pod ? at->object : template_of(at), *spec = json_get(subject, "spec"), *labels;
        struct pod_security_policy policy;
        const char *text;

        if (about(at, "", "namespaces"))
                return validate_namespace(at);
        if (*at->subresource && !streq(at->subresource, "ephemeralcontainers"))
                return NULL;
        if (!json_is_object(spec) || !*at->namespace ||
            (pod && at->old && !significant(a, at->object, at->old)))
                return NULL;
        labels = admission_has(at, "", "v1", "namespaces", "", at->namespace, "pod-security.kubernetes.io/")
                         ? json_path(admission_get(at, "", "v1", "namespaces", "", at->namespace), "metadata.labels")
                         : NULL;
        policy = policy_of(a, labels, "enforce");
        if (pod)
                audit_annotate(at->request, "pod-security.kubernetes.io/enforce-policy",
                               arena_printf(a, "%s:%s", policy.level, policy.version));
        if (pod && (text = pod_security_violations(a, json_get(subject, "metadata"), spec, &policy, true)))
                return deny(at, "violates PodSecurity \"%s:%s\": %s", policy.level, policy.version, text);
        policy = policy_of(a, labels, "audit");
        if (at->request->audit && (text = pod_security_violations(a, json_get(subject, "metadata"), spec, &policy, true)))
                audit_annotate(at->request, "pod-security.kubernetes.io/audit-violations",
                               arena_printf(a, "would violate PodSecurity \"%s:%s\": %s", policy.level, policy.version, text));
        policy = warnings_of(a, labels);
        if ((text = pod_security_violations(a, json_get(subject, "metadata"), spec, &policy, true)))
                request_warn(at->request, "would violate PodSecurity \"%s:%s\": %s", policy.level, policy.version, text);
        return NULL;
}

const struct admission_plugin plugin_pod_security = {
        .name = "PodSecurity", .ops = ADMISSION_CREATE | ADMISSION_UPDATE, .validate = validate
};
