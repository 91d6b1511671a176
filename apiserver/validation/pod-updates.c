/* What may change of a pod: by itself, through its subresources, and of its status. */
#include <arpa/inet.h>

#include "../../lib/meta/pod.h"
#include "functions.h"
#include "metadata.h"
#include "resources.h"

#define MIRROR "kubernetes.io/config.mirror"

/* --- the pod --- */

static void take(struct arena *a, struct json *to, const struct json *from, const char *field)
{
        struct json *v = json_get(from, field);

        json_del(to, field);
        if (v)
                json_set(a, to, field, v);
}

static void take_images(struct arena *a, struct json *to, const struct json *from, const char *list)
{
        json_foreach_item(json_get(to, list), k)
                take(a, k, json_at(json_get(from, list), k_i), "image");
}

/* A copy of SPEC in which all that an update may change is as in OLD. */
static struct json *munge(struct arena *a, const struct json *spec, const struct json *old)
{
        struct json *out = json_clone(a, spec), *affinity;
        int64_t was = json_get_int(old, "terminationGracePeriodSeconds", 0);

        take(a, out, old, "activeDeadlineSeconds");
        take(a, out, old, "tolerations");
        take(a, out, old, "schedulingGates");
        take_images(a, out, old, "containers");
        take_images(a, out, old, "initContainers");
        if (was < 0 && json_get_int(out, "terminationGracePeriodSeconds", 0) == 1)
                json_set_int(a, out, "terminationGracePeriodSeconds", was);
        if (!json_len(json_get(old, "schedulingGates")))
                return out;
        take(a, out, old, "nodeSelector"); /* of gated pods: checked apart */
        affinity = json_get(out, "affinity");
        if (affinity || json_get(old, "affinity")) {
                affinity = json_ensure_object(a, out, "affinity");
                take(a, affinity, json_get(old, "affinity"), "nodeAffinity");
                if (!json_len(affinity) && !json_get(old, "affinity"))
                        json_del(out, "affinity");
        }
        return out;
}

/* False: containers came or went, and nothing else is looked at. */
static bool check_images(struct check *c, const struct at *list, const struct json *old)
{
        if (json_len(list->j) != json_len(old)) {
                check_forbidden(c, list, "pod updates may not add or remove containers");
                return false;
        }
        for (size_t i = 0; i < json_len(list->j); i++) {
                const struct at *image = at_field(c, at_item(c, list, i), "image");

                if (at_empty(image))
                        check_required(c, image, NULL);
                else if (cond_padded(c, image))
                        check_invalid(c, image, "must not have leading or trailing whitespace");
        }
        return true;
}

/* It may be set, and then only come nearer. False: nothing else is looked at. */
static bool check_deadline(struct check *c, const struct at *deadline)
{
        int64_t is, was;
        bool had = json_to_int(deadline->old, &was) == 0;

        if (json_to_int(deadline->j, &is) != 0) {
                if (had)
                        field_error_add_text(c->errs, FIELD_INVALID, at_path(c, deadline), "null",
                                             "must not update from a positive integer to nil value");
                return true;
        }
        if (is < 0 || is > INT32_MAX)
                check_invalid(c, deadline, "must be between 0 and 2147483647, inclusive");
        else if (had && was < is)
                check_invalid(c, deadline, "must be less than or equal to previous value");
        else
                return true;
        return false;
}

/* Two tolerations that differ in their seconds at most. */
static bool same_toleration(const struct json *x, const struct json *y)
{
        static const char *const fields[] = { "key", "operator", "value", "effect" };

        for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
                if (!streq(json_get_string(x, fields[i]) ?: "", json_get_string(y, fields[i]) ?: ""))
                        return false;
        return true;
}

static void check_tolerations(struct check *c, const struct at *list)
{
        json_foreach_item(list->old, was) {
                bool found = false;

                json_foreach_item(list->j, is)
                        found |= same_toleration(was, is);
                if (!found) {
                        check_forbidden(c, list, "existing toleration can not be modified except its tolerationSeconds");
                        return;
                }
        }
        for (size_t i = 0; i < json_len(list->j); i++)
                rules_use(c, "Toleration", at_item(c, list, i));
}

