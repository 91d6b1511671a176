/* The standard functions and operators (cel-spec, doc/langdef.md), and optionals. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "ast.h"

static struct cel_value overflow(struct eval *e)
{
        return cel_error(e->run->arena, "integer overflow");
}

static struct cel_value unsigned_overflow(struct eval *e)
{
        return cel_error(e->run->arena, "unsigned integer overflow");
}

/* A string that is none of the type it should become. */
static struct cel_value no_conversion(struct eval *e, const char *type)
{
        return cel_error(e->run->arena, "type conversion error from 'string' to '%s'", type);
}

static struct cel_value uint_value(uint64_t u)
{
        return (struct cel_value){ .type = CEL_UINT, .u = u };
}

static struct cel_value double_value(double d)
{
        return (struct cel_value){ .type = CEL_DOUBLE, .d = d };
}

static struct cel_value duration(int64_t ns)
{
        return (struct cel_value){ .type = CEL_DURATION, .i = ns };
}

/* --- arithmetic --- */

static struct cel_value joined(struct eval *e, const struct cel_value *x, const struct cel_value *y)
{
        size_t len = x->str.len + y->str.len;
        char *s;

        if (!eval_room(e, len / 10))
                return eval_over_limit();
        s = arena_alloc(e->run->arena, len + 1);
        memcpy(s, x->str.s, x->str.len);
        memcpy(s + x->str.len, y->str.s, y->str.len);
        s[len] = '\0';
        return (struct cel_value){ .type = x->type, .str = { s, len } };
}

static struct cel_value appended(struct eval *e, const struct cel_value *x, const struct cel_value *y)
{
        size_t n = cel_list_len(x), m = cel_list_len(y);
        struct cel_value *items;

        if (!eval_room(e, (n + m) / 10))
                return eval_over_limit();
        items = arena_alloc(e->run->arena, (n + m + 1) * sizeof(*items));
        for (size_t i = 0; i < n + m; i++)
                items[i] = i < n ? cel_list_at(x, i) : cel_list_at(y, i - n);
        return cel_list_new(e->run->arena, items, n + m);
}

/* Seconds that a protobuf Timestamp can say: years 1 to 9999. */
static struct cel_value moved(struct eval *e, const struct cel_value *t, __int128 ns)
{
        __int128 all = (__int128)t->time.seconds * 1000000000 + t->time.nanos + ns;
        __int128 seconds = all / 1000000000 - (all % 1000000000 < 0);
        struct cel_value v = { .type = CEL_TIMESTAMP };

        if (seconds < -62135596800LL || seconds > 253402300799LL)
                return cel_error(e->run->arena, "timestamp overflow");
        v.time.seconds = (int64_t)seconds;
        v.time.nanos = (int32_t)(all - seconds * 1000000000);
        return v;
}

/* Of a set or a list with keys: what is there already is replaced, the rest comes behind. */
static struct cel_value merged(struct eval *e, const struct cel_value *x, const struct cel_value *y)
{
        size_t n = cel_list_len(x), more = cel_list_len(y);
        struct cel_value *items = arena_alloc(e->run->arena, (n + more + 1) * sizeof(*items));
        struct cel_list *out = arena_calloc(e->run->arena, sizeof(*out));

        if (!eval_room(e, n * more))
                return eval_over_limit();
        for (size_t i = 0; i < n; i++)
                items[i] = cel_list_at(x, i);
        for (size_t i = 0; i < more; i++) {
                struct cel_value item = cel_list_at(y, i);
                ptrdiff_t at = cel_list_find(x, cel_list_shape(x), &item);

                items[at < 0 ? n++ : (size_t)at] = item;
        }
        *out = (struct cel_list){ items, n, cel_list_shape(x) };
        return (struct cel_value){ .type = CEL_LIST, .list = out };
}

static struct cel_value f_add(struct eval *e, size_t n, const struct cel_value *v)
{
        int64_t i;
        uint64_t u;

