/* Fetching images: from registries (through mirrors, with a pod's credentials) and from archives.
 *
 * skopeo talks to registries. A pull first asks for the manifest alone: its digest says whether what is in the store
 * is still what the name means, and it is the digest users know the image by.
 */
#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <sys/stat.h>

#include "../../lib/base/encode.h"
#include "../../lib/base/file.h"
#include "store.h"

struct source {
        const char *host;       /* where to ask: "127.0.0.1:5000" */
        const char *repository; /* there */
        bool insecure;
};

/* --- where to ask --- */

/* "http://host:port/prefix" */
static struct source mirror_source(struct arena *a, const char *url, const char *repository)
{
        const char *rest = strstr(url, "://"), *slash;
        struct source s = { .insecure = str_has_prefix(url, "http://") };

        rest = rest ? rest + 3 : url;
        slash = strchr(rest, '/');
        s.host = arena_strndup(a, rest, slash ? (size_t)(slash - rest) : strlen(rest));
        s.repository = slash && slash[1] ? arena_printf(a, "%s%s%s", slash + 1,
                                                        str_has_suffix(slash, "/") ? "" : "/", repository)
                                         : repository;
        return s;
}

#define SOURCES_MAX 8

/* Mirrors of the registry, else those for every one, then the registry itself. */
static size_t list_sources(const struct image_store *s, struct arena *a, const struct image_reference *ref,
                           struct source out[SOURCES_MAX])
{
        const char *const wanted[] = { ref->registry, "*" };
        const char *const *insecure = s->o.insecure_registries;
        size_t n = 0;

        for (size_t w = 0; w < 2 && !n; w++)
                for (size_t i = 0; i < s->o.n_mirrors && n < SOURCES_MAX - 1; i++)
                        if (streq(s->o.mirrors[i].registry, wanted[w]))
                                out[n++] = mirror_source(a, s->o.mirrors[i].url, ref->repository);
        out[n] = (struct source){ .host = ref->registry, .repository = ref->repository };
        for (; insecure && *insecure; insecure++)
                out[n].insecure |= streq(*insecure, ref->registry);
        return n + 1;
}

/* --- asking --- */

static const struct {
        const char *text;
        enum runtime_outcome outcome;
} answers[] = {
        { "manifest unknown", RUNTIME_IMAGE_MISSING },
        { "name unknown", RUNTIME_IMAGE_MISSING },
        { "repository name not known", RUNTIME_IMAGE_MISSING },
        { "not found", RUNTIME_IMAGE_MISSING },
        { "unauthorized", RUNTIME_IMAGE_MISSING },
        { "denied", RUNTIME_IMAGE_MISSING },
        { "authentication required", RUNTIME_IMAGE_MISSING },
        { "connection refused", RUNTIME_REGISTRY_UNAVAILABLE },
        { "no such host", RUNTIME_REGISTRY_UNAVAILABLE },
        { "timeout", RUNTIME_REGISTRY_UNAVAILABLE },
        { "server misbehaving", RUNTIME_REGISTRY_UNAVAILABLE },
        { "unreachable", RUNTIME_REGISTRY_UNAVAILABLE },
        { "failure in name resolution", RUNTIME_REGISTRY_UNAVAILABLE },
};

/* Go says "lookup x: no such host" where the registry is away, and that is not "not found". */
static int classify(const char *text)
{
        for (size_t i = 0; i < ARRAY_SIZE(answers); i++)
                if (strstr(text, answers[i].text))
                        return answers[i].outcome;
        return -EIO;
}

struct fetch {
        struct image_store *s;
        struct arena *a;
        const struct source *from;
        const char *authfile; /* path, or NULL */
        const char *tag_or_digest; /* ":1.36" or "@sha256:..." */
};