static void check_gates(struct check *c, const struct at *list)
{
        for (size_t i = 0; i < json_len(list->j); i++) {
                const struct at *gate = at_field(c, at_item(c, list, i), "name");
                bool found = false;

                json_foreach_item(list->old, was)
                        found |= streq(json_get_string(was, "name"), text_at(gate));
                if (!found)
                        check_forbidden(c, gate, "only deletion is allowed, but found new scheduling gate '%s'", text_at(gate));
        }
}

/* What PART has is in WHOLE, too, in this order at the front. */
static bool begins_with(const struct json *whole, const struct json *part)
{
        json_foreach_item(part, it)
                if (!json_equal(it, json_at(whole, it_i)))
                        return false;
        return json_len(whole) >= json_len(part);
}

/* Terms are alternatives: none may come, and each may only ask for more. */
static void check_required_terms(struct check *c, const struct at *affinity)
{
        const struct at *terms = at_field(c, affinity, "requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms");
        const struct json *old = json_path(affinity->old, "requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms");

        if (!old)
                return;
        if (json_len(old) && json_len(old) != json_len(terms->j)) {
                check_invalid(c, terms, "no additions/deletions to non-empty NodeSelectorTerms list are allowed");
                return;
        }
        json_foreach_item(old, was) {
                const struct at *is = at_item(c, terms, was_i);

                if ((!json_len(json_get(was, "matchExpressions")) && !json_len(json_get(was, "matchFields")) &&
                     json_len(is->j)) ||
                    !begins_with(json_get(is->j, "matchExpressions"), json_get(was, "matchExpressions")) ||
                    !begins_with(json_get(is->j, "matchFields"), json_get(was, "matchFields")))
                        check_invalid(c, is, "only additions are allowed (no mutations or deletions)");
        }
}

/* Until its gates are gone a pod may be told more narrowly where to run. */
static void check_gated(struct check *c, const struct at *spec)
{
        const struct at *selector = at_field(c, spec, "nodeSelector"), *affinity = at_field(c, spec, "affinity.nodeAffinity");

        json_foreach_member(selector->old, m)
                if (!json_equal(m->value, json_getn(selector->j, m->key, m->key_len))) {
                        check_invalid(c, selector, "only additions to spec.nodeSelector are allowed (no mutations or deletions)");
                        break;
                }
        if (affinity->old && !json_equal(affinity->j, affinity->old))
                check_required_terms(c, affinity);
}

void check_pod_update(struct check *c, const struct at *spec)
{
        const struct json *old = json_get(c->old, "spec"), *munged;

        if (!check_images(c, at_field(c, spec, "containers"), json_get(old, "containers")) ||
            !check_images(c, at_field(c, spec, "initContainers"), json_get(old, "initContainers")) ||
            !check_deadline(c, at_field(c, spec, "activeDeadlineSeconds")))
                return;
        check_tolerations(c, at_field(c, spec, "tolerations"));
        check_gates(c, at_field(c, spec, "schedulingGates"));
        if (json_equal(spec->j, old))
                return;
        if (json_len(json_get(old, "schedulingGates")))
                check_gated(c, spec);
        munged = munge(c->a, spec->j, old);
        if (!semantic_equal(spec->s, munged, old))
                check_forbidden(c, spec, "pod updates may not change fields other than "
                                         "`spec.containers[*].image`,`spec.initContainers[*].image`,"
                                         "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing "
                                         "tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 "
                                         "if it was previously negative)\n%s", go_diff(c->a, go_value(c, spec->s, old), go_value_sent(c, spec->s, munged, at_sent(c, spec))));
}

/* --- subresources --- */

/* Errors of the whole: nothing else is said then. */
static void only_error(struct check *c, const char *text)
{
        c->errs->n = 0;
        field_error_add(c->errs, FIELD_FORBIDDEN, "", NULL, "%s", text);
}

