/* Controllers on plain data, for tests: objects in, writes out, printed as one line a write. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "controllers.h"

struct world {
        struct arena *arena;
        struct object_store *stores[R_COUNT];
        struct settings settings;
        struct snapshot snapshot;
        struct map memory;
        unsigned revision;
        struct writes writes; /* of the last run */
};

static inline int setup(void **state)
{
        struct world *w = new0(struct world);

        w->arena = arena_new(0);
        for (unsigned i = 0; i < R_COUNT; i++) {
                w->stores[i] = object_store_new(NULL);
                object_store_add_index(w->stores[i], object_store_index_namespace);
                object_store_add_index(w->stores[i], object_store_index_owner);
                if (controller_resources[i].index)
                        object_store_add_index(w->stores[i], controller_resources[i].index);
        }
        w->snapshot = (struct snapshot){ .now = 1000000 * NS_PER_SEC, .stores = w->stores, .settings = &w->settings,
                                          .resources = controller_resources, .n_resources = R_COUNT,
                                          .memory = &w->memory };
        w->memory = (struct map)MAP_INIT;
        *state = w;
        return 0;
}

static inline int teardown(void **state)
{
        struct world *w = *state;

        for (unsigned i = 0; i < R_COUNT; i++)
                object_store_free(w->stores[i]);
        snapshot_memory_deinit(&w->memory);
        map_deinit(&w->memory);
        arena_free(w->arena);
        free(w);
        return 0;
}

/* TEXT is JSON with ' for ". */
static inline void put(struct world *w, unsigned resource, const char *text)
{
        char *copy = arena_strdup(w->arena, text);
        _cleanup_error_ struct error err = ERROR_INIT;
        struct json *j;

        for (char *p = copy; *p; p++)
                if (*p == '\'')
                        *p = '"';
        if (json_parse(w->arena, copy, strlen(copy), NULL, &j, &err) < 0)
                fail_msg("%s: %s", text, error_text(&err));
        if (controller_resources[resource].namespaced && !json_path(j, "metadata.namespace"))
                json_path_set(w->arena, j, "metadata.namespace", json_new_string(w->arena, "n"));
        json_path_set(w->arena, j, "metadata.resourceVersion", json_new_stringf(w->arena, "%u", ++w->revision));
        object_store_event(w->stores[resource], object_new_copy(j), false);
}

static inline const char *run(struct world *w, const struct controller *c, const char *key)
{
        static const char *const verbs[] = { "create", "update", "patch", "patch", "patch", "delete", "event", "work", "allowed", "absent", "apply" };
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        w->writes = (struct writes){ .arena = w->arena };
        controller_reconcile(c, &w->snapshot, key, &w->writes);
        for (size_t i = 0; i < w->writes.n; i++) {
                const struct write *x = &w->writes.items[i];

                strbuf_printf(&b, "%s %s%s%s%s%s\n", verbs[x->verb],
                              x->verb == WRITE_EVENT ? x->done.reason : controller_resources[x->resource].resource,
                              x->subresource ? "/" : "", x->subresource ? x->subresource : "", x->name ? " " : "",
                              x->name ? x->name : "");
        }
        return arena_strdup(w->arena, strbuf_str(&b));
}


/* The string at PATH of what write number I of the last run carries. */
static inline const char *wrote(const struct world *w, size_t i, const char *path)
{
        return i < w->writes.n ? json_path_string(w->writes.items[i].body, path) : NULL;
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
#define SECONDS(n) ((n) * NS_PER_SEC)
