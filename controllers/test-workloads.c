/* Jobs by their policies, DaemonSets, StatefulSets, CronJobs. */
#include "test-world.h"

#include "job.h"

/* --- Jobs --- */

static void test_index_sets(void **state)
{
        static const char *const cases[][2] = { { "", "" },          { "3", "3" },           { "0-2,5", "0-2,5" }, { "0,1", "0,1" },
                                                { "5,4,3", "3-5" },  { "0-2,2-4", "0-4" },   { "7-9,1", "1,7-9" }, { "0-99", "0-19" },
                                                { "x,1", "" },       { "1-", "" } };
        _cleanup_arena_ struct arena *a = arena_new(0);

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct index_set s = { 0 };

                index_set_parse(a, cases[i][0], 20, &s);
                assert_string_equal(index_set_print(a, &s), cases[i][1]);
        }
        {
                struct index_set x = { 0 }, y = { 0 };

                index_set_parse(a, "0-4,8", 20, &x);
                index_set_parse(a, "3-9", 20, &y);
                assert_int_equal(index_set_total(&x), 6);
                assert_int_equal(index_set_common(&x, &y), 3);
                assert_true(index_set_has(&x, 8));
                assert_false(index_set_has(&x, 5));
        }
}

#define JOB(spec, status)                                                                          \
        "{'kind':'Job','apiVersion':'batch/v1','metadata':{'name':'j','uid':'J'},'spec':{'completions':3,'parallelism':3," \
        "'completionMode':'Indexed','selector':{'matchLabels':{'a':'b'}},'template':{'metadata':{'labels':{'a':'b'}},'spec':{}}" \
        spec "},'status':{'startTime':'1970-01-12T13:00:00Z','uncountedTerminatedPods':{}" status "}}"
#define POD(index, more, status)                                                                   \
        "{'kind':'Pod','apiVersion':'v1','metadata':{'name':'p" index "','uid':'p" index "','labels':{'a':'b'},'annotations':" \
        "{'batch.kubernetes.io/job-completion-index':'" index "'" more "},'finalizers':['batch.kubernetes.io/job-tracking']," \
        "'ownerReferences':[{'kind':'Job','name':'j','uid':'J','controller':true}]},'spec':{},'status':{" status "}}"
#define FAILED(code) "'phase':'Failed','containerStatuses':[{'name':'c','state':{'terminated':{'exitCode':" code "," \
                     "'finishedAt':'1970-01-12T13:00:00Z'}}}]"
#define RULE(action, match) ",'podFailurePolicy':{'rules':[{'action':'" action "'," match "}]}"
#define CODES(op, values) "'onExitCodes':{'operator':'" op "','values':[" values "]}"

/* The condition that a failed pod of index 0 leads to, and whether it counts. */
static void test_job_failures(void **state)
{
        static const struct {
                const char *spec, *pod, *reason;
                bool counts;
        } cases[] = {
                { ",'backoffLimit':6", POD("0", "", FAILED("1")), NULL, true },
                { ",'backoffLimit':0", POD("0", "", FAILED("1")), "BackoffLimitExceeded", true },
                { ",'backoffLimit':6" RULE("FailJob", CODES("In", "42")), POD("0", "", FAILED("42")), "PodFailurePolicy", true },
                { ",'backoffLimit':6" RULE("FailJob", CODES("In", "42")), POD("0", "", FAILED("1")), NULL, true },
                { ",'backoffLimit':6" RULE("FailJob", CODES("NotIn", "42")), POD("0", "", FAILED("1")), "PodFailurePolicy", true },
                { ",'backoffLimit':0" RULE("Ignore", CODES("In", "42")), POD("0", "", FAILED("42")), NULL, false },
                { ",'backoffLimit':0" RULE("Ignore", "'onPodConditions':[{'type':'DisruptionTarget','status':'True'}]"),
                  POD("0", "", FAILED("1") ",'conditions':[{'type':'DisruptionTarget','status':'True'}]"), NULL, false },
                { ",'backoffLimit':6,'backoffLimitPerIndex':0", POD("0", "", FAILED("1")), NULL, true },
                { ",'backoffLimit':6,'backoffLimitPerIndex':0,'maxFailedIndexes':0", POD("0", "", FAILED("1")), "MaxFailedIndexesExceeded", true },
                { ",'backoffLimit':6,'backoffLimitPerIndex':1", POD("0", "", FAILED("1")), NULL, false }, /* kept for its heir */
                { ",'backoffLimit':6,'activeDeadlineSeconds':60", POD("0", "", "'phase':'Running'"), "DeadlineExceeded", true },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                const struct json *status = NULL, *c;
                struct world *w;

                setup(state);
                w = *state;
                put(w, R_JOBS, arena_printf(w->arena, JOB("%s", ""), cases[i].spec));
                put(w, R_PODS, cases[i].pod);
                run(w, &job_controller, "n/j");
                for (size_t k = 0; k < w->writes.n; k++)
                        if (w->writes.items[k].resource == R_JOBS && w->writes.items[k].verb == WRITE_UPDATE)
                                status = json_get(w->writes.items[k].body, "status");
                c = condition_find(json_get(status, "conditions"), "FailureTarget");
                if (!streq(json_get_string(c, "reason"), cases[i].reason) ||
                    (json_len(json_path(status, "uncountedTerminatedPods.failed")) == 1) != cases[i].counts)
                        fail_msg("case %zu: %s", i, status ? json_print(w->arena, status) : "no status");
                teardown(state);
        }
}

