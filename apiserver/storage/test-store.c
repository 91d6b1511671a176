/* The store against a real etcd: what was acknowledged is read, in order, and survives a crash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "care.h"
#include "etcd-for-tests.h"
#include "store-internal.h"
#include "../../lib/base/time.h"
#include "../../lib/loop/fiber.h"
#include "store.h"

static struct test_etcd etcd;
static bool have_etcd;
static struct loop *loop;
static struct store *store;

static int setup(void **state)
{
        const char *endpoints[] = { "http://127.0.0.1:1", "unix:///nobody/listens", NULL, NULL }; /* the first ones are dead */
        struct store_options o = { .endpoints = endpoints, .prefix = "/registry", .compact_every_ns = -1 };

        have_etcd = test_etcd_start(&etcd);
        if (!have_etcd)
                return 0;
        endpoints[2] = etcd.socket;
        loop = loop_new();
        return store_new(loop, &o, &store, NULL);
}

static int teardown(void **state)
{
        if (!have_etcd)
                return 0;
        store_free(store);
        for (int i = 0; i < 5; i++)
                loop_turn(loop, 0);
        loop_free(loop);
        test_etcd_stop(&etcd);
        return 0;
}

static const struct resource *pods(void)
{
        return builtin_resource("", "v1", "pods");
}

static struct json *pod(struct arena *a, const char *name, const char *node)
{
        struct json *j;
        char *text = arena_printf(a,
                                  "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"%s\",\"namespace\":\"default\","
                                  "\"labels\":{\"app\":\"w\\u00e9b\",\"n\":\"%s\"}},\"spec\":{\"nodeName\":\"%s\"}}",
                                  name, name, node);

        assert_int_equal(json_parse(a, text, strlen(text), NULL, &j, NULL), 0);
        return j;
}

#define KEY(n) "/registry/pods/default/" n

struct seen {
        char log[4096];
        unsigned n, cuts;
};
static void on_event(const struct store_event *ev, void *userdata)
{
        struct seen *s = userdata;

        snprintf(s->log + strlen(s->log), sizeof(s->log) - strlen(s->log), "%c%s ",
                 ev->type == STORE_ADDED ? '+' : ev->type == STORE_DELETED ? '-' : '~', ev->entry->name);
        s->n++;
}
static void on_cut(void *userdata)
{
        ((struct seen *)userdata)->cuts++;
}
static const struct store_watch_ops watch_ops = { on_event, NULL, on_cut };

static void crud(void *userdata)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct error err = ERROR_INIT;
        struct entry *e = NULL, *again = NULL;
        struct seen live = { 0 }, late = { 0 };
        struct store_watch *w, *w2;
        uint64_t first;

        assert_int_equal(store_sync(store, &err), 0);
        assert_int_equal(store_watch_new(store, "/registry/pods/", store_revision(store), &watch_ops, &live, &w), 0);
        assert_int_equal(store_put(store, pods(), KEY("a"), pod(a, "a", "n1"), 0, &e, &err), STORE_OK);
        first = e->revision;
        assert_true(strstr(e->json->data, "\"metadata\":{\"resourceVersion\":\"") != NULL);
        assert_string_equal(entry_label(e, "app"), "w\xc3\xa9"
                                                   "b");
        assert_string_equal(entry_field(e, "spec.nodeName"), "n1");
        assert_string_equal(entry_field(e, "spec.hostNetwork"), "false");
        assert_string_equal(entry_field(e, "metadata.namespace"), "default");
        assert_null(entry_field(e, "spec.nonsense"));
        /* It exists: refused, with what is there. */
        assert_int_equal(store_put(store, pods(), KEY("a"), pod(a, "a", "n2"), 0, &again, &err), STORE_CONFLICT);
        assert_int_equal(again->revision, first);
        entry_unref(again);
        /* An update with the right revision, and one with a stale one. */
        assert_int_equal(store_put(store, pods(), KEY("a"), pod(a, "a", "n2"), first, &again, &err), STORE_OK);
        assert_int_equal(again->create_revision, first);
        entry_unref(again);
        assert_int_equal(store_put(store, pods(), KEY("a"), pod(a, "a", "n3"), first, &again, &err), STORE_CONFLICT);
        assert_string_equal(entry_field(again, "spec.nodeName"), "n2");
        /* Read your writes. */
        assert_int_equal(store_sync(store, &err), 0);
        assert_int_equal(store_get(store, KEY("a"))->revision, again->revision);
        assert_int_equal(store_delete(store, pods(), KEY("a"), first, NULL, &err), STORE_CONFLICT);
        entry_unref(e);
        assert_int_equal(store_delete(store, pods(), KEY("a"), again->revision, &e, &err), STORE_OK);
        assert_true(e->revision > again->revision);
        entry_unref(e);
        entry_unref(again);
        assert_int_equal(store_sync(store, &err), 0);
        assert_null(store_get(store, KEY("a")));
        assert_string_equal(live.log, "+a ~a -a ");
        /* A watch that resumes gets what it missed, and not what it has. */
        assert_int_equal(store_watch_new(store, "/registry/pods/default/", first, &watch_ops, &late, &w2), 0);
        assert_string_equal(late.log, "~a -a ");
        store_watch_free(w2);
        store_watch_free(w);
        assert_int_equal(store_watch_new(store, "/registry/pods/", 0, &watch_ops, &late, &w2), -ERANGE);
}

