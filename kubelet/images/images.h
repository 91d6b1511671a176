/* The image store: one folder that holds images, their layers unpacked once, and nothing half done.
 *
 *      DIR/blobs/sha256/...      what skopeo fetched: manifests, configs, compressed layers
 *      DIR/layers/sha256-.../    a layer unpacked, named after its blob; appears by rename
 *      DIR/images/ID.json        an image: names, digests, config, layers, size; appears by rename
 *      DIR/tmp/                  emptied at open
 *
 * A store may be used by several processes at once (kubelet and `colibri image`): writers take a lock
 * on DIR/lock, readers see whole files. Calls that wait run on a fiber.
 */
#pragma once

#include "../runtime/runtime.h"
#include "reference.h"

struct image_store;

struct image_store_options {
        const char *dir;
        const struct runtime_registry_mirror *mirrors;
        size_t n_mirrors;
        const char *const *insecure_registries; /* NULL-ended; may be NULL */
        const char *helpers;                    /* as runtime_options */
};

/* What a container needs of its image. */
struct image_details {
        struct runtime_image image;
        const struct json *config;  /* the "config" object of the OCI image configuration: Env, Cmd, ... */
        const char **layers;        /* absolute folders, lowest first */
        size_t n_layers;
};

int image_store_open(struct loop *loop, const struct image_store_options *o, struct image_store **ret,
                     struct error *reterr);
void image_store_free(struct image_store *s);

/* REF: a name as users write it, or an id ("sha256:..." or 12 and more of its digits). RUNTIME_NOT_FOUND,
 * RUNTIME_INVALID_IMAGE_NAME. */
int image_store_get(struct image_store *s, const char *ref, struct arena *a, struct image_details *ret,
                    struct error *reterr);
/* Outcomes as runtime_ops.image_pull. A second call for the same image while one runs waits for it. */
int image_store_pull(struct image_store *s, const char *ref, const char *const *secrets, struct arena *a,
                     struct runtime_image *ret, struct error *reterr);
/* PATH: a docker-archive or oci-archive (plain or compressed), or an OCI layout folder. NAME: given to an image that has none; may be NULL.
 * *ret_names: what was loaded. */
int image_store_load(struct image_store *s, const char *path, const char *name, bool pin, struct arena *a,
                     const char ***ret_names, size_t *ret_n, struct error *reterr);
int image_store_list(struct image_store *s, struct arena *a, struct runtime_image **ret, size_t *ret_n,
                     struct error *reterr);
/* A name is taken away; with its last name (or by id) the image goes, with the layers no other image has. */
int image_store_remove(struct image_store *s, const char *ref_or_id, struct error *reterr);
int image_store_pin(struct image_store *s, const char *ref, bool pinned, struct error *reterr);
/* IN_USE: whether a container needs the image. */
typedef bool image_in_use_fn(const char *image_id, void *userdata);
int image_store_gc(struct image_store *s, int high, int low, image_in_use_fn *in_use, void *userdata,
                   int64_t *ret_freed, struct error *reterr);
/* Bytes of the file system that the store is on. */
int image_store_disk(struct image_store *s, int64_t *ret_used, int64_t *ret_capacity, struct error *reterr);
/* Where a helper program lies: beside this one, or in HELPERS. In the arena. */
char *helper_path(struct arena *a, const char *helpers, const char *name);
