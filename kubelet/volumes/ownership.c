/* fsGroup: see ownership.h. Follows what upstream's volume.SetVolumeOwnership leaves behind.
 *
 * Another pod may be writing in the volume meanwhile, and is not to be trusted: every file is opened once, without
 * following links and without opening what it leads to, and changed through that descriptor.
 */
#include "ownership.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../lib/base/base.h"

#define FILE_BITS 0660
#define FOLDER_BITS (FILE_BITS | 0110 | S_ISGID)
#define DEPTH_MAX 256

/* chmod(2) of a descriptor that was opened with O_PATH goes by its name in /proc. */
static int change(int fd, const struct stat *st, gid_t group)
{
        mode_t mode = (st->st_mode & 07777) | (S_ISDIR(st->st_mode) ? FOLDER_BITS : FILE_BITS);
        char path[32];

        if (fchownat(fd, "", (uid_t)-1, group, AT_EMPTY_PATH) < 0)
                return -errno;
        if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
                return 0;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        return chmod(path, mode) < 0 ? -errno : 0;
}

static int walk(int parent, const char *name, gid_t group, unsigned depth)
{
        _cleanup_close_ int fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        struct dirent *e;
        struct stat st;
        DIR *dir;
        int r, list;

        if (fd < 0)
                return errno == ENOENT ? 0 : -errno; /* gone meanwhile */
        if (fstat(fd, &st) < 0)
                return -errno;
        r = change(fd, &st, group);
        if (r < 0 || !S_ISDIR(st.st_mode))
                return r;
        if (depth >= DEPTH_MAX)
                return -ELOOP;
        list = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        dir = list < 0 ? NULL : fdopendir(list);
        if (!dir) {
                r = -errno;
                if (list >= 0)
                        close(list);
                return r;
        }
        while (r >= 0 && (e = readdir(dir)))
                if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
                        r = walk(fd, e->d_name, group, depth + 1);
        closedir(dir);
        return r;
}

int volume_give_to_group(const char *path, int64_t group, bool lazy, struct error *reterr)
{
        struct stat st;
        int r;

        if (stat(path, &st) < 0)
                return error_set(reterr, -errno, "%s: %s", path, strerror(errno));
        if (lazy && st.st_gid == (gid_t)group && (st.st_mode & FOLDER_BITS) == FOLDER_BITS)
                return 0;
        /* The path itself is the administrator's, and may be a link. */
        _cleanup_free_ char *inside = xasprintf("%s/.", path);
        r = walk(AT_FDCWD, S_ISDIR(st.st_mode) ? inside : path, (gid_t)group, 0);
        return r < 0 ? error_set(reterr, r, "cannot give %s to group %lld: %s", path, (long long)group, strerror(-r)) : 0;
}