static bool collect(struct entry *e, void *userdata)
{
        struct seen *s = userdata;

        snprintf(s->log + strlen(s->log), sizeof(s->log) - strlen(s->log), "%s ", e->name);
        return true;
}

static void paging(void *userdata)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct seen page = { 0 };
        struct error err = ERROR_INIT;
        uint64_t revision = 0;
        bool more;
        size_t left;

        for (char c = 'a'; c <= 'e'; c++) {
                char key[64], name[2] = { c, 0 };
                struct entry *e;

                snprintf(key, sizeof(key), KEY("%s"), name);
                assert_int_equal(store_put(store, pods(), key, pod(a, name, ""), 0, &e, &err), STORE_OK);
                revision = e->revision;
                entry_unref(e);
        }
        assert_int_equal(store_sync(store, &err), 0);
        assert_int_equal(store_count(store, "/registry/pods/default/"), 5);
        assert_int_equal(store_count(store, "/registry/pods/other/"), 0);
        assert_int_equal(store_scan_at(store, "/registry/pods/", NULL, revision, 2, collect, &page, &more, &left, &err), 0);
        assert_true(more);
        assert_int_equal(left, 3);
        /* The next page is of the same revision, although one of its objects is gone meanwhile. */
        assert_int_equal(store_delete(store, pods(), KEY("d"), store_get(store, KEY("d"))->revision, NULL, &err), 0);
        assert_int_equal(store_sync(store, &err), 0);
        assert_int_equal(store_scan_at(store, "/registry/pods/", KEY("b"), revision, 2, collect, &page, &more, &left, &err), 0);
        assert_true(more);
        assert_int_equal(left, 1);
        assert_int_equal(store_scan_at(store, "/registry/pods/", KEY("d"), revision, 2, collect, &page, &more, &left, &err), 0);
        assert_false(more);
        assert_string_equal(page.log, "a b c d e ");
}

/* A foreign write moves etcd's revision past ours: a read must notice that the cache is not behind. */
static void foreign(void *userdata)
{
        struct error err = ERROR_INIT;
        char cmd[256];
        int64_t began = time_mono();

        snprintf(cmd, sizeof(cmd), "ETCDCTL_API=3 etcdctl --endpoints=%s put /other/x y >/dev/null", etcd.endpoint);
        if (system(cmd) != 0)
                return; /* no etcdctl here: nothing to try */
        began = time_mono();
        assert_int_equal(store_sync(store, &err), 0);
        assert_true(time_mono() - began < 2 * NS_PER_SEC);
}

static void crash(void *userdata)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct error err = ERROR_INIT;
        struct entry *e;
        struct seen live = { 0 };
        struct store_watch *w;

        assert_int_equal(store_sync(store, &err), 0);
        assert_int_equal(store_watch_new(store, "/registry/pods/", store_revision(store), &watch_ops, &live, &w), 0);
        test_etcd_kill(&etcd);
        assert_int_not_equal(store_sync(store, &err), 0); /* never stale: rather an error */
        error_deinit(&err);
        test_etcd_restart(&etcd);
        assert_int_equal(store_put(store, pods(), KEY("z"), pod(a, "z", ""), 0, &e, &err), STORE_OK);
        entry_unref(e);
        assert_int_equal(store_sync(store, &err), 0);
        assert_non_null(store_get(store, KEY("z")));
        assert_non_null(store_get(store, KEY("a")));
        assert_string_equal(live.log, "+z ");
        assert_int_equal(live.cuts, 0);
        store_watch_free(w);
}

