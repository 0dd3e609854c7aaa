/* sipenull: a headless libpurple client that signs one SIPE account in and out, and prints what
 * libpurple reports: a line for each event, and its debug log with every message.
 *
 * A test tool. It links libpurple and loads pidgin-sipe, which are under the GPL, so it stays out of
 * the published package (`exclude` in Cargo.toml): what is published is free of such terms.
 *
 * usage: sipenull PURPLE_DIR USER[,LOGIN] PASSWORD SECONDS [key=value ...]
 *   keys are options of a sipe account: server transport authentication sso
 *   ends with 0 when it was signed in, 2 when it was refused, 3 when it ran out of time
 */
#include <dlfcn.h>
#include <glib.h>
#include <purple.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static GMainLoop *loop;
static int rc = 3;                       /* 3 = ran out of time */

static void say(const char *kind, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
static void say(const char *kind, const char *fmt, ...)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    printf("%lld.%06ld CLIENT %-9s ", (long long)ts.tv_sec, ts.tv_nsec / 1000, kind);
    va_list ap;
    va_start(ap, fmt);
    char *s = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    for (char *p = s; *p; p++) if (*p == '\n' || *p == '\r') *p = ' ';
    printf("%s\n", s);
    fflush(stdout);
    g_free(s);
}

/* ---- glib event loop glue ------------------------------------------- */
typedef struct { PurpleInputFunction fn; gpointer data; } IoClosure;

static gboolean io_invoke(GIOChannel *src, GIOCondition cond, gpointer data)
{
    IoClosure *c = data;
    PurpleInputCondition pc = 0;
    if (cond & (G_IO_IN | G_IO_HUP | G_IO_ERR)) pc |= PURPLE_INPUT_READ;
    if (cond & (G_IO_OUT | G_IO_HUP | G_IO_ERR | G_IO_NVAL)) pc |= PURPLE_INPUT_WRITE;
    c->fn(c->data, g_io_channel_unix_get_fd(src), pc);
    return TRUE;
}

static guint input_add(gint fd, PurpleInputCondition cond, PurpleInputFunction fn, gpointer data)
{
    IoClosure *c = g_new0(IoClosure, 1);
    GIOCondition gc = 0;
    c->fn = fn; c->data = data;
    if (cond & PURPLE_INPUT_READ)  gc |= G_IO_IN | G_IO_HUP | G_IO_ERR;
    if (cond & PURPLE_INPUT_WRITE) gc |= G_IO_OUT | G_IO_HUP | G_IO_ERR | G_IO_NVAL;
    GIOChannel *ch = g_io_channel_unix_new(fd);
    guint id = g_io_add_watch_full(ch, G_PRIORITY_DEFAULT, gc, io_invoke, c, g_free);
    g_io_channel_unref(ch);
    return id;
}

static PurpleEventLoopUiOps loop_ops = {
    g_timeout_add, g_source_remove, input_add, g_source_remove, NULL,
    g_timeout_add_seconds, NULL, NULL, NULL
};

/* libpurple 2.14 forgets to go round when a message ends exactly where its ring ends: what comes next
 * is then sent in the wrong order, again and again. This one stands before libpurple's. */
void purple_circ_buffer_append(PurpleCircBuffer *ring, gconstpointer data, gsize length)
{
    void (*append)(PurpleCircBuffer *, gconstpointer, gsize) = dlsym(RTLD_NEXT, __func__);
    append(ring, data, length);
    if (ring->inptr == ring->buffer + ring->buflen) ring->inptr = ring->buffer;
}

/* ---- connection reports ---------------------------------------------- */
static const char *err_name(PurpleConnectionError e)
{
    switch (e) {
    case PURPLE_CONNECTION_ERROR_NETWORK_ERROR: return "NETWORK_ERROR";
    case PURPLE_CONNECTION_ERROR_INVALID_USERNAME: return "INVALID_USERNAME";
    case PURPLE_CONNECTION_ERROR_AUTHENTICATION_FAILED: return "AUTHENTICATION_FAILED";
    case PURPLE_CONNECTION_ERROR_AUTHENTICATION_IMPOSSIBLE: return "AUTHENTICATION_IMPOSSIBLE";
    case PURPLE_CONNECTION_ERROR_NO_SSL_SUPPORT: return "NO_SSL_SUPPORT";
    case PURPLE_CONNECTION_ERROR_ENCRYPTION_ERROR: return "ENCRYPTION_ERROR";
    case PURPLE_CONNECTION_ERROR_INVALID_SETTINGS: return "INVALID_SETTINGS";
    default: return "OTHER";
    }
}
static gboolean quit_cb(gpointer d) { (void)d; g_main_loop_quit(loop); return FALSE; }
static void on_progress(PurpleConnection *gc, const char *t, size_t s, size_t n)
{ (void)gc; say("progress", "%s (%zu/%zu)", t, s, n); }
static gboolean sign_out_cb(gpointer account)   /* the de-REGISTER is part of the capture */
{ purple_account_disconnect(account); g_timeout_add(500, quit_cb, NULL); return FALSE; }
static void on_connected(PurpleConnection *gc)
{
    say("result", "SIGNED-IN");
    rc = 0;
    g_timeout_add(1000, sign_out_cb, purple_connection_get_account(gc));
}
static void on_disconnected(PurpleConnection *gc) { (void)gc; say("state", "disconnected"); }
static void on_reason(PurpleConnection *gc, PurpleConnectionError reason, const char *text)
{
    (void)gc;
    say("result", "FAILED %s: %s", err_name(reason), text);
    rc = 2;
    g_timeout_add(300, quit_cb, NULL);
}
static PurpleConnectionUiOps conn_ops = {
    on_progress, on_connected, on_disconnected, NULL, NULL, NULL, NULL, on_reason,
    NULL, NULL, NULL
};

