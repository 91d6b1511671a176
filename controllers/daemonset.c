/* DaemonSet: one pod on every node that it fits.
 *
 * A round looks at each node: what runs there that should not goes, what failed goes, and where
 * nothing is a pod is made, bound to the node by affinity to its name. Only when nothing had to be
 * set right do old pods make room for the new template, within maxUnavailable or maxSurge.
 */
#include "nodes.h"
#include "revisions.h"

#define HASH "controller-revision-hash"
#define GENERATION "pod-template-generation"
#define TEMPLATE_GENERATION "deprecated.daemonset.template.generation"
#define BURST 250
#define FAILED_BACKOFF_MAX_NS (900 * NS_PER_SEC)

struct on_node {
        const struct object *node;
        struct object_list pods; /* oldest first; without those that have ended and only wait to be removed */
        bool should_run, may_stay;
};

struct round {
        const struct snapshot *s;
        struct writes *w;
        struct arena *a;
        const struct object *ds;
        struct revisions revisions;
        struct on_node *nodes;
        size_t n;
        struct object_list lost; /* meant for nodes that are not there */
        struct object_list pods; /* all */
        int64_t min_ready, max_surge, max_unavailable, desired;
        size_t n_made, n_killed;
};

/* --- where pods belong --- */

/* Its node, or before it is bound the one that it was made for. */
static const char *node_of(const struct json *pod)
{
        const char *name = json_path_string(pod, "spec.nodeName");

        if (!str_empty(name))
                return name;
        json_foreach_item(json_path(pod, "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution."
                                         "nodeSelectorTerms"), term) {
                const struct json *field = json_at(json_get(term, "matchFields"), 0);

                if (streq(json_get_string(field, "key"), "metadata.name"))
                        return json_string(json_at(json_get(field, "values"), 0));
        }
        return NULL;
}

/* What every pod of a DaemonSet tolerates, so that it stays where others must leave. */
static void add_tolerations(struct arena *a, struct json *spec)
{
        static const char *const table[][2] = { { "not-ready", "NoExecute" },       { "unreachable", "NoExecute" },
                                                { "disk-pressure", "NoSchedule" },  { "memory-pressure", "NoSchedule" },
                                                { "pid-pressure", "NoSchedule" },   { "unschedulable", "NoSchedule" },
                                                { "network-unavailable", "NoSchedule" } };
        size_t n = ARRAY_SIZE(table) - !json_get_bool(spec, "hostNetwork", false);
        struct json *list = json_ensure_array(a, spec, "tolerations");

        for (size_t i = 0; i < n; i++) {
                struct json *t = json_new_object(a);
                bool known = false;

                json_set(a, t, "key", json_new_stringf(a, "node.kubernetes.io/%s", table[i][0]));
                json_set_string(a, t, "operator", "Exists");
                json_set_string(a, t, "effect", table[i][1]);
                json_foreach_item(list, it)
                        known |= json_equal(it, t);
                if (!known)
                        json_append(a, list, t);
        }
}

static void judge_node(struct round *r, const struct json *spec, struct on_node *n)
{
        const char *pinned = json_get_string(spec, "nodeName");

        if ((!str_empty(pinned) && !streq(pinned, n->node->name)) || !node_is_selected(spec, n->node))
                return;
        n->should_run = n->may_stay = true;
        json_foreach_item(json_path(n->node->json, "spec.taints"), taint) {
                const char *effect = json_get_string(taint, "effect");

                if (streq(effect, "PreferNoSchedule") || is_tolerated(json_get(spec, "tolerations"), taint))
                        continue;
                n->should_run = false;
                n->may_stay &= !streq(effect, "NoExecute");
        }
}

static int compare_pods(const void *x, const void *y)
{
        const struct object *const *a = x, *const *b = y;
        bool ba = !str_empty(json_path_string((*a)->json, "spec.nodeName"));
        bool bb = !str_empty(json_path_string((*b)->json, "spec.nodeName"));

        return ba != bb ? (ba ? -1 : 1) : compare_by_creation(x, y);
}

static void place_pods(struct round *r)
{
        struct map by_name = MAP_INIT;

        for (size_t i = 0; i < r->n; i++)
                map_put(&by_name, r->nodes[i].node->name, &r->nodes[i]);
        for (size_t i = 0; i < r->pods.n; i++) {
                const struct object *pod = r->pods.items[i];
                const char *name = node_of(pod->json);
                struct on_node *n = name ? map_get(&by_name, name) : NULL;

                if (object_is_deleting(pod->json) && pod_is_terminal(pod->json))
                        continue;
                if (n)
                        list_add(r->a, &n->pods, pod);
                else if (str_empty(json_path_string(pod->json, "spec.nodeName")))
                        list_add(r->a, &r->lost, pod);
        }
        map_deinit(&by_name);
        for (size_t i = 0; i < r->n; i++)
                list_sort(&r->nodes[i].pods, compare_pods);
}

