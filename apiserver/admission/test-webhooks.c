/* Webhooks without a network: which requests they are about, what they are asked, and what their answers mean. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../lib/json/yaml.h"
#include "webhook-review.h"

static struct json *yaml(struct arena *a, const char *text)
{
        struct json *j = NULL;

        assert_int_equal(yaml_parse(a, text, strlen(text), NULL, &j, NULL), 0);
        return j;
}

static struct api_request request(struct arena *a)
{
        static const char *const groups[] = { "g", NULL };

        return (struct api_request){ .arena = a, .user = { .name = "alice", .groups = groups }, .field_manager = "m" };
}

/* --- rules --- */

static const struct {
        const char *group, *version, *resource, *sub;
        enum admission_op op;
        const char *rule;
        const char *exact, *equivalent; /* the version it is about, NULL: none */
} rules[] = {
        { "apps", "v1", "deployments", "", ADMISSION_CREATE,
          "{operations: [CREATE], apiGroups: [apps], apiVersions: [v1], resources: [deployments]}", "v1", "v1" },
        { "apps", "v1", "deployments", "", ADMISSION_UPDATE,
          "{operations: [CREATE], apiGroups: [apps], apiVersions: [v1], resources: [deployments]}", NULL, NULL },
        { "apps", "v1", "deployments", "", ADMISSION_CREATE,
          "{operations: ['*'], apiGroups: [apps], apiVersions: [v1beta1], resources: [deployments]}", NULL, NULL },
        { "apps", "v1", "deployments", "scale", ADMISSION_UPDATE,
          "{operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: [deployments]}", NULL, NULL },
        { "apps", "v1", "deployments", "scale", ADMISSION_UPDATE,
          "{operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*/scale']}", "v1", "v1" },
        { "apps", "v1", "deployments", "", ADMISSION_UPDATE,
          "{operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*'], scope: Cluster}", NULL, NULL },
        { "autoscaling", "v1", "horizontalpodautoscalers", "", ADMISSION_CREATE,
          "{operations: ['*'], apiGroups: [autoscaling], apiVersions: [v2], resources: [horizontalpodautoscalers]}", NULL, "v2" },
        { "autoscaling", "v2", "horizontalpodautoscalers", "", ADMISSION_CREATE,
          "{operations: ['*'], apiGroups: [autoscaling], apiVersions: [v1], resources: [horizontalpodautoscalers]}", NULL, "v1" },
};

static void test_rules(void **state)
{
        for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                struct api_request r = request(a);
                struct admission_attributes at = {
                        .request = &r, .op = rules[i].op, .subresource = rules[i].sub, .namespace = "ns", .name = "x",
                        .res = builtin_resource(rules[i].group, rules[i].version, rules[i].resource),
                };
                struct json *list = json_new_array(a);
                const struct resource *exact, *equivalent;

                json_append(a, list, yaml(a, rules[i].rule));
                exact = match_rules(&at, list, true);
                equivalent = match_rules(&at, list, false);
                if (!streq(exact ? exact->version : NULL, rules[i].exact) ||
                    !streq(equivalent ? equivalent->version : NULL, rules[i].equivalent))
                        fail_msg("rule %zu: %s, %s", i, exact ? exact->version : "none", equivalent ? equivalent->version : "none");
        }
}

/* --- questions --- */

static void test_review(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct api_request r = request(a);
        struct json *object = yaml(a, "{kind: Deployment}"), *review;
        struct admission_attributes at = { .request = &r, .op = ADMISSION_UPDATE, .subresource = "", .namespace = "ns",
                                           .res = builtin_resource("apps", "v1", "deployments"), .dry_run = true };

        review = webhook_review(&at, at.res, object, NULL, "v1", "u");
        assert_string_equal(
                json_print(a, review),
                "{\"kind\":\"AdmissionReview\",\"apiVersion\":\"admission.k8s.io/v1\",\"request\":{\"uid\":\"u\","
                "\"userInfo\":{\"username\":\"alice\",\"groups\":[\"g\"]},\"kind\":{\"group\":\"apps\",\"version\":\"v1\",\"kind\":\"Deployment\"},"
                "\"resource\":{\"group\":\"apps\",\"version\":\"v1\",\"resource\":\"deployments\"},"
                "\"requestKind\":{\"group\":\"apps\",\"version\":\"v1\",\"kind\":\"Deployment\"},"
                "\"requestResource\":{\"group\":\"apps\",\"version\":\"v1\",\"resource\":\"deployments\"},"
                "\"namespace\":\"ns\",\"operation\":\"UPDATE\",\"dryRun\":true,"
                "\"object\":{\"kind\":\"Deployment\",\"metadata\":{},\"spec\":{\"selector\":null,\"strategy\":{},\"template\":{"
                "\"metadata\":{},\"spec\":{\"containers\":null}}},\"status\":{}},\"oldObject\":null,"
                "\"options\":{\"kind\":\"UpdateOptions\",\"apiVersion\":\"meta.k8s.io/v1\",\"dryRun\":[\"All\"]}}}");
        at.subresource = "scale";
        review = webhook_review(&at, at.res, object, NULL, "v1beta1", "u");
        assert_string_equal(json_path_string(review, "request.kind.kind"), "Scale");
        assert_string_equal(json_path_string(review, "request.subResource"), "scale");
        assert_string_equal(json_get_string(review, "apiVersion"), "admission.k8s.io/v1beta1");
        assert_string_equal(webhook_version(yaml(a, "{admissionReviewVersions: [v9, v1beta1, v1]}")), "v1beta1");
        assert_null(webhook_version(yaml(a, "{admissionReviewVersions: [v9]}")));
}

/* --- answers --- */

