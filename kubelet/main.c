/* colibri-kubelet: a node of the cluster, or with --fake-nodes many that only pretend. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>

#include "../lib/base/file.h"
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
        unsigned fake_nodes;
        enum log_level log_level;
};

/*      long option             argument   what it sets */
#define OPTIONS(X)                                                                                 \
        X("kubeconfig", true, o->kubelet.kubeconfig = arg)                                         \
        X("hostname-override", true, o->kubelet.node_name = arg)                                   \
        X("node-ip", true, set_node_ips(o, arg))                                                   \
        X("root-dir", true, o->kubelet.root = o->runtime.root = arg)                               \
        X("run-dir", true, o->runtime.run = arg)                                                   \
        X("cgroup-root", true, o->runtime.cgroup = arg)                                            \
        X("cni-conf-dir", true, o->runtime.cni_conf_dir = arg)                                     \
        X("cni-bin-dir", true, o->runtime.cni_bin_dirs = arg)                                      \
        X("bridge", true, o->runtime.bridge = arg)                                                 \
        X("pod-cidr", true, o->runtime.pod_cidr = arg)                                             \
        X("cluster-cidr", true, o->runtime.cluster_cidr = arg)                                     \
        X("helpers", true, o->runtime.helpers = arg)                                               \
        X("container-log-max-size", true, o->runtime.log_max_size = parse_bytes(arg))              \
        X("container-log-max-files", true, o->runtime.log_max_files = atoi(arg))                   \
        X("log-dir", true, o->kubelet.log_dir = arg)                                               \
        X("image-mirrors", true, set_mirrors(o, arg))                                              \
        X("insecure-registries", true, set_insecure(o, arg))                                       \
        X("cleanup", false, o->cleanup = true)                                                     \
        X("keep-data", false, o->keep_data = true)                                                 \
        X("registry-mirrors", true, o->mirrors_file = arg)                                         \
        X("pod-manifest-path", true, o->kubelet.manifest_path = arg)                               \
        X("address", true, o->address = arg)                                                       \
        X("port", true, o->kubelet.port = (uint16_t)atoi(arg))                                     \
        X("tls-cert-file", true, o->cert_file = arg)                                               \
        X("tls-private-key-file", true, o->key_file = arg)                                         \
        X("client-ca-file", true, o->client_ca_file = arg)                                         \
        X("cluster-dns", true, set_cluster_dns(o, arg))                                            \
        X("cluster-domain", true, o->kubelet.cluster_domain = arg)                                 \
        X("resolv-conf", true, o->kubelet.resolv_conf = arg)                                       \
        X("max-pods", true, o->kubelet.max_pods = atoi(arg))                                       \
        X("runtime", true, o->kubelet.fake = streq(arg, "fake"))                                   \
        X("fake-nodes", true, (o->fake_nodes = (unsigned)atoi(arg), o->kubelet.fake = true))       \
        X("fake-capacity", true, o->kubelet.fake_capacity = arg)                                   \
        X("register-node", true, o->kubelet.register_node = !streq(arg, "false"))                  \
        X("node-labels", true, o->kubelet.labels = arg)                                            \
        X("register-with-taints", true, o->kubelet.taints = arg)                                   \
        X("seccomp-root", true, o->kubelet.seccomp_root = o->runtime.seccomp_root = arg)           \
        X("eviction-memory-available", true, o->kubelet.eviction_memory = parse_bytes(arg))        \
        X("eviction-disk-available-percent", true, o->kubelet.eviction_disk_percent = atoi(arg))   \
        X("image-gc-high-threshold", true, o->kubelet.image_gc_high = atoi(arg))                   \
        X("image-gc-low-threshold", true, o->kubelet.image_gc_low = atoi(arg))                     \
        X("v", true, o->log_level = atoi(arg) >= 4 ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO)

static int64_t parse_bytes(const char *s)
{
        struct quantity q;
        return quantity_parse(s, &q) == 0 ? quantity_value(&q) : 0;
}

static void set_node_ips(struct options *o, char *arg)
{
        char *save = NULL;
        o->kubelet.node_ips[0] = strtok_r(arg, ",", &save);
        o->kubelet.node_ips[1] = strtok_r(NULL, ",", &save);
}

