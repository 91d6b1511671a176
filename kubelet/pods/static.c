/* Static pods: see static.h.
 *
 * The folder is watched by inotify. A file becomes a pod object as upstream makes it: named after the
 * node, its uid a hash of what the file says, so that a changed file is another pod. Its mirror in
 * the API carries that hash; the status is written to the mirror.
 */
#include "static.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/inotify.h>

#include "../../lib/base/file.h"
#include "../../lib/base/log.h"
#include "../../lib/json/yaml.h"
#include "../node.h"
#include "worker.h"

#define MIRROR "kubernetes.io/config.mirror"
#define HASH "kubernetes.io/config.hash"

struct static_pods {
        struct kubelet *k;
        struct map files; /* path to struct object *: the pod that it describes */
        struct map mirrors; /* "ns/name" to struct object *: mirror pods in the API */
        int inotify;
        struct loop_timer *settled;
};

/* How long the folder must be quiet before it is read: who writes a file beside its place and renames it,
 * or writes several, does not get pods that live for a moment. */
#define SETTLE (NS_PER_SEC / 10)

/* --- from a file to a pod --- */

static void set_default(struct arena *a, struct json *obj, const char *key, const char *value)
{
        if (!json_get(obj, key))
                json_set_string(a, obj, key, value);
}

/* The few defaults that the kubelet itself reads; the mirror gets all of them from the API server. */
static void default_containers(struct arena *a, struct json *list)
{
        json_foreach_item(list, c) {
                const char *image = json_get_string(c, "image");
                const char *colon = image ? strrchr(image, ':') : NULL;
                bool latest = !colon || strchr(colon, '/') || streq(colon, ":latest");
                set_default(a, c, "imagePullPolicy", latest ? "Always" : "IfNotPresent");
                set_default(a, c, "terminationMessagePath", "/dev/termination-log");
                set_default(a, c, "terminationMessagePolicy", "File");
                json_ensure_object(a, c, "resources");
        }
}

static struct object *static_object(struct static_pods *s, const char *path, struct json *pod, struct arena *a)
{
        char now[TIME_BUF], uid[33];
        struct json *meta = json_ensure_object(a, pod, "metadata"), *spec = json_ensure_object(a, pod, "spec");
        const char *name = json_get_string(meta, "name");
        uint64_t h1 = json_hash(pod), h2 = hash_bytes(path, strlen(path)) * UINT64_C(0x9e3779b97f4a7c15);
        snprintf(uid, sizeof(uid), "%016llx%016llx", (unsigned long long)h1, (unsigned long long)(h2 ^ h1));
        json_set(a, meta, "name", json_new_stringf(a, "%s-%s", name, s->k->config.node_name));
        set_default(a, meta, "namespace", "default");
        json_set_string(a, meta, "uid", uid);
        struct json *notes = json_ensure_object(a, meta, "annotations");
        json_set_string(a, notes, HASH, uid);
        json_set_string(a, notes, "kubernetes.io/config.source", "file");
        json_set_string(a, notes, "kubernetes.io/config.seen", time_format(time_real(), now));
        json_set_string(a, spec, "nodeName", s->k->config.node_name);
        set_default(a, spec, "restartPolicy", "Always");
        set_default(a, spec, "dnsPolicy", "ClusterFirst");
        if (!json_get(spec, "terminationGracePeriodSeconds"))
                json_set_int(a, spec, "terminationGracePeriodSeconds", 30);
        struct json *all = json_new_object(a), *tolerations = json_ensure_array(a, spec, "tolerations");
        json_set_string(a, all, "operator", "Exists");
        json_set_string(a, all, "effect", "NoExecute");
        json_append(a, tolerations, all);
        default_containers(a, json_get(spec, "containers"));
        default_containers(a, json_get(spec, "initContainers"));
        return object_new(a, pod);
}

