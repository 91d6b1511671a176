/* Volumes of pods: one function a kind, a table of them, and the mounts that containers get.
 */
#include "volumes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#include "../../lib/base/encode.h"
#include "../../lib/base/file.h"
#include "../../lib/base/map.h"
#include "../../lib/base/time.h"
#include "../../lib/meta/quantity.h"
#include "atomic.h"
#include "claims.h"
#include "downward.h"
#include "ownership.h"

struct token {
        char *text;
        int64_t expires, renew;
};

struct volumes {
        struct loop *loop;
        struct arena *arena;
        struct volumes_options o;
        struct map tokens; /* "uid/volume/audience/path" -> struct token * */
};

struct context {
        struct volumes *v;
        struct arena *a;
        const struct json *pod, *volume, *source;
        const struct json *pvs; /* of its claims, by volume */
        const char *name, *ns, *uid;
        int64_t fs_group; /* -1: none */
        int64_t *next;
        struct atomic_file *files;
        size_t n_files, cap_files;
        char *dir; /* of the volume, for the kinds we make */
};

/* --- files gathered for the atomic writer --- */

static void add_file(struct context *c, const char *path, const void *data, size_t len, int mode, int64_t uid)
{
        if (c->n_files == c->cap_files) {
                struct atomic_file *more = arena_calloc(c->a, (c->cap_files * 2 + 8) * sizeof(*more));
                if (c->n_files)
                        memcpy(more, c->files, c->n_files * sizeof(*more));
                c->files = more;
                c->cap_files = c->cap_files * 2 + 8;
        }
        c->files[c->n_files++] =
                (struct atomic_file){ .path = path, .data = data, .len = len, .mode = mode, .uid = uid };
}

static void add_value(struct context *c, const char *path, const char *text, bool base64, int mode)
{
        struct strbuf b = STRBUF_INIT;

        if (base64)
                base64_decode(&b, text, strlen(text), NULL);
        else
                strbuf_puts(&b, text);
        add_file(c, path, arena_memdup(c->a, strbuf_str(&b), b.len + 1), b.len, mode, -1);
        strbuf_deinit(&b);
}

/* data and binaryData of a configMap, data of a secret, all or by items. */
static int add_object(struct context *c, const struct json *object, bool secret, const struct json *items, int mode,
                      bool optional, const char *what, struct error *reterr)
{
        const struct json *data = json_get(object, "data"), *binary = json_get(object, "binaryData");

        if (!items) {
                json_foreach_member(data, m)
                        add_value(c, m->key, json_string(m->value) ? json_string(m->value) : "", secret, mode);
                json_foreach_member(binary, m)
                        add_value(c, m->key, json_string(m->value) ? json_string(m->value) : "", true, mode);
                return 0;
        }
        json_foreach_item(items, i) {
                const char *key = json_get_string(i, "key"), *path = json_get_string(i, "path");
                const char *text = key ? json_get_string(data, key) : NULL;
                bool is_binary = secret;
                if (!text && key && (text = json_get_string(binary, key)))
                        is_binary = true;
                if (!text && optional)
                        continue;
                if (!text)
                        return error_set(reterr, -ENOENT, "references non-existent %s key: %s", what, key ? key : "");
                add_value(c, path ? path : key, text, is_binary, (int)json_get_int(i, "mode", mode));
        }
        return 0;
}

static int fetch_object(struct context *c, const char *resource, const char *what, const char *name, bool optional,
                        struct json **ret, struct error *reterr)
{
        int r = c->v->o.fetch.get(resource, c->ns, name ? name : "", c->a, ret, c->v->o.fetch.userdata, reterr);

        if (r == VOLUMES_NOT_FOUND) {
                *ret = NULL;
                return optional ? 0 : error_set(reterr, -ENOENT, "%s \"%s\" not found", what, name ? name : "");
        }
        return r;
}

static int add_config_map(struct context *c, const struct json *src, int mode, struct error *reterr)
{
        bool optional = json_get_bool(src, "optional", false);
        struct json *o;
        int r = fetch_object(c, "configmaps", "configmap", json_get_string(src, "name"), optional, &o, reterr);

        return r || !o ? r : add_object(c, o, false, json_get(src, "items"), mode, optional, "config", reterr);
}

