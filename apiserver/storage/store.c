/* The store: kinds, the cache's state, and who watches it. See store.h.
 *
 *      etcd --watch--> store_apply() --> index (what is)   --> GET, LIST
 *                                    \-> ring (what was)   --> a watch that resumes
 *                                     \-> struct store_watch, one a client
 *
 * Revisions are applied strictly in order, whether they come by the watch or are our own write's answer
 * (which counts only when it is the very next revision; otherwise the watch brings it, in its place).
 * So whoever saw revision N has seen all before it, and may resume from it.
 */
#include "store-internal.h"

#include <errno.h>
#include <stdio.h>

/* --- kinds --- */

const struct field_set *store_kind_fields(const struct store_kind *k)
{
        return &k->fields;
}

static struct store_kind *kind_new(struct store *s, const char *name)
{
        struct store_kind *k = new0(struct store_kind);

        k->store = s;
        k->prefix = xasprintf("%s/%s/", s->prefix, name);
        list_init(&k->watches);
        k->ring.floor = s->floor;
        map_put(&s->kinds, name, k);
        return k;
}

static void kind_free(struct store_kind *k)
{
        field_set_deinit(&k->fields);
        ring_deinit(&k->ring);
        index_deinit(&k->index);
        free(k->prefix);
        free(k);
}

static void cut(char *buf, const char *from, const char *to)
{
        memcpy(buf, from, (size_t)(to - from));
        buf[to - from] = '\0';
}

/* A kind's part of a key is one segment ("pods"), or two where it says so ("services/specs"), or where
 * the first is a group's name ("stable.example.com/crontabs"). KEY may be a prefix of keys. */
struct store_kind *store_kind_of(struct store *s, const char *key, size_t len, bool make)
{
        size_t base = strlen(s->prefix) + 1;
        const char *name = key + base, *slash, *second;
        char buf[512];
        struct store_kind *k = s->last_kind;

        if (k && len >= strlen(k->prefix) && memcmp(k->prefix, key, strlen(k->prefix)) == 0)
                return k;
        if (len <= base || memcmp(key, s->prefix, base - 1) != 0)
                return NULL;
        len -= base;
        slash = memchr(name, '/', len);
        if (!slash || len >= sizeof(buf))
                return NULL;
        second = memchr(slash + 1, '/', len - (size_t)(slash + 1 - name));
        if (second) {
                cut(buf, name, second);
                k = map_get(&s->kinds, buf);
                if (k)
                        return s->last_kind = k;
        }
        cut(buf, name, slash);
        k = map_get(&s->kinds, buf);
        if (!k && make) {
                if (strchr(buf, '.') && second)
                        cut(buf, name, second);
                k = kind_new(s, buf);
        }
        return k ? (s->last_kind = k) : NULL;
}

const struct store_kind *store_kind_find(const struct store *s, const char *prefix)
{
        return store_kind_of((struct store *)s, prefix, strlen(prefix), false);
}

bool store_has_any(const struct store *s, const struct resource *res)
{
        const struct store_kind *k = map_get(&s->kinds, res->storage_prefix);

        return k && k->index.n;
}

uint64_t store_changed(const struct store *s, const struct resource *res)
{
        const struct store_kind *k = map_get(&s->kinds, res->storage_prefix);

        return (k ? k->changed : 0) + (s->n_loads << 48); /* loaded anew, a kind may be back at an old revision */
}

static void kind_redraw(struct store_kind *k)
{
        struct index fresh = { 0 };
        struct index_cursor c = index_from(&k->index, "");

        for (struct entry *e; (e = index_next(&c));)
                index_put(&fresh, entry_new_kind(e, k));
        index_deinit(&k->index);
        k->index = fresh;
        /* Past events were packed for other fields: a watch that resumes lists anew. */
        ring_reset(&k->ring, k->store->revision);
}

