/* The actions of worker.h, each a fiber that ends by posting what came of it.
 *
 * What an action reads of the pod it reads from `object`, which it holds: the lifecycle's pointers
 * into the pod's JSON change when a new object comes in while the fiber is parked.
 */
#include <errno.h>
#include <stdio.h>

#include "../../lib/base/encode.h"
#include "../../lib/base/file.h"
#include "../../lib/base/log.h"
#include "../runtime/translate.h"
#include "env.h"
#include "fetch.h"
#include "termination.h"
#include "worker.h"

struct task {
        struct pod_worker *w;
        struct object *object;
        struct lifecycle_container *c;
        unsigned attempt;
        int64_t grace;
        char *id;      /* of the container's present run */
        char *started_image;
        void (*run)(struct task *t);
};

static void task_fiber(void *userdata)
{
        struct task *t = userdata;
        t->run(t);
        object_unref(t->object);
        worker_unref(t->w);
        free(t->id);
        free(t);
}

static void task_start(struct pod_worker *w, const struct pod_action *action, void (*run)(struct task *t))
{
        struct task *t = new0(struct task);
        t->w = worker_ref(w);
        t->object = object_ref(w->object);
        t->c = action->container;
        t->attempt = action->attempt;
        t->grace = action->grace_ns;
        t->id = t->c && t->c->run.id ? xstrdup(t->c->run.id) : NULL;
        t->run = run;
        fiber_start(w->k->loop, task_fiber, t);
}

static const struct json *task_spec(const struct task *t)
{
        static const char *const lists[] = {"containers", "initContainers", "ephemeralContainers"};
        const struct json *spec = json_get(t->object->json, "spec");
        for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
                json_foreach_item(json_get(spec, lists[i]), c)
                        if (streq(json_get_string(c, "name"), t->c->name))
                                return c;
        return NULL;
}

static void task_failed(struct task *t, enum pod_event_type type, const char *reason, const struct error *err)
{
        worker_post(t->w, &(struct pod_event){
                                  .type = type, .container = t->c, .reason = reason, .message = error_text(err)});
}

/* --- volumes --- */

static void refresh_volumes(struct loop_timer *timer, void *userdata);

/* Does a ConfigMap or Secret of the user's own reach the pod as files? Then changes must reach it too. */
static bool mounts_user_objects(const struct json *pod)
{
        json_foreach_item(json_path(pod, "spec.volumes"), v) {
                if (json_get(v, "configMap") || json_get(v, "secret"))
                        return true;
                json_foreach_item(json_path(v, "projected.sources"), s)
                        if (json_get(s, "secret") ||
                            (json_get(s, "configMap") &&
                             !streq(json_path_string(s, "configMap.name"), "kube-root-ca.crt")))
                                return true;
        }
        return false;
}

static void arm_refresh(struct pod_worker *w, int64_t next)
{
        int64_t now = time_real(), in = next ? next - now : 0;
        if (mounts_user_objects(w->object->json)) {
                int64_t soon = (60 + random_below(30)) * NS_PER_SEC;
                in = in ? MIN(in, soon) : soon;
        }
        if (in <= 0)
                return;
        if (!w->volume_timer)
                w->volume_timer = loop_timer_new(w->k->loop, refresh_volumes, w);
        loop_timer_arm_slack(w->volume_timer, in, 10 * NS_PER_SEC);
}

static void do_refresh(struct task *t)
{
        struct pod_worker *w = t->w;
        _cleanup_arena_ struct arena *a = arena_new(1024);
        _cleanup_error_ struct error err = ERROR_INIT;
        int64_t next = 0;
        fiber_mutex_lock(&w->lock);
        if (w->lc->state == POD_RUNNING) {
                if (volumes_setup(w->k->volumes, worker_pod_view(w, a), &next, &err) < 0)
                        next = time_real() + 60 * NS_PER_SEC;
                arm_refresh(w, next);
        }
        fiber_mutex_unlock(&w->lock);
}

static void refresh_volumes(struct loop_timer *timer, void *userdata)
{
        task_start(userdata, &(struct pod_action){0}, do_refresh);
}

