/* Inside of the image store: what its files share. Not for others; see images.h. */
#pragma once

#include "../../lib/base/map.h"
#include "images.h"

/* One image as it is on disk. */
struct stored_image {
        struct arena *arena;
        struct json *json; /* {id, names, digests, config, layers, size, pinned, created} */
        const char *id;
        int64_t last_used; /* the file's mtime: realtime ns */
};

struct image_store {
        struct loop *loop;
        struct arena *arena;
        const char *dir;
        struct image_store_options o;
        struct stored_image *images; /* as of `seen` */
        size_t n, cap;
        struct timespec seen; /* mtime of DIR/images when it was read */
        struct map pulls;     /* name -> struct fiber_mutex *, of pulls that go on */
        int use_fd;           /* DIR/lock */
        unsigned users;       /* fibers of ours that share it */
        unsigned tmp_count;
};

/* store.c */
int store_refresh(struct image_store *s, struct error *reterr); /* reads again what another process changed */
struct stored_image *store_find(struct image_store *s, const char *name_or_id); /* normalised, or an id */
char *store_tmp(struct image_store *s, struct arena *a); /* a fresh name below DIR/tmp */
/* Shared while something is brought in, exclusive while things are taken out. On a fiber. */
int store_lock(struct image_store *s, bool exclusive, struct error *reterr);
void store_unlock(struct image_store *s);
/* Writes the image; NAME (may be NULL) is taken from any other image that has it. */
int store_commit(struct image_store *s, struct arena *a, struct json *image, const char *name, struct error *reterr);
void store_describe(const struct stored_image *i, struct arena *a, struct runtime_image *ret);

/* unpack.c: an image that skopeo has put into LAYOUT (with blobs in DIR/blobs) becomes one of the store: layers
 * unpacked, committed under NAME. DIGEST: "registry/repo@sha256:..." to be known by, or NULL. On a fiber. */
int store_import(struct image_store *s, const char *layout, const char *name, const char *digest, bool pin,
                 const char **ret_id, struct arena *a, struct error *reterr);
/* Runs a program; a failure's text is the last line it wrote. */
int store_run(struct image_store *s, struct arena *a, const char *const *argv, char **ret_out, size_t *ret_len,
              struct error *reterr);

/* keyring.c: pure. The authfile (containers-auth.json) for skopeo with the NTH best (from 0) of what SECRETS have for
 * HOST and REPOSITORY, or NULL: there are no more. */
char *keyring_authfile(struct arena *a, const char *const *secrets, const char *host, const char *repository,
                       size_t nth);
