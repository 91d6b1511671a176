/* What runs pods: the contract between the pod lifecycle and whatever holds its containers.
 *
 * It follows the Container Runtime Interface (k8s.io/cri-api, v1): a pod is a sandbox (its
 * namespaces, address and cgroup) with containers in it. Two implementations: runc (with conmon,
 * CNI and the image store) and fake (containers that run by declaration).
 *
 * Every call that can wait runs on a fiber and parks. Strings that go in need to live until the call
 * returns; what comes out lives in the caller's arena. Times are realtime nanoseconds; 0: not yet.
 * Ids are 64 hexadecimal characters, unique on the machine.
 */
#pragma once

#include "../../lib/json/json.h"
#include "../../lib/loop/process.h"

struct runtime;

/* --- what goes in --- */
enum runtime_propagation { RUNTIME_PRIVATE, RUNTIME_HOST_TO_CONTAINER, RUNTIME_BIDIRECTIONAL };

struct runtime_mount {
        const char *host_path;      /* a bind mount; exists */
        const char *container_path; /* absolute */
        bool read_only;
        bool recursive_read_only;   /* mounts below it too */
        enum runtime_propagation propagation;
};

struct runtime_port {
        const char *protocol; /* "TCP", "UDP", "SCTP" */
        int container_port, host_port;
        const char *host_ip; /* NULL: all */
};

/* Limits of one container or of a whole pod. 0: not set, except where said. */
struct runtime_resources {
        int64_t cpu_shares;   /* cgroup v1 shares, 2..262144 */
        int64_t cpu_quota_us; /* of each period; 0: none */
        int64_t cpu_period_us;
        int64_t memory_limit; /* bytes */
        int64_t pids_limit;
        int64_t oom_score_adj; /* -1000..1000; asked for as far as it may be had */
        const char *cpuset_cpus;
};

enum runtime_seccomp { RUNTIME_SECCOMP_DEFAULT, RUNTIME_SECCOMP_UNCONFINED, RUNTIME_SECCOMP_LOCALHOST };

struct runtime_security {
        int64_t run_as_user, run_as_group; /* -1: the image's */
        const int64_t *supplemental_groups; /* fsGroup among them */
        size_t n_supplemental_groups;
        bool groups_strict;                 /* supplementalGroupsPolicy Strict: not the image's */
        const char *const *cap_add, *const *cap_drop; /* NULL-ended, "NET_ADMIN" or "ALL"; may be NULL */
        bool privileged;
        bool read_only_root;
        bool no_new_privs;                  /* allowPrivilegeEscalation: false */
        bool proc_unmasked;                 /* procMount: Unmasked */
        enum runtime_seccomp seccomp;
        const char *seccomp_path;           /* Localhost: the profile's file */
};

struct runtime_sandbox_config {
        const char *pod_name, *pod_namespace, *pod_uid;
        uint32_t attempt;
        const char *replaces;      /* the pod's sandbox before, which died with the machine or otherwise; or NULL */
        const char *qos_class;     /* "Guaranteed", "Burstable", "BestEffort" */
        const char *hostname;      /* ignored with host_network */
        const char *log_directory; /* of the pod; made */
        bool host_network, host_pid, host_ipc, share_pid;
        const char *resolv_conf;   /* text; see network/dns.h */
        const char *domain;        /* "sub.ns.svc.cluster.local" for /etc/hosts, or NULL */
        const struct json *host_aliases; /* spec.hostAliases, or NULL */
        const struct json *sysctls;      /* spec.securityContext.sysctls, or NULL */
        const struct runtime_port *ports;
        size_t n_ports;
        struct runtime_resources resources; /* of the pod's cgroup */
        int64_t run_as_user, run_as_group;  /* of the pause process where there is one; -1: not set */
        const char *annotations;   /* the caller's own, kept and given back; may be NULL */
};