static void do_mount(struct task *t)
{
        struct pod_worker *w = t->w;
        _cleanup_arena_ struct arena *a = arena_new(1024);
        _cleanup_error_ struct error err = ERROR_INIT;
        int64_t next = 0;
        fiber_mutex_lock(&w->lock);
        int r = 0;
        if (w->k->volumes && w->lc->state == POD_VOLUMES)
                r = volumes_setup(w->k->volumes, worker_pod_view(w, a), &next, &err);
        fiber_mutex_unlock(&w->lock);
        if (r == 0) {
                w->volume_failures = 0;
                if (w->k->volumes)
                        arm_refresh(w, next);
                worker_post(w, &(struct pod_event){.type = POD_EVENT_VOLUMES_READY});
                return;
        }
        /* Upstream's volume manager: again after half a second, doubled up to two minutes. */
        int64_t delay = MIN((NS_PER_SEC / 2) << MIN(w->volume_failures, 8u), 122 * NS_PER_SEC);
        w->volume_failures++;
        worker_record(w, NULL, true, "FailedMount", error_text(&err));
        worker_post(w, &(struct pod_event){.type = POD_EVENT_VOLUMES_FAILED,
                                           .message = error_text(&err),
                                           .time = time_real() + delay});
}

/* --- the sandbox --- */

static const char *sandbox_resolv_conf(struct task *t, struct arena *a)
{
        const struct kubelet_config *cfg = &t->w->k->config;
        struct dns_settings s = {.cluster_dns = cfg->cluster_dns,
                                 .cluster_domain = cfg->cluster_domain,
                                 .host_resolv_conf = t->w->k->host_resolv_conf};
        const char *reason = NULL, *warning = NULL;
        const char *text = dns_resolv_conf(a, t->object->json, &s, &reason, &warning);
        if (warning)
                worker_record(t->w, NULL, true, reason, warning);
        return text;
}

/* What a pod may ask of its runtime, and this one does not have. */
static int check_runtime(struct task *t, struct arena *a, struct error *reterr)
{
        const struct json *spec = json_get(t->object->json, "spec");
        const char *class = json_get_string(spec, "runtimeClassName"), *handler;
        struct json *found = NULL;
        int r;

        if (!json_get_bool(spec, "hostUsers", true))
                return error_set(reterr, -EOPNOTSUPP, "can't set `spec.hostUsers: false`, runtime does not support user namespaces");
        if (str_empty(class))
                return 0;
        r = client_get(t->w->k->client, arena_printf(a, "/apis/node.k8s.io/v1/runtimeclasses/%s", class), a, &found, reterr);
        if (r != 0)
                return r < 0 ? r : -ENOENT;
        handler = json_get_string(found, "handler");
        return str_empty(handler) || streq(handler, "runc")
                       ? 0
                       : error_set(reterr, -EOPNOTSUPP, "failed to get sandbox runtime: no runtime for \"%s\" is configured", handler);
}

static int make_sandbox(struct task *t, struct arena *a, struct runtime_sandbox *ret, struct error *reterr)
{
        struct pod_worker *w = t->w;
        struct runtime *rt = w->k->runtime;
        struct runtime_sandbox_config cfg = {0};
        const char *id = NULL;
        translate_sandbox(a, t->object->json, w->k->config.cluster_domain, &cfg);
        cfg.annotations = json_print(a, json_path(t->object->json, "metadata.annotations")
                                                ? json_path(t->object->json, "metadata.annotations")
                                                : json_new_object(a));
        if (!rt->is_fake) {
                int unfit = check_runtime(t, a, reterr);

                if (unfit < 0)
                        return unfit;
                cfg.log_directory = worker_log_directory(w, a);
                cfg.resolv_conf = sandbox_resolv_conf(t, a);
        }
        cfg.replaces = w->sandbox_id;
        cfg.attempt = w->sandbox_attempt + (w->sandbox_id != NULL);
        int r = rt->ops->run_sandbox(rt, &cfg, a, &id, reterr);
        if (r != 0)
                return r < 0 ? r : -EIO;
        free(w->sandbox_id);
        w->sandbox_id = xstrdup(id);
        w->sandbox_attempt = cfg.attempt;
        return rt->ops->sandbox_status(rt, id, a, ret, reterr);
}

