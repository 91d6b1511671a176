/* What rules about endpoints cannot say: which addresses they may have. */
#include "metadata.h"

#include <arpa/inet.h>

#include "functions.h"

/* Addresses that no endpoint can have. */
static void check_range_of_ip(struct check *c, const struct at *at)
{
        unsigned char v6[16], v4[4];
        const char *s = text_at(at);

        if (inet_pton(AF_INET, s, v4) == 1) {
                if (!v4[0] && !v4[1] && !v4[2] && !v4[3])
                        check_invalid(c, at, "may not be unspecified (%s)", s);
                if (v4[0] == 127)
                        check_invalid(c, at, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
                if (v4[0] == 169 && v4[1] == 254)
                        check_invalid(c, at, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
                if (v4[0] == 224 && !v4[1] && !v4[2])
                        check_invalid(c, at, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
        } else if (inet_pton(AF_INET6, s, v6) == 1) {
                static const unsigned char none[16], loopback[16] = { [15] = 1 };

                if (memcmp(v6, none, 16) == 0)
                        check_invalid(c, at, "may not be unspecified (%s)", s);
                if (memcmp(v6, loopback, 16) == 0)
                        check_invalid(c, at, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
                if (v6[0] == 0xfe && (v6[1] & 0xc0) == 0x80)
                        check_invalid(c, at, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
                if (v6[0] == 0xff && v6[1] == 2)
                        check_invalid(c, at, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
        }
}

void check_endpoint_ip(struct check *c, const struct at *at)
{
        if (!name_is_address(text_at(at)))
                check_invalid(c, at, "must be a valid IP address");
        check_range_of_ip(c, at);
}

/* One address of a slice, by the slice's type. */
/* Two labels at least; a dot at the end is nothing. */
static void check_domain_name(struct check *c, const struct at *at)
{
        const char *s = text_at(at), *messages[NAME_MESSAGES];
        size_t len = strlen(s), before = c->errs->n;
        const char *name;

        if (!len) {
                check_required(c, at, NULL);
                return;
        }
        name = arena_strndup(c->a, s, s[len - 1] == '.' ? len - 1 : len);
        for (unsigned i = 0, n = name_check(c->a, NAME_DNS1123_SUBDOMAIN, name, messages); i < n; i++)
                check_invalid(c, at, "%s", messages[i]);
        if (c->errs->n > before)
                return;
        if (!strchr(name, '.')) {
                check_invalid(c, at, "should be a domain with at least two segments separated by dots");
                return;
        }
        for (size_t n; *name; name += n + (name[n] == '.')) {
                n = strcspn(name, ".");
                name_validate_string(c->errs, NAME_DNS1123_LABEL, at_path(c, at), arena_strndup(c->a, name, n));
        }
}

void check_slice_address(struct check *c, const struct at *at)
{
        const char *type = json_get_string(c->obj, "addressType"), *s = text_at(at);
        unsigned char buf[16];
        size_t before = c->errs->n;

        if (streq(type, "FQDN")) {
                check_domain_name(c, at);
                return;
        }
        if (!streq(type, "IPv4") && !streq(type, "IPv6"))
                return;
        check_name(c, at, NAME_IP);
        if (streq(type, "IPv6") && c->errs->n == before)
                check_canonical_address(c, at);
        if (c->errs->n > before)
                return;
        if (inet_pton(streq(type, "IPv4") ? AF_INET : AF_INET6, s, buf) != 1) /* said of the list, shown with the address */
                field_error_add(c->errs, FIELD_INVALID, at_path(c, at->up), at->j, "must be an %s address", type);
        check_range_of_ip(c, at);
}
