/* The Node object: registered at start, its status written when something changes and every five
 * minutes, its Lease renewed every ten seconds.
 *
 * One timer does all of it, with slack: an idle node wakes once in ten seconds for one small write.
 */
#include "node.h"

#include <errno.h>
#include <stdio.h>

#include "../lib/base/log.h"
#include "node-internal.h"

#define LEASE_PERIOD (10 * NS_PER_SEC)
#define LEASE_SECONDS 40
#define STATUS_PERIOD (300 * NS_PER_SEC)
#define IMAGES_MAX 50

struct node {
        struct kubelet *k;
        struct arena *arena;      /* of `object` */
        struct json *object;      /* as the API has it */
        struct arena *lease_arena;
        struct json *lease;
        struct loop_timer *timer;
        struct informer *informer;
        int64_t status_written;   /* monotonic */
        char *not_ready;          /* why; NULL: ready */
        char *cidr;               /* spec.podCIDR as the runtime was told */
        bool changed, running, again, was_ready;
};

const struct json *node_object(const struct node *n)
{
        return n ? n->object : NULL;
}

static char *node_path(struct node *n, struct arena *a, const char *sub)
{
        return client_path(a, "", "v1", "nodes", NULL, n->k->config.node_name, sub);
}

static void take_object(struct node *n, struct arena *arena, struct json *object)
{
        arena_free(n->arena);
        n->arena = arena;
        n->object = object;
        const char *cidr = json_path_string(object, "spec.podCIDR");
        if (cidr && !streq(cidr, n->cidr)) {
                free(n->cidr);
                n->cidr = xstrdup(cidr);
                runtime_set_pod_cidr(n->k->runtime, cidr);
        }
}

/* --- status --- */

static void add_condition(struct node *n, struct arena *a, struct json *list, const char *type, bool yes,
                          const char *reason, const char *message)
{
        char now[TIME_BUF];
        const char *since = time_format(time_real(), now), *value = yes ? "True" : "False";
        json_foreach_item(json_path(n->object, "status.conditions"), c)
                if (streq(json_get_string(c, "type"), type) && streq(json_get_string(c, "status"), value) &&
                    json_get_string(c, "lastTransitionTime"))
                        since = json_get_string(c, "lastTransitionTime");
        struct json *x = json_new_object(a);
        json_set_string(a, x, "type", type);
        json_set_string(a, x, "status", value);
        json_set(a, x, "lastHeartbeatTime", json_new_string(a, time_format(time_real(), (char[TIME_BUF]){0})));
        json_set_string(a, x, "lastTransitionTime", since);
        json_set_string(a, x, "reason", reason);
        json_set_string(a, x, "message", message);
        json_append(a, list, x);
}

static struct json *node_conditions(struct node *n, struct arena *a)
{
        static const char *const ours[] = {"MemoryPressure", "DiskPressure", "PIDPressure", "Ready"};
        struct json *list = json_new_array(a);
        json_foreach_item(json_path(n->object, "status.conditions"), c) {
                bool own = false;
                for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
                        own |= streq(json_get_string(c, "type"), ours[i]);
                if (!own)
                        json_append(a, list, json_clone(a, c));
        }
        bool memory = n->k->under_memory, disk = n->k->under_disk;
        add_condition(n, a, list, "MemoryPressure", memory,
                      memory ? "KubeletHasInsufficientMemory" : "KubeletHasSufficientMemory",
                      memory ? "kubelet has insufficient memory available" : "kubelet has sufficient memory available");
        add_condition(n, a, list, "DiskPressure", disk, disk ? "KubeletHasDiskPressure" : "KubeletHasNoDiskPressure",
                      disk ? "kubelet has disk pressure" : "kubelet has no disk pressure");
        add_condition(n, a, list, "PIDPressure", false, "KubeletHasSufficientPID",
                      "kubelet has sufficient PID available");
        if (n->not_ready)
                add_condition(n, a, list, "Ready", false, "KubeletNotReady", n->not_ready);
        else
                add_condition(n, a, list, "Ready", true, "KubeletReady", "kubelet is posting ready status");
        return list;
}

static struct json *node_addresses(struct node *n, struct arena *a)
{
        struct json *list = json_new_array(a);
        for (size_t i = 0; i < 3; i++) {
                const char *address = i < 2 ? n->k->config.node_ips[i] : n->k->config.node_name;
                struct json *x = json_new_object(a);
                if (!address)
                        continue;
                json_set_string(a, x, "type", i < 2 ? "InternalIP" : "Hostname");
                json_set_string(a, x, "address", address);
                json_append(a, list, x);
        }
        return list;
}

