/* Kubernetes' own libraries (k8s.io/apiserver/pkg/cel/library): lists, sets, quantities, semantic versions, URLs, formats,
 * and the names of an authorizer's members. */
#include <math.h>
#include <stdlib.h>

#include "../meta/names.h"
#include "ast.h"

/* --- lists --- */

static struct cel_value f_is_sorted(struct eval *e, size_t n, const struct cel_value *v)
{
        bool ok = true;

        if (v->type != CEL_LIST)
                return cel_no_overload();
        for (size_t i = 1; i < cel_list_len(v); i++) {
                struct cel_value x = cel_list_at(v, i - 1), y = cel_list_at(v, i);
                int c = cel_compare(&x, &y, &ok);

                if (!ok)
                        return cel_no_overload();
                if (c > 0)
                        return cel_bool(false);
        }
        return cel_bool(true);
}

static struct cel_value f_sum(struct eval *e, size_t n, const struct cel_value *v)
{
        bool known;
        const struct function *add = function_find("_+_", false, 2, &known);
        struct cel_value pair[2];

        if (v->type != CEL_LIST)
                return cel_no_overload();
        pair[0] = cel_int(0);
        for (size_t i = 0; i < cel_list_len(v); i++) {
                pair[1] = cel_list_at(v, i);
                if (pair[1].type != CEL_INT && pair[1].type != CEL_UINT && pair[1].type != CEL_DOUBLE && pair[1].type != CEL_DURATION)
                        return cel_no_overload();
                pair[0] = i ? add->call(e, 2, pair) : pair[1];
                if (cel_is_error(pair[0]))
                        return pair[0];
        }
        return pair[0];
}

static struct cel_value extreme(struct eval *e, const struct cel_value *v, int sign, const char *name)
{
        struct cel_value best;
        bool ok = true;

        if (v->type != CEL_LIST)
                return cel_no_overload();
        if (!cel_list_len(v))
                return cel_error(e->run->arena, "%s called on empty list", name);
        best = cel_list_at(v, 0);
        for (size_t i = 1; i < cel_list_len(v); i++) {
                struct cel_value x = cel_list_at(v, i);

                if (cel_compare(&x, &best, &ok) * sign > 0 && ok)
                        best = x;
                if (!ok)
                        return cel_no_overload();
        }
        return best;
}

static struct cel_value f_min(struct eval *e, size_t n, const struct cel_value *v)
{
        return extreme(e, v, -1, "min");
}

static struct cel_value f_max(struct eval *e, size_t n, const struct cel_value *v)
{
        return extreme(e, v, 1, "max");
}

static struct cel_value index_in(struct eval *e, size_t n, const struct cel_value *v, bool last)
{
        int64_t hit = -1;

        if (v->type != CEL_LIST)
                return cel_string_index(e, n, v, last);
        if (n > 2)
                return cel_no_overload();
        for (size_t i = 0; i < cel_list_len(v) && (last || hit < 0); i++) {
                struct cel_value x = cel_list_at(v, i);

                if (cel_equal(&x, &v[1]))
                        hit = (int64_t)i;
        }
        return cel_int(hit);
}

static struct cel_value f_index_of(struct eval *e, size_t n, const struct cel_value *v)
{
        return index_in(e, n, v, false);
}

static struct cel_value f_last_index_of(struct eval *e, size_t n, const struct cel_value *v)
{
        return index_in(e, n, v, true);
}

/* --- sets --- */

static bool holds(const struct cel_value *list, const struct cel_value *item)
{
        for (size_t i = 0; i < cel_list_len(list); i++) {
                struct cel_value x = cel_list_at(list, i);

                if (cel_equal(&x, item))
                        return true;
        }
        return false;
}

