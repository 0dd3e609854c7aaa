//! What needs no network: `name`, `address`, `answer`, `explain`, policy files, help and manual.

use serde_json::json;

use super::{feed, file, run};

#[test]
fn a_name_is_admitted_refused_or_invalid_and_the_exit_code_says_so() {
    let run =
        |hosts: &[&str]| run(&[&["name", "--domain", "contoso.com", "--json"], hosts].concat());
    let admitted = run(&["sip.contoso.com"]);
    assert_eq!(admitted.code, 0);
    assert_eq!(
        admitted.json(),
        json!({"host": "sip.contoso.com", "verdict": "admitted",
               "reason": "it stands one label in front of contoso.com"})
    );
    let mixed = run(&["sip.contoso.com", "sip.eng.contoso.com", "a b"]);
    assert_eq!(mixed.code, 1);
    let verdicts: Vec<serde_json::Value> =
        mixed.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let words: Vec<_> = verdicts.iter().map(|v| v["verdict"].as_str().unwrap()).collect();
    assert_eq!(words, ["admitted", "refused", "invalid"]);
    for verdict in &verdicts {
        let keys: Vec<_> = verdict.as_object().unwrap().keys().collect();
        assert_eq!(keys.len(), 3, "{verdict}");
    }
}

#[test]
fn names_and_addresses_also_come_as_json_strings_one_a_line() {
    let names = "\"sip.contoso.com\"\n\n\"sip.\\u0063ontoso.net\"\n";
    let answered = feed(&["name", "--domain", "contoso.com"], names);
    assert_eq!(answered.code, 1);
    let lines: Vec<&str> = answered.out.lines().collect();
    assert_eq!(lines.len(), 2, "{answered:?}");
    assert!(lines[1].starts_with(r#"{"host":"sip.contoso.net","verdict":"refused","reason":""#));
    let answered = feed(&["address"], "\"jeremy@contoso.com:5061\"\n\"sips:x@y\"\n");
    assert_eq!(
        answered.out,
        "{\"input\":\"jeremy@contoso.com:5061\",\"user\":\"jeremy\",\"domain\":\"contoso.com\",\"port\":5061}\n\
         {\"input\":\"sips:x@y\",\"error\":\"its scheme is not sip:\"}\n"
    );
    assert_eq!(answered.code, 1);
    let bad = feed(&["address"], "\"a@b.example\"\nnot json\n");
    assert_eq!((bad.code, bad.out.lines().count()), (2, 1));
    assert!(bad.err.contains("line 2 of standard input is no JSON string"), "{}", bad.err);
}

#[test]
fn an_address_is_read_or_the_rule_is_named_that_it_breaks() {
    let good = run(&["address", "SIP:jeremy@Contoso.com", "--json"]);
    assert_eq!(
        good.json(),
        json!({"input": "SIP:jeremy@Contoso.com", "user": "jeremy", "domain": "contoso.com", "port": null})
    );
    let bad = run(&["address", "jeremy", "--json"]);
    assert_eq!(bad.code, 1);
    assert_eq!(
        bad.json(),
        json!({"input": "jeremy", "error": "it has no @; it looks like sip:user@domain"})
    );
}

/// Each with its kind, class, exit code and fault, by RFC 3261 and [MS-OCER].
#[test]
fn an_answer_is_understood_with_the_numbers_of_ms_diagnostics() {
    let challenge = "SIP/2.0 401 Unauthorized\nWWW-Authenticate: NTLM realm=\"SIP Communications Service\", \
                     targetname=\"pool01.contoso.com\", version=4\n";
    let number =
        |number: u32| format!("SIP/2.0 403 Forbidden\nms-diagnostics: {number};reason=\"x\"\n");
    for (text, kind, class, code, fault) in [
        ("SIP/2.0 100 Trying\n", "provisional", None, 0, None),
        ("SIP/2.0 200 OK\nExpires: 7200\n", "registered", None, 0, None),
        (
            "SIP/2.0 301 Moved\nContact: <sip:pool02.contoso.com:5061;transport=TLS>\n",
            "redirected",
            None,
            0,
            None,
        ),
        (challenge, "challenged", None, 0, None),
        (&number(4004), "refused", Some("address mismatch"), 1, Some("input")),
        (&number(4003), "refused", Some("remote access denied"), 1, Some("server")),
        (&number(17002), "refused", Some("version blocked"), 1, Some("machine")),
        ("SIP/2.0 404 Not Found\n", "refused", Some("unknown user"), 1, Some("input")),
        ("SIP/2.0 503 Busy\nRetry-After: 30\n", "refused", Some("overloaded"), 1, Some("server")),
        ("SIP/2.0 401 Unauthorized\n", "refused", Some("garbage"), 1, Some("server")),
    ] {
        let answered = feed(&["answer", "--json"], text);
        let json = answered.json();
        assert_eq!(answered.code, code, "{text}");
        assert_eq!((&json["kind"], &json["class"]), (&json!(kind), &json!(class)), "{text}");
        assert_eq!(json["fault"], json!(fault), "{text}");
        let keys: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
        let mut promised = [
            "kind",
            "class",
            "status",
            "schemes",
            "targets",
            "expires",
            "retry_after",
            "diagnostics",
            "fault",
            "advice",
        ];
        promised.sort_unstable();
        assert_eq!(keys, promised);
    }
    let json = feed(&["answer", "--json"], challenge).json();
    assert_eq!(json["schemes"], json!(["NTLM"]));
    let json = feed(&["answer", "--json"], &number(4004)).json();
    assert_eq!(json["diagnostics"]["error_id"], json!(4004));
    let request = feed(&["answer"], "REGISTER sip:contoso.com SIP/2.0\n");
    assert_eq!(request.code, 2);
    assert!(request.err.contains("this is a request"), "{}", request.err);
}

/// However it was pasted: line ends, space, a body, a length that no longer fits.
#[test]
fn what_is_too_long_is_said_to_be() {
    let long = "x".repeat(1024 * 1024 + 1);
    for path in ["-", file("long-answer.txt", &long.repeat(65)).to_str().unwrap()] {
        let run = feed(&["answer", path], &long);
        assert_eq!(run.code, 2, "{path}");
        assert!(run.err.contains("cannot be read: it is too long"), "{path}: {}", run.err);
    }
}

#[test]
fn a_pasted_answer_need_not_be_tidy() {
    for text in [
        "\n\n  SIP/2.0 404 Not Found\r\nContent-Length: 999\r\n\r\n<html>",
        "SIP/2.0 404 Not Found",
        "SIP/2.0 404 Not Found   \nl: 7\n",
    ] {
        assert_eq!(feed(&["answer", "--json"], text).json()["status"], json!(404), "{text:?}");
    }
    let path = file("answer.txt", "SIP/2.0 404 Not Found\n");
    assert_eq!(run(&["answer", path.to_str().unwrap()]).code, 1);
    assert_eq!(run(&["answer", "no/such/file"]).code, 2);
}

#[test]
fn the_table_of_a_search_shows_what_is_asked_in_which_order() {
    let table = run(&["explain", "jeremy@contoso.com", "--json"]).json();
    let rows = table["rows"].as_array().unwrap();
    let used: Vec<_> = rows
        .iter()
        .filter(|row| row["used"] == json!(true))
        .map(|row| format!("{} {} {}", row["kind"], row["name"], row["port"]).replace('"', ""))
        .collect();
    assert_eq!(
        used,
        [
            "srv _sipinternaltls._tcp.contoso.com null",
            "srv _sip._tls.contoso.com null",
            "host sipinternal.contoso.com 5061",
            "host sipexternal.contoso.com 443",
            "host sipexternal.contoso.com 5061",
        ]
    );
    let clear = run(&["explain", "jeremy@contoso.com", "--json", "--allow-tcp"]).json();
    assert!(clear["rows"].as_array().unwrap().iter().all(|row| row["used"] == json!(true)));
    let page = run(&["explain", "jeremy@contoso.com"]).out;
    assert!(page.contains("1.  tls  _sipinternaltls._tcp.contoso.com"), "{page}");
}

#[test]
fn a_policy_file_takes_the_names_of_the_group_policies() {
    let world = file(
        "strict.world.toml",
        "[srv]\n\"_sip._tls.contoso.com\" = [\"0 0 443 ap.contoso.com\"]\n\
         [host]\n\"ap.contoso.com\" = [\"192.0.2.1\"]\n[connect]\ndefault = \"ok\"\n",
    );
    let explain = |policy: &str, more: &[&str]| {
        let path = file(&format!("policy-{:x}.toml", policy.len()), policy);
        let fixed = [
            "explain",
            "jeremy@contoso.com",
            "--json",
            "--policy",
            path.to_str().unwrap(),
            "--world",
            world.to_str().unwrap(),
        ];
        run(&[&fixed[..], more].concat())
    };
    assert_eq!(explain("EnableStrictDNSNaming = 1\n", &[]).code, 1);
    assert_eq!(explain("EnableStrictDNSNaming = false\n", &[]).code, 0);
    assert_eq!(explain("DisableStrictDNSNaming = true\n", &[]).code, 0);
    // The command line has the last word.
    assert_eq!(explain("EnableStrictDNSNaming = true\n", &["--names", "relaxed"]).code, 0);
    let manual = explain(
        "ConfigurationMode = 1\nServerAddressInternal = \"ocs.corp.example\"\nTransport = \"TLS\"\n",
        &[],
    );
    assert_eq!(manual.json()["lookups"][0]["name"], json!("ocs.corp.example"));
    for (wrong, says) in [
        ("EnableStrictDnsNaming = 1\n", "unknown field `EnableStrictDnsNaming`"),
        ("EnableStrictDNSNaming = 2\n", "2 is neither 1 (on) nor 0 (off)"),
        ("EnableStrictDNSNaming = 1\nDisableStrictDNSNaming = 1\n", "contradict each other"),
        ("ConfigurationMode = 1\n", "no server is named"),
        ("Transport = \"UDP\"\nServerAddressInternal = \"a.example\"\n", "Transport is not `udp`"),
        (
            "EnableSIPHighSecurityMode = 1\nallow-tcp = true\n",
            "EnableSIPHighSecurityMode forbids it",
        ),
        ("order = \"nobody\"\n", "there is no search order `nobody`"),
    ] {
        let refused = explain(wrong, &[]);
        assert_eq!(refused.code, 2, "{wrong}");
        assert!(refused.err.contains(says), "{wrong}: {}", refused.err);
    }
}

#[test]
fn settings_that_contradict_each_other_are_bad_usage() {
    for arguments in [
        &["explain", "jeremy@contoso.com", "--order", "nobody"][..],
        &["explain", "jeremy@contoso.com", "--internal", "a.example", "--order", "communicator"],
        &["explain", "jeremy@contoso.com", "--internal", "a.example", "--transport", "tcp"],
        &["explain", "jeremy@contoso.com", "--transport", "tls"],
        &["explain", "jeremy@contoso.com", "--timeout", "0"],
        &["explain", "jeremy"],
        &["explain"],
        &["name", "sip.contoso.com"],
        &["demo", "--fault", "nobody"],
        &["check", "jeremy@contoso.com", "--ca", "no/such/file"],
    ] {
        let refused = run(arguments);
        assert_eq!(refused.code, 2, "{arguments:?}");
        assert!(!refused.err.is_empty() && refused.out.is_empty(), "{arguments:?}: {refused:?}");
    }
}

#[test]
fn a_zone_file_shows_what_clients_would_do() {
    let zone = file(
        "db.contoso.com",
        "$TTL 300\n\
         @ SOA ns hostmaster 1 3600 600 86400 60\n\
         @ NS ns.contoso.com.\n\
         ns A 192.0.2.53\n\
         _sipinternaltls._tcp SRV 0 0 5061 pool.fabrikam.com.\n\
         _sipinternaltls._tcp SRV 10 0 5061 pool\n\
         _sip._tls CNAME edge-srv\n\
         edge-srv SRV 0 0 443 sip\n\
         _sipinternal._tcp SRV 0 0 0 .\n\
         pool CNAME pool01\n\
         pool01 A 192.0.2.10\n\
         sip AAAA 2001:db8::1\n",
    );
    let explain = |more: &[&str]| {
        let fixed = ["explain", "jeremy@contoso.com", "--json", "--zone", zone.to_str().unwrap()];
        run(&[&fixed[..], more].concat()).json()
    };
    let story = explain(&["--allow-tcp"]);
    let answers: Vec<_> = story["lookups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| format!("{} {} {}", l["kind"], l["name"], l["answer"]).replace('"', ""))
        .collect();
    assert_eq!(
        answers,
        [
            "srv _sipinternaltls._tcp.contoso.com [0 0 5061 pool.fabrikam.com,10 0 5061 pool.contoso.com]",
            "srv _sipinternal._tcp.contoso.com [0 0 0 .]",
            "srv _sip._tls.contoso.com [0 0 443 sip.contoso.com]",
            "aaaa pool.contoso.com nodata",
            "a pool.contoso.com [192.0.2.10]",
            "aaaa sip.contoso.com [2001:db8::1]",
            "a sip.contoso.com nodata",
        ]
    );
    assert_eq!(story["refusals"][0]["host"], json!("pool.fabrikam.com"));
    assert_eq!(
        story["outcome"],
        json!({"kind": "connected", "protocol": "tls", "host": "pool.contoso.com", "port": 5061, "reason": null})
    );
    let world = file("zone.world.toml", "[connect]\n\"tls pool.contoso.com:5061\" = \"refused\"\n");
    let story = explain(&["--world", world.to_str().unwrap()]);
    assert_eq!(story["outcome"]["host"], json!("sip.contoso.com"));
    let broken = file("broken.zone", "$GENERATE 1-2 a$ A 192.0.2.$\n");
    let refused = run(&["explain", "a@b.example", "--zone", broken.to_str().unwrap()]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("line 1: $GENERATE is not read"), "{}", refused.err);
}

#[test]
fn every_command_has_a_manual_page_and_completions() {
    let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("man");
    std::fs::create_dir_all(&folder).unwrap();
    assert_eq!(run(&["man", "--into", folder.to_str().unwrap()]).code, 0);
    let help = run(&["help"]).out;
    let commands = ["explain", "check", "sign-in", "name", "address", "answer", "demo", "lab"];
    for command in commands {
        assert!(help.contains(&format!("\n  {command}")), "{command}: {help}");
        let page = std::fs::read_to_string(folder.join(format!("sip-signin-{command}.1"))).unwrap();
        assert!(page.contains(".SH"), "{command}");
    }
    assert!(run(&["man"]).out.contains(".TH sip-signin 1"));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(run(&["completions", shell]).out.contains("explain"), "{shell}");
    }
}

#[test]
fn there_is_no_colour_where_there_is_no_terminal() {
    for arguments in [&["demo", "--list"][..], &["name", "--domain", "a.b", "a.b"], &["help"]] {
        assert!(!run(arguments).out.contains('\u{1b}'), "{arguments:?}");
    }
}

#[test]
fn no_page_is_wider_than_it_may_be() {
    for columns in ["80", "120"] {
        let widest: usize = columns.parse().unwrap();
        for arguments in [&["demo", "--list"][..], &["explain", "jeremy@contoso.com"]] {
            let page = super::finish(super::tool().args(arguments).env("COLUMNS", columns)).out;
            for line in page.lines() {
                assert!(line.chars().count() <= widest, "{columns}: {line}");
                assert!(!line.ends_with(' '), "{line:?}");
            }
        }
    }
}
