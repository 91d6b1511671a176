/* Nodes that fall silent, taints, evictions, and pods that nobody else takes away. */
#include "test-world.h"
#include "nodes.h"

#define NODE(ready, more)                                                                          \
        "{'kind':'Node','metadata':{'name':'a','uid':'A','creationTimestamp':'1970-01-12T13:46:00Z','annotations':" \
        "{'node.alpha.kubernetes.io/ttl':'0'}},'spec':{" more "},'status':{'conditions':[{'type':'Ready','status':'" ready "'," \
        "'lastHeartbeatTime':'1970-01-12T13:46:00Z'}]}}"
#define LEASE(time) "{'metadata':{'name':'a','namespace':'kube-node-lease'},'spec':{'renewTime':'" time "'}}"
#define TAINTED "'taints':[{'key':'node.kubernetes.io/unreachable','effect':'NoSchedule'},{'key':'node.kubernetes.io/unreachable','effect':'NoExecute'}]"

/* The world's clock stands at 1970-01-12T13:46:40Z. */
static struct world *world_of(void **state)
{
        struct world *w = *state;

        w->settings.node_monitor_grace_ns = SECONDS(20);
        w->settings.node_monitor_period_ns = SECONDS(5);
        return w;
}

static void test_heard(void **state)
{
        struct world *w = world_of(state);

        put(w, R_NODES, NODE("True", ""));
        put(w, R_LEASES, LEASE("1970-01-12T13:46:30.000000Z"));
        assert_string_equal(run(w, &node_controller, "a"), "event RegisteredNode\n");
        assert_int_equal(w->writes.requeue_after, SECONDS(10)); /* at :50, when the lease is too old */
        put(w, R_LEASES, LEASE("1970-01-12T13:46:28.000000Z"));
        run(w, &node_controller, "a");
        assert_int_equal(w->writes.requeue_after, SECONDS(10)); /* in whole periods, with others */
}

static void test_silent(void **state)
{
        struct world *w = world_of(state);

        put(w, R_LEASES, LEASE("1970-01-12T13:46:10.000000Z"));
        put(w, R_NODES, NODE("True", ""));
        put(w, R_PODS, "{'metadata':{'name':'p','uid':'p'},'spec':{'nodeName':'a'},'status':{'phase':'Running','conditions':"
                       "[{'type':'Ready','status':'True'}]}}");
        put(w, R_PODS, "{'metadata':{'name':'q','uid':'q'},'spec':{'nodeName':'b'},'status':{'phase':'Running','conditions':"
                       "[{'type':'Ready','status':'True'}]}}");
        assert_string_equal(run(w, &node_controller, "a"), "event RegisteredNode\nupdate pods/status p\nevent NodeNotReady\n"
                                                           "update nodes/status a\nevent NodeNotReady\n");
        /* This process has just begun to look: it may have been heard meanwhile. */
        w->snapshot.since = w->snapshot.now - SECONDS(1);
        put(w, R_NODES, NODE("True", ""));
        assert_string_equal(run(w, &node_controller, "a"), "event RegisteredNode\n");
}

static void test_taints(void **state)
{
        static const struct {
                const char *node;
                const char *taints;
        } cases[] = {
                { NODE("True", TAINTED), "" },
                { NODE("False", ""), "node.kubernetes.io/not-ready:NoSchedule node.kubernetes.io/not-ready:NoExecute " },
                { NODE("Unknown", ""), "node.kubernetes.io/unreachable:NoSchedule node.kubernetes.io/unreachable:NoExecute " },
                { NODE("True", "'unschedulable':true"), "node.kubernetes.io/unschedulable:NoSchedule " },
                { NODE("False", "'taints':[{'key':'mine','effect':'NoSchedule'}]"),
                  "mine:NoSchedule node.kubernetes.io/not-ready:NoSchedule node.kubernetes.io/not-ready:NoExecute " },
                { NODE("False", TAINTED), "node.kubernetes.io/not-ready:NoSchedule node.kubernetes.io/not-ready:NoExecute " },
                { "{'metadata':{'name':'a','uid':'A','creationTimestamp':'1970-01-12T13:46:00Z'},'spec':{'taints':"
                  "[{'key':'node.kubernetes.io/not-ready','effect':'NoSchedule'}]},'status':{}}", "" }, /* says nothing yet */
        };
        struct world *w = world_of(state);

        put(w, R_LEASES, LEASE("1970-01-12T13:46:39.000000Z"));
        put(w, R_NODES, "{'metadata':{'name':'b','uid':'B'},'status':{'conditions':[{'type':'Ready','status':'True'}]}}");
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

                put(w, R_NODES, cases[i].node);
                assert_string_equal(run(w, &node_controller, "a"), "event RegisteredNode\nupdate nodes a\n");
                json_foreach_item(json_path(w->writes.items[1].body, "spec.taints"), t)
                        strbuf_printf(&b, "%s:%s ", json_get_string(t, "key"), json_get_string(t, "effect"));
                assert_string_equal(strbuf_str(&b), cases[i].taints);
        }
}

