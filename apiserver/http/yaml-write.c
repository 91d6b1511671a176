/* JSON as YAML, by libyaml's emitter, in block style as sigs.k8s.io/yaml writes it: strings are plain where a reader
 * would take them for nothing else, keys are in its order. */
#include <math.h>
#include <stdio.h>
#include <yaml.h>

#include "answer.h"

static int append(void *userdata, unsigned char *data, size_t len)
{
        strbuf_append(userdata, data, len);
        return 1;
}

/* --- what a plain scalar would be taken for (YAML 1.1, as go-yaml reads it) --- */

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static size_t digits(const char *s)
{
        return strspn(s, "0123456789");
}

/* One or two digits of a date or time, at most MAX; moves *at. */
static bool take_number(const char **at, int least, int max, int *ret)
{
        size_t n = MIN(digits(*at), (size_t)2);

        *ret = n ? atoi((char[3]){ (*at)[0], n > 1 ? (*at)[1] : '\0', '\0' }) : -1;
        *at += n;
        return n && *ret >= least && *ret <= max;
}

static bool take_char(const char **at, const char *set)
{
        if (!**at || !strchr(set, **at))
                return false;
        ++*at;
        return true;
}

/* "2006-1-2", and behind it perhaps a time: with T a zone has to follow, with a space there is none. */
static bool is_timestamp(const char *s)
{
        static const int days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
        int year = atoi(s), month, day, unused;
        bool zone;

        if (digits(s) != 4 || s[4] != '-')
                return false;
        s += 5;
        if (!take_number(&s, 1, 12, &month) || !take_char(&s, "-") || !take_number(&s, 1, days[month - 1], &day) ||
            (month == 2 && day == 29 && (year % 4 || (year % 100 == 0 && year % 400))))
                return false;
        if (!*s)
                return true;
        zone = *s != ' ';
        if (!take_char(&s, "Tt ") || !take_number(&s, 0, 23, &unused) || !take_char(&s, ":") || !take_number(&s, 0, 59, &unused) ||
            !take_char(&s, ":") || !take_number(&s, 0, 59, &unused))
                return false;
        if (*s && strchr(".,", *s) && is_digit(s[1]))
                s += 1 + digits(s + 1);
        if (!zone || take_char(&s, "Z"))
                return !*s;
        return take_char(&s, "+-") && strlen(s) == 5 && take_number(&s, 0, 24, &unused) && take_char(&s, ":") &&
               take_number(&s, 0, 60, &unused);
}

/* "1:30", "-12:00:59.5": sixties, which other readers still know. */
static bool is_base60(const char *s)
{
        s += strspn(s, "+-") == 1;
        if (!is_digit(*s))
                return false;
        s += strspn(s, "0123456789_");
        if (*s != ':')
                return false;
        while (*s == ':') {
                size_t n = digits(s + 1);

                if (n < 1 || n > 2 || (n == 2 && s[1] > '5'))
                        return false;
                s += 1 + n;
        }
        return !*s || (*s == '.' && !s[1 + strspn(s + 1, "0123456789_")]);
}

static bool is_integer(const char *s)
{
        static const struct {
                const char *prefix, *digits;
        } bases[] = { { "xX", "0123456789abcdefABCDEF" }, { "bB", "01" }, { "oO", "01234567" } };

        s += strspn(s, "+-") == 1;
        for (size_t i = 0; *s == '0' && s[1] && i < ARRAY_SIZE(bases); i++)
                if (strchr(bases[i].prefix, s[1]))
                        return s[2] && !s[2 + strspn(s + 2, bases[i].digits)];
        return is_digit(*s) && !s[*s == '0' ? strspn(s, "01234567") : digits(s)];
}

static bool is_float(const char *s)
{
        const char *p = s + (strspn(s, "+-") == 1);
        size_t whole = digits(p), fraction = 0;

        p += whole;
        if (*p == '.')
                p += 1 + (fraction = digits(p + 1));
        if (!whole && !fraction)
                return false;
        if (*p == 'e' || *p == 'E') {
                p += 1 + (p[1] == '+' || p[1] == '-');
                if (!is_digit(*p))
                        return false;
                p += digits(p);
        }
        return !*p && !isinf(strtod(s, NULL));
}

static bool is_word(const char *s)
{
        static const char *const words[] = {
                "", "~", "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON", "n", "N", "no", "No", "NO",
                "false", "False", "FALSE", "off", "Off", "OFF", "null", "Null", "NULL", ".nan", ".NaN", ".NAN",
                ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF",
        };

        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (streq(s, words[i]))
                        return true;
        return false;
}

/* Would a reader take this plain scalar for something other than a string? Whatever else cannot stand plainly
 * (": ", a leading "*"), the emitter quotes by itself. */
static bool needs_quotes(const char *s)
{
        char plain[128], *p = plain; /* underscores do not count in numbers; none is as long */

        if (is_word(s))
                return true;
        if (*s == '.')
                return is_float(s);
        if (!is_digit(*s) && *s != '+' && *s != '-')
                return false;
        if (is_timestamp(s) || is_base60(s))
                return true;
        if (strlen(s) >= sizeof(plain))
                return false;
        for (; *s; s++)
                if (*s != '_')
                        *p++ = *s;
        *p = '\0';
        return is_integer(plain) || is_float(plain);
}

