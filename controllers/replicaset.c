/* ReplicaSet and ReplicationController: as many active pods as spec.replicas says.
 *
 * One function serves both; they differ in kind, selector form and what the status counts. Pods that
 * were just created or deleted are seen in the next round (the driver notes its own writes), so the
 * difference between wanted and active pods is all there is to decide on.
 */
#include "controllers.h"

#define BURST 500

struct kind {
        unsigned resource;
        const char *api_version, *kind;
        bool counts_terminating;
};
static const struct kind replica_set = { R_REPLICASETS, "apps/v1", "ReplicaSet", true };
static const struct kind replication = { R_RCS, "v1", "ReplicationController", false };

struct round {
        const struct snapshot *s;
        const struct kind *kind;
        const struct object *rs;
        struct writes *w;
        struct object_list active;
        int64_t terminating, wanted;
};

static int get_selector(const struct kind *kind, struct arena *a, const struct json *rs, struct selector *ret)
{
        if (kind == &replication) {
                selector_from_map(a, json_path(rs, "spec.selector"), ret);
                return 0;
        }
        return selector_from_object(a, json_path(rs, "spec.selector"), ret, NULL);
}

/* All active pods of the ReplicaSets that the same Deployment owns: who shares a node with more of
 * them goes first. */
static void find_related(struct round *r, struct object_list *ret)
{
        const struct json *owner = object_controller(r->rs->json);
        struct object *const *siblings, *const *pods;
        size_t n, n_pods;

        if (!owner) {
                *ret = r->active;
                return;
        }
        siblings = snapshot_owned(r->s, r->kind->resource, json_get_string(owner, "uid"), &n);
        for (size_t i = 0; i < n; i++) {
                pods = snapshot_owned(r->s, R_PODS, siblings[i]->uid, &n_pods);
                for (size_t j = 0; j < n_pods; j++)
                        if (pod_is_active(pods[j]->json))
                                list_add(r->w->arena, ret, pods[j]);
        }
}

static void manage(struct round *r)
{
        int64_t missing = r->wanted - (int64_t)r->active.n;
        struct arena *a = r->w->arena;

        if (missing > 0) {
                struct json *pod = pod_from_template(a, json_path(r->rs->json, "spec.template"), r->kind->api_version,
                                                     r->kind->kind, r->rs->json);

                for (int64_t i = 0; i < MIN(missing, BURST); i++)
                        write_create_pod(r->w, r->rs->json, pod)->batch = true;
        } else if (missing < 0) {
                struct object_list related = { 0 }, ranked = r->active;

                find_related(r, &related);
                pods_rank_for_deletion(a, &ranked, &related, r->s->now);
                for (int64_t i = 0; i < MIN(-missing, BURST); i++)
                        write_delete_pod(r->w, r->rs->json, ranked.items[i])->batch = true;
        }
}

static bool has_all_labels(const struct json *object, const struct json *wanted)
{
        json_foreach_member(wanted, m) {
                if (!streq(object_label(object, m->key), json_string(m->value)))
                        return false;
        }
        return true;
}

static void set_failure(struct round *r, struct json *status)
{
        const struct write_failure *f = r->s->failure;
        struct arena *a = r->w->arena;
        struct json *conditions = json_get(status, "conditions");
        bool of_pods = f && f->resource == R_PODS && (f->verb == WRITE_CREATE || f->verb == WRITE_DELETE);

        if (of_pods && !condition_find(conditions, "ReplicaFailure"))
                condition_set(a, json_ensure_array(a, status, "conditions"), "ReplicaFailure", "True",
                              f->verb == WRITE_CREATE ? "FailedCreate" : "FailedDelete", f->message, r->s->now);
        if (!of_pods && !f)
                condition_remove(conditions, "ReplicaFailure");
        if (json_get(status, "conditions") && !json_len(json_get(status, "conditions")))
                json_del(status, "conditions");
}

static struct json *make_status(struct round *r, int64_t *ret_ready, int64_t *ret_available)
{
        const struct json *labels = json_path(r->rs->json, "spec.template.metadata.labels");
        int64_t min_ready = json_path_int(r->rs->json, "spec.minReadySeconds", 0), labelled = 0;
        struct arena *a = r->w->arena;
        struct json *status = json_get(r->rs->json, "status");

