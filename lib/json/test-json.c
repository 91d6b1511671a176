/* What clients and etcd rely on: texts of errors, numbers that keep their text, order, duplicates. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "json.h"

static struct json *parse(struct arena *a, const char *text)
{
        struct json *j = NULL;

        assert_int_equal(json_parse(a, text, strlen(text), NULL, &j, NULL), 0);
        return j;
}

static void round_trip(void **state)
{
        static const char *const texts[][2] = {
                { "{\"b\":1,\"a\":[true,false,null,-1.50e+3,\"x\"]}", NULL },
                { " [ ] ", "[]" },
                { "\"\\u00e9\\ud83d\\ude00\\/\"", "\"\xc3\xa9\xf0\x9f\x98\x80/\"" },
                { "\"\\ud800x\"", "\"\xef\xbf\xbdx\"" },
                { "\"a\xff\"", "\"a\xef\xbf\xbd\"" },
                { "\"<&>\\n\\u0001\"", "\"\\u003c\\u0026\\u003e\\n\\u0001\"" },
                { "18446744073709551616", NULL },
                { "{\"a\":1,\"b\":2,\"a\":3}", "{\"a\":3,\"b\":2}" },
        };
        unused(state);

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                _cleanup_arena_ struct arena *a = arena_new(0);

                assert_string_equal(json_print(a, parse(a, texts[i][0])),
                                    texts[i][1] ? texts[i][1] : texts[i][0]);
        }
}

static void errors_are_gos(void **state)
{
        static const char *const cases[][2] = {
                { "", "unexpected end of JSON input" },
                { "{", "unexpected end of JSON input" },
                { "{a}", "invalid character 'a' looking for beginning of object key string" },
                { "{\"a\":1,}", "invalid character '}' looking for beginning of object key string" },
                { "{\"a\" 1}", "invalid character '1' after object key" },
                { "{\"a\":1 2}", "invalid character '2' after object key:value pair" },
                { "[1 2]", "invalid character '2' after array element" },
                { "[1,]", "invalid character ']' looking for beginning of value" },
                { "nulx", "invalid character 'x' in literal null (expecting 'l')" },
                { "1 x", "invalid character 'x' after top-level value" },
                { "-x", "invalid character 'x' in numeric literal" },
                { "1.x", "invalid character 'x' after decimal point in numeric literal" },
                { "1ex", "invalid character 'x' in exponent of numeric literal" },
                { "\"\n\"", "invalid character '\\n' in string literal" },
                { "\"\\x\"", "invalid character 'x' in string escape code" },
                { "\"\\u12g4\"", "invalid character 'g' in \\u hexadecimal character escape" },
        };
        unused(state);

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                _cleanup_error_ struct error err = ERROR_INIT;
                struct json *j;

                assert_int_equal(json_parse(a, cases[i][0], strlen(cases[i][0]), NULL, &j, &err),
                                 -EINVAL);
                assert_string_equal(error_text(&err), cases[i][1]);
        }
}

static void note_duplicate(const char *path, void *userdata)
{
        strbuf_printf(userdata, "%s;", path);
}

static void duplicates_are_told(void **state)
{
        static const char text[] = "{\"a\":{\"x\":1,\"x\":2},\"l\":[{},{\"y\":1,\"y\":1}],\"l\":0}";
        _cleanup_arena_ struct arena *a = arena_new(0);
        _cleanup_strbuf_ struct strbuf seen = STRBUF_INIT;
        struct json_limits limits = { .on_duplicate = note_duplicate, .userdata = &seen };
        struct json *j;
        unused(state);

        assert_int_equal(json_parse(a, text, strlen(text), &limits, &j, NULL), 0);
        assert_string_equal(strbuf_str(&seen), "a.x;l[1].y;l;");
}

static void limits_hold(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct json_limits limits = { .max_depth = 3, .max_nodes = 5 };
        struct json *j;
        unused(state);

        assert_int_equal(json_parse(a, "[[[]]]", 6, &limits, &j, NULL), 0);
        assert_int_equal(json_parse(a, "[[[[]]]]", 8, &limits, &j, NULL), -E2BIG);
        assert_int_equal(json_parse(a, "[1,2,3,4,5]", 11, &limits, &j, NULL), -E2BIG);
}

static size_t tree_depth(const struct json *j)
{
        size_t n = 0;

        for (; json_is_array(j) && j->len; n++)
                j = j->items[0];
        return n + json_is_array(j);
}

/* The tree ends where those who walk it must; what is below is there as text, up to the depth that Go takes. */
static void depth_is_always_limited(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        _cleanup_strbuf_ struct strbuf out = STRBUF_INIT;
        _cleanup_free_ char *deep = xmalloc(2 * JSON_GO_DEPTH + 2);
        struct json *j;
        unused(state);

        memset(deep, '[', JSON_GO_DEPTH + 1);
        memset(deep + JSON_GO_DEPTH + 1, ']', JSON_GO_DEPTH + 1);
        assert_int_equal(json_parse(a, deep, 2 * JSON_GO_DEPTH + 2, NULL, &j, NULL), -E2BIG);
        assert_int_equal(json_parse(a, deep + 1, 2 * JSON_GO_DEPTH, NULL, &j, NULL), 0);
        assert_int_equal(tree_depth(j), JSON_MAX_DEPTH);
        json_write(&out, j);
        assert_int_equal(out.len, 2 * JSON_GO_DEPTH);
        assert_memory_equal(out.data, deep + 1, out.len);
}

