/* What rules about services cannot say: addresses, what goes with which type, ports that may be there once. */
#include "functions.h"
#include "metadata.h"

#define RANGES "service.beta.kubernetes.io/load-balancer-source-ranges"

static const char *text_at(const struct at *at)
{
        return json_string(at->j) ? json_string(at->j) : "";
}

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

void check_source_range(struct check *c, const struct at *at)
{
        if (streq(json_get_string(at->up->up->j, "type"), "LoadBalancer"))
                check_range(c, at_path(c, at), text_at(at));
}

/* What was an annotation before it was a field. */
void check_source_range_annotation(struct check *c, const struct at *spec)
{
        const char *text = json_get_string(json_path(c->obj, "metadata.annotations"), RANGES), *path = "metadata.annotations[" RANGES "]";

        if (!text || json_len(json_get(spec->j, "loadBalancerSourceRanges")))
                return;
        if (!streq(json_get_string(spec->j, "type"), "LoadBalancer")) {
                field_error_add(c->errs, FIELD_FORBIDDEN, path, NULL, "may only be used when `type` is 'LoadBalancer'");
                return;
        }
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