static void large(void *userdata)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct error err = ERROR_INIT;
        struct json *j = pod(a, "big", "");
        struct entry *e;
        char *s = arena_alloc(a, 2 << 20);

        memset(s, 'x', 2 << 20);
        json_set(a, j, "data", json_new_stringn(a, s, 2 << 20));
        assert_int_equal(store_put(store, pods(), KEY("big"), j, 0, &e, &err), -EMSGSIZE);
        error_deinit(&err);
}

/* --- care --- */

/* What we wrote ourselves becomes the same entry, whether it is made from the tree or from the text. */
static void test_written_entries(void **state)
{
        static const char text[] = "{\"kind\":\"Event\",\"metadata\":{\"name\":\"a\",\"labels\":{\"k\":\"w\\u00e9\\\"b\",\"n\":null,"
                                   "\"x\":[1,true]}},\"source\":{\"component\":\"\"},\"reportingComponent\":\"c\\\\\","
                                   "\"involvedObject\":{\"kind\":7,\"name\":null,\"uid\":true,\"fieldPath\":[1]}}";
        static const char *const labels[] = { "source", "reportingController", "regarding.kind", "regarding.name",
                                              "regarding.uid", "regarding.fieldPath", "regarding.apiVersion" };
        static const char key[] = "/registry/events/a";
        struct store_kind k = { 0 };
        _cleanup_arena_ struct arena *a = arena_new(0);
        _cleanup_strbuf_ struct strbuf out = STRBUF_INIT;
        struct entry *read, *written;
        struct json *object;
        struct bytes value;

        unused(state);
        for (size_t i = 0; i < ARRAY_SIZE(labels); i++)
                field_set_add(&k.fields, "events", labels[i]);
        assert_int_equal(json_parse(a, text, strlen(text), NULL, &object, NULL), 0);
        json_write(&out, object);
        value = (struct bytes){ out.data, out.len };
        assert_int_equal(entry_new(&k, key, strlen(key), strlen("/registry/events/"), value, 7, 5, &read), 0);
        written = entry_new_written(&k, key, strlen(key), strlen("/registry/events/"), value,
                                    (size_t)(strstr(out.data, "\"name\"") - out.data), object, 7, 5);
        assert_string_equal(written->json->data, read->json->data);
        assert_int_equal(written->n_labels, read->n_labels);
        assert_int_equal(entry_size(written), entry_size(read));
        assert_string_equal(entry_label(written, "k"), "w\u00e9\"b");
        assert_string_equal(entry_label(written, "x"), entry_label(read, "x"));
        assert_string_equal(entry_label(written, "n"), entry_label(read, "n"));
        for (size_t i = 0; i < ARRAY_SIZE(labels); i++)
                assert_string_equal(entry_field(written, labels[i]), entry_field(read, labels[i]));
        assert_string_equal(entry_field(written, "reportingController"), "c\\");
        entry_unref(read);
        entry_unref(written);
        field_set_deinit(&k.fields);
}

static void test_care_decides(void **state)
{
        struct care_size half = { 100 << 20, 40 << 20 }, full = { 100 << 20, 95 << 20 }, large = { 900ull << 20, 400 << 20 };

        assert_true(care_worth_it(&half, CARE_FILE_MIN));
        assert_false(care_worth_it(&half, 200 << 20)); /* small */
        assert_false(care_worth_it(&full, CARE_FILE_MIN));
        assert_false(care_worth_it(&large, CARE_FILE_MIN)); /* a long pause, in passing */
        assert_true(care_made_room(100, 90));
        assert_false(care_made_room(100, 91));
}

/* What etcd holds at REVISION: 0 it is there, -ERANGE compacted. */
static int at_revision(uint64_t revision)
{
        struct seen page = { 0 };

        return store_scan_at(store, "/registry/pods/", NULL, revision, 0, collect, &page, NULL, NULL, NULL);
}

