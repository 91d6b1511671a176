/* Definitions: what they compile to, and what becomes of objects by their schemas. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "crd.h"

#include <errno.h>

#define DEFINITION(schema)                                                                                             \
        "{\"metadata\":{\"name\":\"foos.example.com\",\"uid\":\"u\"},\"spec\":{\"group\":\"example.com\",\"scope\":\"Namespaced\","   \
        "\"names\":{\"plural\":\"foos\",\"singular\":\"foo\",\"kind\":\"Foo\",\"listKind\":\"FooList\"},\"versions\":["                \
        "{\"name\":\"v1beta1\",\"served\":true,\"storage\":false,\"deprecated\":true,\"schema\":{\"openAPIV3Schema\":" schema "}},"   \
        "{\"name\":\"v1\",\"served\":true,\"storage\":true,\"schema\":{\"openAPIV3Schema\":" schema "},"                               \
        "\"subresources\":{\"status\":{},\"scale\":{\"specReplicasPath\":\".spec.n\",\"statusReplicasPath\":\".status.n\"}},"          \
        "\"additionalPrinterColumns\":[{\"name\":\"N\",\"type\":\"integer\",\"jsonPath\":\".spec.n\"}]},"                              \
        "{\"name\":\"v2\",\"served\":false,\"storage\":false,\"schema\":{\"openAPIV3Schema\":" schema "}}]},"                          \
        "\"status\":{\"acceptedNames\":{\"plural\":\"foos\",\"singular\":\"foo\",\"kind\":\"Foo\",\"listKind\":\"FooList\"}}}"

#define SCHEMA                                                                                                         \
        "{\"type\":\"object\",\"properties\":{\"spec\":{\"type\":\"object\",\"required\":[\"s\"],\"properties\":{"                     \
        "\"s\":{\"type\":\"string\",\"minLength\":2,\"maxLength\":4,\"pattern\":\"^[a-z]+$\"},"                                       \
        "\"n\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":9,\"default\":1},"                                                     \
        "\"e\":{\"type\":\"string\",\"enum\":[\"A\",\"B\"]},"                                                                         \
        "\"nul\":{\"type\":\"string\",\"nullable\":true},"                                                                            \
        "\"set\":{\"type\":\"array\",\"maxItems\":3,\"items\":{\"type\":\"string\"},\"x-kubernetes-list-type\":\"set\"},"             \
        "\"map\":{\"type\":\"array\",\"x-kubernetes-list-type\":\"map\",\"x-kubernetes-list-map-keys\":[\"k\"],"                       \
        "\"items\":{\"type\":\"object\",\"required\":[\"k\"],\"properties\":{\"k\":{\"type\":\"string\"},\"v\":{\"type\":\"integer\"}}}},"  \
        "\"free\":{\"type\":\"object\",\"x-kubernetes-preserve-unknown-fields\":true},"                                               \
        "\"ios\":{\"x-kubernetes-int-or-string\":true},"                                                                              \
        "\"when\":{\"type\":\"string\",\"format\":\"date-time\"},"                                                                    \
        "\"one\":{\"type\":\"object\",\"properties\":{\"x\":{\"type\":\"string\"},\"y\":{\"type\":\"string\"}},"                       \
        "\"oneOf\":[{\"required\":[\"x\"]},{\"required\":[\"y\"]}]}}}}}"

static struct crd *compiled(void)
{
        struct crd *c = NULL;

        assert_int_equal(crd_compile(DEFINITION(SCHEMA), strlen(DEFINITION(SCHEMA)), 7, &c, NULL), 0);
        return c;
}

static struct json *parse(struct arena *a, const char *text)
{
        struct json *j = NULL;

        assert_int_equal(json_parse(a, text, strlen(text), NULL, &j, NULL), 0);
        return j;
}

static struct crd *c_for_renewal;

static bool renewed(const char *status_and_meta)
{
        return crd_renew(c_for_renewal, status_and_meta, strlen(status_and_meta), 8);
}

#define RENEWED(meta, status) "{\"metadata\":{\"name\":\"foos.example.com\",\"uid\":\"u\"" meta "},\"spec\":" SPEC ",\"status\":{" status "}}"
#define SPEC_NAMES "\"names\":{\"plural\":\"foos\",\"kind\":\"Foo\"}"
#define SPEC_OF(min)                                                                                                   \
        "{\"group\":\"example.com\",\"scope\":\"Namespaced\"," SPEC_NAMES ",\"versions\":[{\"name\":\"v1\",\"served\":true,"     \
        "\"storage\":true,\"schema\":{\"openAPIV3Schema\":{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\","  \
        "\"minimum\":" min "}}}}}]}"
#define SPEC SPEC_OF("1")

/* What a definition compiles to depends on its spec, its accepted names, and whether it goes. */
static void test_renew(void **state)
{
        static const char other_spec[] = "{\"metadata\":{\"name\":\"foos.example.com\",\"uid\":\"u\"},\"spec\":" SPEC_OF("2") "}";
        const struct resource *v1;

        assert_int_equal(crd_compile(RENEWED("", ""), strlen(RENEWED("", "")), 7, &c_for_renewal, NULL), 0);
        v1 = c_for_renewal->resources[0];
        assert_true(renewed(RENEWED("", "\"acceptedNames\":{\"plural\":\"foos\",\"kind\":\"Foo\"},\"conditions\":[]")));
        assert_true(renewed(RENEWED(",\"labels\":{\"a\":\"b\"}", "\"conditions\":[{\"type\":\"Established\"}]")));
        assert_string_equal(json_path_string(c_for_renewal->definition, "metadata.labels.a"), "b");
        assert_int_equal(json_len(json_path(c_for_renewal->definition, "status.conditions")), 1);
        assert_int_equal(json_path_int(json_at(json_path(c_for_renewal->definition, "spec.versions"), 0),
                                       "schema.openAPIV3Schema.properties.n.minimum", 0), 1);
        assert_int_equal(c_for_renewal->revision, 8);
        assert_ptr_equal(c_for_renewal->resources[0], v1);
        assert_false(renewed(RENEWED(",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"", "")));
        assert_false(renewed(RENEWED("", "\"acceptedNames\":{\"plural\":\"foos\",\"kind\":\"Foo\",\"shortNames\":[\"fo\"]}")));
        assert_false(renewed(other_spec));
        assert_false(renewed("{\"metadata\":{\"name\":\"foos.example.com\",\"uid\":\"v\"},\"spec\":" SPEC "}"));
        assert_string_equal(json_path_string(c_for_renewal->definition, "metadata.labels.a"), "b");
        crd_unref(c_for_renewal);
}

static void test_compile(void **state)
{
        struct crd *c = compiled();
        const struct resource *v1 = c->resources[0];

        assert_int_equal(c->n_resources, 2); /* v2 is not served */
        assert_string_equal(v1->version, "v1");
        assert_string_equal(c->resources[1]->deprecated, "example.com/v1beta1 Foo is deprecated; use example.com/v1 Foo");
        assert_ptr_equal(c->stored, v1);
        assert_true(v1->status_subresource);
        assert_string_equal(v1->reset_on_create[0], "status");
        assert_int_equal(v1->n_subresources, 2);
        assert_string_equal(v1->storage_prefix, "example.com/foos");
        assert_int_equal(v1->n_columns, 2);
        assert_string_equal(v1->columns[1].cell, "jsonpath .spec.n");
        assert_string_equal(c->resources[1]->columns[1].name, "Age");
        assert_non_null(schema_field(v1->schema, "metadata"));
        assert_int_equal(schema_field(schema_field(v1->schema, "spec")->type, "map")->type->list_type, SCHEMA_LIST_MAP);
        assert_true(schema_field(schema_field(v1->schema, "spec")->type, "free")->type->type == SCHEMA_ANY);
        crd_unref(c);
}

static void test_prune_and_default(void **state)
{
        static const struct {
                const char *in, *out, *complaint;
        } cases[] = {
                {"{\"spec\":{\"s\":\"ab\"}}", "{\"spec\":{\"s\":\"ab\",\"n\":1}}", ""},
                {"{\"spec\":{\"s\":\"ab\",\"n\":null}}", "{\"spec\":{\"s\":\"ab\",\"n\":1}}", ""},
                {"{\"spec\":{\"s\":null,\"n\":0}}", "{\"spec\":{\"n\":0}}", ""},
                {"{\"spec\":{\"n\":0,\"nul\":null}}", "{\"spec\":{\"n\":0,\"nul\":null}}", ""},
                {"{\"zzz\":1,\"spec\":{\"n\":0,\"map\":[{\"k\":\"a\",\"q\":1}]}}", "{\"spec\":{\"n\":0,\"map\":[{\"k\":\"a\"}]}}",
                 "unknown field \"spec.map[0].q\", unknown field \"zzz\""},
                {"{\"spec\":{\"n\":1.0,\"s\":{\"a\":1},\"set\":{\"b\":1},\"ios\":[{\"c\":1}]}}",
                 "{\"spec\":{\"n\":1,\"s\":{},\"set\":{},\"ios\":[{}]}}",
                 "unknown field \"spec.ios[0].c\", unknown field \"spec.s.a\", unknown field \"spec.set.b\""},
                {"{\"spec\":{\"n\":0,\"free\":{\"a\":1e3,\"b\":-0,\"c\":1.50,\"d\":18446744073709551616,\"e\":1e21}}}",
                 "{\"spec\":{\"n\":0,\"free\":{\"a\":1000,\"b\":0,\"c\":1.5,\"d\":18446744073709552000,\"e\":1e+21}}}", ""},
                {"{\"spec\":{\"n\":0,\"free\":{\"a\":{\"b\":1}}}}", "{\"spec\":{\"n\":0,\"free\":{\"a\":{\"b\":1}}}}", ""},
                {"{\"metadata\":{\"foo\":1,\"name\":\"x\"}}", "{\"metadata\":{\"name\":\"x\"}}", "unknown field \"metadata.foo\""},
        };
        struct crd *c = compiled();

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                struct strict_errors strict = {.arena = a};
                struct json *obj = parse(a, cases[i].in);
                _cleanup_strbuf_ struct strbuf said = STRBUF_INIT;

                assert_int_equal(crd_decode(a, c->resources[0]->schema, obj, &strict, NULL), 0);
                crd_default(a, c->resources[0]->schema, obj);
                assert_string_equal(json_print(a, obj), cases[i].out);
                for (size_t k = 0; k < strict.n; k++)
                        strbuf_printf(&said, "%s%s", k ? ", " : "", strict.list[k]);
                assert_string_equal(strbuf_str(&said), cases[i].complaint);
        }
        crd_unref(c);
}

/* Nulls where none may be: defaulting drops them, what is applied gets them back. */
static void test_applied_nulls(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct crd *c = compiled();
        const struct schema *s = c->resources[0]->schema;
        struct json *obj = parse(a, "{\"spec\":{\"n\":null,\"s\":null,\"free\":{\"a\":null}}}"), *out = json_clone(a, obj);

        crd_default(a, s, out);
        assert_false(json_path(out, "spec.s"));
        crd_keep_nulls(a, s, obj, out);
        assert_string_equal(json_print(a, out), "{\"spec\":{\"n\":1,\"free\":{\"a\":null},\"s\":null}}");
        crd_unref(c);
}

static void test_bad_metadata(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        _cleanup_error_ struct error err = ERROR_INIT, number = ERROR_INIT;
        struct crd *c = compiled();

        assert_int_equal(crd_decode(a, c->resources[0]->schema, parse(a, "{\"metadata\":{\"labels\":{\"a\":1}}}"), NULL, &err), -EINVAL);
        assert_int_equal(crd_decode(a, c->resources[0]->schema, parse(a, "{\"spec\":{\"n\":-1e400}}"), NULL, &number), -EINVAL);
        assert_string_equal(error_text(&number), "json: cannot unmarshal number -1e400 into Go value of type float64");
        crd_unref(c);
}

/* What /scale reads: errors as Go's unstructured accessors put them. */
static void test_scale(void **state)
{
        static const struct {
                const char *in, *path, *detail; /* PATH NULL: valid */
        } cases[] = {
                {"{\"spec\":{\"n\":2}}", NULL, NULL},
                {"{}", NULL, NULL},
                {"{\"spec\":{\"n\":\"5\"}}", ".spec.n", ".spec.n accessor error: 5 is of the type string, expected int64"},
                {"{\"spec\":{\"n\":2.0}}", ".spec.n", ".spec.n accessor error: 2 is of the type float64, expected int64"},
                {"{\"spec\":{\"n\":{\"b\":[1,true],\"a\":1.5}}}", ".spec.n",
                 ".spec.n accessor error: map[a:1.5 b:[1 true]] is of the type map[string]interface {}, expected int64"},
                {"{\"spec\":7}", ".spec.n", ".spec.n accessor error: 7 is of the type int64, expected map[string]interface{}"},
                {"{\"spec\":{\"n\":-1}}", ".spec.n", "should be a non-negative integer"},
                {"{\"spec\":{\"n\":2147483648}}", ".spec.n", "should be less than or equal to 2147483647"},
                {"{\"status\":{\"n\":false}}", ".status.n", ".status.n accessor error: false is of the type bool, expected int64"},
        };
        struct crd *c = compiled();

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                struct field_errors errs = {.arena = a};

                crd_validate_scale(c->resources[0]->crd, parse(a, cases[i].in), true, &errs);
                assert_int_equal(errs.n, cases[i].path ? 1 : 0);
                if (cases[i].path) {
                        assert_string_equal(errs.list[0].path, cases[i].path);
                        assert_string_equal(errs.list[0].detail, cases[i].detail);
                }
        }
        crd_unref(c);
}

static void test_validate(void **state)
{
        static const struct {
                const char *in, *old, *path, *detail; /* PATH NULL: valid */
        } cases[] = {
                {"{\"spec\":{\"s\":\"ab\"}}", NULL, NULL, NULL},
                {"{\"spec\":{}}", NULL, "spec.s", ""},
                {"{\"spec\":{\"s\":\"a\"}}", NULL, "spec.s", "spec.s in body should be at least 2 chars long"},
                {"{\"spec\":{\"s\":\"abcde\"}}", NULL, "spec.s", "may not be more than 4 bytes"},
                {"{\"spec\":{\"s\":\"AB\"}}", NULL, "spec.s", "spec.s in body should match '^[a-z]+$'"},
                {"{\"spec\":{\"s\":\"AB\",\"n\":2}}", "{\"spec\":{\"s\":\"AB\",\"n\":1}}", NULL, NULL}, /* ratcheting */
                {"{\"spec\":{\"s\":\"ab\",\"n\":10}}", NULL, "spec.n", "spec.n in body should be less than or equal to 9"},
                {"{\"spec\":{\"s\":\"ab\",\"n\":\"x\"}}", NULL, "spec.n", "spec.n in body must be of type integer: \"string\""},
                {"{\"spec\":{\"s\":\"ab\",\"e\":\"C\"}}", NULL, "spec.e", "supported values: \"A\", \"B\""},
                {"{\"spec\":{\"s\":\"ab\",\"set\":[\"x\",\"x\"]}}", NULL, "spec.set[1]", ""},
                {"{\"spec\":{\"s\":\"ab\",\"set\":[\"a\",\"b\",\"c\",\"d\"]}}", NULL, "spec.set", "must have at most 3 items"},
                {"{\"spec\":{\"s\":\"ab\",\"map\":[{\"k\":\"a\"},{\"k\":\"a\"}]}}", NULL, "spec.map[1]", ""},
                {"{\"spec\":{\"s\":\"ab\",\"ios\":\"5%\"}}", NULL, NULL, NULL},
                {"{\"spec\":{\"s\":\"ab\",\"ios\":[]}}", NULL, "spec.ios", "spec.ios in body must be of type integer,string: \"array\""},
                {"{\"spec\":{\"s\":\"ab\",\"when\":\"x\"}}", NULL, "spec.when", "spec.when in body must be of type date-time: \"x\""},
                {"{\"spec\":{\"s\":\"ab\",\"one\":{\"x\":\"1\",\"y\":\"2\"}}}", NULL, "<nil>",
                 "\"spec.one\" must validate one and only one schema (oneOf). Found 2 valid alternatives"},
        };
        struct crd *c = compiled();

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                struct field_errors errs = {.arena = a};

                crd_validate(c->resources[0]->schema, parse(a, cases[i].in), cases[i].old ? parse(a, cases[i].old) : NULL, "", &errs);
                if (!cases[i].path) {
                        assert_int_equal(errs.n, 0);
                        continue;
                }
                assert_int_equal(errs.n, 1);
                assert_string_equal(errs.list[0].path, cases[i].path);
                assert_string_equal(errs.list[0].detail ? errs.list[0].detail : "", cases[i].detail);
        }
        crd_unref(c);
}

