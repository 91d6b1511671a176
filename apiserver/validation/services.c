/* What rules about services cannot say: addresses, what goes with which type, ports that may be there once. */
#include "functions.h"
#include "metadata.h"
#include "validate.h"

#define RANGES "service.beta.kubernetes.io/load-balancer-source-ranges"

void check_service_ports(struct check *c, const struct at *at)
{
        const struct json *spec = at->up->j;

        if (!json_len(at->j) && !streq(json_get_string(spec, "clusterIP"), "None") &&
            !streq(json_get_string(spec, "type"), "ExternalName"))
                check_required(c, at, NULL);
}

bool cond_several_ports(struct check *c, const struct at *at)
{
        unused(c);
        return json_len(at->up->up->j) > 1;
}

void check_service_port_once(struct check *c, const struct at *at)
{
        for (size_t i = 0; i < at->index; i++) {
                const struct json *o = json_at(at->up->j, i);

                if (json_get_int(o, "port", 0) == json_get_int(at->j, "port", 0) &&
                    streq(json_get_string(o, "protocol"), json_get_string(at->j, "protocol"))) {
                        const char *app = json_get_string(at->j, "appProtocol");
                        const char *protocol = json_get_string(at->j, "protocol");

                        /* Only what makes the two the same is shown. */
                        field_error_add_text(c->errs, FIELD_DUPLICATE, at_path(c, at),
                                             arena_printf(c->a,
                                                          "{\"Name\":\"\",\"Protocol\":\"%s\",\"AppProtocol\":%s,\"Port\":%lld,"
                                                          "\"TargetPort\":0,\"NodePort\":0}",
                                                          protocol ? protocol : "", app ? "null" : "null",
                                                          (long long)json_get_int(at->j, "port", 0)),
                                             NULL);
                        return;
                }
        }
}

void check_node_port_once(struct check *c, const struct at *port)
{
        int64_t n = json_get_int(port->j, "nodePort", 0);

        for (size_t i = 0; n && i < port->index; i++) {
                const struct json *o = json_at(port->up->j, i);

                if (json_get_int(o, "nodePort", 0) != n || !streq(json_get_string(o, "protocol"), json_get_string(port->j, "protocol")))
                        continue;
                field_error_add_text(c->errs, FIELD_DUPLICATE, at_path(c, at_field(c, port, "nodePort")),
                                     arena_printf(c->a, "%lld", (long long)n), NULL);
                return;
        }
}

void check_not_headless(struct check *c, const struct at *ips)
{
        const struct at *first = at_item(c, ips, 0);

        if (streq(text_at(first), "None"))
                check_invalid(c, first, "may not be set to 'None' for %s services", json_get_string(ips->up->j, "type"));
}

/* A dot at the end of a domain changes nothing. */
void check_external_name(struct check *c, const struct at *at)
{
        struct at *name = arena_memdup(c->a, at, sizeof(*name));
        size_t n = strlen(text_at(at));

        if (n && text_at(at)[n - 1] == '.')
                name->j = json_new_stringn(c->a, text_at(at), n - 1);
        if (!*text_at(name))
                check_required(c, at, NULL);
        else
                check_name(c, name, NAME_DNS1123_SUBDOMAIN);
}

void check_topology_annotations(struct check *c, const struct at *at)
{
        static const char new[] = "service.kubernetes.io/topology-mode", old[] = "service.kubernetes.io/topology-aware-hints";
        const char *x = json_get_string(at->j, new), *y = json_get_string(at->j, old);

        if (x && y && !streq(x, y))
                field_error_add(c->errs, FIELD_INVALID, arena_printf(c->a, "%s[%s]", at_path(c, at), new), json_new_string(c->a, x),
                                "must match annotations[%s] when both are specified", old);
}

/* --- addresses and families --- */

static bool has_item(const struct json *list, const struct json *item)
{
        json_foreach_item(list, it)
                if (json_equal(it, item))
                        return true;
        return false;
}

static void list_error(struct field_errors *errs, const char *path, const struct json *list, const char *detail)
{
        if (list)
                field_error_add(errs, FIELD_INVALID, path, list, "%s", detail);
        else
                field_error_add_text(errs, FIELD_INVALID, path, "null", "%s", detail);
}