        if (v[0].type == CEL_TIMESTAMP && v[1].type == CEL_DURATION)
                return moved(e, &v[0], v[1].i);
        if (v[0].type == CEL_DURATION && v[1].type == CEL_TIMESTAMP)
                return moved(e, &v[1], v[0].i);
        if (v[0].type != v[1].type)
                return cel_no_overload();
        switch (v[0].type) {
        case CEL_INT:
        case CEL_DURATION:
                if (__builtin_add_overflow(v[0].i, v[1].i, &i))
                        return overflow(e);
                return v[0].type == CEL_INT ? cel_int(i) : duration(i);
        case CEL_UINT:
                return __builtin_add_overflow(v[0].u, v[1].u, &u) ? unsigned_overflow(e) : uint_value(u);
        case CEL_DOUBLE:
                return double_value(v[0].d + v[1].d);
        case CEL_STRING:
        case CEL_BYTES:
                return joined(e, &v[0], &v[1]);
        case CEL_LIST:
                return cel_list_shape(v) ? merged(e, &v[0], &v[1]) : appended(e, &v[0], &v[1]);
        default:
                return cel_no_overload();
        }
}

static struct cel_value f_sub(struct eval *e, size_t n, const struct cel_value *v)
{
        __int128 ns;
        int64_t i;
        uint64_t u;

        if (v[0].type == CEL_TIMESTAMP && v[1].type == CEL_DURATION)
                return moved(e, &v[0], -(__int128)v[1].i);
        if (v[0].type != v[1].type)
                return cel_no_overload();
        switch (v[0].type) {
        case CEL_INT:
        case CEL_DURATION:
                if (__builtin_sub_overflow(v[0].i, v[1].i, &i))
                        return overflow(e);
                return v[0].type == CEL_INT ? cel_int(i) : duration(i);
        case CEL_UINT:
                return __builtin_sub_overflow(v[0].u, v[1].u, &u) ? unsigned_overflow(e) : uint_value(u);
        case CEL_DOUBLE:
                return double_value(v[0].d - v[1].d);
        case CEL_TIMESTAMP:
                ns = (__int128)(v[0].time.seconds - v[1].time.seconds) * 1000000000 + (v[0].time.nanos - v[1].time.nanos);
                return ns > INT64_MAX || ns < INT64_MIN ? overflow(e) : duration((int64_t)ns);
        default:
                return cel_no_overload();
        }
}

static struct cel_value f_mul(struct eval *e, size_t n, const struct cel_value *v)
{
        int64_t i;
        uint64_t u;

        if (v[0].type != v[1].type)
                return cel_no_overload();
        switch (v[0].type) {
        case CEL_INT:
                return __builtin_mul_overflow(v[0].i, v[1].i, &i) ? overflow(e) : cel_int(i);
        case CEL_UINT:
                return __builtin_mul_overflow(v[0].u, v[1].u, &u) ? unsigned_overflow(e) : uint_value(u);
        case CEL_DOUBLE:
                return double_value(v[0].d * v[1].d);
        default:
                return cel_no_overload();
        }
}

static struct cel_value divided(struct eval *e, const struct cel_value *v, bool rest)
{
        const char *zero = rest ? "modulus by zero" : "division by zero";

        if (v[0].type != v[1].type)
                return cel_no_overload();
        switch (v[0].type) {
        case CEL_INT:
                if (!v[1].i)
                        return cel_error(e->run->arena, "%s", zero);
                if (v[0].i == INT64_MIN && v[1].i == -1)
                        return overflow(e);
                return cel_int(rest ? v[0].i % v[1].i : v[0].i / v[1].i);
        case CEL_UINT:
                if (!v[1].u)
                        return cel_error(e->run->arena, "%s", zero);
                return uint_value(rest ? v[0].u % v[1].u : v[0].u / v[1].u);
        case CEL_DOUBLE:
                return rest ? cel_no_overload() : double_value(v[0].d / v[1].d);
        default:
                return cel_no_overload();
        }
}

static struct cel_value f_div(struct eval *e, size_t n, const struct cel_value *v)
{
        return divided(e, v, false);
}

