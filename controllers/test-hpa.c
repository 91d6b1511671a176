/* Autoscaling: what use of the pods leads to what number of them. */
#include "test-world.h"

#include "hpa.h"

static struct json *parse(struct arena *a, const char *text)
{
        char *copy = arena_strdup(a, text);
        struct json *j;

        for (char *p = copy; *p; p++)
                if (*p == '\'')
                        *p = '"';
        assert_int_equal(json_parse(a, copy, strlen(copy), NULL, &j, NULL), 0);
        return j;
}

#define NOW (1000000 * NS_PER_SEC)
#define POD "{'metadata':{'name':'%s'},'spec':{'containers':[{'name':'c','resources':{'requests':{'cpu':'100m'}}}]},'status':" \
            "{'phase':'Running','startTime':'1970-01-02T00:00:00Z','conditions':[{'type':'Ready','status':'True'," \
            "'lastTransitionTime':'1970-01-02T00:01:00Z'}]}}"

struct setting {
        int64_t replicas;
        size_t pods;
        const char *metrics; /* NULL: no metrics API */
        const char *use[4];  /* of each pod; NULL: unknown */
};

static void decide(struct arena *a, const struct setting *x, struct hpa_memory *memory, const char *behavior, struct hpa_output *out)
{
        struct hpa_input in = { .now = NOW, .memory = memory, .metrics_error = "no metrics" };
        struct json *list = json_new_object(a), *items = json_ensure_array(a, list, "items");

        in.hpa = parse(a, arena_printf(a, "{'spec':{'minReplicas':1,'maxReplicas':10%s,'metrics':[{'type':'Resource','resource':{'name':"
                                          "'cpu','target':{'type':'Utilization','averageUtilization':50}}}]}}", behavior));
        in.scale = parse(a, arena_printf(a, "{'spec':{'replicas':%lld}}", (long long)x->replicas));
        for (size_t i = 0; i < x->pods; i++) {
                const char *name = arena_printf(a, "p%zu", i);
                struct object *pod = arena_calloc(a, sizeof(*pod));

                *pod = (struct object){ .json = parse(a, arena_printf(a, POD, name)), .name = name, .namespace = "n" };
                list_add(a, &in.pods, pod);
                if (x->use[i])
                        json_append(a, items, parse(a, arena_printf(a, "{'metadata':{'name':'%s'},'containers':[{'usage':{'cpu':'%s'}}]}",
                                                                    name, x->use[i])));
        }
        in.metrics = x->metrics ? list : NULL;
        hpa_decide(a, &in, out);
}

static void test_replicas(void **state)
{
        static const struct {
                struct setting x;
                int64_t want; /* -1: stays */
                const char *condition, *reason;
        } cases[] = {
                { { 0, 0, "" }, -1, "ScalingActive", "ScalingDisabled" },
                { { 12, 0, "" }, 10, "AbleToScale", "SucceededGetScale" },
                { { 2, 2, "", { "50m", "50m" } }, -1, "ScalingActive", "ValidMetricFound" },
                { { 2, 2, "", { "54m", "54m" } }, -1, "ScalingActive", "ValidMetricFound" }, /* within a tenth */
                { { 2, 2, "", { "100m", "100m" } }, 4, "ScalingLimited", "DesiredWithinRange" },
                { { 2, 2, "", { "500m", "500m" } }, 6, "ScalingLimited", "ScaleUpLimit" }, /* no faster than four more */
                { { 4, 4, "", { "10m", "10m", "10m", "10m" } }, 1, "ScalingLimited", "DesiredWithinRange" },
                { { 2, 2, "", { "100m", NULL } }, -1, "ScalingActive", "ValidMetricFound" }, /* the unknown one may do nothing */
                { { 2, 2, "", { NULL, NULL } }, -1, "ScalingActive", "FailedGetResourceMetric" },
                { { 2, 2, NULL, { NULL, NULL } }, -1, "ScalingActive", "FailedGetResourceMetric" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                struct hpa_memory memory = { 0 };
                struct hpa_output out;
                const struct json *c;

                decide(a, &cases[i].x, &memory, "", &out);
                c = condition_find(json_get(out.status, "conditions"), cases[i].condition);
                if (out.replicas != cases[i].want || !streq(json_get_string(c, "reason"), cases[i].reason))
                        fail_msg("case %zu: %lld, %s", i, (long long)out.replicas, json_print(a, out.status));
        }
}

/* A dip does not scale down while a higher recommendation is within the window. */
static void test_window(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct setting dip = { 4, 4, "", { "10m", "10m", "10m", "10m" } };
        struct hpa_memory memory = { .n_recommended = 1 };
        struct hpa_output out;

        memory.recommended[0].at = NOW - 60 * NS_PER_SEC;
        memory.recommended[0].replicas = 4;
        decide(a, &dip, &memory, "", &out);
        assert_int_equal(out.replicas, -1);
        assert_string_equal(json_get_string(condition_find(json_get(out.status, "conditions"), "AbleToScale"), "reason"),
                            "ScaleDownStabilized");
        memory = (struct hpa_memory){ .n_recommended = 1 };
        memory.recommended[0].at = NOW - 301 * NS_PER_SEC;
        memory.recommended[0].replicas = 4;
        decide(a, &dip, &memory, "", &out);
        assert_int_equal(out.replicas, 1);
}

static void test_policies(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct setting dip = { 4, 4, "", { "10m", "10m", "10m", "10m" } };
        struct hpa_memory memory = { 0 };
        struct hpa_output out;

        decide(a, &dip, &memory, ",'behavior':{'scaleDown':{'policies':[{'type':'Pods','value':1,'periodSeconds':60}]}}", &out);
        assert_int_equal(out.replicas, 3);
        memory = (struct hpa_memory){ 0 };
        decide(a, &dip, &memory, ",'behavior':{'scaleDown':{'selectPolicy':'Disabled'}}", &out);
        assert_int_equal(out.replicas, -1);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_replicas), cmocka_unit_test(test_window), cmocka_unit_test(test_policies) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