static void do_sandbox(struct task *t)
{
        struct pod_worker *w = t->w;
        _cleanup_arena_ struct arena *a = arena_new(4096);
        _cleanup_error_ struct error err = ERROR_INIT;
        struct runtime_sandbox s = {0};
        fiber_mutex_lock(&w->lock);
        int r = w->lc->state == POD_SANDBOX ? make_sandbox(t, a, &s, &err) : -ECANCELED;
        fiber_mutex_unlock(&w->lock);
        if (r != 0) {
                worker_post(w, &(struct pod_event){.type = POD_EVENT_SANDBOX_FAILED, .message = error_text(&err)});
                return;
        }
        worker_post(w, &(struct pod_event){.type = POD_EVENT_SANDBOX_READY,
                                           .ips = {s.n_ips > 0 ? s.ips[0] : NULL, s.n_ips > 1 ? s.ips[1] : NULL}});
}

/* The end of a pod that may still be read: its containers' records and logs stay. */
static void do_clean(struct task *t)
{
        struct pod_worker *w = t->w;
        struct runtime *rt = w->k->runtime;
        loop_timer_free(steal_ptr(w->volume_timer));
        for (int64_t delay = NS_PER_SEC / 4;; delay = MIN(delay * 2, 30 * NS_PER_SEC)) {
                _cleanup_error_ struct error err = ERROR_INIT;
                fiber_mutex_lock(&w->lock);
                int r = w->sandbox_id ? rt->ops->stop_sandbox(rt, w->sandbox_id, &err) : 0;
                if (r >= 0 && w->k->volumes)
                        r = volumes_teardown(w->k->volumes, w->uid, &err);
                fiber_mutex_unlock(&w->lock);
                if (r >= 0)
                        break;
                log_warn("pod %s: cannot take it down: %s", w->key, error_text(&err));
                fiber_sleep(delay);
        }
        worker_post(w, &(struct pod_event){.type = POD_EVENT_CLEANED});
}

static void do_remove(struct task *t)
{
        struct pod_worker *w = t->w;
        struct runtime *rt = w->k->runtime;
        _cleanup_arena_ struct arena *a = arena_new(512);
        _cleanup_error_ struct error err = ERROR_INIT;
        fiber_mutex_lock(&w->lock);
        if (w->sandbox_id && rt->ops->remove_sandbox(rt, w->sandbox_id, &err) < 0)
                log_warn("pod %s: cannot remove its sandbox: %s", w->key, error_text(&err));
        if (w->k->volumes && volumes_teardown(w->k->volumes, w->uid, NULL) < 0)
                log_warn("pod %s: cannot remove its volumes", w->key);
        if (!rt->is_fake)
                dir_remove(worker_log_directory(w, a), NULL);
        fiber_mutex_unlock(&w->lock);
        if (map_get(&w->k->workers, w->uid) == w)
                map_del(&w->k->workers, w->uid);
        worker_unref(w); /* the map's */
}

void worker_remove(struct pod_worker *w)
{
        task_start(w, &(struct pod_action){0}, do_remove);
}

/* --- images --- */

/* The texts of imagePullSecrets; those that are not there are named in an event. */
static const char **pull_secrets(struct task *t, struct arena *a)
{
        const struct json *refs = json_path(t->object->json, "spec.imagePullSecrets");
        const char **texts = arena_calloc(a, (json_len(refs) + 1) * sizeof(*texts));
        struct strbuf missing = STRBUF_INIT;
        size_t n = 0;
        json_foreach_item(refs, ref) {
                const char *name = json_get_string(ref, "name");
                struct json *secret = NULL;
                if (str_empty(name))
                        continue;
                if (kubelet_fetch("secrets", t->object->namespace, name, a, &secret, t->w->k, NULL) != 0) {
                        strbuf_printf(&missing, "%s%s", missing.len ? ", " : "", name);
                        continue;
                }
                const char *data = json_get_string(json_get(secret, "data"), ".dockerconfigjson");
                if (!data)
                        data = json_get_string(json_get(secret, "data"), ".dockercfg");
                struct strbuf text = STRBUF_INIT;
                if (data && base64_decode(&text, data, strlen(data), NULL) == 0)
                        texts[n++] = arena_strdup(a, strbuf_str(&text));
                strbuf_deinit(&text);
        }
        if (missing.len)
                worker_record(t->w, NULL, true, "FailedToRetrieveImagePullSecret",
                              arena_printf(a,
                                           "Unable to retrieve some image pull secrets (%s); attempting to pull the "
                                           "image may not succeed.",
                                           strbuf_str(&missing)));
        strbuf_deinit(&missing);
        return texts;
}

