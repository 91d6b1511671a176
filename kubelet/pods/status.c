/* Pod.status: see status.h. Follows k8s.io/kubernetes/pkg/kubelet's generateAPIPodStatus and
 * pkg/kubelet/status, whose texts clients and people know by heart.
 */
#include "status.h"

#include "../../lib/meta/quantity.h"
#include "../runtime/translate.h"

/* --- containers --- */

static struct json *time_json(struct arena *a, int64_t t)
{
        char buf[TIME_BUF];
        return json_new_string(a, time_format(t, buf));
}

static void set_container_id(struct arena *a, struct json *obj, const struct container_run *run)
{
        if (run->id)
                json_set(a, obj, "containerID", json_new_stringf(a, CONTAINER_ID_SCHEME "%s", run->id));
}

static struct json *state_terminated(struct arena *a, const struct container_run *run)
{
        struct json *state = json_new_object(a), *t = json_ensure_object(a, state, "terminated");
        json_set_int(a, t, "exitCode", run->exit_code);
        json_set_string(a, t, "reason", run->reason);
        json_set_string(a, t, "message", run->message);
        json_set(a, t, "startedAt", time_json(a, run->started));
        json_set(a, t, "finishedAt", time_json(a, run->finished));
        set_container_id(a, t, run);
        return state;
}

static struct json *state_waiting(struct arena *a, const char *reason, const char *message)
{
        struct json *state = json_new_object(a), *w = json_ensure_object(a, state, "waiting");
        json_set_string(a, w, "reason", reason);
        if (!str_empty(message))
                json_set_string(a, w, "message", message);
        return state;
}

static struct json *state_running(struct arena *a, const struct container_run *run)
{
        struct json *state = json_new_object(a), *r = json_ensure_object(a, state, "running");
        json_set(a, r, "startedAt", time_json(a, run->started));
        return state;
}

static bool pod_ends(const struct lifecycle *lc)
{
        return lc->state >= POD_TERMINATING;
}

/* state and lastState. A container that will be tried again shows why it waits, where that is known:
 * what it ended with moves to lastState. */
static void set_states(struct arena *a, struct json *st, const struct lifecycle *lc,
                       const struct lifecycle_container *c, const char *waiting_reason)
{
        const struct container_run *last = c->last.id ? &c->last : NULL;
        struct json *state;
        switch (container_view(c)) {
        case VIEW_RUNNING:
                state = state_running(a, &c->run);
                break;
        case VIEW_TERMINATED:
                if (c->reason && !pod_ends(lc) && container_should_restart(lc, c)) {
                        state = state_waiting(a, c->reason, c->message);
                        last = &c->run;
                } else {
                        state = state_terminated(a, &c->run);
                }
                break;
        default:
                state = state_waiting(a, c->reason ? c->reason : waiting_reason, c->reason ? c->message : NULL);
                break;
        }
        json_set(a, st, "state", state);
        json_set(a, st, "lastState", last && last->finished ? state_terminated(a, last) : json_new_object(a));
}

static void set_mounts(struct arena *a, struct json *st, const struct json *spec)
{
        const struct json *mounts = json_get(spec, "volumeMounts");
        if (!json_len(mounts))
                return;
        struct json *list = json_ensure_array(a, st, "volumeMounts");
        json_foreach_item(mounts, m) {
                struct json *x = json_new_object(a);
                json_set_string(a, x, "name", json_get_string(m, "name"));
                json_set_string(a, x, "mountPath", json_get_string(m, "mountPath"));
                if (json_get_bool(m, "readOnly", false)) {
                        const char *rro = json_get_string(m, "recursiveReadOnly");
                        json_set_bool(a, x, "readOnly", true);
                        json_set_string(a, x, "recursiveReadOnly",
                                        !rro || streq(rro, "Disabled") ? "Disabled" : "Enabled");
                }
                json_append(a, list, x);
        }
}

static bool container_ready(const struct lifecycle_container *c)
{
        if (c->kind == KIND_INIT)
                return container_view(c) == VIEW_TERMINATED && c->run.exit_code == 0;
        return c->kind != KIND_EPHEMERAL && container_view(c) == VIEW_RUNNING && c->started && c->ready;
}

