/* colibri-kubelet: a node of the cluster, or with --fake-nodes many that only pretend. */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>

#include "../lib/base/file.h"
#include "../lib/base/flags.h"
#include "../lib/base/log.h"
#include "../lib/json/yaml.h"
#include "../lib/meta/quantity.h"
#include "images/command.h"
#include "node.h"
#include "pods/fetch.h"
#include "runtime/cleanup.h"
#include "server/kubelet-server.h"

/* --- options --- */

struct options {
        struct kubelet_config kubelet;
        struct runtime_options runtime;
        const char *cert_file, *key_file, *client_ca_file, *address, *mirrors_file;
        bool cleanup; /* remove all that is left of this node, and end */
        bool keep_data; /* with cleanup: what must survive a reboot stays */
        char **words; /* what is no option: "image list" and kin; NULL-ended */
        int fake_nodes;
        const char *const *node_ips;
        enum log_level log_level;
};

static int take_bytes(const char *text, void *userdata, struct error *reterr)
{
        struct quantity q;

        if (quantity_parse(text, &q) != 0)
                return error_set(reterr, -EINVAL, "no quantity");
        *(int64_t *)userdata = quantity_value(&q);
        return 0;
}

static int take_runtime(const char *text, void *userdata, struct error *reterr)
{
        if (!streq(text, "runc") && !streq(text, "fake"))
                return error_set(reterr, -EINVAL, "must be runc or fake");
        *(bool *)userdata = streq(text, "fake");
        return 0;
}

/* "docker.io=http://127.0.0.1:5000,*=https://mirror" */
static int take_mirrors(const char *text, void *userdata, struct error *reterr)
{
        struct runtime_options *o = userdata;
        struct runtime_registry_mirror *list = xcalloc(strlen(text) + 1, sizeof(*list));
        size_t n = 0;

        for (const char *p = text; *p;) {
                size_t len = strcspn(p, ",");
                const char *eq = memchr(p, '=', len);

                if (!eq)
                        return error_set(reterr, -EINVAL, "must be REGISTRY=URL, with commas between them");
                list[n++] = (struct runtime_registry_mirror){ xstrndup(p, (size_t)(eq - p)),
                                                              xstrndup(eq + 1, len - (size_t)(eq + 1 - p)) };
                p += len + (p[len] == ',');
        }
        o->mirrors = list;
        o->n_mirrors = n;
        return 0;
}