struct runtime_container_config {
        const char *name; /* in the pod */
        uint32_t attempt; /* restart count */
        const char *image;    /* as asked for: kept and given back */
        const char *image_id; /* what image_status() or image_pull() named */
        const char *const *command, *const *args; /* expanded; NULL-ended; NULL: the image's */
        const char *const *env; /* "NAME=value", NULL-ended; over the image's */
        const char *working_dir; /* NULL or "": the image's, else "/" */
        const struct runtime_mount *mounts;
        size_t n_mounts;
        struct runtime_resources resources;
        struct runtime_security security;
        bool tty, stdin, stdin_once;
        const char *log_path; /* relative to the sandbox's log_directory: "app/0.log" */
        int stop_signal;      /* 0: the image's, else SIGTERM */
        const char *annotations; /* the caller's own, kept and given back; may be NULL */
};

/* --- what comes out --- */
enum runtime_container_state {
        RUNTIME_CONTAINER_CREATED,
        RUNTIME_CONTAINER_RUNNING,
        RUNTIME_CONTAINER_EXITED,
};

struct runtime_container {
        const char *id, *sandbox_id, *name, *image, *image_id, *log_path /* absolute */, *annotations;
        uint32_t attempt;
        enum runtime_container_state state;
        int64_t created, started, finished;
        int exit_code;       /* once EXITED */
        const char *reason;  /* once EXITED: "Completed", "Error", "OOMKilled", "StartError", "Unknown" */
        const char *message; /* of a StartError; else NULL */
        pid_t pid;           /* while RUNNING */
        const char *user;    /* uid it started as, as text; for status.containerStatuses[].user */
};

struct runtime_sandbox {
        const char *id, *pod_name, *pod_namespace, *pod_uid, *annotations;
        uint32_t attempt;
        bool ready;           /* its namespaces are there */
        int64_t created;
        const char **ips;     /* none with host_network */
        size_t n_ips;
        bool host_network;
        const char *netns;    /* path, or NULL: the machine's (probes enter nothing: pods are reachable) */
};

struct runtime_stats {
        int64_t cpu_ns;             /* used since the start */
        int64_t memory_usage, memory_working_set, memory_rss; /* bytes */
        int64_t pids;
};

struct runtime_image {
        const char *id;          /* "sha256:..." of its config */
        const char **repo_tags;  /* "docker.io/library/busybox:latest" */
        size_t n_repo_tags;
        const char **repo_digests; /* "docker.io/library/busybox@sha256:..." */
        size_t n_repo_digests;
        int64_t size;            /* bytes unpacked */
        int64_t uid;             /* of its USER, -1: not a number */
        const char *username;    /* of its USER when not a number, else NULL */
        bool pinned;
};

/* Positive outcomes. */
enum runtime_outcome {
        RUNTIME_OK = 0,
        RUNTIME_NOT_FOUND = 1,      /* no such sandbox, container or image */
        RUNTIME_START_FAILED,       /* start: the container is EXITED with reason StartError, code 128; reterr
                                     * says why, as containerd words it */
        RUNTIME_INVALID_IMAGE_NAME, /* reterr: upstream's text after `Failed to apply default image tag` */
        RUNTIME_IMAGE_MISSING,      /* the registry has it not, or refuses */
        RUNTIME_REGISTRY_UNAVAILABLE,
        RUNTIME_NOT_RUNNING,        /* exec, attach: the container does not run */
        RUNTIME_NOT_SUPPORTED,
};

enum runtime_event_type {
        RUNTIME_EVENT_EXITED,       /* a container: ask container_status() */
        RUNTIME_EVENT_SANDBOX_DIED, /* the pause process of a shared-PID pod is gone */
};
struct runtime_event {
        enum runtime_event_type type;
        const char *sandbox_id, *container_id, *pod_uid; /* for the call only; container_id may be NULL */
};
typedef void runtime_event_fn(const struct runtime_event *e, void *userdata); /* on the loop, not on a fiber */

/* A session with a process in a container. Descriptors are nonblocking and the session's: the caller
 * reads and writes them, may close any early by closing it and setting it to -1. */
struct runtime_stream {
        int in_fd;        /* write: its standard input; -1: none */
        int out_fd;       /* read; with a terminal this carries all output */
        int err_fd;       /* read; -1: none, or a terminal */
        int tty_fd;       /* the terminal's master (in_fd and out_fd are duplicates of it); -1: none */
        void *priv;
};
struct runtime_exec {
        const char *const *argv;
        bool tty, want_in, want_out, want_err;
        uint16_t rows, cols; /* of the terminal from its first moment; 0: not known yet */
};
struct runtime_exec_result {
        int exit_code;
        bool timed_out;        /* exec_sync: killed; exit_code means nothing */
        struct strbuf out, err; /* cut at 16 KiB each, as upstream does for probes */
};

