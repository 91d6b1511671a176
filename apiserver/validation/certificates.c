/* What rules about certificate requests cannot say: what stands in their PEM blocks, in the words of Go's parsers. */
#include "metadata.h"

#include "../../lib/base/encode.h"
#include "../../lib/tls/pki.h"
#include "functions.h"
#include "pem.h"

/* --- DER --- */

/* What Go says of bytes that begin with no request; NULL: its first element is one, as far as can be seen here. */
static const char *der_error(struct arena *a, const unsigned char *der, size_t len)
{
        size_t at = 2, n;
        unsigned bytes;

        if (!len)
                return "asn1: syntax error: sequence truncated";
        if ((der[0] & 0x1f) == 0x1f)
                return "asn1: structure error: base 128 integer too large";
        if (len < 2)
                return "asn1: syntax error: truncated tag or length";
        n = der[1];
        if (der[1] & 0x80) {
                bytes = der[1] & 0x7f;
                if (!bytes)
                        return "asn1: structure error: indefinite length found (not DER)";
                n = 0;
                for (unsigned i = 0; i < bytes; i++, at++) {
                        if (at >= len)
                                return "asn1: syntax error: truncated tag or length";
                        if (n >= 1 << 23)
                                return "asn1: structure error: length too large";
                        n = n << 8 | der[at];
                        if (!n)
                                return "asn1: structure error: superfluous leading zeros in length";
                }
                if (n < 0x80)
                        return "asn1: structure error: non-minimal length";
        }
        if (der[0] != 0x30)
                return arena_printf(a, "asn1: structure error: tags don't match (16 vs {class:%d tag:%d length:%zu isCompound:%s}) "
                                       "{optional:false explicit:false application:false private:false defaultValue:<nil> tag:<nil> "
                                       "stringType:0 timeType:0 set:false omitEmpty:false} certificateRequest @%zu",
                                    der[0] >> 6, der[0] & 0x1f, n, der[0] & 0x20 ? "true" : "false", at);
        if (n > len - at)
                return "asn1: syntax error: data truncated";
        return n < len - at ? "asn1: syntax error: trailing data" : NULL;
}

/* What is wrong with a request; NULL: nothing. */
static const char *request_error(struct arena *a, const char *pem)
{
        _cleanup_strbuf_ struct strbuf plain = STRBUF_INIT;
        _cleanup_pem_ struct pem_block block = { 0 };
        struct pki_request parsed;
        const char *error, *text;

        if (!pem_next(a, &pem, &block) || !streq(block.type, "CERTIFICATE REQUEST"))
                return "PEM block type must be CERTIFICATE REQUEST";
        error = der_error(a, (const unsigned char *)strbuf_str(&block.der), block.der.len);
        text = block.text;
        if (block.headers) { /* which count for nothing, but not every parser knows them */
                base64_encode(&plain, strbuf_str(&block.der), block.der.len);
                text = arena_printf(a, "-----BEGIN CERTIFICATE REQUEST-----\n%s\n-----END CERTIFICATE REQUEST-----\n", strbuf_str(&plain));
        }
        if (error || pki_request_parse(text, strlen(text), &parsed, NULL) < 0)
                return error ? error : "x509: ECDSA verification failure";
        pki_request_deinit(&parsed);
        return NULL;
}

void check_certificate_request(struct check *c, const struct at *at)
{
        _cleanup_strbuf_ struct strbuf pem = STRBUF_INIT;
        const char *s = text_at(at), *error;

        if (c->old) /* it cannot be changed, and was checked */
                return;
        error = base64_decode(&pem, s, strlen(s), NULL) == 0 ? request_error(c->a, strbuf_str(&pem)) : "";
        if (!error)
                return;
        field_error_add(c->errs, FIELD_INVALID, at_path(c, at), *s ? at->j : json_new_null(c->a), "%s", error);
        if (!*s)
                c->errs->list[c->errs->n - 1].value = json_is_string(at_sent(c, at)) ? "\"\"" : "null";
}

static const char *certificate_error(struct arena *a, const char *pem)
{
        _cleanup_pem_ struct pem_block block = { 0 };
        size_t blocks = 0;

        for (; pem_next(a, &pem, &block); blocks++) {
                _cleanup_pki_pair_ struct pki_pair *pair = NULL;

                if (!streq(block.type, "CERTIFICATE"))
                        return arena_printf(a, "only CERTIFICATE PEM blocks are allowed, found \"%s\"", block.type);
                if (block.headers)
                        return "no PEM block headers are permitted";
                if (!block.der.len)
                        return "found CERTIFICATE PEM block containing 0 certificates";
                if (pki_load_pem(block.text, strlen(block.text), NULL, 0, &pair, NULL) < 0)
                        return "x509: malformed certificate";
        }
        return blocks ? NULL : "must contain at least one CERTIFICATE PEM block";
}

