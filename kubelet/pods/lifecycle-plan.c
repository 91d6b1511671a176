/* The pod's state machine, second half: facts lead to actions.
 *
 * lifecycle_plan() is asked after every event and answers from what is true now: which container is
 * next, which has to go, whether the pod has come to its end. It may be asked any number of times:
 * what is under way (a state, `busy`) is never asked for again.
 */
#include "lifecycle-internal.h"

#include <stdio.h>

static void wake(struct lifecycle *lc, int64_t at)
{
        if (at > 0 && (lc->wake_at == 0 || at < lc->wake_at))
                lc->wake_at = at;
}

/* --- what the containers say about the pod --- */

enum container_view container_view(const struct lifecycle_container *c)
{
        /* While the postStart hook has not gone well, the container does not count as running. */
        if (c->state == CONTAINER_POSTSTART || (c->state == CONTAINER_STOPPING && c->hook_failed))
                return VIEW_WAITING;
        if (container_has_process(c))
                return VIEW_RUNNING;
        return c->run.finished ? VIEW_TERMINATED : VIEW_WAITING;
}

bool lifecycle_initialized(const struct lifecycle *lc)
{
        for (size_t i = 0; i < lc->n; i++)
                if (lc->containers[i]->kind == KIND_APP && lc->containers[i]->created_once)
                        return true;
        return false;
}

/* How many containers are in which situation: what the phase is decided by. */
struct phase_count {
        unsigned pending_init, failed_init, pending_sidecars, running, waiting, stopped, succeeded;
};

static void phase_count_init(struct phase_count *n, const struct lifecycle_container *c)
{
        switch (container_view(c)) {
        case VIEW_RUNNING:
                n->pending_init++;
                break;
        case VIEW_TERMINATED:
                n->failed_init += c->run.exit_code != 0;
                break;
        case VIEW_WAITING:
                if (!c->last.id)
                        n->pending_init++;
                else
                        n->failed_init += c->last.exit_code != 0;
                break;
        }
}

static void phase_count_sidecar(struct phase_count *n, const struct lifecycle_container *c)
{
        switch (container_view(c)) {
        case VIEW_RUNNING:
                n->pending_sidecars += !c->started;
                n->running++;
                break;
        case VIEW_TERMINATED: /* an ended sidecar says nothing about the pod */
                break;
        case VIEW_WAITING:
                if (!c->last.id) {
                        n->pending_sidecars++;
                        n->waiting++;
                }
                break;
        }
}

static void phase_count_app(struct phase_count *n, const struct lifecycle_container *c)
{
        switch (container_view(c)) {
        case VIEW_RUNNING:
                n->running++;
                break;
        case VIEW_TERMINATED:
                n->stopped++;
                n->succeeded += c->run.exit_code == 0;
                break;
        case VIEW_WAITING:
                if (c->last.id)
                        n->stopped++;
                else
                        n->waiting++;
                break;
        }
}

const char *lifecycle_phase(const struct lifecycle *lc, bool terminal)
{
        struct phase_count n = {0};
        const char *policy = json_path_string(lc->pod, "spec.restartPolicy");
        bool never = streq(policy, "Never"), always = !policy || streq(policy, "Always");
        for (size_t i = 0; i < lc->n; i++) {
                const struct lifecycle_container *c = lc->containers[i];
                if (c->kind == KIND_INIT)
                        phase_count_init(&n, c);
                else if (c->kind == KIND_SIDECAR)
                        phase_count_sidecar(&n, c);
                else if (c->kind == KIND_APP)
                        phase_count_app(&n, c);
        }
        if (n.failed_init && never)
                return "Failed";
        bool initialized = lifecycle_initialized(lc);
        if ((n.pending_init && !initialized) || (n.pending_sidecars && !initialized) || n.waiting)
                return "Pending";
        if (n.running)
                return "Running";
        if (!n.stopped)
                return "Pending";
        if (terminal)
                return n.stopped == n.succeeded ? "Succeeded" : "Failed";
        /* A container may be told to restart by a policy or rules of its own. */
        for (size_t i = 0; i < lc->n; i++)
                if (lc->containers[i]->kind == KIND_APP && container_should_restart(lc, lc->containers[i]))
                        return "Running";
        if (always)
                return "Running";
        return n.stopped == n.succeeded ? "Succeeded" : "Failed";
}

