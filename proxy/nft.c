/* libnftables, a context a transaction: what it caches of the ruleset (as much as the ruleset itself) is
 * not kept between two, and the kernel's generation has moved on by then anyway.
 */
#include "nft.h"

#include <malloc.h>
#include <stdio.h>

#include <nftables/libnftables.h>

#define TRIM_ABOVE 2048
#define ERROR_MAX 600 /* bytes of its complaint: it quotes the line, which may be long */

static void ctx_free_p(struct nft_ctx **ctx)
{
        if (*ctx)
                nft_ctx_free(*ctx);
}

static struct nft_ctx *context(void)
{
        struct nft_ctx *ctx = nft_ctx_new(NFT_CTX_DEFAULT);

        if (!ctx)
                return NULL;
        nft_ctx_buffer_output(ctx);
        nft_ctx_buffer_error(ctx);
        return ctx;
}

/* It complains on several lines, with the command and marks below it: one line is kept of all. */
static int set_error(struct nft_ctx *ctx, struct error *reterr)
{
        const char *said = nft_ctx_get_error_buffer(ctx);
        _cleanup_free_ char *text = xstrndup(said && *said ? said : "refused", ERROR_MAX);

        for (char *c = text; *c; c++)
                if (*c == '\n' || *c == '^')
                        *c = ' ';
        for (size_t n = strlen(text); n && text[n - 1] == ' '; n--)
                text[n - 1] = '\0';
        return error_set(reterr, -EIO, "nftables: %s", text);
}

int nft_apply(const char *text, struct error *reterr)
{
        int r = 0;

        {
                _cleanup_(ctx_free_p) struct nft_ctx *ctx = context();

                if (!ctx)
                        return error_set(reterr, -EIO, "nftables: no context");
                if (nft_run_cmd_from_buffer(ctx, text) != 0)
                        r = set_error(ctx, reterr);
        }
        if (strlen(text) > TRIM_ABOVE) /* what libnftables has freed is many times the text */
                malloc_trim(0);
        return r;
}

char *nft_forward_dropper(void)
{
        _cleanup_(ctx_free_p) struct nft_ctx *ctx = context();
        _cleanup_free_ char *text = NULL;
        const char *table = "";
        char *save = NULL;

        if (!ctx || nft_run_cmd_from_buffer(ctx, "list chains") != 0)
                return NULL;
        text = xstrdup(nft_ctx_get_output_buffer(ctx));
        for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                if (str_has_prefix(line, "table ")) {
                        table = line + strlen("table ");
                        line[strcspn(line, "{") - 1] = '\0';
                } else if (strstr(line, " hook forward ") && strstr(line, "policy drop;") &&
                           (str_has_prefix(table, "ip ") || str_has_prefix(table, "inet "))) {
                        return xstrdup(table);
                }
        }
        return NULL;
}

bool nft_chain_elsewhere(const char *table, const char *chain)
{
        _cleanup_(ctx_free_p) struct nft_ctx *ctx = context();
        _cleanup_free_ char *ours = xasprintf("table ip %s {", table), *wanted = xasprintf("\tchain %s {", chain);
        _cleanup_free_ char *text = NULL;
        bool other = false;
        char *save = NULL;

        if (!ctx || nft_run_cmd_from_buffer(ctx, "list chains ip") != 0)
                return false;
        text = xstrdup(nft_ctx_get_output_buffer(ctx));
        for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                if (str_has_prefix(line, "table "))
                        other = !streq(line, ours);
                else if (other && streq(line, wanted))
                        return true;
        }
        return false;
}
