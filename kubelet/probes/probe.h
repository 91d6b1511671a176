/* When a probe runs and what its results mean: pure.
 *
 * One worker for each probe of a container that runs. The prober (prober.h) asks when the next
 * attempt is due, makes it, and reports the outcome; the worker counts it against the thresholds and
 * says whether the result changed. As in k8s.io/kubernetes/pkg/kubelet/prober/worker.go.
 */
#pragma once

#include "../pods/lifecycle.h"

enum probe_outcome { PROBE_SUCCESS, PROBE_FAILURE, PROBE_UNKNOWN /* it could not be made */ };

struct probe_worker {
        enum probe_kind kind;
        int64_t initial_delay, period, timeout; /* nanoseconds */
        unsigned success_threshold, failure_threshold;
        int64_t container_started; /* realtime */
        enum probe_outcome last;   /* of consecutive attempts, and how many of them */
        unsigned run;
        bool result, known;        /* what has been told: healthy or not */
        bool on_hold;              /* a liveness or startup probe that failed: until the next start */
};

/* PROBE: a corev1.Probe. */
void probe_worker_init(struct probe_worker *w, enum probe_kind kind, const struct json *probe, int64_t started);
/* When the first attempt is due. JITTER: 0..1, of one period, for containers found running. */
int64_t probe_first(const struct probe_worker *w, int64_t now, double jitter);
/* The next one after NOW. */
int64_t probe_next(const struct probe_worker *w, int64_t now);
/* Does an attempt make sense at NOW? STARTED: the startup probe has succeeded (or there is none). */
bool probe_due(const struct probe_worker *w, int64_t now, bool started);
/* Counts an outcome. True: what the probe says of the container changed (w->result). */
bool probe_outcome(struct probe_worker *w, enum probe_outcome outcome);
const char *probe_kind_name(enum probe_kind kind); /* "Liveness", ... */
