//! What goes over sockets: `check`, `sign-in`, `demo` and `lab`, against the lab on loopback.

#![expect(clippy::disallowed_methods, reason = "a test is a world of its own")]

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Stdio};
use std::thread;

use serde_json::{Value, json};
use sip_signin::lab::{Lab, LabBuilder, Server, TlsFault};

use super::{Run, file, run, tool};

/// A lab that listens where it is published, and a file with its root.
struct Deployment {
    lab: Lab,
    ca: String,
}

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

const DNS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

impl Deployment {
    async fn of(name: &str, builder: LabBuilder) -> Self {
        let lab = builder.in_place().start().await.unwrap();
        let ca = file(&format!("{name}.pem"), lab.roots_pem());
        Self { lab, ca: ca.to_str().unwrap().to_owned() }
    }

    /// Runs the tool beside the lab, which goes on meanwhile.
    async fn run(&self, arguments: &[&str]) -> Run {
        let dns = self.lab.dns().to_string();
        let mut all: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
        all.extend(["--dns", &dns, "--ca", &self.ca].map(str::to_owned));
        let task = move || run(&all.iter().map(String::as_str).collect::<Vec<_>>());
        tokio::task::spawn_blocking(task).await.unwrap()
    }
}

/// The contract's own case, in one run: a wrong SRV target, an expired certificate and a pool one of
/// whose two addresses is dead.
#[tokio::test]
async fn one_check_names_a_wrong_target_an_expired_certificate_and_a_half_dead_pool() {
    let builder = Lab::builder()
        .internal(Server::tls("pool01.contoso.com").port(0).address(HERE))
        .address("pool01.contoso.com", [127, 0, 0, 2])
        .srv("_sipinternaltls._tcp.contoso.com", 0, 0, 5061, "pool01.fabrikam.com")
        .external(
            Server::tls("sip.contoso.com")
                .port(0)
                .address(HERE)
                .fault(TlsFault::CertificateExpired),
        );
    let deployment = Deployment::of("contract", builder).await;
    let port = |at: usize| deployment.lab.servers()[at].rsplit(':').next().unwrap().to_owned();
    let (pool, edge) = (port(0), port(1));
    let checked = deployment.run(&["check", "jeremy@contoso.com", "--json"]).await;
    assert_eq!(checked.code, 0, "{checked:?}");
    let story = checked.json();
    assert_eq!(story["outcome"]["host"], json!("pool01.contoso.com"));
    assert_eq!(story["refusals"][0]["host"], json!("pool01.fabrikam.com"));
    let result = |host: &str, address: &str| {
        let connects = story["connects"].as_array().unwrap();
        let of = |c: &&Value| c["host"] == json!(host) && c["address"] == json!(address);
        connects.iter().rfind(of).map(|c| c["result"].as_str().unwrap().to_owned())
    };
    assert_eq!(result("pool01.contoso.com", "127.0.0.1").as_deref(), Some("ok"));
    let dead = result("pool01.contoso.com", "127.0.0.2").unwrap();
    assert!(["refused", "unreachable", "timeout"].contains(&dead.as_str()), "{dead}");
    assert_eq!(result("sip.contoso.com", "127.0.0.1").as_deref(), Some("certificate_expired"));

    let page = deployment.run(&["check", "jeremy@contoso.com"]).await.out;
    for said in [
        "dns named pool01.fabrikam.com, but relaxed naming admits only",
        &format!("the certificate of tls sip.contoso.com:{edge} was not accepted: expired"),
        "Contoso Root CA; expired",
        &format!("tls pool01.contoso.com:{pool} could not be connected to: "),
        "(at 127.0.0.2; its other addresses are well)",
        "Problems: 3",
        "NTLM version 4 for pool01.contoso.com",
        &format!("would sign in at tls pool01.contoso.com:{pool}"),
    ] {
        assert!(page.contains(said), "`{said}` is not in:\n{page}");
    }
    // Nobody was signed in: no request carried credentials.
    let seen = deployment.lab.seen();
    let sent: Vec<_> = seen.iter().map(|s| String::from_utf8_lossy(&s.sip).into_owned()).collect();
    assert!(sent.iter().any(|sip| sip.starts_with("REGISTER")), "{sent:?}");
    assert!(!sent.iter().any(|sip| sip.contains("uthorization:")), "{sent:?}");
    // What had the expired certificate was looked at, and told nothing.
    let expired = seen.iter().filter(|seen| seen.host == "sip.contoso.com");
    assert!(expired.clone().count() > 0 && expired.clone().all(|seen| seen.sip.is_empty()));
}

