/* The registry against a real etcd: what a write makes of an object, and which errors clients see. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "../storage/etcd-for-tests.h"
#include "internal.h"
#include "kinds/kinds.h"

static struct test_etcd etcd;
static bool have_etcd;
static struct apiserver server;

static int setup(void **state)
{
        const char *endpoints[] = { NULL, NULL };
        struct store_options o = { .endpoints = endpoints, .compact_every_ns = -1 };

        have_etcd = test_etcd_start(&etcd);
        if (!have_etcd)
                return 0;
        endpoints[0] = etcd.endpoint;
        server.loop = loop_new();
        server.o.service_cluster_ip_range = "10.96.0.0/12";
        if (store_new(server.loop, &o, &server.store, NULL) < 0)
                return -1;
        admission_init(server.loop, server.store);
        return 0;
}

static int teardown(void **state)
{
        if (!have_etcd)
                return 0;
        store_free(server.store);
        for (int i = 0; i < 5; i++)
                loop_turn(server.loop, 0);
        loop_free(server.loop);
        test_etcd_stop(&etcd);
        return 0;
}

static struct json *parse(struct arena *a, const char *text)
{
        struct json *j = NULL;

        assert_int_equal(json_parse(a, text, strlen(text), NULL, &j, NULL), 0);
        return j;
}

static void begin(struct api_request *r, struct arena *a)
{
        memset(r, 0, sizeof(*r));
        request_init_internal(r, &server, a);
        if (!r->field_manager)
                r->field_manager = "test";
}

static const struct status *make(struct api_request *r, const char *group, const char *version, const char *plural,
                                 const char *ns, const char *text, struct json **ret)
{
        const struct resource *res = builtin_resource(group, version, plural);
        struct json *obj = parse(r->arena, text);

        assert_int_equal(schema_decode(r->arena, res->schema, obj, NULL, NULL), 0);
        schema_default(r->arena, res, obj);
        return registry_create(r, res, ns, obj, ret);
}

static void ok(const struct status *st)
{
        if (st)
                print_message("%u %s: %s\n", st->code, st->reason, st->message);
        assert_null(st);
}

static const struct status *relabel(struct api_request *r, const struct json *old, struct json **ret, void *userdata)
{
        *ret = json_clone(r->arena, old);
        json_path_del(*ret, "metadata.resourceVersion");
        json_path_set(r->arena, *ret, "data.a", json_new_string(r->arena, userdata));
        return NULL;
}

static void config_maps(void *userdata)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        const struct resource *res = builtin_resource("", "v1", "configmaps");
        struct api_request r;
        struct json *one, *two, *three;
        const struct status *st;
        bool gone = false;

        begin(&r, a);
        ok(make(&r, "", "v1", "namespaces", "",
                "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"default\"}}", &one));
        ok(make(&r, "", "v1", "namespaces", "",
                "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"n\"}}", &one));
        assert_string_equal(json_path_string(one, "status.phase"), "Active");
        assert_string_equal(json_string(json_at(json_path(one, "spec.finalizers"), 0)), "kubernetes");
        ok(make(&r, "", "v1", "configmaps", "n",
                "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"c\"},\"data\":{\"a\":\"1\"}}", &one));
        assert_int_equal(strlen(json_path_string(one, "metadata.uid")), 36);
        st = make(&r, "", "v1", "configmaps", "n",
                  "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"c\"}}", &two);
        assert_non_null(st);
        assert_string_equal(st->message, "configmaps \"c\" already exists");
        /* A change is written; the same again is not. */
        ok(registry_update(&r, res, "n", "c", "", relabel, "2", &two, NULL));
        assert_string_not_equal(meta_string(one, "resourceVersion"), meta_string(two, "resourceVersion"));
        ok(registry_update(&r, res, "n", "c", "", relabel, "2", &three, NULL));
        assert_string_equal(meta_string(two, "resourceVersion"), meta_string(three, "resourceVersion"));
        ok(registry_get(&r, res, "n", "c", &three));
        assert_string_equal(json_path_string(three, "data.a"), "2");
        ok(registry_delete(&r, res, "n", "c", NULL, &three, &gone));
        assert_true(gone);
        st = registry_get(&r, res, "n", "c", &three);
        assert_int_equal(st->code, 404);
        st = registry_update(&r, res, "n", "c", "status", relabel, "2", &three, NULL);
        assert_int_equal(st->code, 404);
        /* relabel() wants an object */
        st = registry_update(&r, res, "n", "c", "", relabel, "2", &three, NULL);
        assert_int_equal(st->code, 404);
}

