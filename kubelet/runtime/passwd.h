/* Who a container's process is: numbers from the names in its image. */
#pragma once

#include "../../lib/base/arena.h"
#include "../../lib/base/error.h"

struct passwd_identity {
        uint32_t uid, gid;
        uint32_t *groups; /* supplementary, gid among them; in the arena */
        size_t n_groups;
        const char *home; /* "/" when not known */
};

struct passwd_request {
        const char *image_user;   /* the image's USER: "", "1000", "app", "app:staff", "1000:50" */
        int64_t user, group;      /* runAsUser, runAsGroup; -1: not set */
        const int64_t *groups;    /* supplementalGroups and fsGroup */
        size_t n_groups;
        bool strict;              /* nothing from /etc/group */
};

/* PASSWD and GROUP: the texts of /etc/passwd and /etc/group, "" when missing. Pure. -ENOENT: `no users found`-like
 * text for a name that is not there. */
int passwd_resolve(struct arena *a, const struct passwd_request *q, const char *passwd, const char *group,
                   struct passwd_identity *ret, struct error *reterr);

/* Reads FILE ("/etc/passwd") below ROOT as a process in there would see it; links cannot lead out. "" when it
 * cannot be read; at most 1 MiB. In the arena. */
char *passwd_read(struct arena *a, const char *root, const char *file);