static void do_inspect(struct task *t)
{
        struct runtime *rt = t->w->k->runtime;
        const char *image = json_get_string(task_spec(t), "image");
        _cleanup_arena_ struct arena *a = arena_new(1024);
        _cleanup_error_ struct error err = ERROR_INIT;
        struct runtime_image info = {0};
        struct pod_event ev = {.type = POD_EVENT_IMAGE_ABSENT, .container = t->c};
        int r = rt->ops->image_status(rt, image ? image : "", a, &info, &err);
        if (r == RUNTIME_OK) {
                struct container_data *d = container_data(t->w, t->c);
                free(d->image_id);
                d->image_id = xstrdup(info.id);
                ev.type = POD_EVENT_IMAGE_PRESENT;
                /* Upstream looks for the secrets whether they are needed or not, and tells what is missing. */
                if (!rt->is_fake && json_len(json_path(t->object->json, "spec.imagePullSecrets")))
                        pull_secrets(t, a);
        } else if (r != RUNTIME_NOT_FOUND) {
                ev.type = POD_EVENT_IMAGE_INVALID;
                ev.message = arena_printf(a, "Failed to apply default image tag \"%s\": %s", image, error_text(&err));
        }
        worker_post(t->w, &ev);
}

static void do_pull(struct task *t)
{
        struct runtime *rt = t->w->k->runtime;
        const char *image = json_get_string(task_spec(t), "image");
        _cleanup_arena_ struct arena *a = arena_new(1024);
        _cleanup_error_ struct error err = ERROR_INIT;
        struct runtime_image info = {0};
        int64_t began = time_mono();
        int r = rt->ops->image_pull(rt, image, rt->is_fake ? NULL : pull_secrets(t, a), a, &info, &err);
        if (r != RUNTIME_OK) {
                task_failed(t, POD_EVENT_IMAGE_FAILED, NULL, &err);
                return;
        }
        struct container_data *d = container_data(t->w, t->c);
        free(d->image_id);
        d->image_id = xstrdup(info.id);
        char took[TIME_BUF];
        duration_format((time_mono() - began) / NS_PER_MS * NS_PER_MS, took);
        worker_post(t->w, &(struct pod_event){
                                  .type = POD_EVENT_IMAGE_PULLED,
                                  .container = t->c,
                                  .message = arena_printf(a,
                                                          "Successfully pulled image \"%s\" in %s (%s including "
                                                          "waiting). Image size: %lld bytes.",
                                                          image, took, took, (long long)info.size)});
}

/* --- containers --- */

static int container_files(struct task *t, struct arena *a, const struct json *pod, const struct json *spec,
                           struct runtime_container_config *cfg, struct error *reterr)
{
        struct kubelet *k = t->w->k;
        struct runtime_mount *mounts = NULL;
        size_t n = 0;
        int r = volumes_mounts(k->volumes, pod, spec, cfg->env, a, &mounts, &n, reterr);
        if (r < 0)
                return r;
        struct runtime_mount *all = arena_calloc(a, (n + 1) * sizeof(*all));
        if (n)
                memcpy(all, mounts, n * sizeof(*all));
        const char *path = json_get_string(spec, "terminationMessagePath");
        if (!str_empty(path)) {
                char *file = volumes_termination_log(k->volumes, a, t->w->uid, t->c->name, t->attempt, reterr);
                if (!file)
                        return -EIO;
                all[n++] = (struct runtime_mount){.host_path = file, .container_path = path};
        }
        cfg->mounts = all;
        cfg->n_mounts = n;
        return 0;
}

