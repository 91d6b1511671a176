/* Quantities: what the API server prints for what clients write. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>

#include "quantity.h"

static const struct {
        const char *in, *out; /* out NULL: refused */
        int64_t value, milli;
} cases[] = {
        { "0", "0", 0, 0 },
        { "0Mi", "0", 0, 0 },
        { "100m", "100m", 1, 100 },
        { "1000m", "1", 1, 1000 },
        { "0.5", "500m", 1, 500 },
        { ".5", "500m", 1, 500 },
        { "5.", "5", 5, 5000 },
        { "+5", "5", 5, 5000 },
        { "-5", "-5", -5, -5000 },
        { "-1.5", "-1500m", -1, -1500 },
        { "1.5Gi", "1536Mi", 1610612736, 1610612736000 },
        { "1024Mi", "1Gi", 1 << 30, (INT64_C(1) << 30) * 1000 },
        { "1023", "1023", 1023, 1023000 },
        { "0.5Ki", "512", 512, 512000 },
        { "1.1Ki", "1126400m", 1127, 1126400 },
        { "12e6", "12e6", 12000000, 12000000000 },
        { "12E6", "12e6", 12000000, 12000000000 },
        { "1e3", "1e3", 1000, 1000000 },
        { "1000", "1k", 1000, 1000000 },
        { "1500", "1500", 1500, 1500000 },
        { "1E", "1E", INT64_C(1000000000000000000), INT64_MAX },
        { "1Ei", "1Ei", INT64_C(1) << 60, INT64_MAX },
        { "100Ei", "9223372036854775807", INT64_MAX, INT64_MAX },
        { "1n", "1n", 1, 1 },
        { "0.0000000001", "1n", 1, 1 },
        { "1e-3", "1e-3", 1, 1 },
        { "00010", "10", 10, 10000 },
        { "1234567890123456789012345678", "1234567890123456789012345678", INT64_MAX,
          INT64_MAX },
        { "", NULL, -EINVAL, 0 },
        { "a", NULL, -EINVAL, 0 },
        { "1.5.5", NULL, -EINVAL, 0 },
        { "1 Gi", NULL, -EINVAL, 0 },
        { "1GB", NULL, -EINVAL, 0 },
        { "1mm", NULL, -EDOM, 0 },
        { "1i", NULL, -EDOM, 0 },
        { "1e", NULL, -EDOM, 0 },
        { "1K", NULL, -EDOM, 0 },
        { "1m5", NULL, -EDOM, 0 },
};

static void test_parse_and_print(void **state)
{
        char buf[QUANTITY_BUF];

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct quantity q, again;
                int r = quantity_parse(cases[i].in, &q);

                if (!cases[i].out) {
                        assert_int_equal(r, cases[i].value);
                        continue;
                }
                assert_int_equal(r, 0);
                assert_string_equal(quantity_format(&q, buf), cases[i].out);
                assert_true(quantity_value(&q) == cases[i].value);
                assert_true(quantity_milli(&q) == cases[i].milli);
                assert_int_equal(quantity_parse(buf, &again), 0);
                assert_int_equal(quantity_cmp(&q, &again), 0);
        }
}

/* What the API server answers with. */
static void test_kept_texts(void **state)
{
        static const char *const texts[][2] = {
                { "+5", "+5" }, { "5.Mi", "5.Mi" }, { "1e0", "1e0" }, { "1e1", "10" }, { "1000m", "1" }, { "1024Mi", "1Gi" },
                { "0.5", "500m" }, { "1E400", "10e399" }, { "12E", "12E" }, { "5.0", "5" }, { "0005", "0005" }, { "0", "0" },
                { "123456789012345678901234567890", "123456789012345678901234567890" }, { "1e9", "1e9" }, { "+1000Mi", "+1000Mi" },
                { ".5Gi", "512Mi" }, { "-5", "-5" }, { "0Mi", "0" }, { "10e-3", "10e-3" },
        };
        char buf[QUANTITY_BUF];

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                assert_int_equal(quantity_keep_text(texts[i][0], buf), 0);
                assert_string_equal(buf, texts[i][1]);
        }
        assert_int_equal(quantity_keep_text("x", buf), -EINVAL);
        assert_true(quantity_seems_fractional("1500m"));
        assert_true(quantity_seems_fractional("123456789012345678901234567890"));
        assert_false(quantity_seems_fractional("12E"));
        assert_false(quantity_seems_fractional("1E400"));
        assert_false(quantity_seems_fractional("1Gi"));
}

static void test_arithmetic(void **state)
{
        char buf[QUANTITY_BUF];
        struct quantity a = { 0 }, b;

        quantity_parse("1Gi", &b);
        quantity_add(&a, &b);
        assert_string_equal(quantity_format(&a, buf), "1Gi");
        quantity_parse("100m", &b);
        quantity_add(&a, &b);
        assert_string_equal(quantity_format(&a, buf), "1073741824100m");
        quantity_sub(&a, &b);
        assert_string_equal(quantity_format(&a, buf), "1Gi");
        b = quantity_from_int(2000, QUANTITY_DECIMAL_SI);
        assert_string_equal(quantity_format(&b, buf), "2k");
        quantity_parse("100u", &b);
        quantity_round_up_milli(&b);
        assert_string_equal(quantity_format(&b, buf), "1m");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parse_and_print),
                cmocka_unit_test(test_kept_texts), cmocka_unit_test(test_arithmetic),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
