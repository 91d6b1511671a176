/* What all else stands on: string builder, map, arena, encodings, times, files and errors. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <sys/stat.h>

#include "arena.h"
#include "encode.h"
#include "file.h"
#include "map.h"
#include "strbuf.h"
#include "time.h"
#include "trim.h"

static void test_strbuf_max(void **state)
{
        struct strbuf b = STRBUF_INIT_MAX(10);

        assert_string_equal("", strbuf_str(&b));
        strbuf_puts(&b, "0123");
        strbuf_putc(&b, '4');
        strbuf_printf(&b, "%d", 56789);
        assert_string_equal("0123456789", strbuf_str(&b));
        assert_false(b.overflow);
        strbuf_putc(&b, 'x');
        assert_true(b.overflow);
        assert_string_equal("0123456789", strbuf_str(&b));
        strbuf_deinit(&b);

        struct strbuf p = STRBUF_INIT_MAX(3);

        strbuf_printf(&p, "%s", "long");
        assert_true(p.overflow);
        assert_true(p.len <= 3);
        strbuf_deinit(&p);
}

static void test_strbuf_grows(void **state)
{
        struct strbuf b = STRBUF_INIT;
        char *text;

        for (int i = 0; i < 100000; i++)
                strbuf_putc(&b, (char)('a' + i % 26));
        strbuf_append(&b, "\0z", 2);
        assert_int_equal(100002, b.len);
        assert_int_equal('z', b.data[100001]);
        assert_int_equal('\0', b.data[100002]);
        text = strbuf_steal(&b);
        assert_int_equal('b', text[27]);
        assert_int_equal(0, b.len);
        free(text);
        text = strbuf_steal(&b);
        assert_string_equal("", text);
        free(text);
}

static void test_map(void **state)
{
        struct map m;
        struct map_entry *e;
        char key[16];
        size_t sum = 0;

        map_init(&m);
        for (size_t i = 1; i <= 1000; i++) {
                snprintf(key, sizeof(key), "key-%zu", i);
                assert_null(map_put(&m, key, (void *)i));
        }
        assert_ptr_equal((void *)7, map_put(&m, "key-7", (void *)70));
        assert_ptr_equal((void *)70, map_get(&m, "key-7"));
        assert_null(map_get(&m, "key-1001"));
        assert_false(map_has(&m, ""));
        /* the entry at hand may go while walking */
        map_foreach(&m, e) {
                if ((size_t)e->value % 2)
                        map_del(&m, e->key);
        }
        map_foreach(&m, e) {
                assert_int_equal(0, (size_t)e->value % 2);
                sum += (size_t)e->value;
        }
        assert_int_equal(500 * 501 + 70, sum);
        assert_int_equal(501, m.n);
        assert_null(map_del(&m, "key-1"));
        /* slots of the deleted serve again: a map that is put to and deleted from does not grow for ever */
        for (size_t i = 0; i < 100000; i++) {
                snprintf(key, sizeof(key), "x-%zu", i);
                map_put(&m, key, &m);
                assert_ptr_equal(&m, map_del(&m, key));
        }
        assert_true(m.cap <= 4096);
        map_clear(&m);
        assert_int_equal(0, m.n);
        map_deinit(&m);
}

static void test_arena(void **state)
{
        struct arena *a = arena_new(64);
        char *big = arena_alloc(a, 1 << 20);
        int *zero = arena_calloc(a, 1000 * sizeof(int));

        memset(big, 1, 1 << 20);
        for (int i = 0; i < 1000; i++) {
                void *p = arena_alloc(a, (size_t)i);

                assert_int_equal(0, (uintptr_t)p % 16);
                assert_int_equal(0, zero[i]);
        }
        assert_null(arena_strdup(a, NULL));
        assert_string_equal("ab", arena_strndup(a, "abc", 2));
        assert_string_equal("a/b/c", arena_join(a, "a", "/", "b", "/c", NULL));
        assert_string_equal("n=5", arena_printf(a, "n=%d", 5));
        assert_true(arena_used(a) >= (1 << 20) + 1000 * sizeof(int));
        arena_free(a);
        arena_free(NULL);
}

static void test_base64(void **state)
{
        static const struct {
                const char *plain, *standard, *url;
        } cases[] = {
                { "", "", "" },
                { "f", "Zg==", "Zg" },
                { "fo", "Zm8=", "Zm8" },
                { "foo", "Zm9v", "Zm9v" },
                { "\xff\xfe\xfd?", "//79Pw==", "__79Pw" },
        };
        static const char *const bad[] = { "Z", "Zg=", "Zm9v!", "Zm=9", "====", "Zg==Zg" };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_strbuf_ struct strbuf s = STRBUF_INIT, u = STRBUF_INIT, back = STRBUF_INIT;

                base64_encode(&s, cases[i].plain, strlen(cases[i].plain));
                assert_string_equal(cases[i].standard, strbuf_str(&s));
                base64url_encode(&u, cases[i].plain, strlen(cases[i].plain));
                assert_string_equal(cases[i].url, strbuf_str(&u));
                assert_int_equal(0, base64_decode(&back, strbuf_str(&s), s.len, NULL));
                assert_string_equal(cases[i].plain, strbuf_str(&back));
                strbuf_reset(&back);
                assert_int_equal(0, base64_decode(&back, strbuf_str(&u), u.len, NULL));
                assert_string_equal(cases[i].plain, strbuf_str(&back));
        }
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                _cleanup_strbuf_ struct strbuf out = STRBUF_INIT;

                assert_int_equal(-EINVAL, base64_decode(&out, bad[i], strlen(bad[i]), NULL));
        }
}