static void names(void *userdata)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct api_request r;
        struct json *one;

        begin(&r, a);
        ok(make(&r, "", "v1", "configmaps", "default",
                "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"generateName\":\"g-\"}}", &one));
        assert_int_equal(strlen(meta_string(one, "name")), 7);
        r.dry_run = true;
        ok(make(&r, "", "v1", "configmaps", "default",
                "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"dry\"}}", &one));
        assert_string_equal(meta_string(one, "resourceVersion"), "");
        assert_null(store_get(server.store, "/registry/configmaps/default/dry"));
}

/* Devices for administrators: the namespace must say so. */
static void admin_claim(void *userdata)
{
        static const char claim[] = "{\"apiVersion\":\"resource.k8s.io/v1\",\"kind\":\"ResourceClaim\",\"metadata\":{\"name\":\"c\"},"
                                    "\"spec\":{\"devices\":{\"requests\":[{\"name\":\"r\",\"exactly\":{\"deviceClassName\":\"c\","
                                    "\"adminAccess\":true}}]}}}";
        _cleanup_arena_ struct arena *a = arena_new(0);
        const struct status *st;
        struct api_request r;
        struct json *one;

        begin(&r, a);
        ok(make(&r, "", "v1", "namespaces", "", "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"plain\"}}", &one));
        ok(make(&r, "", "v1", "namespaces", "",
                "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"admin\","
                "\"labels\":{\"resource.kubernetes.io/admin-access\":\"true\"}}}",
                &one));
        st = make(&r, "resource.k8s.io", "v1", "resourceclaims", "plain", claim, &one);
        assert_int_equal(st->code, 422);
        assert_string_equal(st->message, "ResourceClaim.resource.k8s.io \"c\" is invalid: spec.devices.requests[0].adminAccess: "
                                         "Forbidden: admin access to devices requires the `resource.kubernetes.io/admin-access: true` "
                                         "label on the containing namespace");
        ok(make(&r, "resource.k8s.io", "v1", "resourceclaims", "admin", claim, &one));
}

static const struct status *take_back(struct api_request *r, const struct json *old, struct json **ret, void *userdata)
{
        *ret = json_clone(r->arena, old);
        json_path_del(*ret, "metadata.resourceVersion");
        if (userdata)
                json_path_set(r->arena, *ret, "status", parse(r->arena, userdata));
        else
                json_path_del(*ret, "status.allocation");
        return NULL;
}

/* What was said of a device goes with it. */
static void devices_given_back(void *userdata)
{
        static const char claim[] = "{\"apiVersion\":\"resource.k8s.io/v1\",\"kind\":\"ResourceClaim\",\"metadata\":{\"name\":\"d\"},"
                                    "\"spec\":{\"devices\":{\"requests\":[{\"name\":\"r\",\"exactly\":{\"deviceClassName\":\"c\"}}]}}}";
        static char given[] = "{\"allocation\":{\"devices\":{\"results\":[{\"request\":\"r\",\"driver\":\"a.b\",\"pool\":\"p\","
                              "\"device\":\"d\"}]}},\"devices\":[{\"driver\":\"a.b\",\"pool\":\"p\",\"device\":\"d\"}]}";
        const struct resource *res = builtin_resource("resource.k8s.io", "v1", "resourceclaims");
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct api_request r;
        struct json *one;

        begin(&r, a);
        ok(make(&r, "resource.k8s.io", "v1", "resourceclaims", "default", claim, &one));
        ok(registry_update(&r, res, "default", "d", "status", take_back, given, &one, NULL));
        assert_int_equal(json_len(json_path(one, "status.devices")), 1);
        ok(registry_update(&r, res, "default", "d", "status", take_back, NULL, &one, NULL));
        assert_null(json_path(one, "status.devices"));
}