static void parse_options(int argc, char **argv, struct options *o)
{
        struct kubelet_config *k = &o->kubelet;
        struct runtime_options *r = &o->runtime;
        const struct flag flags[] = {
                { "kubeconfig", FLAG_STRING, &k->kubeconfig, .help = "how to reach the API server; needed" },
                { "hostname-override", FLAG_STRING, &k->node_name, .help = "the node's name" },
                { "node-ip", FLAG_LIST, &o->node_ips, .help = "one address, or one of each family" },
                { "root-dir", FLAG_STRING, &k->root, .help = "images, containers and volumes" },
                { "run-dir", FLAG_STRING, &r->run, .help = "what need not survive a reboot" },
                { "cgroup-root", FLAG_STRING, &r->cgroup, .help = "the cgroup of all pods" },
                { "cni-conf-dir", FLAG_STRING, &r->cni_conf_dir, .help = "networks; empty: the bridge below" },
                { "cni-bin-dir", FLAG_STRING, &r->cni_bin_dirs, .help = "their plugins" },
                { "bridge", FLAG_STRING, &r->bridge, .help = "the bridge of the pods" },
                { "pod-cidr", FLAG_STRING, &r->pod_cidr, .help = "addresses of this node's pods" },
                { "cluster-cidr", FLAG_STRING, &r->cluster_cidr, .help = "addresses of all pods" },
                { "helpers", FLAG_STRING, &r->helpers, .help = "the folder of pause and unpack" },
                { "container-log-max-size", FLAG_CALL, &r->log_max_size, .take = take_bytes, .help = "rotated from there on" },
                { "container-log-max-files", FLAG_INT, &r->log_max_files, .min = 2, .max = 1000, .help = "files kept of a log" },
                { "log-dir", FLAG_STRING, &k->log_dir, .help = "logs of containers" },
                { "image-mirrors", FLAG_CALL, r, .take = take_mirrors, .help = "REGISTRY=URL,..." },
                { "insecure-registries", FLAG_LIST, &r->insecure_registries, .help = "those without a known certificate" },
                { "cleanup", FLAG_BOOL, &o->cleanup, .help = "remove all that is left of this node, and end" },
                { "keep-data", FLAG_BOOL, &o->keep_data, .help = "with it: what must survive a reboot stays" },
                { "registry-mirrors", FLAG_STRING, &o->mirrors_file, .help = "a file of mirrors" },
                { "pod-manifest-path", FLAG_STRING, &k->manifest_path, .help = "the folder of static pods" },
                { "address", FLAG_STRING, &o->address, .help = "of the kubelet's server" },
                { "port", FLAG_PORT, &k->port, .help = "of the kubelet's server" },
                { "tls-cert-file", FLAG_STRING, &o->cert_file, .help = "of the kubelet's server" },
                { "tls-private-key-file", FLAG_STRING, &o->key_file, .help = "of the kubelet's server" },
                { "client-ca-file", FLAG_STRING, &o->client_ca_file, .help = "whose clients the server knows" },
                { "cluster-dns", FLAG_LIST, &k->cluster_dns, .help = "the pods' resolvers" },
                { "cluster-domain", FLAG_STRING, &k->cluster_domain, .help = "the zone of the cluster's names" },
                { "resolv-conf", FLAG_STRING, &k->resolv_conf, .help = "the node's own resolvers" },
                { "max-pods", FLAG_INT, &k->max_pods, .min = 1, .max = 100000, .help = "how many run here" },
                { "runtime", FLAG_CALL, &k->fake, .take = take_runtime, .help = "runc (default) or fake" },
                { "fake-nodes", FLAG_INT, &o->fake_nodes, .max = 10000, .help = "nodes that pretend: HOST-0 to HOST-(N-1)" },
                { "fake-capacity", FLAG_STRING, &k->fake_capacity, .help = "of each: cpu=4,memory=8Gi" },
                { "register-node", FLAG_BOOL, &k->register_node, .help = "create the Node" },
                { "node-labels", FLAG_STRING, &k->labels, .help = "of that Node: a=b,c=d" },
                { "register-with-taints", FLAG_STRING, &k->taints, .help = "of that Node: key=value:Effect,..." },
                { "seccomp-root", FLAG_STRING, &r->seccomp_root, .help = "profiles of type Localhost" },
                { "eviction-memory-available", FLAG_CALL, &k->eviction_memory, .take = take_bytes,
                  .help = "pods go when less is free" },
                { "eviction-disk-available-percent", FLAG_INT, &k->eviction_disk_percent, .max = 100,
                  .help = "pods go when less is free" },
                { "image-gc-high-threshold", FLAG_INT, &k->image_gc_high, .max = 100, .help = "percent of the disk: images go" },
                { "image-gc-low-threshold", FLAG_INT, &k->image_gc_low, .max = 100, .help = "... until so much is used" },
                { "v", FLAG_VERBOSITY, &o->log_level, .help = "from 4 on: debugging" },
        };

        flags_parse_or_exit("colibri-kubelet", flags, ARRAY_SIZE(flags), argc, argv, &o->words);
        k->seccomp_root = r->seccomp_root;
        if (k->root)
                r->root = k->root;
        if (o->fake_nodes)
                k->fake = true;
        for (size_t i = 0; o->node_ips && o->node_ips[i] && i < ARRAY_SIZE(k->node_ips); i++)
                k->node_ips[i] = o->node_ips[i];
}

/* --- what was not given --- */

