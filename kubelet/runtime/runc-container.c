/* One container's way: files and root file system, conmon and runc, its end, and its traces gone.
 *
 * What costs time is `runc create` (some 25 ms of a Go program). So nothing else of runc's command line is
 * used on the way: the start is one open of the fifo its init process waits at (that is all `runc start` does), the end comes from
 * conmon's exit file, and what `runc delete` would take away is taken away here.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "../../lib/base/encode.h"
#include "../../lib/base/file.h"
#include "../../lib/base/time.h"
#include "conmon.h"
#include "namespaces.h"
#include "oci.h"
#include "runc.h"

/* --- the root file system --- */

/* mount(2) takes one page of options. Many layers under a long path pass it; then they are named through the
 * descriptor of their folder. */
static int mount_overlay(struct arena *a, const struct image_details *image, const char *bundle, struct error *reterr)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        _cleanup_close_ int dir = -1;
        char *rootfs = arena_printf(a, "%s/rootfs", bundle);
        size_t total = 2 * strlen(bundle) + 64;

        for (size_t i = 0; i < image->n_layers; i++)
                total += strlen(image->layers[i]) + 1;
        if (total > 4000 && image->n_layers) {
                char *parent = arena_strdup(a, image->layers[0]);
                *strrchr(parent, '/') = '\0';
                dir = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
        }
        strbuf_puts(&b, "lowerdir=");
        for (size_t i = image->n_layers; i-- > 0;) {
                if (dir >= 0)
                        strbuf_printf(&b, "/proc/self/fd/%d%s", dir, strrchr(image->layers[i], '/'));
                else
                        strbuf_puts(&b, image->layers[i]);
                strbuf_putc(&b, i ? ':' : ',');
        }
        strbuf_printf(&b, "upperdir=%s/upper,workdir=%s/work", bundle, bundle);
        if (mount("overlay", rootfs, "overlay", 0, strbuf_str(&b)) < 0)
                return error_set(reterr, -errno, "failed to mount rootfs: overlay on %s: %s", rootfs, strerror(errno));
        return 0;
}

struct prepare {
        struct runc_container *c;
        struct runc_sandbox *s;
        const struct runtime_container_config *config;
        struct image_details image;
        struct json *localhost_seccomp, *host_devices;
        struct arena *arena;
        struct error *reterr;
        int result;
};

static int make_dirs(struct prepare *p)
{
        static const char *const subs[] = { "upper", "work", "rootfs" };
        char *logs = arena_strdup(p->arena, p->c->log_path);
        int r = dir_make(p->c->bundle, 0711, p->reterr);

        for (size_t i = 0; !r && i < ARRAY_SIZE(subs); i++)
                r = dir_make(arena_printf(p->arena, "%s/%s", p->c->bundle, subs[i]), 0755, p->reterr);
        if (!r) {
                *strrchr(logs, '/') = '\0';
                r = dir_make(logs, 0755, p->reterr);
        }
        return r;
}

static int resolve_identity(struct prepare *p, struct passwd_identity *ret)
{
        const struct runtime_security *s = &p->config->security;
        char *root = arena_printf(p->arena, "%s/rootfs", p->c->bundle);
        struct passwd_request q = {
                .image_user = json_get_string(p->image.config, "User"),
                .user = s->run_as_user,
                .group = s->run_as_group,
                .groups = s->supplemental_groups,
                .n_groups = s->n_supplemental_groups,
                .strict = s->groups_strict,
        };

        return passwd_resolve(p->arena, &q, passwd_read(p->arena, root, "/etc/passwd"),
                              passwd_read(p->arena, root, "/etc/group"), ret, p->reterr);
}

static int write_json(struct prepare *p, const char *name, const struct json *j)
{
        struct strbuf b = STRBUF_INIT;
        int r;

        json_write(&b, j);
        r = runc_write_file(arena_printf(p->arena, "%s/%s", p->c->bundle, name), strbuf_str(&b), b.len, 0600,
                            p->reterr);
        strbuf_deinit(&b);
        return r;
}

