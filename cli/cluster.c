/* Settings and process files of a cluster: see cluster.h. */
#include "cluster.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>

#include "../lib/base/file.h"
#include "../lib/base/time.h"
#include "../lib/http/client.h"

/* The address that packets to the world would leave from; without a default route the first that is
 * not loopback's. Nothing is sent. */
static void own_address(const struct settings *s, char *buf, size_t size)
{
        _cleanup_free_ char *pods = settings_get(s, "network.podCIDR");
        struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
        socklen_t len = sizeof(to);
        _cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        struct ifaddrs *list = NULL;

        inet_pton(AF_INET, "192.0.2.1", &to.sin_addr);
        if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
            getsockname(fd, (struct sockaddr *)&to, &len) == 0) {
                inet_ntop(AF_INET, &to.sin_addr, buf, (socklen_t)size);
                return;
        }
        /* Without any network: the address that the bridge of the pods will have. The API server refuses a loopback's, which
         * means another machine to each pod. */
        to.sin_addr.s_addr = htonl(0x7f000001);
        pods[strcspn(pods, "/")] = '\0';
        if (inet_pton(AF_INET, pods, &to.sin_addr) == 1)
                to.sin_addr.s_addr = htonl(ntohl(to.sin_addr.s_addr) + 1);
        inet_ntop(AF_INET, &to.sin_addr, buf, (socklen_t)size);
        if (getifaddrs(&list) < 0)
                return;
        for (struct ifaddrs *i = list; i; i = i->ifa_next) {
                if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || i->ifa_flags & IFF_LOOPBACK)
                        continue;
                inet_ntop(AF_INET, &((struct sockaddr_in *)i->ifa_addr)->sin_addr, buf, (socklen_t)size);
                break;
        }
        freeifaddrs(list);
}

static void set_if_empty(struct settings *s, const char *key, const char *value)
{
        _cleanup_free_ char *now = settings_get(s, key);

        if (!*now)
                settings_set(s, key, value, NULL);
}

static void fill_from_machine(struct settings *s)
{
        char host[256] = "localhost", address[64];

        gethostname(host, sizeof(host) - 1);
        for (char *p = host; *p; p++)
                *p = (char)tolower((unsigned char)*p);
        own_address(s, address, sizeof(address));
        set_if_empty(s, "kubelet.nodeName", host);
        set_if_empty(s, "kubelet.nodeIP", address);
        set_if_empty(s, "apiserver.advertiseAddress", address);
}

/* Clusters of one machine must not share ports, interfaces, tables and cgroups. The folder tells
 * them apart; ports follow from apiserver.port. */
static void separate(struct settings *s)
{
        uint32_t h = hash_bytes(s->root, strlen(s->root));
        unsigned port = settings_get_uint(s, "apiserver.port");
        const struct {
                const char *key;
                char *value;
        } derived[] = {
                { "etcd.clientPort", xasprintf("%u", port + 1) },
                { "etcd.peerPort", xasprintf("%u", port + 2) },
                { "kubelet.port", xasprintf("%u", port + 3) },
                { "network.bridge", xasprintf("colibri%06x", h & 0xffffff) },
                { "network.nftTable", xasprintf("colibri-%06x", h & 0xffffff) },
                { "network.podCIDR", xasprintf("10.%u.%u.0/24", 128 + h % 64, h / 64 % 256) },
                { "network.clusterCIDR", xasprintf("10.%u.%u.0/24", 128 + h % 64, h / 64 % 256) },
                { "kubelet.cgroup", xasprintf("colibri-%06x", h & 0xffffff) },
        };

        for (size_t i = 0; i < ARRAY_SIZE(derived); i++) {
                if (!map_has(&s->values, derived[i].key))
                        settings_set(s, derived[i].key, derived[i].value, NULL);
                free(derived[i].value);
        }
}

/* *ret_changed: the first key that is now another than it was; the caller frees; NULL: none. */
static int apply_overrides(struct settings *s, const char *const *overrides, char **ret_changed, struct error *reterr)
{
        *ret_changed = NULL;
        for (size_t i = 0; overrides && overrides[i]; i++) {
                const char *eq = strchr(overrides[i], '=');
                _cleanup_free_ char *key = eq ? xstrndup(overrides[i], (size_t)(eq - overrides[i])) : NULL;
                _cleanup_free_ char *before = eq ? settings_get(s, key) : NULL, *after = NULL;

                if (!eq)
                        return error_set(reterr, -EINVAL, "--set wants KEY=VALUE, not \"%s\"", overrides[i]);
                if (settings_set(s, key, eq + 1, reterr) < 0)
                        return -EINVAL;
                after = settings_get(s, key);
                if (!*ret_changed && !streq(before, after))
                        *ret_changed = xasprintf("%s is \"%s\" in its settings", key, before);
        }
        return 0;
}

