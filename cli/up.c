/* `colibri up`: folders, certificates, the supervisor, and the wait until the cluster answers. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/file.h>

#include "commands.h"
#include "supervise.h"

#include "../lib/base/file.h"
#include "../lib/base/time.h"
#include "../lib/client/client.h"
#include "../lib/tls/pki.h"

#define WAIT (60 * NS_PER_SEC)
#define PROBE_FIRST (20 * NS_PER_MS)
#define PROBE_LATER (500 * NS_PER_MS)

static int make_folders(struct cluster *c, struct error *reterr)
{
        _cleanup_free_ char *etcd = xasprintf("%s/etcd", c->data_dir);
        _cleanup_free_ char *pods = settings_get(&c->settings, "kubelet.staticPods");
        _cleanup_free_ char *cni = settings_get(&c->settings, "network.cniConfig");
        const struct {
                const char *path;
                int mode;
        } dirs[] = {
                { c->config_dir, 0755 }, { c->pki_dir, 0700 }, { c->data_dir, 0755 }, { c->run_dir, 0755 },
                { c->log_dir, 0755 },    { etcd, 0700 },       { pods, 0755 },        { cni, 0755 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
                int r = dir_make(dirs[i].path, dirs[i].mode, reterr);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* Written once, with what the command line said; the owner's afterwards. */
static int write_settings(struct cluster *c, struct error *reterr)
{
        _cleanup_free_ char *path = xasprintf("%s/colibri.yaml", c->config_dir);
        _cleanup_strbuf_ struct strbuf text = STRBUF_INIT;

        if (file_exists(path))
                return 0;
        settings_template(&c->settings, &text);
        return file_write(path, text.data, text.len, 0644, reterr);
}

/* The first address of the service range is the API server's. */
static char *first_service_ip(const struct settings *s)
{
        _cleanup_free_ char *cidr = settings_get(s, "network.serviceCIDR");
        unsigned a, b, c, d;

        if (sscanf(cidr, "%u.%u.%u.%u", &a, &b, &c, &d) != 4)
                return NULL;
        return xasprintf("%u.%u.%u.%u", a, b, c, d + 1);
}

/* EXTRA names behind those that are there: addresses to ips, the rest to dns. */
static void split_names(const char *list, const char **dns, const char **ips, char **words)
{
        size_t n_dns = 0, n_ips = 0, n = 0;

        for (; dns[n_dns]; n_dns++)
                ;
        for (; ips[n_ips]; n_ips++)
                ;
        while (*(list += strspn(list, ", ")) && n < 30) {
                size_t len = strcspn(list, ", ");

                words[n] = xstrndup(list, len);
                list += len;
                if (words[n][strspn(words[n], "0123456789.")] == '\0' || strchr(words[n], ':'))
                        ips[n_ips++] = words[n];
                else
                        dns[n_dns++] = words[n];
                n++;
        }
}

static int make_certificates(struct cluster *c, struct error *reterr)
{
        _cleanup_free_ char *server = cluster_server(c), *service_ip = first_service_ip(&c->settings);
        _cleanup_free_ char *node = settings_get(&c->settings, "kubelet.nodeName");
        _cleanup_free_ char *node_ip = settings_get(&c->settings, "kubelet.nodeIP");
        _cleanup_free_ char *advertise = settings_get(&c->settings, "apiserver.advertiseAddress");
        _cleanup_free_ char *extra = settings_get(&c->settings, "apiserver.extraNames");
        const char *dns[32] = { node }, *ips[34] = { "127.0.0.1", node_ip, advertise };
        char *words[32] = { 0 };
        struct pki_cluster_options o = {
                .server = server, .node_name = node, .ips = ips, .dns = dns, .service_ip = service_ip,
        };
        int r;

        split_names(extra, dns, ips, words);
        r = pki_cluster_init(c->pki_dir, &o, NULL, reterr);
        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                free(words[i]);
        return r;
}

static int copy_file(const char *from, const char *to, struct error *reterr)
{
        _cleanup_free_ char *text = NULL;
        size_t len;
        int r = file_read(from, 0, &text, &len, reterr);

        return r < 0 ? r : file_write(to, text, len, 0600, reterr);
}