static void find_nodes(struct round *r)
{
        const struct object_store *store = r->s->stores[R_NODES];
        struct json *spec = json_clone(r->a, json_path(r->ds->json, "spec.template.spec"));
        struct object_list nodes = { 0 };
        struct map_entry *e;

        add_tolerations(r->a, spec);
        map_foreach(object_store_objects(store), e)
                list_add(r->a, &nodes, e->value);
        list_sort(&nodes, compare_by_name);
        r->nodes = arena_calloc(r->a, (nodes.n + 1) * sizeof(*r->nodes));
        for (size_t i = 0; i < nodes.n; i++) {
                r->nodes[r->n].node = nodes.items[i];
                judge_node(r, spec, &r->nodes[r->n]);
                r->desired += r->nodes[r->n++].should_run;
        }
        place_pods(r);
}

/* --- making and unmaking --- */

static struct json *make_pod(struct round *r, const char *node)
{
        struct json *pod = pod_from_template(r->a, json_path(r->ds->json, "spec.template"), "apps/v1", "DaemonSet", r->ds->json);
        struct json *meta = json_get(pod, "metadata"), *labels = json_ensure_object(r->a, meta, "labels");
        struct json *spec = json_ensure_object(r->a, pod, "spec"), *field = json_new_object(r->a), *term = json_new_object(r->a);
        struct json *required = json_new_object(r->a);
        const char *generation = object_annotation(r->ds->json, TEMPLATE_GENERATION);

        json_set_string(r->a, labels, HASH, r->revisions.update_hash);
        if (generation)
                json_set_string(r->a, labels, GENERATION, generation);
        json_set_string(r->a, field, "key", "metadata.name");
        json_set_string(r->a, field, "operator", "In");
        json_append(r->a, json_ensure_array(r->a, field, "values"), json_new_string(r->a, node));
        json_append(r->a, json_ensure_array(r->a, term, "matchFields"), field);
        json_append(r->a, json_ensure_array(r->a, required, "nodeSelectorTerms"), term);
        json_path_set(r->a, spec, "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution", required);
        add_tolerations(r->a, spec);
        return pod;
}

static void create_on(struct round *r, const struct on_node *n)
{
        if (r->n_made++ < BURST)
                write_create_pod(r->w, r->ds->json, make_pod(r, n->node->name))->batch = true;
}

static void kill_pod(struct round *r, const struct object *pod)
{
        if (r->n_killed++ < BURST)
                write_delete_pod(r->w, r->ds->json, pod)->batch = true;
}

static bool is_updated(const struct round *r, const struct object *pod)
{
        const char *generation = object_annotation(r->ds->json, TEMPLATE_GENERATION);

        return streq(object_label(pod->json, HASH), r->revisions.update_hash) ||
               (generation && streq(object_label(pod->json, GENERATION), generation));
}

static bool is_available(const struct round *r, const struct object *pod)
{
        return pod_is_available(pod->json, r->min_ready, r->s->now);
}

/* A pod that fails again and again must live about as long as the trouble has lasted before it is replaced: each
 * attempt takes twice as long. */
static bool replace_failed(struct round *r, const struct on_node *n, const struct object *pod)
{
        const char *key = arena_printf(r->a, "failed %s %s", r->ds->uid, n->node->name);
        int64_t first = snapshot_since(r->s, key), made = object_time(pod->json, "metadata.creationTimestamp"), wait = 0;

        if (made >= first / NS_PER_SEC * NS_PER_SEC && first != r->s->now)
                wait = MIN(MAX(made - first, NS_PER_SEC), FAILED_BACKOFF_MAX_NS);
        if (made + wait > r->s->now) {
                writes_requeue(r->w, made + wait - r->s->now);
                return false;
        }
        writes_event(r->w, r->ds->json, "Warning", "FailedDaemonPod",
                     "Found failed daemon pod %s/%s on node %s, will try to kill it", pod->namespace, pod->name, n->node->name);
        return true;
}

/* Two may run on a node while the new one is not available yet; all others are too many. */
static void keep_surge(struct round *r, const struct object_list *running)
{
        const struct object *new = NULL, *old = NULL;

        for (size_t i = 0; i < running->n; i++) {
                const struct object *pod = running->items[i];
                const struct object **slot = is_updated(r, pod) ? &new : &old;

                if (!*slot)
                        *slot = pod;
                else
                        kill_pod(r, pod);
        }
        if (new && old && (is_available(r, new) || !pod_is_ready(old->json)))
                kill_pod(r, old);
}

