/* The atomic writer, after k8s.io/kubernetes/pkg/volume/util/atomic_writer.go.
 *
 *      DIR/..2026_11_21_12_00_00.123456789/a/b   the files
 *      DIR/..data -> ..2026_...                  swapped by rename
 *      DIR/a -> ..data/a
 */
#include "atomic.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "../../lib/base/file.h"
#include "../../lib/base/time.h"

static bool valid(const char *path)
{
        if (!*path || *path == '/')
                return false;
        for (const char *p = path; *p;) {
                size_t n = strcspn(p, "/");
                if (n == 0 || (n == 2 && p[0] == '.' && p[1] == '.'))
                        return false;
                p += n + (p[n] == '/');
        }
        return !str_has_prefix(path, "..");
}

static int write_one(const char *base, const struct atomic_file *f, int64_t gid, struct error *reterr)
{
        _cleanup_free_ char *path = xasprintf("%s/%s", base, f->path);
        char *slash = strrchr(path, '/');
        int fd, r = 0;

        *slash = '\0';
        r = dir_make(path, 0755, reterr);
        *slash = '/';
        if (r < 0)
                return r;
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0 || write(fd, f->data, f->len) != (ssize_t)f->len || fchmod(fd, (mode_t)f->mode) < 0 ||
            ((f->uid >= 0 || gid >= 0) && fchown(fd, (uid_t)f->uid, (gid_t)gid) < 0))
                r = error_set(reterr, errno ? -errno : -EIO, "cannot write %s: %s", path, strerror(errno));
        if (gid >= 0 && r == 0 && fchmod(fd, (mode_t)(f->mode | ((f->mode & 0400) >> 3))) < 0)
                r = -errno;
        if (fd >= 0)
                close(fd);
        return r;
}

static bool same(const char *dir, const struct atomic_file *f)
{
        _cleanup_free_ char *path = xasprintf("%s/..data/%s", dir, f->path), *old = NULL;
        size_t len;

        return file_read(path, 0, &old, &len, NULL) == 0 && len == f->len && !memcmp(old, f->data, len);
}

static size_t count_files(const char *path)
{
        DIR *dir = opendir(path);
        struct dirent *e;
        size_t n = 0;

        while (dir && (e = readdir(dir))) {
                if (streq(e->d_name, ".") || streq(e->d_name, ".."))
                        continue;
                if (e->d_type == DT_DIR) {
                        _cleanup_free_ char *sub = xasprintf("%s/%s", path, e->d_name);
                        n += count_files(sub);
                } else {
                        n++;
                }
        }
        if (dir)
                closedir(dir);
        return n;
}

static bool unchanged(const char *dir, const struct atomic_file *files, size_t n)
{
        _cleanup_free_ char *data = xasprintf("%s/..data", dir);

        if (!file_exists(data) || count_files(data) != n)
                return false;
        for (size_t i = 0; i < n; i++)
                if (!same(dir, &files[i]))
                        return false;
        return true;
}

/* Links for new first components; links whose target is gone are removed. */
static void update_links(const char *dir, const struct atomic_file *files, size_t n)
{
        DIR *d = opendir(dir);
        struct dirent *e;

        for (size_t i = 0; i < n; i++) {
                size_t len = strcspn(files[i].path, "/");
                _cleanup_free_ char *link = xasprintf("%s/%.*s", dir, (int)len, files[i].path);
                _cleanup_free_ char *target = xasprintf("..data/%.*s", (int)len, files[i].path);
                if (symlink(target, link) < 0 && errno != EEXIST)
                        continue;
        }
        while (d && (e = readdir(d))) {
                if (str_has_prefix(e->d_name, ".."))
                        continue;
                if (faccessat(dirfd(d), e->d_name, F_OK, 0) < 0 && errno == ENOENT)
                        unlinkat(dirfd(d), e->d_name, 0);
        }
        if (d)
                closedir(d);
}

int atomic_write(const char *dir, const struct atomic_file *files, size_t n, int64_t gid, struct error *reterr)
{
        struct timespec now;
        struct tm tm;
        char stamp[64], old[256] = "";
        _cleanup_free_ char *base = NULL, *data = xasprintf("%s/..data", dir), *tmp = xasprintf("%s/..data_tmp", dir);
        ssize_t k;
        int r = dir_make(dir, 0755, reterr);

        for (size_t i = 0; !r && i < n; i++)
                if (!valid(files[i].path))
                        r = error_set(reterr, -EINVAL, "invalid path: must not contain '..': %s", files[i].path);
        if (r < 0 || unchanged(dir, files, n))
                return r;
        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &tm);
        strftime(stamp, sizeof(stamp), "..%Y_%m_%d_%H_%M_%S", &tm);
        snprintf(stamp + strlen(stamp), 16, ".%09ld", now.tv_nsec);
        base = xasprintf("%s/%s", dir, stamp);
        r = dir_make(base, 0755, reterr);
        for (size_t i = 0; !r && i < n; i++)
                r = write_one(base, &files[i], gid, reterr);
        if (r < 0) {
                dir_remove(base, NULL);
                return r;
        }
        k = readlink(data, old, sizeof(old) - 1);
        old[k < 0 ? 0 : k] = '\0';
        unlink(tmp);
        if (symlink(stamp, tmp) < 0 || rename(tmp, data) < 0) {
                r = -errno;
                dir_remove(base, NULL);
                return error_set(reterr, r, "cannot swap %s: %s", data, strerror(-r));
        }
        update_links(dir, files, n);
        if (*old && !strchr(old, '/')) {
                _cleanup_free_ char *gone = xasprintf("%s/%s", dir, old);
                dir_remove(gone, NULL);
        }
        return 0;
}
