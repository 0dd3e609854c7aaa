/* ntlmd: NTLM acceptor judge on top of gss-ntlmssp, connectionless (datagram) mode.
 * stdin commands, one per line; answers on stdout:
 *   CHALLENGE                  -> CHALLENGE <base64>
 *   AUTH <base64>              -> OK user=.. flags=0x.. key=<hex> | FAIL <why>
 *   VERIFY <seq> <hexmic> <text>  -> GOOD | BAD <why>     (text = rest of the line, no newline)
 *   SIGN <seq> <text>          -> MIC <hex>
 * Not through libgssapi: it takes an empty first token for SPNEGO.
 * argv[1] = host based service name, e.g. sip@pool01.contoso.test
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdint.h>
#include <string.h>
#define PLUGIN getenv("NTLMD_PLUGIN") /* the third column of mech.ntlmssp.conf */
static gss_OID_desc ntlm = { 10, "\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x0a" };
static gss_OID_desc setseq = { 11, "\x2b\x06\x01\x04\x01\xb7\x7d\x85\x0f\x01\x01" };
static gss_OID_desc skey = { 11, "\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x05\x05" }; /* GSS_C_INQ_SSPI_SESSION_KEY */
#define F(n) static __typeof__(n) *p_##n;
F(gss_accept_sec_context) F(gss_acquire_cred) F(gss_import_name) F(gss_display_name)
F(gss_verify_mic) F(gss_get_mic) F(gss_inquire_sec_context_by_oid) F(gss_display_status) F(gss_delete_sec_context)
static OM_uint32 (*p_setopt)(OM_uint32*, gss_ctx_id_t*, const gss_OID, const gss_buffer_t);
static const char B[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static void b64out(const unsigned char *d, size_t n){ for(size_t i=0;i<n;i+=3){ uint32_t v=d[i]<<16|(i+1<n?d[i+1]<<8:0)|(i+2<n?d[i+2]:0);
  putchar(B[v>>18]);putchar(B[v>>12&63]);putchar(i+1<n?B[v>>6&63]:'=');putchar(i+2<n?B[v&63]:'=');} }
static size_t b64in(const char *s, unsigned char *o){ uint32_t v=0;int k=0;size_t n=0; for(;*s&&*s!='=';s++){ const char*q=strchr(B,*s); if(!q)continue; v=v<<6|(q-B); if((k+=6)>=8){k-=8;o[n++]=v>>k;} } return n; }
static void err(const char *w, OM_uint32 maj, OM_uint32 min){ gss_buffer_desc b={0}; OM_uint32 m,c=0; printf("%s major=%08x minor=%08x", w, maj, min);
  if(p_gss_display_status(&m, min, GSS_C_MECH_CODE, &ntlm, &c, &b)==0 && b.length) printf(" (%.*s)", (int)b.length, (char*)b.value); puts(""); }
int main(int argc, char **argv){
  if(argc<2 || !PLUGIN){ fprintf(stderr,"usage: NTLMD_PLUGIN=gssntlmssp.so ntlmd service@host\n"); return 1; }
  setlocale(LC_ALL, ""); /* gss-ntlmssp compares names in the charset of the locale: without one they are ASCII */
  void *h = dlopen(PLUGIN, RTLD_NOW|RTLD_LOCAL);
  if(!h){ fprintf(stderr,"%s\n",dlerror()); return 1; }
#define L(n) if(!(p_##n = dlsym(h,#n))) fprintf(stderr,"no symbol %s\n",#n);
  L(gss_accept_sec_context) L(gss_acquire_cred) L(gss_import_name) L(gss_display_name) L(gss_verify_mic) L(gss_get_mic)
  L(gss_inquire_sec_context_by_oid) L(gss_display_status) L(gss_delete_sec_context)
  p_setopt = dlsym(h, "gss_set_sec_context_option"); if(!p_setopt){fprintf(stderr,"no set option\n");return 1;}
  OM_uint32 maj,min; gss_name_t name; gss_cred_id_t cred=GSS_C_NO_CREDENTIAL; gss_ctx_id_t ctx=GSS_C_NO_CONTEXT;
  static gss_OID_desc hb = {10, "\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x04"}; gss_buffer_desc nb={strlen(argv[1]),argv[1]}; gss_OID_set_desc ms={1,&ntlm};
  maj=p_gss_import_name(&min,&nb,&hb,&name); if(maj){err("import",maj,min);return 1;}
  maj=p_gss_acquire_cred(&min,name,GSS_C_INDEFINITE,&ms,GSS_C_ACCEPT,&cred,NULL,NULL); if(maj){err("acquire",maj,min);return 1;}
  /* add IDENTIFY (what Communicator servers send for SIP): NTLMD_FLAGS=hex replaces the default server flags */
  if(getenv("NTLMD_FLAGS")){ static gss_OID_desc nf={11,"\x2b\x06\x01\x04\x01\xb7\x7d\x85\x0f\x01\x05"}; uint32_t v=strtoul(getenv("NTLMD_FLAGS"),0,16); gss_buffer_desc vb={4,&v};
    OM_uint32 (*so)(OM_uint32*,gss_cred_id_t*,const gss_OID,const gss_buffer_t)=dlsym(h,"gssspi_set_cred_option"); maj=so?so(&min,&cred,&nf,&vb):1; if(maj){err("neg flags",maj,min);return 1;} }
  static char line[65536]; static unsigned char buf[65536];
  while(fgets(line,sizeof line,stdin)){ line[strcspn(line,"\r\n")]=0;
    if(!strcmp(line,"CHALLENGE")){ if(ctx)p_gss_delete_sec_context(&min,&ctx,NULL); ctx=GSS_C_NO_CONTEXT;
      gss_buffer_desc in={0,NULL},out={0}; maj=p_gss_accept_sec_context(&min,&ctx,cred,&in,NULL,NULL,NULL,&out,NULL,NULL,NULL);
      if(maj!=GSS_S_CONTINUE_NEEDED){err("FAIL",maj,min);} else {printf("CHALLENGE ");b64out(out.value,out.length);puts("");}
    } else if(!strncmp(line,"AUTH ",5)){ gss_buffer_desc in={b64in(line+5,buf),buf},out={0}; OM_uint32 fl=0; gss_name_t src=NULL;
      maj=p_gss_accept_sec_context(&min,&ctx,cred,&in,NULL,&src,NULL,&out,&fl,NULL,NULL);
      if(maj){err("FAIL",maj,min);} else { gss_buffer_desc dn={0}; gss_buffer_set_t ks=NULL; p_gss_display_name(&min,src,&dn,NULL);
        p_gss_inquire_sec_context_by_oid(&min,ctx,&skey,&ks);
        printf("OK user=%.*s flags=0x%x key=",(int)dn.length,(char*)dn.value,fl); if(ks&&ks->count)for(size_t i=0;i<ks->elements[0].length;i++)printf("%02x",((unsigned char*)ks->elements[0].value)[i]); puts(""); }
    } else if(!strncmp(line,"VERIFY ",7)||!strncmp(line,"SIGN ",5)){ int sign=line[0]=='S'; char*p=strchr(line,' ')+1,*hex=NULL; uint32_t seq=strtoul(p,&p,10); p++;
      if(!sign){hex=p;p=strchr(p,' ');*p++=0;}
      gss_buffer_desc sb={4,&seq}, msg={strlen(p),p}, tok={16,buf};
      maj=p_setopt(&min,&ctx,&setseq,&sb); if(maj){err("BAD setseq",maj,min);fflush(stdout);continue;}
      if(sign){ gss_buffer_desc t={0}; maj=p_gss_get_mic(&min,ctx,0,&msg,&t); if(maj)err("BAD",maj,min); else {printf("MIC ");for(size_t i=0;i<t.length;i++)printf("%02x",((unsigned char*)t.value)[i]);puts("");} }
      else { for(int i=0;i<16;i++)sscanf(hex+2*i,"%2hhx",&buf[i]); maj=p_gss_verify_mic(&min,ctx,&msg,&tok,NULL); if(maj)err("BAD",maj,min); else puts("GOOD"); }
    } else puts("?");
    fflush(stdout); }
}
