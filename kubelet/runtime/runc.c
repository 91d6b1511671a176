/* The runc runtime: its table of operations, and what it holds together.
 *
 * It follows exits through one inotify descriptor on the folder where conmon puts exit codes, and looks at log
 * sizes every ten seconds, as upstream does, while there are containers.
 */
#include "runc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "../../lib/base/encode.h"
#include "../../lib/base/file.h"
#include "../../lib/base/time.h"
#include "fake.h"
#include "namespaces.h"

/* --- objects --- */

struct runc_sandbox *runc_sandbox_get(struct runc *r, const char *id)
{
        struct runc_sandbox *s = id ? map_get(&r->sandboxes, id) : NULL;

        if (s)
                s->refs++;
        return s;
}

struct runc_container *runc_container_get(struct runc *r, const char *id)
{
        struct runc_container *c = id ? map_get(&r->containers, id) : NULL;

        if (c)
                c->refs++;
        return c;
}

void runc_sandbox_unref(struct runc_sandbox *s)
{
        if (!s || --s->refs > 0)
                return;
        process_free(s->pause);
        free(s->lock.waiters);
        arena_free(s->arena);
        free(s);
}

void runc_container_unref(struct runc_container *c)
{
        if (!c || --c->refs > 0)
                return;
        process_free(c->init);
        process_free(c->conmon);
        free(c->lock.waiters);
        arena_free(c->arena);
        free(c);
}

void runc_emit(struct runc *r, enum runtime_event_type type, const char *sandbox_id, const char *container_id)
{
        const struct runc_sandbox *s = map_get(&r->sandboxes, sandbox_id);
        struct runtime_event e = { .type = type, .sandbox_id = sandbox_id, .container_id = container_id,
                                   .pod_uid = s ? s->pod_uid : NULL };

        if (r->base.on_event)
                r->base.on_event(&e, r->base.event_userdata);
}

int runc_write_file(const char *path, const char *data, size_t len, int mode, struct error *reterr)
{
        _cleanup_free_ char *tmp = xasprintf("%s.new", path);
        int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode), r = 0;

        if (fd < 0)
                return error_set(reterr, -errno, "cannot create %s: %s", tmp, strerror(errno));
        if (write(fd, data, len) != (ssize_t)len)
                r = errno ? -errno : -EIO;
        close(fd);
        if (!r && rename(tmp, path) < 0)
                r = -errno;
        if (r < 0) {
                unlink(tmp);
                return error_set(reterr, r, "cannot write %s: %s", path, strerror(-r));
        }
        return 0;
}

/* --- asking --- */

static void describe_sandbox(const struct runc_sandbox *s, struct arena *a, struct runtime_sandbox *ret)
{
        *ret = (struct runtime_sandbox){
                .id = arena_strdup(a, s->id),
                .pod_name = arena_strdup(a, s->pod_name),
                .pod_namespace = arena_strdup(a, s->pod_namespace),
                .pod_uid = arena_strdup(a, s->pod_uid),
                .annotations = arena_strdup(a, s->annotations),
                .attempt = s->attempt,
                .ready = s->ready,
                .created = s->created,
                .host_network = s->host_network,
                .netns = s->host_network ? NULL : namespaces_path(a, s->r->o.run, "net", s->id),
                .ips = arena_calloc(a, (s->n_ips + 1) * sizeof(*ret->ips)),
                .n_ips = s->n_ips,
        };
        for (size_t i = 0; i < s->n_ips; i++)
                ret->ips[i] = arena_strdup(a, s->ips[i]);
}

static void describe_container(const struct runc_container *c, struct arena *a, struct runtime_container *ret)
{
        *ret = (struct runtime_container){
                .id = arena_strdup(a, c->id),
                .sandbox_id = arena_strdup(a, c->sandbox_id),
                .name = arena_strdup(a, c->name),
                .image = arena_strdup(a, c->image),
                .image_id = arena_strdup(a, c->image_id),
                .log_path = arena_strdup(a, c->log_path),
                .annotations = arena_strdup(a, c->annotations),
                .attempt = c->attempt,
                .state = c->state,
                .created = c->created,
                .started = c->started,
                .finished = c->finished,
                .exit_code = c->exit_code,
                .reason = arena_strdup(a, c->reason),
                .message = arena_strdup(a, c->message),
                .pid = c->pid,
                .user = arena_strdup(a, c->user),
        };
}

