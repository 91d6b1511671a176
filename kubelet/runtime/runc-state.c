/* What a restarted kubelet knows: sandboxes and containers as JSON, and how they are found again.
 *
 * A process number alone proves nothing: it may have been given anew. With the process' start time
 * and the machine's boot id it does.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "../../lib/base/file.h"
#include "../../lib/base/time.h"
#include "namespaces.h"
#include "runc.h"

int64_t runc_process_start_time(pid_t pid)
{
        char path[64], text[1024], *p;
        FILE *f;
        size_t n;

        snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        f = fopen(path, "re");
        if (!f)
                return -1;
        n = fread(text, 1, sizeof(text) - 1, f);
        fclose(f);
        text[n] = '\0';
        p = strrchr(text, ')'); /* the name may hold anything */
        if (!p || p[1] != ' ' || p[2] == 'Z' || p[2] == 'X')
                return -1;
        p += 2;
        for (int field = 3; p && field < 22; field++) {
                p = strchr(p, ' ');
                p = p ? p + 1 : NULL;
        }
        return p ? strtoll(p, NULL, 10) : -1;
}

/* --- saving --- */

static int save(struct arena *a, const struct json *j, const char *dir, const char *name, struct error *reterr)
{
        struct strbuf b = STRBUF_INIT;
        int r;

        json_write(&b, j);
        r = runc_write_file(arena_printf(a, "%s/%s", dir, name), strbuf_str(&b), b.len, 0600, reterr);
        strbuf_deinit(&b);
        return r;
}

static void set_opt(struct arena *a, struct json *j, const char *key, const char *value)
{
        if (value)
                json_set_string(a, j, key, value);
}

int runc_save_sandbox(const struct runc_sandbox *s, struct error *reterr)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct json *j = json_new_object(a), *ips, *ports;

        json_set_string(a, j, "id", s->id);
        json_set_string(a, j, "bootID", s->r->boot_id);
        set_opt(a, j, "podName", s->pod_name);
        set_opt(a, j, "podNamespace", s->pod_namespace);
        set_opt(a, j, "podUID", s->pod_uid);
        set_opt(a, j, "annotations", s->annotations);
        set_opt(a, j, "hostname", s->hostname);
        set_opt(a, j, "logDirectory", s->log_directory);
        set_opt(a, j, "cgroup", s->cgroup);
        set_opt(a, j, "qos", s->qos);
        json_set_int(a, j, "attempt", s->attempt);
        json_set_int(a, j, "created", s->created);
        json_set_int(a, j, "cpuShares", s->cpu_shares);
        json_set_bool(a, j, "hostNetwork", s->host_network);
        json_set_bool(a, j, "hostPID", s->host_pid);
        json_set_bool(a, j, "hostIPC", s->host_ipc);
        json_set_bool(a, j, "sharePID", s->share_pid);
        json_set_bool(a, j, "ready", s->ready);
        json_set_bool(a, j, "networked", s->networked);
        json_set_int(a, j, "pausePID", s->pause_pid);
        json_set_int(a, j, "pauseStart", s->pause_start);
        ips = json_ensure_array(a, j, "ips");
        for (size_t i = 0; i < s->n_ips; i++)
                json_append(a, ips, json_new_string(a, s->ips[i]));
        ports = json_ensure_array(a, j, "ports");
        for (size_t i = 0; i < s->n_ports; i++) {
                struct json *p = json_new_object(a);
                json_set_string(a, p, "protocol", s->ports[i].protocol);
                set_opt(a, p, "hostIP", s->ports[i].host_ip);
                json_set_int(a, p, "containerPort", s->ports[i].container_port);
                json_set_int(a, p, "hostPort", s->ports[i].host_port);
                json_append(a, ports, p);
        }
        return save(a, j, arena_printf(a, "%s/sandboxes/%s", s->r->o.root, s->id), "sandbox.json", reterr);
}

