/* Controllers on plain data: objects in, writes out, printed as one line a write. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "controllers.h"

struct world {
        struct arena *arena;
        struct store *stores[R_COUNT];
        struct settings settings;
        struct snapshot snapshot;
        unsigned revision;
};

static int setup(void **state)
{
        struct world *w = new0(struct world);

        w->arena = arena_new(0);
        for (unsigned i = 0; i < R_COUNT; i++) {
                w->stores[i] = store_new(NULL);
                store_add_index(w->stores[i], store_index_namespace);
                store_add_index(w->stores[i], store_index_owner);
                if (controller_resources[i].index)
                        store_add_index(w->stores[i], controller_resources[i].index);
        }
        w->snapshot = (struct snapshot){ .now = 1000000 * NS_PER_SEC, .stores = w->stores, .settings = &w->settings };
        *state = w;
        return 0;
}

static int teardown(void **state)
{
        struct world *w = *state;

        for (unsigned i = 0; i < R_COUNT; i++)
                store_free(w->stores[i]);
        arena_free(w->arena);
        free(w);
        return 0;
}

/* TEXT is JSON with ' for ". */
static void put(struct world *w, unsigned resource, const char *text)
{
        char *copy = arena_strdup(w->arena, text);
        _cleanup_error_ struct error err = ERROR_INIT;
        struct json *j;

        for (char *p = copy; *p; p++)
                if (*p == '\'')
                        *p = '"';
        if (json_parse(w->arena, copy, strlen(copy), NULL, &j, &err) < 0)
                fail_msg("%s: %s", text, error_text(&err));
        json_path_set(w->arena, j, "metadata.namespace", json_new_string(w->arena, "n"));
        json_path_set(w->arena, j, "metadata.resourceVersion", json_new_stringf(w->arena, "%u", ++w->revision));
        store_event(w->stores[resource], object_new_copy(j), false);
}

static const char *run(struct world *w, const struct controller *c, const char *key)
{
        static const char *const verbs[] = { "create", "update", "patch", "patch", "patch", "delete", "event", "work", "allowed", "absent" };
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        struct writes writes = { .arena = w->arena };

        controller_reconcile(c, &w->snapshot, key, &writes);
        for (size_t i = 0; i < writes.n; i++) {
                const struct write *x = &writes.items[i];

                strbuf_printf(&b, "%s %s%s%s%s%s\n", verbs[x->verb],
                              x->verb == WRITE_EVENT ? x->done.reason : controller_resources[x->resource].resource,
                              x->subresource ? "/" : "", x->subresource ? x->subresource : "", x->name ? " " : "",
                              x->name ? x->name : "");
        }
        return arena_strdup(w->arena, strbuf_str(&b));
}

#define RS(replicas)                                                                               \
        "{'kind':'ReplicaSet','apiVersion':'apps/v1','metadata':{'name':'r','uid':'R','generation':1}," \
        "'spec':{'replicas':" #replicas ",'selector':{'matchLabels':{'a':'b'}},'template':{'metadata':" \
        "{'labels':{'a':'b'}},'spec':{}}},'status':{'replicas':0,'terminatingReplicas':0,'observedGeneration':1}}"
#define POD(name, owner, more)                                                                     \
        "{'kind':'Pod','apiVersion':'v1','metadata':{'name':'" name "','uid':'" name                \
        "','labels':{'a':'b'}" owner "},'spec':{},'status':{" more "}}"
#define OWNED_BY_RS ",'ownerReferences':[{'kind':'ReplicaSet','name':'r','uid':'R','controller':true}]"

static void test_replica_set_creates(void **state)
{
        struct world *w = *state;

        put(w, R_REPLICASETS, RS(2));
        assert_string_equal(run(w, &replicaset_controller, "n/r"), "create pods\ncreate pods\n");
        put(w, R_PODS, POD("p1", OWNED_BY_RS, "'phase':'Running'"));
        put(w, R_PODS, POD("dead", OWNED_BY_RS, "'phase':'Failed'"));
        assert_string_equal(run(w, &replicaset_controller, "n/r"), "create pods\nupdate replicasets/status r\n");
}