static struct json *container_status(struct arena *a, const struct lifecycle *lc,
                                     const struct lifecycle_container *c, const char *waiting_reason)
{
        struct json *st = json_new_object(a);
        bool made = c->run.id && (c->run.started || c->run.finished);
        const struct container_run *run = made ? &c->run : c->last.id ? &c->last : NULL;
        json_set_string(a, st, "name", c->name);
        set_states(a, st, lc, c, waiting_reason);
        json_set_bool(a, st, "ready", container_ready(c));
        json_set_int(a, st, "restartCount", c->restarts);
        json_set_string(a, st, "image", run && run->image ? run->image : json_get_string(c->spec, "image"));
        json_set_string(a, st, "imageID", run && run->image_id ? run->image_id : "");
        if (run)
                set_container_id(a, st, run);
        if (c->kind != KIND_EPHEMERAL)
                json_set_bool(a, st, "started", container_view(c) == VIEW_RUNNING && c->started);
        if (run) {
                const struct json *requests = json_get(c->resources, "requests");
                if (json_len(requests))
                        json_set(a, st, "allocatedResources", json_clone(a, requests));
                struct json *res = json_new_object(a);
                if (json_len(json_get(c->resources, "limits")))
                        json_set(a, res, "limits", json_clone(a, json_get(c->resources, "limits")));
                if (json_len(requests))
                        json_set(a, res, "requests", json_clone(a, requests));
                json_set(a, st, "resources", res);
        }
        set_mounts(a, st, c->spec);
        return st;
}

static int compare_names(const void *x, const void *y)
{
        const struct json *const *p = x, *const *q = y;
        return strcmp(json_get_string(*p, "name"), json_get_string(*q, "name"));
}

static void set_container_statuses(struct arena *a, struct json *status, const struct lifecycle *lc)
{
        bool has_init = json_len(json_path(lc->pod, "spec.initContainers")) > 0;
        for (size_t i = 0; i < lc->n; i++) {
                const struct lifecycle_container *c = lc->containers[i];
                const char *list = c->kind == KIND_APP         ? "containerStatuses"
                                   : c->kind == KIND_EPHEMERAL ? "ephemeralContainerStatuses"
                                                               : "initContainerStatuses";
                bool initializing = has_init && c->kind != KIND_EPHEMERAL;
                json_append(a, json_ensure_array(a, status, list),
                            container_status(a, lc, c, initializing ? "PodInitializing" : "ContainerCreating"));
        }
        struct json *apps = json_get(status, "containerStatuses");
        if (apps)
                qsort(apps->items, apps->len, sizeof(*apps->items), compare_names);
}

/* --- conditions --- */

struct conditions {
        struct arena *a;
        struct json *list;
        const struct json *previous; /* status.conditions as written before */
        const struct lifecycle *lc;
        int64_t now;
};

static void condition_add(struct conditions *c, const char *type, bool yes, const char *reason, const char *message)
{
        struct json *x = json_new_object(c->a);
        const char *value = yes ? "True" : "False";
        struct json *since = NULL;
        json_foreach_item(c->previous, p)
                if (streq(json_get_string(p, "type"), type) && streq(json_get_string(p, "status"), value))
                        since = json_get(p, "lastTransitionTime");
        json_set_string(c->a, x, "type", type);
        int64_t generation = json_path_int(c->lc->pod, "metadata.generation", 0);
        if (generation)
                json_set_int(c->a, x, "observedGeneration", generation);
        json_set_string(c->a, x, "status", value);
        json_set(c->a, x, "lastProbeTime", json_new_null(c->a));
        json_set(c->a, x, "lastTransitionTime",
                 json_is_string(since) ? json_clone(c->a, since) : time_json(c->a, c->now));
        json_set_string(c->a, x, "reason", reason);
        json_set_string(c->a, x, "message", message);
        json_append(c->a, c->list, x);
}

static bool condition_is_ours(const char *type)
{
        static const char *const ours[] = {"PodScheduled",       "Ready",
                                           "Initialized",        "ContainersReady",
                                           "PodReadyToStartContainers", "PodResizePending",
                                           "PodResizeInProgress", "AllContainersRestarting"};
        for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
                if (streq(ours[i], type))
                        return true;
        return false;
}

