/* The decisions of aggregation: availability, places, documents, and the APIServices made for ourselves. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "../schema/discovery.h"
#include "decide.h"

static struct arena *a;

static int setup(void **state)
{
        a = arena_new(0);
        return 0;
}

static int teardown(void **state)
{
        arena_free(a);
        return 0;
}

static struct json *parse(const char *text)
{
        struct json *j = NULL;

        assert_int_equal(json_parse(a, text, strlen(text), NULL, &j, NULL), 0);
        return j;
}

#define API_SERVICE "{\"spec\":{\"service\":{\"namespace\":\"ns\",\"name\":\"s\",\"port\":443}}}"
#define SERVICE "{\"metadata\":{\"name\":\"s\"},\"spec\":{\"type\":\"ClusterIP\",\"clusterIP\":\"10.0.0.7\",\"ports\":[{\"name\":\"https\",\"port\":443}]}}"
#define SLICES "[{\"ports\":[{\"name\":\"https\",\"port\":8443}],\"endpoints\":[{\"addresses\":[\"10.1.0.1\"],\"conditions\":{\"ready\":false}}," \
               "{\"addresses\":[\"10.1.0.2\"]},{\"addresses\":[\"10.1.0.3\"],\"conditions\":{\"ready\":true}}]}]"

static void assert_available(const char *service, const char *slices, const char *reason, const char *message)
{
        struct availability v = availability_of_service(a, parse(API_SERVICE), service ? parse(service) : NULL, parse(slices));

        if (!reason) {
                assert_null(v.reason);
                return;
        }
        assert_string_equal(v.status, "False");
        assert_string_equal(v.reason, reason);
        assert_string_equal(v.message, message);
}

static void test_availability(void **state)
{
        assert_available(NULL, "[]", "ServiceNotFound", "service/s in \"ns\" is not present");
        assert_available("{\"spec\":{\"ports\":[{\"port\":80}]}}", SLICES, "ServicePortError",
                         "service/s in \"ns\" is not listening on port 443");
        assert_available(SERVICE, "[]", "EndpointsNotFound", "cannot find endpointslices for service/s in \"ns\"");
        assert_available(SERVICE, "[{\"ports\":[{\"name\":\"x\",\"port\":1}],\"endpoints\":[{\"addresses\":[\"10.1.0.1\"]}]}]",
                         "MissingEndpoints", "endpointslices for service/s in \"ns\" have no addresses with port name \"https\"");
        assert_available(SERVICE, SLICES, NULL, NULL);
        assert_available("{\"spec\":{\"type\":\"ExternalName\"}}", "[]", NULL, NULL);
}

static void test_condition(void **state)
{
        struct availability v = {"True", "Passed", "all checks passed"};
        struct json *list, *again;

        assert_true(availability_set(a, NULL, &v, "T1", &list));
        assert_string_equal(json_print(a, list), "[{\"type\":\"Available\",\"lastTransitionTime\":\"T1\",\"status\":\"True\","
                                                 "\"reason\":\"Passed\",\"message\":\"all checks passed\"}]");
        assert_false(availability_set(a, list, &v, "T2", &again));
        v.message = "other";
        assert_true(availability_set(a, list, &v, "T2", &again));
        assert_string_equal(json_get_string(json_at(again, 0), "lastTransitionTime"), "T1");
        v.status = "False";
        assert_true(availability_set(a, list, &v, "T2", &again));
        assert_string_equal(json_get_string(json_at(again, 0), "lastTransitionTime"), "T2");
}

static void test_places(void **state)
{
        struct place p;

        assert_int_equal(service_place(a, parse(SERVICE), parse(SLICES), 443, false, 0, &p, NULL), 0);
        assert_string_equal(p.host, "10.0.0.7");
        assert_int_equal(p.port, 443);
        assert_int_equal(service_place(a, parse(SERVICE), parse(SLICES), 443, true, 0, &p, NULL), 0);
        assert_string_equal(p.host, "10.1.0.2");
        assert_int_equal(p.port, 8443);
        assert_int_equal(service_place(a, parse(SERVICE), parse(SLICES), 443, true, 1, &p, NULL), 0);
        assert_string_equal(p.host, "10.1.0.3");
        assert_true(service_place(a, parse(SERVICE), parse("[]"), 443, true, 1, &p, NULL) < 0);
        assert_true(service_place(a, parse(SERVICE), parse(SLICES), 80, false, 1, &p, NULL) < 0);
        assert_true(service_place(a, NULL, parse(SLICES), 443, false, 1, &p, NULL) < 0);
}

static void test_paths(void **state)
{
        const char *group, *version;

        assert_true(path_group_version(a, "/apis/metrics.k8s.io/v1beta1/nodes", &group, &version));
        assert_string_equal(group, "metrics.k8s.io");
        assert_string_equal(version, "v1beta1");
        assert_true(path_group_version(a, "/apis/g/v1", &group, &version));
        assert_false(path_group_version(a, "/apis/g", &group, &version));
        assert_false(path_group_version(a, "/apis/g/", &group, &version));
        assert_false(path_group_version(a, "/api/v1", &group, &version));
}

static void test_documents(void **state)
{
        struct json *legacy = parse("{\"resources\":[{\"name\":\"nodes\",\"singularName\":\"\",\"namespaced\":false,\"kind\":\"NodeMetrics\","
                                    "\"verbs\":[\"get\",\"list\"]},{\"name\":\"nodes/x\",\"kind\":\"X\",\"verbs\":[\"get\"]}]}");
        struct json *index = parse("{\"paths\":{\"apis/g/v1\":{\"serverRelativeURL\":\"/openapi/v3/apis/g/v1?hash=AB12\"}}}");

        assert_string_equal(json_print(a, discovery_from_legacy(a, legacy)),
                            "[{\"resource\":\"nodes\",\"responseKind\":{\"group\":\"\",\"version\":\"\",\"kind\":\"NodeMetrics\"},"
                            "\"scope\":\"Cluster\",\"singularResource\":\"\",\"verbs\":[\"get\",\"list\"],\"subresources\":"
                            "[{\"subresource\":\"x\",\"responseKind\":{\"group\":\"\",\"version\":\"\",\"kind\":\"X\"},\"verbs\":[\"get\"]}]}]");
        assert_string_equal(openapi_v3_pick(a, index, "g", "v1"), "AB12");
        assert_null(openapi_v3_pick(a, index, "g", "v2"));
        assert_null(openapi_v2_pick(a, parse("{\"paths\":{\"/apis/h/v1/\":{}}}"), "g", "v1"));
        assert_int_equal(json_len(json_get(openapi_v2_pick(a, parse("{\"paths\":{\"/apis/g/v1/x\":{},\"/apis/h/v1/\":{}}}"), "g", "v1"),
                                           "paths")), 1);
}

static void test_definitions(void **state)
{
        struct json *doc = parse("{\"paths\":{\"/apis/g/v1/x\":{\"get\":{\"schema\":{\"$ref\":\"#/definitions/a\"}}},\"/apis/g/v1/\\\"\":{}},"
                                 "\"definitions\":{\"a\":{\"items\":[{\"$ref\":\"#/definitions/b\"}]},\"b\":{\"x\":{\"$ref\":\"#/definitions/a\"}},\"c\":{}}}");
        struct json *out = openapi_v2_pick(a, doc, "g", "v1");

        assert_int_equal(json_len(json_get(out, "paths")), 1);
        assert_int_equal(json_len(json_get(out, "definitions")), 2);
        assert_non_null(json_path(out, "definitions.b"));
}

static void test_order(void **state)
{
        static const struct discovery_remote low = {.group = "low.io", .version = "v1", .group_priority = 100, .version_priority = 5,
                                                    .resources = "[]", .openapi_v3_hash = ""};
        static const struct discovery_remote high = {.group = "high.io", .version = "v1", .group_priority = 17650, .version_priority = 5,
                                                     .resources = "[]", .openapi_v3_hash = ""};
        static const struct discovery_remote beta = {.group = "high.io", .version = "v1beta1", .group_priority = 50,
                                                     .version_priority = 7, .resources = "[]", .openapi_v3_hash = ""};
        const struct discovery_remote *const remotes[] = {&low, &beta, &high};
        const struct discovery_extra extra = {.remotes = remotes, .n_remotes = 3};
        char etag[DISCOVERY_ETAG];
        struct buffer *b;
        size_t n;
        _cleanup_free_ struct discovery_place *groups = discovery_order(&extra, NULL, &n);
        _cleanup_free_ struct discovery_place *versions = NULL;

        assert_string_equal(groups[0].name, "apiregistration.k8s.io");
        assert_string_equal(groups[3].name, "authentication.k8s.io");
        assert_string_equal(groups[4].name, "high.io");
        assert_string_equal(groups[n - 1].name, "low.io");
        versions = discovery_order(&extra, "high.io", &n);
        assert_int_equal(n, 2);
        assert_string_equal(versions[0].name, "v1beta1");
        b = discovery_aggregated(false, &extra, etag);
        assert_non_null(strstr(b->data, "\"name\":\"low.io\",\"creationTimestamp\":null},\"versions\":[{\"version\":\"v1\",\"freshness\":\"Current\"}]"));
        buffer_unref(b);
        b = discovery_group("high.io", &extra);
        assert_non_null(strstr(b->data, "\"preferredVersion\":{\"groupVersion\":\"high.io/v1beta1\""));
        buffer_unref(b);
}

/* Every built-in group stands where its priority says: the tables alone and the tables merged with others agree. */
static void test_builtin_order(void **state)
{
        const struct discovery_extra extra = { 0 };
        size_t n;
        _cleanup_free_ struct discovery_place *groups = discovery_order(&extra, NULL, &n);

        assert_int_equal(n, n_builtin_groups - 1);
        for (size_t i = 0; i < n; i++)
                assert_string_equal(groups[i].name, builtin_groups[i + 1].name);
}

