/* StatefulSet: pods with an ordinal, a name and claims of their own, made in order and taken away in reverse.
 *
 * With podManagementPolicy OrderedReady each step waits until all before it are available; with
 * Parallel all steps are taken at once. A pod is never replaced before the one of its name is gone:
 * two of one name would be two writers of one volume.
 */
#include "revisions.h"

#include <stdio.h>

#define REVISION_LABEL "controller-revision-hash"
#define HASH "controller.kubernetes.io/hash"

struct round {
        const struct snapshot *s;
        struct writes *w;
        struct arena *a;
        const struct object *set;
        struct revisions revisions;
        const char *current; /* name of the revision that most pods have; update: revisions.update_name */
        struct object_list pods, condemned; /* condemned: highest ordinal first */
        const struct object **replicas;     /* by ordinal; NULL: not there */
        int64_t n, start, min_ready;
        bool ordered, waits;
        int64_t made, killed_current, killed_updated; /* in this round: what the status has to know */
};

static const char *print(struct round *r, const char *fmt, const char *name)
{
        return arena_printf(r->a, fmt, name, r->set->name);
}

/* --- pods --- */

static int64_t ordinal_of(const struct round *r, const struct object *pod)
{
        size_t len = strlen(r->set->name);
        char *end;
        int64_t n;

        if (strncmp(pod->name, r->set->name, len) != 0 || pod->name[len] != '-')
                return -1;
        n = strtoll(pod->name + len + 1, &end, 10);
        return end != pod->name + len + 1 && !*end ? n : -1;
}

static bool is_running_and_ready(const struct object *pod)
{
        return streq(pod_phase(pod->json), "Running") && pod_is_ready(pod->json);
}

static bool is_running_and_available(const struct round *r, const struct object *pod)
{
        return streq(pod_phase(pod->json), "Running") && pod_is_available(pod->json, r->min_ready, r->s->now);
}

static bool is_healthy(const struct object *pod)
{
        return pod && is_running_and_ready(pod) && !object_is_deleting(pod->json);
}

static const char *revision_of(const struct object *pod)
{
        const char *name = object_label(pod->json, REVISION_LABEL);

        return name ? name : "";
}

static int by_ordinal_down(const void *x, const void *y)
{
        const struct object *const *a = x, *const *b = y;
        /* Same prefix: the longer name has the higher ordinal. */
        size_t la = strlen((*a)->name), lb = strlen((*b)->name);

        return la != lb ? (la < lb ? 1 : -1) : -strcmp((*a)->name, (*b)->name);
}

static void sort_pods(struct round *r)
{
        r->replicas = arena_calloc(r->a, ((size_t)r->n + 1) * sizeof(struct object *));
        for (size_t i = 0; i < r->pods.n; i++) {
                int64_t ordinal = ordinal_of(r, r->pods.items[i]);

                if (ordinal >= r->start && ordinal < r->start + r->n)
                        r->replicas[ordinal - r->start] = r->pods.items[i];
                else if (ordinal >= 0)
                        list_add(r->a, &r->condemned, r->pods.items[i]);
        }
        list_sort(&r->condemned, by_ordinal_down);
}

/* --- claims --- */

static const char *claim_name(struct round *r, const struct json *template, int64_t ordinal)
{
        return arena_printf(r->a, "%s-%s-%lld", object_name(template), r->set->name, (long long)ordinal);
}

static bool is_policy(const struct round *r, const char *when, const char *what)
{
        const char *have = json_get_string(json_path(r->set->json, "spec.persistentVolumeClaimRetentionPolicy"), when);

        return streq(have ? have : "Retain", what);
}

/* Who takes the claim along: the set, the pod that is condemned, or nobody. */
static const struct json *claim_owner(struct round *r, const struct object *pod, bool condemned)
{
        bool with_set = is_policy(r, "whenDeleted", "Delete"), with_pod = is_policy(r, "whenScaled", "Delete");

        if (condemned && with_pod && pod)
                return object_make_controller_ref(r->a, "v1", "Pod", pod->json);
        if (with_set && !(with_pod && condemned))
                return object_make_controller_ref(r->a, "apps/v1", "StatefulSet", r->set->json);
        return NULL;
}