/* ---- questions: only the certificate question is expected ------------- */
static void *req_action(const char *title, const char *primary, const char *secondary,
                        int def, PurpleAccount *a, const char *who, PurpleConversation *conv,
                        gpointer user_data, size_t n, va_list actions)
{
    (void)def; (void)a; (void)who; (void)conv;
    say("question", "[%s] %s -- %s -> answer REJECT", title ? title : "", primary ? primary : "",
        secondary ? secondary : "");
    /* libpurple's certificate dialog: button 0 accept, 1 reject, (2 view) */
    for (size_t i = 0; i < n; i++) {
        const char *text = va_arg(actions, const char *);
        PurpleRequestActionCb cb = va_arg(actions, PurpleRequestActionCb);
        if (text && strstr(text, "eject")) {
            if (cb) cb(user_data, (int)i);
            break;
        }
    }
    return NULL;
}
static void *req_fields(const char *title, const char *primary, const char *secondary,
                        PurpleRequestFields *f, const char *ok, GCallback okcb,
                        const char *cancel, GCallback cancelcb, PurpleAccount *a,
                        const char *who, PurpleConversation *c, void *ud)
{
    (void)f; (void)ok; (void)okcb; (void)cancel; (void)cancelcb; (void)a; (void)who; (void)c; (void)ud;
    say("question", "[%s] %s -- %s (fields; left unanswered)", title ? title : "",
        primary ? primary : "", secondary ? secondary : "");
    return NULL;
}
static PurpleRequestUiOps req_ops = {
    NULL, NULL, req_action, req_fields, NULL, NULL, NULL, NULL, NULL, NULL, NULL
};
static void *notify_message(PurpleNotifyMsgType t, const char *title, const char *p, const char *s)
{ (void)t; say("notice", "[%s] %s -- %s", title ? title : "", p ? p : "", s ? s : ""); return NULL; }
static PurpleNotifyUiOps notify_ops = { notify_message };

static void ui_init(void)
{
    purple_connections_set_ui_ops(&conn_ops);
    purple_request_set_ui_ops(&req_ops);
    purple_notify_set_ui_ops(&notify_ops);
}
static PurpleCoreUiOps core_ops = { NULL, NULL, ui_init, NULL, NULL, NULL, NULL, NULL };

static gboolean timeout_cb(gpointer d)
{ (void)d; say("result", "TIMEOUT (client still trying)"); g_main_loop_quit(loop); return FALSE; }

int main(int argc, char **argv)
{
    if (argc < 5) { fprintf(stderr, "usage: sipenull DIR USER PASSWORD SECONDS [key=value...]\n"); return 64; }
    signal(SIGPIPE, SIG_IGN);
    loop = g_main_loop_new(NULL, FALSE);
    purple_util_set_user_dir(argv[1]);
    purple_debug_set_enabled(TRUE); /* with the messages themselves: they are the evidence */
    purple_debug_set_unsafe(TRUE);
    purple_debug_set_verbose(TRUE);
    purple_core_set_ui_ops(&core_ops);
    purple_eventloop_set_ui_ops(&loop_ops);
    purple_plugins_add_search_path("/usr/lib/purple-2");
    if (!purple_core_init("sipenull")) { fprintf(stderr, "purple_core_init failed\n"); return 70; }
    purple_set_blist(purple_blist_new());
    purple_prefs_load();
    purple_plugins_load_saved("/sipenull/plugins");
    if (!purple_find_prpl("prpl-sipe")) { fprintf(stderr, "prpl-sipe not found\n"); return 69; }

    PurpleAccount *a = purple_account_new(argv[2], "prpl-sipe");
    purple_accounts_add(a);
    purple_account_set_password(a, argv[3]);
    for (int i = 5; i < argc; i++) {
        char **kv = g_strsplit(argv[i], "=", 2);
        if (kv[0] && kv[1]) {
            if (!strcmp(kv[0], "sso")) purple_account_set_bool(a, "sso", atoi(kv[1]));
            else purple_account_set_string(a, kv[0], kv[1]);
        }
        g_strfreev(kv);
    }
    say("start", "account %s", argv[2]);
    g_timeout_add_seconds(atoi(argv[4]), timeout_cb, NULL);
    purple_account_set_enabled(a, "sipenull", TRUE);
    PurpleSavedStatus *st = purple_savedstatus_new(NULL, PURPLE_STATUS_AVAILABLE);
    purple_savedstatus_activate(st);
    g_main_loop_run(loop);
    _exit(rc);
}