int runc_save_container(const struct runc_container *c, struct error *reterr)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct json *j = json_new_object(a);

        if (c->removed)
                return 0;
        json_set_string(a, j, "id", c->id);
        json_set_string(a, j, "bootID", c->r->boot_id);
        set_opt(a, j, "sandboxID", c->sandbox_id);
        set_opt(a, j, "name", c->name);
        set_opt(a, j, "image", c->image);
        set_opt(a, j, "imageID", c->image_id);
        set_opt(a, j, "logPath", c->log_path);
        set_opt(a, j, "annotations", c->annotations);
        set_opt(a, j, "cgroup", c->cgroup);
        set_opt(a, j, "user", c->user);
        set_opt(a, j, "reason", c->reason);
        set_opt(a, j, "message", c->message);
        json_set_int(a, j, "attempt", c->attempt);
        json_set_int(a, j, "state", c->state);
        json_set_int(a, j, "created", c->created);
        json_set_int(a, j, "started", c->started);
        json_set_int(a, j, "finished", c->finished);
        json_set_int(a, j, "exitCode", c->exit_code);
        json_set_int(a, j, "stopSignal", c->stop_signal);
        json_set_int(a, j, "pid", c->pid);
        json_set_int(a, j, "pidStart", c->pid_start);
        json_set_int(a, j, "conmonPID", c->conmon_pid);
        json_set_int(a, j, "conmonStart", c->conmon_start);
        json_set_bool(a, j, "tty", c->tty);
        json_set_bool(a, j, "stdin", c->stdin);
        json_set_bool(a, j, "stdinOnce", c->stdin_once);
        json_set_bool(a, j, "mounted", c->mounted);
        return save(a, j, c->bundle, "container.json", reterr);
}

/* --- reading --- */

static struct json *load(struct arena *a, const char *path)
{
        _cleanup_free_ char *text = NULL;
        size_t len;
        struct json *j;

        if (file_read(path, 0, &text, &len, NULL) < 0 || json_parse(a, text, len, NULL, &j, NULL) < 0)
                return NULL;
        return json_is_object(j) && json_get_string(j, "id") ? j : NULL;
}

static struct runc_sandbox *sandbox_from(struct runc *r, struct arena *a, const struct json *j)
{
        struct runc_sandbox *s = new0(struct runc_sandbox);
        const struct json *ips = json_get(j, "ips"), *ports = json_get(j, "ports");

        s->r = r;
        s->arena = a;
        s->refs = 1;
        s->id = json_get_string(j, "id");
        s->pod_name = json_get_string(j, "podName");
        s->pod_namespace = json_get_string(j, "podNamespace");
        s->pod_uid = json_get_string(j, "podUID");
        s->annotations = json_get_string(j, "annotations");
        s->hostname = json_get_string(j, "hostname");
        s->log_directory = json_get_string(j, "logDirectory");
        s->cgroup = json_get_string(j, "cgroup");
        s->qos = json_get_string(j, "qos");
        s->attempt = (uint32_t)json_get_int(j, "attempt", 0);
        s->created = json_get_int(j, "created", 0);
        s->cpu_shares = json_get_int(j, "cpuShares", 2);
        s->host_network = json_get_bool(j, "hostNetwork", false);
        s->host_pid = json_get_bool(j, "hostPID", false);
        s->host_ipc = json_get_bool(j, "hostIPC", false);
        s->share_pid = json_get_bool(j, "sharePID", false);
        s->ready = json_get_bool(j, "ready", false);
        s->networked = json_get_bool(j, "networked", false);
        s->pause_pid = (pid_t)json_get_int(j, "pausePID", 0);
        s->pause_start = json_get_int(j, "pauseStart", 0);
        s->ips = arena_calloc(a, (json_len(ips) + 1) * sizeof(*s->ips));
        json_foreach_item(ips, ip)
                if (json_is_string(ip))
                        s->ips[s->n_ips++] = ip->str;
        s->ports = arena_calloc(a, (json_len(ports) + 1) * sizeof(*s->ports));
        json_foreach_item(ports, p)
                s->ports[s->n_ports++] = (struct runtime_port){
                        .protocol = json_get_string(p, "protocol"),
                        .host_ip = json_get_string(p, "hostIP"),
                        .container_port = (int)json_get_int(p, "containerPort", 0),
                        .host_port = (int)json_get_int(p, "hostPort", 0),
                };
        return s;
}

