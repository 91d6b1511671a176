/* colibri-unpack: reads archives for the image store, in a process of its own.
 *
 *      colibri-unpack layer ARCHIVE DIRECTORY    unpacks a layer; prints the bytes it holds
 *      colibri-unpack names ARCHIVE              prints what an image archive is, and the names of its images
 *
 * A layer comes from strangers. Before the first entry is read, this process makes DIRECTORY its root: no
 * path and no link can lead out, whatever the archive says. What the OCI image specification calls
 * whiteouts becomes what overlayfs understands: a device 0/0 for a removed file, an attribute for an opaque folder.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "../../lib/json/json.h"

#define WHITEOUT ".wh."
#define OPAQUE ".wh..wh..opq"

static int fail(const char *what, const char *why)
{
        fprintf(stderr, "%s: %s\n", what, why);
        return 1;
}

/* libarchive says "Write failed" and keeps the reason as a number: a full disk is to be called that. */
static int write_failed(const char *what, struct archive *out)
{
        const char *text = archive_error_string(out), *cause = archive_errno(out) > 0 ? strerror(archive_errno(out)) : NULL;

        if (!text || !cause || strstr(text, cause))
                return fail(what, text ? text : cause ? cause : "cannot be written");
        fprintf(stderr, "%s: %s: %s\n", what, text, cause);
        return 1;
}

static struct archive *open_archive(const char *path)
{
        struct archive *ar = archive_read_new();

        archive_read_support_filter_all(ar);
        archive_read_support_format_tar(ar);
        archive_read_support_format_gnutar(ar);
        archive_read_support_format_empty(ar);
        if (archive_read_open_filename(ar, path, 256 << 10) == ARCHIVE_OK)
                return ar;
        fail(path, archive_error_string(ar));
        archive_read_free(ar);
        return NULL;
}

/* "./a//b/../c" -> "a/c" in place: relative, without empty parts, and never above the top. */
static void clean_path(char *path)
{
        char *out = path, *end;

        for (char *p = path; *p;) {
                size_t len = strcspn(p, "/");
                end = p + len;
                bool last = !*end;
                if (len == 2 && p[0] == '.' && p[1] == '.') {
                        while (out > path && *--out != '/')
                                ;
                } else if (len && !(len == 1 && p[0] == '.')) {
                        if (out > path)
                                *out++ = '/';
                        memmove(out, p, len);
                        out += len;
                }
                if (last)
                        break;
                p = end + 1;
        }
        *out = '\0';
}

/* Parents that the layer does not name itself. */
static void make_parents(char *path)
{
        for (char *p = path; (p = strchr(p, '/')); p++) {
                *p = '\0';
                mkdir(path, 0755);
                *p = '/';
        }
}

/* 1: handled here; 0: an ordinary entry; negative: failed. */
static int apply_whiteout(char *path)
{
        char *name = strrchr(path, '/'), target[4096];

        name = name ? name + 1 : path;
        if (strncmp(name, WHITEOUT, strlen(WHITEOUT)))
                return 0;
        make_parents(path);
        if (!strcmp(name, OPAQUE)) {
                snprintf(target, sizeof(target), "%.*s", (int)(name - path), path);
                if (setxattr(*target ? target : ".", "trusted.overlay.opaque", "y", 1, 0) < 0)
                        return -errno;
                return 1;
        }
        if (!strncmp(name, ".wh..wh.", 8))
                return 1; /* aufs' own files: nothing to us */
        if (snprintf(target, sizeof(target), "%.*s%s", (int)(name - path), path, name + strlen(WHITEOUT)) >=
            (int)sizeof(target))
                return -ENAMETOOLONG;
        if (mknod(target, S_IFCHR, makedev(0, 0)) < 0 && errno != EEXIST)
                return -errno;
        return 1;
}

static int copy_data(struct archive *in, struct archive *out, int64_t *bytes)
{
        const void *block;
        size_t size;
        int64_t offset;

        for (;;) {
                int r = archive_read_data_block(in, &block, &size, &offset);
                if (r == ARCHIVE_EOF)
                        return 0;
                if (r < ARCHIVE_WARN)
                        return fail("layer", archive_error_string(in));
                if (archive_write_data_block(out, block, size, offset) < ARCHIVE_OK)
                        return write_failed("write", out);
                *bytes += (int64_t)size;
        }
}

/* Attributes that would mean something to overlayfs must not come out of an archive. */
static void drop_overlay_attributes(struct archive_entry *e)
{
        const char *name;
        const void *value;
        size_t size, n = 0;
        bool found = false;

        archive_entry_xattr_reset(e);
        while (archive_entry_xattr_next(e, &name, &value, &size) == ARCHIVE_OK) {
                found |= str_has_prefix(name, "trusted.overlay.");
                n++;
        }
        if (found && n)
                archive_entry_xattr_clear(e);
}