static struct json *node_images(struct node *n, struct arena *a)
{
        struct runtime *rt = n->k->runtime;
        struct json *list = json_new_array(a);
        struct runtime_image *images = NULL;
        size_t count = 0;
        if (n->k->config.fake || rt->ops->image_list(rt, a, &images, &count, NULL) < 0)
                return list;
        for (size_t i = 0; i < MIN(count, (size_t)IMAGES_MAX); i++) {
                struct json *x = json_new_object(a), *names = json_ensure_array(a, x, "names");
                for (size_t j = 0; j < images[i].n_repo_digests; j++)
                        json_append(a, names, json_new_string(a, images[i].repo_digests[j]));
                for (size_t j = 0; j < images[i].n_repo_tags; j++)
                        json_append(a, names, json_new_string(a, images[i].repo_tags[j]));
                json_set_int(a, x, "sizeBytes", images[i].size);
                json_append(a, list, x);
        }
        return list;
}

static struct json *node_status(struct node *n, struct arena *a)
{
        struct json *s = json_new_object(a);
        json_set(a, s, "capacity", json_clone(a, n->k->capacity));
        json_set(a, s, "allocatable", json_clone(a, n->k->allocatable));
        json_set(a, s, "conditions", node_conditions(n, a));
        json_set(a, s, "addresses", node_addresses(n, a));
        json_path_set(a, s, "daemonEndpoints.kubeletEndpoint.Port", json_new_int(a, n->k->config.port));
        json_set(a, s, "nodeInfo", node_info(n->k, a));
        json_set(a, s, "images", node_images(n, a));
        return s;
}

static int write_status(struct node *n)
{
        _cleanup_arena_ struct arena *a = arena_new(4096);
        _cleanup_error_ struct error err = ERROR_INIT;
        struct arena *keep = arena_new(4096);
        struct json *patch = json_new_object(a), *answer = NULL;
        json_set(a, patch, "status", node_status(n, a));
        int r = client_patch(n->k->client, node_path(n, a, "status"), CLIENT_PATCH_MERGE, patch, keep, &answer, &err);
        if (r != 0) {
                arena_free(keep);
                log_warn("node %s: cannot write the status: %s", n->k->config.node_name, error_text(&err));
                return r > 0 ? -EIO : r;
        }
        take_object(n, keep, answer);
        n->status_written = time_mono();
        if (!n->not_ready && !n->was_ready) {
                struct json *ref = json_new_object(a);
                json_set_string(a, ref, "kind", "Node");
                json_set_string(a, ref, "apiVersion", "v1");
                json_path_set(a, ref, "metadata.name", json_new_string(a, n->k->config.node_name));
                json_path_set(a, ref, "metadata.uid", json_new_string(a, n->k->config.node_name));
                event_record(n->k->recorder, ref, NULL, "Normal", "NodeReady", "Node %s status is now: NodeReady",
                             n->k->config.node_name);
        }
        n->was_ready = !n->not_ready;
        return 0;
}

/* --- registration --- */

static void parse_labels(struct arena *a, struct json *labels, const char *text)
{
        char *copy = arena_strdup(a, text), *save = NULL;
        for (char *p = copy ? strtok_r(copy, ",", &save) : NULL; p; p = strtok_r(NULL, ",", &save)) {
                char *eq = strchr(p, '=');
                if (eq)
                        *eq = '\0';
                json_set_string(a, labels, p, eq ? eq + 1 : "");
        }
}

/* "key=value:Effect" */
static void parse_taints(struct arena *a, struct json *node, const char *text)
{
        char *copy = arena_strdup(a, text), *save = NULL;
        for (char *p = copy ? strtok_r(copy, ",", &save) : NULL; p; p = strtok_r(NULL, ",", &save)) {
                char *colon = strrchr(p, ':'), *eq = strchr(p, '=');
                struct json *t = json_new_object(a);
                if (!colon)
                        continue;
                *colon = '\0';
                if (eq)
                        *eq = '\0';
                json_set_string(a, t, "key", p);
                if (eq && eq[1])
                        json_set_string(a, t, "value", eq + 1);
                json_set_string(a, t, "effect", colon + 1);
                json_append(a, json_ensure_array(a, json_ensure_object(a, node, "spec"), "taints"), t);
        }
}

static struct json *node_labels(struct node *n, struct arena *a)
{
        struct json *l = json_new_object(a);
        const char *arch = node_architecture();
        json_set_string(a, l, "beta.kubernetes.io/arch", arch);
        json_set_string(a, l, "beta.kubernetes.io/os", "linux");
        json_set_string(a, l, "kubernetes.io/arch", arch);
        json_set_string(a, l, "kubernetes.io/hostname", n->k->config.node_name);
        json_set_string(a, l, "kubernetes.io/os", "linux");
        parse_labels(a, l, n->k->config.labels);
        return l;
}

