/* Decisions on plain data: nodes and pods as YAML would say them, the node or the message that follows. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "schedule.h"

/* A small world. Objects are JSON with ' for ". */
struct world {
        struct arena *a;
        struct sched_snapshot s;
        const struct json *claims[4], *volumes[4], *classes[4];
};

static struct json *object(struct arena *a, const char *text)
{
        char *copy = arena_strdup(a, text);
        struct json *j = NULL;

        for (char *p = copy; *p; p++)
                if (*p == '\'')
                        *p = '"';
        assert_int_equal(json_parse(a, copy, strlen(copy), NULL, &j, NULL), 0);
        return j;
}

static const struct json *by_name(const struct json *const *list, const char *name)
{
        for (size_t i = 0; i < 4 && list[i]; i++)
                if (streq(json_path_string(list[i], "metadata.name"), name))
                        return list[i];
        return NULL;
}

static const struct json *get_claim(const char *namespace, const char *name, void *userdata)
{
        return by_name(((struct world *)userdata)->claims, name);
}

static const struct json *get_volume(const char *name, void *userdata)
{
        return by_name(((struct world *)userdata)->volumes, name);
}

static const struct json *get_class(const char *name, void *userdata)
{
        return by_name(((struct world *)userdata)->classes, name);
}

static const struct json *each_volume(bool (*fn)(const struct json *, void *), void *arg, void *userdata)
{
        struct world *w = userdata;

        for (size_t i = 0; i < 4 && w->volumes[i]; i++)
                if (fn(w->volumes[i], arg))
                        return w->volumes[i];
        return NULL;
}

static int setup(void **state)
{
        struct world *w = new0(struct world);

        w->a = arena_new(0);
        sched_snapshot_init(&w->s);
        w->s.claim = get_claim;
        w->s.volume = get_volume;
        w->s.storage_class = get_class;
        w->s.find_volume = each_volume;
        w->s.userdata = w;
        *state = w;
        return 0;
}

static int teardown(void **state)
{
        struct world *w = *state;

        sched_snapshot_deinit(&w->s);
        arena_free(w->a);
        free(w);
        return 0;
}

static void add_node(struct world *w, const char *name, const char *cpu, const char *spec, const char *labels)
{
        sched_snapshot_set_node(&w->s, object(w->a, arena_printf(w->a,
                "{'metadata':{'name':'%s','labels':{'kubernetes.io/hostname':'%s'%s%s}},'spec':{%s},"
                "'status':{'allocatable':{'cpu':'%s','memory':'8Gi','pods':'10'}}}",
                name, name, *labels ? "," : "", labels, spec, cpu)));
}

static struct sched_pod *pod(struct world *w, const char *name, const char *cpu, const char *labels, const char *spec)
{
        return sched_pod_new(w->a, object(w->a, arena_printf(w->a,
                "{'metadata':{'name':'%s','namespace':'d','uid':'%s','labels':{%s}},"
                "'spec':{'containers':[{'name':'c','image':'i','resources':{'requests':{'cpu':'%s'}}}]%s%s}}",
                name, name, labels, cpu, *spec ? "," : "", spec)));
}

static void expect_node(struct world *w, struct sched_pod *p, const char *node)
{
        struct decision d;

        schedule(w->a, &w->s, p, 1, &d);
        if (d.result != SCHEDULE_OK)
                fail_msg("%s", d.message);
        assert_string_equal(w->s.nodes[d.node].name, node);
}

static void expect_message(struct world *w, struct sched_pod *p, const char *message)
{
        struct decision d;

        schedule(w->a, &w->s, p, 1, &d);
        assert_int_equal(d.result, SCHEDULE_UNSCHEDULABLE);
        assert_string_equal(d.message, message);
}

static void no_nodes(void **state)
{
        struct world *w = *state;

        expect_message(w, pod(w, "p", "1", "", ""), "no nodes available to schedule pods");
}

