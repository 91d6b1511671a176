/* Writes of the store: each one transaction that compares the key's mod revision (and the fence: sole.h).
 *
 * When a connection breaks under a transaction, nobody knows whether it was carried out. Asking again is
 * safe, since the comparison lets only one of the two through; if it then fails because what is there is
 * just what we wrote, the first one had been carried out, and that is success.
 */
#include "store-internal.h"

#include <errno.h>
#include <stdio.h>

#define EVENT_TTL_S 3600      /* upstream's --event-ttl */
#define LEASE_SHARED_S 60     /* events of one minute share a lease */
#define LEASE_USES 1000

/* The object as it is stored: kind, apiVersion and metadata first, so that readers find the place for the
 * resourceVersion at once; never with a resourceVersion. Returns that place. */
static size_t write_stored(struct strbuf *out, const struct json *object)
{
        static const char *const first[] = { "kind", "apiVersion" };
        const struct json *meta = json_get(object, "metadata");
        bool some = false;
        size_t revision_at;

        strbuf_reserve(out, 4096);
        strbuf_putc(out, '{');
        for (size_t i = 0; i < ARRAY_SIZE(first); i++) {
                const struct json *v = json_get(object, first[i]);

                if (!v)
                        continue;
                json_write_string(out, first[i], strlen(first[i]));
                strbuf_putc(out, ':');
                json_write(out, v);
                strbuf_putc(out, ',');
        }
        strbuf_puts(out, "\"metadata\":{");
        revision_at = out->len;
        json_foreach_member(meta, m) {
                if (strcmp(m->key, "resourceVersion") == 0)
                        continue;
                if (some)
                        strbuf_putc(out, ',');
                some = true;
                json_write_string(out, m->key, m->key_len);
                strbuf_putc(out, ':');
                json_write(out, m->value);
        }
        strbuf_putc(out, '}');
        json_foreach_member(object, m) {
                if (streq(m->key, "kind") || streq(m->key, "apiVersion") || streq(m->key, "metadata"))
                        continue;
                strbuf_putc(out, ',');
                json_write_string(out, m->key, m->key_len);
                strbuf_putc(out, ':');
                json_write(out, m->value);
        }
        strbuf_putc(out, '}');
        return revision_at;
}

/* A lease for an event: shared by those of a minute, so that a storm of them costs few. */
static int event_lease(struct store *s, int64_t *ret, struct error *reterr)
{
        _cleanup_strbuf_ struct strbuf message = STRBUF_INIT, reply = STRBUF_INIT;
        struct wire_answer a = { 0 };
        int64_t now = time_mono();
        int r = 0;

        if (!s->lease || now - s->lease_at > LEASE_SHARED_S * NS_PER_SEC || s->lease_uses >= LEASE_USES) {
                wire_write_lease_grant(&message, EVENT_TTL_S + LEASE_SHARED_S);
                r = store_request(s, "/etcdserverpb.Lease/LeaseGrant", &message, WIRE_LEASE_GRANT, true, &reply, &a,
                                  NULL, reterr);
                if (r == 0) {
                        s->lease = a.lease;
                        s->lease_at = now;
                        s->lease_uses = 0;
                }
                wire_answer_deinit(&a);
        }
        s->lease_uses++;
        *ret = s->lease;
        return r;
}

/* What the answer's failed comparison found under KEY. */
static struct entry *found_entry(struct store_kind *k, const char *key, const struct wire_kv *kv)
{
        struct entry *e;

        if (!kv || entry_new(k, key, strlen(key), strlen(k->prefix), kv->value, (uint64_t)kv->mod_revision,
                             (uint64_t)kv->create_revision, &e) < 0)
                return NULL;
        return e;
}

/* When no revision lies between the cache and our write, the cache may have it now: the fiber that
 * wrote, and any that reads next, need not wait for the watch. */
static void apply_own(struct store *s, struct store_kind *k, struct entry *new, const char *key, uint64_t revision)
{
        if (!s->loaded || revision != s->revision + 1)
                return;
        store_apply(s, k, new ? entry_ref(new) : NULL, key, revision);
        store_advance(s, revision);
}