/* Labels of ours that the node lacks or has otherwise; those that others set stay. */
static int update_labels(struct node *n)
{
        _cleanup_arena_ struct arena *a = arena_new(2048);
        _cleanup_error_ struct error err = ERROR_INIT;
        struct json *patch = json_new_object(a), *missing = json_new_object(a), *answer = NULL;
        json_foreach_member(node_labels(n, a), m)
                if (!streq(json_get_string(json_path(n->object, "metadata.labels"), m->key), json_string(m->value)))
                        json_set(a, missing, m->key, m->value);
        if (!json_len(missing))
                return 0;
        json_path_set(a, patch, "metadata.labels", missing);
        struct arena *keep = arena_new(4096);
        int r = client_patch(n->k->client, node_path(n, a, NULL), CLIENT_PATCH_MERGE, patch, keep, &answer, &err);
        if (r == 0)
                take_object(n, keep, answer);
        else
                arena_free(keep);
        return r;
}

static int register_once(struct node *n, struct error *reterr)
{
        _cleanup_arena_ struct arena *a = arena_new(4096);
        struct arena *keep = arena_new(4096);
        struct json *object = NULL;
        int r = client_get(n->k->client, node_path(n, a, NULL), keep, &object, reterr);
        if (r == CLIENT_NOT_FOUND && n->k->config.register_node) {
                struct json *node = json_new_object(a);
                error_deinit(reterr);
                json_set_string(a, node, "kind", "Node");
                json_set_string(a, node, "apiVersion", "v1");
                json_path_set(a, node, "metadata.name", json_new_string(a, n->k->config.node_name));
                json_path_set(a, node, "metadata.labels", node_labels(n, a));
                parse_taints(a, node, n->k->config.taints);
                json_set(a, node, "status", node_status(n, a));
                r = client_create(n->k->client, client_path(a, "", "v1", "nodes", NULL, NULL, NULL), node, keep,
                                  &object, reterr);
        }
        if (r != 0) {
                arena_free(keep);
                return r;
        }
        take_object(n, keep, object);
        return update_labels(n);
}

static void node_register(struct node *n)
{
        for (int64_t delay = NS_PER_SEC / 5;; delay = MIN(delay * 2, 7 * NS_PER_SEC)) {
                _cleanup_error_ struct error err = ERROR_INIT;
                if (register_once(n, &err) == 0)
                        return;
                log_warn("node %s: cannot register: %s", n->k->config.node_name, error_text(&err));
                fiber_sleep(delay);
        }
}

/* --- the Lease --- */

static struct json *lease_new(struct node *n, struct arena *a)
{
        struct json *l = json_new_object(a), *owner = json_new_object(a);
        json_set_string(a, l, "kind", "Lease");
        json_set_string(a, l, "apiVersion", "coordination.k8s.io/v1");
        json_path_set(a, l, "metadata.name", json_new_string(a, n->k->config.node_name));
        json_path_set(a, l, "metadata.namespace", json_new_string(a, "kube-node-lease"));
        json_set_string(a, owner, "apiVersion", "v1");
        json_set_string(a, owner, "kind", "Node");
        json_set_string(a, owner, "name", n->k->config.node_name);
        json_set_string(a, owner, "uid", json_path_string(n->object, "metadata.uid"));
        json_append(a, json_ensure_array(a, json_ensure_object(a, l, "metadata"), "ownerReferences"), owner);
        json_path_set(a, l, "spec.holderIdentity", json_new_string(a, n->k->config.node_name));
        json_path_set(a, l, "spec.leaseDurationSeconds", json_new_int(a, LEASE_SECONDS));
        return l;
}

static int renew_lease(struct node *n, struct error *reterr)
{
        _cleanup_arena_ struct arena *a = arena_new(2048);
        struct arena *keep = arena_new(2048);
        struct json *answer = NULL;
        char now[TIME_BUF];
        char *path = client_path(a, "coordination.k8s.io", "v1", "leases", "kube-node-lease", n->k->config.node_name, NULL);
        struct json *lease = n->lease ? json_clone(a, n->lease) : NULL;
        int r;
        if (!lease)
                r = client_get(n->k->client, path, a, &lease, reterr);
        else
                r = 0;
        if (r == CLIENT_NOT_FOUND) {
                error_deinit(reterr);
                lease = lease_new(n, a);
        }
        if (r == 0 || r == CLIENT_NOT_FOUND) {
                json_path_set(a, lease, "spec.holderIdentity", json_new_string(a, n->k->config.node_name));
                json_path_set(a, lease, "spec.leaseDurationSeconds", json_new_int(a, LEASE_SECONDS));
                json_path_set(a, lease, "spec.renewTime", json_new_string(a, time_format_micro(time_real(), now)));
                if (r == 0)
                        r = client_update(n->k->client, path, lease, keep, &answer, reterr);
                else
                        r = client_create(n->k->client,
                                          client_path(a, "coordination.k8s.io", "v1", "leases", "kube-node-lease",
                                                      NULL, NULL),
                                          lease, keep, &answer, reterr);
        }
        arena_free(n->lease_arena);
        n->lease_arena = NULL;
        n->lease = NULL;
        if (r != 0) {
                arena_free(keep); /* read it anew next time */
                return r;
        }
        n->lease_arena = keep;
        n->lease = answer;
        return 0;
}

