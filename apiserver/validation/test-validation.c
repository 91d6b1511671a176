/* The rules at work: for each, an object that breaks it and what is said. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "../schema/decode.h"
#include "../schema/default.h"
#include "rules.h"
#include "validate.h"

struct rule_case {
        const char *group, *resource;
        const char *object; /* without apiVersion; "metadata" is filled in */
        const char *old;    /* of an update; NULL: a create */
        const char *sub;
        const char *path, *detail; /* of the first error; PATH NULL: none */
};

static struct json *make(struct arena *a, const struct resource *res, const char *text)
{
        struct json *obj = NULL, *meta;

        if (json_parse(a, text, strlen(text), NULL, &obj, NULL) < 0)
                fail_msg("not JSON: %s", text);
        meta = json_ensure_object(a, obj, "metadata");
        if (!json_get(meta, "name"))
                json_set_string(a, meta, "name", "x");
        if (res->namespaced)
                json_set_string(a, meta, "namespace", "default");
        json_set_string(a, meta, "resourceVersion", "1");
        json_set_string(a, obj, "kind", res->kind);
        assert_int_equal(schema_decode(a, res->schema, obj, NULL, NULL), 0);
        schema_default(a, res, obj);
        schema_canonicalise(a, res->schema, obj);
        return obj;
}

static void check(const struct rule_case *k, size_t i)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        const struct resource *res = builtin_resource(k->group, streq(k->group, "autoscaling") ? "v2" : "v1", k->resource);
        struct field_errors errs = {.arena = a};
        struct json *old;

        if (!res)
                fail_msg("no resource %s", k->resource);
        old = k->old ? make(a, res, k->old) : NULL;
        validate_object(NULL, res, make(a, res, k->object), old, k->sub ? k->sub : "", &errs);
        if (!k->path) {
                if (errs.n)
                        fail_msg("case %zu: %s: %s: %s", i, k->object, errs.list[0].path, errs.list[0].detail);
                return;
        }
        if (!errs.n)
                fail_msg("case %zu: let in: %s", i, k->object);
        assert_string_equal(errs.list[0].path, k->path);
        if (k->detail)
                assert_string_equal(errs.list[0].detail ? errs.list[0].detail : "", k->detail);
}

static void run(const struct rule_case *cases, size_t n)
{
        for (size_t i = 0; i < n; i++)
                check(&cases[i], i);
}

#define POD(container, rest) "{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"" container "}]" rest "}}"

