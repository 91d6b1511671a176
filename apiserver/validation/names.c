/* Name rules, checked by hand and not by regular expression, with upstream's messages.
 *
 * Each rule is a function that adds the messages that apply. The forms that several share (labels,
 * subdomains, qualified names) are small matchers below.
 */
#include "names.h"

#include <arpa/inet.h>

#define LABEL_FMT "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
#define NAME_HELP                                                                                  \
        "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an " \
        "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is " \
        "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
#define SUBDOMAIN_HELP                                                                             \
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must " \
        "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '" LABEL_FMT \
        "(\\." LABEL_FMT ")*')"
#define LABEL_HELP                                                                                 \
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and " \
        "end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '" LABEL_FMT "')"

struct messages {
        struct arena *a;
        const char **list;
        unsigned n;
};

static void say(struct messages *m, const char *text)
{
        if (m->n < NAME_MESSAGES)
                m->list[m->n++] = text;
}

static void too_long(struct messages *m, size_t len, unsigned max, const char *unit)
{
        if (len > max)
                say(m, arena_printf(m->a, "must be no more than %u %s", max, unit));
}

/* --- forms --- */

static bool lower(char c)
{
        return c >= 'a' && c <= 'z';
}

static bool digit(char c)
{
        return c >= '0' && c <= '9';
}

static bool alnum(char c)
{
        return lower(c) || digit(c) || (c >= 'A' && c <= 'Z');
}

static bool lower_alnum(char c)
{
        return lower(c) || digit(c);
}

/* [a-z0-9]([-a-z0-9]*[a-z0-9])?, with underscores where EXTRA is '_' */
static bool label_form(const char *s, size_t n, char extra)
{
        if (!n || !lower_alnum(s[n - 1]) || !lower_alnum(s[0]))
                return false;
        for (size_t i = 0; i < n; i++)
                if (!lower_alnum(s[i]) && s[i] != '-' && (!extra || s[i] != extra))
                        return false;
        return true;
}

static bool subdomain_form(const char *s, size_t n, char extra)
{
        for (const char *end = s + n;;) {
                const char *dot = memchr(s, '.', (size_t)(end - s)), *stop = dot ? dot : end;

                if (extra && s < stop && *s == extra)
                        s++;
                if (!label_form(s, (size_t)(stop - s), extra))
                        return false;
                if (!dot)
                        return true;
                s = dot + 1;
        }
}

/* ([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9] */
static bool name_form(const char *s, size_t n)
{
        if (!n || !alnum(s[0]) || !alnum(s[n - 1]))
                return false;
        for (size_t i = 0; i < n; i++)
                if (!alnum(s[i]) && !strchr("-_.", s[i]))
                        return false;
        return true;
}

static bool only(const char *s, bool (*ok)(char), const char *extra)
{
        for (; *s; s++)
                if (!ok(*s) && !strchr(extra, *s))
                        return false;
        return true;
}

/* --- rules --- */

static void check_label(struct messages *m, const char *s)
{
        size_t n = strlen(s);

        too_long(m, n, 63, "characters");
        if (!label_form(s, n, 0))
                say(m, subdomain_form(s, n, 0) ? "must not contain dots" : LABEL_HELP);
}

static void check_subdomain(struct messages *m, const char *s)
{
        too_long(m, strlen(s), 253, "characters");
        if (!subdomain_form(s, strlen(s), 0))
                say(m, SUBDOMAIN_HELP);
}

static void check_subdomain_bytes(struct messages *m, const char *s)
{
        too_long(m, strlen(s), 253, "bytes");
        if (!subdomain_form(s, strlen(s), 0))
                say(m, SUBDOMAIN_HELP);
}

static void check_subdomain_underscore(struct messages *m, const char *s)
{
        too_long(m, strlen(s), 253, "characters");
        if (!subdomain_form(s, strlen(s), '_'))
                say(m, "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or "
                       "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
                       "for validation is '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')");
}