static struct cel_value f_mod(struct eval *e, size_t n, const struct cel_value *v)
{
        return divided(e, v, true);
}

static struct cel_value f_negate(struct eval *e, size_t n, const struct cel_value *v)
{
        if (v->type == CEL_DOUBLE)
                return double_value(-v->d);
        if (v->type != CEL_INT)
                return cel_no_overload();
        return v->i == INT64_MIN ? overflow(e) : cel_int(-v->i);
}

static struct cel_value f_not(struct eval *e, size_t n, const struct cel_value *v)
{
        return v->type == CEL_BOOL ? cel_bool(!v->b) : cel_no_overload();
}

/* --- relations --- */

/* What has a schema is compared with its like only. */
static bool unlike(const struct cel_value *v)
{
        return (v->type == CEL_LIST || v->type == CEL_MAP) && v->lazy && v->shape && v[1].type != v->type && v[1].type != CEL_NULL;
}

static struct cel_value f_equal(struct eval *e, size_t n, const struct cel_value *v)
{
        if (unlike(v))
                return cel_no_overload();
        if (v->type >= CEL_QUANTITY && v->type <= CEL_FORMAT && v[1].type != v->type && v[1].type != CEL_NULL)
                return cel_no_overload(); /* Kubernetes' types know no others */
        return cel_bool(cel_equal(&v[0], &v[1]));
}

static struct cel_value f_unequal(struct eval *e, size_t n, const struct cel_value *v)
{
        return cel_bool(!cel_equal(&v[0], &v[1]));
}

static bool ordered(const struct cel_value *v)
{
        bool numbers = true;

        for (int i = 0; i < 2; i++)
                numbers &= v[i].type == CEL_INT || v[i].type == CEL_UINT || v[i].type == CEL_DOUBLE;
        return numbers || (v[0].type == v[1].type &&
                           (v[0].type == CEL_BOOL || v[0].type == CEL_STRING || v[0].type == CEL_BYTES ||
                            v[0].type == CEL_TIMESTAMP || v[0].type == CEL_DURATION));
}

/* NaN is neither smaller nor larger than a number; on the left, than anything. */
static bool unordered(const struct cel_value *v)
{
        bool number = v->type == CEL_INT || v->type == CEL_UINT || v->type == CEL_DOUBLE;

        return (v->type == CEL_DOUBLE && isnan(v->d)) || (number && v[1].type == CEL_DOUBLE && isnan(v[1].d));
}

#define RELATION(name, op)                                                                         \
        static struct cel_value name(struct eval *e, size_t n, const struct cel_value *v)          \
        {                                                                                          \
                bool ok;                                                                           \
                int c = cel_compare(&v[0], &v[1], &ok);                                            \
                                                                                                   \
                if (unordered(v))                                                                  \
                        return cel_error(e->run->arena, "NaN values cannot be ordered");           \
                return ordered(v) ? cel_bool(ok && c op 0) : cel_no_overload();                    \
        }
RELATION(f_less, <)
RELATION(f_less_equal, <=)
RELATION(f_greater, >)
RELATION(f_greater_equal, >=)

static struct cel_value f_in(struct eval *e, size_t n, const struct cel_value *v)
{
        struct cel_value item;

        if (v[1].type == CEL_MAP)
                return cel_bool(cel_map_find(&v[1], &v[0], &item));
        if (v[1].type != CEL_LIST)
                return cel_no_overload();
        if (!eval_room(e, cel_list_len(&v[1])))
                return eval_over_limit();
        for (size_t i = 0; i < cel_list_len(&v[1]); i++) {
                item = cel_list_at(&v[1], i);
                if (cel_equal(&item, &v[0]))
                        return cel_bool(true);
        }
        return cel_bool(false);
}

static struct cel_value f_size(struct eval *e, size_t n, const struct cel_value *v)
{
        switch (v->type) {
        case CEL_STRING:
                return cel_int((int64_t)cel_code_points(v->str));
        case CEL_BYTES:
                return cel_int((int64_t)v->str.len);
        case CEL_LIST:
                return cel_int((int64_t)cel_list_len(v));
        case CEL_MAP:
                return cel_int((int64_t)cel_map_len(v));
        default:
                return cel_no_overload();
        }
}