static void service(void *userdata)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct api_request r;
        struct json *one, *two;
        const struct status *st;
        const char *ip;
        bool gone;

        begin(&r, a);
        ok(make(&r, "", "v1", "services", "default",
                "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"s\"},\"spec\":{\"type\":\"NodePort\","
                "\"selector\":{\"a\":\"b\"},\"ports\":[{\"port\":80}]}}",
                &one));
        ip = json_path_string(one, "spec.clusterIP");
        assert_non_null(ip);
        assert_true(json_get_int(json_at(json_path(one, "spec.ports"), 0), "nodePort", 0) >= 30000);
        assert_string_equal(json_path_string(one, "spec.ipFamilyPolicy"), "SingleStack");
        assert_non_null(store_get(server.store, arena_printf(a, "/registry/ipaddresses/%s", ip)));
        st = make(&r, "", "v1", "services", "default",
                  arena_printf(a,
                               "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"t\"},\"spec\":{"
                               "\"clusterIP\":\"%s\",\"ports\":[{\"port\":80}]}}",
                               ip),
                  &two);
        assert_non_null(st);
        assert_non_null(strstr(st->message, "provided IP is already allocated"));
        ok(registry_delete(&r, builtin_resource("", "v1", "services"), "default", "s", NULL, &two, &gone));
        assert_int_equal(store_sync(server.store, NULL), 0);
        assert_null(store_get(server.store, arena_printf(a, "/registry/ipaddresses/%s", ip)));
}

static void finalizers(void *userdata)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        const struct resource *res = builtin_resource("", "v1", "configmaps");
        struct api_request r;
        struct json *one;
        bool gone = true;

        begin(&r, a);
        ok(make(&r, "", "v1", "configmaps", "default",
                "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"f\"}}", &one));
        ok(registry_delete(&r, res, "default", "f", parse(a, "{\"propagationPolicy\":\"Foreground\"}"), &one, &gone));
        assert_false(gone);
        assert_string_equal(json_string(json_at(json_path(one, "metadata.finalizers"), 0)), "foregroundDeletion");
        assert_true(meta_deleting(one));
}