static void check_label_1035(struct messages *m, const char *s)
{
        too_long(m, strlen(s), 63, "characters");
        if (!label_form(s, strlen(s), 0) || !lower(*s))
                say(m, "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
                       "alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', "
                       "regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')");
}

static void check_path_segment(struct messages *m, const char *s)
{
        if (streq(s, ".") || streq(s, ".."))
                say(m, arena_printf(m->a, "may not be '%s'", s));
        else if (strchr(s, '/'))
                say(m, "may not contain '/'");
        if (strchr(s, '%'))
                say(m, "may not contain '%'");
}

static void check_qualified(struct messages *m, const char *s)
{
        const char *slash = strchr(s, '/'), *name = slash ? slash + 1 : s;
        size_t prefix = slash ? (size_t)(slash - s) : 0;

        if (slash && strchr(name, '/')) {
                say(m, "a valid label key " NAME_HELP
                       " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')");
                return;
        }
        if (slash && !prefix)
                say(m, "prefix part must be non-empty");
        else if (slash) {
                if (prefix > 253)
                        say(m, "prefix part must be no more than 253 bytes");
                if (!subdomain_form(s, prefix, 0))
                        say(m, "prefix part " SUBDOMAIN_HELP);
        }
        if (!*name)
                say(m, "name part must be non-empty");
        else if (strlen(name) > 63)
                say(m, "name part must be no more than 63 bytes");
        if (!name_form(name, strlen(name)))
                say(m, "name part " NAME_HELP);
}

static void check_label_value(struct messages *m, const char *s)
{
        too_long(m, strlen(s), 63, "bytes");
        if (*s && !name_form(s, strlen(s)))
                say(m, "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
                       "and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or "
                       "'12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')");
}

static void check_c_identifier(struct messages *m, const char *s)
{
        if (!*s || digit(*s) || !only(s, alnum, "_"))
                say(m, "a valid C identifier must start with alphabetic character or '_', followed by a string of "
                       "alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for "
                       "validation is '[A-Za-z_][A-Za-z0-9_]*')");
}

/* Any printable ASCII but '=' will do today. */
static void check_env_var(struct messages *m, const char *s)
{
        bool ok = true;

        if (!*s)
                say(m, "environment variable name must be non-empty");
        for (const char *p = s; *p; p++)
                ok &= *p >= 0x20 && *p <= 0x7e && *p != '=';
        if (*s && !ok)
                say(m, "a valid environment variable name must consist only of printable ASCII characters other than "
                       "'='");
}

static void check_config_key(struct messages *m, const char *s)
{
        too_long(m, strlen(s), 253, "characters");
        if (!*s || !only(s, alnum, "-._"))
                say(m, "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',"
                       "  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')");
        if (streq(s, "."))
                say(m, "must not be '.'");
        else if (streq(s, ".."))
                say(m, "must not be '..'");
        else if (str_has_prefix(s, ".."))
                say(m, "must not start with '..'");
}

