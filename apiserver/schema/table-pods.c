/* The cells of pods: Ready, Status, Restarts, Readiness Gates (table-cells.h).
 *
 * All three of the first come out of one walk over the container statuses, in the order that kubectl
 * users know: init containers until one is not done, then the containers from last to first, so that the
 * first one's reason wins.
 */
#include "table-cells.h"

#include <stdio.h>

#include "../../lib/base/base.h"
#include "../../lib/base/time.h"
#include "table.h"

static bool restartable(const struct json *container)
{
        return streq(json_get_string(container, "restartPolicy"), "Always");
}

static const struct json *by_name(const struct json *list, const char *name)
{
        json_foreach_item(list, item)
                if (streq(json_get_string(item, "name"), name))
                        return item;
        return NULL;
}

static void note_restart(int64_t *restarts, int64_t *restarted_at, const struct json *status)
{
        const char *finished = json_path_string(status, "lastState.terminated.finishedAt");
        int64_t t;

        *restarts += json_get_int(status, "restartCount", 0);
        if (finished && time_parse(finished, &t) == 0 && t > *restarted_at)
                *restarted_at = t;
}

/* "Error", else "Signal:9", "ExitCode:1", after PREFIX */
static void set_terminated(struct pod_summary *p, const char *prefix, const struct json *terminated)
{
        const char *reason = json_get_string(terminated, "reason");
        int64_t signal = json_get_int(terminated, "signal", 0);

        if (!str_empty(reason))
                snprintf(p->buf, sizeof(p->buf), "%s%s", prefix, reason);
        else if (signal)
                snprintf(p->buf, sizeof(p->buf), "%sSignal:%lld", prefix, (long long)signal);
        else
                snprintf(p->buf, sizeof(p->buf), "%sExitCode:%lld", prefix,
                         (long long)json_get_int(terminated, "exitCode", 0));
        p->reason = p->buf;
}

/* True: an init container is still to finish, and the reason says which. SIDECARS, AT: restarts of those that stay, and when
 * the last one was. */
static bool walk_init(struct pod_summary *p, const struct json *spec, const struct json *status, int64_t *sidecars, int64_t *at)
{
        const struct json *containers = json_get(spec, "initContainers");

        json_foreach_item(json_get(status, "initContainerStatuses"), s) {
                const struct json *terminated = json_path(s, "state.terminated"), *waiting = json_path(s, "state.waiting");
                const char *why = json_get_string(waiting, "reason");
                bool stays = restartable(by_name(containers, json_get_string(s, "name")));

                note_restart(&p->restarts, &p->restarted_at, s);
                if (stays)
                        note_restart(sidecars, at, s);
                if (terminated && json_get_int(terminated, "exitCode", 0) == 0)
                        continue;
                if (stays && json_get_bool(s, "started", false)) {
                        p->ready += json_get_bool(s, "ready", false);
                        continue;
                }
                if (terminated) {
                        set_terminated(p, "Init:", terminated);
                } else if (!str_empty(why) && !streq(why, "PodInitializing")) {
                        snprintf(p->buf, sizeof(p->buf), "Init:%s", why);
                        p->reason = p->buf;
                } else {
                        snprintf(p->buf, sizeof(p->buf), "Init:%zu/%zu", s_i, json_len(containers));
                        p->reason = p->buf;
                }
                return true;
        }
        return false;
}

static void walk_containers(struct pod_summary *p, const struct json *pod, const struct json *status)
{
        const struct json *statuses = json_get(status, "containerStatuses"), *failed = NULL;
        bool running = false;

        for (size_t i = json_len(statuses); i-- > 0;) {
                const struct json *s = json_at(statuses, i), *terminated = json_path(s, "state.terminated");
                const char *why = json_path_string(s, "state.waiting.reason");

                note_restart(&p->restarts, &p->restarted_at, s);
                if (!str_empty(why)) {
                        p->reason = why;
                } else if (terminated) {
                        set_terminated(p, "", terminated);
                } else if (json_get_bool(s, "ready", false) && json_path(s, "state.running")) {
                        running = true;
                        p->ready++;
                }
        }
        if (!streq(p->reason, "Completed"))
                return;
        for (size_t i = json_len(statuses); i-- > 0;) {
                const struct json *terminated = json_path(json_at(statuses, i), "state.terminated");

                if (terminated && json_get_int(terminated, "exitCode", 0) != 0)
                        failed = terminated;
        }
        if (running && cell_condition_true(pod, "Ready"))
                p->reason = "Running";
        else if (failed)
                set_terminated(p, "", failed);
        else if (running)
                p->reason = "NotReady";
}

static const struct pod_summary *summarise(const struct cell *c)
{
        const struct json *pod = c->obj;
        struct pod_summary *p = c->pod;
        const struct json *spec = json_get(pod, "spec"), *status = json_get(pod, "status");
        const char *phase = json_get_string(status, "phase"), *reason = json_get_string(status, "reason");
        int64_t sidecars = 0, sidecars_at = 0;
        bool initializing;

        if (p->of == pod)
                return p;
        *p = (struct pod_summary){ .of = pod, .total = json_len(json_get(spec, "containers")) };
        json_foreach_item(json_get(spec, "initContainers"), container)
                p->total += restartable(container);
        p->reason = str_empty(reason) ? phase : reason;
        if (streq(json_get_string(cell_condition(pod, "PodScheduled"), "reason"), "SchedulingGated"))
                p->reason = "SchedulingGated";
        initializing = walk_init(p, spec, status, &sidecars, &sidecars_at);
        if (!initializing || cell_condition_true(pod, "Initialized")) {
                p->restarts = sidecars;
                p->restarted_at = sidecars_at;
                walk_containers(p, pod, status);
        }
        if (!json_path(pod, "metadata.deletionTimestamp"))
                return p;
        if (streq(reason, "NodeLost"))
                p->reason = "Unknown";
        else if (!streq(phase, "Succeeded") && !streq(phase, "Failed"))
                p->reason = "Terminating";
        return p;
}

/* "1/2" */
static void write_fraction(const struct cell *c, int64_t part, int64_t whole)
{
        char buf[64], *p = buf;

        *p++ = '"';
        p = cell_digits(p, part);
        *p++ = '/';
        p = cell_digits(p, whole);
        *p++ = '"';
        strbuf_append(c->out, buf, (size_t)(p - buf));
}

void cell_pod_ready(const struct cell *c)
{
        const struct pod_summary *p = summarise(c);

        write_fraction(c, p->ready, p->total);
}

void cell_pod_status(const struct cell *c)
{
        const struct pod_summary *p = summarise(c);

        cell_string(c, p->reason);
}

void cell_pod_restarts(const struct cell *c)
{
        const struct pod_summary *p = summarise(c);
        char buf[32];

        if (p->restarts && p->restarted_at) {
                strbuf_printf(c->out, "\"%lld (%s ago)\"", (long long)p->restarts,
                              human_duration(c->now - p->restarted_at, buf));
                return;
        }
        *cell_digits(buf, p->restarts) = '\0';
        cell_string(c, buf);
}

void cell_pod_gates(const struct cell *c)
{
        const struct json *gates = json_path(c->obj, "spec.readinessGates");
        size_t met = 0;

        if (!json_len(gates)) {
                strbuf_puts(c->out, "\"\\u003cnone\\u003e\""); /* of nearly every pod */
                return;
        }
        json_foreach_item(gates, g)
                met += cell_condition_true(c->obj, json_get_string(g, "conditionType"));
        write_fraction(c, (int64_t)met, (int64_t)json_len(gates));
}