static int container_config(struct task *t, struct arena *a, struct runtime_container_config *cfg,
                            struct error *reterr)
{
        struct kubelet *k = t->w->k;
        const struct json *spec = task_spec(t);
        const struct json *pod = worker_pod_view(t->w, a);
        translate_container(a, pod, spec, k->memory, k->config.seccomp_root, cfg);
        cfg->attempt = t->attempt;
        cfg->image_id = container_data(t->w, t->c)->image_id;
        if (k->runtime->is_fake)
                return 0;
        struct runtime_image image = {0};
        int r = k->runtime->ops->image_status(k->runtime, cfg->image, a, &image, reterr);
        if (r != 0)
                return r < 0 ? r : -ENOENT;
        r = translate_verify_non_root(pod, spec, &image, reterr);
        if (r < 0)
                return r;
        struct env_source src = {.get = kubelet_fetch, .userdata = k, .allocatable = k->allocatable};
        kubelet_services(k, a, &src);
        r = env_build(a, pod, spec, &src, &cfg->env, reterr);
        if (r < 0)
                return r;
        cfg->command = env_expand_list(a, json_get(spec, "command"), cfg->env);
        cfg->args = env_expand_list(a, json_get(spec, "args"), cfg->env);
        cfg->log_path = arena_printf(a, "%s/%u.log", t->c->name, t->attempt);
        return container_files(t, a, pod, spec, cfg, reterr);
}

static void do_create(struct task *t)
{
        struct pod_worker *w = t->w;
        struct runtime *rt = w->k->runtime;
        _cleanup_arena_ struct arena *a = arena_new(8192);
        _cleanup_error_ struct error err = ERROR_INIT;
        struct runtime_container_config cfg = {0};
        const char *id = NULL, *reason = "CreateContainerConfigError";
        fiber_mutex_lock(&w->lock);
        int r = w->lc->state == POD_RUNNING ? container_config(t, a, &cfg, &err) : -ECANCELED;
        if (r >= 0) {
                reason = "CreateContainerError";
                r = rt->ops->create_container(rt, w->sandbox_id, &cfg, a, &id, &err);
        }
        /* The one before the one before is of no more use. */
        if (r == 0 && t->c->last.id && rt->ops->remove_container(rt, t->c->last.id, NULL) < 0)
                log_warn("pod %s: cannot remove container %s", w->key, t->c->last.id);
        fiber_mutex_unlock(&w->lock);
        if (r != 0) {
                task_failed(t, POD_EVENT_CREATE_FAILED, reason, &err);
                return;
        }
        worker_post(w, &(struct pod_event){.type = POD_EVENT_CREATED,
                                           .container = t->c,
                                           .id = id,
                                           .image = cfg.image,
                                           .image_id = cfg.image_id});
}

static void do_start(struct task *t)
{
        struct pod_worker *w = t->w;
        struct runtime *rt = w->k->runtime;
        _cleanup_arena_ struct arena *a = arena_new(1024);
        _cleanup_error_ struct error err = ERROR_INIT;
        fiber_mutex_lock(&w->lock);
        int r = rt->ops->start_container(rt, t->id, &err);
        fiber_mutex_unlock(&w->lock);
        if (r != 0) {
                task_failed(t, POD_EVENT_START_FAILED, NULL, &err);
                return;
        }
        struct runtime_container info = {0};
        r = rt->ops->container_status(rt, t->id, a, &info, NULL);
        worker_post(w, &(struct pod_event){
                               .type = POD_EVENT_STARTED, .container = t->c, .time = r == 0 ? info.started : 0});
        /* Its end may have been told before we said that it began. */
        if (r != 0 || info.state != RUNTIME_CONTAINER_RUNNING)
                worker_check_exit(w, t->id);
}

static char *pod_text(struct task *t, struct arena *a)
{
        return arena_printf(a, "%s_%s(%s)", t->object->name, t->object->namespace, t->w->uid);
}

/* Runs a hook. NULL: it went well; else the text of its failure, in the arena. */
static char *run_hook(struct task *t, struct arena *a, const struct json *handler, int64_t timeout)
{
        struct probe_call call = {.handler = handler,
                                  .container = task_spec(t),
                                  .container_id = t->id,
                                  .host = t->w->lc->ips[0] ? t->w->lc->ips[0] : "127.0.0.1",
                                  .timeout = timeout,
                                  .hook = true};
        _cleanup_free_ char *text = NULL;
        if (probe_run(t->w->k->prober, &call, &text) == PROBE_SUCCESS)
                return NULL;
        const struct json *exec = json_get(handler, "exec"), *http = json_get(handler, "httpGet");
        struct strbuf what = STRBUF_INIT;
        json_foreach_item(json_get(exec, "command"), arg)
                strbuf_printf(&what, "%s%s", arg_i ? " " : "", json_string(arg));
        char *r = exec ? arena_printf(a, "Exec lifecycle hook ([%s]) for Container \"%s\" in Pod \"%s\" failed - error: %s",
                                      strbuf_str(&what), t->c->name, pod_text(t, a), text)
                       : arena_printf(a, "HTTP lifecycle hook (%s) for Container \"%s\" in Pod \"%s\" failed - error: %s",
                                      json_get_string(http, "path"), t->c->name, pod_text(t, a), text);
        strbuf_deinit(&what);
        return r;
}

