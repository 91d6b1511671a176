/* Cells of Services, their endpoints, ingresses and addresses (table-cells.h). */
#include "table-cells.h"

#include "../../lib/base/base.h"

/* --- services, endpoints, ingresses --- */

/* Sorted, each once: ip, else hostname, of status.loadBalancer.ingress. */
static void join_balancer(const struct cell *c, struct cell_joiner *j)
{
        const struct json *list = json_path(c->obj, "status.loadBalancer.ingress");
        size_t n = 0;
        _cleanup_free_ const char **all = xcalloc(json_len(list) + 1, sizeof(*all));

        json_foreach_item(list, item) {
                const char *address = *cell_text(item, "ip") ? cell_text(item, "ip") : cell_text(item, "hostname");

                if (*address)
                        all[n++] = address;
        }
        qsort(all, n, sizeof(*all), cell_compare_strings);
        for (size_t i = 0; i < n; i++)
                if (!i || !streq(all[i], all[i - 1]))
                        cell_join_add(j, "%s", all[i]);
}

void cell_service_external(const struct cell *c)
{
        const char *type = json_path_string(c->obj, "spec.type");
        struct cell_joiner j = { .b = STRBUF_INIT };

        if (streq(type, "ExternalName")) {
                cell_string(c, json_path_string(c->obj, "spec.externalName"));
                return;
        }
        if (!streq(type, "ClusterIP") && !streq(type, "NodePort") && !streq(type, "LoadBalancer")) {
                cell_string(c, "<unknown>");
                return;
        }
        if (streq(type, "LoadBalancer"))
                join_balancer(c, &j);
        json_foreach_item(json_path(c->obj, "spec.externalIPs"), ip)
                cell_join_add(&j, "%s", json_string(ip) ? json_string(ip) : "");
        cell_join_end(c, &j, streq(type, "LoadBalancer") ? "<pending>" : "<none>");
}

void cell_service_ports(const struct cell *c)
{
        struct cell_joiner j = { .b = STRBUF_INIT };

        json_foreach_item(json_path(c->obj, "spec.ports"), port) {
                long long node = json_get_int(port, "nodePort", 0), number = json_get_int(port, "port", 0);

                if (node > 0)
                        cell_join_add(&j, "%lld:%lld/%s", number, node, cell_text(port, "protocol"));
                else
                        cell_join_add(&j, "%lld/%s", number, cell_text(port, "protocol"));
        }
        cell_join_end(c, &j, "<none>");
}

void cell_endpoints(const struct cell *c)
{
        struct cell_joiner j = { .b = STRBUF_INIT, .max = 3 };

        json_foreach_item(json_get(c->obj, "subsets"), subset) {
                const struct json *addresses = json_get(subset, "addresses"), *ports = json_get(subset, "ports");

                json_foreach_item(ports, port)
                        json_foreach_item(addresses, address) {
                                bool six = strchr(cell_text(address, "ip"), ':');

                                cell_join_add(&j, "%s%s%s:%lld", six ? "[" : "", cell_text(address, "ip"), six ? "]" : "",
                                         (long long)json_get_int(port, "port", 0));
                        }
                if (!json_len(ports))
                        json_foreach_item(addresses, address)
                                cell_join_add(&j, "%s", cell_text(address, "ip"));
        }
        cell_join_end(c, &j, json_len(json_get(c->obj, "subsets")) ? "" : "<none>");
}

void cell_slice_ports(const struct cell *c)
{
        struct cell_joiner j = { .b = STRBUF_INIT, .max = 3 };

        json_foreach_item(json_get(c->obj, "ports"), port) {
                if (json_get(port, "port"))
                        cell_join_add(&j, "%lld", (long long)json_get_int(port, "port", 0));
                else
                        cell_join_add(&j, "%s", *cell_text(port, "name") ? cell_text(port, "name") : "*");
        }
        cell_join_end(c, &j, "<unset>");
}

void cell_slice_endpoints(const struct cell *c)
{
        struct cell_joiner j = { .b = STRBUF_INIT, .max = 3 };

        json_foreach_item(json_get(c->obj, "endpoints"), endpoint)
                json_foreach_item(json_get(endpoint, "addresses"), address)
                        cell_join_add(&j, "%s", json_string(address) ? json_string(address) : "");
        cell_join_end(c, &j, "<unset>");
}

void cell_ingress_hosts(const struct cell *c)
{
        const struct json *rules = json_path(c->obj, "spec.rules");
        struct cell_joiner j = { .b = STRBUF_INIT };

        json_foreach_item(rules, rule) {
                if (j.n == 3) {
                        strbuf_printf(&j.b, " + %zu more...", json_len(rules) - 3);
                        break;
                }
                if (*cell_text(rule, "host"))
                        cell_join_add(&j, "%s", cell_text(rule, "host"));
        }
        cell_join_end(c, &j, "*");
}

void cell_ingress_address(const struct cell *c)
{
        struct cell_joiner j = { .b = STRBUF_INIT };

        join_balancer(c, &j);
        cell_join_end(c, &j, "");
}

void cell_ingress_ports(const struct cell *c)
{
        cell_string(c, json_len(json_path(c->obj, "spec.tls")) ? "80, 443" : "80");
}

void cell_ingress_class_parameters(const struct cell *c)
{
        const struct json *p = json_path(c->obj, "spec.parameters");
        const char *group = cell_text(p, "apiGroup");

        if (p)
                cell_printf(c, "%s%s%s/%s", cell_text(p, "kind"), *group ? "." : "", group, cell_text(p, "name"));
        else
                cell_string(c, "<none>");
}

/* Upstream sends the age as a third cell although the table has two columns; kubectl depends on neither. */
void cell_ip_parent(const struct cell *c)
{
        const struct json *p = json_path(c->obj, "spec.parentRef");
        const char *group = cell_text(p, "group"), *ns = cell_text(p, "namespace");

        if (p)
                cell_printf(c, "%s%s%s%s%s/%s", cell_text(p, "resource"), *group ? "." : "", group, *ns ? "/" : "", ns,
                            cell_text(p, "name"));
        else
                cell_string(c, "<none>");
        strbuf_putc(c->out, ',');
        cell_age(c, json_path_string(c->obj, "metadata.creationTimestamp"));
}