static struct runc_container *container_from(struct runc *r, struct arena *a, const struct json *j)
{
        struct runc_container *c = new0(struct runc_container);

        c->r = r;
        c->arena = a;
        c->refs = 1;
        list_init(&c->exit_waiters);
        c->id = json_get_string(j, "id");
        c->bundle = arena_printf(a, "%s/containers/%s", r->o.root, c->id);
        c->sandbox_id = json_get_string(j, "sandboxID");
        c->name = json_get_string(j, "name");
        c->image = json_get_string(j, "image");
        c->image_id = json_get_string(j, "imageID");
        c->log_path = json_get_string(j, "logPath");
        c->annotations = json_get_string(j, "annotations");
        c->cgroup = json_get_string(j, "cgroup");
        c->user = json_get_string(j, "user");
        c->reason = json_get_string(j, "reason");
        c->message = json_get_string(j, "message");
        c->attempt = (uint32_t)json_get_int(j, "attempt", 0);
        c->state = (enum runtime_container_state)json_get_int(j, "state", RUNTIME_CONTAINER_EXITED);
        c->created = json_get_int(j, "created", 0);
        c->started = json_get_int(j, "started", 0);
        c->finished = json_get_int(j, "finished", 0);
        c->exit_code = (int)json_get_int(j, "exitCode", 0);
        c->stop_signal = (int)json_get_int(j, "stopSignal", 15);
        c->pid = (pid_t)json_get_int(j, "pid", 0);
        c->pid_start = json_get_int(j, "pidStart", 0);
        c->conmon_pid = (pid_t)json_get_int(j, "conmonPID", 0);
        c->conmon_start = json_get_int(j, "conmonStart", 0);
        c->tty = json_get_bool(j, "tty", false);
        c->stdin = json_get_bool(j, "stdin", false);
        c->stdin_once = json_get_bool(j, "stdinOnce", false);
        c->mounted = json_get_bool(j, "mounted", false);
        return c;
}

static bool alive(pid_t pid, int64_t start)
{
        return pid > 0 && start > 0 && runc_process_start_time(pid) == start;
}

#define NSFS_MAGIC 0x6e736673

/* After a reboot the pins are plain files, or gone. */
static bool is_pinned(struct arena *a, const struct runc_sandbox *s)
{
        struct statfs fs;

        if (s->host_network)
                return s->host_ipc || (statfs(namespaces_path(a, s->r->o.run, "ipc", s->id), &fs) == 0 &&
                                       fs.f_type == NSFS_MAGIC);
        return statfs(namespaces_path(a, s->r->o.run, "net", s->id), &fs) == 0 && fs.f_type == NSFS_MAGIC;
}

static void adopt_sandbox(struct runc_sandbox *s, bool same_boot)
{
        if (s->ready && (!same_boot || !is_pinned(s->arena, s)))
                s->ready = false;
        if (s->share_pid && s->ready) {
                if (alive(s->pause_pid, s->pause_start))
                        runc_watch_pause(s);
                else
                        s->ready = false;
        }
        runc_save_sandbox(s, NULL);
}

static void note_pids(struct runc_container *c)
{
        _cleanup_free_ char *pid = NULL, *conmon = NULL;

        if (file_read(arena_printf(c->arena, "%s/pid", c->bundle), 32, &pid, NULL, NULL) == 0)
                c->pid = atoi(pid);
        if (file_read(arena_printf(c->arena, "%s/conmon.pid", c->bundle), 32, &conmon, NULL, NULL) == 0)
                c->conmon_pid = atoi(conmon);
        c->pid_start = runc_process_start_time(c->pid);
        c->conmon_start = runc_process_start_time(c->conmon_pid);
}

/* The kubelet died between asking for a container and hearing of it: either it runs by now, or it waits at its start
 * fifo, where nobody will ever open it. */
