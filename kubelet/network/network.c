/* CNI: configuration lists, plugin calls, results.
 *
 * A plugin is a program: CNI_COMMAND and friends in its environment, its configuration on standard input with
 * the result of the one before it under prevResult, its own result or error on standard output. What was added is remembered in a
 * file until it is deleted, as the specification asks, so that DEL and CHECK get what ADD made.
 */
#include "network.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "../../lib/base/file.h"
#include "../../lib/base/time.h"

struct network {
        struct loop *loop;
        struct arena *arena;
        struct network_options o;
        char *pod_cidr; /* owned; NULL: not known */
        /* One call at a time for each pod is what the specification asks; host-local and the bridge do their own locking. */
};

#define CONF_NAME "10-colibri.conflist"
#define OUR_MARK "colibri-default"

static int fail_ready(struct error *reterr, const char *why)
{
        return error_set(reterr, -ENOENT,
                         "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady "
                         "message:Network plugin returns error: %s", why);
}

/* --- the configuration --- */

/* What we write where there is none. No masquerading here: that is one rule of the node's, not one a pod. */
static char *default_conflist(struct arena *a, const struct network *n)
{
        struct json *list = json_new_object(a), *plugins, *bridge = json_new_object(a), *portmap = json_new_object(a);
        struct json *ipam, *range = json_new_array(a), *subnet = json_new_object(a), *route = json_new_object(a);
        struct strbuf b = STRBUF_INIT;
        char *text;

        json_set_string(a, list, "cniVersion", "1.0.0");
        json_set_string(a, list, "name", OUR_MARK);
        plugins = json_ensure_array(a, list, "plugins");
        json_set_string(a, bridge, "type", "bridge");
        json_set_string(a, bridge, "bridge", n->o.bridge);
        json_set_bool(a, bridge, "isGateway", true);
        json_set_bool(a, bridge, "ipMasq", false);
        json_set_bool(a, bridge, "hairpinMode", true);
        if (n->o.mtu)
                json_set_int(a, bridge, "mtu", n->o.mtu);
        ipam = json_ensure_object(a, bridge, "ipam");
        json_set_string(a, ipam, "type", "host-local");
        json_set_string(a, ipam, "dataDir", arena_printf(a, "%s/addresses", n->o.state_dir));
        json_set_string(a, subnet, "subnet", n->pod_cidr);
        json_append(a, range, subnet);
        json_append(a, json_ensure_array(a, ipam, "ranges"), range);
        json_set_string(a, route, "dst", "0.0.0.0/0");
        json_append(a, json_ensure_array(a, ipam, "routes"), route);
        json_append(a, plugins, bridge);
        json_set_string(a, portmap, "type", "portmap");
        json_path_set(a, portmap, "capabilities.portMappings", json_new_bool(a, true));
        json_append(a, plugins, portmap);
        json_write_pretty(&b, list, 2);
        text = arena_strdup(a, strbuf_str(&b));
        strbuf_deinit(&b);
        return text;
}

static bool is_conf(const char *name)
{
        return name[0] != '.' &&
               (str_has_suffix(name, ".conflist") || str_has_suffix(name, ".conf") || str_has_suffix(name, ".json"));
}

/* The first by name, as kubelets have always taken it; NULL: none. */
static char *find_conf(struct arena *a, const char *dir_path)
{
        DIR *dir = opendir(dir_path);
        struct dirent *e;
        char *first = NULL;

        while (dir && (e = readdir(dir)))
                if (is_conf(e->d_name) && (!first || strcmp(e->d_name, first) < 0))
                        first = arena_strdup(a, e->d_name);
        if (dir)
                closedir(dir);
        return first ? arena_printf(a, "%s/%s", dir_path, first) : NULL;
}

/* A list; a single plugin's configuration becomes a list of one. */
static int load_conf(struct network *n, struct arena *a, struct json **ret, struct error *reterr)
{
        char *path = find_conf(a, n->o.conf_dir), *text = NULL;
        struct json *j, *list;
        size_t len;
        int r;

        if (!path)
                return fail_ready(reterr, "cni plugin not initialized");
        r = file_read(path, 1 << 20, &text, &len, reterr);
        if (!r)
                r = json_parse(a, text, len, NULL, &j, reterr);
        free(text);
        if (r < 0)
                return error_wrap(reterr, r, "%s", path);
        if (json_is_array(json_get(j, "plugins"))) {
                *ret = j;
                return 0;
        }
        if (!json_get_string(j, "type"))
                return error_set(reterr, -EINVAL, "%s: neither \"plugins\" nor \"type\" in it", path);
        list = json_new_object(a);
        json_set_string(a, list, "name", json_get_string(j, "name"));
        json_set_string(a, list, "cniVersion", json_get_string(j, "cniVersion"));
        json_append(a, json_ensure_array(a, list, "plugins"), j);
        *ret = list;
        return 0;
}

