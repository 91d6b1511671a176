/* Reads of the store: from the cache, once it is new enough.
 *
 * A linearizable read must see every write that was acknowledged before the read came. So the revision
 * is asked of etcd after it came. All fibers that ask in one turn of the loop, or while a question is on
 * its way, share the next one, which waits for the answer to the one before: at most twice the way to
 * etcd and back, and under load far fewer questions, each of which costs more than all else of a GET. While
 * this is the only API server that can write (sole.h), nothing is asked at all.
 *
 *      fiber  fiber  fiber          store_sync(): join `forming`, park
 *        \      |      /
 *         struct check              end of the turn, none on its way: one Range; its answer is a revision R
 *              |
 *         cache < R ? waiting       until the watch has brought R
 *              |
 *           woken
 */
#include "store-internal.h"

#include <errno.h>
#include <stdio.h>

#define STUCK_NS (100 * NS_PER_MS)

struct check {
        struct store *store;
        struct list waiters;
        struct loop_timer *retry;
        int64_t give_up, pause;
        uint64_t revision;
        bool queued; /* to be sent at the end of this turn */
};

static void check_start(void *userdata);

static void waiter_done(struct waiter *w, int code, const char *text)
{
        list_remove(&w->link);
        w->code = code;
        w->text = text ? xstrdup(text) : NULL;
        w->done = true;
        fiber_wake(w->fiber);
}

static void waiter_park(struct store *s, struct waiter *w)
{
        store_enter(s);
        while (!w->done)
                fiber_park();
        store_leave(s);
}

static void wait_for(struct store *s, struct waiter *w)
{
        list_push_back(&s->waiting, &w->link);
        if (!loop_timer_armed(s->stuck))
                loop_timer_arm(s->stuck, STUCK_NS);
}

void store_wake_waiters(struct store *s)
{
        list_foreach_safe(&s->waiting, it, tmp) {
                struct waiter *w = list_entry(it, struct waiter, link);

                if (w->target <= s->revision)
                        waiter_done(w, 0, NULL);
        }
}

void store_fail_waiters(struct store *s, int code, const char *text)
{
        list_foreach_safe(&s->waiting, it, tmp)
                waiter_done(list_entry(it, struct waiter, link), code, text);
        if (s->forming) {
                list_foreach_safe(&s->forming->waiters, it2, tmp2)
                        waiter_done(list_entry(it2, struct waiter, link), code, text);
        }
}

static void mark_end(const struct grpc_end *end, void *userdata)
{
}

/* etcd's revision has moved by writes outside our prefix, or the watch lags: ask it how far it is. */
static void ask_progress(struct store *s)
{
        struct strbuf message = STRBUF_INIT;
        static const struct grpc_ops ops = { NULL, mark_end }; /* the event matters, not the answer */
        char key[256];

        if (!s->watching || !s->grpc)
                return;
        if (s->exact_progress) {
                wire_write_watch_progress(&message);
                grpc_send(s->watch_call, &message);
        } else {
                /* Before 3.4.25 and 3.5.8 a progress answer may overtake events (etcd issue 15220). A
                 * mark that we write ourselves cannot. */
                snprintf(key, sizeof(key), "%s/colibri-mark", s->prefix);
                wire_write_put(&message, BYTES(key), BYTES("."), 0);
                grpc_start(s->grpc, "/etcdserverpb.KV/Put", &message, false, STORE_TIMEOUT, &ops, NULL);
        }
        strbuf_deinit(&message);
}

void store_on_stuck(struct loop_timer *timer, void *userdata)
{
        struct store *s = userdata;
        int64_t now = loop_now(s->loop);

        list_foreach_safe(&s->waiting, it, tmp) {
                struct waiter *w = list_entry(it, struct waiter, link);

                if (w->deadline <= now)
                        waiter_done(w, -ETIMEDOUT, "the cache did not reach the revision in time");
        }
        if (list_empty(&s->waiting))
                return;
        ask_progress(s);
        loop_timer_arm(s->stuck, STUCK_NS);
}

/* --- the check --- */

static void check_free(struct check *c)
{
        struct store *s = c->store;

        loop_timer_free(c->retry);
        free(c);
        store_leave(s);
}

static void check_message(struct grpc_call *call, const char *data, size_t len, void *userdata)
{
        struct check *c = userdata;
        struct wire_answer a;

        if (wire_read(WIRE_RANGE, (struct bytes){ data, len }, &a) == 0)
                c->revision = (uint64_t)a.revision;
        wire_answer_deinit(&a);
}

static void check_retry(struct loop_timer *timer, void *userdata)
{
        check_start(userdata);
}

static void check_queue(struct check *c)
{
        if (!c->queued)
                loop_defer(c->store->loop, check_start, c);
        c->queued = true;
}