static int add_secret(struct context *c, const struct json *src, int mode, struct error *reterr)
{
        const char *name = json_get_string(src, "secretName") ? json_get_string(src, "secretName")
                                                              : json_get_string(src, "name");
        bool optional = json_get_bool(src, "optional", false);
        struct json *o;
        int r = fetch_object(c, "secrets", "secret", name, optional, &o, reterr);

        return r || !o ? r : add_object(c, o, true, json_get(src, "items"), mode, optional, "secret", reterr);
}

static int add_downward(struct context *c, const struct json *src, int mode, struct error *reterr)
{
        json_foreach_item(json_get(src, "items"), i) {
                const struct json *field = json_get(i, "fieldRef"), *resource = json_get(i, "resourceFieldRef");
                char *text;
                int r = field ? downward_field(c->a, c->pod, json_get_string(field, "fieldPath"), &text, reterr)
                              : downward_resource(c->a, c->pod, NULL, resource, c->v->o.node_allocatable, &text, reterr);
                if (r < 0)
                        return r;
                add_file(c, json_get_string(i, "path"), text, strlen(text), (int)json_get_int(i, "mode", mode), -1);
        }
        return 0;
}

/* A token is asked for anew when four fifths of its life (or a day) are over, as upstream does. */
static int add_token(struct context *c, const struct json *src, int mode, struct error *reterr)
{
        const char *audience = json_get_string(src, "audience"), *path = json_get_string(src, "path"), *text;
        int64_t seconds = json_get_int(src, "expirationSeconds", 3600), now = time_real();
        char *key = arena_printf(c->a, "%s/%s/%s/%s", c->uid, c->name, audience ? audience : "", path ? path : "");
        struct token *t = map_get(&c->v->tokens, key);
        int64_t user = json_path_int(c->pod, "spec.securityContext.runAsUser", -1);

        if (!t || now >= t->renew) {
                int64_t expires = 0;
                int r = c->v->o.fetch.token(c->pod, audience, seconds, c->a, &text, &expires, c->v->o.fetch.userdata,
                                            reterr);
                if (r && (!t || now >= t->expires)) {
                        return error_set(reterr, r > 0 ? -EIO : r, "failed to fetch token: %s",
                                         arena_strdup(c->a, reterr ? error_text(reterr) : "refused"));
                } else if (!r) {
                        t = map_get(&c->v->tokens, key); /* the call parked: another may have been here */
                        if (!t)
                                map_put(&c->v->tokens, key, t = new0(struct token));
                        free(t->text);
                        t->text = xstrdup(text);
                        t->expires = expires ? expires : now + seconds * NS_PER_SEC;
                        t->renew = now + MIN((t->expires - now) / 5 * 4, INT64_C(86400) * NS_PER_SEC);
                }
        }
        if (!*c->next || t->renew < *c->next)
                *c->next = t->renew;
        /* Only its owner reads it; a group that shares the volume may too. */
        add_file(c, path ? path : "token", arena_strdup(c->a, t->text), strlen(t->text),
                 c->fs_group >= 0 || user >= 0 ? 0600 : mode, user);
        return 0;
}

static int default_mode(const struct json *src)
{
        return (int)json_get_int(src, "defaultMode", 0644);
}

static int add_projected(struct context *c, const struct json *src, struct error *reterr)
{
        int mode = default_mode(src), r = 0;

        json_foreach_item(json_get(src, "sources"), s) {
                if (!r && json_get(s, "configMap"))
                        r = add_config_map(c, json_get(s, "configMap"), mode, reterr);
                if (!r && json_get(s, "secret"))
                        r = add_secret(c, json_get(s, "secret"), mode, reterr);
                if (!r && json_get(s, "downwardAPI"))
                        r = add_downward(c, json_get(s, "downwardAPI"), mode, reterr);
                if (!r && json_get(s, "serviceAccountToken"))
                        r = add_token(c, json_get(s, "serviceAccountToken"), mode, reterr);
        }
        return r;
}

/* --- blocking work --- */

struct job {
        struct context *c;
        struct error *reterr;
        bool memory;
        int64_t size; /* bytes a tmpfs may take; 0: as much as there is */
        int result;
};

#define TMPFS_MAGIC_NUMBER 0x01021994

