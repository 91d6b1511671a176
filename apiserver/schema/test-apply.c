/* Patches, managed fields and apply on small objects: what clients would notice first. */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "apply.h"
#include "managed-entries.h"
#include "patch-json.h"
#include "patch-merge.h"
#include "patch-strategic.h"

static struct arena *a;

static struct json *parse(const char *text)
{
        struct json *j = NULL;

        assert_int_equal(json_parse(a, text, strlen(text), NULL, &j, NULL), 0);
        return j;
}

static const struct resource *configmaps(void)
{
        return builtin_resource("", "v1", "configmaps");
}

static const struct resource *deployments(void)
{
        return builtin_resource("apps", "v1", "deployments");
}

static void assert_json(const struct json *j, const char *text)
{
        if (!json_equal(j, parse(text)))
                fail_msg("got %s, not %s", json_print(a, j), text);
}

static int setup(void **state)
{
        unused(state);
        a = arena_new(0);
        return 0;
}

static int teardown(void **state)
{
        unused(state);
        arena_free(a);
        return 0;
}

static void test_json_patch(void **state)
{
        struct json *doc = parse("{\"a\":[1,2],\"b\":{\"c\":\"d\"}}"), *out = NULL;
        const struct status *st;

        unused(state);
        st = patch_json(a, doc, parse("[{\"op\":\"add\",\"path\":\"/a/-\",\"value\":3},{\"op\":\"remove\",\"path\":\"/b/c\"},"
                                      "{\"op\":\"move\",\"from\":\"/a/0\",\"path\":\"/b/x\"}]"), false, &out);
        assert_null(st);
        assert_json(out, "{\"a\":[2,3],\"b\":{\"x\":1}}");
        assert_json(doc, "{\"a\":[1,2],\"b\":{\"c\":\"d\"}}");
        st = patch_json(a, doc, parse("[{\"op\":\"test\",\"path\":\"/a/0\",\"value\":5}]"), false, &out);
        assert_int_equal(st->code, 422);
}

static void test_made_patches(void **state)
{
        static const struct {
                const char *patch, *why; /* the library's words */
                int r;
        } cases[] = {
                { "[{\"op\":\"replace\",\"path\":\"/b/c\",\"value\":1}]", NULL, 0 },
                { "[{\"op\":\"test\",\"path\":\"/b/c\",\"value\":1}]", "testing value /b/c failed: test failed", -EAGAIN },
                { "[{\"op\":\"remove\",\"path\":\"/b/x\"}]",
                  "error in remove for path: '/b/x': Unable to remove nonexistent key: x: missing value", -EINVAL },
                { "[{\"op\":\"add\",\"path\":\"/x/y\",\"value\":1}]",
                  "add operation does not apply: doc is missing path: \"/x/y\": missing value", -EINVAL },
                { "[{\"op\":\"replace\",\"path\":\"/a/7\",\"value\":1}]",
                  "replace operation does not apply: doc is missing key: /a/7: missing value", -EINVAL },
                { "[{\"op\":\"remove\",\"path\":\"/a/7\"}]",
                  "error in remove for path: '/a/7': Unable to access invalid index: 7: invalid index referenced", -EINVAL },
                { "[{\"op\":\"copy\",\"from\":\"/x\",\"path\":\"/b/y\"}]", NULL, 0 }, /* null */
                { "[{\"op\":\"copy\",\"from\":\"/x/z\",\"path\":\"/b/y\"}]",
                  "copy operation does not apply: doc is missing from path: /x/z: missing value", -EINVAL },
                { "[{\"op\":\"no\",\"path\":\"/a\"}]", "Unexpected kind: no", -EINVAL },
                { "{}", "json: cannot unmarshal object into Go value of type jsonpatch.Patch", -EINVAL },
        };
        struct json *doc = parse("{\"a\":[1,2],\"b\":{\"c\":\"d\"}}");

        unused(state);
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                const char *why = NULL;
                struct json *out = NULL;

                assert_int_equal(patch_json_made(a, doc, parse(cases[i].patch), &out, &why), cases[i].r);
                if (cases[i].why)
                        assert_string_equal(why, cases[i].why);
                else
                        assert_non_null(out);
        }
}