static void check_end(const struct grpc_end *end, void *userdata)
{
        struct check *c = userdata;
        struct store *s = c->store;
        struct error err = ERROR_INIT;
        int r = 0;

        s->checking = false;
        if (s->forming) /* those who came meanwhile */
                check_queue(s->forming);

        if (end->code || end->status)
                r = store_error(end, &err);
        else if (!c->revision)
                r = error_set(&err, -EIO, "etcd's answer cannot be read");
        if (r == -EHOSTUNREACH && !s->closing && time_mono() + c->pause < c->give_up) {
                if (!c->retry)
                        c->retry = loop_timer_new(s->loop, check_retry, c);
                loop_timer_arm(c->retry, c->pause);
                c->pause = MIN(c->pause * 2, 500 * NS_PER_MS);
                error_deinit(&err);
                return;
        }
        list_foreach_safe(&c->waiters, it, tmp) {
                struct waiter *w = list_entry(it, struct waiter, link);

                if (r || c->revision <= s->revision) {
                        waiter_done(w, r, r ? error_text(&err) : NULL);
                } else {
                        list_remove(it);
                        w->target = c->revision;
                        w->deadline = c->give_up;
                        wait_for(s, w);
                }
        }
        error_deinit(&err);
        check_free(c);
}

static void check_start(void *userdata)
{
        static const struct grpc_ops ops = { check_message, check_end };
        struct check *c = userdata;
        struct store *s = c->store;
        struct strbuf message = STRBUF_INIT;
        char key[256];

        if (s->forming == c)
                s->forming = NULL;
        c->queued = false;
        s->checking = true;
        if (!s->grpc) {
                check_end(&(struct grpc_end){ -ECANCELED, 0, "the store is closing" }, c);
                return;
        }
        s->n_checks++;
        snprintf(key, sizeof(key), "%s/-", s->prefix);
        wire_write_range(&message, &(struct wire_range){ .key = BYTES(key), .count_only = true });
        grpc_hold(s->grpc);
        grpc_start(s->grpc, "/etcdserverpb.KV/Range", &message, false, STORE_TIMEOUT, &ops, c);
        grpc_flush(s->grpc);
        strbuf_deinit(&message);
}

static int waiter_result(struct waiter *w, struct error *reterr)
{
        int code = w->code;

        if (code)
                error_set(reterr, code, "%s", w->text ? w->text : "");
        free(w->text);
        return code;
}

int store_sync(struct store *s, struct error *reterr)
{
        struct waiter w = { .fiber = fiber_self() };
        struct check *c = s->forming;

        if (s->closing)
                return error_set(reterr, -EHOSTUNREACH, "the store is closing");
        /* Nobody else can write, and what we wrote is here, or will be. */
        if (store_is_sole(s)) {
                if (s->own <= s->revision)
                        return 0;
                w.target = s->own;
                w.deadline = time_mono() + STORE_PATIENCE;
                wait_for(s, &w);
                waiter_park(s, &w);
                return waiter_result(&w, reterr);
        }
        if (!c) {
                c = s->forming = new0(struct check);
                c->store = s;
                c->pause = 20 * NS_PER_MS;
                c->give_up = time_mono() + STORE_PATIENCE;
                list_init(&c->waiters);
                store_enter(s);
                if (!s->checking)
                        check_queue(c);
        }
        list_push_back(&c->waiters, &w.link);
        waiter_park(s, &w);
        return waiter_result(&w, reterr);
}

int store_wait(struct store *s, uint64_t revision, struct error *reterr)
{
        struct waiter w = { .fiber = fiber_self(), .target = revision };

        if (revision <= s->revision)
                return 0;
        if (s->closing)
                return error_set(reterr, -EHOSTUNREACH, "the store is closing");
        w.deadline = time_mono() + 3 * NS_PER_SEC;
        wait_for(s, &w);
        waiter_park(s, &w);
        return waiter_result(&w, reterr);
}

/* --- the cache --- */

struct entry *store_get(const struct store *s, const char *key)
{
        const struct store_kind *k = store_kind_find(s, key);

        return k ? index_get(&k->index, key) : NULL;
}

/* AFTER's successor, or PREFIX: where a scan begins. */
static struct index_cursor scan_start(const struct store_kind *k, const char *prefix, const char *after)
{
        struct index_cursor c;
        struct entry *e;

        if (!after || strcmp(after, prefix) < 0)
                return index_from(&k->index, prefix);
        c = index_from(&k->index, after);
        e = index_next(&c);
        if (e && strcmp(e->key, after) != 0)
                c.at--; /* it was not AFTER itself */
        return c;
}

void store_scan(const struct store *s, const char *prefix, const char *after, store_scan_fn *fn, void *userdata)
{
        const struct store_kind *k = store_kind_find(s, prefix);
        size_t len = strlen(prefix);
        struct index_cursor c;

        if (!k)
                return;
        c = scan_start(k, prefix, after);
        for (struct entry *e; (e = index_next(&c));)
                if (strncmp(e->key, prefix, len) != 0 || !fn(e, userdata))
                        break;
}

/* The key behind all that begin with PREFIX ("/registry/pods/default/" to "/registry/pods/default0"). */
static void prefix_end(const char *prefix, char *buf, size_t size)
{
        struct bytes end;

        snprintf(buf, size, "%s", prefix);
        end = wire_prefix_end(BYTES(prefix), buf);
        buf[end.len] = '\0';
}

