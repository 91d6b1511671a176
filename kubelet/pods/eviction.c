/* Eviction, and the collection of images.
 *
 * One round every ten seconds, and only where it can matter: two reads of the kernel's figures, and
 * a walk of those emptyDirs that have a limit. Order of eviction under pressure: first pods that use
 * more than they asked for, then by priority, then by how much more they use.
 */
#include "eviction.h"

#include <stdio.h>
#include <sys/statvfs.h>

#include "../../lib/base/log.h"
#include "../../lib/meta/quantity.h"
#include "../node-internal.h"
#include "status.h"
#include "worker.h"

#define ROUND (10 * NS_PER_SEC)
#define PRESSURE_OVER_AFTER (300 * NS_PER_SEC) /* a condition that comes and goes helps nobody */
#define IMAGE_GC_EVERY 30                      /* rounds */

struct eviction {
        struct kubelet *k;
        struct loop_timer *timer;
        int64_t memory_since, disk_since; /* monotonic: when it was last short */
        unsigned rounds;
};

static void evict(struct pod_worker *w, const char *message, int64_t grace, bool disruption)
{
        if (disruption) {
                free(w->lc->disruption_reason);
                free(w->lc->disruption_message);
                w->lc->disruption_reason = xstrdup("TerminationByKubelet");
                w->lc->disruption_message = xstrdup(message);
        }
        worker_post(w, &(struct pod_event){
                               .type = POD_EVENT_EVICTED, .reason = "Evicted", .message = message, .grace_ns = grace});
}

/* --- emptyDir --- */

static bool has_limited_volume(const struct json *pod)
{
        json_foreach_item(json_path(pod, "spec.volumes"), v)
                if (json_path(v, "emptyDir.sizeLimit"))
                        return true;
        return false;
}

static void check_volumes(struct kubelet *k, struct arena *a)
{
        struct pod_worker **list = arena_calloc(a, (k->workers.n + 1) * sizeof(*list));
        struct map_entry *e;
        size_t n = 0;
        map_foreach(&k->workers, e) {
                struct pod_worker *w = e->value;
                if (w->lc->state == POD_RUNNING && has_limited_volume(w->object->json))
                        list[n++] = worker_ref(w);
        }
        for (size_t i = 0; i < n; i++) {
                const char *volume = NULL, *limit = NULL;
                struct object *o = object_ref(list[i]->object);
                if (volumes_over_limit(k->volumes, o->json, a, &volume, &limit, NULL) == 1)
                        evict(list[i],
                              arena_printf(a, "Usage of EmptyDir volume \"%s\" exceeds the limit \"%s\". ", volume, limit),
                              NS_PER_SEC, false);
                object_unref(o);
                worker_unref(list[i]);
        }
}

/* --- the node runs short --- */

struct candidate {
        struct pod_worker *w;
        int64_t over; /* bytes of memory above the request */
        int64_t priority;
};

static int compare_candidates(const void *x, const void *y)
{
        const struct candidate *p = x, *q = y;
        if ((p->over > 0) != (q->over > 0))
                return p->over > 0 ? -1 : 1;
        if (p->priority != q->priority)
                return p->priority < q->priority ? -1 : 1;
        return p->over > q->over ? -1 : p->over < q->over;
}

static bool is_critical(const struct pod_worker *w)
{
        return w->is_static || json_path_int(w->object->json, "spec.priority", 0) >= 2000000000;
}

