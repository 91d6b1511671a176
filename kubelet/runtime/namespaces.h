/* A pod's namespaces, held by files instead of a process: bind mounts of /proc/.../ns/... .
 *
 *      RUN/netns/ID  RUN/ipcns/ID  RUN/utsns/ID  RUN/pidns/ID
 */
#pragma once

#include "../../lib/json/json.h"
#include "../../lib/loop/process.h"

struct namespaces_request {
        const char *run, *id;
        bool net, ipc, uts;
        const char *hostname;       /* set in the new UTS namespace; may be NULL */
        const struct json *sysctls; /* [{"name", "value"}]; may be NULL */
};

/* On a fiber. Makes and pins; the loopback interface is up. All or nothing. */
int namespaces_pin(struct loop *loop, const struct namespaces_request *q, struct error *reterr);
/* Unpins all four. Missing is fine. */
void namespaces_unpin(const char *run, const char *id);
/* "RUN/netns/ID" in the arena; KIND: "net", "ipc", "uts", "pid". */
char *namespaces_path(struct arena *a, const char *run, const char *kind, const char *id);

/* The namespaces again, for pods that share their processes: starts PROGRAM (colibri-pause) as process 1 of a new
 * process namespace inside them, and pins that. */
int namespaces_start_pause(struct loop *loop, const struct namespaces_request *q, const char *program,
                           uint32_t uid, uint32_t gid, pid_t *ret_pid, struct error *reterr);

/* On a fiber: connects a TCP socket to 127.0.0.1:port, then [::1]:port, in the network namespace at PATH (NULL: ours). */
int namespaces_connect(struct loop *loop, const char *path, int port, int *ret_fd, struct error *reterr);
