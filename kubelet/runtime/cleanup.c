/* Leaves nothing behind: processes, mounts, the bridge, cgroups, files, in that order. */
#include "cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "../../lib/base/arena.h"
#include "../../lib/base/file.h"
#include "cgroup.h"

/* conmon and pause carry our folders in their command lines; containers are in our cgroup. */
static void kill_conmons(const char *root)
{
        DIR *proc = opendir("/proc");
        struct dirent *e;

        while (proc && (e = readdir(proc))) {
                char path[300], text[8192];
                int fd, pid = atoi(e->d_name);
                ssize_t n;
                if (pid <= 1 || pid == getpid())
                        continue;
                snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
                fd = open(path, O_RDONLY | O_CLOEXEC);
                if (fd < 0)
                        continue;
                n = read(fd, text, sizeof(text) - 1);
                close(fd);
                if (n <= 0)
                        continue;
                text[n] = '\0';
                bool conmon = str_has_suffix(text, "conmon");
                for (char *p = text; p < text + n; p++)
                        if (!*p)
                                *p = ' ';
                if (conmon && strstr(text, root))
                        kill(pid, SIGKILL);
        }
        if (proc)
                closedir(proc);
}

/* A pause process is known by its name and by the pinned namespace it is the first of. */
static void kill_pauses(const char *root)
{
        _cleanup_free_ char *dir_path = xasprintf("%s/sandboxes", root);
        DIR *dir = opendir(dir_path);
        struct dirent *e;

        while (dir && (e = readdir(dir))) {
                _cleanup_free_ char *path = xasprintf("%s/%s/sandbox.json", dir_path, e->d_name), *text = NULL;
                _cleanup_free_ char *comm_path = NULL, *comm = NULL;
                _cleanup_arena_ struct arena *a = arena_new(0);
                struct json *j;
                size_t len;
                int64_t pid;
                if (e->d_name[0] == '.' || file_read(path, 0, &text, &len, NULL) < 0 ||
                    json_parse(a, text, len, NULL, &j, NULL) < 0)
                        continue;
                pid = json_get_int(j, "pausePID", 0);
                comm_path = xasprintf("/proc/%d/comm", (int)pid);
                if (pid > 1 && file_read(comm_path, 0, &comm, NULL, NULL) == 0 && str_has_prefix(comm, "colibri-pause"))
                        kill((pid_t)pid, SIGKILL);
        }
        if (dir)
                closedir(dir);
}

static void unmount_below(const char *prefix)
{
        size_t len = strlen(prefix);

        for (int round = 0; round < 8; round++) {
                _cleanup_free_ char *text = NULL;
                size_t found = 0;
                if (file_read("/proc/self/mounts", 0, &text, NULL, NULL) < 0)
                        return;
                for (const char *p = text; *p;) {
                        char point[1024] = "";
                        if (sscanf(p, "%*s %1023s", point) == 1 && !strncmp(point, prefix, len) && point[len] == '/') {
                                found++;
                                umount2(point, MNT_DETACH);
                        }
                        p += strcspn(p, "\n");
                        p += *p == '\n';
                }
                if (!found)
                        return;
        }
}

static void delete_link(const char *name)
{
        pid_t pid;

        if (!if_nametoindex(name))
                return;
        pid = fork();
        if (pid == 0) {
                execlp("ip", "ip", "link", "delete", name, (char *)NULL);
                _exit(127);
        }
        if (pid > 0)
                waitpid(pid, NULL, 0);
}

/* The pods' ends went with their namespaces; a port that is left belongs to one that is going. */
static void delete_bridge(const char *bridge)
{
        _cleanup_free_ char *ports = xasprintf("/sys/class/net/%s/brif", bridge);
        DIR *dir = opendir(ports);
        struct dirent *e;

        while (dir && (e = readdir(dir)))
                if (e->d_name[0] != '.')
                        delete_link(e->d_name);
        if (dir)
                closedir(dir);
        delete_link(bridge);
}

int node_cleanup(const struct node_cleanup_options *o, struct error *reterr)
{
        static const char *const in_root[] = { "pods", "containers", "sandboxes", "images", "network", "cni" };
        static const char *const in_run[] = { "netns", "ipcns", "utsns", "pidns", "runc", "exits" };
        _cleanup_free_ char *group = xasprintf("/%s", o->cgroup);
        struct cgroup_system cgroups;
        bool have = cgroup_detect(&cgroups, NULL) == 0;
        int result = 0, r;

        kill_conmons(o->root);
        if (have)
                cgroup_kill(&cgroups, group);
        kill_pauses(o->root);
        unmount_below(o->root);
        unmount_below(o->run);
        if (o->bridge)
                delete_bridge(o->bridge);
        for (int i = 0; have && i < 100; i++) {
                r = cgroup_remove(&cgroups, group, NULL);
                if (r != -EBUSY)
                        break;
                usleep(20000);
        }
        for (size_t i = 0; i < ARRAY_SIZE(in_root) + ARRAY_SIZE(in_run); i++) {
                bool root = i < ARRAY_SIZE(in_root);
                _cleanup_free_ char *path =
                        root ? xasprintf("%s/%s", o->root, in_root[i])
                             : xasprintf("%s/%s", o->run, in_run[i - ARRAY_SIZE(in_root)]);
                if (root && o->keep_data)
                        continue;
                r = dir_remove(path, result ? NULL : reterr);
                if (r < 0 && !result)
                        result = r;
        }
        return result;
}