/* How many of Y's items X has; *ret_ok: they are lists, and it may cost that much. */
static size_t shared(struct eval *e, const struct cel_value *x, const struct cel_value *y, struct cel_value *ret_error)
{
        size_t n = 0;

        *ret_error = cel_bool(true);
        if (x->type != CEL_LIST || y->type != CEL_LIST)
                *ret_error = cel_no_overload();
        else if (!eval_room(e, cel_list_len(x) * cel_list_len(y)))
                *ret_error = eval_over_limit();
        for (size_t i = 0; !cel_is_error(*ret_error) && i < cel_list_len(y); i++) {
                struct cel_value item = cel_list_at(y, i);

                n += holds(x, &item);
        }
        return n;
}

static struct cel_value f_sets_contains(struct eval *e, size_t n, const struct cel_value *v)
{
        struct cel_value error;
        size_t found = shared(e, &v[0], &v[1], &error);

        return cel_is_error(error) ? error : cel_bool(found == cel_list_len(&v[1]));
}

static struct cel_value f_sets_intersects(struct eval *e, size_t n, const struct cel_value *v)
{
        struct cel_value error;
        size_t found = shared(e, &v[0], &v[1], &error);

        return cel_is_error(error) ? error : cel_bool(found > 0);
}

static struct cel_value f_sets_equivalent(struct eval *e, size_t n, const struct cel_value *v)
{
        struct cel_value swapped[2] = { v[1], v[0] }, r = f_sets_contains(e, 2, v);

        return cel_is_error(r) || !r.b ? r : f_sets_contains(e, 2, swapped);
}

/* --- quantities --- */

static struct cel_value f_quantity(struct eval *e, size_t n, const struct cel_value *v)
{
        struct quantity q;
        int r;

        if (v->type != CEL_STRING)
                return cel_no_overload();
        r = quantity_parse(cel_text(e->run->arena, v), &q);
        if (r < 0)
                return cel_error(e->run->arena, "%s", r == -EDOM ? QUANTITY_ERR_SUFFIX : QUANTITY_ERR_FORMAT);
        return (struct cel_value){ .type = CEL_QUANTITY, .quantity = arena_memdup(e->run->arena, &q, sizeof(q)) };
}

static struct cel_value f_is_quantity(struct eval *e, size_t n, const struct cel_value *v)
{
        struct quantity q;

        return v->type == CEL_STRING ? cel_bool(quantity_parse(cel_text(e->run->arena, v), &q) == 0) : cel_no_overload();
}

enum { NANO = 1000000000 };

static struct cel_value f_sign(struct eval *e, size_t n, const struct cel_value *v)
{
        return v->type == CEL_QUANTITY ? cel_int((v->quantity->nano > 0) - (v->quantity->nano < 0)) : cel_no_overload();
}

static struct cel_value f_is_integer(struct eval *e, size_t n, const struct cel_value *v)
{
        __int128 nano = v->type == CEL_QUANTITY ? v->quantity->nano : 0;

        return v->type == CEL_QUANTITY ? cel_bool(nano % NANO == 0 && nano / NANO <= INT64_MAX && nano / NANO >= INT64_MIN)
                                       : cel_no_overload();
}

static struct cel_value f_as_integer(struct eval *e, size_t n, const struct cel_value *v)
{
        struct cel_value fits = f_is_integer(e, n, v);

        if (cel_is_error(fits))
                return fits;
        return fits.b ? cel_int((int64_t)(v->quantity->nano / NANO))
                      : cel_error(e->run->arena, "cannot convert value to integer");
}

static struct cel_value f_as_float(struct eval *e, size_t n, const struct cel_value *v)
{
        if (v->type != CEL_QUANTITY)
                return cel_no_overload();
        return (struct cel_value){ .type = CEL_DOUBLE, .d = (double)v->quantity->nano / NANO };
}

static struct cel_value summed(struct eval *e, const struct cel_value *v, bool minus)
{
        struct quantity *q, other;

