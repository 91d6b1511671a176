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

static bool is_ipv4(const char *s)
{
        struct in_addr v;

        return inet_pton(AF_INET, s, &v) == 1;
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

static bool is_duration(const char *s)
{
        return matches("^[+-]?(([0-9]*(\\.[0-9]*)?(ns|us|µs|μs|ms|s|m|h))+|0)$", s) ||
               matches("^ *[0-9]+ *(ns|nano|nanosecond|nanoseconds|us|micro|ms|milli|s|sec|secs|second|seconds|m|min|mins|minute|"
                       "minutes|h|hr|hrs|hour|hours|d|day|days|w|wk|week|weeks) *$", s);
}

static bool is_byte(const char *s)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;

        return strlen(s) % 4 == 0 && base64_decode(&b, s, strlen(s), NULL) == 0;
}

static bool is_hostname(const char *s)
{
        return strlen(s) <= 255 && matches("^([a-zA-Z0-9_]|[a-zA-Z0-9_][a-zA-Z0-9_-]*[a-zA-Z0-9])(\\.([a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*\\.?$", s);
}

static bool is_uri(const char *s)
{
        return matches("^([A-Za-z][A-Za-z0-9+.-]*:[^ ]*|/[^ ]*)$", s);
}

static const struct {
        const char *name;
        bool (*fn)(const char *s);
        const char *pattern;
} formats[] = {
        {"bsonobjectid", NULL, "^[0-9a-fA-F]{24}$"},
        {"byte", is_byte, NULL},
        {"cidr", is_cidr, NULL},
        {"creditcard", NULL, "^[0-9 -]{13,23}$"},
        {"date", is_date, NULL},
        {"date-time", is_date_time, NULL},
        {"datetime", is_date_time, NULL},
        {"duration", is_duration, NULL},
        {"email", NULL, "^[^@ ]+@[^@ ]+$"},
        {"hexcolor", NULL, "^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$"},
        {"hostname", is_hostname, NULL},
        {"ipv4", is_ipv4, NULL},
        {"ipv6", is_ipv6, NULL},
        {"isbn", NULL, "^[0-9Xx -]{10,17}$"},
        {"isbn10", NULL, "^[0-9 -]{9,12}[0-9Xx]$"},
        {"isbn13", NULL, "^[0-9 -]{13,17}$"},
        {"k8s-long-name", NULL, "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"},
        {"k8s-short-name", NULL, "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"},
        {"mac", NULL, "^([0-9a-fA-F]{2}([:-]))([0-9a-fA-F]{2}[:-]){4,6}[0-9a-fA-F]{2}$"},
        {"password", NULL, ""},
        {"rgbcolor", NULL, "^rgb\\( *[0-9]{1,3} *, *[0-9]{1,3} *, *[0-9]{1,3} *\\)$"},
        {"ssn", NULL, "^[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4}$"},
        {"uri", is_uri, NULL},
        {"uuid", NULL, "^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$"},
        {"uuid3", NULL, "^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?3[0-9a-fA-F]{3}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$"},
        {"uuid4", NULL, "^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?4[0-9a-fA-F]{3}-?[89abAB][0-9a-fA-F]{3}-?[0-9a-fA-F]{12}$"},
        {"uuid5", NULL, "^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?5[0-9a-fA-F]{3}-?[89abAB][0-9a-fA-F]{3}-?[0-9a-fA-F]{12}$"},
};

bool crd_format_valid(const char *format, const char *value)
{
        for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
                if (streq(format, formats[i].name))
                        return formats[i].fn ? formats[i].fn(value) : matches(formats[i].pattern, value);
        return true;
}

bool crd_format_known(const char *type, const char *format)
{
        static const char *const numbers[] = {"int32", "int64", "float", "double"};

        for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
                if (streq(format, numbers[i]))
                        return true;
        for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
                if (streq(format, formats[i].name))
                        return true;
        return !streq(type, "string") && !streq(type, "integer") && !streq(type, "number");
}
