/* The driver of HorizontalPodAutoscalers: every sync period it gets the target's scale and the pods' metrics, lets
 * hpa_decide() judge, and carries that out. While there is no autoscaler nothing wakes.
 *
 * It talks to the server itself: what may be scaled is any kind with a scale subresource, and metrics are answers to
 * questions, not objects that can be watched.
 */
#include <stdio.h>

#include "hpa.h"

struct autoscaling {
        struct controllers *controllers;
        struct event_recorder *events;
        struct loop_timer *timer;
        struct map memories; /* uid to struct hpa_memory * */
        int64_t period_ns;
        bool working;
};

/* The plural name of a kind, from discovery. NULL: there is none. */
static const char *plural_of(struct client *c, struct arena *a, const char *api_version, const char *kind)
{
        const char *path = strchr(api_version, '/') ? arena_printf(a, "/apis/%s", api_version) : arena_printf(a, "/api/%s", api_version);
        struct json *list = NULL;

        if (client_get(c, path, a, &list, NULL) != 0)
                return NULL;
        json_foreach_item(json_get(list, "resources"), res) {
                const char *name = json_get_string(res, "name");

                if (streq(json_get_string(res, "kind"), kind) && name && !strchr(name, '/'))
                        return name;
        }
        return NULL;
}

/* The path of the target's scale; NULL with *ret_error. */
static const char *scale_path(struct client *c, struct arena *a, const struct object *hpa, const char **ret_error)
{
        const struct json *ref = json_path(hpa->json, "spec.scaleTargetRef");
        const char *version = json_get_string(ref, "apiVersion"), *kind = json_get_string(ref, "kind"), *plural, *slash;

        version = version ? version : "v1";
        slash = strchr(version, '/');
        plural = kind ? plural_of(c, a, version, kind) : NULL;
        if (!plural) {
                *ret_error = arena_printf(a, "no matches for kind \"%s\" in group \"%s\"", kind ? kind : "",
                                          slash ? arena_strndup(a, version, (size_t)(slash - version)) : "");
                return NULL;
        }
        return client_path(a, slash ? arena_strndup(a, version, (size_t)(slash - version)) : "", slash ? slash + 1 : version, plural,
                           hpa->namespace, json_get_string(ref, "name"), "scale");
}

static void get_pods(struct autoscaling *as, struct arena *a, const struct object *hpa, const struct selector *sel,
                     struct object_list *ret)
{
        const struct object_store *store = informer_store(controllers_informer(as->controllers, R_PODS));
        struct object *const *pods;
        size_t n;

        pods = object_store_lookup(store, STORE_BY_NAMESPACE, hpa->namespace, &n);
        for (size_t i = 0; i < n; i++)
                if (selector_matches(sel, json_path(pods[i]->json, "metadata.labels")))
                        list_add(a, ret, pods[i]);
}

/* Percent-encodes what a selector may hold. */
static const char *encoded(struct arena *a, const char *text)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        for (; *text; text++) {
                bool plain = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') || (*text >= '0' && *text <= '9') ||
                             strchr("-._", *text);

                if (plain)
                        strbuf_putc(&b, *text);
                else
                        strbuf_printf(&b, "%%%02X", (unsigned char)*text);
        }
        return arena_strdup(a, strbuf_str(&b));
}

static void get_metrics(struct autoscaling *as, struct arena *a, const struct object *hpa, const char *selector, struct hpa_input *in)
{
        struct client *c = controllers_client(as->controllers);
        _cleanup_error_ struct error err = ERROR_INIT;
        struct json *list = NULL;
        const char *path = arena_printf(a, "/apis/metrics.k8s.io/v1beta1/namespaces/%s/pods?labelSelector=%s", hpa->namespace,
                                        encoded(a, selector));
        int r = client_get(c, path, a, &list, &err);

        if (!r) {
                in->metrics = list;
                return;
        }
        in->metrics_error = r == CLIENT_NOT_FOUND ? "the server could not find the requested resource (get pods.metrics.k8s.io)" :
                                                    arena_strdup(a, error_text(&err));
}

static bool needs_metrics(const struct hpa_input *in)
{
        int64_t n = json_path_int(in->scale, "spec.replicas", 0);

        return in->scale && n && n <= json_path_int(in->hpa, "spec.maxReplicas", 1) && n >= json_path_int(in->hpa, "spec.minReplicas", 1);
}

static int set_scale(struct client *c, struct arena *a, const char *path, const struct hpa_input *in, int64_t replicas,
                     struct error *reterr)
{
        struct json *scale = json_clone(a, in->scale);

