/* The OCI runtime configuration: tables of what every container has, and what its spec changes.
 *
 * Defaults are those that Kubernetes users know from containerd: its capabilities, mounts, masked
 * paths and devices.
 */
#include "oci.h"

#include <errno.h>

#include "seccomp.h"

/* --- capabilities; the index is the kernel's number --- */

static const char *const capability_names[] = {
        "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
        "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
        "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
        "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
        "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
        "CHECKPOINT_RESTORE",
};

static const char *const default_capabilities[] = {
        "CHOWN",   "DAC_OVERRIDE", "FSETID",           "FOWNER",     "MKNOD", "NET_RAW",     "SETGID", "SETUID",
        "SETFCAP", "SETPCAP",      "NET_BIND_SERVICE", "SYS_CHROOT", "KILL",  "AUDIT_WRITE",
};

int oci_capability(const char *name)
{
        if (str_has_prefix(name, "CAP_"))
                name += 4;
        for (size_t i = 0; i < ARRAY_SIZE(capability_names); i++)
                if (streq(name, capability_names[i]))
                        return (int)i;
        return -1;
}

static bool lists_all(const char *const *names)
{
        for (; names && *names; names++)
                if (streq(*names, "ALL"))
                        return true;
        return false;
}

static int change_capabilities(uint64_t *set, const char *const *names, bool add, struct error *reterr)
{
        for (; names && *names; names++) {
                int cap = oci_capability(*names);
                if (streq(*names, "ALL"))
                        continue;
                if (cap < 0)
                        return error_set(reterr, -EINVAL, "unknown capability \"CAP_%s\"%s", *names,
                                         add ? " to add" : " to drop");
                if (add)
                        *set |= UINT64_C(1) << cap;
                else
                        *set &= ~(UINT64_C(1) << cap);
        }
        return 0;
}

/* ALL first, single names after it: `drop: [ALL], add: [NET_BIND_SERVICE]` leaves the one, and
 * `add: [ALL], drop: [MKNOD]` all but one. */
int oci_capabilities(const struct runtime_security *s, uint64_t available, uint64_t *ret, struct error *reterr)
{
        uint64_t set = 0;
        int r;

        for (size_t i = 0; i < ARRAY_SIZE(default_capabilities); i++)
                set |= UINT64_C(1) << oci_capability(default_capabilities[i]);
        if (s->privileged) {
                *ret = available;
                return 0;
        }
        if (lists_all(s->cap_add))
                set = UINT64_MAX;
        if (lists_all(s->cap_drop))
                set = 0;
        r = change_capabilities(&set, s->cap_add, true, reterr);
        if (!r)
                r = change_capabilities(&set, s->cap_drop, false, reterr);
        if (r < 0)
                return r;
        *ret = set & available;
        return 0;
}

static void append_string(struct arena *a, struct json *arr, const char *s)
{
        json_append(a, arr, json_new_string(a, s));
}

static struct json *string_array(struct arena *a, const char *const *list, size_t n)
{
        struct json *arr = json_new_array(a);

        for (size_t i = 0; i < n; i++)
                append_string(a, arr, list[i]);
        return arr;
}

static struct json *capability_array(struct arena *a, uint64_t set)
{
        struct json *arr = json_new_array(a);

        for (size_t i = 0; i < ARRAY_SIZE(capability_names); i++)
                if (set & (UINT64_C(1) << i))
                        json_append(a, arr, json_new_stringf(a, "CAP_%s", capability_names[i]));
        return arr;
}

/* --- the process --- */

static size_t count(const char *const *list)
{
        size_t n = 0;

        while (list && list[n])
                n++;
        return n;
}

/* Kubernetes' table: `command` replaces the entry point and with it the image's arguments. */
static int set_args(struct arena *a, const struct oci_input *in, struct json *process, struct error *reterr)
{
        const struct runtime_container_config *c = in->container;
        struct json *args = json_ensure_array(a, process, "args");
        size_t n_command = count(c->command), n_args = count(c->args);

        for (size_t i = 0; i < n_command; i++)
                append_string(a, args, c->command[i]);
        if (!n_command)
                json_foreach_item(json_get(in->image_config, "Entrypoint"), e)
                        append_string(a, args, json_string(e));
        for (size_t i = 0; i < n_args; i++)
                append_string(a, args, c->args[i]);
        if (!n_args && !n_command)
                json_foreach_item(json_get(in->image_config, "Cmd"), e)
                        append_string(a, args, json_string(e));
        if (!json_len(args))
                return error_set(reterr, -EINVAL, "no command specified");
        return 0;
}

