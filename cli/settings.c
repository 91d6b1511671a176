/* The table of settings and what follows from it: see settings.h. */
#include "settings.h"

#include <stdio.h>
#include <sys/un.h>

#include "../lib/base/arena.h"
#include "../lib/base/file.h"
#include "../lib/json/yaml.h"

const struct setting settings_table[] = {
        { "cluster.components", "etcd,apiserver,controllers,scheduler,kubelet,proxy", "daemons, with commas", "what runs here" },
        /* where things live */
        { "dirs.config", "{root}/etc/colibri", "folder", "this file, certificates and kubeconfigs" },
        { "dirs.data", "{root}/var/lib/colibri", "folder", "etcd, images, volumes: what must survive a reboot" },
        { "dirs.run", "{root}/run/colibri", "folder", "sockets, process files, network namespaces" },
        { "dirs.log", "{root}/var/log/colibri", "folder", "a log a daemon" },
        { "dirs.bin", "", "folder", "where the daemons' programs are; empty: beside this one" },
        { "logs.maxSize", "16777216", "bytes", "a daemon's log is rotated past this size, one old one is kept" },
        /* the API server */
        { "apiserver.address", "0.0.0.0", "IP address", "where it listens" },
        { "apiserver.port", "6443", "TCP port", "" },
        { "apiserver.advertiseAddress", "", "IP address", "how pods and other machines reach it; empty: the address of the default route" },
        { "apiserver.extraNames", "", "names and addresses, with commas", "more subject alternative names of its certificate" },
        { "apiserver.auditPolicyFile", "", "file", "a Policy of audit.k8s.io/v1: what is recorded; empty: nothing" },
        { "apiserver.auditLogPath", "{dirs.log}/audit.log", "file", "where it is recorded" },
        { "apiserver.auditLogMaxAge", "", "days", "rotated audit logs are kept; empty: for good" },
        { "apiserver.auditLogMaxBackup", "", "files", "rotated audit logs that are kept; empty: all" },
        { "apiserver.auditLogMaxSize", "100", "megabytes", "an audit log is rotated past this size" },
        { "apiserver.extraArgs", "", "arguments, with spaces", "passed on as they are" },
        /* etcd */
        { "etcd.endpoints", "", "URLs, with commas", "an existing etcd cluster; empty: one of our own" },
        { "etcd.caFile", "{dirs.config}/pki/etcd-ca.crt", "file", "who signs etcd's certificate" },
        { "etcd.certFile", "{dirs.config}/pki/apiserver-etcd.crt", "file", "our client certificate" },
        { "etcd.keyFile", "{dirs.config}/pki/apiserver-etcd.key", "file", "" },
        { "etcd.clientPort", "2379", "TCP port", "of our own etcd, on loopback" },
        { "etcd.peerPort", "2380", "TCP port", "of our own etcd, on loopback" },
        { "etcd.quota", "2147483648", "bytes", "etcd refuses writes past this size" },
        /* the network */
        { "network.serviceCIDR", "10.96.0.0/12", "CIDR", "addresses of Services" },
        { "network.podCIDR", "10.244.0.0/24", "CIDR", "addresses of this machine's pods" },
        { "network.clusterCIDR", "10.244.0.0/16", "CIDR", "addresses of all machines' pods" },
        { "network.bridge", "colibri0", "interface", "the bridge that pods hang on" },
        { "network.nftTable", "colibri", "name", "the nftables table of Services" },
        { "network.cniConfig", "{dirs.config}/cni", "folder", "CNI configuration lists; ours is written where there is none" },
        { "network.cniPlugins", "/usr/lib/cni:/opt/cni/bin", "folders, with colons", "CNI plugins" },
        { "dns.address", "10.96.0.10", "IP address", "of the cluster's resolver; within network.serviceCIDR" },
        { "dns.domain", "cluster.local", "domain", "of Services" },
        /* controllers */
        { "controllers.nodeMonitorGracePeriod", "50s", "duration", "a machine that says nothing for so long is not ready" },
        { "controllers.nodeMonitorPeriod", "5s", "duration", "how often that is looked at" },
        { "controllers.pvClaimBinderSyncPeriod", "15s", "duration", "claims without a volume are tried again" },
        { "controllers.terminatedPodGCThreshold", "12500", "pods", "finished pods past this number are removed" },
        { "controllers.extraArgs", "", "arguments, with spaces", "passed on as they are" },
        { "scheduler.extraArgs", "", "arguments, with spaces", "passed on as they are" },
        /* the node */
        { "kubelet.nodeName", "", "name", "empty: the host's name in lower case" },
        { "kubelet.nodeIP", "", "IP address", "empty: the address of the default route" },
        { "kubelet.address", "0.0.0.0", "IP address", "where it serves logs and exec" },
        { "kubelet.port", "10250", "TCP port", "" },
        { "kubelet.maxPods", "110", "pods", "" },
        { "kubelet.staticPods", "{dirs.config}/manifests", "folder", "static pods" },
        { "kubelet.cgroup", "colibri", "path", "the cgroup that all pods are in, below each controller's root" },
        { "kubelet.runtime", "runc", "runc or fake", "fake runs nothing: for scale tests" },
        { "kubelet.extraArgs", "", "arguments, with spaces", "passed on as they are" },
        { "proxy.extraArgs", "", "arguments, with spaces", "passed on as they are" },
        /* images */
        { "images.mirrors", "", "registry=address, with commas", "where images of a registry come from instead: docker.io=http://127.0.0.1:5000" },
        { "images.insecureRegistries", "", "registries, with commas", "spoken to without TLS" },
};
const size_t n_settings = ARRAY_SIZE(settings_table);