static void test_rules(void **state)
{
        static const char schema[] =
                DEFINITION("{\"type\":\"object\",\"properties\":{\"spec\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},"
                           "\"b\":{\"type\":\"integer\"},\"fix\":{\"type\":\"string\",\"x-kubernetes-validations\":[{\"rule\":\"self == oldSelf\","
                           "\"message\":\"fix is fixed\"}]}},\"x-kubernetes-validations\":[{\"rule\":\"!has(self.a) || self.a <= self.b\","
                           "\"messageExpression\":\"'b is ' + string(self.b)\",\"fieldPath\":\".a\",\"reason\":\"FieldValueForbidden\"}]}}}");
        static const struct {
                const char *in, *old, *path, *detail;
        } cases[] = {
                {"{\"spec\":{\"a\":1,\"b\":2,\"fix\":\"x\"}}", NULL, NULL, NULL},
                {"{\"spec\":{\"a\":3,\"b\":2}}", NULL, "spec.a", "b is 2"},
                {"{\"spec\":{\"a\":3,\"b\":2}}", "{\"spec\":{\"a\":3,\"b\":2}}", NULL, NULL},
                {"{\"spec\":{\"fix\":\"y\"}}", "{\"spec\":{\"fix\":\"x\"}}", "spec.fix", "fix is fixed"},
                {"{\"spec\":{\"a\":3}}", NULL, "spec", "no such key: b evaluating rule: !has(self.a) || self.a <= self.b"},
                {"{\"spec\":{\"a\":null,\"b\":2}}", NULL, NULL, NULL}, /* null: as if it were not there */
                {"{\"spec\":{\"a\":3,\"b\":null}}", NULL, "spec", "no such key: b evaluating rule: !has(self.a) || self.a <= self.b"},
        };
        struct crd *c = NULL;

        assert_int_equal(crd_compile(schema, strlen(schema), 1, &c, NULL), 0);
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                struct field_errors errs = {.arena = a};

                crd_judge(c->resources[0]->schema, parse(a, cases[i].in), cases[i].old ? parse(a, cases[i].old) : NULL, &errs, NULL, NULL);
                if (!cases[i].path) {
                        assert_int_equal(errs.n, 0);
                        continue;
                }
                assert_int_equal(errs.n, 1);
                assert_string_equal(errs.list[0].path, cases[i].path);
                assert_string_equal(errs.list[0].detail, cases[i].detail);
        }
        crd_unref(c);
}

