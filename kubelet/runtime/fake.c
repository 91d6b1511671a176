/* The fake runtime: containers that run by declaration.
 *
 * It holds what a runtime would know and touches neither disk nor kernel: thousands of nodes fit on one
 * machine. Every image is there, every container runs until it is stopped, or as long as its pod's annotation says.
 */
#include "fake.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "../../lib/base/encode.h"
#include "../../lib/base/map.h"
#include "../../lib/base/time.h"

struct fake {
        struct runtime base;
        struct map sandboxes, containers;
        uint32_t network, next; /* addresses: network + next */
        uint32_t size;
        uint64_t seq;
};
struct fake_sandbox {
        struct arena *arena;
        uint64_t seq;
        struct runtime_sandbox s;
        int64_t run_for;
        int exit_code;
};
struct fake_container {
        struct fake *f;
        struct arena *arena;
        uint64_t seq;
        struct runtime_container c;
        struct runtime_resources resources;
        struct fake_sandbox *sandbox;
        struct loop_timer *timer;
};

static struct fake *fake_of(struct runtime *r)
{
        return container_of(r, struct fake, base);
}

void fake_set_pod_cidr(struct runtime *r, const char *pod_cidr)
{
        struct fake *f = fake_of(r);
        char net[64];
        int bits = 24;
        struct in_addr in;

        if (!pod_cidr || sscanf(pod_cidr, "%63[^/]/%d", net, &bits) < 1 || inet_pton(AF_INET, net, &in) != 1)
                return;
        f->network = ntohl(in.s_addr);
        f->size = bits >= 1 && bits <= 30 ? UINT32_C(1) << (32 - bits) : 256;
        if (f->next < 2)
                f->next = 2;
}

static int no_sandbox(const char *id, struct error *reterr)
{
        return error_set(reterr, RUNTIME_NOT_FOUND, "sandbox \"%s\" not found", id);
}

static int no_container(const char *id, struct error *reterr)
{
        return error_set(reterr, RUNTIME_NOT_FOUND, "container \"%s\" not found", id);
}

static void read_annotations(struct fake_sandbox *s, const char *text)
{
        struct json *j;
        const char *v;

        if (!text || json_parse(s->arena, text, strlen(text), NULL, &j, NULL) < 0)
                return;
        v = json_get_string(j, "colibri.io/fake-run-for");
        if (v && duration_parse(v, &s->run_for) < 0)
                s->run_for = 0;
        v = json_get_string(j, "colibri.io/fake-exit-code");
        s->exit_code = v ? atoi(v) : 0;
}

static void end_container(struct fake_container *c, int code)
{
        struct runtime_event e = { .type = RUNTIME_EVENT_EXITED, .sandbox_id = c->c.sandbox_id, .container_id = c->c.id,
                                   .pod_uid = c->sandbox->s.pod_uid };

        if (c->c.state != RUNTIME_CONTAINER_RUNNING)
                return;
        c->c.state = RUNTIME_CONTAINER_EXITED;
        c->c.exit_code = code;
        c->c.finished = time_real();
        c->c.reason = code ? "Error" : "Completed";
        c->c.pid = 0;
        loop_timer_free(c->timer);
        c->timer = NULL;
        if (c->f->base.on_event)
                c->f->base.on_event(&e, c->f->base.event_userdata);
}

static void free_container(struct fake_container *c)
{
        loop_timer_free(c->timer);
        arena_free(c->arena);
        free(c);
}

/* The first container of a sandbox; NULL: none is left. */
static struct fake_container *any_of(struct fake *f, const char *sandbox_id, bool running)
{
        struct map_entry *e;

        map_foreach(&f->containers, e) {
                struct fake_container *c = e->value;
                if (streq(c->c.sandbox_id, sandbox_id) && (!running || c->c.state == RUNTIME_CONTAINER_RUNNING))
                        return c;
        }
        return NULL;
}

static int stop_sandbox(struct runtime *r, const char *id, struct error *reterr)
{
        struct fake_sandbox *s = map_get(&fake_of(r)->sandboxes, id);
        struct fake_container *c;

        if (s)
                s->s.ready = false;
        while ((c = any_of(fake_of(r), id, true)))
                end_container(c, 137);
        return 0;
}

static int remove_container(struct runtime *r, const char *id, struct error *reterr)
{
        struct fake_container *c = map_get(&fake_of(r)->containers, id);

        if (!c)
                return 0;
        end_container(c, 137);
        map_del(&fake_of(r)->containers, c->c.id);
        free_container(c);
        return 0;
}