/* Each address by itself. RET_V6 and RET_V4 say what there is. */
static bool check_addresses(struct field_errors *errs, const struct json *ips, const struct json *before, bool *ret_v4, bool *ret_v6)
{
        bool good = true;

        *ret_v4 = *ret_v6 = false;
        json_foreach_item(ips, ip) {
                size_t n = errs->n;

                if (ip_i == 0 && streq(json_string(ip), "None")) {
                        if (json_len(ips) > 1) {
                                good = false;
                                list_error(errs, "spec.clusterIPs", ips, "'None' must be the first and only value");
                        }
                        continue;
                }
                if (!has_item(before, ip))
                        name_validate_string(errs, NAME_IP, field_path(errs->arena, "spec.clusterIPs[%zu]", (size_t)ip_i),
                                             json_string(ip) ? json_string(ip) : "");
                good = good && errs->n == n;
                *(json_string(ip) && strchr(json_string(ip), ':') ? ret_v6 : ret_v4) = true;
        }
        return good;
}

void validate_service_addresses(struct field_errors *errs, const struct json *svc, const struct json *old)
{
        static const char *const family_names[] = { "IPv4", "IPv6", NULL };
        static const char *const policies[] = { "PreferDualStack", "RequireDualStack", "SingleStack", NULL };
        const struct json *spec = json_get(svc, "spec"), *ips = json_get(spec, "clusterIPs"), *families = json_get(spec, "ipFamilies");
        const struct json *policy = json_get(spec, "ipFamilyPolicy");
        const char *primary = json_get_string(spec, "clusterIP");
        bool v4, v6, good;

        if (str_empty(primary)) {
                if (json_len(ips))
                        list_error(errs, "spec.clusterIPs", ips, "must be empty when `clusterIP` is not specified");
        } else if (!json_len(ips)) {
                field_error_add(errs, FIELD_REQUIRED, "spec.clusterIPs", NULL, NULL);
        } else if (!streq(json_string(json_at(ips, 0)), primary)) {
                list_error(errs, "spec.clusterIPs", ips, "first value must match `clusterIP`");
        }
        json_foreach_item(families, f) {
                const char *path = field_path(errs->arena, "spec.ipFamilies[%zu]", (size_t)f_i);

                if (!streq(json_string(f), "IPv4") && !streq(json_string(f), "IPv6"))
                        field_error_not_supported(errs, path, f, family_names);
                for (size_t i = 0; i < (size_t)f_i; i++)
                        if (json_equal(json_at(families, i), f)) {
                                field_error_add(errs, FIELD_DUPLICATE, path, f, NULL);
                                break;
                        }
        }
        if (policy && !streq(json_string(policy), policies[0]) && !streq(json_string(policy), policies[1]) &&
            !streq(json_string(policy), policies[2]))
                field_error_not_supported(errs, "spec.ipFamilyPolicy", policy, policies);
        good = check_addresses(errs, ips, json_path(old, "spec.clusterIPs"), &v4, &v6);
        if (json_len(ips) > 2)
                list_error(errs, "spec.clusterIPs", ips, "may only hold up to 2 values");
        if (!good)
                return;
        if (json_len(ips) > 1 && !(v4 && v6))
                list_error(errs, "spec.clusterIPs", ips, "may specify no more than one IP for each IP family");
        json_foreach_item(ips, ip) {
                const char *family = json_string(json_at(families, ip_i)), *is = strchr(json_string(ip), ':') ? "IPv6" : "IPv4";

                if (streq(json_string(ip), "None"))
                        break;
                if (family && !streq(family, is) && (streq(family, "IPv4") || streq(family, "IPv6")))
                        field_error_add(errs, FIELD_INVALID, field_path(errs->arena, "spec.clusterIPs[%zu]", (size_t)ip_i), ip,
                                        "expected an %s value as indicated by `ipFamilies[%zu]`", family, (size_t)ip_i);
        }
}

/* A list whose first is for the service's life; a second one may be taken, and given back if the policy says so. */
static void check_kept(struct check *c, const char *path, const struct json *was, const struct json *is, bool unset,
                       const char *unset_detail, const char *release_detail)
{
        const struct json *policy = json_path(c->obj, "spec.ipFamilyPolicy");
        size_t n = json_len(was), m = json_len(is);

        if (n > m && unset)
                list_error(c->errs, field_path(c->a, "%s[0]", path), is, unset_detail);
        for (size_t i = 0; i < (n == m ? n : MIN(MIN(n, m), (size_t)1)); i++)
                if (!json_equal(json_at(was, i), json_at(is, i)))
                        list_error(c->errs, field_path(c->a, "%s[%zu]", path, i), is, "may not change once set");
        if (n > m && m == 1 && !streq(json_string(policy), "SingleStack"))
                list_error(c->errs, "spec.ipFamilyPolicy", policy, release_detail);
}

static bool headless(const struct json *svc)
{
        const struct json *ips = json_path(svc, "spec.clusterIPs");

        return json_len(ips) == 1 && streq(json_string(json_at(ips, 0)), "None");
}