static bool is_ours(const char *path)
{
        _cleanup_free_ char *text = NULL;

        return file_read(path, 1 << 20, &text, NULL, NULL) == 0 && strstr(text, "\"" OUR_MARK "\"");
}

/* Written where there is none, and again where ours says something else by now. */
static int write_default(struct network *n, struct error *reterr)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        char *path, *text;
        _cleanup_free_ char *old = NULL;
        int r;

        if (!n->pod_cidr)
                return 0;
        path = find_conf(a, n->o.conf_dir);
        if (path && !is_ours(path))
                return 0;
        path = arena_printf(a, "%s/%s", n->o.conf_dir, CONF_NAME);
        text = default_conflist(a, n);
        if (file_read(path, 1 << 20, &old, NULL, NULL) == 0 && streq(old, text))
                return 0;
        r = dir_make(n->o.conf_dir, 0755, reterr);
        return r ? r : file_write(path, text, strlen(text), 0644, reterr);
}

int network_set_pod_cidr(struct network *n, const char *pod_cidr, struct error *reterr)
{
        if (streq(n->pod_cidr, pod_cidr))
                return 0;
        free(n->pod_cidr);
        n->pod_cidr = pod_cidr ? xstrdup(pod_cidr) : NULL;
        return write_default(n, reterr);
}

static void write_sysctl(const char *path, const char *value)
{
        int fd = open(path, O_WRONLY | O_CLOEXEC);

        if (fd < 0)
                return;
        if (write(fd, value, strlen(value)) < 0) {
                /* Not ours to set in this machine; what follows from it shows later. */
        }
        close(fd);
}

int network_new(struct loop *loop, const struct network_options *o, struct network **ret, struct error *reterr)
{
        struct network *n = new0(struct network);
        int r;

        n->loop = loop;
        n->arena = arena_new(0);
        n->o = *o;
        n->o.conf_dir = arena_strdup(n->arena, o->conf_dir);
        n->o.bin_dirs = arena_strdup(n->arena, o->bin_dirs);
        n->o.state_dir = arena_strdup(n->arena, o->state_dir);
        n->o.bridge = arena_strdup(n->arena, o->bridge);
        r = dir_make(arena_printf(n->arena, "%s/results", n->o.state_dir), 0700, reterr);
        if (!r && o->pod_cidr)
                r = network_set_pod_cidr(n, o->pod_cidr, reterr);
        if (r < 0) {
                network_free(n);
                return r;
        }
        write_sysctl("/proc/sys/net/ipv4/ip_forward", "1");
        /* Answers between pods of one bridge must pass the rules that rewrote the question. */
        write_sysctl("/proc/sys/net/bridge/bridge-nf-call-iptables", "1");
        write_sysctl("/proc/sys/net/bridge/bridge-nf-call-ip6tables", "1");
        *ret = n;
        return 0;
}

void network_free(struct network *n)
{
        if (!n)
                return;
        free(n->pod_cidr);
        arena_free(n->arena);
        free(n);
}

static char *find_plugin(struct arena *a, const char *dirs, const char *type)
{
        if (strchr(type, '/'))
                return NULL; /* a name, never a path */
        for (const char *p = dirs; *p;) {
                size_t len = strcspn(p, ":");
                char *full = arena_printf(a, "%.*s/%s", (int)len, p, type);
                if (len && access(full, X_OK) == 0)
                        return full;
                p += len + (p[len] == ':');
        }
        return NULL;
}

int network_ready(struct network *n, struct error *reterr)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct json *list;
        int r = load_conf(n, a, &list, reterr);

        if (r < 0)
                return r;
        json_foreach_item(json_get(list, "plugins"), p) {
                const char *type = json_get_string(p, "type");
                if (!type || !find_plugin(a, n->o.bin_dirs, type))
                        return fail_ready(reterr, arena_printf(a, "failed to find plugin \"%s\" in path [%s]",
                                                               type ? type : "", n->o.bin_dirs));
        }
        return 0;
}