static void test_replica_set_adopts_and_shrinks(void **state)
{
        struct world *w = *state;

        put(w, R_REPLICASETS, RS(1));
        put(w, R_PODS, POD("ready", OWNED_BY_RS, "'phase':'Running','conditions':[{'type':'Ready','status':'True'}]"));
        put(w, R_PODS, POD("orphan", "", "'phase':'Pending'"));
        assert_string_equal(run(w, &replicaset_controller, "n/r"),
                            "patch pods orphan\ndelete pods orphan\nupdate replicasets/status r\n");
}

static void test_deployment_makes_replica_set(void **state)
{
        struct world *w = *state;

        put(w, R_DEPLOYMENTS,
            "{'kind':'Deployment','apiVersion':'apps/v1','metadata':{'name':'d','uid':'D','generation':1},'spec':"
            "{'replicas':3,'selector':{'matchLabels':{'a':'b'}},'strategy':{'type':'RollingUpdate','rollingUpdate':"
            "{'maxSurge':'25%','maxUnavailable':'25%'}},'progressDeadlineSeconds':600,'template':{'metadata':"
            "{'labels':{'a':'b'}},'spec':{}}}}");
        const char *out = run(w, &deployment_controller, "n/d");

        assert_true(str_has_prefix(out, "create replicasets d-"));
        assert_true(str_has_suffix(out, "\nupdate deployments/status d\n"));
}

#define JOB(status)                                                                                \
        "{'kind':'Job','apiVersion':'batch/v1','metadata':{'name':'j','uid':'J'},'spec':{'completions':1," \
        "'parallelism':1,'backoffLimit':6,'selector':{'matchLabels':{'a':'b'}},'template':{'metadata':{'labels':" \
        "{'a':'b'}},'spec':{}}},'status':{'startTime':'1970-01-01T00:00:00Z'" status "}}"
#define OWNED_BY_JOB(finalizer)                                                                    \
        ",'finalizers':[" finalizer "],'ownerReferences':[{'kind':'Job','name':'j','uid':'J','controller':true}]"

/* Listed, let go, counted: each step only after the one before is stored. */
static void test_job_counts_once(void **state)
{
        struct world *w = *state;

        put(w, R_JOBS, JOB(""));
        assert_string_equal(run(w, &job_controller, "n/j"), "create pods\nupdate jobs/status j\n");
        put(w, R_PODS, POD("p", OWNED_BY_JOB("'batch.kubernetes.io/job-tracking'"), "'phase':'Succeeded'"));
        assert_string_equal(run(w, &job_controller, "n/j"), "update jobs/status j\n");
        put(w, R_JOBS, JOB(",'uncountedTerminatedPods':{'succeeded':['p']}"));
        assert_string_equal(run(w, &job_controller, "n/j"), "update pods p\nupdate jobs/status j\n");
        put(w, R_PODS, POD("p", OWNED_BY_JOB(""), "'phase':'Succeeded'"));
        assert_string_equal(run(w, &job_controller, "n/j"), "update jobs/status j\nevent Completed\n");
}

static void test_garbage(void **state)
{
        struct world *w = *state;
        const char *key = arena_printf(w->arena, "%d/n/p", R_PODS);

        put(w, R_PODS, "{'metadata':{'name':'p','uid':'P','ownerReferences':[{'apiVersion':'apps/v1','kind':'ReplicaSet',"
                       "'name':'r','uid':'R'}]}}");
        assert_string_equal(run(w, &garbage_collector, key), "absent replicasets r\ndelete pods p\n");
        put(w, R_REPLICASETS, RS(1));
        assert_string_equal(run(w, &garbage_collector, key), "");
}

static void test_endpoints(void **state)
{
        struct world *w = *state;

        put(w, R_SERVICES, "{'kind':'Service','metadata':{'name':'s','uid':'S'},'spec':{'selector':{'a':'b'},'ports':"
                           "[{'port':80,'protocol':'TCP','targetPort':8080}]}}");
        put(w, R_PODS, POD("p", "", "'phase':'Running','podIP':'10.0.0.1'"));
        assert_string_equal(run(w, &endpoints_controller, "n/s"), "create endpoints s\n");
        assert_string_equal(run(w, &slices_controller, "n/s"), "create endpointslices\n");
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_replica_set_creates),     TEST(test_replica_set_adopts_and_shrinks),
                TEST(test_deployment_makes_replica_set), TEST(test_job_counts_once),
                TEST(test_garbage),                 TEST(test_endpoints),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
