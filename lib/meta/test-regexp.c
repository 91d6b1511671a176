/* Go's regular expressions: what matches where, what is refused with which words, and that nothing takes long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "regexp.h"

static void test_matches(void **state)
{
        static const struct {
                const char *pattern, *text;
                int from, to; /* -1: no match */
        } cases[] = {
                { "", "abc", 0, 0 },
                { "b", "abc", 1, 2 },
                { "^b", "abc", -1, 0 },
                { "a|ab", "ab", 0, 1 },         /* the first that is written, not the longest */
                { "ab|a", "ab", 0, 2 },
                { "x|b|c", "abc", 1, 2 },
                { "(a|ab)(c|bcd)(d*)", "abcd", 0, 4 },
                { "a*", "baa", 0, 0 },
                { "a+", "baa", 1, 3 },
                { "a+?", "baa", 1, 2 },
                { "a*?b", "aab", 0, 3 },
                { "a?ab", "ab", 0, 2 },
                { "a{2}", "aaa", 0, 2 },
                { "a{2,}", "aaaa", 0, 4 },
                { "a{1,3}", "aaaa", 0, 3 },
                { "a{1,3}?", "aaaa", 0, 1 },
                { "a{0}b", "ab", 1, 2 },
                { "(ab){2,3}c", "abababc", 0, 7 },
                { "(ab){2,3}c", "abc", -1, 0 },
                { "a{,3}", "a{,3}", 0, 5 },     /* no repetition: text */
                { "a{x", "a{x", 0, 3 },
                { "(a*)*", "aab", 0, 2 },
                { "(a*)+b", "aab", 0, 3 },
                { "(|a)+", "aa", 0, 0 },
                { "^$", "", 0, 0 },
                { "a$", "a\n", -1, 0 },         /* the end of the text is the end */
                { "(?m)a$", "a\nb", 0, 1 },
                { "(?m)^b", "a\nb", 2, 3 },
                { "\\Ab\\z", "b", 0, 1 },
                { "a.b", "a\nb", -1, 0 },
                { "(?s)a.b", "a\nb", 0, 3 },
                { "(?i)aBc", "xAbC", 1, 4 },
                { "(?i:a)b", "Ab", 0, 2 },
                { "(?i:a)b", "AB", -1, 0 },
                { "(?i)[a-c]+", "xABC", 1, 4 },
                { "(?U)a+", "aaa", 0, 1 },
                { "[a-c]+", "xabcd", 1, 4 },
                { "[^a-c]+", "abxyc", 2, 4 },
                { "[]a]+", "x]a", 1, 3 },
                { "[^]a]", "]ax", 2, 3 },
                { "[a-]+", "b-a", 1, 3 },
                { "[-a]+", "b-a", 1, 3 },
                { "[\\d-]+", "a1-2", 1, 4 },
                { "[\\]\\^\\\\]+", "a]^\\", 1, 4 },
                { "[[:alpha:]_]+", "1a_b2", 1, 4 },
                { "[[:^digit:]]+", "1ab2", 1, 3 },
                { "\\d+\\s\\w+", "a12 b_", 1, 6 },
                { "\\D+\\S", "12ab", 2, 4 },
                { "\\W", "a_-", 2, 3 },
                { "\\bis\\b", "this is", 5, 7 },
                { "\\Bs", "this is", 3, 4 },
                { "\\x41\\x{1F600}", "A\xf0\x9f\x98\x80", 0, 5 },
                { "\\101", "A", 0, 1 },
                { "\\.\\/\\-\\<", "./-<", 0, 4 },
                { "\\Qa.b\\E+", "a.bb", 0, 4 },
                { "\xc3\xa9+", "e\xc3\xa9\xc3\xa9", 1, 5 },
                { "^.$", "\xc3\xa9", 0, 2 },
                { "[\xc3\xa9-\xc3\xaf]", "\xc3\xaa", 0, 2 },
                { "^.$", "\xff", 0, 1 },
                { "(?P<n>a)(?<m>b)", "ab", 0, 2 },
                { "\\pL+", "1\xc3\xa9" "a2", 1, 4 },
                { "[\\p{Greek}1]+", "a\xce\xb1" "1", 1, 4 },
                { "(?i)\xc3\xa9", "\xc3\x89", 0, 2 },
                { "^([a-z0-9]([-a-z0-9]*[a-z0-9])?)(\\.[a-z0-9]+)*$", "a-b.c", 0, 5 },
                { "^([a-z0-9]([-a-z0-9]*[a-z0-9])?)(\\.[a-z0-9]+)*$", "a-.c", -1, 0 },
        };
        _cleanup_arena_ struct arena *a = arena_new(0);

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct regexp *re = NULL;
                const char *why = NULL;
                size_t from = 0, to = 0, len = strlen(cases[i].text);
                int found;

                if (regexp_compile(a, cases[i].pattern, strlen(cases[i].pattern), &re, &why) < 0)
                        fail_msg("%s: %s", cases[i].pattern, why);
                found = regexp_match(re, cases[i].text, len, 0, &from, &to);
                if (found != (cases[i].from >= 0) || (found && ((int)from != cases[i].from || (int)to != cases[i].to)))
                        fail_msg("%s in %s: %d, %zu to %zu", cases[i].pattern, cases[i].text, found, from, to);
                assert_int_equal(regexp_match(re, cases[i].text, len, 0, NULL, NULL), found);
                regexp_free(re);
        }
}