static void adopt_created(struct runc_container *c)
{
        if (!file_exists(arena_printf(c->arena, "%s/conmon.pid", c->bundle)) &&
            !cgroup_exists(&c->r->cgroups, c->cgroup))
                return;
        note_pids(c);
        if (c->pid_start > 0 &&
            !file_exists(arena_printf(c->arena, "%s/runc/%s/exec.fifo", c->r->o.run, c->id))) {
                c->state = RUNTIME_CONTAINER_RUNNING;
                c->started = time_real();
                runc_watch_container(c);
                return;
        }
        cgroup_kill(&c->r->cgroups, c->cgroup);
        runc_container_ended(c, 128, time_real(), "StartError", "the kubelet ended while the container was started");
}

static void adopt_container(struct runc_container *c, bool same_boot)
{
        if (c->state == RUNTIME_CONTAINER_CREATED && same_boot) {
                adopt_created(c);
        } else if (c->state == RUNTIME_CONTAINER_RUNNING) {
                if (runc_collect_exit(c))
                        return;
                if (same_boot && alive(c->pid, c->pid_start) && alive(c->conmon_pid, c->conmon_start)) {
                        runc_watch_container(c);
                        return;
                }
                if (same_boot)
                        cgroup_kill(&c->r->cgroups, c->cgroup);
                /* nobody saw how: in containerd's words */
                runc_container_ended(c, 255, time_real(), "Unknown", NULL);
        }
}

struct found {
        struct runc_sandbox *s;
        struct runc_container *c;
        bool same_boot;
        int64_t created;
};

static int by_creation(const void *x, const void *y)
{
        const struct found *a = x, *b = y;

        return a->created < b->created ? -1 : a->created > b->created;
}

/* Half-made folders hold nothing anybody knows of. */
static void discard(const char *dir)
{
        _cleanup_free_ char *rootfs = xasprintf("%s/rootfs", dir), *shm = xasprintf("%s/shm", dir);

        umount2(rootfs, MNT_DETACH);
        umount2(shm, MNT_DETACH);
        dir_remove(dir, NULL);
}

static void scan(struct runc *r, const char *kind, const char *file, struct found **ret, size_t *ret_n)
{
        _cleanup_free_ char *path = xasprintf("%s/%s", r->o.root, kind);
        struct found *list = NULL;
        size_t n = 0, cap = 0;
        DIR *dir = opendir(path);
        struct dirent *e;

        while (dir && (e = readdir(dir))) {
                if (e->d_name[0] == '.')
                        continue;
                struct arena *a = arena_new(0);
                char *sub = arena_printf(a, "%s/%s", path, e->d_name);
                struct json *j = load(a, arena_printf(a, "%s/%s", sub, file));
                if (!j || !streq(json_get_string(j, "id"), e->d_name)) {
                        discard(sub);
                        arena_free(a);
                        continue;
                }
                array_reserve(list, cap, n + 1);
                list[n] = (struct found){ .created = json_get_int(j, "created", 0),
                                          .same_boot = streq(json_get_string(j, "bootID"), r->boot_id) };
                if (streq(kind, "sandboxes"))
                        list[n].s = sandbox_from(r, a, j);
                else
                        list[n].c = container_from(r, a, j);
                n++;
        }
        if (dir)
                closedir(dir);
        if (n)
                qsort(list, n, sizeof(*list), by_creation);
        *ret = list;
        *ret_n = n;
}

int runc_adopt(struct runc *r, struct error *reterr)
{
        _cleanup_free_ struct found *sandboxes = NULL, *containers = NULL;
        size_t n_sandboxes, n_containers;

        scan(r, "sandboxes", "sandbox.json", &sandboxes, &n_sandboxes);
        scan(r, "containers", "container.json", &containers, &n_containers);
        for (size_t i = 0; i < n_sandboxes; i++) {
                sandboxes[i].s->seq = r->next_seq++;
                map_put(&r->sandboxes, sandboxes[i].s->id, sandboxes[i].s);
                adopt_sandbox(sandboxes[i].s, sandboxes[i].same_boot);
        }
        for (size_t i = 0; i < n_containers; i++) {
                containers[i].c->seq = r->next_seq++;
                map_put(&r->containers, containers[i].c->id, containers[i].c);
                adopt_container(containers[i].c, containers[i].same_boot);
        }
        return 0;
}
