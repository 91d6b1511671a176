/* What rules about networks cannot say: addresses and ranges that are compared with each other. */
#include "metadata.h"

#include <arpa/inet.h>

#include "functions.h"

struct range {
        bool v6;
        unsigned char address[16];
        unsigned bits;
};

/* A range whose form was found right. */
static bool parse_range(const char *s, struct range *ret)
{
        char host[INET6_ADDRSTRLEN];
        size_t len = strcspn(s, "/");

        memset(ret, 0, sizeof(*ret));
        if (!s[len] || len >= sizeof(host))
                return false;
        memcpy(host, s, len);
        host[len] = '\0';
        ret->v6 = strchr(host, ':');
        ret->bits = (unsigned)strtoul(s + len + 1, NULL, 10);
        return ret->bits <= (ret->v6 ? 128 : 32) && inet_pton(ret->v6 ? AF_INET6 : AF_INET, host, ret->address) == 1;
}

static bool contains(const struct range *outer, const struct range *inner)
{
        if (outer->v6 != inner->v6)
                return false;
        for (unsigned bit = 0; bit < outer->bits; bit++)
                if ((outer->address[bit / 8] ^ inner->address[bit / 8]) & (0x80 >> bit % 8))
                        return false;
        return true;
}

/* Adds Invalid where AT is not written as Go would write it; TAIL is what follows the address. */
static void check_canonical(struct check *c, const struct at *at, const char *address, const char *tail)
{
        unsigned char raw[16];
        char text[INET6_ADDRSTRLEN];
        int family = strchr(address, ':') ? AF_INET6 : AF_INET;

        if (inet_pton(family, address, raw) != 1 || !inet_ntop(family, raw, text, sizeof(text)))
                return;
        if (!streq(text, address))
                check_invalid(c, at, "must be in canonical form (\"%s%s\")", text, tail);
}

void check_canonical_address(struct check *c, const struct at *at)
{
        const char *messages[NAME_MESSAGES];

        if (!name_check(c->a, NAME_IP, text_at(at), messages))
                check_canonical(c, at, text_at(at), "");
}

static void check_range(struct check *c, const struct at *at)
{
        const char *s = text_at(at);
        size_t before = c->errs->n;

        check_name(c, at, NAME_CIDR);
        if (c->errs->n == before)
                check_canonical(c, at, arena_strndup(c->a, s, strcspn(s, "/")), strchr(s, '/'));
}

/* --- network policies --- */

void check_ip_block(struct check *c, const struct at *block)
{
        const struct at *cidr = at_field(c, block, "cidr"), *except = at_field(c, block, "except");
        struct range all, part;

        if (!at_set(block))
                return;
        if (!*text_at(cidr)) {
                check_required(c, cidr, NULL);
                return;
        }
        check_name(c, cidr, NAME_CIDR);
        if (!parse_range(text_at(cidr), &all))
                return;
        for (size_t i = 0; i < json_len(except->j); i++) {
                const struct at *it = at_item(c, except, i);

                check_name(c, it, NAME_CIDR);
                if (parse_range(text_at(it), &part) && (!contains(&all, &part) || all.bits >= part.bits))
                        check_invalid(c, it, "must be a strict subset of `cidr`");
        }
}

/* A number, a range of numbers, or a name. */
void check_policy_ports(struct check *c, const struct at *at)
{
        const struct at *port = at_field(c, at, "port"), *end = at_field(c, at, "endPort");
        int64_t first, last;

        if (!at_set(port)) {
                if (at_set(end))
                        check_invalid(c, end, "may not be specified when `port` is not specified");
        } else if (json_is_string(port->j)) {
                if (at_set(end))
                        check_invalid(c, end, "may not be specified when `port` is non-numeric");
                check_name(c, port, NAME_PORT);
        } else if (json_to_int(port->j, &first) == 0) {
                if (first < 1 || first > 65535)
                        check_invalid(c, port, "must be between 1 and 65535, inclusive");
                if (json_to_int(end->j, &last) != 0)
                        return;
                if (last < first) /* upstream shows the port here */
                        field_error_add(c->errs, FIELD_INVALID, at_path(c, end), port->j, "must be greater than or equal to `port`");
                if (last < 1 || last > 65535)
                        check_invalid(c, end, "must be between 1 and 65535, inclusive");
        }
}

/* --- ranges of Services --- */

static void check_service_ranges(struct check *c, const struct at *spec)
{
        const struct at *list = at_field(c, spec, "cidrs");
        struct range first, second;
        size_t n = json_len(list->j);

        if (!n) {
                check_required(c, list, "at least one CIDR required");
                return;
        }
        if (n > 2) {
                field_error_add_text(c->errs, FIELD_INVALID, at_path(c, list), go_struct(c, spec), "may only hold up to 2 values");
                return;
        }
        for (size_t i = 0; i < n; i++)
                check_range(c, at_item(c, list, i));
        if (n == 2 && parse_range(json_string(json_at(list->j, 0)), &first) && parse_range(json_string(json_at(list->j, 1)), &second) &&
            first.v6 == second.v6)
                check_invalid(c, list, "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64");
}

/* Ranges stay; one of the other family may be added behind the first. */
void check_service_cidrs(struct check *c, const struct at *spec)
{
        const struct at *list = at_field(c, spec, "cidrs");
        const struct json *was = json_path(c->old, "spec.cidrs");
        size_t n = json_len(list->j), before = json_len(was);

        if (!c->old) {
                check_service_ranges(c, spec);
                return;
        }
        for (size_t i = 0; i < n && (n == before || (i == 0 && before == 1 && n == 2)); i++)
                if (!json_equal(json_at(was, i), json_at(list->j, i)))
                        check_invalid(c, at_item(c, list, i), ERR_IMMUTABLE);
        if (before == 1 && n == 2)
                check_service_ranges(c, spec);
        else if (n != before)
                check_invalid(c, list, ERR_IMMUTABLE);
}