static void test_job_success_policy(void **state)
{
        static const struct {
                const char *rule;
                bool met;
        } cases[] = { { "'succeededIndexes':'0'", true },
                      { "'succeededIndexes':'0-1'", false },
                      { "'succeededIndexes':'0-1','succeededCount':1", true },
                      { "'succeededCount':1", true },
                      { "'succeededCount':2", false } };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct world *w;
                const char *out;

                setup(state);
                w = *state;
                put(w, R_JOBS, arena_printf(w->arena, JOB(",'backoffLimit':6,'successPolicy':{'rules':[{%s}]}", ""), cases[i].rule));
                put(w, R_PODS, POD("0", "", "'phase':'Succeeded'"));
                put(w, R_PODS, POD("1", "", "'phase':'Running'"));
                put(w, R_PODS, POD("2", "", "'phase':'Running'"));
                out = run(w, &job_controller, "n/j");
                assert_string_equal(out, "update jobs/status j\n");
                assert_int_equal(condition_find(json_path(w->writes.items[0].body, "status.conditions"), "SuccessCriteriaMet") != NULL,
                                 cases[i].met);
                teardown(state);
        }
}

/* The pod that follows a failed one carries its count on, after a while. */
static void test_job_heir(void **state)
{
        struct world *w = *state;
        const struct json *pod;

        put(w, R_JOBS, JOB(",'backoffLimit':6,'backoffLimitPerIndex':3", ",'completedIndexes':'1,2','succeeded':2"));
        put(w, R_PODS, POD("0", ",'batch.kubernetes.io/job-index-failure-count':'1'", FAILED("1")));
        run(w, &job_controller, "n/j");
        pod = w->writes.items[0].body;
        assert_string_equal(object_annotation(pod, "batch.kubernetes.io/job-index-failure-count"), "2");
        assert_string_equal(json_path_string(pod, "spec.hostname"), "j-0");
        w->snapshot.now -= SECONDS(2790); /* 13:00:10 */
        assert_string_equal(run(w, &job_controller, "n/j"), "update jobs/status j\n");
        assert_int_equal(w->writes.requeue_after, 10 * NS_PER_SEC); /* 20 s after the second failure */
}

/* What a Job no longer wants goes uncounted: the finalizer first. */
static void test_job_shrinks(void **state)
{
        struct world *w = *state;

        put(w, R_JOBS, JOB(",'backoffLimit':6,'suspend':true", ""));
        put(w, R_PODS, POD("0", "", "'phase':'Running'"));
        assert_string_equal(run(w, &job_controller, "n/j"), "update pods p0\ndelete pods p0\nevent Suspended\nupdate jobs/status j\n");
}

/* --- DaemonSets --- */

#define DS(more)                                                                                   \
        "{'kind':'DaemonSet','apiVersion':'apps/v1','metadata':{'name':'d','uid':'D'},'spec':{'selector':{'matchLabels':{'a':'b'}}," \
        "'template':{'metadata':{'labels':{'a':'b'}},'spec':{" more "}},'updateStrategy':{'type':'RollingUpdate'}}}"
#define DPOD(name, node, hash, status)                                                             \
        "{'kind':'Pod','metadata':{'name':'" name "','uid':'" name "','labels':{'a':'b','controller-revision-hash':'" hash "'}," \
        "'ownerReferences':[{'kind':'DaemonSet','name':'d','uid':'D','controller':true}]},'spec':{'nodeName':'" node "'},'status':{" status "}}"