static int sandbox_status(struct runtime *rt, const char *id, struct arena *a, struct runtime_sandbox *ret,
                          struct error *reterr)
{
        const struct runc_sandbox *s = map_get(&runc_of(rt)->sandboxes, id);

        if (!s)
                return error_set(reterr, RUNTIME_NOT_FOUND, "sandbox \"%s\" not found", id);
        describe_sandbox(s, a, ret);
        return 0;
}

static int container_status(struct runtime *rt, const char *id, struct arena *a, struct runtime_container *ret,
                            struct error *reterr)
{
        const struct runc_container *c = map_get(&runc_of(rt)->containers, id);

        if (!c)
                return error_set(reterr, RUNTIME_NOT_FOUND, "container \"%s\" not found", id);
        describe_container(c, a, ret);
        return 0;
}

static int sandbox_order(const void *x, const void *y)
{
        const struct runc_sandbox *a = *(void *const *)x, *b = *(void *const *)y;

        return a->seq < b->seq ? -1 : a->seq > b->seq;
}

static int container_order(const void *x, const void *y)
{
        const struct runc_container *a = *(void *const *)x, *b = *(void *const *)y;

        return a->seq < b->seq ? -1 : a->seq > b->seq;
}

/* The values of a map in order of creation. */
static void **sorted(struct arena *a, const struct map *m, int (*order)(const void *, const void *))
{
        void **list = arena_alloc(a, (m->n + 1) * sizeof(*list));
        struct map_entry *e;
        size_t n = 0;

        map_foreach(m, e)
                list[n++] = e->value;
        if (n)
                qsort(list, n, sizeof(*list), order);
        list[n] = NULL;
        return list;
}

static int list_sandboxes(struct runtime *rt, struct arena *a, struct runtime_sandbox **ret, size_t *ret_n,
                          struct error *reterr)
{
        const struct runc *r = runc_of(rt);
        void **all = sorted(a, &r->sandboxes, sandbox_order);
        struct runtime_sandbox *list = arena_calloc(a, (r->sandboxes.n + 1) * sizeof(*list));
        size_t n = 0;

        for (; all[n]; n++)
                describe_sandbox(all[n], a, &list[n]);
        *ret = list;
        *ret_n = n;
        return 0;
}

static int list_containers(struct runtime *rt, const char *sandbox_id, struct arena *a, struct runtime_container **ret,
                           size_t *ret_n, struct error *reterr)
{
        const struct runc *r = runc_of(rt);
        void **all = sorted(a, &r->containers, container_order);
        struct runtime_container *list = arena_calloc(a, (r->containers.n + 1) * sizeof(*list));
        size_t n = 0;

        for (; *all; all++) {
                const struct runc_container *c = *all;
                if (!sandbox_id || streq(sandbox_id, c->sandbox_id))
                        describe_container(c, a, &list[n++]);
        }
        *ret = list;
        *ret_n = n;
        return 0;
}

static int update_container(struct runtime *rt, const char *id, const struct runtime_resources *res,
                            struct error *reterr)
{
        struct runc_container *c = map_get(&runc_of(rt)->containers, id);

        if (!c)
                return error_set(reterr, RUNTIME_NOT_FOUND, "container \"%s\" not found", id);
        return cgroup_set(&runc_of(rt)->cgroups, c->cgroup, res, reterr);
}

static int container_resources(struct runtime *rt, const char *id, struct runtime_resources *ret, struct error *reterr)
{
        const struct runc_container *c = map_get(&runc_of(rt)->containers, id);

        if (!c)
                return error_set(reterr, RUNTIME_NOT_FOUND, "container \"%s\" not found", id);
        return cgroup_get(&runc_of(rt)->cgroups, c->cgroup, ret, reterr);
}

static int container_stats(struct runtime *rt, const char *id, struct runtime_stats *ret, struct error *reterr)
{
        const struct runc_container *c = map_get(&runc_of(rt)->containers, id);

        if (!c)
                return error_set(reterr, RUNTIME_NOT_FOUND, "container \"%s\" not found", id);
        return cgroup_stats(&runc_of(rt)->cgroups, c->cgroup, ret, reterr);
}