        if (v[0].type != CEL_QUANTITY || (v[1].type != CEL_QUANTITY && v[1].type != CEL_INT))
                return cel_no_overload();
        q = arena_memdup(e->run->arena, v[0].quantity, sizeof(*q));
        other = v[1].type == CEL_INT ? quantity_from_int(v[1].i, QUANTITY_DECIMAL_SI) : *v[1].quantity;
        if (minus)
                quantity_sub(q, &other);
        else
                quantity_add(q, &other);
        return (struct cel_value){ .type = CEL_QUANTITY, .quantity = q };
}

static struct cel_value f_add(struct eval *e, size_t n, const struct cel_value *v)
{
        return summed(e, v, false);
}

static struct cel_value f_sub(struct eval *e, size_t n, const struct cel_value *v)
{
        return summed(e, v, true);
}

/* --- semantic versions (semver.org 2.0.0) --- */

static bool semver_number(struct cel_string s, size_t *at, uint64_t *ret)
{
        size_t start = *at;

        for (*ret = 0; *at < s.len && s.s[*at] >= '0' && s.s[*at] <= '9'; (*at)++)
                if (__builtin_mul_overflow(*ret, (uint64_t)10, ret) ||
                    __builtin_add_overflow(*ret, (uint64_t)(s.s[*at] - '0'), ret))
                        return false;
        return *at > start && (s.s[start] != '0' || *at == start + 1);
}

static bool semver_words(struct cel_string s, bool pre)
{
        size_t start = 0;

        for (size_t i = 0; i <= s.len; i++) {
                bool digits = true;

                if (i < s.len && s.s[i] != '.') {
                        char c = s.s[i];

                        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-'))
                                return false;
                        continue;
                }
                for (size_t k = start; k < i; k++)
                        digits &= s.s[k] >= '0' && s.s[k] <= '9';
                if (i == start || (pre && digits && i - start > 1 && s.s[start] == '0'))
                        return false;
                start = i + 1;
        }
        return true;
}

static bool parse_semver(struct cel_string s, struct cel_semver *ret)
{
        uint64_t *const parts[] = { &ret->major, &ret->minor, &ret->patch };
        size_t at = 0;
        const char *plus;

        *ret = (struct cel_semver){ 0 };
        for (size_t i = 0; i < 3; i++) {
                if (i && (at >= s.len || s.s[at++] != '.'))
                        return false;
                if (!semver_number(s, &at, parts[i]))
                        return false;
        }
        plus = memchr(s.s + at, '+', s.len - at);
        if (at < s.len && s.s[at] == '-') {
                ret->pre = (struct cel_string){ s.s + at + 1, (plus ? (size_t)(plus - s.s) : s.len) - at - 1 };
                if (!semver_words(ret->pre, true))
                        return false;
                at = plus ? (size_t)(plus - s.s) : s.len;
        }
        if (plus && s.s + at == plus) {
                ret->build = (struct cel_string){ plus + 1, s.len - at - 1 };
                return semver_words(ret->build, false);
        }
        return at == s.len;
}

/* Without a v in front, with all three numbers, and those without leading zeros. */
static struct cel_string normalized(struct arena *a, struct cel_string s)
{
        _cleanup_strbuf_ struct strbuf b = STRBUF_INIT;
        const char *at = arena_strndup(a, s.s, s.len);
        size_t n = 0;

        at += *at == 'v';
        for (bool more = true; more && n < 3; n++) {
                size_t len = n < 2 ? strcspn(at, ".") : strlen(at), zeros = len > 1 ? MIN(strspn(at, "0"), len) : 0;

                if (len > 1 && (zeros == len || !strchr("123456789", at[zeros])))
                        strbuf_putc(&b, '0');
                strbuf_append(&b, at + zeros, len - zeros);
                more = n < 2 && at[len] == '.';
                if (n < 2)
                        strbuf_putc(&b, '.');
                at += len + more;
                if (!more && n < 2 && strpbrk(strbuf_str(&b), "+-"))
                        return s; /* short ones have nothing behind them */
        }
        for (; n < 3; n++)
                strbuf_puts(&b, n < 2 ? "0." : "0");
        return (struct cel_string){ arena_strdup(a, strbuf_str(&b)), b.len };
}

