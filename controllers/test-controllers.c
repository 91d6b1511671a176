/* Workloads, garbage and Services: what each state of things makes their controllers write. */
#include "test-world.h"

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

#define OWNER_CM(name, uid) "{'apiVersion':'v1','kind':'ConfigMap','name':'" name "','uid':'" uid "','blockOwnerDeletion':true}"
#define CM(name, uid, more) "{'metadata':{'name':'" name "','uid':'" uid "'" more "}}"

/* What has an owner left loses its references to the others, which would wait for it. */
static void test_garbage_partly(void **state)
{
        struct world *w = *state;
        const char *key = arena_printf(w->arena, "%d/n/c", R_CONFIGMAPS);

        put(w, R_CONFIGMAPS, CM("c", "C", ",'ownerReferences':[" OWNER_CM("a", "A") "," OWNER_CM("b", "B") "]"));
        put(w, R_CONFIGMAPS, CM("b", "B", ""));
        assert_string_equal(run(w, &garbage_collector, key), "absent configmaps a\npatch configmaps c\n");
        assert_string_equal(json_get_string(json_at(json_path(w->writes.items[1].body, "metadata.ownerReferences"), 0), "name"), "b");
        put(w, R_CONFIGMAPS, CM("a", "A", ",'deletionTimestamp':'2024-01-01T00:00:00Z','finalizers':['foregroundDeletion']"));
        assert_string_equal(run(w, &garbage_collector, key), "patch configmaps c\n");
}

static const char *propagation(const struct world *w, size_t i)
{
        return wrote(w, i, "propagationPolicy");
}

/* An owner that waits is passed on only by what has dependents itself. */
static void test_garbage_foreground(void **state)
{
        struct world *w = *state;
        const char *key = arena_printf(w->arena, "%d/n/c", R_CONFIGMAPS);

        put(w, R_CONFIGMAPS, CM("a", "A", ",'deletionTimestamp':'2024-01-01T00:00:00Z','finalizers':['foregroundDeletion']"));
        put(w, R_CONFIGMAPS, CM("c", "C", ",'ownerReferences':[" OWNER_CM("a", "A") "]"));
        assert_string_equal(run(w, &garbage_collector, key), "delete configmaps c\n");
        assert_string_equal(propagation(w, 0), "Background");
        put(w, R_CONFIGMAPS, CM("d", "D", ",'ownerReferences':[" OWNER_CM("c", "C") "]"));
        assert_string_equal(run(w, &garbage_collector, key), "delete configmaps c\n");
        assert_string_equal(propagation(w, 0), "Foreground");
        put(w, R_CONFIGMAPS, CM("d", "D", ",'ownerReferences':[" OWNER_CM("c", "C") "],'deletionTimestamp':'2024-01-01T00:00:00Z',"
                                "'finalizers':['foregroundDeletion']"));
        assert_string_equal(run(w, &garbage_collector, key), "patch configmaps c\ndelete configmaps c\n");
        put(w, R_CONFIGMAPS, CM("c", "C", ",'finalizers':['orphan'],'ownerReferences':[" OWNER_CM("x", "X") "]"));
        assert_string_equal(run(w, &garbage_collector, key), "absent configmaps x\ndelete configmaps c\n");
        assert_string_equal(propagation(w, 1), "Orphan");
}

/* A mistake is told, and nothing more: what is in no namespace cannot belong to what is in one. */
static void test_garbage_invalid(void **state)
{
        struct world *w = *state;
        const char *key = arena_printf(w->arena, "%d/r", R_CLUSTERROLES);

        put(w, R_CONFIGMAPS, CM("a", "A", ""));
        put(w, R_CLUSTERROLES, CM("r", "R", ",'ownerReferences':[" OWNER_CM("a", "A") "]"));
        assert_string_equal(run(w, &garbage_collector, key), "event OwnerRefInvalidNamespace\n");
        put(w, R_CLUSTERROLES, "{'metadata':{'name':'r','uid':'R','ownerReferences':[{'apiVersion':'no.such/v1','kind':'X',"
                               "'name':'x','uid':'Y'}]}}");
        assert_string_equal(run(w, &garbage_collector, key), "");
}

static void test_endpoints(void **state)
{
        struct world *w = *state;

        put(w, R_SERVICES, "{'kind':'Service','metadata':{'name':'s','uid':'S'},'spec':{'selector':{'a':'b'},'ports':"
                           "[{'port':80,'protocol':'TCP','targetPort':8080}]}}");
        put(w, R_PODS, POD("p", "", "'phase':'Running','podIP':'10.0.0.1'"));
        assert_string_equal(run(w, &endpoints_controller, "n/s"), "create endpoints s\n");
        assert_string_equal(run(w, &slices_controller, "n/s"), "event FailedToUpdateEndpointSlices\ncreate endpointslices\n");
        assert_int_equal(json_len(json_get(w->writes.items[1].body, "endpoints")), 0);
        put(w, R_PODS, "{'metadata':{'name':'p','uid':'p','labels':{'a':'b'}},'spec':{'nodeName':'n1','containers':[{}]},'status':"
                       "{'phase':'Running','podIP':'10.0.0.1'}}");
        put(w, R_NODES, "{'metadata':{'name':'n1'}}");
        assert_string_equal(run(w, &slices_controller, "n/s"), "create endpointslices\n");
        assert_int_equal(json_len(json_get(w->writes.items[0].body, "endpoints")), 1);
}

