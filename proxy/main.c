/* colibri-proxy: Services in nftables, and the cluster's resolver. */
#include <ctype.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>

#include "dns/dns.h"
#include "proxy.h"

#include "../lib/base/flags.h"
#include "../lib/base/log.h"

struct options {
        const char *kubeconfig, *node, *cluster_cidr, *service_cidr, *table, *dns_address, *domain, *resolv_conf;
        bool cleanup;
        enum log_level level;
};

struct daemon {
        struct loop *loop;
        const struct options *o;
        struct proxy *proxy;
        struct informer *services, *slices, *namespaces;
        int code;
};

static bool check(bool ok, const char *flag, const char *value)
{
        if (!ok)
                fprintf(stderr, "colibri-proxy: %s: \"%s\" is out of rule\n", flag, value);
        return ok;
}

/* All of these become part of commands for nft and ip. */
static bool check_options(const struct options *o)
{
        static const char table_chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
        const char *t = o->table;

        return check(service_is_cidr(o->cluster_cidr), "--cluster-cidr", o->cluster_cidr) &&
               check(service_is_cidr(o->service_cidr), "--service-cluster-ip-range", o->service_cidr) &&
               check(!*o->dns_address || service_is_ipv4(o->dns_address), "--dns-address", o->dns_address) &&
               check(isalpha((unsigned char)*t) && strlen(t) <= 64 && strspn(t, table_chars) == strlen(t),
                     "--nft-table", t);
}

static int parse(int argc, char **argv, struct options *o)
{
        const struct flag flags[] = {
                { "kubeconfig", FLAG_STRING, &o->kubeconfig, .help = "how to reach the API server; needed" },
                { "hostname-override", FLAG_STRING, &o->node, .help = "the node's name" },
                { "cluster-cidr", FLAG_STRING, &o->cluster_cidr, .help = "addresses of pods" },
                { "service-cluster-ip-range", FLAG_STRING, &o->service_cidr, .help = "addresses of Services" },
                { "nft-table", FLAG_STRING, &o->table, .help = "the table of rules that is ours" },
                { "dns-address", FLAG_STRING, &o->dns_address, .help = "where names are resolved; empty: nowhere" },
                { "resolv-conf", FLAG_STRING, &o->resolv_conf, .help = "who resolves names outside the cluster" },
                { "cluster-domain", FLAG_STRING, &o->domain, .help = "the zone of the cluster's names" },
                { "cleanup", FLAG_BOOL, &o->cleanup, .help = "take rules and interface away, and end" },
                { "v", FLAG_VERBOSITY, &o->level, .help = "from 4 on: debugging" },
        };

        flags_parse_or_exit("colibri-proxy", flags, ARRAY_SIZE(flags), argc, argv, NULL);
        if (!o->kubeconfig && !o->cleanup) {
                fprintf(stderr, "colibri-proxy: --kubeconfig is needed\n");
                return -EINVAL;
        }
        return check_options(o) ? 0 : -EINVAL;
}

static struct host_options host_options(const struct options *o)
{
        return (struct host_options){
                .table = o->table, .service_cidr = o->service_cidr, .dns_ip = *o->dns_address ? o->dns_address : NULL,
        };
}

static void cleanup(void *userdata)
{
        struct daemon *d = userdata;
        struct host_options host = host_options(d->o);
        _cleanup_error_ struct error err = ERROR_INIT;

        if (host_cleanup(d->loop, &host, &err) < 0) {
                fprintf(stderr, "colibri-proxy: %s\n", error_text(&err));
                d->code = 1;
        }
}

static void on_term(int signo, void *userdata)
{
        loop_stop(userdata, 0);
}

static void on_synced(struct informer *inf, void *userdata)
{
        struct daemon *d = userdata;

        proxy_synced(d->proxy);
}

static void on_failed(struct informer *inf, int code, const char *text, void *userdata)
{
        log_warn("watch: %s", text);
}

static struct informer *watch(struct daemon *d, struct client *client, const char *group, const char *resource,
                              bool metadata_only)
{
        struct informer_options o = {
                .group = group, .version = "v1", .resource = resource, .metadata_only = metadata_only,
                .synced = on_synced, .failed = on_failed, .userdata = d,
        };

        return informer_new(client, &o);
}

static bool records_synced(void *userdata)
{
        struct daemon *d = userdata;

        return informer_synced(d->services) && informer_synced(d->slices) && informer_synced(d->namespaces);
}

/* Shares the informers with the rules. */
static int start_dns(struct daemon *d, struct error *reterr)
{
        const struct dns_options o = {
                .address = d->o->dns_address, .domain = d->o->domain, .resolv_conf = d->o->resolv_conf,
                .services = informer_store(d->services), .slices = informer_store(d->slices),
                .namespaces = informer_store(d->namespaces), .synced = records_synced, .userdata = d,
        };
        struct dns *dns; /* lives as long as we do */

        return *o.address ? dns_new(d->loop, &o, &dns, reterr) : 0;
}

static int start(struct daemon *d, struct client *client, struct error *reterr)
{
        struct informer *services = watch(d, client, "", "services", false);
        struct informer *slices = watch(d, client, "discovery.k8s.io", "endpointslices", false);
        struct proxy_options o = {
                .node = d->o->node, .services = services, .slices = slices, .host = host_options(d->o),
        };

        o.rules = (struct rules_options){
                .table = d->o->table, .cluster_cidr = d->o->cluster_cidr, .service_cidr = d->o->service_cidr,
                .dns_ip = o.host.dns_ip,
        };
        d->proxy = proxy_new(d->loop, &o);
        d->services = services;
        d->slices = slices;
        d->namespaces = watch(d, client, "", "namespaces", true);
        if (start_dns(d, reterr) < 0)
                return reterr->code;
        informer_start(services);
        informer_start(slices);
        informer_start(d->namespaces);
        return 0;
}

/* Rules, interface and route stay when we end: Services go on answering until we are back, or --cleanup. */
int main(int argc, char **argv)
{
        char host[256] = "";
        struct options o = {
                .node = host, .cluster_cidr = "10.244.0.0/16", .service_cidr = "10.96.0.0/12", .table = "colibri",
                .dns_address = "", .domain = "cluster.local", .level = LOG_LEVEL_INFO,
        };
        _cleanup_error_ struct error err = ERROR_INIT;
        struct daemon d = { .loop = loop_new(), .o = &o };
        struct client *client;

        /* What a transaction needs in its worker thread comes from the one heap, and goes back with it. */
        mallopt(M_ARENA_MAX, 1);
        mallopt(M_TRIM_THRESHOLD, 256 << 10);
        gethostname(host, sizeof(host) - 1);
        for (char *c = host; *c; c++)
                *c = tolower((unsigned char)*c);
        if (parse(argc, argv, &o) < 0)
                return 2;
        log_init("proxy", o.level);
        if (o.cleanup) {
                fiber_run(d.loop, cleanup, &d);
                return d.code;
        }
        signal(SIGPIPE, SIG_IGN);
        loop_signal(d.loop, SIGTERM, on_term, d.loop);
        loop_signal(d.loop, SIGINT, on_term, d.loop);
        if (client_new(d.loop, o.kubeconfig, "colibri-proxy", &client, &err) < 0) {
                log_error("%s", error_text(&err));
                return 1;
        }
        if (start(&d, client, &err) < 0) {
                log_error("%s", error_text(&err));
                return 1;
        }
        return loop_run(d.loop);
}
