/* Image names, after the grammar of github.com/distribution/reference.
 *
 * "busybox" means docker.io/library/busybox:latest; a digest wins over a tag.
 */
#pragma once

#include "../../lib/base/arena.h"
#include "../../lib/base/error.h"

struct image_reference {
        const char *registry;   /* "docker.io", "127.0.0.1:5000" */
        const char *repository; /* "library/busybox" */
        const char *tag;        /* "latest"; NULL with a digest alone */
        const char *digest;     /* "sha256:..."; NULL: none */
};

/* 0, or -EINVAL with upstream's text: `couldn't parse image name "Busy_Box:::1": invalid reference format: repository
 * name (library/Busy_Box) must be lowercase`. */
int image_reference_parse(struct arena *a, const char *text, struct image_reference *ret, struct error *reterr);
/* "docker.io/library/busybox:latest", or with "@sha256:..." where there is a digest. */
char *image_reference_print(struct arena *a, const struct image_reference *ref);
char *image_reference_name(struct arena *a, const struct image_reference *ref); /* registry/repository */