static bool is_static(const struct json *pod)
{
        return json_get(json_path(pod, "metadata.annotations"), MIRROR) != NULL;
}

static const struct json *named(const struct json *list, const char *name)
{
        json_foreach_item(list, k)
                if (streq(json_get_string(k, "name"), name))
                        return k;
        return NULL;
}

/* Ephemeral containers are added: those that are there stay as they are. */
void check_ephemeral_update(struct check *c, const struct at *at)
{
        if (is_static(c->old)) {
                only_error(c, "static pods do not support ephemeral containers");
                return;
        }
        json_foreach_item(json_path(c->old, "spec.ephemeralContainers"), was) {
                const char *name = json_get_string(was, "name");
                const struct json *is = named(at->j, name);

                if (!is)
                        check_forbidden(c, at, "existing ephemeral containers \"%s\" may not be removed\n", name);
                else if (!json_equal(was, is))
                        check_forbidden(c, at, "existing ephemeral containers \"%s\" may not be changed\n%s", name,
                                        go_diff(c->a, go_value(c, at->s->elem, was), go_value(c, at->s->elem, is)));
        }
}

static bool removed(const struct json *was, const struct json *is)
{
        json_foreach_member(was, m)
                if (!json_getn(is, m->key, m->key_len))
                        return true;
        return false;
}

/* Whether the same containers are there, in the same order. */
static bool check_same_containers(struct check *c, const struct at *spec, const char *which)
{
        const struct at *list = at_field(c, spec, which);
        bool same = true;

        if (json_len(list->j) != json_len(list->old)) {
                check_forbidden(c, list, "%s may not be added or removed on resize", which);
                return false;
        }
        for (size_t i = 0; i < json_len(list->j); i++) {
                const struct at *name = at_field(c, at_item(c, list, i), "name");

                if (streq(text_at(name), json_get_string(json_at(list->old, i), "name")))
                        continue;
                check_forbidden(c, name, "%s may not be renamed or reordered on resize", which);
                same = false;
        }
        return same;
}

static void check_removed(struct check *c, const struct at *list)
{
        for (size_t i = 0; i < json_len(list->j); i++) {
                const struct at *resources = at_field(c, at_item(c, list, i), "resources");
                const struct json *was = json_get(json_at(list->old, i), "resources");

                if (removed(json_get(was, "requests"), json_get(resources->j, "requests")))
                        check_forbidden(c, at_field(c, resources, "requests"), "resource requests cannot be removed");
                if (removed(json_get(was, "limits"), json_get(resources->j, "limits")))
                        check_forbidden(c, at_field(c, resources, "limits"), "resource limits cannot be removed");
        }
}

/* CPU and memory of containers that run on can change. */
static struct json *without_compute(struct arena *a, const struct json *spec)
{
        static const char *const lists[] = { "containers", "initContainers" };
        static const char *const open[] = { "resources.requests.cpu", "resources.requests.memory", "resources.limits.cpu",
                                            "resources.limits.memory" };
        struct json *out = json_clone(a, spec);

        for (size_t l = 0; l < ARRAY_SIZE(lists); l++)
                json_foreach_item(json_get(out, lists[l]), k) {
                        if (l == 1 && !streq(json_get_string(k, "restartPolicy"), "Always"))
                                continue;
                        for (size_t i = 0; i < ARRAY_SIZE(open); i++)
                                json_path_del(k, open[i]);
                        if (!json_len(json_path(k, "resources.requests")))
                                json_path_del(k, "resources.requests");
                        if (!json_len(json_path(k, "resources.limits")))
                                json_path_del(k, "resources.limits");
                        json_del(k, "resizePolicy");
                }
        return out;
}

/* A kubelet that can resize says what running containers have. */
static bool can_resize(const struct json *pod)
{
        if (!streq(json_path_string(pod, "status.phase"), "Running"))
                return true;
        json_foreach_item(json_path(pod, "status.containerStatuses"), k)
                if (json_path(k, "state.running"))
                        return json_get(k, "resources") != NULL;
        return true;
}