/* Where no node is ready, it is rather us who cannot hear: nobody is evicted. */
static void test_all_lost(void **state)
{
        struct world *w = world_of(state);

        put(w, R_LEASES, LEASE("1970-01-12T13:46:39.000000Z"));
        put(w, R_NODES, NODE("Unknown", TAINTED));
        assert_string_equal(run(w, &node_controller, "a"), "event RegisteredNode\nupdate nodes a\n");
        assert_int_equal(json_len(json_path(w->writes.items[1].body, "spec.taints")), 1);
        assert_int_equal(w->writes.requeue_after, SECONDS(5));
        assert_string_equal(run(w, &node_controller, "removed/A/a"), "event RemovingNode\n");
}

static void test_new_node(void **state)
{
        struct world *w = world_of(state);

        put(w, R_NODES, "{'metadata':{'name':'a','uid':'A','creationTimestamp':'1970-01-12T13:46:40Z','labels':{'kubernetes.io/os':'linux'}},"
                        "'spec':{},'status':{'conditions':[{'type':'Ready','status':'True'}]}}");
        assert_string_equal(run(w, &node_controller, "a"), "update nodes a\n");
        assert_string_equal(object_label(w->writes.items[0].body, "beta.kubernetes.io/os"), "linux");
        assert_string_equal(object_annotation(w->writes.items[0].body, "node.alpha.kubernetes.io/ttl"), "0");
        assert_int_equal(w->writes.requeue_after, SECONDS(15) / 2); /* when it counts as registered */
}

#define BAD "'taints':[{'key':'bad','effect':'NoExecute','timeAdded':'1970-01-12T13:46:30Z'}]"
#define TOLERATES(what) "{'metadata':{'name':'p','uid':'p'},'spec':{'nodeName':'a','tolerations':[" what "]}}"
#define EVICTED "event TaintManagerEviction\nupdate pods/status p\ndelete pods p\n"

static void test_eviction(void **state)
{
        static const struct {
                const char *pod, *out;
                int64_t again;
        } cases[] = {
                { TOLERATES(""), EVICTED, 0 },
                { TOLERATES("{'key':'bad','operator':'Exists'}"), "", 0 },
                { TOLERATES("{'operator':'Exists'}"), "", 0 },
                { TOLERATES("{'key':'bad','operator':'Exists','effect':'NoSchedule'}"), EVICTED, 0 },
                { TOLERATES("{'key':'bad','operator':'Exists','tolerationSeconds':5}"), EVICTED, 0 },
                { TOLERATES("{'key':'bad','operator':'Exists','tolerationSeconds':30}"), "", SECONDS(20) },
                { TOLERATES("{'key':'bad','operator':'Exists'},{'operator':'Exists','tolerationSeconds':30}"), "", SECONDS(20) },
                { TOLERATES("{'key':'bad','value':'other'}"), EVICTED, 0 },
        };
        struct world *w = world_of(state);

        put(w, R_NODES, NODE("True", BAD));
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                put(w, R_PODS, cases[i].pod);
                if (!streq(run(w, &taint_eviction_controller, "a"), cases[i].out) || w->writes.requeue_after != cases[i].again)
                        fail_msg("case %zu", i);
        }
}

/* A taint that does not say since when counts from when it was first seen. */
static void test_untimed_taint(void **state)
{
        struct world *w = world_of(state);

        put(w, R_NODES, NODE("True", "'taints':[{'key':'bad','effect':'NoExecute'}]"));
        put(w, R_PODS, TOLERATES("{'key':'bad','operator':'Exists','tolerationSeconds':4}"));
        assert_string_equal(run(w, &taint_eviction_controller, "a"), "");
        assert_int_equal(w->writes.requeue_after, SECONDS(4));
        w->snapshot.now += SECONDS(4);
        assert_string_equal(run(w, &taint_eviction_controller, "a"), EVICTED);
}

