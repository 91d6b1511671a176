/* IP addresses and CIDRs (k8s.io/apiserver/pkg/cel/library ip.go and cidr.go, which follow Go's net/netip). */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "ast.h"

/* --- reading, with net/netip's words for what is no address --- */

/* TEXT as it was given; AT: from where it is wrong, or NULL. */
static const char *wrong(struct arena *a, struct cel_string text, const char *why, const char *at)
{
        const char *rest = at ? cel_go_quote(a, (struct cel_string){ at, text.len - (size_t)(at - text.s) }) : NULL;

        return arena_printf(a, "ParseAddr(%s): %s%s%s%s", cel_go_quote(a, text), why, rest ? " (at " : "", rest ? rest : "", rest ? ")" : "");
}

/* "1.2.3.4" between S and END, within TEXT. */
static const char *parse_v4(struct arena *a, struct cel_string text, const char *s, const char *end, uint8_t *ret)
{
        unsigned value = 0, digits = 0, field = 0;

        for (const char *p = s; p < end; p++) {
                if (*p >= '0' && *p <= '9') {
                        if (digits == 1 && value == 0)
                                return wrong(a, text, "IPv4 field has octet with leading zero", NULL);
                        value = value * 10 + (unsigned)(*p - '0');
                        digits++;
                        if (value > 255)
                                return wrong(a, text, "IPv4 field has value >255", NULL);
                } else if (*p == '.') {
                        if (p == s || p == end - 1 || p[-1] == '.')
                                return wrong(a, text, "IPv4 field must have at least one digit", p);
                        if (field == 3)
                                return wrong(a, text, "IPv4 address too long", NULL);
                        ret[field++] = (uint8_t)value;
                        value = digits = 0;
                } else {
                        return wrong(a, text, "unexpected character", p);
                }
        }
        if (field < 3)
                return wrong(a, text, "IPv4 address too short", NULL);
        ret[3] = (uint8_t)value;
        return NULL;
}

static int hex_digit(char c)
{
        return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* What goes on behind a field of four digits: ":" and more, perhaps with "::". *ret_s: where. */
static const char *after_field(struct arena *a, struct cel_string text, const char *s, const char *end, int n, int *ellipsis,
                               const char **ret_s)
{
        *ret_s = s;
        if (s == end)
                return NULL;
        if (*s != ':')
                return wrong(a, text, "unexpected character, want colon", s);
        if (s + 1 == end)
                return wrong(a, text, "colon must be followed by more characters", s);
        s++;
        if (*s == ':') {
                if (*ellipsis >= 0)
                        return wrong(a, text, "multiple :: in address", s);
                *ellipsis = n;
                s++;
        }
        *ret_s = s;
        return NULL;
}

/* Without a zone: END is before it. */
static const char *parse_v6(struct arena *a, struct cel_string text, const char *end, uint8_t *ip)
{
        const char *s = text.s, *why;
        int ellipsis = -1, n = 0;

        if (end - s >= 2 && s[0] == ':' && s[1] == ':') {
                ellipsis = 0;
                s += 2;
                if (s == end)
                        return NULL;
        }
        while (n < 16) {
                const char *p = s;
                unsigned value = 0;

                for (; p < end && hex_digit(*p) >= 0; p++) {
                        value = value << 4 | (unsigned)hex_digit(*p);
                        if (p - s > 3)
                                return wrong(a, text, "each group must have 4 or less digits", s);
                }
                if (p == s)
                        return wrong(a, text, "each colon-separated field must have at least one digit", s);
                if (p < end && *p == '.') {
                        if (ellipsis < 0 && n != 12)
                                return wrong(a, text, "embedded IPv4 address must replace the final 2 fields of the address", s);
                        if (n + 4 > 16)
                                return wrong(a, text, "too many hex fields to fit an embedded IPv4 at the end of the address", s);
                        if ((why = parse_v4(a, text, s, end, ip + n)))
                                return why;
                        s = end;
                        n += 4;
                        break;
                }
                ip[n] = (uint8_t)(value >> 8);
                ip[n + 1] = (uint8_t)value;
                n += 2;
                if ((why = after_field(a, text, p, end, n, &ellipsis, &s)))
                        return why;
                if (s == end)
                        break;
        }
        if (s != end)
                return wrong(a, text, "trailing garbage after address", s);
        if (n < 16 && ellipsis < 0)
                return wrong(a, text, "address string too short", NULL);
        if (n == 16 && ellipsis >= 0)
                return wrong(a, text, "the :: must expand to at least one field of zeros", NULL);
        if (n < 16) {
                memmove(ip + ellipsis + 16 - n, ip + ellipsis, (size_t)(n - ellipsis));
                memset(ip + ellipsis, 0, (size_t)(16 - n));
        }
        return NULL;
}

/* NULL, or what is wrong. *ret_zone: "%eth0" stands behind it. */
static const char *parse_address(struct arena *a, struct cel_string s, struct cel_address *ret, bool *ret_zone)
{
        const char *zone = s.len ? memchr(s.s, '%', s.len) : NULL;

        *ret = (struct cel_address){ .prefix = -1 };
        *ret_zone = false;
        for (size_t i = 0; i < s.len; i++) {
                if (s.s[i] == '%')
                        return wrong(a, s, "missing IPv6 address", NULL);
                if (s.s[i] == '.')
                        return parse_v4(a, s, s.s, s.s + s.len, ret->bytes);
                if (s.s[i] != ':')
                        continue;
                if (zone && zone + 1 == s.s + s.len)
                        return wrong(a, s, "zone must be a non-empty string", NULL);
                *ret_zone = zone != NULL;
                ret->v6 = true;
                return parse_v6(a, s, zone ? zone : s.s + s.len, ret->bytes);
        }
        return wrong(a, s, "unable to parse IP", NULL);
}

/* An IPv4 address in IPv6's form is refused, as upstream does. */
static bool mapped(const struct cel_address *x)
{
        static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };

        return x->v6 && !memcmp(x->bytes, prefix, sizeof(prefix));
}