/* Only resources of containers change, and not so that the pod becomes one of another class. */
void check_resize(struct check *c, const struct at *spec)
{
        const char *class_was = pod_qos_class(c->old);
        bool same;

        if (is_static(c->old)) {
                only_error(c, "static pods cannot be resized");
                return;
        }
        if (streq(json_path_string(c->old, "spec.os.name"), "windows")) {
                only_error(c, "windows pods cannot be resized");
                return;
        }
        if (!streq(class_was, pod_qos_class(c->obj)))
                field_error_add(c->errs, FIELD_INVALID, at_path(c, spec), json_new_string(c->a, class_was),
                                "Pod QOS Class may not change as a result of resizing");
        if (!can_resize(c->old))
                check_forbidden(c, spec, "Pod running on node without support for resize");
        same = check_same_containers(c, spec, "containers");
        same &= check_same_containers(c, spec, "initContainers");
        if (!same)
                return;
        check_removed(c, at_field(c, spec, "initContainers"));
        check_removed(c, at_field(c, spec, "containers"));
        if (!json_equal(without_compute(c->a, spec->j), without_compute(c->a, json_get(c->old, "spec"))))
                check_forbidden(c, spec, "only cpu and memory resources are mutable");
}

/* --- status --- */

void check_node_name_kept(struct check *c, const struct at *at)
{
        if (!streq(text_at(at), json_path_string(c->old, "spec.nodeName") ?: ""))
                field_error_add(c->errs, FIELD_FORBIDDEN, "status.nodeName", NULL, "may not be changed directly");
}

/* Whether a rule of CONTAINER is about its ending with CODE. */
static bool rule_matches(const struct json *container, int64_t code)
{
        json_foreach_item(json_get(container, "restartPolicyRules"), rule) {
                const struct json *codes = json_get(rule, "exitCodes");
                bool listed = false;
                int64_t n;

                json_foreach_item(json_get(codes, "values"), v)
                        listed |= json_to_int(v, &n) == 0 && n == code;
                if (codes && listed == streq(json_get_string(codes, "operator"), "In"))
                        return true;
        }
        return false;
}

/* POLICY: the pod's. */
static bool restarts(const struct json *container, const char *policy, int64_t code)
{
        const char *own = json_get_string(container, "restartPolicy");

        if (own && rule_matches(container, code))
                return true;
        policy = own ?: policy;
        return streq(policy, "OnFailure") ? code != 0 : !streq(policy, "Never");
}

/* A rule that restarts all containers lets any of them run again. */
static bool all_could_restart(const struct json *spec)
{
        static const char *const lists[] = { "initContainers", "containers" };

        for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
                json_foreach_item(json_get(spec, lists[i]), container)
                        json_foreach_item(json_get(container, "restartPolicyRules"), rule)
                                if (streq(json_get_string(rule, "action"), "RestartAllContainers"))
                                        return true;
        return false;
}

/* A container that ended for good does not run again. */
static const struct json *container_named(const struct json *list, const char *name)
{
        json_foreach_item(list, container)
                if (streq(json_get_string(container, "name") ?: "", name))
                        return container;
        return NULL;
}

/* Extended resources that are served by a claim: which request gives which container what. */
void check_request_mappings(struct check *c, const struct at *status)
{
        const struct at *list = at_field(c, status, "requestMappings"), *request = at_field(c, status, "requestName");
        static const char *const keys[] = { "containerName", "resourceName", "requestName" };

        for (size_t i = 0; i < json_len(list->j); i++) {
                const struct at *it = at_item(c, list, i), *fields[ARRAY_SIZE(keys)];
                const struct json *container, *spec = json_get(c->obj, "spec");

                for (size_t k = 0; k < ARRAY_SIZE(keys); k++)
                        fields[k] = at_field(c, it, keys[k]);
                container = container_named(json_get(spec, "containers"), text_at(fields[0]))
                            ?: container_named(json_get(spec, "initContainers"), text_at(fields[0]));
                if (!container)
                        check_invalid(c, fields[0], "must match the name of an entry in spec.initContainers.name or spec.containers.name");
                else if (!json_get(json_path(container, "resources.requests"), text_at(fields[1])))
                        check_invalid(c, fields[1], "must match the extended resource name of an entry in "
                                      "spec.initContainers.resources.requests or spec.containers.resources.requests");
                name_validate_string(c->errs, NAME_DNS1123_LABEL, at_path(c, request), text_at(fields[2]));
                for (size_t k = 0; k < i; k++)
                        if (json_equal(json_at(list->j, k), it->j)) {
                                for (size_t f = 0; f < ARRAY_SIZE(keys); f++)
                                        field_error_add(c->errs, FIELD_DUPLICATE, at_path(c, fields[f]), fields[f]->j, NULL);
                                break;
                        }
        }
}