static void test_daemon_set(void **state)
{
        struct world *w = *state;
        const char *hash;

        put(w, R_DAEMONSETS, DS("'nodeSelector':{'disk':'ssd'}"));
        put(w, R_NODES, "{'metadata':{'name':'a','labels':{'disk':'ssd'}}}");
        put(w, R_NODES, "{'metadata':{'name':'b'}}");
        put(w, R_NODES, "{'metadata':{'name':'c','labels':{'disk':'ssd'}},'spec':{'taints':[{'key':'x','effect':'NoSchedule'}]}}");
        put(w, R_NODES, "{'metadata':{'name':'e','labels':{'disk':'ssd'}},'spec':{'taints':[{'key':'node.kubernetes.io/unschedulable',"
                        "'effect':'NoSchedule'}],'unschedulable':true}}");
        assert_true(str_has_suffix(run(w, &daemonset_controller, "n/d"), "\ncreate pods\ncreate pods\nupdate daemonsets/status d\n"));
        hash = object_label(w->writes.items[1].body, "controller-revision-hash");
        put(w, R_REVISIONS, arena_printf(w->arena, "{'metadata':{'name':'d-%s','uid':'r','labels':{'a':'b','controller-revision-hash':'%s'},"
                                                   "'ownerReferences':[{'kind':'DaemonSet','name':'d','uid':'D','controller':true}]},'revision':1,"
                                                   "'data':{'spec':{'template':{'metadata':{'labels':{'a':'b'}},'spec':{'nodeSelector':{'disk':'ssd'}},"
                                                   "'$patch':'replace'}}}}", hash, hash));
        /* On a: one too many; on b: one that should not be; on c: it stays though none would come; on e: a failed one. */
        put(w, R_PODS, arena_printf(w->arena, DPOD("p1", "a", "%s", "'phase':'Running'"), hash));
        put(w, R_PODS, arena_printf(w->arena, DPOD("p2", "a", "%s", "'phase':'Running'"), hash));
        put(w, R_PODS, arena_printf(w->arena, DPOD("p3", "b", "%s", "'phase':'Running'"), hash));
        put(w, R_PODS, arena_printf(w->arena, DPOD("p4", "c", "%s", "'phase':'Running'"), hash));
        put(w, R_PODS, arena_printf(w->arena, DPOD("p5", "e", "%s", "'phase':'Failed'"), hash));
        assert_string_equal(run(w, &daemonset_controller, "n/d"), "delete pods p2\ndelete pods p3\nevent FailedDaemonPod\n"
                                                                  "delete pods p5\nupdate daemonsets/status d\n");
}

/* --- StatefulSets --- */

#define SS(spec, status)                                                                           \
        "{'kind':'StatefulSet','apiVersion':'apps/v1','metadata':{'name':'s','uid':'S'},'spec':{'serviceName':'s','selector':{'matchLabels':" \
        "{'a':'b'}},'template':{'metadata':{'labels':{'a':'b'}},'spec':{}}" spec "},'status':{'collisionCount':0" status "}}"
#define SPOD(ordinal, status)                                                                      \
        "{'kind':'Pod','metadata':{'name':'s-" ordinal "','uid':'s-" ordinal "','labels':{'a':'b','controller-revision-hash':'old'," \
        "'statefulset.kubernetes.io/pod-name':'s-" ordinal "','apps.kubernetes.io/pod-index':'" ordinal "'}," \
        "'ownerReferences':[{'kind':'StatefulSet','name':'s','uid':'S','controller':true}]},'spec':{'nodeName':'a'},'status':{" status "}}"
#define READY "'phase':'Running','conditions':[{'type':'Ready','status':'True','lastTransitionTime':'1970-01-01T00:00:01Z'}]"

/* Writes but for the revision's and the status's. */
static const char *steps(struct world *w)
{
        const char *out = run(w, &statefulset_controller, "n/s"), *from = strchr(out, '\n') + 1;
        const char *to = strstr(from, "update statefulsets/status");

        return arena_strndup(w->arena, from, to ? (size_t)(to - from) : strlen(from));
}