static const struct setting *find(const char *key)
{
        for (size_t i = 0; i < n_settings; i++)
                if (streq(settings_table[i].key, key))
                        return &settings_table[i];
        return NULL;
}

void settings_init(struct settings *s, const char *root)
{
        *s = (struct settings){ .values = MAP_INIT, .root = xstrdup(root ? root : "") };
}

void settings_deinit(struct settings *s)
{
        struct map_entry *e;

        map_foreach(&s->values, e)
                free(e->value);
        map_deinit(&s->values);
        free(s->root);
}

int settings_set(struct settings *s, const char *key, const char *value, struct error *reterr)
{
        if (!find(key))
                return error_set(reterr, -EINVAL, "there is no setting \"%s\"", key);
        free(map_put(&s->values, key, xstrdup(value)));
        return 0;
}

/* A socket's path has its limit: below a root with a long name, the API server speaks TLS with etcd. */
static bool socket_fits(const struct settings *s)
{
        _cleanup_free_ char *path = settings_get(s, "etcd.socket");

        return *path == '/' && strlen(path) < sizeof(((struct sockaddr_un *)0)->sun_path);
}

static const char *raw(const struct settings *s, const char *key)
{
        const char *value = map_get(&s->values, key);
        const struct setting *entry;

        if (value)
                return value;
        if (streq(key, "root"))
                return s->root;
        if (streq(key, "pki"))
                return "{dirs.config}/pki";
        if (streq(key, "etcd.socket"))
                return "{dirs.run}/etcd/client:{etcd.clientPort}";
        if (streq(key, "etcd.servers") && *raw(s, "etcd.endpoints"))
                return "{etcd.endpoints}";
        if (streq(key, "etcd.servers"))
                return socket_fits(s) ? "unix://{etcd.socket}" : "https://127.0.0.1:{etcd.clientPort}";
        if (streq(key, "etcd.dataDir"))
                return *raw(s, "etcd.endpoints") ? "" : "{dirs.data}/etcd";
        entry = find(key);
        return entry ? entry->value : NULL;
}

