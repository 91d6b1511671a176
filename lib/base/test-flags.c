/* Command lines: what each type takes, and the words in which a wrong one is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "flags.h"
#include "log.h"
#include "time.h"

struct values {
        const char *text;
        bool flag;
        int number;
        int64_t wide, duration;
        uint16_t port;
        const char *const *list;
        enum log_level level;
        char taken[16];
};

static int take_word(const char *text, void *userdata, struct error *reterr)
{
        if (streq(text, "bad"))
                return error_set(reterr, -EINVAL, "no such word");
        snprintf(userdata, 16, "%s", text);
        return 0;
}

/* Parses the words of LINE, which are parted by spaces; "~" stands for an empty value. */
static int parse(struct values *v, const char *line, char ***ret_words, struct error *reterr)
{
        const struct flag flags[] = {
                { "text", FLAG_STRING, &v->text },
                { "bool", FLAG_BOOL, &v->flag },
                { "int", FLAG_INT, &v->number, .min = -5, .max = 5 },
                { "int64", FLAG_INT64, &v->wide },
                { "port", FLAG_PORT, &v->port },
                { "duration", FLAG_DURATION, &v->duration },
                { "list", FLAG_LIST, &v->list },
                { "v", FLAG_VERBOSITY, &v->level },
                { "word", FLAG_CALL, v->taken, .take = take_word },
                { "one", FLAG_STRING, &v->text, .only = "this" },
        };
        static char copy[256], *argv[32];
        int argc = 0;
        char *save = NULL;

        snprintf(copy, sizeof(copy), "program %s", line);
        for (char *p = strtok_r(copy, " ", &save); p; p = strtok_r(NULL, " ", &save))
                argv[argc++] = p;
        argv[argc] = NULL;
        return flags_parse(flags, ARRAY_SIZE(flags), argc, argv, ret_words, reterr);
}

static void free_list(const char *const *list)
{
        for (const char *const *w = list; w && *w; w++)
                free((char *)*w);
        free((void *)list);
}

static void test_types(void **state)
{
        struct values v = { .level = LOG_LEVEL_INFO };

        assert_int_equal(0, parse(&v, "--text=a=b --bool --int -3 --int64=9000000000 --port 6443 --duration=1m30s "
                                      "--list=a,,b --v=4 --word=x", NULL, NULL));
        assert_string_equal("a=b", v.text);
        assert_true(v.flag);
        assert_int_equal(-3, v.number);
        assert_int_equal(INT64_C(9000000000), v.wide);
        assert_int_equal(6443, v.port);
        assert_int_equal(90 * NS_PER_SEC, v.duration);
        assert_string_equal("a", v.list[0]);
        assert_string_equal("b", v.list[1]);
        assert_null(v.list[2]);
        assert_int_equal(LOG_LEVEL_DEBUG, v.level);
        assert_string_equal("x", v.taken);
        free_list(v.list);
}

static void test_empty_keeps_default(void **state)
{
        struct values v = { .text = "default", .port = 1, .flag = true };

        assert_int_equal(0, parse(&v, "--text= --port= --bool=", NULL, NULL));
        assert_string_equal("default", v.text);
        assert_int_equal(1, v.port);
        assert_true(v.flag);
}

static void test_refused(void **state)
{
        static const struct {
                const char *line, *text;
        } cases[] = {
                { "--nonsense=1", "unknown flag: --nonsense" },
                { "--tex=1", "unknown flag: --tex" },
                { "-x", "unknown shorthand flag: 'x' in -x" },
                { "--text", "flag needs an argument: --text" },
                { "--bool=maybe", "invalid argument \"maybe\" for \"--bool\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax" },
                { "--int=3x", "invalid argument \"3x\" for \"--int\" flag: strconv.ParseInt: parsing \"3x\": invalid syntax" },
                { "--int=6", "invalid argument \"6\" for \"--int\" flag: must be between -5 and 5" },
                { "--port=65536", "invalid argument \"65536\" for \"--port\" flag: must be between 0 and 65535" },
                { "--int64=99999999999999999999",
                  "invalid argument \"99999999999999999999\" for \"--int64\" flag: "
                  "must be between -9223372036854775808 and 9223372036854775807" },
                { "--duration=5", "invalid argument \"5\" for \"--duration\" flag: time: invalid duration \"5\"" },
                { "--duration=-5s", "invalid argument \"-5s\" for \"--duration\" flag: must be greater than 0" },
                { "--word=bad", "invalid argument \"bad\" for \"--word\" flag: no such word" },
                { "--one=other", "invalid argument \"other\" for \"--one\" flag: only this is supported" },
                { "stray", "unknown command \"stray\"" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                _cleanup_error_ struct error err = ERROR_INIT;
                struct values v = { 0 };

                assert_int_equal(-EINVAL, parse(&v, cases[i].line, NULL, &err));
                assert_string_equal(cases[i].text, error_text(&err));
                assert_null(v.text);
                assert_int_equal(0, v.number);
        }
}

static void test_words(void **state)
{
        struct values v = { 0 };
        char **words;

        assert_int_equal(0, parse(&v, "--bool=false image list --text=x", &words, NULL));
        assert_string_equal("image", words[0]);
        assert_string_equal("--text=x", words[2]);
        assert_null(words[3]);
        assert_null(v.text);
        assert_int_equal(0, parse(&v, "--bool -- --text=x", &words, NULL));
        assert_string_equal("--text=x", words[0]);
        assert_int_equal(FLAGS_HELP, parse(&v, "--bool --help", NULL, NULL));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_types),
                cmocka_unit_test(test_empty_keeps_default),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_words),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