void check_addresses_kept(struct check *c, const struct at *spec)
{
        const struct json *was = json_get(c->old, "spec"), *is = spec->j, *ips = json_get(is, "clusterIPs");
        bool named = streq(json_get_string(was, "type"), "ExternalName") || streq(json_get_string(is, "type"), "ExternalName");

        if (named)
                return;
        if (!headless(c->old) || !headless(c->obj))
                check_kept(c, "spec.clusterIPs", json_get(was, "clusterIPs"), ips, !json_len(ips), "primary clusterIP can not be unset",
                           "must be set to 'SingleStack' when releasing the secondary clusterIP");
        if (!headless(c->old) && !headless(c->obj))
                check_kept(c, "spec.ipFamilies", json_get(was, "ipFamilies"), json_get(is, "ipFamilies"), !json_len(ips),
                           "primary ipFamily can not be unset", "must be set to 'SingleStack' when releasing the secondary ipFamily");
}

/* --- load balancers --- */

static void check_range(struct check *c, const char *path, const char *text)
{
        size_t n;
        char *trimmed;

        text += strspn(text, " \t\n");
        trimmed = arena_strdup(c->a, text);
        for (n = strlen(trimmed); n && strchr(" \t\n", trimmed[n - 1]); n--)
                trimmed[n - 1] = '\0';
        name_validate_string(c->errs, NAME_CIDR, path, trimmed);
}

/* Whether the stored service had TEXT, but for spaces around it: then it stays allowed. */
static bool had_range(const struct check *c, const char *text)
{
        json_foreach_item(json_path(c->old, "spec.loadBalancerSourceRanges"), old) {
                const char *was = json_string(old) ? json_string(old) : "";
                size_t n, m;

                was += strspn(was, " \t\n");
                text += strspn(text, " \t\n");
                for (n = strlen(was); n && strchr(" \t\n", was[n - 1]); n--)
                        ;
                for (m = strlen(text); m && strchr(" \t\n", text[m - 1]); m--)
                        ;
                if (n == m && memcmp(was, text, n) == 0)
                        return true;
        }
        return false;
}

void check_source_range(struct check *c, const struct at *at)
{
        if (!had_range(c, text_at(at)))
                check_range(c, at_path(c, at), text_at(at));
}

/* What was stored stays allowed, as far as it is an address; what is none is said once. */
void check_external_ip(struct check *c, const struct at *at)
{
        size_t before = c->errs->n;

        if (!has_item(json_path(c->old, "spec.externalIPs"), at->j))
                name_validate_string(c->errs, NAME_IP, at_path(c, at), text_at(at));
        if (c->errs->n == before)
                check_endpoint_ip(c, at);
}

/* What was an annotation before it was a field. */
void check_source_range_annotation(struct check *c, const struct at *spec)
{
        const char *text = json_get_string(json_path(c->obj, "metadata.annotations"), RANGES), *path = "metadata.annotations[" RANGES "]";

        if (!text || json_len(json_get(spec->j, "loadBalancerSourceRanges")))
                return;
        if (!streq(json_get_string(spec->j, "type"), "LoadBalancer")) {
                field_error_add(c->errs, FIELD_FORBIDDEN, path, NULL, "may only be used when `type` is 'LoadBalancer'");
        }
        if (streq(json_get_string(json_path(c->old, "metadata.annotations"), RANGES), text))
                return;
        if (!text[strspn(text, " \t\n")])
                return;
        for (const char *p = text, *end;; p = end + 1) {
                end = strchrnul(p, ',');
                check_range(c, path, arena_strndup(c->a, p, end - p));
                if (!*end)
                        return;
        }
}

/* How traffic from outside comes in, and how its health is asked. */
void check_external_traffic(struct check *c, const struct at *spec)
{
        static const char *const policies[] = { "Cluster", "Local", NULL };
        const struct at *policy = at_field(c, spec, "externalTrafficPolicy"), *port = at_field(c, spec, "healthCheckNodePort");
        const char *type = json_get_string(spec->j, "type");
        bool balanced = streq(type, "LoadBalancer"), reachable = balanced || streq(type, "NodePort") ||
                                                           (streq(type, "ClusterIP") && json_len(json_get(spec->j, "externalIPs")));
        int64_t n = json_get_int(spec->j, "healthCheckNodePort", 0);

        if (!reachable && *text_at(policy))
                check_invalid(c, policy, "may only be set for externally-accessible services");
        else if (reachable && !*text_at(policy))
                check_required(c, policy, NULL);
        else if (reachable)
                check_enum(c, policy, policies);
        if (!balanced || !streq(text_at(policy), "Local")) {
                if (n)
                        check_invalid(c, port, "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'");
        } else if (!n) {
                check_required(c, port, NULL);
        } else if (n < 1 || n > 65535) {
                check_invalid(c, port, "must be between 1 and 65535, inclusive");
        }
}