static void test_random(void **state)
{
        char uuid[UUID_BUF], suffix[6];

        for (int i = 0; i < 100; i++) {
                uuid_new(uuid);
                assert_int_equal(36, strlen(uuid));
                assert_int_equal('4', uuid[14]);
                assert_non_null(strchr("89ab", uuid[19]));
                assert_int_equal(5, strspn(random_suffix(suffix, 5), "bcdfghjklmnpqrstvwxz2456789"));
                assert_int_equal('\0', suffix[5]);
                assert_true(random_below(7) < 7);
        }
}

static void test_times(void **state)
{
        static const struct {
                const char *text;
                int64_t ns;
                const char *back; /* NULL: refused */
        } durations[] = {
                { "1h2m3.5s", INT64_C(3723500000000), "1h2m3.5s" },
                { "300ms", INT64_C(300000000), "300ms" },
                { "0", 0, "0s" },
                { "-1.5h", INT64_C(-5400000000000), "-1h30m0s" },
                { "1us", 1000, "1µs" },
                { "", 0, NULL },
                { "5", 0, NULL },
                { "1d", 0, NULL },
                { ".s", 0, NULL },
                { "9999999h", 0, NULL },
        };
        static const char *const bad[] = { "2026-01-02", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z",
                                           "2026-01-02T15:04:05", "2026-01-02T25:04:05Z", "x" };
        char buf[TIME_BUF];
        int64_t ns;

        for (size_t i = 0; i < ARRAY_SIZE(durations); i++) {
                int r = duration_parse(durations[i].text, &ns);

                assert_int_equal(durations[i].back ? 0 : -EINVAL, r);
                if (r == 0) {
                        assert_int_equal(durations[i].ns, ns);
                        assert_string_equal(durations[i].back, duration_format(ns, buf));
                }
        }
        assert_int_equal(0, time_parse("2026-01-02T16:04:05.25+01:00", &ns));
        assert_string_equal("2026-01-02T15:04:05Z", time_format(ns, buf));
        assert_string_equal("2026-01-02T15:04:05.250000Z", time_format_micro(ns, buf));
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_int_equal(-EINVAL, time_parse(bad[i], &ns));
}

static void test_files(void **state)
{
        char dir[] = "/tmp/test-base-XXXXXX";
        _cleanup_error_ struct error err = ERROR_INIT;
        _cleanup_free_ char *text = NULL, *path = NULL, *deep = NULL;
        struct stat st;
        size_t len;

        assert_non_null(mkdtemp(dir));
        deep = xasprintf("%s/a/b", dir);
        path = xasprintf("%s/a/b/file", dir);
        assert_int_equal(0, dir_make(deep, 0750, &err));
        assert_int_equal(0, dir_make(deep, 0750, &err));
        assert_int_equal(0, file_write(path, "one", 3, 0640, &err));
        assert_int_equal(0, file_write(path, "two\0x", 5, 0600, &err));
        assert_int_equal(0, file_read(path, 0, &text, &len, &err));
        assert_int_equal(5, len);
        assert_string_equal("two", text);
        assert_int_equal(0, stat(path, &st));
        assert_int_equal(0600, st.st_mode & 07777);
        assert_true(dir_usage(dir) >= st.st_blocks * 512);
        assert_int_equal(0, dir_usage(path));
        free(text);
        text = NULL;
        assert_int_equal(-EFBIG, file_read(path, 4, &text, &len, &err));
        assert_null(text);
        assert_int_equal(0, dir_remove(dir, &err));
        assert_false(file_exists(dir));
        assert_int_equal(0, dir_remove(dir, &err));
        assert_int_equal(-ENOENT, file_read(path, 0, &text, NULL, &err));
        assert_non_null(strstr(error_text(&err), path));
}

static void test_errors(void **state)
{
        _cleanup_error_ struct error err = ERROR_INIT;

        assert_int_equal(-EIO, error_set(&err, -EIO, "disk %d", 3));
        assert_int_equal(-EIO, error_wrap(&err, -EIO, "read"));
        assert_string_equal("read: disk 3", error_text(&err));
        assert_int_equal(-EINVAL, error_set(&err, -EINVAL, "other"));
        assert_string_equal("other", error_text(&err));
        assert_int_equal(-EPERM, error_set(NULL, -EPERM, "nobody listens"));
        assert_int_equal(-EPERM, error_wrap(NULL, -EPERM, "still nobody"));
}

static unsigned long resident(void)
{
        unsigned long size, pages = 0;
        FILE *f = fopen("/proc/self/statm", "re");

        assert_non_null(f);
        assert_int_equal(2, fscanf(f, "%lu %lu", &size, &pages));
        fclose(f);
        return pages;
}

/* What is let go is there when it is looked at again. */
static void test_trim(void **state)
{
        static const char *const words[] = {"constant", "text"};
        char *kept = xstrdup("kept"), *much = xmalloc(8 << 20);
        unsigned long before;

        memset(much, 1, 8 << 20);
        free(much);
        before = resident();
        trim_files();
        trim_heap();
        assert_true(resident() < before);
        assert_string_equal("kept", kept);
        assert_string_equal("text", words[1]);
        free(kept);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_strbuf_max), cmocka_unit_test(test_strbuf_grows), cmocka_unit_test(test_map),
                cmocka_unit_test(test_arena),      cmocka_unit_test(test_base64),       cmocka_unit_test(test_random),
                cmocka_unit_test(test_times),      cmocka_unit_test(test_files),        cmocka_unit_test(test_errors),
                cmocka_unit_test(test_trim),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