static struct object *read_manifest(struct static_pods *s, const char *path)
{
        _cleanup_free_ char *text = NULL;
        _cleanup_error_ struct error err = ERROR_INIT;
        size_t len;
        struct json *pod = NULL;
        struct arena *a = arena_new(4096);
        int r = file_read(path, 10 << 20, &text, &len, &err);
        if (r >= 0)
                r = yaml_parse(a, text, len, NULL, &pod, &err);
        if (r < 0 || !streq(json_get_string(pod, "kind"), "Pod") || !json_path_string(pod, "metadata.name")) {
                log_warn("static pod %s: %s", path, r < 0 ? error_text(&err) : "not a Pod with a name");
                arena_free(a);
                return NULL;
        }
        return static_object(s, path, pod, a);
}

/* --- mirrors --- */

struct mirror_task {
        struct static_pods *s;
        struct object *pod; /* to be mirrored, or NULL */
        struct object *old; /* mirror to be deleted first, or NULL */
};

static void delete_mirror(struct static_pods *s, struct object *o)
{
        _cleanup_arena_ struct arena *a = arena_new(512);
        struct json *options = json_new_object(a);
        json_set_string(a, options, "kind", "DeleteOptions");
        json_set_string(a, options, "apiVersion", "v1");
        json_set_int(a, options, "gracePeriodSeconds", 0);
        json_path_set(a, options, "preconditions.uid", json_new_string(a, o->uid));
        client_delete(s->k->client, client_path(a, "", "v1", "pods", o->namespace, o->name, NULL), options, a, NULL, NULL);
}

static void create_mirror(struct static_pods *s, struct object *o)
{
        _cleanup_arena_ struct arena *a = arena_new(4096);
        _cleanup_error_ struct error err = ERROR_INIT;
        struct json *pod = json_clone(a, o->json), *meta = json_get(pod, "metadata"), *owner = json_new_object(a);
        json_del(meta, "uid");
        json_set_string(a, json_ensure_object(a, meta, "annotations"), MIRROR, o->uid);
        json_set_string(a, owner, "apiVersion", "v1");
        json_set_string(a, owner, "kind", "Node");
        json_set_string(a, owner, "name", s->k->config.node_name);
        json_set_string(a, owner, "uid", json_path_string(node_object(s->k->node), "metadata.uid"));
        json_set_bool(a, owner, "controller", true);
        json_append(a, json_ensure_array(a, meta, "ownerReferences"), owner);
        for (int64_t delay = NS_PER_SEC / 2;; delay = MIN(delay * 2, 60 * NS_PER_SEC)) {
                int r = client_create(s->k->client, client_path(a, "", "v1", "pods", o->namespace, NULL, NULL), pod, a,
                                      NULL, &err);
                if (r == 0 || r == CLIENT_EXISTS || !pods_find_uid(s->k, o->uid))
                        return;
                log_warn("static pod %s: cannot mirror it: %s", o->name, error_text(&err));
                error_deinit(&err);
                fiber_sleep(delay);
        }
}

static void mirror_fiber(void *userdata)
{
        struct mirror_task *t = userdata;
        while (t->pod && !node_object(t->s->k->node))
                fiber_sleep(NS_PER_SEC / 5);
        while (!informer_synced(t->s->k->pods))
                fiber_sleep(NS_PER_SEC / 10);
        if (t->pod) {
                struct object *have = map_get(&t->s->mirrors, t->pod->key);
                bool same = have && streq(json_get_string(json_path(have->json, "metadata.annotations"), MIRROR), t->pod->uid);
                if (have && !same)
                        delete_mirror(t->s, have);
                if (!same)
                        create_mirror(t->s, t->pod);
        }
        if (t->old)
                delete_mirror(t->s, t->old);
        object_unref(t->pod);
        object_unref(t->old);
        free(t);
}

static void mirror_later(struct static_pods *s, struct object *pod, struct object *old)
{
        struct mirror_task *t = new0(struct mirror_task);
        t->s = s;
        t->pod = pod ? object_ref(pod) : NULL;
        t->old = old ? object_ref(old) : NULL;
        fiber_start(s->k->loop, mirror_fiber, t);
}

