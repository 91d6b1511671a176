/* Makes probes: the I/O half beside probe.h.
 *
 * Each probe of a running container has a timer; an attempt is a fiber that lives as long as the
 * attempt. exec goes through the runtime; HTTP, TCP and gRPC are plain sockets of this process: no
 * fork, nothing in the pod's namespaces (pods are reachable from their node).
 */
#pragma once

#include "../runtime/runtime.h"
#include "probe.h"

struct prober;
struct probe_set; /* the probes of one container */

struct prober_target {
        const struct json *spec; /* of the container; copied */
        const char *container_id, *pod_ip;
        int64_t started;         /* realtime */
        bool adopted;            /* found running: first attempts are spread over a period */
        bool startup_done;
};
struct prober_ops {
        /* What a probe says of the container changed. MESSAGE: of the attempt that decided it. */
        void (*result)(struct probe_set *s, enum probe_kind kind, bool success, void *userdata);
        /* Every attempt that failed or could not be made: TEXT is the Unhealthy event's. */
        void (*unhealthy)(struct probe_set *s, const char *text, void *userdata);
};

struct prober *prober_new(struct loop *loop, struct runtime *runtime, const struct prober_ops *ops);
void prober_free(struct prober *p);

/* NULL when the container has no probes. */
struct probe_set *probe_set_new(struct prober *p, const struct prober_target *t, void *userdata);
void probe_set_free(struct probe_set *s); /* NULL allowed; an attempt under way is forgotten */

/* One handler of a probe or hook: {exec|httpGet|tcpSocket|grpc|sleep: ...}. On a fiber. */
struct probe_call {
        const struct json *handler, *container; /* named ports are looked up in the container */
        const char *container_id, *host;        /* HOST: where the handler names none */
        int64_t timeout;                        /* nanoseconds; 0: none */
        bool hook;                              /* texts of lifecycle hooks */
};
/* *ret_text: what is said about it (output, error); the caller frees. */
enum probe_outcome probe_run(struct prober *p, const struct probe_call *call, char **ret_text);