static void test_patterns(void **state)
{
        static const struct {
                const char *pattern, *value;
                int result;
        } cases[] = {
                {"^\\d+$", "123", 1},           {"^\\d+$", "12a", 0},       {"^(?:a|b)c$", "bc", 1}, {"^[\\w.-]+$", "a_b-c.d", 1},
                {"^[\\w.-]+$", "a/b", 0},       {"a{2,3}", "caab", 1},      {"^[^\\]]$", "]", 0},    {"^[^\\]]$", "x", 1},
                {"^[\\-+]$", "-", 1},           {"\\S", " ", 0},            {"(", "", -1},           {"[a", "", -1},
                {"^https?://", "https://x", 1}, {"^([^/]+/)?(.+)$", "a/b", 1},
        };
        _cleanup_arena_ struct arena *a = arena_new(0);
        const char *why = NULL;

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
                if (crd_pattern_match(a, cases[i].pattern, cases[i].value, NULL) != cases[i].result)
                        fail_msg("%s on %s", cases[i].pattern, cases[i].value);
        crd_pattern_match(a, "(", "", &why);
        assert_string_equal(why, "error parsing regexp: missing closing ): `(`");
}

static void test_definition(void **state)
{
        static const struct {
                const char *spec, *path; /* of the first error; NULL: none. SPEC: the schema of spec.a */
        } cases[] = {
                {"{\"type\":\"string\"}", NULL},
                {"{}", "spec.validation.openAPIV3Schema.properties[a].type"},
                {"{\"type\":\"array\"}", "spec.validation.openAPIV3Schema.properties[a].items"},
                {"{\"type\":\"array\",\"items\":[]}", "spec.validation.openAPIV3Schema.properties[a].items"},
                {"{\"$ref\":\"#/x\"}", "spec.validation.openAPIV3Schema.properties[a].$ref"},
                {"{\"type\":\"string\",\"pattern\":\"(\"}", "spec.validation.openAPIV3Schema.properties[a].pattern"},
                {"{\"type\":\"integer\",\"allOf\":[{\"default\":1}]}", "spec.validation.openAPIV3Schema.properties[a].allOf[0].default"},
                {"{\"type\":\"string\",\"enum\":[\"x\"],\"default\":\"y\"}", "spec.validation.openAPIV3Schema.properties[a].default"},
                {"{\"x-kubernetes-int-or-string\":true,\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"string\"}]}", NULL},
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                struct field_errors errs = {.arena = a};
                struct json *crd = parse(a, arena_printf(a,
                        "{\"metadata\":{\"name\":\"foos.example.com\"},\"spec\":{\"group\":\"example.com\",\"scope\":\"Cluster\",\"names\":"
                        "{\"plural\":\"foos\",\"singular\":\"foo\",\"kind\":\"Foo\",\"listKind\":\"FooList\"},\"versions\":[{\"name\":\"v1\","
                        "\"served\":true,\"storage\":true,\"schema\":{\"openAPIV3Schema\":{\"type\":\"object\",\"properties\":{\"a\":%s}}}}]},"
                        "\"status\":{\"storedVersions\":[\"v1\"]}}", cases[i].spec));

                crd_validate_definition(crd, NULL, &errs, NULL, NULL);
                if (!cases[i].path) {
                        assert_int_equal(errs.n, 0);
                        continue;
                }
                assert_true(errs.n > 0);
                assert_string_equal(errs.list[0].path, cases[i].path);
        }
}