/* Two named ports, one of which only one pod has: two subsets, and each port's pods whole. */
static void test_subsets(void **state)
{
        struct world *w = *state;
        const struct json *subsets;

        put(w, R_SERVICES, "{'kind':'Service','metadata':{'name':'s','uid':'S'},'spec':{'selector':{'a':'b'},'ports':"
                           "[{'name':'h','port':80,'protocol':'TCP','targetPort':'web'},{'name':'u','port':53,'protocol':'UDP','targetPort':53},"
                           "{'name':'t','port':53,'protocol':'TCP','targetPort':53}]}}");
        put(w, R_PODS, "{'metadata':{'name':'p','uid':'P','labels':{'a':'b'}},'spec':{'containers':[{'ports':[{'name':'web',"
                       "'containerPort':8080}]}]},'status':{'phase':'Running','podIP':'10.0.0.2'}}");
        put(w, R_PODS, "{'metadata':{'name':'q','uid':'Q','labels':{'a':'b'}},'spec':{'containers':[{}]},'status':"
                       "{'phase':'Running','podIP':'10.0.0.1'}}");
        assert_string_equal(run(w, &endpoints_controller, "n/s"), "create endpoints s\n");
        subsets = json_get(w->writes.items[0].body, "subsets");
        assert_int_equal(json_len(subsets), 2);
        for (size_t i = 0; i < 2; i++) {
                const struct json *ports = json_get(json_at(subsets, i), "ports"), *pods = json_get(json_at(subsets, i), "notReadyAddresses");
                bool web = streq(json_get_string(json_at(ports, 0), "name"), "h");

                assert_int_equal(json_len(ports), web ? 1 : 2);
                assert_int_equal(json_len(pods), web ? 1 : 2);
                assert_string_equal(json_get_string(json_at(pods, 0), "ip"), web ? "10.0.0.2" : "10.0.0.1");
        }
}

#define TOKEN(more) "{'metadata':{'name':'bootstrap-token-abcdef','namespace':'kube-system','uid':'T'},'type':'bootstrap.kubernetes.io/token'," \
                    "'data':{'token-id':'YWJjZGVm','token-secret':'MDEyMzQ1Njc4OWFiY2RlZg=='" more "}}"
#define MAY_SIGN ",'usage-bootstrap-signing':'dHJ1ZQ=='"
#define ENDS ",'expiration':'MTk3MC0wMS0xMlQxMzo0Njo1MFo='" /* ten seconds after the world's clock */
#define INFO(more) "{'metadata':{'name':'cluster-info','namespace':'kube-public'},'data':{'kubeconfig':'apiVersion: v1'" more "}}"

static void test_bootstrap(void **state)
{
        struct world *w = *state;
        const char *key = "kube-public/cluster-info", *token = "kube-system/bootstrap-token-abcdef";

        put(w, R_CONFIGMAPS, INFO(""));
        put(w, R_SECRETS, TOKEN(""));
        assert_string_equal(run(w, &bootstrap_signer, key), "");
        assert_string_equal(run(w, &token_cleaner, token), "");
        put(w, R_SECRETS, TOKEN(MAY_SIGN ENDS));
        assert_string_equal(run(w, &bootstrap_signer, key), "update configmaps cluster-info\n");
        assert_true(str_has_prefix(wrote(w, 0, "data.jws-kubeconfig-abcdef"), "eyJhbGciOiJIUzI1NiIsImtpZCI6ImFiY2RlZiJ9.."));
        assert_string_equal(run(w, &token_cleaner, token), "");
        assert_int_equal(w->writes.requeue_after, SECONDS(10));
        w->snapshot.now += SECONDS(10);
        put(w, R_CONFIGMAPS, INFO(",'jws-kubeconfig-abcdef':'x'"));
        assert_string_equal(run(w, &bootstrap_signer, key), "update configmaps cluster-info\n");
        assert_null(wrote(w, 0, "data.jws-kubeconfig-abcdef"));
        assert_string_equal(run(w, &token_cleaner, token), "delete secrets bootstrap-token-abcdef\n");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_replica_set_creates),     TEST(test_replica_set_adopts_and_shrinks),
                TEST(test_deployment_makes_replica_set), TEST(test_job_counts_once),
                TEST(test_garbage),                 TEST(test_garbage_partly),
                TEST(test_garbage_foreground),      TEST(test_garbage_invalid),
                TEST(test_endpoints),               TEST(test_bootstrap),
                TEST(test_subsets),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