/* The address of the first interface that is up and no loopback; else the loopback's. */
static const char *guess_address(void)
{
        static char buf[INET_ADDRSTRLEN];
        struct ifaddrs *list = NULL;
        snprintf(buf, sizeof(buf), "127.0.0.1");
        if (getifaddrs(&list) < 0)
                return buf;
        for (struct ifaddrs *i = list; i; i = i->ifa_next) {
                if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || (i->ifa_flags & IFF_LOOPBACK) ||
                    !(i->ifa_flags & IFF_UP))
                        continue;
                inet_ntop(AF_INET, &((struct sockaddr_in *)i->ifa_addr)->sin_addr, buf, sizeof(buf));
                break;
        }
        freeifaddrs(list);
        return buf;
}

static void set_defaults(struct options *o)
{
        static char host[256];
        struct kubelet_config *k = &o->kubelet;
        if (!k->node_name) {
                gethostname(host, sizeof(host) - 1);
                for (char *p = host; *p; p++)
                        *p = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
                k->node_name = host;
        }
        if (!k->node_ips[0])
                k->node_ips[0] = guess_address();
}

/* mirrors: [{registry: docker.io, url: http://...}]; insecureRegistries: [...] */
static int read_mirrors(struct options *o, struct arena *a, struct error *reterr)
{
        _cleanup_free_ char *text = NULL;
        struct json *doc = NULL;
        size_t len;
        int r = file_read(o->mirrors_file, 1 << 20, &text, &len, reterr);
        if (r >= 0)
                r = yaml_parse(a, text, len, NULL, &doc, reterr);
        if (r < 0)
                return error_wrap(reterr, r, "%s", o->mirrors_file);
        const struct json *mirrors = json_get(doc, "mirrors"), *insecure = json_get(doc, "insecureRegistries");
        struct runtime_registry_mirror *list = arena_calloc(a, (json_len(mirrors) + 1) * sizeof(*list));
        json_foreach_item(mirrors, m)
                list[m_i] = (struct runtime_registry_mirror){json_get_string(m, "registry"), json_get_string(m, "url")};
        const char **names = arena_calloc(a, (json_len(insecure) + 1) * sizeof(*names));
        json_foreach_item(insecure, n)
                names[n_i] = json_string(n);
        o->runtime.mirrors = list;
        o->runtime.n_mirrors = json_len(mirrors);
        o->runtime.insecure_registries = names;
        return 0;
}

/* --- a node --- */

struct start {
        struct loop *loop;
        struct options *options;
        const char *name;
        int index;
};

static int start_runtime(struct kubelet *k, const struct options *o, struct error *reterr)
{
        int r = k->config.fake ? runtime_fake_new(k->loop, &o->runtime, &k->runtime, reterr)
                               : runtime_runc_new(k->loop, &o->runtime, &k->runtime, reterr);
        if (r < 0 || k->config.fake)
                return r;
        struct volumes_options v = {.root = k->config.root,
                                    .node_name = k->config.node_name,
                                    .fetch = {.get = kubelet_fetch, .token = kubelet_token, .userdata = k},
                                    .node_allocatable = k->allocatable};
        return volumes_new(k->loop, &v, &k->volumes, reterr);
}

static int start_server(struct kubelet *k, const struct options *o, struct error *reterr)
{
        struct kubelet_server_options s = {.address = o->address,
                                           .port = k->config.port,
                                           .cert_file = o->cert_file,
                                           .key_file = o->key_file,
                                           .client_ca_file = o->client_ca_file};
        if (!o->cert_file)
                return 0; /* no certificate, no server: nothing is ever served in the clear */
        return kubelet_server_new(k, &s, &k->server, reterr);
}