static void condition_resize(struct conditions *c)
{
        if (c->lc->resize_pending_reason)
                condition_add(c, "PodResizePending", true, c->lc->resize_pending_reason,
                              c->lc->resize_pending_message);
        for (size_t i = 0; i < c->lc->n; i++)
                if (c->lc->containers[i]->resizing) {
                        condition_add(c, "PodResizeInProgress", true, NULL, NULL);
                        return;
                }
}

static void condition_initialized(struct conditions *c, const char *phase)
{
        struct strbuf names = STRBUF_INIT;
        bool done = true;
        for (size_t i = 0; i < c->lc->n; i++) {
                const struct lifecycle_container *x = c->lc->containers[i];
                bool ok = x->kind == KIND_INIT      ? container_ready(x)
                          : x->kind == KIND_SIDECAR ? container_view(x) == VIEW_RUNNING && x->started
                                                    : true;
                if (ok)
                        continue;
                strbuf_printf(&names, "%s%s", done ? "" : " ", x->name);
                done = false;
        }
        if (streq(phase, "Succeeded"))
                condition_add(c, "Initialized", true, "PodCompleted", NULL);
        else if (done || lifecycle_initialized(c->lc))
                condition_add(c, "Initialized", true, NULL, NULL);
        else
                condition_add(c, "Initialized", false, "ContainersNotInitialized",
                              arena_printf(c->a, "containers with incomplete status: [%s]", strbuf_str(&names)));
        strbuf_deinit(&names);
}

/* NULL: all are ready; else the reason, and the message (NULL: none). */
static const char *containers_unready(struct conditions *c, const char *phase, const char **ret_message)
{
        *ret_message = NULL;
        if (streq(phase, "Succeeded"))
                return "PodCompleted";
        if (streq(phase, "Failed"))
                return "PodFailed";
        struct strbuf names = STRBUF_INIT;
        for (size_t i = 0; i < c->lc->n; i++) {
                const struct lifecycle_container *x = c->lc->containers[i];
                if ((x->kind == KIND_APP || x->kind == KIND_SIDECAR) && !container_ready(x))
                        strbuf_printf(&names, "%s%s", names.len ? " " : "", x->name);
        }
        if (names.len)
                *ret_message = arena_printf(c->a, "containers with unready status: [%s]", strbuf_str(&names));
        strbuf_deinit(&names);
        return *ret_message ? "ContainersNotReady" : NULL;
}

static const char *gates_unready(struct conditions *c)
{
        struct strbuf text = STRBUF_INIT;
        json_foreach_item(json_path(c->lc->pod, "spec.readinessGates"), gate) {
                const char *type = json_get_string(gate, "conditionType"), *status = NULL;
                json_foreach_item(c->list, x)
                        if (streq(json_get_string(x, "type"), type))
                                status = json_get_string(x, "status");
                if (streq(status, "True"))
                        continue;
                if (text.len)
                        strbuf_puts(&text, ", ");
                if (status)
                        strbuf_printf(&text, "the status of pod readiness gate \"%s\" is not \"True\", but %s", type,
                                      status);
                else
                        strbuf_printf(&text, "corresponding condition of pod readiness gate \"%s\" does not exist.",
                                      type);
        }
        const char *r = text.len ? arena_strdup(c->a, text.data) : NULL;
        strbuf_deinit(&text);
        return r;
}

static void condition_ready(struct conditions *c, const char *phase)
{
        const char *message, *reason = containers_unready(c, phase, &message);
        const char *gates = reason ? NULL : gates_unready(c);
        if (gates)
                condition_add(c, "Ready", false, "ReadinessGatesNotReady", gates);
        else
                condition_add(c, "Ready", !reason, reason, message);
        condition_add(c, "ContainersReady", !reason, reason, message);
}

static void set_conditions(struct arena *a, struct json *status, const struct lifecycle *lc,
                           const struct status_input *in, const char *phase)
{
        const struct json *mine = json_path(lc->pod, "status.conditions");
        const struct json *previous = in->previous ? json_get(in->previous, "conditions") : mine;
        struct conditions c = {a, json_ensure_array(a, status, "conditions"), previous, lc, in->now};
        bool disrupted = lc->disruption_reason;
        json_foreach_item(mine, x) {
                const char *type = json_get_string(x, "type");
                if (!condition_is_ours(type) && !(disrupted && streq(type, "DisruptionTarget")))
                        json_append(a, c.list, json_clone(a, x));
        }
        condition_resize(&c);
        if (disrupted)
                condition_add(&c, "DisruptionTarget", true, lc->disruption_reason, lc->disruption_message);
        condition_add(&c, "PodReadyToStartContainers", lc->sandbox_ready && lc->state < POD_CLEANING, NULL, NULL);
        condition_initialized(&c, phase);
        condition_ready(&c, phase);
        condition_add(&c, "PodScheduled", true, NULL, NULL);
}

