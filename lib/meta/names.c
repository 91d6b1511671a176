/* Label keys and values, checked by hand instead of by regular expression: they are on the path of
 * every list request. The texts are what clients of upstream know (k8s.io/apimachinery validation).
 */
#include "names.h"

#define NAME_RULE                                                                                  \
        " must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an " \
        "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "       \
        "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
#define VALUE_RULE                                                                                 \
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "  \
        "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value'" \
        ",  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
#define SUBDOMAIN_RULE                                                                             \
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or " \
        "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex "     \
        "used for validation is "                                                                    \
        "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"

static bool is_lower_alnum(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
        return is_lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

/* ([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9] over N bytes */
static bool is_name(const char *s, size_t n)
{
        if (!n || !is_alnum(s[0]) || !is_alnum(s[n - 1]))
                return false;
        for (size_t i = 0; i < n; i++)
                if (!is_alnum(s[i]) && !strchr("-_.", s[i]))
                        return false;
        return true;
}

static bool is_dns_label(const char *s, size_t n)
{
        if (!n || !is_lower_alnum(s[0]) || !is_lower_alnum(s[n - 1]))
                return false;
        for (size_t i = 0; i < n; i++)
                if (!is_lower_alnum(s[i]) && s[i] != '-')
                        return false;
        return true;
}

static bool is_subdomain_form(const char *s, size_t n)
{
        const char *end = s + n;

        for (;;) {
                const char *dot = memchr(s, '.', (size_t)(end - s));
                const char *stop = dot ? dot : end;

                if (!is_dns_label(s, (size_t)(stop - s)))
                        return false;
                if (!dot)
                        return true;
                s = dot + 1;
        }
}

bool is_dns1123_label(const char *s)
{
        size_t n = strlen(s);

        return n <= 63 && is_dns_label(s, n);
}

bool is_dns1123_subdomain(const char *s)
{
        size_t n = strlen(s);

        return n <= 253 && is_subdomain_form(s, n);
}

static void add(struct arena *a, const char **list, const char *prefix, const char *text)
{
        *list = arena_printf(a, "%s%s%s%s", *list ? *list : "", *list ? "; " : "", prefix, text);
}

const char *label_key_check(struct arena *a, const char *key)
{
        const char *slash = strchr(key, '/'), *name = slash ? slash + 1 : key, *errors = NULL;
        size_t prefix_len = slash ? (size_t)(slash - key) : 0;

        if (slash && strchr(name, '/'))
                return arena_strdup(a, "a valid label key" NAME_RULE " with an optional DNS subdomain "
                                       "prefix and '/' (e.g. 'example.com/MyName')");
        if (slash && !prefix_len)
                add(a, &errors, "prefix part ", "must be non-empty");
        else if (slash && !is_subdomain_form(key, prefix_len))
                add(a, &errors, "prefix part ", SUBDOMAIN_RULE);
        if (prefix_len > 253)
                add(a, &errors, "prefix part ", "must be no more than 253 bytes");
        if (!*name)
                add(a, &errors, "name part ", "must be non-empty");
        else if (strlen(name) > 63)
                add(a, &errors, "name part ", "must be no more than 63 bytes");
        if (!is_name(name, strlen(name)))
                add(a, &errors, "name part", NAME_RULE);
        return errors;
}

const char *label_value_check(struct arena *a, const char *value)
{
        const char *errors = NULL;

        if (strlen(value) > 63)
                add(a, &errors, "", "must be no more than 63 bytes");
        if (*value && !is_name(value, strlen(value)))
                add(a, &errors, "", VALUE_RULE);
        return errors;
}
