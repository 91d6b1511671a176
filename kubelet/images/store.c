/* The image store: what is on disk, read into memory, and changed under a lock.
 *
 * An image is one JSON file; whatever process writes it renames it into place, so the folder's time says
 * whether another process changed something. Layers and blobs belong to the images that name them; what no
 * image names is swept when images are removed, under a lock that nobody who brings something in holds.
 */
#include "store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "../../lib/base/file.h"
#include "../../lib/base/time.h"

char *helper_path(struct arena *a, const char *helpers, const char *name)
{
        static const char *const beside[] = { "", "../kubelet/" };
        char self[512];
        ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
        char *path;

        if (helpers)
                return arena_printf(a, "%s/%s", helpers, name);
        self[n < 0 ? 0 : n] = '\0';
        if (n > 0 && strrchr(self, '/'))
                *strrchr(self, '/') = '\0';
        for (size_t i = 0; i < ARRAY_SIZE(beside); i++) {
                path = arena_printf(a, "%s/%s%s", self, beside[i], name);
                if (access(path, X_OK) == 0)
                        return path;
        }
        return arena_printf(a, "%s/%s", self, name);
}

/* --- reading --- */

static void forget_images(struct image_store *s)
{
        for (size_t i = 0; i < s->n; i++)
                arena_free(s->images[i].arena);
        s->n = 0;
}

static void read_image(struct image_store *s, const char *file)
{
        struct arena *a = arena_new(4096);
        char *path = arena_printf(a, "%s/images/%s", s->dir, file), *text = NULL;
        struct stat st;
        struct json *j;
        size_t len;

        if (stat(path, &st) == 0 && file_read(path, 0, &text, &len, NULL) == 0 &&
            json_parse(a, text, len, NULL, &j, NULL) == 0 && json_get_string(j, "id")) {
                array_reserve(s->images, s->cap, s->n + 1);
                s->images[s->n++] = (struct stored_image){
                        .arena = a, .json = j, .id = json_get_string(j, "id"),
                        .last_used = st.st_mtim.tv_sec * NS_PER_SEC + st.st_mtim.tv_nsec,
                };
        } else {
                arena_free(a);
        }
        free(text);
}

int store_refresh(struct image_store *s, struct error *reterr)
{
        _cleanup_free_ char *path = xasprintf("%s/images", s->dir);
        struct stat st;
        struct dirent *e;
        DIR *dir;

        if (stat(path, &st) < 0)
                return error_set(reterr, -errno, "%s: %s", path, strerror(errno));
        if (st.st_mtim.tv_sec == s->seen.tv_sec && st.st_mtim.tv_nsec == s->seen.tv_nsec)
                return 0;
        dir = opendir(path);
        if (!dir)
                return error_set(reterr, -errno, "%s: %s", path, strerror(errno));
        forget_images(s);
        while ((e = readdir(dir)))
                if (str_has_suffix(e->d_name, ".json"))
                        read_image(s, e->d_name);
        closedir(dir);
        s->seen = st.st_mtim;
        return 0;
}

static bool holds(const struct json *list, const char *name)
{
        json_foreach_item(list, n)
                if (streq(json_string(n), name))
                        return true;
        return false;
}

/* "sha256:0123..." whole, or 12 and more of its digits. */
static bool is_id(const struct stored_image *i, const char *text)
{
        const char *hex = str_has_prefix(text, "sha256:") ? text + 7 : text;

        return strlen(hex) >= 12 && str_has_prefix(i->id + strlen("sha256:"), hex);
}

struct stored_image *store_find(struct image_store *s, const char *name)
{
        for (size_t i = 0; i < s->n; i++)
                if (holds(json_get(s->images[i].json, "names"), name) ||
                    holds(json_get(s->images[i].json, "digests"), name))
                        return &s->images[i];
        for (size_t i = 0; i < s->n; i++)
                if (is_id(&s->images[i], name))
                        return &s->images[i];
        return NULL;
}

static const char **strings(struct arena *a, const struct json *list, size_t *ret_n)
{
        const char **out = arena_calloc(a, (json_len(list) + 1) * sizeof(*out));
        size_t n = 0;

        json_foreach_item(list, s)
                if (json_is_string(s))
                        out[n++] = arena_strdup(a, s->str);
        *ret_n = n;
        return out;
}

void store_describe(const struct stored_image *i, struct arena *a, struct runtime_image *ret)
{
        const char *user = json_path_string(i->json, "config.User");
        char *name = arena_strndup(a, user ? user : "", strcspn(user ? user : "", ":")), *end;
        long uid = strtol(name, &end, 10);

        *ret = (struct runtime_image){
                .id = arena_strdup(a, i->id),
                .size = json_get_int(i->json, "size", 0),
                .pinned = json_get_bool(i->json, "pinned", false),
                .uid = *name && *end ? -1 : uid,
                .username = *name && *end ? name : NULL,
        };
        ret->repo_tags = strings(a, json_get(i->json, "names"), &ret->n_repo_tags);
        ret->repo_digests = strings(a, json_get(i->json, "digests"), &ret->n_repo_digests);
}