/* --- results --- */

static const char *address_only(struct arena *a, const char *cidr)
{
        return arena_strndup(a, cidr, strcspn(cidr, "/"));
}

static bool is_address(const char *s)
{
        unsigned char buf[16];

        return inet_pton(AF_INET, s, buf) == 1 || inet_pton(AF_INET6, s, buf) == 1;
}

static int add_ip(struct arena *a, struct network_result *res, size_t room, const struct json *entry,
                  const char *key, struct error *reterr)
{
        const char *address = json_get_string(entry, key), *gateway = json_get_string(entry, "gateway"), *ip;

        if (!address)
                return error_set(reterr, -EINVAL, "CNI result: an ip without an address");
        ip = address_only(a, address);
        if (!is_address(ip))
                return error_set(reterr, -EINVAL, "CNI result: \"%s\" is no address", ip);
        if (res->n_ips < room)
                res->ips[res->n_ips++] = ip;
        if (!res->gateway && gateway)
                res->gateway = arena_strdup(a, gateway);
        return 0;
}

/* 0.3.0 on: "ips" is a list; before: "ip4" and "ip6". */
static int read_ips(struct arena *a, const struct json *j, struct network_result *res, struct error *reterr)
{
        const struct json *ips = json_get(j, "ips");
        size_t room = json_len(ips) + 2;
        int r = 0;

        res->ips = arena_calloc(a, (room + 1) * sizeof(*res->ips));
        if (ips && !json_is_array(ips))
                return error_set(reterr, -EINVAL, "CNI result: \"ips\" is no list");
        json_foreach_item(ips, ip)
                if (!r)
                        r = add_ip(a, res, room, ip, "address", reterr);
        if (!r && json_is_object(json_get(j, "ip4")))
                r = add_ip(a, res, room, json_get(j, "ip4"), "ip", reterr);
        if (!r && json_is_object(json_get(j, "ip6")))
                r = add_ip(a, res, room, json_get(j, "ip6"), "ip", reterr);
        return r;
}

int network_parse_result(struct arena *a, const char *text, size_t len, struct network_result *ret,
                         struct error *reterr)
{
        struct network_result res = { 0 };
        struct json_limits limits = { .max_depth = 32, .max_nodes = 10000 };
        struct json *j;
        int r = json_parse(a, text, len, &limits, &j, reterr);

        if (r < 0)
                return -EINVAL;
        if (!json_is_object(j))
                return error_set(reterr, -EINVAL, "CNI result: no object");
        r = read_ips(a, j, &res, reterr);
        if (r < 0)
                return r;
        json_foreach_item(json_get(j, "interfaces"), i) {
                const char *name = json_get_string(i, "name");
                if (name && str_has_prefix(name, "veth") && str_empty(json_get_string(i, "sandbox")) &&
                    !res.host_interface)
                        res.host_interface = arena_strdup(a, name);
        }
        *ret = res;
        return 0;
}

/* --- calling --- */

struct call {
        struct network *n;
        struct arena *a;
        const char *command; /* "ADD" */
        const struct network_pod *pod;
        const struct json *list;
        struct json *previous; /* the result so far; NULL: none */
};

static bool has_capability(const struct json *plugin, const char *name)
{
        return json_is_true(json_get(json_get(plugin, "capabilities"), name));
}

static bool wants_ports(const struct network_pod *pod)
{
        for (size_t i = 0; i < pod->n_ports; i++)
                if (pod->ports[i].host_port > 0)
                        return true;
        return false;
}

static void set_ports(struct arena *a, struct json *conf, const struct network_pod *pod)
{
        struct json *list = json_new_array(a);

        for (size_t i = 0; i < pod->n_ports; i++) {
                static const char *const protocols[][2] = { { "UDP", "udp" }, { "SCTP", "sctp" } };
                const struct runtime_port *p = &pod->ports[i];
                struct json *m = json_new_object(a);
                const char *protocol = "tcp";
                if (p->host_port <= 0)
                        continue;
                for (size_t k = 0; k < ARRAY_SIZE(protocols); k++)
                        if (streq(p->protocol, protocols[k][0]))
                                protocol = protocols[k][1];
                json_set_int(a, m, "hostPort", p->host_port);
                json_set_int(a, m, "containerPort", p->container_port);
                json_set_string(a, m, "protocol", protocol);
                if (!str_empty(p->host_ip))
                        json_set_string(a, m, "hostIP", p->host_ip);
                json_append(a, list, m);
        }
        json_path_set(a, conf, "runtimeConfig.portMappings", list);
}

