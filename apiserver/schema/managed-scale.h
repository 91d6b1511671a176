/* metadata.managedFields of writes through the scale subresource: see managed-scale.c. */
#pragma once

#include "managed-versions.h"

struct managed_scale {
        struct arena *a;
        const struct resource *res;     /* the parent's */
        struct managed parent, entries; /* ENTRIES: those of the Scale, each owns its spec.replicas */
        struct field_set *number;       /* where the parent has it */
        int64_t replicas;               /* of the parent; 0 is the same as none */
};

/* False: PARENT's entries cannot be read; there are none then. */
bool managed_scale_open(struct arena *a, const struct resource *res, const struct json *parent, struct managed_scale *ret);
void managed_scale_own(struct managed_scale *s, const char *manager, bool applied);
/* The parent's entries with those of the Scale merged in; NULL: none. */
struct json *managed_scale_close(struct managed_scale *s);

/* What managed_fields_update() is to ordinary writes. LIVE and OBJ are parents. */
void managed_scale_update(struct arena *a, const struct resource *res, const struct json *live, struct json *obj,
                          const char *manager);