/* restartPolicyRules of the container: 1: restart, 0: no rule matches. */
static bool restart_rule_matches(const struct json *spec, int code)
{
        json_foreach_item(json_get(spec, "restartPolicyRules"), rule) {
                const struct json *codes = json_get(rule, "exitCodes");
                bool found = false, not_in = streq(json_get_string(codes, "operator"), "NotIn");
                json_foreach_item(json_get(codes, "values"), v) {
                        int64_t n;
                        found |= json_to_int(v, &n) == 0 && n == code;
                }
                if (streq(json_get_string(rule, "action"), "Restart") && found != not_in)
                        return true;
        }
        return false;
}

bool container_should_restart(const struct lifecycle *lc, const struct lifecycle_container *c)
{
        if (c->kind == KIND_SIDECAR)
                return true;
        if (c->kind == KIND_EPHEMERAL)
                return false;
        if (!c->run.finished)
                return true; /* made, or not even that: how it ends is not known yet */
        if (c->kind == KIND_INIT && c->run.exit_code == 0)
                return false;
        if (restart_rule_matches(c->spec, c->run.exit_code))
                return true;
        const char *policy = json_get_string(c->spec, "restartPolicy");
        if (!policy)
                policy = json_path_string(lc->pod, "spec.restartPolicy");
        if (streq(policy, "Never"))
                return false;
        return !streq(policy, "OnFailure") || c->run.exit_code != 0;
}

/* --- starting --- */

static char *pod_full_name(const struct lifecycle *lc)
{
        return xasprintf("%s_%s(%s)", json_path_string(lc->pod, "metadata.name"),
                         json_path_string(lc->pod, "metadata.namespace"),
                         json_path_string(lc->pod, "metadata.uid"));
}

/* It crashed and must wait: says so once for each crash. */
static void container_back_off(struct lifecycle *lc, struct lifecycle_container *c, int64_t now,
                               struct pod_actions *out)
{
        int64_t until = backoff_until(&c->crash, c->run.finished);
        if (c->retry_at != until) {
                _cleanup_free_ char *pod = pod_full_name(lc);
                char delay[TIME_BUF];
                _cleanup_free_ char *text = xasprintf("back-off %s restarting failed container=%s pod=%s",
                                                      duration_format(c->crash.delay, delay), c->name, pod);
                pod_record(out, c, true, "BackOff", "Back-off restarting failed container %s in pod %s", c->name, pod);
                container_set_reason(c, "CrashLoopBackOff", text, false);
                c->next_at = now + SHOW_BACKOFF_AFTER;
                c->retry_at = until;
        }
        wake(lc, c->retry_at);
        wake(lc, c->next_at);
}

static bool container_try_start(struct lifecycle *lc, struct lifecycle_container *c, int64_t now,
                                struct pod_actions *out)
{
        if (c->retry_at > now) {
                wake(lc, c->retry_at);
                return false;
        }
        if (c->run.finished && !c->restart_now) {
                if (backoff_active(&c->crash, c->run.finished, now)) {
                        container_back_off(lc, c, now, out);
                        return false;
                }
                backoff_next(&c->crash, c->run.finished, now);
        }
        container_promote_reason(lc, c);
        c->retry_at = 0;
        c->state = CONTAINER_INSPECTING;
        pod_action_add(out, POD_INSPECT_IMAGE, c);
        return true;
}

/* Walks the init containers in order. True: all have done their part, the app containers may start. */
static bool plan_init(struct lifecycle *lc, int64_t now, struct pod_actions *out, bool *ret_started)
{
        bool initialized = lifecycle_initialized(lc);
        for (size_t i = 0; i < lc->n; i++) {
                struct lifecycle_container *c = lc->containers[i];
                if (c->kind != KIND_INIT && c->kind != KIND_SIDECAR)
                        continue;
                if (c->kind == KIND_INIT) {
                        if (initialized || (c->run.finished && c->run.exit_code == 0))
                                continue;
                        if (c->state == CONTAINER_IDLE && (!c->run.finished || container_should_restart(lc, c)))
                                *ret_started = container_try_start(lc, c, now, out);
                        return false;
                }
                if (c->state == CONTAINER_IDLE && container_try_start(lc, c, now, out)) {
                        *ret_started = true;
                        return false;
                }
                if (!initialized && !(c->state == CONTAINER_RUNNING && c->started))
                        return false;
        }
        return true;
}

