/* Small plugins: Priority, DefaultTolerationSeconds, DefaultStorageClass, StorageObjectInUseProtection; and the
 * refusal of writes that a webhook or policy would have to judge, which this server cannot ask yet. */
#include "internal.h"

static const struct status *priority(struct admission_attributes *at)
{
        struct arena *a = at->request->arena;
        struct json *spec = json_get(at->object, "spec"), *class = NULL;
        const char *name = get_string(spec, "priorityClassName"), *policy;
        int64_t value, given;

        if (!pod_create(at))
                return NULL;
        if (*name) {
                class = admission_get(at, "scheduling.k8s.io", "v1", "priorityclasses", "", name);
                if (!class)
                        return deny(at, "no PriorityClass with name %s was found", name);
        } else {
                json_foreach_item(admission_list_having(at, "scheduling.k8s.io", "v1", "priorityclasses", "",
                                                        "globalDefault"), c) {
                        if (json_get_bool(c, "globalDefault", false) &&
                            (!class || json_get_int(c, "value", 0) < json_get_int(class, "value", 0)))
                                class = c;
                }
                if (class)
                        json_set_string(a, spec, "priorityClassName", get_string(class, "metadata.name"));
        }
        value = json_get_int(class, "value", 0);
        given = json_get_int(spec, "priority", value);
        if (given != value)
                return deny(at,
                            "the integer value of priority (%lld) must not be provided in pod spec; priority admission "
                            "controller computed %lld from the given PriorityClass name",
                            (long long)given, (long long)value);
        json_set_int(a, spec, "priority", value);
        policy = *get_string(class, "preemptionPolicy") ? get_string(class, "preemptionPolicy") : "PreemptLowerPriority";
        if (*get_string(spec, "preemptionPolicy") && !streq(get_string(spec, "preemptionPolicy"), policy))
                return deny(at,
                            "the string value of PreemptionPolicy (%s) must not be provided in pod spec; priority admission "
                            "controller computed %s from the given PriorityClass name",
                            get_string(spec, "preemptionPolicy"), policy);
        json_set_string(a, spec, "preemptionPolicy", policy);
        return NULL;
}

static const struct status *one_default(struct admission_attributes *at)
{
        if (!about(at, "scheduling.k8s.io", "priorityclasses") || !json_get_bool(at->object, "globalDefault", false))
                return NULL;
        json_foreach_item(admission_list(at, "scheduling.k8s.io", "v1", "priorityclasses", ""), c) {
                const char *name = get_string(c, "metadata.name");

                if (json_get_bool(c, "globalDefault", false) && !streq(name, at->name))
                        return deny(at, "PriorityClass %s is already marked as default. Only one default can exist", name);
        }
        return NULL;
}
const struct admission_plugin plugin_priority = {
        .name = "Priority", .ops = ADMISSION_CREATE | ADMISSION_UPDATE, .mutate = priority, .validate = one_default
};

static bool tolerates(const struct json *list, const char *key)
{
        json_foreach_item(list, t) {
                const char *k = get_string(t, "key"), *effect = get_string(t, "effect");

                if ((!*k || streq(k, key)) && (!*effect || streq(effect, "NoExecute")))
                        return true;
        }
        return false;
}

static const struct status *tolerations(struct admission_attributes *at)
{
        static const char *const keys[] = { "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable" };
        struct arena *a = at->request->arena;
        struct json *spec = json_get(at->object, "spec");
        bool had[2];

        if (!about(at, "", "pods") || *at->subresource)
                return NULL;
        for (size_t i = 0; i < 2; i++)
                had[i] = tolerates(json_get(spec, "tolerations"), keys[i]);
        for (size_t i = 0; i < 2; i++) {
                struct json *t = json_new_object(a);

                if (had[i])
                        continue;
                json_set_string(a, t, "key", keys[i]);
                json_set_string(a, t, "operator", "Exists");
                json_set_string(a, t, "effect", "NoExecute");
                json_set_int(a, t, "tolerationSeconds", 300);
                json_append(a, json_ensure_array(a, spec, "tolerations"), t);
        }
        return NULL;
}
const struct admission_plugin plugin_default_toleration_seconds = {
        .name = "DefaultTolerationSeconds", .ops = ADMISSION_CREATE | ADMISSION_UPDATE, .mutate = tolerations
};

