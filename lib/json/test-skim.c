/* Skimming: it must end where a parser would, wherever in a block of 64 bytes that is, and select what was asked for. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "skim.h"

static const char *const values[] = {
        "{}", "[]", "\"\"", "0", "-1.5e3", "true", "null", "\"}\"", "\"\\\"}\"", "\"\\\\\"", "[[],{},[{}]]",
        "{\"a\":{\"b\":[1,2,{\"c\":\"]}\"}]},\"d\":\"\\\\\\\"{\"}",
        "{\"f:metadata\":{\"f:labels\":{\".\":{},\"f:app\":{}}},\"k:{\\\"name\\\":\\\"c\\\"}\":{\".\":{},\"f:image\":{}}}",
        "[\"\\\\\\\\\",\"\\\\\\\\\\\"\",\"{[\",{\"\\\"\":\"\\u0041\"}]",
};

/* Behind as much in front of it as there is room for in a block, and with a tail that looks like more of it. */
static void test_ends(void **state)
{
        for (size_t i = 0; i < ARRAY_SIZE(values); i++)
                for (size_t pad = 0; pad < 200; pad++) {
                        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
                        struct json_skim s;
                        const char *end;

                        strbuf_puts(&b, "[\"");
                        for (size_t n = 0; n < pad; n++)
                                strbuf_putc(&b, n % 7 ? 'x' : '{');
                        strbuf_printf(&b, "\",%s]", values[i]);
                        end = b.data + b.len;
                        s = (struct json_skim){ b.data, end };
                        assert_true(json_skim_value(&s));
                        assert_ptr_equal(s.p, end);
                        s = (struct json_skim){ b.data + pad + 4, end };
                        assert_true(json_skim_value(&s));
                        assert_ptr_equal(s.p, end - 1);
                        /* Cut off, there is no end. */
                        s = (struct json_skim){ b.data, end - 1 };
                        assert_false(json_skim_value(&s));
                }
}

static void test_members(void **state)
{
        static const char text[] = " { \"a\" : 1 , \"b\\u0041\":[ 2,3 ] }";
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct json_skim s = { text, text + strlen(text) };
        struct json_skimmed key;

        json_skim_space(&s);
        assert_int_equal(json_skim_begin(&s, '}'), 1);
        assert_true(json_skim_key(&s, &key));
        assert_false(key.escaped);
        assert_memory_equal(key.p, "a", key.len);
        assert_true(json_skim_value(&s));
        assert_int_equal(json_skim_next(&s, '}'), 1);
        assert_true(json_skim_key(&s, &key));
        assert_true(key.escaped);
        assert_string_equal(json_string(json_skim_unescape(a, &key)), "bA");
        assert_true(json_skim_value(&s));
        assert_int_equal(json_skim_next(&s, '}'), 0);
        assert_ptr_equal(s.p, text + strlen(text));
        /* What is no object or list is not entered, and the text may end anywhere. */
        s = (struct json_skim){ "[1", text };
        assert_int_equal(json_skim_begin(&s, '}'), -1);
        s = (struct json_skim){ .p = "[1" };
        s.end = s.p + 2;
        assert_int_equal(json_skim_begin(&s, ']'), 1);
        assert_true(json_skim_value(&s));
        assert_int_equal(json_skim_next(&s, ']'), -1);
}

static const char *selected(struct arena *a, const char *paths, const char *text)
{
        struct json_want want = { 0 };
        struct json *j = NULL;
        char *all = arena_strdup(a, paths), *rest = NULL;

        for (char *path = strtok_r(all, " ", &rest); path; path = strtok_r(NULL, " ", &rest))
                json_want_path(a, &want, path, strlen(path));
        return json_select(a, text, strlen(text), &want, &j) ? json_print(a, j) : NULL;
}

static void test_select(void **state)
{
        static const char text[] = "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"x\",\"labels\":{\"a\":\"b\"}},"
                                   "\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"},{\"name\":\"\\u0064\"}],\"n\":7},\"x\":null}";
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct json_want want = { 0 };
        struct json *j = NULL;

        assert_string_equal(selected(a, "", text), "{}");
        assert_string_equal(selected(a, "metadata.name spec.n x absent.path", text),
                            "{\"metadata\":{\"name\":\"x\"},\"spec\":{\"n\":7},\"x\":null}");
        assert_string_equal(selected(a, "metadata.labels", text), "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}");
        assert_string_equal(selected(a, "spec.containers.name", text),
                            "{\"spec\":{\"containers\":[{\"name\":\"c\"},{\"name\":\"d\"}]}}");
        assert_string_equal(selected(a, "spec.containers.", text), "{\"spec\":{\"containers\":[{},{}]}}");
        assert_string_equal(selected(a, "metadata metadata.name", text),
                            "{\"metadata\":{\"name\":\"x\",\"labels\":{\"a\":\"b\"}}}");
        assert_string_equal(selected(a, "metadata.name metadata", text),
                            "{\"metadata\":{\"name\":\"x\",\"labels\":{\"a\":\"b\"}}}");
        assert_string_equal(selected(a, "spec.n.deeper", text), "{\"spec\":{\"n\":7}}");
        assert_string_equal(selected(a, "a", "{\"a\":1,\"a\":2}"), "{\"a\":2}");
        assert_null(selected(a, "a", "[]"));
        assert_null(selected(a, "a", "{\"a\":"));
        /* Its members are found as those of any object, and where they stood is known. */
        json_want_path(a, &want, "metadata.name", strlen("metadata.name"));
        assert_true(json_select(a, text, strlen(text), &want, &j));
        assert_string_equal(json_path_string(j, "metadata.name"), "x");
        assert_null(json_get(j, "spec"));
        assert_ptr_equal(want.below[0].text, strstr(text, "{\"name\""));
        assert_int_equal(want.below[0].text_len, strlen("{\"name\":\"x\",\"labels\":{\"a\":\"b\"}}"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ends),
                cmocka_unit_test(test_members),
                cmocka_unit_test(test_select),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