/* A container may get a directory as working directory that its image lacks: it is made, as engines do. */
static void make_cwd(struct prepare *p, const struct json *config)
{
        const char *cwd = json_path_string(config, "process.cwd");
        char *full = arena_printf(p->arena, "%s/rootfs", p->c->bundle);
        int dir = open(full, O_PATH | O_DIRECTORY | O_CLOEXEC);

        for (const char *q = cwd; dir >= 0 && q && *q;) {
                size_t len = strcspn(q, "/");
                char *part = arena_strndup(p->arena, q, len);
                if (len && !streq(part, ".") && !streq(part, "..")) {
                        int next;
                        if (mkdirat(dir, part, 0755) < 0 && errno != EEXIST)
                                break;
                        /* A link in the path: the image has its own idea, leave it. */
                        next = openat(dir, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                        close(dir);
                        dir = next;
                }
                q += len + (q[len] == '/');
        }
        if (dir >= 0)
                close(dir);
}

static int write_config(struct prepare *p)
{
        struct runc_container *c = p->c;
        struct runc_sandbox *s = p->s;
        struct runc *r = c->r;
        const char *dir = arena_printf(p->arena, "%s/sandboxes/%s", r->o.root, s->id);
        struct passwd_identity identity;
        struct json *config;
        int result = resolve_identity(p, &identity);

        if (result < 0)
                return result;
        struct oci_input in = {
                .container = p->config,
                .image_config = p->image.config,
                .identity = &identity,
                .rootfs = arena_printf(p->arena, "%s/rootfs", c->bundle),
                .hostname = s->hostname,
                .cgroup = c->cgroup,
                .cgroup_v2 = r->cgroups.v2,
                .own_pid_namespace = !s->host_pid,
                .pid_path = s->share_pid ? namespaces_path(p->arena, r->o.run, "pid", s->id) : NULL,
                .net_path = s->host_network ? NULL : namespaces_path(p->arena, r->o.run, "net", s->id),
                .ipc_path = s->host_ipc ? NULL : namespaces_path(p->arena, r->o.run, "ipc", s->id),
                .uts_path = s->host_network ? NULL : namespaces_path(p->arena, r->o.run, "uts", s->id),
                .host_network = s->host_network,
                .host_pid = s->host_pid,
                .shm_path = s->host_ipc ? "/dev/shm" : arena_printf(p->arena, "%s/shm", dir),
                .hosts_path = arena_printf(p->arena, "%s/hosts", dir),
                .resolv_path = arena_printf(p->arena, "%s/resolv.conf", dir),
                .hostname_path = arena_printf(p->arena, "%s/hostname", dir),
                .capabilities = r->capabilities,
                .oom_score_adj = (int)MAX(p->config->resources.oom_score_adj, r->least_oom_score_adj),
                .localhost_seccomp = p->localhost_seccomp,
                .host_devices = p->host_devices,
        };
        c->user = arena_printf(c->arena, "%u", identity.uid);
        result = oci_config(p->arena, &in, &config, p->reterr);
        if (!result)
                make_cwd(p, config);
        if (!result)
                result = write_json(p, "config.json", config);
        if (!result)
                result = write_json(p, "process.json", json_get(config, "process"));
        return result;
}

/* In a worker thread: the disk may be slow. */
static void prepare_job(void *userdata)
{
        struct prepare *p = userdata;

        p->result = make_dirs(p);
        if (!p->result)
                p->result = mount_overlay(p->arena, &p->image, p->c->bundle, p->reterr);
        if (p->result)
                return;
        p->c->mounted = true;
        p->result = write_config(p);
}

/* --- creating --- */

static int load_localhost_seccomp(struct arena *a, const char *path, struct json **ret, struct error *reterr)
{
        _cleanup_free_ char *text = NULL;
        size_t len;
        int r = file_read(path, 0, &text, &len, reterr);

        if (r < 0)
                return error_set(reterr, r, "failed to generate security options: cannot load seccomp profile \"%s\": %s",
                                 path, strerror(-r));
        r = json_parse(a, text, len, NULL, ret, reterr);
        return r < 0 ? (error_wrap(reterr, r, "cannot load seccomp profile \"%s\"", path), r) : 0;
}

static void add_device(struct arena *a, struct json *list, const char *path)
{
        struct json *d;
        struct stat st;

        if (lstat(path, &st) < 0 || (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode)))
                return;
        d = json_new_object(a);
        json_set_string(a, d, "path", path);
        json_set_string(a, d, "type", S_ISCHR(st.st_mode) ? "c" : "b");
        json_set_int(a, d, "major", major(st.st_rdev));
        json_set_int(a, d, "minor", minor(st.st_rdev));
        json_set_int(a, d, "fileMode", st.st_mode & 0777);
        json_set_int(a, d, "uid", st.st_uid);
        json_set_int(a, d, "gid", st.st_gid);
        json_append(a, list, d);
}

