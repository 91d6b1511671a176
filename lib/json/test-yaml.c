/* YAML as manifests use it: what becomes of each way to write a value, and the words of refusal. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>

#include "yaml.h"

static const struct {
        const char *in, *out, *error;
} cases[] = {
        { "", "null", NULL },
        { "a: 1", "{\"a\":1}", NULL },
        { "a: '1'", "{\"a\":\"1\"}", NULL },
        { "[0644, 0x1F, 0b11, 0o17, 1_000, 08, -5, +5]", "[420,31,3,15,1000,8,-5,5]", NULL },
        { "[1.5, 1e3, .5, 1., 1.0]", "[1.5,1000,0.5,1,1]", NULL },
        { "[yes, On, y, TRUE, no, off, N]", "[true,true,true,true,false,false,false]", NULL },
        { "[null, ~, , 'null']", NULL, "yaml: did not find expected node content" },
        { "[null, ~, 'null']", "[null,null,\"null\"]", NULL },
        { "a:", "{\"a\":null}", NULL },
        { "[2001-01-01, 1.2.3, 100m, 1Gi, 10.0.0.1, '-', 1h]",
          "[\"2001-01-01\",\"1.2.3\",\"100m\",\"1Gi\",\"10.0.0.1\",\"-\",\"1h\"]", NULL },
        { "[18446744073709551615, -9223372036854775808]", "[18446744073709551615,-9223372036854775808]",
          NULL },
        { "1: a\ntrue: b\n1.5: c", "{\"1\":\"a\",\"true\":\"b\",\"1.5\":\"c\"}", NULL },
        { "a: |\n  x\n  y\nb: >-\n  x\n  y\n", "{\"a\":\"x\\ny\\n\",\"b\":\"x y\"}", NULL },
        { "a: &x {b: 1}\nc: *x", "{\"a\":{\"b\":1},\"c\":{\"b\":1}}", NULL },
        { "a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  c: 3", "{\"a\":{\"b\":1,\"c\":2},\"d\":{\"c\":3,\"b\":1}}", NULL },
        { "a: !!str 5\nb: !!int '5'\nc: !!binary aGk=", "{\"a\":\"5\",\"b\":5,\"c\":\"hi\"}", NULL },
        { "{\"a\": [1, \"x\"]}", "{\"a\":[1,\"x\"]}", NULL },
        { "a: b\n--- \nc: d", "{\"a\":\"b\"}", NULL },
        { "a: b: c", NULL, "yaml: mapping values are not allowed in this context" },
        { "a:\n\tb: c\n", NULL, "yaml: line 2: found character that cannot start any token" },
        { "a: *x", NULL, "yaml: unknown anchor 'x' referenced" },
        { "<<: 5", NULL, "yaml: map merge requires map or sequence of maps as the value" },
        { "{a: b}: c", NULL, "yaml: invalid map key: a mapping or a sequence" },
        { "a: .inf", NULL, "json: unsupported value: +Inf" },
};

static void test_documents(void **state)
{
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                _cleanup_error_ struct error err = ERROR_INIT;
                struct json *j = NULL;
                int r = yaml_parse(a, cases[i].in, strlen(cases[i].in), NULL, &j, &err);

                if (cases[i].error) {
                        assert_int_equal(r, -EINVAL);
                        assert_string_equal(error_text(&err), cases[i].error);
                } else {
                        if (r < 0)
                                fail_msg("%s: %s", cases[i].in, error_text(&err));
                        assert_string_equal(json_print(a, j), cases[i].out);
                }
        }
}

static void test_all_documents(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        const char *text = "# head\n---\na: 1\n---\n---\n# nothing\n---\nb: 2\n...\n";
        struct json *all;

        assert_int_equal(yaml_parse_all(a, text, strlen(text), &all, NULL), 0);
        assert_string_equal(json_print(a, all), "[{\"a\":1},{\"b\":2}]");
}

static void note(const char *text, void *userdata)
{
        strbuf_printf(userdata, "%s;", text);
}

static void test_duplicates(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        _cleanup_strbuf_ struct strbuf seen = STRBUF_INIT;
        struct json_limits limits = { .on_duplicate = note, .userdata = &seen };
        const char *text = "a: 1\nb: 2\na: 3\n";
        struct json *j;

        assert_int_equal(yaml_parse(a, text, strlen(text), &limits, &j, NULL), 0);
        assert_string_equal(json_print(a, j), "{\"a\":3,\"b\":2}");
        assert_string_equal(strbuf_str(&seen), "line 3: key \"a\" already set in map;");
}

/* Nine levels of nine aliases each: 9^9 nodes if it were expanded. */
static void test_bombs(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        struct json *j;

        strbuf_puts(&b, "a0: &a0 [x]\n");
        for (int i = 1; i < 9; i++)
                strbuf_printf(&b, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1, i - 1,
                              i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
        assert_int_equal(yaml_parse(a, b.data, b.len, NULL, &j, NULL), -E2BIG);
        strbuf_reset(&b);
        for (int i = 0; i < 20000; i++)
                strbuf_putc(&b, '[');
        assert_true(yaml_parse(a, b.data, b.len, NULL, &j, NULL) < 0);
}

/* What an alias stands for is measured in one walk, however deep it is. */
static void test_deep_alias(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        struct json *doc = NULL;

        strbuf_puts(&b, "a: &a ");
        for (int i = 0; i < 100; i++)
                strbuf_puts(&b, i % 2 ? "{x: " : "[");
        strbuf_putc(&b, '1');
        for (int i = 100; i-- > 0;)
                strbuf_putc(&b, i % 2 ? '}' : ']');
        strbuf_puts(&b, "\nb: *a\n");
        assert_int_equal(yaml_parse(a, b.data, b.len, NULL, &doc, NULL), 0);
        assert_true(json_equal(json_get(doc, "a"), json_get(doc, "b")));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_documents),
                cmocka_unit_test(test_all_documents),
                cmocka_unit_test(test_duplicates),
                cmocka_unit_test(test_bombs),
                cmocka_unit_test(test_deep_alias),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