/* Later values of a name replace earlier ones, in place. */
static void put_env(struct arena *a, struct json *env, const char *entry)
{
        size_t len = strcspn(entry, "=") + 1;

        for (size_t i = 0; i < json_len(env); i++)
                if (!strncmp(env->items[i]->str, entry, len)) {
                        env->items[i] = json_new_string(a, entry);
                        return;
                }
        append_string(a, env, entry);
}

static bool has_env(const struct json *env, const char *name)
{
        size_t len = strlen(name);

        json_foreach_item(env, e)
                if (!strncmp(e->str, name, len) && e->str[len] == '=')
                        return true;
        return false;
}

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static void set_env(struct arena *a, const struct oci_input *in, struct json *process)
{
        struct json *env = json_ensure_array(a, process, "env");
        const char *const *e = in->container->env;

        json_foreach_item(json_path(in->image_config, "Env"), i)
                if (json_is_string(i))
                        put_env(a, env, i->str);
        if (!has_env(env, "PATH"))
                append_string(a, env, DEFAULT_PATH);
        if (in->hostname)
                put_env(a, env, arena_printf(a, "HOSTNAME=%s", in->hostname));
        if (in->container->tty && !has_env(env, "TERM"))
                append_string(a, env, "TERM=xterm");
        for (; e && *e; e++)
                put_env(a, env, *e);
        if (!has_env(env, "HOME"))
                append_string(a, env, arena_printf(a, "HOME=%s", in->identity->home));
}

static void set_user(struct arena *a, const struct passwd_identity *id, struct json *process)
{
        struct json *user = json_ensure_object(a, process, "user");
        struct json *groups = json_ensure_array(a, user, "additionalGids");

        json_set_int(a, user, "uid", id->uid);
        json_set_int(a, user, "gid", id->gid);
        for (size_t i = 0; i < id->n_groups; i++)
                json_append(a, groups, json_new_int(a, id->groups[i]));
}

static int set_process(struct arena *a, const struct oci_input *in, uint64_t caps, struct json *config,
                       struct error *reterr)
{
        static const char *const sets[] = { "bounding", "effective", "permitted" };
        struct json *process = json_ensure_object(a, config, "process");
        struct json *capabilities = json_new_object(a);
        const char *cwd = in->container->working_dir;
        int r = set_args(a, in, process, reterr);

        if (r < 0)
                return r;
        set_env(a, in, process);
        if (str_empty(cwd))
                cwd = json_get_string(in->image_config, "WorkingDir");
        json_set_string(a, process, "cwd", str_empty(cwd) ? "/" : cwd);
        json_set_bool(a, process, "terminal", in->container->tty);
        set_user(a, in->identity, process);
        for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
                json_set(a, capabilities, sets[i], capability_array(a, caps));
        json_set(a, process, "capabilities", capabilities);
        json_set_bool(a, process, "noNewPrivileges", in->container->security.no_new_privs);
        json_set_int(a, process, "oomScoreAdj", in->oom_score_adj);
        return 0;
}

struct json *oci_exec_process(struct arena *a, const struct json *process, const char *const *argv, bool tty)
{
        struct json *p = json_clone_shallow(a, process);

        json_set(a, p, "args", string_array(a, argv, count(argv)));
        json_set_bool(a, p, "terminal", tty);
        if (tty && !has_env(json_get(p, "env"), "TERM")) {
                struct json *env = json_clone(a, json_get(p, "env"));
                append_string(a, env, "TERM=xterm");
                json_set(a, p, "env", env);
        }
        return p;
}

/* --- mounts --- */

static const struct {
        const char *destination, *type, *source, *options;
} default_mounts[] = {
        { "/proc", "proc", "proc", "nosuid noexec nodev" },
        { "/dev", "tmpfs", "tmpfs", "nosuid strictatime mode=755 size=65536k" },
        { "/dev/pts", "devpts", "devpts", "nosuid noexec newinstance ptmxmode=0666 mode=0620 gid=5" },
        { "/dev/mqueue", "mqueue", "mqueue", "nosuid noexec nodev" },
        { "/sys", "sysfs", "sysfs", "nosuid noexec nodev ro" },
        { "/sys/fs/cgroup", "cgroup", "cgroup", "nosuid noexec nodev relatime ro" },
};

static struct json *words(struct arena *a, const char *text)
{
        struct json *arr = json_new_array(a);

        for (const char *p = text; *p;) {
                size_t len = strcspn(p, " ");
                json_append(a, arr, json_new_stringn(a, p, len));
                p += len + (p[len] == ' ');
        }
        return arr;
}

static struct json *add_mount(struct arena *a, struct json *mounts, const char *destination, const char *type,
                              const char *source, const char *options)
{
        struct json *m = json_new_object(a);

        json_set_string(a, m, "destination", destination);
        json_set_string(a, m, "type", type);
        json_set_string(a, m, "source", source);
        json_set(a, m, "options", words(a, options));
        json_append(a, mounts, m);
        return m;
}