/* A privileged container sees the machine's devices; terminals and shared memory stay its own. */
static void list_devices(struct arena *a, struct json *list, const char *path)
{
        static const char *const skipped[] = { "pts", "shm", "fd", "mqueue", "console", ".udev", "lxd", "ptmx" };
        DIR *dir = opendir(path);
        struct dirent *e;

        while (dir && (e = readdir(dir))) {
                char *child = arena_printf(a, "%s/%s", path, e->d_name);
                bool skip = e->d_name[0] == '.';
                for (size_t i = 0; i < ARRAY_SIZE(skipped); i++)
                        skip |= streq(e->d_name, skipped[i]);
                if (skip)
                        continue;
                if (e->d_type == DT_DIR)
                        list_devices(a, list, child);
                else
                        add_device(a, list, child);
        }
        if (dir)
                closedir(dir);
}

static struct runc_container *container_new(struct runc *r, struct runc_sandbox *s,
                                            const struct runtime_container_config *c)
{
        struct runc_container *n = new0(struct runc_container);
        struct arena *a = arena_new(1024);

        n->r = r;
        n->arena = a;
        n->refs = 1;
        list_init(&n->exit_waiters);
        n->seq = r->next_seq++;
        n->id = random_id(a);
        n->sandbox_id = arena_strdup(a, s->id);
        n->name = arena_strdup(a, c->name);
        n->image = arena_strdup(a, c->image);
        n->image_id = arena_strdup(a, c->image_id);
        n->annotations = arena_strdup(a, c->annotations);
        n->bundle = arena_printf(a, "%s/containers/%s", r->o.root, n->id);
        n->cgroup = arena_printf(a, "%s/%s", s->cgroup, n->id);
        n->log_path = arena_printf(a, "%s/%s", s->log_directory, c->log_path);
        n->attempt = c->attempt;
        n->state = RUNTIME_CONTAINER_CREATED;
        n->created = time_real();
        n->tty = c->tty;
        n->stdin = c->stdin;
        n->stdin_once = c->stdin_once;
        n->resources = c->resources;
        n->stop_signal = c->stop_signal;
        return n;
}

/* "SIGQUIT", "QUIT", "3". */
static int parse_signal(const char *s)
{
        static const struct {
                const char *name;
                int number;
        } names[] = {
                { "HUP", SIGHUP },   { "INT", SIGINT },   { "QUIT", SIGQUIT },   { "KILL", SIGKILL },
                { "USR1", SIGUSR1 }, { "USR2", SIGUSR2 }, { "TERM", SIGTERM },   { "CONT", SIGCONT },
                { "STOP", SIGSTOP }, { "ABRT", SIGABRT }, { "WINCH", SIGWINCH }, { "PWR", SIGPWR },
        };
        int rt;

        if (str_empty(s))
                return SIGTERM;
        if (*s >= '0' && *s <= '9')
                return atoi(s) > 0 && atoi(s) < NSIG ? atoi(s) : SIGTERM;
        if (str_has_prefix(s, "SIG"))
                s += 3;
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (streq(s, names[i].name))
                        return names[i].number;
        if (sscanf(s, "RTMIN+%d", &rt) == 1 && rt >= 0 && SIGRTMIN + rt <= SIGRTMAX)
                return SIGRTMIN + rt;
        return SIGTERM;
}