/* What pods and daemon sets become on their way in. */
static void workloads(void *userdata)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct json *one = NULL, *labels;
        struct api_request r;

        begin(&r, a);
        r.field_manager = "creator";
        ok(make(&r, "apps", "v1", "daemonsets", "default",
                "{\"metadata\":{\"name\":\"d\"},\"spec\":{\"selector\":{\"matchLabels\":{\"a\":\"b\"}},\"template\":{"
                "\"metadata\":{\"labels\":{\"a\":\"b\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}}}", &one));
        assert_string_equal(json_get_string(json_path(one, "metadata.annotations"), "deprecated.daemonset.template.generation"), "1");
        assert_non_null(json_get(json_path(json_at(json_path(one, "metadata.managedFields"), 0),
                                           "fieldsV1.f:metadata.f:annotations"),
                                 "f:deprecated.daemonset.template.generation")); /* nobody sent it; who created it has it */

        ok(make(&r, "autoscaling", "v2", "horizontalpodautoscalers", "default",
                "{\"apiVersion\":\"autoscaling/v2\",\"metadata\":{\"name\":\"h\",\"annotations\":{\"a\":\"b\","
                "\"autoscaling.alpha.kubernetes.io/metrics\":\"[]\"}},\"spec\":{\"maxReplicas\":1,\"scaleTargetRef\":"
                "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"name\":\"d\"}}}", &one));
        assert_int_equal(json_len(json_path(one, "metadata.annotations")), 1); /* version 1 would mean something by the other */

        ok(make(&r, "", "v1", "serviceaccounts", "default", "{\"metadata\":{\"name\":\"default\"}}", &one)); /* admission wants it */
        ok(make(&r, "", "v1", "pods", "default",
                "{\"metadata\":{\"name\":\"p\",\"labels\":{\"a\":\"b\",\"c\":\"d\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}],"
                "\"affinity\":{\"podAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":[{\"topologyKey\":\"t\","
                "\"labelSelector\":{},\"matchLabelKeys\":[\"a\"],\"mismatchLabelKeys\":[\"c\"]}]}}}}", &one));
        labels = json_path(json_at(json_path(one, "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution"), 0),
                           "labelSelector.matchExpressions");
        assert_int_equal(json_len(labels), 2);
        assert_string_equal(json_get_string(json_at(labels, 0), "operator"), "In");
        assert_string_equal(json_get_string(json_at(labels, 1), "operator"), "NotIn");
        assert_string_equal(json_string(json_at(json_get(json_at(labels, 1), "values"), 0)), "d");
}

/* What only tries, and what means another version of the pod, leaves the pod and its budget alone. */
static const struct status *forget_priority(struct api_request *r, const struct json *old, struct json **ret, void *userdata)
{
        *ret = json_clone(r->arena, old);
        json_path_del(*ret, "spec.priority");
        json_path_del(*ret, "spec.preemptionPolicy");
        return NULL;
}

/* A bound pod knows where its node is and what the binding says; an update need not repeat what admission set. */
static void binding(void *userdata)
{
        static const struct {
                const char *meta, *says;
        } refused[] = {
                { "\"uid\":\"u\"", "UID in precondition: u, UID in object meta: " },
                { "\"resourceVersion\":\"1\"", "ResourceVersion in precondition: 1, ResourceVersion in object meta: " },
        };
        _cleanup_arena_ struct arena *a = arena_new(0);
        const struct resource *pods = builtin_resource("", "v1", "pods");
        const struct status *st;
        struct api_request r;
        struct json *one;

        begin(&r, a);
        ok(make(&r, "", "v1", "nodes", "",
                "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"n\",\"labels\":{\"topology.kubernetes.io/zone\":"
                "\"z\",\"topology.kubernetes.io/rack\":\"r\"}}}", &one));
        ok(make(&r, "", "v1", "pods", "default",
                "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"g\"},\"spec\":{\"containers\":[{\"name\":\"c\","
                "\"image\":\"i\"}]}}", &one));
        begin(&r, a);
        ok(registry_update(&r, pods, "default", "g", "", forget_priority, NULL, &one, NULL));
        assert_int_equal(json_path_int(one, "spec.priority", -1), 0);
        assert_string_equal(json_path_string(one, "spec.preemptionPolicy"), "PreemptLowerPriority");
        for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
                begin(&r, a);
                r.res = pods;
                st = pod_bind(&r, pods, "default", "g",
                              parse(a, arena_printf(a, "{\"metadata\":{\"name\":\"g\",%s},\"target\":{\"name\":\"n\"}}",
                                                    refused[i].meta)), &one);
                assert_non_null(st);
                assert_int_equal(st->code, 409);
                assert_non_null(strstr(st->message, refused[i].says));
        }
        begin(&r, a);
        r.res = pods;
        ok(pod_bind(&r, pods, "default", "g",
                    parse(a, "{\"metadata\":{\"name\":\"g\",\"labels\":{\"a\":\"b\"}},\"target\":{\"kind\":\"Node\",\"name\":\"n\"}}"),
                    &one));
        begin(&r, a);
        ok(registry_get(&r, pods, "default", "g", &one));
        one = json_path(one, "metadata.labels");
        assert_int_equal(json_len(one), 2);
        assert_string_equal(json_get_string(one, "a"), "b");
        assert_string_equal(json_get_string(one, "topology.kubernetes.io/zone"), "z");
}

