/* The fiber that keeps the cache full: load everything at one revision, then watch from the next.
 *
 *      LOAD --pages at one revision--> WATCH --cut--> WATCH from revision + 1 --compacted--> LOAD
 *
 * A connection that breaks loses nothing: the watch goes on behind the last revision that was applied,
 * whichever endpoint it then reaches. Only when etcd has compacted that revision away is all loaded
 * again, and every client's watch is told to list anew (410).
 */
#include "store-internal.h"

#include <errno.h>
#include <stdio.h>

#define PAGE 500                         /* objects of the first page, and of any at least */
#define PAGE_MOST 10000
#define PAGE_LEAST 50                    /* after pages that could not be had: the largest objects, 1.5 MB each, pass in these */
#define PAGE_BYTES (12 << 20)            /* of the others */
#define PULSE NS_PER_SEC                 /* silence after which a peer is asked whether it is there */
#define PULSE_ANSWER (3 * NS_PER_SEC / 2) /* what it has for an answer, */
#define PULSE_ALONE (5 * NS_PER_SEC)     /* where there is no other to go to */
#define PULSE_AGAIN (100 * NS_PER_MS)
#define BEHIND (2 * NS_PER_SEC)          /* a watch says nothing, though there is something to say */

/* --- loading --- */

/* The cache starts anew. */
static void forget_all(struct store *s)
{
        struct map_entry *m;

        s->dispatching++;
        map_foreach(&s->kinds, m) {
                struct store_kind *k = m->value;

                index_deinit(&k->index);
                k->bytes = 0;
                k->changed = 0;
                list_foreach(&k->watches, it) {
                        struct store_watch *w = list_entry(it, struct store_watch, link);

                        if (!w->dead)
                                w->ops->cut(w->userdata);
                }
        }
        s->dispatching--;
}

static void load_page(struct store *s, const struct wire_answer *a)
{
        for (size_t i = 0; i < a->n_kvs; i++) {
                const struct wire_kv *kv = &a->kvs[i];
                struct store_kind *k = store_kind_of(s, kv->key.p, kv->key.len, true);
                struct entry *e;

                store_sole_event(s, kv, false);
                /* What is no object (our own marks, another's keys) has a revision, but is not served. */
                if (!k || entry_new(k, kv->key.p, kv->key.len, strlen(k->prefix), kv->value,
                                    (uint64_t)kv->mod_revision, (uint64_t)kv->create_revision, &e) < 0)
                        continue;
                k->bytes += entry_size(e);
                k->changed = MAX(k->changed, e->revision);
                entry_unref(index_put(&k->index, e));
        }
}

/* A page on its way: asked for on a fiber of its own, so that etcd gathers the next one while this one becomes
 * entries. With 50,000 objects each side has most of a second to do. */
struct page {
        struct store *s;
        struct strbuf message, reply;
        struct wire_answer a;
        struct fiber *waiter;
        struct error err;
        int r;
        bool asked, done;
};

static void page_fetch(void *userdata)
{
        struct page *p = userdata;

        p->r = store_request(p->s, "/etcdserverpb.KV/Range", &p->message, WIRE_RANGE, true, &p->reply, &p->a, NULL, &p->err);
        p->done = true;
        fiber_wake(p->waiter);
}

static void page_ask(struct page *p, struct store *s, struct bytes from, struct bytes end, uint64_t revision, int64_t limit)
{
        *p = (struct page){ .s = s, .waiter = fiber_self(), .asked = true };
        wire_write_range(&p->message, &(struct wire_range){ .key = from, .range_end = end, .limit = limit,
                                                            .revision = (int64_t)revision });
        fiber_start(s->loop, page_fetch, p);
}

static void page_deinit(struct page *p)
{
        strbuf_deinit(&p->message);
        strbuf_deinit(&p->reply);
        wire_answer_deinit(&p->a);
        error_deinit(&p->err);
        *p = (struct page){ 0 };
}

static int page_wait(struct page *p, struct error *reterr)
{
        while (!p->done)
                fiber_park();
        return p->r < 0 ? error_set(reterr, p->r, "%s", error_text(&p->err)) : 0;
}