/* overlayfs refuses to have a folder twice; of a layer that comes again the upper one tells all the lower could. */
static void list_layers(const struct image_store *s, const struct stored_image *i, struct arena *a,
                        struct image_details *ret)
{
        const struct json *layers = json_get(i->json, "layers");

        ret->layers = arena_calloc(a, (json_len(layers) + 1) * sizeof(*ret->layers));
        for (size_t k = 0; k < json_len(layers); k++) {
                const char *digest = json_string(json_at(layers, k));
                bool again = !digest;
                for (size_t m = k + 1; digest && m < json_len(layers); m++)
                        again |= streq(digest, json_string(json_at(layers, m)));
                if (!again)
                        ret->layers[ret->n_layers++] = arena_printf(a, "%s/layers/%.32s", s->dir,
                                                                    strchr(digest, ':') + 1);
        }
}

static int find(struct image_store *s, const char *ref, struct arena *a, struct stored_image **ret,
                const char **ret_name, struct error *reterr)
{
        struct image_reference parsed;
        struct error why = ERROR_INIT;
        const char *name = NULL;
        int r = store_refresh(s, reterr);

        if (r < 0)
                return r;
        r = image_reference_parse(a, ref, &parsed, &why);
        if (!r)
                name = image_reference_print(a, &parsed);
        *ret = (name ? store_find(s, name) : NULL);
        if (!*ret)
                *ret = store_find(s, ref);
        if (ret_name)
                *ret_name = name;
        if (!*ret && r)
                r = error_set(reterr, RUNTIME_INVALID_IMAGE_NAME, "%s", error_text(&why));
        else if (!*ret)
                r = error_set(reterr, RUNTIME_NOT_FOUND, "image \"%s\" not found", ref);
        else
                r = 0;
        error_deinit(&why);
        return r;
}

int image_store_get(struct image_store *s, const char *ref, struct arena *a, struct image_details *ret,
                    struct error *reterr)
{
        struct image_details d = { 0 };
        struct stored_image *i;
        char *path;
        int r = find(s, ref, a, &i, NULL, reterr);

        if (r)
                return r;
        store_describe(i, a, &d.image);
        d.config = json_clone(a, json_get(i->json, "config"));
        list_layers(s, i, a, &d);
        path = arena_printf(a, "%s/images/%s.json", s->dir, strchr(i->id, ':') + 1);
        utimensat(AT_FDCWD, path, NULL, 0); /* last used: now */
        i->last_used = time_real();
        *ret = d;
        return 0;
}

int image_store_list(struct image_store *s, struct arena *a, struct runtime_image **ret, size_t *ret_n,
                     struct error *reterr)
{
        int r = store_refresh(s, reterr);
        struct runtime_image *list;

        if (r < 0)
                return r;
        list = arena_calloc(a, (s->n + 1) * sizeof(*list));
        for (size_t i = 0; i < s->n; i++)
                store_describe(&s->images[i], a, &list[i]);
        *ret = list;
        *ret_n = s->n;
        return 0;
}

/* --- changing --- */

/* The lock belongs to the process: fibers that share it are counted. */
static bool try_lock(struct image_store *s, bool exclusive)
{
        if (s->users && exclusive)
                return false;
        if (!s->users && flock(s->use_fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) < 0)
                return false;
        s->users++;
        return true;
}

int store_lock(struct image_store *s, bool exclusive, struct error *reterr)
{
        for (int i = 0; i < 30000; i++) {
                if (try_lock(s, exclusive))
                        return 0;
                fiber_sleep(20 * NS_PER_MS);
        }
        return error_set(reterr, -ETIMEDOUT, "the image store stays locked");
}

void store_unlock(struct image_store *s)
{
        if (--s->users == 0)
                flock(s->use_fd, LOCK_UN);
}

char *store_tmp(struct image_store *s, struct arena *a)
{
        return arena_printf(a, "%s/tmp/%d-%u", s->dir, (int)getpid(), s->tmp_count++);
}

static int write_image(struct image_store *s, struct arena *a, const struct json *j, struct error *reterr)
{
        const char *id = json_get_string(j, "id");
        char *text = json_print(a, j);

        s->seen = (struct timespec){ 0 };
        return file_write(arena_printf(a, "%s/images/%s.json", s->dir, strchr(id, ':') + 1), text, strlen(text), 0600,
                          reterr);
}