static void test_pods(void **state)
{
        static const struct rule_case cases[] = {
                {"", "pods", POD("", ""), NULL, NULL, NULL, NULL},
                {"", "pods", POD(",\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"spec.foo\"}}}]", ""), NULL, NULL,
                 "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath",
                 "error converting fieldPath: field label not supported: spec.foo"},
                {"", "pods", POD(",\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"metadata.labels['a']\"}}}]", ""),
                 NULL, NULL, NULL, NULL},
                {"", "pods", POD(",\"env\":[{\"name\":\"A\",\"valueFrom\":{\"resourceFieldRef\":{\"resource\":\"limits.cpu\",\"divisor\":\"2\"}}}]", ""),
                 NULL, NULL, "spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor",
                 "only divisor's values 1m and 1 are supported with the cpu resource"},
                {"", "pods", POD(",\"ports\":[{\"containerPort\":80,\"hostPort\":8},{\"containerPort\":81,\"hostPort\":8}]", ""), NULL, NULL,
                 "spec.containers[0].ports[1].hostPort", ""},
                {"", "pods", POD(",\"resources\":{\"limits\":{\"hugepages-2Mi\":\"3Mi\",\"cpu\":\"1\"}}", ""), NULL, NULL,
                 "spec.containers[0].resources.limits[hugepages-2Mi]", "3Mi is not positive integer multiple of hugepages-2Mi"},
                {"", "pods", POD(",\"resources\":{\"claims\":[{\"name\":\"x\"}]}", ""), NULL, NULL,
                 "spec.containers[0].resources.claims[0]", "must be one of the names in pod.spec.resourceClaims which is empty"},
                {"", "pods", POD("", ",\"os\":{\"name\":\"plan9\"}"), NULL, NULL, "spec.os", NULL},
                {"", "pods", POD("", ",\"schedulingGates\":[{\"name\":\"a b\"}]"), NULL, NULL, "spec.schedulingGates[0]", NULL},
                {"", "pods", POD("", ",\"dnsConfig\":{\"options\":[{\"value\":\"x\"}]}"), NULL, NULL, "spec.dnsConfig.options[0]",
                 "must not be empty"},
                {"", "pods", POD("", ",\"securityContext\":{\"sysctls\":[{\"name\":\"a b\",\"value\":\"1\"}]}"), NULL, NULL,
                 "spec.securityContext.sysctls[0].name", NULL},
                {"", "pods", POD("", ",\"volumes\":[{\"name\":\"v\",\"emptyDir\":{\"sizeLimit\":\"-1\"}}]"), NULL, NULL,
                 "spec.volumes[0].emptyDir.sizeLimit", "SizeLimit field must be a valid resource quantity"},
                {"", "pods", POD("", ",\"volumes\":[{\"name\":\"v\",\"downwardAPI\":{\"items\":[{\"path\":\"p\"}]}}]"), NULL, NULL,
                 "spec.volumes[0].downwardAPI", "one of fieldRef and resourceFieldRef is required"},
                {"", "pods", POD("", ",\"terminationGracePeriodSeconds\":1"), POD("", ",\"terminationGracePeriodSeconds\":30"), NULL, "spec",
                 NULL},
                {"", "pods", POD("", ",\"ephemeralContainers\":[{\"name\":\"c\",\"image\":\"i\"}]"), POD("", ""), "ephemeralcontainers",
                 "spec.ephemeralContainers[0].name", ""},
                {"", "pods", POD(",\"resources\":{\"limits\":{\"cpu\":\"1\"}}", ""), POD("", ""), "resize", "spec",
                 "Pod QOS Class may not change as a result of resizing"},
                {"", "pods", POD(",\"lifecycle\":{\"preStop\":{\"sleep\":{\"seconds\":500}}}", ",\"terminationGracePeriodSeconds\":30"), NULL, NULL,
                 "spec.containers[0].lifecycle.preStop.sleep",
                 "must be non-negative and less than terminationGracePeriodSeconds (30)"},
                {"", "pods", POD(",\"restartPolicy\":\"Never\",\"restartPolicyRules\":[{\"action\":\"Restart\"}]", ""), NULL, NULL,
                 "spec.containers[0].restartPolicyRules[0].exitCodes", "must be specified"},
                {"", "pods", POD(",\"resizePolicy\":[{\"resourceName\":\"x\",\"restartPolicy\":\"NotRequired\"}]", ""), NULL, NULL,
                 "spec.containers[0].resizePolicy", NULL},
                {"", "pods", POD(",\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fileKeyRef\":{\"volumeName\":\"v\",\"path\":\"a\",\"key\":\"K\"}}}]", ""),
                 NULL, NULL, "spec.containers[0].env[0].valueFrom.fileKeyRef.volumeName", NULL},
        };

        run(cases, ARRAY_SIZE(cases));
}

#define INGRESS(path) "{\"spec\":{\"rules\":[{\"http\":{\"paths\":[" path "]}}]}}"

static void test_networking(void **state)
{
        static const struct rule_case cases[] = {
                {"networking.k8s.io", "ingresses", "{}", NULL, NULL, "spec", "either `defaultBackend` or `rules` must be specified"},
                {"networking.k8s.io", "ingresses", "{\"spec\":{\"rules\":[{\"host\":\"1.2.3.4\"}]}}", NULL, NULL, "spec.rules[0].host",
                 "must be a DNS name, not an IP address"},
                {"networking.k8s.io", "ingresses", INGRESS("{\"path\":\"/\"}"), NULL, NULL, "spec.rules[0].http.paths[0].pathType",
                 "pathType must be specified"},
                {"networking.k8s.io", "ingresses",
                 INGRESS("{\"path\":\"/a//b\",\"pathType\":\"Prefix\",\"backend\":{\"service\":{\"name\":\"s\",\"port\":{\"number\":1}}}}"), NULL,
                 NULL, "spec.rules[0].http.paths[0].path", "must not contain '//'"},
                {"networking.k8s.io", "ingressclasses", "{\"spec\":{\"controller\":\"bad\"}}", NULL, NULL, "spec.controller",
                 "must be a domain-prefixed path (such as \"acme.io/foo\")"},
                {"discovery.k8s.io", "endpointslices", "{\"addressType\":\"IPv6\",\"endpoints\":[{\"addresses\":[\"10.1.2.3\"]}]}", NULL, NULL,
                 "endpoints[0].addresses", "must be an IPv6 address"},
                {"discovery.k8s.io", "endpointslices", "{\"addressType\":\"IPv4\",\"endpoints\":[{\"addresses\":[\"127.0.0.1\"]}]}", NULL, NULL,
                 "endpoints[0].addresses[0]", "may not be in the loopback range (127.0.0.0/8, ::1/128)"},
                {"", "endpoints", "{\"subsets\":[{\"ports\":[{\"port\":1}]}]}", NULL, NULL, "subsets[0]",
                 "must specify `addresses` or `notReadyAddresses`"},
                {"networking.k8s.io", "networkpolicies", "{\"spec\":{\"podSelector\":{},\"egress\":[{\"to\":[{}]}]}}", NULL, NULL,
                 "spec.egress[0].to[0]", "must specify a peer"},
                {"", "services", "{\"spec\":{\"ports\":[{\"port\":80}],\"loadBalancerClass\":\"a/b\"}}", NULL, NULL, "spec.loadBalancerClass",
                 "may only be used when `type` is 'LoadBalancer'"},
        };

        run(cases, ARRAY_SIZE(cases));
}