/* The page behind P. For each page etcd counts all keys that are left: 50,000 objects in pages of 500 are a second and
 * a half of its CPU, in pages of some thousands a third of that. What they may take in memory bounds them, and who made a
 * wrong guess (small objects, then large ones) loads in smaller ones the next time. */
static void page_ask_next(struct page *next, const struct page *p, struct bytes end, uint64_t revision)
{
        _cleanup_strbuf_ struct strbuf from = STRBUF_INIT;
        const struct wire_kv *last = &p->a.kvs[p->a.n_kvs - 1];
        size_t each = p->reply.len / p->a.n_kvs + 1;

        strbuf_append(&from, last->key.p, last->key.len);
        strbuf_putc(&from, '\0');
        page_ask(next, p->s, (struct bytes){ from.data, from.len }, end, revision, MIN(MAX(PAGE_BYTES / each, PAGE), p->s->page_most));
        fiber_sleep(0); /* it is sent at the end of a turn */
}

static int load(struct store *s, struct error *reterr)
{
        struct page pages[2] = { 0 }, *p = &pages[0], *next = &pages[1];
        char prefix[256], end[256];
        struct bytes range_end;
        uint64_t revision = 0;
        struct map_entry *m;
        int r;

        snprintf(prefix, sizeof(prefix), "%s/", s->prefix);
        range_end = wire_prefix_end(BYTES(prefix), end);
        s->loaded = false;
        sole_forget(&s->sole);
        s->own = 0; /* what was acknowledged until now is in what is loaded */
        forget_all(s);
        if (!s->page_most)
                s->page_most = PAGE_MOST;
        page_ask(p, s, BYTES(prefix), range_end, 0, MIN(PAGE, s->page_most));
        while ((r = page_wait(p, reterr)) == 0) {
                if (!revision)
                        revision = (uint64_t)p->a.revision;
                if (p->a.more && p->a.n_kvs)
                        page_ask_next(next, p, range_end, revision);
                load_page(s, &p->a);
                page_deinit(p);
                if (!next->asked)
                        break;
                p = next;
                next = p == &pages[0] ? &pages[1] : &pages[0];
        }
        page_deinit(p);
        s->page_most = r < 0 ? MAX(s->page_most / 16, PAGE_LEAST) : PAGE_MOST;
        if (r < 0)
                return r;
        s->floor = revision;
        map_foreach(&s->kinds, m)
                ring_reset(&((struct store_kind *)m->value)->ring, revision);
        s->n_loads++;
        s->loaded = true;
        s->revision = 0; /* may go back, where etcd was restored from a backup */
        store_advance(s, revision);
        return 0;
}

/* Before 3.4.25 and 3.5.8 a progress answer that was asked for may overtake events. */
static bool has_exact_progress(const char *version)
{
        unsigned major = 0, minor = 0, patch = 0;

        sscanf(version, "%u.%u.%u", &major, &minor, &patch);
        if (major != 3 || minor > 5)
                return major > 3 || minor > 5;
        return minor == 5 ? patch >= 8 : minor == 4 && patch >= 25;
}

static int ask_status(struct store *s, struct error *reterr)
{
        _cleanup_strbuf_ struct strbuf message = STRBUF_INIT, reply = STRBUF_INIT;
        _cleanup_free_ char *version = NULL;
        struct wire_answer a = { 0 };
        int r = store_request(s, "/etcdserverpb.Maintenance/Status", &message, WIRE_STATUS, true, &reply, &a, NULL,
                              reterr);

        if (r == 0) {
                version = xstrndup(a.version.p ? a.version.p : "", a.version.len);
                s->exact_progress = has_exact_progress(version);
        }
        wire_answer_deinit(&a);
        return r;
}

/* --- watching --- */

/* The entry of an event; NULL: it is no object. */
static struct entry *event_entry(struct store *s, struct store_kind *k, const char *key, const struct wire_kv *kv)
{
        const struct writing *w = map_get(&s->writing, key);
        uint64_t revision = (uint64_t)kv->mod_revision, created = (uint64_t)kv->create_revision;
        struct entry *e;