/* --- the rhythm --- */

static void check_ready(struct node *n)
{
        _cleanup_error_ struct error err = ERROR_INIT;
        char *why = NULL;
        if (n->k->runtime->ops->ready(n->k->runtime, &err) != 0)
                why = xasprintf("container runtime network not ready: NetworkReady=false "
                                "reason:NetworkPluginNotReady message:Network plugin returns error: %s",
                                error_text(&err));
        if (!streq(why, n->not_ready))
                n->changed = true;
        free(n->not_ready);
        n->not_ready = why;
}

static void node_round(struct node *n, bool lease)
{
        check_ready(n);
        if (n->changed || time_mono() - n->status_written > STATUS_PERIOD) {
                n->changed = false;
                if (write_status(n) < 0)
                        n->changed = true;
        }
        for (int i = 0; lease && i < 5; i++) {
                _cleanup_error_ struct error err = ERROR_INIT;
                if (renew_lease(n, &err) == 0)
                        break;
                log_warn("node %s: cannot renew the lease: %s", n->k->config.node_name, error_text(&err));
                fiber_sleep(NS_PER_SEC / 5);
        }
}

static void round_fiber(void *userdata)
{
        struct node *n = userdata;
        do {
                bool lease = !n->again;
                n->again = false;
                node_round(n, lease);
        } while (n->again);
        n->running = false;
        loop_timer_arm_slack(n->timer, n->changed ? NS_PER_SEC : LEASE_PERIOD, NS_PER_SEC / 2);
}

static void node_go(struct node *n)
{
        if (n->running) {
                n->again = true;
                return;
        }
        n->running = true;
        fiber_start(n->k->loop, round_fiber, n);
}

static void timer_fire(struct loop_timer *timer, void *userdata)
{
        node_go(userdata);
}

void node_status_changed(struct node *n)
{
        n->changed = true;
        if (n->object)
                node_go(n);
}

static void node_changed(struct informer *inf, struct object *old, struct object *new, void *userdata)
{
        struct node *n = userdata;
        if (!new) {
                /* Somebody deleted it: upstream registers again only when it restarts; so do we. */
                return;
        }
        struct arena *keep = arena_new(4096);
        take_object(n, keep, json_clone(keep, new->json));
        if (n->not_ready && json_path(new->json, "spec.podCIDR"))
                node_go(n);
}

static void some_node_changed(struct informer *inf, struct object *old, struct object *new, void *userdata)
{
        struct node_watch *w = userdata;
        struct node *n = new ? map_get(&w->nodes, new->name) : NULL;
        if (n && n->object)
                node_changed(inf, old, new, n);
}

static void watch_together(struct node *n)
{
        struct node_watch *w = n->k->config.node_watch;
        map_put(&w->nodes, n->k->config.node_name, n);
        if (w->informer)
                return;
        w->informer = informer_new(n->k->client, &(struct informer_options){.group = "", .version = "v1", .resource = "nodes"});
        informer_add_handler(w->informer, &(struct informer_handler){.changed = some_node_changed, .userdata = w});
        informer_start(w->informer);
}

struct node *node_new(struct kubelet *k)
{
        struct node *n = new0(struct node);
        n->k = k;
        n->timer = loop_timer_new(k->loop, timer_fire, n);
        return n;
}

void node_start(struct node *n)
{
        struct kubelet *k = n->k;
        n->not_ready = xstrdup("container runtime status check may not have completed yet");
        check_ready(n);
        node_register(n);
        n->changed = true;
        node_go(n);
        if (k->config.fake) {
                watch_together(n);
                return;
        }
        char *selector = arena_printf(k->arena, "metadata.name=%s", k->config.node_name);
        n->informer = informer_new(k->client, &(struct informer_options){.group = "",
                                                                        .version = "v1",
                                                                        .resource = "nodes",
                                                                        .field_selector = selector});
        informer_add_handler(n->informer, &(struct informer_handler){.changed = node_changed, .userdata = n});
        informer_start(n->informer);
}