/* Of two stores one compacts an interval, to where etcd was one before. */
static void compaction(void *userdata)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        const char *endpoints[] = { etcd.endpoint, NULL };
        struct store_options o = { .endpoints = endpoints, .prefix = "/registry", .compact_every_ns = 300 * NS_PER_MS };
        struct store *both[2];
        uint64_t first, last;
        struct entry *e;

        for (size_t i = 0; i < 2; i++)
                assert_int_equal(store_new(loop, &o, &both[i], NULL), 0);
        assert_int_equal(store_put(store, pods(), KEY("old"), pod(a, "old", ""), 0, &e, NULL), 0);
        first = e->revision;
        entry_unref(e);
        assert_int_equal(store_put(store, pods(), KEY("old"), pod(a, "old", "n"), first, &e, NULL), 0);
        last = e->revision;
        entry_unref(e);
        assert_int_equal(at_revision(first), 0);
        for (int i = 0; i < 600 && at_revision(first) == 0; i++)
                fiber_sleep(50 * NS_PER_MS);
        assert_int_equal(at_revision(first), -ERANGE);
        /* What was written within the interval is kept. */
        assert_int_equal(store_put(store, pods(), KEY("old"), pod(a, "old", "m"), last, &e, NULL), 0);
        last = e->revision;
        entry_unref(e);
        assert_int_equal(store_put(store, pods(), KEY("new"), pod(a, "new", ""), 0, &e, NULL), 0);
        entry_unref(e);
        assert_int_equal(at_revision(last), 0);
        store_free(both[0]);
        store_free(both[1]);
}

/* Fills etcd until it refuses, deletes, and writes again once room was made. */
static void no_space(void *userdata)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct test_etcd small = { .quota = 6 << 20 };
        struct store_options o = { .prefix = "/registry", .compact_every_ns = -1 };
        struct json *j = pod(a, "x", "");
        char *data = arena_alloc(a, 400 << 10);
        struct error err = ERROR_INIT;
        uint64_t revisions[40] = { 0 };
        struct store *s;
        struct entry *e;
        char key[64];
        int r = 0, n = 0;

        assert_true(test_etcd_start(&small));
        o.endpoints = (const char *const[]){ small.endpoint, NULL };
        assert_int_equal(store_new(loop, &o, &s, NULL), 0);
        memset(data, 'x', 400 << 10);
        json_set(a, j, "data", json_new_stringn(a, data, 400 << 10));
        for (; n < 40; n++) {
                snprintf(key, sizeof(key), KEY("%d"), n);
                r = store_put(s, pods(), key, j, 0, &e, &err);
                if (r)
                        break;
                revisions[n] = e->revision;
                entry_unref(e);
        }
        assert_int_equal(r, -ENOSPC);
        assert_string_equal(error_text(&err), "etcdserver: mvcc: database space exceeded");
        for (int i = 0; i < n - 2; i++) {
                snprintf(key, sizeof(key), KEY("%d"), i);
                assert_int_equal(store_delete(s, pods(), key, revisions[i], NULL, &err), 0);
        }
        for (int i = 0; i < 300 && (r = store_put(s, pods(), KEY("again"), j, 0, &e, NULL)) == -ENOSPC; i++)
                fiber_sleep(100 * NS_PER_MS);
        assert_int_equal(r, 0);
        entry_unref(e);
        assert_int_equal(store_sync(s, NULL), 0);
        assert_int_equal(store_count(s, "/registry/pods/"), 3);
        error_deinit(&err);
        store_free(s);
        test_etcd_stop(&small);
}

#define ON_FIBER(name)                                                                                                 \
        static void test_##name(void **state)                                                                          \
        {                                                                                                              \
                if (!have_etcd)                                                                                        \
                        skip();                                                                                        \
                fiber_run(loop, name, NULL);                                                                           \
        }
ON_FIBER(crud)
ON_FIBER(paging)
ON_FIBER(foreign)
ON_FIBER(large)
ON_FIBER(crash)
ON_FIBER(compaction)
ON_FIBER(no_space)

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_crud),  cmocka_unit_test(test_paging), cmocka_unit_test(test_foreign),
                cmocka_unit_test(test_large), cmocka_unit_test(test_crash), cmocka_unit_test(test_care_decides),
                cmocka_unit_test(test_written_entries),
                cmocka_unit_test(test_compaction), cmocka_unit_test(test_no_space),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
