/* Managed fields of new objects: the quick way says what the general one says. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "decode.h"
#include "managed-fields.h"

#include "../../lib/json/json.h"

#define NOW INT64_C(1767225600000000000)

static const struct {
        const char *group, *version, *resource, *object;
} cases[] = {
        { "", "v1", "configmaps", "{\"metadata\":{\"name\":\"a\"}}" },
        { "", "v1", "configmaps", "{\"metadata\":{\"name\":\"a\",\"labels\":{\"z\":\"1\",\"a\":\"2\",\"a.b/c\":\"3\"}},\"data\":{\"k\":\"v\",\"\":\"w\"}}" },
        { "", "v1", "configmaps", "{\"metadata\":{\"generateName\":\"a\",\"finalizers\":[\"b.c/d\",\"a.b/c\"],\"annotations\":{}},\"data\":{}}" },
        { "", "v1", "configmaps",
          "{\"metadata\":{\"name\":\"a\",\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"name\":\"x\",\"uid\":\"2\"},"
          "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"name\":\"y\",\"uid\":\"1\"}]},\"immutable\":true}" },
        { "", "v1", "pods",
          "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"containers\":[{\"name\":\"b\",\"image\":\"i\",\"ports\":[{\"containerPort\":80,"
          "\"protocol\":\"UDP\"},{\"containerPort\":80,\"protocol\":\"TCP\"}],\"env\":[{\"name\":\"Z\",\"value\":\"1\"},{\"name\":\"A\"},"
          "{\"name\":\"Z\"}]},{\"name\":\"a\\\"q\",\"command\":[\"x\",\"y\"],\"resources\":{\"limits\":{\"memory\":\"1Gi\",\"cpu\":\"1\"}}}],"
          "\"tolerations\":[{\"key\":\"k\"}],\"securityContext\":{},\"terminationGracePeriodSeconds\":0},\"status\":{\"phase\":\"Running\"}}" },
        { "", "v1", "services",
          "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"ports\":[{\"port\":80,\"protocol\":\"TCP\",\"targetPort\":\"http\"}],\"selector\":{\"a\":\"b\"},"
          "\"externalIPs\":[\"1.2.3.4\"],\"type\":\"ClusterIP\"},\"status\":{\"loadBalancer\":{\"ingress\":[{\"ip\":\"1.1.1.1\"}]}}}" },
        { "apps", "v1", "deployments",
          "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"replicas\":0,\"selector\":{\"matchLabels\":{\"a\":\"b\"}},\"template\":{\"metadata\":{"
          "\"labels\":{\"a\":\"b\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"resources\":{}}]}}},\"status\":{\"replicas\":1}}" },
        { "rbac.authorization.k8s.io", "v1", "clusterroles", "{\"metadata\":{\"name\":\"a\"},\"rules\":[{\"verbs\":[\"get\"]}],\"aggregationRule\":{}}" },
        { "apiextensions.k8s.io", "v1", "customresourcedefinitions",
          "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"group\":\"g\",\"names\":{\"plural\":\"as\",\"kind\":\"A\"},\"versions\":[{\"name\":\"v1\","
          "\"schema\":{\"openAPIV3Schema\":{\"type\":\"object\",\"properties\":{\"x\":{\"enum\":[1,{\"a\":2}]}}}}}]}}" },
        { "certificates.k8s.io", "v1", "certificatesigningrequests", "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"usages\":[\"any\"]},\"status\":{\"certificate\":\"YQ==\"}}" },
        { "", "v1", "nodes", "{\"metadata\":{\"name\":\"a\"},\"spec\":{},\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}" },
        { "", "v1", "events", "{\"metadata\":{\"name\":\"a\"},\"involvedObject\":{\"kind\":\"Pod\"},\"count\":0,\"firstTimestamp\":null}" },
};

static struct json *made(struct arena *a, size_t i)
{
        const struct resource *res = builtin_resource(cases[i].group, cases[i].version, cases[i].resource);
        struct json *j = NULL;

        assert_non_null(res);
        assert_int_equal(json_parse(a, cases[i].object, strlen(cases[i].object), NULL, &j, NULL), 0);
        schema_decode(a, res->schema, j, NULL, NULL);
        schema_canonicalise(a, res->schema, j);
        return j;
}

static void test_as_updates(void **state)
{
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                const struct resource *res = builtin_resource(cases[i].group, cases[i].version, cases[i].resource);
                _cleanup_arena_ struct arena *a = arena_new(0);
                struct json *x = made(a, i), *y = made(a, i);

                managed_fields_update(a, res, NULL, x, "m", "", NOW);
                managed_fields_create(a, res, y, "m", NOW);
                assert_string_equal(json_print(a, y), json_print(a, x));
                managed_fields_create(a, res, y, "n", NOW); /* with entries, it is the general way */
                managed_fields_update(a, res, NULL, x, "n", "", NOW);
                assert_string_equal(json_print(a, y), json_print(a, x));
        }
}

static void test_text(void **state)
{
        const struct resource *res = builtin_resource("", "v1", "configmaps");
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct json *j = made(a, 1);

        managed_fields_create(a, res, j, "", NOW);
        assert_string_equal(json_print(a, json_path(j, "metadata.managedFields")),
                            "[{\"manager\":\"unknown\",\"operation\":\"Update\",\"apiVersion\":\"v1\",\"time\":\"2026-01-01T00:00:00Z\","
                            "\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:data\":{\".\":{},\"f:\":{},\"f:k\":{}},\"f:metadata\":{"
                            "\"f:labels\":{\".\":{},\"f:a\":{},\"f:a.b/c\":{},\"f:z\":{}}}}}]");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_as_updates),
                cmocka_unit_test(test_text),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