/* admin.kubeconfig, and ~/.kube/config of who called us (through sudo too) where there is none. */
static int place_kubeconfig(struct cluster *c, struct error *reterr)
{
        _cleanup_free_ char *from = xasprintf("%s/admin.kubeconfig", c->pki_dir);
        _cleanup_free_ char *admin = xasprintf("%s/admin.kubeconfig", c->config_dir);
        const char *user = getenv("SUDO_USER");
        const struct passwd *pw = user ? getpwnam(user) : getpwuid(getuid());
        int r = copy_file(from, admin, reterr);

        if (r < 0 || *c->settings.root || !pw)
                return r;
        _cleanup_free_ char *dir = xasprintf("%s/.kube", pw->pw_dir), *config = xasprintf("%s/config", dir);

        if (file_exists(config) || !file_exists(pw->pw_dir))
                return 0;
        r = dir_make(dir, 0700, reterr);
        if (r == 0)
                r = copy_file(from, config, reterr);
        if (r == 0 && (chown(dir, pw->pw_uid, pw->pw_gid) < 0 || chown(config, pw->pw_uid, pw->pw_gid) < 0))
                r = error_set(reterr, -errno, "chown %s: %s", config, strerror(errno));
        return r;
}

struct waiting {
        struct cluster *c;
        const char *path;
        struct error *reterr;
        int r;
};

/* " (why)": the last error of NAME's log, in our form or in etcd's JSON; "" without one. The caller frees. */
static char *last_words(struct cluster *c, const char *name)
{
        static const struct {
                const char *before, *after;
        } forms[] = { { " ERROR ", "\n" }, { "\"error\":\"", "\"\n" } };
        _cleanup_free_ char *path = xasprintf("%s/%s.log", c->log_dir, name), *text = NULL;

        if (file_read(path, 0, &text, NULL, NULL) < 0)
                return xstrdup("");
        for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
                const char *last = NULL;

                for (const char *at = text; (at = strstr(at, forms[i].before)); at++)
                        last = at + strlen(forms[i].before);
                if (last)
                        return xasprintf(" (%.*s)", (int)strcspn(last, forms[i].after), last);
        }
        return xstrdup("");
}

/* A daemon that has been started again three times will not come up by itself. */
static const char *crashing(struct cluster *c)
{
        for (size_t i = 0; i < n_components; i++) {
                struct process_file file;

                process_file_read(c, components[i].name, &file);
                if (cluster_has(c, components[i].name) && file.restarts >= 3)
                        return components[i].name;
        }
        return NULL;
}

/* Often at first, when it is a matter of milliseconds; then seldom: it takes CPU from who gets ready. */
static void wait_a_little(int64_t until)
{
        fiber_sleep(until - time_mono() > WAIT - 3 * NS_PER_SEC ? PROBE_FIRST : PROBE_LATER);
}

static void wait_ready(void *userdata)
{
        struct waiting *w = userdata;
        int64_t until = time_mono() + WAIT;
        const char *bad;

        for (;;) {
                w->r = cluster_probe(w->c, "/readyz", w->reterr);
                if (w->r == 200) {
                        w->r = 0;
                        return;
                }
                bad = crashing(w->c);
                if (bad || time_mono() > until) {
                        _cleanup_free_ char *words = last_words(w->c, bad ? bad : "apiserver");

                        w->r = bad ? error_set(w->reterr, -EIO, "%s does not stay up%s: see %s/%s.log", bad, words,
                                               w->c->log_dir, bad) :
                                     error_set(w->reterr, -ETIMEDOUT, "the API server is not ready after 60 s%s: see %s",
                                               words, w->c->log_dir);
                        return;
                }
                wait_a_little(until);
        }
}

static bool node_is_ready(const struct json *node)
{
        json_foreach_item(json_path(node, "status.conditions"), cond)
                if (streq(json_get_string(cond, "type"), "Ready"))
                        return streq(json_get_string(cond, "status"), "True");
        return false;
}

