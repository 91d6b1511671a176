/* Any bytes, skimmed: nothing may be read out of bounds; what is JSON ends where the parser says, and what is selected
 * of an object is what its tree has there. */
#include "skim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_selection(struct arena *a, const struct json *tree)
{
        static const char *const paths[] = { "a.b", "c", "d.e.f", "g." };
        struct json_want want = { 0 };
        const char *text = json_print(a, tree); /* without keys that are there twice, or are spelt in two ways */
        struct json *some;

        for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
                json_want_path(a, &want, paths[i], strlen(paths[i]));
        if (!json_select(a, text, strlen(text), &want, &some))
                abort();
        for (size_t i = 0; i < 3; i++)
                if (!json_equal(json_path(tree, paths[i]), json_path(some, paths[i])))
                        abort();
        if (json_len(some) > 4 || !json_get(tree, "g") != !json_get(some, "g") ||
            (json_is_array(json_get(tree, "g")) && json_len(json_get(tree, "g")) != json_len(json_get(some, "g"))))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_arena_ struct arena *a = arena_new(0);
        struct json_skim s = { (const char *)data, (const char *)data + size };
        struct json_want all = { .all = true }, some = { 0 };
        struct json *tree, *selected;
        bool valid = json_parse(a, (const char *)data, size, NULL, &tree, NULL) == 0;

        json_skim_space(&s);
        if (!json_skim_value(&s) && valid)
                abort();
        json_skim_space(&s);
        if (valid && s.p != s.end)
                abort();
        json_want_path(a, &some, "a.b.c", 5);
        json_select(a, (const char *)data, size, &some, &selected);
        json_select(a, (const char *)data, size, &all, &selected);
        if (valid && json_is_object(tree))
                check_selection(a, tree);
        return 0;
}