#[tokio::test]
async fn a_check_ends_with_no_where_no_server_asks_for_a_proof() {
    let builder = Lab::builder().internal(
        Server::tls("pool01.contoso.com")
            .port(0)
            .address(HERE)
            .fault(TlsFault::CertificateWrongName),
    );
    let deployment = Deployment::of("wrong-name", builder).await;
    let checked = deployment.run(&["check", "jeremy@contoso.com", "--json"]).await;
    assert_eq!(checked.code, 1, "{checked:?}");
    let story = checked.json();
    assert_eq!(story["outcome"]["kind"], json!("failed"));
    assert_eq!(story["connects"][0]["result"], json!("certificate_name_mismatch"));
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&story), ["address", "connects", "lookups", "outcome", "refusals"]);
    assert_eq!(
        keys(&story["connects"][0]),
        ["address", "at_ms", "host", "port", "protocol", "result"]
    );
    assert_eq!(keys(&story["lookups"][0]), ["answer", "at_ms", "kind", "name"]);
    assert_eq!(keys(&story["outcome"]), ["host", "kind", "port", "protocol", "reason"]);
}

/// The whole list: what goes wrong in the demo is named by the demo, and by `check` as far as one
/// can see it without credentials; and no failure of the library is missing.
#[test]
fn every_failure_has_a_demo_and_a_verdict_of_check_that_name_the_same_cause() {
    let list = run(&["demo", "--list", "--json"]).json();
    let list = list.as_array().unwrap();
    let check = |scenario: &Value, more: &[&str], column: &str| {
        let name = scenario["name"].as_str().unwrap();
        let fixed = ["demo", "--fault", name, "--json"];
        let ran = run(&[&fixed[..], more].concat());
        let report = ran.json();
        assert_eq!(report["failure"]["name"], scenario[column], "{name} {more:?}: {ran:?}");
        assert_eq!(ran.code, i32::from(!scenario[column].is_null()), "{name} {more:?}");
        report
    };
    thread::scope(|scope| {
        for worker in 0..12 {
            scope.spawn(move || {
                for scenario in list.iter().skip(worker).step_by(12) {
                    let shown = check(scenario, &[], "failure");
                    let checked = check(scenario, &["--check"], "check");
                    if scenario["failure"] == scenario["check"] {
                        assert_eq!(shown["failure"]["fault"], checked["failure"]["fault"]);
                        assert_eq!(shown["failure"]["advice"], checked["failure"]["advice"]);
                    }
                }
            });
        }
    });
    let shown: Vec<_> = list.iter().filter_map(|s| s["failure"].as_str()).collect();
    let page = include_str!("../../docs/failures.md");
    // How a session ends is another story, which begins where a sign-in is over.
    let (page, _) = page.split_once("## How a session ends").unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")).skip(1);
    let names: Vec<_> = rows.filter_map(|row| row.split(" | ").next()).collect();
    assert!(names.len() > 25, "{names:?}");
    for name in names {
        assert!(shown.contains(&name), "no demo shows `{name}`");
    }
}

#[test]
fn the_demo_signs_in_and_says_who_where_and_until_when() {
    let signed_in = run(&["demo", "--json"]);
    assert_eq!(signed_in.code, 0, "{signed_in:?}");
    let report = signed_in.json();
    assert_eq!(
        report["server"],
        json!({"protocol": "tls", "host": "pool01.contoso.com", "port": 5061})
    );
    assert_eq!(report["registration"]["scheme"], json!("NTLM"));
    assert_eq!(report["registration"]["verified"], json!(true));
    assert_eq!(report["registration"]["expires"], json!(7200));
    assert_eq!(report["failure"], Value::Null);
}