/* --- the pod --- */

const char *status_phase(const struct lifecycle *lc)
{
        const char *held = lc->reported_phase ? lc->reported_phase : "Pending";
        if (lc->state < POD_CLEANING || lc->phase_held) {
                const char *phase = lifecycle_phase(lc, false);
                /* one that was deleted while its first container started has run, and says so */
                bool began = streq(held, "Pending") && streq(phase, "Running");
                return lc->state >= POD_TERMINATING && !began ? held : phase;
        }
        if (lc->phase)
                return lc->phase;
        const char *phase = lifecycle_phase(lc, true);
        return streq(phase, "Succeeded") ? phase : "Failed";
}

static void add_quantities(struct arena *a, struct json *sum, const struct json *more, bool maximum)
{
        json_foreach_member(more, m) {
                struct quantity x, y;
                if (quantity_parse(json_string(m->value) ? json_string(m->value) : "", &x) < 0)
                        continue;
                const char *have = json_get_string(sum, m->key);
                if (have && quantity_parse(have, &y) == 0) {
                        if (!maximum)
                                quantity_add(&y, &x);
                        else if (quantity_cmp(&x, &y) > 0)
                                y = x;
                        x = y;
                }
                char buf[QUANTITY_BUF];
                json_set_string(a, sum, m->key, quantity_format(&x, buf));
        }
}

struct json *status_pod_resources(struct arena *a, const struct json *pod, const char *what)
{
        struct json *sum = json_new_object(a), *sidecars = json_new_object(a), *init = json_new_object(a);
        json_foreach_item(json_path(pod, "spec.containers"), c)
                add_quantities(a, sum, json_get(json_get(c, "resources"), what), false);
        json_foreach_item(json_path(pod, "spec.initContainers"), c) {
                const struct json *r = json_get(json_get(c, "resources"), what);
                if (streq(json_get_string(c, "restartPolicy"), "Always")) {
                        add_quantities(a, sidecars, r, false);
                        add_quantities(a, sum, r, false);
                        add_quantities(a, init, sidecars, true);
                        continue;
                }
                struct json *with = json_clone(a, r ? r : json_new_object(a));
                add_quantities(a, with, sidecars, false);
                add_quantities(a, init, with, true);
        }
        add_quantities(a, sum, init, true);
        json_foreach_member(json_path(pod, what[0] == 'r' ? "spec.resources.requests" : "spec.resources.limits"), m)
                json_set(a, sum, m->key, json_clone(a, m->value));
        add_quantities(a, sum, json_path(pod, "spec.overhead"), false);
        return sum;
}

static void set_addresses(struct arena *a, struct json *status, const char *one, const char *many,
                          const char *const ips[2])
{
        if (!ips[0])
                return;
        json_set_string(a, status, one, ips[0]);
        struct json *list = json_ensure_array(a, status, many);
        for (size_t i = 0; i < 2 && ips[i]; i++) {
                struct json *x = json_new_object(a);
                json_set_string(a, x, "ip", ips[i]);
                json_append(a, list, x);
        }
}

struct json *status_build(struct arena *a, const struct lifecycle *lc, const struct status_input *in)
{
        struct json *s = json_new_object(a);
        const char *phase = status_phase(lc);
        bool terminal = lc->state >= POD_CLEANING && !lc->phase_held;
        int64_t generation = json_path_int(lc->pod, "metadata.generation", 0);
        if (generation)
                json_set_int(a, s, "observedGeneration", generation);
        json_set_string(a, s, "phase", phase);
        set_conditions(a, s, lc, in, phase);
        if (terminal && lc->phase) {
                json_set_string(a, s, "message", lc->message);
                json_set_string(a, s, "reason", lc->reason);
        }
        const char *const pod_ips[2] = {lc->ips[0], lc->ips[1]};
        bool host = json_path_bool(lc->pod, "spec.hostNetwork", false);
        set_addresses(a, s, "hostIP", "hostIPs", in->host_ips);
        set_addresses(a, s, "podIP", "podIPs", host ? in->host_ips : pod_ips);
        json_set(a, s, "startTime", time_json(a, lc->start_time));
        set_container_statuses(a, s, lc);
        json_set_string(a, s, "qosClass", translate_qos(lc->pod));
        struct json *requests = status_pod_resources(a, lc->pod, "requests");
        if (json_len(requests))
                json_set(a, s, "allocatedResources", requests);
        return s;
}

