/* `colibri image`: the kubelet's program knows the image store, so it does the work. */
#include <errno.h>
#include <stdio.h>

#include "commands.h"

int command_image(struct cluster *c, const char *const *args)
{
        char **argv;
        size_t n = 0, extra = 0;

        cluster_fill_from_machine(c);
        argv = component_argv(component_find("kubelet"), &c->settings);
        while (argv[n])
                n++;
        while (args[extra])
                extra++;
        argv = xrealloc(argv, (n + extra + 2) * sizeof(*argv));
        argv[n++] = xstrdup("image");
        for (size_t i = 0; i <= extra; i++)
                argv[n + i] = xstrdup(args[i]);
        execv(argv[0], argv);
        fprintf(stderr, "colibri image: %s: %s\n", argv[0], strerror(errno));
        return 1;
}