/* The plugin's part of the list, with what the list and the pod add. */
static char *plugin_input(const struct call *c, const struct json *plugin)
{
        struct arena *a = c->a;
        struct json *conf = json_clone(a, plugin);

        json_set_string(a, conf, "name", json_get_string(c->list, "name"));
        json_set_string(a, conf, "cniVersion",
                        json_get_string(c->list, "cniVersion") ? json_get_string(c->list, "cniVersion") : "0.1.0");
        if (has_capability(plugin, "portMappings"))
                set_ports(a, conf, c->pod);
        json_del(conf, "capabilities");
        if (c->previous)
                json_set(a, conf, "prevResult", c->previous);
        return json_print(a, conf);
}

static int plugin_failed(const struct call *c, const char *type, const struct process_result *r, struct error *reterr)
{
        struct json *j;
        const char *msg = NULL, *details = NULL;

        if (json_parse(c->a, strbuf_str(&r->out), r->out.len, NULL, &j, NULL) == 0) {
                msg = json_get_string(j, "msg");
                details = json_get_string(j, "details");
        }
        if (!msg)
                msg = r->timed_out ? "timed out" : r->err.len ? strbuf_str(&r->err) : "ended without a word";
        return error_set(reterr, -EIO, "plugin type=\"%s\" failed (%s): %s%s%s", type,
                         streq(c->command, "ADD") ? "add" : streq(c->command, "DEL") ? "delete" : "check", msg,
                         str_empty(details) ? "" : "; ", str_empty(details) ? "" : details);
}

#define PLUGIN_TIMEOUT (60 * NS_PER_SEC)

static int run_plugin(struct call *c, const struct json *plugin, struct error *reterr)
{
        struct arena *a = c->a;
        const char *type = json_get_string(plugin, "type"), *path = getenv("PATH");
        const char *argv[] = { type ? find_plugin(a, c->n->o.bin_dirs, type) : NULL, NULL };
        const char *env[] = {
                arena_printf(a, "CNI_COMMAND=%s", c->command),
                arena_printf(a, "CNI_CONTAINERID=%s", c->pod->id),
                arena_printf(a, "CNI_NETNS=%s", c->pod->netns ? c->pod->netns : ""),
                arena_printf(a, "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=%s;K8S_POD_NAME=%s;"
                                "K8S_POD_INFRA_CONTAINER_ID=%s;K8S_POD_UID=%s",
                             c->pod->namespace, c->pod->name, c->pod->id, c->pod->uid),
                "CNI_IFNAME=eth0",
                arena_printf(a, "CNI_PATH=%s", c->n->o.bin_dirs),
                arena_printf(a, "PATH=%s", path ? path : "/usr/sbin:/usr/bin:/sbin:/bin"),
                NULL,
        };
        char *input = plugin_input(c, plugin);
        struct process_options o = { .argv = argv, .env = env, .input = input, .input_len = strlen(input),
                                     .timeout_ns = PLUGIN_TIMEOUT };
        struct process_result result = { 0 };
        int r;

        if (!argv[0])
                return error_set(reterr, -ENOENT, "failed to find plugin \"%s\" in path [%s]", type ? type : "",
                                 c->n->o.bin_dirs);
        r = process_run(c->n->loop, &o, &result, reterr);
        if (!r && result.status)
                r = plugin_failed(c, type, &result, reterr);
        if (!r && streq(c->command, "ADD"))
                r = json_parse(a, strbuf_str(&result.out), result.out.len, NULL, &c->previous, reterr);
        process_result_deinit(&result);
        return r;
}

/* portmap without ports passes on what it got: then it need not run. */
static bool is_idle(const struct call *c, const struct json *plugin)
{
        return streq(json_get_string(plugin, "type"), "portmap") && !wants_ports(c->pod);
}