static void release_rootfs(struct runc_container *c)
{
        if (c->mounted)
                umount2(arena_printf(c->arena, "%s/rootfs", c->bundle), MNT_DETACH);
        c->mounted = false;
}

int runc_create_container(struct runtime *rt, const char *sandbox_id, const struct runtime_container_config *config,
                          struct arena *a, const char **ret_id, struct error *reterr)
{
        struct runc *r = runc_of(rt);
        _cleanup_arena_ struct arena *work = arena_new(64 << 10);
        struct prepare p = { .config = config, .arena = work, .reterr = reterr };
        int result;

        p.s = runc_sandbox_get(r, sandbox_id);
        if (!p.s)
                return error_set(reterr, RUNTIME_NOT_FOUND, "failed to find sandbox id \"%s\": not found", sandbox_id);
        result = image_store_get(r->images, config->image_id, work, &p.image, reterr);
        if (!result && config->security.seccomp == RUNTIME_SECCOMP_LOCALHOST && !config->security.privileged)
                result = load_localhost_seccomp(work, config->security.seccomp_path, &p.localhost_seccomp, reterr);
        if (!result) {
                if (config->security.privileged)
                        list_devices(work, p.host_devices = json_new_array(work), "/dev");
                p.c = container_new(r, p.s, config);
                if (!p.c->stop_signal)
                        p.c->stop_signal = parse_signal(json_get_string(p.image.config, "StopSignal"));
                map_put(&r->containers, p.c->id, p.c); /* from here on its image is in use */
                fiber_work(rt->loop, prepare_job, &p);
                result = p.result ? p.result : runc_save_container(p.c, reterr);
                if (result) {
                        p.c->removed = true;
                        map_del(&r->containers, p.c->id);
                        release_rootfs(p.c);
                        dir_remove(p.c->bundle, NULL);
                        runc_container_unref(p.c);
                } else {
                        *ret_id = arena_strdup(a, p.c->id);
                }
        }
        runc_sandbox_unref(p.s);
        return result;
}

/* --- starting --- */

/* runc's init waits for someone to open the fifo for reading, writes one byte, and becomes the program. */
static int open_start_fifo(struct runc_container *c, struct error *reterr)
{
        char *path = arena_printf(c->arena, "%s/runc/%s/exec.fifo", c->r->o.run, c->id);
        _cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        char byte;

        if (fd < 0)
                return error_set(reterr, -errno, "cannot start container: %s: %s", path, strerror(errno));
        for (ssize_t n; (n = read(fd, &byte, 1)) <= 0;) {
                if (n < 0 && errno != EAGAIN)
                        return error_set(reterr, -errno, "cannot start container: %s", strerror(errno));
                if (runc_process_start_time(c->pid) < 0)
                        return error_set(reterr, -ESRCH, "cannot start a container that has stopped");
                if (n < 0)
                        wait_fd(c->r->base.loop, fd, EPOLLIN, NS_PER_SEC);
                else
                        fiber_sleep(NS_PER_MS); /* it has not come to the fifo yet */
        }
        unlink(path);
        return 0;
}

