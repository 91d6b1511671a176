/* IP addresses and CIDRs (k8s.io/apiserver/pkg/cel/library ip.go and cidr.go, which follow Go's net/netip). */
#include <arpa/inet.h>
#include <stdlib.h>

#include "ast.h"

static bool parse_ip(struct arena *a, struct cel_string s, struct cel_address *ret)
{
        const char *text = arena_strndup(a, s.s, s.len);

        *ret = (struct cel_address){ .prefix = -1 };
        if (strlen(text) != s.len)
                return false;
        if (inet_pton(AF_INET, text, ret->bytes) == 1)
                return true;
        ret->v6 = true;
        return inet_pton(AF_INET6, text, ret->bytes) == 1;
}

/* An IPv4 address in IPv6's form is refused, as upstream does. */
static bool mapped(const struct cel_address *x)
{
        static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };

        return x->v6 && !memcmp(x->bytes, prefix, sizeof(prefix));
}

static bool parse_cidr(struct arena *a, struct cel_string s, struct cel_address *ret)
{
        const char *slash = s.len ? memchr(s.s, '/', s.len) : NULL, *digits;
        size_t n;

        if (!slash || !parse_ip(a, (struct cel_string){ s.s, (size_t)(slash - s.s) }, ret) || mapped(ret))
                return false;
        digits = arena_strndup(a, slash + 1, s.len - (size_t)(slash - s.s) - 1);
        n = strspn(digits, "0123456789");
        if (!n || n > 3 || digits[n] || (digits[0] == '0' && n > 1))
                return false;
        ret->prefix = atoi(digits);
        return ret->prefix <= (ret->v6 ? 128 : 32);
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

        if (v->type == CEL_CIDR) {
                x = *v->address;
                x.prefix = -1;
                return address_value(e, &x);
        }
        if (v->type != CEL_STRING)
                return cel_no_overload();
        if (!parse_ip(e->run->arena, v->str, &x))
                return cel_error(e->run->arena, "IP Address \"%s\" parse error during conversion from string: ParseAddr(\"%s\"): "
                                 "unable to parse IP", cel_text(e->run->arena, v), cel_text(e->run->arena, v));
        if (mapped(&x))
                return cel_error(e->run->arena, "IPv4-mapped IPv6 address \"%s\" is not allowed", cel_text(e->run->arena, v));
        return address_value(e, &x);
}

static struct cel_value f_is_ip(struct eval *e, size_t n, const struct cel_value *v)
{
        struct cel_address x;

        return v->type == CEL_STRING ? cel_bool(parse_ip(e->run->arena, v->str, &x) && !mapped(&x)) : cel_no_overload();
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

        if (v->type != CEL_STRING)
                return cel_no_overload();
        if (!parse_cidr(e->run->arena, v->str, &x))
                return cel_error(e->run->arena, "network address parse error during conversion from string: network address parse error during "
                                 "conversion from string: netip.ParsePrefix(\"%s\"): %s", cel_text(e->run->arena, v),
                                 !memchr(v->str.s, '/', v->str.len) ? "no '/'" : "prefix length out of range");
        return address_value(e, &x);
}

static struct cel_value f_is_cidr(struct eval *e, size_t n, const struct cel_value *v)
{
        struct cel_address x;

        return v->type == CEL_STRING ? cel_bool(parse_cidr(e->run->arena, v->str, &x)) : cel_no_overload();
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
        { "ip", true, true, 1, 1, CEL_IP, f_ip },
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
