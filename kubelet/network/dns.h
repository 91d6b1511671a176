/* The files in a pod that say who and where: /etc/resolv.conf, /etc/hosts, /etc/hostname. Pure texts. */
#pragma once

#include "../../lib/json/json.h"

struct dns_settings {
        const char *const *cluster_dns; /* addresses, NULL-ended; may be NULL */
        const char *cluster_domain;     /* "cluster.local" */
        const char *host_resolv_conf;   /* the text of the node's file; NULL: empty */
};
/* The text of resolv.conf by spec.dnsPolicy and spec.dnsConfig. Limits as upstream: 3 servers, 32 search
 * domains, 2048 characters. *ret_warning (may be NULL): upstream's event text (reason DNSConfigForming or MissingClusterDNS) or NULL. */
char *dns_resolv_conf(struct arena *a, const struct json *pod, const struct dns_settings *s,
                      const char **ret_warning_reason, const char **ret_warning);
/* /etc/hosts of a pod. IPS: none yet gives no line of its own. HOST_FILE: text of the node's file for host-network pods, else NULL. */
char *dns_hosts_file(struct arena *a, const char *const *ips, size_t n_ips, const char *hostname,
                     const char *domain, const struct json *host_aliases, const char *host_file);
/* The pod's host name: spec.hostname or the pod's name, at most 63 characters, no trailing "-" or ".". *ret_domain: its FQDN
 * with spec.subdomain ("host.sub.ns.svc.cluster.local" without the host), or NULL. */
char *dns_hostname(struct arena *a, const struct json *pod, const char *cluster_domain, const char **ret_domain);