/* The words that follow are containerd's, down to ": unknown": users and their tools know them. */
static int start_failed(struct runc_container *c, struct error *reterr)
{
        const char *text = error_text(reterr);
        char *full;

        full = arena_printf(c->arena,
                            "failed to create containerd task: failed to create shim task: OCI runtime create failed: "
                            "%s: unknown", text);
        cgroup_kill(&c->r->cgroups, c->cgroup);
        runc_container_ended(c, 128, time_real(), "StartError", full);
        return error_set(reterr, RUNTIME_START_FAILED, "%s", full);
}

static int start_locked(struct runc_container *c, struct error *reterr)
{
        struct runc *r = c->r;
        struct error own = ERROR_INIT, *err = reterr ? reterr : &own;
        char *exits = arena_printf(c->arena, "%s/exits", r->o.run), *root = arena_printf(c->arena, "%s/runc", r->o.run);
        struct conmon_start cs = {
                .runc_path = r->runc_path, .runc_root = root, .id = c->id, .name = c->name, .bundle = c->bundle,
                .log_path = c->log_path, .exit_dir = exits, .tty = c->tty, .stdin = c->stdin,
                .stdin_once = c->stdin_once,
        };
        int result;

        if (c->state != RUNTIME_CONTAINER_CREATED)
                return error_set(reterr, -EINVAL, "container \"%s\" is not in created state", c->id);
        /* In a burst of pods more of them at once would only take turns on the processors. */
        turnstile_enter(&r->heavy);
        result = conmon_start(r->base.loop, &cs, &c->pid, &c->conmon_pid, err);
        turnstile_leave(&r->heavy);
        if (!result) {
                c->pid_start = runc_process_start_time(c->pid);
                c->conmon_start = runc_process_start_time(c->conmon_pid);
                result = open_start_fifo(c, err);
        }
        if (result < 0) {
                result = start_failed(c, err);
                error_deinit(&own);
                return result;
        }
        c->state = RUNTIME_CONTAINER_RUNNING;
        c->started = time_real();
        runc_save_container(c, NULL);
        runc_watch_container(c);
        error_deinit(&own);
        return 0;
}

int runc_start_container(struct runtime *rt, const char *id, struct error *reterr)
{
        struct runc_container *c = runc_container_get(runc_of(rt), id);
        int result;

        if (!c)
                return error_set(reterr, RUNTIME_NOT_FOUND, "container \"%s\" not found", id);
        fiber_mutex_lock(&c->lock);
        result = c->removed ? error_set(reterr, RUNTIME_NOT_FOUND, "container \"%s\" not found", id)
                            : start_locked(c, reterr);
        fiber_mutex_unlock(&c->lock);
        runc_container_unref(c);
        return result;
}

/* --- the end --- */

struct exit_waiter {
        struct list link;
        struct fiber *fiber;
        bool woken;
};

static void wake_waiter(struct exit_waiter *w)
{
        if (!w->woken)
                fiber_wake(w->fiber);
        w->woken = true;
}

static void on_wait_timeout(struct loop_timer *timer, void *userdata)
{
        wake_waiter(userdata);
}

static bool is_live(const struct runc_container *c)
{
        return c->state == RUNTIME_CONTAINER_RUNNING;
}

static void wait_for_exit(struct runc_container *c, int64_t timeout_ns)
{
        struct exit_waiter w = { .fiber = fiber_self() };
        struct loop_timer *timer;

        if (!is_live(c))
                return;
        timer = loop_timer_new(c->r->base.loop, on_wait_timeout, &w);
        loop_timer_arm(timer, timeout_ns);
        list_push_back(&c->exit_waiters, &w.link);
        while (!w.woken)
                fiber_park();
        list_remove(&w.link);
        loop_timer_free(timer);
}

/* Takes away what `runc delete` would: its state and the cgroup. */
void runc_release(struct runc_container *c)
{
        cgroup_kill(&c->r->cgroups, c->cgroup);
        dir_remove(arena_printf(c->arena, "%s/runc/%s", c->r->o.run, c->id), NULL);
        /* Killed processes leave their group a moment later. */
        for (int i = 0; i < 50 && cgroup_remove(&c->r->cgroups, c->cgroup, NULL) == -EBUSY; i++)
                fiber_self() ? fiber_sleep(2 * NS_PER_MS) : (void)usleep(2000);
        release_rootfs(c);
}

