/* Pods as controllers make and unmake them: from a template, and in which order they go. */
#include "controllers.h"

#include <math.h>

struct json *pod_from_template(struct arena *a, const struct json *template, const char *api_version, const char *kind,
                               const struct json *owner)
{
        static const char *const copied[] = { "labels", "annotations", "finalizers" };
        const struct json *from = json_get(template, "metadata");
        struct json *pod = json_new_object(a), *meta;

        json_set_string(a, pod, "apiVersion", "v1");
        json_set_string(a, pod, "kind", "Pod");
        meta = json_ensure_object(a, pod, "metadata");
        json_set(a, meta, "generateName", json_new_stringf(a, "%s-", object_name(owner)));
        for (size_t i = 0; i < ARRAY_SIZE(copied); i++)
                if (json_len(json_get(from, copied[i])))
                        json_set(a, meta, copied[i], json_clone(a, json_get(from, copied[i])));
        json_append(a, json_ensure_array(a, meta, "ownerReferences"),
                    object_make_controller_ref(a, api_version, kind, owner));
        if (json_get(template, "spec"))
                json_set(a, pod, "spec", json_clone(a, json_get(template, "spec")));
        return pod;
}

struct write *write_create_pod(struct writes *w, const struct json *owner, const struct json *pod)
{
        struct write *x = writes_create(w, R_PODS, object_namespace(owner), pod);

        write_event_set(w, &x->done, owner, "Normal", "SuccessfulCreate", "Created pod: {name}");
        write_event_set(w, &x->failed, owner, "Warning", "FailedCreate", "Error creating: {error}");
        return x;
}

struct write *write_delete_pod(struct writes *w, const struct json *owner, const struct object *pod)
{
        struct write *x = writes_delete(w, R_PODS, pod, -1, NULL);
        const char *message = arena_printf(w->arena, "Deleted pod: %s", pod->name);

        write_event_set(w, &x->done, owner, "Normal", "SuccessfulDelete", message);
        write_event_set(w, &x->failed, owner, "Warning", "FailedDelete", "Error deleting: {error}");
        return x;
}

void write_disruption(struct writes *w, const struct object *pod, const char *phase, const char *reason, const char *message,
                      int64_t now)
{
        struct json *copy = object_editable(w->arena, pod->json), *status = json_ensure_object(w->arena, copy, "status"), *c;
        struct json *conditions = json_ensure_array(w->arena, status, "conditions");
        struct write *x;

        if (reason) {
                condition_set(w->arena, conditions, "DisruptionTarget", "True", reason, message, now);
                c = condition_find(conditions, "DisruptionTarget");
                json_set_int(w->arena, c, "observedGeneration", json_path_int(pod->json, "metadata.generation", 1));
        }
        if (phase) {
                json_set_string(w->arena, status, "phase", phase);
                json_set_int(w->arena, status, "observedGeneration", json_path_int(pod->json, "metadata.generation", 1));
        }
        x = writes_update(w, R_PODS, "status", copy);
        x->ignore_not_found = x->ignore_conflict = true;
}

/* --- the order in which pods are deleted --- */

struct ranked {
        const struct object *pod;
        bool assigned, ready;
        int phase;
        int64_t cost, neighbours; /* related pods on its node */
        int64_t ready_at, restarts, created_at, now;
};

/* The order of magnitude of an age: pods of about the same age count as equals, so that scaling down
 * does not always hit the newest. -1: in the future. */
static int64_t age_rank(int64_t t, int64_t now)
{
        return now > t ? (int64_t)log2((double)(now - t)) : -1;
}

static int by_age(const struct ranked *x, const struct ranked *y, int64_t tx, int64_t ty)
{
        int64_t rx = age_rank(tx, x->now), ry = age_rank(ty, y->now);

        if (rx != ry)
                return rx < ry ? -1 : 1;
        return strcmp(x->pod->uid, y->pod->uid);
}

static int compare_int(int64_t x, int64_t y)
{
        return x < y ? -1 : x > y;
}

static int compare_ranked(const void *a, const void *b)
{
        const struct ranked *x = a, *y = b;
        int r = compare_int(x->assigned, y->assigned);

        if (!r)
                r = compare_int(x->phase, y->phase);
        if (!r)
                r = compare_int(x->ready, y->ready);
        if (!r)
                r = compare_int(x->cost, y->cost);
        if (!r)
                r = compare_int(y->neighbours, x->neighbours);
        if (!r && x->ready && y->ready && x->ready_at != y->ready_at)
                return by_age(x, y, x->ready_at, y->ready_at);
        if (!r)
                r = compare_int(y->restarts, x->restarts);
        if (!r && x->created_at != y->created_at)
                return by_age(x, y, x->created_at, y->created_at);
        return r ? r : strcmp(x->pod->uid, y->pod->uid);
}

static struct ranked rank_of(const struct object *pod, const struct object_list *related, int64_t now)
{
        const char *node = json_path_string(pod->json, "spec.nodeName"), *phase = pod_phase(pod->json);
        const char *cost = object_annotation(pod->json, "controller.kubernetes.io/pod-deletion-cost");
        const char *since = json_get_string(pod_condition(pod->json, "Ready"), "lastTransitionTime");
        struct ranked r = { .pod = pod, .now = now };

        r.assigned = !str_empty(node);
        r.phase = streq(phase, "Running") ? 2 : streq(phase, "Unknown") ? 1 : 0;
        r.ready = pod_is_ready(pod->json);
        r.cost = cost ? strtoll(cost, NULL, 10) : 0;
        if (since)
                time_parse(since, &r.ready_at);
        r.created_at = object_time(pod->json, "metadata.creationTimestamp");
        json_foreach_item(json_path(pod->json, "status.containerStatuses"), c)
                r.restarts = MAX(r.restarts, json_get_int(c, "restartCount", 0));
        for (size_t i = 0; r.assigned && i < related->n; i++)
                r.neighbours += streq(json_path_string(related->items[i]->json, "spec.nodeName"), node);
        return r;
}

void pods_rank_for_deletion(struct arena *a, struct object_list *pods, const struct object_list *related, int64_t now)
{
        struct ranked *all = arena_calloc(a, (pods->n + 1) * sizeof(*all));

        for (size_t i = 0; i < pods->n; i++)
                all[i] = rank_of(pods->items[i], related, now);
        qsort(all, pods->n, sizeof(*all), compare_ranked);
        for (size_t i = 0; i < pods->n; i++)
                pods->items[i] = all[i].pod;
}