struct runtime_ops {
        const char *name; /* "runc", "fake" */

        /* Namespaces, address, cgroup, log folder, /etc files. Undone when it fails. What it replaces is
         * stopped first; once it stands, the ended containers with their records and logs are its own. */
        int (*run_sandbox)(struct runtime *r, const struct runtime_sandbox_config *c, struct arena *a,
                           const char **ret_id, struct error *reterr);
        /* Kills what runs in it, gives the address back, unpins. Again is fine. */
        int (*stop_sandbox)(struct runtime *r, const char *id, struct error *reterr);
        /* Stops it, removes its containers, cgroup and files. Unknown is fine. */
        int (*remove_sandbox)(struct runtime *r, const char *id, struct error *reterr);
        int (*sandbox_status)(struct runtime *r, const char *id, struct arena *a,
                              struct runtime_sandbox *ret, struct error *reterr);
        int (*list_sandboxes)(struct runtime *r, struct arena *a, struct runtime_sandbox **ret, size_t *ret_n,
                              struct error *reterr);
        /* The pod's cgroup. */
        int (*update_sandbox)(struct runtime *r, const char *id, const struct runtime_resources *res,
                              struct error *reterr);

        /* Root file system, configuration, log file: nothing runs yet. */
        int (*create_container)(struct runtime *r, const char *sandbox_id,
                                const struct runtime_container_config *c, struct arena *a,
                                const char **ret_id, struct error *reterr);
        int (*start_container)(struct runtime *r, const char *id, struct error *reterr);
        /* Sends its stop signal, waits up to grace_ns for it to end, then kills and waits. Ended is fine. */
        int (*stop_container)(struct runtime *r, const char *id, int64_t grace_ns, struct error *reterr);
        int (*signal_container)(struct runtime *r, const char *id, int signo, struct error *reterr);
        /* Kills and removes it, its log file too. Unknown is fine. */
        int (*remove_container)(struct runtime *r, const char *id, struct error *reterr);
        int (*container_status)(struct runtime *r, const char *id, struct arena *a,
                                struct runtime_container *ret, struct error *reterr);
        /* All there are, those found after a restart included, in order of creation. SANDBOX_ID may be NULL. */
        int (*list_containers)(struct runtime *r, const char *sandbox_id, struct arena *a,
                               struct runtime_container **ret, size_t *ret_n, struct error *reterr);
        int (*update_container)(struct runtime *r, const char *id, const struct runtime_resources *res,
                                struct error *reterr);
        /* What is in force, read from the cgroup (0 where unlimited). */
        int (*container_resources)(struct runtime *r, const char *id, struct runtime_resources *ret,
                                   struct error *reterr);
        int (*container_stats)(struct runtime *r, const char *id, struct runtime_stats *ret, struct error *reterr);
        int (*sandbox_stats)(struct runtime *r, const char *id, struct runtime_stats *ret, struct error *reterr);

        /* Negative: it could not be started (reterr as containerd words it). timeout_ns 0: none. */
        int (*exec_sync)(struct runtime *r, const char *id, const char *const *argv, int64_t timeout_ns,
                         struct runtime_exec_result *ret, struct error *reterr);
        int (*exec_start)(struct runtime *r, const char *id, const struct runtime_exec *e,
                          struct runtime_stream *ret, struct error *reterr);
        /* Parks until the process has ended. After it, or instead of it, stream_close(). When the command
         * could not be run at all: -ENOEXEC with containerd's text. */
        int (*exec_wait)(struct runtime *r, struct runtime_stream *s, int *ret_exit_code, struct error *reterr);
        int (*attach)(struct runtime *r, const char *id, bool want_in, struct runtime_stream *ret,
                      struct error *reterr);
        int (*stream_resize)(struct runtime *r, struct runtime_stream *s, uint16_t rows, uint16_t cols);
        /* Closes the descriptors that are still open and forgets it; an exec that still runs is killed. */
        void (*stream_close)(struct runtime *r, struct runtime_stream *s);
        /* Connects to 127.0.0.1:port (then ::1) inside the sandbox's network; *ret_fd is nonblocking. */
        int (*port_forward)(struct runtime *r, const char *sandbox_id, int port, int *ret_fd, struct error *reterr);