/* Gives an existing claim the owner that the retention policy wants, leaving owners that are not ours. */
static void settle_claim(struct round *r, const struct object *claim, const struct object *pod, bool condemned)
{
        const struct json *want = claim_owner(r, pod, condemned);
        struct json *copy, *refs;
        bool has = false, changed = false;

        if (is_policy(r, "whenDeleted", "Retain") && is_policy(r, "whenScaled", "Retain") &&
            !json_len(json_path(claim->json, "metadata.ownerReferences")))
                return;
        copy = object_editable(r->a, claim->json);
        refs = json_ensure_array(r->a, json_get(copy, "metadata"), "ownerReferences");
        for (size_t i = 0; i < json_len(refs);) {
                const char *uid = json_get_string(json_at(refs, i), "uid"), *kind = json_get_string(json_at(refs, i), "kind");
                const char *name = json_get_string(json_at(refs, i), "name");
                bool ours = streq(uid, r->set->uid) ||
                            (streq(kind, "Pod") && pod && streq(name, pod->name));

                if (want && streq(uid, json_get_string(want, "uid"))) {
                        has = true;
                        i++;
                } else if (ours) {
                        json_remove(refs, i);
                        changed = true;
                } else {
                        i++;
                }
        }
        if (want && !has) {
                json_append(r->a, refs, json_clone(r->a, want));
                changed = true;
        }
        if (!json_len(refs))
                json_del(json_get(copy, "metadata"), "ownerReferences");
        if (changed)
                writes_update(r->w, R_PVCS, NULL, copy);
}

static void settle_claims(struct round *r, const struct object *pod, bool condemned)
{
        json_foreach_item(json_path(r->set->json, "spec.volumeClaimTemplates"), t) {
                const struct object *claim = snapshot_get(r->s, R_PVCS, r->set->namespace, claim_name(r, t, ordinal_of(r, pod)));

                if (claim && !object_is_deleting(claim->json))
                        settle_claim(r, claim, pod, condemned);
        }
}

static void create_claim(struct round *r, const struct json *template, int64_t ordinal, const char *pod)
{
        struct json *claim = json_clone(r->a, template), *meta = json_ensure_object(r->a, claim, "metadata");
        const struct json *owner = claim_owner(r, NULL, false);
        const char *name = claim_name(r, template, ordinal);
        struct write *x;

        json_del(claim, "status");
        json_set_string(r->a, claim, "apiVersion", "v1");
        json_set_string(r->a, claim, "kind", "PersistentVolumeClaim");
        json_set_string(r->a, meta, "name", name);
        json_set_string(r->a, meta, "namespace", r->set->namespace);
        json_foreach_member(json_path(r->set->json, "spec.selector.matchLabels"), m)
                json_set(r->a, json_ensure_object(r->a, meta, "labels"), m->key, json_clone(r->a, m->value));
        if (owner)
                json_append(r->a, json_ensure_array(r->a, meta, "ownerReferences"), json_clone(r->a, owner));
        x = writes_create(r->w, R_PVCS, r->set->namespace, claim);
        write_event_set(r->w, &x->done, r->set->json, "Normal", "SuccessfulCreate",
                        arena_printf(r->a, "Create Claim %s Pod %s in StatefulSet %s success", name, pod, r->set->name));
        write_event_set(r->w, &x->failed, r->set->json, "Warning", "FailedCreate",
                        arena_printf(r->a, "Create Claim %s for Pod %s in StatefulSet %s failed error: {error}", name, pod,
                                     r->set->name));
}

/* False: one is still going away, its successor has to wait. */
static bool create_claims(struct round *r, int64_t ordinal, const char *pod)
{
        json_foreach_item(json_path(r->set->json, "spec.volumeClaimTemplates"), t) {
                const struct object *claim = snapshot_get(r->s, R_PVCS, r->set->namespace, claim_name(r, t, ordinal));

                if (!claim)
                        create_claim(r, t, ordinal, pod);
                else if (object_is_deleting(claim->json))
                        return false;
        }
        return true;
}

/* --- making pods --- */

static void add_volumes(struct round *r, struct json *spec, int64_t ordinal)
{
        struct json *volumes = json_new_array(r->a);

        json_foreach_item(json_path(r->set->json, "spec.volumeClaimTemplates"), t) {
                struct json *v = json_new_object(r->a);

                json_set_string(r->a, v, "name", object_name(t));
                json_path_set(r->a, v, "persistentVolumeClaim.claimName", json_new_string(r->a, claim_name(r, t, ordinal)));
                json_append(r->a, volumes, v);
        }
        json_foreach_item(json_get(spec, "volumes"), v) {
                bool replaced = false;

                json_foreach_item(json_path(r->set->json, "spec.volumeClaimTemplates"), t)
                        replaced |= streq(object_name(t), json_get_string(v, "name"));
                if (!replaced)
                        json_append(r->a, volumes, json_clone(r->a, v));
        }
        if (json_len(volumes))
                json_set(r->a, spec, "volumes", volumes);
}