static size_t count_from(const struct store_kind *k, const char *prefix, const char *from)
{
        char end[1024];

        prefix_end(prefix, end, sizeof(end));
        return index_rank(&k->index, end) - index_rank(&k->index, from);
}

size_t store_count(const struct store *s, const char *prefix)
{
        const struct store_kind *k = store_kind_find(s, prefix);

        return k ? count_from(k, prefix, prefix) : 0;
}

/* --- as it was --- */

struct limited {
        store_scan_fn *fn;
        void *userdata;
        size_t left;
        bool limit, more, stopped;
        struct entry *last;
};

static bool take_limited(struct entry *e, void *userdata)
{
        struct limited *l = userdata;

        if (l->limit && l->left == 0) {
                l->more = true;
                return false;
        }
        l->left--;
        l->last = e;
        l->stopped = !l->fn(e, l->userdata);
        return !l->stopped;
}

static int scan_etcd(struct store *s, const char *prefix, const char *after, uint64_t revision, size_t limit,
                     store_scan_fn *fn, void *userdata, bool *ret_more, size_t *ret_remaining, struct error *reterr)
{
        struct store_kind *k = store_kind_of(s, prefix, strlen(prefix), true);
        char end[1024];
        _cleanup_strbuf_ struct strbuf message = STRBUF_INIT, reply = STRBUF_INIT, from = STRBUF_INIT;
        struct wire_answer a = { 0 };
        int r;

        prefix_end(prefix, end, sizeof(end));
        /* The next key after AFTER is AFTER and a zero byte. */
        strbuf_puts(&from, after ? after : prefix);
        if (after)
                strbuf_putc(&from, '\0');
        wire_write_range(&message, &(struct wire_range){ .key = { from.data, from.len }, .range_end = BYTES(end),
                                                         .limit = (int64_t)limit, .revision = (int64_t)revision });
        store_enter(s);
        r = store_request(s, "/etcdserverpb.KV/Range", &message, WIRE_RANGE, true, &reply, &a, NULL, reterr);
        for (size_t i = 0; r == 0 && k && i < a.n_kvs; i++) {
                struct entry *e;
                const struct wire_kv *kv = &a.kvs[i];
                bool on;

                if (entry_new(k, kv->key.p, kv->key.len, strlen(k->prefix), kv->value, (uint64_t)kv->mod_revision,
                              (uint64_t)kv->create_revision, &e) < 0)
                        continue;
                on = fn(e, userdata);
                entry_unref(e);
                if (!on)
                        break;
        }
        if (r == 0 && ret_more)
                *ret_more = a.more;
        if (r == 0 && ret_remaining)
                *ret_remaining = (size_t)a.count - a.n_kvs;
        wire_answer_deinit(&a);
        store_leave(s);
        return r;
}

int store_scan_at(struct store *s, const char *prefix, const char *after, uint64_t revision, size_t limit,
                  store_scan_fn *fn, void *userdata, bool *ret_more, size_t *ret_remaining, struct error *reterr)
{
        const struct store_kind *k = store_kind_find(s, prefix);
        struct limited l = { .fn = fn, .userdata = userdata, .left = limit, .limit = limit > 0 };

        /* The cache is what was at REVISION when nothing of the kind changed since. */
        if (revision > s->revision || revision < s->floor || (k && k->changed > revision))
                return scan_etcd(s, prefix, after, revision, limit, fn, userdata, ret_more, ret_remaining, reterr);
        if (revision < s->compacted)
                return error_set(reterr, -ERANGE, "the revision is compacted");
        store_scan(s, prefix, after, take_limited, &l);
        if (ret_more)
                *ret_more = l.more;
        if (ret_remaining)
                *ret_remaining = l.last && k ? count_from(k, prefix, l.last->key) - 1 : 0;
        return 0;
}

int store_get_fresh(struct store *s, const char *key, struct entry **ret, struct error *reterr)
{
        struct store_kind *k = store_kind_of(s, key, strlen(key), true);
        _cleanup_strbuf_ struct strbuf message = STRBUF_INIT, reply = STRBUF_INIT;
        struct wire_answer a = { 0 };
        int r;

        if (!k)
                return error_set(reterr, -EINVAL, "no key of this store: %s", key);
        store_enter(s);
        wire_write_range(&message, &(struct wire_range){ .key = BYTES(key) });
        r = store_request(s, "/etcdserverpb.KV/Range", &message, WIRE_RANGE, true, &reply, &a, NULL, reterr);
        if (r == 0) {
                *ret = NULL;
                if (a.n_kvs)
                        s->own = MAX(s->own, (uint64_t)a.kvs[0].mod_revision);
                if (a.n_kvs)
                        r = entry_new(k, key, strlen(key), strlen(k->prefix), a.kvs[0].value,
                                      (uint64_t)a.kvs[0].mod_revision, (uint64_t)a.kvs[0].create_revision, ret);
        }
        wire_answer_deinit(&a);
        store_leave(s);
        return r;
}
