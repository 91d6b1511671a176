/* What the machine has: capacity, allocatable, and who it is (status.nodeInfo). */
#include "node.h"

#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include "../lib/base/file.h"
#include "../lib/meta/quantity.h"
#include "node-internal.h"

#define VERSION "v1.36.2+colibri1"

/* "MemTotal:   24576 kB" */
static int64_t meminfo(const char *key)
{
        _cleanup_free_ char *text = NULL;
        if (file_read("/proc/meminfo", 64 << 10, &text, NULL, NULL) < 0)
                return 0;
        const char *p = strstr(text, key);
        return p ? strtoll(p + strlen(key), NULL, 10) * 1024 : 0;
}

int64_t node_memory_available(void)
{
        return meminfo("MemAvailable:");
}

static void set_quantity(struct arena *a, struct json *obj, const char *key, int64_t v, const char *suffix)
{
        json_set(a, obj, key, json_new_stringf(a, "%lld%s", (long long)v, suffix));
}

/* "cpu=4,memory=8Gi": over what was measured. */
static void apply_overrides(struct arena *a, struct json *obj, const char *text)
{
        _cleanup_free_ char *copy = text ? xstrdup(text) : NULL;
        char *save = NULL;
        for (char *p = copy ? strtok_r(copy, ",", &save) : NULL; p; p = strtok_r(NULL, ",", &save)) {
                char *eq = strchr(p, '=');
                if (!eq)
                        continue;
                *eq = '\0';
                json_set_string(a, obj, p, eq + 1);
        }
}

void node_measure(struct kubelet *k)
{
        struct arena *a = k->arena;
        struct json *cap = json_new_object(a);
        struct statvfs fs = {0};
        k->memory = meminfo("MemTotal:");
        json_set(a, cap, "cpu", json_new_stringf(a, "%d", get_nprocs()));
        set_quantity(a, cap, "memory", k->memory / 1024, "Ki");
        if (statvfs(k->config.root, &fs) == 0 || statvfs("/", &fs) == 0)
                set_quantity(a, cap, "ephemeral-storage", (int64_t)(fs.f_blocks * fs.f_frsize / 1024), "Ki");
        json_set_string(a, cap, "hugepages-1Gi", "0");
        json_set_string(a, cap, "hugepages-2Mi", "0");
        json_set(a, cap, "pods", json_new_stringf(a, "%d", k->config.max_pods));
        if (k->config.fake)
                apply_overrides(a, cap, k->config.fake_capacity);
        k->capacity = cap;
        k->allocatable = json_clone(a, cap);
        if (k->config.fake)
                return;
        /* What eviction keeps free is not there to be given away. */
        set_quantity(a, k->allocatable, "memory", (k->memory - k->config.eviction_memory) / 1024, "Ki");
        if (fs.f_blocks)
                set_quantity(a, k->allocatable, "ephemeral-storage",
                             (int64_t)(fs.f_blocks * fs.f_frsize) / 100 * (100 - k->config.eviction_disk_percent), "");
}

const char *node_architecture(void)
{
        static struct utsname u;
        uname(&u);
        if (streq(u.machine, "x86_64"))
                return "amd64";
        if (streq(u.machine, "aarch64"))
                return "arm64";
        return u.machine;
}

static const char *first_line(struct arena *a, const char *path)
{
        _cleanup_free_ char *text = NULL;
        if (file_read(path, 4096, &text, NULL, NULL) < 0)
                return "";
        text[strcspn(text, "\n")] = '\0';
        return arena_strdup(a, text);
}

static const char *os_image(struct arena *a)
{
        _cleanup_free_ char *text = NULL;
        if (file_read("/etc/os-release", 64 << 10, &text, NULL, NULL) < 0)
                return "linux";
        char *p = strstr(text, "PRETTY_NAME=\"");
        if (!p)
                return "linux";
        p += strlen("PRETTY_NAME=\"");
        p[strcspn(p, "\"\n")] = '\0';
        return arena_strdup(a, p);
}

struct json *node_info(struct kubelet *k, struct arena *a)
{
        struct json *i = json_new_object(a);
        struct utsname u;
        uname(&u);
        json_set_string(a, i, "machineID", first_line(a, "/etc/machine-id"));
        json_set_string(a, i, "systemUUID", first_line(a, "/sys/class/dmi/id/product_uuid"));
        json_set_string(a, i, "bootID", first_line(a, "/proc/sys/kernel/random/boot_id"));
        json_set_string(a, i, "kernelVersion", u.release);
        json_set_string(a, i, "osImage", os_image(a));
        json_set(a, i, "containerRuntimeVersion", json_new_string(a, "colibri://1.36.2"));
        json_set_string(a, i, "kubeletVersion", VERSION);
        json_set_string(a, i, "kubeProxyVersion", "");
        json_set_string(a, i, "operatingSystem", "linux");
        json_set_string(a, i, "architecture", node_architecture());
        return i;
}