static const struct status *set_status(struct api_request *r, const struct json *old, struct json **ret, void *userdata)
{
        *ret = json_clone(r->arena, old);
        json_set(r->arena, *ret, "status", parse(r->arena, userdata));
        return NULL;
}

#define FAILED(reason, message)                                                                                        \
        "\"conditions\":[{\"type\":\"DisruptionAllowed\",\"status\":\"False\",\"lastTransitionTime\":"                  \
        "\"2026-01-01T00:00:00Z\",\"reason\":\"" reason "\",\"message\":\"" message "\"}]"

/* What a budget that allows nothing says. */
static void refused(struct arena *a, struct api_request *r)
{
        static const struct {
                const char *status, *says;
        } cases[] = {
                { "\"currentHealthy\":3,\"desiredHealthy\":3", "needs 3 healthy pods and has 3 currently" },
                { FAILED("SyncFailed", "m"), "does not allow evicting pods currently because it failed sync: m" },
                { FAILED("Other", "m"), "needs 0 healthy pods and has 0 currently" },
                { "\"currentHealthy\":4,\"desiredHealthy\":3," FAILED("Other", "m"),
                  "does not allow evicting pods currently (Other): m" },
                { "\"currentHealthy\":4,\"desiredHealthy\":3," FAILED("Other", ""), "does not allow evicting pods currently" },
        };
        const struct resource *pdbs = builtin_resource("policy", "v1", "poddisruptionbudgets");
        const struct status *st;
        struct json *one;

        ok(make(r, "policy", "v1", "poddisruptionbudgets", "default",
                "{\"apiVersion\":\"policy/v1\",\"kind\":\"PodDisruptionBudget\",\"metadata\":{\"name\":\"b\"},\"spec\":"
                "{\"minAvailable\":1,\"selector\":{\"matchLabels\":{\"a\":\"b\"}}}}", &one));
        ok(make(r, "", "v1", "pods", "default",
                "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"f\",\"labels\":{\"a\":\"b\"}},\"spec\":"
                "{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}", &one));
        begin(r, a);
        ok(registry_update(r, builtin_resource("", "v1", "pods"), "default", "f", "status", set_status,
                           "{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}", &one, NULL));
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct json *body = parse(a, "{\"apiVersion\":\"policy/v1\",\"kind\":\"Eviction\",\"metadata\":{\"name\":\"f\"}}");

                begin(r, a);
                ok(registry_update(r, pdbs, "default", "b", "status", set_status,
                                   arena_printf(a, "{\"observedGeneration\":1,\"disruptionsAllowed\":0,\"expectedPods\":0,%s}",
                                                cases[i].status), &one, NULL));
                begin(r, a);
                st = pod_evict(r, builtin_resource("", "v1", "pods"), "default", "f", body, &one);
                assert_non_null(st);
                assert_int_equal(st->code, 429);
                assert_string_equal(json_get_string(json_at(json_get(st->details, "causes"), 0), "message"),
                                    arena_printf(a, "The disruption budget b %s", cases[i].says));
        }
}

static void eviction(void *userdata)
{
        static const struct {
                const char *options;
                unsigned code; /* 0: evicted */
        } cases[] = {
                { "{\"dryRun\":[\"All\"]}", 0 },
                { "{\"dryRun\":[\"Foo\"]}", 422 },
                { "{\"ignoreStoreReadErrorWithClusterBreakingPotential\":true}", 422 },
                { "{\"preconditions\":{\"resourceVersion\":\"1\"}}", 409 },
                { "{\"preconditions\":{\"uid\":\"u\"}}", 409 },
                { "{}", 0 },
        };
        _cleanup_arena_ struct arena *a = arena_new(0);
        const struct resource *pods = builtin_resource("", "v1", "pods");
        struct api_request r;
        struct json *one, *said;
        const struct status *st;

        begin(&r, a);
        ok(make(&r, "", "v1", "pods", "default",
                "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"e\"},\"spec\":{\"containers\":[{\"name\":\"c\","
                "\"image\":\"i\"}]}}", &one));
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct json *body = parse(a, "{\"apiVersion\":\"policy/v1\",\"kind\":\"Eviction\",\"metadata\":{\"name\":\"e\"}}");

                begin(&r, a);
                assert_non_null(store_get(server.store, "/registry/pods/default/e"));
                json_set(a, body, "deleteOptions", parse(a, cases[i].options));
                st = pod_evict(&r, pods, "default", "e", body, &said);
                assert_int_equal(st ? st->code : 0, cases[i].code);
        }
        assert_null(store_get(server.store, "/registry/pods/default/e"));
        begin(&r, a);
        refused(a, &r);
}