static bool plan_kind(struct lifecycle *lc, enum container_kind kind, int64_t now, struct pod_actions *out)
{
        for (size_t i = 0; i < lc->n; i++) {
                struct lifecycle_container *c = lc->containers[i];
                if (c->kind != kind || c->state != CONTAINER_IDLE)
                        continue;
                if (c->run.finished && !c->restart_now && !container_should_restart(lc, c))
                        continue;
                if (container_try_start(lc, c, now, out))
                        return true;
        }
        return false;
}

/* --- stopping --- */

void container_stop(struct lifecycle *lc, struct lifecycle_container *c, int64_t grace, bool restart,
                    char *owned_message, struct pod_actions *actions)
{
        free(c->kill_message);
        c->kill_message = owned_message;
        c->restart_now = restart;
        c->state = CONTAINER_STOPPING;
        pod_record(actions, c, false, "Killing", "%s", owned_message);
        pod_action_add(actions, POD_UNPROBE, c);
        pod_action_add(actions, POD_STOP, c)->grace_ns = MAX(grace, GRACE_MIN);
}

void lifecycle_terminate(struct lifecycle *lc, int64_t now, int64_t grace)
{
        if (lc->state >= POD_CLEANING)
                return;
        if (grace < 0)
                grace = lifecycle_spec_grace(lc);
        int64_t until = now + MAX(grace, NS_PER_SEC);
        if (lc->state == POD_TERMINATING && until >= lc->grace_until)
                return;
        lc->hurry = lc->state == POD_TERMINATING;
        lc->state = POD_TERMINATING;
        lc->grace_until = until;
        for (size_t i = 0; i < lc->n; i++) {
                lc->containers[i]->restart_now = false;
                lc->hurry |= lc->containers[i]->state == CONTAINER_STOPPING;
        }
}

static void plan_stop(struct lifecycle *lc, struct lifecycle_container *c, int64_t now, struct pod_actions *out)
{
        int64_t grace = lc->grace_until - now;
        if (c->state == CONTAINER_STOPPING) {
                if (lc->hurry)
                        pod_action_add(out, POD_STOP, c)->grace_ns = MAX(grace, GRACE_MIN);
                return;
        }
        container_stop(lc, c, grace, false, xasprintf("Stopping container %s", c->name), out);
}

/* App containers first; then the sidecars, the last first. True: nothing is left. */
static bool plan_stops(struct lifecycle *lc, int64_t now, struct pod_actions *out)
{
        bool left = false;
        for (size_t i = 0; i < lc->n; i++) {
                struct lifecycle_container *c = lc->containers[i];
                if (c->state == CONTAINER_INSPECTING || c->state == CONTAINER_PULLING)
                        c->state = CONTAINER_IDLE;
                left |= c->kind != KIND_SIDECAR && c->state != CONTAINER_IDLE;
                left |= c->state == CONTAINER_CREATING || c->state == CONTAINER_STARTING;
                if (c->kind != KIND_SIDECAR && container_has_process(c))
                        plan_stop(lc, c, now, out);
        }
        for (size_t i = lc->n; i-- > 0 && !left;) {
                struct lifecycle_container *c = lc->containers[i];
                if (!container_has_process(c))
                        continue;
                plan_stop(lc, c, now, out);
                left = true;
        }
        lc->hurry = false;
        return !left;
}

/* --- the pod's states --- */