static void manage_node(struct round *r, struct on_node *n)
{
        struct object_list running = { 0 };

        if (!n->may_stay) {
                for (size_t i = 0; i < n->pods.n; i++)
                        if (!object_is_deleting(n->pods.items[i]->json))
                                kill_pod(r, n->pods.items[i]);
                return;
        }
        if (n->should_run && !n->pods.n) {
                create_on(r, n);
                return;
        }
        for (size_t i = 0; i < n->pods.n; i++) {
                const struct object *pod = n->pods.items[i];

                if (object_is_deleting(pod->json))
                        continue;
                if (streq(pod_phase(pod->json), "Failed")) {
                        if (replace_failed(r, n, pod))
                                kill_pod(r, pod);
                } else if (streq(pod_phase(pod->json), "Succeeded")) {
                        writes_event(r->w, r->ds->json, "Normal", "SucceededDaemonPod",
                                     "Found succeeded daemon pod %s/%s on node %s, will try to delete it", pod->namespace,
                                     pod->name, n->node->name);
                        kill_pod(r, pod);
                } else {
                        list_add(r->a, &running, pod);
                        if (pod_is_ready(pod->json))
                                snapshot_over(r->s, arena_printf(r->a, "failed %s %s", r->ds->uid, n->node->name));
                }
        }
        if (r->max_surge && running.n > 1)
                keep_surge(r, &running);
        for (size_t i = 1; !r->max_surge && i < running.n; i++)
                kill_pod(r, running.items[i]);
}

static void manage(struct round *r)
{
        for (size_t i = 0; i < r->n; i++)
                manage_node(r, &r->nodes[i]);
        for (size_t i = 0; i < r->lost.n; i++)
                if (!object_is_deleting(r->lost.items[i]->json))
                        kill_pod(r, r->lost.items[i]);
}

/* --- rolling --- */

/* The node's pod of the present template and its older one. False: there are more than one of either. */
static bool two_of(const struct round *r, const struct on_node *n, const struct object **ret_new, const struct object **ret_old)
{
        *ret_new = *ret_old = NULL;
        for (size_t i = 0; i < n->pods.n; i++) {
                const struct object **slot = is_updated(r, n->pods.items[i]) ? ret_new : ret_old;

                if (object_is_deleting(n->pods.items[i]->json))
                        continue;
                if (*slot)
                        return false;
                *slot = n->pods.items[i];
        }
        return true;
}

/* Old pods that are of no use go at once, others as far as maxUnavailable lets them. */
static void roll_by_deleting(struct round *r)
{
        struct object_list candidates = { 0 };
        int64_t unavailable = 0;

        for (size_t i = 0; i < r->n; i++) {
                const struct object *new, *old;

                if (!r->nodes[i].pods.n)
                        continue;
                if (!two_of(r, &r->nodes[i], &new, &old) || !new == !old)
                        unavailable++;
                else if (new)
                        unavailable += !is_available(r, new);
                else if (!is_available(r, old))
                        kill_pod(r, old);
                else
                        list_add(r->a, &candidates, old);
        }
        for (size_t i = 0; i < candidates.n && (int64_t)i < r->max_unavailable - unavailable; i++)
                kill_pod(r, candidates.items[i]);
}

/* New pods come beside old ones, as far as maxSurge lets them; the old go when the new are available. */
static void roll_by_surging(struct round *r)
{
        const struct on_node **candidates = arena_calloc(r->a, (r->n + 1) * sizeof(*candidates));
        int64_t surging = 0;
        size_t n = 0;

        for (size_t i = 0; i < r->n; i++) {
                const struct object *new, *old;

                if (!r->nodes[i].pods.n)
                        continue;
                if (!two_of(r, &r->nodes[i], &new, &old))
                        surging++;
                else if (!old)
                        continue;
                else if (new && is_available(r, new))
                        kill_pod(r, old);
                else if (new)
                        surging++;
                else if (!is_available(r, old))
                        create_on(r, &r->nodes[i]);
                else
                        candidates[n++] = &r->nodes[i];
        }
        for (size_t i = 0; i < n && (int64_t)i < r->max_surge - surging; i++)
                create_on(r, candidates[i]);
}

static void read_strategy(struct round *r)
{
        const struct json *rolling = json_path(r->ds->json, "spec.updateStrategy.rollingUpdate");

        r->max_unavailable = int_or_percent(json_get(rolling, "maxUnavailable"), r->desired, true, 1);
        r->max_surge = int_or_percent(json_get(rolling, "maxSurge"), r->desired, true, 0);
        if (!r->max_unavailable && !r->max_surge)
                r->max_unavailable = 1;
}

/* --- status --- */

