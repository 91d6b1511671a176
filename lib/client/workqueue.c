/* The work queue: three sets over one map of entries.
 *
 * A key is queued (in the list, to be taken), active (taken, not done) or waiting (for a time). An
 * active key that is added again is marked and queued when it is done: that is the rule that lets
 * several workers never hold the same key. One timer serves all waiting keys.
 */
#include "workqueue.h"

#include "../base/list.h"
#include "../base/map.h"
#include "../base/time.h"

#define BASE_DELAY_NS (5 * NS_PER_MS)
#define MAX_DELAY_NS (1000 * NS_PER_SEC)

struct entry {
        struct list link; /* in the queue while queued */
        char *key;
        bool queued, active, again;
        int64_t at; /* monotonic, when to queue it; 0: not waiting */
        unsigned failures;
};

struct workqueue {
        struct loop *loop;
        struct workqueue_options options;
        struct loop_timer *timer;
        int64_t timer_at;
        struct list queue;
        struct map entries; /* key to struct entry * */
        size_t n_queued;
        bool told; /* ready() is on its way */
        bool freed;
};

static void on_timer(struct loop_timer *timer, void *userdata);

struct workqueue *workqueue_new(struct loop *loop, const struct workqueue_options *o)
{
        struct workqueue *q = new0(struct workqueue);

        q->loop = loop;
        q->options = *o;
        if (!q->options.base_delay_ns)
                q->options.base_delay_ns = BASE_DELAY_NS;
        if (!q->options.max_delay_ns)
                q->options.max_delay_ns = MAX_DELAY_NS;
        q->timer = loop_timer_new(loop, on_timer, q);
        list_init(&q->queue);
        return q;
}

static void entry_free(struct entry *e)
{
        free(e->key);
        free(e);
}

static void release(struct workqueue *q)
{
        struct map_entry *it;

        map_foreach(&q->entries, it)
                entry_free(it->value);
        map_deinit(&q->entries);
        free(q);
}

void workqueue_free(struct workqueue *q)
{
        if (!q)
                return;
        loop_timer_free(q->timer);
        q->freed = true;
        if (!q->told) /* else the deferred call frees it */
                release(q);
}

static void tell(void *userdata)
{
        struct workqueue *q = userdata;

        q->told = false;
        if (q->freed)
                release(q);
        else if (q->n_queued && q->options.ready)
                q->options.ready(q, q->options.userdata);
}

static struct entry *entry_of(struct workqueue *q, const char *key)
{
        struct entry *e = map_get(&q->entries, key);

        if (e)
                return e;
        e = new0(struct entry);
        e->key = xstrdup(key);
        list_init(&e->link);
        map_put(&q->entries, key, e);
        return e;
}

/* An entry that says nothing any more is forgotten, or the map would grow for ever. */
static void drop_if_idle(struct workqueue *q, struct entry *e)
{
        if (e->queued || e->active || e->again || e->at || e->failures)
                return;
        map_del(&q->entries, e->key);
        entry_free(e);
}

static void enqueue(struct workqueue *q, struct entry *e)
{
        e->at = 0;
        if (e->active) {
                e->again = true;
                return;
        }
        if (e->queued)
                return;
        e->queued = true;
        list_push_back(&q->queue, &e->link);
        q->n_queued++;
        if (!q->told && q->options.ready) {
                q->told = true;
                loop_defer(q->loop, tell, q);
        }
}

void workqueue_add(struct workqueue *q, const char *key)
{
        enqueue(q, entry_of(q, key));
}

static void arm(struct workqueue *q, int64_t at)
{
        int64_t in = MAX(at - loop_now(q->loop), (int64_t)0);

        if (loop_timer_armed(q->timer) && q->timer_at <= at)
                return;
        q->timer_at = at;
        loop_timer_arm_slack(q->timer, in, in / 20);
}

static void on_timer(struct loop_timer *timer, void *userdata)
{
        struct workqueue *q = userdata;
        int64_t now = loop_now(q->loop), next = 0;
        struct map_entry *it;

        map_foreach(&q->entries, it) {
                struct entry *e = it->value;

                if (e->at && e->at <= now)
                        enqueue(q, e);
                else if (e->at && (!next || e->at < next))
                        next = e->at;
        }
        if (next)
                arm(q, next);
}

void workqueue_add_after(struct workqueue *q, const char *key, int64_t in_ns)
{
        struct entry *e = entry_of(q, key);
        int64_t at = loop_now(q->loop) + in_ns;

        if (in_ns <= 0) {
                enqueue(q, e);
                return;
        }
        if (e->queued || (e->at && e->at <= at))
                return;
        e->at = at;
        arm(q, at);
}

void workqueue_add_rate_limited(struct workqueue *q, const char *key)
{
        struct entry *e = entry_of(q, key);
        int64_t delay = q->options.base_delay_ns;

        for (unsigned i = 0; i < e->failures && delay < q->options.max_delay_ns; i++)
                delay *= 2;
        e->failures++;
        workqueue_add_after(q, key, MIN(delay, q->options.max_delay_ns));
}

void workqueue_forget(struct workqueue *q, const char *key)
{
        struct entry *e = map_get(&q->entries, key);

        if (!e)
                return;
        e->failures = 0;
        drop_if_idle(q, e);
}

char *workqueue_take(struct workqueue *q)
{
        struct entry *e;

        if (list_empty(&q->queue))
                return NULL;
        e = list_entry(q->queue.next, struct entry, link);
        list_remove(&e->link);
        q->n_queued--;
        e->queued = false;
        e->active = true;
        return xstrdup(e->key);
}

void workqueue_done(struct workqueue *q, const char *key)
{
        struct entry *e = map_get(&q->entries, key);

        if (!e || !e->active)
                return;
        e->active = false;
        if (e->again) {
                e->again = false;
                enqueue(q, e);
        } else {
                drop_if_idle(q, e);
        }
}

unsigned workqueue_failures(const struct workqueue *q, const char *key)
{
        const struct entry *e = map_get(&q->entries, key);

        return e ? e->failures : 0;
}

size_t workqueue_len(const struct workqueue *q)
{
        return q->n_queued;
}