static int remove_sandbox(struct runtime *r, const char *id, struct error *reterr)
{
        struct fake_sandbox *s = map_get(&fake_of(r)->sandboxes, id);
        struct fake_container *c;

        if (!s)
                return 0;
        while ((c = any_of(fake_of(r), id, false)))
                remove_container(r, c->c.id, NULL);
        map_del(&fake_of(r)->sandboxes, s->s.id);
        arena_free(s->arena);
        free(s);
        return 0;
}

static void replace(struct runtime *r, const char *old, struct fake_sandbox *s)
{
        struct map_entry *e;

        stop_sandbox(r, old, NULL);
        map_foreach(&fake_of(r)->containers, e) {
                struct fake_container *c = e->value;

                if (!streq(c->c.sandbox_id, old))
                        continue;
                c->sandbox = s;
                c->c.sandbox_id = arena_strdup(c->arena, s->s.id);
        }
        remove_sandbox(r, old, NULL);
}

static int run_sandbox(struct runtime *r, const struct runtime_sandbox_config *c, struct arena *a, const char **ret_id,
                       struct error *reterr)
{
        struct fake *f = fake_of(r);
        struct fake_sandbox *s = new0(struct fake_sandbox);
        struct in_addr in = { .s_addr = htonl(f->network + f->next) };
        char ip[INET_ADDRSTRLEN];

        s->arena = arena_new(512);
        s->seq = f->seq++;
        s->s = (struct runtime_sandbox){
                .id = random_id(s->arena),
                .pod_name = arena_strdup(s->arena, c->pod_name),
                .pod_namespace = arena_strdup(s->arena, c->pod_namespace),
                .pod_uid = arena_strdup(s->arena, c->pod_uid),
                .annotations = arena_strdup(s->arena, c->annotations),
                .attempt = c->attempt, .ready = true, .created = time_real(), .host_network = c->host_network,
        };
        s->s.ips = arena_calloc(s->arena, 2 * sizeof(*s->s.ips));
        if (!c->host_network && f->network) {
                inet_ntop(AF_INET, &in, ip, sizeof(ip));
                s->s.ips[s->s.n_ips++] = arena_strdup(s->arena, ip);
                f->next = f->next + 2 >= f->size ? 2 : f->next + 1;
        }
        read_annotations(s, c->annotations);
        map_put(&f->sandboxes, s->s.id, s);
        if (c->replaces)
                replace(r, c->replaces, s);
        *ret_id = arena_strdup(a, s->s.id);
        return 0;
}

/* Names are copied: the object may go while the caller still reads. */
static struct runtime_sandbox copy_sandbox(const struct runtime_sandbox *s, struct arena *a)
{
        struct runtime_sandbox out = *s;

        out.id = arena_strdup(a, s->id);
        out.pod_name = arena_strdup(a, s->pod_name);
        out.pod_namespace = arena_strdup(a, s->pod_namespace);
        out.pod_uid = arena_strdup(a, s->pod_uid);
        out.annotations = arena_strdup(a, s->annotations);
        out.ips = arena_calloc(a, (s->n_ips + 1) * sizeof(*out.ips));
        for (size_t i = 0; i < s->n_ips; i++)
                out.ips[i] = arena_strdup(a, s->ips[i]);
        return out;
}

static struct runtime_container copy_container(const struct runtime_container *c, struct arena *a)
{
        struct runtime_container out = *c;

        out.id = arena_strdup(a, c->id);
        out.sandbox_id = arena_strdup(a, c->sandbox_id);
        out.name = arena_strdup(a, c->name);
        out.image = arena_strdup(a, c->image);
        out.image_id = arena_strdup(a, c->image_id);
        out.log_path = arena_strdup(a, c->log_path);
        out.annotations = arena_strdup(a, c->annotations);
        return out;
}

static int sandbox_status(struct runtime *r, const char *id, struct arena *a, struct runtime_sandbox *ret,
                          struct error *reterr)
{
        struct fake_sandbox *s = map_get(&fake_of(r)->sandboxes, id);

        if (!s)
                return no_sandbox(id, reterr);
        *ret = copy_sandbox(&s->s, a);
        return 0;
}

static int list_sandboxes(struct runtime *r, struct arena *a, struct runtime_sandbox **ret, size_t *ret_n,
                          struct error *reterr)
{
        struct fake *f = fake_of(r);
        struct map_entry *e;
        size_t n = 0;

        *ret = arena_calloc(a, (f->sandboxes.n + 1) * sizeof(**ret));
        map_foreach(&f->sandboxes, e)
                (*ret)[n++] = copy_sandbox(&((struct fake_sandbox *)e->value)->s, a);
        *ret_n = n;
        return 0;
}

static int update_sandbox(struct runtime *r, const char *id, const struct runtime_resources *res, struct error *reterr)
{
        return map_get(&fake_of(r)->sandboxes, id) ? 0 : no_sandbox(id, reterr);
}