/* Whether the pod mounts something of its own there. */
static bool is_mounted(const struct runtime_container_config *c, const char *path)
{
        for (size_t i = 0; i < c->n_mounts; i++)
                if (streq(c->mounts[i].container_path, path))
                        return true;
        return false;
}

static const char *const writable[] = { "ro", "rw" };

static void add_system_mounts(struct arena *a, const struct oci_input *in, struct json *mounts)
{
        bool privileged = in->container->security.privileged;

        for (size_t i = 0; i < ARRAY_SIZE(default_mounts); i++) {
                const char *options = default_mounts[i].options;
                if (is_mounted(in->container, default_mounts[i].destination))
                        continue;
                if (privileged && str_has_prefix(default_mounts[i].destination, "/sys"))
                        options = arena_printf(a, "%.*srw", (int)strlen(options) - 2, options);
                add_mount(a, mounts, default_mounts[i].destination, default_mounts[i].type,
                          default_mounts[i].source, options);
        }
}

static void add_file_mounts(struct arena *a, const struct oci_input *in, struct json *mounts)
{
        const struct {
                const char *destination, *source;
        } files[] = {
                { "/etc/hosts", in->hosts_path },
                { "/etc/resolv.conf", in->resolv_path },
                { "/etc/hostname", in->hostname_path },
        };
        bool ro = in->container->security.read_only_root;

        for (size_t i = 0; i < ARRAY_SIZE(files); i++)
                if (files[i].source && !is_mounted(in->container, files[i].destination))
                        add_mount(a, mounts, files[i].destination, "bind", files[i].source,
                                  arena_printf(a, "rbind rprivate %s", writable[!ro]));
        if (in->shm_path && !is_mounted(in->container, "/dev/shm"))
                add_mount(a, mounts, "/dev/shm", "bind", in->shm_path, "rbind rprivate nosuid nodev noexec rw");
}

static unsigned depth(const char *path)
{
        unsigned n = 0;

        for (; *path; path++)
                n += *path == '/' && path[1] && path[1] != '/';
        return n;
}

/* Outer ones first, whatever order the pod names them in; else the outer would hide the inner. */
static void add_pod_mounts(struct arena *a, const struct oci_input *in, struct json *mounts)
{
        static const char *const propagation[] = { "rprivate", "rslave", "rshared" };
        const struct runtime_container_config *c = in->container;
        unsigned deepest = 0;

        for (size_t i = 0; i < c->n_mounts; i++)
                deepest = MAX(deepest, depth(c->mounts[i].container_path));
        for (unsigned d = 0; d <= deepest; d++)
                for (size_t i = 0; i < c->n_mounts; i++) {
                        const struct runtime_mount *m = &c->mounts[i];
                        if (depth(m->container_path) != d)
                                continue;
                        add_mount(a, mounts, m->container_path, "bind", m->host_path,
                                  arena_printf(a, "rbind %s %s", propagation[m->propagation],
                                               m->recursive_read_only ? "rro" : writable[!m->read_only]));
                }
}

/* --- linux --- */

static const char *const masked_paths[] = {
        "/proc/asound",     "/proc/acpi",        "/proc/kcore", "/proc/keys",    "/proc/latency_stats", "/proc/timer_list",
        "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi",  "/sys/firmware", "/sys/devices/virtual/powercap",
};
static const char *const read_only_paths[] = {
        "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
};

static void add_namespace(struct arena *a, struct json *list, const char *type, const char *path)
{
        struct json *ns = json_new_object(a);

        json_set_string(a, ns, "type", type);
        if (path)
                json_set_string(a, ns, "path", path);
        json_append(a, list, ns);
}

static void set_namespaces(struct arena *a, const struct oci_input *in, struct json *linux_)
{
        struct json *list = json_ensure_array(a, linux_, "namespaces");

        add_namespace(a, list, "mount", NULL);
        if (in->net_path)
                add_namespace(a, list, "network", in->net_path);
        if (in->ipc_path)
                add_namespace(a, list, "ipc", in->ipc_path);
        if (in->uts_path)
                add_namespace(a, list, "uts", in->uts_path);
        if (in->pid_path || in->own_pid_namespace)
                add_namespace(a, list, "pid", in->pid_path);
        if (in->cgroup_v2 && !in->container->security.privileged)
                add_namespace(a, list, "cgroup", NULL);
}

