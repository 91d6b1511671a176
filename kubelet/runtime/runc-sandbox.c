/* The sandbox: what the containers of a pod share.
 *
 * In order: cgroup, files, namespaces, network, /etc/hosts (which wants the address), and a pause process
 * only where the containers share their processes. What was begun is undone when a step fails.
 */
#include <errno.h>
#include <signal.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../../lib/base/encode.h"
#include "../../lib/base/file.h"
#include "../../lib/base/time.h"
#include "../network/dns.h"
#include "namespaces.h"
#include "runc.h"

static const char *sandbox_dir(struct arena *a, const struct runc_sandbox *s)
{
        return arena_printf(a, "%s/sandboxes/%s", s->r->o.root, s->id);
}

/* Upstream's tree: Guaranteed pods at the top, the others below their class. */
static char *pod_cgroup(struct arena *a, const struct runc *r, const char *qos, const char *uid)
{
        if (streq(qos, "Burstable"))
                return arena_printf(a, "/%s/burstable/pod%s", r->o.cgroup, uid);
        if (streq(qos, "BestEffort"))
                return arena_printf(a, "/%s/besteffort/pod%s", r->o.cgroup, uid);
        return arena_printf(a, "/%s/pod%s", r->o.cgroup, uid);
}

/* The class of Burstable pods gets the sum of what its pods ask for; BestEffort gets the least there is. */
static void weigh_classes(struct runc *r)
{
        struct runtime_resources burstable = { .cpu_shares = 2 }, best_effort = { .cpu_shares = 2 };
        char group[128];
        struct map_entry *e;

        map_foreach(&r->sandboxes, e) {
                const struct runc_sandbox *s = e->value;
                if (streq(s->qos, "Burstable"))
                        burstable.cpu_shares += s->cpu_shares;
        }
        burstable.cpu_shares = MIN(burstable.cpu_shares, 262144);
        snprintf(group, sizeof(group), "/%s/burstable", r->o.cgroup);
        if (cgroup_exists(&r->cgroups, group))
                cgroup_set(&r->cgroups, group, &burstable, NULL);
        snprintf(group, sizeof(group), "/%s/besteffort", r->o.cgroup);
        if (cgroup_exists(&r->cgroups, group))
                cgroup_set(&r->cgroups, group, &best_effort, NULL);
}

static struct runc_sandbox *sandbox_new(struct runc *r, const struct runtime_sandbox_config *c)
{
        struct runc_sandbox *s = new0(struct runc_sandbox);
        struct arena *a = arena_new(1024);

        s->r = r;
        s->arena = a;
        s->refs = 1;
        s->seq = r->next_seq++;
        s->id = random_id(a);
        s->pod_name = arena_strdup(a, c->pod_name);
        s->pod_namespace = arena_strdup(a, c->pod_namespace);
        s->pod_uid = arena_strdup(a, c->pod_uid);
        s->annotations = arena_strdup(a, c->annotations);
        s->hostname = arena_strdup(a, c->hostname);
        s->log_directory = arena_strdup(a, c->log_directory);
        s->qos = arena_strdup(a, c->qos_class);
        s->cgroup = pod_cgroup(a, r, c->qos_class, c->pod_uid);
        s->attempt = c->attempt;
        s->created = time_real();
        s->cpu_shares = c->resources.cpu_shares;
        s->host_network = c->host_network;
        s->host_pid = c->host_pid;
        s->host_ipc = c->host_ipc;
        s->share_pid = c->share_pid && !c->host_pid;
        s->ports = arena_calloc(a, (c->n_ports + 1) * sizeof(*s->ports));
        for (size_t i = 0; i < c->n_ports; i++) {
                s->ports[i] = c->ports[i];
                s->ports[i].protocol = arena_strdup(a, c->ports[i].protocol);
                s->ports[i].host_ip = arena_strdup(a, c->ports[i].host_ip);
        }
        s->n_ports = c->n_ports;
        if (s->host_network) {
                char name[256] = "";
                gethostname(name, sizeof(name) - 1);
                s->hostname = arena_strdup(a, name);
        }
        return s;
}