/* DIR is there afterwards, and a tmpfs if MEMORY says so. 1: it was already. */
static int make_dir(const char *dir, bool memory, int64_t size, mode_t mode, struct error *reterr)
{
        struct statfs fs;
        char options[64];
        int r;

        if (file_exists(dir) && (!memory || (statfs(dir, &fs) == 0 && fs.f_type == TMPFS_MAGIC_NUMBER)))
                return 1;
        r = dir_make(dir, 0755, reterr);
        if (r < 0 || !memory)
                return r;
        snprintf(options, sizeof(options), size > 0 ? "mode=%o,size=%lld" : "mode=%o", (unsigned)mode, (long long)size);
        if (mount("tmpfs", dir, "tmpfs", 0, options) < 0)
                return error_set(reterr, -errno, "cannot mount tmpfs at %s: %s", dir, strerror(errno));
        return 0;
}

static void write_job(void *userdata)
{
        struct job *j = userdata;
        struct context *c = j->c;

        j->result = j->memory ? make_dir(c->dir, true, 0, 0755, j->reterr) : 0;
        if (j->result >= 0)
                j->result = atomic_write(c->dir, c->files, c->n_files, c->fs_group, j->reterr);
}

/* MEMORY: what is secret never reaches a disk. */
static int write_files(struct context *c, bool memory, struct error *reterr)
{
        struct job j = { .c = c, .reterr = reterr, .memory = memory };

        fiber_work(c->v->loop, write_job, &j);
        return j.result;
}

static void empty_dir_job(void *userdata)
{
        struct job *j = userdata;
        const char *dir = j->c->dir;

        j->result = make_dir(dir, j->memory, j->size, 0777, j->reterr);
        if (j->result != 0) {
                j->result = MIN(j->result, 0);
                return;
        }
        if (chmod(dir, 0777) < 0 || (j->c->fs_group >= 0 && (chown(dir, (uid_t)-1, (gid_t)j->c->fs_group) < 0 ||
                                                             chmod(dir, 02777) < 0)))
                j->result = error_set(j->reterr, -errno, "%s: %s", dir, strerror(errno));
}

/* --- kinds --- */

static int setup_empty_dir(struct context *c, struct error *reterr)
{
        struct job j = { .c = c, .reterr = reterr, .memory = streq(json_get_string(c->source, "medium"), "Memory") };
        const struct json *limit = json_get(c->source, "sizeLimit");
        struct quantity q;

        if (limit && (json_is_string(limit) || json_is_number(limit)) && quantity_parse(limit->str, &q) == 0)
                j.size = quantity_value(&q);
        fiber_work(c->v->loop, empty_dir_job, &j);
        return j.result;
}

static int setup_config_map(struct context *c, struct error *reterr)
{
        int r = add_config_map(c, c->source, default_mode(c->source), reterr);

        return r ? r : write_files(c, false, reterr);
}

static int setup_secret(struct context *c, struct error *reterr)
{
        int r = add_secret(c, c->source, default_mode(c->source), reterr);

        return r ? r : write_files(c, true, reterr);
}

static int setup_downward(struct context *c, struct error *reterr)
{
        int r = add_downward(c, c->source, default_mode(c->source), reterr);

        return r ? r : write_files(c, true, reterr);
}

static int setup_projected(struct context *c, struct error *reterr)
{
        int r = add_projected(c, c->source, reterr);

        return r ? r : write_files(c, true, reterr);
}

static const struct {
        const char *type, *what;
        mode_t format;
        bool create;
} host_path_types[] = {
        { "Directory", "a directory", S_IFDIR, false }, { "DirectoryOrCreate", "a directory", S_IFDIR, true },
        { "File", "a file", S_IFREG, false },           { "FileOrCreate", "a file", S_IFREG, true },
        { "Socket", "a socket", S_IFSOCK, false },      { "CharDevice", "a character device", S_IFCHR, false },
        { "BlockDevice", "a block device", S_IFBLK, false },
};