static bool read_semver(struct eval *e, size_t n, const struct cel_value *v, struct cel_semver *ret)
{
        return parse_semver(n > 1 && v[1].b ? normalized(e->run->arena, v->str) : v->str, ret);
}

/* What is wrong with a version, as blang/semver has it. */
static const char *semver_mistake(struct arena *a, struct cel_string v)
{
        static const char *const names[] = { "major", "minor", "patch" }, *const upper[] = { "Major", "Minor", "Patch" };
        const char *s = arena_strndup(a, v.s, v.len), *rest;

        if (!*s)
                return "Version string empty";
        if (!strchr(s, '.') || !strchr(strchr(s, '.') + 1, '.'))
                return "No Major.Minor.Patch elements found";
        for (size_t i = 0; i < 3; i++) {
                size_t len = strcspn(s, i < 2 ? "." : "+-");
                const char *part = arena_strndup(a, s, len);

                if (strspn(part, "0123456789") != len)
                        return arena_printf(a, "Invalid character(s) found in %s number \"%s\"", names[i], part);
                if (len > 1 && *part == '0')
                        return arena_printf(a, "%s number must not contain leading zeroes \"%s\"", upper[i], part);
                if (!len)
                        return "strconv.ParseUint: parsing \"\": invalid syntax";
                s += len + (i < 2);
        }
        for (bool pre = *s == '-'; *s; pre = false, s = rest) {
                rest = s + 1 + strcspn(s + 1, pre ? "+" : "");
                for (s++; s <= rest; s++) {
                        size_t len = MIN(strcspn(s, "."), (size_t)(rest - s));
                        const char *part = arena_strndup(a, s, len);
                        bool number = strspn(part, "0123456789") == len;

                        if (!len)
                                return pre ? "Prerelease is empty" : "Build meta data is empty";
                        if (pre && number && len > 1 && *part == '0')
                                return arena_printf(a, "Numeric PreRelease version must not contain leading zeroes \"%s\"", part);
                        if (strspn(part, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-") != len)
                                return arena_printf(a, "Invalid character(s) found in %s \"%s\"", pre ? "prerelease" : "build meta data", part);
                        s += len;
                }
        }
        return "Invalid semantic version";
}

static struct cel_value f_semver(struct eval *e, size_t n, const struct cel_value *v)
{
        struct cel_semver s;

        if (v->type != CEL_STRING || (n > 1 && v[1].type != CEL_BOOL))
                return cel_no_overload();
        if (!read_semver(e, n, v, &s))
                return cel_error(e->run->arena, "%s", semver_mistake(e->run->arena, n > 1 && v[1].b ? normalized(e->run->arena, v->str) : v->str));
        return (struct cel_value){ .type = CEL_SEMVER, .semver = arena_memdup(e->run->arena, &s, sizeof(s)) };
}

static struct cel_value f_is_semver(struct eval *e, size_t n, const struct cel_value *v)
{
        struct cel_semver s;

        return v->type != CEL_STRING || (n > 1 && v[1].type != CEL_BOOL) ? cel_no_overload() : cel_bool(read_semver(e, n, v, &s));
}

#define SEMVER_PART(name, part)                                                                    \
        static struct cel_value name(struct eval *e, size_t n, const struct cel_value *v)          \
        {                                                                                          \
                return v->type == CEL_SEMVER ? cel_int((int64_t)v->semver->part) : cel_no_overload(); \
        }
SEMVER_PART(f_major, major)
SEMVER_PART(f_minor, minor)
SEMVER_PART(f_patch, patch)

/* Identifiers: numbers before words, numbers by value, fewer before more; a release before none. */
static int compare_pre(struct cel_string x, struct cel_string y)
{
        if (!x.len || !y.len)
                return (y.len > 0) - (x.len > 0);
        while (x.len && y.len) {
                const char *dx = memchr(x.s, '.', x.len), *dy = memchr(y.s, '.', y.len);
                struct cel_string a = { x.s, dx ? (size_t)(dx - x.s) : x.len }, b = { y.s, dy ? (size_t)(dy - y.s) : y.len };
                bool na = true, nb = true;
                int c;

                for (size_t i = 0; i < a.len; i++)
                        na &= a.s[i] >= '0' && a.s[i] <= '9';
                for (size_t i = 0; i < b.len; i++)
                        nb &= b.s[i] >= '0' && b.s[i] <= '9';
                c = na != nb ? (na ? -1 : 1) : na && a.len != b.len ? (a.len > b.len ? 1 : -1) : cel_str_cmp(a, b);
                if (c)
                        return c;
                x = (struct cel_string){ x.s + a.len + !!dx, x.len - a.len - !!dx };
                y = (struct cel_string){ y.s + b.len + !!dy, y.len - b.len - !!dy };
        }
        return (x.len > 0) - (y.len > 0);
}

static int compare_semver(const struct cel_semver *x, const struct cel_semver *y)
{
        if (x->major != y->major)
                return x->major > y->major ? 1 : -1;
        if (x->minor != y->minor)
                return x->minor > y->minor ? 1 : -1;
        if (x->patch != y->patch)
                return x->patch > y->patch ? 1 : -1;
        return compare_pre(x->pre, y->pre);
}

/* --- what quantities and versions have alike --- */

static bool compared(const struct cel_value *v, int *ret)
{
        if (v[0].type == CEL_QUANTITY && v[1].type == CEL_QUANTITY)
                *ret = quantity_cmp(v[0].quantity, v[1].quantity);
        else if (v[0].type == CEL_SEMVER && v[1].type == CEL_SEMVER)
                *ret = compare_semver(v[0].semver, v[1].semver);
        else
                return false;
        *ret = (*ret > 0) - (*ret < 0);
        return true;
}

static struct cel_value f_compare_to(struct eval *e, size_t n, const struct cel_value *v)
{
        int c;

        return compared(v, &c) ? cel_int(c) : cel_no_overload();
}

static struct cel_value f_is_less(struct eval *e, size_t n, const struct cel_value *v)
{
        int c;

        return compared(v, &c) ? cel_bool(c < 0) : cel_no_overload();
}

static struct cel_value f_is_greater(struct eval *e, size_t n, const struct cel_value *v)
{
        int c;

        return compared(v, &c) ? cel_bool(c > 0) : cel_no_overload();
}

/* --- URLs --- */

static struct cel_value f_url(struct eval *e, size_t n, const struct cel_value *v)
{
        struct arena *a = e->run->arena;
        struct cel_url u;
        const char *wrong;

        if (v->type != CEL_STRING)
                return cel_no_overload();
        wrong = cel_parse_url(a, v->str, &u);
        if (wrong)
                return cel_error(a, "URL parse error during conversion from string: parse %s: %s", cel_go_quote(a, v->str), wrong);
        return (struct cel_value){ .type = CEL_URL, .url = arena_memdup(e->run->arena, &u, sizeof(u)) };
}

static struct cel_value f_is_url(struct eval *e, size_t n, const struct cel_value *v)
{
        struct cel_url u;

        return v->type == CEL_STRING ? cel_bool(!cel_parse_url(e->run->arena, v->str, &u)) : cel_no_overload();
}

static struct cel_value url_string(const struct cel_value *v, struct cel_string s)
{
        return v->type == CEL_URL ? cel_stringn(s.s ? s.s : "", s.len) : cel_no_overload();
}

static struct cel_value f_get_scheme(struct eval *e, size_t n, const struct cel_value *v)
{
        return v->type == CEL_URL ? url_string(v, v->url->scheme) : cel_no_overload();
}

static struct cel_value f_get_host(struct eval *e, size_t n, const struct cel_value *v)
{
        return v->type == CEL_URL ? url_string(v, v->url->host) : cel_no_overload();
}

/* Where ":port" starts in a host; its length if there is none. "[::1]:80" too. */
static size_t port_at(struct cel_string host)
{
        const char *colon = host.len ? memrchr(host.s, ':', host.len) : NULL, *bracket = host.len ? memrchr(host.s, ']', host.len) : NULL;

        return colon && (!bracket || colon > bracket) ? (size_t)(colon - host.s) : host.len;
}

static struct cel_value f_get_hostname(struct eval *e, size_t n, const struct cel_value *v)
{
        struct cel_string h;

        if (v->type != CEL_URL)
                return cel_no_overload();
        h = (struct cel_string){ v->url->host.s, port_at(v->url->host) };
        if (h.len >= 2 && h.s[0] == '[' && h.s[h.len - 1] == ']')
                h = (struct cel_string){ h.s + 1, h.len - 2 };
        return url_string(v, h);
}

static struct cel_value f_get_port(struct eval *e, size_t n, const struct cel_value *v)
{
        size_t at;

        if (v->type != CEL_URL)
                return cel_no_overload();
        at = MIN(port_at(v->url->host) + 1, v->url->host.len);
        return url_string(v, (struct cel_string){ v->url->host.s ? v->url->host.s + at : "", v->url->host.len - at });
}

static struct cel_value f_get_path(struct eval *e, size_t n, const struct cel_value *v)
{
        return v->type == CEL_URL ? url_string(v, v->url->path) : cel_no_overload();
}

static int hex(char c)
{
        return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static struct cel_value unescaped(struct arena *a, const char *s, size_t len)
{
        char *out = arena_alloc(a, len + 1);
        size_t n = 0;

        for (size_t i = 0; i < len; i++) {
                if (s[i] == '%' && i + 2 < len && hex(s[i + 1]) >= 0 && hex(s[i + 2]) >= 0) {
                        out[n++] = (char)(hex(s[i + 1]) << 4 | hex(s[i + 2]));
                        i += 2;
                } else {
                        out[n++] = s[i] == '+' ? ' ' : s[i];
                }
        }
        return cel_stringn(out, n);
}

/* A map from each name to the list of its values. */
static struct cel_value f_get_query(struct eval *e, size_t n, const struct cel_value *v)
{
        struct arena *a = e->run->arena;
        struct cel_string q;
        struct cel_entry *entries;
        size_t used = 0, pairs = 1;

        if (v->type != CEL_URL)
                return cel_no_overload();
        q = v->url->query;
        for (size_t i = 0; i < q.len; i++)
                pairs += q.s[i] == '&';
        if (!eval_room(e, pairs * pairs))
                return eval_over_limit();
        entries = arena_calloc(a, pairs * sizeof(*entries));
        while (q.len) {
                const char *amp = memchr(q.s, '&', q.len), *eq;
                size_t len = amp ? (size_t)(amp - q.s) : q.len, name, i = 0;
                struct cel_value key, *items;

                eq = memchr(q.s, '=', len);
                name = eq ? (size_t)(eq - q.s) : len;
                key = unescaped(a, q.s, name);
                while (i < used && !cel_equal(&entries[i].key, &key))
                        i++;
                if (i == used)
                        entries[used++] = (struct cel_entry){ key, cel_list_new(a, NULL, 0) };
                items = arena_alloc(a, (cel_list_len(&entries[i].value) + 1) * sizeof(*items));
                for (size_t k = 0; k < cel_list_len(&entries[i].value); k++)
                        items[k] = cel_list_at(&entries[i].value, k);
                items[cel_list_len(&entries[i].value)] = eq ? unescaped(a, eq + 1, len - name - 1) : cel_string("");
                entries[i].value = cel_list_new(a, items, cel_list_len(&entries[i].value) + 1);
                q = (struct cel_string){ q.s + len + !!amp, q.len - len - !!amp };
        }
        return cel_map_new(a, entries, used);
}

/* --- an authorizer's members: its class answers them --- */

static struct cel_value f_object(struct eval *e, size_t n, const struct cel_value *v)
{
        return cel_no_overload();
}

const struct function functions_kubernetes[] = {
        { "isSorted", true, false, 1, 1, CEL_BOOL, f_is_sorted },
        { "sum", true, false, 1, 1, CEL_DYN, f_sum },
        { "min", true, false, 1, 1, CEL_DYN, f_min },
        { "max", true, false, 1, 1, CEL_DYN, f_max },
        { "indexOf", true, false, 2, 3, CEL_INT, f_index_of },
        { "lastIndexOf", true, false, 2, 3, CEL_INT, f_last_index_of },
        { "sets.contains", false, true, 2, 2, CEL_BOOL, f_sets_contains },
        { "sets.intersects", false, true, 2, 2, CEL_BOOL, f_sets_intersects },
        { "sets.equivalent", false, true, 2, 2, CEL_BOOL, f_sets_equivalent },
        { "quantity", false, true, 1, 1, CEL_QUANTITY, f_quantity },
        { "isQuantity", false, true, 1, 1, CEL_BOOL, f_is_quantity },
        { "sign", true, true, 1, 1, CEL_INT, f_sign },
        { "isInteger", true, false, 1, 1, CEL_BOOL, f_is_integer },
        { "asInteger", true, false, 1, 1, CEL_INT, f_as_integer },
        { "asApproximateFloat", true, false, 1, 1, CEL_DOUBLE, f_as_float },
        { "add", true, false, 2, 2, CEL_QUANTITY, f_add },
        { "sub", true, false, 2, 2, CEL_QUANTITY, f_sub },
        { "semver", false, true, 1, 2, CEL_SEMVER, f_semver },
        { "isSemver", false, true, 1, 2, CEL_BOOL, f_is_semver },
        { "major", true, false, 1, 1, CEL_INT, f_major },
        { "minor", true, false, 1, 1, CEL_INT, f_minor },
        { "patch", true, false, 1, 1, CEL_INT, f_patch },
        { "compareTo", true, false, 2, 2, CEL_INT, f_compare_to },
        { "isLessThan", true, false, 2, 2, CEL_BOOL, f_is_less },
        { "isGreaterThan", true, false, 2, 2, CEL_BOOL, f_is_greater },
        { "url", false, true, 1, 1, CEL_URL, f_url },
        { "isURL", false, true, 1, 1, CEL_BOOL, f_is_url },
        { "getScheme", true, false, 1, 1, CEL_STRING, f_get_scheme },
        { "getHost", true, false, 1, 1, CEL_STRING, f_get_host },
        { "getHostname", true, false, 1, 1, CEL_STRING, f_get_hostname },
        { "getPort", true, false, 1, 1, CEL_STRING, f_get_port },
        { "getEscapedPath", true, false, 1, 1, CEL_STRING, f_get_path },
        { "getQuery", true, false, 1, 1, CEL_MAP, f_get_query },
        { "path", true, false, 2, 2, CEL_DYN, f_object },
        { "group", true, false, 2, 2, CEL_DYN, f_object },
        { "serviceAccount", true, false, 3, 3, CEL_DYN, f_object },
        { "resource", true, false, 2, 2, CEL_DYN, f_object },
        { "subresource", true, false, 2, 2, CEL_DYN, f_object },
        { "namespace", true, false, 2, 2, CEL_DYN, f_object },
        { "name", true, false, 2, 2, CEL_DYN, f_object },
        { "fieldSelector", true, false, 2, 2, CEL_DYN, f_object },
        { "labelSelector", true, false, 2, 2, CEL_DYN, f_object },
        { "check", true, false, 2, 2, CEL_DYN, f_object },
        { "allowed", true, false, 1, 1, CEL_BOOL, f_object },
        { "reason", true, false, 1, 1, CEL_STRING, f_object },
        { "errored", true, false, 1, 1, CEL_BOOL, f_object },
        { "error", true, false, 1, 1, CEL_STRING, f_object },
        { NULL },
};