void store_add_resource(struct store *s, const struct resource *res)
{
        struct store_kind *k = map_get(&s->kinds, res->storage_prefix);
        size_t before;

        if (!k)
                k = kind_new(s, res->storage_prefix);
        before = k->fields.n_sources;
        for (const char *const *f = res->field_selectors; f && *f; f++)
                field_set_add(&k->fields, res->name, *f);
        if (k->fields.n_sources != before && k->index.n)
                kind_redraw(k);
}

void store_remove_resource(struct store *s, const struct resource *res)
{
        struct store_kind *k = map_get(&s->kinds, res->storage_prefix);

        /* Its labels point into RES. */
        if (!k || !k->fields.n_labels)
                return;
        field_set_deinit(&k->fields);
        kind_redraw(k);
}

/* --- the cache moves --- */

static void dispatch(struct store_kind *k, const struct store_event *ev)
{
        struct store *s = k->store;

        s->dispatching++;
        list_foreach(&k->watches, it) {
                struct store_watch *w = list_entry(it, struct store_watch, link);

                if (!w->dead && strncmp(ev->entry->key, w->prefix, w->prefix_len) == 0)
                        w->ops->event(ev, w->userdata);
        }
        s->dispatching--;
}

/* Watches that were freed while events went round. */
static void sweep(struct store *s)
{
        struct map_entry *m;

        if (!s->dead_watches || s->dispatching)
                return;
        s->dead_watches = false;
        map_foreach(&s->kinds, m) {
                struct store_kind *k = m->value;

                list_foreach_safe(&k->watches, it, tmp) {
                        struct store_watch *w = list_entry(it, struct store_watch, link);

                        if (!w->dead)
                                continue;
                        list_remove(it);
                        free(w);
                }
        }
}

/* One change: NEW under its key (its reference is taken over), or KEY gone at REVISION. */
void store_apply(struct store *s, struct store_kind *kind, struct entry *new, const char *key, uint64_t revision)
{
        struct store_event ev = { .revision = revision };

        if (new) {
                ev.before = index_put(&kind->index, new);
                ev.entry = entry_ref(new);
                ev.type = ev.before ? STORE_MODIFIED : STORE_ADDED;
                kind->bytes += entry_size(new);
        } else {
                ev.before = index_del(&kind->index, key);
                if (!ev.before)
                        return;
                ev.entry = entry_new_at(ev.before, revision);
                ev.type = STORE_DELETED;
        }
        if (ev.before)
                kind->bytes -= entry_size(ev.before);
        kind->changed = revision;
        if (ev.before)
                entry_ref(ev.before); /* the ring need not keep it */
        ring_push(&kind->ring, &ev, loop_now(s->loop), s->history,
                  MIN(MAX(kind->bytes / 8, RING_BYTES_MIN), RING_BYTES_MAX));
        dispatch(kind, &ev);
        entry_unref(ev.before);
        sweep(s);
}

void store_advance(struct store *s, uint64_t revision)
{
        if (revision <= s->revision)
                return;
        s->revision = revision;
        store_wake_waiters(s);
}

/* --- watches --- */

int store_watch_new(struct store *s, const char *prefix, uint64_t revision, const struct store_watch_ops *ops,
                    void *userdata, struct store_watch **ret)
{
        struct store_kind *k = store_kind_of(s, prefix, strlen(prefix), true);
        struct store_watch *w;

        if (!k)
                return -EINVAL;
        if (revision < MAX(k->ring.floor, s->floor))
                return -ERANGE;
        w = xcalloc(1, sizeof(*w) + strlen(prefix) + 1);
        w->store = s;
        w->prefix_len = strlen(prefix);
        memcpy(w->prefix, prefix, w->prefix_len);
        w->ops = ops;
        w->userdata = userdata;
        for (size_t i = ring_after(&k->ring, revision); i < k->ring.n; i++) {
                const struct store_event *ev = &k->ring.events[(k->ring.head + i) % k->ring.cap].event;

                if (strncmp(ev->entry->key, prefix, w->prefix_len) == 0)
                        ops->event(ev, userdata);
        }
        list_push_back(&k->watches, &w->link);
        *ret = w;
        return 0;
}