/// The lab as a process of its own, on ports that nobody has, until it is dropped.
struct Running {
    child: Child,
    dns: String,
    ca: String,
}

impl Running {
    fn start(name: &str) -> Self {
        let ca = file(&format!("{name}.pem"), "");
        let mut child = tool()
            .args(["lab", "--json", "--ca", ca.to_str().unwrap()])
            .args(["--dns-port", "0", "--tls-port", "0", "--tcp-port", "0", "--edge-port", "0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = next_json(&mut BufReader::new(child.stdout.take().unwrap()).lines());
        assert_eq!(said["accounts"][0]["account"], json!(r"CONTOSO\jeremy"));
        let text = |key: &str| said[key].as_str().unwrap().to_owned();
        Self { dns: text("dns"), ca: text("ca"), child }
    }
}

/// The next JSON value that a running tool prints.
fn next_json(lines: &mut impl Iterator<Item = std::io::Result<String>>) -> Value {
    let mut text = String::new();
    for line in lines {
        let line = line.unwrap();
        text.push_str(&line);
        if line == "}" {
            break;
        }
    }
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[cfg(unix)]
fn interrupt(child: &Child) {
    let killed =
        std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(killed.unwrap().success());
}

#[cfg(unix)]
#[test]
fn who_stays_is_signed_out_at_ctrl_c() {
    use std::io::Write;
    let lab = Running::start("lab-stay");
    let mut child = tool()
        .args(["sign-in", "jeremy@contoso.com", "--json", "--stay", "--user", r"CONTOSO\jeremy"])
        .args(["--dns", &lab.dns, "--ca", &lab.ca])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"Passw0rd!\n").unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(next_json(&mut lines)["registration"]["verified"], json!(true));
    interrupt(&child);
    let end = next_json(&mut lines);
    assert_eq!((&end["deed"], &end["good"]), (&json!("stay"), &json!(true)), "{end}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn another_process_signs_in_to_the_lab_with_a_password_from_standard_input() {
    let lab = Running::start("lab-process");
    let sign_in = |password: &str, more: &[&str]| {
        let fixed = ["sign-in", "jeremy@contoso.com", "--json", "--dns", &lab.dns, "--ca", &lab.ca];
        super::feed(&[&fixed[..], more].concat(), password)
    };
    let user = ["--user", r"CONTOSO\jeremy"];
    let signed_in = sign_in("Passw0rd!\n", &user);
    assert_eq!(signed_in.code, 0, "{signed_in:?}");
    assert_eq!(signed_in.json()["registration"]["verified"], json!(true));
    let rejected = sign_in("wrong\n", &user);
    assert_eq!((rejected.code, &rejected.json()["failure"]["name"]), (1, &json!("rejected")));
    let none = sign_in("", &user);
    assert_eq!((none.code, &none.json()["failure"]["name"]), (1, &json!("credentials needed")));
    let digest = sign_in("Passw0rd!\n", &["--mechanism", "digest"]);
    assert_eq!(digest.json()["failure"]["name"], json!("no common scheme"));
    for run in [&signed_in, &rejected] {
        assert!(!run.out.contains("Passw0rd!") && !run.err.contains("Passw0rd!"));
    }
}

/// A server that never says a word, and a user who does not wait.
#[cfg(unix)]
#[test]
fn ctrl_c_ends_at_once_and_says_what_was_under_way() {
    let silent = std::net::UdpSocket::bind(DNS).unwrap();
    let dns = silent.local_addr().unwrap().to_string();
    let child = tool()
        .args(["check", "jeremy@contoso.com", "--dns", &dns, "--timeout", "60"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It has asked, so it is waiting.
    silent.recv_from(&mut [0; 512]).unwrap();
    let killed =
        std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(killed.unwrap().success());
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{err}");
    assert!(err.contains("interrupted; under way was: srv _sip"), "{err}");
}
