/* `colibri image`: see command.h. The store locks itself, so that a kubelet may run beside it. */
#include "command.h"

#include <stdio.h>

#include "images.h"
#include "../../lib/base/file.h"

struct command {
        struct loop *loop;
        struct arena *arena;
        const struct runtime_options *o;
        const char *const *args; /* after the verb */
        struct image_store *store;
        int (*fn)(struct command *c, struct error *reterr);
        int code;
};

static int do_load(struct command *c, struct error *reterr)
{
        for (const char *const *path = c->args; *path; path++) {
                const char **names;
                size_t n;
                int r = image_store_load(c->store, *path, NULL, false, c->arena, &names, &n, reterr);
                if (r)
                        return error_wrap(reterr, r, "%s", *path);
                for (size_t i = 0; i < n; i++)
                        printf("%s\n", names[i]);
        }
        return 0;
}

static int do_list(struct command *c, struct error *reterr)
{
        struct runtime_image *list;
        size_t n;
        int r = image_store_list(c->store, c->arena, &list, &n, reterr);
        if (r)
                return r;
        printf("%-60s %-20s %s\n", "IMAGE", "ID", "SIZE");
        for (size_t i = 0; i < n; i++) {
                const struct runtime_image *m = &list[i];
                const char *id = strchr(m->id, ':') ? strchr(m->id, ':') + 1 : m->id;
                for (size_t j = 0; j < MAX(m->n_repo_tags, (size_t)1); j++)
                        printf("%-60s %-20.12s %.1f MB\n", j < m->n_repo_tags ? m->repo_tags[j] : "<none>", id,
                               (double)m->size / 1e6);
        }
        return 0;
}

static int do_rm(struct command *c, struct error *reterr)
{
        for (const char *const *name = c->args; *name; name++) {
                int r = image_store_remove(c->store, *name, reterr);
                if (r == RUNTIME_NOT_FOUND)
                        return error_set(reterr, -ENOENT, "%s: no such image", *name);
                if (r)
                        return error_wrap(reterr, r, "%s", *name);
                printf("%s\n", *name);
        }
        return 0;
}

static int do_pull(struct command *c, struct error *reterr)
{
        static const char *const no_secrets[] = {NULL};
        for (const char *const *name = c->args; *name; name++) {
                struct runtime_image image;
                int r = image_store_pull(c->store, *name, no_secrets, c->arena, &image, reterr);
                if (r)
                        return error_wrap(reterr, r, "%s", *name);
                printf("%s %s\n", *name, image.id);
        }
        return 0;
}

static const struct {
        const char *name, *usage;
        bool with_args;
        int (*fn)(struct command *c, struct error *reterr);
} verbs[] = {
        {"load", "load ARCHIVE...", true, do_load},
        {"import", NULL, true, do_load}, /* as ctr calls it */
        {"list", "list", false, do_list},
        {"ls", NULL, false, do_list},
        {"rm", "rm IMAGE...", true, do_rm},
        {"pull", "pull IMAGE...", true, do_pull},
};

static void run(void *userdata)
{
        struct command *c = userdata;
        _cleanup_error_ struct error err = ERROR_INIT;
        char *dir = arena_printf(c->arena, "%s/images", c->o->root);
        struct image_store_options so = {.dir = dir,
                                         .mirrors = c->o->mirrors,
                                         .n_mirrors = c->o->n_mirrors,
                                         .insecure_registries = c->o->insecure_registries,
                                         .helpers = c->o->helpers};
        int r = dir_make(c->o->root, 0750, &err);
        if (r >= 0)
                r = image_store_open(c->loop, &so, &c->store, &err);
        if (r >= 0)
                r = c->fn(c, &err);
        if (r)
                fprintf(stderr, "colibri image: %s\n", error_text(&err));
        c->code = r ? 1 : 0;
}

int image_command(const struct runtime_options *o, const char *const *args)
{
        struct command c = {.o = o};
        for (size_t i = 0; args[0] && i < ARRAY_SIZE(verbs); i++)
                if (streq(args[0], verbs[i].name) && verbs[i].with_args == (args[1] != NULL))
                        c.fn = verbs[i].fn;
        if (!c.fn) {
                for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
                        if (verbs[i].usage)
                                fprintf(stderr, "%s colibri image %s\n", i ? "      " : "usage:", verbs[i].usage);
                return 2;
        }
        c.args = args + 1;
        c.loop = loop_new();
        c.arena = arena_new(4096);
        fiber_run(c.loop, run, &c);
        image_store_free(c.store);
        arena_free(c.arena);
        loop_free(c.loop);
        return c.code;
}