static void test_merge_patch(void **state)
{
        struct json *out = NULL;

        unused(state);
        assert_null(patch_merge(a, parse("{\"a\":1,\"b\":{\"c\":2,\"d\":3}}"),
                                parse("{\"a\":null,\"b\":{\"c\":4},\"e\":{\"f\":null}}"), false, &out));
        assert_json(out, "{\"b\":{\"c\":4,\"d\":3},\"e\":{}}");
}

static const struct status *strategic(const struct json *doc, const struct json *patch, struct json **ret)
{
        return patch_strategic(a, deployments()->schema, doc, &patch, ret);
}

static void test_strategic_merges_by_name(void **state)
{
        struct json *out = NULL;

        unused(state);
        assert_null(strategic(
                parse("{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"spec\":{\"template\":{\"spec\":{\"containers\":"
                      "[{\"name\":\"a\",\"image\":\"1\"},{\"name\":\"b\",\"image\":\"2\"}]}}}}"),
                parse("{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"b\",\"image\":\"3\"},"
                      "{\"name\":\"a\",\"$patch\":\"delete\"}]}}}}"),
                &out));
        assert_json(json_path(out, "spec.template.spec.containers"), "[{\"name\":\"b\",\"image\":\"3\"}]");
}

/* A message shows the patch as far as it was carried out. */
static void test_strategic_leftovers(void **state)
{
        static const struct {
                const char *patch, *shown;
        } cases[] = {
                { "{\"$retainKeys\":[\"metadata\"],\"metadata\":{\"annotations\":true}}", "map[metadata:map[annotations:true]]" },
                { "{\"metadata\":{\"annotations\":true,\"labels\":{\"a\":null,\"b\":\"c\"}}}", "map[metadata:map[annotations:true labels:map[b:c]]]" },
        };
        struct json *doc = parse("{\"metadata\":{}}"), *out = NULL;

        unused(state);
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                const struct status *st = strategic(doc, parse(cases[i].patch), &out);
                const char *want = arena_printf(a, " \"\" is invalid: patch: Invalid value: \"%s\": cannot restore map from bool", cases[i].shown);

                assert_int_equal(st->code, 422);
                assert_string_equal(st->message, want);
        }
}

static void test_strategic_errors(void **state)
{
        static const struct {
                const char *patch;
                int code;
                const char *message;
        } cases[] = {
                { "{\"$patch\":5}", 500, "unknown patch type: %!s(int64=5) in map: map[$patch:5]" },
                { "{\"$patch\":null}", 500, "unknown patch type: %!s(<nil>) in map: map[$patch:<nil>]" },
                { "{\"metadata\":{\"finalizers\":[[]]}}", 500, "list element types are not identical: [[a b] [[]]]" },
                { "{\"metadata\":{\"finalizers\":[{}]}}", 500, "list element types are not identical: [[a b] [map[]]]" },
                { "{\"metadata\":{\"finalizers\":[1]}}", 500, "list element types are not identical: [[a b] [1]]" },
                { "{\"metadata\":{\"ownerReferences\":[[]]}}", 422, "the server rejected our request due to an error in our request" },
        };
        struct json *doc = parse("{\"metadata\":{\"finalizers\":[\"a\",\"b\"],\"ownerReferences\":[]}}"), *out = NULL;

        unused(state);
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                const struct status *st = strategic(doc, parse(cases[i].patch), &out);

                assert_non_null(st);
                assert_int_equal(st->code, cases[i].code);
                assert_string_equal(st->message, cases[i].message);
        }
}