void check_issued_certificate(struct check *c, const struct at *at)
{
        _cleanup_strbuf_ struct strbuf pem = STRBUF_INIT;
        const char *s = text_at(at), *error, *was = json_path_string(c->old, "status.certificate");

        if (!*s || streq(was, s) || base64_decode(&pem, s, strlen(s), NULL) < 0)
                return;
        error = certificate_error(c->a, strbuf_str(&pem));
        if (error)
                field_error_add_text(c->errs, FIELD_INVALID, at_path(c, at), "\"<certificate data>\"", "%s", error);
}

/* --- signers --- */

/* Each piece of TEXT between dots by itself. */
static void check_labels_of(struct check *c, const char *path, const char *text, enum name_rule rule)
{
        const char *messages[NAME_MESSAGES];

        for (const char *p = text; p; p = strchr(p, '.') ? strchr(p, '.') + 1 : NULL) {
                const char *label = arena_strndup(c->a, p, strcspn(p, "."));
                unsigned n = name_check(c->a, rule, label, messages);

                for (unsigned i = 0; i < n; i++)
                        field_error_add(c->errs, FIELD_INVALID, path, json_new_string(c->a, text), "validating label \"%s\": %s",
                                        label, messages[i]);
        }
}

void check_signer_name(struct check *c, const struct at *at)
{
        const char *s = text_at(at), *slash = strchr(s, '/'), *path = at_path(c, at), *domain;

        if (streq(s, "kubernetes.io/legacy-unknown")) {
                check_invalid(c, at, "the legacy signerName is not allowed via this API version");
                return;
        }
        if (!*s) {
                check_required(c, at, "");
                return;
        }
        if (!slash || strchr(slash + 1, '/')) {
                check_invalid(c, at, "must be a fully qualified domain and path of the form 'example.com/signer-name'");
                return;
        }
        domain = arena_strndup(c->a, s, slash - s);
        if (strlen(domain) > 253)
                field_error_add(c->errs, FIELD_TOO_LONG, path, NULL, "may not be more than 253 bytes");
        check_labels_of(c, path, domain, NAME_DNS1123_LABEL);
        if (!strchr(domain, '.'))
                field_error_add(c->errs, FIELD_INVALID, path, json_new_string(c->a, domain),
                                "should be a domain with at least two segments separated by dots");
        check_labels_of(c, path, slash + 1, NAME_DNS1123_SUBDOMAIN);
        if (strlen(s) > 571)
                field_error_add(c->errs, FIELD_TOO_LONG, path, NULL, "may not be more than 571 bytes");
}

/* --- conditions --- */

/* Who has been approved cannot be denied; told of the one that comes second. */
void check_request_condition(struct check *c, const struct at *at)
{
        const char *type = json_get_string(at->j, "type"), *other;

        if (!streq(type, "Approved") && !streq(type, "Denied"))
                return;
        other = streq(type, "Denied") ? "Approved" : "Denied";
        for (size_t i = 0; i < at->index; i++)
                if (streq(json_get_string(json_at(at->up->j, i), "type"), other)) {
                        field_error_add(c->errs, FIELD_INVALID, at_path(c, at->up), json_get(at->j, "type"),
                                        "Approved and Denied conditions are mutually exclusive");
                        return;
                }
}

static struct json *conditions_of(struct check *c, const struct json *obj, const char *type)
{
        struct json *found = json_new_array(c->a);

        json_foreach_item(json_path(obj, "status.conditions"), k)
                if (streq(json_get_string(k, "type"), type))
                        json_append(c->a, found, k);
        return found;
}

/* A decision is made by who may approve and stays; a certificate comes from the signer, once. */
void check_request_update(struct check *c, const struct at *root)
{
        static const char *const decisions[] = { "Approved", "Denied", "Failed" };
        const struct at *conditions = at_field(c, root, "status.conditions"), *certificate = at_field(c, root, "status.certificate");
        const char *was = json_path_string(c->old, "status.certificate"), *is = json_string(certificate->j);

        if (!c->old)
                return;
        for (size_t i = 0; i < ARRAY_SIZE(decisions); i++)
                if (json_len(conditions_of(c, c->obj, decisions[i])) < json_len(conditions_of(c, c->old, decisions[i])))
                        check_forbidden(c, conditions, "updates may not remove a condition of type \"%s\"", decisions[i]);
        for (size_t i = 0; i < 2 && !streq(c->sub, "approval"); i++) {
                const struct json *now = conditions_of(c, c->obj, decisions[i]), *before = conditions_of(c, c->old, decisions[i]);

                if (json_len(now) > json_len(before))
                        check_forbidden(c, conditions, "updates may not add a condition of type \"%s\"", decisions[i]);
                else if (json_len(now) == json_len(before) && !json_equal(now, before))
                        check_forbidden(c, conditions, "updates may not modify a condition of type \"%s\"\n%s", decisions[i],
                                        go_diff(c->a, go_value(c, conditions->s, before), go_value(c, conditions->s, now)));
        }
        if (streq(was ? was : "", is ? is : ""))
                return;
        if (!streq(c->sub, "status"))
                check_forbidden(c, certificate, "updates may not set certificate content");
        else if (!str_empty(was))
                check_forbidden(c, certificate, "updates may not modify existing certificate content");
}