static size_t common_args(const struct fetch *f, const char **argv, const char *command, const char *tls_flag)
{
        size_t n = 0;

        argv[n++] = "skopeo";
        argv[n++] = "--insecure-policy";
        argv[n++] = "--command-timeout=30m";
        argv[n++] = command;
        if (f->authfile)
                argv[n++] = arena_printf(f->a, "--authfile=%s", f->authfile);
        else if (streq(command, "inspect"))
                argv[n++] = "--no-creds";
        else
                argv[n++] = "--src-no-creds";
        if (f->from->insecure)
                argv[n++] = tls_flag;
        return n;
}

static const char *url_of(const struct fetch *f)
{
        return arena_printf(f->a, "docker://%s/%s%s", f->from->host, f->from->repository, f->tag_or_digest);
}

/* The digest of the manifest (or index) as the registry has it. */
static int fetch_digest(const struct fetch *f, const char **ret, struct error *reterr)
{
        const char *argv[16];
        size_t n = common_args(f, argv, "inspect", "--tls-verify=false"), len;
        uint8_t hash[32];
        struct strbuf b = STRBUF_INIT;
        char *manifest;
        int r;

        argv[n++] = "--raw";
        argv[n++] = url_of(f);
        argv[n] = NULL;
        r = store_run(f->s, f->a, argv, &manifest, &len, reterr);
        if (r < 0)
                return r;
        gnutls_hash_fast(GNUTLS_DIG_SHA256, manifest, len, hash);
        hex_encode(&b, hash, sizeof(hash));
        *ret = arena_printf(f->a, "sha256:%s", strbuf_str(&b));
        strbuf_deinit(&b);
        return 0;
}

static int copy_image(struct image_store *s, struct arena *a, const char **argv, size_t n, const char *source,
                      const char *layout, struct error *reterr)
{
        argv[n++] = "--quiet";
        argv[n++] = arena_printf(a, "--dest-shared-blob-dir=%s/blobs", s->dir);
        argv[n++] = "--dest-oci-accept-uncompressed-layers";
        argv[n++] = source;
        argv[n++] = arena_printf(a, "oci:%s:image", layout);
        argv[n] = NULL;
        return store_run(s, a, argv, NULL, NULL, reterr);
}

/* One source: 0, a positive outcome, or negative. */
static int pull_from(const struct fetch *f, const struct image_reference *ref, const char *name, const char **ret_id,
                     struct error *reterr)
{
        struct image_store *s = f->s;
        const char *argv[24], *digest = ref->digest, *layout = store_tmp(s, f->a), *known;
        struct fetch exact = *f;
        struct stored_image *present;
        int r = digest ? 0 : fetch_digest(f, &digest, reterr);

        if (r < 0)
                return r == -ENOSPC ? r : classify(reterr->message ? reterr->message : "");
        known = arena_printf(f->a, "%s@%s", image_reference_name(f->a, ref), digest);
        r = store_refresh(s, reterr);
        present = r ? NULL : store_find(s, known);
        if (present && (ref->digest || store_find(s, name) == present)) {
                *ret_id = arena_strdup(f->a, present->id);
                return 0;
        }
        exact.tag_or_digest = arena_printf(f->a, "@%s", digest);
        r = copy_image(s, f->a, argv, common_args(f, argv, "copy", "--src-tls-verify=false"), url_of(&exact), layout,
                       reterr);
        if (r < 0)
                r = r == -ENOSPC ? r : classify(reterr->message ? reterr->message : "");
        else
                r = store_import(s, layout, ref->tag && !ref->digest ? name : NULL, known, false, ret_id, f->a, reterr);
        dir_remove(layout, NULL);
        return r;
}

static bool was_refused(const struct error *why)
{
        static const char *const texts[] = { "unauthorized", "denied", "authentication required",
                                             "invalid username/password" };

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
                if (why->message && strstr(why->message, texts[i]))
                        return true;
        return false;
}

