/* From what skopeo fetched to an image of the store.
 *
 * A layer's folder is named after the blob it came from, whose digest skopeo has checked: two images share it only when
 * they share the very bytes. (Named after what the image claims its layers to be once unpacked, a liar could plant
 * files in other images.)
 */
#include <dirent.h>
#include <fcntl.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "../../lib/base/file.h"
#include "../../lib/base/time.h"
#include "store.h"

static const char *last_line(struct arena *a, const char *text)
{
        size_t len = strlen(text);
        const char *start;

        while (len && (text[len - 1] == '\n' || text[len - 1] == ' '))
                len--;
        for (start = text + len; start > text && start[-1] != '\n'; start--)
                ;
        return arena_strndup(a, start, (size_t)(text + len - start));
}

/* skopeo speaks in logrus: time="..." level=fatal msg="...". */
static const char *message_of(struct arena *a, const char *line)
{
        const char *msg = strstr(line, "msg=\"");
        struct json *j;
        size_t len;

        if (!msg)
                return line;
        msg += strlen("msg=");
        len = strlen(msg);
        return json_parse(a, msg, len, NULL, &j, NULL) == 0 && json_string(j) ? json_string(j) : line;
}

int store_run(struct image_store *s, struct arena *a, const char *const *argv, char **ret_out, size_t *ret_len,
              struct error *reterr)
{
        struct process_result result = { 0 };
        const char *path = getenv("PATH"), *text;
        const char *env[] = { arena_printf(a, "PATH=%s", path ? path : "/usr/sbin:/usr/bin:/sbin:/bin"),
                              arena_printf(a, "TMPDIR=%s/tmp", s->dir), "HOME=/root", NULL };
        struct process_options o = { .argv = argv, .env = env, .max_output = 8 << 20, .ends_with_us = true };
        int r = process_run(s->loop, &o, &result, reterr);

        if (r < 0)
                return r;
        if (result.status) {
                text = message_of(a, last_line(a, strbuf_str(&result.err)));
                r = strstr(text, "no space left on device") || strstr(text, "No space left on device") ? -ENOSPC : -EIO;
                error_set(reterr, r, "%s", *text ? text : arena_printf(a, "%s ended with code %d", argv[0], result.status));
        } else if (ret_out) {
                *ret_out = arena_memdup(a, strbuf_str(&result.out), result.out.len + 1);
                if (ret_len)
                        *ret_len = result.out.len;
        }
        process_result_deinit(&result);
        return r;
}

static bool is_digest(const char *d)
{
        return d && str_has_prefix(d, "sha256:") && strlen(d) == 71 && strspn(d + 7, "0123456789abcdef") == 64;
}

static char *blob_path(const struct image_store *s, struct arena *a, const char *digest)
{
        return arena_printf(a, "%s/blobs/sha256/%s", s->dir, digest + strlen("sha256:"));
}

static int read_blob(struct image_store *s, struct arena *a, const char *layout, const char *digest, struct json **ret,
                     struct error *reterr)
{
        char *path, *text = NULL;
        size_t len;
        int r;

        if (!is_digest(digest))
                return error_set(reterr, -EINVAL, "the image names a blob without a sha256 digest");
        path = blob_path(s, a, digest);
        if (!file_exists(path))
                path = arena_printf(a, "%s/blobs/sha256/%s", layout, digest + strlen("sha256:"));
        r = file_read(path, 16 << 20, &text, &len, reterr);
        if (!r)
                r = json_parse(a, text, len, NULL, ret, reterr);
        free(text);
        return r;
}

static int unpack_layer(struct image_store *s, struct arena *a, const char *digest, struct error *reterr)
{
        char *final = arena_printf(a, "%s/layers/%.32s", s->dir, digest + strlen("sha256:")), *tmp = store_tmp(s, a);
        const char *argv[] = { helper_path(a, s->o.helpers, "colibri-unpack"), "layer", blob_path(s, a, digest), tmp,
                               NULL };
        int r;

        if (file_exists(final))
                return 0;
        r = dir_make(tmp, 0755, reterr);
        if (!r)
                r = store_run(s, a, argv, NULL, NULL, reterr);
        if (!r && rename(tmp, final) < 0 && errno != EEXIST && errno != ENOTEMPTY)
                r = error_set(reterr, -errno, "cannot rename %s: %s", tmp, strerror(errno));
        if (r)
                error_wrap(reterr, r, "failed to extract layer %s", digest);
        dir_remove(tmp, NULL);
        return r;
}

struct measure {
        const char *path;
        int64_t bytes;
};

static void measure_job(void *userdata)
{
        struct measure *m = userdata;

        m->bytes = dir_usage(m->path);
}

static int64_t layer_size(struct image_store *s, struct arena *a, const char *digest)
{
        struct measure m = { .path = arena_printf(a, "%s/layers/%.32s", s->dir, digest + strlen("sha256:")) };

        fiber_work(s->loop, measure_job, &m);
        return m.bytes;
}

/* The manifest that the layout's index names; skopeo writes one. */
static int find_manifest(struct image_store *s, struct arena *a, const char *layout, const char **ret_digest,
                         struct json **ret, struct error *reterr)
{
        char *text = NULL;
        struct json *index;
        size_t len;
        int r = file_read(arena_printf(a, "%s/index.json", layout), 1 << 20, &text, &len, reterr);

        if (!r)
                r = json_parse(a, text, len, NULL, &index, reterr);
        free(text);
        if (r < 0)
                return r;
        *ret_digest = json_get_string(json_at(json_get(index, "manifests"), 0), "digest");
        return read_blob(s, a, layout, *ret_digest, ret, reterr);
}

int store_import(struct image_store *s, const char *layout, const char *name, const char *digest, bool pin,
                 const char **ret_id, struct arena *a, struct error *reterr)
{
        struct json *manifest, *config, *image = json_new_object(a), *layers, *blobs;
        const char *manifest_digest, *id;
        int64_t size = 0;
        int r = find_manifest(s, a, layout, &manifest_digest, &manifest, reterr);

        if (r < 0)
                return r;
        id = json_path_string(manifest, "config.digest");
        r = read_blob(s, a, layout, id, &config, reterr);
        if (r < 0)
                return r;
        json_set_string(a, image, "id", id);
        if (name)
                json_append(a, json_ensure_array(a, image, "names"), json_new_string(a, name));
        if (digest)
                json_append(a, json_ensure_array(a, image, "digests"), json_new_string(a, digest));
        layers = json_ensure_array(a, image, "layers");
        json_foreach_item(json_get(manifest, "layers"), l) {
                const char *d = json_get_string(l, "digest");
                if (!is_digest(d))
                        return error_set(reterr, -EINVAL, "the image's manifest names a layer without a sha256 digest");
                r = unpack_layer(s, a, d, reterr);
                if (r < 0)
                        return r;
                size += layer_size(s, a, d);
                json_append(a, layers, json_new_string(a, d));
        }
        blobs = json_ensure_array(a, image, "blobs");
        json_append(a, blobs, json_new_string(a, id));
        json_append(a, blobs, json_new_string(a, manifest_digest));
        json_set_int(a, image, "size", size);
        json_set_bool(a, image, "pinned", pin);
        json_set_int(a, image, "created", time_real());
        json_set(a, image, "config", json_get(config, "config") ? json_get(config, "config") : json_new_object(a));
        r = store_commit(s, a, image, name, reterr);
        if (!r)
                *ret_id = id;
        return r;
}