static struct object *static_by_key(struct static_pods *s, const char *key)
{
        struct map_entry *e;
        map_foreach(&s->files, e)
                if (streq(((struct object *)e->value)->key, key))
                        return e->value;
        return NULL;
}

bool static_pods_mirror(struct kubelet *k, struct object *o, bool gone)
{
        const char *hash = json_get_string(json_path(o->json, "metadata.annotations"), MIRROR);
        struct static_pods *s = k->statics;
        if (!hash)
                return false;
        if (!s)
                return true;
        object_unref(map_del(&s->mirrors, o->key));
        if (!gone)
                map_put(&s->mirrors, o->key, object_ref(o));
        struct object *pod = static_by_key(s, o->key);
        struct pod_worker *w = pods_find_uid(k, hash);
        if (w) {
                object_unref(w->api);
                w->api = gone ? NULL : object_ref(o);
                if (!gone)
                        worker_status(w);
        }
        if (gone && pod)
                mirror_later(s, pod, NULL); /* somebody deleted it: it comes back */
        else if (!gone && (!pod || !streq(pod->uid, hash)))
                mirror_later(s, pod, pod ? NULL : o);
        return true;
}

/* --- the folder --- */

static void forget_file(struct static_pods *s, const char *path)
{
        struct object *o = map_del(&s->files, path);
        if (!o)
                return;
        struct object *mirror = map_get(&s->mirrors, o->key);
        pods_static(s->k, o, true);
        if (mirror)
                mirror_later(s, NULL, mirror);
        object_unref(o);
}

static void take_file(struct static_pods *s, const char *path)
{
        struct object *o = read_manifest(s, path), *old = map_get(&s->files, path);
        if (!o)
                return;
        if (old && streq(old->uid, o->uid)) {
                object_unref(o);
                return;
        }
        forget_file(s, path);
        map_put(&s->files, path, o);
        pods_static(s->k, o, false);
        mirror_later(s, o, NULL);
}

static void scan(struct static_pods *s)
{
        struct map seen = MAP_INIT;
        DIR *dir = opendir(s->k->config.manifest_path);
        for (struct dirent *d; dir && (d = readdir(dir));) {
                if (d->d_name[0] == '.')
                        continue;
                _cleanup_free_ char *path = xasprintf("%s/%s", s->k->config.manifest_path, d->d_name);
                map_put(&seen, path, s);
                take_file(s, path);
        }
        if (dir)
                closedir(dir);
        for (bool again = true; again;) {
                struct map_entry *e;
                again = false;
                map_foreach(&s->files, e) {
                        if (map_has(&seen, e->key))
                                continue;
                        _cleanup_free_ char *path = xstrdup(e->key);
                        forget_file(s, path);
                        again = true;
                        break;
                }
        }
        map_deinit(&seen);
}

static void folder_changed(struct loop_fd *source, uint32_t events, void *userdata)
{
        struct static_pods *s = userdata;
        char buf[4096];
        while (read(s->inotify, buf, sizeof(buf)) > 0)
                ;
        loop_timer_arm(s->settled, SETTLE);
}

static void folder_settled(struct loop_timer *timer, void *userdata)
{
        scan(userdata);
}

void static_pods_start(struct kubelet *k)
{
        const char *path = k->config.manifest_path;
        _cleanup_error_ struct error err = ERROR_INIT;
        if (!path)
                return;
        struct static_pods *s = new0(struct static_pods);
        s->k = k;
        k->statics = s;
        if (dir_make(path, 0755, &err) < 0)
                log_warn("static pods: %s", error_text(&err));
        s->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        inotify_add_watch(s->inotify, path, IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE);
        loop_fd_new(k->loop, s->inotify, EPOLLIN, folder_changed, s);
        s->settled = loop_timer_new(k->loop, folder_settled, s);
        scan(s);
}
