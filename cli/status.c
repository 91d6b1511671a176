/* `colibri status`: what runs, what it costs, whether the API answers and the node is ready. Exits with 1
 * when something of this is not so. */
#include <stdio.h>

#include "commands.h"

#include "../lib/base/file.h"
#include "../lib/base/time.h"
#include "../lib/client/client.h"

/* Proportional set size in KiB; -1: not readable. */
static long memory_kib(pid_t pid)
{
        _cleanup_free_ char *text = NULL;
        char path[64], *at;
        long kib = -1;

        snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
        if (file_read(path, 65536, &text, NULL, NULL) == 0 && (at = strstr(text, "\nPss:")))
                sscanf(at, "\nPss: %ld", &kib);
        return kib;
}

static int64_t uptime_ns(unsigned long long start_time)
{
        return time_mono() - (int64_t)start_time * (NS_PER_SEC / sysconf(_SC_CLK_TCK));
}

static bool print_process(struct cluster *c, const char *name, long *total_kib)
{
        struct process_file file;
        char uptime[TIME_BUF], memory[32];
        long kib;

        if (process_file_read(c, name, &file) < 0) {
                printf("%-12s %-8s %8s %10s %9s %9s\n", name, "stopped", "-", "-", "-", "-");
                return false;
        }
        kib = memory_kib(file.pid);
        *total_kib += MAX(kib, 0);
        snprintf(memory, sizeof(memory), kib < 0 ? "?" : "%.1f MB", (double)kib / 1024);
        duration_format(uptime_ns(file.start_time) / NS_PER_SEC * NS_PER_SEC, uptime);
        printf("%-12s %-8s %8d %10s %9s %9u\n", name, "running", (int)file.pid, memory, uptime, file.restarts);
        return true;
}

struct health {
        struct cluster *c;
        struct error err;
        int code;               /* of /readyz */
        struct strbuf node;     /* what there is to say of this machine's node and its pods */
        bool node_ready;
};

static size_t count_pods(const struct json *list, const char *phase)
{
        size_t n = 0;

        json_foreach_item(json_get(list, "items"), pod)
                n += streq(json_get_string(json_get(pod, "status"), "phase"), phase);
        return n;
}

static void look_at_node(struct health *h, struct client *client)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        _cleanup_free_ char *name = settings_get(&h->c->settings, "kubelet.nodeName");
        struct json *node = NULL, *pods = NULL;
        const char *ready = "unknown";

        if (client_get(client, arena_printf(a, "/api/v1/nodes/%s", name), a, &node, &h->err) != 0) {
                strbuf_printf(&h->node, "node %s: %s\n", name, error_text(&h->err));
                return;
        }
        json_foreach_item(json_path(node, "status.conditions"), cond)
                if (streq(json_get_string(cond, "type"), "Ready"))
                        ready = json_get_string(cond, "status");
        h->node_ready = streq(ready, "True");
        strbuf_printf(&h->node, "node %s is %s", name, h->node_ready ? "ready" : "not ready");
        if (client_get(client, arena_printf(a, "/api/v1/pods?fieldSelector=spec.nodeName=%s", name), a, &pods, &h->err) == 0)
                strbuf_printf(&h->node, ", pods: %zu running, %zu pending, %zu failed", count_pods(pods, "Running"),
                              count_pods(pods, "Pending"), count_pods(pods, "Failed"));
        strbuf_putc(&h->node, '\n');
}

static void look(void *userdata)
{
        struct health *h = userdata;
        _cleanup_free_ char *kubeconfig = xasprintf("%s/admin.kubeconfig", h->c->pki_dir);
        struct client *client;

        h->code = cluster_probe(h->c, "/readyz", &h->err);
        if (h->code != 200 || !cluster_has(h->c, "kubelet") ||
            client_new(h->c->loop, kubeconfig, "colibri", &client, &h->err) < 0)
                return;
        look_at_node(h, client);
        client_free(client);
}

static bool print_processes(struct cluster *c)
{
        _cleanup_free_ char *external = settings_get(&c->settings, "etcd.endpoints");
        long total = 0, etcd = 0;
        bool ok;

        printf("%-12s %-8s %8s %10s %9s %9s\n", "DAEMON", "STATE", "PID", "MEMORY", "UP", "RESTARTS");
        ok = print_process(c, "supervisor", &total);
        for (size_t i = 0; i < n_components; i++) {
                bool is_etcd = streq(components[i].name, "etcd");

                if (cluster_has(c, components[i].name) && !(is_etcd && *external))
                        ok &= print_process(c, components[i].name, is_etcd ? &etcd : &total);
        }
        printf("memory (PSS): %.1f MB, with etcd %.1f MB\n", (double)total / 1024, (double)(total + etcd) / 1024);
        return ok;
}

/* A full disk under our own etcd: why nothing answers. */
static void print_disk(struct cluster *c)
{
        _cleanup_free_ char *folder = settings_get(&c->settings, "etcd.dataDir");
        _cleanup_free_ char *disk = *folder && cluster_has(c, "etcd") ? disk_shortage(folder, ETCD_ROOM) : NULL;

        if (disk)
                printf("etcd: %s\n", disk);
}

int command_status(struct cluster *c, const char *const *args)
{
        struct health h = { .c = c, .err = ERROR_INIT, .node = STRBUF_INIT };
        _cleanup_free_ char *server = cluster_server(c);
        bool ok;

        if (!c->exists) {
                printf("there is no cluster: no %s/colibri.yaml\n", c->config_dir);
                return 1;
        }
        cluster_fill_from_machine(c);
        ok = print_processes(c);
        if (cluster_has(c, "apiserver")) {
                fiber_run(c->loop, look, &h);
                ok &= h.code == 200 && (!cluster_has(c, "kubelet") || h.node_ready);
                if (h.code == 200)
                        printf("\n%s is ready\n%s", server, strbuf_str(&h.node));
                else if (h.code > 0)
                        printf("\n%s answers /readyz with %d\n", server, h.code);
                else
                        printf("\n%s does not answer: %s\n", server, error_text(&h.err));
        }
        if (h.code != 200)
                print_disk(c);
        error_deinit(&h.err);
        strbuf_deinit(&h.node);
        printf("settings %s/colibri.yaml, logs %s\n", c->config_dir, c->log_dir);
        return ok ? 0 : 1;
}