/* --- conversions --- */

static struct cel_value f_type(struct eval *e, size_t n, const struct cel_value *v)
{
        return cel_typed(cel_type_name(v));
}

static struct cel_value f_dyn(struct eval *e, size_t n, const struct cel_value *v)
{
        return *v;
}

static bool plain_number(const char *s)
{
        return *s && *s != ' ' && *s != '\t' && *s != '\n';
}

static struct cel_value f_int(struct eval *e, size_t n, const struct cel_value *v)
{
        const char *s;
        char *end;
        long long i;

        switch (v->type) {
        case CEL_INT:
                return *v;
        case CEL_UINT:
                return v->u > INT64_MAX ? overflow(e) : cel_int((int64_t)v->u);
        case CEL_DOUBLE:
                if (!(v->d > -9223372036854775808.0 && v->d < 9223372036854775808.0))
                        return overflow(e);
                return cel_int((int64_t)v->d);
        case CEL_TIMESTAMP:
                return cel_int(v->time.seconds);
        case CEL_DURATION:
                return cel_int(v->i);
        case CEL_STRING:
                s = cel_text(e->run->arena, v);
                errno = 0;
                i = strtoll(s, &end, 10);
                if (errno || *end || !plain_number(s) || end != s + v->str.len)
                        return no_conversion(e, "int");
                return cel_int(i);
        default:
                return cel_no_overload();
        }
}

static struct cel_value f_uint(struct eval *e, size_t n, const struct cel_value *v)
{
        const char *s;
        char *end;
        unsigned long long u;

        switch (v->type) {
        case CEL_UINT:
                return *v;
        case CEL_INT:
                return v->i < 0 ? unsigned_overflow(e) : uint_value((uint64_t)v->i);
        case CEL_DOUBLE:
                if (!(v->d > -1 && v->d < 18446744073709551616.0))
                        return unsigned_overflow(e);
                return uint_value((uint64_t)v->d);
        case CEL_STRING:
                s = cel_text(e->run->arena, v);
                errno = 0;
                u = strtoull(s, &end, 10);
                if (errno || *end || *s == '-' || *s == '+' || !plain_number(s) || end != s + v->str.len)
                        return no_conversion(e, "uint");
                return uint_value(u);
        default:
                return cel_no_overload();
        }
}

static struct cel_value f_double(struct eval *e, size_t n, const struct cel_value *v)
{
        const char *s;
        char *end;
        double d;

        switch (v->type) {
        case CEL_DOUBLE:
                return *v;
        case CEL_INT:
                return double_value((double)v->i);
        case CEL_UINT:
                return double_value((double)v->u);
        case CEL_STRING:
                s = cel_text(e->run->arena, v);
                errno = 0;
                d = strtod(s, &end);
                if (*end || !plain_number(s) || end != s + v->str.len || (errno == ERANGE && fabs(d) > 1))
                        return no_conversion(e, "double");
                return double_value(d);
        default:
                return cel_no_overload();
        }
}

static bool valid_utf8(struct cel_string s)
{
        for (size_t i = 0; i < s.len;) {
                unsigned char c = (unsigned char)s.s[i];
                size_t more = c < 0x80 ? 0 : (c & 0xe0) == 0xc0 && c >= 0xc2 ? 1 : (c & 0xf0) == 0xe0 ? 2
                              : (c & 0xf8) == 0xf0 && c <= 0xf4 ? 3 : 9;

                if (more >= s.len - i)
                        return false;
                for (i++; more; more--, i++)
                        if (((unsigned char)s.s[i] & 0xc0) != 0x80)
                                return false;
        }
        return true;
}


static struct cel_value f_string(struct eval *e, size_t n, const struct cel_value *v)
{
        struct arena *a = e->run->arena;