static const char *parse_ip(struct arena *a, struct cel_string s, struct cel_address *ret)
{
        bool zone;
        const char *why = parse_address(a, s, ret, &zone);

        if (why)
                return arena_printf(a, "IP Address %s parse error during conversion from string: %s", cel_go_quote(a, s), why);
        if (zone)
                return arena_printf(a, "IP address %s with zone value is not allowed", cel_go_quote(a, s));
        if (mapped(ret))
                return arena_printf(a, "IPv4-mapped IPv6 address %s is not allowed", cel_go_quote(a, s));
        return NULL;
}

static const char *parse_prefix(struct arena *a, struct cel_string s, struct cel_address *ret)
{
        const char *slash = s.len ? memrchr(s.s, '/', s.len) : NULL, *why;
        struct cel_string bits;
        bool zone;

        if (!slash)
                return "no '/'";
        why = parse_address(a, (struct cel_string){ s.s, (size_t)(slash - s.s) }, ret, &zone);
        if (why || zone)
                return why ? why : "IPv6 zones cannot be present in a prefix";
        bits = (struct cel_string){ slash + 1, s.len - (size_t)(slash - s.s) - 1 };
        if (!bits.len || strspn(arena_strndup(a, bits.s, bits.len), "0123456789") != bits.len || (bits.len > 1 && *bits.s == '0'))
                return arena_printf(a, "bad bits after slash: %s", cel_go_quote(a, bits));
        ret->prefix = bits.len > 3 ? 999 : atoi(arena_strndup(a, bits.s, bits.len));
        return ret->prefix > (ret->v6 ? 128 : 32) ? "prefix length out of range" : NULL;
}

static const char *parse_cidr(struct arena *a, struct cel_string s, struct cel_address *ret)
{
        const char *why = parse_prefix(a, s, ret);

        if (why)
                return arena_printf(a, "network address parse error during conversion from string: netip.ParsePrefix(%s): %s",
                                    cel_go_quote(a, s), why);
        return mapped(ret) ? arena_printf(a, "IPv4-mapped IPv6 address %s is not allowed", cel_go_quote(a, s)) : NULL;
}

const char *cel_address_text(struct arena *a, const struct cel_address *x)
{
        char buf[INET6_ADDRSTRLEN];

        inet_ntop(x->v6 ? AF_INET6 : AF_INET, x->bytes, buf, sizeof(buf));
        return x->prefix < 0 ? arena_strdup(a, buf) : arena_printf(a, "%s/%d", buf, x->prefix);
}