void store_watch_free(struct store_watch *w)
{
        if (!w)
                return;
        if (w->store->dispatching) {
                w->dead = true;
                w->store->dead_watches = true;
                return;
        }
        list_remove(&w->link);
        free(w);
}

/* --- asking etcd --- */

/* etcd's gRPC errors, by the words that its versions share (rpctypes/error.go). */
static int classify(int status, const char *message)
{
        switch (status) {
        case GRPC_RESOURCE_EXHAUSTED:
                if (strstr(message, "database space exceeded"))
                        return -ENOSPC;
                return strstr(message, "too many requests") ? -EHOSTUNREACH : -EMSGSIZE;
        case GRPC_INVALID_ARGUMENT:
                return strstr(message, "too large") ? -EMSGSIZE : -EIO;
        case GRPC_OUT_OF_RANGE:
                return strstr(message, "compacted") ? -ERANGE : -EIO;
        case GRPC_UNAVAILABLE:
                return -EHOSTUNREACH;
        case GRPC_DEADLINE_EXCEEDED:
                return -ETIMEDOUT;
        default:
                return -EIO;
        }
}

int store_error(const struct grpc_end *end, struct error *reterr)
{
        int code = end->code ? end->code : classify(end->status, end->message);

        if (end->code == -ECONNRESET)
                code = -EHOSTUNREACH;
        else if (end->code == -EPROTO)
                code = -EIO;
        return error_set(reterr, code, "%s", end->message);
}

int store_explain(const struct store *s, int code, struct error *reterr)
{
        _cleanup_free_ char *disk = code == -EHOSTUNREACH ? care_disk(s) : NULL;

        return disk ? error_wrap(reterr, code, "%s", disk) : code;
}

void store_enter(struct store *s)
{
        s->users++;
}

void store_leave(struct store *s)
{
        struct map_entry *m;

        if (--s->users || !s->closing)
                return;
        map_foreach(&s->kinds, m)
                kind_free(m->value);
        map_deinit(&s->kinds);
        map_deinit(&s->writing);
        store_sole_deinit(s);
        free(s->prefix);
        free(s->data_dir);
        error_deinit(&s->trouble);
        free(s);
}

int store_request(struct store *s, const char *path, const struct strbuf *message, enum wire_message type,
                  bool resend, struct strbuf *reply, struct wire_answer *ret, bool *ret_doubtful, struct error *reterr)
{
        int64_t give_up = time_mono() + STORE_PATIENCE, pause = 20 * NS_PER_MS;

        for (;;) {
                struct error err = ERROR_INIT;
                int status = 0, r;
                bool sent;

                if (s->closing)
                        return error_set(reterr, -EHOSTUNREACH, "the store is closing");
                r = grpc_unary(s->grpc, path, message, STORE_TIMEOUT, reply, &status, &err);
                if (r == 0 && status == 0) {
                        error_deinit(&err);
                        if (wire_read(type, (struct bytes){ strbuf_str(reply), reply->len }, ret) < 0)
                                return error_set(reterr, -EIO, "etcd's answer cannot be read");
                        return 0;
                }
                sent = r != -EHOSTUNREACH;
                r = store_error(&(struct grpc_end){ r, status, error_text(&err) }, reterr);
                error_deinit(&err);
                if (r == -ENOSPC)
                        care_no_space(s);
                /* A request that was sent may have been carried out: the caller must know how to ask twice. */
                if (sent && ret_doubtful)
                        *ret_doubtful = true;
                if (r != -EHOSTUNREACH || (sent && !resend) || s->closing || time_mono() + pause > give_up)
                        return store_explain(s, r, reterr);
                fiber_sleep(pause);
                pause = MIN(pause * 2, 500 * NS_PER_MS);
        }
}