/* What is asked for beyond the node's size no preemption can give; what others hold it might. */
static void resources(void **state)
{
        struct world *w = *state;

        add_node(w, "a", "2", "", "");
        sched_snapshot_add_pod(&w->s, pod(w, "x", "1500m", "", ""), "a");
        expect_node(w, pod(w, "p", "500m", "", ""), "a");
        expect_message(w, pod(w, "p", "600m", "", ""),
                       "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are "
                       "available: 1 No preemption victims found for incoming pod.");
        expect_message(w, pod(w, "p", "3", "", ""),
                       "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are "
                       "available: 1 Preemption is not helpful for scheduling.");
        expect_message(w, pod(w, "p", "600m", "", "'preemptionPolicy':'Never'"),
                       "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: not eligible due "
                       "to preemptionPolicy=Never.");
}

static void each_filter_speaks(void **state)
{
        static const struct {
                const char *node_spec, *pod_spec, *message;
        } cases[] = {
                { "'unschedulable':true", "", "1 node(s) were unschedulable" },
                { "'taints':[{'key':'k','value':'v','effect':'NoSchedule'}]", "", "1 node(s) had untolerated taint(s)" },
                { "'taints':[{'key':'k','effect':'NoExecute'}]", "'tolerations':[{'key':'k','operator':'Exists','effect':'NoSchedule'}]",
                  "1 node(s) had untolerated taint(s)" },
                { "", "'nodeSelector':{'disk':'ssd'}", "1 node(s) didn't match Pod's node affinity/selector" },
                { "", "'affinity':{'nodeAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':{'nodeSelectorTerms':"
                      "[{'matchFields':[{'key':'metadata.name','operator':'In','values':['other']}]}]}}}",
                  "1 node(s) didn't match Pod's node affinity/selector" },
                { "", "'affinity':{'podAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':[{'topologyKey':"
                      "'kubernetes.io/hostname','labelSelector':{'matchLabels':{'app':'none'}}}]}}",
                  "1 node(s) didn't match pod affinity rules" },
                { "", "'topologySpreadConstraints':[{'maxSkew':1,'topologyKey':'zone','whenUnsatisfiable':'DoNotSchedule',"
                      "'labelSelector':{}}]",
                  "1 node(s) didn't match pod topology spread constraints (missing required label)" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct world *w;

                assert_int_equal(setup((void **)&w), 0);
                add_node(w, "a", "2", cases[i].node_spec, "");
                expect_message(w, pod(w, "p", "1", "", cases[i].pod_spec),
                               arena_printf(w->a, "0/1 nodes are available: %s. no new claims to deallocate, preemption: 0/1 "
                                                  "nodes are available: 1 Preemption is not helpful for scheduling.",
                                            cases[i].message));
                teardown((void **)&w);
        }
        unused(state);
}

static void tolerations_let_in(void **state)
{
        struct world *w = *state;

        add_node(w, "a", "2", "'unschedulable':true,'taints':[{'key':'node.kubernetes.io/unschedulable','effect':'NoSchedule'},"
                              "{'key':'k','value':'v','effect':'NoSchedule'}]", "");
        expect_node(w, pod(w, "p", "1", "", "'tolerations':[{'operator':'Exists'}]"), "a");
        expect_node(w, pod(w, "p", "1", "", "'tolerations':[{'key':'k','value':'v'},"
                                            "{'key':'node.kubernetes.io/unschedulable','operator':'Exists'}]"), "a");
}

static void host_ports_clash(void **state)
{
        static const char with_port[] = "'hostNetwork':true,'initContainers':[{'name':'s','restartPolicy':'Always',"
                                        "'ports':[{'containerPort':80,'hostPort':80}]}]";
        struct world *w = *state;

        add_node(w, "a", "2", "", "");
        add_node(w, "b", "2", "", "");
        sched_snapshot_add_pod(&w->s, pod(w, "x", "0", "", with_port), "a");
        expect_node(w, pod(w, "p", "0", "", with_port), "b");
}

/* Anti-affinity counts in both directions, and across a domain of several nodes. */
static void anti_affinity(void **state)
{
        static const char against[] = "'affinity':{'podAntiAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':"
                                      "[{'topologyKey':'zone','labelSelector':{'matchLabels':{'app':'web'}}}]}}";
        struct world *w = *state;

        add_node(w, "a", "4", "", "'zone':'1'");
        add_node(w, "b", "4", "", "'zone':'1'");
        add_node(w, "c", "4", "", "'zone':'2'");
        sched_snapshot_add_pod(&w->s, pod(w, "x", "0", "'app':'web'", against), "a");
        expect_node(w, pod(w, "p", "0", "'app':'web'", against), "c");
        expect_node(w, pod(w, "p", "0", "'app':'web'", ""), "c");
        sched_snapshot_add_pod(&w->s, pod(w, "y", "0", "'app':'web'", against), "c");
        expect_message(w, pod(w, "p", "0", "'app':'web'", against),
                       "0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules. no new claims to deallocate, "
                       "preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod.");
}

/* The first pod of a group that wants to be together may go anywhere. */
static void affinity_to_oneself(void **state)
{
        static const char with[] = "'affinity':{'podAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':"
                                   "[{'topologyKey':'kubernetes.io/hostname','labelSelector':{'matchLabels':{'app':'web'}}}]}}";
        struct world *w = *state;

        add_node(w, "a", "4", "", "");
        expect_node(w, pod(w, "p", "0", "'app':'web'", with), "a");
        add_node(w, "b", "8", "", "");
        sched_snapshot_add_pod(&w->s, pod(w, "x", "1", "'app':'web'", ""), "a");
        expect_node(w, pod(w, "p", "0", "'app':'web'", with), "a");
}

static void spreads_over_zones(void **state)
{
        static const char hard[] = "'topologySpreadConstraints':[{'maxSkew':1,'topologyKey':'zone','whenUnsatisfiable':"
                                   "'DoNotSchedule','labelSelector':{'matchLabels':{'app':'web'}}}]";
        struct world *w = *state;

        add_node(w, "a", "4", "", "'zone':'1'");
        add_node(w, "b", "1", "", "'zone':'2'");
        sched_snapshot_add_pod(&w->s, pod(w, "x", "0", "'app':'web'", ""), "a");
        expect_node(w, pod(w, "p", "0", "'app':'web'", hard), "b");
        expect_message(w, pod(w, "p", "2", "'app':'web'", hard),
                       "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match pod topology spread constraints. no "
                       "new claims to deallocate, preemption: 0/2 nodes are available: 1 No preemption victims found for "
                       "incoming pod, 1 Preemption is not helpful for scheduling.");
}

/* Pods of one owner go to different machines, as long as nothing speaks against it. */
static void owners_pods_spread(void **state)
{
        struct world *w = *state;
        struct sched_pod *x = pod(w, "x", "0", "", ""), *p = pod(w, "p", "0", "", "");

        x->owner_uid = p->owner_uid = "rs";
        add_node(w, "a", "4", "", "");
        add_node(w, "b", "4", "", "");
        sched_snapshot_add_pod(&w->s, x, "a");
        expect_node(w, p, "b");
}

static void preempts_the_least(void **state)
{
        struct world *w = *state;
        struct decision d;

        add_node(w, "a", "2", "", "");
        add_node(w, "b", "2", "", "");
        sched_snapshot_add_pod(&w->s, pod(w, "low", "1", "", "'priority':10"), "a");
        sched_snapshot_add_pod(&w->s, pod(w, "lower", "1", "", "'priority':5"), "a");
        sched_snapshot_add_pod(&w->s, pod(w, "mid", "2", "", "'priority':50"), "b");
        schedule(w->a, &w->s, pod(w, "p", "1", "", "'priority':100"), 1, &d);
        assert_int_equal(d.result, SCHEDULE_UNSCHEDULABLE);
        assert_string_equal(d.message, "0/2 nodes are available: 2 Insufficient cpu.");
        assert_string_equal(d.nominated, "a");
        assert_int_equal(d.n_victims, 1);
        assert_string_equal(d.victims[0]->name, "lower");
        /* Nothing was really taken away. */
        assert_int_equal(w->s.used[RES_CPU][0], 2000);
        assert_int_equal(w->s.nodes[0].pods.n, 2);
}

static void volumes(void **state)
{
        static const char with_claim[] = "'volumes':[{'name':'v','persistentVolumeClaim':{'claimName':'c'}}]";
        static const char on_b[] = "'nodeAffinity':{'required':{'nodeSelectorTerms':[{'matchExpressions':[{'key':"
                                   "'kubernetes.io/hostname','operator':'In','values':['b']}]}]}}";
        struct world *w = *state;
        struct sched_pod *p = pod(w, "p", "0", "", with_claim);
        struct decision d;

        add_node(w, "a", "4", "", "");
        add_node(w, "b", "4", "", "");
        expect_message(w, p, "0/2 nodes are available: persistentvolumeclaim \"c\" not found. not found");
        w->claims[0] = object(w->a, "{'metadata':{'name':'c','namespace':'d'},'spec':{'storageClassName':'',"
                                    "'accessModes':['ReadWriteOnce'],'resources':{'requests':{'storage':'1Gi'}}}}");
        expect_message(w, p, "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found");
        w->classes[0] = object(w->a, "{'metadata':{'name':'late'},'provisioner':'kubernetes.io/no-provisioner',"
                                     "'volumeBindingMode':'WaitForFirstConsumer'}");
        w->claims[0] = object(w->a, "{'metadata':{'name':'c','namespace':'d'},'spec':{'storageClassName':'late',"
                                    "'accessModes':['ReadWriteOnce'],'resources':{'requests':{'storage':'1Gi'}}}}");
        expect_message(w, p, "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind. no new claims "
                             "to deallocate, preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.");
        w->volumes[0] = object(w->a, arena_printf(w->a, "{'metadata':{'name':'v'},'spec':{'storageClassName':'late','accessModes':"
                                                        "['ReadWriteOnce'],'capacity':{'storage':'2Gi'},%s}}", on_b));
        schedule(w->a, &w->s, p, 1, &d);
        assert_int_equal(d.result, SCHEDULE_OK);
        assert_string_equal(w->s.nodes[d.node].name, "b");
        assert_int_equal(d.n_volumes, 1);
        assert_ptr_equal(d.volumes[0].volume, w->volumes[0]);
}

/* A pod that comes before its node is counted once the node is there; one that leaves is not. */
static void events_in_any_order(void **state)
{
        struct world *w = *state;
        struct sched_pod *x = pod(w, "x", "2", "", "");

        sched_snapshot_add_pod(&w->s, x, "a");
        expect_message(w, pod(w, "p", "1", "", ""), "no nodes available to schedule pods");
        add_node(w, "a", "2", "", "");
        assert_int_equal(w->s.used[RES_CPU][0], 2000);
        sched_snapshot_remove_pod(&w->s, x, "a");
        expect_node(w, pod(w, "p", "1", "", ""), "a");
        sched_snapshot_remove_node(&w->s, "a");
        expect_message(w, pod(w, "p", "1", "", ""), "no nodes available to schedule pods");
}

/* Init containers run one at a time beside the sidecars that started before them. */
static void init_containers_peak(void **state)
{
        struct world *w = *state;
        struct sched_pod *p = pod(w, "p", "1", "",
                "'initContainers':[{'name':'i1','resources':{'requests':{'cpu':'3'}}},"
                "{'name':'s','restartPolicy':'Always','resources':{'requests':{'cpu':'2'}}},"
                "{'name':'i2','resources':{'requests':{'cpu':'2500m'}}}]");

        assert_int_equal(sched_pod_request(p, RES_CPU), 4500);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(no_nodes),          TEST(resources),          TEST(each_filter_speaks), TEST(tolerations_let_in),
                TEST(host_ports_clash),  TEST(anti_affinity),      TEST(affinity_to_oneself), TEST(spreads_over_zones),
                TEST(owners_pods_spread), TEST(preempts_the_least), TEST(volumes),            TEST(events_in_any_order),
                TEST(init_containers_peak),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
