/* The store's promises: it never goes back, and what we wrote ourselves is seen at once. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "object-store.h"

struct fixture {
        struct object_store *store;
        size_t by_owner;
        struct strbuf log; /* "+a@1 ~a@2 -a " */
};

static void note(struct object_store *s, struct object *old, struct object *new, void *userdata)
{
        struct fixture *f = userdata;

        strbuf_printf(&f->log, "%c%s@%s ", !old ? '+' : !new ? '-' : '~', (new ? new : old)->key,
                      (new ? new : old)->resource_version);
}

static struct object *object(const char *name, const char *uid, unsigned rv)
{
        char text[300];
        struct json *j;
        struct arena *a = arena_new(0);

        snprintf(text, sizeof(text),
                 "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"n\",\"uid\":\"%s\",\"resourceVersion\":\"%u\","
                 "\"managedFields\":[{\"manager\":\"x\"}],\"ownerReferences\":[{\"uid\":\"o\"}]}}",
                 name, uid, rv);
        assert_int_equal(json_parse(a, text, strlen(text), NULL, &j, NULL), 0);
        struct object *o = object_new_copy(j);
        arena_free(a);
        return o;
}

static void note_write(struct object_store *s, const char *name, const char *uid, unsigned rv)
{
        struct object *o = object(name, uid, rv);

        object_store_note_write(s, o->json);
        object_unref(o);
}

static int setup(void **state)
{
        struct fixture *f = new0(struct fixture);

        f->store = object_store_new(NULL);
        f->by_owner = object_store_add_index(f->store, object_store_index_owner);
        object_store_add_handler(f->store, note, f);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        object_store_free(f->store);
        strbuf_deinit(&f->log);
        free(f);
        return 0;
}

#define expect(f, text) assert_string_equal(strbuf_str(&(f)->log), text)

static void test_events(void **state)
{
        struct fixture *f = *state;
        size_t n;

        object_store_event(f->store, object("a", "1", 5), false);
        object_store_event(f->store, object("a", "1", 7), false);
        object_store_event(f->store, object("a", "1", 6), false); /* older */
        object_store_lookup(f->store, f->by_owner, "o", &n);
        assert_int_equal(n, 1);
        assert_null(json_path(object_store_get(f->store, "n/a")->json, "metadata.managedFields"));
        object_store_event(f->store, object("a", "1", 8), true);
        object_store_lookup(f->store, f->by_owner, "o", &n);
        assert_int_equal(n, 0);
        expect(f, "+n/a@5 ~n/a@7 -n/a@7 ");
}

static void test_own_writes(void **state)
{
        struct fixture *f = *state;

        object_store_bookmark(f->store, 10);
        note_write(f->store, "a", "1", 12);
        object_store_event(f->store, object("a", "1", 11), false);
        object_store_event(f->store, object("a", "1", 12), false);
        expect(f, "+n/a@12 ");
        /* The watch already is beyond this write: whatever it was, it is over. */
        object_store_event(f->store, object("b", "2", 20), false);
        note_write(f->store, "c", "3", 15);
        assert_null(object_store_get(f->store, "n/c"));
}

static void test_own_deletes(void **state)
{
        struct fixture *f = *state;

        object_store_event(f->store, object("a", "1", 5), false);
        object_store_note_delete(f->store, "n/a", "other uid");
        assert_non_null(object_store_get(f->store, "n/a"));
        object_store_note_delete(f->store, "n/a", "1");
        object_store_event(f->store, object("a", "1", 6), false); /* was on its way */
        assert_null(object_store_get(f->store, "n/a"));
        object_store_event(f->store, object("a", "1", 7), true);
        object_store_event(f->store, object("a", "2", 8), false); /* a new one of that name */
        assert_non_null(object_store_get(f->store, "n/a"));
}

static void test_relist(void **state)
{
        struct fixture *f = *state;

        object_store_event(f->store, object("a", "1", 5), false);
        object_store_event(f->store, object("b", "2", 6), false);
        object_store_event(f->store, object("c", "3", 7), false);
        strbuf_reset(&f->log);
        object_store_replace_begin(f->store);
        object_store_replace_item(f->store, object("a", "1", 5)); /* as it was */
        object_store_replace_item(f->store, object("b", "2", 9)); /* changed */
        object_store_replace_item(f->store, object("d", "4", 8)); /* new */
        note_write(f->store, "e", "5", 30);                /* after the list was made */
        object_store_replace_end(f->store, 20);
        expect(f, "~n/b@9 +n/d@8 +n/e@30 -n/c@7 ");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_events, setup, teardown),
                cmocka_unit_test_setup_teardown(test_own_writes, setup, teardown),
                cmocka_unit_test_setup_teardown(test_own_deletes, setup, teardown),
                cmocka_unit_test_setup_teardown(test_relist, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