static int sandbox_stats(struct runtime *rt, const char *id, struct runtime_stats *ret, struct error *reterr)
{
        const struct runc_sandbox *s = map_get(&runc_of(rt)->sandboxes, id);

        if (!s)
                return error_set(reterr, RUNTIME_NOT_FOUND, "sandbox \"%s\" not found", id);
        return cgroup_stats(&runc_of(rt)->cgroups, s->cgroup, ret, reterr);
}

static int port_forward(struct runtime *rt, const char *sandbox_id, int port, int *ret_fd, struct error *reterr)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        const struct runc_sandbox *s = map_get(&runc_of(rt)->sandboxes, sandbox_id);

        if (!s)
                return error_set(reterr, RUNTIME_NOT_FOUND, "sandbox \"%s\" not found", sandbox_id);
        return namespaces_connect(rt->loop,
                                  s->host_network ? NULL : namespaces_path(a, s->r->o.run, "net", s->id), port,
                                  ret_fd, reterr);
}

/* --- images: the store, with what is in use --- */

static int image_status(struct runtime *rt, const char *ref, struct arena *a, struct runtime_image *ret,
                        struct error *reterr)
{
        struct image_details d;
        int r = image_store_get(runc_of(rt)->images, ref, a, &d, reterr);

        if (!r)
                *ret = d.image;
        return r;
}

static int image_pull(struct runtime *rt, const char *ref, const char *const *secrets, struct arena *a,
                      struct runtime_image *ret, struct error *reterr)
{
        return image_store_pull(runc_of(rt)->images, ref, secrets, a, ret, reterr);
}

static int image_list(struct runtime *rt, struct arena *a, struct runtime_image **ret, size_t *ret_n,
                      struct error *reterr)
{
        return image_store_list(runc_of(rt)->images, a, ret, ret_n, reterr);
}

static bool image_in_use(const char *image_id, void *userdata)
{
        const struct runc *r = userdata;
        struct map_entry *e;

        map_foreach(&r->containers, e)
                if (streq(((struct runc_container *)e->value)->image_id, image_id))
                        return true;
        return false;
}

static int image_remove(struct runtime *rt, const char *ref, struct error *reterr)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct image_details d;
        int r = image_store_get(runc_of(rt)->images, ref, a, &d, reterr);

        if (r)
                return r;
        if (image_in_use(d.image.id, runc_of(rt)))
                return error_set(reterr, -EBUSY, "image %s is in use by a container", ref);
        return image_store_remove(runc_of(rt)->images, ref, reterr);
}

static int image_gc(struct runtime *rt, int high, int low, int64_t *ret_freed, struct error *reterr)
{
        return image_store_gc(runc_of(rt)->images, high, low, image_in_use, runc_of(rt), ret_freed, reterr);
}

static int disk_usage(struct runtime *rt, int64_t *ret_used, int64_t *ret_capacity, struct error *reterr)
{
        return image_store_disk(runc_of(rt)->images, ret_used, ret_capacity, reterr);
}

static int ready(struct runtime *rt, struct error *reterr)
{
        return network_ready(runc_of(rt)->network, reterr);
}

static void runc_free(struct runtime *rt)
{
        struct runc *r = runc_of(rt);
        struct map_entry *e;

        loop_fd_free(r->exits);
        loop_timer_free(r->log_timer);
        if (r->exits_fd >= 0)
                close(r->exits_fd);
        map_foreach(&r->containers, e)
                runc_container_unref(e->value);
        map_foreach(&r->sandboxes, e)
                runc_sandbox_unref(e->value);
        map_deinit(&r->containers);
        map_deinit(&r->sandboxes);
        runc_pool_free(r);
        network_free(r->network);
        image_store_free(r->images);
        arena_free(r->arena);
        free(r);
}

static const struct runtime_ops runc_ops = {
        .name = "runc",
        .run_sandbox = runc_run_sandbox,
        .stop_sandbox = runc_stop_sandbox,
        .remove_sandbox = runc_remove_sandbox,
        .sandbox_status = sandbox_status,
        .list_sandboxes = list_sandboxes,
        .update_sandbox = runc_update_sandbox,
        .create_container = runc_create_container,
        .start_container = runc_start_container,
        .stop_container = runc_stop_container,
        .signal_container = runc_signal_container,
        .remove_container = runc_remove_container,
        .container_status = container_status,
        .list_containers = list_containers,
        .update_container = update_container,
        .container_resources = container_resources,
        .container_stats = container_stats,
        .sandbox_stats = sandbox_stats,
        .exec_sync = runc_exec_sync,
        .exec_start = runc_exec_start,
        .exec_wait = runc_exec_wait,
        .attach = runc_attach,
        .stream_resize = runc_stream_resize,
        .stream_close = runc_stream_close,
        .port_forward = port_forward,
        .image_status = image_status,
        .image_pull = image_pull,
        .image_list = image_list,
        .image_remove = image_remove,
        .image_gc = image_gc,
        .disk_usage = disk_usage,
        .ready = ready,
        .free = runc_free,
};