/* The manager of a new object owns what it sent, and nothing that nobody owns. */
static void test_update_tracks(void **state)
{
        struct json *obj = parse("{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"x\",\"labels\":"
                                 "{\"l\":\"m\"}},\"data\":{\"a\":\"1\"}}");
        struct json *next = json_clone(a, obj), *fields;

        unused(state);
        managed_fields_update(a, configmaps(), NULL, obj, "m1", "", 0);
        fields = json_path(obj, "metadata.managedFields");
        assert_int_equal(json_len(fields), 1);
        assert_json(json_get(json_at(fields, 0), "fieldsV1"),
                    "{\"f:metadata\":{\"f:labels\":{\".\":{},\"f:l\":{}}},\"f:data\":{\".\":{},\"f:a\":{}}}");
        json_set_string(a, json_get(next, "data"), "a", "2");
        managed_fields_update(a, configmaps(), obj, next, "m2", "", 0);
        fields = json_path(next, "metadata.managedFields");
        assert_int_equal(json_len(fields), 2);
        assert_json(json_get(json_at(fields, 1), "fieldsV1"), "{\"f:data\":{\"f:a\":{}}}");
}

static void test_apply_conflict_and_prune(void **state)
{
        struct json *one = NULL, *two = NULL, *three = NULL;
        const struct status *st;

        unused(state);
        assert_null(apply_patch(a, configmaps(), NULL,
                                parse("{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"x\"},"
                                      "\"data\":{\"a\":\"1\",\"b\":\"2\"}}"),
                                "m1", false, "", 0, &one));
        assert_json(json_get(one, "data"), "{\"a\":\"1\",\"b\":\"2\"}");
        st = apply_patch(a, configmaps(), one,
                         parse("{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"x\"},"
                               "\"data\":{\"a\":\"9\"}}"),
                         "m2", false, "", 0, &two);
        assert_non_null(st);
        assert_string_equal(st->message, "Apply failed with 1 conflict: conflict with \"m1\": .data.a");
        assert_null(apply_patch(a, configmaps(), one,
                                parse("{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"x\"},"
                                      "\"data\":{\"b\":\"2\"}}"),
                                "m1", false, "", 0, &three));
        assert_json(json_get(three, "data"), "{\"b\":\"2\"}");
}

static void test_apply_refuses_unknown_fields(void **state)
{
        struct json *out = NULL;
        const struct status *st = apply_patch(a, configmaps(), NULL,
                                              parse("{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":"
                                                    "{\"name\":\"x\"},\"foo\":1}"),
                                              "m", false, "", 0, &out);

        unused(state);
        assert_int_equal(st->code, 500);
        assert_string_equal(st->message, "failed to create typed patch object (/x; /v1, Kind=ConfigMap): .foo: field "
                                         "not declared in schema");
}

/* Patches in the words of whoever reads them first. */
static void test_bad_patches(void **state)
{
        static const struct {
                bool merge, raw;
                const char *patch;
                int code;
                const char *message;
        } cases[] = {
                { false, false, "[null]", 422, "the server rejected our request due to an error in our request" },
                { false, true, "[null]", 422, "the server rejected our request due to an error in our request" },
                { false, false, "{}", 400,
                  "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp" },
                { false, true, "{}", 400, "json: cannot unmarshal object into Go value of type jsonpatch.Patch" },
                { false, true, "[1]", 400, "json: cannot unmarshal number into Go value of type jsonpatch.Operation" },
                { false, true, "[{\"op\":1}]", 422, "the server rejected our request due to an error in our request" },
                { true, false, "null", 400, "Invalid JSON Patch" },
                { true, false, "[]", 400,
                  "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}" },
                { true, true, "5", 400, "Invalid JSON Patch" },
        };
        struct json *doc = parse("{\"a\":1}"), *out = NULL;

        unused(state);
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                const struct status *st = cases[i].merge ? patch_merge(a, doc, parse(cases[i].patch), cases[i].raw, &out)
                                                         : patch_json(a, doc, parse(cases[i].patch), cases[i].raw, &out);

                assert_non_null(st);
                assert_int_equal(st->code, cases[i].code);
                assert_string_equal(st->message, cases[i].message);
        }
        assert_null(patch_merge(a, doc, parse("[null,{\"b\":null}]"), true, &out));
        assert_json(out, "[null,{}]");
        assert_null(patch_merge(a, parse("{\"x\":[1],\"y\":{}}"), parse("{\"x\":[{\"a\":null}],\"y\":[{\"a\":null}]}"), false,
                                &out));
        assert_json(out, "{\"x\":[{}],\"y\":[{\"a\":null}]}");
}

