/* Values of custom resources against their schemas, by kube-openapi's rules: each check is made, whatever the others say. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "crd.h"

static struct json *parse(struct arena *a, const char *text)
{
        struct json *j = NULL;
        char *copy = arena_strdup(a, text);

        assert_int_equal(json_parse(a, copy, strlen(copy), NULL, &j, NULL), 0);
        return j;
}

/* All errors, in order. */
static const char *errors_of(struct arena *a, const char *schema, const char *value, const char *old)
{
        struct field_errors errs = { .arena = a };
        const struct schema *s = crd_compile_schema(a, parse(a, schema), false);
        const char *text = "";

        crd_validate_values(s, parse(a, value), old ? parse(a, old) : NULL, "", &errs);
        crd_validate_lists(s, parse(a, value), old ? parse(a, old) : NULL, "", &errs);
        for (size_t i = 0; i < errs.n; i++)
                text = arena_printf(a, "%s%s%s", text, i ? " | " : "", field_error_print(a, &errs.list[i]));
        return text;
}

#define OBJECT(properties) "{\"type\":\"object\",\"properties\":{" properties "}}"

static void test_values(void **state)
{
        static const struct {
                const char *schema, *value, *errors;
        } cases[] = {
                /* a value of another type meets the format first, and all other checks as well */
                { OBJECT("\"x\":{\"type\":\"string\",\"format\":\"uuid\"}"), "{\"x\":5}",
                  "x: Invalid value: \"int64\": x in body must be of type uuid: \"int64\"" },
                { OBJECT("\"x\":{\"type\":\"string\",\"format\":\"uuid\"}"), "{\"x\":{}}",
                  "x: Invalid value: \"\": x in body must be of type uuid: \"\"" },
                { OBJECT("\"x\":{\"type\":\"string\",\"format\":\"uuid\"}"), "{\"x\":[1]}", "" },
                { OBJECT("\"x\":{\"type\":\"string\",\"format\":\"nope\"}"), "{\"x\":5}",
                  "x: Invalid value: \"integer\": x in body must be of type string: \"integer\"" },
                { OBJECT("\"x\":{\"type\":\"number\",\"format\":\"double\"}"), "{\"x\":true}",
                  "x: Invalid value: \"\": x in body must be of type double: \"\"" },
                { OBJECT("\"x\":{\"type\":\"string\",\"enum\":[\"a\"]}"), "{\"x\":1}",
                  "x: Invalid value: \"integer\": x in body must be of type string: \"integer\" | x: Unsupported value: 1: supported values: \"a\"" },
                { OBJECT("\"x\":{\"type\":\"string\",\"nullable\":true,\"enum\":[\"a\"]}"), "{\"x\":null}",
                  "x: Unsupported value: null: supported values: \"a\"" },
                { OBJECT("\"x\":{\"type\":\"object\",\"not\":{\"required\":[\"a\"]}}"), "{\"x\":\"s\"}",
                  "x: Invalid value: \"string\": x in body must be of type object: \"string\" | "
                  "<nil>: Invalid value: \"\": \"x\" must not validate the schema (not)" },
                /* numbers */
                { OBJECT("\"x\":{\"type\":\"integer\"}"), "{\"x\":1.5}",
                  "x: Invalid value: \"number\": x in body must be of type integer: \"number\" | "
                  "<nil>: Invalid value: \"\": Checked value must be of type integer (default format) in x" },
                { OBJECT("\"x\":{\"type\":\"integer\",\"minimum\":0.5}"), "{\"x\":0}",
                  "<nil>: Invalid value: \"\": Minimum boundary value must be of type integer (default format) in x | "
                  "x: Invalid value: 0: x in body should be greater than or equal to 0.5" },
                { OBJECT("\"x\":{\"type\":\"number\",\"maximum\":9.5}"), "{\"x\":10000000000.0}",
                  "x: Invalid value: 1e+10: x in body should be less than or equal to 9.5" },
                { OBJECT("\"x\":{\"type\":\"integer\",\"multipleOf\":3}"), "{\"x\":9007199254740994}",
                  "x: Invalid value: 9007199254740994: x in body should be a multiple of 3" },
                { OBJECT("\"x\":{\"type\":\"number\",\"multipleOf\":0.1}"), "{\"x\":0.3}", "" },
                /* of alternatives that all fail, the one that more of the value matches is told */
                { OBJECT("\"x\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":\"integer\"}},\"anyOf\":["
                         "{\"required\":[\"a\"]},{\"properties\":{\"b\":{\"minimum\":5}},\"required\":[\"b\"]}]}"), "{\"x\":{\"b\":1}}",
                  "<nil>: Invalid value: \"\": \"x\" must validate at least one schema (anyOf) | "
                  "x.b: Invalid value: 1: x.b in body should be greater than or equal to 5" },
                /* what is required comes behind what is there */
                { "{\"type\":\"object\",\"required\":[\"r\"],\"properties\":{\"r\":{\"type\":\"string\"},\"s\":{\"type\":\"string\"}}}", "{\"s\":1}",
                  "s: Invalid value: \"integer\": s in body must be of type string: \"integer\" | r: Required value" },
                /* keys of lists are shown by their names */
                { OBJECT("\"x\":{\"type\":\"array\",\"x-kubernetes-list-type\":\"map\",\"x-kubernetes-list-map-keys\":[\"k\",\"j\"],\"items\":"
                         OBJECT("\"k\":{\"type\":\"string\"},\"j\":{\"type\":\"integer\"}") "}"),
                  "{\"x\":[{\"k\":\"a\",\"j\":1},{\"k\":\"a\",\"j\":1}]}", "x[1]: Duplicate value: {\"j\":1,\"k\":\"a\"}" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_arena_ struct arena *a = arena_new(0);

                assert_string_equal(errors_of(a, cases[i].schema, cases[i].value, NULL), cases[i].errors);
        }
}

/* What was let in before is not judged again, within alternatives neither. */
static void test_before(void **state)
{
        static const char schema[] = OBJECT("\"x\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"},\"b\":{\"type\":\"string\"}},"
                                            "\"allOf\":[{\"properties\":{\"a\":{\"maxLength\":2}}}]}");
        _cleanup_arena_ struct arena *a = arena_new(0);

        assert_string_equal(errors_of(a, schema, "{\"x\":{\"a\":\"long\",\"b\":\"new\"}}", "{\"x\":{\"a\":\"long\",\"b\":\"old\"}}"), "");
        assert_true(*errors_of(a, schema, "{\"x\":{\"a\":\"longer\"}}", "{\"x\":{\"a\":\"long\"}}") != '\0');
}

static void test_status(void **state)
{
        static const char schema[] = OBJECT("\"spec\":{\"type\":\"object\"},\"status\":" OBJECT("\"n\":{\"type\":\"integer\"}"));
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct field_errors errs = { .arena = a };

        crd_validate_status(crd_compile_schema(a, parse(a, schema), false), parse(a, "{\"spec\":5,\"status\":{\"n\":\"x\"}}"), NULL, &errs);
        assert_int_equal(errs.n, 1);
        assert_string_equal(field_error_print(a, errs.list), "status.n: Invalid value: \"string\": n in body must be of type integer: \"string\"");
}

/* Formats go with a type; dashes do not count. */
static void test_formats(void **state)
{
        assert_true(crd_format_known("string", "date-time") && crd_format_known("string", "datetime") && crd_format_known("", "uuid"));
        assert_true(crd_format_known("integer", "int32") && crd_format_known("number", "double"));
        assert_false(crd_format_known("string", "int32") || crd_format_known("integer", "date") || crd_format_known("number", "int64") ||
                     crd_format_known("boolean", "uuid"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_values),
                cmocka_unit_test(test_before),
                cmocka_unit_test(test_status),
                cmocka_unit_test(test_formats),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