/* Ordinals below the partition, or of a rollout that has not come so far yet, are made as they were. */
static bool wants_current(const struct round *r, int64_t index)
{
        const struct json *rolling = json_path(r->set->json, "spec.updateStrategy.rollingUpdate");

        if (streq(json_path_string(r->set->json, "spec.updateStrategy.type"), "OnDelete"))
                return false;
        if (rolling && json_get(rolling, "partition"))
                return index < json_get_int(rolling, "partition", 0);
        return index < json_path_int(r->set->json, "status.currentReplicas", 0);
}

static struct json *make_pod(struct round *r, int64_t index)
{
        const struct object *old = wants_current(r, index) ? revisions_find(&r->revisions, r->current) : NULL;
        const struct json *template = old ? json_path(old->json, "data.spec.template") : json_path(r->set->json, "spec.template");
        const char *ordinal = arena_printf(r->a, "%lld", (long long)(r->start + index)), *name;
        struct json *pod = pod_from_template(r->a, template, "apps/v1", "StatefulSet", r->set->json);
        struct json *meta = json_get(pod, "metadata"), *labels = json_ensure_object(r->a, meta, "labels");
        struct json *spec = json_ensure_object(r->a, pod, "spec");

        name = arena_printf(r->a, "%s-%s", r->set->name, ordinal);
        json_set_string(r->a, meta, "name", name);
        json_set_string(r->a, meta, "namespace", r->set->namespace);
        json_set_string(r->a, labels, "statefulset.kubernetes.io/pod-name", name);
        json_set_string(r->a, labels, "apps.kubernetes.io/pod-index", ordinal);
        json_set_string(r->a, labels, REVISION_LABEL, old ? old->name : r->revisions.update_name);
        json_set_string(r->a, spec, "hostname", name);
        if (!str_empty(json_path_string(r->set->json, "spec.serviceName")))
                json_set_string(r->a, spec, "subdomain", json_path_string(r->set->json, "spec.serviceName"));
        add_volumes(r, spec, r->start + index);
        return pod;
}

static void create_pod(struct round *r, int64_t index)
{
        struct json *pod = make_pod(r, index);
        const char *name = object_name(pod);
        struct write *x;

        if (!create_claims(r, r->start + index, name))
                return;
        x = writes_create(r->w, R_PODS, r->set->namespace, pod);
        x->batch = !r->ordered;
        write_event_set(r->w, &x->done, r->set->json, "Normal", "SuccessfulCreate",
                        print(r, "Create Pod %s in StatefulSet %s successful", name));
        write_event_set(r->w, &x->failed, r->set->json, "Warning", "FailedCreate",
                        print(r, "Create Pod %s in StatefulSet %s failed error: {error}", name));
        r->made++;
}

static void delete_pod(struct round *r, const struct object *pod)
{
        struct write *x = writes_delete(r->w, R_PODS, pod, -1, NULL);

        write_event_set(r->w, &x->done, r->set->json, "Normal", "SuccessfulDelete",
                        print(r, "Delete Pod %s in StatefulSet %s successful", pod->name));
        write_event_set(r->w, &x->failed, r->set->json, "Warning", "FailedDelete",
                        print(r, "Delete Pod %s in StatefulSet %s failed error: {error}", pod->name));
        r->killed_current += streq(revision_of(pod), r->current);
        r->killed_updated += streq(revision_of(pod), r->revisions.update_name);
}

/* A pod whose identity somebody changed gets it back. */
static void settle_identity(struct round *r, const struct object *pod)
{
        const char *ordinal = arena_printf(r->a, "%lld", (long long)ordinal_of(r, pod));
        struct json *copy, *labels;

        if (streq(object_label(pod->json, "statefulset.kubernetes.io/pod-name"), pod->name) &&
            streq(object_label(pod->json, "apps.kubernetes.io/pod-index"), ordinal))
                return;
        copy = object_editable(r->a, pod->json);
        labels = json_ensure_object(r->a, json_get(copy, "metadata"), "labels");
        json_set_string(r->a, labels, "statefulset.kubernetes.io/pod-name", pod->name);
        json_set_string(r->a, labels, "apps.kubernetes.io/pod-index", ordinal);
        writes_update(r->w, R_PODS, NULL, copy);
}