        json_path_set(a, scale, "spec.replicas", json_new_int(a, replicas));
        return client_update(c, path, scale, a, NULL, reterr);
}

static void gather(struct autoscaling *as, struct arena *a, const struct object *hpa, const char *path, struct hpa_input *in)
{
        struct client *c = controllers_client(as->controllers);
        _cleanup_error_ struct error err = ERROR_INIT;
        struct json *scale = NULL;
        const char *selector;
        struct selector sel;

        if (path && client_get(c, path, a, &scale, &err) != 0)
                in->scale_error = arena_strdup(a, error_text(&err));
        else if (path)
                in->scale = scale;
        if (!in->scale || !needs_metrics(in))
                return;
        selector = json_path_string(in->scale, "status.selector");
        if (!selector || selector_parse(a, selector, &sel, NULL) < 0) {
                in->metrics_error = "the target has no selector";
                return;
        }
        get_metrics(as, a, hpa, selector, in);
        get_pods(as, a, hpa, &sel, &in->pods); /* after the last call that parks */
}

static void work_on(struct autoscaling *as, const struct object *hpa)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        _cleanup_error_ struct error err = ERROR_INIT;
        struct client *c = controllers_client(as->controllers);
        struct hpa_input in = { .hpa = hpa->json, .now = time_real(), .memory = map_get(&as->memories, hpa->uid) };
        const char *path = scale_path(c, a, hpa, &in.scale_error);
        struct hpa_output out;
        struct json *copy;

        if (!in.memory) {
                in.memory = new0(struct hpa_memory);
                map_put(&as->memories, hpa->uid, in.memory);
        }
        gather(as, a, hpa, path, &in);
        hpa_decide(a, &in, &out);
        if (out.replicas >= 0) {
                int r = set_scale(c, a, path, &in, out.replicas, &err);

                hpa_rescaled(a, &in, r ? error_text(&err) : NULL, &out);
        }
        for (size_t i = 0; i < out.n_events; i++)
                event_record(as->events, hpa->json, NULL, out.events[i].type, out.events[i].reason, "%s", out.events[i].message);
        if (json_equal(out.status, json_get(hpa->json, "status")))
                return;
        copy = object_editable(a, hpa->json);
        json_set(a, copy, "status", out.status);
        client_update(c, client_path(a, "autoscaling", "v2", "horizontalpodautoscalers", hpa->namespace, hpa->name, "status"), copy, a,
                      NULL, NULL); /* a conflict: the next round sees to it */
}

static void round_fiber(void *userdata)
{
        struct autoscaling *as = userdata;
        struct informer *inf = controllers_informer(as->controllers, R_HPAS);
        struct object_list all = { 0 };
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct map_entry *e;

        map_foreach(informer_objects(inf), e)
                list_add(a, &all, object_ref(e->value));
        list_sort(&all, compare_by_name);
        for (size_t i = 0; i < all.n; i++) {
                const struct object *now = informer_get(inf, all.items[i]->key);

                if (now && streq(now->uid, all.items[i]->uid) && !object_is_deleting(now->json)) {
                        _cleanup_object_ struct object *held = object_ref((struct object *)now);

                        work_on(as, held);
                }
        }
        for (size_t i = 0; i < all.n; i++)
                object_unref((struct object *)all.items[i]);
        as->working = false;
        if (informer_objects(inf)->n)
                loop_timer_arm_slack(as->timer, as->period_ns, as->period_ns / 10);
}

static void on_timer(struct loop_timer *timer, void *userdata)
{
        struct autoscaling *as = userdata;

        if (as->working)
                return;
        as->working = true;
        fiber_start(client_loop(controllers_client(as->controllers)), round_fiber, as);
}

static void on_changed(struct informer *inf, struct object *old, struct object *new, void *userdata)
{
        struct autoscaling *as = userdata;

        if (!new)
                free(map_del(&as->memories, old->uid));
        if (!old && informer_objects(inf)->n <= 1 && !as->working)
                loop_timer_arm_slack(as->timer, as->period_ns, as->period_ns / 10);
}

void hpa_controller_start(struct controllers *c, int64_t period_ns)
{
        struct autoscaling *as = new0(struct autoscaling); /* lives as long as the process */
        struct informer_handler h = { .changed = on_changed, .userdata = as };

        as->controllers = c;
        as->period_ns = period_ns;
        as->memories = (struct map)MAP_INIT;
        as->events = event_recorder_new(controllers_client(c), "horizontal-pod-autoscaler", "");
        as->timer = loop_timer_new(client_loop(controllers_client(c)), on_timer, as);
        controllers_informer(c, R_PODS);
        informer_add_handler(controllers_informer(c, R_HPAS), &h);
}