/* --- making one --- */

static void on_exit_files(struct loop_fd *source, uint32_t events, void *userdata)
{
        struct runc *r = userdata;
        char buf[8192] __attribute__((aligned(__alignof__(struct inotify_event))));
        ssize_t n;

        while ((n = read(r->exits_fd, buf, sizeof(buf))) > 0)
                for (char *p = buf; p < buf + n;) {
                        const struct inotify_event *e = (const void *)p;
                        struct runc_container *c = e->len ? map_get(&r->containers, e->name) : NULL;
                        if (c && c->state == RUNTIME_CONTAINER_RUNNING)
                                runc_collect_exit(c);
                        p += sizeof(*e) + e->len;
                }
}

#define LOG_CHECK_NS (10 * NS_PER_SEC)

static void on_log_timer(struct loop_timer *timer, void *userdata)
{
        struct runc *r = userdata;

        runc_rotate_logs(r);
        loop_timer_arm_slack(timer, LOG_CHECK_NS, LOG_CHECK_NS / 2);
}

static void copy_options(struct runc *r, const struct runtime_options *o)
{
        struct arena *a = r->arena;
        struct runtime_registry_mirror *mirrors = arena_calloc(a, (o->n_mirrors + 1) * sizeof(*mirrors));

        r->o = *o;
        r->o.root = arena_strdup(a, o->root);
        r->o.run = arena_strdup(a, o->run);
        r->o.cgroup = arena_strdup(a, o->cgroup ? o->cgroup : "colibri");
        r->o.helpers = arena_strdup(a, o->helpers);
        for (size_t i = 0; i < o->n_mirrors; i++) {
                mirrors[i].registry = arena_strdup(a, o->mirrors[i].registry);
                mirrors[i].url = arena_strdup(a, o->mirrors[i].url);
        }
        r->o.mirrors = mirrors;
        r->o.log_max_size = o->log_max_size ? o->log_max_size : 10 << 20;
        r->o.log_max_files = o->log_max_files ? o->log_max_files : 5;
}

static uint64_t bounding_set(void)
{
        _cleanup_free_ char *text = NULL;
        const char *line;

        if (file_read("/proc/self/status", 0, &text, NULL, NULL) < 0)
                return UINT64_MAX;
        line = strstr(text, "CapBnd:");
        return line ? strtoull(line + strlen("CapBnd:"), NULL, 16) : UINT64_MAX;
}

#define CAP_SYS_RESOURCE_BIT 24

/* Without CAP_SYS_RESOURCE nobody may go below what they were given. */
static int least_oom_score_adj(uint64_t capabilities)
{
        _cleanup_free_ char *text = NULL;

        if (capabilities & (UINT64_C(1) << CAP_SYS_RESOURCE_BIT))
                return -1000;
        return file_read("/proc/self/oom_score_adj", 0, &text, NULL, NULL) < 0 ? 0 : atoi(text);
}

static void read_boot_id(struct runc *r)
{
        _cleanup_free_ char *text = NULL;

        if (file_read("/proc/sys/kernel/random/boot_id", 0, &text, NULL, NULL) == 0)
                snprintf(r->boot_id, sizeof(r->boot_id), "%.36s", text);
}

static char *find_program(struct arena *a, const char *name)
{
        const char *path = getenv("PATH");

        for (const char *p = path ? path : "/usr/sbin:/usr/bin:/sbin:/bin"; *p;) {
                size_t n = strcspn(p, ":");
                char *full = arena_printf(a, "%.*s/%s", (int)n, p, name);
                if (access(full, X_OK) == 0)
                        return full;
                p += n + (p[n] == ':');
        }
        return arena_printf(a, "/usr/sbin/%s", name);
}