static void test_stateful_set(void **state)
{
        static const struct {
                const char *spec, *pods[3], *steps;
        } cases[] = {
                { ",'replicas':3", { NULL }, "create pods s-0\n" },
                { ",'replicas':3,'podManagementPolicy':'Parallel'", { NULL }, "create pods s-0\ncreate pods s-1\ncreate pods s-2\n" },
                { ",'replicas':3,'ordinals':{'start':5}", { NULL }, "create pods s-5\n" },
                { ",'replicas':3", { SPOD("0", "'phase':'Running'") }, "" }, /* not ready: the next has to wait */
                { ",'replicas':3,'updateStrategy':{'type':'OnDelete'}", { SPOD("0", READY) }, "create pods s-1\n" },
                { ",'replicas':1,'updateStrategy':{'type':'OnDelete'}", { SPOD("0", READY), SPOD("1", READY), SPOD("2", READY) }, "delete pods s-2\n" },
                { ",'replicas':2", { SPOD("0", READY), SPOD("1", READY) }, "delete pods s-1\n" }, /* of an old revision */
                { ",'replicas':2,'updateStrategy':{'type':'RollingUpdate','rollingUpdate':{'partition':2}}", { SPOD("0", READY), SPOD("1", READY) }, "" },
                { ",'replicas':1", { SPOD("0", "'phase':'Failed'") }, "delete pods s-0\n" },
                { ",'replicas':2,'minReadySeconds':2000000", { SPOD("0", READY) }, "" },
                { ",'replicas':1,'volumeClaimTemplates':[{'metadata':{'name':'d'},'spec':{}}]", { NULL },
                  "create persistentvolumeclaims d-s-0\ncreate pods s-0\n" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct world *w;

                setup(state);
                w = *state;
                put(w, R_STATEFULSETS, arena_printf(w->arena, SS("%s", ""), cases[i].spec));
                for (size_t k = 0; k < 3 && cases[i].pods[k]; k++)
                        put(w, R_PODS, cases[i].pods[k]);
                if (!streq(steps(w), cases[i].steps))
                        fail_msg("case %zu: %s", i, steps(w));
                teardown(state);
        }
}

/* --- CronJobs --- */

#define CRON(spec, status)                                                                         \
        "{'kind':'CronJob','apiVersion':'batch/v1','metadata':{'name':'c','uid':'C','creationTimestamp':'1970-01-12T13:40:30Z'},'spec':" \
        "{'schedule':'*/5 * * * *','jobTemplate':{'spec':{}}" spec "},'status':{" status "}}"
#define CHILD(name, time, status)                                                                  \
        "{'metadata':{'name':'" name "','uid':'" name "','annotations':{'batch.kubernetes.io/cronjob-scheduled-timestamp':'" time "'}," \
        "'ownerReferences':[{'kind':'CronJob','name':'c','uid':'C','controller':true}]},'status':{" status "}}"

/* It is 13:46:40; minute 13:45 has the number 16665. */
static void test_cron_job(void **state)
{
        static const struct {
                const char *cron, *child, *out;
        } cases[] = {
                { CRON("", ""), NULL, "create jobs c-16665\n" },
                { CRON(",'suspend':true", ""), NULL, "" },
                { CRON(",'startingDeadlineSeconds':30", ""), NULL, "" },
                { CRON("", "'lastScheduleTime':'1970-01-12T13:45:00Z'"), NULL, "" },
                { CRON("", ""), CHILD("c-16665", "1970-01-12T13:45:00Z", ""), "update cronjobs/status c\n" },
                { CRON(",'concurrencyPolicy':'Forbid'", "'active':[{'uid':'c-16660'}],'lastScheduleTime':'1970-01-12T13:40:00Z'"),
                  CHILD("c-16660", "1970-01-12T13:40:00Z", ""), "event JobAlreadyActive\n" },
                { CRON(",'concurrencyPolicy':'Replace'", "'active':[{'uid':'c-16660'}],'lastScheduleTime':'1970-01-12T13:40:00Z'"),
                  CHILD("c-16660", "1970-01-12T13:40:00Z", ""), "delete jobs c-16660\ncreate jobs c-16665\nupdate cronjobs/status c\n" },
                { CRON("", "'active':[{'uid':'c-16665'}],'lastScheduleTime':'1970-01-12T13:45:00Z'"),
                  CHILD("c-16665", "1970-01-12T13:45:00Z", "'completionTime':'1970-01-12T13:46:00Z','conditions':[{'type':'Complete','status':'True'}]"),
                  "event SawCompletedJob\nupdate cronjobs/status c\n" },
                { CRON("", "'active':[{'uid':'gone','name':'x'}],'lastScheduleTime':'1970-01-12T13:45:00Z'"), NULL,
                  "event MissingJob\nupdate cronjobs/status c\n" },
                { CRON(",'successfulJobsHistoryLimit':0", "'lastScheduleTime':'1970-01-12T13:45:00Z','lastSuccessfulTime':'1970-01-12T13:46:00Z'"),
                  CHILD("c-16665", "1970-01-12T13:45:00Z", "'completionTime':'1970-01-12T13:46:00Z','conditions':[{'type':'Complete','status':'True'}]"),
                  "delete jobs c-16665\n" },
                { CRON(",'timeZone':'Mars/Olympus'", ""), NULL, "event UnknownTimeZone\n" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct world *w;
                const char *out;

                setup(state);
                w = *state;
                put(w, R_CRONJOBS, cases[i].cron);
                if (cases[i].child)
                        put(w, R_JOBS, cases[i].child);
                out = run(w, &cronjob_controller, "n/c");
                if (!streq(out, cases[i].out))
                        fail_msg("case %zu: %s", i, out);
                teardown(state);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_index_sets),   cmocka_unit_test(test_job_failures), cmocka_unit_test(test_job_success_policy),
                TEST(test_job_heir),                 TEST(test_job_shrinks),              TEST(test_daemon_set),
                cmocka_unit_test(test_stateful_set), cmocka_unit_test(test_cron_job),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
