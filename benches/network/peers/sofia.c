/* One REGISTER by libsofia-sip, a test tool: sofia ADDRESS REGISTRAR CERTIFICATES */
#include <sofia-sip/nua.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/su_tag.h>
#include <sofia-sip/tport_tag.h>
#include <stdio.h>
#include <stdlib.h>

static void on_event(nua_event_t event, int status, char const *phrase, nua_t *nua, nua_magic_t *magic,
                     nua_handle_t *handle, nua_hmagic_t *hmagic, sip_t const *sip, tagi_t tags[])
{
    if (event == nua_r_register && status >= 200) exit(0);
}

int main(int argc, char **argv)
{
    if (argc < 4 || su_init() != 0) return 64;
    su_root_t *root = su_root_create(NULL);
    nua_t *nua = nua_create(root, on_event, NULL, NUTAG_URL("sips:10.77.0.1:*"),
                            NUTAG_CERTIFICATE_DIR(argv[3]), TAG_END());
    if (nua == NULL) return 1;
    nua_handle_t *handle =
        nua_handle(nua, NULL, SIPTAG_TO_STR(argv[1]), SIPTAG_FROM_STR(argv[1]), TAG_END());
    nua_register(handle, NUTAG_REGISTRAR(argv[2]), TAG_END());
    su_root_run(root);
    return 0;
}