static int check_host_path(const char *path, const char *type, struct error *reterr)
{
        struct stat st;

        for (size_t i = 0; i < ARRAY_SIZE(host_path_types); i++) {
                if (!streq(type, host_path_types[i].type))
                        continue;
                if (stat(path, &st) < 0 && host_path_types[i].create) {
                        int fd;
                        if (host_path_types[i].format == S_IFDIR)
                                return dir_make(path, 0755, reterr);
                        fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
                        if (fd < 0)
                                return error_set(reterr, -errno, "open %s: %s", path, strerror(errno));
                        close(fd);
                        return 0;
                }
                if (stat(path, &st) < 0 || (st.st_mode & S_IFMT) != host_path_types[i].format)
                        return error_set(reterr, -EINVAL, "hostPath type check failed: %s is not %s", path,
                                         host_path_types[i].what);
        }
        return 0;
}

static int setup_host_path(struct context *c, struct error *reterr)
{
        const char *path = json_get_string(c->source, "path"), *type = json_get_string(c->source, "type");
        struct stat st;

        /* Without a type nothing is checked, and what is not there becomes a folder, as with container engines. */
        if (str_empty(type) && path && stat(path, &st) < 0)
                return dir_make(path, 0755, reterr);
        return check_host_path(path ? path : "", type, reterr);
}

/* --- claims --- */

static char *volume_dir(struct context *c, const char *kind)
{
        return arena_printf(c->a, "%s/pods/%s/volumes/kubernetes.io~%s/%s", c->v->o.root, c->uid, kind, c->name);
}

static char *pv_note(struct context *c)
{
        return arena_printf(c->a, "%s/pods/%s/claims/%s", c->v->o.root, c->uid, c->name);
}

static int mount_nfs(struct context *c, const struct json *nfs, struct error *reterr)
{
        char *dir = volume_dir(c, "nfs"), *source = arena_printf(c->a, "%s:%s", json_get_string(nfs, "server"),
                                                                  json_get_string(nfs, "path"));
        const char *argv[] = { "mount", "-t", "nfs", source, dir, NULL };
        struct process_options o = { .argv = argv, .timeout_ns = 120 * NS_PER_SEC };
        struct process_result result = { 0 };
        struct stat here, parent;
        int r = dir_make(dir, 0755, reterr);

        if (r < 0)
                return r;
        if (stat(dir, &here) == 0 && stat(arena_printf(c->a, "%s/..", dir), &parent) == 0 && here.st_dev != parent.st_dev)
                return 0;
        r = process_run(c->v->loop, &o, &result, reterr);
        if (!r && result.status)
                r = error_set(reterr, -EIO, "mount failed: exit status %d: %s", result.status, strbuf_str(&result.err));
        process_result_deinit(&result);
        return r;
}

struct owner_job {
        const char *path;
        int64_t group;
        bool lazy;
        int result;
        struct error *reterr;
};

static void owner_job(void *userdata)
{
        struct owner_job *j = userdata;

        j->result = volume_give_to_group(j->path, j->group, j->lazy, j->reterr);
}

/* Once a pod: what its containers write later is theirs. */
static int give_to_group(struct context *c, const char *path, struct error *reterr)
{
        const char *policy = json_path_string(c->pod, "spec.securityContext.fsGroupChangePolicy");
        struct owner_job j = { .path = path, .group = c->fs_group, .lazy = streq(policy, "OnRootMismatch"),
                               .reterr = reterr };

        if (c->fs_group < 0 || json_get_bool(c->source, "readOnly", false) || file_exists(pv_note(c)))
                return 0;
        fiber_work(c->v->loop, owner_job, &j);
        return j.result;
}

/* What a claim leads to is noted in a file: the mounts of containers are made from it later. */
static int setup_claim(struct context *c, struct error *reterr)
{
        const struct json *pv = json_get(c->pvs, c->name), *spec = json_get(pv, "spec");
        const char *path;
        char *note = pv_note(c);
        int r;

        path = json_path_string(spec, "hostPath.path");
        if (path) {
                c->source = json_get(spec, "hostPath");
                r = setup_host_path(c, reterr);
        } else if ((path = json_path_string(spec, "local.path"))) {
                if (!file_exists(path))
                        r = error_set(reterr, -ENOENT, "path \"%s\" does not exist", path);
                else
                        r = give_to_group(c, path, reterr);
        } else if (json_get(spec, "nfs")) {
                path = volume_dir(c, "nfs");
                r = mount_nfs(c, json_get(spec, "nfs"), reterr);
        } else {
                return error_set(reterr, -EOPNOTSUPP, "no volume plugin matched name: %s",
                                 json_path_string(pv, "metadata.name"));
        }
        if (!r)
                r = dir_make(arena_printf(c->a, "%s/pods/%s/claims", c->v->o.root, c->uid), 0750, reterr);
        return r ? r : file_write(note, path, strlen(path), 0600, reterr);
}