/* Rules are checked against the schema they stand in: types, names, and what they may cost. */
static void test_rules_compile(void **state)
{
        static const struct {
                const char *properties, *rule;
                const char *detail; /* a part of the first error's; NULL: none */
        } cases[] = {
                {"\"a\":{\"type\":\"string\"}", "self.a == 'x'", NULL},
                {"\"a\":{\"type\":\"string\"}", "self.b == 'x'", "ERROR: <input>:1:5: undefined field 'b'\n | self.b == 'x'\n | ....^"},
                {"\"a\":{\"type\":\"string\"}", "self.a == 1", "found no matching overload for '_==_' applied to '(string, int)'"},
                {"\"a\":{\"type\":\"string\"}", "self.a", "must evaluate to a bool"},
                {"\"a.b\":{\"type\":\"integer\"},\"in\":{\"type\":\"boolean\"}", "self.a__dot__b > 1 && self.__in__", NULL},
                {"\"a\":{\"type\":\"string\",\"format\":\"date-time\"}", "self.a.getFullYear() > 2000", NULL},
                {"\"a\":{\"type\":\"string\",\"format\":\"duration\"}", "self.a < duration('1h')", NULL},
                {"\"a\":{\"x-kubernetes-int-or-string\":true}", "self.a == 1 || self.a == '1'", NULL},
                {"\"a\":{\"type\":\"object\",\"x-kubernetes-preserve-unknown-fields\":true}", "self.a.b == 1", "undefined field 'b'"},
                {"\"a\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}", "self.a.all(x, self.a.all(y, x.contains(y)))",
                 "estimated rule cost exceeds budget by factor of more than 100x"},
                {"\"a\":{\"type\":\"array\",\"maxItems\":5,\"items\":{\"type\":\"string\",\"maxLength\":5}}",
                 "self.a.all(x, self.a.all(y, x.contains(y)))", NULL},
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                struct field_errors errs = {.arena = a};
                struct json *crd = parse(a, arena_printf(a,
                        "{\"metadata\":{\"name\":\"foos.example.com\"},\"spec\":{\"group\":\"example.com\",\"scope\":\"Cluster\",\"names\":"
                        "{\"plural\":\"foos\",\"singular\":\"foo\",\"kind\":\"Foo\",\"listKind\":\"FooList\"},\"versions\":[{\"name\":\"v1\","
                        "\"served\":true,\"storage\":true,\"schema\":{\"openAPIV3Schema\":{\"type\":\"object\",\"properties\":{\"spec\":"
                        "{\"type\":\"object\",\"properties\":{%s},\"x-kubernetes-validations\":[{\"rule\":\"%s\"}]}}}}}]},"
                        "\"status\":{\"storedVersions\":[\"v1\"]}}", cases[i].properties, cases[i].rule));

                crd_validate_definition(crd, NULL, &errs, NULL, NULL);
                if (!cases[i].detail && errs.n)
                        fail_msg("%s: %s", cases[i].rule, errs.list[0].detail);
                if (cases[i].detail && (!errs.n || !strstr(errs.list[0].detail, cases[i].detail)))
                        fail_msg("%s: %s", cases[i].rule, errs.n ? errs.list[0].detail : "let in");
        }
}