static void check_port_name(struct messages *m, const char *s)
{
        size_t n = strlen(s);
        bool letter = false;

        too_long(m, n, 15, "characters");
        for (const char *p = s; *p; p++)
                letter |= lower(*p);
        if (!n || !only(s, lower_alnum, "-"))
                say(m, "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
        if (!letter)
                say(m, "must contain at least one letter (a-z)");
        if (strstr(s, "--"))
                say(m, "must not contain consecutive hyphens");
        if (n && (s[0] == '-' || s[n - 1] == '-'))
                say(m, "must not begin or end with a hyphen");
}

static void check_http_header(struct messages *m, const char *s)
{
        if (!*s || !only(s, alnum, "-"))
                say(m, "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', "
                       "regex used for validation is '[-A-Za-z0-9]+')");
}

static void check_wildcard(struct messages *m, const char *s)
{
        too_long(m, strlen(s), 253, "characters");
        if (!str_has_prefix(s, "*.") || !subdomain_form(s + 2, strlen(s + 2), 0))
                say(m, "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which "
                       "must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric "
                       "character (e.g. '*.example.com', regex used for validation is '\\*\\." LABEL_FMT
                       "(\\." LABEL_FMT ")*')");
}

static bool is_ip(const char *s, size_t n, bool *ret_v6)
{
        unsigned char buf[16];
        char text[64];

        if (n >= sizeof(text))
                return false;
        memcpy(text, s, n);
        text[n] = '\0';
        *ret_v6 = strchr(text, ':');
        return inet_pton(*ret_v6 ? AF_INET6 : AF_INET, text, buf) == 1;
}

/* Four numbers as they once were taken: with zeros in front. */
static bool sloppy_ipv4(const char *s, size_t n)
{
        unsigned parts = 0;

        for (const char *end = s + n; s < end; s++) {
                unsigned v = 0, digits = 0;

                for (; s < end && digit(*s) && digits < 16; s++, digits++)
                        v = MIN(v * 10 + (unsigned)(*s - '0'), 1000u);
                if (!digits || v > 255 || (s < end && *s != '.') || (s + 1 == end && *s == '.'))
                        return false;
                parts++;
        }
        return parts == 4;
}

bool name_is_address(const char *s)
{
        bool v6;

        return is_ip(s, strlen(s), &v6) || sloppy_ipv4(s, strlen(s));
}

static bool mapped_ipv4(const char *s, size_t n)
{
        static const unsigned char prefix[12] = { [10] = 0xff, [11] = 0xff };
        unsigned char buf[16];
        char text[64];

        if (n >= sizeof(text))
                return false;
        memcpy(text, s, n);
        text[n] = '\0';
        return inet_pton(AF_INET6, text, buf) == 1 && memcmp(buf, prefix, sizeof(prefix)) == 0;
}

static void check_ip(struct messages *m, const char *s)
{
        size_t n = strlen(s);
        bool v6;

        if (!is_ip(s, n, &v6))
                say(m, sloppy_ipv4(s, n) ? "must not have leading 0s" :
                                           "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
        else if (mapped_ipv4(s, n))
                say(m, "must not be an IPv4-mapped IPv6 address");
}

static void check_ipv4(struct messages *m, const char *s)
{
        bool v6;

        if (!is_ip(s, strlen(s), &v6) || v6)
                say(m, "must be a valid IPv4 address");
}

/* Whether bits behind the first N are set. */
static bool bits_beyond(const char *s, size_t len, unsigned n)
{
        unsigned char buf[16];
        char text[64];
        bool v6 = memchr(s, ':', len);

        memcpy(text, s, len);
        text[len] = '\0';
        inet_pton(v6 ? AF_INET6 : AF_INET, text, buf);
        for (unsigned bit = n; bit < (v6 ? 128u : 32u); bit++)
                if (buf[bit / 8] & (0x80 >> bit % 8))
                        return true;
        return false;
}

/* An address and a prefix, as Go's old parser reads them. RET_EXACT: as its new one does, too. */
static bool sloppy_range(const char *s, bool *ret_exact)
{
        const char *slash = strchr(s, '/');
        size_t len = slash ? (size_t)(slash - s) : 0, n = slash ? strlen(slash + 1) : 0;
        bool v6 = false;

        *ret_exact = slash && is_ip(s, len, &v6);
        return (*ret_exact || (slash && sloppy_ipv4(s, len))) && n >= 1 && n <= 8 && only(slash + 1, digit, "") &&
               atoi(slash + 1) <= (v6 ? 128 : 32);
}

bool name_is_range(const char *s)
{
        bool exact;

        return sloppy_range(s, &exact);
}

static void check_cidr(struct messages *m, const char *s)
{
        const char *slash = strchr(s, '/');
        size_t len = slash ? (size_t)(slash - s) : 0, n = slash ? strlen(slash + 1) : 0;
        bool exact;

        if (!sloppy_range(s, &exact))
                say(m, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
        else if (!exact || (n > 1 && slash[1] == '0'))
                say(m, "must not have leading 0s in IP or prefix length");
        else if (mapped_ipv4(s, len))
                say(m, "must not have an IPv4-mapped IPv6 address");
        else if (bits_beyond(s, len, (unsigned)atoi(slash + 1)))
                say(m, "must not have bits set beyond the prefix length");
}

static void check_domain(struct messages *m, const char *s)
{
        check_subdomain(m, s);
        if (!m->n && !strchr(s, '.'))
                say(m, "should be a domain with at least two segments separated by dots");
}

static void check_domain_path(struct messages *m, const char *s)
{
        const char *slash = strchr(s, '/');

        if (!slash || !slash[1] || slash == s) {
                say(m, "must be a domain-prefixed path (such as \"acme.io/foo\")");
                return;
        }
        check_subdomain(m, arena_strndup(m->a, s, (size_t)(slash - s)));
}

static void check_percent(struct messages *m, const char *s)
{
        size_t n = strlen(s);
        bool ok = n >= 2 && s[n - 1] == '%';

        for (size_t i = 0; ok && i + 1 < n; i++)
                ok = digit(s[i]);
        if (!ok)
                say(m, "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or "
                       "'93%', regex used for validation is '[0-9]+%')");
}

static void check_any(struct messages *m, const char *s)
{
        unused(m);
        unused(s);
}

static void (*const rules[N_NAME_RULES])(struct messages *m, const char *s) = {
        [NAME_DNS1123_LABEL] = check_label,
        [NAME_DNS1123_SUBDOMAIN] = check_subdomain,
        [NAME_DNS1123_SUBDOMAIN_BYTES] = check_subdomain_bytes,
        [NAME_DNS1035_LABEL] = check_label_1035,
        [NAME_PATH_SEGMENT] = check_path_segment,
        [NAME_QUALIFIED] = check_qualified,
        [NAME_LABEL_VALUE] = check_label_value,
        [NAME_C_IDENTIFIER] = check_c_identifier,
        [NAME_ENV_VAR] = check_env_var,
        [NAME_CONFIG_KEY] = check_config_key,
        [NAME_PORT] = check_port_name,
        [NAME_HTTP_HEADER] = check_http_header,
        [NAME_WILDCARD_SUBDOMAIN] = check_wildcard,
        [NAME_IP] = check_ip,
        [NAME_CIDR] = check_cidr,
        [NAME_IPV4] = check_ipv4,
        [NAME_FULLY_QUALIFIED_DOMAIN] = check_domain,
        [NAME_DOMAIN_PREFIXED_PATH] = check_domain_path,
        [NAME_LABEL_KEY] = check_qualified,
        [NAME_SUBDOMAIN_UNDERSCORE] = check_subdomain_underscore,
        [NAME_PERCENT] = check_percent,
        [NAME_ANY] = check_any,
};

unsigned name_check(struct arena *a, enum name_rule rule, const char *value, const char *ret[NAME_MESSAGES])
{
        struct messages m = { .a = a, .list = ret };

        rules[rule](&m, value);
        return m.n;
}

void name_validate(struct field_errors *errs, enum name_rule rule, const char *path, const struct json *value)
{
        const char *messages[NAME_MESSAGES], *s = json_string(value);
        unsigned n;

        if (!s)
                return;
        n = name_check(errs->arena, rule, s, messages);
        for (unsigned i = 0; i < n; i++)
                field_error_add(errs, FIELD_INVALID, path, value, "%s", messages[i]);
}

void name_validate_string(struct field_errors *errs, enum name_rule rule, const char *path, const char *value)
{
        name_validate(errs, rule, path, json_new_string(errs->arena, value));
}

void name_validate_joined(struct field_errors *errs, enum name_rule rule, const char *path, const char *value, const char *shown,
                          const char *before)
{
        const char *messages[NAME_MESSAGES], *text = "";
        unsigned n = name_check(errs->arena, rule, value, messages);

        for (unsigned i = 0; i < n; i++)
                text = arena_printf(errs->arena, "%s%s%s", text, i ? "," : "", messages[i]);
        if (n)
                field_error_add(errs, FIELD_INVALID, path, json_new_string(errs->arena, shown), "%s%s", before, text);
}
