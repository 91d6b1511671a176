/* resolv.conf, hosts and the host name of a pod: texts from its spec, as upstream's kubelet words them. */
#include "dns.h"

#include <stdio.h>

#define SERVERS_MAX 3
#define SEARCHES_MAX 32
#define SEARCH_CHARS_MAX 2048

struct list {
        const char *items[128];
        size_t n;
};

static void add(struct list *l, const char *s)
{
        if (s && l->n < ARRAY_SIZE(l->items))
                l->items[l->n++] = s;
}

static void add_once(struct list *l, const char *s)
{
        for (size_t i = 0; i < l->n; i++)
                if (streq(l->items[i], s))
                        return;
        add(l, s);
}

struct resolv {
        struct list servers, searches, options;
};

/* --- the node's own --- */

static const char *next_word(struct arena *a, const char **p)
{
        size_t len;
        const char *word;

        *p += strspn(*p, " \t\r");
        len = strcspn(*p, " \t\r\n");
        if (!len || **p == '#' || **p == ';')
                return NULL;
        word = arena_strndup(a, *p, len);
        *p += len;
        return word;
}

static void parse_host(struct arena *a, const char *text, struct resolv *r)
{
        for (const char *p = text ? text : ""; *p;) {
                const char *key = next_word(a, &p), *word;
                struct list *l = !key                      ? NULL
                                 : streq(key, "nameserver") ? &r->servers
                                 : streq(key, "search")     ? &r->searches
                                 : streq(key, "options")    ? &r->options
                                                            : NULL;
                if (l == &r->searches)
                        l->n = 0; /* the last one counts */
                while (l && (word = next_word(a, &p))) {
                        add(l, word);
                        if (l == &r->servers)
                                break;
                }
                p += strcspn(p, "\n");
                p += *p == '\n';
        }
}

/* --- by policy --- */

static void add_cluster(struct arena *a, const struct json *pod, const struct dns_settings *s, struct resolv *r)
{
        const char *ns = json_path_string(pod, "metadata.namespace");
        struct list host = r->searches;

        r->servers.n = r->searches.n = r->options.n = 0;
        for (const char *const *d = s->cluster_dns; *d; d++)
                add(&r->servers, *d);
        if (!str_empty(s->cluster_domain)) {
                add_once(&r->searches, arena_printf(a, "%s.svc.%s", ns ? ns : "default", s->cluster_domain));
                add_once(&r->searches, arena_printf(a, "svc.%s", s->cluster_domain));
                add_once(&r->searches, s->cluster_domain);
        }
        for (size_t i = 0; i < host.n; i++)
                add_once(&r->searches, host.items[i]);
        add(&r->options, "ndots:5");
}

/* A pod's option replaces one of the same name. */
static void add_option(struct arena *a, struct resolv *r, const char *name, const char *value)
{
        size_t len = strlen(name);
        const char *text = value ? arena_printf(a, "%s:%s", name, value) : name;

        for (size_t i = 0; i < r->options.n; i++)
                if (!strncmp(r->options.items[i], name, len) &&
                    (!r->options.items[i][len] || r->options.items[i][len] == ':')) {
                        r->options.items[i] = text;
                        return;
                }
        add(&r->options, text);
}

static void add_config(struct arena *a, const struct json *config, struct resolv *r)
{
        json_foreach_item(json_get(config, "nameservers"), n)
                add_once(&r->servers, json_string(n));
        json_foreach_item(json_get(config, "searches"), n)
                add_once(&r->searches, json_string(n));
        json_foreach_item(json_get(config, "options"), o)
                if (json_get_string(o, "name"))
                        add_option(a, r, json_get_string(o, "name"), json_get_string(o, "value"));
}

static char *join(struct arena *a, const struct list *l)
{
        struct strbuf b = STRBUF_INIT;
        char *s;

        for (size_t i = 0; i < l->n; i++)
                strbuf_printf(&b, "%s%s", i ? " " : "", l->items[i]);
        s = arena_strdup(a, strbuf_str(&b));
        strbuf_deinit(&b);
        return s;
}

static const char *limit(struct arena *a, struct resolv *r)
{
        const char *warning = NULL;
        size_t chars = 0, keep = 0;

        if (r->servers.n > SERVERS_MAX) {
                r->servers.n = SERVERS_MAX;
                warning = arena_printf(a, "Nameserver limits were exceeded, some nameservers have been omitted, the "
                                          "applied nameserver line is: %s", join(a, &r->servers));
        }
        while (keep < r->searches.n && keep < SEARCHES_MAX &&
               chars + strlen(r->searches.items[keep]) + (keep > 0) <= SEARCH_CHARS_MAX) {
                chars += strlen(r->searches.items[keep]) + (keep > 0);
                keep++;
        }
        if (keep < r->searches.n) {
                r->searches.n = keep;
                warning = arena_printf(a, "Search Line limits were exceeded, some search paths have been omitted, the "
                                          "applied search line is: %s", join(a, &r->searches));
        }
        return warning;
}

