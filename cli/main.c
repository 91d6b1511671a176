/* colibri: the command line. A table of commands, and the options that all of them take. */
#include <stdio.h>

#include "commands.h"

#include "../lib/base/log.h"

static const struct command {
        const char *name;
        int (*run)(struct cluster *c, const char *const *args);
        const char *args, *help; /* help NULL: not for users */
} commands[] = {
        { "up", command_up, "", "start a cluster on this machine, or say that it runs" },
        { "down", command_down, "", "stop it, pods included; data is kept" },
        { "reset", command_reset, "", "stop it and leave nothing of it behind" },
        { "status", command_status, "", "what runs, and what it costs" },
        { "image", command_image, "load|list|rm|pull ...", "the images of this machine" },
        { "supervise", command_supervise, "", NULL },
};

static const struct command *find(const char *name)
{
        for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
                if (streq(commands[i].name, name))
                        return &commands[i];
        return NULL;
}

static void usage(FILE *out)
{
        fprintf(out, "colibri: a Kubernetes the size of a hummingbird\n\n");
        for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
                if (commands[i].help)
                        fprintf(out, "  colibri %-6s %-24s %s\n", commands[i].name, commands[i].args, commands[i].help);
        fprintf(out, "  colibri help settings                   every setting with its default and unit\n\n"
                     "Options, after the command:\n"
                     "  --root=DIR          a cluster of its own with all its files under DIR\n"
                     "  --port=N            the API server's port (apiserver.port)\n"
                     "  --components=LIST   which daemons (cluster.components)\n"
                     "  --set KEY=VALUE     any setting, for a new cluster\n");
}

static void print_settings(void)
{
        _cleanup_strbuf_ struct strbuf text = STRBUF_INIT;
        struct settings s;

        settings_init(&s, "");
        settings_template(&s, &text);
        fputs(strbuf_str(&text), stdout);
        settings_deinit(&s);
}

/* What the command line says, as overrides of settings. */
struct options {
        const char *root;
        const char *overrides[64];
        size_t n;
        char *owned[64];
        const char *const *args;
};

static bool add_override(struct options *o, const char *key, const char *value)
{
        if (o->n + 1 >= ARRAY_SIZE(o->overrides))
                return false;
        o->owned[o->n] = key ? xasprintf("%s=%s", key, value) : xstrdup(value);
        o->overrides[o->n] = o->owned[o->n];
        o->n++;
        return true;
}

static bool parse(int argc, char **argv, struct options *o)
{
        static const char *const none[] = { NULL };
        int i = 2;

        o->args = none;
        for (; i < argc && str_has_prefix(argv[i], "--"); i++) {
                const char *arg = argv[i], *eq = strchr(arg, '=');
                _cleanup_free_ char *name = eq ? xstrndup(arg, (size_t)(eq - arg)) : xstrdup(arg);
                const char *value = eq ? eq + 1 : i + 1 < argc ? argv[++i] : NULL;
                bool ok = value;

                if (ok && streq(name, "--root"))
                        o->root = value;
                else if (ok && streq(name, "--port"))
                        ok = add_override(o, "apiserver.port", value);
                else if (ok && streq(name, "--components"))
                        ok = add_override(o, "cluster.components", value);
                else if (ok && streq(name, "--set"))
                        ok = add_override(o, NULL, value);
                else
                        ok = false;
                if (!ok) {
                        fprintf(stderr, "colibri: what is \"%s\"? See `colibri help`.\n", arg);
                        return false;
                }
        }
        if (i < argc)
                o->args = (const char *const *)argv + i;
        return true;
}

static int run(const struct command *command, const struct options *o)
{
        _cleanup_error_ struct error err = ERROR_INIT;
        _cleanup_free_ char *root = o->root && *o->root ? realpath(o->root, NULL) : NULL;
        struct cluster c;
        int code;

        /* A folder that is not there yet is taken as it was given, if it is absolute. */
        if (o->root && *o->root && !root) {
                if (*o->root != '/') {
                        fprintf(stderr, "colibri: --root: no folder \"%s\"\n", o->root);
                        return 1;
                }
                root = xstrdup(o->root);
        }
        if (cluster_open(&c, root, o->overrides, &err) < 0) {
                fprintf(stderr, "colibri: %s\n", error_text(&err));
                return 1;
        }
        code = command->run(&c, o->args);
        cluster_close(&c);
        return code;
}

int main(int argc, char **argv)
{
        struct options o = { 0 };
        const struct command *command = argc > 1 ? find(argv[1]) : NULL;
        int code;

        log_init("supervisor", LOG_LEVEL_INFO);
        if (argc > 2 && streq(argv[1], "help") && streq(argv[2], "settings")) {
                print_settings();
                return 0;
        }
        if (!command) {
                bool help = argc > 1 && (streq(argv[1], "help") || streq(argv[1], "--help") || streq(argv[1], "-h"));

                if (argc > 1 && !help)
                        fprintf(stderr, "colibri: there is no command \"%s\"\n\n", argv[1]);
                usage(help ? stdout : stderr);
                return help ? 0 : 2;
        }
        if (!parse(argc, argv, &o))
                return 2;
        code = run(command, &o);
        for (size_t i = 0; i < o.n; i++)
                free(o.owned[i]);
        return code;
}
