/* Which strings stand plainly in YAML, which have quotes, and the order of keys. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "../../lib/base/base.h"
#include "answer.h"

static void expect(const char *json, const char *yaml)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        struct json *j;

        assert_int_equal(json_parse(a, json, strlen(json), NULL, &j, NULL), 0);
        yaml_write(&b, j);
        assert_string_equal(strbuf_str(&b), yaml);
}

static void test_strings(void **state)
{
        static const char *const plain[] = {
                "a", ".", "10.1.2.3", "1Gi", "100m", "nULL", "tRUE", "=", "<<", "-a", "--", "+", "?a", ":a", "1:60", "1e999", "0x", "0xG",
                "_1", "a:b", "a#b", "2026-13-01", "2026-02-29", "2026-01-02T03:04:05", "2026-01-02 03:04:05 Z", "inf", "http://x/y#z",
                "60750a51-ebd0-406a-94ef-08ee21c40b5e", "1.5.", "\"a",
        };
        static const char *const quoted[] = {
                "", "~", "null", "True", "y", "NO", "off", "1", "08", "0x1F", "0b11", "0o7", "1_000", "1.", "+.5", ".5", "1e3", "-1",
                "1:30", "12:34:56", "10:30:20.5", "2026-1-2", "2024-02-29", "2026-01-02T03:04:05Z", "2026-01-02 03:04:05",
                "2026-01-02t3:4:5.123+01:00", ".inf", "-.INF", ".NaN", "12345678901234567890",
        };
        static const char *const single[] = { "a: b", "a #b", "#a", "*a", "- a", " a", "a ", "a:", "{a", "%a", "@a", "---" };
        char json[128], yaml[128];

        for (size_t i = 0; i < ARRAY_SIZE(plain); i++) {
                snprintf(json, sizeof(json), *plain[i] == '"' ? "\"\\%s\"" : "\"%s\"", plain[i]);
                snprintf(yaml, sizeof(yaml), *plain[i] == '"' ? "'%s'\n" : "%s\n", plain[i]);
                expect(json, yaml);
        }
        for (size_t i = 0; i < ARRAY_SIZE(quoted); i++) {
                snprintf(json, sizeof(json), "\"%s\"", quoted[i]);
                snprintf(yaml, sizeof(yaml), "\"%s\"\n", quoted[i]);
                expect(json, yaml);
        }
        for (size_t i = 0; i < ARRAY_SIZE(single); i++) {
                snprintf(json, sizeof(json), "\"%s\"", single[i]);
                snprintf(yaml, sizeof(yaml), "'%s'\n", single[i]);
                expect(json, yaml);
        }
}

static void test_objects(void **state)
{
        expect("{\"f:b\":{\".\":{},\"f:x\":1},\"a10\":true,\"a9\":null,\"a-1\":0.5,\"a\":[\"1\",{\"k\":\"v\"},[]]}",
               "a:\n- \"1\"\n- k: v\n- []\na-1: 0.5\na9: null\na10: true\nf:b:\n  .: {}\n  f:x: 1\n");
        expect("{\"k\":\"a\\nb\",\"l\":\"a\\n\\n\"}", "k: |-\n  a\n  b\nl: |+\n  a\n\n");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_strings),
                cmocka_unit_test(test_objects),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