static struct json *managed(const char *label, int priority)
{
        return parse(arena_printf(a, "{\"metadata\":{\"name\":\"v1.g\",\"labels\":{\"" AUTOMANAGED_LABEL "\":\"%s\"}},"
                                     "\"spec\":{\"group\":\"g\",\"version\":\"v1\",\"versionPriority\":100,\"groupPriorityMinimum\":%d}}",
                                  label, priority));
}

static void test_automanaged(void **state)
{
        struct json *always = automanaged_object(a, "g", "v1", 1000, 100, AUTOMANAGED_ALWAYS);
        struct json *once = automanaged_object(a, "g", "v1", 1000, 100, AUTOMANAGED_ONSTART);
        static const struct {
                const char *label; /* NULL: none is there */
                int priority;
                bool want, once, done;
                enum automanaged_action action;
        } cases[] = {
                {NULL, 0, false, false, false, AUTOMANAGED_KEEP},  {NULL, 0, true, false, true, AUTOMANAGED_CREATE},
                {NULL, 0, true, true, false, AUTOMANAGED_CREATE},  {NULL, 0, true, true, true, AUTOMANAGED_KEEP},
                {"", 5, true, false, false, AUTOMANAGED_KEEP},     {"true", 1000, true, false, true, AUTOMANAGED_KEEP},
                {"true", 5, true, false, true, AUTOMANAGED_UPDATE}, {"true", 5, false, false, true, AUTOMANAGED_DELETE},
                {"onstart", 5, true, true, false, AUTOMANAGED_UPDATE}, {"onstart", 5, true, true, true, AUTOMANAGED_KEEP},
                {"onstart", 5, false, false, false, AUTOMANAGED_DELETE}, {"onstart", 5, false, false, true, AUTOMANAGED_KEEP},
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
                assert_int_equal(automanaged_decide(cases[i].label ? managed(cases[i].label, cases[i].priority) : NULL,
                                                    !cases[i].want ? NULL : cases[i].once ? once : always, cases[i].done),
                                 cases[i].action);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_availability, setup, teardown),
                cmocka_unit_test_setup_teardown(test_condition, setup, teardown),
                cmocka_unit_test_setup_teardown(test_places, setup, teardown),
                cmocka_unit_test_setup_teardown(test_paths, setup, teardown),
                cmocka_unit_test_setup_teardown(test_documents, setup, teardown),
                cmocka_unit_test_setup_teardown(test_definitions, setup, teardown),
                cmocka_unit_test_setup_teardown(test_order, setup, teardown),
                cmocka_unit_test_setup_teardown(test_builtin_order, setup, teardown),
                cmocka_unit_test_setup_teardown(test_automanaged, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
