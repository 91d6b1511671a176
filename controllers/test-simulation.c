/* The same deeds in thousands of orders, over watches that lag and break: it always ends in the same state. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "sim.h"

static const struct controller *const controllers[] = {
        &replicaset_controller, &deployment_controller, &daemonset_controller, &statefulset_controller, &job_controller,
        &garbage_collector,     &endpoints_controller,  &slices_controller,    &claim_binder,           &volume_phases,
        &claim_protection_controller, &volume_protection_controller, &disruption_controller, &pod_gc_controller,
};

#define TEMPLATE(label, image)                                                                     \
        "'selector':{'matchLabels':{'app':'" label "'}},'template':{'metadata':{'labels':{'app':'" label "'}}," \
        "'spec':{'containers':[{'name':'c','image':'" image "'}]}}"

static void make_nodes(struct sim *s)
{
        sim_create(s, R_NODES, "{'metadata':{'name':'node-1'}}");
        sim_create(s, R_NODES, "{'metadata':{'name':'node-2','labels':{'disk':'ssd'}}}");
}

static unsigned some(struct sim *s)
{
        return 1 + (unsigned)sim_random(s, 60);
}

/* Until there are so many: what was changed before anybody saw it leaves no trace, and that would be a difference. */
static void wait_for(struct sim *s, unsigned resource, size_t n)
{
        for (unsigned i = 0; i < 10000 && sim_count(s, resource) < n; i++)
                sim_run(s, 1);
}

/* A rollout that is scaled, changed and disturbed on its way, behind a Service and a budget. */
static void play_deployment(struct sim *s)
{
        make_nodes(s);
        sim_create(s, R_DEPLOYMENTS, "{'metadata':{'name':'d'},'spec':{'replicas':2,'strategy':{'type':'RollingUpdate',"
                                     "'rollingUpdate':{'maxSurge':1,'maxUnavailable':0}},'progressDeadlineSeconds':600,"
                                     "'revisionHistoryLimit':10," TEMPLATE("d", "one") "}}");
        wait_for(s, R_REPLICASETS, 1);
        sim_run(s, some(s));
        sim_create(s, R_SERVICES, "{'metadata':{'name':'s'},'spec':{'selector':{'app':'d'},'ports':[{'port':80}]}}");
        sim_create(s, R_PDBS, "{'metadata':{'name':'b'},'spec':{'minAvailable':1,'selector':{'matchLabels':{'app':'d'}}}}");
        sim_run(s, some(s));
        sim_merge(s, R_DEPLOYMENTS, "n/d", "{'spec':{'replicas':4}}");
        sim_run(s, some(s));
        sim_merge(s, R_DEPLOYMENTS, "n/d", "{'spec':{" TEMPLATE("d", "two") "}}");
        sim_run(s, some(s));
        sim_delete_some_pod(s, "d-");
        sim_run(s, some(s));
        sim_merge(s, R_DEPLOYMENTS, "n/d", "{'spec':{'replicas':3}}");
}

static void play_job(struct sim *s)
{
        make_nodes(s);
        sim_create(s, R_JOBS, "{'metadata':{'name':'j'},'spec':{'completions':3,'parallelism':2,'backoffLimit':6,"
                              "'completionMode':'NonIndexed'," TEMPLATE("j", "one") "}}");
        sim_create(s, R_JOBS, "{'metadata':{'name':'i'},'spec':{'completions':4,'parallelism':3,'backoffLimit':6,"
                              "'completionMode':'Indexed'," TEMPLATE("i", "one") "}}");
        sim_create(s, R_JOBS, "{'metadata':{'name':'p'},'spec':{'completions':3,'parallelism':3,'backoffLimit':2147483647,"
                              "'backoffLimitPerIndex':1,'completionMode':'Indexed'," TEMPLATE("p", "one") "}}");
        sim_run(s, some(s));
}

static void play_sets(struct sim *s)
{
        make_nodes(s);
        sim_create(s, R_DAEMONSETS, "{'metadata':{'name':'ds'},'spec':{'updateStrategy':{'type':'RollingUpdate',"
                                    "'rollingUpdate':{'maxUnavailable':1}}," TEMPLATE("ds", "one") "}}");
        sim_create(s, R_STATEFULSETS, "{'metadata':{'name':'ss'},'spec':{'replicas':3,'serviceName':'ss','updateStrategy':"
                                      "{'type':'RollingUpdate','rollingUpdate':{'partition':0}}," TEMPLATE("ss", "one") "}}");
        wait_for(s, R_REVISIONS, 2);
        sim_run(s, some(s));
        sim_merge(s, R_STATEFULSETS, "n/ss", "{'spec':{" TEMPLATE("ss", "two") "}}");
        sim_create(s, R_NODES, "{'metadata':{'name':'node-3'}}");
        sim_run(s, some(s));
        sim_merge(s, R_DAEMONSETS, "n/ds", "{'spec':{" TEMPLATE("ds", "two") "}}");
        sim_merge(s, R_STATEFULSETS, "n/ss", "{'spec':{'replicas':2}}");
        sim_run(s, some(s));
        sim_delete_some_pod(s, "ss-");
        sim_delete_some_pod(s, "ds-");
}