static void do_post_start(struct task *t)
{
        _cleanup_arena_ struct arena *a = arena_new(1024);
        char *failure = run_hook(t, a, json_path(task_spec(t), "lifecycle.postStart"), 0);
        worker_post(t->w, &(struct pod_event){.type = failure ? POD_EVENT_HOOK_FAILED : POD_EVENT_HOOK_DONE,
                                              .container = t->c,
                                              .message = failure});
}

struct prestop {
        struct task *t;
        struct task own;   /* a copy that outlives the stop */
        struct fiber *waiter;
        bool done;
        unsigned refs;
};

static void prestop_unref(struct prestop *p)
{
        if (--p->refs)
                return;
        object_unref(p->own.object);
        worker_unref(p->own.w);
        free(p->own.id);
        free(p);
}

static void prestop_fiber(void *userdata)
{
        struct prestop *p = userdata;
        _cleanup_arena_ struct arena *a = arena_new(512);
        const struct json *handler = json_path(task_spec(&p->own), "lifecycle.preStop");
        char *failure = run_hook(&p->own, a, handler, p->own.grace);
        if (failure) {
                log_info("%s", failure);
                worker_record(p->own.w, p->own.c, true, "FailedPreStopHook", "PreStopHook failed");
        }
        p->done = true;
        if (p->waiter)
                fiber_wake(p->waiter);
        prestop_unref(p);
}

static void prestop_timeout(struct loop_timer *timer, void *userdata)
{
        struct prestop *p = userdata;
        if (p->waiter)
                fiber_wake(p->waiter);
        p->waiter = NULL;
}

/* preStop within the grace period: what it takes is taken from it. */
static void run_prestop(struct task *t)
{
        if (t->c->kind == KIND_EPHEMERAL || !json_path(task_spec(t), "lifecycle.preStop"))
                return;
        int64_t began = time_mono();
        struct prestop *p = new0(struct prestop);
        p->refs = 2;
        p->own = *t;
        p->own.w = worker_ref(t->w);
        p->own.object = object_ref(t->object);
        p->own.id = xstrdup(t->id);
        p->waiter = fiber_self();
        struct loop_timer *timer = loop_timer_new(t->w->k->loop, prestop_timeout, p);
        loop_timer_arm(timer, t->grace);
        fiber_start(t->w->k->loop, prestop_fiber, p);
        while (!p->done && p->waiter)
                fiber_park();
        p->waiter = NULL;
        loop_timer_free(timer);
        prestop_unref(p);
        t->grace -= time_mono() - began;
}

static void do_stop(struct task *t)
{
        struct pod_worker *w = t->w;
        struct runtime *rt = w->k->runtime;
        run_prestop(t);
        for (;;) {
                _cleanup_error_ struct error err = ERROR_INIT;
                int r = rt->ops->stop_container(rt, t->id, MAX(t->grace, 2 * NS_PER_SEC), &err);
                if (r >= 0)
                        break;
                log_warn("pod %s: cannot stop container %s: %s", w->key, t->c->name, error_text(&err));
                fiber_sleep(2 * NS_PER_SEC);
        }
        worker_check_exit(w, t->id);
}

/* --- exits --- */