/* "docker.io=http://127.0.0.1:5000,*=https://mirror" */
static void set_mirrors(struct options *o, char *arg)
{
        static struct runtime_registry_mirror list[32];
        char *save = NULL;
        size_t n = 0;
        for (char *p = strtok_r(arg, ",", &save); p && n < ARRAY_SIZE(list); p = strtok_r(NULL, ",", &save)) {
                char *eq = strchr(p, '=');
                if (!eq)
                        continue;
                *eq = '\0';
                list[n++] = (struct runtime_registry_mirror){p, eq + 1};
        }
        o->runtime.mirrors = list;
        o->runtime.n_mirrors = n;
}

static void set_insecure(struct options *o, char *arg)
{
        static const char *list[32];
        char *save = NULL;
        size_t n = 0;
        for (char *p = strtok_r(arg, ",", &save); p && n + 1 < ARRAY_SIZE(list); p = strtok_r(NULL, ",", &save))
                list[n++] = p;
        o->runtime.insecure_registries = list;
}

static void set_cluster_dns(struct options *o, char *arg)
{
        char *save = NULL, *p = strtok_r(arg, ",", &save);
        for (size_t i = 0; p && i < 3; i++, p = strtok_r(NULL, ",", &save))
                o->kubelet.cluster_dns[i] = p;
}

static void usage(void)
{
        printf("Usage: colibri-kubelet --kubeconfig=FILE [options]\n\nOptions, named as the Kubernetes kubelet's:\n");
#define X_USAGE(opt, has_arg, set) printf("  --%s%s\n", opt, has_arg ? "=..." : "");
        OPTIONS(X_USAGE)
#undef X_USAGE
        printf("\n--runtime=runc (default) or fake; --fake-nodes=N runs N nodes named HOST-0 to HOST-(N-1).\n");
}

static int parse_options(int argc, char **argv, struct options *o)
{
        static const struct option table[] = {
#define X_LONG(opt, has_arg, set) {opt, has_arg ? required_argument : no_argument, NULL, 0},
                OPTIONS(X_LONG)
#undef X_LONG
                        {"help", no_argument, NULL, 'h'},
                {NULL, 0, NULL, 0}};
        for (;;) {
                int index = 0, c = getopt_long(argc, argv, "h", table, &index);
                if (c == -1) {
                        o->words = argv + optind;
                        return optind == argc || streq(argv[optind], "image") ? 0 : -EINVAL;
                }
                if (c == 'h') {
                        usage();
                        exit(0);
                }
                if (c != 0)
                        return -EINVAL;
                char *arg = optarg;
                if (arg && !*arg)
                        continue; /* a setting that is left empty */
#define X_SET(opt, has_arg, set)                                                                  \
        if (streq(table[index].name, opt)) {                                                       \
                set;                                                                               \
                continue;                                                                          \
        }
                OPTIONS(X_SET)
#undef X_SET
        }
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
        if (!o->runtime.log_max_size)
                o->runtime.log_max_size = 10 << 20;
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
        unsigned index;
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
                .runtime = {.root = "/var/lib/colibri", .run = "/run/colibri", .cgroup = "colibri", .bridge = "colibri0"},
                .address = "0.0.0.0",
                .log_level = LOG_LEVEL_INFO,
        };
        if (parse_options(argc, argv, &o) < 0 || (!o.kubelet.kubeconfig && !o.cleanup && !*o.words)) {
                fprintf(stderr, "colibri-kubelet: see --help; --kubeconfig is needed\n");
                return 2;
        }
        log_init("kubelet", o.log_level);
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
        for (unsigned i = 0; i < MAX(o.fake_nodes, 1u); i++) {
                struct start *s = new0(struct start);
                *s = (struct start){loop, &o, o.kubelet.node_name, i};
                if (o.fake_nodes)
                        s->name = arena_printf(a, "%s-%u", o.kubelet.node_name, i);
                fiber_start(loop, node_fiber, s);
        }
        int code = loop_run(loop);
        arena_free(a);
        return code;
}
