/* The engine over the real tables: what a client sends goes in, what kube-apiserver v1.36 makes of it is expected.
 * Each case is text, so that a failing one can be read. */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../lib/base/time.h"
#include "decode.h"
#include "default.h"
#include "openapi.h"
#include "protobuf.h"
#include "table.h"
#include "table-cells.h"

static struct json *parse(struct arena *a, const char *text)
{
        struct json *j = NULL;

        assert_int_equal(json_parse(a, text, strlen(text), NULL, &j, NULL), 0);
        return j;
}

/* Decoded, defaulted and canonical, or the error's text. */
static const char *round_trip(struct arena *a, const struct resource *res, const char *text)
{
        struct json *obj = parse(a, text);
        struct strict_errors strict = { .arena = a };
        _cleanup_error_ struct error err = ERROR_INIT;

        if (schema_decode(a, res->schema, obj, &strict, &err) < 0)
                return arena_strdup(a, error_text(&err));
        if (strict.n)
                return strict_errors_print(a, &strict);
        schema_default(a, res, obj);
        schema_canonicalise(a, res->schema, obj);
        return json_print(a, obj);
}

/* YAML's own come first, and in one error; clients are warned of each by itself. */
static void test_yaml_duplicates(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct strict_errors errs = { .arena = a };

        assert_null(strict_errors_of_yaml(a, &errs));
        strict_errors_yaml("line 2: key \"a\" already set in map", &errs);
        strict_errors_yaml("line 4: key \"b\" already set in map", &errs);
        strict_errors_add(&errs, "unknown field \"c\"");
        assert_string_equal(strict_errors_print(a, &errs),
                            "strict decoding error: yaml: unmarshal errors:\n  line 2: key \"a\" already set in map\n"
                            "  line 4: key \"b\" already set in map, unknown field \"c\"");
}

