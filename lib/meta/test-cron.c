/* Schedules: what parses, what is said when it does not, and when they come next. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "../base/time.h"
#include "cron.h"

static void test_errors(void **state)
{
        static const char *const cases[][2] = {
                { "61 * * * *", "end of range (61) above maximum (59): 61" },
                { "* * * *", "expected exactly 5 fields, found 4: [* * * *]" },
                { "* * 0 * *", "beginning of range (0) below minimum (1): 0" },
                { "5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1" },
                { "*/0 * * * *", "step of range should be a positive number: */0" },
                { "x * * * *", "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax" },
                { "* * * * 7", "end of range (7) above maximum (6): 7" },
                { "@never", "unrecognized descriptor: @never" },
                { "", "empty spec string" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_error_ struct error err = ERROR_INIT;
                struct cron c;

                assert_true(cron_parse(cases[i][0], &c, &err) < 0);
                assert_string_equal(error_text(&err), cases[i][1]);
        }
}

static void test_next(void **state)
{
        static const struct {
                const char *schedule, *zone, *after, *next;
        } cases[] = {
                { "* * * * *", NULL, "2026-01-31T23:59:30Z", "2026-02-01T00:00:00Z" },
                { "*/15 9-17 * * mon-fri", NULL, "2026-11-20T17:45:00Z", "2026-11-23T09:00:00Z" },
                { "0 0 29 2 *", NULL, "2026-03-01T00:00:00Z", "2028-02-29T00:00:00Z" },
                { "0 0 13 * 5", NULL, "2026-11-01T00:00:00Z", "2026-11-06T00:00:00Z" }, /* the 13th or a Friday */
                { "5/20 * * * *", NULL, "2026-01-01T00:06:00Z", "2026-01-01T00:25:00Z" },
                { "0 4 * * *", "America/New_York", "2026-01-01T00:00:00Z", "2026-01-01T09:00:00Z" },
                { "0 4 * * *", "Europe/Berlin", "2026-07-01T00:00:00Z", "2026-07-01T02:00:00Z" },
                { "30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-30T00:30:00Z" }, /* no 02:30 on the 29th */
                { "@every 90s", NULL, "2026-01-01T00:00:10Z", "2026-01-01T00:01:40Z" },
                { "@daily", NULL, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct cron c;
                char buf[TIME_BUF];
                int64_t after;

                assert_int_equal(cron_parse(cases[i].schedule, &c, NULL), 0);
                assert_int_equal(time_parse(cases[i].after, &after), 0);
                assert_string_equal(time_format(cron_next(&c, after, cases[i].zone), buf), cases[i].next);
        }
}

static void test_never(void **state)
{
        struct cron c;

        assert_int_equal(cron_parse("0 0 31 2 *", &c, NULL), 0);
        assert_int_equal(cron_next(&c, 0, NULL), 0);
}

static void test_zones(void **state)
{
        char buf[TIME_BUF];

        assert_true(time_zone_exists("Europe/Berlin"));
        assert_false(time_zone_exists("Mars/Olympus"));
        assert_false(time_zone_exists("../../etc/passwd"));
        assert_string_equal(time_format_zone(0, "Asia/Kolkata", buf), "1970-01-01T05:30:00+05:30");
        assert_string_equal(time_format_zone(0, NULL, buf), "1970-01-01T00:00:00Z");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_errors), cmocka_unit_test(test_next),
                cmocka_unit_test(test_never), cmocka_unit_test(test_zones),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