static int write_entry(struct archive *in, struct archive *out, struct archive_entry *e, int64_t *bytes)
{
        const char *link = archive_entry_hardlink(e);
        char *path = xstrdup(archive_entry_pathname(e) ? archive_entry_pathname(e) : "");
        int r;

        clean_path(path);
        if (!*path) { /* the root itself: its mode counts */
                if (archive_entry_filetype(e) == AE_IFDIR)
                        r = chmod("/", archive_entry_perm(e)) + chown("/", (uid_t)archive_entry_uid(e),
                                                                      (gid_t)archive_entry_gid(e));
                free(path);
                return 0;
        }
        r = apply_whiteout(path);
        if (r) {
                if (r < 0)
                        fail(path, strerror(-r));
                free(path);
                return r < 0;
        }
        make_parents(path);
        archive_entry_set_pathname(e, path);
        if (link) {
                char *target = xstrdup(link);
                clean_path(target);
                archive_entry_set_hardlink(e, target);
                free(target);
        }
        drop_overlay_attributes(e);
        r = archive_write_header(out, e);
        if (r < ARCHIVE_WARN)
                r = write_failed(path, out);
        else
                r = archive_entry_size(e) > 0 && !link ? copy_data(in, out, bytes) : 0;
        free(path);
        return r;
}

static int sync_file_system(void)
{
        int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = fd < 0 ? -1 : syncfs(fd);

        if (fd >= 0)
                close(fd);
        return r;
}

static int unpack_layer(const char *path, const char *directory)
{
        struct archive *in = open_archive(path), *out;
        struct archive_entry *e;
        int64_t bytes = 0;
        int r = 0, code;

        if (!in)
                return 1;
        if (chdir(directory) < 0 || chroot(".") < 0)
                return fail(directory, strerror(errno));
        umask(0);
        out = archive_write_disk_new();
        archive_write_disk_set_options(out, ARCHIVE_EXTRACT_OWNER | ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME |
                                                    ARCHIVE_EXTRACT_XATTR | ARCHIVE_EXTRACT_UNLINK |
                                                    ARCHIVE_EXTRACT_SECURE_NODOTDOT);
        while (!r && (code = archive_read_next_header(in, &e)) != ARCHIVE_EOF) {
                if (code < ARCHIVE_WARN)
                        r = fail(path, archive_error_string(in));
                else
                        r = write_entry(in, out, e, &bytes);
        }
        if (archive_write_close(out) < ARCHIVE_WARN && !r)
                r = write_failed("write", out);
        archive_write_free(out);
        archive_read_free(in);
        /* The folder is renamed into place after this: a power failure must not leave half of it there. */
        if (!r && sync_file_system() < 0)
                r = fail("sync", strerror(errno));
        if (!r)
                printf("%lld\n", (long long)bytes);
        return r;
}

/* --- names --- */

static char *read_all(struct archive *ar, struct archive_entry *e, size_t *ret_len)
{
        struct strbuf b = STRBUF_INIT_MAX(4 << 20);
        char buf[16384];
        la_ssize_t n;

        while ((n = archive_read_data(ar, buf, sizeof(buf))) > 0)
                strbuf_append(&b, buf, (size_t)n);
        *ret_len = b.len;
        return strbuf_steal(&b);
}

static void print_docker_names(const struct json *manifest)
{
        json_foreach_item(manifest, image) {
                size_t n = json_len(json_get(image, "RepoTags"));
                json_foreach_item(json_get(image, "RepoTags"), tag)
                        if (json_is_string(tag))
                                printf("name %s\n", tag->str);
                if (!n)
                        printf("index %zu\n", image_i);
        }
}

static void print_oci_names(const struct json *index)
{
        json_foreach_item(json_get(index, "manifests"), m) {
                const struct json *notes = json_get(m, "annotations");
                const char *full = json_get_string(notes, "io.containerd.image.name");
                const char *name = json_get_string(notes, "org.opencontainers.image.ref.name");
                if (full || name)
                        printf("oci %s %s\n", name ? name : full, full ? full : name);
                else
                        printf("index %zu\n", m_i);
        }
}

/* A docker archive has a manifest.json, an OCI archive an index.json; newer Docker writes both, and then
 * the former has the names. */
static int print_names(const char *path)
{
        struct archive *ar = open_archive(path);
        struct archive_entry *e;
        struct arena *a = arena_new(0);
        struct json *docker = NULL, *oci = NULL;
        int code;

        if (!ar)
                return 1;
        while ((code = archive_read_next_header(ar, &e)) != ARCHIVE_EOF) {
                char *name = xstrdup(archive_entry_pathname(e) ? archive_entry_pathname(e) : "");
                size_t len;
                if (code < ARCHIVE_WARN)
                        return fail(path, archive_error_string(ar));
                clean_path(name);
                if (streq(name, "manifest.json") || streq(name, "index.json")) {
                        char *text = read_all(ar, e, &len);
                        struct json *j;
                        if (json_parse(a, text, len, NULL, &j, NULL) == 0)
                                *(*name == 'm' ? &docker : &oci) = j;
                        free(text);
                }
                free(name);
        }
        archive_read_free(ar);
        if (!docker && !oci)
                return fail(path, "neither a docker archive (manifest.json) nor an OCI archive (index.json)");
        printf("type %s\n", docker ? "docker-archive" : "oci-archive");
        if (docker)
                print_docker_names(docker);
        else
                print_oci_names(oci);
        arena_free(a);
        return 0;
}

#ifdef __SANITIZE_ADDRESS__
/* Behind its own walls LeakSanitizer finds no /proc and gives up; what is held here goes with the process. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
        return 1;
}
#endif

int main(int argc, char **argv)
{
        if (argc == 4 && streq(argv[1], "layer"))
                return unpack_layer(argv[2], argv[3]);
        if (argc == 3 && streq(argv[1], "names"))
                return print_names(argv[2]);
        fprintf(stderr, "usage: colibri-unpack layer ARCHIVE DIRECTORY\n       colibri-unpack names ARCHIVE\n");
        return 2;
}