#define ON_FIBER(name)                                                                                                 \
        static void test_##name(void **state)                                                                          \
        {                                                                                                              \
                if (!have_etcd)                                                                                        \
                        skip();                                                                                        \
                fiber_run(server.loop, name, NULL);                                                                    \
        }
ON_FIBER(config_maps)
ON_FIBER(names)
ON_FIBER(admin_claim)
ON_FIBER(devices_given_back)
ON_FIBER(service)
ON_FIBER(finalizers)
ON_FIBER(workloads)
ON_FIBER(eviction)
ON_FIBER(binding)

/* Version 1 of an autoscaler has its metrics in annotations, as text: in the order of its structs, and back. */
static void test_metrics_in_annotations(void **state)
{
        static const char text[] =
                "{\"metadata\":{\"name\":\"h\"},\"spec\":{\"metrics\":[{\"type\":\"Pods\",\"pods\":{\"metric\":{\"name\":\"m\","
                "\"selector\":{\"matchLabels\":{\"a\":\"b\"}}},\"target\":{\"type\":\"AverageValue\",\"averageValue\":\"5\"}}}]},"
                "\"status\":{\"currentMetrics\":[{\"type\":\"Resource\",\"resource\":{\"name\":\"cpu\",\"current\":"
                "{\"averageUtilization\":40}}}]}}";
        static const char prefix[] = "autoscaling.alpha.kubernetes.io/";
        const struct resource *v1 = builtin_resource("autoscaling", "v1", "horizontalpodautoscalers");
        const struct resource *v2 = builtin_resource("autoscaling", "v2", "horizontalpodautoscalers");
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct json *obj = NULL, *old, *annotations;

        assert_int_equal(json_parse(a, text, strlen(text), NULL, &obj, NULL), 0);
        old = convert_object(a, v2, v1, obj);
        annotations = json_path(old, "metadata.annotations");
        assert_string_equal(json_get_string(annotations, arena_printf(a, "%smetrics", prefix)),
                            "[{\"type\":\"Pods\",\"pods\":{\"metricName\":\"m\",\"targetAverageValue\":\"5\",\"selector\":"
                            "{\"matchLabels\":{\"a\":\"b\"}}}}]");
        assert_string_equal(json_get_string(annotations, arena_printf(a, "%scurrent-metrics", prefix)),
                            "[{\"type\":\"Resource\",\"resource\":{\"name\":\"cpu\",\"currentAverageUtilization\":40,"
                            "\"currentAverageValue\":\"0\"}}]");
        assert_int_equal(json_path_int(old, "status.currentCPUUtilizationPercentage", 0), 40);
        obj = convert_object(a, v1, v2, old);
        assert_string_equal(json_path_string(json_at(json_path(obj, "spec.metrics"), 0), "pods.target.averageValue"), "5");
        assert_int_equal(json_path_int(json_at(json_path(obj, "status.currentMetrics"), 0), "resource.current.averageUtilization", 0),
                         40);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_metrics_in_annotations),
                cmocka_unit_test(test_config_maps),
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_admin_claim),
                cmocka_unit_test(test_devices_given_back),
                cmocka_unit_test(test_service),
                cmocka_unit_test(test_finalizers),
                cmocka_unit_test(test_workloads),
                cmocka_unit_test(test_eviction),
                cmocka_unit_test(test_binding),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