/* Each of a pod's secrets may be the right one: the next is tried while the registry refuses. */
static int pull_with_credentials(struct fetch *f, const struct image_reference *ref, const char *name,
                                 const char *const *secrets, const char **ret_id, struct error *reterr)
{
        int r = -EIO;

        for (size_t nth = 0;; nth++) {
                char *auth = keyring_authfile(f->a, secrets, f->from->host, f->from->repository, nth);
                if (!auth && nth)
                        return r;
                f->authfile = auth ? store_tmp(f->s, f->a) : NULL;
                r = auth ? file_write(f->authfile, auth, strlen(auth), 0600, reterr) : 0;
                if (r < 0)
                        return r;
                error_deinit(reterr);
                r = pull_from(f, ref, name, ret_id, reterr);
                if (f->authfile)
                        unlink(f->authfile);
                if (!auth || !r || !was_refused(reterr))
                        return r;
        }
}

static int pull_locked(struct image_store *s, const struct image_reference *ref, const char *name,
                       const char *const *secrets, struct arena *a, const char **ret_id, struct error *reterr)
{
        struct source sources[SOURCES_MAX];
        size_t n = list_sources(s, a, ref, sources);
        int r = -EIO;

        for (size_t i = 0; i < n; i++) {
                struct fetch f = { .s = s, .a = a, .from = &sources[i] };
                f.tag_or_digest = ref->digest ? arena_printf(a, "@%s", ref->digest) : arena_printf(a, ":%s", ref->tag);
                r = pull_with_credentials(&f, ref, name, secrets, ret_id, reterr);
                /* A mirror that answers has the last word; one that is away lets the next be asked. */
                if (r != RUNTIME_REGISTRY_UNAVAILABLE)
                        break;
        }
        return r;
}

/* containerd's words around the cause. */
static int pull_failed(int r, const char *name, struct arena *a, struct error *reterr)
{
        const char *cause = arena_strdup(a, error_text(reterr));

        if (r == -ENOSPC)
                return error_set(reterr, r, "failed to pull and unpack image \"%s\": the image store's disk is full: %s",
                                 name, cause);
        if (r == RUNTIME_IMAGE_MISSING && (strstr(cause, "unknown") || strstr(cause, "not found")))
                return error_set(reterr, r,
                                 "failed to pull and unpack image \"%s\": failed to resolve reference \"%s\": %s: not found",
                                 name, name, name);
        return error_set(reterr, r, "failed to pull and unpack image \"%s\": %s", name, cause);
}

static struct fiber_mutex *lock_name(struct image_store *s, const char *name)
{
        struct fiber_mutex *m = map_get(&s->pulls, name);

        if (!m) {
                m = arena_calloc(s->arena, sizeof(*m));
                map_put(&s->pulls, name, m);
        }
        fiber_mutex_lock(m);
        return m;
}

int image_store_pull(struct image_store *s, const char *ref_text, const char *const *secrets, struct arena *a,
                     struct runtime_image *ret, struct error *reterr)
{
        struct error own = ERROR_INIT, *err = reterr ? reterr : &own;
        struct image_reference ref;
        struct fiber_mutex *mutex;
        const char *name, *id;
        int r = image_reference_parse(a, ref_text, &ref, err);

        if (r < 0) {
                error_deinit(&own);
                return RUNTIME_INVALID_IMAGE_NAME;
        }
        name = image_reference_print(a, &ref);
        mutex = lock_name(s, name);
        r = store_lock(s, false, err);
        if (!r) {
                r = pull_locked(s, &ref, name, secrets, a, &id, err);
                store_unlock(s);
        }
        fiber_mutex_unlock(mutex);
        if (r)
                r = pull_failed(r, name, a, err);
        else if (!(r = store_refresh(s, err)))
                store_describe(store_find(s, id), a, ret);
        error_deinit(&own);
        return r;
}

/* --- archives --- */

struct loading {
        struct image_store *s;
        struct arena *a;
        const char *transport, *path, *given_name;
        bool pin;
        const char **names;
        size_t n, cap;
};