/* --- the patch --- */

static bool is_condition_list(const char *key)
{
        return streq(key, "conditions");
}

/* Conditions merge by type: those that changed, and {"$patch": "delete"} for ours that are gone. */
static struct json *conditions_patch(struct arena *a, const struct json *old, const struct json *new)
{
        struct json *list = json_new_array(a), *order = json_new_array(a);
        json_foreach_item(new, n) {
                const struct json *was = NULL;
                json_foreach_item(old, o)
                        if (streq(json_get_string(o, "type"), json_get_string(n, "type")))
                                was = o;
                if (json_equal(was, n))
                        continue;
                struct json *x = json_clone(a, n);
                /* What the new one no longer says has to be taken away by name. */
                json_foreach_member(was, m)
                        if (!json_get(n, m->key))
                                json_set(a, x, m->key, json_new_null(a));
                json_append(a, list, x);
        }
        json_foreach_item(old, o) {
                const char *type = json_get_string(o, "type");
                bool kept = !condition_is_ours(type);
                json_foreach_item(new, n)
                        kept |= streq(json_get_string(n, "type"), type);
                if (kept)
                        continue;
                struct json *x = json_new_object(a);
                json_set_string(a, x, "$patch", "delete");
                json_set_string(a, x, "type", type);
                json_append(a, list, x);
        }
        unused(order);
        return json_len(list) ? list : NULL;
}

static void set_element_order(struct arena *a, struct json *patch, const struct json *conditions)
{
        struct json *order = json_new_array(a);
        json_foreach_item(conditions, n) {
                struct json *x = json_new_object(a);
                json_set_string(a, x, "type", json_get_string(n, "type"));
                json_append(a, order, x);
        }
        json_set(a, patch, "$setElementOrder/conditions", order);
}

/* Lists of addresses merge by ip: a changed one replaces the whole list. */
static struct json *replaced_list(struct arena *a, const char *key, const struct json *new)
{
        if (!streq(key, "podIPs") && !streq(key, "hostIPs"))
                return json_clone(a, new);
        struct json *list = json_new_array(a), *directive = json_new_object(a);
        json_set_string(a, directive, "$patch", "replace");
        json_foreach_item(new, x)
                json_append(a, list, json_clone(a, x));
        json_append(a, list, directive);
        return list;
}

struct json *status_patch(struct arena *a, const struct json *pod, const struct json *status)
{
        const struct json *old = json_get(pod, "status");
        struct json *patch = json_new_object(a);
        json_foreach_member(status, m) {
                const struct json *was = json_get(old, m->key);
                if (is_condition_list(m->key)) {
                        struct json *list = conditions_patch(a, was, m->value);
                        if (list) {
                                set_element_order(a, patch, m->value);
                                json_set(a, patch, m->key, list);
                        }
                } else if (!json_equal(was, m->value)) {
                        json_set(a, patch, m->key, replaced_list(a, m->key, m->value));
                }
        }
        static const char *const removable[] = {"message", "reason", "nominatedNodeName", "allocatedResources",
                                                "resize", "initContainerStatuses", "ephemeralContainerStatuses"};
        for (size_t i = 0; i < ARRAY_SIZE(removable); i++)
                if (json_get(old, removable[i]) && !json_get(status, removable[i]) && i != 2)
                        json_set(a, patch, removable[i], json_new_null(a));
        if (!json_len(patch))
                return NULL;
        struct json *top = json_new_object(a);
        json_path_set(a, top, "metadata.uid", json_clone(a, json_path(pod, "metadata.uid")));
        json_set(a, top, "status", patch);
        return top;
}