/* What passes the schema of apply, but not the way into a Go struct. */
static void test_go_conversion(void **state)
{
        static const struct {
                const char *spec, *why;
        } cases[] = {
                { "{\"replicas\":1.5}", "cannot convert float64 to int32" },
                { "{\"replicas\":2.0}", NULL },
                { "{\"paused\":1}", "unrecognized type: bool" },
                { "{\"template\":{\"metadata\":{\"name\":5}}}", "cannot convert int64 to string" },
                { "{\"strategy\":{\"rollingUpdate\":{\"maxSurge\":true}}}", "json: cannot unmarshal bool into Go value of type int32" },
                { "{\"strategy\":{\"rollingUpdate\":{\"maxSurge\":1.5}}}",
                  "json: cannot unmarshal number 1.5 into Go value of type int32" },
                { "{\"template\":{\"metadata\":{\"creationTimestamp\":5}}}",
                  "json: cannot unmarshal number into Go value of type string" },
        };
        struct json *big = parse("{\"spec\":{\"replicas\":3000000000}}");

        unused(state);
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                const char *why = patch_go_convert(a, parse(arena_printf(a, "{\"spec\":%s}", cases[i].spec)), deployments()->schema);

                assert_string_equal(why ?: "", cases[i].why ?: "");
        }
        assert_null(patch_go_convert(a, big, deployments()->schema));
        assert_json(big, "{\"spec\":{\"replicas\":-1294967296}}");
}

static void assert_managers(const struct json *obj, const char *text)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        json_foreach_item(json_path(obj, "metadata.managedFields"), e)
                strbuf_printf(&b, "%s %s %s %s %s %s\n", json_get_string(e, "manager"), json_get_string(e, "operation"),
                              json_get_string(e, "apiVersion"), json_get_string(e, "subresource") ?: "-",
                              json_get(e, "time") ? "timed" : "-", json_print(a, json_get(e, "fieldsV1")));
        assert_string_equal(strbuf_str(&b), text);
}

#define REPLICAS "{\"f:spec\":{\"f:replicas\":{}}}"

/* The window on replicas has entries of its own. */
static void test_scale(void **state)
{
        const char *live = "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"x\",\"managedFields\":["
                           "{\"manager\":\"c\",\"operation\":\"Update\",\"apiVersion\":\"apps/v1\",\"time\":\"2020-01-01T00:00:00Z\","
                           "\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:spec\":{\"f:paused\":{},\"f:replicas\":{}}}}]},"
                           "\"spec\":{\"paused\":true,\"replicas\":%d}}";
        const char *three = "{\"apiVersion\":\"autoscaling/v1\",\"kind\":\"Scale\",\"metadata\":{\"name\":\"x\"},"
                            "\"spec\":{\"replicas\":3}}";
        struct json *obj = parse(arena_printf(a, live, 2)), *out = NULL;
        const struct status *st;

        unused(state);
        st = apply_patch(a, deployments(), parse(arena_printf(a, live, 2)), parse(three), "s", false, "scale", 0, &out);
        assert_string_equal(st->message, "Apply failed with 1 conflict: conflict with \"c\" using autoscaling/v1: .spec.replicas");
        assert_null(apply_patch(a, deployments(), parse(arena_printf(a, live, 3)), parse(three), "s", false, "scale", 0, &out));
        assert_managers(out, "s Apply apps/v1 scale - " REPLICAS "\nc Update apps/v1 - - " REPLICAS "\n"
                             "c Update apps/v1 - timed {\"f:spec\":{\"f:paused\":{}}}\n");
        managed_fields_update(a, deployments(), parse(arena_printf(a, live, 1)), obj, "u", "scale", 0);
        assert_managers(obj, "u Update apps/v1 scale - " REPLICAS "\nc Update apps/v1 - timed {\"f:spec\":{\"f:paused\":{}}}\n");
        obj = parse(arena_printf(a, live, 0)); /* none is what zero is */
        managed_fields_update(a, deployments(), parse(arena_printf(a, live, 1)), obj, "u", "scale", 0);
        assert_managers(obj, "c Update apps/v1 - timed {\"f:spec\":{\"f:paused\":{}}}\n");
}