static const struct status *storage_class(struct admission_attributes *at)
{
        struct json *spec = json_get(at->object, "spec"), *best = NULL;

        if (!about(at, "", "persistentvolumeclaims") || *at->subresource || json_get_string(spec, "storageClassName") ||
            json_get(json_path(at->object, "metadata.annotations"), "volume.beta.kubernetes.io/storage-class"))
                return NULL;
        json_foreach_item(admission_list(at, "storage.k8s.io", "v1", "storageclasses", ""), c) {
                int newer = best ? strcmp(get_string(c, "metadata.creationTimestamp"),
                                          get_string(best, "metadata.creationTimestamp")) : 1;

                if (streq(json_get_string(json_path(c, "metadata.annotations"), "storageclass.kubernetes.io/is-default-class"),
                          "true") && newer > 0)
                        best = c;
        }
        if (best)
                json_set_string(at->request->arena, spec, "storageClassName", get_string(best, "metadata.name"));
        return NULL;
}
const struct admission_plugin plugin_default_storage_class = {
        .name = "DefaultStorageClass", .ops = ADMISSION_CREATE, .mutate = storage_class
};

static const struct status *ingress_class(struct admission_attributes *at)
{
        struct json *spec = json_get(at->object, "spec");

        if (!about(at, "networking.k8s.io", "ingresses") || *at->subresource || json_get_string(spec, "ingressClassName") ||
            json_get(json_path(at->object, "metadata.annotations"), "kubernetes.io/ingress.class"))
                return NULL;
        json_foreach_item(admission_list(at, "networking.k8s.io", "v1", "ingressclasses", ""), c) {
                if (streq(json_get_string(json_path(c, "metadata.annotations"), "ingressclass.kubernetes.io/is-default-class"),
                          "true"))
                        json_set_string(at->request->arena, spec, "ingressClassName", get_string(c, "metadata.name"));
        }
        return NULL;
}
const struct admission_plugin plugin_default_ingress_class = {
        .name = "DefaultIngressClass", .ops = ADMISSION_CREATE, .mutate = ingress_class
};

static const struct status *protection(struct admission_attributes *at)
{
        const char *finalizer = about(at, "", "persistentvolumeclaims") ? "kubernetes.io/pvc-protection"
                                : about(at, "", "persistentvolumes")    ? "kubernetes.io/pv-protection"
                                                                        : NULL;
        struct arena *a = at->request->arena;

        if (finalizer && !*at->subresource && !object_has_finalizer(at->object, finalizer))
                json_append(a, json_ensure_array(a, json_ensure_object(a, at->object, "metadata"), "finalizers"),
                            json_new_string(a, finalizer));
        return NULL;
}
const struct admission_plugin plugin_storage_protection = {
        .name = "StorageObjectInUseProtection", .ops = ADMISSION_CREATE, .mutate = protection
};

static bool listed(const struct json *list, const char *what)
{
        json_foreach_item(list, s) {
                if (streq(json_string(s), "*") || streq(json_string(s), what))
                        return true;
        }
        return false;
}

static bool rule_matches(const struct admission_attributes *at, const struct json *rule)
{
        const char *op = at->op == ADMISSION_CREATE ? "CREATE" : at->op == ADMISSION_UPDATE ? "UPDATE"
                         : at->op == ADMISSION_DELETE ? "DELETE" : "CONNECT";
        struct arena *a = at->request->arena;
        const char *what = *at->subresource ? arena_printf(a, "%s/%s", at->res->name, at->subresource) : at->res->name;

        return listed(json_get(rule, "operations"), op) && listed(json_get(rule, "apiGroups"), at->res->group) &&
               (listed(json_get(rule, "resources"), what) || listed(json_get(rule, "resources"), "*/*"));
}