static struct pod_worker *worst_pod(struct kubelet *k, struct arena *a)
{
        struct candidate *list = arena_calloc(a, (k->workers.n + 1) * sizeof(*list));
        struct map_entry *e;
        size_t n = 0;
        map_foreach(&k->workers, e) {
                struct pod_worker *w = e->value;
                struct runtime_stats stats = {0};
                struct quantity q = {0};
                if (w->lc->state != POD_RUNNING || is_critical(w))
                        continue;
                if (w->sandbox_id)
                        k->runtime->ops->sandbox_stats(k->runtime, w->sandbox_id, &stats, NULL);
                const char *request = json_get_string(status_pod_resources(a, w->object->json, "requests"), "memory");
                int64_t asked = request && quantity_parse(request, &q) == 0 ? quantity_value(&q) : 0;
                list[n++] = (struct candidate){w, stats.memory_working_set - asked,
                                               json_path_int(w->object->json, "spec.priority", 0)};
        }
        if (!n)
                return NULL;
        qsort(list, n, sizeof(*list), compare_candidates);
        return list[0].w;
}

static void evict_worst(struct kubelet *k, struct arena *a, const char *resource, int64_t threshold, int64_t available)
{
        struct pod_worker *w = worst_pod(k, a);
        if (!w)
                return;
        log_warn("the node is low on %s: evicting pod %s", resource, w->key);
        evict(w,
              arena_printf(a, "The node was low on resource: %s. Threshold quantity: %lldKi, available: %lldKi. ",
                           resource, (long long)threshold / 1024, (long long)available / 1024),
              NS_PER_SEC, true);
}

static bool pressure(int64_t *since, bool is_short, bool before)
{
        if (is_short)
                *since = time_mono();
        return is_short || (before && time_mono() - *since < PRESSURE_OVER_AFTER);
}

static void check_node(struct eviction *ev, struct arena *a)
{
        struct kubelet *k = ev->k;
        struct statvfs fs;
        int64_t available = node_memory_available();
        bool low_memory = available < k->config.eviction_memory, low_disk = false;
        int64_t disk_total = 0, disk_free = 0;
        if (statvfs(k->config.root, &fs) == 0) {
                disk_total = (int64_t)(fs.f_blocks * fs.f_frsize);
                disk_free = (int64_t)(fs.f_bavail * fs.f_frsize);
                low_disk = disk_free < disk_total / 100 * k->config.eviction_disk_percent;
        }
        if (low_disk) {
                int64_t freed = 0;
                k->runtime->ops->image_gc(k->runtime, 0, 0, &freed, NULL);
                low_disk = freed == 0; /* look again next time before pods have to go */
        }
        bool memory = pressure(&ev->memory_since, low_memory, k->under_memory);
        bool disk = pressure(&ev->disk_since, low_disk, k->under_disk);
        bool changed = memory != k->under_memory || disk != k->under_disk;
        k->under_memory = memory;
        k->under_disk = disk;
        if (changed)
                node_status_changed(k->node);
        if (low_memory)
                evict_worst(k, a, "memory", k->config.eviction_memory, available);
        else if (low_disk)
                evict_worst(k, a, "ephemeral-storage", disk_total / 100 * k->config.eviction_disk_percent, disk_free);
}

static void round_fiber(void *userdata)
{
        struct eviction *ev = userdata;
        _cleanup_arena_ struct arena *a = arena_new(4096);
        if (ev->k->volumes)
                check_volumes(ev->k, a);
        check_node(ev, a);
        if (++ev->rounds % IMAGE_GC_EVERY == 0)
                ev->k->runtime->ops->image_gc(ev->k->runtime, ev->k->config.image_gc_high, ev->k->config.image_gc_low,
                                              &(int64_t){0}, NULL);
        loop_timer_arm_slack(ev->timer, ROUND, 2 * NS_PER_SEC);
}

static void timer_fire(struct loop_timer *timer, void *userdata)
{
        struct eviction *ev = userdata;
        fiber_start(ev->k->loop, round_fiber, ev);
}

void eviction_start(struct kubelet *k)
{
        if (k->config.fake)
                return;
        struct eviction *ev = new0(struct eviction);
        ev->k = k;
        ev->timer = loop_timer_new(k->loop, timer_fire, ev);
        loop_timer_arm_slack(ev->timer, ROUND, 2 * NS_PER_SEC);
}
