/* Probe workers: see probe.h. */
#include "probe.h"

const char *probe_kind_name(enum probe_kind kind)
{
        static const char *const names[] = {"Startup", "Readiness", "Liveness"};
        return names[kind];
}

static int64_t seconds(const struct json *probe, const char *key, int64_t otherwise)
{
        int64_t v = json_get_int(probe, key, otherwise);
        return v > 0 ? v : otherwise;
}

void probe_worker_init(struct probe_worker *w, enum probe_kind kind, const struct json *probe, int64_t started)
{
        *w = (struct probe_worker){
                .kind = kind,
                .initial_delay = seconds(probe, "initialDelaySeconds", 0) * NS_PER_SEC,
                .period = seconds(probe, "periodSeconds", 10) * NS_PER_SEC,
                .timeout = seconds(probe, "timeoutSeconds", 1) * NS_PER_SEC,
                .success_threshold = (unsigned)seconds(probe, "successThreshold", 1),
                .failure_threshold = (unsigned)seconds(probe, "failureThreshold", 3),
                .container_started = started,
                .last = PROBE_UNKNOWN,
                /* Until it is known better: alive, but neither ready nor started. */
                .result = kind == PROBE_LIVENESS,
        };
}

int64_t probe_first(const struct probe_worker *w, int64_t now, double jitter)
{
        int64_t due = w->container_started + w->initial_delay;
        return MAX(due, now) + (int64_t)(jitter * (double)w->period);
}

int64_t probe_next(const struct probe_worker *w, int64_t now)
{
        return now + w->period;
}

bool probe_due(const struct probe_worker *w, int64_t now, bool started)
{
        if (w->on_hold || now - w->container_started < w->initial_delay)
                return false;
        /* Startup comes first; once it is over, it is over. */
        return started ? w->kind != PROBE_STARTUP : w->kind == PROBE_STARTUP;
}

bool probe_outcome(struct probe_worker *w, enum probe_outcome outcome)
{
        if (outcome == PROBE_UNKNOWN)
                return false; /* no result: not counted, the last one stands */
        if (outcome == w->last)
                w->run++;
        else
                w->run = 1;
        w->last = outcome;
        bool good = outcome == PROBE_SUCCESS;
        if (w->run < (good ? w->success_threshold : w->failure_threshold))
                return false;
        if (!good && w->kind != PROBE_READINESS) {
                /* The container is about to be killed: no more probes of it. */
                w->on_hold = true;
                w->run = 0;
        }
        bool changed = !w->known || w->result != good;
        w->known = true;
        w->result = good;
        return changed;
}
