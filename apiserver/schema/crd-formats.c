/* Formats of strings (go-openapi's strfmt), and patterns. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>

#include "../../lib/base/encode.h"
#include <stdio.h>

#include "../../lib/base/time.h"
#include "../../lib/meta/regexp.h"
#include "crd.h"

/* --- patterns --- */

int crd_pattern_match(struct arena *a, const char *pattern, const char *value, const char **ret_why)
{
        struct regexp *re;

        if (regexp_cached(a, pattern, strlen(pattern), &re, ret_why) < 0)
                return -1;
        return regexp_match(re, value, strlen(value), 0, NULL, NULL) == 1; /* one that takes too long does not match */
}

static bool matches(const char *pattern, const char *value)
{
        _cleanup_arena_ struct arena *a = arena_new(0);

        return crd_pattern_match(a, pattern, value, NULL) == 1;
}

/* --- formats --- */

/* Zeros in front are let pass: "010.0.0.1" is 10.0.0.1. */
static bool is_ipv4(const char *s)
{
        char plain[32];
        size_t n = 0;

        if (strlen(s) >= sizeof(plain))
                return false;
        for (const char *p = s; *p; p++)
                if (*p != '0' || !isdigit((unsigned char)p[1]) || (p > s && isdigit((unsigned char)p[-1])))
                        plain[n++] = *p;
        plain[n] = '\0';
        return inet_pton(AF_INET, plain, &(struct in_addr){ 0 }) == 1;
}

static bool is_ipv6(const char *s)
{
        struct in6_addr v;

        return inet_pton(AF_INET6, s, &v) == 1;
}

static bool is_cidr(const char *s)
{
        const char *slash = strchr(s, '/');
        char host[64], *end;
        long bits;

        if (!slash || (size_t)(slash - s) >= sizeof(host) || !isdigit((unsigned char)slash[1]))
                return false;
        memcpy(host, s, slash - s);
        host[slash - s] = '\0';
        bits = strtol(slash + 1, &end, 10);
        return !*end && bits >= 0 && ((is_ipv4(host) && bits <= 32) || (is_ipv6(host) && bits <= 128));
}

static bool is_date_time(const char *s)
{
        int64_t t;

        if (strpbrk(s, "tz")) { /* small letters will do */
                char *upper = xstrdup(s);
                bool ok;

                for (char *p = upper; *p; p++)
                        *p = (char)toupper((unsigned char)*p);
                ok = time_parse(upper, &t) == 0;
                free(upper);
                return ok;
        }
        return time_parse(s, &t) == 0;
}

static bool is_date(const char *s)
{
        char text[64];
        int64_t t;

        if (strlen(s) != 10)
                return false;
        snprintf(text, sizeof(text), "%sT00:00:00Z", s);
        return time_parse(text, &t) == 0;
}

/* Go's durations, or a number with one of these units anywhere ("1 day", "P2W"). */
static bool is_duration(const char *s)
{
        return matches("^[+-]?(([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$|^[+-]?0$", s) ||
               matches("(?i)[0-9]+\\s*(((ns|us|µs|ms|s|m|h|hr|d|w|wk)([^A-Za-zµ]|$))|nano|micro|milli|sec|min|hour|day|week)", s);
}

static bool is_byte(const char *s)
{
        return matches("^(?:[A-Za-z0-9+\\/]{4})*(?:[A-Za-z0-9+\\/]{2}==|[A-Za-z0-9+\\/]{3}=|[A-Za-z0-9+\\/]{4})$", s);
}

static bool is_hostname(const char *s)
{
        if (strlen(s) > 255 || !matches("^([a-zA-Z0-9]((-?[a-zA-Z0-9]{0,62})?)|([a-zA-Z0-9](([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)(\\.)){1,}"
                                        "([a-zA-Z]){2,63})$", s))
                return false;
        for (size_t n; *s; s += n + (s[n] == '.'))
                if ((n = strcspn(s, ".")) > 63)
                        return false;
        return true;
}

static bool is_uri(const char *s)
{
        return matches("^([A-Za-z][A-Za-z0-9+.-]*:[^ ]*|/[^ ]*)$", s);
}

/* A display name before it is let pass: "A <a@b.c>". */
static bool is_email(const char *s)
{
        return matches("^([^<>@\"]*<[^@ <>]+@[^@ <>]+>|[^@ <>]+@[^@ <>]+)$", s);
}

/* Digits and an X; what stands between them does not count. */
static size_t digits_of(const char *s, char *out, size_t max)
{
        size_t n = 0;

        for (; *s; s++)
                if (!strchr(" -\t\n\r\f", *s)) {
                        if (n == max || !strchr("0123456789X", *s))
                                return 0;
                        out[n++] = *s;
                }
        return n;
}

