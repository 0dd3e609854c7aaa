# The realm CONTOSO.TEST of a KDC on loopback, with all its files in one folder. To be sourced.

use_realm() { # in this folder
    export KRB5_CONFIG=$1/krb5.conf KRB5_KDC_PROFILE=$1/kdc.conf KRB5_KTNAME=$1/sip.keytab
    export KRB5CCNAME=FILE:$1/tickets KRB5RCACHENAME=none:
}

write_realm() { # in this folder, for a KDC on this port; a further line of [libdefaults]
    cat >"$1/krb5.conf" <<CONFIG
[libdefaults]
 default_realm = CONTOSO.TEST
 dns_lookup_kdc = false
 dns_lookup_realm = false
 dns_canonicalize_hostname = false
 rdns = false
 udp_preference_limit = 1
 ${3:-}
[realms]
 CONTOSO.TEST = {
  kdc = 127.0.0.1:$2
 }
[domain_realm]
 .contoso.test = CONTOSO.TEST
CONFIG
    cat >"$1/kdc.conf" <<CONFIG
[kdcdefaults]
 kdc_listen = 127.0.0.1:$2
 kdc_tcp_listen = 127.0.0.1:$2
[realms]
 CONTOSO.TEST = {
  database_name = $1/principals
  key_stash_file = $1/stash
  acl_file = $1/acl
  supported_enctypes = aes256-cts:normal aes128-cts:normal
 }
[logging]
 kdc = FILE:$1/kdc.log
CONFIG
}
