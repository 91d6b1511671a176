/* Deployment: a ReplicaSet for each version of the template, and the way from one to the next.
 *
 * A round finds the ReplicaSets, takes one step (scale something up, else scale something down, else
 * tidy up), and writes the status. Steps follow each other because each changes what is watched.
 */
#include "deployment.h"

/* --- rolling update --- */

static int64_t sum_wanted(struct rs *const *list, size_t n)
{
        int64_t sum = 0;

        for (size_t i = 0; i < n; i++)
                sum += rs_wanted(list[i]);
        return sum;
}

static int64_t all_wanted(const struct rollout *r)
{
        int64_t sum = 0;

        for (size_t i = 0; i < r->n; i++)
                sum += rs_wanted(&r->all[i]);
        return sum;
}

/* Up as far as the surge lets it. */
static bool grow_new(struct rollout *r)
{
        int64_t have = rs_wanted(r->new), room;

        if (have == r->replicas)
                return false;
        if (have > r->replicas)
                return rollout_scale(r, r->new, r->replicas);
        room = r->replicas + r->max_surge - all_wanted(r);
        if (room <= 0)
                return rollout_scale(r, r->new, have);
        return rollout_scale(r, r->new, have + MIN(room, r->replicas - have));
}

/* Pods of old versions that never became available go first: they help nobody. */
static int64_t drop_unhealthy(struct rollout *r, struct rs **old, size_t n, int64_t most)
{
        int64_t dropped = 0;

        for (size_t i = 0; i < n && dropped < most; i++) {
                int64_t wanted = rs_wanted(old[i]), count = MIN(most - dropped, wanted - rs_available(old[i]));

                if (!wanted || count <= 0)
                        continue;
                rollout_scale(r, old[i], wanted - count);
                dropped += count;
        }
        return dropped;
}

static int64_t drop_available(struct rollout *r, struct rs **old, size_t n)
{
        int64_t least = r->replicas - r->max_unavailable, available = 0, dropped = 0;

        for (size_t i = 0; i < r->n; i++)
                available += rs_available(&r->all[i]);
        for (size_t i = 0; i < n && available - least - dropped > 0; i++) {
                int64_t wanted = rs_wanted(old[i]), count = MIN(wanted, available - least - dropped);

                if (!wanted)
                        continue;
                rollout_scale(r, old[i], wanted - count);
                dropped += count;
        }
        return dropped;
}

static bool shrink_old(struct rollout *r)
{
        struct rs **old;
        size_t n = rollout_old(r, true, &old);
        int64_t room;

        if (!sum_wanted(old, n))
                return false;
        room = all_wanted(r) - (r->replicas - r->max_unavailable) - (rs_wanted(r->new) - rs_available(r->new));
        if (room <= 0)
                return false;
        room = drop_unhealthy(r, old, n, room);
        return room + drop_available(r, old, n) > 0;
}

static void roll(struct rollout *r)
{
        rollout_find_new(r, true);
        if (!r->new) /* it could not be made; the next round knows why */
                return;
        if (!grow_new(r) && !shrink_old(r) && rollout_complete(r, r->status))
                rollout_clean_up(r);
        rollout_write_status(r, true);
}

/* --- recreate --- */

static bool old_pods_run(struct rollout *r)
{
        for (size_t i = 0; i < r->n; i++) {
                struct object *const *pods;
                size_t n;

                if (&r->all[i] == r->new || !r->all[i].stored)
                        continue;
                if (rs_actual(&r->all[i]) > 0)
                        return true;
                pods = snapshot_owned(r->s, R_PODS, r->all[i].stored->uid, &n);
                for (size_t j = 0; j < n; j++)
                        if (!pod_is_terminal(pods[j]->json))
                                return true;
        }
        return false;
}

static void recreate(struct rollout *r)
{
        bool shrunk = false;
        struct rs **old;
        size_t n;

        rollout_find_new(r, false);
        n = rollout_old(r, true, &old);
        for (size_t i = 0; i < n; i++)
                shrunk |= rollout_scale(r, old[i], 0);
        if (!shrunk && !old_pods_run(r)) {
                if (!r->new)
                        rollout_find_new(r, true);
                if (r->new)
                        rollout_scale(r, r->new, r->replicas);
                if (rollout_complete(r, r->status))
                        rollout_clean_up(r);
        }
        rollout_write_status(r, true);
}

