/* `colibri status`: what runs, what it costs, and whether the API answers. */
#include <stdio.h>

#include "commands.h"

#include "../lib/base/file.h"
#include "../lib/base/time.h"

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

static bool print_process(struct cluster *c, const char *name)
{
        struct process_file file;
        char uptime[TIME_BUF], memory[32];
        long kib;

        if (process_file_read(c, name, &file) < 0) {
                printf("%-12s %-8s %8s %10s %9s\n", name, "stopped", "-", "-", "-");
                return false;
        }
        kib = memory_kib(file.pid);
        snprintf(memory, sizeof(memory), kib < 0 ? "?" : "%.1f MB", (double)kib / 1024);
        duration_format(uptime_ns(file.start_time) / NS_PER_SEC * NS_PER_SEC, uptime);
        printf("%-12s %-8s %8d %10s %9s %9u\n", name, "running", (int)file.pid, memory, uptime, file.restarts);
        return true;
}

struct probe_run {
        struct cluster *c;
        struct error err;
        int code;
};

static void run_probe(void *userdata)
{
        struct probe_run *run = userdata;

        run->code = cluster_probe(run->c, "/readyz", &run->err);
}

int command_status(struct cluster *c, const char *const *args)
{
        struct probe_run probe = { .c = c, .err = ERROR_INIT };
        _cleanup_free_ char *server = cluster_server(c), *external = settings_get(&c->settings, "etcd.endpoints");
        bool ok;

        printf("%-12s %-8s %8s %10s %9s %9s\n", "DAEMON", "STATE", "PID", "MEMORY", "UP", "RESTARTS");
        ok = print_process(c, "supervisor");
        for (size_t i = 0; i < n_components; i++)
                if (cluster_has(c, components[i].name) && !(streq(components[i].name, "etcd") && *external))
                        ok &= print_process(c, components[i].name);
        fiber_run(c->loop, run_probe, &probe);
        if (probe.code == 200)
                printf("\n%s is ready\n", server);
        else if (probe.code > 0)
                printf("\n%s answers /readyz with %d\n", server, probe.code);
        else
                printf("\n%s does not answer: %s\n", server, error_text(&probe.err));
        error_deinit(&probe.err);
        printf("settings %s/colibri.yaml, logs %s\n", c->config_dir, c->log_dir);
        return ok && probe.code == 200 ? 0 : 1;
}