static void write_status(struct round *r)
{
        struct json *copy = object_editable(r->a, r->ds->json), *status = json_ensure_object(r->a, copy, "status");
        int64_t current = 0, misscheduled = 0, ready = 0, available = 0, updated = 0;

        for (size_t i = 0; i < r->n; i++) {
                const struct on_node *n = &r->nodes[i];

                misscheduled += !n->should_run && n->pods.n;
                if (!n->should_run || !n->pods.n)
                        continue;
                current++;
                ready += pod_is_ready(n->pods.items[0]->json);
                available += is_available(r, n->pods.items[0]);
                updated += is_updated(r, n->pods.items[0]);
        }
        json_set_int(r->a, status, "currentNumberScheduled", current);
        json_set_int(r->a, status, "numberMisscheduled", misscheduled);
        json_set_int(r->a, status, "desiredNumberScheduled", r->desired);
        json_set_int(r->a, status, "numberReady", ready);
        set_count(r->a, status, "observedGeneration", json_path_int(r->ds->json, "metadata.generation", 0));
        set_count(r->a, status, "updatedNumberScheduled", updated);
        set_count(r->a, status, "numberAvailable", available);
        set_count(r->a, status, "numberUnavailable", r->desired - available);
        if (r->min_ready && ready != available)
                writes_requeue(r->w, r->min_ready * NS_PER_SEC);
        if (!json_equal(status, json_get(r->ds->json, "status")))
                writes_update(r->w, R_DAEMONSETS, "status", copy);
}

/* --- the round --- */

static bool is_live(const struct object *revision, void *userdata)
{
        const struct round *r = userdata;
        const char *hash = object_label(revision->json, HASH);

        if (streq(revision->name, r->revisions.update_name))
                return true;
        for (size_t i = 0; i < r->pods.n; i++)
                if (streq(object_label(r->pods.items[i]->json, HASH), hash))
                        return true;
        return false;
}

/* The revision's name is taken by other content: another hash is tried. */
static void raise_collisions(struct round *r, int64_t collisions)
{
        struct json *copy = object_editable(r->a, r->ds->json);

        json_set_int(r->a, json_ensure_object(r->a, copy, "status"), "collisionCount", collisions + 1);
        writes_update(r->w, R_DAEMONSETS, "status", copy);
}

static void act(struct round *r)
{
        manage(r);
        if (!r->n_made && !r->n_killed && !streq(json_path_string(r->ds->json, "spec.updateStrategy.type"), "OnDelete")) {
                if (r->max_surge)
                        roll_by_surging(r);
                else
                        roll_by_deleting(r);
        }
        revisions_trim(&r->revisions, r->ds, r->w, is_live, r);
}

static void reconcile(const struct snapshot *s, const char *key, struct writes *w)
{
        struct round r = { .s = s, .w = w, .a = w->arena, .ds = snapshot_key(s, R_DAEMONSETS, key) };
        struct claim claim = { .resource = R_PODS, .owner = r.ds, .api_version = "apps/v1", .kind = "DaemonSet" };
        struct revision_owner owner = { .owner = r.ds, .kind = "DaemonSet", .hash_label = HASH };
        struct selector sel;
        int64_t collisions;

        if (!r.ds || selector_from_object(w->arena, json_path(r.ds->json, "spec.selector"), &sel, NULL) < 0)
                return;
        if (!sel.n) {
                writes_event(w, r.ds->json, "Warning", "SelectingAll",
                             "This daemon set is selecting all pods. A non-empty selector is required.");
                return;
        }
        claim.selector = owner.selector = &sel;
        collisions = json_path_int(r.ds->json, "status.collisionCount", 0);
        revisions_sync(s, &owner, collisions, w, &r.revisions);
        if (r.revisions.collided) {
                raise_collisions(&r, collisions);
                return;
        }
        claim_objects(s, &claim, w, &r.pods);
        r.min_ready = json_path_int(r.ds->json, "spec.minReadySeconds", 0);
        find_nodes(&r);
        read_strategy(&r);
        if (!s->failure && !object_is_deleting(r.ds->json))
                act(&r);
        write_status(&r);
}

static void map_pod(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        if (new)
                map_orphan(s, R_DAEMONSETS, "spec.selector", new, k);
}

/* Heartbeats change no labels and no taints. */
static void map_node(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        struct map_entry *e;

        if (old && new && json_equal(json_get(old->json, "spec"), json_get(new->json, "spec")) &&
            json_equal(json_path(old->json, "metadata.labels"), json_path(new->json, "metadata.labels")))
                return;
        map_foreach(object_store_objects(s->stores[R_DAEMONSETS]), e)
                keys_add(k, e->key);
}

const struct controller daemonset_controller = {
        .name = "daemonset-controller",
        .watches = { { .resource = R_DAEMONSETS },
                     { .resource = R_PODS, .owner_kind = "DaemonSet", .map = map_pod },
                     { .resource = R_REVISIONS, .owner_kind = "DaemonSet" },
                     { .resource = R_NODES, .map = map_node } },
        .n_watches = 4,
        .reconcile = reconcile,
};