        /* REF as users write it. NOT_FOUND, INVALID_IMAGE_NAME. */
        int (*image_status)(struct runtime *r, const char *ref, struct arena *a, struct runtime_image *ret,
                            struct error *reterr);
        /* SECRETS: the .dockerconfigjson (or .dockercfg) texts of imagePullSecrets, NULL-ended; may be NULL. */
        int (*image_pull)(struct runtime *r, const char *ref, const char *const *secrets, struct arena *a,
                          struct runtime_image *ret, struct error *reterr);
        int (*image_list)(struct runtime *r, struct arena *a, struct runtime_image **ret, size_t *ret_n,
                          struct error *reterr);
        int (*image_remove)(struct runtime *r, const char *ref_or_id, struct error *reterr);
        /* Removes unused images, least recently used first, when the disk is fuller than HIGH percent, until it
         * is below LOW. Those of containers and pinned ones stay. *ret_freed: bytes. */
        int (*image_gc)(struct runtime *r, int high, int low, int64_t *ret_freed, struct error *reterr);
        int (*disk_usage)(struct runtime *r, int64_t *ret_used, int64_t *ret_capacity, struct error *reterr);

        /* Whether pods can be made: 0, or negative and why ("cni plugin not initialized"). */
        int (*ready)(struct runtime *r, struct error *reterr);
        void (*free)(struct runtime *r);
};

struct runtime {
        const struct runtime_ops *ops;
        struct loop *loop;
        bool is_fake; /* no files, no volumes: the caller prepares none */
        runtime_event_fn *on_event; /* the caller sets it before the first call */
        void *event_userdata;
};

/* --- making one --- */
struct runtime_registry_mirror {
        const char *registry; /* "docker.io"; "*": every one that has no rule of its own */
        const char *url;      /* "http://127.0.0.1:5000" (http: no TLS), "https://mirror/prefix" */
};
struct runtime_options {
        const char *root;       /* /var/lib/colibri: images/, containers/, sandboxes/ below it */
        const char *run;        /* /run/colibri: netns/, runc/, exits/ below it; tmpfs or not */
        const char *cgroup;     /* name of our top cgroup: "colibri"; unique on the machine */
        const char *cni_conf_dir; /* NULL: root/cni; the first *.conflist in it counts; made when empty */
        const char *cni_bin_dirs; /* colon-separated; NULL: /opt/cni/bin:/usr/lib/cni */
        const char *bridge;     /* of the network made by default: "colibri0" */
        const char *pod_cidr;   /* of this node; NULL: not known yet, see runtime_set_pod_cidr() */
        const char *cluster_cidr; /* not masqueraded; NULL: pod_cidr */
        int mtu;                /* 0: 1500 */
        const struct runtime_registry_mirror *mirrors;
        size_t n_mirrors;
        const char *const *insecure_registries; /* NULL-ended: plain http or unverified TLS; may be NULL */
        int64_t log_max_size;   /* bytes of one log file; 0: 10 MiB */
        int log_max_files;      /* 0: 5 */
        const char *helpers;    /* folder of colibri-pause and colibri-unpack; NULL: beside this program */
        const char *seccomp_root; /* of Localhost profiles; NULL: /var/lib/kubelet/seccomp */
};
/* On a fiber: adopts what an earlier kubelet left under the same root. */
int runtime_runc_new(struct loop *loop, const struct runtime_options *o, struct runtime **ret,
                     struct error *reterr);
/* pod_cidr: addresses are dealt from it. Pod annotations in the sandbox's `annotations`, where that is a
 * JSON object, may say "colibri.io/fake-run-for": "5s", "colibri.io/fake-exit-code": "1". */
int runtime_fake_new(struct loop *loop, const struct runtime_options *o, struct runtime **ret,
                     struct error *reterr);
void runtime_set_pod_cidr(struct runtime *r, const char *pod_cidr);
static inline void runtime_free(struct runtime *r)
{
        if (r)
                r->ops->free(r);
}
void runtime_exec_result_deinit(struct runtime_exec_result *r);
