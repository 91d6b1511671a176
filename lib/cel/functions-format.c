/* Kubernetes' named formats (k8s.io/apiserver/pkg/cel/library/format.go): format.dns1123Label().validate(s) gives all that
 * is wrong with a string, in the words that names and labels of objects are refused with. */
#include <stdlib.h>
#include <string.h>

#include "../meta/names.h"
#include "ast.h"

enum rule { LABEL, SUBDOMAIN, LABEL1035 };

struct messages {
        struct arena *arena;
        struct cel_value items[8];
        size_t n;
};

static void say(struct messages *m, const char *text)
{
        if (m->n < ARRAY_SIZE(m->items))
                m->items[m->n++] = cel_string(text);
}

static bool label_of(const char *s, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9') || (s[i] == '-' && i && i + 1 < n)))
                        return false;
        return n > 0;
}

/* Labels between dots, of any length. */
static bool labels_of(const char *s)
{
        for (;; s++) {
                size_t n = strcspn(s, ".");

                if (!label_of(s, n))
                        return false;
                s += n;
                if (!*s)
                        return true;
        }
}

static void check_dns(struct messages *m, const char *s, enum rule rule, bool prefix)
{
        size_t len = strlen(s), max = rule == SUBDOMAIN ? 253 : 63;

        if (prefix && len > 1 && s[len - 1] == '-') { /* something will follow; upstream drops a character more */
                s = arena_printf(m->arena, "%.*sa", (int)(len - 2), s);
                len--;
        }
        if (len > max)
                say(m, arena_printf(m->arena, "must be no more than %zu characters", max));
        if (rule == SUBDOMAIN && !labels_of(s))
                say(m, "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
                       "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
                       "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')");
        else if (rule == LABEL && !label_of(s, len))
                say(m, labels_of(s) ? "must not contain dots"
                                    : "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must "
                                      "start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for "
                                      "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')");
        else if (rule == LABEL1035 && (!label_of(s, len) || *s < 'a' || *s > 'z'))
                say(m, "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
                       "character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation "
                       "is '[a-z]([-a-z0-9]*[a-z0-9])?')");
}

/* Messages that come joined. */
static void say_all(struct messages *m, const char *joined)
{
        while (joined && *joined) {
                const char *end = strstr(joined, "; ");

                say(m, end ? arena_strndup(m->arena, joined, (size_t)(end - joined)) : joined);
                joined = end ? end + 2 : NULL;
        }
}

static bool is_uuid(const char *s)
{
        for (size_t i = 0; i < 36; i++) {
                bool dash = i == 8 || i == 13 || i == 18 || i == 23;

                if (dash ? s[i] != '-' : !s[i] || !strchr("0123456789abcdefABCDEF", s[i]))
                        return false;
        }
        return !s[36];
}