static bool is_isbn10(const char *s)
{
        char d[10];
        int sum = 0;

        if (digits_of(s, d, 10) != 10 || memchr(d, 'X', 9))
                return false;
        for (int i = 0; i < 10; i++)
                sum += (i + 1) * (d[i] == 'X' ? 10 : d[i] - '0');
        return sum % 11 == 0;
}

static bool is_isbn13(const char *s)
{
        char d[13];
        int sum = 0;

        if (digits_of(s, d, 13) != 13 || memchr(d, 'X', 13))
                return false;
        for (int i = 0; i < 13; i++)
                sum += (i % 2 ? 3 : 1) * (d[i] - '0');
        return sum % 10 == 0;
}

static bool is_isbn(const char *s)
{
        return is_isbn10(s) || is_isbn13(s);
}

static bool is_credit_card(const char *s)
{
        char d[20];
        size_t n = digits_of(s, d, sizeof(d) - 1);
        int sum = 0;

        d[n] = '\0';
        if (!matches("^(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|(222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}|"
                     "6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35\\d{3})\\d{11}|"
                     "6[27][0-9]{14})$", d))
                return false;
        for (size_t i = 0; i < n; i++) {
                int x = (d[n - 1 - i] - '0') * (i % 2 ? 2 : 1);

                sum += x > 9 ? x - 9 : x;
        }
        return sum % 10 == 0;
}

static bool is_long_name(const char *s)
{
        return strlen(s) <= 253 && matches("^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", s);
}

static const struct {
        const char *name;
        bool (*fn)(const char *s);
        const char *pattern;
} formats[] = {
        {"bsonobjectid", NULL, "^[0-9a-fA-F]{24}$"},
        {"byte", is_byte, NULL},
        {"cidr", is_cidr, NULL},
        {"creditcard", is_credit_card, NULL},
        {"date", is_date, NULL},
        {"date-time", is_date_time, NULL},
        {"datetime", is_date_time, NULL},
        {"duration", is_duration, NULL},
        {"email", is_email, NULL},
        {"hexcolor", NULL, "^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$"},
        {"hostname", is_hostname, NULL},
        {"ipv4", is_ipv4, NULL},
        {"ipv6", is_ipv6, NULL},
        {"isbn", is_isbn, NULL},
        {"isbn10", is_isbn10, NULL},
        {"isbn13", is_isbn13, NULL},
        {"k8s-long-name", is_long_name, NULL},
        {"k8s-short-name", NULL, "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"},
        {"mac", NULL, "^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}((:[0-9a-fA-F]{2}){2}|(:[0-9a-fA-F]{2}){14})?$|^[0-9a-fA-F]{2}(-[0-9a-fA-F]{2}){5}"
                      "((-[0-9a-fA-F]{2}){2}|(-[0-9a-fA-F]{2}){14})?$|^[0-9a-fA-F]{4}(\\.[0-9a-fA-F]{4}){2}(\\.[0-9a-fA-F]{4}|(\\.[0-9a-fA-F]{4}){7})?$"},
        {"password", NULL, ""},
        {"rgbcolor", NULL, "^rgb\\(\\s*(0|[1-9]\\d?|1\\d\\d?|2[0-4]\\d|25[0-5])\\s*,\\s*(0|[1-9]\\d?|1\\d\\d?|2[0-4]\\d|25[0-5])\\s*,\\s*"
                           "(0|[1-9]\\d?|1\\d\\d?|2[0-4]\\d|25[0-5])\\s*\\)$"},
        {"ssn", NULL, "^\\d{3}[- ]\\d{2}[- ]\\d{4}$"},
        {"uri", is_uri, NULL},
        {"uuid", NULL, "^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$"},
        {"uuid3", NULL, "^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?3[0-9a-fA-F]{3}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$"},
        {"uuid4", NULL, "^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?4[0-9a-fA-F]{3}-?[89abAB][0-9a-fA-F]{3}-?[0-9a-fA-F]{12}$"},
        {"uuid5", NULL, "^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?5[0-9a-fA-F]{3}-?[89abAB][0-9a-fA-F]{3}-?[0-9a-fA-F]{12}$"},
};

/* Dashes do not count. */
static bool same_format(const char *a, const char *b)
{
        for (;; a++, b++) {
                while (*a == '-')
                        a++;
                while (*b == '-')
                        b++;
                if (*a != *b || !*a)
                        return *a == *b;
        }
}

bool crd_format_valid(const char *format, const char *value)
{
        for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
                if (same_format(format, formats[i].name))
                        return formats[i].fn ? formats[i].fn(value) : matches(formats[i].pattern, value);
        return true;
}

bool crd_format_known(const char *type, const char *format)
{
        if (streq(type, "integer"))
                return streq(format, "int32") || streq(format, "int64");
        if (streq(type, "number"))
                return streq(format, "float") || streq(format, "double");
        for (size_t i = 0; i < ARRAY_SIZE(formats) && (!*type || streq(type, "string")); i++)
                if (same_format(format, formats[i].name))
                        return true;
        return false;
}