/* Entries of other versions: converted where there is such a version, forgotten where there is none. */
static void test_versions(void **state)
{
        struct json *live = parse("{\"apiVersion\":\"autoscaling/v2\",\"kind\":\"HorizontalPodAutoscaler\",\"metadata\":{\"name\":"
                                  "\"h\",\"managedFields\":[{\"manager\":\"old\",\"operation\":\"Update\",\"apiVersion\":"
                                  "\"autoscaling/v1\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:spec\":{"
                                  "\"f:targetCPUUtilizationPercentage\":{}}}},{\"manager\":\"gone\",\"operation\":\"Update\","
                                  "\"apiVersion\":\"autoscaling/v9\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:spec\":{"
                                  "\"f:maxReplicas\":{}}}}]},\"spec\":{\"maxReplicas\":3,\"metrics\":[{\"type\":\"Resource\","
                                  "\"resource\":{\"name\":\"cpu\",\"target\":{\"type\":\"Utilization\",\"averageUtilization\":50}}}]}}");
        const struct resource *res = builtin_resource("autoscaling", "v2", "horizontalpodautoscalers");
        struct json *next = json_clone(a, live);

        unused(state);
        json_path_set(a, next, "spec.maxReplicas", json_new_int(a, 4));
        managed_fields_update(a, res, live, next, "u", "", 0);
        assert_managers(next, "old Update autoscaling/v1 - - {\"f:spec\":{\"f:targetCPUUtilizationPercentage\":{}}}\n"
                              "u Update autoscaling/v2 - timed {\"f:spec\":{\"f:maxReplicas\":{}}}\n");
        live = next;
        next = json_clone(a, live);
        json_path_set(a, json_at(json_path(next, "spec.metrics"), 0), "resource.target.averageUtilization", json_new_int(a, 70));
        managed_fields_update(a, res, live, next, "u", "", 0);
        assert_managers(next, "u Update autoscaling/v2 - timed {\"f:spec\":{\"f:maxReplicas\":{},\"f:metrics\":{}}}\n");
}