static int create_container(struct runtime *r, const char *sandbox_id, const struct runtime_container_config *c,
                            struct arena *a, const char **ret_id, struct error *reterr)
{
        struct fake *f = fake_of(r);
        struct fake_sandbox *s = map_get(&f->sandboxes, sandbox_id);
        struct fake_container *n;

        if (!s)
                return no_sandbox(sandbox_id, reterr);
        n = new0(struct fake_container);
        n->f = f;
        n->arena = arena_new(512);
        n->seq = f->seq++;
        n->sandbox = s;
        n->resources = c->resources;
        n->c = (struct runtime_container){
                .id = random_id(n->arena),
                .sandbox_id = arena_strdup(n->arena, sandbox_id),
                .name = arena_strdup(n->arena, c->name),
                .image = arena_strdup(n->arena, c->image),
                .image_id = arena_strdup(n->arena, c->image_id),
                .log_path = "/dev/null",
                .annotations = arena_strdup(n->arena, c->annotations),
                .attempt = c->attempt, .state = RUNTIME_CONTAINER_CREATED, .created = time_real(), .user = "0",
        };
        map_put(&f->containers, n->c.id, n);
        *ret_id = arena_strdup(a, n->c.id);
        return 0;
}

static void on_run_out(struct loop_timer *timer, void *userdata)
{
        struct fake_container *c = userdata;

        end_container(c, c->sandbox->exit_code);
}

static int start_container(struct runtime *r, const char *id, struct error *reterr)
{
        struct fake_container *c = map_get(&fake_of(r)->containers, id);

        if (!c)
                return no_container(id, reterr);
        c->c.state = RUNTIME_CONTAINER_RUNNING;
        c->c.started = time_real();
        if (c->sandbox->run_for > 0) {
                c->timer = loop_timer_new(r->loop, on_run_out, c);
                loop_timer_arm(c->timer, c->sandbox->run_for);
        }
        return 0;
}

static int stop_container(struct runtime *r, const char *id, int64_t grace_ns, struct error *reterr)
{
        struct fake_container *c = map_get(&fake_of(r)->containers, id);

        if (c)
                end_container(c, grace_ns > 0 ? 0 : 137);
        return 0;
}

static int signal_container(struct runtime *r, const char *id, int signo, struct error *reterr)
{
        struct fake_container *c = map_get(&fake_of(r)->containers, id);

        if (!c)
                return no_container(id, reterr);
        if (signo == SIGKILL || signo == SIGTERM)
                end_container(c, signo == SIGKILL ? 137 : 0);
        return 0;
}

static int container_status(struct runtime *r, const char *id, struct arena *a, struct runtime_container *ret,
                            struct error *reterr)
{
        struct fake_container *c = map_get(&fake_of(r)->containers, id);

        if (!c)
                return no_container(id, reterr);
        *ret = copy_container(&c->c, a);
        return 0;
}

static int order(const void *x, const void *y)
{
        const struct fake_container *a = *(void *const *)x, *b = *(void *const *)y;

        return a->seq < b->seq ? -1 : a->seq > b->seq;
}

static int list_containers(struct runtime *r, const char *sandbox_id, struct arena *a, struct runtime_container **ret,
                           size_t *ret_n, struct error *reterr)
{
        struct fake *f = fake_of(r);
        struct fake_container **all = arena_calloc(a, (f->containers.n + 1) * sizeof(*all));
        struct map_entry *e;
        size_t n = 0;

        map_foreach(&f->containers, e)
                if (!sandbox_id || streq(sandbox_id, ((struct fake_container *)e->value)->c.sandbox_id))
                        all[n++] = e->value;
        qsort(all, n, sizeof(*all), order);
        *ret = arena_calloc(a, (n + 1) * sizeof(**ret));
        for (size_t i = 0; i < n; i++)
                (*ret)[i] = copy_container(&all[i]->c, a);
        *ret_n = n;
        return 0;
}

static int update_container(struct runtime *r, const char *id, const struct runtime_resources *res,
                            struct error *reterr)
{
        struct fake_container *c = map_get(&fake_of(r)->containers, id);

        if (!c)
                return no_container(id, reterr);
        c->resources = *res;
        return 0;
}

static int container_resources(struct runtime *r, const char *id, struct runtime_resources *ret, struct error *reterr)
{
        struct fake_container *c = map_get(&fake_of(r)->containers, id);

        if (!c)
                return no_container(id, reterr);
        *ret = c->resources;
        return 0;
}

static int stats(struct runtime *r, const char *id, struct runtime_stats *ret, struct error *reterr)
{
        *ret = (struct runtime_stats){ 0 };
        return 0;
}

static int unsupported(struct error *reterr)
{
        return error_set(reterr, RUNTIME_NOT_SUPPORTED, "the fake runtime runs nothing");
}

