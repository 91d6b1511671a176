/* Go's layouts, element by element (go-time.h): the first element that does not fit names the error. */
#include "go-time.h"

#include "../../lib/base/time.h"

static const struct element {
        const char *layout; /* how Go spells the element; what is no number is itself */
        unsigned digits;
        int min, max;
        const char *range;  /* the field named when out of range */
} elements[] = {
        { "2006", 4, 0, 9999, "year" }, { "-", 0 },  { "01", 2, 1, 12, "month" }, { "-", 0 },
        { "02", 2, 1, 31, "day" },      { "T", 0 },  { "15", 2, 0, 23, "hour" },  { ":", 0 },
        { "04", 2, 0, 59, "minute" },   { ":", 0 },  { "05", 2, 0, 59, "second" },
};

static bool digit(char c)
{
        return c >= '0' && c <= '9';
}

static char *failed(struct arena *a, const char *s, bool micro, const char *fmt, const char *rest, const char *element)
{
        const char *layout = micro ? "2006-01-02T15:04:05.000000Z07:00" : "2006-01-02T15:04:05Z07:00";

        return arena_printf(a, fmt, s, layout, rest, element);
}

#define CANNOT_PARSE "parsing time \"%s\" as \"%s\": cannot parse \"%s\" as \"%s\""

/* One element of digits or a literal; moves *PP behind it. */
static char *element(struct arena *a, const char *s, const char **pp, bool micro, const struct element *e)
{
        const char *p = *pp;
        int n = 0;

        if (!e->digits) {
                if (*p != *e->layout)
                        return failed(a, s, micro, CANNOT_PARSE, p, e->layout);
                *pp = p + 1;
                return NULL;
        }
        for (unsigned i = 0; i < e->digits; i++) {
                if (!digit(p[i]))
                        return failed(a, s, micro, CANNOT_PARSE, p, e->layout);
                n = n * 10 + p[i] - '0';
        }
        if (n < e->min || n > e->max)
                return arena_printf(a, "parsing time \"%s\": %s out of range", s, e->range);
        *pp = p + e->digits;
        return NULL;
}

static char *fraction(struct arena *a, const char *s, const char **pp, bool micro)
{
        const char *p = *pp;
        unsigned n = 0;

        if (*p == '.' || (!micro && *p == ','))
                while (digit(p[1 + n]))
                        n++;
        if (micro && n < 6)
                return failed(a, s, micro, CANNOT_PARSE, p, ".000000");
        if (n)
                *pp = p + 1 + (micro ? 6 : n);
        return NULL;
}

char *go_time_parse(struct arena *a, const char *s, bool micro, int64_t *ret_real_ns)
{
        const char *p = s;
        char *text;

        for (size_t i = 0; i < ARRAY_SIZE(elements); i++) {
                text = element(a, s, &p, micro, &elements[i]);
                if (text)
                        return text;
        }
        text = fraction(a, s, &p, micro);
        if (text)
                return text;
        if (*p == 'Z') {
                p++;
        } else {
                if ((*p != '+' && *p != '-') || !digit(p[1]) || !digit(p[2]) || p[3] != ':' || !digit(p[4]) || !digit(p[5]))
                        return failed(a, s, micro, CANNOT_PARSE, p, "Z07:00");
                p += 6;
        }
        if (*p)
                return arena_printf(a, "parsing time \"%s\": extra text: \"%s\"", s, p);
        if (time_parse(s, ret_real_ns) < 0)
                return arena_printf(a, "parsing time \"%s\": day out of range", s);
        return NULL;
}