        switch (v->type) {
        case CEL_STRING:
                return *v;
        case CEL_BYTES:
                if (!valid_utf8(v->str))
                        return cel_error(a, "invalid UTF-8 in bytes, cannot convert to string");
                return cel_stringn(v->str.s, v->str.len);
        case CEL_BOOL:
                return cel_string(v->b ? "true" : "false");
        case CEL_INT:
                return cel_string(arena_printf(a, "%lld", (long long)v->i));
        case CEL_UINT:
                return cel_string(arena_printf(a, "%llu", (unsigned long long)v->u));
        case CEL_DOUBLE:
                return cel_string(cel_double_text(a, v->d));
        case CEL_TIMESTAMP:
                return cel_string(cel_timestamp_text(a, v->time.seconds, v->time.nanos));
        case CEL_DURATION:
                return cel_string(cel_duration_text(a, v->i));
        case CEL_IP:
        case CEL_CIDR:
                return cel_string(cel_address_text(a, v->address));
        default:
                return cel_no_overload();
        }
}

static struct cel_value f_bytes(struct eval *e, size_t n, const struct cel_value *v)
{
        struct cel_value b = *v;

        b.type = CEL_BYTES;
        return v->type == CEL_STRING || v->type == CEL_BYTES ? b : cel_no_overload();
}

static struct cel_value f_bool(struct eval *e, size_t n, const struct cel_value *v)
{
        static const char *const words[2][6] = { { "0", "f", "F", "false", "FALSE", "False" },
                                                 { "1", "t", "T", "true", "TRUE", "True" } };

        if (v->type == CEL_BOOL)
                return *v;
        if (v->type != CEL_STRING)
                return cel_no_overload();
        for (int i = 0; i < 12; i++)
                if (cel_str_is(v->str, words[i / 6][i % 6]))
                        return cel_bool(i / 6);
        return no_conversion(e, "bool");
}

static struct cel_value f_duration(struct eval *e, size_t n, const struct cel_value *v)
{
        int64_t ns;

        if (v->type == CEL_DURATION)
                return *v;
        if (v->type == CEL_INT)
                return cel_error(e->run->arena, "type conversion error from 'int' to 'google.protobuf.Duration'");
        if (v->type != CEL_STRING)
                return cel_no_overload();
        if (!cel_parse_duration(v->str, &ns))
                return no_conversion(e, "google.protobuf.Duration");
        return duration(ns);
}

static struct cel_value f_timestamp(struct eval *e, size_t n, const struct cel_value *v)
{
        struct cel_value t = { .type = CEL_TIMESTAMP };

        if (v->type == CEL_TIMESTAMP)
                return *v;
        if (v->type == CEL_INT)
                return moved(e, &t, (__int128)v->i * 1000000000);
        if (v->type != CEL_STRING)
                return cel_no_overload();
        if (!cel_parse_timestamp(v->str, &t.time.seconds, &t.time.nanos))
                return no_conversion(e, "google.protobuf.Timestamp");
        return t;
}

/* --- parts of times --- */

enum part { FULL_YEAR, MONTH, DATE, DAY_OF_MONTH, DAY_OF_WEEK, DAY_OF_YEAR, HOURS, MINUTES, SECONDS, MILLISECONDS };

/* "UTC", "+02:00", "02:00" */
static bool zone_offset(struct cel_string s, int *ret_seconds)
{
        bool sign = s.len == 6 && (s.s[0] == '+' || s.s[0] == '-');
        const char *t = s.s + sign;

        *ret_seconds = 0;
        if (cel_str_is(s, "UTC") || !s.len)
                return true;
        if (s.len - sign != 5 || t[2] != ':')
                return false;
        for (int i = 0; i < 5; i++)
                if (i != 2 && (t[i] < '0' || t[i] > '9'))
                        return false;
        *ret_seconds = ((t[0] - '0') * 10 + t[1] - '0') * 3600 + ((t[3] - '0') * 10 + t[4] - '0') * 60;
        if (sign && s.s[0] == '-')
                *ret_seconds = -*ret_seconds;
        return true;
}