static int run_forward(struct call *c, struct error *reterr)
{
        json_foreach_item(json_get(c->list, "plugins"), p) {
                int r = is_idle(c, p) ? 0 : run_plugin(c, p, reterr);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int run_backward(struct call *c, struct error *reterr)
{
        const struct json *plugins = json_get(c->list, "plugins");

        for (size_t i = json_len(plugins); i-- > 0;) {
                int r = is_idle(c, json_at(plugins, i)) ? 0 : run_plugin(c, json_at(plugins, i), reterr);
                if (r < 0)
                        return r;
        }
        return 0;
}

static char *result_path(struct arena *a, const struct network *n, const char *id)
{
        return arena_printf(a, "%s/results/%s", n->o.state_dir, id);
}

/* {"list": the configuration it was added with, "result": ...}: a changed configuration must not strand old pods. */
static int remember(struct call *c, struct error *reterr)
{
        struct json *j = json_new_object(c->a);
        char *text, *path = result_path(c->a, c->n, c->pod->id);
        int fd;

        json_set(c->a, j, "list", json_clone(c->a, c->list));
        if (c->previous)
                json_set(c->a, j, "result", c->previous);
        text = json_print(c->a, j);
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
                int r = errno ? -errno : -EIO;
                if (fd >= 0)
                        close(fd);
                return error_set(reterr, r, "cannot write %s: %s", path, strerror(-r));
        }
        close(fd);
        return 0;
}

static bool recall(struct call *c)
{
        _cleanup_free_ char *text = NULL;
        struct json *j;
        size_t len;

        if (file_read(result_path(c->a, c->n, c->pod->id), 4 << 20, &text, &len, NULL) < 0 ||
            json_parse(c->a, text, len, NULL, &j, NULL) < 0 || !json_get(j, "list"))
                return false;
        c->list = json_get(j, "list");
        c->previous = json_get(j, "result");
        return true;
}

int network_add(struct network *n, const struct network_pod *pod, struct arena *a, struct network_result *ret,
                struct error *reterr)
{
        _cleanup_arena_ struct arena *work = arena_new(16 << 10);
        struct call c = { .n = n, .a = work, .command = "ADD", .pod = pod };
        struct json *list;
        char *text;
        int r = load_conf(n, work, &list, reterr);

        if (r < 0)
                return r;
        c.list = list;
        r = remember(&c, reterr);
        if (!r)
                r = run_forward(&c, reterr);
        if (!r)
                r = remember(&c, reterr);
        if (!r) {
                text = json_print(work, c.previous);
                r = network_parse_result(a, text, strlen(text), ret, reterr);
        }
        if (r < 0)
                network_del(n, pod, NULL);
        return r;
}

int network_del(struct network *n, const struct network_pod *pod, struct error *reterr)
{
        _cleanup_arena_ struct arena *work = arena_new(16 << 10);
        struct call c = { .n = n, .a = work, .command = "DEL", .pod = pod };
        int r;

        if (!recall(&c))
                return 0; /* never added, or deleted before */
        r = run_backward(&c, reterr);
        if (!r)
                unlink(result_path(work, n, pod->id));
        return r;
}

uint64_t network_own_conf(struct network *n)
{
        _cleanup_arena_ struct arena *a = arena_new(4 << 10);
        struct json *list;

        if (load_conf(n, a, &list, NULL) < 0 || !streq(json_get_string(list, "name"), OUR_MARK))
                return 0;
        return json_hash(list) | 1;
}

void network_list(struct network *n, struct arena *a, const char ***ret, size_t *ret_n)
{
        DIR *dir = opendir(arena_printf(a, "%s/results", n->o.state_dir));
        const char **ids = NULL;
        size_t count = 0, cap = 0;
        struct dirent *e;

        while (dir && (e = readdir(dir))) {
                if (e->d_name[0] == '.')
                        continue;
                array_reserve(ids, cap, count + 1);
                ids[count++] = arena_strdup(a, e->d_name);
        }
        if (dir)
                closedir(dir);
        *ret = arena_calloc(a, (count + 1) * sizeof(*ids));
        if (count)
                memcpy(*ret, ids, count * sizeof(*ids));
        *ret_n = count;
        free(ids);
}

int network_check(struct network *n, const struct network_pod *pod, struct error *reterr)
{
        _cleanup_arena_ struct arena *work = arena_new(16 << 10);
        struct call c = { .n = n, .a = work, .command = "CHECK", .pod = pod };

        if (!recall(&c))
                return error_set(reterr, -ENOENT, "no network was added to sandbox %s", pod->id);
        return run_forward(&c, reterr);
}