/* --- the steps --- */

/* ns until a ready pod counts as available; 0: it does, or readiness is what is missing. */
static void wake_for_availability(struct round *r, const struct object *pod)
{
        int64_t since = object_time(pod_condition(pod->json, "Ready"), "lastTransitionTime");

        if (r->min_ready && is_running_and_ready(pod) && since + r->min_ready * NS_PER_SEC > r->s->now)
                writes_requeue(r->w, since + r->min_ready * NS_PER_SEC - r->s->now);
}

/* True: nothing may follow in this round. */
static bool step_replica(struct round *r, int64_t index)
{
        const struct object *pod = r->replicas[index];

        if (!pod) {
                create_pod(r, index);
                return r->ordered;
        }
        if (pod_is_terminal(pod->json)) {
                if (!object_is_deleting(pod->json))
                        delete_pod(r, pod);
                return true;
        }
        if (streq(pod_phase(pod->json), "Pending"))
                create_claims(r, ordinal_of(r, pod), pod->name);
        if (r->ordered && (object_is_deleting(pod->json) || !is_running_and_ready(pod)))
                return true;
        wake_for_availability(r, pod);
        if (r->ordered && !is_running_and_available(r, pod))
                return true;
        settle_identity(r, pod);
        settle_claims(r, pod, false);
        return false;
}

static bool step_condemned(struct round *r, const struct object *pod, const struct object *first_unhealthy)
{
        if (object_is_deleting(pod->json))
                return r->ordered;
        if (r->ordered && pod != first_unhealthy && !is_running_and_available(r, pod)) {
                wake_for_availability(r, pod);
                return true;
        }
        delete_pod(r, pod);
        return r->ordered;
}

/* The unhealthy pod with the lowest ordinal. */
static const struct object *find_unhealthy(const struct round *r)
{
        for (int64_t i = 0; i < r->n; i++)
                if (r->replicas[i] && !is_healthy(r->replicas[i]))
                        return r->replicas[i];
        for (size_t i = r->condemned.n; i-- > 0;)
                if (!is_healthy(r->condemned.items[i]))
                        return r->condemned.items[i];
        return NULL;
}

/* From the highest ordinal down: pods of old revisions go, no more at once than maxUnavailable. */
static void roll(struct round *r)
{
        const struct json *rolling = json_path(r->set->json, "spec.updateStrategy.rollingUpdate");
        int64_t partition = json_get_int(rolling, "partition", 0), unavailable = 0;
        int64_t most = MAX(int_or_percent(json_get(rolling, "maxUnavailable"), r->n, true, 1), INT64_C(1));

        for (int64_t i = r->n - 1; i >= partition && unavailable < most; i--) {
                const struct object *pod = r->replicas[i];

                if (pod && !streq(revision_of(pod), r->revisions.update_name) && !object_is_deleting(pod->json)) {
                        delete_pod(r, pod);
                        unavailable++;
                } else if (!is_healthy(pod)) {
                        unavailable++;
                }
        }
}

static void act(struct round *r)
{
        const struct object *unhealthy = find_unhealthy(r);

        for (size_t i = 0; i < r->condemned.n; i++)
                settle_claims(r, r->condemned.items[i], true);
        for (int64_t i = 0; i < r->n; i++) {
                if (!step_replica(r, i))
                        continue;
                r->waits = true;
                if (r->ordered)
                        return;
        }
        for (size_t i = 0; i < r->condemned.n; i++)
                if (step_condemned(r, r->condemned.items[i], unhealthy)) {
                        r->waits = true;
                        return;
                }
        if (!r->waits && !r->made && !streq(json_path_string(r->set->json, "spec.updateStrategy.type"), "OnDelete"))
                roll(r);
}

/* --- status --- */

struct counts {
        int64_t replicas, ready, available, current, updated;
};

static struct counts count(const struct round *r)
{
        struct counts c = { 0 };

        for (size_t i = 0; i < r->pods.n; i++) {
                const struct object *pod = r->pods.items[i];

                if (ordinal_of(r, pod) < 0)
                        continue;
                c.replicas++;
                c.ready += is_running_and_ready(pod);
                c.available += is_running_and_available(r, pod);
                if (object_is_deleting(pod->json))
                        continue;
                c.current += streq(revision_of(pod), r->current);
                c.updated += streq(revision_of(pod), r->revisions.update_name);
        }
        c.current -= r->killed_current;
        c.updated -= r->killed_updated;
        return c;
}