static void do_check_exit(struct task *t)
{
        struct pod_worker *w = t->w;
        struct runtime *rt = w->k->runtime;
        _cleanup_arena_ struct arena *a = arena_new(1024);
        _cleanup_error_ struct error err = ERROR_INIT;
        struct runtime_container info = {0};
        int r = rt->ops->container_status(rt, t->id, a, &info, &err);
        if (r < 0 || (r == 0 && (info.state == RUNTIME_CONTAINER_RUNNING || info.state == RUNTIME_CONTAINER_CREATED)))
                return;
        struct pod_event ev = {.type = POD_EVENT_EXITED, .container = t->c, .id = t->id};
        if (r == RUNTIME_NOT_FOUND) {
                ev.code = 137;
                ev.reason = "ContainerStatusUnknown";
                ev.message = "The container could not be located when the pod was terminated";
        } else {
                ev.code = info.exit_code;
                ev.reason = info.reason;
                ev.time = info.finished;
                ev.message = info.message;
                if (!rt->is_fake && !ev.message)
                        ev.message = termination_message(w->k->volumes, a, w->uid, task_spec(t), info.attempt,
                                                         info.exit_code, info.log_path);
        }
        worker_post(w, &ev);
}

void worker_check_exit(struct pod_worker *w, const char *container_id)
{
        struct lifecycle_container *c = worker_container_by_id(w, container_id);
        if (c)
                task_start(w, &(struct pod_action){.container = c}, do_check_exit);
}

/* --- resize --- */

static void do_resize(struct task *t)
{
        struct pod_worker *w = t->w;
        struct runtime *rt = w->k->runtime;
        struct runtime_resources own = {0}, all = {0};
        _cleanup_error_ struct error err = ERROR_INIT;
        translate_container_resources(t->object->json, task_spec(t), w->k->memory, &own);
        translate_pod_resources(t->object->json, &all);
        /* The pod's group must never be the narrower one: grow it first. It is set to the sum either way. */
        int r = w->sandbox_id ? rt->ops->update_sandbox(rt, w->sandbox_id, &all, &err) : 0;
        if (r >= 0)
                r = rt->ops->update_container(rt, t->id, &own, &err);
        worker_post(w, &(struct pod_event){.type = POD_EVENT_RESIZED,
                                           .container = t->c,
                                           .success = r == 0,
                                           .message = r == 0 ? NULL : error_text(&err)});
}

/* --- the table --- */

static void act_probe(struct pod_worker *w, struct lifecycle_container *c)
{
        struct container_data *d = container_data(w, c);
        bool host = json_path_bool(w->object->json, "spec.hostNetwork", false);
        struct prober_target target = {
                .spec = c->spec,
                .container_id = c->run.id,
                .pod_ip = host ? w->k->config.node_ips[0] : w->lc->ips[0],
                .started = c->run.started,
        };
        probe_set_free(d->probes);
        d->probes = w->k->runtime->is_fake ? NULL : probe_set_new(w->k->prober, &target, d);
        if (!w->k->runtime->is_fake)
                return;
        /* Declared containers are as healthy as they are running. */
        static const enum probe_kind kinds[] = {PROBE_STARTUP, PROBE_READINESS};
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                worker_post(w, &(struct pod_event){
                                       .type = POD_EVENT_PROBE, .container = c, .probe = kinds[i], .success = true});
}

static void act_unprobe(struct pod_worker *w, struct lifecycle_container *c)
{
        struct container_data *d = container_data(w, c);
        probe_set_free(steal_ptr(d->probes));
}

void worker_act(struct pod_worker *w, const struct pod_action *action)
{
        static void (*const tasks[])(struct task *t) = {
                [POD_MOUNT_VOLUMES] = do_mount, [POD_MAKE_SANDBOX] = do_sandbox,   [POD_CLEAN] = do_clean,
                [POD_INSPECT_IMAGE] = do_inspect, [POD_PULL_IMAGE] = do_pull,      [POD_CREATE] = do_create,
                [POD_START] = do_start,         [POD_POST_START] = do_post_start,  [POD_STOP] = do_stop,
                [POD_RESIZE] = do_resize,
        };
        switch (action->type) {
        case POD_RECORD:
                worker_record(w, action->container, action->warning, action->reason, action->message);
                break;
        case POD_PROBE:
                act_probe(w, action->container);
                break;
        case POD_UNPROBE:
                act_unprobe(w, action->container);
                break;
        case POD_DELETE:
                w->delete_wanted = true;
                w->lc->status_dirty = true;
                break;
        default:
                task_start(w, action, tasks[action->type]);
                break;
        }
}