/* Probes by exec find every fake container well. */
static int exec_sync(struct runtime *r, const char *id, const char *const *argv, int64_t timeout_ns,
                     struct runtime_exec_result *ret, struct error *reterr)
{
        *ret = (struct runtime_exec_result){ 0 };
        return 0;
}

static int exec_start(struct runtime *r, const char *id, const struct runtime_exec *e, struct runtime_stream *ret,
                      struct error *reterr)
{
        return unsupported(reterr);
}

static int exec_wait(struct runtime *r, struct runtime_stream *s, int *ret_exit_code, struct error *reterr)
{
        return unsupported(reterr);
}

static int attach(struct runtime *r, const char *id, bool want_in, struct runtime_stream *ret, struct error *reterr)
{
        return unsupported(reterr);
}

static int stream_resize(struct runtime *r, struct runtime_stream *s, uint16_t rows, uint16_t cols)
{
        return RUNTIME_NOT_SUPPORTED;
}

static void stream_close(struct runtime *r, struct runtime_stream *s)
{
}

static int port_forward(struct runtime *r, const char *sandbox_id, int port, int *ret_fd, struct error *reterr)
{
        return unsupported(reterr);
}

static int image_status(struct runtime *r, const char *ref, struct arena *a, struct runtime_image *ret,
                        struct error *reterr)
{
        *ret = (struct runtime_image){ .id = arena_printf(a, "sha256:%064x", hash_bytes(ref, strlen(ref))), .uid = 0 };
        ret->repo_tags = arena_calloc(a, 2 * sizeof(*ret->repo_tags));
        ret->repo_tags[ret->n_repo_tags++] = arena_strdup(a, ref);
        ret->repo_digests = arena_calloc(a, sizeof(*ret->repo_digests));
        return 0;
}

static int image_pull(struct runtime *r, const char *ref, const char *const *secrets, struct arena *a,
                      struct runtime_image *ret, struct error *reterr)
{
        return image_status(r, ref, a, ret, reterr);
}

static int image_list(struct runtime *r, struct arena *a, struct runtime_image **ret, size_t *ret_n,
                      struct error *reterr)
{
        *ret = NULL;
        *ret_n = 0;
        return 0;
}

static int image_remove(struct runtime *r, const char *ref, struct error *reterr)
{
        return error_set(reterr, RUNTIME_NOT_FOUND, "image \"%s\" not found", ref);
}

static int image_gc(struct runtime *r, int high, int low, int64_t *ret_freed, struct error *reterr)
{
        *ret_freed = 0;
        return 0;
}

static int disk_usage(struct runtime *r, int64_t *ret_used, int64_t *ret_capacity, struct error *reterr)
{
        *ret_used = 0;
        *ret_capacity = INT64_C(100) << 30;
        return 0;
}

static int ready(struct runtime *r, struct error *reterr)
{
        return 0;
}

static void fake_free(struct runtime *r)
{
        struct fake *f = fake_of(r);
        struct map_entry *e;

        map_foreach(&f->containers, e)
                free_container(e->value);
        map_foreach(&f->sandboxes, e) {
                arena_free(((struct fake_sandbox *)e->value)->arena);
                free(e->value);
        }
        map_deinit(&f->containers);
        map_deinit(&f->sandboxes);
        free(f);
}

static const struct runtime_ops fake_ops = {
        .name = "fake",
        .run_sandbox = run_sandbox, .stop_sandbox = stop_sandbox, .remove_sandbox = remove_sandbox,
        .sandbox_status = sandbox_status, .list_sandboxes = list_sandboxes, .update_sandbox = update_sandbox,
        .create_container = create_container, .start_container = start_container, .stop_container = stop_container,
        .signal_container = signal_container, .remove_container = remove_container,
        .container_status = container_status, .list_containers = list_containers,
        .update_container = update_container, .container_resources = container_resources, .container_stats = stats,
        .sandbox_stats = stats, .exec_sync = exec_sync, .exec_start = exec_start, .exec_wait = exec_wait,
        .attach = attach, .stream_resize = stream_resize, .stream_close = stream_close, .port_forward = port_forward,
        .image_status = image_status, .image_pull = image_pull, .image_list = image_list,
        .image_remove = image_remove, .image_gc = image_gc, .disk_usage = disk_usage, .ready = ready,
        .free = fake_free,
};

int runtime_fake_new(struct loop *loop, const struct runtime_options *o, struct runtime **ret, struct error *reterr)
{
        struct fake *f = new0(struct fake);

        f->base.ops = &fake_ops;
        f->base.loop = loop;
        f->base.is_fake = true;
        map_init(&f->sandboxes);
        map_init(&f->containers);
        fake_set_pod_cidr(&f->base, o->pod_cidr);
        *ret = &f->base;
        return 0;
}