static void test_orphaned_pod(void **state)
{
        struct world *w = world_of(state);

        put(w, R_PODS, "{'metadata':{'name':'p','uid':'p'},'spec':{'nodeName':'gone'},'status':{'phase':'Running'}}");
        assert_string_equal(run(w, &pod_gc_controller, "n/p"), "");
        assert_int_equal(w->writes.requeue_after, SECONDS(40));
        w->snapshot.now += SECONDS(40);
        assert_string_equal(run(w, &pod_gc_controller, "n/p"), "absent nodes gone\nupdate pods/status p\ndelete pods p\n");
        assert_string_equal(wrote(w, 1, "status.phase"), "Failed");
        put(w, R_NODES, "{'metadata':{'name':'gone'}}");
        assert_string_equal(run(w, &pod_gc_controller, "n/p"), "");
        put(w, R_PODS, "{'metadata':{'name':'p','uid':'p','deletionTimestamp':'1970-01-01T00:00:00Z'},'spec':{}}");
        assert_string_equal(run(w, &pod_gc_controller, "n/p"), "update pods/status p\ndelete pods p\n");
        put(w, R_NODES, "{'metadata':{'name':'off'},'spec':{'taints':[{'key':'node.kubernetes.io/out-of-service','effect':'NoExecute'}]}}");
        put(w, R_PODS, "{'metadata':{'name':'p','uid':'p','deletionTimestamp':'1970-01-01T00:00:00Z'},'spec':{'nodeName':'off'}}");
        assert_string_equal(run(w, &pod_gc_controller, "n/p"), "update pods/status p\ndelete pods p\n");
        /* Another pod's time on a node that is not there is not this one's. */
        put(w, R_PODS, "{'metadata':{'name':'q','uid':'q'},'spec':{'nodeName':'gone2'},'status':{'phase':'Running'}}");
        run(w, &pod_gc_controller, "n/q");
        w->snapshot.now += SECONDS(40);
        put(w, R_PODS, "{'metadata':{'name':'r','uid':'r'},'spec':{'nodeName':'gone2'},'status':{'phase':'Running'}}");
        assert_string_equal(run(w, &pod_gc_controller, "n/r"), "");
}

static void test_finished_pods(void **state)
{
        struct world *w = world_of(state);

        for (unsigned i = 0; i < 5; i++)
                put(w, R_PODS, arena_printf(w->arena, "{'metadata':{'name':'p%u','uid':'p%u','creationTimestamp':'1970-01-01T00:00:0%uZ'},"
                                                      "'spec':{},'status':{'phase':'%s'%s}}", i, i, i, i == 1 ? "Running" : "Failed",
                                            i == 4 ? ",'reason':'Evicted'" : ""));
        assert_string_equal(run(w, &pod_gc_controller, "*"), "");
        w->settings.terminated_pod_gc_threshold = 2;
        assert_string_equal(run(w, &pod_gc_controller, "*"), "delete pods p4\ndelete pods p0\n");
}

static void test_selection(void **state)
{
        static const struct {
                const char *spec;
                bool selected;
        } cases[] = {
                { "{}", true },
                { "{'nodeSelector':{'disk':'ssd'}}", true },
                { "{'nodeSelector':{'disk':'hdd'}}", false },
#define TERM(t) "{'affinity':{'nodeAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':{'nodeSelectorTerms':[" t "]}}}}"
                { TERM("{'matchExpressions':[{'key':'disk','operator':'In','values':['hdd','ssd']}]}"), true },
                { TERM("{'matchExpressions':[{'key':'disk','operator':'NotIn','values':['ssd']}]}"), false },
                { TERM("{'matchExpressions':[{'key':'cores','operator':'Gt','values':['4']}]}"), true },
                { TERM("{'matchExpressions':[{'key':'cores','operator':'Lt','values':['4']}]}"), false },
                { TERM("{'matchExpressions':[{'key':'gpu','operator':'Exists'}]},{'matchFields':[{'key':'metadata.name','operator':'In',"
                       "'values':['a']}]}"), true },
                { TERM("{'matchExpressions':[{'key':'gpu','operator':'DoesNotExist'},{'key':'disk','operator':'Exists'}]}"), true },
                { TERM("{}"), false },
        };
        struct world *w = world_of(state);

        put(w, R_NODES, "{'metadata':{'name':'a','labels':{'disk':'ssd','cores':'8'}}}");
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                char *text = arena_strdup(w->arena, cases[i].spec);
                struct json *spec;

                for (char *p = text; *p; p++)
                        if (*p == '\'')
                                *p = '"';
                assert_int_equal(json_parse(w->arena, text, strlen(text), NULL, &spec, NULL), 0);
                if (node_is_selected(spec, snapshot_key(&w->snapshot, R_NODES, "a")) != cases[i].selected)
                        fail_msg("case %zu", i);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_heard),         TEST(test_silent),         TEST(test_taints),        TEST(test_new_node),
                TEST(test_eviction),      TEST(test_untimed_taint),  TEST(test_orphaned_pod),  TEST(test_finished_pods),
                TEST(test_selection),      TEST(test_all_lost),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