        if (w && w->value.len == kv->value.len && memcmp(w->value.data, kv->value.p, kv->value.len) == 0)
                return entry_new_written(k, key, kv->key.len, strlen(k->prefix), kv->value, w->revision_at, w->object,
                                         revision, created);
        return entry_new(k, key, kv->key.len, strlen(k->prefix), kv->value, revision, created, &e) < 0 ? NULL : e;
}

static void apply_events(struct store *s, const struct wire_watch *w)
{
        uint64_t applied = s->revision, last = applied;

        for (size_t i = 0; i < w->n_events; i++) {
                const struct wire_event *ev = &w->events[i];
                uint64_t revision = (uint64_t)ev->kv.mod_revision;
                struct store_kind *k;
                struct entry *e = NULL;
                char key[1024];

                /* Our own write, applied when it was answered. */
                if (revision <= applied)
                        continue;
                last = MAX(last, revision);
                store_sole_event(s, &ev->kv, ev->deleted);
                k = store_kind_of(s, ev->kv.key.p, ev->kv.key.len, true);
                if (!k || ev->kv.key.len >= sizeof(key))
                        continue;
                memcpy(key, ev->kv.key.p, ev->kv.key.len);
                key[ev->kv.key.len] = '\0';
                if (!ev->deleted && !(e = event_entry(s, k, key, &ev->kv)))
                        continue;
                store_apply(s, k, e, key, revision);
        }
        store_advance(s, last);
}

static void tell_progress(struct store *s)
{
        struct map_entry *m;

        s->dispatching++;
        map_foreach(&s->kinds, m) {
                list_foreach(&((struct store_kind *)m->value)->watches, it) {
                        struct store_watch *w = list_entry(it, struct store_watch, link);

                        if (!w->dead && w->ops->progress)
                                w->ops->progress(s->revision, w->userdata);
                }
        }
        s->dispatching--;
}

static void watch_message(struct grpc_call *c, const char *data, size_t len, void *userdata)
{
        struct store *s = userdata;
        struct wire_watch w;

        s->watch_heard = loop_now(s->loop);
        if (wire_read_watch((struct bytes){ data, len }, &w) < 0) {
                store_trouble_set(s, "etcd's watch cannot be read");
        } else if (w.canceled) {
                s->watch_compacted = w.compact_revision > 0;
                s->compacted = MAX(s->compacted, (uint64_t)w.compact_revision);
                error_set(&s->trouble, -EIO, "etcd ended the watch: %.*s", (int)w.cancel_reason.len,
                          w.cancel_reason.p ? w.cancel_reason.p : "");
                s->watching = false;
                s->watch_call = NULL;
                grpc_cancel(c);
                fiber_wake(s->main);
        } else if (w.created) {
                s->watching = true;
                store_trouble_set(s, NULL);
        } else if (w.n_events) {
                apply_events(s, &w);
        } else {
                store_advance(s, (uint64_t)w.revision);
                tell_progress(s);
        }
        wire_watch_deinit(&w);
}

static void watch_end(const struct grpc_end *end, void *userdata)
{
        struct store *s = userdata;

        s->watching = false;
        s->watch_call = NULL;
        sole_doubt(&s->sole);
        error_set(&s->trouble, -EIO, "etcd: %s", *end->message ? end->message : "the watch ended");
        fiber_wake(s->main);
}

/* --- is it alive? --- */

/* A machine that is gone, or a member that hangs, ends no connection: the kernel tells of the one after 20 s, of the other
 * never. So a peer across the network is asked for a key, when it has been silent for a second (not by a PING: who
 * sends them often is thrown out). And a watch can be silent alone: etcd before 3.4.25 and 3.5.8 may leave it
 * waiting behind other answers (etcd issue 15402), which shows by a write that it does not bring. */

static void probe_end(const struct grpc_end *end, void *userdata)
{
}