/* Errors count containers as they were listed before. */
void check_no_return(struct check *c, const struct at *statuses)
{
        const struct json *spec = json_get(c->old, "spec");
        const char *policy = json_get_string(spec, "restartPolicy");
        bool init = streq(statuses->name, "initContainerStatuses"), plain = streq(statuses->name, "containerStatuses");

        if ((init || plain) && all_could_restart(spec))
                return;
        json_foreach_item(statuses->old, was) {
                const char *name = json_get_string(was, "name");
                const struct json *ended = json_path(was, "state.terminated");
                const struct json *is = named(statuses->j, name);
                const struct json *k = named(json_get(spec, init ? "initContainers" : "containers"), name);

                if (!ended || !is || json_path(is, "state.terminated"))
                        continue;
                if ((!init && !plain) || !k || !restarts(k, policy, json_get_int(ended, "exitCode", 0)))
                        field_error_add(c->errs, FIELD_FORBIDDEN, arena_printf(c->a, "%s[%zu].state", at_path(c, statuses), was_i),
                                        NULL, "may not be transitioned to non-terminated state");
        }
}

static int family_of(const char *ip)
{
        unsigned char buf[16];

        return inet_pton(AF_INET, ip, buf) == 1 ? 4 : inet_pton(AF_INET6, ip, buf) == 1 ? 6 : 0;
}

/* At most one of each family. FIRST: what the first of them must be; NULL: anything. */
static void check_ips(struct check *c, const struct at *list, const char *first)
{
        unsigned seen = 0;
        bool twice = false;

        if (first && json_len(list->j) && !streq(first, json_get_string(json_at(list->j, 0), "ip") ?: ""))
                check_invalid(c, at_field(c, at_item(c, list, 0), "ip"), "must be equal to `hostIP`");
        for (size_t i = 0; i < json_len(list->j); i++) {
                const struct at *item = at_item(c, list, i);
                const char *ip = json_get_string(item->j, "ip") ?: "";
                unsigned family = 1u << family_of(ip);
                bool before = false;

                json_foreach_item(list->old, was)
                        before |= streq(json_get_string(was, "ip"), ip);
                if (!before)
                        name_validate_string(c->errs, NAME_IP, at_path(c, item), ip);
                twice |= (seen & family) != 0;
                seen |= family;
        }
        if (json_len(list->j) < 2)
                return;
        if (seen & 1)
                field_error_add(c->errs, FIELD_INTERNAL, at_path(c, list), NULL, "failed to check for dual stack with error:%s",
                                "not a valid IP");
        if (twice || json_len(list->j) > 2) {
                struct json *plain = json_new_array(c->a);

                json_foreach_item(list->j, it)
                        json_append(c->a, plain, json_new_string(c->a, json_get_string(it, "ip")));
                field_error_add(c->errs, FIELD_INVALID, at_path(c, list), plain, "may specify no more than one IP for each IP family");
        }
}

void check_pod_ips(struct check *c, const struct at *at)
{
        check_ips(c, at, NULL);
}

void check_host_ips(struct check *c, const struct at *at)
{
        if (json_len(at->j))
                check_ips(c, at, json_get_string(at->up->j, "hostIP") ?: "");
}