int store_put(struct store *s, const struct resource *res, const char *key, const struct json *object,
              uint64_t expected, struct entry **ret_entry, struct error *reterr)
{
        _cleanup_strbuf_ struct strbuf reply = STRBUF_INIT;
        struct writing w = { .object = object, .value = STRBUF_INIT };
        struct store_kind *k = store_kind_of(s, key, strlen(key), true);
        const struct entry *before = store_get(s, key);
        uint64_t created = before && before->revision == expected ? before->create_revision : expected;
        const struct wire_kv *found;
        struct wire_answer a = { 0 };
        struct bytes value;
        struct entry *e = NULL;
        bool doubtful = false;
        int64_t lease = 0;
        int r = 0;

        if (!k)
                return error_set(reterr, -EINVAL, "no key of this store: %s", key);
        store_enter(s);
        w.revision_at = write_stored(&w.value, object);
        value = (struct bytes){ w.value.data, w.value.len };
        if (streq(res->storage_prefix, "events"))
                r = event_lease(s, &lease, reterr);
        if (r == 0) {
                s->n_writes++;
                map_put(&s->writing, key, &w); /* of two for one key, one is enough: it only spares work */
                r = store_write_fenced(s, key, expected, value, lease, &reply, &a, &doubtful, reterr);
                if (map_get(&s->writing, key) == &w)
                        map_del(&s->writing, key);
        }
        found = store_find_kv(&a, key);
        if (r == 0 && (a.succeeded || found))
                s->own = MAX(s->own, a.succeeded ? (uint64_t)a.revision : (uint64_t)found->mod_revision);
        if (r == 0 && a.succeeded) {
                e = store_get(s, key);
                if (e && e->revision == (uint64_t)a.revision) { /* the watch was faster */
                        *ret_entry = entry_ref(e);
                } else {
                        e = entry_new_written(k, key, strlen(key), strlen(k->prefix), value, w.revision_at, object,
                                              (uint64_t)a.revision, expected ? created : (uint64_t)a.revision);
                        apply_own(s, k, e, key, (uint64_t)a.revision);
                        *ret_entry = e;
                }
        } else if (r == 0) {
                bool ours = doubtful && found && found->value.len == value.len &&
                            memcmp(found->value.p, value.p, value.len) == 0;

                *ret_entry = found_entry(k, key, found);
                r = ours ? STORE_OK : STORE_CONFLICT;
        }
        wire_answer_deinit(&a);
        strbuf_deinit(&w.value);
        store_leave(s);
        return r;
}

int store_delete(struct store *s, const struct resource *res, const char *key, uint64_t expected,
                 struct entry **ret_entry, struct error *reterr)
{
        _cleanup_strbuf_ struct strbuf reply = STRBUF_INIT;
        struct store_kind *k = store_kind_of(s, key, strlen(key), true);
        struct entry *before = store_get(s, key);
        const struct wire_kv *found;
        struct wire_answer a = { 0 };
        bool doubtful = false;
        int r;

        if (!k)
                return error_set(reterr, -EINVAL, "no key of this store: %s", key);
        store_enter(s);
        if (before)
                entry_ref(before);
        s->n_writes++;
        r = store_write_fenced(s, key, expected, (struct bytes){ NULL, 0 }, 0, &reply, &a, &doubtful, reterr);
        found = store_find_kv(&a, key);
        if (r == 0)
                s->own = MAX(s->own, a.succeeded || !found ? (uint64_t)a.revision : (uint64_t)found->mod_revision);
        if (r == 0 && (a.succeeded || (doubtful && !found))) {
                if (a.succeeded)
                        apply_own(s, k, NULL, key, (uint64_t)a.revision);
                if (ret_entry)
                        *ret_entry = before && before->revision == expected ?
                                             entry_new_at(before, (uint64_t)a.revision) :
                                             NULL;
        } else if (r == 0) {
                if (ret_entry)
                        *ret_entry = found_entry(k, key, found);
                r = STORE_CONFLICT;
        }
        entry_unref(before);
        wire_answer_deinit(&a);
        store_leave(s);
        return r;
}