static void write_status(struct round *r, int64_t collisions)
{
        struct json *copy = object_editable(r->a, r->set->json), *status = json_ensure_object(r->a, copy, "status");
        struct counts c = count(r);
        const char *current = r->current;

        /* The rollout has ended: what was the update is what is. */
        if (!streq(json_path_string(r->set->json, "spec.updateStrategy.type"), "OnDelete") && c.updated == r->n &&
            c.ready == r->n && c.replicas == r->n) {
                current = r->revisions.update_name;
                c.current = c.updated;
        }
        set_count(r->a, status, "observedGeneration", json_path_int(r->set->json, "metadata.generation", 0));
        json_set_int(r->a, status, "replicas", c.replicas);
        json_set_int(r->a, status, "availableReplicas", c.available);
        set_count(r->a, status, "readyReplicas", c.ready);
        set_count(r->a, status, "currentReplicas", c.current);
        set_count(r->a, status, "updatedReplicas", c.updated);
        json_set_string(r->a, status, "currentRevision", current);
        json_set_string(r->a, status, "updateRevision", r->revisions.update_name);
        json_set_int(r->a, status, "collisionCount", collisions);
        if (!json_equal(status, json_get(r->set->json, "status")))
                writes_update(r->w, R_STATEFULSETS, "status", copy);
}

/* --- the round --- */

static bool is_live(const struct object *revision, void *userdata)
{
        const struct round *r = userdata;

        if (streq(revision->name, r->current) || streq(revision->name, r->revisions.update_name))
                return true;
        for (size_t i = 0; i < r->pods.n; i++)
                if (streq(revision_of(r->pods.items[i]), revision->name))
                        return true;
        return false;
}

static void reconcile(const struct snapshot *s, const char *key, struct writes *w)
{
        struct round r = { .s = s, .w = w, .a = w->arena, .set = snapshot_key(s, R_STATEFULSETS, key) };
        struct claim claim = { .resource = R_PODS, .owner = r.set, .api_version = "apps/v1", .kind = "StatefulSet" };
        struct revision_owner owner = { .owner = r.set, .kind = "StatefulSet", .hash_label = HASH };
        struct selector sel;
        int64_t collisions;

        if (!r.set || selector_from_object(w->arena, json_path(r.set->json, "spec.selector"), &sel, NULL) < 0)
                return;
        claim.selector = owner.selector = &sel;
        collisions = json_path_int(r.set->json, "status.collisionCount", 0);
        revisions_sync(s, &owner, collisions, w, &r.revisions);
        if (r.revisions.collided)
                collisions++; /* the next round tries another hash */
        r.current = json_path_string(r.set->json, "status.currentRevision");
        if (!revisions_find(&r.revisions, r.current))
                r.current = r.revisions.update_name;
        claim_objects(s, &claim, w, &r.pods);
        r.n = json_path_int(r.set->json, "spec.replicas", 1);
        r.start = json_path_int(r.set->json, "spec.ordinals.start", 0);
        r.min_ready = json_path_int(r.set->json, "spec.minReadySeconds", 0);
        r.ordered = !streq(json_path_string(r.set->json, "spec.podManagementPolicy"), "Parallel");
        sort_pods(&r);
        if (!s->failure && !r.revisions.collided && !object_is_deleting(r.set->json)) {
                act(&r);
                revisions_trim(&r.revisions, r.set, w, is_live, &r);
        }
        write_status(&r, collisions);
}

static void map_pod(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        if (new)
                map_orphan(s, R_STATEFULSETS, "spec.selector", new, k);
}

/* A claim that is gone at last: a pod may wait for that to be made. */
static void map_claim(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        struct object *const *sets;
        size_t n;

        if (new)
                return;
        sets = snapshot_in_namespace(s, R_STATEFULSETS, old->namespace, &n);
        for (size_t i = 0; i < n; i++)
                if (strstr(old->name, sets[i]->name))
                        keys_add(k, sets[i]->key);
}

const struct controller statefulset_controller = {
        .name = "statefulset-controller",
        .watches = { { .resource = R_STATEFULSETS },
                     { .resource = R_PODS, .owner_kind = "StatefulSet", .map = map_pod },
                     { .resource = R_REVISIONS, .owner_kind = "StatefulSet" },
                     { .resource = R_PVCS, .map = map_claim } },
        .n_watches = 4,
        .reconcile = reconcile,
};