static bool is_base64(struct cel_string s)
{
        size_t n = s.len;

        while (n && s.len - n < 2 && s.s[n - 1] == '=')
                n--;
        for (size_t i = 0; i < n; i++)
                if (!memchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", s.s[i], 64))
                        return false;
        return s.len && s.len % 4 == 0;
}

static bool is_time(struct arena *a, const char *text)
{
        int64_t seconds;
        int32_t nanos;

        return cel_parse_timestamp((struct cel_string){ text, strlen(text) }, &seconds, &nanos);
}

/* "dd", after BEFORE if that is not 0; *s goes on behind it. */
static bool two_digits(const char **s, char before, int *ret)
{
        const char *p = *s + (before != '\0');

        if ((before && **s != before) || strspn(p, "0123456789") < 2)
                return false;
        *ret = (p[0] - '0') * 10 + p[1] - '0';
        *s = p + 2;
        return true;
}

/* A date, a "t" of either case, a time of day with a zone; what is behind another "t" does not count. */
static bool is_datetime(struct arena *a, const char *s)
{
        const char *t = s + strcspn(s, "tT"), *p = t + 1;
        int hour, minute, second, ignored;

        if (!*t || !is_time(a, arena_printf(a, "%.*sT00:00:00Z", (int)(t - s), s)))
                return false;
        p = arena_strndup(a, p, strcspn(p, "tT"));
        if (!two_digits(&p, 0, &hour) || !two_digits(&p, ':', &minute) || !two_digits(&p, ':', &second) || hour > 23 ||
            minute > 59 || second > 59)
                return false;
        if (*p && strspn(p + 1, "0123456789") && p[1 + strspn(p + 1, "0123456789")] != ':' && p[1 + strspn(p + 1, "0123456789")])
                p += 1 + strspn(p + 1, "0123456789"); /* a fraction, whatever stands before it */
        if (*p == 'z' || *p == 'Z')
                return !p[1];
        return (two_digits(&p, '+', &ignored) || two_digits(&p, '-', &ignored)) && two_digits(&p, ':', &ignored) && !*p;
}

/* By their places in formats[]. */
enum format { DNS_LABEL, DNS_SUBDOMAIN, DNS1035, QUALIFIED, LABEL_PREFIX, SUBDOMAIN_PREFIX, PREFIX1035, LABEL_VALUE, URI, UUID, BYTE, DATE,
              DATETIME };

static const char *const formats[] = {
        "dns1123Label", "dns1123Subdomain", "dns1035Label", "qualifiedName", "dns1123LabelPrefix", "dns1123SubdomainPrefix",
        "dns1035LabelPrefix", "labelValue", "uri", "uuid", "byte", "date", "datetime",
};

static void check_format(struct messages *m, enum format format, const char *s, struct cel_string raw)
{
        struct arena *a = m->arena;
        struct cel_url u;
        const char *wrong;

        switch (format) {
        case DNS_LABEL:
        case LABEL_PREFIX:
                check_dns(m, s, LABEL, format == LABEL_PREFIX);
                break;
        case DNS_SUBDOMAIN:
        case SUBDOMAIN_PREFIX:
                check_dns(m, s, SUBDOMAIN, format == SUBDOMAIN_PREFIX);
                break;
        case DNS1035:
        case PREFIX1035:
                check_dns(m, s, LABEL1035, format == PREFIX1035);
                break;
        case QUALIFIED:
                say_all(m, label_key_check(a, s));
                break;
        case LABEL_VALUE:
                say_all(m, label_value_check(a, s));
                break;
        case URI:
                wrong = cel_parse_url(a, raw, &u);
                if (wrong)
                        say(m, arena_printf(a, "parse %s: %s", cel_go_quote(a, raw), wrong));
                break;
        case UUID:
                if (!is_uuid(s))
                        say(m, "does not match the UUID format");
                break;
        case BYTE:
                if (!is_base64(raw))
                        say(m, "invalid base64");
                break;
        case DATE:
                if (!is_time(a, arena_printf(a, "%sT00:00:00Z", s)))
                        say(m, "invalid date");
                break;
        case DATETIME:
                if (!is_datetime(a, s))
                        say(m, "invalid datetime");
                break;
        }
}

static struct cel_value format_value(const char *name)
{
        return (struct cel_value){ .type = CEL_FORMAT, .str = { name, strlen(name) } };
}

static struct cel_value f_named(struct eval *e, size_t n, const struct cel_value *v)
{
        struct cel_value found;

        if (v->type != CEL_STRING)
                return cel_no_overload();
        for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
                if (cel_str_is(v->str, formats[i])) {
                        found = format_value(formats[i]);
                        return cel_optional(e->run->arena, &found);
                }
        return cel_optional(e->run->arena, NULL);
}

static struct cel_value f_validate(struct eval *e, size_t n, const struct cel_value *v)
{
        struct messages *m;
        struct cel_value list;
        size_t i = 0;

        if (v[0].type != CEL_FORMAT || v[1].type != CEL_STRING)
                return cel_no_overload();
        m = arena_calloc(e->run->arena, sizeof(*m));
        m->arena = e->run->arena;
        while (i + 1 < ARRAY_SIZE(formats) && !cel_str_is(v->str, formats[i]))
                i++;
        check_format(m, (enum format)i, cel_text(e->run->arena, &v[1]), v[1].str);
        if (!m->n)
                return cel_optional(e->run->arena, NULL);
        list = cel_list_new(e->run->arena, m->items, m->n);
        return cel_optional(e->run->arena, &list);
}

#define FORMAT(i)                                                                                  \
        static struct cel_value f_format_##i(struct eval *e, size_t n, const struct cel_value *v)  \
        {                                                                                          \
                return format_value(formats[i]);                                                   \
        }
FORMAT(0) FORMAT(1) FORMAT(2) FORMAT(3) FORMAT(4) FORMAT(5) FORMAT(6)
FORMAT(7) FORMAT(8) FORMAT(9) FORMAT(10) FORMAT(11) FORMAT(12)

const struct function functions_format[] = {
        { "format.named", false, true, 1, 1, CEL_OPTIONAL, f_named },
        { "format.dns1123Label", false, true, 0, 0, CEL_FORMAT, f_format_0 },
        { "format.dns1123Subdomain", false, true, 0, 0, CEL_FORMAT, f_format_1 },
        { "format.dns1035Label", false, true, 0, 0, CEL_FORMAT, f_format_2 },
        { "format.qualifiedName", false, true, 0, 0, CEL_FORMAT, f_format_3 },
        { "format.dns1123LabelPrefix", false, true, 0, 0, CEL_FORMAT, f_format_4 },
        { "format.dns1123SubdomainPrefix", false, true, 0, 0, CEL_FORMAT, f_format_5 },
        { "format.dns1035LabelPrefix", false, true, 0, 0, CEL_FORMAT, f_format_6 },
        { "format.labelValue", false, true, 0, 0, CEL_FORMAT, f_format_7 },
        { "format.uri", false, true, 0, 0, CEL_FORMAT, f_format_8 },
        { "format.uuid", false, true, 0, 0, CEL_FORMAT, f_format_9 },
        { "format.byte", false, true, 0, 0, CEL_FORMAT, f_format_10 },
        { "format.date", false, true, 0, 0, CEL_FORMAT, f_format_11 },
        { "format.datetime", false, true, 0, 0, CEL_FORMAT, f_format_12 },
        { "validate", true, false, 2, 2, CEL_OPTIONAL, f_validate },
        { NULL },
};
