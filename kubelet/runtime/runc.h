/* Inside of the runc runtime: what its files share. Not for others; see runtime.h.
 *
 * On disk:
 *      ROOT/sandboxes/ID/   sandbox.json, hosts, resolv.conf, hostname, shm/ (a tmpfs)
 *      ROOT/containers/ID/  container.json, config.json, process.json, upper/, work/, rootfs/ (an overlay),
 *                           pid, conmon.pid, ctl, attach: conmon's; the folder is the OCI bundle
 *      RUN/netns/ and so on pinned namespaces;  RUN/runc/ runc's own;  RUN/exits/ID conmon's last word
 *
 * The JSON files are what a restarted kubelet knows. They are renamed into place but not fsynced: after a power
 * failure no container runs anyway.
 */
#pragma once

#include "../../lib/base/list.h"
#include "../../lib/base/map.h"
#include "../images/images.h"
#include "../network/network.h"
#include "cgroup.h"
#include "runtime.h"

/* Lets so many fibers through at a time, in their order. */
struct turnstile {
        unsigned max, inside;
        struct list waiting;
};
void turnstile_enter(struct turnstile *t);
void turnstile_leave(struct turnstile *t);

struct runc {
        struct runtime base;
        struct arena *arena; /* of the options' strings */
        struct runtime_options o;
        char *runc_path;
        char boot_id[40];
        struct cgroup_system cgroups;
        uint64_t capabilities; /* our bounding set */
        int least_oom_score_adj;
        struct network *network;
        struct image_store *images;
        struct map sandboxes, containers; /* by id */
        uint64_t next_seq;
        int exits_fd; /* inotify */
        struct loop_fd *exits;
        struct loop_timer *log_timer;
        unsigned exec_count;
        struct netns_pool *pool;
        unsigned building; /* sandboxes being made just now */
        struct turnstile heavy;
};

struct runc_sandbox {
        struct runc *r;
        struct arena *arena;
        unsigned refs;
        struct fiber_mutex lock;
        uint64_t seq;
        const char *id, *pod_name, *pod_namespace, *pod_uid, *annotations, *hostname, *log_directory, *cgroup, *qos;
        uint32_t attempt;
        int64_t created, cpu_shares;
        bool host_network, host_pid, host_ipc, share_pid, ready, networked;
        const char **ips;
        size_t n_ips;
        struct runtime_port *ports;
        size_t n_ports;
        pid_t pause_pid;
        int64_t pause_start; /* the process' start time, so that a number used anew is not taken for it */
        struct process *pause;
};

struct runc_container {
        struct runc *r;
        struct arena *arena;
        unsigned refs;
        struct fiber_mutex lock; /* start, stop and removal take turns */
        uint64_t seq;
        const char *id, *sandbox_id, *name, *image, *image_id, *log_path, *annotations, *bundle, *cgroup, *user;
        uint32_t attempt;
        enum runtime_container_state state;
        int64_t created, started, finished;
        int exit_code, stop_signal;
        const char *reason, *message;
        bool tty, stdin, stdin_once, mounted, removed;
        struct runtime_resources resources;
        pid_t pid, conmon_pid;
        int64_t pid_start, conmon_start;
        struct process *init, *conmon;
        struct list exit_waiters;
};

static inline struct runc *runc_of(struct runtime *r)
{
        return container_of(r, struct runc, base);
}

/* runc.c */
struct runc_sandbox *runc_sandbox_get(struct runc *r, const char *id); /* NULL: unknown */
struct runc_container *runc_container_get(struct runc *r, const char *id);
void runc_sandbox_unref(struct runc_sandbox *s);
void runc_container_unref(struct runc_container *c);
void runc_emit(struct runc *r, enum runtime_event_type type, const char *sandbox_id, const char *container_id);
int runc_write_file(const char *path, const char *data, size_t len, int mode, struct error *reterr);

/* runc-state.c */
int runc_save_sandbox(const struct runc_sandbox *s, struct error *reterr);
int runc_save_container(const struct runc_container *c, struct error *reterr);
/* Reads all that is there, and takes up what still runs. On a fiber. */
int runc_adopt(struct runc *r, struct error *reterr);
/* Field 22 of /proc/PID/stat; -1: no such process. */
int64_t runc_process_start_time(pid_t pid);

/* runc-pool.c: networks made before there is a pod for them. After runc_adopt(): what an earlier kubelet left of
 * its own is taken away. */
void runc_pool_start(struct runc *r);
void runc_pool_free(struct runc *r);
/* One of them: S gets its id and its addresses. False: there is none, or it would not do. */
bool runc_pool_take(struct runc_sandbox *s, const struct runtime_sandbox_config *c);
void runc_pool_refill(struct runc *r); /* soon, when no sandbox is being made */

/* runc-sandbox.c */
int runc_run_sandbox(struct runtime *rt, const struct runtime_sandbox_config *c, struct arena *a, const char **ret_id,
                     struct error *reterr);
int runc_stop_sandbox(struct runtime *rt, const char *id, struct error *reterr);
int runc_remove_sandbox(struct runtime *rt, const char *id, struct error *reterr);
int runc_update_sandbox(struct runtime *rt, const char *id, const struct runtime_resources *res, struct error *reterr);
void runc_watch_pause(struct runc_sandbox *s);

/* runc-container.c */
int runc_create_container(struct runtime *rt, const char *sandbox_id, const struct runtime_container_config *c,
                          struct arena *a, const char **ret_id, struct error *reterr);
int runc_start_container(struct runtime *rt, const char *id, struct error *reterr);
int runc_stop_container(struct runtime *rt, const char *id, int64_t grace_ns, struct error *reterr);
int runc_signal_container(struct runtime *rt, const char *id, int signo, struct error *reterr);
int runc_remove_container(struct runtime *rt, const char *id, struct error *reterr);
/* Follows the process and its conmon; for adoption too. */
void runc_watch_container(struct runc_container *c);
/* Whether conmon has written an exit code; then the container is EXITED. */
bool runc_collect_exit(struct runc_container *c);
void runc_container_ended(struct runc_container *c, int exit_code, int64_t finished, const char *reason,
                          const char *message);
/* Its runc state, cgroup and root file system: all that an ended container has in the kernel. */
void runc_release(struct runc_container *c);
void runc_rotate_logs(struct runc *r);

/* runc-exec.c */
int runc_exec_sync(struct runtime *rt, const char *id, const char *const *argv, int64_t timeout_ns,
                   struct runtime_exec_result *ret, struct error *reterr);
int runc_exec_start(struct runtime *rt, const char *id, const struct runtime_exec *e, struct runtime_stream *ret,
                    struct error *reterr);
int runc_exec_wait(struct runtime *rt, struct runtime_stream *s, int *ret_exit_code, struct error *reterr);
int runc_attach(struct runtime *rt, const char *id, bool want_in, struct runtime_stream *ret, struct error *reterr);
int runc_stream_resize(struct runtime *rt, struct runtime_stream *s, uint16_t rows, uint16_t cols);
void runc_stream_close(struct runtime *rt, struct runtime_stream *s);

/* wait.c: on a fiber, until FD is ready; -ETIMEDOUT. timeout_ns -1: none. */
int wait_fd(struct loop *loop, int fd, uint32_t events, int64_t timeout_ns);