#define TEMPLATE "\"selector\":{\"matchLabels\":{\"a\":\"b\"}},\"template\":{\"metadata\":{\"labels\":{\"a\":\"b\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}"
#define CRON(schedule, more) "{\"spec\":{\"schedule\":\"" schedule "\"" more ",\"jobTemplate\":{\"spec\":{\"template\":{\"spec\":{\"restartPolicy\":\"Never\",\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}}}}}"

static void test_workloads(void **state)
{
        static const struct rule_case cases[] = {
                {"apps", "statefulsets", "{\"spec\":{\"serviceName\":\"s\"," TEMPLATE ",\"updateStrategy\":{\"type\":\"OnDelete\",\"rollingUpdate\":{\"partition\":1}}}}",
                 NULL, NULL, "spec.updateStrategy.rollingUpdate", "only allowed for updateStrategy 'RollingUpdate'"},
                {"apps", "daemonsets", "{\"spec\":{" TEMPLATE ",\"updateStrategy\":{\"type\":\"RollingUpdate\",\"rollingUpdate\":{\"maxUnavailable\":0,\"maxSurge\":0}}}}",
                 NULL, NULL, "spec.updateStrategy.rollingUpdate.maxUnavailable", "cannot be 0 when maxSurge is 0"},
                {"batch", "cronjobs", CRON("*/5 1-3 * jan MON", ""), NULL, NULL, NULL, NULL},
                {"batch", "cronjobs", CRON("60 * * * *", ""), NULL, NULL, "spec.schedule", "end of range (60) above maximum (59): 60"},
                {"batch", "cronjobs", CRON("* * * *", ""), NULL, NULL, "spec.schedule", "expected exactly 5 fields, found 4: [* * * *]"},
                {"batch", "cronjobs", CRON("@daily", ",\"timeZone\":\"Local\""), NULL, NULL, "spec.timeZone", NULL},
                {"autoscaling", "horizontalpodautoscalers", "{\"spec\":{\"minReplicas\":5,\"maxReplicas\":3,\"scaleTargetRef\":{\"kind\":\"D\",\"name\":\"x\"}}}",
                 NULL, NULL, "spec.maxReplicas", "must be greater than or equal to `minReplicas`"},
                {"apps", "deployments", "{\"spec\":{" TEMPLATE ",\"strategy\":{\"type\":\"Foo\"}}}", NULL, NULL, "spec.strategy", NULL},
                {"batch", "jobs", "{\"status\":{\"startTime\":\"2024-01-02T03:04:05Z\",\"conditions\":[{\"type\":\"Failed\",\"status\":\"True\"}]}}", "{}",
                 "status", "status.conditions", "cannot set Failed=True condition without the FailureTarget=true condition"},
                {"policy", "poddisruptionbudgets", "{\"spec\":{\"minAvailable\":\"200x\"}}", NULL, NULL, "spec.minAvailable", NULL},
        };

        run(cases, ARRAY_SIZE(cases));
}