/* INNER below the depth of trees; the error, or NULL. */
static const char *deep_error(struct arena *a, const char *inner)
{
        _cleanup_error_ struct error err = ERROR_INIT;
        _cleanup_strbuf_ struct strbuf text = STRBUF_INIT, out = STRBUF_INIT;
        struct json *j;

        for (int i = 0; i < JSON_MAX_DEPTH; i++)
                strbuf_putc(&text, '[');
        strbuf_puts(&text, inner);
        for (int i = 0; i < JSON_MAX_DEPTH; i++)
                strbuf_putc(&text, ']');
        if (json_parse(a, text.data, text.len, NULL, &j, &err) < 0)
                return arena_strdup(a, error_text(&err));
        json_write(&out, j);
        assert_string_equal(out.data, text.data);
        return NULL;
}

static void what_is_deep_is_checked(void **state)
{
        static const struct {
                const char *inner, *error;
        } cases[] = {
                { "{}", NULL }, { "[]", NULL }, { "[[],{}]", NULL },
                { "{\"a\":[1,-2.5e3,\"x\\u00e9\\n\\\"\",true,false,null,{\"b\":{}}],\"c\":\"\"}", NULL },
                { "[1,]", "invalid character ']' looking for beginning of value" },
                { "{\"a\":1,}", "invalid character '}' looking for beginning of object key string" },
                { "{a:1}", "invalid character 'a' looking for beginning of object key string" },
                { "{\"a\" 1}", "invalid character '1' after object key" },
                { "{\"a\":1 2}", "invalid character '2' after object key:value pair" },
                { "[1 2]", "invalid character '2' after array element" },
                { "[1}", "invalid character '}' after array element" },
                { "[tru]", "invalid character ']' in literal true (expecting 'e')" },
                { "[\"\\x\"]", "invalid character 'x' in string escape code" },
                { "[\"\\u00g0\"]", "invalid character 'g' in \\u hexadecimal character escape" },
                { "[\"\t\"]", "invalid character '\\t' in string literal" },
                { "[-]", "invalid character ']' in numeric literal" },
        };
        _cleanup_arena_ struct arena *a = arena_new(0);
        unused(state);

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                const char *error = deep_error(a, cases[i].inner);

                if (cases[i].error)
                        assert_string_equal(error ? error : "no error", cases[i].error);
                else
                        assert_null(error);
        }
        assert_non_null(deep_error(a, "[\"x"));
}

static void large_objects_are_indexed(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct json *obj = json_new_object(a);
        char key[16];
        unused(state);

        for (int i = 0; i < 1000; i++) {
                snprintf(key, sizeof(key), "k%d", i);
                json_set_int(a, obj, key, i);
        }
        assert_true(json_del(obj, "k500"));
        assert_false(json_del(obj, "k500"));
        for (int i = 0; i < 1000; i++) {
                snprintf(key, sizeof(key), "k%d", i);
                assert_int_equal(json_get_int(obj, key, -1), i == 500 ? -1 : i);
        }
        json_set_int(a, obj, "k500", 7);
        assert_int_equal(json_get_int(obj, "k500", -1), 7);
        struct json *again = parse(a, json_print(a, obj));
        assert_true(json_equal(obj, again));
        assert_true(json_hash(obj) == json_hash(again));
}

