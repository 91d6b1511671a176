/* Command lines by table: each type of flag knows how to read its text, nothing else does. */
#include <stdlib.h>

#include "flags.h"
#include "log.h"
#include "time.h"

static int take_bool(const char *text, bool *ret, struct error *reterr)
{
        static const char *const yes[] = { "true", "1", "t", "T", "TRUE", "True" };
        static const char *const no[] = { "false", "0", "f", "F", "FALSE", "False" };

        for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
                if (streq(text, yes[i]) || streq(text, no[i])) {
                        *ret = streq(text, yes[i]);
                        return 0;
                }
        return error_set(reterr, -EINVAL, "strconv.ParseBool: parsing \"%s\": invalid syntax", text);
}

static int take_number(const struct flag *f, const char *text, int64_t least, int64_t most, int64_t *ret,
                       struct error *reterr)
{
        char *end;
        long long n;

        errno = 0;
        n = strtoll(text, &end, 10);
        if (end == text || *end)
                return error_set(reterr, -EINVAL, "strconv.ParseInt: parsing \"%s\": invalid syntax", text);
        if (f->min || f->max) {
                least = f->min;
                most = f->max;
        }
        if (errno == ERANGE || n < least || n > most)
                return error_set(reterr, -EINVAL, "must be between %lld and %lld", (long long)least, (long long)most);
        *ret = n;
        return 0;
}

static const char *const *split(const char *text)
{
        size_t n = 1;
        const char **words;

        for (const char *p = text; *p; p++)
                n += *p == ',';
        words = xcalloc(n + 1, sizeof(*words));
        n = 0;
        while (*text) {
                size_t len = strcspn(text, ",");

                if (len)
                        words[n++] = xstrndup(text, len);
                text += len + (text[len] == ',');
        }
        return words;
}

static int take(const struct flag *f, const char *text, struct error *reterr)
{
        int64_t number = 0;
        int r = 0;

        if (f->only && !streq(text, f->only))
                return error_set(reterr, -EINVAL, "only %s is supported", f->only);
        switch (f->type) {
        case FLAG_STRING:
                *(const char **)f->value = text;
                break;
        case FLAG_BOOL:
                r = take_bool(text, f->value, reterr);
                break;
        case FLAG_INT:
                r = take_number(f, text, INT32_MIN, INT32_MAX, &number, reterr);
                if (r == 0)
                        *(int *)f->value = (int)number;
                break;
        case FLAG_INT64:
                r = take_number(f, text, INT64_MIN, INT64_MAX, f->value, reterr);
                break;
        case FLAG_PORT:
                r = take_number(f, text, 0, UINT16_MAX, &number, reterr);
                if (r == 0)
                        *(uint16_t *)f->value = (uint16_t)number;
                break;
        case FLAG_DURATION:
                if (duration_parse(text, &number) < 0)
                        return error_set(reterr, -EINVAL, "time: invalid duration \"%s\"", text);
                if (number <= 0)
                        return error_set(reterr, -EINVAL, "must be greater than 0");
                *(int64_t *)f->value = number;
                break;
        case FLAG_LIST:
                *(const char *const **)f->value = split(text);
                break;
        case FLAG_VERBOSITY:
                r = take_number(f, text, 0, 10, &number, reterr);
                if (r == 0)
                        *(enum log_level *)f->value = number >= 4 ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
                break;
        case FLAG_CALL:
                r = f->take(text, f->value, reterr);
                break;
        }
        return r;
}

static const struct flag *find(const struct flag *flags, size_t n, const char *name, size_t len)
{
        for (size_t i = 0; i < n; i++)
                if (strncmp(flags[i].name, name, len) == 0 && !flags[i].name[len])
                        return &flags[i];
        return NULL;
}

/* One flag at ARGV[0], whose value may be ARGV[1]: how many words it took. */
static int parse_one(const struct flag *flags, size_t n, char **argv, struct error *reterr)
{
        const char *name = argv[0] + 2, *text = strchr(name, '=');
        size_t len = text ? (size_t)(text - name) : strlen(name);
        const struct flag *f = find(flags, n, name, len);
        int words = 1;

        if (!f)
                return error_set(reterr, -EINVAL, "unknown flag: --%.*s", (int)len, name);
        if (text)
                text++;
        else if (f->type == FLAG_BOOL)
                text = "true";
        else if ((text = argv[1]))
                words = 2;
        else
                return error_set(reterr, -EINVAL, "flag needs an argument: --%s", f->name);
        if (*text && take(f, text, reterr) < 0)
                return error_wrap(reterr, -EINVAL, "invalid argument \"%s\" for \"--%s\" flag", text, f->name);
        return words;
}

int flags_parse(const struct flag *flags, size_t n, int argc, char **argv, char ***ret_words, struct error *reterr)
{
        int i = 1;

        while (i < argc) {
                int r;

                if (streq(argv[i], "--help") || streq(argv[i], "-h"))
                        return FLAGS_HELP;
                if (argv[i][0] != '-' || streq(argv[i], "--"))
                        break;
                if (argv[i][1] != '-')
                        return error_set(reterr, -EINVAL, "unknown shorthand flag: '%c' in %s", argv[i][1], argv[i]);
                r = parse_one(flags, n, argv + i, reterr);
                if (r < 0)
                        return r;
                i += r;
        }
        if (i < argc && streq(argv[i], "--"))
                i++;
        if (ret_words)
                *ret_words = argv + i;
        else if (i < argc)
                return error_set(reterr, -EINVAL, "unknown command \"%s\"", argv[i]);
        return 0;
}

static const char *const type_names[] = {
        [FLAG_STRING] = "string",     [FLAG_BOOL] = "",     [FLAG_INT] = "int",       [FLAG_INT64] = "int",
        [FLAG_PORT] = "int",          [FLAG_DURATION] = "duration",                   [FLAG_LIST] = "strings",
        [FLAG_VERBOSITY] = "int",     [FLAG_CALL] = "string",
};

void flags_usage(FILE *out, const char *program, const char *synopsis, const struct flag *flags, size_t n)
{
        fprintf(out, "Usage: %s %s\n\nFlags:\n", program, synopsis);
        for (size_t i = 0; i < n; i++) {
                const struct flag *f = &flags[i];
                int used = fprintf(out, "  --%s %s", f->name, type_names[f->type]);

                fprintf(out, "%*s%s", used < 42 ? 42 - used : 2, "", f->help ? f->help : "");
                if (f->only)
                        fprintf(out, "%sonly %s is supported", f->help ? "; " : "", f->only);
                fputc('\n', out);
        }
}

void flags_parse_or_exit(const char *program, const struct flag *flags, size_t n, int argc, char **argv,
                         char ***ret_words)
{
        _cleanup_error_ struct error err = ERROR_INIT;
        int r = flags_parse(flags, n, argc, argv, ret_words, &err);

        if (r == FLAGS_HELP) {
                flags_usage(stdout, program, "[flags]", flags, n);
                exit(0);
        }
        if (r < 0) {
                fprintf(stderr, "%s: %s\nSee %s --help.\n", program, error_text(&err), program);
                exit(2);
        }
}