static void test_storage(void **state)
{
        static const struct rule_case cases[] = {
                {"", "persistentvolumeclaims", "{\"spec\":{\"accessModes\":[\"ReadWriteOnce\"]}}", NULL, NULL, "spec.resources[storage]", ""},
                {"", "persistentvolumeclaims",
                 "{\"spec\":{\"accessModes\":[\"ReadWriteOnce\"],\"resources\":{\"requests\":{\"storage\":\"2Gi\"}}}}",
                 "{\"spec\":{\"accessModes\":[\"ReadWriteOnce\"],\"resources\":{\"requests\":{\"storage\":\"1Gi\"}}}}", NULL, "spec", NULL},
                {"", "persistentvolumeclaims",
                 "{\"spec\":{\"accessModes\":[\"ReadWriteOnce\"],\"volumeName\":\"v\",\"resources\":{\"requests\":{\"storage\":\"1Gi\"}}}}",
                 "{\"spec\":{\"accessModes\":[\"ReadWriteOnce\"],\"resources\":{\"requests\":{\"storage\":\"1Gi\"}}}}", NULL, NULL, NULL},
                {"", "persistentvolumes", "{\"spec\":{\"accessModes\":[\"ReadWriteOnce\"],\"capacity\":{\"storage\":\"1Gi\"}}}", NULL, NULL, "spec",
                 "must specify a volume type"},
                {"storage.k8s.io", "csinodes", "{\"spec\":{\"drivers\":[{\"name\":\"a\",\"nodeID\":\"n\"},{\"name\":\"a\",\"nodeID\":\"n\"}]}}", NULL,
                 NULL, "spec.drivers[1].name", ""},
                {"storage.k8s.io", "volumeattachments", "{\"spec\":{\"attacher\":\"a\",\"nodeName\":\"n\",\"source\":{}}}", NULL, NULL,
                 "spec.source", "must specify exactly one of inlineVolumeSpec and persistentVolumeName"},
        };

        run(cases, ARRAY_SIZE(cases));
}

static void test_small_kinds(void **state)
{
        static const struct rule_case cases[] = {
                {"", "limitranges", "{\"spec\":{\"limits\":[{\"type\":\"Container\",\"min\":{\"cpu\":\"2\"},\"max\":{\"cpu\":\"1\"}}]}}", NULL, NULL,
                 "spec.limits[0].min[cpu]", "min value 2 is greater than max value 1"},
                {"", "resourcequotas", "{\"spec\":{\"hard\":{\"pods\":\"1500m\"}}}", NULL, NULL, "spec.hard[pods]", "must be an integer"},
                {"", "resourcequotas", "{\"spec\":{\"hard\":{\"pods\":\"1\"},\"scopes\":[\"Terminating\",\"NotTerminating\"]}}", NULL, NULL,
                 "spec.scopes", "conflicting scopes"},
                {"", "secrets", "{\"type\":\"kubernetes.io/tls\"}", NULL, NULL, "data[tls.crt]", ""},
                {"", "secrets", "{\"type\":\"kubernetes.io/dockerconfigjson\",\"data\":{\".dockerconfigjson\":\"YQ==\"}}", NULL, NULL,
                 "data[.dockerconfigjson]", "invalid character 'a' looking for beginning of value"},
                {"", "secrets", "{\"type\":\"kubernetes.io/dockerconfigjson\",\"data\":{\".dockerconfigjson\":\"e30=\"}}", NULL, NULL,
                 NULL, NULL},
                {"", "secrets", "{\"type\":\"kubernetes.io/ssh-auth\",\"data\":{\"ssh-privatekey\":\"\"}}", NULL, NULL,
                 "data[ssh-privatekey]", ""},
                {"", "configmaps", "{\"data\":{\"a\":\"1\"},\"binaryData\":{\"a\":\"AA==\"}}", NULL, NULL, "data[a]",
                 "duplicate of key present in binaryData"},
                {"", "nodes", "{\"spec\":{\"taints\":[{\"key\":\"a\",\"effect\":\"Foo\"}]}}", NULL, NULL, "metadata.taints[0].effect", NULL},
                {"", "nodes", "{}", "{\"spec\":{\"providerID\":\"p\"}}", NULL, "spec.providerID", NULL},
                {"certificates.k8s.io", "certificatesigningrequests",
                 "{\"spec\":{\"request\":\"MQ==\",\"signerName\":\"a.b/c\",\"usages\":[\"client auth\"]}}", NULL, NULL, "spec.request",
                 "PEM block type must be CERTIFICATE REQUEST"},
                {"admissionregistration.k8s.io", "validatingwebhookconfigurations",
                 "{\"webhooks\":[{\"name\":\"bad\",\"sideEffects\":\"None\",\"clientConfig\":{\"url\":\"https://x\"},\"admissionReviewVersions\":[\"v1\"]}]}",
                 NULL, NULL, "webhooks[0].name", "should be a domain with at least three segments separated by dots"},
                {"apiregistration.k8s.io", "apiservices",
                 "{\"metadata\":{\"name\":\"v1.a.com\"},\"spec\":{\"group\":\"b.com\",\"version\":\"v1\",\"groupPriorityMinimum\":1,\"versionPriority\":1}}",
                 NULL, NULL, "metadata.name", "must be `spec.version+\".\"+spec.group`: \"v1.b.com\""},
                {"flowcontrol.apiserver.k8s.io", "flowschemas",
                 "{\"spec\":{\"matchingPrecedence\":10001,\"priorityLevelConfiguration\":{\"name\":\"x\"}}}", NULL, NULL,
                 "spec.matchingPrecedence", "must not be greater than 10000"},
        };

        run(cases, ARRAY_SIZE(cases));
}