static int setup_nfs(struct context *c, struct error *reterr)
{
        return mount_nfs(c, c->source, reterr);
}

static const struct {
        const char *key, *dir; /* in the pod's volume; the folder's name, NULL: none of ours */
        int (*setup)(struct context *c, struct error *reterr);
        bool read_only; /* containers may never write: the kubelet does */
} kinds[] = {
        { "emptyDir", "empty-dir", setup_empty_dir, false },   { "configMap", "configmap", setup_config_map, true },
        { "secret", "secret", setup_secret, true },            { "downwardAPI", "downward-api", setup_downward, true },
        { "projected", "projected", setup_projected, true },   { "hostPath", NULL, setup_host_path, false },
        { "persistentVolumeClaim", NULL, setup_claim, false }, { "nfs", "nfs", setup_nfs, false },
};

static int kind_of(const struct json *volume)
{
        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
                if (json_get(volume, kinds[i].key))
                        return (int)i;
        return -1;
}

static void init_context(struct context *c, struct volumes *v, struct arena *a, const struct json *pod,
                         const struct json *volume)
{
        int k = kind_of(volume);

        *c = (struct context){
                .v = v, .a = a, .pod = pod, .volume = volume,
                .name = json_get_string(volume, "name"),
                .ns = json_path_string(pod, "metadata.namespace"),
                .uid = json_path_string(pod, "metadata.uid"),
                .fs_group = json_path_int(pod, "spec.securityContext.fsGroup", -1),
        };
        if (k >= 0)
                c->source = json_get(volume, kinds[k].key);
        if (k >= 0 && kinds[k].dir)
                c->dir = volume_dir(c, kinds[k].dir);
}

int volumes_setup(struct volumes *v, const struct json *pod, int64_t *ret_next, struct error *reterr)
{
        struct error own = ERROR_INIT, *err = reterr ? reterr : &own;
        _cleanup_arena_ struct arena *claims = arena_new(0);
        struct json *pvs = NULL;
        int64_t next = 0;
        bool started = file_exists(arena_printf(claims, "%s/pods/%s/claims", v->o.root, json_path_string(pod, "metadata.uid")));
        int r = claims_fetch(&v->o.fetch, pod, started, claims, &pvs, err);

        json_foreach_item(json_path(pod, "spec.volumes"), volume) {
                _cleanup_arena_ struct arena *a = arena_new(0);
                struct context c;
                int k = kind_of(volume);

                if (r)
                        break;
                init_context(&c, v, a, pod, volume);
                c.next = &next;
                c.pvs = pvs;
                r = k < 0 ? error_set(err, -EOPNOTSUPP, "no volume plugin matched") : kinds[k].setup(&c, err);
                if (r) {
                        char *why = arena_strdup(a, error_text(err));
                        error_set(err, r, "MountVolume.SetUp failed for volume \"%s\" : %s", c.name, why);
                }
        }
        if (!r && ret_next)
                *ret_next = next;
        error_deinit(&own);
        return r;
}

bool volumes_uses(const struct json *pod, const char *resource, const char *name)
{
        bool secret = streq(resource, "secrets");

        json_foreach_item(json_path(pod, "spec.volumes"), v) {
                if (streq(secret ? json_path_string(v, "secret.secretName") : json_path_string(v, "configMap.name"), name))
                        return true;
                json_foreach_item(json_path(v, "projected.sources"), s)
                        if (streq(json_get_string(json_get(s, secret ? "secret" : "configMap"), "name"), name))
                                return true;
        }
        return false;
}

/* --- mounts of containers --- */

static int host_side(struct context *c, const char **ret, struct error *reterr)
{
        char *text = NULL;

        if (c->dir) {
                *ret = c->dir;
                return 0;
        }
        if (json_get(c->volume, "hostPath")) {
                *ret = json_get_string(c->source, "path");
                return 0;
        }
        if (json_get(c->volume, "persistentVolumeClaim") && file_read(pv_note(c), 4096, &text, NULL, reterr) == 0) {
                *ret = arena_strdup(c->a, text);
                free(text);
                return 0;
        }
        return error_set(reterr, -ENOENT, "volume \"%s\" is not mounted", c->name);
}