static char *print_resolv(struct arena *a, const struct resolv *r)
{
        struct strbuf b = STRBUF_INIT;
        char *s;

        if (r->searches.n)
                strbuf_printf(&b, "search %s\n", join(a, &r->searches));
        for (size_t i = 0; i < r->servers.n; i++)
                strbuf_printf(&b, "nameserver %s\n", r->servers.items[i]);
        if (r->options.n)
                strbuf_printf(&b, "options %s\n", join(a, &r->options));
        s = arena_strdup(a, strbuf_str(&b));
        strbuf_deinit(&b);
        return s;
}

char *dns_resolv_conf(struct arena *a, const struct json *pod, const struct dns_settings *s,
                      const char **ret_warning_reason, const char **ret_warning)
{
        const char *policy = json_path_string(pod, "spec.dnsPolicy"), *warning = NULL, *reason = NULL;
        bool host_network = json_path_bool(pod, "spec.hostNetwork", false);
        bool have_dns = s->cluster_dns && *s->cluster_dns;
        struct resolv r = { 0 };

        if (!policy)
                policy = "ClusterFirst";
        if (streq(policy, "ClusterFirst") && host_network)
                policy = "Default"; /* only ClusterFirstWithHostNet means it there */
        if (!streq(policy, "None"))
                parse_host(a, s->host_resolv_conf, &r);
        if (str_has_prefix(policy, "ClusterFirst")) {
                if (have_dns) {
                        add_cluster(a, pod, s, &r);
                } else {
                        reason = "MissingClusterDNS";
                        warning = arena_printf(a, "pod: \"%s_%s(%s)\". kubelet does not have ClusterDNS IP configured "
                                                  "and cannot create Pod using \"%s\" policy. Falling back to "
                                                  "\"Default\" policy.",
                                               json_path_string(pod, "metadata.name"),
                                               json_path_string(pod, "metadata.namespace"),
                                               json_path_string(pod, "metadata.uid"), policy);
                }
        }
        add_config(a, json_path(pod, "spec.dnsConfig"), &r);
        const char *limited = limit(a, &r);
        if (limited && !warning) {
                reason = "DNSConfigForming";
                warning = limited;
        }
        if (ret_warning_reason)
                *ret_warning_reason = reason;
        if (ret_warning)
                *ret_warning = warning;
        return print_resolv(a, &r);
}

/* --- hosts --- */

static void print_aliases(struct strbuf *b, const struct json *aliases)
{
        if (!json_len(aliases))
                return;
        strbuf_puts(b, "\n# Entries added by HostAliases.\n");
        json_foreach_item(aliases, alias) {
                strbuf_puts(b, json_get_string(alias, "ip") ? json_get_string(alias, "ip") : "");
                json_foreach_item(json_get(alias, "hostnames"), h)
                        strbuf_printf(b, "\t%s", json_string(h) ? json_string(h) : "");
                strbuf_putc(b, '\n');
        }
}

char *dns_hosts_file(struct arena *a, const char *const *ips, size_t n_ips, const char *hostname, const char *domain,
                     const struct json *host_aliases, const char *host_file)
{
        struct strbuf b = STRBUF_INIT;
        char *s;

        if (host_file) {
                strbuf_printf(&b, "# Kubernetes-managed hosts file (host network).\n%s", host_file);
        } else {
                strbuf_puts(&b, "# Kubernetes-managed hosts file.\n"
                                "127.0.0.1\tlocalhost\n"
                                "::1\tlocalhost ip6-localhost ip6-loopback\n"
                                "fe00::0\tip6-localnet\n"
                                "fe00::0\tip6-mcastprefix\n"
                                "fe00::1\tip6-allnodes\n"
                                "fe00::2\tip6-allrouters\n");
                for (size_t i = 0; i < n_ips; i++) {
                        if (str_empty(domain))
                                strbuf_printf(&b, "%s\t%s\n", ips[i], hostname);
                        else
                                strbuf_printf(&b, "%s\t%s.%s\t%s\n", ips[i], hostname, domain, hostname);
                }
        }
        print_aliases(&b, host_aliases);
        s = arena_strdup(a, strbuf_str(&b));
        strbuf_deinit(&b);
        return s;
}

#define HOSTNAME_MAX 63

char *dns_hostname(struct arena *a, const struct json *pod, const char *cluster_domain, const char **ret_domain)
{
        const char *name = json_path_string(pod, "spec.hostname"), *sub = json_path_string(pod, "spec.subdomain");
        const char *ns = json_path_string(pod, "metadata.namespace");
        char *host;
        size_t len;

        if (str_empty(name))
                name = json_path_string(pod, "metadata.name");
        host = arena_strdup(a, name ? name : "");
        len = MIN(strlen(host), (size_t)HOSTNAME_MAX);
        while (len && (host[len - 1] == '-' || host[len - 1] == '.'))
                len--;
        host[len] = '\0';
        if (ret_domain)
                *ret_domain = str_empty(sub) ? NULL
                                             : arena_printf(a, "%s.%s.svc.%s", sub, ns ? ns : "default", cluster_domain);
        return host;
}