/* SELECTOR: ":name", ":@0" or "": how skopeo tells the images of an archive apart. */
static int load_one(struct loading *l, const char *selector, const char *name, struct error *reterr)
{
        const char *argv[24] = { "skopeo", "--insecure-policy", "copy" };
        const char *layout = store_tmp(l->s, l->a), *full = NULL, *id;
        struct image_reference ref;
        int r = 0;

        if (l->given_name)
                name = l->given_name;
        if (name) {
                r = image_reference_parse(l->a, name, &ref, reterr);
                if (r < 0)
                        return RUNTIME_INVALID_IMAGE_NAME;
                full = image_reference_print(l->a, &ref);
        }
        r = copy_image(l->s, l->a, argv, 3, arena_printf(l->a, "%s:%s%s", l->transport, l->path, selector), layout,
                       reterr);
        if (!r)
                r = store_import(l->s, layout, full, NULL, l->pin, &id, l->a, reterr);
        dir_remove(layout, NULL);
        if (!r) {
                const char **more = arena_alloc(l->a, (l->n + 2) * sizeof(*more));
                if (l->n)
                        memcpy(more, l->names, l->n * sizeof(*more));
                more[l->n++] = full ? full : id;
                more[l->n] = NULL;
                l->names = more;
        }
        return r;
}

/* One line of `colibri-unpack names`. */
static int load_line(struct loading *l, const char *line, struct error *reterr)
{
        struct arena *a = l->a;

        if (str_has_prefix(line, "type ")) {
                l->transport = arena_strdup(a, line + 5);
                return 0;
        }
        if (str_has_prefix(line, "name "))
                return load_one(l, arena_printf(a, ":%s", line + 5), line + 5, reterr);
        if (str_has_prefix(line, "oci ")) {
                const char *second = strchr(line + 4, ' ');
                return load_one(l, arena_printf(a, ":%.*s", (int)(second - line - 4), line + 4), second + 1, reterr);
        }
        if (str_has_prefix(line, "index "))
                return load_one(l, streq(l->transport, "docker-archive") ? arena_printf(a, ":@%s", line + 6) : "", NULL,
                                reterr);
        return 0;
}

static int load_archive(struct loading *l, struct error *reterr)
{
        const char *argv[] = { helper_path(l->a, l->s->o.helpers, "colibri-unpack"), "names", l->path, NULL };
        char *out;
        int r = store_run(l->s, l->a, argv, &out, NULL, reterr);

        for (char *line = out; !r && *line;) {
                size_t len = strcspn(line, "\n");
                bool more = line[len] == '\n';
                line[len] = '\0';
                r = load_line(l, line, reterr);
                line += len + more;
        }
        return r;
}

static int load_layout(struct loading *l, struct error *reterr)
{
        _cleanup_free_ char *text = NULL;
        struct json *index;
        size_t len;
        int r = file_read(arena_printf(l->a, "%s/index.json", l->path), 4 << 20, &text, &len, reterr);

        if (!r)
                r = json_parse(l->a, text, len, NULL, &index, reterr);
        if (r < 0)
                return r;
        l->transport = "oci";
        json_foreach_item(json_get(index, "manifests"), m) {
                const char *name = json_get_string(json_get(m, "annotations"), "org.opencontainers.image.ref.name");
                r = load_one(l, name ? arena_printf(l->a, ":%s", name) : "", name, reterr);
                if (r)
                        break;
        }
        return r;
}

int image_store_load(struct image_store *s, const char *path, const char *name, bool pin, struct arena *a,
                     const char ***ret_names, size_t *ret_n, struct error *reterr)
{
        struct loading l = { .s = s, .a = a, .path = path, .given_name = name, .pin = pin };
        struct stat st;
        int r;

        if (stat(path, &st) < 0)
                return error_set(reterr, -errno, "%s: %s", path, strerror(errno));
        if (strchr(path, ':'))
                return error_set(reterr, -EINVAL, "%s: skopeo takes no path with a colon", path);
        r = store_lock(s, false, reterr);
        if (r < 0)
                return r;
        r = S_ISDIR(st.st_mode) ? load_layout(&l, reterr) : load_archive(&l, reterr);
        store_unlock(s);
        if (!r && !l.n)
                r = error_set(reterr, -ENOENT, "%s holds no image", path);
        if (!r) {
                *ret_names = l.names;
                *ret_n = l.n;
        }
        return r;
}