static void release_fiber(void *userdata)
{
        struct runc_container *c = userdata;

        fiber_mutex_lock(&c->lock);
        if (!c->removed) {
                runc_release(c);
                runc_save_container(c, NULL);
        }
        fiber_mutex_unlock(&c->lock);
        runc_container_unref(c);
}

static void start_release(void *userdata)
{
        struct runc_container *c = userdata;

        fiber_start(c->r->base.loop, release_fiber, c);
}

void runc_container_ended(struct runc_container *c, int exit_code, int64_t finished, const char *reason,
                          const char *message)
{
        bool oom = cgroup_oom_kills(&c->r->cgroups, c->cgroup) > 0;

        if (c->state == RUNTIME_CONTAINER_EXITED)
                return;
        if (!reason)
                reason = oom ? "OOMKilled" : exit_code ? "Error" : "Completed";
        c->state = RUNTIME_CONTAINER_EXITED;
        c->exit_code = exit_code;
        c->finished = finished;
        c->reason = arena_strdup(c->arena, reason);
        c->message = arena_strdup(c->arena, message);
        c->pid = c->conmon_pid = 0;
        process_free(c->init);
        process_free(c->conmon);
        c->init = c->conmon = NULL;
        runc_save_container(c, NULL);
        unlink(arena_printf(c->arena, "%s/exits/%s", c->r->o.run, c->id));
        list_foreach(&c->exit_waiters, l)
                wake_waiter(list_entry(l, struct exit_waiter, link));
        runc_emit(c->r, RUNTIME_EVENT_EXITED, c->sandbox_id, c->id);
        c->refs++;
        loop_defer(c->r->base.loop, start_release, c);
}

bool runc_collect_exit(struct runc_container *c)
{
        char *path = arena_printf(c->arena, "%s/exits/%s", c->r->o.run, c->id);
        _cleanup_free_ char *text = NULL;
        struct stat st;

        if (file_read(path, 64, &text, NULL, NULL) < 0 || !*text || stat(path, &st) < 0)
                return false;
        runc_container_ended(c, atoi(text), st.st_mtim.tv_sec * NS_PER_SEC + st.st_mtim.tv_nsec, NULL, NULL);
        return true;
}

/* conmon writes the exit file before it ends; without one it was killed, and with it went the exit code. */
static void on_conmon_gone(struct process *p, int status, void *userdata)
{
        struct runc_container *c = userdata;

        if (!is_live(c) || runc_collect_exit(c))
                return;
        cgroup_kill(&c->r->cgroups, c->cgroup);
        runc_container_ended(c, 137, time_real(), "Error", "conmon was killed, and the container with it");
}

void runc_watch_container(struct runc_container *c)
{
        struct loop *loop = c->r->base.loop;

        /* The process' own end needs no callback: conmon tells. The descriptor is for signals, which so never
         * reach another process of the same number. */
        if (process_watch(loop, c->pid, NULL, NULL, &c->init) < 0)
                c->init = NULL;
        if (runc_collect_exit(c))
                return;
        if (process_watch(loop, c->conmon_pid, on_conmon_gone, c, &c->conmon) < 0)
                on_conmon_gone(NULL, -1, c);
}

int runc_signal_container(struct runtime *rt, const char *id, int signo, struct error *reterr)
{
        struct runc_container *c = runc_container_get(runc_of(rt), id);
        int r = 0;

        if (!c)
                return error_set(reterr, RUNTIME_NOT_FOUND, "container \"%s\" not found", id);
        if (!is_live(c))
                r = RUNTIME_NOT_RUNNING;
        else if (c->init)
                r = process_kill(c->init, signo);
        runc_container_unref(c);
        return r < 0 && r != -ESRCH ? error_set(reterr, r, "cannot signal the container: %s", strerror(-r))
                                    : r == -ESRCH ? 0 : r;
}