static void allow_device(struct arena *a, struct json *devices, bool allow, const char *type, int64_t major,
                         int64_t minor, const char *access)
{
        struct json *d = json_new_object(a);

        json_set_bool(a, d, "allow", allow);
        if (type)
                json_set_string(a, d, "type", type);
        if (major >= 0)
                json_set_int(a, d, "major", major);
        if (minor >= 0)
                json_set_int(a, d, "minor", minor);
        json_set_string(a, d, "access", access);
        json_append(a, devices, d);
}

static void set_resources(struct arena *a, const struct oci_input *in, struct json *linux_)
{
        const struct runtime_resources *res = &in->container->resources;
        struct json *resources = json_ensure_object(a, linux_, "resources");
        struct json *devices = json_ensure_array(a, resources, "devices");
        struct json *cpu = json_ensure_object(a, resources, "cpu");

        /* runc itself allows the few that every container has: null, zero, full, random, tty, pts. */
        allow_device(a, devices, in->container->security.privileged, NULL, -1, -1, "rwm");
        json_set_int(a, cpu, "shares", res->cpu_shares ? res->cpu_shares : 2);
        if (res->cpu_quota_us) {
                json_set_int(a, cpu, "quota", res->cpu_quota_us);
                json_set_int(a, cpu, "period", res->cpu_period_us ? res->cpu_period_us : 100000);
        }
        if (res->cpuset_cpus)
                json_set_string(a, cpu, "cpus", res->cpuset_cpus);
        if (res->memory_limit)
                json_path_set(a, resources, "memory.limit", json_new_int(a, res->memory_limit));
        if (res->pids_limit)
                json_path_set(a, resources, "pids.limit", json_new_int(a, res->pids_limit));
}

static void set_seccomp(struct arena *a, const struct oci_input *in, uint64_t caps, struct json *linux_)
{
        const struct runtime_security *s = &in->container->security;
        const char **names;
        size_t n = 0;

        if (s->privileged || s->seccomp == RUNTIME_SECCOMP_UNCONFINED)
                return;
        if (s->seccomp == RUNTIME_SECCOMP_LOCALHOST) {
                json_set(a, linux_, "seccomp", json_clone(a, in->localhost_seccomp));
                return;
        }
        names = arena_calloc(a, (ARRAY_SIZE(capability_names) + 1) * sizeof(*names));
        for (size_t i = 0; i < ARRAY_SIZE(capability_names); i++)
                if (caps & (UINT64_C(1) << i))
                        names[n++] = arena_printf(a, "CAP_%s", capability_names[i]);
        json_set(a, linux_, "seccomp", seccomp_default(a, names));
}

static const char *root_propagation(const struct runtime_container_config *c)
{
        const char *propagation = NULL;

        for (size_t i = 0; i < c->n_mounts; i++) {
                if (c->mounts[i].propagation == RUNTIME_BIDIRECTIONAL)
                        return "rshared";
                if (c->mounts[i].propagation == RUNTIME_HOST_TO_CONTAINER)
                        propagation = "rslave";
        }
        return propagation;
}

static void set_linux(struct arena *a, const struct oci_input *in, uint64_t caps, struct json *config)
{
        struct json *linux_ = json_ensure_object(a, config, "linux");
        const struct runtime_security *s = &in->container->security;

        set_namespaces(a, in, linux_);
        json_set_string(a, linux_, "cgroupsPath", in->cgroup);
        set_resources(a, in, linux_);
        json_set_string(a, linux_, "rootfsPropagation", root_propagation(in->container));
        if (!s->privileged && !s->proc_unmasked) {
                json_set(a, linux_, "maskedPaths", string_array(a, masked_paths, ARRAY_SIZE(masked_paths)));
                json_set(a, linux_, "readonlyPaths",
                         string_array(a, read_only_paths, ARRAY_SIZE(read_only_paths)));
        }
        if (s->privileged && in->host_devices)
                json_set(a, linux_, "devices", json_clone(a, in->host_devices));
        set_seccomp(a, in, caps, linux_);
}

int oci_config(struct arena *a, const struct oci_input *in, struct json **ret, struct error *reterr)
{
        struct json *config = json_new_object(a), *mounts;
        uint64_t caps;
        int r = oci_capabilities(&in->container->security, in->capabilities, &caps, reterr);

        if (r < 0)
                return r;
        json_set_string(a, config, "ociVersion", "1.0.2");
        r = set_process(a, in, caps, config, reterr);
        if (r < 0)
                return r;
        json_path_set(a, config, "root.path", json_new_string(a, in->rootfs));
        json_path_set(a, config, "root.readonly", json_new_bool(a, in->container->security.read_only_root));
        mounts = json_ensure_array(a, config, "mounts");
        add_system_mounts(a, in, mounts);
        add_file_mounts(a, in, mounts);
        add_pod_mounts(a, in, mounts);
        set_linux(a, in, caps, config);
        *ret = config;
        return 0;
}