static bool drop(struct json *list, const char *name)
{
        for (size_t i = 0; i < json_len(list); i++)
                if (streq(json_string(list->items[i]), name)) {
                        json_remove(list, i);
                        return true;
                }
        return false;
}

int store_commit(struct image_store *s, struct arena *a, struct json *image, const char *name, struct error *reterr)
{
        const char *id = json_get_string(image, "id");
        int r = store_refresh(s, reterr);

        for (size_t i = 0; !r && i < s->n; i++) {
                const struct json *old = s->images[i].json;
                if (streq(s->images[i].id, id)) {
                        json_foreach_item(json_get(old, "names"), n)
                                if (!holds(json_get(image, "names"), n->str))
                                        json_append(a, json_ensure_array(a, image, "names"), json_new_string(a, n->str));
                        json_foreach_item(json_get(old, "digests"), d)
                                if (!holds(json_get(image, "digests"), d->str))
                                        json_append(a, json_ensure_array(a, image, "digests"),
                                                    json_new_string(a, d->str));
                        if (json_get_bool(old, "pinned", false))
                                json_set_bool(a, image, "pinned", true);
                } else if (name && holds(json_get(old, "names"), name)) {
                        struct json *changed = json_clone(a, old);
                        drop(json_get(changed, "names"), name);
                        r = write_image(s, a, changed, reterr);
                }
        }
        return r ? r : write_image(s, a, image, reterr);
}

int image_store_pin(struct image_store *s, const char *ref, bool pinned, struct error *reterr)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct stored_image *i;
        struct json *changed;
        int r = find(s, ref, a, &i, NULL, reterr);

        if (r)
                return r;
        changed = json_clone(a, i->json);
        json_set_bool(a, changed, "pinned", pinned);
        return write_image(s, a, changed, reterr);
}

/* --- taking out --- */

static void note_used(struct image_store *s, struct map *used)
{
        static char yes;
        char name[128];

        for (size_t i = 0; i < s->n; i++) {
                const struct json *j = s->images[i].json;
                json_foreach_item(json_get(j, "layers"), l) {
                        snprintf(name, sizeof(name), "%.32s", strchr(l->str, ':') + 1);
                        map_put(used, name, &yes);
                        map_put(used, strchr(l->str, ':') + 1, &yes);
                }
                json_foreach_item(json_get(j, "blobs"), b)
                        map_put(used, strchr(b->str, ':') + 1, &yes);
        }
}

/* A layer is renamed away first, so that nobody sees half of it. */
static void sweep_dir(struct image_store *s, const char *sub, const struct map *used)
{
        _cleanup_free_ char *path = xasprintf("%s/%s", s->dir, sub);
        _cleanup_arena_ struct arena *a = arena_new(0);
        DIR *dir = opendir(path);
        struct dirent *e;

        while (dir && (e = readdir(dir))) {
                char *from, *to;
                if (e->d_name[0] == '.' || map_has(used, e->d_name))
                        continue;
                from = arena_printf(a, "%s/%s", path, e->d_name);
                to = store_tmp(s, a);
                if (rename(from, to) == 0)
                        dir_remove(to, NULL);
        }
        if (dir)
                closedir(dir);
}

struct sweep {
        struct image_store *s;
        struct map used;
};

static void sweep_job(void *userdata)
{
        struct sweep *w = userdata;

        sweep_dir(w->s, "layers", &w->used);
        sweep_dir(w->s, "blobs/sha256", &w->used);
}

/* Whoever brings something in holds the lock: then the next removal sweeps. */
static void sweep(struct image_store *s)
{
        struct sweep w = { .s = s, .used = MAP_INIT };

        if (!try_lock(s, true))
                return;
        if (store_refresh(s, NULL) == 0) {
                note_used(s, &w.used);
                fiber_work(s->loop, sweep_job, &w);
        }
        map_deinit(&w.used);
        store_unlock(s);
}

/* `colibri image rm` runs beside the kubelet and asks the disk what containers there are. */
static bool used_on_disk(const struct image_store *s, const char *id)
{
        _cleanup_free_ char *path = xasprintf("%s/../containers", s->dir);
        DIR *dir = opendir(path);
        struct dirent *e;
        bool used = false;

        while (!used && dir && (e = readdir(dir))) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                _cleanup_free_ char *text = NULL;
                struct json *j;
                size_t len;
                if (e->d_name[0] != '.' &&
                    file_read(arena_printf(a, "%s/%s/container.json", path, e->d_name), 0, &text, &len, NULL) == 0 &&
                    json_parse(a, text, len, NULL, &j, NULL) == 0)
                        used = streq(json_get_string(j, "imageID"), id);
        }
        if (dir)
                closedir(dir);
        return used;
}