/* Kills all, until conmon has told the end. */
static void kill_and_wait(struct runc_container *c)
{
        for (int i = 0; i < 10 && is_live(c); i++) {
                if (c->init)
                        process_kill(c->init, SIGKILL);
                cgroup_kill(&c->r->cgroups, c->cgroup);
                wait_for_exit(c, NS_PER_SEC * (i + 1));
        }
        if (is_live(c))
                runc_container_ended(c, 137, time_real(), "Error", NULL);
}

int runc_stop_container(struct runtime *rt, const char *id, int64_t grace_ns, struct error *reterr)
{
        struct runc_container *c = runc_container_get(runc_of(rt), id);

        if (!c)
                return 0;
        fiber_mutex_lock(&c->lock); /* a start that goes on ends first */
        fiber_mutex_unlock(&c->lock);
        if (is_live(c) && grace_ns > 0) {
                if (c->init)
                        process_kill(c->init, c->stop_signal);
                wait_for_exit(c, grace_ns);
        }
        kill_and_wait(c);
        runc_container_unref(c);
        return 0;
}

/* --- removal --- */

static void remove_logs(const struct runc_container *c)
{
        char *dir = xstrdup(c->log_path), *slash = strrchr(dir, '/'), *name = slash + 1;
        DIR *d;
        struct dirent *e;

        *slash = '\0';
        d = opendir(dir);
        while (d && (e = readdir(d)))
                if (str_has_prefix(e->d_name, name) && (!e->d_name[strlen(name)] || e->d_name[strlen(name)] == '.'))
                        unlinkat(dirfd(d), e->d_name, 0);
        if (d)
                closedir(d);
        rmdir(dir); /* of the container's name; not while logs of its other attempts are there */
        free(dir);
}

struct remove_job {
        struct runc_container *c;
        struct error *reterr;
        int result;
};

static void remove_job(void *userdata)
{
        struct remove_job *job = userdata;

        remove_logs(job->c);
        job->result = dir_remove(job->c->bundle, job->reterr);
}

int runc_remove_container(struct runtime *rt, const char *id, struct error *reterr)
{
        struct runc_container *c = runc_container_get(runc_of(rt), id);
        struct remove_job job = { .c = c, .reterr = reterr };

        if (!c)
                return 0;
        runc_stop_container(rt, id, 0, NULL);
        fiber_mutex_lock(&c->lock);
        if (!c->removed) {
                runc_release(c);
                fiber_work(rt->loop, remove_job, &job);
                if (!job.result) {
                        c->removed = true;
                        map_del(&c->r->containers, c->id);
                        c->refs--;
                }
        }
        fiber_mutex_unlock(&c->lock);
        runc_container_unref(c);
        return job.result;
}

/* --- logs --- */

/* 0.log -> 0.log.1 -> 0.log.2 ...; the oldest goes. */
static void rotate(struct runc_container *c, int keep)
{
        _cleanup_free_ char *from = NULL, *to = NULL;

        for (int i = keep - 1; i >= 1; i--) {
                free(from);
                free(to);
                from = i > 1 ? xasprintf("%s.%d", c->log_path, i - 1) : xstrdup(c->log_path);
                to = xasprintf("%s.%d", c->log_path, i);
                if (rename(from, to) < 0 && i == 1)
                        return;
        }
        conmon_reopen_log(c->bundle, NULL);
}

void runc_rotate_logs(struct runc *r)
{
        struct map_entry *e;

        map_foreach(&r->containers, e) {
                struct runc_container *c = e->value;
                struct stat st;
                if (is_live(c) && stat(c->log_path, &st) == 0 && st.st_size > r->o.log_max_size)
                        rotate(c, r->o.log_max_files);
        }
}