static void test_refusals(void **state)
{
        static const struct {
                const char *pattern, *why;
        } cases[] = {
                { "a(b", "missing closing ): `a(b`" },
                { "a)b", "unexpected ): `a)b`" },
                { "a[b", "missing closing ]: `[b`" },
                { "a\\", "trailing backslash at end of expression: ``" },
                { "*a", "missing argument to repetition operator: `*`" },
                { "a|*", "missing argument to repetition operator: `*`" },
                { "(+)", "missing argument to repetition operator: `+`" },
                { "(?i)*", "missing argument to repetition operator: `*`" },
                { "a**", "invalid nested repetition operator: `**`" },
                { "a{2}{3}", "invalid nested repetition operator: `{2}{3}`" },
                { "a{1001}", "invalid repeat count: `{1001}`" },
                { "a{3,2}", "invalid repeat count: `{3,2}`" },
                { "((a{100}){100}){10}", "invalid repeat count: `{100}`" },
                { "((a{1000}){1000}){1000}", "invalid repeat count: `{1000}`" },
                { "[z-a]", "invalid character class range: `z-a`" },
                { "[[:foo:]]", "invalid character class range: `[:foo:]`" },
                { "\\q", "invalid escape sequence: `\\q`" },
                { "\\1", "invalid escape sequence: `\\1`" },
                { "(?=a)", "invalid or unsupported Perl syntax: `(?=`" },
                { "(?P<n!>a)", "invalid named capture: `(?P<n!>`" },
        };
        _cleanup_arena_ struct arena *a = arena_new(0);

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct regexp *re = NULL;
                const char *why = NULL;

                assert_int_equal(regexp_compile(a, cases[i].pattern, strlen(cases[i].pattern), &re, &why), -EINVAL);
                assert_string_equal(why, arena_printf(a, "error parsing regexp: %s", cases[i].why));
        }
}

/* Expressions that keep engines that try again busy for ever, or fill the memory. */
static void test_evil(void **state)
{
        static const char *const patterns[] = {
                "^(a+)+$", "^(a|a)*$", "(a*)*b", "(x+x+)+y", "(a?){900}a{900}$", "((a{0,30}){0,30})b", "(.*)*(.*)*(.*)*c",
                "(a|aa)+$", "([a-z]+)*[0-9]",
        };
        _cleanup_arena_ struct arena *a = arena_new(0);
        char *text = arena_alloc(a, 3001), *deep = arena_alloc(a, 4001), *wide = arena_alloc(a, 8001);

        memset(text, 'a', 2999);
        memcpy(text + 2999, "!", 2);
        for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
                struct regexp *re = NULL;

                if (regexp_compile(a, patterns[i], strlen(patterns[i]), &re, NULL) < 0)
                        fail_msg("%s", patterns[i]);
                assert_true(regexp_match(re, text, 3000, 0, NULL, NULL) <= 0);
                regexp_free(re);
        }
        memset(deep, '(', 4000);
        deep[4000] = '\0';
        assert_int_equal(regexp_compile(a, deep, 4000, &(struct regexp *){ NULL }, NULL), -EINVAL);
        for (size_t i = 0; i < 8000; i += 2)
                memcpy(wide + i, "a|", 2);
        wide[8000] = '\0';
        struct regexp *re = NULL;

        assert_int_equal(regexp_compile(a, wide, 8000, &re, NULL), 0);
        assert_int_equal(regexp_match(re, text, 3000, 2999, NULL, NULL), 1);
        regexp_free(re);
}

static void test_cache(void **state)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct regexp *one = NULL, *two = NULL;

        assert_int_equal(regexp_cached(a, "a+", 2, &one, NULL), 0);
        assert_int_equal(regexp_cached(a, "a+x", 2, &two, NULL), 0); /* by its length */
        assert_ptr_equal(one, two);
        for (int i = 0; i < 1000; i++) {
                char pattern[16];
                int n = snprintf(pattern, sizeof(pattern), "^x%d$", i);

                assert_int_equal(regexp_cached(a, pattern, (size_t)n, &one, NULL), 0);
                assert_int_equal(regexp_match(one, pattern + 1, (size_t)n - 2, 0, NULL, NULL), 1);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_matches), cmocka_unit_test(test_refusals), cmocka_unit_test(test_evil),
                cmocka_unit_test(test_cache),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
