/* Selectors: the grammar with its complaints, and what matches. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>

#include "selector.h"

static const struct {
        const char *in;
        const char *out;   /* canonical text; NULL: refused */
        const char *error; /* how the complaint ends */
} label_cases[] = {
        { "", "", NULL },
        { "a=b", "a=b", NULL },
        { " b == c , a != d ", "a!=d,b=c", NULL },
        { "x in (c,b,a)", "x in (a,b,c)", NULL },
        { "x notin (a)", "x notin (a)", NULL },
        { "x in ()", "x in ()", NULL },
        { "x in (,a)", "x in (,a)", NULL },
        { "in in (in,notin)", "in in (in,notin)", NULL },
        { "in,!notin", "in,!notin", NULL },
        { "n>1,m<2", "m<2,n>1", NULL },
        { "a=", "a=", NULL },
        { "a=,b", "a=,b", NULL },
        { "example.com/a=b", "example.com/a=b", NULL },
        { "app in (a", NULL, "found '', expected: ',' or ')'" },
        { "app in (", NULL, "found '', expected: ',', ')' or identifier" },
        { "app in a", NULL, "found 'a' expected: '('" },
        { "app=a=b", NULL, "found '=', expected: ',' or 'end of string'" },
        { "app=a,", NULL, "found '', expected: identifier after ','" },
        { "a b=c", NULL, "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt" },
        { "app<>a", NULL, "unable to parse requirement: found '>', expected: identifier" },
        { "=a", NULL, "found '=', expected: !, identifier, or 'end of string'" },
        { "n>5.5", NULL, "for 'Gt', 'Lt' operators, the value must be an integer" },
        { "a/b/c=d", NULL, "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')" },
        { "a<\"x\"", NULL, "regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')]" },
        { "a=-b", NULL, "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')" },
};

static void test_label_grammar(void **state)
{
        for (size_t i = 0; i < ARRAY_SIZE(label_cases); i++) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                _cleanup_error_ struct error err = ERROR_INIT;
                struct selector s;
                int r = selector_parse(a, label_cases[i].in, &s, &err);

                if (label_cases[i].out) {
                        assert_int_equal(r, 0);
                        assert_string_equal(selector_print(a, &s), label_cases[i].out);
                } else {
                        assert_int_equal(r, -EINVAL);
                        if (!str_has_suffix(error_text(&err), label_cases[i].error))
                                fail_msg("%s: %s", label_cases[i].in, error_text(&err));
                }
        }
}

static void test_label_matching(void **state)
{
        static const struct {
                const char *selector;
                bool matches; /* {"app":"web","n":"5","empty":""} */
        } cases[] = {
                { "", true },           { "app=web", true },     { "app!=web", false },
                { "gone!=web", true },  { "app in (a,web)", true }, { "gone notin (a)", true },
                { "app notin (web)", false }, { "app", true },   { "!app", false },
                { "!gone", true },      { "n>4", true },         { "n>5", false },
                { "n<6", true },        { "app>1", false },      { "gone>1", false },
                { "empty=", true },     { "gone=", false },      { "app=web,n=6", false },
        };
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct json *labels = json_new_object(a);

        json_set_string(a, labels, "app", "web");
        json_set_string(a, labels, "n", "5");
        json_set_string(a, labels, "empty", "");
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct selector s;

                assert_int_equal(selector_parse(a, cases[i].selector, &s, NULL), 0);
                if (selector_matches(&s, labels) != cases[i].matches)
                        fail_msg("%s", cases[i].selector);
        }
}

static const char *get_field(const char *key, void *userdata)
{
        return streq(key, "metadata.name") ? "a,b" : streq(key, "gone") ? NULL : "";
}

static void test_field_selectors(void **state)
{
        static const struct {
                const char *in;
                int outcome; /* 1: matches, 0: does not, -1: refused */
                const char *error;
        } cases[] = {
                { "", 1, NULL },
                { "metadata.name=a\\,b", 1, NULL },
                { "metadata.name==a\\,b,spec.nodeName=", 1, NULL },
                { "metadata.name!=a", 1, NULL },
                { "spec.nodeName!=", 0, NULL },
                { "gone=", 0, NULL },
                { "gone!=", 1, NULL },
                { ",,", 1, NULL },
                { "metadata.name", -1, "invalid selector: 'metadata.name'; can't understand 'metadata.name'" },
                { "metadata.name=a\\", -1, "invalid field selector: invalid escape sequence: \\" },
                { "metadata.name=a\\n", -1, "invalid field selector: invalid escape sequence: \\n" },
                { "a=b=c", -1, "invalid field selector: unescaped character in value: 61" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                _cleanup_error_ struct error err = ERROR_INIT;
                struct selector s;
                int r = field_selector_parse(a, cases[i].in, &s, &err);

                if (cases[i].outcome < 0) {
                        assert_int_equal(r, -EINVAL);
                        assert_string_equal(error_text(&err), cases[i].error);
                        continue;
                }
                assert_int_equal(r, 0);
                assert_int_equal(selector_matches_fn(&s, get_field, NULL), cases[i].outcome);
        }
}

static void test_from_object(void **state)
{
        static const struct {
                const char *object, *out;
        } cases[] = {
                { "{}", "" },
                { "{\"matchLabels\":{\"b\":\"1\",\"a\":\"2\"}}", "a=2,b=1" },
                { "{\"matchExpressions\":[{\"key\":\"x\",\"operator\":\"NotIn\",\"values\":[\"b\",\"a\"]},"
                  "{\"key\":\"e\",\"operator\":\"Exists\"}]}",
                  "e,x notin (a,b)" },
                { "{\"matchExpressions\":[{\"key\":\"x\",\"operator\":\"Gt\",\"values\":[\"1\"]}]}", NULL },
                { "{\"matchExpressions\":[{\"key\":\"x\",\"operator\":\"In\"}]}", NULL },
        };
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct selector s;

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct json *o;

                assert_int_equal(json_parse(a, cases[i].object, strlen(cases[i].object), NULL, &o, NULL), 0);
                if (!cases[i].out) {
                        assert_int_equal(selector_from_object(a, o, &s, NULL), -EINVAL);
                        continue;
                }
                assert_int_equal(selector_from_object(a, o, &s, NULL), 0);
                assert_string_equal(selector_print(a, &s), cases[i].out);
        }
        assert_int_equal(selector_from_object(a, NULL, &s, NULL), 0);
        assert_false(selector_matches(&s, NULL));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_label_grammar),
                cmocka_unit_test(test_label_matching),
                cmocka_unit_test(test_field_selectors),
                cmocka_unit_test(test_from_object),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