static void emit_scalar(yaml_emitter_t *e, const char *s, size_t len, bool string)
{
        yaml_scalar_style_t style = YAML_PLAIN_SCALAR_STYLE;
        yaml_event_t ev;

        if (string && memchr(s, '\n', len))
                style = YAML_LITERAL_SCALAR_STYLE;
        else if (string && needs_quotes(s))
                style = YAML_DOUBLE_QUOTED_SCALAR_STYLE;
        yaml_scalar_event_initialize(&ev, NULL, NULL, (yaml_char_t *)s, len, 1, 1, style);
        yaml_emitter_emit(e, &ev);
}

static bool is_letter(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c & 0x80);
}

static int order(long x, long y)
{
        return x < y ? -1 : x > y;
}

/* go-yaml's order of keys: numbers by their value, letters behind all else. */
static int compare_keys(const char *a, const char *b)
{
        size_t i = 0, ai, bi;
        long an = 0, bn = 0;

        while (a[i] && a[i] == b[i])
                i++;
        if (!a[i] || !b[i])
                return order(a[i] != '\0', b[i] != '\0');
        if (is_letter(a[i]) && is_letter(b[i]))
                return order((unsigned char)a[i], (unsigned char)b[i]);
        if (is_letter(a[i]) || is_letter(b[i]))
                return is_letter(b[i]) ? -1 : 1;
        if (a[i] == '0' || b[i] == '0') /* zeros lead only where no other digit stands before them */
                for (size_t j = i; j > 0 && is_digit(a[j - 1]); j--)
                        if (a[j - 1] != '0') {
                                an = bn = 1;
                                break;
                        }
        for (ai = i; is_digit(a[ai]) && ai < i + 16; ai++)
                an = an * 10 + (a[ai] - '0');
        for (bi = i; is_digit(b[bi]) && bi < i + 16; bi++)
                bn = bn * 10 + (b[bi] - '0');
        if (an != bn)
                return order(an, bn);
        if (ai != bi)
                return order(ai, bi);
        return order((unsigned char)a[i], (unsigned char)b[i]);
}

static int member_cmp(const void *x, const void *y)
{
        return compare_keys((*(const struct json_member *const *)x)->key, (*(const struct json_member *const *)y)->key);
}

static void emit(yaml_emitter_t *e, const struct json *j)
{
        yaml_event_t ev;

        switch (j->type) {
        case JSON_OBJECT: {
                _cleanup_free_ const struct json_member **sorted = xcalloc(j->len + 1, sizeof(*sorted));
                yaml_mapping_start_event_initialize(&ev, NULL, NULL, 1,
                                                    j->len ? YAML_BLOCK_MAPPING_STYLE : YAML_FLOW_MAPPING_STYLE);
                yaml_emitter_emit(e, &ev);
                for (size_t i = 0; i < j->len; i++)
                        sorted[i] = &j->members[i];
                qsort(sorted, j->len, sizeof(*sorted), member_cmp);
                for (size_t i = 0; i < j->len; i++) {
                        emit_scalar(e, sorted[i]->key, sorted[i]->key_len, true);
                        emit(e, sorted[i]->value);
                }
                yaml_mapping_end_event_initialize(&ev);
                yaml_emitter_emit(e, &ev);
                break;
        }
        case JSON_ARRAY:
                yaml_sequence_start_event_initialize(&ev, NULL, NULL, 1,
                                                     j->len ? YAML_BLOCK_SEQUENCE_STYLE : YAML_FLOW_SEQUENCE_STYLE);
                yaml_emitter_emit(e, &ev);
                json_foreach_item(j, item)
                        emit(e, item);
                yaml_sequence_end_event_initialize(&ev);
                yaml_emitter_emit(e, &ev);
                break;
        case JSON_STRING:
        case JSON_NUMBER:
                emit_scalar(e, j->str, j->len, j->type == JSON_STRING);
                break;
        default: {
                const char *word = j->type == JSON_NULL ? "null" : j->boolean ? "true" : "false";
                emit_scalar(e, word, strlen(word), false);
        }
        }
}

void yaml_write(struct strbuf *out, const struct json *j)
{
        yaml_emitter_t e;
        yaml_event_t ev;

        yaml_emitter_initialize(&e);
        yaml_emitter_set_output(&e, append, out);
        yaml_emitter_set_unicode(&e, 1);
        yaml_emitter_set_width(&e, 80);
        yaml_stream_start_event_initialize(&ev, YAML_UTF8_ENCODING);
        yaml_emitter_emit(&e, &ev);
        yaml_document_start_event_initialize(&ev, NULL, NULL, NULL, 1);
        yaml_emitter_emit(&e, &ev);
        emit(&e, j);
        yaml_document_end_event_initialize(&ev, 1);
        yaml_emitter_emit(&e, &ev);
        yaml_stream_end_event_initialize(&ev);
        yaml_emitter_emit(&e, &ev);
        yaml_emitter_delete(&e);
        if (out->len > 4 && memcmp(out->data + out->len - 5, "\n...\n", 5) == 0) /* newer emitters end an open scalar so */
                out->data[out->len -= 4] = '\0';
}