/* What an endpoint never writes, nobody owns through it. */
static void test_reset_fields(void **state)
{
        static const struct {
                const char *group, *name, *sub, *set, *left;
        } cases[] = {
                /* Neither has reset fields: what they reset is owned all the same. */
                { "", "pods", "resize", "{\"f:metadata\":{\"f:labels\":{}},\"f:spec\":{\"f:nodeName\":{}},\"f:status\":{}}",
                  "{\"f:metadata\":{\"f:labels\":{}},\"f:spec\":{\"f:nodeName\":{}},\"f:status\":{}}" },
                { "", "pods", "ephemeralcontainers", "{\"f:spec\":{\"f:nodeName\":{}},\"f:status\":{}}",
                  "{\"f:spec\":{\"f:nodeName\":{}},\"f:status\":{}}" },
                { "", "pods", "", "{\"f:spec\":{\"f:nodeName\":{}},\"f:status\":{}}", "{\"f:spec\":{\"f:nodeName\":{}}}" },
                { "", "namespaces", "", "{\"f:spec\":{\"f:finalizers\":{}},\"f:status\":{\"f:phase\":{}}}", "{\"f:spec\":{\"f:finalizers\":{}}}" },
                { "apps", "deployments", "status", "{\"f:metadata\":{\"f:annotations\":{},\"f:labels\":{}},\"f:spec\":{},\"f:status\":{}}",
                  "{\"f:metadata\":{\"f:annotations\":{}},\"f:status\":{}}" },
        };

        unused(state);
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct field_set *set = field_set_parse(a, parse(cases[i].set));

                managed_drop_reset(builtin_resource(cases[i].group, "v1", cases[i].name), cases[i].sub, set);
                assert_json(field_set_json(a, set), cases[i].left);
        }
}

/* Names of fields come from clients too. */
static void test_bad_fields(void **state)
{
        static const struct {
                const char *fields;
                bool decodes;
                const char *again;
        } cases[] = {
                { "{\"f:spec\":{\"k:{\\\"a\\\":1}\":{\".\":{},\"f:b\":{}}}}", true,
                  "{\"f:spec\":{\"k:{\\\"a\\\":1}\":{\".\":{},\"f:b\":{}}}}" },
                { "{\"f:\":{},\"z:new\":{\"anything\":{}}}", true, "{\"f:\":{}}" },
                { "{\"f\":{}}", false, NULL },
                { "{\"f:data\":{\"v:\\\"a\\\"\":{},\"i:0\":{}}}", true, "{\"f:data\":{\"v:\\\"a\\\"\":{},\"i:0\":{}}}" },
                { "{\"f:data\":{\"k:{bad\":{}}}", false, NULL },
                { "{\"f:data\":{\"v:bad\":{}}}", false, NULL },
                { "{\"f:data\":{\"i:x\":{}}}", false, NULL },
                { "\"x\"", false, NULL },
                { "{\"\":{}}", false, NULL },
                { "{\"f:spec\":{\"spec\":{}}}", false, NULL },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct json *entries = parse(arena_printf(a, "[{\"manager\":\"m\",\"operation\":\"Update\",\"apiVersion\":\"v1\","
                                                             "\"fieldsType\":\"FieldsV1\",\"fieldsV1\":%s}]", cases[i].fields));
                struct managed m;

                assert_int_equal(managed_decode(a, entries, &m), cases[i].decodes);
                if (cases[i].decodes)
                        assert_json(field_set_json(a, m.list[0].set), cases[i].again);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_json_patch, setup, teardown),
                cmocka_unit_test_setup_teardown(test_made_patches, setup, teardown),
                cmocka_unit_test_setup_teardown(test_merge_patch, setup, teardown),
                cmocka_unit_test_setup_teardown(test_strategic_merges_by_name, setup, teardown),
                cmocka_unit_test_setup_teardown(test_strategic_leftovers, setup, teardown),
                cmocka_unit_test_setup_teardown(test_strategic_errors, setup, teardown),
                cmocka_unit_test_setup_teardown(test_update_tracks, setup, teardown),
                cmocka_unit_test_setup_teardown(test_apply_conflict_and_prune, setup, teardown),
                cmocka_unit_test_setup_teardown(test_apply_refuses_unknown_fields, setup, teardown),
                cmocka_unit_test_setup_teardown(test_bad_patches, setup, teardown),
                cmocka_unit_test_setup_teardown(test_go_conversion, setup, teardown),
                cmocka_unit_test_setup_teardown(test_scale, setup, teardown),
                cmocka_unit_test_setup_teardown(test_versions, setup, teardown),
                cmocka_unit_test_setup_teardown(test_reset_fields, setup, teardown),
                cmocka_unit_test_setup_teardown(test_bad_fields, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