static void test_decode_errors(void **state)
{
        static const struct {
                const char *group, *kind, *body, *expected;
        } cases[] = {
                { "apps", "Deployment", "{\"spec\":{\"replicas\":\"3\"}}",
                  "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32" },
                { "apps", "Deployment", "{\"metadata\":{\"bogus\":1},\"spec\":{\"foo\":1,\"template\":{\"spec\":{\"containers\":[{\"x\":1}]}}}}",
                  "strict decoding error: unknown field \"metadata.bogus\", unknown field \"spec.foo\", "
                  "unknown field \"spec.template.spec.containers[0].x\"" },
                { "", "ConfigMap", "{\"data\":{\"a\":1}}",
                  "json: cannot unmarshal number into Go struct field ConfigMap.data of type string" },
                { "", "Pod", "{\"spec\":{\"containers\":[\"x\"]}}",
                  "json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type v1.Container" },
                { "", "Pod", "{\"spec\":{\"containers\":[{\"readinessProbe\":{\"httpGet\":{\"port\":{}}}}]}}",
                  "json: cannot unmarshal object into Go struct field "
                  "HTTPGetAction.spec.containers.readinessProbe.ProbeHandler.httpGet.port of type int32" },
                { "", "Pod", "{\"spec\":{\"overhead\":{\"cpu\":\"\"}}}",
                  "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'" },
                { "", "Secret", "{\"data\":{\"a\":\"!\"}}", "illegal base64 data at input byte 0" },
                { "", "Secret", "{\"data\":{\"a\":\"MQ=!\"}}", "illegal base64 data at input byte 2" },
                { "", "Secret", "{\"type\":5}", "json: cannot unmarshal number into Go struct field Secret.type of type v1.SecretType" },
                { "", "Service", "{\"spec\":{\"ipFamilies\":\"IPv4\"}}",
                  "json: cannot unmarshal string into Go struct field ServiceSpec.spec.ipFamilies of type []v1.IPFamily" },
                { "apiextensions.k8s.io", "CustomResourceDefinition",
                  "{\"spec\":{\"versions\":[{\"schema\":{\"openAPIV3Schema\":{\"items\":{\"x\":1,\"properties\":{\"a\":{\"type\":5}}}}}}]}}",
                  "json: cannot unmarshal number into Go struct field "
                  "JSONSchemaProps.spec.versions.schema.openAPIV3Schema.items.properties.type of type string" },
                { "apiextensions.k8s.io", "CustomResourceDefinition",
                  "{\"spec\":{\"versions\":[{\"schema\":{\"openAPIV3Schema\":{\"additionalProperties\":5}}}]}}",
                  "boolean or JSON schema expected" },
                { "apiextensions.k8s.io", "CustomResourceDefinition",
                  "{\"spec\":{\"versions\":[{\"schema\":{\"openAPIV3Schema\":{\"default\":[1e400]}}}]}}",
                  "json: cannot unmarshal number 1e400 into Go value of type float64" },
                { "", "Secret", "{\"data\":{\"a\":[1,256]}}",
                  "json: cannot unmarshal number 256 into Go struct field Secret.data of type uint8" },
                /* What a type's own decoder refuses goes before what stood earlier. */
                { "", "Pod", "{\"spec\":{\"hostname\":5,\"overhead\":{\"cpu\":\"\"},\"containers\":5}}",
                  "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'" },
                { "", "Event", "{\"count\":\"x\",\"firstTimestamp\":\"2024-01-45T00:00:00x\",\"eventTime\":5}",
                  "parsing time \"2024-01-45T00:00:00x\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"x\" as \"Z07:00\"" },
                { "coordination.k8s.io", "Lease", "{\"spec\":{\"renewTime\":\"2024-01-01T00:00:00Z\"}}",
                  "parsing time \"2024-01-01T00:00:00Z\" as \"2006-01-02T15:04:05.000000Z07:00\": cannot parse \"Z\" as \".000000\"" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_arena_ struct arena *a = arena_new(0);

                assert_string_equal(round_trip(a, builtin_kind(cases[i].group, "v1", cases[i].kind), cases[i].body),
                                    cases[i].expected);
        }
}

static void test_round_trip(void **state)
{
        static const struct {
                const char *group, *kind, *body, *expected;
        } cases[] = {
                { "", "ConfigMap", "{\"data\":{},\"immutable\":null}", "{\"metadata\":{}}" },
                { "", "Secret", "{\"data\":{\"a\":[97,null]}}", "{\"data\":{\"a\":\"YQA=\"},\"type\":\"Opaque\",\"metadata\":{}}" },
                { "coordination.k8s.io", "Lease", "{\"spec\":{\"renewTime\":\"0000-01-01T00:00:00.000001+05:00\",\"acquireTime\":\"9999-12-31T23:59:59.000000-24:00\"}}",
                  "{\"spec\":{\"renewTime\":\"-0001-12-31T19:00:00.000001Z\",\"acquireTime\":\"10000-01-01T23:59:59.000000Z\"},\"metadata\":{}}" },
                { "", "Secret", "{\"stringData\":{\"a\":\"1\"}}", "{\"type\":\"Opaque\",\"data\":{\"a\":\"MQ==\"},\"metadata\":{}}" },
                { "coordination.k8s.io", "Lease", "{\"spec\":{\"strategy\":\"Foo\",\"holderIdentity\":\"a\"}}", "{\"spec\":{\"holderIdentity\":\"a\"},\"metadata\":{}}" },
                { "rbac.authorization.k8s.io", "Role", "{\"rules\":[]}", "{\"rules\":null,\"metadata\":{}}" },
                { "apps", "ReplicaSet", "{\"spec\":{\"replicas\":0,\"selector\":{}}}",
                  "{\"spec\":{\"replicas\":0,\"selector\":{},\"template\":{\"spec\":{\"dnsPolicy\":\"ClusterFirst\","
                  "\"restartPolicy\":\"Always\",\"schedulerName\":\"default-scheduler\",\"securityContext\":{},"
                  "\"terminationGracePeriodSeconds\":30,\"containers\":null},\"metadata\":{}}},"
                  "\"metadata\":{},\"status\":{\"replicas\":0}}" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                const char *got = round_trip(a, builtin_kind(cases[i].group, "v1", cases[i].kind), cases[i].body);
                struct json *first = parse(a, got), *second = json_clone(a, first);
                const struct resource *res = builtin_kind(cases[i].group, "v1", cases[i].kind);

                if (!json_equal(first, parse(a, cases[i].expected)))
                        assert_string_equal(got, cases[i].expected);
                /* All of it is idempotent. */
                schema_default(a, res, second);
                schema_canonicalise(a, res->schema, second);
                assert_true(json_equal(first, second));
        }
}

static void test_defaults_of_a_container(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct json *pod = parse(a, "{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"x:5000/y\",\"resources\":{\"limits\":{\"cpu\":\"0.5\"}},"
                                    "\"ports\":[{\"containerPort\":80}]},{\"name\":\"d\",\"image\":\"y@sha256:0\"}],\"volumes\":[{\"name\":\"v\"}]}}");
        const struct resource *res = builtin_kind("", "v1", "Pod");
        struct json *c;

        assert_int_equal(schema_decode(a, res->schema, pod, NULL, NULL), 0);
        schema_default(a, res, pod);
        c = json_at(json_path(pod, "spec.containers"), 0);
        assert_string_equal(json_get_string(c, "imagePullPolicy"), "Always");
        assert_string_equal(json_path_string(c, "resources.requests.cpu"), "500m");
        assert_string_equal(json_get_string(json_at(json_get(c, "ports"), 0), "protocol"), "TCP");
        assert_string_equal(json_get_string(json_at(json_path(pod, "spec.containers"), 1), "imagePullPolicy"), "IfNotPresent");
        assert_non_null(json_get(json_at(json_path(pod, "spec.volumes"), 0), "emptyDir"));
}

/* Whatever the tables hold can go through protobuf and comes back. */
static void test_protobuf(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        _cleanup_strbuf_ struct strbuf bytes = STRBUF_INIT;
        const struct resource *res = builtin_kind("", "v1", "Pod");
        struct json *pod, *again = NULL;

        pod = parse(a, round_trip(a, res,
                                  "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"x\",\"creationTimestamp\":\"2024-01-02T03:04:05Z\"},"
                                  "\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"livenessProbe\":{\"httpGet\":{\"port\":\"web\"}},"
                                  "\"resources\":{\"limits\":{\"memory\":\"1Gi\"}}}],\"volumes\":[{\"name\":\"v\",\"hostPath\":{\"path\":\"/\"}}]}}"));
        protobuf_encode(&bytes, res->schema, pod);
        assert_int_equal(protobuf_decode(a, bytes.data, bytes.len, NULL, &again, NULL), 0);
        schema_canonicalise(a, res->schema, again);
        if (!json_equal(pod, again))
                assert_string_equal(json_print(a, again), json_print(a, pod));
        /* Every prefix is refused or read, never read past. */
        for (size_t n = 0; n < bytes.len; n++) {
                _cleanup_arena_ struct arena *b = arena_new(0);
                char *part = xmemdup(bytes.data, n + !n);

                protobuf_decode(b, part, n, res->schema, &again, NULL);
                free(part);
        }
}

static void test_pod_table(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        _cleanup_strbuf_ struct strbuf out = STRBUF_INIT;
        const struct resource *res = builtin_kind("", "v1", "Pod");
        struct json *pod = parse(a, "{\"metadata\":{\"name\":\"x\",\"creationTimestamp\":\"1970-01-01T00:00:00Z\"},\"spec\":{\"containers\":[{\"name\":\"c\"}]},"
                                    "\"status\":{\"phase\":\"Running\",\"containerStatuses\":[{\"name\":\"c\",\"restartCount\":3,"
                                    "\"state\":{\"waiting\":{\"reason\":\"CrashLoopBackOff\"}}}]}}");
        struct json *table;

        table_begin(&out, res, "v1", NULL, true);
        table_row(&out, res, pod, TABLE_NONE, "v1", 300 * NS_PER_SEC, true);
        table_end(&out, res, 1);
        table = parse(a, strbuf_str(&out));
        assert_string_equal(json_print(a, json_get(json_at(json_get(table, "rows"), 0), "cells")),
                            "[\"x\",\"0/1\",\"CrashLoopBackOff\",\"3\",\"5m\",\"\\u003cnone\\u003e\",\"\\u003cnone\\u003e\","
                            "\"\\u003cnone\\u003e\",\"\\u003cnone\\u003e\"]");
        assert_int_equal(json_len(json_get(table, "columnDefinitions")), res->n_columns);
}

/* The cell NO of OBJ. */
static const char *cell(struct arena *a, const char *group, const char *kind, size_t no, const char *obj)
{
        _cleanup_strbuf_ struct strbuf out = STRBUF_INIT;
        const struct resource *res = builtin_kind(group, "v1", kind);

        table_begin(&out, res, "v1", NULL, true);
        table_row(&out, res, parse(a, obj), TABLE_NONE, "v1", 300 * NS_PER_SEC, true);
        table_end(&out, res, 1);
        return json_string(json_at(json_get(json_at(json_get(parse(a, strbuf_str(&out)), "rows"), 0), "cells"), no));
}

static void test_cells(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);

        assert_string_equal(cell(a, "networking.k8s.io", "Ingress", 2,
                                 "{\"spec\":{\"rules\":[{\"host\":\"a\"},{\"host\":\"b\"},{},{\"host\":\"c\"},{\"host\":\"d\"},{}]}}"),
                            "a,b,c + 3 more...");
        assert_string_equal(cell(a, "admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding", 2,
                                 "{\"spec\":{\"paramRef\":{\"selector\":{\"matchLabels\":{\"b\":\"1\",\"a\":\"2\"},"
                                 "\"matchExpressions\":[{\"key\":\"k\",\"operator\":\"In\",\"values\":[\"x\",\"y\"]}]}}}}"),
                            "&LabelSelector{MatchLabels:map[string]string{a: 2,b: 1,},MatchExpressions:[]LabelSelectorRequirement{"
                            "LabelSelectorRequirement{Key:k,Operator:In,Values:[x y],},},}");
}

/* A recipe that names no function would show null for ever. */
static void test_every_cell_has_a_function(void **state)
{
        for (unsigned i = 0; i < n_builtin_resources; i++)
                for (unsigned j = 0; j < builtin_resources[i]->n_columns; j++) {
                        const char *cell = builtin_resources[i]->columns[j].cell;

                        if (cell[0] != '.')
                                assert_non_null(cell_function(cell, strcspn(cell, " ")));
                }
}

/* A value of type S with all that it may hold, LEVELS deep; NTH tells items of a list apart. */
static struct json *full(struct arena *a, const struct schema *s, unsigned levels, unsigned nth)
{
        struct json *j;

        switch (s->type) {
        case SCHEMA_BOOLEAN:
                return json_new_bool(a, true);
        case SCHEMA_INT32:
        case SCHEMA_INT64:
        case SCHEMA_INT_OR_STRING:
                return json_new_int(a, 2 + nth);
        case SCHEMA_DOUBLE:
                return json_new_double(a, 1.5);
        case SCHEMA_BYTES:
                return json_new_string(a, "eA==");
        case SCHEMA_TIME:
                return json_new_string(a, "2026-01-02T03:04:05Z");
        case SCHEMA_MICRO_TIME:
                return json_new_string(a, "2026-01-02T03:04:05.000000Z");
        case SCHEMA_DURATION:
                return json_new_string(a, "1m0s");
        case SCHEMA_QUANTITY:
                return json_new_string(a, nth ? "2Gi" : "100m");
        case SCHEMA_STRING:
                return s->enums ? json_new_string(a, s->enums[nth && s->enums[1]]) : json_new_string(a, nth ? "<b>" : "Ready");
        case SCHEMA_ARRAY:
                j = json_new_array(a);
                for (unsigned i = 0; i < 2 && levels; i++)
                        json_append(a, j, full(a, s->elem, levels - 1, i));
                return j;
        case SCHEMA_MAP:
                j = json_new_object(a);
                for (unsigned i = 0; i < 2 && levels; i++)
                        json_set(a, j, i ? "b/\"" : "a", full(a, s->elem, levels - 1, i));
                return j;
        case SCHEMA_STRUCT:
                j = json_new_object(a);
                for (unsigned i = 0; i < s->n_fields && levels; i++)
                        json_set(a, j, s->fields[i].name, full(a, s->fields[i].type, levels - 1, nth));
                return j;
        default:
                return json_new_object(a);
        }
}

/* A row from text is that from a tree, whatever the cells of its kind read: what they say they read is enough. */
static void test_rows_from_text(void **state)
{
        for (unsigned i = 0; i < n_builtin_resources; i++) {
                const struct resource *res = builtin_resources[i];

                for (unsigned levels = 1; res->stored && levels < 9; levels++)
                        for (unsigned include = TABLE_METADATA; include <= TABLE_OBJECT; include++) {
                                _cleanup_arena_ struct arena *a = arena_new(0);
                                _cleanup_strbuf_ struct strbuf tree = STRBUF_INIT, text = STRBUF_INIT;
                                struct json *obj = full(a, res->schema, levels, levels % 2);
                                struct table_reader *reader = table_reader_new(a, res, include, "v1");
                                const char *json = json_print(a, obj);

                                table_row(&tree, res, obj, include, "v1", 0, true);
                                assert_true(table_row_text(&text, reader, json, strlen(json), 0, true));
                                assert_string_equal(strbuf_str(&text), strbuf_str(&tree));
                        }
        }
}

/* What is remembered of the objects before changes nothing. */
static void test_protobuf_memory(void **state)
{
        static const unsigned forms[] = {0, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1, 0};

        for (unsigned i = 0; i < n_builtin_resources; i++) {
                const struct resource *res = builtin_resources[i];
                _cleanup_arena_ struct arena *a = arena_new(0);
                struct protobuf_memory *memory = protobuf_memory_new(a);

                for (unsigned n = 0; res->stored && n < 6 * ARRAY_SIZE(forms); n++) {
                        _cleanup_strbuf_ struct strbuf with = STRBUF_INIT, without = STRBUF_INIT;
                        const char *json = json_print(a, full(a, res->schema, 1 + n / ARRAY_SIZE(forms),
                                                              forms[n % ARRAY_SIZE(forms)]));

                        assert_true(protobuf_encode_nested(&without, 2, res->schema, json, strlen(json), NULL));
                        assert_true(protobuf_encode_nested(&with, 2, res->schema, json, strlen(json), memory));
                        assert_int_equal(with.len, without.len);
                        assert_memory_equal(with.data, without.data, with.len);
                }
        }
}

static void test_durations(void **state)
{
        static const struct {
                int64_t seconds;
                const char *expected;
        } cases[] = { { -5, "<invalid>" },    { 0, "0s" },        { 119, "119s" },       { 125, "2m5s" },
                      { 600, "10m" },         { 10801, "3h" },    { 11000, "3h3m" },     { 172800, "2d" },
                      { 200000, "2d7h" },     { 800000, "9d" },   { 100000000, "3y62d" } };
        char buf[32];

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
                assert_string_equal(human_duration(cases[i].seconds * NS_PER_SEC, buf), cases[i].expected);
}

/* Every reference in every document points at a definition of the same document. */
static void check_references(const struct json *definitions, const char *prefix, const struct json *v)
{
        const char *ref = json_get_string(v, "$ref");

        if (ref) {
                assert_true(str_has_prefix(ref, prefix));
                assert_non_null(json_get(definitions, ref + strlen(prefix)));
        }
        json_foreach_member(v, m)
                check_references(definitions, prefix, m->value);
        json_foreach_item(v, item)
                check_references(definitions, prefix, item);
}

static void test_openapi(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct buffer *index = openapi_v3_index(NULL), *b;
        struct json *doc, *paths = json_get(parse(a, index->data), "paths");

        assert_true(json_len(paths) > 40);
        json_foreach_member(paths, m) {
                b = openapi_v3(m->key, NULL, NULL);
                assert_non_null(b);
                doc = parse(a, b->data);
                check_references(json_path(doc, "components.schemas"), "#/components/schemas/", doc);
                buffer_unref(b);
        }
        buffer_unref(index);
        b = openapi_v2(OPENAPI_V2_JSON, NULL);
        doc = parse(a, b->data);
        check_references(json_get(doc, "definitions"), "#/definitions/", doc);
        buffer_unref(b);
        assert_null(openapi_v3("apis/nope/v1", NULL, NULL));
}

static void test_discovery(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        char etag[DISCOVERY_ETAG];
        struct buffer *b = discovery_aggregated(false, NULL, etag);

        assert_int_equal(json_len(json_get(parse(a, b->data), "items")), n_builtin_groups - 1);
        assert_int_equal(strlen(etag), 130);
        buffer_unref(b);
        b = discovery_resources("apps", "v1", NULL);
        assert_non_null(strstr(b->data, "\"deployments/scale\",\"singularName\":\"\",\"namespaced\":true,\"group\":\"autoscaling\""));
        buffer_unref(b);
        assert_null(discovery_resources("apps", "v2", NULL));
        assert_null(discovery_group("nope", NULL));
        assert_true(discovery_version_cmp("v1", "v1beta1") < 0);
        assert_true(discovery_version_cmp("v2", "v10") > 0);
        assert_true(discovery_version_cmp("foo", "v1alpha1") > 0);
}

/* What kubectl explain shows: a sentence for every type and every field, scalars such as Quantity included. */
static void test_everything_is_explained(void **state)
{
        (void)state;
        for (unsigned i = 0; i < n_builtin_schemas; i++) {
                const struct schema *s = &builtin_schemas[i];

                if (!s->description)
                        fail_msg("%s has no description", s->name);
                for (unsigned f = 0; f < s->n_fields; f++)
                        if (!s->fields[f].description)
                                fail_msg("%s.%s has no description", s->name, s->fields[f].name);
        }
}

/* What upstream has no words for is a plain reference; a field may see an atomic type as a map. */
static void test_openapi_particulars(void **state)
{
        struct buffer *ingress = openapi_v3("apis/networking.k8s.io/v1", NULL, NULL), *core = openapi_v3("api/v1", NULL, NULL);

        assert_non_null(strstr(ingress->data, "\"http\":{\"$ref\":\"#/components/schemas/io.k8s.api.networking.v1.HTTPIngressRuleValue\"}"));
        assert_non_null(strstr(core->data, "ObjectReference\"}],\"x-kubernetes-map-type\":\"granular\""));
        assert_non_null(strstr(core->data, "NodeResizePending\"]},\"x-kubernetes-map-type\":\"granular\""));
        assert_false(schema_field(builtin_schema("io.k8s.api.core.v1.PersistentVolumeSpec"), "claimRef")->type->atomic);
        buffer_unref(ingress);
        buffer_unref(core);
}

/* What all operations of a path take stands beside them, once; the answer to a namespace's deletion is not told. */
static void test_openapi_shared_parameters(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct buffer *b = openapi_v3("api/v1", NULL, NULL);
        const struct json *paths = json_get(parse(a, b->data), "paths"), *p = json_get(paths, "/api/v1/namespaces/{namespace}/pods");
        const char *ref;

        assert_int_equal(json_len(json_get(p, "parameters")), 2); /* namespace, pretty */
        assert_string_equal(json_get_string(json_at(json_get(json_get(p, "delete"), "parameters"), 0), "name"), "continue");
        p = json_get(paths, "/api/v1/namespaces/{namespace}/pods/{name}/exec");
        assert_int_equal(json_len(json_get(p, "parameters")), 8);
        assert_string_equal(json_get_string(json_at(json_get(p, "parameters"), 0), "name"), "command");
        assert_null(json_get(json_get(p, "post"), "parameters"));
        ref = strstr(strstr(b->data, "\"deleteCoreV1Namespace\""), "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.Status");
        assert_non_null(ref);
        assert_true(ref < strstr(b->data, "\"patchCoreV1Namespace\""));
        buffer_unref(b);
}

/* Generators of clients name functions and classes after ids and tags; metav1's bodies name every version they are in. */
static void test_openapi_ids(void **state)
{
        static const char *const v2[] = {
                "\"readCoreV1NamespacedPodLog\",\"tags\":[\"core_v1\"]", "\"deleteAppsV1CollectionNamespacedDeployment\"",
                "\"connectCoreV1PostNamespacedPodExec\"", "\"watchRbacAuthorizationV1NamespacedRoleList\",\"tags\":[\"rbacAuthorization_v1\"]",
                "\"createCoreV1NamespacedBinding\"", "\"replaceCoreV1NamespaceFinalize\"", "\"getAppsAPIGroup\",\"tags\":[\"apps\"]",
                "\"getCoreV1APIResources\"", "\"getServiceAccountIssuerOpenIDKeyset\"",
                "{\"group\":\"extensions\",\"kind\":\"DeleteOptions\",\"version\":\"v1beta1\"}",
        };
        struct buffer *all = openapi_v2(OPENAPI_V2_JSON, NULL), *apps = openapi_v3("apis/apps/v1", NULL, NULL),
                      *keys = openapi_v3("openid/v1/jwks", NULL, NULL);

        for (size_t i = 0; i < ARRAY_SIZE(v2); i++)
                if (!strstr(all->data, v2[i]))
                        fail_msg("%s is not there", v2[i]);
        assert_non_null(strstr(apps->data, "\"x-kubernetes-group-version-kind\":[{\"group\":\"\",\"kind\":\"WatchEvent\",\"version\":\"v1\"},"
                                           "{\"group\":\"apps\",\"kind\":\"WatchEvent\",\"version\":\"v1\"}]"));
        assert_non_null(strstr(keys->data, "\"content\":{\"application/jwk-set+json\":"));
        buffer_unref(all);
        buffer_unref(apps);
        buffer_unref(keys);
}

/* Document {openapi = 1, info = 2 {title = 1, version = 6}, paths = 4 ...} */
static void test_openapi_v3_protobuf(void **state)
{
        struct buffer *b = openapi_v3_protobuf(openapi_v3("version", NULL, NULL));
        static const char head[] = "\x0a\x05" "3.0.0\x12", path[] = "\x0a\x09/version/";
        static const char reference[] = "\x12\x3b\x0a\x39#/components/schemas/io.k8s.apimachinery.pkg.version.Info";

        assert_true(b->len > 500);
        assert_memory_equal(b->data, head, sizeof(head) - 1);
        assert_non_null(memmem(b->data, b->len, path, sizeof(path) - 1));
        assert_non_null(memmem(b->data, b->len, reference, sizeof(reference) - 1));
        buffer_unref(b);
}

static bool listed(const unsigned char *numbers, unsigned n, unsigned number)
{
        for (unsigned i = 0; i < n; i++)
                if (numbers[i] == number)
                        return true;
        return false;
}

/* The walks over fields that are written or defaulted leave none out. */
static void test_lists_of_fields(void **state)
{
        (void)state;
        for (unsigned i = 0; i < n_builtin_schemas; i++) {
                const struct schema *s = &builtin_schemas[i];

                for (unsigned k = 0; k < s->n_fields; k++) {
                        const struct schema_field *f = &s->fields[k];

                        assert_int_equal(f->len, strlen(f->name));
                        assert_int_equal(f->tag, json_tag(f->name, f->len));
                        assert_ptr_equal(schema_find(s, f->name, f->len, f->tag), f);
                        if (listed(s->written, s->n_written, k) != (f->emit_empty || f->empty_as) ||
                            listed(s->defaulted, s->n_defaulted, k) != (f->fallback || f->type->has_defaults))
                                fail_msg("%s.%s is missing in a list, or too much", s->name, f->name);
                }
        }
}

/* Bodies that are no protobuf, in the words of Go's generated code. */
static void test_protobuf_errors(void **state)
{
#define ENVELOPE "k8s\0\n\x0f\n\2v1\x12\x09" "ConfigMap\x12"
        static const struct {
                const char *bytes;
                size_t len;
                int code;
                const char *text;
        } cases[] = {
#define CASE(bytes, code, text) { bytes, sizeof(bytes) - 1, code, text }
                CASE("", -EINVAL, "empty data"),
                CASE("k8s\0", -EINVAL, "empty body"),
                CASE("k8s\1\n", -EINVAL, "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"),
                CASE("k8s\0\x08\1", -EINVAL, "proto: wrong wireType = 0 for field TypeMeta"),
                CASE("k8s\0\n\2\x08\1", -EINVAL, "proto: wrong wireType = 0 for field APIVersion"),
                CASE("k8s\0\n\x09", -EINVAL, "unexpected EOF"),
                CASE("k8s\0\n\4\n\2v9\x12\0", 0, NULL), /* no kind: the URL's */
                CASE("k8s\0\n\5\x12\3Foo", -ENOENT,
                     "no kind \"Foo\" is registered for version \"v1\" in scheme \"pkg/api/legacyscheme/scheme.go:30\""),
                CASE(ENVELOPE "\2\n\5", -EBADMSG, "unexpected EOF"),
                CASE(ENVELOPE "\1\0", -EBADMSG, "proto: ConfigMap: illegal tag 0 (wire type 0)"),
                CASE(ENVELOPE "\1\x0c", -EBADMSG, "proto: ConfigMap: wiretype end group for non-group"),
                CASE(ENVELOPE "\2\x08\1", -EBADMSG, "proto: wrong wireType = 0 for field ObjectMeta"),
                CASE(ENVELOPE "\2\x10\1", -EBADMSG, "proto: wrong wireType = 0 for field Data"),
                CASE(ENVELOPE "\3\x9e\6\1", -EBADMSG, "proto: illegal wireType 6"),
                CASE(ENVELOPE "\x0b\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", -EBADMSG,
                     "proto: negative length found during unmarshaling"),
                CASE(ENVELOPE "\x0b\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", -EBADMSG, "proto: integer overflow"),
#undef CASE
        };
        const struct resource *res = builtin_resource("", "v1", "configmaps");
        struct arena *a = arena_new(0);

        unused(state);
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_error_ struct error err = ERROR_INIT;
                struct json *obj = NULL;

                assert_int_equal(protobuf_decode(a, cases[i].bytes, cases[i].len, res->schema, &obj, &err), cases[i].code);
                if (cases[i].text)
                        assert_string_equal(error_text(&err), cases[i].text);
        }
        arena_free(a);
#undef ENVELOPE
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_protobuf_errors),
                cmocka_unit_test(test_lists_of_fields),
                cmocka_unit_test(test_openapi_particulars),
                cmocka_unit_test(test_openapi_ids),
                cmocka_unit_test(test_openapi_shared_parameters),
                cmocka_unit_test(test_openapi_v3_protobuf),
                cmocka_unit_test(test_decode_errors),
                cmocka_unit_test(test_yaml_duplicates),
                cmocka_unit_test(test_round_trip),
                cmocka_unit_test(test_defaults_of_a_container),
                cmocka_unit_test(test_protobuf),
                cmocka_unit_test(test_protobuf_memory),
                cmocka_unit_test(test_pod_table),
                cmocka_unit_test(test_every_cell_has_a_function),
                cmocka_unit_test(test_cells),
                cmocka_unit_test(test_rows_from_text),
                cmocka_unit_test(test_durations),
                cmocka_unit_test(test_openapi),
                cmocka_unit_test(test_everything_is_explained),
                cmocka_unit_test(test_discovery),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
