/* krbd: Kerberos acceptor judge on top of MIT's GSS-API. Commands on stdin, one per line; answers on stdout:
 *   AUTH <base64>             -> OK user=.. flags=0x.. lifetime=.. reply=<base64> | FAIL <why>
 *   VERIFY <hexmic> <text>    -> GOOD | BAD <why>     (text = rest of the line, no newline)
 *   SIGN <text>               -> MIC <hex>
 * The keytab is KRB5_KTNAME's.
 */
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_krb5.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const char B[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static char line[1 << 17];
static unsigned char buf[1 << 17];

static void b64out(const unsigned char *d, size_t n) {
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = d[i] << 16 | (i + 1 < n ? d[i + 1] << 8 : 0) | (i + 2 < n ? d[i + 2] : 0);
        putchar(B[v >> 18]);
        putchar(B[v >> 12 & 63]);
        putchar(i + 1 < n ? B[v >> 6 & 63] : '=');
        putchar(i + 2 < n ? B[v & 63] : '=');
    }
}

static size_t b64in(const char *s, unsigned char *o) {
    uint32_t v = 0;
    int k = 0;
    size_t n = 0;
    for (; *s && *s != '='; s++) {
        const char *q = strchr(B, *s);
        if (!q) continue;
        v = v << 6 | (q - B);
        if ((k += 6) >= 8) {
            k -= 8;
            o[n++] = v >> k;
        }
    }
    return n;
}

static void err(const char *what, OM_uint32 major, OM_uint32 minor) {
    OM_uint32 m, c = 0;
    gss_buffer_desc x = {0}, y = {0};
    gss_display_status(&m, major, GSS_C_GSS_CODE, GSS_C_NO_OID, &c, &x);
    c = 0;
    gss_display_status(&m, minor, GSS_C_MECH_CODE, gss_mech_krb5, &c, &y);
    printf("%s %08x/%u: %.*s: %.*s\n", what, major, minor, (int)x.length, (char *)x.value, (int)y.length, (char *)y.value);
}

int main(void) {
    OM_uint32 major, minor;
    gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\r\n")] = 0;
        if (!strncmp(line, "AUTH ", 5)) {
            gss_buffer_desc in = {b64in(line + 5, buf), buf}, out = {0}, name = {0};
            gss_name_t source = NULL;
            OM_uint32 flags = 0, life = 0;
            if (ctx) gss_delete_sec_context(&minor, &ctx, NULL);
            major = gss_accept_sec_context(&minor, &ctx, GSS_C_NO_CREDENTIAL, &in, NULL, &source, NULL, &out, &flags, &life, NULL);
            if (GSS_ERROR(major)) {
                err("FAIL", major, minor);
            } else {
                gss_display_name(&minor, source, &name, NULL);
                printf("OK user=%.*s flags=0x%x lifetime=%u reply=", (int)name.length, (char *)name.value, flags, life);
                b64out(out.value, out.length);
                puts("");
            }
        } else if (!strncmp(line, "VERIFY ", 7)) {
            char *hex = line + 7, *text = strchr(hex, ' ');
            *text++ = 0;
            size_t n = strlen(hex) / 2;
            for (size_t i = 0; i < n; i++) sscanf(hex + 2 * i, "%2hhx", &buf[i]);
            gss_buffer_desc message = {strlen(text), text}, mic = {n, buf};
            major = gss_verify_mic(&minor, ctx, &message, &mic, NULL);
            if (major) err("BAD", major, minor);
            else puts("GOOD");
        } else if (!strncmp(line, "SIGN ", 5)) {
            gss_buffer_desc message = {strlen(line + 5), line + 5}, mic = {0};
            major = gss_get_mic(&minor, ctx, 0, &message, &mic);
            if (major) {
                err("FAIL", major, minor);
            } else {
                printf("MIC ");
                for (size_t i = 0; i < mic.length; i++) printf("%02x", ((unsigned char *)mic.value)[i]);
                puts("");
            }
        } else {
            puts("?");
        }
        fflush(stdout);
    }
}
