/* Admission on the node: see admit.h. Texts as k8s.io/kubernetes/pkg/kubelet/lifecycle/predicate.go. */
#include "admit.h"

#include <stdio.h>

#include "../../lib/meta/quantity.h"
#include "../../lib/meta/selector.h"
#include "status.h"

static int64_t amount(const struct json *quantities, const char *resource)
{
        struct quantity q;
        const char *s = json_get_string(quantities, resource);
        if (!s || quantity_parse(s, &q) < 0)
                return 0;
        return streq(resource, "cpu") ? quantity_milli(&q) : quantity_value(&q);
}

static int64_t used(struct arena *a, const struct json *const *pods, size_t n, const char *resource)
{
        int64_t sum = 0;
        for (size_t i = 0; i < n; i++)
                sum += amount(status_pod_resources(a, pods[i], "requests"), resource);
        return sum;
}

static int reject(struct arena *a, const char *reason, const char *text, const char **ret_reason,
                  const char **ret_message)
{
        *ret_reason = reason;
        *ret_message = arena_printf(a, "Pod was rejected: %s", text);
        return 1;
}

/* spec.nodeSelector and the required part of nodeAffinity. */
static bool matches_node(struct arena *a, const struct json *pod, const struct json *node)
{
        const struct json *labels = json_path(node, "metadata.labels");
        json_foreach_member(json_path(pod, "spec.nodeSelector"), m)
                if (!streq(json_string(m->value), json_get_string(labels, m->key)))
                        return false;
        const struct json *terms = json_path(
                pod, "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms");
        bool any = json_len(terms) == 0;
        json_foreach_item(terms, term) {
                struct json *as_labels = json_new_object(a);
                struct selector sel;
                if (json_get(term, "matchExpressions"))
                        json_set(a, as_labels, "matchExpressions",
                                 json_clone(a, json_get(term, "matchExpressions")));
                bool ok = selector_from_object(a, as_labels, &sel, NULL) == 0 && selector_matches(&sel, labels);
                json_foreach_item(json_get(term, "matchFields"), f) {
                        bool in = false;
                        json_foreach_item(json_get(f, "values"), v)
                                in |= streq(json_string(v), json_path_string(node, "metadata.name"));
                        ok &= in == streq(json_get_string(f, "operator"), "In");
                }
                any |= ok;
        }
        return any;
}

int pod_admit(struct arena *a, const struct json *pod, const struct json *node, const struct json *const *pods,
              size_t n_pods, const char **ret_reason, const char **ret_message)
{
        const struct json *allocatable = json_path(node, "status.allocatable");
        struct json *requests = status_pod_resources(a, pod, "requests");
        int64_t max_pods = amount(allocatable, "pods");
        if (max_pods && (int64_t)n_pods + 1 > max_pods)
                return reject(a, "OutOfpods",
                              arena_printf(a, "Node didn't have enough resource: pods, requested: 1, used: %zu, "
                                              "capacity: %lld",
                                           n_pods, (long long)max_pods),
                              ret_reason, ret_message);
        json_foreach_member(requests, m) {
                int64_t want = amount(requests, m->key), have = amount(allocatable, m->key);
                int64_t taken = used(a, pods, n_pods, m->key);
                if (want == 0 || want <= have - taken)
                        continue;
                char *text = arena_printf(
                        a, "Node didn't have enough resource: %s, requested: %lld, used: %lld, capacity: %lld", m->key,
                        (long long)want, (long long)taken, (long long)have);
                return reject(a, arena_printf(a, "OutOf%s", m->key), text, ret_reason, ret_message);
        }
        if (!matches_node(a, pod, node))
                return reject(a, "NodeAffinity",
                              "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
                              ret_reason, ret_message);
        return 0;
}

void pod_resize_check(struct arena *a, const struct json *pod, const struct json *node, const struct json *const *pods,
                      size_t n_pods, const char **ret_reason, const char **ret_message)
{
        const struct json *allocatable = json_path(node, "status.allocatable");
        struct json *requests = status_pod_resources(a, pod, "requests");
        *ret_reason = *ret_message = NULL;
        json_foreach_member(requests, m) {
                int64_t want = amount(requests, m->key), have = amount(allocatable, m->key);
                if (want > have) {
                        *ret_reason = "Infeasible";
                        *ret_message = arena_printf(
                                a, "Node didn't have enough capacity: %s, requested: %lld, capacity: %lld", m->key,
                                (long long)want, (long long)have);
                        return;
                }
                int64_t taken = used(a, pods, n_pods, m->key);
                if (want > have - taken && !*ret_reason) {
                        *ret_reason = "Deferred";
                        *ret_message = arena_printf(
                                a, "Node didn't have enough resource: %s, requested: %lld, used: %lld, capacity: %lld",
                                m->key, (long long)want, (long long)taken, (long long)have);
                }
        }
}
