/* Files as wholes: see file.h. */
#include "file.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

int file_read(const char *path, size_t max, char **ret, size_t *ret_len, struct error *reterr)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        _cleanup_free_ char *data = NULL;
        size_t len = 0, cap = 0;

        if (fd < 0)
                return error_set(reterr, -errno, "open %s: %s", path, strerror(errno));
        if (!max)
                max = (size_t)64 << 20;
        for (;;) {
                ssize_t n;

                array_reserve(data, cap, len + 4096);
                n = read(fd, data + len, cap - len - 1);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return error_set(reterr, -errno, "read %s: %s", path, strerror(errno));
                if (n == 0)
                        break;
                len += n;
                if (len > max)
                        return error_set(reterr, -EFBIG, "read %s: larger than %zu bytes", path,
                                         max);
        }
        data[len] = '\0';
        if (ret_len)
                *ret_len = len;
        *ret = steal_ptr(data);
        return 0;
}

static int write_all(int fd, const char *data, size_t len)
{
        while (len) {
                ssize_t n = write(fd, data, len);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                data += n;
                len -= n;
        }
        return 0;
}

int file_write(const char *path, const void *data, size_t len, int mode, struct error *reterr)
{
        _cleanup_free_ char *temp = xasprintf("%s.tmp.%d", path, (int)getpid());
        _cleanup_close_ int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
        int r;

        if (fd < 0)
                return error_set(reterr, -errno, "create %s: %s", temp, strerror(errno));
        r = write_all(fd, data, len);
        if (r == 0 && (fchmod(fd, mode) < 0 || fsync(fd) < 0 || rename(temp, path) < 0))
                r = -errno;
        if (r < 0) {
                unlink(temp);
                return error_set(reterr, r, "write %s: %s", path, strerror(-r));
        }
        return 0;
}

int dir_make(const char *path, int mode, struct error *reterr)
{
        _cleanup_free_ char *copy = xstrdup(path);

        for (char *p = copy + 1; *copy && *p; p++) {
                if (*p != '/')
                        continue;
                *p = '\0';
                if (mkdir(copy, 0755) < 0 && errno != EEXIST)
                        return error_set(reterr, -errno, "mkdir %s: %s", copy, strerror(errno));
                *p = '/';
        }
        if (mkdir(path, mode) < 0 && errno != EEXIST)
                return error_set(reterr, -errno, "mkdir %s: %s", path, strerror(errno));
        return 0;
}

static int remove_at(int dir_fd, const char *name, dev_t dev);

static int remove_entries(int fd, dev_t dev)
{
        DIR *dir = fdopendir(fd);
        struct dirent *e;
        int r = 0;

        if (!dir) {
                r = -errno;
                close(fd);
                return r;
        }
        while ((e = readdir(dir))) {
                if (streq(e->d_name, ".") || streq(e->d_name, ".."))
                        continue;
                int one = remove_at(dirfd(dir), e->d_name, dev);

                if (one < 0 && r == 0)
                        r = one;
        }
        closedir(dir);
        return r;
}

static int remove_at(int dir_fd, const char *name, dev_t dev)
{
        struct stat st;
        int fd, r;

        if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : -errno;
        if (st.st_dev != dev)
                return -EXDEV;
        if (!S_ISDIR(st.st_mode))
                return unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
        fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        r = remove_entries(fd, dev);
        if (r < 0)
                return r;
        return unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

int dir_remove(const char *path, struct error *reterr)
{
        struct stat st;
        int r;

        if (lstat(path, &st) < 0)
                return errno == ENOENT ? 0 : error_set(reterr, -errno, "stat %s: %s", path, strerror(errno));
        r = remove_at(AT_FDCWD, path, st.st_dev);
        if (r < 0)
                return error_set(reterr, r, "remove %s: %s", path, strerror(-r));
        return 0;
}

bool file_exists(const char *path)
{
        return access(path, F_OK) == 0;
}

char *disk_shortage(const char *path, uint64_t needed)
{
        struct statvfs st;
        uint64_t left;

        if (statvfs(path, &st) < 0)
                return NULL;
        left = (uint64_t)st.f_bavail * st.f_frsize;
        if (left >= needed)
                return NULL;
        return xasprintf("no space left on device under %s: %llu MB free, %llu MB needed", path,
                         (unsigned long long)(left >> 20), (unsigned long long)(needed >> 20));
}

int64_t dir_usage(const char *path)
{
        DIR *dir = opendir(path);
        struct dirent *e;
        int64_t sum = 0;

        while (dir && (e = readdir(dir))) {
                struct stat st;

                if (streq(e->d_name, ".") || streq(e->d_name, "..") ||
                    fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        continue;
                sum += st.st_blocks * 512 / (S_ISREG(st.st_mode) && st.st_nlink ? (int64_t)st.st_nlink : 1);
                if (S_ISDIR(st.st_mode)) {
                        _cleanup_free_ char *child = xasprintf("%s/%s", path, e->d_name);

                        sum += dir_usage(child);
                }
        }
        if (dir)
                closedir(dir);
        return sum;
}

size_t files_raise_limit(void)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return 1024;
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
        getrlimit(RLIMIT_NOFILE, &limit);
        return (size_t)limit.rlim_cur;
}