static void probe(struct store *s)
{
        static const struct grpc_ops ops = { NULL, probe_end }; /* any sign of life will do */
        _cleanup_strbuf_ struct strbuf message = STRBUF_INIT;
        char key[256];

        snprintf(key, sizeof(key), "%s/colibri-none", s->prefix);
        wire_write_range(&message, &(struct wire_range){ .key = BYTES(key), .keys_only = true, .serializable = true });
        grpc_start(s->grpc, "/etcdserverpb.KV/Range", &message, false, STORE_TIMEOUT, &ops, NULL);
}

/* The newest revision that somebody waits for, or wrote. */
static uint64_t awaited(const struct store *s)
{
        uint64_t revision = s->own;

        list_foreach((struct list *)&s->waiting, it)
                revision = MAX(revision, list_entry(it, struct waiter, link)->target);
        return revision;
}

void store_on_pulse(struct loop_timer *timer, void *userdata)
{
        struct store *s = userdata;
        int64_t now = loop_now(s->loop), silence = grpc_silence(s->grpc), next = PULSE;
        const char *why = NULL;

        if (silence < 0 || grpc_is_local(s->grpc)) {
                s->probed = 0;
        } else if (silence < PULSE) {
                s->probed = 0;
                next = PULSE - silence;
        } else if (!s->probed) {
                probe(s);
                s->probed = now;
                next = grpc_n_endpoints(s->grpc) > 1 ? PULSE_ANSWER : PULSE_ALONE;
        } else if (!s->caring) { /* a member is silent while it is defragmented */
                why = "the server does not answer";
        }
        if (!why && silence >= 0 && s->watching && !s->caring && awaited(s) > s->revision && now - s->watch_heard >= BEHIND)
                why = "the watch hangs";
        /* Maybe it was we who did not run, and the answer waits to be read. */
        if (why && !s->doubted)
                next = PULSE_AGAIN;
        else if (why)
                grpc_leave(s->grpc, why);
        s->doubted = why && !s->doubted;
        loop_timer_arm_slack(s->pulse, next, next / 10);
}

/* Returns when the watch has ended. */
static void watch(struct store *s)
{
        static const struct grpc_ops ops = { watch_message, watch_end };
        _cleanup_strbuf_ struct strbuf message = STRBUF_INIT;
        char prefix[256], end[256];

        snprintf(prefix, sizeof(prefix), "%s/", s->prefix);
        wire_write_watch_create(&message, BYTES(prefix), wire_prefix_end(BYTES(prefix), end),
                                (int64_t)s->revision + 1);
        s->watch_compacted = false;
        s->watch_call = grpc_start(s->grpc, "/etcdserverpb.Watch/Watch", &message, true, 0, &ops, s);
        s->probed = 0;
        s->doubted = false;
        s->watch_heard = loop_now(s->loop);
        if (!grpc_is_local(s->grpc))
                loop_timer_arm(s->pulse, PULSE);
        s->main_waits = true;
        while (s->watch_call && !s->closing)
                fiber_park();
        s->main_waits = false;
        if (s->pulse)
                loop_timer_disarm(s->pulse);
}

void store_main(void *userdata)
{
        struct store *s = userdata;
        int64_t pause = 10 * NS_PER_MS;
        bool fresh = false;

        s->main = fiber_self();
        while (!s->closing) {
                struct error err = ERROR_INIT;

                if (!fresh && (ask_status(s, &err) < 0 || load(s, &err) < 0)) {
                        store_trouble_set(s, error_text(&err));
                } else {
                        int64_t began = time_mono();

                        fresh = true;
                        watch(s);
                        fresh = !s->watch_compacted;
                        if (time_mono() - began > NS_PER_SEC)
                                pause = 10 * NS_PER_MS;
                }
                error_deinit(&err);
                if (s->closing)
                        break;
                fiber_sleep(pause);
                pause = MIN(pause * 2, NS_PER_SEC);
        }
        store_leave(s);
}

void store_on_compact(struct loop_timer *timer, void *userdata)
{
        struct store *s = userdata;

        loop_timer_arm_slack(s->compact, s->compact_every_ns, 10 * NS_PER_SEC);
        care_on_compact(s);
}