static int watch_exits(struct runc *r, struct error *reterr)
{
        char *dir = arena_printf(r->arena, "%s/exits", r->o.run);
        int e = dir_make(dir, 0700, reterr);

        if (e < 0)
                return e;
        r->exits_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (r->exits_fd < 0 || inotify_add_watch(r->exits_fd, dir, IN_MOVED_TO | IN_CLOSE_WRITE) < 0)
                return error_set(reterr, -errno, "cannot watch %s: %s", dir, strerror(errno));
        r->exits = loop_fd_new(r->base.loop, r->exits_fd, EPOLLIN, on_exit_files, r);
        return 0;
}

static int open_parts(struct runc *r, const struct runtime_options *o, struct error *reterr)
{
        struct arena *a = r->arena;
        struct image_store_options images = {
                .dir = arena_printf(a, "%s/images", o->root),
                .mirrors = r->o.mirrors,
                .n_mirrors = o->n_mirrors,
                .insecure_registries = o->insecure_registries,
                .helpers = o->helpers,
        };
        struct network_options net = {
                .conf_dir = o->cni_conf_dir ? o->cni_conf_dir : arena_printf(a, "%s/cni", o->root),
                .bin_dirs = o->cni_bin_dirs ? o->cni_bin_dirs : "/opt/cni/bin:/usr/lib/cni",
                .state_dir = arena_printf(a, "%s/network", o->root),
                .bridge = o->bridge ? o->bridge : "colibri0",
                .pod_cidr = o->pod_cidr,
                .cluster_cidr = o->cluster_cidr,
                .mtu = o->mtu,
        };
        int e = image_store_open(r->base.loop, &images, &r->images, reterr);

        return e ? e : network_new(r->base.loop, &net, &r->network, reterr);
}

/* All pods together weigh what the machine's processors do, as upstream has it: with the weight of one process
 * their starts would starve on a busy machine. */
static int weigh_pods(struct runc *r, struct error *reterr)
{
        struct runtime_resources all = { .cpu_shares = 1024 * MAX(sysconf(_SC_NPROCESSORS_ONLN), 1L) };

        return cgroup_set(&r->cgroups, arena_printf(r->arena, "/%s", r->o.cgroup), &all, reterr);
}

int runtime_runc_new(struct loop *loop, const struct runtime_options *o, struct runtime **ret, struct error *reterr)
{
        static const char *const dirs[] = { "sandboxes", "containers" };
        struct runc *r = new0(struct runc);
        int e = 0;

        r->base.ops = &runc_ops;
        r->base.loop = loop;
        r->arena = arena_new(0);
        r->exits_fd = -1;
        r->heavy.max = 2 + (unsigned)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1L);
        list_init(&r->heavy.waiting);
        map_init(&r->sandboxes);
        map_init(&r->containers);
        copy_options(r, o);
        read_boot_id(r);
        r->runc_path = find_program(r->arena, "runc");
        r->capabilities = bounding_set();
        r->least_oom_score_adj = least_oom_score_adj(r->capabilities);
        for (size_t i = 0; !e && i < ARRAY_SIZE(dirs); i++)
                e = dir_make(arena_printf(r->arena, "%s/%s", o->root, dirs[i]), 0711, reterr);
        if (!e)
                e = cgroup_detect(&r->cgroups, reterr);
        if (!e)
                e = cgroup_make(&r->cgroups, arena_printf(r->arena, "/%s", r->o.cgroup), reterr);
        if (!e)
                e = weigh_pods(r, reterr);
        if (!e)
                e = open_parts(r, o, reterr);
        if (!e)
                e = watch_exits(r, reterr);
        if (!e)
                e = runc_adopt(r, reterr);
        if (e < 0) {
                runc_free(&r->base);
                return e;
        }
        r->log_timer = loop_timer_new(loop, on_log_timer, r);
        loop_timer_arm_slack(r->log_timer, LOG_CHECK_NS, LOG_CHECK_NS / 2);
        runc_pool_start(r);
        *ret = &r->base;
        return 0;
}

void runtime_set_pod_cidr(struct runtime *r, const char *pod_cidr)
{
        if (r->is_fake)
                fake_set_pod_cidr(r, pod_cidr);
        else
                network_set_pod_cidr(runc_of(r)->network, pod_cidr, NULL);
}