#define V1 "apiVersion: admission.k8s.io/v1\nkind: AdmissionReview\nresponse: "

static const struct {
        const char *answer, *version;
        bool mutating;
        const char *wrong;   /* what is wrong with it; NULL: nothing */
        unsigned code;       /* of the refusal; 0: let in */
        const char *says;    /* its message, or the patch */
} answers[] = {
        { V1 "{uid: u, allowed: true}", "v1", false, NULL, 0, NULL },
        { V1 "{uid: u, allowed: false}", "v1", false, NULL, 400, "admission webhook \"w\" denied the request without explanation" },
        { V1 "{uid: u, allowed: false, status: {message: nope, reason: R, code: 403}}", "v1", true, NULL, 403,
          "admission webhook \"w\" denied the request: nope" },
        { V1 "{uid: u, allowed: false, status: {reason: R, code: 200}}", "v1", true, NULL, 400,
          "admission webhook \"w\" denied the request: R" },
        { V1 "{uid: u}", "v1", true, NULL, 400, "admission webhook \"w\" denied the request without explanation" },
        { "{}", "v1", true, "webhook response was absent", 0, NULL },
        { "response: {uid: u, allowed: true}", "v1", true,
          "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got /, Kind=", 0, NULL },
        { "response: {allowed: true}", "v1beta1", true, NULL, 0, NULL },
        { V1 "{uid: v, allowed: true}", "v1", true, "expected response.uid=\"u\", got \"v\"", 0, NULL },
        { V1 "{uid: u, allowed: true, patch: W10=}", "v1", true, "webhook returned response.patch but not response.patchType", 0, NULL },
        { V1 "{uid: u, allowed: true, patchType: JSONPatch}", "v1", true,
          "webhook returned response.patchType but not response.patch", 0, NULL },
        { V1 "{uid: u, allowed: true, patch: W10=, patchType: JSONPatch}", "v1", false,
          "validating webhook may not return response.patch", 0, NULL },
        { V1 "{uid: u, allowed: true, patch: W10=, patchType: Merge}", "v1", true, NULL, 0, NULL },
        { V1 "{uid: u, allowed: true, patch: W3sib3AiOiJhZGQifV0=, patchType: Merge}", "v1", true, NULL, 0, NULL },
        { V1 "{uid: u, allowed: true, patch: W3sib3AiOiJhZGQifV0=, patchType: ''}", "v1", true,
          "webhook returned invalid response.patchType of \"\"", 0, NULL },
        { V1 "{uid: u, allowed: true, patch: W10=, patchType: JSONPatch}", "v1", true, NULL, 0, NULL },
        { V1 "{uid: u, allowed: true, patch: W3sib3AiOiJhZGQifV0=, patchType: JSONPatch}", "v1", true, NULL, 0, "[{\"op\":\"add\"}]" },
        { "response: {allowed: true, patch: W3sib3AiOiJhZGQifV0=}", "v1beta1", true, NULL, 0, "[{\"op\":\"add\"}]" },
        { V1 "{uid: u, allowed: false, patch: W3sib3AiOiJhZGQifV0=, patchType: JSONPatch}", "v1", true, NULL, 400,
          "admission webhook \"w\" denied the request without explanation" },
};

static void test_answers(void **state)
{
        for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                struct webhook_verdict v;
                const char *wrong = webhook_verdict(a, yaml(a, "{name: w}"), yaml(a, answers[i].answer), answers[i].version, "u",
                                                    answers[i].mutating, &v);
                const char *says = wrong || !(v.denied || v.patch) ? NULL : v.denied ? v.denied->message : json_print(a, v.patch);

                if (!streq(wrong, answers[i].wrong))
                        fail_msg("answer %zu: wrong is %s", i, wrong ? wrong : "nothing");
                if (!wrong && ((v.denied ? v.denied->code : 0) != answers[i].code || !streq(says, answers[i].says)))
                        fail_msg("answer %zu: %u %s", i, v.denied ? v.denied->code : 0, says ? says : "nothing");
        }
}

static void test_undecodable(void **state)
{
        static const struct {
                const char *answer, *version, *says;
        } cases[] = {
                { V1 "{uid: u}", "v1", NULL },
                { "{}", "v1", NULL },
                { "[]", "v1", "couldn't get version/kind; json parse error: json: cannot unmarshal array into Go value of type struct { "
                              "APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }" },
                { V1 "{uid: u}", "v1beta1", "converting (v1.AdmissionReview) to (v1beta1.AdmissionReview): unknown conversion" },
                { "{kind: Foo}", "v1", "no kind \"Foo\" is registered for version \"admission.k8s.io/v1\" in scheme "
                                       "\"pkg/util/webhook/client.go:71\"" },
                { V1 "{allowed: 'yes'}", "v1",
                  "json: cannot unmarshal string into Go struct field AdmissionResponse.response.allowed of type bool" },
                { V1 "{patch: '!!!'}", "v1", "illegal base64 data at input byte 0" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                const char *says = webhook_undecodable(a, yaml(a, cases[i].answer), cases[i].version);

                if (!streq(says, cases[i].says))
                        fail_msg("case %zu: %s", i, says ? says : "nothing");
        }
}

static void test_match_errors(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        const char **errors = strings_new(a, 3);

        assert_null(match_errors(a, errors));
        match_error_add(errors, "a");
        match_error_add(errors, "a");
        assert_string_equal(match_errors(a, errors), "a");
        match_error_add(errors, "b");
        assert_string_equal(match_errors(a, errors), "[a, b]");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_rules),
                cmocka_unit_test(test_review),
                cmocka_unit_test(test_answers),
                cmocka_unit_test(test_undecodable),
                cmocka_unit_test(test_match_errors),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