static void numbers(void **state)
{
        static const struct {
                const char *text;
                int r;
                int64_t value;
        } cases[] = {
                { "5", 0, 5 },       { "5.0", 0, 5 },   { "1e3", 0, 1000 },
                { "1.5", -EINVAL, 0 }, { "9223372036854775807", 0, INT64_MAX },
                { "9223372036854775808", -ERANGE, 0 },  { "1e99", -ERANGE, 0 },
        };
        unused(state);

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                int64_t v = 0;

                assert_int_equal(json_to_int(parse(a, cases[i].text), &v), cases[i].r);
                if (cases[i].r == 0)
                        assert_true(v == cases[i].value);
        }
}

/* As Go's encoder writes a float64. */
static void doubles(void **state)
{
        static const struct {
                const char *text, *out; /* OUT NULL: no float64 holds it */
        } cases[] = {
                { "1.0", "1" },         { "-0.0", "-0" },       { "1E5", "100000" },
                { "0.000001", "0.000001" }, { "1e-7", "1e-7" }, { "123e-2", "1.23" },
                { "18446744073709551616", "18446744073709552000" }, { "1e20", "100000000000000000000" },
                { "1e21", "1e+21" },    { "-1.5e-10", "-1.5e-10" }, { "1e400", NULL }, { "-12345678.9", "-12345678.9" },
        };
        unused(state);

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                struct json *v = parse(a, arena_printf(a, "{\"a\":[%s]}", cases[i].text));
                const struct json *bad = json_beyond_double(v);

                assert_int_equal(bad == NULL, cases[i].out != NULL);
                if (cases[i].out)
                        assert_string_equal(json_new_double(a, json_to_double(json_at(json_get(v, "a"), 0), 5))->str, cases[i].out);
        }
}

static void paths(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct json *obj = json_new_object(a);
        unused(state);

        json_path_set(a, obj, "spec.template.name", json_new_string(a, "x"));
        assert_string_equal(json_path_string(obj, "spec.template.name"), "x");
        assert_null(json_path(obj, "spec.none.name"));
        assert_true(json_path_del(obj, "spec.template.name"));
        assert_string_equal(json_print(a, obj), "{\"spec\":{\"template\":{}}}");
}

/* In place, with escapes, and strings whose ends lie anywhere in the eight bytes that are looked at together. */
static void test_ints(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);

        assert_string_equal(json_print(a, json_new_int(a, 0)), "0");
        assert_string_equal(json_print(a, json_new_int(a, -1)), "-1");
        assert_string_equal(json_print(a, json_new_int(a, 1090)), "1090");
        assert_string_equal(json_print(a, json_new_int(a, INT64_MAX)), "9223372036854775807");
        assert_string_equal(json_print(a, json_new_int(a, INT64_MIN)), "-9223372036854775808");
}

/* Names of managed fields are full of quotes. */
static void test_quoted(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);

        assert_string_equal(json_print(a, json_new_string(a, "k:{\"name\":\"a\\b\"}")), "\"k:{\\\"name\\\":\\\"a\\\\b\\\"}\"");
        assert_string_equal(json_print(a, json_new_string(a, "\"<\n\xe2\x80\xa8")), "\"\\\"\\u003c\\n\\u2028\"");
        assert_string_equal(json_print(a, json_new_string(a, "\"")), "\"\\\"\"");
}

/* What is walked over is asked for once, and break ends the walk. */
static struct json *counted(struct json *j, unsigned *n)
{
        ++*n;
        return j;
}

static void test_walks(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct json *list = json_new_array(a), *obj = json_new_object(a);
        unsigned n = 0, seen = 0;

        for (int i = 0; i < 3; i++)
                json_append(a, list, json_new_int(a, i));
        json_set_int(a, obj, "x", 1);
        json_set_int(a, obj, "y", 2);
        json_foreach_item(counted(list, &n), it) {
                seen += json_is_number(it);
                if (it_i == 1)
                        break;
        }
        assert_int_equal(seen, 2);
        json_foreach_member(counted(obj, &n), m)
                seen += m->key[0] == 'y';
        assert_int_equal(seen, 3);
        json_foreach_item(counted(obj, &n), it)
                seen += it != NULL;
        json_foreach_member(counted(NULL, &n), m)
                seen += m != NULL;
        assert_int_equal(seen, 3);
        assert_int_equal(n, 4);
}