/* --- the round --- */

/* A pause, or another size of the same version: no rollout. */
static void sync_sizes(struct rollout *r)
{
        rollout_find_new(r, false);
        rollout_scale_all(r);
        if (r->paused)
                rollout_clean_up(r);
        rollout_write_status(r, false);
}

static bool selects_everything(const struct json *d)
{
        const struct json *selector = json_path(d, "spec.selector");

        return json_is_object(selector) && !json_len(json_get(selector, "matchLabels")) &&
               !json_len(json_get(selector, "matchExpressions"));
}

/* A creation that failed: the status says so, or the name is taken and another must be found. */
static void after_failure(struct rollout *r)
{
        const struct write_failure *f = r->s->failure;
        const char *name, *message;
        int64_t collisions = json_get_int(r->status, "collisionCount", 0);

        if (f->verb != WRITE_CREATE || f->resource != R_REPLICASETS)
                return;
        name = arena_printf(r->a, "%s-%s", r->stored->name,
                            template_hash(r->a, json_path(r->d, "spec.template"), collisions));
        if (f->outcome == CLIENT_EXISTS) {
                const struct object *other = snapshot_get(r->s, R_REPLICASETS, r->stored->namespace, name);

                if (!other || (object_is_controlled_by(other->json, r->stored->uid) &&
                               template_equal(r->a, json_path(other->json, "spec.template"),
                                              json_path(r->d, "spec.template"))))
                        return; /* it is ours and comes with the watch */
                json_set_int(r->a, r->status, "collisionCount", collisions + 1);
        } else {
                message = arena_printf(r->a, "Failed to create new replica set \"%s\": %s", name, f->message);
                if (rollout_has_deadline(r))
                        rollout_set_condition(r, r->status, "Progressing", "False", "ReplicaSetCreateError", message);
        }
        writes_update(r->w, R_DEPLOYMENTS, "status", r->d);
}

static void reconcile(const struct snapshot *s, const char *key, struct writes *w)
{
        struct rollout r = { .s = s, .w = w, .a = w->arena, .stored = snapshot_key(s, R_DEPLOYMENTS, key) };
        const char *strategy;

        if (!r.stored)
                return;
        if (selects_everything(r.stored->json)) {
                writes_event(w, r.stored->json, "Warning", "SelectingAll",
                             "This deployment is selecting all pods. A non-empty selector is required.");
                return;
        }
        rollout_init(&r);
        if (s->failure) {
                after_failure(&r);
                return;
        }
        if (object_is_deleting(r.d)) {
                rollout_find_new(&r, false);
                rollout_write_status(&r, false);
                return;
        }
        rollout_check_paused(&r);
        strategy = json_path_string(r.d, "spec.strategy.type");
        if (r.paused || rollout_is_scaling(&r))
                sync_sizes(&r);
        else if (streq(strategy, "Recreate"))
                recreate(&r);
        else
                roll(&r);
}

static void map_replica_set(const struct snapshot *s, const struct object *old, const struct object *new,
                            const struct keys *k)
{
        if (new)
                map_orphan(s, R_DEPLOYMENTS, "spec.selector", new, k);
}

/* A pod that goes: a Recreate waits for the last of the old ones. */
static void map_pod(const struct snapshot *s, const struct object *old, const struct object *new, const struct keys *k)
{
        const struct object *pod = new ? new : old, *rs;
        const struct json *ref = object_controller(pod->json);

        if (new && !pod_is_terminal(new->json))
                return;
        if (!streq(json_get_string(ref, "kind"), "ReplicaSet"))
                return;
        rs = snapshot_get(s, R_REPLICASETS, pod->namespace, json_get_string(ref, "name"));
        ref = rs ? object_controller(rs->json) : NULL;
        if (streq(json_get_string(ref, "kind"), "Deployment"))
                keys_addf(k, "%s/%s", pod->namespace, json_get_string(ref, "name"));
}

const struct controller deployment_controller = {
        .name = "deployment-controller",
        .watches = { { .resource = R_DEPLOYMENTS },
                     { .resource = R_REPLICASETS, .owner_kind = "Deployment", .map = map_replica_set },
                     { .resource = R_PODS, .map = map_pod } },
        .n_watches = 3,
        .reconcile = reconcile,
};