/* $(NAME) from the container's environment; $$ is a dollar. */
static char *expand(struct arena *a, const char *text, const char *const *env)
{
        struct strbuf b = STRBUF_INIT;
        char *s;

        for (const char *p = text; *p; p++) {
                const char *end = p[0] == '$' && p[1] == '(' ? strchr(p, ')') : NULL;
                if (p[0] == '$' && p[1] == '$') {
                        strbuf_putc(&b, '$');
                        p++;
                } else if (end) {
                        size_t len = (size_t)(end - p - 2);
                        const char *value = NULL;
                        for (const char *const *e = env; e && *e; e++)
                                if (!strncmp(*e, p + 2, len) && (*e)[len] == '=')
                                        value = *e + len + 1;
                        if (value)
                                strbuf_puts(&b, value);
                        else
                                strbuf_append(&b, p, len + 3);
                        p = end;
                } else {
                        strbuf_putc(&b, *p);
                }
        }
        s = arena_strdup(a, strbuf_str(&b));
        strbuf_deinit(&b);
        return s;
}

static int open_beneath(int dir, const char *path, uint64_t flags)
{
        struct open_how how = { .flags = flags | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };

        return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

/* Opens SUB below BASE; no link leads out; folders that are missing are made, one by one. */
static int open_sub_path(struct arena *a, const char *base, const char *sub, struct error *reterr)
{
        int root = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC), fd;

        if (root < 0)
                return error_set(reterr, -errno, "%s: %s", base, strerror(errno));
        fd = open_beneath(root, sub, O_PATH);
        for (const char *p = sub; fd < 0 && errno == ENOENT; p++) {
                p += strcspn(p, "/");
                char *part = arena_strndup(a, sub, (size_t)(p - sub));
                char *slash = strrchr(part, '/');
                int parent = -1;
                if (slash)
                        *slash = '\0';
                parent = slash ? open_beneath(root, part, O_PATH | O_DIRECTORY) : dup(root);
                if (parent < 0 || (mkdirat(parent, slash ? slash + 1 : part, 0750) < 0 && errno != EEXIST)) {
                        if (parent >= 0)
                                close(parent);
                        break;
                }
                close(parent);
                if (!*p) {
                        fd = open_beneath(root, sub, O_PATH);
                        break;
                }
                errno = ENOENT;
        }
        int saved = errno;
        close(root);
        return fd >= 0 ? fd : error_set(reterr, -saved, "cannot open subPath %s: %s", sub, strerror(saved));
}

/* The place is pinned by a bind mount of the opened descriptor: what a container later swaps in changes nothing. */
static int bind_sub_path(struct context *c, const char *container, size_t index, const char *base, const char *sub,
                         const char **ret, struct error *reterr)
{
        char *dir = arena_printf(c->a, "%s/pods/%s/volume-subpaths/%s/%s", c->v->o.root, c->uid, c->name, container);
        char *target = arena_printf(c->a, "%s/%zu", dir, index), *source;
        struct stat st;
        int fd = open_sub_path(c->a, base, sub, reterr), r;

        if (fd < 0)
                return fd;
        r = dir_make(dir, 0750, reterr);
        umount2(target, MNT_DETACH);
        if (!r && fstat(fd, &st) == 0) {
                if (S_ISDIR(st.st_mode)) {
                        unlink(target);
                        if (mkdir(target, 0750) < 0 && errno != EEXIST)
                                r = -errno;
                } else {
                        int file;
                        rmdir(target);
                        file = open(target, O_CREAT | O_WRONLY | O_CLOEXEC, 0640);
                        if (file >= 0)
                                close(file);
                }
                source = arena_printf(c->a, "/proc/self/fd/%d", fd);
                if (mount(source, target, NULL, MS_BIND | MS_REC, NULL) < 0)
                        r = error_set(reterr, -errno, "bind mount of subPath %s: %s", sub, strerror(errno));
        }
        close(fd);
        *ret = target;
        return r;
}

static const struct json *find_volume(const struct json *pod, const char *name)
{
        json_foreach_item(json_path(pod, "spec.volumes"), v)
                if (streq(json_get_string(v, "name"), name))
                        return v;
        return NULL;
}