/* Where conversion webhooks are, and the names in a status. */
static void test_conversion_and_status(void **state)
{
        static const struct {
                const char *client, *path, *detail; /* NULL: let in */
        } cases[] = {
                {"{\"url\":\"https://x\"}", NULL, NULL},
                {"{\"url\":\"::\"}", "spec.conversion.webhookClientConfig.url", "missing protocol scheme"},
                {"{\"service\":{\"name\":\"a\"}}", "spec.conversion.webhookClientConfig.service.name", ""},
                {"{\"service\":{\"name\":\"a\",\"namespace\":\"b\",\"path\":\"a\"}}",
                 "spec.conversion.webhookClientConfig.service.path", "must start with a '/'"},
                {"{\"url\":\"https://x\",\"caBundle\":\"YQ==\"}", "spec.conversion.webhookClientConfig.caBundle",
                 "data does not contain any valid RSA or ECDSA certificates"},
        };
        static const char live[] = "{\"status\":{\"conditions\":[{\"type\":\"Established\",\"status\":\"True\"}]}}";
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct field_errors errs = {.arena = a};

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct json *crd = parse(a, arena_printf(a,
                        "{\"metadata\":{\"name\":\"foos.example.com\"},\"spec\":{\"group\":\"example.com\",\"scope\":\"Cluster\",\"names\":"
                        "{\"plural\":\"foos\",\"singular\":\"foo\",\"kind\":\"Foo\",\"listKind\":\"FooList\"},\"versions\":[{\"name\":\"v1\","
                        "\"served\":true,\"storage\":true,\"schema\":{\"openAPIV3Schema\":{\"type\":\"object\"}}}],\"conversion\":{"
                        "\"strategy\":\"Webhook\",\"webhook\":{\"clientConfig\":%s,\"conversionReviewVersions\":[\"v1\"]}}},"
                        "\"status\":{\"storedVersions\":[\"v1\"]}}", cases[i].client));

                errs.n = 0;
                crd_validate_definition(crd, parse(a, live), &errs, NULL, NULL);
                assert_int_equal(errs.n > 0, cases[i].path != NULL);
                if (cases[i].path)
                        assert_string_equal(errs.list[0].path, cases[i].path);
                if (cases[i].path)
                        assert_non_null(strstr(errs.list[0].detail, cases[i].detail));
                /* The stored bundle may go on being bad. */
                errs.n = 0;
                crd_validate_definition(crd, crd, &errs, NULL, NULL);
                assert_int_equal(errs.n, 0);
        }
        errs.n = 0;
        crd_validate_definition_status(parse(a, "{\"status\":{\"acceptedNames\":{\"plural\":\"foos\",\"kind\":\"Foo_\"}}}"), &errs);
        assert_int_equal(errs.n, 1);
        assert_string_equal(errs.list[0].path, "status.acceptedNames.kind");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_compile), cmocka_unit_test(test_conversion_and_status),
                cmocka_unit_test(test_renew),  cmocka_unit_test(test_prune_and_default), cmocka_unit_test(test_applied_nulls),
                cmocka_unit_test(test_bad_metadata),
                cmocka_unit_test(test_validate),
                cmocka_unit_test(test_scale), cmocka_unit_test(test_patterns),          cmocka_unit_test(test_definition), cmocka_unit_test(test_rules),
                cmocka_unit_test(test_rules_compile),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