static void fill(const struct settings *s, const char *text, unsigned depth, struct strbuf *out)
{
        /* A value may name other keys; four deep is more than the table has. */
        while (*text) {
                const char *end = *text == '{' ? strchr(text, '}') : NULL;
                const char *value = NULL;

                if (end && depth < 5) {
                        _cleanup_free_ char *key = xstrndup(text + 1, (size_t)(end - text - 1));

                        value = raw(s, key);
                }
                if (value) {
                        fill(s, value, depth + 1, out);
                        text = end + 1;
                } else {
                        strbuf_putc(out, *text++);
                }
        }
}

char *settings_fill(const struct settings *s, const char *text)
{
        struct strbuf out = STRBUF_INIT;

        fill(s, text, 0, &out);
        return strbuf_steal(&out);
}

char *settings_get(const struct settings *s, const char *key)
{
        const char *value = raw(s, key);

        return settings_fill(s, value ? value : "");
}

unsigned settings_get_uint(const struct settings *s, const char *key)
{
        _cleanup_free_ char *value = settings_get(s, key);

        return (unsigned)strtoul(value, NULL, 10);
}

/* A list or a map in the file is the same as one string with commas. */
static char *scalar_text(struct arena *a, const struct json *j)
{
        _cleanup_strbuf_ struct strbuf out = STRBUF_INIT;

        switch ((enum json_type)j->type) {
        case JSON_STRING:
        case JSON_NUMBER:
                return arena_strdup(a, j->str);
        case JSON_BOOL:
                return arena_strdup(a, j->boolean ? "true" : "false");
        case JSON_ARRAY:
                json_foreach_item(j, item)
                        strbuf_printf(&out, "%s%s", item_i ? "," : "", scalar_text(a, item));
                break;
        case JSON_OBJECT:
                json_foreach_member(j, m)
                        strbuf_printf(&out, "%s%s=%s", out.len ? "," : "", m->key, scalar_text(a, m->value));
                break;
        case JSON_NULL:
                break;
        }
        return arena_strdup(a, strbuf_str(&out));
}

static int load_object(struct settings *s, struct arena *a, const char *prefix, const struct json *obj,
                       struct error *reterr)
{
        json_foreach_member(obj, m)
        {
                const char *key = arena_printf(a, "%s%s%s", prefix, *prefix ? "." : "", m->key);
                int r;

                if (json_is_null(m->value)) /* a group of which nothing is set */
                        continue;
                if (json_is_object(m->value) && !find(key))
                        r = load_object(s, a, key, m->value, reterr);
                else
                        r = settings_set(s, key, scalar_text(a, m->value), reterr);
                if (r < 0)
                        return r;
        }
        return 0;
}

int settings_load(struct settings *s, const char *path, struct error *reterr)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        _cleanup_free_ char *text = NULL;
        struct json *j;
        size_t len;
        int r;

        r = file_read(path, 1 << 20, &text, &len, reterr);
        if (r == 0)
                r = yaml_parse(a, text, len, NULL, &j, reterr);
        if (r == 0 && !json_is_object(j) && !json_is_null(j))
                r = error_set(reterr, -EINVAL, "not a map of settings");
        if (r == 0)
                r = load_object(s, a, "", j, reterr);
        if (r < 0)
                error_wrap(reterr, r, "%s", path);
        return r;
}

void settings_template(const struct settings *s, struct strbuf *out)
{
        const char *group = "";
        size_t group_len = 0;

        strbuf_puts(out, "# Settings of this machine's colibri. What is commented out has the value shown.\n"
                         "# `colibri down` and `colibri up` make changes take effect.\n");
        for (size_t i = 0; i < n_settings; i++) {
                const struct setting *e = &settings_table[i];
                size_t n = strcspn(e->key, ".");

                if (n != group_len || strncmp(group, e->key, n) != 0) {
                        strbuf_printf(out, "\n%.*s:\n", (int)n, e->key);
                        group = e->key;
                        group_len = n;
                }
                const char *set = map_get(&s->values, e->key);

                strbuf_printf(out, "  # %s%s(%s)\n  %s%s: \"%s\"\n", e->help, *e->help ? " " : "", e->unit,
                              set ? "" : "# ", e->key + n + 1, set ? set : e->value);
        }
}