static int node_run(struct start *s, struct error *reterr)
{
        struct kubelet *k = new0(struct kubelet);
        k->loop = s->loop;
        k->config = s->options->kubelet;
        k->config.node_name = s->name;
        k->arena = arena_new(4096);
        map_init(&k->workers);
        map_init(&k->adopted);
        int r = dir_make(k->config.root, 0750, reterr);
        if (r < 0)
                return r;
        file_read(k->config.resolv_conf, 64 << 10, &k->host_resolv_conf, NULL, NULL);
        r = client_new(s->loop, k->config.kubeconfig, "kubelet/v1.36.2+colibri1", &k->client, reterr);
        if (r < 0)
                return r;
        node_measure(k);
        k->recorder = event_recorder_new(k->client, "kubelet", k->config.node_name);
        r = start_runtime(k, s->options, reterr);
        if (r < 0)
                return error_wrap(reterr, r, "runtime");
        k->node = node_new(k);
        r = s->index == 0 ? start_server(k, s->options, reterr) : 0;
        if (r < 0)
                return error_wrap(reterr, r, "server");
        log_info("node %s: started with runtime %s", k->config.node_name, k->runtime->ops->name);
        node_start(k->node);
        pods_start(k);
        return 0;
}

static void node_fiber(void *userdata)
{
        struct start *s = userdata;
        _cleanup_error_ struct error err = ERROR_INIT;
        if (node_run(s, &err) < 0) {
                log_error("node %s: %s", s->name, error_text(&err));
                loop_stop(s->loop, 1);
        }
        free(s);
}

static void on_signal(int signo, void *userdata)
{
        log_info("signal %d: going; containers stay", signo);
        loop_stop(userdata, 0);
}

int main(int argc, char **argv)
{
        static struct options o = {
                .kubelet = {.root = "/var/lib/colibri",
                            .cluster_domain = "cluster.local",
                            .resolv_conf = "/etc/resolv.conf",
                            .max_pods = 110,
                            .port = 10250,
                            .register_node = true,
                            .eviction_memory = 100 << 20,
                            .eviction_disk_percent = 10,
                            .image_gc_high = 85,
                            .image_gc_low = 80},
                .runtime = {.root = "/var/lib/colibri", .run = "/run/colibri", .cgroup = "colibri", .bridge = "colibri0",
                            .log_max_size = 10 << 20},
                .address = "0.0.0.0",
                .log_level = LOG_LEVEL_INFO,
        };
        parse_options(argc, argv, &o);
        log_init("kubelet", o.log_level);
        if (*o.words && !streq(*o.words, "image")) {
                log_error("unknown command \"%s\"", *o.words);
                return 2;
        }
        if (!o.kubelet.kubeconfig && !o.cleanup && !*o.words) {
                log_error("--kubeconfig is needed");
                return 2;
        }
        set_defaults(&o);
        if (*o.words)
                return image_command(&o.runtime, (const char *const *)o.words + 1);
        if (o.cleanup) {
                _cleanup_error_ struct error failure = ERROR_INIT;
                struct node_cleanup_options c = {o.runtime.root, o.runtime.run, o.runtime.cgroup, o.runtime.bridge, o.keep_data};
                if (node_cleanup(&c, &failure) >= 0)
                        return 0;
                log_error("cleanup: %s", error_text(&failure));
                return 1;
        }
        struct loop *loop = loop_new();
        struct arena *a = arena_new(4096);
        _cleanup_error_ struct error err = ERROR_INIT;
        if (o.mirrors_file && read_mirrors(&o, a, &err) < 0) {
                log_error("%s", error_text(&err));
                return 2;
        }
        signal(SIGPIPE, SIG_IGN);
        loop_signal(loop, SIGTERM, on_signal, loop);
        loop_signal(loop, SIGINT, on_signal, loop);
        struct node_watch together = {.nodes = MAP_INIT};
        o.kubelet.node_watch = &together;
        for (int i = 0; i < MAX(o.fake_nodes, 1); i++) {
                struct start *s = new0(struct start);
                *s = (struct start){loop, &o, o.kubelet.node_name, i};
                if (o.fake_nodes)
                        s->name = arena_printf(a, "%s-%d", o.kubelet.node_name, i);
                fiber_start(loop, node_fiber, s);
        }
        int code = loop_run(loop);
        arena_free(a);
        return code;
}