static void play_deletion(struct sim *s)
{
        static const char *const how[] = { "Background", "Foreground", "Orphan" };

        make_nodes(s);
        for (unsigned i = 0; i < ARRAY_SIZE(how); i++) {
                char text[600];

                snprintf(text, sizeof(text), "{'metadata':{'name':'d%u'},'spec':{'replicas':2,'strategy':{'type':'Recreate'},"
                                             "'selector':{'matchLabels':{'app':'d%u'}},'template':{'metadata':{'labels':"
                                             "{'app':'d%u'}},'spec':{}}}}", i, i, i);
                sim_create(s, R_DEPLOYMENTS, text);
        }
        /* All is there before it is taken away: what an orphaned owner never made would differ. */
        sim_run(s, 0);
        for (unsigned i = 0; i < ARRAY_SIZE(how); i++) {
                char key[16];

                snprintf(key, sizeof(key), "n/d%u", i);
                sim_delete(s, R_DEPLOYMENTS, key, how[i]);
                sim_run(s, some(s));
        }
}

static void play_volumes(struct sim *s)
{
        sim_create(s, R_PVS, "{'metadata':{'name':'v1'},'spec':{'capacity':{'storage':'1Gi'},'accessModes':['ReadWriteOnce'],"
                             "'persistentVolumeReclaimPolicy':'Retain','storageClassName':'a'}}");
        sim_create(s, R_PVCS, "{'metadata':{'name':'c1'},'spec':{'accessModes':['ReadWriteOnce'],'resources':{'requests':"
                              "{'storage':'1Gi'}},'storageClassName':'a'}}");
        sim_create(s, R_PVS, "{'metadata':{'name':'v2'},'spec':{'capacity':{'storage':'2Gi'},'accessModes':['ReadWriteOnce'],"
                             "'persistentVolumeReclaimPolicy':'Retain','storageClassName':'b'}}");
        sim_create(s, R_PVCS, "{'metadata':{'name':'c2'},'spec':{'accessModes':['ReadWriteOnce'],'resources':{'requests':"
                              "{'storage':'1Gi'}},'storageClassName':'b'}}");
        sim_create(s, R_PVCS, "{'metadata':{'name':'waits'},'spec':{'accessModes':['ReadWriteMany'],'resources':{'requests':"
                              "{'storage':'1Gi'}},'storageClassName':'b'}}");
        sim_run(s, 0);
        sim_delete(s, R_PVCS, "n/c2", NULL);
}

struct scenario {
        const char *name;
        void (*play)(struct sim *s);
};

static char *end_of(const struct scenario *sc, uint64_t seed, unsigned break_watch)
{
        struct sim_options o = { .seed = seed, .controllers = controllers, .n_controllers = ARRAY_SIZE(controllers),
                                 .break_watch = break_watch,
                                 .settings = { .pv_sync_ns = 7200 * NS_PER_SEC, .terminated_pod_gc_threshold = 12500,
                                               .node_monitor_grace_ns = 50 * NS_PER_SEC,
                                               .node_monitor_period_ns = 5 * NS_PER_SEC } };
        struct sim *s = sim_new(&o);
        char *text;

        sc->play(s);
        if (!sim_run(s, 0)) {
                text = sim_print(s);
                fail_msg("%s, seed %llu: it never ends:\n%s", sc->name, (unsigned long long)seed, text);
        }
        text = sim_print(s);
        sim_free(s);
        return text;
}

/* The lines that only one of them has: cmocka cuts long messages. */
static void tell_difference(char *x, char *y, char sign)
{
        _cleanup_free_ char *copy = xstrdup(x);
        char *save = NULL;

        for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
                if (!strstr(y, line))
                        fprintf(stderr, "%c %s\n", sign, line);
}

static void test_orders(void **state)
{
        static const struct scenario scenarios[] = { { "deployment", play_deployment }, { "job", play_job }, { "sets", play_sets },
                                                     { "deletion", play_deletion },     { "volumes", play_volumes } };
        const char *asked = getenv("SIMULATION_RUNS"), *seed_text = getenv("SIMULATION_SEED");
        unsigned runs = asked ? (unsigned)atoi(asked) : 400; /* of each scenario */
        unsigned from = seed_text ? (unsigned)atoi(seed_text) : 2; /* this one and no more */

        for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++) {
                _cleanup_free_ char *first = end_of(&scenarios[i], 1, 0);

                for (unsigned seed = from; seed <= (seed_text ? from : runs); seed++) {
                        _cleanup_free_ char *text = end_of(&scenarios[i], seed, seed % 3 ? 20 : 0);

                        if (streq(text, first))
                                continue;
                        tell_difference(text, first, '+');
                        tell_difference(first, text, '-');
                        fail_msg("%s, seed %u ends differently", scenarios[i].name, seed);
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_orders) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