void store_trouble_set(struct store *s, const char *text)
{
        error_deinit(&s->trouble);
        s->trouble = (struct error)ERROR_INIT;
        if (!str_empty(text))
                error_set(&s->trouble, -EIO, "%s", text);
}

/* --- the whole --- */

int store_new(struct loop *loop, const struct store_options *o, struct store **ret, struct error *reterr)
{
        struct store *s = new0(struct store);
        struct grpc_options go = { .endpoints = o->endpoints, .ca_file = o->ca_file, .cert_file = o->cert_file,
                                   .key_file = o->key_file };
        int r = grpc_new(loop, &go, &s->grpc, reterr);

        if (r < 0) {
                free(s);
                return r;
        }
        s->loop = loop;
        s->prefix = xstrdup(o->prefix ? o->prefix : "/registry");
        s->history = o->history ? o->history : RING_MIN;
        s->data_dir = str_empty(o->data_dir) ? NULL : xstrdup(o->data_dir);
        s->defragment_min = o->defragment_min ? o->defragment_min : CARE_FILE_MIN;
        s->compact_every_ns = o->compact_every_ns ? o->compact_every_ns : 300 * NS_PER_SEC;
        s->revision = 0;
        map_init(&s->kinds);
        map_init(&s->writing);
        list_init(&s->waiting);
        s->stuck = loop_timer_new(loop, store_on_stuck, s);
        s->pulse = loop_timer_new(loop, store_on_pulse, s);
        s->compact = loop_timer_new(loop, store_on_compact, s);
        s->relief = loop_timer_new(loop, care_on_relief, s);
        s->sole_timer = loop_timer_new(loop, store_on_renew, s);
        store_sole_init(s);
        for (unsigned i = 0; i < n_builtin_resources; i++)
                if (builtin_resources[i]->storage_prefix)
                        store_add_resource(s, builtin_resources[i]);
        if (s->compact_every_ns > 0)
                loop_timer_arm_slack(s->compact, s->compact_every_ns, 10 * NS_PER_SEC);
        store_enter(s);
        fiber_start(loop, store_main, s);
        *ret = s;
        return 0;
}

void store_free(struct store *s)
{
        struct grpc *g;

        if (!s)
                return;
        store_enter(s);
        s->closing = true;
        g = s->grpc;
        grpc_free(g); /* ends all calls: their fibers see `closing` and leave */
        s->grpc = NULL;
        store_fail_waiters(s, -EHOSTUNREACH, "the store is closing");
        store_sole_stop(s);
        loop_timer_free(s->stuck);
        loop_timer_free(s->pulse);
        s->pulse = NULL;
        loop_timer_free(s->compact);
        loop_timer_free(s->relief);
        grpc_free(s->member);
        s->member = NULL;
        if (s->main_waits)
                fiber_wake(s->main);
        store_leave(s);
}

bool store_ready(const struct store *s)
{
        return s->loaded && s->watching;
}

const char *store_trouble(const struct store *s)
{
        return store_ready(s) || !s->trouble.message ? "" : s->trouble.message;
}

int store_unready(const struct store *s, struct error *reterr)
{
        if (!*store_trouble(s))
                return 0;
        error_set(reterr, -EHOSTUNREACH, "%s", store_trouble(s));
        return store_explain(s, -EHOSTUNREACH, reterr);
}

uint64_t store_revision(const struct store *s)
{
        return s->revision;
}

uint64_t store_compacted(const struct store *s)
{
        return s->compacted;
}

void store_stats(const struct store *s, struct store_stats *ret)
{
        struct map_entry *m;

        *ret = (struct store_stats){ .revision = s->revision, .checks = s->n_checks, .writes = s->n_writes,
                                     .loads = s->n_loads, .sole = s->sole.until != 0 };
        map_foreach(&s->kinds, m) {
                const struct store_kind *k = m->value;

                ret->objects += k->index.n;
                ret->bytes += k->bytes;
                ret->events += k->ring.n;
                list_foreach((struct list *)&k->watches, it)
                        ret->watches++;
        }
}