static void test_own(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);

        for (unsigned n = 0; n < 40; n++) {
                char text[256], x[64] = "";
                struct json *own, *plain;
                size_t len;

                memset(x, 'x', n);
                len = (size_t)snprintf(text, sizeof(text), "{\"k%s\":\"%s\",\"u\":[\"%s\\u00e9\",\"%s\xc3\xa9\",-1.5,true,null,{}]}", x, x,
                                       x, x);
                assert_int_equal(json_parse(a, text, len, NULL, &plain, NULL), 0);
                assert_int_equal(json_parse_written(a, text, len, &own), 0);
                assert_true(json_equal(own, plain));
                assert_string_equal(json_print(a, own), json_print(a, plain));
                text[len - 2] = '!';
                assert_int_equal(json_parse_written(a, text, len, &own), -EINVAL);
                /* A control character in a string is an error wherever it stands. */
                text[5] = n > 3 ? 1 : text[5];
                assert_int_equal(json_parse(a, text, len, NULL, &plain, NULL), -EINVAL);
        }
}

/* Strings of every length, each byte in every place: a builder with a maximum goes byte by byte, others by words. */
static void strings_by_words(void **state)
{
        (void)state;
        for (size_t len = 0; len <= 40; len++)
                for (size_t at = 0; at < MAX(len, (size_t)1); at++)
                        for (unsigned c = 1; c < 256; c++) {
                                _cleanup_strbuf_ struct strbuf quick = STRBUF_INIT, slow = STRBUF_INIT_MAX(1000);
                                char text[41];

                                memset(text, 'a', len);
                                if (len)
                                        text[at] = (char)c;
                                json_write_string(&quick, text, len);
                                json_write_string(&slow, text, len);
                                assert_int_equal(quick.len, slow.len);
                                assert_memory_equal(quick.data, slow.data, slow.len + 1);
                        }
}

/* Keys that look alike: of one length, with the same three letters. */
static void keys_of_one_tag(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct json *obj = json_new_object(a);

        (void)state;
        assert_int_equal(json_tag("abcdefghi", 9), json_tag("axxdexxyi", 9));
        json_set(a, obj, "abcdefghi", json_new_int(a, 1));
        assert_null(json_get(obj, "axxdexxyi"));
        json_setn(a, obj, "axxdexxyi", 9, json_new_int(a, 2));
        assert_int_equal(json_get_int(obj, "abcdefghi", 0), 1);
        assert_int_equal(json_get_int(obj, "axxdexxyi", 0), 2);
        assert_true(json_del(obj, "abcdefghi"));
        assert_null(json_get(obj, "abcdefghi"));
        assert_int_equal(json_get_int(obj, "axxdexxyi", 0), 2);
}

/* break ends the walk, continue goes on with the next item. */
static void walking(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct json *list = NULL;
        size_t seen = 0, last = 0;

        assert_int_equal(json_parse(a, "[1,2,3,4]", 9, NULL, &list, NULL), 0);
        json_foreach_item(list, it) {
                if (it_i == 0)
                        continue;
                if (it_i == 2)
                        break;
                seen++;
                last = it_i;
                assert_string_equal(it->str, "2");
        }
        assert_int_equal(seen, 1);
        assert_int_equal(last, 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ints),
                cmocka_unit_test(test_quoted),
                cmocka_unit_test(test_walks),
                cmocka_unit_test(strings_by_words),
                cmocka_unit_test(keys_of_one_tag),
                cmocka_unit_test(test_own), cmocka_unit_test(round_trip),
                cmocka_unit_test(errors_are_gos),
                cmocka_unit_test(duplicates_are_told),
                cmocka_unit_test(limits_hold),
                cmocka_unit_test(depth_is_always_limited),
                cmocka_unit_test(what_is_deep_is_checked),
                cmocka_unit_test(large_objects_are_indexed),
                cmocka_unit_test(numbers), cmocka_unit_test(doubles),
                cmocka_unit_test(paths),
                cmocka_unit_test(walking),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