static int unlink_image(struct image_store *s, const char *id, struct error *reterr)
{
        _cleanup_free_ char *path = xasprintf("%s/images/%s.json", s->dir, strchr(id, ':') + 1);

        s->seen = (struct timespec){ 0 };
        if (unlink(path) < 0 && errno != ENOENT)
                return error_set(reterr, -errno, "cannot remove %s: %s", path, strerror(errno));
        return 0;
}

int image_store_remove(struct image_store *s, const char *ref, struct error *reterr)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct stored_image *i;
        struct json *changed;
        const char *name;
        int r = find(s, ref, a, &i, &name, reterr);

        if (r)
                return r;
        changed = json_clone(a, i->json);
        if (name && drop(json_get(changed, "names"), name) && json_len(json_get(changed, "names")))
                return write_image(s, a, changed, reterr);
        if (used_on_disk(s, i->id))
                return error_set(reterr, -EBUSY, "image %s is in use by a container", ref);
        r = unlink_image(s, i->id, reterr);
        if (!r)
                sweep(s);
        return r;
}

int image_store_disk(struct image_store *s, int64_t *ret_used, int64_t *ret_capacity, struct error *reterr)
{
        struct statvfs v;

        if (statvfs(s->dir, &v) < 0)
                return error_set(reterr, -errno, "%s: %s", s->dir, strerror(errno));
        *ret_capacity = (int64_t)(v.f_blocks * v.f_frsize);
        *ret_used = *ret_capacity - (int64_t)(v.f_bavail * v.f_frsize);
        return 0;
}

/* The unused image that was used longest ago; NULL: none may go. */
static struct stored_image *oldest_unused(struct image_store *s, image_in_use_fn *in_use, void *userdata)
{
        struct stored_image *oldest = NULL;

        for (size_t i = 0; i < s->n; i++) {
                struct stored_image *c = &s->images[i];
                if (json_get_bool(c->json, "pinned", false) || in_use(c->id, userdata))
                        continue;
                if (!oldest || c->last_used < oldest->last_used)
                        oldest = c;
        }
        return oldest;
}

int image_store_gc(struct image_store *s, int high, int low, image_in_use_fn *in_use, void *userdata,
                   int64_t *ret_freed, struct error *reterr)
{
        int64_t used, capacity, freed = 0;
        int r = image_store_disk(s, &used, &capacity, reterr);

        if (!r && used * 100 < capacity * high) {
                *ret_freed = 0;
                return 0;
        }
        while (!r && (used - freed) * 100 > capacity * low) {
                struct stored_image *i;
                r = store_refresh(s, reterr);
                i = r ? NULL : oldest_unused(s, in_use, userdata);
                if (!i)
                        break;
                freed += json_get_int(i->json, "size", 0);
                r = unlink_image(s, i->id, reterr);
        }
        if (freed)
                sweep(s);
        *ret_freed = freed;
        return r;
}

/* --- opening --- */

/* What dead processes left half done. Another process' work of this very moment holds the lock. */
static void clear_tmp(struct image_store *s)
{
        _cleanup_free_ char *path = xasprintf("%s/tmp", s->dir);

        if (try_lock(s, true)) {
                dir_remove(path, NULL);
                store_unlock(s);
        }
        dir_make(path, 0700, NULL);
}

int image_store_open(struct loop *loop, const struct image_store_options *o, struct image_store **ret,
                     struct error *reterr)
{
        static const char *const subs[] = { "images", "layers", "blobs/sha256", "tmp" };
        struct image_store *s = new0(struct image_store);
        int r = 0;

        s->loop = loop;
        s->arena = arena_new(0);
        s->dir = arena_strdup(s->arena, o->dir);
        s->o = *o;
        s->use_fd = -1;
        map_init(&s->pulls);
        for (size_t i = 0; !r && i < ARRAY_SIZE(subs); i++)
                r = dir_make(arena_printf(s->arena, "%s/%s", s->dir, subs[i]), 0711, reterr);
        if (!r) {
                s->use_fd = open(arena_printf(s->arena, "%s/lock", s->dir), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
                if (s->use_fd < 0)
                        r = error_set(reterr, -errno, "cannot open the image store %s: %s", s->dir, strerror(errno));
        }
        if (r < 0) {
                image_store_free(s);
                return r;
        }
        clear_tmp(s);
        *ret = s;
        return 0;
}

void image_store_free(struct image_store *s)
{
        if (!s)
                return;
        forget_images(s);
        free(s->images);
        map_deinit(&s->pulls);
        if (s->use_fd >= 0)
                close(s->use_fd);
        arena_free(s->arena);
        free(s);
}
