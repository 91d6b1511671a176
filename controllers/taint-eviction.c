/* Eviction by taints: pods leave a node whose NoExecute taints they do not tolerate, or no longer do. */
#include "nodes.h"

/* How long the pod stays under this taint: ns from its beginning; -1 for ever; 0 not at all. */
static int64_t patience(const struct json *pod, const struct json *taint)
{
        int64_t least = -1;
        bool tolerated = false;

        json_foreach_item(json_path(pod, "spec.tolerations"), t) {
                int64_t seconds = json_get_int(t, "tolerationSeconds", -1);

                if (!toleration_matches(t, taint))
                        continue;
                tolerated = true;
                if (json_get(t, "tolerationSeconds") && (least < 0 || MAX(seconds, 0) < least))
                        least = MAX(seconds, 0);
        }
        return !tolerated ? 0 : least < 0 ? -1 : least * NS_PER_SEC;
}

/* When the taint came: as it says, else when we first saw it. */
static int64_t tainted_since(const struct snapshot *s, struct arena *a, const struct object *node, const struct json *taint)
{
        int64_t at = object_time(taint, "timeAdded");

        return at ? at : snapshot_since(s, arena_printf(a, "%s %s", node->uid, json_print(a, taint)));
}

/* What the Event is about: upstream says only the name. */
static struct json *pod_reference(struct arena *a, const struct object *pod)
{
        struct json *ref = json_new_object(a), *meta = json_ensure_object(a, ref, "metadata");

        json_set_string(a, ref, "kind", "Pod");
        json_set_string(a, ref, "apiVersion", "v1");
        json_set_string(a, meta, "namespace", pod->namespace);
        json_set_string(a, meta, "name", pod->name);
        return ref;
}

static void reconcile(const struct snapshot *s, const char *key, struct writes *w)
{
        const struct object *node = snapshot_key(s, R_NODES, key);
        const struct json *taints = node ? json_path(node->json, "spec.taints") : NULL;
        struct object *const *pods;
        size_t n;

        if (!json_len(taints))
                return;
        pods = snapshot_by_own(s, R_PODS, node->name, &n);
        for (size_t i = 0; i < n; i++) {
                if (object_is_deleting(pods[i]->json))
                        continue;
                json_foreach_item(taints, taint) {
                        int64_t stay = patience(pods[i]->json, taint), since;

                        if (!streq(json_get_string(taint, "effect"), "NoExecute") || stay < 0)
                                continue;
                        since = stay ? tainted_since(s, w->arena, node, taint) : 0;
                        if (since + stay > s->now) {
                                writes_requeue(w, since + stay - s->now);
                                continue;
                        }
                        writes_event(w, pod_reference(w->arena, pods[i]), "Normal", "TaintManagerEviction", "Marking for deletion Pod %s/%s",
                                     pods[i]->namespace, pods[i]->name);
                        write_disruption(w, pods[i], NULL, "DeletionByTaintManager",
                                         "Taint manager: deleting due to NoExecute taint", s->now);
                        writes_delete(w, R_PODS, pods[i], -1, NULL);
                        break;
                }
        }
}

/* A pod that was bound, or whose tolerations changed. */
static void map_pod(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        const char *name = new ? json_path_string(new->json, "spec.nodeName") : NULL;

        if (!str_empty(name) && (!old || !json_equal(json_get(old->json, "spec"), json_get(new->json, "spec"))))
                keys_add(k, name);
}

static void map_node(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        if (new && (!old || !json_equal(json_path(old->json, "spec.taints"), json_path(new->json, "spec.taints"))))
                keys_add(k, new->key);
}

const struct controller taint_eviction_controller = {
        .name = "taint-eviction-controller",
        .watches = { { .resource = R_NODES, .map = map_node }, { .resource = R_PODS, .map = map_pod } },
        .n_watches = 2,
        .reconcile = reconcile,
};
