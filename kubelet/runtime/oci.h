/* The OCI runtime configuration (config.json) of one container. Pure: reads no file, asks no kernel.
 *
 * https://github.com/opencontainers/runtime-spec, version 1.0.2.
 */
#pragma once

#include "passwd.h"
#include "runtime.h"

struct oci_input {
        const struct runtime_container_config *container;
        const struct json *image_config; /* the image's "config" object: Env, Entrypoint, Cmd, WorkingDir */
        const struct passwd_identity *identity;
        const char *rootfs;
        const char *hostname;       /* for the variable HOSTNAME; NULL: none */
        const char *cgroup;         /* "/colibri/podX/ID" */
        bool cgroup_v2;
        bool own_pid_namespace;     /* else pid_path, else the machine's */
        const char *pid_path, *net_path, *ipc_path, *uts_path; /* NULL: the machine's */
        bool host_network, host_pid;
        const char *shm_path;       /* mounted at /dev/shm */
        const char *hosts_path, *resolv_path, *hostname_path; /* NULL: not mounted */
        uint64_t capabilities;      /* that may be had: bits of our own bounding set */
        int oom_score_adj;
        const struct json *localhost_seccomp; /* the profile of RUNTIME_SECCOMP_LOCALHOST */
        const struct json *host_devices;      /* privileged: linux.devices of the machine */
};

/* -EINVAL: there is nothing to run (`no command specified`), or a capability nobody knows. */
int oci_config(struct arena *a, const struct oci_input *in, struct json **ret, struct error *reterr);

/* The process part alone with other arguments: for exec. PROCESS: of a config.json. */
struct json *oci_exec_process(struct arena *a, const struct json *process, const char *const *argv, bool tty);

/* "NET_ADMIN", "CAP_NET_ADMIN" -> its bit, or -1. */
int oci_capability(const char *name);
/* The set a container has, as bits. -EINVAL: unknown name. */
int oci_capabilities(const struct runtime_security *s, uint64_t available, uint64_t *ret, struct error *reterr);