static struct cel_value address_value(struct eval *e, const struct cel_address *x)
{
        return (struct cel_value){ .type = x->prefix < 0 ? CEL_IP : CEL_CIDR,
                                   .address = arena_memdup(e->run->arena, x, sizeof(*x)) };
}

/* --- addresses --- */

static struct cel_value f_ip(struct eval *e, size_t n, const struct cel_value *v)
{
        struct cel_address x;
        const char *why;

        if (v->type != CEL_STRING)
                return cel_no_overload();
        why = parse_ip(e->run->arena, v->str, &x);
        if (why)
                return cel_error(e->run->arena, "%s", why);
        return address_value(e, &x);
}

/* The address of a CIDR. */
static struct cel_value f_address(struct eval *e, size_t n, const struct cel_value *v)
{
        struct cel_address x;

        if (v->type != CEL_CIDR)
                return cel_no_overload();
        x = *v->address;
        x.prefix = -1;
        return address_value(e, &x);
}

static struct cel_value f_is_ip(struct eval *e, size_t n, const struct cel_value *v)
{
        struct cel_address x;

        return v->type == CEL_STRING ? cel_bool(!parse_ip(e->run->arena, v->str, &x)) : cel_no_overload();
}

static struct cel_value f_is_canonical(struct eval *e, size_t n, const struct cel_value *v)
{
        struct cel_value x = f_ip(e, n, v);

        return cel_is_error(x) ? x : cel_bool(cel_str_is(v->str, cel_address_text(e->run->arena, x.address)));
}

static struct cel_value f_family(struct eval *e, size_t n, const struct cel_value *v)
{
        return v->type == CEL_IP ? cel_int(v->address->v6 ? 6 : 4) : cel_no_overload();
}

static bool unspecified(const struct cel_address *x)
{
        static const uint8_t zero[16];

        return !memcmp(x->bytes, zero, x->v6 ? 16 : 4);
}

static bool loopback(const struct cel_address *x)
{
        static const uint8_t one[16] = { [15] = 1 };

        return x->v6 ? !memcmp(x->bytes, one, 16) : x->bytes[0] == 127;
}

static bool multicast(const struct cel_address *x)
{
        return x->v6 ? x->bytes[0] == 0xff : (x->bytes[0] & 0xf0) == 0xe0;
}

static bool link_local_multicast(const struct cel_address *x)
{
        return x->v6 ? x->bytes[0] == 0xff && (x->bytes[1] & 0x0f) == 2
                     : x->bytes[0] == 224 && x->bytes[1] == 0 && x->bytes[2] == 0;
}

static bool link_local_unicast(const struct cel_address *x)
{
        return x->v6 ? x->bytes[0] == 0xfe && (x->bytes[1] & 0xc0) == 0x80 : x->bytes[0] == 169 && x->bytes[1] == 254;
}

static bool global_unicast(const struct cel_address *x)
{
        static const uint8_t broadcast[4] = { 255, 255, 255, 255 };

        return !unspecified(x) && !loopback(x) && !multicast(x) && !link_local_unicast(x) &&
               (x->v6 || memcmp(x->bytes, broadcast, 4) != 0);
}

#define PREDICATE(name, predicate)                                                                 \
        static struct cel_value name(struct eval *e, size_t n, const struct cel_value *v)          \
        {                                                                                          \
                return v->type == CEL_IP ? cel_bool(predicate(v->address)) : cel_no_overload();    \
        }
PREDICATE(f_is_unspecified, unspecified)
PREDICATE(f_is_loopback, loopback)
PREDICATE(f_is_link_local_multicast, link_local_multicast)
PREDICATE(f_is_link_local_unicast, link_local_unicast)
PREDICATE(f_is_global_unicast, global_unicast)

static struct cel_value f_text(struct eval *e, size_t n, const struct cel_value *v)
{
        if (v->type != CEL_IP && v->type != CEL_CIDR)
                return cel_no_overload();
        return cel_string(cel_address_text(e->run->arena, v->address));
}

/* --- ranges --- */