/* Whether a selector object takes LABELS in; an absent one takes everything. */
static bool selects(struct arena *a, const struct json *selector, const struct json *labels)
{
        struct selector s;

        if (!json_is_object(selector))
                return true;
        return selector_from_object(a, selector, &s, NULL) < 0 || selector_matches(&s, labels);
}

/* WHO (a webhook, or the matchConstraints of a policy or binding) means this namespace and object. */
static bool means(struct admission_attributes *at, const struct json *who)
{
        struct arena *a = at->request->arena;
        const struct json *object = at->object ? at->object : at->old, *ns = NULL;

        if (*at->namespace)
                ns = admission_get(at, "", "v1", "namespaces", "", at->namespace);
        else if (about(at, "", "namespaces"))
                ns = object;
        return (!ns || selects(a, json_get(who, "namespaceSelector"), json_path(ns, "metadata.labels"))) &&
               selects(a, json_get(who, "objectSelector"), json_path(object, "metadata.labels"));
}

static bool any_rule(struct admission_attributes *at, const struct json *rules)
{
        json_foreach_item(rules, rule) {
                if (rule_matches(at, rule))
                        return true;
        }
        return false;
}

#define REGISTRATION "admissionregistration.k8s.io"

static const struct status *check_webhooks(struct admission_attributes *at, const char *kind)
{
        json_foreach_item(admission_list(at, REGISTRATION, "v1", kind, ""), config) {
                json_foreach_item(json_get(config, "webhooks"), w) {
                        if (!streq(json_get_string(w, "failurePolicy"), "Ignore") && any_rule(at, json_get(w, "rules")) &&
                            means(at, w))
                                return status_internal(at->request->arena,
                                                       "failed calling webhook \"%s\": this server cannot call webhooks yet",
                                                       get_string(w, "name"));
                }
        }
        return NULL;
}

/* A policy judges where a binding says so. */
static const struct status *check_policies(struct admission_attributes *at, const char *kind, const char *policies,
                                           const char *bindings)
{
        json_foreach_item(admission_list(at, REGISTRATION, "v1", policies, ""), p) {
                const struct json *matched = json_path(p, "spec.matchConstraints");

                if (streq(get_string(p, "spec.failurePolicy"), "Ignore") || !any_rule(at, json_get(matched, "resourceRules")) ||
                    any_rule(at, json_get(matched, "excludeResourceRules")) || !means(at, matched))
                        continue;
                json_foreach_item(admission_list(at, REGISTRATION, "v1", bindings, ""), b) {
                        const struct json *of = json_path(b, "spec.matchResources");

                        if (streq(get_string(b, "spec.policyName"), get_string(p, "metadata.name")) && means(at, of) &&
                            (!json_len(json_get(of, "resourceRules")) || any_rule(at, json_get(of, "resourceRules"))))
                                return deny(at, "%s '%s' cannot be evaluated by this server yet", kind,
                                            get_string(p, "metadata.name"));
                }
        }
        return NULL;
}

/* Nothing is let past a judge that cannot be asked, unless its owner said that it may be ignored. */
static const struct status *unjudged(struct admission_attributes *at)
{
        const struct status *st;

        if (streq(at->res->group, REGISTRATION))
                return NULL;
        if ((st = check_webhooks(at, "mutatingwebhookconfigurations")) ||
            (st = check_webhooks(at, "validatingwebhookconfigurations")) ||
            (st = check_policies(at, "MutatingAdmissionPolicy", "mutatingadmissionpolicies", "mutatingadmissionpolicybindings")))
                return st;
        return check_policies(at, "ValidatingAdmissionPolicy", "validatingadmissionpolicies",
                              "validatingadmissionpolicybindings");
}
const struct admission_plugin plugin_unjudged = {
        .name = "ValidatingAdmissionWebhook", .ops = ADMISSION_CREATE | ADMISSION_UPDATE | ADMISSION_DELETE, .validate = unjudged
};