int cluster_open(struct cluster *c, const char *root, const char *const *overrides, struct error *reterr)
{
        _cleanup_free_ char *file = NULL, *changed = NULL;
        int r = 0;

        *c = (struct cluster){ 0 };
        settings_init(&c->settings, root);
        file = settings_fill(&c->settings, "{root}/etc/colibri/colibri.yaml");
        if (file_exists(file)) {
                r = settings_load(&c->settings, file, reterr);
                c->exists = true;
        }
        if (r == 0)
                r = apply_overrides(&c->settings, overrides, &changed, reterr);
        if (c->exists)
                c->conflict = steal_ptr(changed);
        if (r < 0) {
                free(c->conflict);
                settings_deinit(&c->settings);
                return r;
        }
        if (*c->settings.root)
                separate(&c->settings);
        c->loop = loop_new();
        c->config_dir = settings_get(&c->settings, "dirs.config");
        c->data_dir = settings_get(&c->settings, "dirs.data");
        c->run_dir = settings_get(&c->settings, "dirs.run");
        c->log_dir = settings_get(&c->settings, "dirs.log");
        c->pki_dir = settings_get(&c->settings, "pki");
        return 0;
}

void cluster_fill_from_machine(struct cluster *c)
{
        fill_from_machine(&c->settings);
}

void cluster_close(struct cluster *c)
{
        settings_deinit(&c->settings);
        loop_free(c->loop);
        free(c->conflict);
        free(c->config_dir);
        free(c->data_dir);
        free(c->run_dir);
        free(c->log_dir);
        free(c->pki_dir);
}

bool cluster_has(const struct cluster *c, const char *component)
{
        _cleanup_free_ char *list = settings_get(&c->settings, "cluster.components");
        _cleanup_free_ char *padded = xasprintf(",%s,", list), *wanted = xasprintf(",%s,", component);

        return strstr(padded, wanted);
}

char *cluster_server(const struct cluster *c)
{
        return settings_fill(&c->settings, "https://127.0.0.1:{apiserver.port}");
}

/* --- process files --- */

static char *process_file_path(const struct cluster *c, const char *name)
{
        return xasprintf("%s/%s.pid", c->run_dir, name);
}

/* Field 22, counted behind the parenthesis that closes the name; 0: no such process. */
static unsigned long long start_time(pid_t pid)
{
        char path[64], buf[1024], *p;
        unsigned long long value = 0;
        _cleanup_free_ char *text = NULL;

        snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        if (file_read(path, sizeof(buf), &text, NULL, NULL) < 0)
                return 0;
        p = strrchr(text, ')');
        if (!p || p[1] != ' ' || p[2] == 'Z')
                return 0;
        p++;
        for (int field = 3; field < 22 && p; field++) /* p: the space before it */
                p = strchr(p + 1, ' ');
        if (!p || sscanf(p, "%llu", &value) != 1)
                return 0;
        return value;
}

int process_file_write(const struct cluster *c, const char *name, pid_t pid, unsigned restarts, struct error *reterr)
{
        _cleanup_free_ char *path = process_file_path(c, name);
        _cleanup_free_ char *text = xasprintf("%d %llu %u\n", (int)pid, start_time(pid), restarts);

        return file_write(path, text, strlen(text), 0644, reterr);
}

int process_file_read(const struct cluster *c, const char *name, struct process_file *ret)
{
        _cleanup_free_ char *path = process_file_path(c, name), *text = NULL;
        int pid = 0;

        *ret = (struct process_file){ 0 };
        if (file_read(path, 256, &text, NULL, NULL) < 0 ||
            sscanf(text, "%d %llu %u", &pid, &ret->start_time, &ret->restarts) != 3 || pid <= 1)
                return -ESRCH;
        ret->pid = pid;
        return ret->start_time && start_time(pid) == ret->start_time ? 0 : -ESRCH;
}

void process_file_remove(const struct cluster *c, const char *name)
{
        _cleanup_free_ char *path = process_file_path(c, name);

        unlink(path);
}

int cluster_probe(struct cluster *c, const char *path, struct error *reterr)
{
        _cleanup_free_ char *ca = xasprintf("%s/ca.crt", c->pki_dir);
        _cleanup_free_ char *server = cluster_server(c), *url = xasprintf("%s%s", server, path);
        struct http_client_options options = { .ca_file = ca };
        struct http_call call = { .method = "GET", .url = url, .timeout_ns = 5 * NS_PER_SEC };
        struct http_client *client = NULL;
        struct http_reply reply = { 0 };
        int r;

        r = http_client_new(c->loop, &options, &client, reterr);
        if (r == 0) {
                r = http_call(client, &call, &reply, reterr);
                if (r == 0)
                        r = (int)reply.status;
                http_reply_deinit(&reply);
                http_client_free(client);
        }
        return r;
}