static struct cel_value f_cidr(struct eval *e, size_t n, const struct cel_value *v)
{
        struct cel_address x;
        const char *why;

        if (v->type != CEL_STRING)
                return cel_no_overload();
        why = parse_cidr(e->run->arena, v->str, &x);
        if (why)
                return cel_error(e->run->arena, "network address parse error during conversion from string: %s", why);
        return address_value(e, &x);
}

static struct cel_value f_is_cidr(struct eval *e, size_t n, const struct cel_value *v)
{
        struct cel_address x;

        return v->type == CEL_STRING ? cel_bool(!parse_cidr(e->run->arena, v->str, &x)) : cel_no_overload();
}

static struct cel_address masked(const struct cel_address *x)
{
        struct cel_address out = *x;

        for (int i = 0; i < (x->v6 ? 16 : 4); i++) {
                int bits = MAX(MIN(x->prefix - i * 8, 8), 0);

                out.bytes[i] &= (uint8_t)(0xff00 >> bits);
        }
        return out;
}

static bool within(const struct cel_address *range, const struct cel_address *x)
{
        struct cel_address base = masked(range), y = *x;

        y.prefix = range->prefix;
        y = masked(&y);
        return base.v6 == y.v6 && !memcmp(base.bytes, y.bytes, sizeof(y.bytes));
}

static struct cel_value f_contains_ip(struct eval *e, size_t n, const struct cel_value *v)
{
        struct cel_value x = v[1].type == CEL_STRING ? f_ip(e, 1, &v[1]) : v[1];

        if (v[0].type != CEL_CIDR || x.type != CEL_IP) /* also where the text is none */
                return cel_no_overload();
        return cel_bool(within(v[0].address, x.address));
}

static struct cel_value f_contains_cidr(struct eval *e, size_t n, const struct cel_value *v)
{
        struct cel_value x = v[1].type == CEL_STRING ? f_cidr(e, 1, &v[1]) : v[1];

        if (v[0].type != CEL_CIDR || (x.type != CEL_CIDR && !cel_is_error(x)))
                return cel_no_overload();
        return cel_is_error(x) ? x : cel_bool(x.address->prefix >= v[0].address->prefix && within(v[0].address, x.address));
}

static struct cel_value f_prefix_length(struct eval *e, size_t n, const struct cel_value *v)
{
        return v->type == CEL_CIDR ? cel_int(v->address->prefix) : cel_no_overload();
}

static struct cel_value f_masked(struct eval *e, size_t n, const struct cel_value *v)
{
        struct cel_address x;

        if (v->type != CEL_CIDR)
                return cel_no_overload();
        x = masked(v->address);
        return address_value(e, &x);
}

const struct function functions_network[] = {
        { "ip", false, true, 1, 1, CEL_IP, f_ip },
        { "ip", true, false, 1, 1, CEL_IP, f_address },
        { "isIP", false, true, 1, 1, CEL_BOOL, f_is_ip },
        { "ip.isCanonical", false, true, 1, 1, CEL_BOOL, f_is_canonical },
        { "family", true, false, 1, 1, CEL_INT, f_family },
        { "isUnspecified", true, false, 1, 1, CEL_BOOL, f_is_unspecified },
        { "isLoopback", true, false, 1, 1, CEL_BOOL, f_is_loopback },
        { "isLinkLocalMulticast", true, false, 1, 1, CEL_BOOL, f_is_link_local_multicast },
        { "isLinkLocalUnicast", true, false, 1, 1, CEL_BOOL, f_is_link_local_unicast },
        { "isGlobalUnicast", true, false, 1, 1, CEL_BOOL, f_is_global_unicast },
        { "string", true, false, 1, 1, CEL_STRING, f_text },
        { "cidr", false, true, 1, 1, CEL_CIDR, f_cidr },
        { "isCIDR", false, true, 1, 1, CEL_BOOL, f_is_cidr },
        { "containsIP", true, false, 2, 2, CEL_BOOL, f_contains_ip },
        { "containsCIDR", true, false, 2, 2, CEL_BOOL, f_contains_cidr },
        { "prefixLength", true, false, 1, 1, CEL_INT, f_prefix_length },
        { "masked", true, false, 1, 1, CEL_CIDR, f_masked },
        { NULL },
};