/* --- files --- */

static int write_text(struct runc_sandbox *s, const char *name, const char *text, struct error *reterr)
{
        return runc_write_file(arena_printf(s->arena, "%s/%s", sandbox_dir(s->arena, s), name), text, strlen(text),
                               0644, reterr);
}

static int write_hosts(struct runc_sandbox *s, const struct runtime_sandbox_config *c, struct error *reterr)
{
        _cleanup_free_ char *host_file = NULL;

        if (s->host_network && file_read("/etc/hosts", 1 << 20, &host_file, NULL, NULL) < 0)
                host_file = NULL;
        return write_text(s, "hosts",
                          dns_hosts_file(s->arena, s->ips, s->n_ips, s->hostname, c->domain, c->host_aliases,
                                         s->host_network ? (host_file ? host_file : "") : NULL),
                          reterr);
}

static int make_files(struct runc_sandbox *s, const struct runtime_sandbox_config *c, struct error *reterr)
{
        const char *dir = sandbox_dir(s->arena, s), *shm = arena_printf(s->arena, "%s/shm", dir);
        int r = dir_make(dir, 0711, reterr);

        if (!r)
                r = dir_make(s->log_directory, 0755, reterr);
        if (!r)
                r = write_text(s, "resolv.conf", c->resolv_conf ? c->resolv_conf : "", reterr);
        if (!r)
                r = write_text(s, "hostname", arena_printf(s->arena, "%s\n", s->hostname ? s->hostname : ""), reterr);
        if (r || s->host_ipc)
                return r;
        if (mkdir(shm, 0755) < 0 && errno != EEXIST)
                return error_set(reterr, -errno, "mkdir %s: %s", shm, strerror(errno));
        if (mount("shm", shm, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=65536k") < 0)
                return error_set(reterr, -errno, "failed to mount sandbox shm at %s: %s", shm, strerror(errno));
        return 0;
}

/* --- network --- */

static struct network_pod network_pod(const struct runc_sandbox *s)
{
        return (struct network_pod){
                .id = s->id,
                .netns = namespaces_path(s->arena, s->r->o.run, "net", s->id),
                .name = s->pod_name,
                .namespace = s->pod_namespace,
                .uid = s->pod_uid,
                .ports = s->ports,
                .n_ports = s->n_ports,
        };
}

static int add_network(struct runc_sandbox *s, struct error *reterr)
{
        struct network_pod pod = network_pod(s);
        struct network_result result;
        int r;

        s->networked = true; /* before it is: what a killed kubelet began is given back */
        r = runc_save_sandbox(s, reterr);
        turnstile_enter(&s->r->heavy);
        if (!r)
                r = network_add(s->r->network, &pod, s->arena, &result, reterr);
        turnstile_leave(&s->r->heavy);
        if (r < 0) {
                error_wrap(reterr, r, "failed to setup network for sandbox \"%s\"", s->id);
                return r;
        }
        s->ips = result.ips;
        s->n_ips = result.n_ips;
        return 0;
}

/* --- the pause process --- */

static void on_pause_gone(struct process *p, int status, void *userdata)
{
        struct runc_sandbox *s = userdata;

        waitpid(s->pause_pid, NULL, WNOHANG); /* ours, unless an earlier kubelet started it */
        process_free(s->pause);
        s->pause = NULL;
        s->pause_pid = 0;
        if (!s->ready)
                return;
        s->ready = false;
        runc_save_sandbox(s, NULL);
        runc_emit(s->r, RUNTIME_EVENT_SANDBOX_DIED, s->id, NULL);
}

void runc_watch_pause(struct runc_sandbox *s)
{
        if (process_watch(s->r->base.loop, s->pause_pid, on_pause_gone, s, &s->pause) < 0)
                on_pause_gone(NULL, -1, s);
}

static int start_pause(struct runc_sandbox *s, const struct namespaces_request *q,
                       const struct runtime_sandbox_config *c, struct error *reterr)
{
        const char *program = helper_path(s->arena, s->r->o.helpers, "colibri-pause");
        int r = namespaces_start_pause(s->r->base.loop, q, program, (uint32_t)MAX(c->run_as_user, 0),
                                       (uint32_t)MAX(c->run_as_group, 0), &s->pause_pid, reterr);

        if (r < 0)
                return r;
        s->pause_start = runc_process_start_time(s->pause_pid);
        runc_watch_pause(s);
        return 0;
}

/* --- the operations --- */

static int build(struct runc_sandbox *s, const struct runtime_sandbox_config *c, struct error *reterr)
{
        bool pooled = s->networked;
        struct namespaces_request q = {
                .run = s->r->o.run,
                .id = s->id,
                .net = !s->host_network && !pooled,
                .ipc = !s->host_ipc,
                .uts = !s->host_network,
                .hostname = s->hostname,
                .sysctls = c->sysctls,
        };
        int r = cgroup_make(&s->r->cgroups, s->cgroup, reterr);

        if (!r)
                r = cgroup_set(&s->r->cgroups, s->cgroup, &c->resources, reterr);
        if (!r)
                r = make_files(s, c, reterr);
        if (!r)
                r = namespaces_pin(s->r->base.loop, &q, reterr);
        if (!r && pooled)
                r = runc_save_sandbox(s, reterr); /* from here on the network is known to be this one's */
        if (!r && !s->host_network && !pooled)
                r = add_network(s, reterr);
        if (!r)
                r = write_hosts(s, c, reterr);
        if (!r && s->share_pid)
                r = start_pause(s, &q, c, reterr);
        if (r < 0)
                return r;
        s->ready = true;
        weigh_classes(s->r);
        return runc_save_sandbox(s, reterr);
}

/* What ended in a sandbox that died is still read: its last state, its log. */
static void inherit(struct runc_sandbox *s, const char *from)
{
        struct map_entry *e;

        map_foreach(&s->r->containers, e) {
                struct runc_container *c = e->value;

                if (!streq(c->sandbox_id, from))
                        continue;
                c->sandbox_id = arena_strdup(c->arena, s->id);
                runc_save_container(c, NULL);
        }
        runc_remove_sandbox(&s->r->base, from, NULL);
}

int runc_run_sandbox(struct runtime *rt, const struct runtime_sandbox_config *c, struct arena *a, const char **ret_id,
                     struct error *reterr)
{
        struct runc *r = runc_of(rt);
        struct runc_sandbox *s;
        int result = c->replaces ? runc_stop_sandbox(rt, c->replaces, reterr) : 0;

        if (result < 0)
                return result;
        s = sandbox_new(r, c);
        runc_pool_take(s, c);
        r->building++;
        map_put(&r->sandboxes, s->id, s);
        s->refs++;
        result = build(s, c, reterr);
        r->building--;
        runc_pool_refill(r);
        if (result < 0) {
                runc_remove_sandbox(rt, s->id, NULL);
        } else {
                if (c->replaces)
                        inherit(s, c->replaces);
                *ret_id = arena_strdup(a, s->id);
        }
        runc_sandbox_unref(s);
        return result;
}

/* Ids of its containers: the map changes while they are stopped. */
static const char **containers_of(struct arena *a, struct runc *r, const char *sandbox_id)
{
        const char **ids = arena_calloc(a, (r->containers.n + 1) * sizeof(*ids));
        struct map_entry *e;
        size_t n = 0;

        map_foreach(&r->containers, e) {
                const struct runc_container *c = e->value;
                if (streq(c->sandbox_id, sandbox_id))
                        ids[n++] = arena_strdup(a, c->id);
        }
        return ids;
}

static int stop_locked(struct runc_sandbox *s, struct error *reterr)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        const char **ids = containers_of(a, s->r, s->id);
        bool was_ready = s->ready;
        int r = 0;

        s->ready = false;
        for (; *ids; ids++)
                runc_stop_container(&s->r->base, *ids, 0, NULL);
        if (s->pause)
                process_kill(s->pause, SIGKILL);
        if (s->networked) {
                struct network_pod pod = network_pod(s);
                r = network_del(s->r->network, &pod, reterr);
                if (r < 0)
                        return r;
                s->networked = false;
        }
        namespaces_unpin(s->r->o.run, s->id);
        if (!s->host_ipc)
                umount2(arena_printf(a, "%s/shm", sandbox_dir(a, s)), MNT_DETACH);
        if (was_ready || !r)
                r = runc_save_sandbox(s, reterr);
        return r;
}

int runc_stop_sandbox(struct runtime *rt, const char *id, struct error *reterr)
{
        struct runc_sandbox *s = runc_sandbox_get(runc_of(rt), id);
        int r = 0;

        if (!s)
                return 0;
        fiber_mutex_lock(&s->lock);
        if (runc_of(rt)->sandboxes.n && map_get(&runc_of(rt)->sandboxes, id) == s &&
            (s->ready || s->networked || s->pause))
                r = stop_locked(s, reterr);
        fiber_mutex_unlock(&s->lock);
        runc_sandbox_unref(s);
        return r;
}

struct rm_job {
        const char *dir;
        struct error *reterr;
        int result;
};

static void rm_job(void *userdata)
{
        struct rm_job *job = userdata;

        job->result = dir_remove(job->dir, job->reterr);
}

/* A pod may have several sandboxes, one after the other, in the same group. */
static bool group_is_shared(const struct runc_sandbox *s)
{
        struct map_entry *e;

        map_foreach(&s->r->sandboxes, e) {
                const struct runc_sandbox *other = e->value;

                if (other != s && streq(other->cgroup, s->cgroup))
                        return true;
        }
        return false;
}

static int remove_locked(struct runc_sandbox *s, struct error *reterr)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        const char **ids = containers_of(a, s->r, s->id);
        struct rm_job job = { .dir = sandbox_dir(a, s), .reterr = reterr };
        int r = 0;

        for (; !r && *ids; ids++)
                r = runc_remove_container(&s->r->base, *ids, reterr);
        if (!r)
                r = stop_locked(s, reterr);
        if (r < 0)
                return r;
        fiber_work(s->r->base.loop, rm_job, &job);
        if (job.result < 0)
                return job.result;
        map_del(&s->r->sandboxes, s->id);
        s->refs--;
        if (!group_is_shared(s))
                cgroup_remove(&s->r->cgroups, s->cgroup, NULL);
        weigh_classes(s->r);
        return 0;
}

int runc_remove_sandbox(struct runtime *rt, const char *id, struct error *reterr)
{
        struct runc_sandbox *s = runc_sandbox_get(runc_of(rt), id);
        int r = 0;

        if (!s)
                return 0;
        fiber_mutex_lock(&s->lock);
        if (map_get(&runc_of(rt)->sandboxes, id) == s)
                r = remove_locked(s, reterr);
        fiber_mutex_unlock(&s->lock);
        runc_sandbox_unref(s);
        return r;
}

int runc_update_sandbox(struct runtime *rt, const char *id, const struct runtime_resources *res, struct error *reterr)
{
        struct runc_sandbox *s = runc_sandbox_get(runc_of(rt), id);
        int r;

        if (!s)
                return error_set(reterr, RUNTIME_NOT_FOUND, "sandbox \"%s\" not found", id);
        r = cgroup_set(&runc_of(rt)->cgroups, s->cgroup, res, reterr);
        if (!r && res->cpu_shares) {
                s->cpu_shares = res->cpu_shares;
                weigh_classes(s->r);
                runc_save_sandbox(s, NULL);
        }
        runc_sandbox_unref(s);
        return r;
}