static void wait_node(void *userdata)
{
        struct waiting *w = userdata;
        _cleanup_free_ char *kubeconfig = xasprintf("%s/admin.kubeconfig", w->c->pki_dir);
        _cleanup_free_ char *name = settings_get(&w->c->settings, "kubelet.nodeName");
        _cleanup_free_ char *path = xasprintf("/api/v1/nodes/%s", name);
        int64_t until = time_mono() + WAIT;
        struct client *client;

        w->r = client_new(w->c->loop, kubeconfig, "colibri", &client, w->reterr);
        if (w->r < 0)
                return;
        for (;;) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                struct json *node = NULL;
                const char *bad = crashing(w->c);

                w->r = client_get(client, path, a, &node, w->reterr);
                if (w->r == 0 && node_is_ready(node))
                        break;
                if (bad || time_mono() > until) {
                        _cleanup_free_ char *words = last_words(w->c, bad ? bad : "kubelet");

                        w->r = error_set(w->reterr, -ETIMEDOUT, "node %s is not ready%s: see %s/%s.log", name, words,
                                         w->c->log_dir, bad ? bad : "kubelet");
                        break;
                }
                wait_a_little(until);
        }
        client_free(client);
}

static bool all_running(struct cluster *c)
{
        struct process_file file;

        if (process_file_read(c, "supervisor", &file) < 0)
                return false;
        for (size_t i = 0; i < n_components; i++) {
                _cleanup_free_ char *external = settings_get(&c->settings, "etcd.endpoints");

                if (cluster_has(c, components[i].name) && !(streq(components[i].name, "etcd") && *external) &&
                    process_file_read(c, components[i].name, &file) < 0)
                        return false;
        }
        return true;
}

/* One `colibri up` at a time: the second waits and finds everything there. */
static int take_turn(struct cluster *c, struct error *reterr)
{
        _cleanup_free_ char *path = xasprintf("%s/up.lock", c->run_dir);
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

        if (fd < 0 || flock(fd, LOCK_EX) < 0)
                return error_set(reterr, -errno, "lock %s: %s", path, strerror(errno));
        return fd;
}

static int bring_up(struct cluster *c, bool *ret_was_running, struct error *reterr)
{
        struct waiting w = { .c = c, .reterr = reterr };
        _cleanup_close_ int turn = -1;
        int r;

        if (c->conflict)
                return error_set(reterr, -EINVAL, "this cluster is there already, and %s: change %s/colibri.yaml, then down and up",
                                 c->conflict, c->config_dir);
        cluster_fill_from_machine(c);
        r = make_folders(c, reterr);
        if (r == 0)
                r = turn = take_turn(c, reterr);
        *ret_was_running = all_running(c);
        if (r >= 0)
                r = write_settings(c, reterr);
        if (r == 0)
                r = make_certificates(c, reterr);
        if (r == 0)
                r = place_kubeconfig(c, reterr);
        if (r == 0)
                r = supervise_in_background(c, reterr);
        if (r == 0 && cluster_has(c, "apiserver")) {
                fiber_run(c->loop, wait_ready, &w);
                r = w.r;
        }
        if (r == 0 && cluster_has(c, "kubelet")) {
                fiber_run(c->loop, wait_node, &w);
                r = w.r;
        }
        return r;
}

int command_up(struct cluster *c, const char *const *args)
{
        _cleanup_error_ struct error err = ERROR_INIT;
        int64_t from = time_mono();
        bool was_running = false;

        if (getuid() != 0) {
                fprintf(stderr, "colibri up: needs root\n");
                return 1;
        }
        if (bring_up(c, &was_running, &err) < 0) {
                fprintf(stderr, "colibri up: %s\n", error_text(&err));
                return 1;
        }
        if (was_running)
                printf("colibri already runs: see `colibri status`\n");
        else
                printf("colibri is up after %.1f s\n", (double)(time_mono() - from) / NS_PER_SEC);
        printf("export KUBECONFIG=%s/admin.kubeconfig\n", c->config_dir);
        return 0;
}

int command_supervise(struct cluster *c, const char *const *args)
{
        _cleanup_error_ struct error err = ERROR_INIT;
        int r;

        cluster_fill_from_machine(c);
        r = supervise(c, &err);
        if (r < 0 && r != -EALREADY) {
                fprintf(stderr, "colibri supervise: %s\n", error_text(&err));
                return 1;
        }
        return 0;
}