static struct cel_value part_of(struct eval *e, size_t n, const struct cel_value *v, enum part part)
{
        int offset = 0;
        time_t t;
        struct tm tm;

        if (v->type == CEL_DURATION && n == 1 && part >= HOURS) {
                static const int64_t ns[] = { 3600000000000, 60000000000, 1000000000, 1000000 };

                return cel_int(v->i / ns[part - HOURS]);
        }
        if (v->type != CEL_TIMESTAMP || (n > 1 && v[1].type != CEL_STRING))
                return cel_no_overload();
        if (n > 1 && !zone_offset(v[1].str, &offset) && !cel_zone_offset(v[1].str, v->time.seconds, &offset))
                return cel_error(e->run->arena, "unknown time zone %s", cel_text(e->run->arena, &v[1]));
        t = (time_t)v->time.seconds + offset;
        gmtime_r(&t, &tm);
        switch (part) {
        case FULL_YEAR:
                return cel_int(tm.tm_year + 1900);
        case MONTH:
                return cel_int(tm.tm_mon);
        case DATE:
                return cel_int(tm.tm_mday);
        case DAY_OF_MONTH:
                return cel_int(tm.tm_mday - 1);
        case DAY_OF_WEEK:
                return cel_int(tm.tm_wday);
        case DAY_OF_YEAR:
                return cel_int(tm.tm_yday);
        case HOURS:
                return cel_int(tm.tm_hour);
        case MINUTES:
                return cel_int(tm.tm_min);
        case SECONDS:
                return cel_int(tm.tm_sec);
        case MILLISECONDS:
                return cel_int(v->time.nanos / 1000000);
        }
        return cel_no_overload();
}

#define PART(name, part)                                                                           \
        static struct cel_value name(struct eval *e, size_t n, const struct cel_value *v)          \
        {                                                                                          \
                return part_of(e, n, v, part);                                                     \
        }
PART(f_full_year, FULL_YEAR)
PART(f_month, MONTH)
PART(f_date, DATE)
PART(f_day_of_month, DAY_OF_MONTH)
PART(f_day_of_week, DAY_OF_WEEK)
PART(f_day_of_year, DAY_OF_YEAR)
PART(f_hours, HOURS)
PART(f_minutes, MINUTES)
PART(f_seconds, SECONDS)
PART(f_milliseconds, MILLISECONDS)

/* --- optionals --- */

static struct cel_value f_optional_none(struct eval *e, size_t n, const struct cel_value *v)
{
        return cel_optional(e->run->arena, NULL);
}

static struct cel_value f_optional_of(struct eval *e, size_t n, const struct cel_value *v)
{
        return cel_optional(e->run->arena, v);
}

static bool is_zero(const struct cel_value *v)
{
        switch (v->type) {
        case CEL_NULL:
                return true;
        case CEL_BOOL:
                return !v->b;
        case CEL_INT:
        case CEL_DURATION:
                return v->i == 0;
        case CEL_UINT:
                return v->u == 0;
        case CEL_DOUBLE:
                return v->d == 0;
        case CEL_STRING:
        case CEL_BYTES:
                return v->str.len == 0;
        case CEL_LIST:
                return cel_list_len(v) == 0;
        case CEL_MAP:
                return cel_map_len(v) == 0;
        default:
                return false;
        }
}

static struct cel_value f_optional_of_non_zero(struct eval *e, size_t n, const struct cel_value *v)
{
        return cel_optional(e->run->arena, is_zero(v) ? NULL : v);
}

static struct cel_value f_has_value(struct eval *e, size_t n, const struct cel_value *v)
{
        return v->type == CEL_OPTIONAL ? cel_bool(v->inner != NULL) : cel_no_overload();
}

static struct cel_value f_value(struct eval *e, size_t n, const struct cel_value *v)
{
        if (v->type != CEL_OPTIONAL)
                return cel_no_overload();
        return v->inner ? *v->inner : cel_error(e->run->arena, "optional.none() dereference");
}