/* Updates check metadata as often as upstream does: in full and as a change, for any kind and by the kind. */
static void test_metadata_repeats(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        const struct resource *res = builtin_resource("", "v1", "configmaps");
        struct field_errors errs = {.arena = a};
        struct json *old = make(a, res, "{}"), *obj = make(a, res, "{\"metadata\":{\"labels\":{\"l\":\"a b\"}}}");

        validate_object(NULL, res, obj, old, "", &errs);
        assert_int_equal(errs.n, 4);
}

static void test_diff(void **state)
{
        static const struct {
                const char *was, *is, *expected;
        } cases[] = {
                { "{\"A\":1}", "{\"A\":2}", "@@ -1,3 +1,3 @@\n {\n- \"A\": 1\n+ \"A\": 2\n }\n" },
                { "null", "{}", "@@ -1 +1 @@\n-null\n+{}\n" },
                { "{\"A\":\"a,{\\\"\",\"B\":[]}", "{\"A\":\"a,{\\\"\",\"B\":[1,{}]}",
                  "@@ -1,4 +1,7 @@\n {\n  \"A\": \"a,{\\\"\",\n- \"B\": []\n+ \"B\": [\n+  1,\n+  {}\n+ ]\n }\n" },
                /* What is far apart stands in parts of its own, with three lines around. */
                { "[1,2,3,4,5,6,7,8,9]", "[0,2,3,4,5,6,7,8,9,10]",
                  "@@ -1,5 +1,5 @@\n [\n- 1,\n+ 0,\n  2,\n  3,\n  4,\n@@ -7,5 +7,6 @@\n  6,\n  7,\n  8,\n- 9\n+ 9,\n+ 10\n ]\n" },
                /* Up to six lines between two changes are told, but no more than three at the end. */
                { "[1,2,3,4,5,6,7,8,9,10,11]", "[1,0,3,4,5,6,7,8,0,9,10,11]",
                  "@@ -1,12 +1,13 @@\n [\n  1,\n- 2,\n+ 0,\n  3,\n  4,\n  5,\n  6,\n  7,\n  8,\n+ 0,\n  9,\n  10,\n  11\n" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_arena_ struct arena *a = arena_new(0);

                assert_string_equal(go_diff(a, cases[i].was, cases[i].is), cases[i].expected);
        }
}

static void test_semantic_equality(void **state)
{
        static const struct {
                const char *x, *y;
                bool same;
        } cases[] = {
                { "{\"limits\":{\"cpu\":\"1\"}}", "{\"limits\":{\"cpu\":\"1000m\"}}", true },
                { "{\"limits\":{\"cpu\":\"1\"}}", "{\"limits\":{\"cpu\":\"1001m\"}}", false },
                { "{\"limits\":{},\"claims\":[]}", "{}", true },
                { "{\"limits\":{\"cpu\":\"1\"}}", "{\"limits\":{}}", false },
                { "{\"limits\":{\"cpu\":\"0\"}}", "{\"limits\":{\"memory\":\"0\"}}", false },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                struct json *x = NULL, *y = NULL;

                assert_int_equal(json_parse(a, cases[i].x, strlen(cases[i].x), NULL, &x, NULL), 0);
                assert_int_equal(json_parse(a, cases[i].y, strlen(cases[i].y), NULL, &y, NULL), 0);
                assert_int_equal(semantic_equal(builtin_schema("io.k8s.api.core.v1.ResourceRequirements"), x, y), cases[i].same);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_pods),    cmocka_unit_test(test_networking),  cmocka_unit_test(test_workloads),
                cmocka_unit_test(test_storage), cmocka_unit_test(test_small_kinds), cmocka_unit_test(test_metadata_repeats),
                cmocka_unit_test(test_diff),    cmocka_unit_test(test_semantic_equality),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
