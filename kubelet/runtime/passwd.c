/* Users and groups by the image's own files: lines of fields parted by colons. */
#include "passwd.h"

#include "../../lib/base/strbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>

#define FIELDS 7

/* Cuts one line into its fields; returns the start of the next, NULL at the end. */
static const char *next_line(struct arena *a, const char *text, char *field[FIELDS], size_t *ret_n)
{
        size_t len = strcspn(text, "\n"), n = 0;
        char *line;

        if (!*text)
                return NULL;
        line = arena_strndup(a, text, len);
        for (char *p = line; n < FIELDS; p++) {
                field[n++] = p;
                p = strchr(p, ':');
                if (!p)
                        break;
                *p = '\0';
        }
        *ret_n = n;
        return text + len + (text[len] == '\n');
}

/* All of S a number that a uid can be. */
static bool parse_id(const char *s, uint32_t *ret)
{
        uint64_t v = 0;

        if (!*s || strlen(s) > 10)
                return false;
        for (; *s; s++) {
                if (*s < '0' || *s > '9')
                        return false;
                v = v * 10 + (uint64_t)(*s - '0');
        }
        if (v > INT32_MAX)
                return false;
        *ret = (uint32_t)v;
        return true;
}

struct user_entry {
        const char *name, *home;
        uint32_t uid, gid;
};

/* By name, or by number where NAME is NULL. */
static bool find_user(struct arena *a, const char *passwd, const char *name, uint32_t uid, struct user_entry *ret)
{
        char *f[FIELDS];
        size_t n;

        for (const char *p = passwd; (p = next_line(a, p, f, &n));) {
                struct user_entry u;
                if (n < 4 || !parse_id(f[2], &u.uid) || !parse_id(f[3], &u.gid))
                        continue;
                if (name ? !streq(f[0], name) : u.uid != uid)
                        continue;
                u.name = f[0];
                u.home = n > 5 ? f[5] : "";
                *ret = u;
                return true;
        }
        return false;
}

static bool find_group(struct arena *a, const char *group, const char *name, uint32_t *ret)
{
        char *f[FIELDS];
        size_t n;

        for (const char *p = group; (p = next_line(a, p, f, &n));)
                if (n >= 3 && streq(f[0], name) && parse_id(f[2], ret))
                        return true;
        return false;
}

static void add_group(struct arena *a, struct passwd_identity *id, uint32_t gid)
{
        for (size_t i = 0; i < id->n_groups; i++)
                if (id->groups[i] == gid)
                        return;
        if (id->n_groups % 16 == 0) {
                uint32_t *more = arena_alloc(a, (id->n_groups + 16) * sizeof(*more));
                if (id->n_groups)
                        memcpy(more, id->groups, id->n_groups * sizeof(*more));
                id->groups = more;
        }
        id->groups[id->n_groups++] = gid;
}

static bool is_member(const char *members, const char *name)
{
        size_t len = strlen(name);

        for (const char *p = members; *p;) {
                size_t k = strcspn(p, ",");
                if (k == len && !memcmp(p, name, len))
                        return true;
                p += k + (p[k] == ',');
        }
        return false;
}

static void add_memberships(struct arena *a, struct passwd_identity *id, const char *group, const char *name)
{
        char *f[FIELDS];
        size_t n;
        uint32_t gid;

        for (const char *p = group; (p = next_line(a, p, f, &n));)
                if (n >= 4 && is_member(f[3], name) && parse_id(f[2], &gid))
                        add_group(a, id, gid);
}

/* The user half: a number need not be in the file, a name must. */
static int resolve_user(struct arena *a, const struct passwd_request *q, const char *user, const char *passwd,
                        struct passwd_identity *id, struct user_entry *entry, struct error *reterr)
{
        bool known;

        if (q->user >= 0) {
                id->uid = (uint32_t)q->user;
                known = find_user(a, passwd, NULL, id->uid, entry);
        } else if (str_empty(user)) {
                known = find_user(a, passwd, NULL, 0, entry);
        } else if (parse_id(user, &id->uid)) {
                known = find_user(a, passwd, NULL, id->uid, entry);
        } else {
                known = find_user(a, passwd, user, 0, entry);
                if (!known)
                        return error_set(reterr, -ENOENT, "unable to find user %s: no matching entries in passwd file",
                                         user);
                id->uid = entry->uid;
        }
        if (known) {
                id->gid = entry->gid;
                if (!str_empty(entry->home))
                        id->home = entry->home;
        } else {
                entry->name = NULL;
        }
        return 0;
}

int passwd_resolve(struct arena *a, const struct passwd_request *q, const char *passwd, const char *group,
                   struct passwd_identity *ret, struct error *reterr)
{
        struct passwd_identity id = { .home = "/" };
        struct user_entry entry = { 0 };
        const char *spec = q->image_user ? q->image_user : "", *colon = strchr(spec, ':');
        const char *user = arena_strndup(a, spec, colon ? (size_t)(colon - spec) : strlen(spec));
        int r = resolve_user(a, q, user, passwd, &id, &entry, reterr);

        if (r < 0)
                return r;
        /* The image's group goes with the image's user. */
        if (colon && colon[1] && q->user < 0 && !parse_id(colon + 1, &id.gid) &&
            !find_group(a, group, colon + 1, &id.gid))
                return error_set(reterr, -ENOENT, "unable to find group %s: no matching entries in group file",
                                 colon + 1);
        if (q->group >= 0)
                id.gid = (uint32_t)q->group;
        add_group(a, &id, id.gid);
        if (!q->strict && entry.name)
                add_memberships(a, &id, group, entry.name);
        for (size_t i = 0; i < q->n_groups; i++)
                add_group(a, &id, (uint32_t)q->groups[i]);
        *ret = id;
        return 0;
}

#define FILE_MAX (1 << 20)

char *passwd_read(struct arena *a, const char *root, const char *file)
{
        _cleanup_close_ int dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK, .resolve = RESOLVE_IN_ROOT };
        _cleanup_close_ int fd = -1;
        struct strbuf b = STRBUF_INIT_MAX(FILE_MAX);
        char buf[4096], *text;
        ssize_t n;

        if (dir >= 0)
                fd = (int)syscall(SYS_openat2, dir, file, &how, sizeof(how));
        while (fd >= 0 && !b.overflow && (n = read(fd, buf, sizeof(buf))) > 0)
                strbuf_append(&b, buf, (size_t)n);
        text = arena_strndup(a, strbuf_str(&b), b.len);
        strbuf_deinit(&b);
        return text;
}