        *ret_ready = *ret_available = 0;
        for (size_t i = 0; i < r->active.n; i++) {
                const struct json *pod = r->active.items[i]->json;

                labelled += has_all_labels(pod, labels);
                *ret_ready += pod_is_ready(pod);
                *ret_available += pod_is_available(pod, min_ready, r->s->now);
        }
        status = status ? json_clone(a, status) : json_new_object(a);
        json_set_int(a, status, "replicas", (int64_t)r->active.n);
        set_count(a, status, "fullyLabeledReplicas", labelled);
        set_count(a, status, "readyReplicas", *ret_ready);
        set_count(a, status, "availableReplicas", *ret_available);
        if (r->kind->counts_terminating)
                json_set_int(a, status, "terminatingReplicas", r->terminating);
        set_count(a, status, "observedGeneration", json_path_int(r->rs->json, "metadata.generation", 0));
        set_failure(r, status);
        return status;
}

/* Wakes when the next pod becomes available: nothing else would tell. */
static void wake_for_availability(struct round *r)
{
        int64_t min_ready = json_path_int(r->rs->json, "spec.minReadySeconds", 0) * NS_PER_SEC;

        for (size_t i = 0; min_ready && i < r->active.n; i++) {
                const struct json *ready = pod_condition(r->active.items[i]->json, "Ready");
                const char *since = json_get_string(ready, "lastTransitionTime");
                int64_t t;

                if (streq(json_get_string(ready, "status"), "True") && since && time_parse(since, &t) == 0 &&
                    t + min_ready > r->s->now)
                        writes_requeue(r->w, t + min_ready - r->s->now);
        }
}

static void reconcile(const struct snapshot *s, const struct kind *kind, const char *key, struct writes *w)
{
        struct round r = { .s = s, .kind = kind, .rs = snapshot_key(s, kind->resource, key), .w = w };
        struct claim claim = { .resource = R_PODS, .owner = r.rs, .api_version = kind->api_version, .kind = kind->kind };
        struct object_list claimed = { 0 };
        struct json *status, *copy;
        int64_t ready, available;
        struct selector sel;

        if (!r.rs || get_selector(kind, w->arena, r.rs->json, &sel) < 0)
                return;
        claim.selector = &sel;
        claim_objects(s, &claim, w, &claimed);
        for (size_t i = 0; i < claimed.n; i++) {
                if (pod_is_active(claimed.items[i]->json))
                        list_add(w->arena, &r.active, claimed.items[i]);
                else if (!pod_is_terminal(claimed.items[i]->json))
                        r.terminating++;
        }
        r.wanted = json_path_int(r.rs->json, "spec.replicas", 1);
        if (!s->failure && !object_is_deleting(r.rs->json))
                manage(&r);
        status = make_status(&r, &ready, &available);
        if (!json_equal(status, json_get(r.rs->json, "status"))) {
                copy = object_editable(w->arena, r.rs->json);
                json_set(w->arena, copy, "status", status);
                writes_update(w, kind->resource, "status", copy);
        }
        wake_for_availability(&r);
}

static void reconcile_replica_set(const struct snapshot *s, const char *key, struct writes *w)
{
        reconcile(s, &replica_set, key, w);
}

static void reconcile_replication(const struct snapshot *s, const char *key, struct writes *w)
{
        reconcile(s, &replication, key, w);
}

static void map_pod_to_rs(const struct snapshot *s, const struct object *old, const struct object *new,
                          const struct keys *k)
{
        if (new)
                map_orphan(s, R_REPLICASETS, "spec.selector", new, k);
}

static void map_pod_to_rc(const struct snapshot *s, const struct object *old, const struct object *new,
                          const struct keys *k)
{
        if (new)
                map_orphan(s, R_RCS, "spec.selector", new, k);
}

const struct controller replicaset_controller = {
        .name = "replicaset-controller",
        .watches = { { .resource = R_REPLICASETS },
                     { .resource = R_PODS, .owner_kind = "ReplicaSet", .map = map_pod_to_rs } },
        .n_watches = 2,
        .reconcile = reconcile_replica_set,
};

const struct controller replication_controller = {
        .name = "replicationcontroller-controller",
        .component = "replication-controller",
        .watches = { { .resource = R_RCS },
                     { .resource = R_PODS, .owner_kind = "ReplicationController", .map = map_pod_to_rc } },
        .n_watches = 2,
        .reconcile = reconcile_replication,
};