static struct cel_value f_or(struct eval *e, size_t n, const struct cel_value *v)
{
        return v->type == CEL_OPTIONAL && v[1].type == CEL_OPTIONAL ? (v->inner ? v[0] : v[1]) : cel_no_overload();
}

static struct cel_value f_or_value(struct eval *e, size_t n, const struct cel_value *v)
{
        return v->type != CEL_OPTIONAL ? cel_no_overload() : v->inner ? *v->inner : v[1];
}

const struct function functions_standard[] = {
        /* name, member, global, fewest and most arguments, type of the result */
        { "_+_", false, true, 2, 2, CEL_DYN, f_add },
        { "_-_", false, true, 2, 2, CEL_DYN, f_sub },
        { "_*_", false, true, 2, 2, CEL_DYN, f_mul },
        { "_/_", false, true, 2, 2, CEL_DYN, f_div },
        { "_%_", false, true, 2, 2, CEL_DYN, f_mod },
        { "-_", false, true, 1, 1, CEL_DYN, f_negate },
        { "!_", false, true, 1, 1, CEL_BOOL, f_not },
        { "_==_", false, true, 2, 2, CEL_BOOL, f_equal },
        { "_!=_", false, true, 2, 2, CEL_BOOL, f_unequal },
        { "_<_", false, true, 2, 2, CEL_BOOL, f_less },
        { "_<=_", false, true, 2, 2, CEL_BOOL, f_less_equal },
        { "_>_", false, true, 2, 2, CEL_BOOL, f_greater },
        { "_>=_", false, true, 2, 2, CEL_BOOL, f_greater_equal },
        { "@in", false, true, 2, 2, CEL_BOOL, f_in },
        { "size", true, true, 1, 1, CEL_INT, f_size },
        { "type", false, true, 1, 1, CEL_TYPE, f_type },
        { "dyn", false, true, 1, 1, CEL_DYN, f_dyn },
        { "int", false, true, 1, 1, CEL_INT, f_int },
        { "uint", false, true, 1, 1, CEL_UINT, f_uint },
        { "double", false, true, 1, 1, CEL_DOUBLE, f_double },
        { "string", false, true, 1, 1, CEL_STRING, f_string },
        { "bytes", false, true, 1, 1, CEL_BYTES, f_bytes },
        { "bool", false, true, 1, 1, CEL_BOOL, f_bool },
        { "duration", false, true, 1, 1, CEL_DURATION, f_duration },
        { "timestamp", false, true, 1, 1, CEL_TIMESTAMP, f_timestamp },
        { "getFullYear", true, false, 1, 2, CEL_INT, f_full_year },
        { "getMonth", true, false, 1, 2, CEL_INT, f_month },
        { "getDate", true, false, 1, 2, CEL_INT, f_date },
        { "getDayOfMonth", true, false, 1, 2, CEL_INT, f_day_of_month },
        { "getDayOfWeek", true, false, 1, 2, CEL_INT, f_day_of_week },
        { "getDayOfYear", true, false, 1, 2, CEL_INT, f_day_of_year },
        { "getHours", true, false, 1, 2, CEL_INT, f_hours },
        { "getMinutes", true, false, 1, 2, CEL_INT, f_minutes },
        { "getSeconds", true, false, 1, 2, CEL_INT, f_seconds },
        { "getMilliseconds", true, false, 1, 2, CEL_INT, f_milliseconds },
        { "optional.none", false, true, 0, 0, CEL_OPTIONAL, f_optional_none },
        { "optional.of", false, true, 1, 1, CEL_OPTIONAL, f_optional_of },
        { "optional.ofNonZeroValue", false, true, 1, 1, CEL_OPTIONAL, f_optional_of_non_zero },
        { "hasValue", true, false, 1, 1, CEL_BOOL, f_has_value },
        { "value", true, false, 1, 1, CEL_DYN, f_value },
        { "or", true, false, 2, 2, CEL_OPTIONAL, f_or },
        { "orValue", true, false, 2, 2, CEL_DYN, f_or_value },
        { NULL },
};