static enum runtime_propagation propagation_of(const struct json *mount_)
{
        const char *p = json_get_string(mount_, "mountPropagation");

        return streq(p, "Bidirectional")      ? RUNTIME_BIDIRECTIONAL
               : streq(p, "HostToContainer") ? RUNTIME_HOST_TO_CONTAINER
                                             : RUNTIME_PRIVATE;
}

static int one_mount(struct context *c, const struct json *m, size_t index, const char *container,
                     const char *const *env, struct runtime_mount *out, struct error *reterr)
{
        const char *sub = json_get_string(m, "subPath"), *expr = json_get_string(m, "subPathExpr"), *host = NULL;
        const char *path = json_get_string(m, "mountPath");
        int kind = kind_of(c->volume), r = host_side(c, &host, reterr);

        if (!str_empty(expr))
                sub = expand(c->a, expr, env);
        if (!r && !str_empty(sub))
                r = bind_sub_path(c, container, index, host, sub, &host, reterr);
        if (r < 0)
                return r;
        *out = (struct runtime_mount){
                .host_path = host,
                .container_path = path && *path == '/' ? path : arena_printf(c->a, "/%s", path ? path : ""),
                .read_only = json_get_bool(m, "readOnly", false) || (kind >= 0 && kinds[kind].read_only) ||
                             (json_get(c->volume, "persistentVolumeClaim") && json_get_bool(c->source, "readOnly", false)),
                .recursive_read_only = streq(json_get_string(m, "recursiveReadOnly"), "Enabled"),
                .propagation = propagation_of(m),
        };
        return 0;
}

int volumes_mounts(struct volumes *v, const struct json *pod, const struct json *container, const char *const *env,
                   struct arena *a, struct runtime_mount **ret, size_t *ret_n, struct error *reterr)
{
        const struct json *list = json_get(container, "volumeMounts");
        struct runtime_mount *out = arena_calloc(a, (json_len(list) + 1) * sizeof(*out));
        const char *name = json_get_string(container, "name");
        size_t n = 0;

        json_foreach_item(list, m) {
                const struct json *volume = find_volume(pod, json_get_string(m, "name"));
                struct context c;
                int r;
                if (!volume)
                        return error_set(reterr, -ENOENT, "cannot find volume \"%s\" to mount into container \"%s\"",
                                         json_get_string(m, "name"), name);
                init_context(&c, v, a, pod, volume);
                r = one_mount(&c, m, m_i, name, env, &out[n], reterr);
                if (r < 0)
                        return error_set(reterr, r, "failed to prepare subPath for volumeMount \"%s\" of container \"%s\"",
                                         c.name, name);
                n++;
        }
        *ret = out;
        *ret_n = n;
        return 0;
}

/* --- the end --- */

static char *pod_dir(struct arena *a, const struct volumes *v, const char *uid)
{
        return arena_printf(a, "%s/pods/%s", v->o.root, uid);
}

/* Every mount below PREFIX, the last first. */
static int unmount_below(struct arena *a, const char *prefix)
{
        _cleanup_free_ char *text = NULL;
        const char *points[512];
        size_t n = 0, len = strlen(prefix);
        int r = 0;

        if (file_read("/proc/self/mounts", 0, &text, NULL, NULL) < 0)
                return -errno;
        for (const char *p = text; *p;) {
                char point[1024] = "";
                if (sscanf(p, "%*s %1023s", point) == 1 && !strncmp(point, prefix, len) &&
                    (point[len] == '/' || !point[len]) && n < ARRAY_SIZE(points))
                        points[n++] = arena_strdup(a, point);
                p += strcspn(p, "\n");
                p += *p == '\n';
        }
        while (n-- > 0)
                if (umount2(points[n], MNT_DETACH) < 0)
                        r = -errno;
        return r;
}

struct teardown {
        char *dir;
        struct arena *a;
        struct error *reterr;
        int result;
};

/* Nothing is removed while a mount is left below: it would be somebody's data. */
static void teardown_job(void *userdata)
{
        struct teardown *t = userdata;

        if (!file_exists(t->dir))
                return;
        t->result = unmount_below(t->a, t->dir);
        if (t->result < 0)
                error_set(t->reterr, t->result, "cannot unmount below %s: %s", t->dir, strerror(-t->result));
        else
                t->result = dir_remove(t->dir, t->reterr);
}