static void plan_deadline(struct lifecycle *lc, int64_t now, struct pod_actions *out)
{
        static const char text[] = "Pod was active on the node longer than the specified deadline";
        int64_t seconds = json_path_int(lc->pod, "spec.activeDeadlineSeconds", -1);
        if (seconds < 0 || lc->state >= POD_TERMINATING)
                return;
        if (now < lc->start_time + seconds * NS_PER_SEC) {
                wake(lc, lc->start_time + seconds * NS_PER_SEC);
                return;
        }
        pod_record(out, NULL, false, "DeadlineExceeded", "%s", text);
        str_replace(&lc->phase, "Failed");
        str_replace(&lc->reason, "DeadlineExceeded");
        str_replace(&lc->message, text);
        lifecycle_terminate(lc, now, -1);
}

/* An action for the pod as a whole, one at a time, again after a failure. */
static void plan_pod_action(struct lifecycle *lc, enum pod_action_type type, int64_t now, struct pod_actions *out)
{
        if (lc->busy)
                return;
        if (lc->retry_at > now) {
                wake(lc, lc->retry_at);
                return;
        }
        lc->busy = true;
        pod_action_add(out, type, NULL);
}

static void plan_running(struct lifecycle *lc, int64_t now, struct pod_actions *out)
{
        bool starting = false, started = false;
        for (size_t i = 0; i < lc->n; i++) {
                struct lifecycle_container *c = lc->containers[i];
                if (c->next_at && c->next_at <= now)
                        container_promote_reason(lc, c);
                wake(lc, c->next_at);
                if (c->state == CONTAINER_RUNNING && c->kind != KIND_EPHEMERAL &&
                    !streq(c->run_image, json_get_string(c->spec, "image")))
                        container_stop(lc, c, lifecycle_spec_grace(lc), true,
                                       xasprintf("Container %s definition changed, will be restarted", c->name), out);
                starting |= container_is_starting(c);
        }
        if (starting || plan_kind(lc, KIND_EPHEMERAL, now, out))
                return;
        if (plan_init(lc, now, out, &started) && !started)
                plan_kind(lc, KIND_APP, now, out);
}

/* Every app container has ended for good: sidecars alone do not keep a pod. */
static bool apps_have_ended(const struct lifecycle *lc)
{
        for (size_t i = 0; i < lc->n; i++) {
                const struct lifecycle_container *c = lc->containers[i];
                if (c->kind == KIND_APP && (c->state != CONTAINER_IDLE || !c->run.finished || c->restart_now ||
                                            container_should_restart(lc, c)))
                        return false;
        }
        return true;
}

static bool phase_is_terminal(const char *phase)
{
        return streq(phase, "Succeeded") || streq(phase, "Failed");
}

void lifecycle_plan(struct lifecycle *lc, int64_t now, struct pod_actions *out)
{
        lc->wake_at = 0;
        if (lc->state < POD_TERMINATING) {
                plan_deadline(lc, now, out);
                const char *phase = lifecycle_phase(lc, false);
                if (phase_is_terminal(phase) || (lc->state == POD_RUNNING && apps_have_ended(lc)))
                        lifecycle_terminate(lc, now, -1);
                else if (lc->state < POD_TERMINATING)
                        str_replace(&lc->reported_phase, phase);
        }
        if (lc->state == POD_NEW)
                lc->state = POD_VOLUMES;
        if (lc->state == POD_VOLUMES)
                plan_pod_action(lc, POD_MOUNT_VOLUMES, now, out);
        if (lc->state == POD_SANDBOX) {
                if (lc->sandbox_ready)
                        lc->state = POD_RUNNING;
                else
                        plan_pod_action(lc, POD_MAKE_SANDBOX, now, out);
        }
        if (lc->state == POD_RUNNING)
                plan_running(lc, now, out);
        if (lc->state == POD_TERMINATING && plan_stops(lc, now, out)) {
                lc->state = POD_CLEANING;
                lc->phase_held = !lc->deleting && !lc->removed;
                pod_action_add(out, POD_CLEAN, NULL);
                lc->status_dirty = true;
        }
        if (lc->state == POD_DONE && lc->removed)
                lc->state = POD_GONE;
        if (lc->state == POD_DONE && lc->deleting && !lc->deleted_sent) {
                lc->deleted_sent = true;
                pod_action_add(out, POD_DELETE, NULL);
        }
}