int volumes_teardown(struct volumes *v, const char *pod_uid, struct error *reterr)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct teardown t = { .dir = pod_dir(a, v, pod_uid), .a = a, .reterr = reterr };
        char *prefix = arena_printf(a, "%s/", pod_uid);
        struct map_entry *e;

        if (str_empty(pod_uid) || strchr(pod_uid, '/'))
                return error_set(reterr, -EINVAL, "no pod uid");
        map_foreach(&v->tokens, e)
                if (str_has_prefix(e->key, prefix)) {
                        struct token *token = map_del(&v->tokens, e->key);
                        free(token->text);
                        free(token);
                }
        fiber_work(v->loop, teardown_job, &t);
        return t.result;
}

int volumes_list_pods(struct volumes *v, struct arena *a, const char ***ret_uids, size_t *ret_n, struct error *reterr)
{
        DIR *dir = opendir(arena_printf(a, "%s/pods", v->o.root));
        const char **uids = arena_calloc(a, 4096 * sizeof(*uids));
        struct dirent *e;
        size_t n = 0;

        while (dir && n < 4095 && (e = readdir(dir)))
                if (e->d_name[0] != '.')
                        uids[n++] = arena_strdup(a, e->d_name);
        if (dir)
                closedir(dir);
        *ret_uids = uids;
        *ret_n = n;
        return 0;
}

struct usage {
        const char *dir;
        int64_t bytes;
};

static void usage_job(void *userdata)
{
        struct usage *u = userdata;

        u->bytes = dir_usage(u->dir);
}

int volumes_over_limit(struct volumes *v, const struct json *pod, struct arena *a, const char **ret_volume,
                       const char **ret_limit, struct error *reterr)
{
        json_foreach_item(json_path(pod, "spec.volumes"), volume) {
                const struct json *limit = json_path(volume, "emptyDir.sizeLimit");
                struct context c;
                struct quantity q;
                if (!limit || !json_is_string(limit) || quantity_parse(limit->str, &q) < 0 || quantity_value(&q) <= 0)
                        continue;
                init_context(&c, v, a, pod, volume);
                struct usage u = { .dir = c.dir };
                fiber_work(v->loop, usage_job, &u);
                if (u.bytes > quantity_value(&q)) {
                        *ret_volume = arena_strdup(a, c.name);
                        *ret_limit = arena_strdup(a, limit->str);
                        return 1;
                }
        }
        return 0;
}

char *volumes_termination_log(struct volumes *v, struct arena *a, const char *pod_uid, const char *container,
                              uint32_t attempt, struct error *reterr)
{
        char *dir = arena_printf(a, "%s/containers/%s", pod_dir(a, v, pod_uid), container);
        char *file = arena_printf(a, "%s/%u", dir, attempt);
        int fd;

        if (dir_make(dir, 0755, reterr) < 0)
                return NULL;
        fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
        if (fd < 0) {
                error_set(reterr, -errno, "%s: %s", file, strerror(errno));
                return NULL;
        }
        if (fchmod(fd, 0666) < 0)
                error_set(reterr, -errno, "%s: %s", file, strerror(errno));
        close(fd);
        return file;
}

int volumes_new(struct loop *loop, const struct volumes_options *o, struct volumes **ret, struct error *reterr)
{
        struct volumes *v = new0(struct volumes);
        int r;

        v->loop = loop;
        v->arena = arena_new(0);
        v->o = *o;
        v->o.root = arena_strdup(v->arena, o->root);
        v->o.node_name = arena_strdup(v->arena, o->node_name);
        map_init(&v->tokens);
        r = dir_make(arena_printf(v->arena, "%s/pods", v->o.root), 0750, reterr);
        if (r < 0) {
                volumes_free(v);
                return r;
        }
        *ret = v;
        return 0;
}

void volumes_free(struct volumes *v)
{
        struct map_entry *e;

        if (!v)
                return;
        map_foreach(&v->tokens, e) {
                free(((struct token *)e->value)->text);
                free(e->value);
        }
        map_deinit(&v->tokens);
        arena_free(v->arena);
        free(v);
}
